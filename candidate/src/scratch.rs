//! The scratch memory of a vCPU, and the type [`Values`] for the words of a call, which may lie in it.
//!
//! Virtual mode allocates scratch memory before a call can need it (in `start` and `create_window`), and handlers
//! borrow it. A vCPU runs one handler at a time and no other vCPU accesses its scratch, so all accesses are Relaxed.
//! The words are atomics only because handlers write them through a shared borrow and take no lock.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The scratch words of one vCPU.
#[derive(Clone, Copy)]
pub struct Scratch<'a> {
    /// The copy of the list of H_PUT_TCE_INDIRECT: 512 words.
    pub list: &'a [AtomicU64],
    /// The new hardware entries of a call: 512 words. Longer calls (H_STUFF_TCE in dialect kvm) store only fault TCEs,
    /// whose hardware entry is 0.
    pub hardware: &'a [AtomicU64],
    /// For each entry of the call, the old hardware entry and marks for what real mode did to its page. There are at
    /// least as many words as a call on any pinned window of the machine may have entries. After an undo, the first
    /// `owed` words name the references that virtual mode must give back.
    pub journal: &'a [AtomicU64],
    /// Number of references that the real-mode half of the call still holds and its virtual-mode half must give back.
    pub owed: &'a AtomicU64,
}

/// The words of a call, one for each entry.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    /// Every entry has the same word.
    Same(u64),
    /// Entry `i` has word `i`.
    List(&'a [AtomicU64]),
}

impl Values<'_> {
    /// Returns the word of entry `i` of the call; 0 past the end of a list.
    #[must_use]
    pub fn get(&self, i: u64) -> u64 {
        match *self {
            Self::Same(value) => value,
            Self::List(words) => words.get(i as usize).map_or(0, |word| word.load(Relaxed)),
        }
    }

    /// Returns the words of a call of `count` entries, first to last; the word of `Values::Same` only once. Returns
    /// none if `count` is 0.
    pub fn distinct(&self, count: u64) -> impl Iterator<Item = u64> {
        let count = match *self {
            Self::Same(_) => count.min(1),
            Self::List(_) => count,
        };
        (0..count).map(|i| self.get(i))
    }
}
