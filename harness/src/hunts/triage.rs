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

/// Time limit of shrinking one finding, as a multiple of the time limit of one check.
pub const SHRINK_LIMITS: u32 = 10;

/// The result of triage for one file.
#[derive(Clone, Debug)]
pub enum Triaged {
    /// Everything of the file's program was compared and is equal. The tally has the counts of the check.
    Agreed(Tally),
    /// The file's program was not compared or only in part. Everything that was compared is equal.
    NotCompared(NotCompared, Tally),
    /// The file shows a new finding. The number is its index in [`Triage::shown()`], from 0.
    First(usize),
    /// The file shows a finding of the same identity as an earlier file. The number is the index of that finding in
    /// [`Triage::shown()`], from 0.
    Again(usize),
}

/// A finding of triage, and how many files show it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The finding as it was recorded for the first file that shows it.
    pub recorded: Recorded,
    /// Path of the first file that shows the finding.
    pub first: PathBuf,
    /// Number of further files that show a finding of the same identity.
    pub others: u64,
}

/// Checks crash files and records their findings, each identity once.
#[derive(Clone, Debug)]
pub struct Triage {
    /// Which kind of subject runs against the reference.
    pub subject: SubjectKind,
    /// Time limit of one check. Shrinking one finding may take [`SHRINK_LIMITS`] times as long.
    pub limit: Duration,
    /// Folder into which findings are recorded.
    pub out: PathBuf,
    /// Name of the engine that made the files; `None` to take it from the path of each file.
    pub engine: Option<String>,
    shown: Vec<Shown>,
    known: BTreeMap<Identity, usize>,
}

impl Triage {
    /// Makes a triage that has seen no file yet.
    #[must_use]
    pub fn new(subject: SubjectKind, limit: Duration, out: PathBuf, engine: Option<String>) -> Self {
        Self { subject, limit, out, engine, shown: Vec::new(), known: BTreeMap::new() }
    }

    /// Returns the different findings so far, in the order of the first files that show them.
    #[must_use]
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// Checks the program of a file. Records the finding at once if no earlier file shows one of the same identity.
    ///
    /// # Errors
    /// Fails if a file cannot be written, if no thread can be made, if the subject is a library that cannot be loaded
    /// once more, or if the program is invalid. A program that was read from a file is never invalid.
    pub fn check(&mut self, file: &Path, program: &Program) -> io::Result<Triaged> {
        let engine = self.engine.clone().unwrap_or_else(|| inputs::engine(file).into());
        let checker = self.subject.try_checker().map_err(io::Error::other)?;
        let (finding, late) = match check_within(self.limit, checker, program)? {
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

    /// Shrinks and records a catch within the time limit of shrinking. Records the program as it was found if that time
    /// is not enough, if shrinking panics, or if the check itself did not end in time (`late`).
    fn record(&self, catch: Catch, found_file: PathBuf, late: bool) -> io::Result<Recorded> {
        if !late {
            let (roster, copy) = (Roster::from(self.subject), catch.clone());
            // The thread writes nothing, because it may go on after the catch was recorded as it was found.
            let pursue = move || pursuit::pursue(&roster, copy, &mut Vec::new);
            if let Ended::Done((catch, made)) = within(self.limit.saturating_mul(SHRINK_LIMITS), pursue)? {
                return Recorder { out: &self.out }.finish(catch, found_file, made);
            }
        }
        Recorder { out: &self.out }.finish(catch, found_file, Made::AsFound)
    }
}

/// The result of [`check_within`].
#[derive(Clone, Debug)]
pub enum Checked {
    /// The check ended in time with this verdict and these counts.
    Verdict(Verdict, Tally),
    /// The check did not end in time. The finding is `SUBJECT.HANG` and names the place that was running.
    Late(Box<Finding>),
}

/// How far a check on another thread has come.
#[derive(Default)]
struct Marks {
    /// The place that runs: 0 for the start, the number of the step from 1, or the number of steps plus 1 for the end.
    place: AtomicUsize,
    /// Index, from 0, of the last step on which reference and subject agreed, plus 1; 0 if there is none.
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

/// Checks a program with `checker` on a thread of its own. If the check takes longer than `limit`, the thread is left
/// behind and the result is [`Checked::Late`]. If the check panics, the verdict is the finding `HARNESS.FAULT`.
///
/// # Errors
/// Fails if no thread can be made.
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

/// How a function that runs on another thread with a time limit ended.
enum Ended<T> {
    Done(T),
    Late,
    Panicked(String),
}

/// Runs a function on a thread of its own and waits for it at most `limit`. If the function takes longer, its thread is
/// left behind. Fails if no thread can be made.
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
