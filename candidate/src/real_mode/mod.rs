//! The real-mode half, which runs with the MMU off. Code here never allocates, locks or panics, and makes no more
//! accesses than [`BOUND`].
//!
//! A call on a pinned window runs optimistically, in these steps:
//!
//! | step | module | changes |
//! |---|---|---|
//! | read every old and new entry and its page; defer now if there is a reason | [`plan`] | nothing |
//! | take the new references; check that the page table still names the same pages | [`commit`] | counts |
//! | exchange the hardware entries | [`commit`] | hardware table |
//! | mark old pages DIRTY; give their references back unless one is the last | [`commit`] | flags, counts |
//! | store the guest's values | [`commit`] | table |
//! | if any step fails: undo all steps and defer | [`undo`] | everything back as it was |
//!
//! The [`journal`] records what a call has done so far.
//!
//! The undo is needed because a list may name the same page many times: only after all takes and drops of the call is
//! it known whether a drop gives back the last reference. Real mode decides this exactly: takes precede drops, so a put
//! is refused if and only if count + takes - drops is 0 (`DEFER.LAST_REF`).
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::arithmetic_side_effects
)]

mod bound;
mod commit;
mod journal;
mod plan;
mod probe;
mod undo;

use contract::addr::{Hva, RealAddr};
use contract::description::Pte;
use contract::hcall::Status;
use machine::memory::Cpu;

use crate::args::Run;
use crate::hypercall::{self, Half};
use crate::pte;
use crate::scratch::Values;
use crate::view::View;

pub use bound::BOUND;
pub use probe::{get_page_unless_zero, put_page_unless_one};

/// The real-mode half of the handlers.
pub struct RealMode;

impl Half for RealMode {
    fn list<'a>(view: &View<'a>, cpu: &Cpu<'_>, hva: Hva, count: u64) -> Result<Values<'a>, Status> {
        match cpu.load_pte(hva) {
            Pte::Hole => view.unbacked_list(),
            // Reading the list would make this page young, or fault it in. Only virtual mode may change the page table.
            Pte::Absent { .. } | Pte::Present { young: false, .. } | Pte::Huge { young: false, .. } => {
                Err(Status::TOO_HARD)
            }
            entry => {
                let page = pte::page(entry, hva, view.page_shift).ok_or(Status::TOO_HARD)?;
                hypercall::copy_list(view, cpu, page, hva, count)
            }
        }
    }

    fn pinned(
        view: &View<'_>,
        cpu: &Cpu<'_>,
        run: &Run<'_>,
        hardware: RealAddr,
        values: Values<'_>,
    ) -> Result<(), Status> {
        let plan = plan::make(view, cpu, run, hardware, values)?;
        commit::write(view, cpu, &plan)
    }
}
