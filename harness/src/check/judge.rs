//! The judge: picks the rule to report if one step breaks several.

use contract::Rule;

use super::failure::Failure;

/// The order in which rules are reported (docs/semantics.md, section 7), the most urgent line first. If a step breaks
/// several rules, the rule on the first line is reported; of rules on one line, the rule that the judge heard first.
const ORDER: &[&[Rule]] = &[
    &[Rule::HarnessFault],
    // Events, which a CPU notes while it makes its accesses. A CPU keeps only its earliest event.
    &[
        Rule::RmFinalRelease,
        Rule::RmBadAccess,
        Rule::RmAlloc,
        Rule::RmBounded,
        Rule::RefHeld,
        Rule::RefUnderflow,
        Rule::ListSnapshot,
        Rule::MemStray,
    ],
    &[Rule::SubjectCrash, Rule::SubjectHang],
    &[Rule::SubjectProtocol],
    &[Rule::DeferClean],
    &[Rule::RmLazy, Rule::DeferPte, Rule::DeferLookup, Rule::DeferCompound, Rule::DeferLastRef],
    &[Rule::DivergeStatus],
    &[Rule::DivergeR4],
    &[Rule::DivergeTce],
    &[Rule::DivergeCount],
    &[Rule::DivergeFlag],
    &[Rule::DivergeLookup],
    &[Rule::RefConserve],
    &[Rule::RefLeak],
];

/// Returns the index of the rule's line in [`ORDER`], from 0 for the most urgent line. Returns `u8::MAX` for a rule
/// that is not in [`ORDER`]: it only decides steps and cannot be broken.
pub(crate) const fn rank(rule: Rule) -> u8 {
    RANKS[rule as usize]
}

const RANKS: [u8; Rule::ALL.len()] = {
    let mut ranks = [u8::MAX; Rule::ALL.len()];
    let mut line = 0;
    while line < ORDER.len() {
        let mut at = 0;
        while at < ORDER[line].len() {
            ranks[ORDER[line][at] as usize] = line as u8;
            at += 1;
        }
        line += 1;
    }
    ranks
};

/// Hears the failures of one step and keeps the most urgent one.
#[derive(Default)]
pub(crate) struct Judge {
    worst: Option<Box<Failure>>,
}

impl Judge {
    /// Hears a failure. Keeps it if its rule comes earlier in [`ORDER`] than the rule of the failure kept so far.
    pub(crate) fn hear(&mut self, failure: Box<Failure>) {
        if self.worst.as_ref().is_none_or(|worst| rank(failure.rule) < rank(worst.rule)) {
            self.worst = Some(failure);
        }
    }

    /// Returns whether the judge would keep a failure with this rule if it heard one now.
    pub(crate) fn would_report(&self, rule: Rule) -> bool {
        self.worst.as_ref().is_none_or(|worst| rank(rule) < rank(worst.rule))
    }

    /// Returns the failure to report as an error, or `Ok` if the judge heard none.
    pub(crate) fn verdict(self) -> Result<(), Box<Failure>> {
        self.worst.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Thing;

    #[test]
    fn every_rule_that_can_be_broken_has_its_place() {
        for &rule in Rule::ALL {
            let breakable = matches!(rule.kind(), contract::rule::RuleKind::Finding | contract::rule::RuleKind::Reason);
            assert_eq!(rank(rule) != u8::MAX, breakable, "{rule}");
            assert!(
                ORDER.iter().flat_map(|line| line.iter()).filter(|other| **other == rule).count() <= 1,
                "{rule} twice"
            );
        }
    }

    #[test]
    fn the_judge_reports_by_the_table_whatever_the_order_of_hearing() {
        let rules = [Rule::DivergeCount, Rule::DeferClean, Rule::DivergeLookup, Rule::RmBadAccess, Rule::RefConserve];
        for first in 0..rules.len() {
            let mut judge = Judge::default();
            for offset in 0..rules.len() {
                judge.hear(Failure::new(rules[(first + offset) % rules.len()], Thing::Call, "", ""));
            }
            assert_eq!(judge.verdict().unwrap_err().rule, Rule::RmBadAccess);
        }
    }
}
