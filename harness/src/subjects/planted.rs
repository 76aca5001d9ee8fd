//! Candidates with a planted fault each. There is none here: faults are patches (tests/defects/), and `scripts/defects`
//! writes its list over this file in its scratch copy, so that one build holds them all.

use machine::Subject;

/// A candidate with a fault.
pub(super) struct Planted {
    /// The fault's name: that of its patch.
    pub name: &'static str,
    /// Makes the candidate.
    pub make: fn() -> Box<dyn Subject + Send>,
}

/// All of them.
pub(super) static PLANTED: &[Planted] = &[];
