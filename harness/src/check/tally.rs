//! Counts of checked programs, for example of steps, of hypercalls, and of how often each rule was decided.

use contract::{Rule, RuleSet, Status, Step};
use reference::{Answer, Outcome};
use serde::{Deserialize, Serialize};

/// In how many steps one rule was decided, by mode and by answer. Counts only steps that the reference and the voter
/// answered alike.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct RuleTally {
    /// Number of steps in which the rule was decided and that virtual mode did not finish: hypercalls that real mode
    /// finished, probes, and all hypercalls of a voter without modes, such as QEMU.
    pub real: u64,
    /// Number of hypercalls that virtual mode finished and in which the rule was decided.
    pub deferred: u64,
    /// Number of steps with the rule that succeeded: hypercalls answered H_SUCCESS, lookups that found a struct page,
    /// and probes answered `true`.
    pub accepted: u64,
    /// Number of steps with the rule that did not succeed: hypercalls, lookups and probes with any other answer.
    pub refused: u64,
}

impl RuleTally {
    /// Returns in how many steps the rule was decided: `real` and `deferred` together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.real + self.deferred
    }
}

/// Counts of one checked program, or the sums over many.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// Number of programs that were checked.
    pub programs: u64,
    /// Number of steps that the check reached, including steps that were skipped or not asked.
    pub steps: u64,
    /// Number of steps that were skipped because their precondition failed.
    pub skipped: u64,
    /// Number of steps that were not asked: the voter does not cover the step, or would take it for something else.
    pub not_asked: u64,
    /// Number of hypercalls that the reference and the voter answered alike.
    pub hypercalls: u64,
    /// Of `hypercalls`, the number of those answered H_SUCCESS.
    pub accepted: u64,
    /// Of `hypercalls`, the number of those that virtual mode finished.
    pub deferred: u64,
    /// Number of window entries that the hypercalls answered H_SUCCESS asked for.
    pub entries: u64,
    /// How often each rule was decided. One item for each rule, in the order of [`Rule::ALL`]. A reason to defer counts
    /// only for a voter with a real-mode half: of another voter it is not compared whether it had to defer.
    pub rules: Vec<RuleTally>,
}

impl Default for Tally {
    fn default() -> Self {
        Self::zero(vec![RuleTally::default(); Rule::ALL.len()])
    }
}

impl Tally {
    /// Returns the counts of `rule`.
    #[must_use]
    pub fn rule(&self, rule: Rule) -> RuleTally {
        self.rules.get(rule as usize).copied().unwrap_or_default()
    }

    /// Returns the number of rules of [`Rule::outcomes`], reasons to defer included, that took part in at least one
    /// step.
    #[must_use]
    pub fn reached(&self) -> usize {
        Rule::outcomes().filter(|rule| self.rule(*rule).total() > 0).count()
    }

    /// Sets all counts to zero and keeps the allocation of `rules`.
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

    /// Adds each count of `other` to the same count here.
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

    /// Counts one step for each rule in `rules`. `deferred` says that virtual mode finished the step, `accepted` that
    /// the answer was a success.
    pub(crate) fn count_rules(&mut self, rules: RuleSet, deferred: bool, accepted: bool) {
        for rule in rules.iter() {
            let tally = &mut self.rules[rule as usize];
            *(if deferred { &mut tally.deferred } else { &mut tally.real }) += 1;
            *(if accepted { &mut tally.accepted } else { &mut tally.refused }) += 1;
        }
    }

    /// Counts one hypercall with this status, in which these rules were decided and which asked for `entries` entries.
    /// `deferred` says that virtual mode finished it. Entries count only for H_SUCCESS.
    pub(crate) fn count_hypercall(&mut self, status: Status, rules: RuleSet, deferred: bool, entries: u64) {
        self.hypercalls += 1;
        self.deferred += u64::from(deferred);
        if status == Status::SUCCESS {
            self.accepted += 1;
            self.entries += entries;
        }
        self.count_rules(rules, deferred, status == Status::SUCCESS);
    }

    /// Counts what became of a step with this outcome, for a voter that has no modes and shows no probes: that it was
    /// skipped or, for a hypercall, that the voter answered it like the reference or, without `asked`, was not asked
    /// it. Does not count the step in `steps`.
    pub(crate) fn count_step(&mut self, step: &Step, outcome: &Outcome, asked: bool) {
        match (step, outcome.answer) {
            (_, Answer::Skipped(_)) => self.skipped += 1,
            (Step::Hypercall { .. }, _) if !asked => self.not_asked += 1,
            (Step::Hypercall { call, .. }, Answer::Hypercall { status, .. }) => {
                // Reasons to defer are not counted: the voter does not show which of its halves finished the call.
                self.count_hypercall(status, outcome.rules.without_reasons(), false, call.count());
            }
            _ => {}
        }
    }
}
