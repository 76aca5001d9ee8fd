//! Events: what a CPU did against the rules while it ran a call.

use contract::addr::Pfn;
use contract::rule::Rule;

/// What a CPU runs. Some rules hold only for hypercalls.
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
    /// The place: an effective or real address; for `REF.HELD` at a page-table entry the hva, for a freed page the pfn.
    pub at: u64,
    /// The page whose count or holders are concerned.
    pub pfn: Option<Pfn>,
    /// The allowed value: for counts, the least.
    pub allowed: i64,
    /// The value that was seen.
    pub seen: i64,
    /// Number of accesses that the CPU had made, this one included; at least 1.
    pub access: u64,
    /// Number of the event among those of all CPUs, from 0, ascending in time.
    pub sequence: u64,
}

/// The result of a CPU's run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuReport {
    /// Number of accesses that it made.
    pub accesses: u64,
    /// Its first event.
    pub event: Option<Event>,
    /// Whether it exceeded its limit of accesses.
    pub hung: bool,
}
