//! What goes wrong inside a step: panics and events of a subject, and mismatches, each told in words.

use std::panic::{AssertUnwindSafe, catch_unwind};

use contract::Rule;
use machine::RealMemory;
use machine::memory::{CpuReport, Event, Mode};

use crate::check::oracle::{Mismatch, Oracle};
use crate::check::verdict::ObjectDiff;
use programs::quiet;

/// One side's failure inside a step.
pub(crate) struct Failure {
    pub(crate) rule: Rule,
    pub(crate) field: &'static str,
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) found: String,
    /// The differing objects as both sides have them.
    pub(crate) objects: Vec<ObjectDiff>,
}

impl Failure {
    pub(crate) fn new(
        rule: Rule,
        field: &'static str,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self {
            rule,
            field,
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
            objects: Vec::new(),
        })
    }

    /// The first of what `oracle` found, if it found something.
    pub(crate) fn from_mismatches(oracle: &Oracle<'_>, found: Vec<Mismatch>) -> Outcomed<()> {
        if found.is_empty() {
            return Ok(());
        }
        let Some((first, all)) = Oracle::first(found) else { return Ok(()) };
        let mut failure = Self::new(first.rule, first.field, first.what, first.expected, first.found);
        failure.objects = oracle.diffs(&all);
        Err(failure)
    }
}

/// What a part of a step came to.
pub(crate) type Outcomed<T> = Result<T, Box<Failure>>;

/// Runs code of the subject; a panic is a finding.
pub(crate) fn guarded<T>(what: &str, report: Option<&dyn Fn() -> CpuReport>, run: impl FnOnce() -> T) -> Outcomed<T> {
    match quiet::quietly(|| catch_unwind(AssertUnwindSafe(run))) {
        Ok(value) => Ok(value),
        Err(_) => {
            let message = quiet::last_message();
            match report.map(|report| report()) {
                Some(report) if report.hung => {
                    let found = format!("no end after {} accesses", report.accesses - 1);
                    Err(Failure::new(Rule::SubjectHang, "hang", what, "an answer", found))
                }
                _ => Err(Failure::new(Rule::SubjectCrash, "panic", what, "an answer", format!("panic: {message}"))),
            }
        }
    }
}

/// An event of a CPU is a finding.
pub(crate) fn no_event(memory: &RealMemory, event: Option<Event>, mode: Mode) -> Outcomed<()> {
    let Some(Event { rule, at, pfn, allowed, seen, access, .. }) = event else { return Ok(()) };
    let mode = if mode == Mode::Real { "real mode" } else { "virtual mode" };
    let page = pfn.map_or(String::new(), |pfn| format!("count of page {pfn}"));
    let (field, what, expected, found) = match rule {
        Rule::RmFinalRelease => {
            ("count", page, "no last reference dropped in real mode".into(), "dropped from 1 to 0, or freed".into())
        }
        Rule::RefHeld => (
            "count",
            page,
            format!("at least {allowed}: own + mappings + hardware TCEs"),
            format!("{seen} after a store"),
        ),
        Rule::RefUnderflow => ("count", page, "no reference dropped at 0".to_string(), seen.to_string()),
        Rule::RmAlloc => {
            ("allocation", "allocation".into(), "none in real mode".into(), format!("{seen} bytes asked for"))
        }
        Rule::ListSnapshot => (
            "list",
            format!("list word at real address {at:#x}"),
            "read once, before the first store to a table".into(),
            if seen == 2 { "read a second time".into() } else { "read after a store to a table".into() },
        ),
        Rule::MemStray if pfn.is_some() => (
            "page flags",
            pfn.map_or(String::new(), |pfn| format!("flags of page {pfn}")),
            "no store once the last reference is gone".into(),
            "a store with count 0".into(),
        ),
        _ => (
            "address",
            format!("address {at:#x}{}", crate::check::change::whereabouts(memory, at)),
            format!("what {mode} may reach and a handler may store to"),
            "touched".into(),
        ),
    };
    Err(Failure::new(rule, field, format!("{what} (access {access} in {mode})"), expected, found))
}
