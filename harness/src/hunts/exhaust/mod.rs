//! Exhaustive runs: check every program of a small domain, and account for each program exactly once.
//!
//! [`domain`] defines the machines and steps, and gives each program a number. `walk` goes through a unit of work,
//! which is a stem of steps with all its extensions, and explains why not every program must run. [`state`] keeps the
//! finished units on disk, so that a run that was stopped can go on. This module hands out the units and adds their
//! results up.
//!
//! Units are handed out in a shuffled order, which is always the same. The units that are finished at any moment are
//! therefore a sample of the whole, and their mean time is a fair estimate for the units that are left. All counts are
//! sums over units. Of the findings of one kind the run keeps the finding with the fewest steps, and of several such
//! findings the one with the lowest program number. Neither the sums nor this choice depends on which thread walked
//! which unit when.

pub mod domain;
mod ground;
mod pages;
mod scene;
pub mod state;
mod tables;
mod walk;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom as _;

pub use domain::{Bound, Domain, Model};
pub use state::{Header, Unusable};
pub use walk::Counts;

use super::pool::{Merge, Outbox, Pool};
use super::pursuit;
use crate::check::Tally;
use crate::findings::record::{Catch, Origin, Recorded, Recorder};
use crate::voters::{Look, Roll, Roster, Unavailable};
use programs::store;
use state::{Line, State};
use walk::{Broken, UnitFinding, Walked, Walker};

/// The settings of an exhaustive run.
pub struct Exhaust {
    /// The domain: all programs to check.
    pub domain: Domain,
    /// The voters that are compared with the reference.
    pub roster: Roster,
    /// Number of threads; 0 means 1.
    pub jobs: usize,
    /// Time limit of the work on units; `None` for no limit. The time to read the state and to record findings does not
    /// count.
    pub time: Option<Duration>,
    /// Folder into which findings are recorded.
    pub out: PathBuf,
    /// File of the state; `None` for a file in `out` whose name differs for runs with different headers.
    pub state: Option<PathBuf>,
    /// Whether to throw the state of an earlier run away and start again.
    pub restart: bool,
}

/// The result of an exhaustive run.
pub struct Summary {
    /// How many programs are accounted for, and how; over all machines.
    pub counts: Counts,
    /// How many programs of each machine are accounted for, and how; in the order of [`Domain::scenes`].
    pub scenes: Vec<Counts>,
    /// Counts of all programs that ran in this run and in earlier ones, as the first voter counts them. They include
    /// programs that then proved equal to a shorter program.
    pub tally: Tally,
    /// Counts for each voter and for each entry of the ledger, in this run and in earlier ones. Empty or all 0 if one
    /// subject alone is compared.
    pub roll: Roll,
    /// The recorded findings: of each kind (identity and voter) the one with the fewest steps, in the order of their
    /// programs' numbers.
    pub findings: Vec<Recorded>,
    /// Whether this run and earlier ones have accounted for every program of the domain.
    pub complete: bool,
    /// Number of programs that earlier runs with the same state accounted for.
    pub before: u64,
    /// The voter that was lost for good, which ended the run; `None` if no voter was lost so.
    pub gone: Option<Unavailable>,
    /// Path of the file of the state.
    pub state: PathBuf,
    /// How long this run took, with the time to read the state and to record findings.
    pub elapsed: Duration,
}

/// How far an exhaustive run has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Number of units that are finished, in this run and in earlier ones.
    pub units: u64,
    /// Number of units of the domain.
    pub of_units: u64,
    /// Number of programs that are accounted for, in this run and in earlier ones.
    pub programs: u64,
    /// Number of programs of the domain.
    pub of_programs: u64,
    /// Number of different findings so far.
    pub findings: usize,
    /// Number of programs that ran in this run and are not equal to a shorter program.
    pub run: u64,
    /// Estimate of the time that the rest of the run takes; `None` until this run has finished a unit.
    pub left: Option<Duration>,
}

/// Why an exhaustive run has no summary.
#[derive(Debug)]
pub enum Failed {
    /// The state belongs to a run with another header, is in use or is damaged, its counts do not add up, or one of its
    /// findings cannot be shown again; the text says which.
    Refused(String),
    /// This computer cannot run one of the voters.
    Unavailable(Unavailable),
    /// A file cannot be read or written; the error names the file.
    Io(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Unusable> for Failed {
    fn from(error: Unusable) -> Self {
        match error {
            Unusable::Refused(why) => Self::Refused(why),
            Unusable::Io(error) => Self::Io(error),
        }
    }
}

/// A message from a worker thread to the merging thread.
enum Told {
    /// A unit that the worker has walked to its end.
    Walked(Box<Walked>),
    /// The worker lost this voter for good.
    Gone(Unavailable),
}

impl Exhaust {
    /// Returns the header of this run's state. Runs with another domain, other voters, another ledger, version or
    /// executable have another header.
    #[must_use]
    pub fn header(&self) -> Header {
        Header {
            exhaust: self.domain.bound().to_string(),
            domain: self.domain.fingerprint(),
            programs: self.domain.programs(),
            units: self.domain.units(),
            voters: self.roster.names(),
            ledger: format!("{:016x}", store::hash(format!("{:?}", self.roster.ledger))),
            version: env!("CARGO_PKG_VERSION").into(),
            build: state::build(&self.roster.code()),
        }
    }

    /// Returns the path of the state's file: the one in the settings, or else a name in `out` that is made from the
    /// header.
    fn state_file(&self, header: &Header) -> PathBuf {
        self.state.clone().unwrap_or_else(|| {
            let Bound { sections, steps, .. } = self.domain.bound();
            let (models, voters) = (self.domain.bound().models_name(), self.roster.names().join("-").replace('/', "-"));
            let run = header.fingerprint();
            self.out.join(format!("exhaust-{models}-{sections}-{steps}-{voters}-{run}.jsonl"))
        })
    }

    /// Runs the units that the state does not hold yet, and records the findings, those of earlier runs included. Ends
    /// early when `stop` becomes `true`, at the time limit, or when a voter is lost for good; in the last case it sets
    /// `stop` itself. Calls `progress` a few times a second, and at the end.
    ///
    /// # Errors
    /// Fails if the state is refused, if the counts do not add up, if this computer cannot run a voter, or if a file
    /// cannot be read or written.
    pub fn run(&self, stop: &AtomicBool, progress: &mut dyn FnMut(Progress)) -> Result<Summary, Failed> {
        let started = Instant::now();
        let header = self.header();
        let path = self.state_file(&header);
        let (state, lines) = State::open(&path, &header, self.restart)?;
        let mut sums = Sums::new(self, state, progress)?;
        let mut done = vec![false; self.domain.units() as usize];
        for line in lines {
            done[line.unit as usize] = true;
            sums.take_line(&line).map_err(|what| Failed::Refused(format!("{}: {what}", path.display())))?;
        }
        let before = sums.counts.programs();
        sums.before_units = sums.units;
        // The time limit starts only here. If it included the time to read the state, a short limit could end every run
        // before it finished a unit.
        sums.begun = Instant::now();
        let deadline = self.time.and_then(|time| sums.begun.checked_add(time));
        let mut todo = shuffled(self.domain.units());
        todo.retain(|&unit| !done[unit as usize]);
        let next = AtomicUsize::new(0);
        let pool = Pool { jobs: self.jobs, stop, deadline };
        pool.run(&|outbox| self.work(&todo, &next, &pool, outbox), &mut sums)?;
        sums.state.sync()?;
        let complete = sums.units == self.domain.units();
        if complete && sums.counts.programs() != self.domain.programs() {
            let (sum, total) = (sums.counts.programs(), self.domain.programs());
            return Err(Failed::Refused(format!("{}: the units add up to {sum} programs of {total}", path.display())));
        }
        let findings = sums.record()?;
        Ok(Summary {
            counts: sums.counts,
            scenes: sums.scenes,
            tally: sums.tally,
            roll: sums.roll,
            findings,
            complete,
            before,
            gone: sums.gone,
            state: path,
            elapsed: started.elapsed(),
        })
    }

    /// The work of one thread: walks units of `todo` until none is left or the run is over, and sends each finished
    /// unit. `next` is the index in `todo` of the next unit that no thread has taken. Ends the run if a voter is lost
    /// for good.
    fn work(&self, todo: &[u64], next: &AtomicUsize, pool: &Pool<'_>, outbox: &Outbox<Told>) {
        let mut walker = match Walker::new(&self.domain, &self.roster, pool) {
            Ok(walker) => walker,
            Err(gone) => {
                pool.end();
                // Sending fails only if the run is over, and then the loss does not matter.
                outbox.send(Told::Gone(gone));
                return;
            }
        };
        while let Some(&unit) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
            let told = match walker.walk(unit) {
                Ok(walked) => Told::Walked(Box::new(walked)),
                Err(Broken::Stopped) => return,
                Err(Broken::Gone(gone)) => {
                    pool.end();
                    outbox.send(Told::Gone(gone));
                    return;
                }
            };
            if !outbox.send(told) {
                return;
            }
        }
    }

    /// Returns where the program with this number in the domain comes from, for the recorder.
    fn origin(&self, index: u64) -> Origin {
        Origin::Exhaust { bound: self.domain.bound().to_string(), index }
    }
}

/// Adds up the results of units, which may come in any order.
struct Sums<'a> {
    exhaust: &'a Exhaust,
    state: State,
    progress: &'a mut dyn FnMut(Progress),
    /// When the work on units began, after the state was read.
    begun: Instant,
    /// Number of units that earlier runs with the same state finished.
    before_units: u64,
    counts: Counts,
    scenes: Vec<Counts>,
    tally: Tally,
    /// The voters, in the order of the roster, with counts of zero.
    blank: Roll,
    roll: Roll,
    /// Number of units that are finished, in this run and in earlier ones.
    units: u64,
    /// Number of programs that ran in this run and are not equal to a shorter program.
    run_now: u64,
    /// The first finding of each kind in all units so far, by [`UnitFinding::place`].
    findings: Vec<UnitFinding>,
    /// Paths of the programs with findings that this run has written to disk, by program number.
    files: BTreeMap<u64, PathBuf>,
    gone: Option<Unavailable>,
}

impl Merge<Told, Failed> for Sums<'_> {
    fn merge(&mut self, told: Told) -> Result<(), Failed> {
        match told {
            Told::Walked(walked) => self.take(&walked)?,
            Told::Gone(voter) => _ = self.gone.get_or_insert(voter),
        }
        Ok(())
    }

    fn show(&mut self) {
        let domain = &self.exhaust.domain;
        let now = self.units - self.before_units;
        let left = (now > 0).then(|| {
            let units = (domain.units() - self.units) as f64;
            self.begun.elapsed().mul_f64(units / now as f64)
        });
        (self.progress)(Progress {
            units: self.units,
            of_units: domain.units(),
            programs: self.counts.programs(),
            of_programs: domain.programs(),
            findings: self.findings.len(),
            run: self.run_now,
            left,
        });
    }
}

impl<'a> Sums<'a> {
    /// Makes sums of zero. Makes a panel once to learn which voters there are. Fails if this computer cannot run a
    /// voter.
    fn new(exhaust: &'a Exhaust, state: State, progress: &'a mut dyn FnMut(Progress)) -> Result<Self, Failed> {
        let blank = exhaust.roster.panel(Look::Brief).map_err(Failed::Unavailable)?.take_roll();
        let scenes = exhaust.domain.scenes().map(|_| Counts::default()).collect();
        Ok(Self {
            exhaust,
            state,
            progress,
            begun: Instant::now(),
            before_units: 0,
            counts: Counts::default(),
            scenes,
            tally: Tally::default(),
            blank,
            roll: Roll::default(),
            units: 0,
            run_now: 0,
            findings: Vec::new(),
            files: BTreeMap::new(),
            gone: None,
        })
    }

    /// Adds a unit that an earlier run finished, with its findings. Fails if the counts are wrong, or if a program of a
    /// finding does not exist.
    fn take_line(&mut self, line: &Line) -> Result<(), String> {
        let (counts, expected) = (line.counts(), self.exhaust.domain.programs_of_unit(line.unit));
        if counts.programs() != expected {
            return Err(format!("unit {} has {} programs, not {expected}", line.unit, counts.programs()));
        }
        self.add(line.unit, &counts, &line.tally(), &line.roll(&self.blank));
        for (number, finding) in &line.findings {
            let program =
                self.exhaust.domain.program(*number).ok_or_else(|| format!("there is no program {number}"))?;
            self.keep(UnitFinding { unit: line.unit, number: *number, program, finding: Box::new(finding.clone()) });
        }
        Ok(())
    }

    /// Adds a unit that this run finished: its counts, then its findings, whose programs are written to disk if new,
    /// then its line in the state. Fails if a file cannot be written, which the error names.
    fn take(&mut self, walked: &Walked) -> Result<(), Failed> {
        self.run_now += walked.counts.run;
        self.add(walked.unit, &walked.counts, &walked.tally, &walked.roll);
        for found in &walked.findings {
            if self.keep(found.clone()) {
                self.files.insert(found.number, Recorder { out: &self.exhaust.out }.keep(&self.catch(found))?);
            }
        }
        Ok(self.state.append(&Line::new(walked))?)
    }

    /// Adds the counts of one unit, which has this number.
    fn add(&mut self, unit: u64, counts: &Counts, tally: &Tally, roll: &Roll) {
        self.units += 1;
        self.counts.add(counts);
        self.scenes[self.exhaust.domain.scene_of_unit(unit)].add(counts);
        self.tally.add(tally);
        self.roll.add(roll);
    }

    /// Keeps a finding, unless a finding of the same kind comes before it in the order of [`UnitFinding::place`].
    /// Returns whether `found` was kept.
    fn keep(&mut self, found: UnitFinding) -> bool {
        match self.findings.iter_mut().find(|known| known.same(&found)) {
            Some(known) if found.place() < known.place() => *known = found,
            Some(_) => return false,
            None => self.findings.push(found),
        }
        true
    }

    /// Returns the finding with its program and where the program comes from, for the recorder.
    fn catch(&self, found: &UnitFinding) -> Catch {
        let UnitFinding { number, program, finding, .. } = found;
        Catch { origin: self.exhaust.origin(*number), program: program.clone(), finding: (**finding).clone() }
    }

    /// Shrinks and records the findings, in the order of their programs' numbers. The error names the file that cannot
    /// be written.
    fn record(&mut self) -> Result<Vec<Recorded>, Failed> {
        self.findings.sort_by_key(|found| found.number);
        let Exhaust { roster, domain, out, .. } = self.exhaust;
        let recorder = Recorder { out };
        let mut recorded = Vec::new();
        for found in &self.findings {
            let catch = self.catch(found);
            let file = self.files.get(&found.number).cloned().map_or_else(|| recorder.keep(&catch), Ok)?;
            let mut before = || {
                let go_on = AtomicBool::new(false);
                let pool = Pool { jobs: 1, stop: &go_on, deadline: None };
                Ok(vec![Walker::new(domain, roster, &pool)?.before(found.unit, found.number)?])
            };
            recorded.push(pursuit::record(roster, recorder, catch, file, &mut before)?);
        }
        Ok(recorded)
    }
}

/// Returns the numbers from 0 up to, but without, `count` in a shuffled order. The order is always the same for one
/// `count`.
fn shuffled(count: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..count).collect();
    numbers.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(count));
    numbers
}
