//! Crash files of fuzzing engines: each is checked again here, and what it shows is kept like a campaign's finding.
//!
//! A check that makes no end must not keep the others waiting: each has a thread and a time limit. A thread that is
//! late is left alone, for nothing can stop it; that the check made no end is then what was found, as SUBJECT.HANG.

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

/// How many times the limit of a check shrinking may take: it makes many.
pub const SHRINK_LIMITS: u32 = 10;

/// What a file came to.
#[derive(Clone, Debug)]
pub enum Triaged {
    /// Everything was compared and is equal.
    Agreed(Tally),
    /// Something was not compared; the rest is equal.
    NotCompared(NotCompared, Tally),
    /// The first of its kind: kept as [`Shown`] number so and so.
    First(usize),
    /// The same as an earlier one, with that one's number.
    Again(usize),
}

/// A finding, and how many files show it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The finding of the first.
    pub recorded: Recorded,
    /// The first file.
    pub first: PathBuf,
    /// How many others show the same rule, field and kind of step.
    pub others: u64,
}

/// Checks files and keeps what they show.
#[derive(Clone, Debug)]
pub struct Triage {
    /// Who runs against the reference.
    pub subject: SubjectKind,
    /// How long a check may take.
    pub limit: Duration,
    /// Where findings go.
    pub out: PathBuf,
    /// The engine's name; by the file's if there is none.
    pub engine: Option<String>,
    shown: Vec<Shown>,
    known: BTreeMap<Identity, usize>,
}

impl Triage {
    /// One that has seen no file.
    #[must_use]
    pub fn new(subject: SubjectKind, limit: Duration, out: PathBuf, engine: Option<String>) -> Self {
        Self { subject, limit, out, engine, shown: Vec::new(), known: BTreeMap::new() }
    }

    /// The different findings so far, in the order of their first files.
    #[must_use]
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// Checks the program of a file; a finding of a new kind is kept at once.
    ///
    /// # Errors
    /// A file could not be written, no thread be made, or the program is not sound, which none is that was read.
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

    /// Shrinks and records a catch within the time for shrinking; as it was found where that is not enough, or where
    /// the check itself was late.
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

/// What [`check_within`] saw.
#[derive(Clone, Debug)]
pub enum Checked {
    /// The check ended, with these counts.
    Verdict(Verdict, Tally),
    /// It did not end in time; the finding says at which step.
    Late(Box<Finding>),
}

/// Where a check on another thread is.
#[derive(Default)]
struct Marks {
    /// Steps that are done.
    done: AtomicUsize,
    /// One more than the last step on which both sides agreed.
    agreed: AtomicUsize,
}

impl Watch for Arc<Marks> {
    fn agreed(&mut self, seen: &Observation<'_>) {
        self.done.store(seen.index + 1, Ordering::Relaxed);
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
            let done = marks.done.load(Ordering::Relaxed);
            let place = if done < program.steps.len() { Place::Step(done) } else { Place::End };
            Checked::Late(Box::new(Finding {
                agreed: marks.agreed.load(Ordering::Relaxed).checked_sub(1),
                expected: format!("an end within {}", humantime::format_duration(limit)),
                found: "none".into(),
                ..Finding::new(&name, program, place, Rule::SubjectHang, Thing::Hang(Code::Check))
            }))
        }
    })
}

enum Ended<T> {
    Done(T),
    Late,
    Panicked(String),
}

/// Runs on a thread of its own, which is left behind if it is late.
fn within<T: Send + 'static>(limit: Duration, run: impl FnOnce() -> T + Send + 'static) -> io::Result<Ended<T>> {
    let (sender, receiver) = channel();
    // Nobody listens to one that is late.
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
