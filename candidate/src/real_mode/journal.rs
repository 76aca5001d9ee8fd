//! What a call on a pinned window has done so far: how far its passes got, and for each entry the old hardware entry
//! with marks.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How far the passes got: entries done in each.
#[derive(Clone, Copy, Default, Debug)]
pub struct Progress {
    /// New references taken.
    pub taken: u64,
    /// Hardware entries exchanged.
    pub exchanged: u64,
    /// Old pages looked at; what was done to each stands in the journal.
    pub dropped: u64,
}

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

    /// Whether that was done.
    pub const fn has(self, mark: Mark) -> bool {
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
