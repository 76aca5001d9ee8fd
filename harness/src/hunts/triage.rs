//! Triage: checks the crash files of fuzzing engines again, and records what they show.
//!
//! A file holds a program or, for a finding that a fresh subject does not show, a sequence of programs.
//!
//! A check that hangs must not keep the other files waiting. Therefore each check runs on a thread of its own with a
//! time limit. A thread that exceeds the limit is left behind, because nothing can stop it, and its file shows the
//! finding `SUBJECT.HANG`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use contract::Rule;
use programs::inputs;
use programs::sequence::{Part, Sequence};

use super::pool::{InOrder, Merge, Outbox, Pool};
use super::pursuit;
use crate::check::finding::Code;
use crate::check::{
    Checker, Ending, Finding, Handled, Identity, NotCompared, Observation, Place, Tally, Thing, Verdict, Watch,
};
use crate::findings::record::{Catch, Made, NotShrunk, Origin, Recorded, Recorder};
use crate::subjects::SubjectKind;
use crate::voters::Roster;

/// Time limit of shrinking one finding, as a multiple of the time limit of one check.
pub const SHRINK_LIMITS: u32 = 10;

/// The settings of a triage.
#[derive(Clone, Debug)]
pub struct Triage {
    /// Which kind of subject runs against the reference.
    pub subject: SubjectKind,
    /// Time limit of the check of one program. Shrinking one finding may take [`SHRINK_LIMITS`] times as long.
    pub limit: Duration,
    /// Folder into which findings are recorded.
    pub out: PathBuf,
    /// Name of the engine that made the files; `None` to take it from the path of each file.
    pub engine: Option<String>,
    /// Number of threads; 0 means 1.
    pub jobs: usize,
}

/// The result of triage for one file.
#[derive(Clone, Debug)]
pub enum Triaged {
    /// Everything of the file's programs was compared and is equal. The tally has the counts of the check.
    Agreed(Tally),
    /// A program of the file was not compared or only in part. Everything that was compared is equal.
    NotCompared(NotCompared, Tally),
    /// The file shows a new finding. The number is its index in [`Summary::shown`], from 0.
    First(usize),
    /// The file shows a finding of the same identity as an earlier file. The number is the index of that finding in
    /// [`Summary::shown`], from 0.
    Again(usize),
    /// The file was not checked, for this reason: no subject could be made, no thread could be made, or a program is
    /// invalid. A program that was read from a file is never invalid. Or the file shows a finding that could not be
    /// written ([`Summary::failed`]).
    NotChecked(String),
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

/// The results of a triage.
#[derive(Debug, Default)]
pub struct Summary {
    /// The result for each file: its index, from 0, among the files, in ascending order, and what it shows. Files to
    /// which the triage did not come before it was stopped are left out.
    pub files: Vec<(usize, Triaged)>,
    /// The different findings, in the order of the first files that show them.
    pub shown: Vec<Shown>,
    /// The first error of writing a file, which ended the triage; the finding is then not in `shown`. `None` if there
    /// was no error.
    pub failed: Option<io::Error>,
}

/// How far a running triage has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Number of files that were checked.
    pub files: usize,
    /// Number of different findings so far.
    pub findings: usize,
}

/// What a worker found out about one file.
struct Examined {
    /// Index of the file, from 0.
    index: usize,
    /// The result of the check. The error says why the file was not checked.
    result: Result<Checked, String>,
}

impl Triage {
    /// Checks the programs of each file, one after the other on one fresh subject, up to the first finding, and records
    /// the findings, each identity once. The program of a new finding is written to disk at once; findings are shrunk
    /// when all files are checked. Ends the checks early when `stop` becomes `true`. Calls `progress` a few times a
    /// second.
    #[must_use]
    pub fn run(&self, files: &[(PathBuf, Sequence)], stop: &AtomicBool, progress: &mut dyn FnMut(Progress)) -> Summary {
        let pool = Pool { jobs: self.jobs.min(files.len()), stop, deadline: None };
        let worker = Worker { triage: self, files, pool: &pool, next: AtomicUsize::new(0), alone: RwLock::default() };
        let mut merger = Merger {
            triage: self,
            files,
            order: InOrder::default(),
            known: BTreeMap::new(),
            caught: Vec::new(),
            done: Vec::new(),
            progress,
        };
        let mut failed = pool.run(&|outbox| worker.work(outbox), &mut merger).err();
        // A triage that was stopped may have gaps between its files. All files that were checked count.
        for examined in std::mem::take(&mut merger.order).rest() {
            failed = failed.or(merger.add(examined).err());
        }
        merger.show();
        let Merger { caught, done, .. } = merger;
        let mut summary = Summary { files: done, shown: Vec::new(), failed };
        for caught in caught {
            match self.record(caught) {
                Ok(shown) => summary.shown.push(shown),
                Err(error) => {
                    // The numbers in `files` must stay those of `shown`.
                    let known = summary.shown.len();
                    for (_, triaged) in &mut summary.files {
                        if matches!(triaged, Triaged::First(number) | Triaged::Again(number) if *number >= known) {
                            *triaged = Triaged::NotChecked("it shows a finding, whose files were not written".into());
                        }
                    }
                    summary.failed.get_or_insert(error);
                    break;
                }
            }
        }
        summary
    }

    /// Returns the catch of a finding that `checked` has, with the programs that ran before on the same subject.
    fn catch(&self, file: &Path, sequence: &Sequence, checked: &Checked) -> Option<(Catch, Vec<Part>)> {
        let finding = checked.verdict.finding()?.clone();
        let engine = self.engine.clone().unwrap_or_else(|| inputs::engine(file).into());
        let origin = Origin::Engine { engine, file: Some(file.into()) };
        let program = sequence.parts[checked.last].program.clone();
        Some((Catch { origin, program, finding }, sequence.parts[..checked.last].to_vec()))
    }

    /// Shrinks and records a catch within the time limit of shrinking. Records the program as it was found if that time
    /// is not enough, if shrinking panics, or if the check itself did not end in time.
    fn record(&self, caught: Caught) -> io::Result<Shown> {
        let Caught { catch, before, file, late, first, others } = caught;
        let shown = |recorded| Shown { recorded, first, others };
        let recorder = Recorder { out: &self.out };
        if late {
            return recorder.finish(catch, file, Made::AsFound(NotShrunk::Hangs)).map(shown);
        }
        let limit = self.limit.saturating_mul(SHRINK_LIMITS);
        let (roster, mut copy) = (Roster::from(self.subject), catch.clone());
        // The thread writes nothing, because it may go on after the catch was recorded as it was found.
        let pursue = move || {
            let made = pursuit::pursue(&roster, &mut copy, &mut || Ok(vec![before.clone()]));
            (copy, made)
        };
        let (catch, made) = match within(limit, pursue)? {
            Ended::Done(pursued) => pursued,
            Ended::Late => (catch, Made::AsFound(NotShrunk::Late(limit))),
            Ended::Panicked(message) => (catch, Made::AsFound(NotShrunk::Panicked(message))),
        };
        recorder.finish(catch, file, made).map(shown)
    }
}

/// What all worker threads of a triage share.
struct Worker<'a> {
    triage: &'a Triage,
    files: &'a [(PathBuf, Sequence)],
    pool: &'a Pool<'a>,
    /// Index of the next file that no worker has taken.
    next: AtomicUsize,
    /// Held for reading during each check, and for writing during a check that must be the only one: of some subjects
    /// only one can exist at a time.
    alone: RwLock<()>,
}

impl Worker<'_> {
    /// The work of one thread: checks files until none is left or the triage is over, and sends each result.
    fn work(&self, outbox: &Outbox<Examined>) {
        while !self.pool.over() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((_, sequence)) = self.files.get(index) else { return };
            let result = self.check(sequence);
            if !outbox.send(Examined { index, result }) {
                return;
            }
        }
    }

    /// Checks the programs of a file on a new subject. If a subject cannot be made beside those of other workers, waits
    /// until it can be the only one. The error says why the programs were not checked.
    fn check(&self, sequence: &Sequence) -> Result<Checked, String> {
        let Triage { subject, limit, .. } = *self.triage;
        let beside = self.alone.read().unwrap_or_else(PoisonError::into_inner);
        let checked = if let Ok(checker) = subject.try_checker() {
            check_within(limit, checker, sequence)
        } else {
            drop(beside);
            let _only = self.alone.write().unwrap_or_else(PoisonError::into_inner);
            let checker = subject.try_checker().map_err(|unusable| unusable.to_string())?;
            check_within(limit, checker, sequence)
        };
        let checked = checked.map_err(|error| format!("no thread: {error}"))?;
        match &checked.verdict {
            Verdict::Invalid(invalid) => Err(invalid.to_string()),
            _ => Ok(checked),
        }
    }
}

/// A finding that is to be recorded.
struct Caught {
    catch: Catch,
    /// The programs that the same subject ran before.
    before: Vec<Part>,
    /// Path of the program as it was found.
    file: PathBuf,
    /// Whether the check did not end in time.
    late: bool,
    /// Path of the first file that shows the finding.
    first: PathBuf,
    /// Number of further files that show a finding of the same identity.
    others: u64,
}

/// Brings the results of the workers into the order of the files.
struct Merger<'a> {
    triage: &'a Triage,
    files: &'a [(PathBuf, Sequence)],
    order: InOrder<Examined>,
    /// For each identity the index of its finding in `caught`.
    known: BTreeMap<Identity, usize>,
    caught: Vec<Caught>,
    done: Vec<(usize, Triaged)>,
    progress: &'a mut dyn FnMut(Progress),
}

impl Merge<Examined, io::Error> for Merger<'_> {
    fn merge(&mut self, examined: Examined) -> io::Result<()> {
        self.order.put(examined.index as u64, examined);
        while let Some(examined) = self.order.next_in_order() {
            self.add(examined)?;
        }
        Ok(())
    }

    fn show(&mut self) {
        (self.progress)(Progress { files: self.done.len(), findings: self.caught.len() });
    }
}

impl Merger<'_> {
    /// Adds the result of the next file. Fails if a program cannot be written.
    fn add(&mut self, examined: Examined) -> io::Result<()> {
        let Examined { index, result } = examined;
        let checked = match result {
            Ok(checked) => checked,
            Err(why) => {
                self.done.push((index, Triaged::NotChecked(why)));
                return Ok(());
            }
        };
        let (path, sequence) = &self.files[index];
        let triaged = match self.triage.catch(path, sequence, &checked) {
            Some((catch, before)) => match self.known.entry(catch.finding.identity()) {
                Entry::Occupied(known) => {
                    self.caught[*known.get()].others += 1;
                    Triaged::Again(*known.get())
                }
                Entry::Vacant(new) => {
                    let number = *new.insert(self.caught.len());
                    let file = Recorder { out: &self.triage.out }.keep(&catch)?;
                    let (late, first) = (checked.late, path.clone());
                    self.caught.push(Caught { catch, before, file, late, first, others: 0 });
                    Triaged::First(number)
                }
            },
            None => match checked.verdict {
                Verdict::NotCompared(not) => Triaged::NotCompared(not, checked.tally),
                _ => Triaged::Agreed(checked.tally),
            },
        };
        self.done.push((index, triaged));
        Ok(())
    }
}

/// The result of [`check_within`].
#[derive(Clone, Debug)]
pub struct Checked {
    /// The finding, if a program shows one. Else the first verdict that a part was not compared, or else agreed.
    pub verdict: Verdict,
    /// The counts of all programs that ran to their end, added up.
    pub tally: Tally,
    /// Index, from 0, of the last program that ran. If there is a finding, this program shows it.
    pub last: usize,
    /// Whether the check of the last program did not end in time. The finding is then `SUBJECT.HANG` and names the
    /// place that was running.
    pub late: bool,
}

/// Checks the programs of a sequence with `checker`, one after the other, up to the first finding. Each check runs on a
/// thread of its own. If it takes longer than `limit`, the thread is left behind and the check is
/// [late](Checked::late). If a check panics, the verdict is the finding `HARNESS.FAULT`.
///
/// # Errors
/// Fails if no thread can be made.
pub fn check_within(limit: Duration, mut checker: Checker, sequence: &Sequence) -> io::Result<Checked> {
    let mut checked = Checked { verdict: Verdict::Agreed, tally: Tally::default(), last: 0, late: false };
    let mut compared = false;
    for (last, part) in sequence.parts.iter().enumerate() {
        let PartChecked { verdict, tally, late, checker: back } = check_part(limit, checker, part)?;
        checked.tally.add(&tally);
        (checked.last, checked.late) = (last, late);
        compared |= verdict.compared();
        match (verdict, back) {
            (Verdict::Agreed, Some(back)) => checker = back,
            (Verdict::NotCompared(not), Some(back)) => {
                checker = back;
                if checked.verdict == Verdict::Agreed {
                    checked.verdict = Verdict::NotCompared(not);
                }
            }
            (verdict, _) => return Ok(Checked { verdict, ..checked }),
        }
    }
    if let Verdict::NotCompared(not) = &mut checked.verdict {
        not.compared = compared;
    }
    Ok(checked)
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

/// The result of the check of one program on a thread of its own.
struct PartChecked {
    verdict: Verdict,
    /// The counts of the program; 0 if its check was late or panicked.
    tally: Tally,
    /// Whether the check did not end in time.
    late: bool,
    /// The checker, for the next program. `None` if the check was late or panicked.
    checker: Option<Checker>,
}

/// Checks one program with `checker` on a thread of its own. If the check takes longer than `limit`, the thread is left
/// behind. Fails if no thread can be made.
fn check_part(limit: Duration, mut checker: Checker, part: &Part) -> io::Result<PartChecked> {
    let program = &part.program;
    let marks = Arc::new(Marks::default());
    let (mut theirs, copy, name) = (Arc::clone(&marks), part.clone(), checker.subject().to_string());
    let ended = within(limit, move || {
        let mut tally = Tally::default();
        let verdict = match copy.program.validate() {
            Ok(()) => checker.check_into(&copy.program, Ending::of(copy.left_open), &mut tally, &mut theirs),
            Err(invalid) => Verdict::Invalid(invalid),
        };
        (checker, verdict, tally)
    })?;
    let (finding, late) = match ended {
        Ended::Done((checker, verdict, tally)) => {
            return Ok(PartChecked { verdict, tally, late: false, checker: Some(checker) });
        }
        Ended::Panicked(message) => {
            let blank = Finding::new(&name, program, Place::Start, Rule::HarnessFault, Thing::Harness);
            let (expected, found) = ("no contradiction".into(), format!("panic: {message}"));
            (Finding { expected, found, ..blank }, false)
        }
        Ended::Late => {
            let place = match marks.place.load(Ordering::Relaxed) {
                0 => Place::Start,
                number if number <= program.steps.len() => Place::Step(number - 1),
                _ => Place::End,
            };
            let finding = Finding {
                agreed: marks.agreed.load(Ordering::Relaxed).checked_sub(1),
                expected: format!("an end within {}", humantime::format_duration(limit)),
                found: "none".into(),
                ..Finding::new(&name, program, place, Rule::SubjectHang, Thing::Hang(Code::Check))
            };
            (finding, true)
        }
    };
    Ok(PartChecked { verdict: Verdict::Finding(Box::new(finding)), tally: Tally::default(), late, checker: None })
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
