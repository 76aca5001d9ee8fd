//! The virtual-mode half, which runs with the MMU on: it completes deferred calls, and it owns the candidate's tables
//! and scratch memory.
//!
//! | module | what it does |
//! |---|---|
//! | [`state`] | owns tables and scratch memory; handles start, slots and windows |
//! | [`list`] | reads the list of H_PUT_TCE_INDIRECT and faults its page in |
//! | [`pin`] | supplies a TCE's page: faulted in, young, dirty, with one more reference |
//! | [`exchange`] | writes to a pinned window, and clears a window that is closed |
//! | [`page`] | references and DIRTY of any page: split struct pages, compound pages, last references |
//!
//! A handler here runs the whole call from its registers and uses nothing that the real-mode half found out. It takes
//! no lock: if another CPU changed a word first, it reads the word again.

mod exchange;
mod list;
mod page;
mod pin;
mod state;

use core::sync::atomic::Ordering::Relaxed;

use contract::addr::{Hva, RealAddr};
use contract::hcall::Status;
use machine::memory::Cpu;

use crate::args::Run;
use crate::hypercall::Half;
use crate::scratch::Values;
use crate::tce;
use crate::view::View;

pub use state::State;

/// The virtual-mode half of the handlers.
pub struct VirtualMode;

impl Half for VirtualMode {
    fn list<'a>(view: &View<'a>, cpu: &Cpu<'_>, hva: Hva, count: u64) -> Result<Values<'a>, Status> {
        list::copy(view, cpu, hva, count)
    }

    fn pinned(
        view: &View<'_>,
        cpu: &Cpu<'_>,
        run: &Run<'_>,
        hardware: RealAddr,
        values: Values<'_>,
    ) -> Result<(), Status> {
        exchange::write(view, cpu, run, hardware, values)
    }
}

/// Gives back the references that the real-mode half of the same call still holds, because they had become the last
/// ones or other CPUs kept changing the counts. A second call does nothing.
pub fn settle(view: &View<'_>, cpu: &Cpu<'_>) {
    let owed = view.scratch.owed.swap(0, Relaxed);
    for word in view.scratch.journal.iter().take(owed as usize) {
        if let Some(pfn) = tce::named_page(view, word.load(Relaxed)) {
            page::put(view, cpu, pfn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small_machine;
    use contract::addr::Pfn;
    use machine::memory::Mode;

    /// The real-mode half left two owed references on page 9. The word for page 8 lies behind them in the journal and
    /// is not owed.
    #[test]
    fn what_real_mode_owes_is_given_back_once() {
        let (state, mut memory) = small_machine::start();
        memory.set_count(Pfn(8), 1);
        memory.set_count(Pfn(9), 2);
        let view = state.view(0);
        for (slot, pfn) in view.scratch.journal.iter().zip([9, 9, 8]) {
            slot.store(pfn << 12 | 1, Relaxed);
        }
        view.scratch.owed.store(2, Relaxed);
        for _ in 0..2 {
            settle(&view, &small_machine::cpu(&memory, Mode::Virtual));
            assert_eq!((memory.count(Pfn(8)), memory.count(Pfn(9))), (1, 0));
        }
    }
}
