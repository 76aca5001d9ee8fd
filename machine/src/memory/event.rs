//! Events: what a CPU did against the rules while it ran a call.

use contract::addr::Pfn;
use contract::rule::Rule;

/// The kind of call that a CPU runs. Some rules hold only for hypercalls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// The real-mode half or the virtual-mode half of a hypercall.
    Hypercall,
    /// A probe: `pfn_to_page`, `get_page_unless_zero` or `put_page_unless_one`.
    Probe,
    /// The closing of a DMA window.
    Close,
}

/// A broken rule that memory saw while a CPU ran a call (docs/semantics.md, section 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The broken rule.
    pub rule: Rule,
    /// Where it happened: an effective or real address; for a change of a page-table entry the hva, for a freed page
    /// its pfn, for an allocation 0.
    pub at: u64,
    /// The page that the event is about, for example because of its count; `None` if the event is about no page.
    pub pfn: Option<Pfn>,
    /// The value that the rule allows, for example the least reference count; 0 if the rule is not about a value.
    pub allowed: i64,
    /// The value that memory saw, for example the reference count; 0 if the rule is not about a value.
    pub seen: i64,
    /// Number of accesses that the CPU had made in this call when the event happened, the current one included; at
    /// least 1.
    pub access: u64,
    /// Number of the event in this program, from 0, ascending in time. Only the first event of each call has a number.
    pub sequence: u64,
}

/// The result of one call that a CPU ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuReport {
    /// Number of accesses that the CPU made. If the call hung, this includes the access that was refused.
    pub accesses: u64,
    /// The first event of the call; `None` if no rule was broken.
    pub event: Option<Event>,
    /// Whether the CPU exceeded its limit of accesses, which an event lowers, so that the call counts as hung.
    pub hung: bool,
}
