//! The block index: translates a block number to the block's real address. Readers take no lock and make three steps.
//!
//! **Shape.** The index is a radix tree over the block number, with 9 + 11 + 9 bits from the top. The layout with most
//! blocks has 2^46 bytes of 4 KiB pages, 80-byte struct pages and 4 KiB blocks: 2^34 x 80 / 2^12 = 335,544,320 blocks,
//! less than 2^29. The root (4 KiB) is part of the index; a middle node has 16 KiB, a leaf 4 KiB.
//!
//! **Memory is bounded.** There are at most 512 middle nodes (8 MiB). A section has at most 81 blocks, so it touches at
//! most two leaves: after `n` sections since [`start`](super::PageIndex::start) there are at most `2 n` leaves, and
//! never more than one per 512 block numbers. A machine of 1024 scattered sections needs 8 MiB of leaves. A machine
//! with all 2^46 bytes backed needs 2.5 GiB: eight bytes for each 4 KiB block. The next start reuses the leaves, unless
//! there are more than [`KEPT_LEAVES`]: then it frees all nodes.
//!
//! **Orderings.** `OnceBox` publishes each node once with Release, and readers load it with Acquire: a reader that sees
//! the pointer sees a node of empty slots. No node is freed or reused for other block numbers while readers can run:
//! only start frees nodes, and it has `&mut self`. A reader therefore never holds a freed node, which is the hazard of
//! the kernel's list. A slot is one word, stored with Release and loaded with Acquire: a reader that sees the block's
//! address sees the struct pages that the host zeroed before the notice. Address and number of sections change in the
//! same atomic step, so a reader never combines a new address with an old number. A reader that got an address just
//! before the block was removed keeps it: as in the kernel, only references on pages prevent the removal of a section.
//!
//! **Checked by loom.** `scripts/loom` runs one reader against one writer that adds, removes and reuses blocks, in
//! every order that the memory model allows; and one reader against two writers in every order with at most three
//! preemptions. It repeats the runs with each of these orderings weakened to Relaxed, and those runs must fail. A
//! reader has no loop: its number of steps is fixed whatever writers do.
//!
//! **A slot** is one word. Its upper bits are the block's real address, whose low 12 bits are zero because blocks are
//! aligned to at least 4 KiB. The low 12 bits hold the number of present sections that need the block; 0 means that the
//! block is not backed. At most 2^24 / (256 x 56) + 2 = 1172 sections share a block.

use core::array;
use core::sync::atomic::Ordering::Relaxed;

use super::sync::{AtomicBool, AtomicU64, OnceBox, see_block};

/// log2 of the number of slots in a leaf. Under loom it is small, because loom tracks each slot.
pub const LEAF_BITS: u32 = if cfg!(loom) { 1 } else { 9 };
/// log2 of the number of leaves under a middle node.
pub const MIDDLE_BITS: u32 = if cfg!(loom) { 1 } else { 11 };
/// log2 of the number of middle nodes.
pub const ROOT_BITS: u32 = if cfg!(loom) { 1 } else { 9 };
/// Largest number of leaves that start keeps for the next machine: 1024 leaves of 4 KiB, 4 MiB. If there are more,
/// start frees all of them.
pub const KEPT_LEAVES: u64 = 1024;
/// The bits of a slot that hold the number of present sections that need the block; 0 means that the block is not
/// backed.
pub const USERS: u64 = 0xfff;

/// A leaf: the slots of consecutive blocks.
pub struct Leaf {
    /// One slot for each block.
    pub(super) slots: [AtomicU64; 1 << LEAF_BITS],
    /// Number, in this leaf, of the lowest slot that was used since start; `u64::MAX` if none was. The next start
    /// clears only the slots `low ..= high`.
    pub(super) low: AtomicU64,
    /// Number of the highest slot in use since start.
    pub(super) high: AtomicU64,
    /// Whether this leaf is in the list of leaves in use.
    pub(super) listed: AtomicBool,
    /// Number of the next leaf in use, plus 1; 0 at the end of the list.
    pub(super) next: AtomicU64,
}

/// A middle node: the leaves of consecutive blocks.
pub struct Middle {
    /// The leaves, each made when a block first needs it.
    pub(super) leaves: [OnceBox<Leaf>; 1 << MIDDLE_BITS],
}

/// The block index. [`super::writer`] has the functions that change it.
pub struct BlockIndex {
    pub(super) root: [OnceBox<Middle>; 1 << ROOT_BITS],
    /// Number of the first leaf in the list of leaves in use since start, plus 1; 0 if the list is empty.
    pub(super) used: AtomicU64,
    /// Number of leaves.
    pub(super) leaves: AtomicU64,
}

impl Default for BlockIndex {
    fn default() -> Self {
        let root = array::from_fn(|_| OnceBox::new());
        Self { root, used: AtomicU64::new(0), leaves: AtomicU64::new(0) }
    }
}

/// Returns the `bits` low bits of `number`, and `number` shifted right by `bits`.
const fn split(number: u64, bits: u32) -> (usize, u64) {
    ((number & 1_u64.wrapping_shl(bits).wrapping_sub(1)) as usize, number.wrapping_shr(bits))
}

/// Returns, for leaf number `leaf`, the position of its middle node in the root and the position of the leaf in that
/// node.
pub(super) const fn place(leaf: u64) -> (usize, usize) {
    let (middle, root) = split(leaf, MIDDLE_BITS);
    (root as usize, middle)
}

/// Returns the number of the leaf that holds a block, and the block's slot in that leaf.
pub(super) const fn slot_of(block: u64) -> (u64, usize) {
    let (slot, leaf) = split(block, LEAF_BITS);
    (leaf, slot)
}

impl BlockIndex {
    /// Returns the real address of a block; `None` if the block is not backed.
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

    /// Returns the number of leaves that were made and not freed, for tests of the memory bound.
    #[cfg(test)]
    pub(super) fn leaf_count(&self) -> u64 {
        self.leaves.load(Relaxed)
    }
}

impl Leaf {
    /// Removes every block from this leaf, and notes that the leaf is not in the list of leaves in use. The caller
    /// empties the list.
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
