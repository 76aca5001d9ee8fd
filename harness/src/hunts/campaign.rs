//! The embedded campaign: draws programs and checks them on all cores, on plain stable Rust.
//!
//! Program number i of a seed is the same whoever draws it. Workers take batches of programs; their counts are merged in the order of
//! the batches, and it is in that order that findings count. So the same seed and number of programs give the
//! same summary with any number of jobs.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use contract::Program;

use crate::check::verdict::{Finding, Identity, Tally};
use crate::findings::record::{Origin, Recorded, Recorder, record};
use crate::shrink::Judge as _;
use crate::voters::qemu::Look;
use crate::voters::{Incident, Panel, Roll, Unavailable, Voters};
use programs::generate::{GeneratorConfig, generate};

/// Programs of a batch.
pub const BATCH: u64 = 64;

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
    pub voters: Voters,
    /// Stop after the batch in which so many different findings are reached.
    pub max_findings: usize,
    /// Where findings go.
    pub out: PathBuf,
}

/// A finding of a campaign.
#[derive(Clone, Debug)]
pub struct Found {
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
    pub findings: Vec<Found>,
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

struct Batch {
    number: u64,
    tally: Tally,
    roll: Roll,
    /// Findings by program index, each with the time since the start.
    findings: Vec<(u64, Finding, Duration)>,
    /// Incidents by program index.
    incidents: Vec<(u64, String)>,
    /// A finding that could not be written.
    failed: Option<io::Error>,
    /// A voter is gone.
    gone: Option<Unavailable>,
}

struct Shared<'a> {
    campaign: &'a Campaign,
    stop: &'a AtomicBool,
    next: AtomicU64,
    started: Instant,
    deadline: Option<Instant>,
    /// Findings whose drawn program is on disk.
    written: Mutex<BTreeSet<Identity>>,
}

impl Campaign {
    /// Runs it. `stop` ends it early; `progress` is called a few times a second.
    ///
    /// # Errors
    /// A finding could not be written to [`out`](Self::out).
    pub fn run(&self, stop: &AtomicBool, progress: &mut dyn FnMut(Progress)) -> io::Result<Summary> {
        let started = Instant::now();
        let shared = Shared {
            campaign: self,
            stop,
            next: AtomicU64::new(0),
            started,
            deadline: match self.limit {
                Limit::Time(time) => started.checked_add(time),
                Limit::Programs(_) => None,
            },
            written: Mutex::new(BTreeSet::new()),
        };
        let mut merger = Merger {
            campaign: self,
            tally: Tally::default(),
            roll: Roll::default(),
            first: BTreeMap::new(),
            findings: Vec::new(),
            incidents: Vec::new(),
            gone: None,
            failing: 0,
        };
        let mut waiting: BTreeMap<u64, Batch> = BTreeMap::new();
        let mut next = 0;
        let result = std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(4 * self.jobs.max(1));
            for _ in 0..self.jobs.max(1) {
                let (shared, sender) = (&shared, sender.clone());
                scope.spawn(move || work(shared, &sender));
            }
            drop(sender);
            let mut shown = Instant::now();
            loop {
                match receiver.recv_timeout(Duration::from_millis(200)) {
                    Ok(batch) => {
                        waiting.insert(batch.number, batch);
                        while let Some(batch) = waiting.remove(&next) {
                            next += 1;
                            if merger.full() {
                                continue;
                            }
                            if let Err(error) = merger.merge(batch, stop) {
                                stop.store(true, Ordering::Relaxed);
                                // Workers must not wait for a full channel while they are waited for.
                                while receiver.recv().is_ok() {}
                                return Err(error);
                            }
                            if merger.full() || merger.gone.is_some() {
                                stop.store(true, Ordering::Relaxed);
                            }
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
                if shown.elapsed() >= Duration::from_millis(200) {
                    shown = Instant::now();
                    progress(merger.progress());
                }
            }
        });
        result?;
        // A campaign that was stopped may have gaps; what was counted counts.
        for (_, batch) in waiting {
            if !merger.full() {
                merger.merge(batch, stop)?;
            }
        }
        progress(merger.progress());
        Ok(Summary {
            tally: merger.tally,
            findings: merger.findings,
            failing: merger.failing,
            roll: merger.roll,
            incidents: merger.incidents,
            gone: merger.gone,
            elapsed: started.elapsed(),
        })
    }
}

fn work(shared: &Shared<'_>, sender: &SyncSender<Batch>) {
    let campaign = shared.campaign;
    let mut panel = match campaign.voters.panel() {
        Ok(panel) => panel,
        Err(gone) => {
            let number = shared.next.fetch_add(1, Ordering::Relaxed);
            // Nobody listens any more only where the campaign is over.
            drop(sender.send(Batch { gone: Some(gone), ..Batch::new(number) }));
            return;
        }
    };
    let group = panel.group().clamp(1, BATCH as usize) as u64;
    let mut programs = Vec::new();
    let over =
        || shared.stop.load(Ordering::Relaxed) || shared.deadline.is_some_and(|deadline| Instant::now() >= deadline);
    while !over() {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let first = number.saturating_mul(BATCH);
        let end = match campaign.limit {
            Limit::Programs(programs) => programs.min(first.saturating_add(BATCH)),
            Limit::Time(_) => first.saturating_add(BATCH),
        };
        if first >= end {
            return;
        }
        let mut batch = Batch::new(number);
        let mut next = first;
        while next < end && batch.gone.is_none() && batch.failed.is_none() {
            programs.clear();
            programs
                .extend((next..end.min(next + group)).map(|index| generate(&campaign.config, campaign.seed, index)));
            shared.check(&mut panel, &programs, next, &mut batch);
            next += programs.len() as u64;
            if next.is_multiple_of(8) && over() && matches!(campaign.limit, Limit::Time(_)) {
                break;
            }
        }
        batch.roll = panel.take_roll();
        let gone = batch.gone.is_some();
        if sender.send(batch).is_err() || gone {
            return;
        }
    }
}

impl Batch {
    fn new(number: u64) -> Self {
        Self {
            number,
            tally: Tally::default(),
            roll: Roll::default(),
            findings: Vec::new(),
            incidents: Vec::new(),
            failed: None,
            gone: None,
        }
    }
}

impl Shared<'_> {
    /// Puts programs, the first of them number `first`, to the panel. What is found for the first time is on disk at once.
    fn check(&self, panel: &mut Panel, programs: &[Program], first: u64, batch: &mut Batch) {
        let Batch { tally, findings, incidents, failed, .. } = batch;
        let origin = |index: usize| Origin::Campaign { seed: self.campaign.seed, index: first + index as u64 };
        let mut lost = Vec::new();
        let result = panel.vote(
            programs,
            tally,
            &mut |index, finding| {
                let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
                if written.insert(finding.identity) {
                    let recorder = Recorder { out: &self.campaign.out, origin: origin(index) };
                    if let Err(error) = recorder.write_found(&programs[index], &finding) {
                        failed.get_or_insert(error);
                    }
                }
                findings.push((first + index as u64, *finding, self.started.elapsed()));
            },
            &mut |incident| lost.push(incident),
        );
        for Incident { program, what } in lost {
            let index = program.min(programs.len().saturating_sub(1));
            // The program is kept whether it turns out to be the cause or not.
            if let Some(program) = programs.get(index) {
                let recorder = Recorder { out: &self.campaign.out, origin: origin(index) };
                if let Err(error) = recorder.write_incident(program, &what) {
                    failed.get_or_insert(error);
                }
            }
            incidents.push((first + index as u64, what));
        }
        batch.gone = result.err();
    }
}

/// Adds batches up in their order.
struct Merger<'a> {
    campaign: &'a Campaign,
    tally: Tally,
    roll: Roll,
    first: BTreeMap<Identity, u64>,
    findings: Vec<Found>,
    incidents: Vec<(u64, String)>,
    gone: Option<Unavailable>,
    failing: u64,
}

impl Merger<'_> {
    fn full(&self) -> bool {
        self.findings.len() >= self.campaign.max_findings
    }

    fn progress(&self) -> Progress {
        Progress {
            programs: self.tally.programs,
            hypercalls: self.tally.hypercalls,
            accepted: self.tally.accepted,
            reached: self.tally.reached(),
            findings: self.findings.len(),
            incidents: self.incidents.len(),
        }
    }

    /// Adds a batch. Where it makes the findings complete, `stop` is set before they are shrunk: nobody need go on meanwhile.
    fn merge(&mut self, batch: Batch, stop: &AtomicBool) -> io::Result<()> {
        if let Some(error) = batch.failed {
            return Err(error);
        }
        self.tally.add(&batch.tally);
        self.roll.add(&batch.roll);
        self.incidents.extend(batch.incidents);
        self.gone = self.gone.take().or(batch.gone);
        let new: BTreeSet<Identity> = batch.findings.iter().map(|(_, finding, _)| finding.identity).collect();
        let new = new.into_iter().filter(|identity| !self.first.contains_key(identity)).count();
        if self.findings.len() + new >= self.campaign.max_findings {
            stop.store(true, Ordering::Relaxed);
        }
        for (index, finding, after) in batch.findings {
            self.failing += 1;
            if self.full() {
                continue;
            }
            if let Entry::Vacant(first) = self.first.entry(finding.identity) {
                first.insert(index);
                let started = Instant::now();
                let recorded = self.record(index, &finding)?;
                self.findings.push(Found { recorded, after, recording: started.elapsed() });
            }
        }
        Ok(())
    }

    fn record(&self, index: u64, finding: &Finding) -> io::Result<Recorded> {
        let Campaign { config, seed, out, .. } = self.campaign;
        let seed = *seed;
        let program = generate(config, seed, index);
        let origin = Origin::Campaign { seed, index };
        let voters = self.campaign.voters.shrinking(finding);
        // The closer the look, the longer shrinking takes; what a campaign came upon by chance may need the closest.
        let (mut judge, mut shown) = (None, false);
        for look in [Look::EachCall, Look::Whole] {
            // A panel that has seen no other program: what only shows behind others must not shrink to nonsense.
            judge = voters.panel_looking(look).ok();
            shown = judge.as_mut().is_some_and(|judge| judge.finding(&program).is_some());
            if shown || voters.qemu.is_none() {
                break;
            }
        }
        match &mut judge {
            Some(judge) if shown => record(judge, out, origin, &program, finding),
            // What does not show when it is asked again can't be made smaller.
            judge => {
                let mut finding = finding.clone();
                if judge.is_some() {
                    finding.found += " (not by a fresh subject: it takes the programs before this one)";
                }
                Recorder { out, origin }.write_all(&program, &finding, None)
            }
        }
    }
}

/// The folder where findings go unless another is named.
#[must_use]
pub fn default_out() -> &'static Path {
    Path::new("findings")
}
