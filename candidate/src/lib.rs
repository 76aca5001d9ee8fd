//! The candidate: the optimised implementation under test (docs/semantics.md).
//!
//! The modules are split as in a kernel: by what the CPU may do while the code runs.
//!
//! | module | runs with | may |
//! |---|---|---|
//! | `real_mode` | MMU off | load, store, compare-and-swap; it never allocates, locks or panics; accesses are bounded |
//! | `virtual_mode` | MMU on | also allocate, fault pages in and drop last references; it owns all memory |
//! | all others | either | pure functions over a borrowed `view::View`; they use `core` only |
//!
//! The crate root does not name `alloc`. Only `virtual_mode` and `pages::writer` do, each for itself, so code in
//! `real_mode` that allocates does not compile.
//!
//! **How a hypercall runs.** `hypercall::run` is the same code in both modes: check the arguments (`args`), copy the
//! list, check the entries (`tce`), write. Where dialects disagree it asks a `dialect::Profile`. The trait
//! `hypercall::Half` holds the two steps that differ between the modes: reading the list (virtual mode faults its page
//! in) and writing to a pinned window. Real mode writes optimistically: it first reads all pages and entries that the
//! call names, then takes references, exchanges entries and gives the old references back. It undoes all of that when it
//! finds a reason to defer.
//!
//! **Concurrency.** Calls on several vCPUs and hot-plug notices may run at the same time. They share the words of the
//! simulated memory, which they access through [`Cpu`] only, and the block index (`pages`), whose readers take no lock.
//! The tables of slots and windows change only through `&mut self`, while no call runs. Each vCPU has its own scratch
//! memory.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::todo,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

mod args;
mod dialect;
mod hypercall;
pub mod pages;
mod pte;
mod real_mode;
mod scratch;
mod slot;
#[cfg(test)]
mod small_machine;
mod struct_page;
mod tce;
mod view;
mod virtual_mode;
mod window;

use contract::addr::{Liobn, Pfn, RealAddr};
use contract::description::{AddrRun, Machine, SlotSpec, WindowSpec};
use contract::dialect::Dialect;
use contract::hcall::Hypercall;
use contract::{HcallAnswer, ProbeAnswer};
use machine::memory::Cpu;
use machine::subject::{Bound, Subject};

use real_mode::RealMode;
use virtual_mode::{State, VirtualMode};

pub use dialect::reads;

/// The optimised implementation of `pfn_to_page`, the conditional references and the four TCE hypercalls.
#[derive(Default)]
pub struct Candidate {
    state: State,
}

impl Candidate {
    /// Makes a candidate without a machine. Until [`start`](Subject::start), every LIOBN is unknown and every lookup
    /// returns `None`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Subject for Candidate {
    fn name(&self) -> &str {
        "candidate"
    }

    fn start(&mut self, dialect: Dialect, machine: &Machine) {
        self.state.start(dialect, machine);
    }

    fn bound(&self) -> Bound {
        real_mode::BOUND
    }

    fn real_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        hypercall::run::<RealMode>(&self.state.view(cpu.vcpu()), cpu, call)
    }

    fn virtual_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        let view = self.state.view(cpu.vcpu());
        virtual_mode::settle(&view, cpu);
        hypercall::run::<VirtualMode>(&view, cpu, call)
    }

    fn pfn_to_page(&self, _cpu: &Cpu<'_>, pfn: Pfn) -> Option<RealAddr> {
        self.state.pages().lookup(pfn)
    }

    fn get_page_unless_zero(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        real_mode::get_page_unless_zero(self.state.pages(), cpu, pfn)
    }

    fn put_page_unless_one(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        real_mode::put_page_unless_one(self.state.pages(), cpu, pfn)
    }

    fn hot_add(&self, section: u64, blocks: &[AddrRun]) {
        self.state.pages().hot_add(section, blocks);
    }

    fn hot_remove(&self, section: u64) {
        self.state.pages().hot_remove(section);
    }

    fn set_slot(&mut self, slot: &SlotSpec) {
        self.state.set_slot(slot);
    }

    fn create_window(&mut self, window: &WindowSpec) {
        self.state.create_window(window);
    }

    fn close_window(&mut self, cpu: &Cpu<'_>, liobn: Liobn) {
        self.state.close_window(cpu, liobn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_call_it_candidate() {
        assert_eq!(Candidate::new().name(), "candidate");
    }
}
