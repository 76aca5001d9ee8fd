//! The candidates with one planted fault each. The list is empty here, because planted faults are patches
//! (tests/defects/). `scripts/defects` writes its own list over this file in its scratch copy, so that one build holds
//! all planted faults.

use machine::Subject;

/// A candidate with one planted fault.
pub(super) struct Planted {
    /// Name of the planted fault, which is also the name of its patch.
    pub name: &'static str,
    /// Makes a new candidate with this fault.
    pub make: fn() -> Box<dyn Subject + Send>,
}

/// All candidates with a planted fault.
pub(super) static PLANTED: &[Planted] = &[];
