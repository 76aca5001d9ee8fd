//! The simulated machine: real memory with the monitors that watch it, the CPUs and the host that change it, and the
//! trait that a subject implements.
//!
//! | module | what it holds |
//! |---|---|
//! | [`memory`] | real memory, the CPUs' accesses to it, the account of references, events and faults |
//! | [`host`] | sets memory up as a description says, and does host steps |
//! | [`subject`] | the trait [`Subject`], which an implementation under test implements |
//!
//! The reference does not use this crate: it computes on descriptions alone.
//!
//! An example: a machine with one window, and a CPU in real mode that stores a guest value, loads it, and then accesses
//! an address that real mode cannot reach.
//!
//! ```
//! use std::sync::atomic::Ordering::Relaxed;
//!
//! use contract::description::{Backing, WindowSpec};
//! use contract::{Dialect, Ea, Liobn, Machine, MemoryModel, PageShift, Program, RealAddr, Rule};
//! use machine::host::Host;
//! use machine::memory::{Actor, Context};
//! use machine::{Mode, RealMemory};
//!
//! let array = RealAddr(0x10_0000);
//! let memory = MemoryModel::Flatmem { array, pages: 16 };
//! let mut machine = Machine::bare(PageShift::Shift12, 64, memory);
//! let table = RealAddr(0x20_0000);
//! let window =
//!     WindowSpec { liobn: Liobn(1), page_shift: 12, base: 0, entries: 4, table, backing: Backing::Emulated };
//! machine.windows.push(window);
//! let program = Program { dialect: Dialect::Lopapr, machine, steps: vec![] };
//!
//! let (mut memory, mut host) = (RealMemory::new(), Host::new());
//! host.boot(&mut memory, &program);
//! let cpu = memory.cpu(Mode::Real, 0, Context::Hypercall, 1000);
//!
//! // Entries are big-endian. The linear map's nibble is masked away.
//! let entry = Ea(0xc000_0000_0020_0008);
//! cpu.store(entry, 0x1003_u64.swap_bytes(), Relaxed);
//! assert_eq!(cpu.load(entry, Relaxed).swap_bytes(), 0x1003);
//! assert_eq!(cpu.report().event, None);
//!
//! // The change log knows who did it.
//! let change = memory.log().next().unwrap();
//! assert_eq!((change.before, change.now.swap_bytes()), (0, 0x1003));
//! assert!(change.actors.contains(Actor::Cpu { vcpu: 0, mode: Mode::Real }));
//!
//! // Nothing lies at that address: the load reads 0, and is an event.
//! assert_eq!(cpu.load(Ea(0xf000_0000_0000_0000), Relaxed), 0);
//! let event = cpu.report().event.unwrap();
//! assert_eq!((event.rule, event.access), (Rule::RmBadAccess, 3));
//!
//! // The harness has nothing to say of itself.
//! assert_eq!(memory.audit(), Ok(()));
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
mod fixture;
pub mod host;
pub mod memory;
pub mod subject;

pub use memory::{Cpu, Fault, Mode, RealMemory};
pub use subject::{Coverage, Subject};
