//! Subjects in processes of their own.
//!
//! ```text
//!  harness                                   child
//!  programs ──> shared memory ──────────────> decode, checker, subject
//!  ballots  <── frames, checksums <── pipe ── one a program
//! ```
//!
//! A child has one subject with its own checker: reference, memory, oracle. Programs go to it in batches. What becomes of the process is
//! seen by the harness: it dies (`SUBJECT.CRASH`), makes no progress (`SUBJECT.HANG`), or sends what is no answer (`SUBJECT.PROTOCOL`). Its
//! batch is then put to a fresh child that tells each ballot, and the program at which that one is lost to another that announces each step. If
//! it is lost as well, that is a finding at that step. The campaign goes on with another child.
//!
//! **Limits.** Time without progress, bytes of data, no core dumps, and no files written (Landlock; where the kernel lacks it, a
//! write to a file ends the process).
//!
//! **Nothing is left behind.** A child has a parent-death signal, and ends when its pipe does; the shared memory has no name. It has a process
//! group of its own, lest Ctrl-C at the terminal ends it in the middle of the summary. The signal is sent when the *thread* that
//! started it ends: so an [`Isolated`] is used and dropped by the thread that made it.
//!
//! **What it does not show.** The checker shares the child's address space with the library: a wild store could make it blind. It is
//! told by the frames' checksums if it breaks those, and by the counts, which must fit the programs; a library that set out to cheat
//! is beyond this.

mod child;
mod process;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use contract::{Program, Rule};

pub use child::{Orders, run};

use crate::check::{Finding, Place, Tally, Thing, Verdict};
use crate::voters::{Incident, Shows, Task, Told, Unavailable, Voter};
use process::{Lost, Process};
use wire::{Frame, Telling};

/// Programs of a batch.
const BATCH: usize = 64;
/// How often a child is started again in a row, without a ballot between.
const RESTARTS: u32 = 3;

/// How children are run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The program: `realmode` itself, which has a command for it.
    pub program: PathBuf,
    /// How long a step may take.
    pub limit: Duration,
    /// Bytes of data that a subject may have.
    pub bytes: u64,
}

impl Config {
    /// This program, one second a step, 256 MiB.
    ///
    /// # Errors
    /// The system does not say where this program is.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, limit: Duration::from_secs(1), bytes: 256 << 20 })
    }
}

/// A subject in a process of its own.
pub struct Isolated {
    config: Config,
    /// The subject: a name, or the path of a library.
    subject: String,
    /// The name that it gives itself.
    name: String,
    process: Option<Process>,
    requests: u64,
}

/// A child that was lost.
struct Stopped {
    lost: Lost,
    /// What was about to run, if it was announced.
    mark: Option<Place>,
}

impl Isolated {
    /// Starts a child with the subject.
    ///
    /// # Errors
    /// There can be none: the library cannot be used, or the process not be made.
    pub fn new(config: Config, subject: &str) -> Result<Self, Unavailable> {
        let mut isolated = Self { config, subject: subject.into(), name: String::new(), process: None, requests: 0 };
        let (process, name) = isolated.start()?;
        (isolated.process, isolated.name) = (Some(process), name);
        Ok(isolated)
    }

    fn start(&self) -> Result<(Process, String), Unavailable> {
        let told = |what: String| Unavailable(format!("{}: {what}", self.subject));
        let mut process = Process::start(&self.config, &self.subject)
            .map_err(|error| told(format!("no process for it ({}): {error}", self.config.program.display())))?;
        // Loading takes what it takes.
        match process.frame(0, self.config.limit.max(Duration::from_secs(10))) {
            Ok(Frame::Hello(name)) => Ok((process, name)),
            Ok(Frame::Refused(why)) => Err(Unavailable(why)),
            Ok(other) => Err(told(format!("its process answered {other:?}, expected its name"))),
            Err(lost) => Err(told(format!("its process {} while it was loaded", lost.told(&self.config)))),
        }
    }

    /// Puts programs to the child. `cast` is told of each ballot, in order.
    fn run(
        &mut self,
        tasks: &[Task],
        telling: Telling,
        tally: &mut Tally,
        cast: &mut dyn FnMut(Verdict),
    ) -> Result<Result<(), Stopped>, Unavailable> {
        self.requests += 1;
        let number = self.requests;
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self.start()?.0,
        };
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
                    return Ok(Ok(()));
                }
                Ok(other) => break Lost::Garbage(format!("{other:?} where it was not expected")),
                Err(lost) => break lost,
            };
            if let Some(verdict) = verdict {
                if left == 0 {
                    break Lost::Garbage("one verdict too many".into());
                }
                left -= 1;
                cast(verdict);
            }
            next = process.frame(number, self.config.limit);
        };
        Ok(Err(Stopped { lost, mark }))
    }

    fn loss(&self, program: &Program, stopped: &Stopped) -> Finding {
        let place = stopped.mark.unwrap_or(Place::Start);
        let process = String::from("its process");
        let (rule, thing) = match stopped.lost {
            Lost::Ended(_) => (Rule::SubjectCrash, Thing::Process(process)),
            Lost::Silent => (Rule::SubjectHang, Thing::Silent(process)),
            Lost::Garbage(_) => (Rule::SubjectProtocol, Thing::Process(process)),
        };
        Finding {
            agreed: place.steps_before(program).checked_sub(1),
            expected: "an answer".into(),
            found: stopped.lost.told(&self.config),
            ..Finding::new(&self.name, program, place, rule, thing)
        }
    }
}

impl Voter for Isolated {
    fn name(&self) -> &str {
        &self.name
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }

    /// The process is ended; the next program starts another.
    fn renew(&mut self) -> Result<bool, Unavailable> {
        self.process = None;
        Ok(true)
    }

    fn group(&self) -> usize {
        BATCH
    }

    /// Counts of programs that share a batch with one that ends the process are those of the programs alone, not of their steps.
    fn vote(&mut self, tasks: &[Task], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable> {
        let mut next = 0;
        let mut lost = 0;
        // How closely it is looked at. Where a child is lost it is the more closely, until it is known where.
        let mut telling = Telling::Together;
        // A loss that no program has been found to cause.
        let mut unexplained = None;
        while next < tasks.len() {
            // A single program is looked at closely at once.
            if tasks.len() - next == 1 {
                telling = Telling::Steps;
            }
            let careful = telling == Telling::Steps;
            let batch = if careful { &tasks[next..=next] } else { &tasks[next..] };
            let before = next;
            let run = self.run(batch, telling, tally, &mut |verdict| {
                tell(Told::Verdict(next, verdict));
                next += 1;
            })?;
            let Err(stopped) = run else {
                if let Some(what) = unexplained.take() {
                    tell(Told::Incident(Incident { program: before, what }));
                }
                (lost, telling) = (0, Telling::Together);
                continue;
            };
            unexplained = Some(format!("its process {}", stopped.lost.told(&self.config)));
            telling = if telling == Telling::Together { Telling::Verdicts } else { Telling::Steps };
            tally.programs += (next - before) as u64;
            lost = if next > before { 1 } else { lost + 1 };
            if next == tasks.len() {
                // All voted, and then it fell over.
                let what = format!("its process {} after its last answer", stopped.lost.told(&self.config));
                tell(Told::Incident(Incident { program: next - 1, what }));
            } else if stopped.mark.is_some() && careful {
                let finding = self.loss(&tasks[next].program, &stopped);
                tell(Told::Verdict(next, Verdict::Finding(Box::new(finding))));
                tally.programs += 1;
                next += 1;
                (lost, telling, unexplained) = (0, Telling::Together, None);
            } else if lost > RESTARTS {
                return Err(Unavailable(format!("{}: its process {}", self.name, stopped.lost.told(&self.config))));
            }
        }
        Ok(())
    }
}
