//! The undo of a call on a pinned window, in an order that keeps every page held at every moment.
//!
//! 1. The old pages that were given back are taken again before an entry names them again, and lose the DIRTY that this
//!    call set.
//! 2. The hardware entries are exchanged back. From now on no entry of this call names the new pages.
//! 3. The new references are given back. A reference that has become the last must not be dropped in real mode: it is
//!    *owed*, and the virtual-mode half of the same call gives it back first (docs/semantics.md, section 5).
//!
//! With one CPU this restores everything. With several, another CPU may have changed a word in between:
//!
//! - Another CPU exchanged an entry after this call did. The undo then does not exchange it back. The other CPU also
//!   gives the new page's reference back, so this call gives the old page's reference back instead, and sets DIRTY on
//!   the old page if the device could write it.
//! - All other holders of an old page gave their references back after this call had. The page cannot be taken again,
//!   so its entry stays exchanged; the virtual-mode half is about to make the same exchange anyway.
//! - Another CPU found DIRTY set and left it so, and this call then clears it. The virtual-mode half of this call sets
//!   it again when it replaces the entry, which names the page again.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use contract::addr::{Pfn, Tce};
use machine::memory::Cpu;

use crate::struct_page::{Change, StructPage};
use crate::tce;
use crate::view::View;

use super::bound::ATTEMPTS;
use super::journal::{Mark, Progress};
use super::plan::{self, Plan};

/// Undoes the passes as far as `progress` says they got.
pub fn all(view: &View<'_>, cpu: &Cpu<'_>, plan: &Plan<'_>, progress: Progress) {
    take_again(view, cpu, plan, progress);
    exchange_back(view, cpu, plan, progress);
    give_back(view, cpu, plan, progress);
}

fn named(view: &View<'_>, word: u64) -> Option<StructPage> {
    let page: Pfn = tce::named_page(view, word)?;
    plan::struct_page(view, page).ok()
}

fn take_again(view: &View<'_>, cpu: &Cpu<'_>, plan: &Plan<'_>, progress: Progress) {
    for (i, old) in plan.journal.entries().take(progress.dropped as usize) {
        let Some(page) = named(view, old.entry()) else { continue };
        if old.has(Mark::Dropped) && page.get_unless_zero(cpu, ATTEMPTS) != Change::Done {
            plan.journal.mark(i, Mark::Lost);
        } else if old.has(Mark::Dirtied) {
            // The result does not matter: if other CPUs prevent the clear, the page stays DIRTY and is written back
            // once more than needed.
            page.clear_dirty(cpu, ATTEMPTS);
        }
    }
}

/// Exchanges the entries back, except those whose old page is `Lost` or that another CPU has changed (the old page of
/// the latter becomes DIRTY if the device could write it). For each entry that the call took a reference for, leaves in
/// the journal the hardware entry whose reference must be given back, 0 if there is none.
fn exchange_back(view: &View<'_>, cpu: &Cpu<'_>, plan: &Plan<'_>, progress: Progress) {
    for (i, old) in plan.journal.entries().take(progress.exchanged as usize) {
        let new = plan.new.get(i);
        if old.has(Mark::Lost) {
            plan.journal.set(i, 0);
            continue;
        }
        let entry = plan.run.entry(plan.hardware, i);
        let back = cpu.compare_exchange(entry, new.swap_bytes(), old.entry().swap_bytes(), AcqRel, Relaxed);
        if back.is_ok() {
            plan.journal.set(i, new);
            continue;
        }
        if Tce(old.entry()).device_may_write()
            && let Some(page) = named(view, old.entry())
        {
            page.set_dirty(cpu, ATTEMPTS);
        }
        plan.journal.set(i, old.entry());
    }
    for i in progress.exchanged..progress.taken {
        plan.journal.set(i, plan.new.get(i));
    }
}

/// Gives the references in the journal back. References that cannot be given back in real mode move to the front of the
/// journal, and `Scratch::owed` gets their number; `owed` never passes the entry being read.
fn give_back(view: &View<'_>, cpu: &Cpu<'_>, plan: &Plan<'_>, progress: Progress) {
    let mut owed = 0_u64;
    for (_, word) in plan.journal.entries().take(progress.taken as usize) {
        let Some(page) = named(view, word.entry()) else { continue };
        if page.put_unless_one(cpu, ATTEMPTS) != Change::Done {
            plan.journal.set(owed, word.entry());
            owed = owed.wrapping_add(1);
        }
    }
    view.scratch.owed.store(owed, Relaxed);
}
