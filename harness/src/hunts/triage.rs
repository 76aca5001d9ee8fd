//! Triage: checks the crash files of fuzzing engines again, and records what they show.
//!
//! A check that hangs must not keep the other files waiting. Therefore each check runs on a thread of its own with a
//! time limit. A thread that exceeds the limit is left behind, because nothing can stop it, and its file shows the
//! finding `SUBJECT.HANG`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use contract::{Program, Rule};
use programs::inputs;

use super::pursuit;
use crate::check::finding::Code;
use crate::check::{
    Checker, Finding, Handled, Identity, NotCompared, Observation, Place, Tally, Thing, Verdict, Watch,
};
use crate::findings::record::{Catch, Made, Origin, Recorded, Recorder};
use crate::subjects::SubjectKind;
use crate::voters::Roster;

/// Time limit of shrinking, as a multiple of the limit of one check.
pub const SHRINK_LIMITS: u32 = 10;

/// The result of triage for one file.
#[derive(Clone, Debug)]
pub enum Triaged {
    /// Everything was compared and is equal.
    Agreed(Tally),
    /// Something was not compared. Everything that was compared is equal.
    NotCompared(NotCompared, Tally),
    /// The file shows a new finding, which has this index in [`Triage::shown()`].
    First(usize),
    /// The file shows the same finding as an earlier file. The finding has this index in [`Triage::shown()`].
    Again(usize),
}

/// A finding, and how many files show it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The recorded finding of the first file.
    pub recorded: Recorded,
    /// The first file that shows the finding.
    pub first: PathBuf,
    /// Number of other files that show a finding of the same identity.
    pub others: u64,
}

/// Checks files and records their findings.
#[derive(Clone, Debug)]
pub struct Triage {
    /// Which subject runs against the reference.
    pub subject: SubjectKind,
    /// Time limit of one check.
    pub limit: Duration,
    /// Folder of the recorded findings.
    pub out: PathBuf,
    /// Name of the engine; `None` to take it from each file's path.
    pub engine: Option<String>,
    shown: Vec<Shown>,
    known: BTreeMap<Identity, usize>,
}

impl Triage {
    /// Makes a triage that has seen no file.
    #[must_use]
    pub fn new(subject: SubjectKind, limit: Duration, out: PathBuf, engine: Option<String>) -> Self {
        Self { subject, limit, out, engine, shown: Vec::new(), known: BTreeMap::new() }
    }

    /// Returns the different findings so far, in the order of their first files.
    #[must_use]
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// Checks the program of a file. Records the finding at once if no earlier file shows the same.
    ///
    /// # Errors
    /// A file cannot be written, no thread can be made, or the program is invalid, which no program is that was read
    /// from a file.
    pub fn check(&mut self, file: &Path, program: &Program) -> io::Result<Triaged> {
        let engine = self.engine.clone().unwrap_or_else(|| inputs::engine(file).into());
        let (finding, late) = match check_within(self.limit, self.subject.checker(), program)? {
            Checked::Verdict(Verdict::Finding(finding), _) => (finding, false),
            Checked::Verdict(Verdict::Agreed, tally) => return Ok(Triaged::Agreed(tally)),
            Checked::Verdict(Verdict::NotCompared(not), tally) => return Ok(Triaged::NotCompared(not, tally)),
            Checked::Verdict(Verdict::Invalid(invalid), _) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {invalid}", file.display())));
            }
            Checked::Late(finding) => (finding, true),
        };
        let identity = finding.identity();
        if let Some(&number) = self.known.get(&identity) {
            self.shown[number].others += 1;
            return Ok(Triaged::Again(number));
        }
        let origin = Origin::Engine { engine, file: Some(file.into()) };
        let catch = Catch { origin, program: program.clone(), finding: *finding };
        let found_file = Recorder { out: &self.out }.keep(&catch)?;
        let recorded = self.record(catch, found_file, late)?;
        let number = self.shown.len();
        self.known.insert(identity, number);
        self.shown.push(Shown { recorded, first: file.into(), others: 0 });
        Ok(Triaged::First(number))
    }

    /// Shrinks and records a catch within the time limit of shrinking. Records it as it was found if that time is not
    /// enough, or if the check itself was late.
    fn record(&self, catch: Catch, found_file: PathBuf, late: bool) -> io::Result<Recorded> {
        if !late {
            let (roster, out) = (Roster::from(self.subject), self.out.clone());
            let (copy, file) = (catch.clone(), found_file.clone());
            let record = move || pursuit::record(&roster, Recorder { out: &out }, copy, file, &mut Vec::new);
            if let Ended::Done(recorded) = within(self.limit.saturating_mul(SHRINK_LIMITS), record)? {
                return recorded;
            }
        }
        Recorder { out: &self.out }.finish(catch, found_file, Made::AsFound)
    }
}

/// The result of [`check_within`].
#[derive(Clone, Debug)]
pub enum Checked {
    /// The check ended, with this verdict and these counts.
    Verdict(Verdict, Tally),
    /// The check did not end in time. The finding, `SUBJECT.HANG`, names the step that was running.
    Late(Box<Finding>),
}

/// How far a check on another thread has come.
#[derive(Default)]
struct Marks {
    /// 0 at the start of the program, then the number of the running step, from 1; at the end one more than steps.
    place: AtomicUsize,
    /// Index of the last step on which both sides agreed, plus 1; 0 for none.
    agreed: AtomicUsize,
}

impl Watch for Arc<Marks> {
    fn begins(&mut self, place: Place) {
        let number = match place {
            Place::Start => 0,
            Place::Step(index) => index + 1,
            Place::End => self.place.load(Ordering::Relaxed) + 1,
        };
        self.place.store(number, Ordering::Relaxed);
    }

    fn agreed(&mut self, seen: &Observation<'_>) {
        if seen.handled != Handled::Skipped {
            self.agreed.store(seen.index + 1, Ordering::Relaxed);
        }
    }
}

/// Checks a program with a time limit.
///
/// # Errors
/// No thread can be made.
pub fn check_within(limit: Duration, mut checker: Checker, program: &Program) -> io::Result<Checked> {
    let marks = Arc::new(Marks::default());
    let (mut theirs, copy, name) = (Arc::clone(&marks), program.clone(), checker.subject().to_string());
    let ended = within(limit, move || {
        let verdict = checker.check_watched(&copy, &mut theirs);
        (verdict, checker.tally().clone())
    })?;
    Ok(match ended {
        Ended::Done((verdict, tally)) => Checked::Verdict(verdict, tally),
        Ended::Panicked(message) => {
            let blank = Finding::new(&name, program, Place::Start, Rule::HarnessFault, Thing::Harness);
            let (expected, found) = ("no contradiction".into(), format!("panic: {message}"));
            Checked::Verdict(Verdict::Finding(Box::new(Finding { expected, found, ..blank })), Tally::default())
        }
        Ended::Late => {
            let place = match marks.place.load(Ordering::Relaxed) {
                0 => Place::Start,
                number if number <= program.steps.len() => Place::Step(number - 1),
                _ => Place::End,
            };
            Checked::Late(Box::new(Finding {
                agreed: marks.agreed.load(Ordering::Relaxed).checked_sub(1),
                expected: format!("an end within {}", humantime::format_duration(limit)),
                found: "none".into(),
                ..Finding::new(&name, program, place, Rule::SubjectHang, Thing::Hang(Code::Check))
            }))
        }
    })
}

/// How a function that runs with a time limit ended.
enum Ended<T> {
    Done(T),
    Late,
    Panicked(String),
}

/// Runs a function on a thread of its own. The thread is left behind if it is late.
fn within<T: Send + 'static>(limit: Duration, run: impl FnOnce() -> T + Send + 'static) -> io::Result<Ended<T>> {
    let (sender, receiver) = channel();
    // Sending fails if the thread is late, because nobody receives any more.
    let thread = std::thread::Builder::new().spawn(move || drop(sender.send(run())))?;
    Ok(match receiver.recv_timeout(limit) {
        Ok(value) => Ended::Done(value),
        Err(RecvTimeoutError::Timeout) => Ended::Late,
        Err(RecvTimeoutError::Disconnected) => {
            let payload = thread.join().err();
            let payload = payload.as_deref();
            let text = payload.and_then(|payload| payload.downcast_ref::<&str>().map(|text| (*text).to_string()));
            let text = text.or_else(|| payload.and_then(|payload| payload.downcast_ref::<String>().cloned()));
            Ended::Panicked(text.unwrap_or_else(|| "(no message)".into()))
        }
    })
}
