//! Counts of checked programs: steps, hypercalls, and how often each rule was decided.

use contract::{Rule, RuleSet, Status};
use serde::{Deserialize, Serialize};

/// How often one rule was decided, and how.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct RuleTally {
    /// In steps that real mode finished.
    pub real: u64,
    /// In calls that virtual mode finished.
    pub deferred: u64,
    /// In hypercalls answered H_SUCCESS, lookups that found a struct page, and probes answered `true`.
    pub accepted: u64,
    /// In hypercalls, lookups and probes with another answer.
    pub refused: u64,
}

impl RuleTally {
    /// Returns in how many steps the rule was decided.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.real + self.deferred
    }
}

/// Counts of one program or of many.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// Programs that were checked.
    pub programs: u64,
    /// Steps that were reached, skipped ones included.
    pub steps: u64,
    /// Steps that were skipped because their precondition failed.
    pub skipped: u64,
    /// Steps that the voter was not asked, because it does not cover them or would take them for something else.
    pub not_asked: u64,
    /// Hypercalls whose answers were equal on both sides.
    pub hypercalls: u64,
    /// Of the hypercalls, those answered H_SUCCESS.
    pub accepted: u64,
    /// Of the hypercalls, those that virtual mode finished.
    pub deferred: u64,
    /// Entries that the accepted hypercalls asked for.
    pub entries: u64,
    /// How often each rule was decided, in the order of [`Rule::ALL`].
    pub rules: Vec<RuleTally>,
}

impl Default for Tally {
    fn default() -> Self {
        Self::zero(vec![RuleTally::default(); Rule::ALL.len()])
    }
}

impl Tally {
    /// Returns the counts of one rule.
    #[must_use]
    pub fn rule(&self, rule: Rule) -> RuleTally {
        self.rules.get(rule as usize).copied().unwrap_or_default()
    }

    /// Returns how many outcome rules were decided at least once.
    #[must_use]
    pub fn reached(&self) -> usize {
        Rule::outcomes().filter(|rule| self.rule(*rule).total() > 0).count()
    }

    /// Sets all counts to zero and keeps the allocation.
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

    /// Adds the counts of `other`.
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

    /// Counts one step for each of these rules.
    pub(crate) fn count_rules(&mut self, rules: RuleSet, deferred: bool, accepted: bool) {
        for rule in rules.iter() {
            let tally = &mut self.rules[rule as usize];
            *(if deferred { &mut tally.deferred } else { &mut tally.real }) += 1;
            *(if accepted { &mut tally.accepted } else { &mut tally.refused }) += 1;
        }
    }

    /// Counts one hypercall that asked for this many entries.
    pub(crate) fn count_hypercall(&mut self, status: Status, deferred: bool, entries: u64) {
        self.hypercalls += 1;
        self.deferred += u64::from(deferred);
        if status == Status::SUCCESS {
            self.accepted += 1;
            self.entries += entries;
        }
    }
}
