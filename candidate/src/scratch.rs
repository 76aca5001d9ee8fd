//! A vCPU's scratch memory, and the values of a call that may lie there.
//!
//! Virtual mode allocates it before a call can need it (start, create_window); handlers borrow it. A vCPU runs one
//! handler at a time and no other vCPU looks, so all accesses are relaxed: atomics serve only to write through a shared
//! borrow without a lock.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Scratch words of one vCPU.
#[derive(Clone, Copy)]
pub struct Scratch<'a> {
    /// The copied list of H_PUT_TCE_INDIRECT: 512 words.
    pub list: &'a [AtomicU64],
    /// The new hardware entries of a call that names at most 512 different ones.
    pub hardware: &'a [AtomicU64],
    /// Per entry of the call, the old hardware entry and what was done about it; as many as a call on a pinned window
    /// can name. After an undo, its first `owed` words are the references that virtual mode must give back.
    pub journal: &'a [AtomicU64],
    /// How many references real mode holds for virtual mode to give back.
    pub owed: &'a AtomicU64,
}

/// One word for each entry of a call.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    /// The same for all.
    Same(u64),
    /// One each.
    List(&'a [AtomicU64]),
}

impl Values<'_> {
    /// The word of entry `i` of the call.
    #[must_use]
    pub fn get(&self, i: u64) -> u64 {
        match *self {
            Self::Same(value) => value,
            Self::List(words) => words.get(i as usize).map_or(0, |word| word.load(Relaxed)),
        }
    }

    /// The words that differ by their place alone, once each, first to last, for a call of `count` entries.
    pub fn distinct(&self, count: u64) -> impl Iterator<Item = u64> {
        let count = match *self {
            Self::Same(_) => count.min(1),
            Self::List(_) => count,
        };
        (0..count).map(|i| self.get(i))
    }
}
