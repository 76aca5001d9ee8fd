//! The block index: block number to real address, read without a lock in three steps.
//!
//! **Shape.** A radix tree over the block number, 9 + 11 + 9 bits from the top. 2^46 bytes of 4 KiB pages with 80-byte
//! struct pages in 4 KiB blocks, the layout with most blocks, are 2^34 x 80 / 2^12 = 335,544,320 of them, less than
//! 2^29. The root (4 KiB) is part of the index; a middle node is 16 KiB, a leaf 4 KiB.
//!
//! **Memory is bounded.** There are at most 512 middle nodes (8 MiB). A section has at most 81 blocks, so it touches at
//! most two leaves: after `n` sections since [`start`](super::PageIndex::start), at most `2 n` leaves and never more
//! than one per 512 block numbers. A machine of 1024 scattered sections needs 8 MiB of leaves, all 2^46 bytes backed
//! 2.5 GiB: eight bytes for each 4 KiB block. What lies in kept leaves is reused by the next start; more than
//! [`KEPT_LEAVES`] are given back then.
//!
//! **Orderings.** Nodes are published once, with Release, by `OnceBox`, and read with Acquire: who sees the pointer
//! sees a node of empty slots. They are never freed or reused for other block numbers while readers can run (only start
//! frees, and it has the index for itself), so a reader cannot stand on a freed node, the hazard of the kernel's list.
//! A slot is one word, stored with Release and loaded with Acquire: who sees the block's address sees the struct pages
//! that were zeroed before the notice. Address and presence change in the same atomic step, so a new address is never
//! paired with an old number. A reader that got an address just before the block went keeps it: as in the kernel, only
//! references on pages keep a section from going.
//!
//! **Shown by loom.** `scripts/loom` runs a reader against add, remove and reuse by one writer in every order that the memory model
//! allows, against two writers in those with at most three preemptions, and once more with each of these orderings taken away, which it
//! must notice. A reader makes a fixed number of steps, whatever
//! writers do: it has no loop.
//!
//! **A slot** is the block's address, whose low 12 bits are free because blocks are aligned to at least 4 KiB, and in
//! those bits the number of present sections that need the block: 0 means not backed. At most 2^24 / (256 x 56) + 2 =
//! 1172 sections share a block.

use core::array;
use core::sync::atomic::Ordering::Relaxed;

use super::sync::{AtomicBool, AtomicU64, OnceBox, see_block};

/// log2 of a leaf's slots. loom follows each of them, so it gets few.
pub const LEAF_BITS: u32 = if cfg!(loom) { 1 } else { 9 };
/// log2 of a middle node's leaves.
pub const MIDDLE_BITS: u32 = if cfg!(loom) { 1 } else { 11 };
/// log2 of the middle nodes.
pub const ROOT_BITS: u32 = if cfg!(loom) { 1 } else { 9 };
/// Most leaves that start keeps for the next machine: 4 MiB.
pub const KEPT_LEAVES: u64 = 1024;
/// The bits of a slot that count the sections which need the block.
pub const USERS: u64 = 0xfff;

/// Slots for consecutive blocks.
pub struct Leaf {
    /// One for each block.
    pub(super) slots: [AtomicU64; 1 << LEAF_BITS],
    /// Lowest and highest slot in use since start, so that start clears no more than that.
    pub(super) low: AtomicU64,
    /// See `low`.
    pub(super) high: AtomicU64,
    /// Whether it stands in the list of leaves in use.
    pub(super) listed: AtomicBool,
    /// The next leaf in use, as its number + 1; 0 at the end.
    pub(super) next: AtomicU64,
}

/// Leaves for consecutive blocks.
pub struct Middle {
    /// Each made when a block first needs it.
    pub(super) leaves: [OnceBox<Leaf>; 1 << MIDDLE_BITS],
}

/// The index. Its writing side is in [`super::writer`].
pub struct BlockIndex {
    pub(super) root: [OnceBox<Middle>; 1 << ROOT_BITS],
    /// The first leaf in use since start, as its number + 1; 0 for none.
    pub(super) used: AtomicU64,
    /// How many leaves there are.
    pub(super) leaves: AtomicU64,
}

impl Default for BlockIndex {
    fn default() -> Self {
        let root = array::from_fn(|_| OnceBox::new());
        Self { root, used: AtomicU64::new(0), leaves: AtomicU64::new(0) }
    }
}

/// The `bits` low bits of `number`, and the rest moved down.
const fn split(number: u64, bits: u32) -> (usize, u64) {
    ((number & 1_u64.wrapping_shl(bits).wrapping_sub(1)) as usize, number.wrapping_shr(bits))
}

/// Places in root and middle node of a leaf, by its number.
pub(super) const fn place(leaf: u64) -> (usize, usize) {
    let (middle, root) = split(leaf, MIDDLE_BITS);
    (root as usize, middle)
}

/// The leaf's number and the slot in it, of a block.
pub(super) const fn slot_of(block: u64) -> (u64, usize) {
    let (slot, leaf) = split(block, LEAF_BITS);
    (leaf, slot)
}

impl BlockIndex {
    /// The real address of a block, if it is backed.
    #[must_use]
    pub fn get(&self, block: u64) -> Option<u64> {
        let (leaf, slot) = slot_of(block);
        let word = self.leaf(leaf)?.slots.get(slot)?.load(see_block());
        (word & USERS != 0).then_some(word & !USERS)
    }

    pub(super) fn leaf(&self, number: u64) -> Option<&Leaf> {
        let (root, middle) = place(number);
        self.root.get(root)?.get()?.leaves.get(middle)?.get()
    }

    /// How many leaves there are, for tests of the bound.
    #[cfg(test)]
    pub(super) fn leaf_count(&self) -> u64 {
        self.leaves.load(Relaxed)
    }
}

impl Leaf {
    /// Forgets every block.
    pub(super) fn clear(&self) {
        let (low, high) = (self.low.load(Relaxed) as usize, self.high.load(Relaxed) as usize);
        for slot in self.slots.get(low..=high).unwrap_or_default() {
            slot.store(0, Relaxed);
        }
        self.low.store(u64::MAX, Relaxed);
        self.high.store(0, Relaxed);
        self.listed.store(false, Relaxed);
    }
}
