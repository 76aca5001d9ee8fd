//! Runs implementations in C, or in any language that makes shared libraries, as subjects of the harness.
//!
//! [`Library::open`] reads a shared library and checks it; [`Foreign::new`] loads a copy of it. A `Foreign` is a
//! [`Subject`](machine::Subject): it translates between the harness and the C interface of include/realmode.h.
//! docs/bring-your-own.md shows how to write such a library.
//!
//! | module | what it is |
//! |---|---|
//! | [`header`] | the types and constants of include/realmode.h |
//! | [`library`] | opens a shared library, and checks its symbol and version |
//! | [`Foreign`] | an implementation in a library as a [`Subject`](machine::Subject) |
//! | `services` | the functions that an implementation calls: accesses, page table, log |
//! | `described`, `slots` | the description of a machine and the memory slots, as a library gets them |
//! | `told` | the log lines of an implementation, and what it did against the interface |
//! | `view` | simulated memory mapped for implementations that use plain pointers |
//!
//! **Trust.** The harness checks every answer of a library before it uses it. Outputs hold a poison value before the
//! call, so an output that was not written is noticed, and a number out of range is `SUBJECT.PROTOCOL`. The harness
//! cannot protect its own process: a wild store of a library can break anything there. Run a library that may do that
//! isolated.
//!
//! Each kind of unsafe code is in one module: calls of a library's functions in `foreign`, calls from a library in
//! `services`, mappings in `view`, loading in `library`. Each place says why it is safe.

pub mod header;
pub mod library;

mod described;
mod foreign;
mod services;
mod slots;
mod told;
mod view;

pub use foreign::Foreign;
pub use library::{Library, Unusable};
