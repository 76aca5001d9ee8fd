//! Candidates with a planted fault each. The list is empty here, because planted faults are patches (tests/defects/).
//! `scripts/defects` writes its own list over this file in its scratch copy, so that one build holds all of them.

use machine::Subject;

/// A candidate with one planted fault.
pub(super) struct Planted {
    /// Name of the planted fault: that of its patch.
    pub name: &'static str,
    /// Makes the candidate.
    pub make: fn() -> Box<dyn Subject + Send>,
}

/// All planted candidates.
pub(super) static PLANTED: &[Planted] = &[];
