//! Walks through a unit depth first: pushes and pops steps, and runs one program after the other.
//!
//! Not every program must run. For each one that does not run, one of two arguments accounts for it.
//!
//! **Equal to a shorter one.** The last step of a program is skipped, because its precondition failed. Then nothing was
//! done: the reference reports the skip before anyone else is asked, real memory stays as it is, and no subject hears
//! of the step. So the program runs like the program without this step, and each extension runs like the same extension
//! without this step. The walk runs the program to see the skip, and does not run the extensions. The programs without
//! this step are in the domain too, one step shorter. If such a program has a skipped step as well, the argument
//! applies again, until a program is left of which no step is skipped. That program runs, or lies behind a finding. The
//! argument holds for subjects only. Another voter may react to a step that the reference skips, so with other voters
//! these extensions run too.
//!
//! **Behind a finding.** If a step shows a finding, no later step runs, so every extension shows the same finding at
//! the same step. A finding at the *end* of a program, where windows are closed, says nothing about the extensions,
//! which go on before that end.
//!
//! The first argument does not apply to a step that ran and changed nothing: the subject saw that step and may remember
//! it.

use contract::Program;
use programs::sequence;

use super::domain::{Domain, Part, Unit};
use crate::check::{Checker, Ending, Finding, Kind, Tally, Verdict};
use crate::hunts::pool::Pool;
use crate::voters::{Look, Panel, Roll, Roster, Shows, Task, Unavailable};

/// How the programs of a unit, or of several units, are accounted for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Number of programs that ran and are not equal to a shorter program.
    pub run: u64,
    /// Number of programs that equal a shorter program, because a step of theirs is skipped; 0 if a voter is no
    /// subject.
    pub equal: u64,
    /// Number of programs that lie behind a finding: they begin with a shorter program that shows a finding before its
    /// end. They did not run.
    pub behind: u64,
    /// Number of programs that ran and show a finding. They are counted in `run` too.
    pub failing: u64,
}

impl Counts {
    /// Returns how many programs are accounted for: `run`, `equal` and `behind` together.
    #[must_use]
    pub const fn programs(&self) -> u64 {
        self.run + self.equal + self.behind
    }

    /// Adds each count of `other` to the same count here.
    pub const fn add(&mut self, other: &Self) {
        self.run += other.run;
        self.equal += other.equal;
        self.behind += other.behind;
        self.failing += other.failing;
    }
}

/// A finding of a unit, with the program that shows it.
#[derive(Clone, Debug)]
pub(super) struct UnitFinding {
    /// Number of the unit in the domain, from 0.
    pub unit: u64,
    /// Number, in the domain, of the program that shows the finding, from 0.
    pub number: u64,
    pub program: Program,
    pub finding: Box<Finding>,
}

impl UnitFinding {
    /// Returns whether this finding and `other` are of one kind: the same identity and the same voter.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.finding.identity() == other.finding.identity() && self.finding.voter == other.finding.voter
    }

    /// Returns the key that orders findings of one kind: number of steps, then number of the program.
    pub(super) const fn place(&self) -> (usize, u64) {
        (self.program.steps.len(), self.number)
    }
}

/// The result of a unit that was walked to its end.
pub(super) struct Walked {
    pub unit: u64,
    pub counts: Counts,
    pub tally: Tally,
    pub roll: Roll,
    /// Of each kind of finding in the unit, the one with the least [`UnitFinding::place`]; in no fixed order.
    pub findings: Vec<UnitFinding>,
}

/// Largest number of programs that [`Walker::before`] returns.
const MOST_BEFORE: usize = 4096;

/// Why a walk ended before the end of its unit.
pub(super) enum Broken {
    /// The run was stopped or is past its deadline, or [`Walker::before`] has reached the program that it looks for.
    Stopped,
    /// This voter was lost for good.
    Gone(Unavailable),
}

/// Who runs the programs: a subject alone, or a panel of voters. For a subject alone a panel would take too much time
/// for each of the many short programs.
enum Asked {
    One(Box<Checker>, Roll),
    Many(Box<Panel>),
}

impl Asked {
    /// Returns the counts of the voters since the last call. For a subject alone, they hold only its verdicts.
    fn take_roll(&mut self) -> Roll {
        match self {
            Self::One(_, roll) => roll.take(),
            Self::Many(panel) => panel.take_roll(),
        }
    }
}

/// Walks units of the domain. Reuses its subject or panel, and its allocations, for the next unit.
pub(super) struct Walker<'a> {
    domain: &'a Domain,
    asked: Asked,
    /// Whether all voters are subjects. Only then is a program whose last step is skipped equal to a shorter program.
    subjects_only: bool,
    pool: &'a Pool<'a>,
    /// Set only while [`before`](Self::before) runs: the number of the program to stop at, and the programs that ran so
    /// far.
    history: Option<(u64, Vec<Program>)>,
}

/// The walk through one unit, as far as it has come.
struct Visit<'w, 'a> {
    walker: &'w mut Walker<'a>,
    /// Number of the unit in the domain, from 0.
    unit: u64,
    part: &'a Part,
    /// The program that the walk runs now or has just run.
    program: Program,
    /// The steps of `program`, as indices into the alphabet of the part, from 0.
    letters: Vec<u16>,
    counts: Counts,
    tally: Tally,
    findings: Vec<UnitFinding>,
}

impl<'a> Walker<'a> {
    /// Makes a walker with a subject or a panel of its own. Fails if this computer cannot run a voter; the error says
    /// which.
    pub(super) fn new(domain: &'a Domain, roster: &Roster, pool: &'a Pool<'a>) -> Result<Self, Unavailable> {
        let asked = match roster.alone()? {
            Some(checker) => {
                let voters = roster.names().into_iter().map(|name| (name, Shows::ALL));
                Asked::One(Box::new(checker), Roll::blank(voters, 0))
            }
            None => Asked::Many(Box::new(roster.panel(Look::Brief)?)),
        };
        Ok(Self { domain, asked, subjects_only: roster.subjects_only(), pool, history: None })
    }

    /// Runs a program on the subject or the panel, and adds the first voter's counts of this run to `tally`. Returns
    /// the finding, or `None` if the program shows none or was not compared. Fails if a voter is lost for good.
    fn ask(&mut self, program: &Program, tally: &mut Tally) -> Result<Option<Box<Finding>>, Unavailable> {
        match &mut self.asked {
            Asked::One(checker, roll) => {
                let verdict = checker.check_into(program, Ending::Close, tally, &mut ());
                roll.voters.iter_mut().for_each(|voter| voter.count(&verdict));
                Ok(match verdict {
                    Verdict::Finding(finding) => Some(finding),
                    _ => None,
                })
            }
            Asked::Many(panel) => {
                let mut first = None;
                let task = Task::from(program.clone());
                panel.vote(&[task], tally, &mut |_, finding| first = Some(finding), &mut |_| {})?;
                Ok(first)
            }
        }
    }

    /// Returns the programs of the unit that run on the same subject before the program with this number in the domain,
    /// in order; at most the last [`MOST_BEFORE`]. Walks the unit again to find out. Fails if a voter is lost on the
    /// way.
    pub(super) fn before(&mut self, unit: u64, number: u64) -> Result<Vec<sequence::Part>, Unavailable> {
        self.history = Some((number, Vec::new()));
        // The walk stops at that program.
        let walked = self.walk(unit).map(drop);
        let (_, programs) = self.history.take().unwrap_or_default();
        if let Err(Broken::Gone(gone)) = walked {
            return Err(gone);
        }
        let from = programs.len().saturating_sub(MOST_BEFORE);
        Ok(programs.into_iter().skip(from).map(|program| sequence::Part { program, left_open: false }).collect())
    }

    /// Walks the unit with this number, on a subject or voters that have seen no other unit. The error says why the
    /// walk ended early.
    pub(super) fn walk(&mut self, number: u64) -> Result<Walked, Broken> {
        let renewed = match &mut self.asked {
            Asked::One(checker, _) => checker.renew().map_err(Unavailable),
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
        let mut roll = self.asked.take_roll();
        if let (Asked::One(..), [voter]) = (&self.asked, &mut roll.voters[..]) {
            (voter.hypercalls, voter.not_asked) = (tally.hypercalls, tally.not_asked);
        }
        Ok(Walked { unit: number, counts, tally, roll, findings })
    }
}

impl Visit<'_, '_> {
    /// Walks a stem with its extensions by up to `left` steps. Runs the stem without its last step first. If that
    /// program has a skipped step (and all voters are subjects), or a finding that is not at the end, the stem and the
    /// stem's extensions are accounted for and do not run.
    fn from(&mut self, stem: &[u16], left: usize) -> Result<(), Broken> {
        if let Some((last, before)) = stem.split_last() {
            for &letter in before {
                self.push(letter);
            }
            // The program without the last step belongs to another unit, so its counts are not taken.
            let mut tally = Tally::default();
            self.note()?;
            let finding = self.walker.ask(&self.program, &mut tally).map_err(Broken::Gone)?;
            self.walker.asked.take_roll();
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

    /// Appends the step with this index in the alphabet to the program.
    fn push(&mut self, letter: u16) {
        self.program.steps.push(self.part.scene.alphabet[usize::from(letter)].clone());
        self.letters.push(letter);
    }

    /// Removes the last step from the program.
    fn pop(&mut self) {
        self.program.steps.pop();
        self.letters.pop();
    }

    /// Notes the current program for [`Walker::before`], because it runs now. Stops the walk if it is the program that
    /// `before` looks for. Does nothing at other times.
    fn note(&mut self) -> Result<(), Broken> {
        let Some((until, programs)) = &mut self.walker.history else { return Ok(()) };
        if self.walker.domain.number(self.part, &self.letters) == *until {
            return Err(Broken::Stopped);
        }
        programs.push(self.program.clone());
        Ok(())
    }

    /// Runs the current program, then its extensions by up to `left` steps, as far as they must run, and adds them to
    /// the counts and findings of the unit. If all voters are subjects, no step before the current program's last one
    /// may be skipped.
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

    /// Keeps a finding of the current program if it is the first of its kind by [`place`](UnitFinding::place). A later
    /// finding can replace an earlier one, because the walk is depth first and meets long programs before some short
    /// ones.
    fn keep(&mut self, finding: Box<Finding>) {
        let number = self.walker.domain.number(self.part, &self.letters);
        let found = UnitFinding { unit: self.unit, number, program: self.program.clone(), finding };
        match self.findings.iter_mut().find(|known| known.same(&found)) {
            Some(known) if found.place() < known.place() => *known = found,
            Some(_) => {}
            None => self.findings.push(found),
        }
    }
}
