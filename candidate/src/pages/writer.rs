//! The functions that change the page index: start and hot-plug. They run in virtual mode only, and hot-plug runs while
//! readers do.
//!
//! Writers take no lock: they change each slot by compare-and-swap. The host serialises notices for the same block (as
//! the kernel does with its memory hot-plug lock); notices for different blocks may run at the same time.

extern crate alloc;

use alloc::boxed::Box;
use core::array;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::blocks::{BlockIndex, KEPT_LEAVES, Leaf, Middle, USERS, place, slot_of};
use super::sync::{AtomicBool, AtomicU64, OnceBox, load_to_exchange, publish_block};
use super::{Model, PageIndex};
use contract::description::{AddrRun, MAX_PHYSMEM_BITS, MemoryModel, PageShift, SECTION_SIZE_BITS};

impl PageIndex {
    /// Forgets the earlier machine and records where the struct pages of the new machine lie. Reuses the earlier
    /// allocations, unless they have more than `KEPT_LEAVES` leaves. `struct_page` is the size of a struct page in
    /// bytes.
    pub fn start(&mut self, page_shift: PageShift, struct_page: u64, memory: &MemoryModel) {
        self.blocks.clear();
        self.page_shift = page_shift.bits();
        self.size = struct_page;
        match memory {
            MemoryModel::Flatmem { array, pages } => self.model = Model::Flat { array: *array, pages: *pages },
            MemoryModel::SparsememVmemmap { base, block_shift, sections, blocks, .. } => {
                self.model = Model::Sparse { base: *base, block_shift: *block_shift };
                // Sections and blocks both come in ascending order, each once. So each section takes the next places,
                // one for each of its blocks that no section before it needed.
                let runs = blocks.iter().map(|run| &run.places);
                let mut places = runs.flat_map(|run| addresses(run, *block_shift));
                for &section in sections {
                    self.add(section, &mut places);
                }
            }
        }
    }

    /// Records that section number `section` was added. `places` are the real addresses for the blocks that no present
    /// section needed before, lowest block number first; more addresses are ignored. Does nothing for flatmem.
    pub fn hot_add(&self, section: u64, places: &[AddrRun]) {
        if let Model::Sparse { block_shift, .. } = self.model {
            self.add(section, &mut places.iter().flat_map(|run| addresses(run, block_shift)));
        }
    }

    /// Records the removal of section number `section`, and of the blocks that no other present section needs. Does
    /// nothing for flatmem.
    pub fn hot_remove(&self, section: u64) {
        for block in self.blocks_of(section) {
            self.blocks.remove(block);
        }
    }

    fn add(&self, section: u64, places: &mut impl Iterator<Item = u64>) {
        for block in self.blocks_of(section) {
            self.blocks.add(block, places);
        }
    }

    /// Returns the numbers of the blocks that a section's struct pages overlap. The result is empty for flatmem, and
    /// for a section number that would lie at or above 2^46 bytes.
    fn blocks_of(&self, section: u64) -> impl Iterator<Item = u64> + use<> {
        let range = match self.model {
            Model::Sparse { block_shift, .. }
                if section.wrapping_shr(MAX_PHYSMEM_BITS.wrapping_sub(SECTION_SIZE_BITS)) == 0 =>
            {
                let pages = 1_u64.wrapping_shl(SECTION_SIZE_BITS.wrapping_sub(self.page_shift));
                let bytes = pages.wrapping_mul(self.size);
                let start = section.wrapping_mul(bytes);
                let last = start.wrapping_add(bytes).wrapping_sub(1);
                Some(start.wrapping_shr(block_shift)..=last.wrapping_shr(block_shift))
            }
            _ => None,
        };
        range.into_iter().flatten()
    }
}

fn addresses(run: &AddrRun, block_shift: u32) -> impl Iterator<Item = u64> + use<> {
    let start = run.at.0;
    (0..run.count).map(move |i| start.wrapping_add(i.wrapping_shl(block_shift)))
}

impl BlockIndex {
    /// Adds a section to those that need the block. For the first such section the block gets the next of `places`.
    /// Does nothing if that place is missing, or if the block number is past the end of the index.
    pub(super) fn add(&self, block: u64, places: &mut impl Iterator<Item = u64>) {
        let (number, slot) = slot_of(block);
        let Some(leaf) = self.leaf_or_make(number) else { return };
        self.note_use(leaf, number, slot as u64);
        let Some(slot) = leaf.slots.get(slot) else { return };
        // Only hot-plug of the same block changes this word, and the host serialises that. The loop is needed because
        // the weak compare-and-swap may fail without a reason.
        let mut word = load_to_exchange(slot);
        let mut place = None;
        loop {
            let new = if word & USERS == 0 {
                place = place.or_else(|| places.next());
                let Some(address) = place else { return };
                address & !USERS | 1
            } else {
                word.wrapping_add(1)
            };
            match slot.compare_exchange_weak(word, new, publish_block(), Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Removes a section from those that need the block. With the last such section the block becomes unbacked. Does
    /// nothing if no section needs the block.
    pub(super) fn remove(&self, block: u64) {
        let (number, slot) = slot_of(block);
        let Some(slot) = self.leaf(number).and_then(|leaf| leaf.slots.get(slot)) else { return };
        let mut word = load_to_exchange(slot);
        loop {
            let new = match word & USERS {
                0 => return,
                1 => 0,
                _ => word.wrapping_sub(1),
            };
            match slot.compare_exchange_weak(word, new, publish_block(), Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    fn leaf_or_make(&self, number: u64) -> Option<&Leaf> {
        let (root, middle) = place(number);
        let middle = self.root.get(root)?.get_or_init(Middle::new).leaves.get(middle)?;
        Some(middle.get_or_init(|| {
            // The count may include a leaf that another writer's leaf replaces. It only decides when start frees
            // memory, so a larger count does no harm.
            self.leaves.fetch_add(1, Relaxed);
            Leaf::new()
        }))
    }

    /// Records that slot number `slot` of `leaf` is in use, so that the next start clears it. `number` is that of the
    /// leaf.
    fn note_use(&self, leaf: &Leaf, number: u64, slot: u64) {
        leaf.low.fetch_min(slot, Relaxed);
        leaf.high.fetch_max(slot, Relaxed);
        if leaf.listed.swap(true, Relaxed) {
            return;
        }
        // Leaves are only pushed, so a list head that is seen twice is the same list: there is no ABA problem.
        let mut first = self.used.load(Relaxed);
        loop {
            leaf.next.store(first, Relaxed);
            match self.used.compare_exchange_weak(first, number.wrapping_add(1), Release, Acquire) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Removes every block, and frees all nodes if there are more than `KEPT_LEAVES` leaves. The function needs `&mut
    /// self`: no reader may run, because the function may free nodes.
    pub(super) fn clear(&mut self) {
        if self.leaves.load(Relaxed) > KEPT_LEAVES {
            self.root.fill_with(OnceBox::new);
            self.leaves.store(0, Relaxed);
        } else {
            let mut next = self.used.load(Relaxed);
            while let Some(leaf) = next.checked_sub(1).and_then(|number| self.leaf(number)) {
                leaf.clear();
                next = leaf.next.load(Relaxed);
            }
        }
        self.used.store(0, Relaxed);
    }
}

impl Middle {
    fn new() -> Box<Self> {
        Box::new(Self { leaves: array::from_fn(|_| OnceBox::new()) })
    }
}

impl Leaf {
    fn new() -> Box<Self> {
        Box::new(Self {
            slots: array::from_fn(|_| AtomicU64::new(0)),
            low: AtomicU64::new(u64::MAX),
            high: AtomicU64::new(0),
            listed: AtomicBool::new(false),
            next: AtomicU64::new(0),
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use contract::addr::{Pfn, RealAddr};
    use contract::description::BlockRun;
    use std::sync::atomic::AtomicUsize;
    use std::vec::Vec;

    #[test]
    fn memory_is_given_back_past_the_limit() {
        let mut index = BlockIndex::default();
        for leaf in 0..KEPT_LEAVES {
            index.add(leaf << 9, &mut [4096].into_iter());
        }
        index.clear();
        assert_eq!(index.leaf_count(), KEPT_LEAVES, "kept");
        assert!((0..KEPT_LEAVES).all(|leaf| index.get(leaf << 9).is_none()));
        for leaf in 0..=KEPT_LEAVES {
            index.add(leaf << 9, &mut [4096].into_iter());
        }
        index.clear();
        assert_eq!(index.leaf_count(), 0, "given back");
        assert_eq!(index.get(0), None);
        index.add((1 << 29) - 1, &mut [8192].into_iter());
        assert_eq!(index.get((1 << 29) - 1), Some(8192));
        index.add(1 << 29, &mut [8192].into_iter());
        assert_eq!(index.get(1 << 29), None, "past the last number");
    }

    /// The host never sends notices of such sections. Their block numbers must still not wrap to those of other
    /// sections.
    #[test]
    fn what_cannot_be_a_section_has_no_blocks() {
        let mut index = PageIndex::default();
        let blocks = [BlockRun { first: 0, places: AddrRun { at: RealAddr(1 << 20), count: 64 } }];
        let (sections, blocks) = ([0].into(), blocks.into());
        let memory = MemoryModel::SparsememVmemmap { base: 0, block_shift: 12, list: RealAddr(0), sections, blocks };
        index.start(PageShift::Shift12, 64, &memory);
        for section in [1 << 46, 1 << 22] {
            index.hot_remove(section);
            assert_eq!(
                index.lookup(Pfn(0)),
                Some(RealAddr(1 << 20)),
                "the section takes 2^18 bytes: 2^46 of them wrap"
            );
            assert_eq!(index.blocks_of(section).count(), 0);
        }
        assert_eq!(index.blocks_of((1 << 22) - 1).count(), 64);
    }

    #[test]
    fn without_a_place_a_block_stays_unbacked() {
        let index = BlockIndex::default();
        index.add(7, &mut [].into_iter());
        assert_eq!(index.get(7), None);
        index.remove(7);
        index.remove(1 << 20);
        assert_eq!(index.get(7), None);
    }

    /// Readers never see an address that the block did not have at some time, and never miss a block that stays, while
    /// writers add and remove its neighbours and make new leaves.
    #[test]
    fn readers_race_writers() {
        const ROUNDS: u64 = 20_000;
        let index = BlockIndex::default();
        let fixed: Vec<u64> = (0..64).map(|i| i * 517 * 131 % (1 << 29)).collect();
        for &block in &fixed {
            index.add(block, &mut [(block + 1) << 12].into_iter());
        }
        let running = AtomicUsize::new(2);
        std::thread::scope(|scope| {
            for writer in 0..2_u64 {
                let (index, running, fixed) = (&index, &running, &fixed);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let block = (round * 2 + writer) * 97 % (1 << 20) * 512 + 3;
                        if fixed.contains(&block) {
                            continue;
                        }
                        let place = (block << 20) | (round % 8) << 12;
                        index.add(block, &mut [place].into_iter());
                        assert_eq!(index.get(block), Some(place));
                        index.add(block, &mut [].into_iter());
                        index.remove(block);
                        assert_eq!(index.get(block), Some(place));
                        index.remove(block);
                        assert_eq!(index.get(block), None);
                    }
                    running.fetch_sub(1, Release);
                });
            }
            for reader in 0..2_u64 {
                let (index, running, fixed) = (&index, &running, &fixed);
                scope.spawn(move || {
                    let mut round = reader;
                    while running.load(Acquire) != 0 {
                        let block = fixed[(round % 64) as usize];
                        assert_eq!(index.get(block), Some((block + 1) << 12));
                        let block = round * 97 % (1 << 20) * 512 + 3;
                        if let Some(place) = index.get(block)
                            && !fixed.contains(&block)
                        {
                            assert_eq!(place >> 20, block);
                        }
                        round += 1;
                    }
                });
            }
        });
    }
}
