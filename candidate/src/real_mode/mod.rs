//! What runs with the MMU off: nothing here allocates, locks, panics, or makes more accesses than [`BOUND`] says.
//!
//! A call on a pinned window is done optimistically:
//!
//! | step | module | changes |
//! |---|---|---|
//! | look at every entry, old and new; a reason to defer ends it here | [`plan`] | nothing |
//! | take the new references; make sure the page table still says so | [`commit`] | counts |
//! | exchange the hardware entries | [`commit`] | hardware table |
//! | mark old pages DIRTY, give them back unless that is the last reference | [`commit`] | flags, counts |
//! | store the guest's values | [`commit`] | table |
//! | when any of these fails: undo all of it, defer | [`undo`] | back as it was |
//!
//! What a call has done so far stands in its [`journal`].
//!
//! Whether a drop is the last reference cannot be known before all takes and drops of the call are made (a list may
//! name the same page many times), hence the undo. It is exact: takes precede drops, so a put is refused if and only if
//! count + takes - drops is 0 (`DEFER.LAST_REF`).
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

/// The real-mode half.
pub struct RealMode;

impl Half for RealMode {
    fn list<'a>(view: &View<'a>, cpu: &Cpu<'_>, hva: Hva, count: u64) -> Result<Values<'a>, Status> {
        match cpu.load_pte(hva) {
            Pte::Hole => view.unbacked_list(),
            // Reading makes a page young, and faults an absent one in: a change of the page table is virtual mode's.
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
