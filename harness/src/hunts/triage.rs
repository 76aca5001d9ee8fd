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

use crate::check::lockstep::{Checker, Handled};
use crate::check::verdict::{Finding, Identity, Tally, Verdict};
use crate::findings::record::{Origin, Recorded, Recorder};
use crate::shrink::{Limits, shrink};
use crate::subjects::SubjectKind;
use programs::inputs;
use programs::store::{self, EXTENSION};

/// How many times the limit of a check shrinking may take: it makes many.
pub const SHRINK_LIMITS: u32 = 10;

/// What a file came to.
#[derive(Clone, Debug)]
pub enum Triaged {
    /// Both sides agree.
    Agreed(Tally),
    /// The first of its kind: kept as [`Shown`] number so and so.
    First(usize),
    /// The same as an earlier one, with that one's number.
    Again(usize),
    /// The harness itself panicked, with this message, on the program in this file.
    Broken(String, PathBuf),
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
            Checked::Verdict(Verdict::Finding(finding, _)) => (finding, false),
            Checked::Verdict(Verdict::Agreed(tally)) => return Ok(Triaged::Agreed(tally)),
            Checked::Verdict(Verdict::Invalid(invalid)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {invalid}", file.display())));
            }
            Checked::Late(finding) => (finding, true),
            Checked::Panicked(message) => {
                let name = format!("harness-panic-{engine}-{}.found.{EXTENSION}", store::fingerprint(program));
                return Ok(Triaged::Broken(message, store::write(&self.out, name, program.to_string())?));
            }
        };
        if let Some(&number) = self.known.get(&finding.identity) {
            self.shown[number].others += 1;
            return Ok(Triaged::Again(number));
        }
        let origin = Origin::Engine { engine, file: Some(file.into()) };
        let recorder = Recorder { out: &self.out, origin };
        recorder.write_found(program, &finding)?;
        let shrunk = if late {
            None
        } else {
            let (subject, copy) = (self.subject, program.clone());
            match within(self.limit.saturating_mul(SHRINK_LIMITS), move || {
                shrink(&mut subject.checker(), &copy, Limits::default())
            })? {
                Ended::Done(shrunk) => shrunk,
                // It is kept as it was found.
                Ended::Late | Ended::Panicked(_) => None,
            }
        };
        let recorded = recorder.write_all(program, &finding, shrunk)?;
        let number = self.shown.len();
        self.known.insert(finding.identity, number);
        self.shown.push(Shown { recorded, first: file.into(), others: 0 });
        Ok(Triaged::First(number))
    }
}

/// What [`check_within`] saw.
#[derive(Clone, Debug)]
pub enum Checked {
    /// The check ended.
    Verdict(Verdict),
    /// It did not end in time; the finding says at which step.
    Late(Box<Finding>),
    /// It panicked outside of the subject, which is the harness's fault.
    Panicked(String),
}

/// Checks a program with a time limit.
///
/// # Errors
/// No thread can be made.
pub fn check_within(limit: Duration, mut checker: Checker, program: &Program) -> io::Result<Checked> {
    // The steps that are done, and one more than the last on which both sides agree.
    let marks = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let (theirs, copy, name) = (Arc::clone(&marks), program.clone(), checker.subject().into());
    let ended = within(limit, move || {
        checker.check_observed(&copy, &mut |seen| {
            theirs.0.store(seen.index + 1, Ordering::Relaxed);
            if seen.handled != Handled::Skipped {
                theirs.1.store(seen.index + 1, Ordering::Relaxed);
            }
        })
    })?;
    Ok(match ended {
        Ended::Done(verdict) => Checked::Verdict(verdict),
        Ended::Panicked(message) => Checked::Panicked(message),
        Ended::Late => {
            let step = marks.0.load(Ordering::Relaxed);
            let kind = program.steps.get(step).map_or("end", contract::Step::kind);
            Checked::Late(Box::new(Finding {
                identity: Identity { rule: Rule::SubjectHang, field: "hang", kind },
                step,
                agreed: marks.1.load(Ordering::Relaxed).checked_sub(1),
                what: "time of the check".into(),
                expected: format!("an end within {}", humantime::format_duration(limit)),
                found: "none".into(),
                objects: Vec::new(),
                voter: name,
                votes: Vec::new(),
                log: Vec::new(),
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
