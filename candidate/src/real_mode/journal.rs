//! The journal: what a call on a pinned window has done so far. It has the progress of the passes, and for each entry
//! the old hardware entry with marks.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Progress of the passes: the number of entries done in each.
#[derive(Clone, Copy, Default, Debug)]
pub struct Progress {
    /// Entries whose new reference is taken.
    pub taken: u64,
    /// Entries whose hardware entry is exchanged.
    pub exchanged: u64,
    /// Entries whose old page was handled, wholly or in part. The marks in the journal say what was done to each old
    /// page.
    pub dropped: u64,
}

/// Marks of what a call has done to the old page of an entry. They use bits 2 to 4 of the hardware entry in the
/// journal, which are always 0 there because an unaligned TCE never becomes a hardware entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Mark {
    /// This call set DIRTY on the page.
    Dirtied = 1 << 2,
    /// This call gave the entry's reference on the page back.
    Dropped = 1 << 3,
    /// The entry's reference on the page was given back, and the undo could not take it again.
    Lost = 1 << 4,
}

const MARKS: u64 = Mark::Dirtied as u64 | Mark::Dropped as u64 | Mark::Lost as u64;

/// A journal word: the old hardware entry of a TCE, with marks.
#[derive(Clone, Copy, Debug)]
pub struct Old(u64);

impl Old {
    /// Returns the old hardware entry, without marks.
    pub const fn entry(self) -> u64 {
        self.0 & !MARKS
    }

    /// Whether the mark is set.
    pub const fn has(self, mark: Mark) -> bool {
        self.0 & mark as u64 != 0
    }
}

/// The journal of one call: a word for each of its entries.
#[derive(Clone, Copy)]
pub struct Journal<'a>(pub &'a [AtomicU64]);

impl Journal<'_> {
    /// Returns the number of each entry in the call, from 0, with the entry's journal word, first to last.
    pub fn entries(&self) -> impl Iterator<Item = (u64, Old)> {
        (0..).zip(self.0).map(|(i, word)| (i, Old(word.load(Relaxed))))
    }

    /// Adds a mark to entry `i` of the call.
    pub fn mark(&self, i: u64, mark: Mark) {
        if let Some(word) = self.0.get(i as usize) {
            word.store(word.load(Relaxed) | mark as u64, Relaxed);
        }
    }

    /// Replaces the word of entry `i`.
    pub fn set(&self, i: u64, value: u64) {
        if let Some(word) = self.0.get(i as usize) {
            word.store(value, Relaxed);
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Each mark is set twice: the second time changes nothing.
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
