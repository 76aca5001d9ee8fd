//! The walk through a unit: one program after the other, its steps pushed and popped, depth first.
//!
//! Not every program is run; each that is not is accounted for by an argument.
//!
//! **Equal to a shorter one.** Where the last step of a program is skipped (its precondition failed), nothing was done:
//! the reference says so before anybody else is asked, the image stays, no subject hears of the step. So the run is
//! that of the program without it, and the run of every extension is that of the same extension without it. Those are
//! programs of the domain, one step shorter, and by the same argument again one whose every step is done stands for
//! each of them. It is run, or lies behind a finding. For this the voters must be subjects: what another voter makes of
//! a step that the reference skips is its own affair, so with other voters everything is run.
//!
//! **Behind a finding.** Where a step shows a finding, no later step is ever made: every extension shows the same
//! finding at the same step. (A finding at the *end* of a program, where windows are closed, says nothing about
//! extensions, which go on before that end.)
//!
//! A step that was done and changed nothing is another matter: the subject saw it, and may remember.

use contract::Program;
use programs::sequence;

use super::domain::{Domain, Part, Unit};
use crate::check::{Checker, Ending, Finding, Kind, Tally, Verdict};
use crate::hunts::pool::Pool;
use crate::voters::{Look, Panel, Roll, Roster, Task, Unavailable};

/// What came of a unit's programs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Programs that were run.
    pub run: u64,
    /// Programs that equal a shorter one.
    pub equal: u64,
    /// Programs behind a finding.
    pub behind: u64,
    /// Programs that were run and show a finding.
    pub failing: u64,
}

impl Counts {
    /// All programs that are accounted for.
    #[must_use]
    pub const fn programs(&self) -> u64 {
        self.run + self.equal + self.behind
    }

    /// Adds another's counts.
    pub const fn add(&mut self, other: &Self) {
        self.run += other.run;
        self.equal += other.equal;
        self.behind += other.behind;
        self.failing += other.failing;
    }
}

/// A finding with the program that shows it.
#[derive(Clone, Debug)]
pub(super) struct UnitFinding {
    pub unit: u64,
    pub steps: usize,
    pub number: u64,
    pub finding: Box<Finding>,
}

impl UnitFinding {
    /// Whether the two are of one kind.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.finding.identity() == other.finding.identity() && self.finding.voter == other.finding.voter
    }

    /// Which of one kind comes first.
    pub(super) const fn place(&self) -> (usize, u64) {
        (self.steps, self.number)
    }
}

/// A unit that was walked to its end.
pub(super) struct Walked {
    pub unit: u64,
    pub counts: Counts,
    pub tally: Tally,
    pub roll: Roll,
    /// Of each kind the first.
    pub findings: Vec<UnitFinding>,
}

/// Most programs that are remembered of those that ran before one.
const MOST_BEFORE: usize = 4096;

/// Why a unit has no end.
pub(super) enum Broken {
    /// It was stopped.
    Stopped,
    /// A voter is gone.
    Gone(Unavailable),
}

/// Who answers. One subject alone is asked without the detour of a panel, because programs are short and many.
enum Asked {
    One(Box<Checker>),
    Many(Box<Panel>),
}

/// Walks units; keeps its allocations from unit to unit.
pub(super) struct Walker<'a> {
    domain: &'a Domain,
    asked: Asked,
    /// Whether a skipped last step makes a program equal to a shorter one.
    subjects_only: bool,
    pool: &'a Pool<'a>,
    /// Where the walk of a unit is repeated to see what ran before a program: that program's number, and what ran so
    /// far.
    history: Option<(u64, Vec<Program>)>,
}

/// A unit on the way.
struct Visit<'w, 'a> {
    walker: &'w mut Walker<'a>,
    unit: u64,
    part: &'a Part,
    program: Program,
    letters: Vec<u16>,
    counts: Counts,
    tally: Tally,
    findings: Vec<UnitFinding>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(domain: &'a Domain, roster: &Roster, pool: &'a Pool<'a>) -> Result<Self, Unavailable> {
        let asked = match roster.alone()? {
            Some(checker) => Asked::One(Box::new(checker)),
            None => Asked::Many(Box::new(roster.panel(Look::Brief)?)),
        };
        Ok(Self { domain, asked, subjects_only: roster.shows_all(), pool, history: None })
    }

    fn ask(&mut self, program: &Program, tally: &mut Tally) -> Result<Option<Box<Finding>>, Unavailable> {
        match &mut self.asked {
            Asked::One(checker) => Ok(match checker.check_into(program, Ending::Close, tally, &mut ()) {
                Verdict::Finding(finding) => Some(finding),
                _ => None,
            }),
            Asked::Many(panel) => {
                let mut first = None;
                let task = Task::from(program.clone());
                panel.vote(&[task], tally, &mut |_, finding| first = Some(finding), &mut |_| {})?;
                Ok(first)
            }
        }
    }

    /// The programs that ran on the same subject before program `number` of a unit, the last [`MOST_BEFORE`] of them,
    /// in order.
    pub(super) fn before(&mut self, unit: u64, number: u64) -> Vec<sequence::Part> {
        self.history = Some((number, Vec::new()));
        // It is stopped at that program; a voter that is gone leaves what ran so far.
        let _ = self.walk(unit).map(drop);
        let (_, programs) = self.history.take().unwrap_or_default();
        let from = programs.len().saturating_sub(MOST_BEFORE);
        programs.into_iter().skip(from).map(|program| sequence::Part { program, left_open: false }).collect()
    }

    /// Walks the unit of that number, on subjects that have seen no other unit.
    pub(super) fn walk(&mut self, number: u64) -> Result<Walked, Broken> {
        let renewed = match &mut self.asked {
            Asked::One(checker) => checker.renew().map_err(Unavailable),
            Asked::Many(panel) => panel.renew(),
        };
        renewed.map_err(Broken::Gone)?;
        let domain = self.domain;
        let steps = domain.bound().steps;
        let (part, unit) = domain.unit(number);
        let mut visit = Visit {
            unit: number,
            part,
            program: part.scene.start.clone(),
            letters: Vec::with_capacity(steps),
            counts: Counts::default(),
            tally: Tally::default(),
            findings: Vec::new(),
            walker: self,
        };
        match unit {
            Unit::Short => visit.visit(part.stem - 1)?,
            Unit::Stem(stem) => visit.from(&stem, steps - stem.len())?,
        }
        let Visit { counts, tally, findings, .. } = visit;
        let roll = match &mut self.asked {
            Asked::One(_) => Roll::default(),
            Asked::Many(panel) => panel.take_roll(),
        };
        Ok(Walked { unit: number, counts, tally, roll, findings })
    }
}

impl Visit<'_, '_> {
    /// Walks a stem with its extensions by up to `left` steps, unless what comes before its last step says what they
    /// are.
    fn from(&mut self, stem: &[u16], left: usize) -> Result<(), Broken> {
        if let Some((last, before)) = stem.split_last() {
            for &letter in before {
                self.push(letter);
            }
            // That program is another unit's: its counts are not taken.
            let mut tally = Tally::default();
            self.note()?;
            let finding = self.walker.ask(&self.program, &mut tally).map_err(Broken::Gone)?;
            if let Asked::Many(panel) = &mut self.walker.asked {
                panel.take_roll();
            }
            let tree = self.part.trees[left];
            if tally.skipped > 0 && self.walker.subjects_only {
                self.counts.equal += tree;
                return Ok(());
            }
            if finding.is_some_and(|finding| finding.kind != Kind::End) {
                self.counts.behind += tree;
                return Ok(());
            }
            self.push(*last);
        }
        self.visit(left)
    }

    fn push(&mut self, letter: u16) {
        self.program.steps.push(self.part.scene.alphabet[usize::from(letter)].clone());
        self.letters.push(letter);
    }

    fn pop(&mut self) {
        self.program.steps.pop();
        self.letters.pop();
    }

    /// Notes that this program runs now, where that is asked for. Stops at the program up to which it is.
    fn note(&mut self) -> Result<(), Broken> {
        let Some((until, programs)) = &mut self.walker.history else { return Ok(()) };
        if self.walker.domain.number(self.part, &self.letters) == *until {
            return Err(Broken::Stopped);
        }
        programs.push(self.program.clone());
        Ok(())
    }

    /// Runs the program that stands there, of whose steps at most the last is skipped, and its extensions by up to
    /// `left` steps.
    fn visit(&mut self, left: usize) -> Result<(), Broken> {
        if self.walker.pool.over() {
            return Err(Broken::Stopped);
        }
        self.note()?;
        let skipped = self.tally.skipped;
        let finding = self.walker.ask(&self.program, &mut self.tally).map_err(Broken::Gone)?;
        if self.walker.subjects_only && self.tally.skipped > skipped {
            self.counts.equal += self.part.trees[left];
            return Ok(());
        }
        self.counts.run += 1;
        if let Some(finding) = finding {
            self.counts.failing += 1;
            let end = finding.kind == Kind::End;
            self.keep(finding);
            if !end {
                self.counts.behind += self.part.trees[left] - 1;
                return Ok(());
            }
        }
        if left > 0 {
            for letter in 0..self.part.scene.alphabet.len() as u16 {
                self.push(letter);
                self.visit(left - 1)?;
                self.pop();
            }
        }
        Ok(())
    }

    /// Keeps a finding if it is the first of its identity: of fewest steps, then of lowest number. Depth first comes
    /// upon long programs before short ones.
    fn keep(&mut self, finding: Box<Finding>) {
        let number = self.walker.domain.number(self.part, &self.letters);
        let found = UnitFinding { unit: self.unit, steps: self.letters.len(), number, finding };
        match self.findings.iter_mut().find(|known| known.same(&found)) {
            Some(known) if found.place() < known.place() => *known = found,
            Some(_) => {}
            None => self.findings.push(found),
        }
    }
}
