//! Implementations in C (and in whatever else makes shared libraries): the interface of include/realmode.h, and what
//! stands between it and the harness.
//!
//! | module | what it is |
//! |---|---|
//! | [`header`] | the types of include/realmode.h |
//! | [`library`] | a shared library: finding it, its symbol, its version |
//! | [`Foreign`] | an implementation in a library as a [`Subject`](machine::Subject) |
//! | `services` | what the harness does for it: accesses, page table, log |
//! | `described`, `slots` | a machine and its memory slots as a library is told of them |
//! | `view` | memory mapped for implementations that use plain pointers |
//!
//! **Trust.** What a library answers is looked at before it is believed: outputs are poisoned beforehand, numbers out
//! of range are `SUBJECT.PROTOCOL`. What it does to the process is another matter: in the harness's own process a wild
//! store can break anything, so those who expect one run it isolated.
//!
//! Unsafe code is fenced: calls through pointers of a library in `foreign`, calls from it in `services`, mappings in
//! `view`, loading in `library`. Each says why it holds.

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
