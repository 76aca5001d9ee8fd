//! What comes out of a check.

use std::fmt;

use contract::description::Invalid;
use contract::{Rule, RuleSet, Status};

/// What [`check`](crate::check()) says of a program.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Both sides agreed from the first step to the end.
    Agreed(Tally),
    /// The program describes no sound machine, so there is nothing to compare.
    Invalid(Invalid),
    /// A rule was broken. The tally counts what came before.
    Finding(Box<Finding>, Tally),
}

impl Verdict {
    /// The finding, if there is one.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Finding(finding, _) => Some(finding),
            _ => None,
        }
    }

    /// The finding, if there is one.
    #[must_use]
    pub fn into_finding(self) -> Option<Finding> {
        match self {
            Self::Finding(finding, _) => Some(*finding),
            _ => None,
        }
    }
}

/// What the shrinker keeps: a smaller program shows the same finding if this is equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity {
    /// The broken rule.
    pub rule: Rule,
    /// Which kind of thing differs, such as `count` or `status`.
    pub field: &'static str,
    /// The kind of step; `start` before the first, `end` for the end of the program.
    pub kind: &'static str,
}

/// One object as both sides have it, printed, for the report's diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectDiff {
    /// Such as `page 0x12`.
    pub name: String,
    /// As the reference has it.
    pub reference: String,
    /// As it lies in real memory.
    pub memory: String,
}

/// A broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Rule, field and kind of step.
    pub identity: Identity,
    /// Index of the first differing step; the number of steps for the end of the program.
    pub step: usize,
    /// Index of the last step on which both sides agree, if there is one.
    pub agreed: Option<usize>,
    /// What differs, such as `count of page 0x12`.
    pub what: String,
    /// What the reference, or the rule, expects.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// The differing objects, at most [`MAX_OBJECTS`].
    pub objects: Vec<ObjectDiff>,
    /// Who differs from the reference.
    pub voter: String,
    /// Where there are more voters than one: what each of them answered, the reference first.
    pub votes: Vec<Vote>,
    /// What the subject itself had to say of the program.
    pub log: Vec<String>,
}

/// What one voter answered where another differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vote {
    /// Its name.
    pub voter: String,
    /// Its answer.
    pub answer: String,
}

/// Most objects that a finding shows.
pub const MAX_OBJECTS: usize = 8;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { rule, kind, .. } = self.identity;
        write!(f, "{rule} at ")?;
        match kind {
            "start" => f.write_str("the start")?,
            "end" => f.write_str("the end of the program")?,
            _ => write!(f, "step {} ({kind})", self.step + 1)?,
        }
        write!(f, ": {}: expected {}, found {}", self.what, self.expected, self.found)
    }
}

/// How a rule was decided.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RuleTally {
    /// In steps that real mode finished.
    pub real: u64,
    /// In calls that real mode deferred and virtual mode finished.
    pub deferred: u64,
    /// In hypercalls answered H_SUCCESS, and probes that took, gave or found something.
    pub accepted: u64,
    /// In hypercalls answered otherwise, and probes that did not.
    pub refused: u64,
}

impl RuleTally {
    /// Steps in all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.real + self.deferred
    }
}

/// Counts of one or many programs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Programs.
    pub programs: u64,
    /// Steps, skipped ones included.
    pub steps: u64,
    /// Steps whose precondition failed.
    pub skipped: u64,
    /// Steps that the subject does not cover, which were left out.
    pub not_asked: u64,
    /// Hypercalls.
    pub hypercalls: u64,
    /// Hypercalls answered H_SUCCESS.
    pub accepted: u64,
    /// Hypercalls that real mode deferred.
    pub deferred: u64,
    /// Entries that accepted calls named.
    pub entries: u64,
    /// By rule, in the order of [`Rule::ALL`].
    pub rules: Vec<RuleTally>,
}

impl Default for Tally {
    fn default() -> Self {
        Self::zero(vec![RuleTally::default(); Rule::ALL.len()])
    }
}

impl Tally {
    /// The counts of one rule.
    #[must_use]
    pub fn rule(&self, rule: Rule) -> RuleTally {
        self.rules.get(rule as usize).copied().unwrap_or_default()
    }

    /// Outcome rules that were decided at least once.
    #[must_use]
    pub fn reached(&self) -> usize {
        Rule::outcomes().filter(|rule| self.rule(*rule).total() > 0).count()
    }

    /// Starts again at zero, keeping the allocation.
    pub fn clear(&mut self) {
        let mut rules = std::mem::take(&mut self.rules);
        rules.fill(RuleTally::default());
        *self = Self::zero(rules);
    }

    const fn zero(rules: Vec<RuleTally>) -> Self {
        Self {
            programs: 0,
            steps: 0,
            skipped: 0,
            not_asked: 0,
            hypercalls: 0,
            accepted: 0,
            deferred: 0,
            entries: 0,
            rules,
        }
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.programs += other.programs;
        self.steps += other.steps;
        self.skipped += other.skipped;
        self.not_asked += other.not_asked;
        self.hypercalls += other.hypercalls;
        self.accepted += other.accepted;
        self.deferred += other.deferred;
        self.entries += other.entries;
        for (sum, rule) in self.rules.iter_mut().zip(&other.rules) {
            sum.real += rule.real;
            sum.deferred += rule.deferred;
            sum.accepted += rule.accepted;
            sum.refused += rule.refused;
        }
    }

    pub(crate) fn count_rules(&mut self, rules: RuleSet, deferred: bool, accepted: bool) {
        for rule in rules.iter() {
            let tally = &mut self.rules[rule as usize];
            *(if deferred { &mut tally.deferred } else { &mut tally.real }) += 1;
            *(if accepted { &mut tally.accepted } else { &mut tally.refused }) += 1;
        }
    }

    pub(crate) fn count_hypercall(&mut self, status: Status, deferred: bool, entries: u64) {
        self.hypercalls += 1;
        self.deferred += u64::from(deferred);
        if status == Status::SUCCESS {
            self.accepted += 1;
            self.entries += entries;
        }
    }
}
