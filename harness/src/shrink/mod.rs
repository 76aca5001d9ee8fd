//! Makes a failing program small, keeping what it shows: rule, field and kind of step.
//!
//! The order is that of syzkaller: cut the tail, drop stretches of steps, drop single steps, drop the machine's items,
//! then simplify what is left. Both repeat until neither changes anything; the last round has then tried to drop every
//! single step and every single item, so the result is *1-minimal*: without any one of them the finding is gone, or
//! another. No program is tried twice.
//!
//! | module | what it changes |
//! |---|---|
//! | `drops` | steps, items, and the runs of a list go |
//! | `plain` | kinds of things become plainer: flags, calls of one entry, emulated windows, the memory model |
//! | `counts` | whatever is counted becomes fewer |
//! | `moves` | pages, sections, slots and windows get lower numbers, and all that names them follows |
//! | `numbers` | single numbers, and equal numbers together, become lower, as their kind allows |
//! | `places` | tables, blocks, the array and the list lie at lower addresses |

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

/// How much shrinking may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most valid programs that the judge is asked about.
    pub checks: u64,
    /// The longest time, by the clock on the wall; without it the result depends on the program alone.
    pub time: Option<Duration>,
}

/// Most programs that shrinking tries unless it is told otherwise.
pub const MAX_CHECKS: u64 = 50_000;
/// The longest time that shrinking takes unless it is told otherwise.
pub const MAX_TIME: Duration = Duration::from_secs(10);

impl Limits {
    /// So many checks, however long they take.
    #[must_use]
    pub const fn checks(checks: u64) -> Self {
        Self { checks, time: None }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { checks: MAX_CHECKS, time: Some(MAX_TIME) }
    }
}

/// Why shrinking ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The program is 1-minimal.
    Minimal,
    /// [`Limits::checks`] was reached first.
    Checks,
    /// [`Limits::time`] was reached first.
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

/// A shrunk program.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The program.
    pub program: Program,
    /// What it shows: the same rule, field and kind of step as before.
    pub finding: Finding,
    /// Why it is no smaller.
    pub ended: Ended,
    /// Valid programs that the judge was asked about.
    pub checks: u64,
}

/// Most programs that cost the judge far more than others. Only numbers of windows do: without them the result is
/// 1-minimal as well.
const MAX_COSTLY: u64 = 50;

/// Who says whether a program still shows a finding.
pub trait Judge {
    /// What it finds on the program, if it is valid.
    fn finding(&mut self, program: &Program) -> Option<Finding>;

    /// Forgets every program that it was shown. Answers false where it cannot.
    fn renew(&mut self) -> bool;

    /// Whether a program means the same to it in another dialect, as far as findings go.
    fn any_dialect(&self) -> bool {
        true
    }

    /// Whether going from one program to another costs it far more than most ways, such as a machine that must be
    /// booted.
    fn is_costly(&self, _from: &Program, _to: &Program) -> bool {
        false
    }
}

impl Judge for Checker {
    fn finding(&mut self, program: &Program) -> Option<Finding> {
        self.check(program).into_finding()
    }

    fn renew(&mut self) -> bool {
        Self::renew(self).unwrap_or(false)
    }
}

/// Shrinks a program on which `judge` finds something; `None` if it does not.
pub fn shrink(judge: &mut dyn Judge, program: &Program, limits: Limits) -> Option<Shrunk> {
    let deadline = limits.time.and_then(|time| Instant::now().checked_add(time));
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
        limits,
        deadline,
        over: None,
    };
    // So that the program itself is not tried.
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

struct Shrinker<'a> {
    judge: &'a mut dyn Judge,
    identity: Identity,
    best: Program,
    finding: Finding,
    /// Hashes of the encodings of all valid programs so far.
    tried: HashSet<u64>,
    bytes: Vec<u8>,
    checks: u64,
    costly: u64,
    limits: Limits,
    deadline: Option<Instant>,
    /// The limit that was reached.
    over: Option<Ended>,
}

impl Shrinker<'_> {
    /// Tries what `change` makes of the best program, and keeps it if it shows the same.
    fn attempt(&mut self, change: impl FnOnce(&mut Program)) -> bool {
        if self.over.is_some() {
            return false;
        }
        let mut program = self.best.clone();
        change(&mut program);
        self.attempt_program(program)
    }

    fn attempt_program(&mut self, program: Program) -> bool {
        if program == self.best || program.validate().is_err() {
            return false;
        }
        if self.judge.is_costly(&self.best, &program) {
            if self.costly == MAX_COSTLY {
                return false;
            }
            self.costly += 1;
        }
        if !self.is_new(&program) || self.is_over() {
            return false;
        }
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

    /// Whether a valid program was not tried yet. Different ones have different encodings.
    fn is_new(&mut self, program: &Program) -> bool {
        encode_into(program, &mut self.bytes);
        self.tried.insert(xxh3_64(&self.bytes))
    }

    fn is_over(&mut self) -> bool {
        if self.checks >= self.limits.checks {
            self.over = Some(Ended::Checks);
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.over = Some(Ended::Time);
        }
        self.over.is_some()
    }

    /// Makes what is left simpler; answers whether anything changed.
    fn simplify(&mut self) -> bool {
        // What makes all later checks cheaper comes first.
        let mut changed = self.counts();
        changed |= self.plain();
        changed |= self.moves();
        changed |= self.numbers();
        changed | self.places()
    }
}
