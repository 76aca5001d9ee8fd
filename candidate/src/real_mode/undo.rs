//! Taking back a call on a pinned window, in an order that keeps every page held at every moment.
//!
//! 1. Old pages that were given back are taken again, and lose the DIRTY that this call gave them: before an entry
//!    names them again.
//! 2. Hardware entries are exchanged back: from here on the new pages are named no more.
//! 3. New references are given back. One that has become the last must not be dropped here: it is *owed*, and virtual
//!    mode's half of the same call gives it back first (semantics 5).
//!
//! With one CPU this restores everything. With several, another CPU may have come between:
//!
//! - An entry that was exchanged again meanwhile is not exchanged back. The new reference went with it, so the old
//!   page's is the one to give back, and DIRTY is due.
//! - An old page whose other holders all went after it was given back cannot be taken again. Its entry stays
//!   exchanged, which is what virtual mode is about to make of it anyway.
//! - DIRTY is cleared although another CPU found it set and left it so; virtual mode's half of this call, whose entries
//!   name the page again, sets it once more.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use contract::addr::{Pfn, Tce};
use machine::memory::Cpu;

use crate::struct_page::{Change, StructPage};
use crate::tce;
use crate::view::View;

use super::bound::ATTEMPTS;
use super::journal::{Mark, Progress};
use super::plan::{self, Plan};

/// Takes back what `progress` says was done.
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
            // Too contended to clear: a page marked without need is written back once too often, no more.
            page.clear_dirty(cpu, ATTEMPTS);
        }
    }
}

/// Exchanges entries back and leaves in the journal, for each, the hardware entry whose reference is to be given back.
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

/// Gives references back; those that are the last ones move to the front of the journal. Entry `owed` is never past the
/// one being read.
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
