//! The embedded campaign: draws programs and checks them on all cores, on plain stable Rust.
//!
//! Program number i of a seed is the same on every thread and machine. Workers take *stretches* of programs and check
//! them in batches; counts are merged in the order of the batches, and it is in that order that findings count. So the
//! same seed and number of programs give the same summary with any number of jobs.
//!
//! **What a subject remembers.** A stretch begins with a subject that has seen no program. From there on the subject
//! runs one program after the other, as a kernel does. Two kinds of programs differ, by their numbers: one in
//! [`FRESH_EVERY`] runs on a fresh subject of its own, and one in [`LEAVE_OPEN_EVERY`] leaves its windows open, so that
//! the next start finds them. A finding that a fresh subject does not show needs what its stretch left before it, and
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
use crate::findings::record::{Catch, Origin, Recorded, Recorder};
use crate::voters::{Incident, Look, Panel, Roll, Roster, Task, Unavailable};

/// Programs of a batch.
pub const BATCH: u64 = 64;
/// Batches of a stretch, which one worker checks on one subject.
const BATCHES: u64 = 16;
/// One program in so many runs on a fresh subject of its own.
pub const FRESH_EVERY: u64 = 64;
/// One program in so many leaves its windows open.
pub const LEAVE_OPEN_EVERY: u64 = 11;

/// When a campaign ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// After so many programs.
    Programs(u64),
    /// After so long.
    Time(Duration),
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Which programs.
    pub config: GeneratorConfig,
    /// The seed of them all.
    pub seed: u64,
    /// Threads, at least 1.
    pub jobs: usize,
    /// When to end.
    pub limit: Limit,
    /// Who votes beside the reference.
    pub roster: Roster,
    /// Stop after the batch in which so many different findings are reached.
    pub max_findings: usize,
    /// Where findings go.
    pub out: PathBuf,
}

/// A finding of a campaign.
#[derive(Clone, Debug)]
pub struct CampaignFinding {
    /// The finding and its files.
    pub recorded: Recorded,
    /// How long after the start its program was checked.
    pub after: Duration,
    /// How long it took to shrink and write down.
    pub recording: Duration,
}

/// How a campaign went.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The counts.
    pub tally: Tally,
    /// Different findings, in the order of their programs.
    pub findings: Vec<CampaignFinding>,
    /// Programs that showed a finding, each counted.
    pub failing: u64,
    /// How each voter's votes went.
    pub roll: Roll,
    /// Voters that were lost and came back: the program that was running, and what happened.
    pub incidents: Vec<(u64, String)>,
    /// The voter that was lost for good, which ended the campaign.
    pub gone: Option<Unavailable>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Where a running campaign stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Programs done.
    pub programs: u64,
    /// Hypercalls done.
    pub hypercalls: u64,
    /// Hypercalls answered H_SUCCESS.
    pub accepted: u64,
    /// Outcome rules decided so far.
    pub reached: usize,
    /// Different findings so far.
    pub findings: usize,
    /// Times that a voter was lost and came back.
    pub incidents: usize,
}

/// A finding as a worker caught it.
struct Caught {
    catch: Catch,
    index: u64,
    after: Duration,
    /// The file of its program, where it was the first of its identity to be caught.
    kept: Option<PathBuf>,
}

struct Batch {
    number: u64,
    tally: Tally,
    roll: Roll,
    /// In the order of their programs.
    caught: Vec<Caught>,
    /// Incidents by program index.
    incidents: Vec<(u64, String)>,
    /// A finding that could not be written.
    failed: Option<io::Error>,
    /// A voter is gone.
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
    /// Runs it. `stop` ends it early; `progress` is called a few times a second.
    ///
    /// # Errors
    /// A finding could not be written to [`out`](Self::out).
    pub fn run(&self, stop: &AtomicBool, progress: &mut dyn FnMut(Progress)) -> io::Result<Summary> {
        let started = Instant::now();
        let deadline = match self.limit {
            Limit::Time(time) => started.checked_add(time),
            Limit::Programs(_) => None,
        };
        let pool = Pool { jobs: self.jobs, stop, deadline };
        let worker = Worker { campaign: self, pool: &pool, next: AtomicU64::new(0), started, kept: Mutex::default() };
        let mut merger = Merger {
            campaign: self,
            pool: &pool,
            progress,
            order: InOrder::default(),
            known: BTreeMap::new(),
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
        // A campaign that was stopped may have gaps; what was counted counts.
        for batch in std::mem::take(&mut merger.order).rest() {
            merger.add(batch)?;
        }
        merger.show();
        Ok(Summary { elapsed: started.elapsed(), ..merger.summary })
    }

    /// Program number `index` as it is put to the voters.
    fn task(&self, index: u64) -> Task {
        let program = generate(&self.config, self.seed, index);
        let fresh = index % FRESH_EVERY == FRESH_EVERY - 1;
        let ending = if index.is_multiple_of(LEAVE_OPEN_EVERY) { Ending::LeaveOpen } else { Ending::Close };
        Task { program, fresh, ending }
    }

    /// The programs that ran on the same subject before program `index`, in order.
    fn before(&self, index: u64) -> Vec<Part> {
        let stretch = BATCH * BATCHES;
        let tasks = (index - index % stretch..index).map(|index| self.task(index)).filter(|task| !task.fresh);
        tasks.map(|task| Part { program: task.program, left_open: task.ending == Ending::LeaveOpen }).collect()
    }
}

/// What all workers share.
struct Worker<'a> {
    campaign: &'a Campaign,
    pool: &'a Pool<'a>,
    /// The next stretch.
    next: AtomicU64,
    started: Instant,
    /// Findings whose program is on disk.
    kept: Mutex<BTreeSet<Identity>>,
}

impl Worker<'_> {
    fn work(&self, outbox: &Outbox<Batch>) {
        let campaign = self.campaign;
        let mut panel = match campaign.roster.panel(Look::Brief) {
            Ok(panel) => panel,
            Err(gone) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed).saturating_mul(BATCHES);
                // Nobody listens any more only where the campaign is over.
                outbox.send(Batch { gone: Some(gone), ..Batch::new(number) });
                return;
            }
        };
        while !self.pool.over() {
            let stretch = self.next.fetch_add(1, Ordering::Relaxed);
            let mut renewed = panel.renew().map(drop);
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

    /// Checks the programs of a batch. Answers false where there are none.
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

    /// Puts tasks, the first of them number `first`, to the panel. A finding that is caught for the first time is on
    /// disk at once.
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
            // The program is kept whether it turns out to be the cause or not.
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

/// Adds batches up in their order.
struct Merger<'a> {
    campaign: &'a Campaign,
    pool: &'a Pool<'a>,
    progress: &'a mut dyn FnMut(Progress),
    order: InOrder<Batch>,
    /// The first program of each kind of finding.
    known: BTreeMap<Identity, u64>,
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
        let Summary { tally, findings, incidents, .. } = &self.summary;
        (self.progress)(Progress {
            programs: tally.programs,
            hypercalls: tally.hypercalls,
            accepted: tally.accepted,
            reached: tally.reached(),
            findings: findings.len(),
            incidents: incidents.len(),
        });
    }
}

impl Merger<'_> {
    fn full(&self) -> bool {
        self.summary.findings.len() >= self.campaign.max_findings
    }

    /// Adds the next batch, unless there are findings enough.
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
        // Nobody need go on while the last findings are shrunk.
        if self.summary.findings.len() + new >= self.campaign.max_findings {
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

    fn record(&mut self, caught: Caught) -> io::Result<()> {
        let Caught { catch, index, after, kept } = caught;
        let recorder = Recorder { out: &self.campaign.out };
        let started = Instant::now();
        // Another thread may have kept a later program of the same finding.
        let file = kept.map_or_else(|| recorder.keep(&catch), Ok)?;
        let mut before = || self.campaign.before(index);
        let recorded = pursuit::record(&self.campaign.roster, recorder, catch, file, &mut before)?;
        self.summary.findings.push(CampaignFinding { recorded, after, recording: started.elapsed() });
        Ok(())
    }
}

/// The folder where findings go unless another is named.
#[must_use]
pub fn default_out() -> &'static Path {
    Path::new("findings")
}
