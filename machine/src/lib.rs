//! The simulated machine.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod host;
pub mod memory;
pub mod subject;

pub use memory::{Cpu, Fault, Mode, RealMemory};
pub use subject::{Coverage, Subject};
