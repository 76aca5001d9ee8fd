//! A failure: a broken rule and what shows it, before the judge has picked the one to report. The oracle, the checker
//! and the memory's events make failures.

use contract::Rule;
use machine::RealMemory;
use machine::memory::Event;

use super::change;
use super::finding::{Code, Moment, ObjectDiff, Thing, Whereabouts};

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
