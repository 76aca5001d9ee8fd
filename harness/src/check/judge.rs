//! The judge: picks the rule to report if one step breaks several.

use contract::Rule;
use machine::RealMemory;
use machine::memory::Event;

use super::change;
use super::finding::{Code, Moment, ObjectDiff, Thing, Whereabouts};
use super::oracle::{Mismatch, Oracle};

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

/// A broken rule, seen at one place of a program: the start, a step, or the end. The failure does not say at which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    pub(crate) rule: Rule,
    pub(crate) thing: Thing,
    pub(crate) moment: Moment,
    pub(crate) expected: String,
    pub(crate) found: String,
    /// The objects that differ, each as the reference and as memory have it; at most
    /// [`MAX_OBJECTS`](super::finding::MAX_OBJECTS).
    pub(crate) objects: Vec<ObjectDiff>,
}

impl Failure {
    /// Makes a failure that was seen after the step ([`Moment::After`]), without objects.
    pub(crate) fn new(rule: Rule, thing: Thing, expected: impl Into<String>, found: impl Into<String>) -> Box<Self> {
        let (expected, found) = (expected.into(), found.into());
        Box::new(Self { rule, thing, moment: Moment::After, expected, found, objects: Vec::new() })
    }

    /// Sets the moment at which the failure was seen, and returns the failure.
    pub(crate) fn at(mut self: Box<Self>, moment: Moment) -> Box<Self> {
        self.moment = moment;
        self
    }

    /// Makes a failure of the mismatch to report, with the objects of all mismatches in `found`. Returns `None` if
    /// `found` is empty.
    pub(crate) fn of_mismatches(oracle: &Oracle<'_>, found: Vec<Mismatch>) -> Option<Box<Self>> {
        let (first, all) = Oracle::first(found)?;
        let mut failure = Self::new(first.rule, first.thing, first.expected, first.found);
        failure.objects = oracle.diffs(&all);
        Some(failure)
    }

    /// Makes a failure of an event: a broken rule that memory saw at an access of `code`, a part of the subject.
    pub(crate) fn of_event(memory: &RealMemory, event: Event, code: Code) -> Box<Self> {
        let Event { rule, at, pfn, allowed, seen, access, .. } = event;
        let (thing, expected, found) = match (rule, pfn) {
            (Rule::RmFinalRelease, Some(pfn)) => (
                Thing::Count(pfn),
                "no last reference dropped in real mode".into(),
                "dropped from 1 to 0, or freed".into(),
            ),
            (Rule::RefHeld, Some(pfn)) => (
                Thing::Count(pfn),
                format!("at least {allowed}: own + mappings + hardware TCEs"),
                format!("{seen} after a store"),
            ),
            (Rule::RefUnderflow, Some(pfn)) => {
                (Thing::Count(pfn), "no reference dropped at 0".into(), seen.to_string())
            }
            (Rule::RmAlloc, _) => (Thing::Allocation, "none in real mode".into(), format!("{seen} bytes asked for")),
            (Rule::ListSnapshot, _) => (
                Thing::ListWord(contract::RealAddr(at)),
                "read once, before the first store to a table".into(),
                if seen == 2 { "read a second time".into() } else { "read after a store to a table".into() },
            ),
            (Rule::MemStray, Some(pfn)) => {
                (Thing::Flags(pfn), "no store once the last reference is gone".into(), "a store with count 0".into())
            }
            _ => {
                let whereabouts: Whereabouts = change::whereabouts(memory, at);
                let expected = format!("what {} may reach and a handler may store to", code.mode());
                (Thing::Address(at, whereabouts), expected, "touched".into())
            }
        };
        Self::new(rule, thing, expected, found).at(Moment::Access(access, code))
    }
}

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
