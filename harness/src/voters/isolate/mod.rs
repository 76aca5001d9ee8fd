//! Subjects in processes of their own.
//!
//! ```text
//!  harness                                   child
//!  programs ──> shared memory ──────────────> decode, checker, subject
//!  verdicts <── frames, checksums <── pipe ── one a program
//! ```
//!
//! A child has one subject with a checker of its own: reference, memory, oracle. Programs go to the child in batches.
//! The harness sees if the process dies (`SUBJECT.CRASH`), makes no progress (`SUBJECT.HANG`), or sends something that
//! is no answer (`SUBJECT.PROTOCOL`). Then a fresh child runs the programs without a verdict and sends each verdict at
//! once. The program at which the second child is lost goes to a third child, which announces each step before it runs
//! ([`restart`]). If the third child is lost as well, the loss is a finding at that step. The campaign goes on with
//! another child.
//!
//! **Limits.** Time without progress, bytes of data, no core dumps, and no files written (by Landlock; if the kernel
//! lacks it, a write to a file ends the process).
//!
//! **Nothing is left behind.** A child has a parent-death signal, and ends when its pipe is closed. The shared memory
//! has no name. A child has a process group of its own, so that Ctrl-C at the terminal does not end it before the
//! summary. The kernel sends the signal when the *thread* that started the child ends. So the thread that made an
//! [`Isolated`] must also use and drop it.
//!
//! **What is not protected.** The checker shares the child's address space with the library, so a wild store can change
//! what the checker sees. The harness notices broken frames by their checksums, and wrong counts of programs. It does
//! not notice a library that cheats on purpose.

mod child;
mod process;
mod wire;

use std::time::Duration;

pub use child::{Orders, run};
pub use process::Config;

use crate::check::{Tally, Verdict};
use crate::voters::restart::{self, Loss, Refusal, Runner, Watching, Way};
use crate::voters::{Shows, Task, Told, Unavailable, Voter};
use process::{Lost, Process};
use wire::{Frame, Telling};

/// Number of programs in a batch.
const BATCH: usize = 64;

/// A subject in a process of its own, as a voter.
pub struct Isolated {
    config: Config,
    /// The subject: its name on the command line, or the path of a library.
    subject: String,
    /// The name that the subject gives itself.
    name: String,
    process: Option<Process>,
    requests: u64,
}

impl Isolated {
    /// Starts a child with the subject.
    ///
    /// # Errors
    /// Fails if the subject cannot be used, or if the process cannot be started or is lost.
    pub fn new(config: Config, subject: &str) -> Result<Self, Unavailable> {
        let mut isolated = Self { config, subject: subject.into(), name: String::new(), process: None, requests: 0 };
        let (process, hello) = isolated
            .start()
            .map_err(|loss| Unavailable(format!("{}: {} {}", isolated.subject, isolated.thing(), loss.how)))?;
        (isolated.process, isolated.name) = (Some(process), hello.map_err(Unavailable)?);
        Ok(isolated)
    }

    /// Starts a child. Returns the process with the name of its subject, or with the reason why it has no subject.
    /// Fails if the process cannot be started or is lost.
    fn start(&self) -> Result<(Process, Result<String, String>), Loss> {
        let mut process = Process::start(&self.config, &self.subject).map_err(|error| {
            Loss::new(Way::Host, format!("cannot be made ({}): {error}", self.config.program.display()))
        })?;
        // Loading a library may take longer than a step.
        let hello = process.frame(0, self.config.limit.max(Duration::from_secs(10)));
        let (way, how) = match hello {
            Ok(Frame::Hello(name)) => return Ok((process, Ok(name))),
            Ok(Frame::Refused(why)) => return Ok((process, Err(why))),
            Ok(other) => (Way::Garbled, format!("answered {other:?}, expected its name")),
            Err(lost) => {
                let Loss { way, how, .. } = self.loss(&lost);
                (way, format!("{how} while it was loaded"))
            }
        };
        Err(Loss::new(way, how))
    }

    /// Takes the running child out of `process`, or starts a new one if there is none. Fails if the new process is lost
    /// or has no subject.
    fn ready(&mut self) -> Result<Process, Loss> {
        if let Some(process) = self.process.take() {
            return Ok(process);
        }
        let (process, hello) = self.start()?;
        hello.map_err(|why| Loss::new(Way::Refused(Refusal::NoSubject), format!("cannot have its subject: {why}")))?;
        Ok(process)
    }

    fn loss(&self, lost: &Lost) -> Loss {
        let way = match lost {
            Lost::Ended(_) => Way::Ended,
            Lost::Silent => Way::Silent,
            Lost::Garbage(_) => Way::Garbled,
        };
        Loss::new(way, lost.told(&self.config))
    }
}

impl Runner for Isolated {
    fn name(&self) -> &str {
        &self.name
    }

    fn thing(&self) -> &str {
        "its process"
    }

    /// A single program is watched step by step from the start, and its first loss is a finding. A second try would run
    /// in another process, without what earlier programs left in the lost one.
    fn at_first(&self, left: usize) -> Watching {
        if left == 1 { Watching::Steps } else { Watching::Together }
    }

    /// If the process is lost, `tally` gets the number of programs of the batch that have a verdict, but not the counts
    /// of their steps.
    fn run(
        &mut self,
        tasks: &[Task],
        watching: Watching,
        tally: &mut Tally,
        tell: &mut dyn FnMut(Verdict),
    ) -> Result<(), Loss> {
        self.requests += 1;
        let number = self.requests;
        let telling = match watching {
            Watching::Together => Telling::Together,
            Watching::Verdicts => Telling::Verdicts,
            Watching::Steps => Telling::Steps,
        };
        let mut process = self.ready()?;
        let mut mark = None;
        let mut left = tasks.len();
        let mut next = process.request(number, telling, tasks).and_then(|()| process.frame(number, self.config.limit));
        let lost = loop {
            let verdict = match next {
                Ok(Frame::Mark(place)) => {
                    mark = Some(place);
                    None
                }
                Ok(Frame::Agreed) => Some(Verdict::Agreed),
                Ok(Frame::NotCompared(not)) => Some(Verdict::NotCompared(not)),
                Ok(Frame::Finding(finding)) => Some(Verdict::Finding(finding)),
                Ok(Frame::Done(counts)) if left == 0 && counts.programs == tasks.len() as u64 => {
                    tally.add(&counts);
                    self.process = Some(process);
                    return Ok(());
                }
                Ok(other) => break Lost::Garbage(format!("{other:?} where it was not expected")),
                Err(lost) => break lost,
            };
            if let Some(verdict) = verdict {
                if left == 0 {
                    break Lost::Garbage("one verdict too many".into());
                }
                left -= 1;
                tell(verdict);
            }
            next = process.frame(number, self.config.limit);
        };
        tally.programs += (tasks.len() - left) as u64;
        Err(Loss { place: mark, ..self.loss(&lost) })
    }
}

impl Voter for Isolated {
    fn name(&self) -> &str {
        &self.name
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }

    /// Ends the process and returns `true`. The next program starts another process.
    fn renew(&mut self) -> Result<bool, Unavailable> {
        self.process = None;
        Ok(true)
    }

    fn group(&self) -> usize {
        BATCH
    }

    fn vote(&mut self, tasks: &[Task], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable> {
        restart::vote(self, tasks, tally, tell)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use contract::{Dialect, Program, Rule};
    use tempfile::TempDir;

    use super::*;
    use crate::check::Place;
    use crate::check::checker::smallest;

    /// Makes a child that sends these frames as answers to the first request, whatever it is asked. Also returns the
    /// folder with the child's files.
    fn child(frames: &[Frame]) -> (Isolated, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let (bytes, program) = (folder.path().join("frames"), folder.path().join("child"));
        let mut sent = Vec::new();
        Frame::Hello("tce".into()).write(&mut sent, 0).expect("memory takes it");
        for frame in frames {
            frame.write(&mut sent, 1).expect("memory takes it");
        }
        fs::write(&bytes, sent).expect("a file");
        let script = format!("#!/bin/sh\ncat '{}'\nexec cat > /dev/null\n", bytes.display());
        fs::write(&program, script).expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a script that runs");
        let config = Config { program, limit: Duration::from_secs(20), bytes: 1 << 30 };
        (Isolated::new(config, "anything").expect("it says its name"), folder)
    }

    fn task() -> Task {
        Task::from(Program { dialect: Dialect::Lopapr, machine: smallest(), steps: vec![] })
    }

    /// Runs one program in a child that sends these frames. Returns the verdict, the incidents, and how many programs
    /// are counted.
    fn answers(frames: &[Frame]) -> (Verdict, Vec<String>, u64) {
        let (mut isolated, _folder) = child(frames);
        let (mut verdicts, mut incidents, mut tally) = (Vec::new(), Vec::new(), Tally::default());
        let voted = isolated.vote(&[task()], &mut tally, &mut |told| match told {
            Told::Verdict(_, verdict) => verdicts.push(verdict),
            Told::Incident(incident) => incidents.push(incident.what),
        });
        assert_eq!((voted, verdicts.len()), (Ok(()), 1), "{verdicts:?}");
        (verdicts.remove(0), incidents, tally.programs)
    }

    /// Checks whole frames that do not fit the request, as a library that overwrites memory may make its child send.
    /// Before the verdict they are a finding. After the verdict they are an incident, because the verdict is valid.
    #[test]
    fn frames_that_do_not_fit_the_request_are_noticed() {
        let mark = || Frame::Mark(Place::Start);
        let done = |programs| Frame::Done(Box::new(Tally { programs, ..Tally::default() }));
        let (verdict, incidents, programs) = answers(&[mark(), Frame::Agreed, done(1)]);
        assert_eq!((verdict, incidents.len(), programs), (Verdict::Agreed, 0, 1));
        let hello = || Frame::Hello("tce".into());
        for (number, wrong) in [done(1), done(0), hello(), Frame::Refused("no".into())].into_iter().enumerate() {
            let (verdict, incidents, programs) = answers(&[mark(), wrong]);
            let finding = verdict.finding().unwrap_or_else(|| panic!("{number}: {verdict}"));
            assert_eq!((finding.rule, finding.place), (Rule::SubjectProtocol, Place::Start), "{number}");
            assert_eq!((incidents.len(), programs), (0, 1), "{number}");
        }
        for (number, wrong) in [done(0), done(2), hello(), Frame::Agreed].into_iter().enumerate() {
            let (verdict, incidents, programs) = answers(&[mark(), Frame::Agreed, wrong]);
            assert_eq!((verdict, incidents.len(), programs), (Verdict::Agreed, 1, 1), "{number}: {incidents:?}");
        }
    }

    /// Checks that answers to an earlier request are not taken as answers to a later one.
    #[test]
    fn frames_of_an_earlier_request_are_noticed() {
        let done = || Frame::Done(Box::new(Tally { programs: 1, ..Tally::default() }));
        let (mut isolated, _folder) = child(&[Frame::Agreed, done(), Frame::Agreed, done()]);
        let mut vote = || {
            let mut agreed = 0;
            let voted = isolated.vote(&[task()], &mut Tally::default(), &mut |told| {
                agreed += usize::from(matches!(told, Told::Verdict(_, Verdict::Agreed)));
            });
            (voted.is_ok(), agreed)
        };
        assert_eq!(vote(), (true, 1));
        // No fresh child does better, so the voter is given up.
        assert_eq!(vote(), (false, 0));
    }
}
