//! Answers: what a hypercall leaves in the guest's registers, and what a probe returns.

use crate::hcall::Status;

/// What a hypercall leaves in the guest's registers r3 and r4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HcallAnswer {
    /// r3: the status of the call.
    pub status: Status,
    /// The new value of r4: the TCE that a successful H_GET_TCE returns. `None` if the call left r4 unchanged, as every
    /// other call must.
    pub r4: Option<u64>,
}

impl HcallAnswer {
    /// An answer with `status` in r3 that leaves r4 unchanged.
    #[must_use]
    pub const fn status(status: Status) -> Self {
        Self { status, r4: None }
    }
}

/// What a probe of `get_page_unless_zero` or `put_page_unless_one` answers (semantics 3). Feature `serde` writes the
/// answer as `no_page`, `compound`, or `done` with its boolean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum ProbeAnswer {
    /// The lookup gave no address of the struct page, so the probe did nothing (`PAGE.NONE`).
    NoPage,
    /// The page is the head or a tail of a compound page, and the probe left it unchanged (`PAGE.COMPOUND`).
    Compound,
    /// `true`: `get_page_unless_zero` took a reference, or `put_page_unless_one` gave one back. `false`: the probe
    /// changed nothing, because the count was 0 (`get_page_unless_zero`) or 1 (`put_page_unless_one`).
    Done(bool),
}
