//! Hunts: many programs, from the generator, an enumeration, or an engine.

pub mod campaign;
pub mod engine;
pub mod exhaust;
pub mod stats;
pub mod triage;
