//! The embedded campaign: draws programs and checks them on all cores, on plain stable Rust.
//!
//! Program number i of a seed is the same whoever draws it. Workers take batches of programs; their counts are merged in the order of
//! the batches, and it is in that order that findings count. So the same seed and number of programs give the
//! same summary with any number of jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::generate::{GeneratorConfig, generate};
use crate::record::{Origin, Recorded, Recorder, record};
use crate::subjects::SubjectKind;
use crate::verdict::{Finding, Identity, Tally};

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
    /// Who runs against the reference.
    pub subject: SubjectKind,
    /// Stop after the batch in which so many different findings are reached.
    pub max_findings: usize,
    /// Where findings go.
    pub out: PathBuf,
}

/// How a campaign went.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The counts.
    pub tally: Tally,
    /// Different findings, in the order of their programs.
    pub findings: Vec<Recorded>,
    /// Programs that showed a finding, each counted.
    pub failing: u64,
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
}

struct Batch {
    number: u64,
    tally: Tally,
    /// Findings by program index.
    findings: Vec<(u64, Finding)>,
    /// A finding that could not be written.
    failed: Option<io::Error>,
}

struct Shared<'a> {
    campaign: &'a Campaign,
    stop: &'a AtomicBool,
    next: AtomicU64,
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
            deadline: match self.limit {
                Limit::Time(time) => started.checked_add(time),
                Limit::Programs(_) => None,
            },
            written: Mutex::new(BTreeSet::new()),
        };
        let mut merger = Merger {
            campaign: self,
            tally: Tally::default(),
            first: BTreeMap::new(),
            findings: Vec::new(),
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
                            if let Err(error) = merger.merge(batch) {
                                stop.store(true, Ordering::Relaxed);
                                // Workers must not wait for a full channel while they are waited for.
                                while receiver.recv().is_ok() {}
                                return Err(error);
                            }
                            if merger.full() {
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
                merger.merge(batch)?;
            }
        }
        progress(merger.progress());
        Ok(Summary {
            tally: merger.tally,
            findings: merger.findings,
            failing: merger.failing,
            elapsed: started.elapsed(),
        })
    }
}

fn work(shared: &Shared<'_>, sender: &SyncSender<Batch>) {
    let campaign = shared.campaign;
    let mut checker = campaign.subject.checker();
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
        let mut batch = Batch { number, tally: Tally::default(), findings: Vec::new(), failed: None };
        for index in first..end {
            let program = generate(campaign.config, campaign.seed, index);
            if let Some(finding) = checker.check_into(&program, &mut batch.tally, &mut |_| {}) {
                let mut written = shared.written.lock().unwrap_or_else(PoisonError::into_inner);
                if written.insert(finding.identity) {
                    let origin = Origin::Campaign { seed: campaign.seed, index };
                    let recorder = Recorder { subject: campaign.subject, out: &campaign.out, origin };
                    batch.failed = recorder.write_found(&program, finding.identity.rule).err().or(batch.failed);
                }
                batch.findings.push((index, *finding));
            }
            if index % 8 == 7 && over() && matches!(campaign.limit, Limit::Time(_)) {
                break;
            }
        }
        if sender.send(batch).is_err() {
            return;
        }
    }
}

/// Adds batches up in their order.
struct Merger<'a> {
    campaign: &'a Campaign,
    tally: Tally,
    first: BTreeMap<Identity, u64>,
    findings: Vec<Recorded>,
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
        }
    }

    fn merge(&mut self, batch: Batch) -> io::Result<()> {
        if let Some(error) = batch.failed {
            return Err(error);
        }
        self.tally.add(&batch.tally);
        for (index, finding) in batch.findings {
            self.failing += 1;
            if !self.first.contains_key(&finding.identity) && !self.full() {
                self.first.insert(finding.identity, index);
                let Campaign { config, seed, subject, ref out, .. } = *self.campaign;
                let origin = Origin::Campaign { seed, index };
                let recorded = record(subject, out, origin, &generate(config, seed, index), &finding)?;
                self.findings.push(recorded);
            }
        }
        Ok(())
    }
}

/// The folder where findings go unless another is named.
#[must_use]
pub fn default_out() -> &'static Path {
    Path::new("findings")
}
