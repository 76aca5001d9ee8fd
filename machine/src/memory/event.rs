//! What a CPU is running, and what became of it.

use contract::addr::Pfn;
use contract::rule::Rule;

/// What a CPU is running: some rules hold for hypercalls alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// One mode's run of a hypercall.
    Hypercall,
    /// A probe: `pfn_to_page`, `get_page_unless_zero` or `put_page_unless_one`.
    Probe,
    /// The closing of a window.
    Close,
}

/// Something a CPU did that it must not do (docs/semantics.md, section 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The rule that it broke.
    pub rule: Rule,
    /// Where: an effective or real address; for `REF.HELD` at a page-table entry the hva, for a freed page the pfn.
    pub at: u64,
    /// The page whose count or holders are concerned.
    pub pfn: Option<Pfn>,
    /// What was allowed: for counts, the least.
    pub allowed: i64,
    /// What was seen.
    pub seen: i64,
    /// How many accesses the CPU had made, this one included; at least 1.
    pub access: u64,
    /// Rises from event to event of all CPUs, from 0.
    pub sequence: u64,
}

/// What became of a CPU's run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuReport {
    /// Accesses that it made.
    pub accesses: u64,
    /// The first thing it did that it must not do.
    pub event: Option<Event>,
    /// Whether it reached its limit of accesses.
    pub hung: bool,
}
