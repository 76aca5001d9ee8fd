//! The simulated machine: real memory with the monitors that watch it, CPUs and the host that act on it, and the trait that an
//! implementation under test offers.
//!
//! | module | what it holds |
//! |---|---|
//! | [`memory`] | real memory, the CPUs' ways into it, the account of references, what monitors saw |
//! | [`host`] | sets memory up as a description says, and carries out host steps |
//! | [`subject`] | the trait [`Subject`]: what an implementation under test offers |
//!
//! The reference model does not know this crate: it computes on descriptions alone.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod host;
pub mod memory;
pub mod subject;

pub use memory::{Cpu, Mode, RealMemory};
pub use subject::{Coverage, Subject};
