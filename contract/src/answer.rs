//! Answers: what a hypercall leaves in the guest's registers, and what a probe returns.

use crate::hcall::Status;

/// The guest's registers after a hypercall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HcallAnswer {
    /// r3: the status of the call.
    pub status: Status,
    /// The new value of r4, or `None` if the call left r4 unchanged. Only a successful H_GET_TCE writes r4.
    pub r4: Option<u64>,
}

impl HcallAnswer {
    /// An answer with `status` that leaves r4 unchanged.
    #[must_use]
    pub const fn status(status: Status) -> Self {
        Self { status, r4: None }
    }
}

/// What a probe of `get_page_unless_zero` or `put_page_unless_one` answers (semantics 3). Feature `serde` writes it as
/// `no_page`, `compound`, or `done` with its boolean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum ProbeAnswer {
    /// The lookup gave no address (`PAGE.NONE`).
    NoPage,
    /// The page is a head or a tail, and the probe left it unchanged (`PAGE.COMPOUND`).
    Compound,
    /// `true` if the probe took a reference or gave one back, `false` if the reference count forbade it.
    Done(bool),
}
