//! The campaign of `realmode fuzz`: draws random programs and checks them on all cores, without a fuzzing engine.
//!
//! Program number i of a seed is the same on every thread and machine. Workers take *stretches* of programs and check
//! them in batches. The merging thread adds the batches up in the order of their numbers, and findings count in that
//! order too. So the same seed and number of programs give the same summary with any number of jobs.
//!
//! **What a subject remembers.** At the start of a stretch the subject is fresh. From there on it runs one program
//! after the other, as a kernel does. By its number a program can differ in two ways: one in [`FRESH_EVERY`] runs on a
//! fresh subject of its own, and one in [`LEAVE_OPEN_EVERY`] leaves its windows open, so that the subject's next start
//! finds them. A finding that a fresh subject does not show needs what earlier programs of the stretch left behind, and
//! is recorded as a sequence.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use programs::generate::{GeneratorConfig, generate};
use programs::sequence::Part;

use super::pool::{InOrder, Merge, Outbox, Pool};
use super::pursuit;
use crate::check::{Ending, Identity, Tally};
use crate::findings::record::{Catch, Made, NotShrunk, Origin, Recorded, Recorder};
use crate::voters::{Incident, Look, Panel, Roll, Roster, Task, Unavailable};

/// Number of programs in a batch, which a worker sends to the merging thread as one result.
pub const BATCH: u64 = 64;
/// Number of batches in a stretch.
const BATCHES: u64 = 16;
/// Number of programs in a stretch. One worker checks a stretch on one subject.
pub const STRETCH: u64 = BATCH * BATCHES;
/// One program in this many runs on a fresh subject that runs only this program.
pub const FRESH_EVERY: u64 = 64;
/// One program in this many leaves its windows open at its end.
pub const LEAVE_OPEN_EVERY: u64 = 11;

/// When a campaign ends: after a number of programs or after a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// The campaign ends after this many programs.
    Programs(u64),
    /// The campaign ends after this time.
    Time(Duration),
}

/// The settings of a campaign.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The settings of the generator, which say what programs it draws.
    pub config: GeneratorConfig,
    /// The seed from which all programs are drawn.
    pub seed: u64,
    /// Number of threads; 0 means 1.
    pub jobs: usize,
    /// When the campaign ends, if nothing else ends it earlier.
    pub limit: Limit,
    /// The voters that are compared with the reference.
    pub roster: Roster,
    /// Largest number of different findings. The campaign ends after the batch in which it reaches this number.
    pub max_findings: usize,
    /// Folder into which findings are recorded.
    pub out: PathBuf,
}

/// A finding of a campaign, with its files and times.
#[derive(Clone, Debug)]
pub struct CampaignFinding {
    /// The recorded finding and its files.
    pub recorded: Recorded,
    /// Time from the start of the campaign to the moment when the finding was seen.
    pub after: Duration,
    /// Time that it took to shrink and record the finding.
    pub recording: Duration,
}

/// The result of a campaign. Batches after the one in which the campaign reached its largest number of findings are not
/// counted.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Counts of the programs that were checked, as the first voter counts them.
    pub tally: Tally,
    /// The different findings, in the order of their programs' numbers.
    pub findings: Vec<CampaignFinding>,
    /// Number of programs that showed a finding, whether or not its identity was new.
    pub failing: u64,
    /// Counts for each voter, and for each entry of the ledger.
    pub roll: Roll,
    /// The incidents, in which a voter was lost and came back: the number of the program that ran, and what happened.
    pub incidents: Vec<(u64, String)>,
    /// The first voter that was lost for good, which ended the campaign; `None` if no voter was lost so.
    pub gone: Option<Unavailable>,
    /// How long the campaign took, with the time to record findings.
    pub elapsed: Duration,
}

/// How far a running campaign has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Number of programs that were checked.
    pub programs: u64,
    /// Number of hypercalls that the reference and the first voter answered alike.
    pub hypercalls: u64,
    /// Of `hypercalls`, the number of those answered H_SUCCESS.
    pub accepted: u64,
    /// Number of rules of [`Rule::outcomes`](contract::Rule::outcomes), reasons to defer included, that took part in at
    /// least one step.
    pub reached: usize,
    /// Number of different findings so far.
    pub findings: usize,
    /// Number of incidents so far.
    pub incidents: usize,
}

/// A finding as a worker thread caught it.
struct Caught {
    catch: Catch,
    /// Number of the program that shows the finding, within the seed, from 0.
    index: u64,
    /// Time from the start of the campaign to the moment when the finding was seen.
    after: Duration,
    /// Path of the file with the program, if this catch was the first of its identity on any thread; else `None`.
    kept: Option<PathBuf>,
}

/// The result of one batch of programs.
struct Batch {
    /// Number of the batch in the campaign, from 0.
    number: u64,
    tally: Tally,
    roll: Roll,
    /// The findings of the batch, in the order of their programs.
    caught: Vec<Caught>,
    /// The incidents of the batch, each with the number of the program that ran.
    incidents: Vec<(u64, String)>,
    /// Why the file of a finding or of an incident could not be written, for the first such file; the rest of the batch
    /// was then not checked. `None` if all files were written.
    failed: Option<io::Error>,
    /// The voter that was lost for good; `None` if no voter was lost so.
    gone: Option<Unavailable>,
}

impl Batch {
    fn new(number: u64) -> Self {
        Self {
            number,
            tally: Tally::default(),
            roll: Roll::default(),
            caught: Vec::new(),
            incidents: Vec::new(),
            failed: None,
            gone: None,
        }
    }
}

impl Campaign {
    /// Runs the campaign: checks programs, and shrinks and records the findings. Ends early when `stop` becomes `true`,
    /// at the largest number of findings, and when a voter is lost for good; in the last two cases it sets `stop`
    /// itself. Calls `progress` a few times a second, and at the end.
    ///
    /// # Errors
    /// Fails if a file cannot be written to [`out`](Self::out).
    pub fn run(&self, stop: &AtomicBool, progress: &mut dyn FnMut(Progress)) -> io::Result<Summary> {
        let started = Instant::now();
        let deadline = match self.limit {
            Limit::Time(time) => started.checked_add(time),
            Limit::Programs(_) => None,
        };
        let pool = Pool { jobs: self.jobs, stop, deadline };
        let pursuing = Mutex::default();
        let worker = Worker {
            campaign: self,
            pool: &pool,
            next: AtomicU64::new(0),
            started,
            kept: Mutex::default(),
            pursuing: &pursuing,
        };
        let mut merger = Merger {
            campaign: self,
            pool: &pool,
            progress,
            order: InOrder::default(),
            known: BTreeMap::new(),
            later: Vec::new(),
            pursuing: &pursuing,
            summary: Summary {
                tally: Tally::default(),
                findings: Vec::new(),
                failing: 0,
                roll: Roll::default(),
                incidents: Vec::new(),
                gone: None,
                elapsed: Duration::ZERO,
            },
        };
        pool.run(&|outbox| worker.work(outbox), &mut merger)?;
        // A campaign that was stopped may have gaps between its batches. All batches that were checked count.
        for batch in std::mem::take(&mut merger.order).rest() {
            merger.add(batch)?;
        }
        merger.record_later()?;
        merger.show();
        Ok(Summary { elapsed: started.elapsed(), ..merger.summary })
    }

    /// Makes the program with this number, and decides how the voters run it: on a fresh subject or not, and with
    /// windows left open or closed.
    fn task(&self, index: u64) -> Task {
        let program = generate(&self.config, self.seed, index);
        let fresh = index % FRESH_EVERY == FRESH_EVERY - 1;
        let ending = Ending::of(index.is_multiple_of(LEAVE_OPEN_EVERY));
        Task { program, fresh, ending }
    }

    /// Returns the programs of the stretch before the program with this number, in order: first without those that run
    /// on a fresh subject of their own, then with them, if there are any. If no second subject can be made, they run on
    /// the subject of the others.
    fn histories(&self, index: u64) -> Vec<Vec<Part>> {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for task in (index - index % STRETCH..index).map(|index| self.task(index)) {
            let part = Part { program: task.program, left_open: task.ending == Ending::LeaveOpen };
            if !task.fresh {
                without.push(part.clone());
            }
            with.push(part);
        }
        if without.len() == with.len() { vec![with] } else { vec![without, with] }
    }
}

/// What all worker threads of a campaign share.
struct Worker<'a> {
    campaign: &'a Campaign,
    pool: &'a Pool<'a>,
    /// Number of the next stretch that no worker has taken, from 0.
    next: AtomicU64,
    started: Instant,
    /// The identities of the findings whose program is on disk already.
    kept: Mutex<BTreeSet<Identity>>,
    /// Locked while a finding is pursued.
    pursuing: &'a Mutex<()>,
}

impl Worker<'_> {
    /// The work of one thread: checks stretches of programs until the campaign is over, and sends each batch.
    fn work(&self, outbox: &Outbox<Batch>) {
        let campaign = self.campaign;
        let mut panel = match campaign.roster.panel(Look::Brief) {
            Ok(panel) => panel,
            Err(gone) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed).saturating_mul(BATCHES);
                // Sending fails only if the campaign is over, and then the loss does not matter.
                outbox.send(Batch { gone: Some(gone), ..Batch::new(number) });
                return;
            }
        };
        while !self.pool.over() {
            let stretch = self.next.fetch_add(1, Ordering::Relaxed);
            let mut renewed = self.renew(&mut panel);
            for number in stretch.saturating_mul(BATCHES)..(stretch + 1).saturating_mul(BATCHES) {
                let mut batch = Batch::new(number);
                match std::mem::replace(&mut renewed, Ok(())) {
                    Ok(()) if !self.batch(&mut panel, &mut batch) => return,
                    Ok(()) => {}
                    Err(gone) => batch.gone = Some(gone),
                }
                let gone = batch.gone.is_some();
                if !outbox.send(batch) || gone || self.pool.over() {
                    return;
                }
            }
        }
    }

    /// Makes the voters of the panel forget every program. If that fails while a finding is pursued, tries once more
    /// afterwards: of some subjects only one can exist at a time, and the pursuit may have had it.
    fn renew(&self, panel: &mut Panel) -> Result<(), Unavailable> {
        if panel.renew().is_ok() {
            return Ok(());
        }
        let _none = self.pursuing.lock().unwrap_or_else(PoisonError::into_inner);
        panel.renew().map(drop)
    }

    /// Checks the programs of a batch with the panel and stores the results in `batch`. Ends early after a lost voter
    /// or a file that could not be written, and when the campaign's time is over. Returns `false`, and checks nothing,
    /// if the batch lies past the last program of the campaign.
    fn batch(&self, panel: &mut Panel, batch: &mut Batch) -> bool {
        let first = batch.number.saturating_mul(BATCH);
        let end = match self.campaign.limit {
            Limit::Programs(programs) => programs.min(first.saturating_add(BATCH)),
            Limit::Time(_) => first.saturating_add(BATCH),
        };
        if first >= end {
            return false;
        }
        let group = panel.group().clamp(1, BATCH as usize) as u64;
        let mut next = first;
        while next < end && batch.gone.is_none() && batch.failed.is_none() {
            let tasks: Vec<Task> = (next..end.min(next + group)).map(|index| self.campaign.task(index)).collect();
            let count = tasks.len() as u64;
            self.check(panel, tasks, next, batch);
            next += count;
            if matches!(self.campaign.limit, Limit::Time(_)) && next.is_multiple_of(8) && self.pool.over() {
                break;
            }
        }
        batch.roll = panel.take_roll();
        true
    }

    /// Lets the panel check `tasks`, the first of which is the program with number `first`. Adds counts, findings,
    /// incidents, a lost voter, and an error of writing a file to `batch`. Writes the program of a finding to disk at
    /// once if no worker has written one of the same identity. Writes the program of each incident too.
    fn check(&self, panel: &mut Panel, tasks: Vec<Task>, first: u64, batch: &mut Batch) {
        let Self { campaign, started, .. } = self;
        let recorder = Recorder { out: &campaign.out };
        let origin = |index: usize| Origin::Campaign { seed: campaign.seed, index: first + index as u64 };
        let (mut found, mut lost) = (Vec::new(), Vec::new());
        let result = panel.vote(
            &tasks,
            &mut batch.tally,
            &mut |index, finding| found.push((index, finding, started.elapsed())),
            &mut |incident| lost.push(incident),
        );
        for (at, finding, after) in found {
            let catch = Catch { origin: origin(at), program: tasks[at].program.clone(), finding: *finding };
            let new = self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(catch.finding.identity());
            let kept = if new { recorder.keep(&catch).map(Some) } else { Ok(None) };
            match kept {
                Ok(kept) => batch.caught.push(Caught { catch, index: first + at as u64, after, kept }),
                Err(error) => drop(batch.failed.get_or_insert(error)),
            }
        }
        for Incident { program, what } in lost {
            let at = program.min(tasks.len().saturating_sub(1));
            // Keeps the program whether or not it turns out to be the cause.
            if let Some(task) = tasks.get(at)
                && let Err(error) = recorder.keep_incident(&origin(at), &task.program, &what)
            {
                batch.failed.get_or_insert(error);
            }
            batch.incidents.push((first + at as u64, what));
        }
        batch.gone = result.err();
    }
}

/// Adds batches up in the order of their numbers, and records new findings.
struct Merger<'a> {
    campaign: &'a Campaign,
    pool: &'a Pool<'a>,
    progress: &'a mut dyn FnMut(Progress),
    order: InOrder<Batch>,
    /// For each identity the number of the program that showed it first.
    known: BTreeMap<Identity, u64>,
    /// The findings that could not be shrunk while the workers have their voters, with the paths of their programs. Of
    /// some subjects only one can exist at a time.
    later: Vec<(Caught, PathBuf)>,
    /// Locked while a finding is pursued.
    pursuing: &'a Mutex<()>,
    summary: Summary,
}

impl Merge<Batch, io::Error> for Merger<'_> {
    fn merge(&mut self, batch: Batch) -> io::Result<()> {
        self.order.put(batch.number, batch);
        while let Some(batch) = self.order.next_in_order() {
            self.add(batch)?;
        }
        Ok(())
    }

    fn show(&mut self) {
        let findings = self.findings();
        let Summary { tally, incidents, .. } = &self.summary;
        (self.progress)(Progress {
            programs: tally.programs,
            hypercalls: tally.hypercalls,
            accepted: tally.accepted,
            reached: tally.reached(),
            findings,
            incidents: incidents.len(),
        });
    }
}

impl Merger<'_> {
    /// Returns the number of different findings so far, those that are recorded later included.
    fn findings(&self) -> usize {
        self.summary.findings.len() + self.later.len()
    }

    /// Returns whether there are as many findings as the campaign may have.
    fn full(&self) -> bool {
        self.findings() >= self.campaign.max_findings
    }

    /// Adds the next batch to the summary, and records its findings of new identities. Does nothing if the campaign has
    /// enough findings. Ends the campaign's work if the batch lost a voter or brings enough findings. The error names a
    /// file that could not be written.
    fn add(&mut self, batch: Batch) -> io::Result<()> {
        if self.full() {
            return Ok(());
        }
        if let Some(error) = batch.failed {
            return Err(error);
        }
        self.summary.tally.add(&batch.tally);
        self.summary.roll.add(&batch.roll);
        self.summary.incidents.extend(batch.incidents);
        if let Some(gone) = batch.gone {
            self.summary.gone.get_or_insert(gone);
            self.pool.end();
        }
        let new: BTreeSet<Identity> = batch.caught.iter().map(|caught| caught.catch.finding.identity()).collect();
        let new = new.into_iter().filter(|identity| !self.known.contains_key(identity)).count();
        // Ends the workers before the last findings are shrunk, because their further work would not count.
        if self.findings() + new >= self.campaign.max_findings {
            self.pool.end();
        }
        for caught in batch.caught {
            self.summary.failing += 1;
            let identity = caught.catch.finding.identity();
            if !self.full() && !self.known.contains_key(&identity) {
                self.known.insert(identity, caught.index);
                self.record(caught)?;
            }
        }
        Ok(())
    }

    /// Shrinks and records a finding, and adds it to the summary. If the voters cannot be made beside those of the
    /// workers, or are lost, keeps the finding for [`record_later`](Self::record_later). The error names a file that
    /// could not be written.
    fn record(&mut self, mut caught: Caught) -> io::Result<()> {
        let started = Instant::now();
        // `kept` is `None` if another thread kept a later program with the same identity first.
        let file = match caught.kept.take() {
            Some(file) => file,
            None => Recorder { out: &self.campaign.out }.keep(&caught.catch)?,
        };
        match self.pursue(&mut caught) {
            Made::AsFound(NotShrunk::NotMade(_) | NotShrunk::Lost(_)) => self.later.push((caught, file)),
            made => self.finish(caught, file, made, started)?,
        }
        Ok(())
    }

    /// Shrinks and records the findings that could not be shrunk before. Called when the workers have ended. The error
    /// names a file that could not be written.
    fn record_later(&mut self) -> io::Result<()> {
        for (mut caught, file) in std::mem::take(&mut self.later) {
            let started = Instant::now();
            let made = self.pursue(&mut caught);
            self.finish(caught, file, made, started)?;
        }
        self.summary.findings.sort_by_key(|finding| finding.recorded.origin.index());
        Ok(())
    }

    /// Shrinks the program of a finding, or makes a sequence.
    fn pursue(&self, caught: &mut Caught) -> Made {
        let _pursuing = self.pursuing.lock().unwrap_or_else(PoisonError::into_inner);
        let index = caught.index;
        pursuit::pursue(&self.campaign.roster, &mut caught.catch, &mut || Ok(self.campaign.histories(index)))
    }

    /// Writes the files of a finding, and adds the finding to the summary. The error names a file that could not be
    /// written.
    fn finish(&mut self, caught: Caught, file: PathBuf, made: Made, started: Instant) -> io::Result<()> {
        let recorded = Recorder { out: &self.campaign.out }.finish(caught.catch, file, made)?;
        let (after, recording) = (caught.after, started.elapsed());
        self.summary.findings.push(CampaignFinding { recorded, after, recording });
        Ok(())
    }
}

/// Returns the folder into which findings are recorded if the user names none.
#[must_use]
pub fn default_out() -> &'static Path {
    Path::new("findings")
}
