//! Counts of checked programs.

use contract::{Rule, RuleSet, Status};
use serde::{Deserialize, Serialize};

/// How a rule was decided.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// Programs.
    pub programs: u64,
    /// Steps, skipped ones included.
    pub steps: u64,
    /// Steps whose precondition failed.
    pub skipped: u64,
    /// Steps that the voter was not asked, because it does not cover them or would take them for something else.
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
