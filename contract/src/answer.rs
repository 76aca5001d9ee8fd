//! What a hypercall and a probe answer.

use crate::hcall::Status;

/// What a hypercall left in the guest's registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HcallAnswer {
    /// r3.
    pub status: Status,
    /// r4 where the call wrote it (a successful H_GET_TCE), `None` where it stays as it was.
    pub r4: Option<u64>,
}

impl HcallAnswer {
    /// An answer that leaves r4 alone.
    #[must_use]
    pub const fn status(status: Status) -> Self {
        Self { status, r4: None }
    }
}

/// What a probe of `get_page_unless_zero` or `put_page_unless_one` answers (semantics 3). With feature `serde` it is
/// `no_page`, `compound`, or `done` with its boolean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum ProbeAnswer {
    /// The lookup gave no address.
    NoPage,
    /// A head or tail, left alone.
    Compound,
    /// Whether the reference was taken or given back.
    Done(bool),
}
