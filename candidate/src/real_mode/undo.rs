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

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Relaxed},
};

use contract::addr::{Pfn, Tce};
use machine::memory::Cpu;

use crate::struct_page::{Change, StructPage};
use crate::tce;
use crate::view::View;

use super::bound::ATTEMPTS;
use super::commit::Progress;
use super::plan::{self, Plan};

/// What a call has done about the old page of an entry: bits that a hardware entry leaves free, because a TCE that
/// is not aligned never gets there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Mark {
    /// This call set DIRTY.
    Dirtied = 1 << 2,
    /// Its reference was given back.
    Dropped = 1 << 3,
    /// It was given back and could not be taken again.
    Lost = 1 << 4,
}

const MARKS: u64 = Mark::Dirtied as u64 | Mark::Dropped as u64 | Mark::Lost as u64;

/// A journal word: the old hardware entry and its marks.
#[derive(Clone, Copy, Debug)]
pub struct Old(u64);

impl Old {
    /// The hardware entry that was seen.
    pub const fn entry(self) -> u64 {
        self.0 & !MARKS
    }

    const fn has(self, mark: Mark) -> bool {
        self.0 & mark as u64 != 0
    }
}

/// The journal of one call.
#[derive(Clone, Copy)]
pub struct Journal<'a>(pub &'a [AtomicU64]);

impl Journal<'_> {
    /// Entry numbers of the call and what they were, first to last.
    pub fn entries(&self) -> impl Iterator<Item = (u64, Old)> {
        (0..).zip(self.0).map(|(i, word)| (i, Old(word.load(Relaxed))))
    }

    /// Notes what was done.
    pub fn mark(&self, i: u64, mark: Mark) {
        if let Some(word) = self.0.get(i as usize) {
            word.store(word.load(Relaxed) | mark as u64, Relaxed);
        }
    }

    fn set(&self, i: u64, value: u64) {
        if let Some(word) = self.0.get(i as usize) {
            word.store(value, Relaxed);
        }
    }
}

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

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Noting a mark twice is as noting it once.
    #[test]
    fn marks_are_told_apart_and_leave_the_entry_as_it_was() {
        let all = [Mark::Dirtied, Mark::Dropped, Mark::Lost];
        for mark in all {
            let words = [AtomicU64::new(0), AtomicU64::new(0x1234_5003)];
            let journal = Journal(&words);
            for _ in 0..2 {
                journal.mark(1, mark);
                let old: [Old; 2] = core::array::from_fn(|i| Old(words[i].load(Relaxed)));
                assert_eq!((old[0].0, old[1].entry()), (0, 0x1234_5003));
                assert!(all.into_iter().all(|other| old[1].has(other) == (other == mark)), "{mark:?}");
            }
        }
    }
}
