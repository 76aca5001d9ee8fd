//! Hunts: they run many programs, from the generator, from an exhaustive domain, or from a fuzzing engine.
//!
//! | module | what it does |
//! |---|---|
//! | [`pool`] | runs the threads of a hunt, shows progress, and merges the results; every hunt uses it |
//! | [`pursuit`] | takes a catch to its record: shrinks it on fresh subjects and records it |
//! | [`campaign`] | checks random programs |
//! | [`exhaust`] | checks every program up to a bound, in a small domain |
//! | [`triage`] | checks the crash files of fuzzing engines |
//! | [`engine`] | runs one input of a fuzzing engine |
//! | [`stats`] | measures a corpus |

pub mod campaign;
pub mod engine;
pub mod exhaust;
pub mod pool;
pub mod pursuit;
pub mod stats;
pub mod triage;
