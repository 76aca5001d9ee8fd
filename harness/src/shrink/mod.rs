//! Makes a failing program small and keeps the finding's identity: rule, field and kind of step.
//!
//! The shrinker works in the order of syzkaller: it cuts the tail, drops stretches of steps, drops single steps, drops
//! items of the machine, then simplifies what is left. It repeats this until nothing changes. In the last round it has
//! tried to drop every single step and every single item, so the result is *1-minimal*: without any one of them the
//! finding is gone, or has another identity. The shrinker tries no program twice.
//!
//! | module | what it changes |
//! |---|---|
//! | `drops` | drops steps, items of the machine, and runs of words |
//! | `plain` | makes kinds of things plainer: flags, calls of several entries, pinned windows, the memory model |
//! | `counts` | lowers counts: entries, words, pages |
//! | `moves` | gives pages, sections and windows lower numbers, slots, mappings and lists lower addresses, and changes everything that names them |
//! | `numbers` | lowers single numbers, and equal numbers together, as their kind allows |
//! | `places` | moves tables, blocks, the array and the list to lower addresses |

mod counts;
mod drops;
mod moves;
mod numbers;
mod places;
mod plain;
mod spans;

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use contract::Program;
use programs::encoding::encode_into;
use xxhash_rust::xxh3::xxh3_64;

use crate::check::{Checker, Finding, Identity};

/// Limits of shrinking one finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest number of valid programs that the judge is asked about, not counting the program to shrink.
    pub checks: u64,
    /// Longest time that shrinking may take; `None` for no limit. With a time limit the result also depends on the
    /// speed of the computer.
    pub time: Option<Duration>,
}

/// Default of [`Limits::checks`], in programs.
pub const MAX_CHECKS: u64 = 50_000;
/// Default of [`Limits::time`]: 10 seconds.
pub const MAX_TIME: Duration = Duration::from_secs(10);

impl Limits {
    /// Makes limits of this many programs and no time limit.
    #[must_use]
    pub const fn checks(checks: u64) -> Self {
        Self { checks, time: None }
    }

    /// Returns the budget of these limits. Its time begins now.
    #[must_use]
    pub fn begin(self) -> Budget {
        Budget { checks: self.checks, deadline: self.time.and_then(|time| Instant::now().checked_add(time)) }
    }
}

/// What is left of [`Limits`] while one finding is shrunk. All attempts for the finding, in one or more calls of
/// [`shrink_within`], use the same budget.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Number of programs that the judge may still be asked about.
    checks: u64,
    deadline: Option<Instant>,
}

impl Budget {
    /// Takes one check from the budget.
    ///
    /// # Errors
    /// Fails with the limit that is reached, if one is. Nothing is taken then.
    pub fn take(&mut self) -> Result<(), Ended> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Ended::Time);
        }
        self.checks = self.checks.checked_sub(1).ok_or(Ended::Checks)?;
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { checks: MAX_CHECKS, time: Some(MAX_TIME) }
    }
}

/// Why shrinking of a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The program is 1-minimal: without any single step or item the finding is gone.
    Minimal,
    /// The limit [`Limits::checks`] was reached before the program was 1-minimal.
    Checks,
    /// The limit [`Limits::time`] was reached before the program was 1-minimal.
    Time,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minimal => "1-minimal",
            Self::Checks => "not 1-minimal: the budget of checks ran out",
            Self::Time => "not 1-minimal: the time ran out",
        })
    }
}

/// The result of shrinking a program.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The shrunk program, which is the smallest one that was found.
    pub program: Program,
    /// The finding on the shrunk program. It has the identity of the finding on the program to shrink.
    pub finding: Finding,
    /// Why shrinking ended.
    pub ended: Ended,
    /// Number of valid programs that the judge was asked about, not counting the program to shrink.
    pub checks: u64,
}

/// Largest number of tried programs that are costly for the judge ([`Judge::is_costly`]); further costly programs are
/// not tried. The result can still be 1-minimal then, because only changes of a window's numbers are costly.
const MAX_COSTLY: u64 = 50;

/// Decides whether a program still shows a finding while it is shrunk.
pub trait Judge {
    /// Runs the program and returns the finding that it shows. Returns `None` if the program shows none, is invalid, or
    /// could not be run.
    fn finding(&mut self, program: &Program) -> Option<Finding>;

    /// Makes the judge forget every program that it has run, for example by a new subject. Returns `false` if the judge
    /// cannot forget. [`shrink`] does not call it.
    ///
    /// # Errors
    /// There is no fresh judge to be had, for example because a library cannot be loaded once more; the text says why.
    /// What the judge says of a program afterwards means nothing, until a later `renew` succeeds.
    fn renew(&mut self) -> Result<bool, String>;

    /// Returns whether the shrinker may change the dialect of a program: not if a voter answers in a dialect of its
    /// own, because changing the program's dialect alone would make that voter differ.
    fn any_dialect(&self) -> bool {
        true
    }

    /// Returns whether running program `to` after program `from` costs far more than usual, for example because a
    /// machine must boot.
    fn is_costly(&self, _from: &Program, _to: &Program) -> bool {
        false
    }
}

impl Judge for Checker {
    fn finding(&mut self, program: &Program) -> Option<Finding> {
        self.check(program).into_finding()
    }

    fn renew(&mut self) -> Result<bool, String> {
        Self::renew(self)
    }
}

/// Shrinks a program on which `judge` finds something, until the result is 1-minimal or a limit is reached. Returns
/// `None` if `judge` finds nothing on the program.
pub fn shrink(judge: &mut dyn Judge, program: &Program, limits: Limits) -> Option<Shrunk> {
    shrink_within(judge, program, &mut limits.begin())
}

/// Does the same as [`shrink`], and takes its checks from `budget`, which may have been used before. With an empty
/// budget the result is the program as it is.
pub fn shrink_within(judge: &mut dyn Judge, program: &Program, budget: &mut Budget) -> Option<Shrunk> {
    let finding = judge.finding(program)?;
    let mut shrinker = Shrinker {
        judge,
        identity: finding.identity(),
        best: program.clone(),
        finding,
        tried: HashSet::new(),
        bytes: Vec::new(),
        checks: 0,
        costly: 0,
        budget,
        over: None,
    };
    // Notes the program itself as tried.
    shrinker.is_new(program);
    loop {
        shrinker.drop_parts();
        if shrinker.over.is_some() || !shrinker.simplify() {
            break;
        }
    }
    let Shrinker { best: program, finding, checks, over, .. } = shrinker;
    Some(Shrunk { program, finding, ended: over.unwrap_or(Ended::Minimal), checks })
}

/// The state of shrinking one program, in one call of [`shrink`].
struct Shrinker<'a> {
    judge: &'a mut dyn Judge,
    identity: Identity,
    /// The smallest program so far that shows a finding of `identity`.
    best: Program,
    /// The finding on `best`.
    finding: Finding,
    /// Hashes of the encodings of all valid programs that were tried. No program is tried twice.
    tried: HashSet<u64>,
    /// Buffer for the encoding of a program, reused to save allocations.
    bytes: Vec<u8>,
    checks: u64,
    /// Number of costly programs that were tried, at most [`MAX_COSTLY`].
    costly: u64,
    budget: &'a mut Budget,
    /// The limit that was reached; `None` if no limit was.
    over: Option<Ended>,
}

impl Shrinker<'_> {
    /// Tries the best program with `change` applied, and keeps the result as the best program if it shows a finding of
    /// the shrinker's `identity`. Returns whether the result was kept.
    fn attempt(&mut self, change: impl FnOnce(&mut Program)) -> bool {
        if self.over.is_some() {
            return false;
        }
        let mut program = self.best.clone();
        change(&mut program);
        self.attempt_program(program)
    }

    /// Tries `program`, and keeps it as the best program if it shows a finding of the shrinker's `identity`. Returns
    /// whether `program` was kept. Not run are invalid programs, programs that were tried before, any program once a
    /// limit is reached, and costly programs after the first [`MAX_COSTLY`].
    fn attempt_program(&mut self, program: Program) -> bool {
        if program == self.best || program.validate().is_err() {
            return false;
        }
        if !self.is_new(&program) {
            return false;
        }
        let costly = self.judge.is_costly(&self.best, &program);
        if costly && self.costly == MAX_COSTLY {
            return false;
        }
        if let Err(limit) = self.budget.take() {
            self.over = Some(limit);
            return false;
        }
        self.costly += u64::from(costly);
        self.checks += 1;
        match self.judge.finding(&program) {
            Some(finding) if finding.identity() == self.identity => {
                self.best = program;
                self.finding = finding;
                true
            }
            _ => false,
        }
    }

    /// Returns whether this valid program was not tried before, and notes it as tried. Different programs have
    /// different encodings.
    fn is_new(&mut self, program: &Program) -> bool {
        encode_into(program, &mut self.bytes);
        self.tried.insert(xxh3_64(&self.bytes))
    }

    /// Makes the parts that are left in the best program simpler: counts, kinds, numbers and places. Returns whether
    /// the best program changed.
    fn simplify(&mut self) -> bool {
        // Counts come first, because lower counts make all later checks cheaper.
        let mut changed = self.counts();
        changed |= self.plain();
        changed |= self.moves();
        changed |= self.numbers();
        changed | self.places()
    }
}
