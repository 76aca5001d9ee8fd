//! Exhaustive checking: every program up to a bound, over a small domain that is stated, each accounted for exactly
//! once.
//!
//! [`domain`] says which machines and steps, and gives each program a number. `walk` goes through a unit of work, a
//! stem of steps with all its extensions, and says why not every program must be run. [`state`] keeps what is finished,
//! so that a run that was stopped goes on where it was. Here is who hands out the units and adds up.
//!
//! Units are handed out in an order that is shuffled, always in the same way. So what is done at any moment is a sample
//! of the whole, and the mean time of a unit so far is a fair guess for those left. All counts are sums over units, and
//! of findings of one kind the one of fewest steps and lowest number is kept: neither depends on who walked which unit
//! when.

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

use contract::Program;
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
use crate::shrink::Judge as _;
use crate::voters::{Look, Roll, Roster, Unavailable};
use programs::store;
use state::{Line, State};
use walk::{Broken, UnitFinding, Walked, Walker};

/// What to run, and how.
pub struct Exhaust {
    /// Every program of this.
    pub domain: Domain,
    /// Who votes beside the reference.
    pub roster: Roster,
    /// Threads, at least 1.
    pub jobs: usize,
    /// Stop after this long.
    pub time: Option<Duration>,
    /// Where findings go.
    pub out: PathBuf,
    /// Where it is kept what is finished; by default a file in `out` whose name tells runs apart.
    pub state: Option<PathBuf>,
    /// Whether to begin anew, whatever the state says.
    pub restart: bool,
}

/// How it went.
pub struct Summary {
    /// What came of the programs that are accounted for.
    pub counts: Counts,
    /// The same for each machine.
    pub scenes: Vec<Counts>,
    /// Counts of the runs, those among them that turned out to equal a shorter one too.
    pub tally: Tally,
    /// How each voter's votes went; without voters where a subject votes alone.
    pub roll: Roll,
    /// Findings, the first of each kind, in the order of their programs' numbers.
    pub findings: Vec<Recorded>,
    /// Whether every program of the domain is accounted for.
    pub complete: bool,
    /// Programs that an earlier run accounted for.
    pub before: u64,
    /// The voter that was lost, which ended the run.
    pub gone: Option<Unavailable>,
    /// Where it is kept what is finished.
    pub state: PathBuf,
    /// How long it took.
    pub elapsed: Duration,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Units that are finished.
    pub units: u64,
    /// Units of the domain.
    pub of_units: u64,
    /// Programs that are accounted for.
    pub programs: u64,
    /// Programs of the domain.
    pub of_programs: u64,
    /// Kinds of findings.
    pub findings: usize,
    /// Programs that were run since the start of this run.
    pub run: u64,
    /// What is likely left, once a unit is finished.
    pub left: Option<Duration>,
}

/// Why there is no summary.
#[derive(Debug)]
pub enum Failed {
    /// The state is of another run, or damaged.
    Refused(String),
    /// A voter can't be had.
    Unavailable(Unavailable),
    /// A file could not be read or written; it is named.
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

/// What a worker tells.
enum Told {
    Walked(Box<Walked>),
    Gone(Unavailable),
}

impl Exhaust {
    /// What tells this run from others.
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
            build: state::build().into(),
        }
    }

    /// The file that keeps what is finished.
    fn state_file(&self, header: &Header) -> PathBuf {
        self.state.clone().unwrap_or_else(|| {
            let Bound { sections, steps, .. } = self.domain.bound();
            let (models, voters) = (self.domain.bound().models_name(), self.roster.names().join("-").replace('/', "-"));
            let run = header.fingerprint();
            self.out.join(format!("exhaust-{models}-{sections}-{steps}-{voters}-{run}.jsonl"))
        })
    }

    /// Runs what is left. `stop` ends it early; `progress` is called a few times a second.
    ///
    /// # Errors
    /// The state is refused, or a file could not be written.
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
        // A limit is for units: what was read before them must not eat it up, or a short one would never come to
        // anything.
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

    fn work(&self, todo: &[u64], next: &AtomicUsize, pool: &Pool<'_>, outbox: &Outbox<Told>) {
        let mut walker = match Walker::new(&self.domain, &self.roster, pool) {
            Ok(walker) => walker,
            Err(gone) => {
                pool.end();
                // Nobody listens any more only where the run is over.
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

    fn origin(&self, index: u64) -> Origin {
        Origin::Exhaust { bound: self.domain.bound().to_string(), index }
    }
}

/// Adds units up, in whatever order they come.
struct Sums<'a> {
    exhaust: &'a Exhaust,
    state: State,
    progress: &'a mut dyn FnMut(Progress),
    begun: Instant,
    /// Units that an earlier run finished.
    before_units: u64,
    counts: Counts,
    scenes: Vec<Counts>,
    tally: Tally,
    /// The voters, without votes; none where a subject votes alone.
    blank: Roll,
    roll: Roll,
    units: u64,
    /// Programs run since the start.
    run_now: u64,
    findings: Vec<UnitFinding>,
    /// Files of the findings' programs, by number.
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

    fn program(&self, number: u64) -> Result<Program, String> {
        self.exhaust.domain.program(number).ok_or_else(|| format!("there is no program {number}"))
    }

    /// Adds what an earlier run finished. Its findings are looked at again.
    fn take_line(&mut self, line: &Line) -> Result<(), String> {
        let (counts, expected) = (line.counts(), self.exhaust.domain.programs_of_unit(line.unit));
        if counts.programs() != expected {
            return Err(format!("unit {} has {} programs, not {expected}", line.unit, counts.programs()));
        }
        self.add(line.unit, &counts, &line.tally(), &line.roll(&self.blank));
        if line.findings.is_empty() {
            return Ok(());
        }
        let mut judge = self.exhaust.roster.panel(Look::Brief).map_err(|gone| gone.to_string())?;
        for &number in &line.findings {
            let program = self.program(number)?;
            let finding =
                judge.finding(&program).ok_or_else(|| format!("program {number} does not show a finding any more"))?;
            self.keep(UnitFinding { unit: line.unit, steps: program.steps.len(), number, finding: Box::new(finding) });
        }
        Ok(())
    }

    /// Adds a unit and writes it down, its findings first.
    fn take(&mut self, walked: &Walked) -> Result<(), Failed> {
        self.run_now += walked.counts.run;
        self.add(walked.unit, &walked.counts, &walked.tally, &walked.roll);
        for found in &walked.findings {
            if self.keep(found.clone()) {
                let catch = self.catch(found)?;
                self.files.insert(found.number, Recorder { out: &self.exhaust.out }.keep(&catch)?);
            }
        }
        Ok(self.state.append(&Line::new(walked))?)
    }

    fn add(&mut self, unit: u64, counts: &Counts, tally: &Tally, roll: &Roll) {
        self.units += 1;
        self.counts.add(counts);
        self.scenes[self.exhaust.domain.scene_of_unit(unit)].add(counts);
        self.tally.add(tally);
        self.roll.add(roll);
    }

    /// Keeps a finding if none of its kind comes before it; whether it did.
    fn keep(&mut self, found: UnitFinding) -> bool {
        match self.findings.iter_mut().find(|known| known.same(&found)) {
            Some(known) if found.place() < known.place() => *known = found,
            Some(_) => return false,
            None => self.findings.push(found),
        }
        true
    }

    fn catch(&self, found: &UnitFinding) -> Result<Catch, Failed> {
        let program = self.program(found.number).map_err(Failed::Refused)?;
        Ok(Catch { origin: self.exhaust.origin(found.number), program, finding: (*found.finding).clone() })
    }

    /// Shrinks and records the findings.
    fn record(&mut self) -> Result<Vec<Recorded>, Failed> {
        self.findings.sort_by_key(|found| found.number);
        let Exhaust { roster, domain, out, .. } = self.exhaust;
        let recorder = Recorder { out };
        let mut recorded = Vec::new();
        for found in &self.findings {
            let catch = self.catch(found)?;
            let file = self.files.get(&found.number).cloned().map_or_else(|| recorder.keep(&catch), Ok)?;
            let mut before = || {
                let go_on = AtomicBool::new(false);
                let pool = Pool { jobs: 1, stop: &go_on, deadline: None };
                Walker::new(domain, roster, &pool)
                    .map_or(Vec::new(), |mut walker| walker.before(found.unit, found.number))
            };
            recorded.push(pursuit::record(roster, recorder, catch, file, &mut before)?);
        }
        Ok(recorded)
    }
}

/// Numbers 0 to `count` - 1 in an order that is shuffled, always in the same way.
fn shuffled(count: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..count).collect();
    numbers.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(count));
    numbers
}
