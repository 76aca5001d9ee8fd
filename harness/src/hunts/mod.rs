//! Hunts: many programs, from the generator, an enumeration, or an engine.
//!
//! | module | what it does |
//! |---|---|
//! | [`pool`] | threads, progress, and the merging of what they did: every hunt uses it |
//! | [`pursuit`] | from a catch to its record: sought again, shrunk, recorded |
//! | [`campaign`] | checks drawn programs |
//! | [`exhaust`] | checks every program up to a bound, over a small stated domain |
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
