//! Translation from a pfn to its struct page in constant time (docs/semantics.md, section 2). The module is public so
//! that benches/lookup.rs can measure it alone.
//!
//! For flatmem the translation is arithmetic only. For sparsemem-vmemmap, arithmetic gives the block number and
//! [`blocks::BlockIndex`] the block's address: three loads that depend on each other, the third of them the slot. The
//! kernel's list is not walked, for two reasons: its length is the number of blocks, and a reader on a node that is
//! freed and reused follows wrong pointers (docs/kernel-bugs.md, section 1.7).
//!
//! | part | runs |
//! |---|---|
//! | this module, [`blocks`] | in both modes, without a lock |
//! | [`writer`] | in virtual mode: start and hot-plug; only this part allocates |
//! | `sync` | in both modes: the atomic types, and the orderings that the correctness argument needs |

pub mod blocks;
#[cfg(all(test, loom))]
mod races;
mod sync;
pub mod writer;

use contract::addr::{Ea, Pfn, RealAddr};
use contract::description::MAX_PHYSMEM_BITS;

use blocks::BlockIndex;

/// Where the struct pages lie: the memory model of the machine.
#[derive(Clone, Copy, Debug)]
enum Model {
    /// flatmem: one array of `pages` struct pages at real address `array`.
    Flat { array: RealAddr, pages: u64 },
    /// sparsemem-vmemmap: a virtual array at `base`, backed by blocks of 2^`block_shift` bytes.
    Sparse { base: u64, block_shift: u32 },
}

/// The translation from a pfn to its struct page.
pub struct PageIndex {
    model: Model,
    page_shift: u32,
    /// Size of a struct page in bytes.
    size: u64,
    blocks: BlockIndex,
}

impl Default for PageIndex {
    fn default() -> Self {
        let model = Model::Flat { array: RealAddr(0), pages: 0 };
        Self { model, page_shift: 12, size: 64, blocks: BlockIndex::default() }
    }
}

impl PageIndex {
    /// Returns the real address of the page's struct page if all bytes of the struct page lie inside one backed block
    /// (for flatmem: inside the array), else `None`. The lookup does not access simulated memory, so the caller must
    /// check whether the page is in use or compound.
    #[must_use]
    pub fn lookup(&self, pfn: Pfn) -> Option<RealAddr> {
        if pfn.0.wrapping_shr(MAX_PHYSMEM_BITS.wrapping_sub(self.page_shift)) != 0 {
            return None;
        }
        // The pfn is below 2^34 and `size` at most 80: the product is exact.
        let offset = pfn.0.wrapping_mul(self.size);
        match self.model {
            Model::Flat { array, pages } => (pfn.0 < pages).then(|| RealAddr(array.0.wrapping_add(offset))),
            Model::Sparse { base, block_shift } => {
                base.checked_add(offset)?;
                let block = offset.wrapping_shr(block_shift);
                let last = offset.wrapping_add(self.size).wrapping_sub(1);
                if last.wrapping_shr(block_shift) != block {
                    return None;
                }
                let inside = offset & 1_u64.wrapping_shl(block_shift).wrapping_sub(1);
                Some(RealAddr(self.blocks.get(block)?.wrapping_add(inside)))
            }
        }
    }

    /// Returns the effective address of the page's struct page for virtual mode. Each word of the struct page can be
    /// reached there, also if the words lie in different blocks. The page must exist (docs/semantics.md, section 6).
    #[must_use]
    pub const fn virtual_address(&self, pfn: Pfn) -> Ea {
        let offset = pfn.0.wrapping_mul(self.size);
        match self.model {
            Model::Flat { array, .. } => RealAddr(array.0.wrapping_add(offset)).ea(),
            Model::Sparse { base, .. } => Ea(base.wrapping_add(offset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::description::{AddrRun, BlockRun, MemoryModel, PageShift};

    fn sparse(size: u64, block_shift: u32, page_shift: PageShift, section: u64, at: u64) -> PageIndex {
        let mut index = PageIndex::default();
        let bytes = page_shift.pages_per_section() * size;
        let first = (section * bytes) >> block_shift;
        let count = ((section * bytes + bytes - 1) >> block_shift) - first + 1;
        let blocks = [BlockRun { first, places: AddrRun { at: RealAddr(at), count } }];
        let model = MemoryModel::SparsememVmemmap {
            base: 0xf << 60,
            block_shift,
            list: RealAddr(0),
            sections: [section].into(),
            blocks: blocks.into(),
        };
        index.start(page_shift, size, &model);
        index
    }

    #[test]
    fn the_first_split_page_is_where_the_kernel_notes_say() {
        // docs/kernel-bugs.md 1.5, for struct pages of 56 bytes.
        for (block_shift, pfn) in [(12, 73), (16, 1170)] {
            let index = sparse(56, block_shift, PageShift::Shift12, 0, 0x100_0000);
            assert_eq!(index.lookup(Pfn(pfn)), None);
            for hit in [0, pfn - 1, pfn + 1] {
                assert_eq!(index.lookup(Pfn(hit)), Some(RealAddr(0x100_0000 + hit * 56)));
            }
        }
        let index = sparse(64, 12, PageShift::Shift12, 0, 0x100_0000);
        assert!((0..4096).all(|pfn| index.lookup(Pfn(pfn)) == Some(RealAddr(0x100_0000 + pfn * 64))));
        assert_eq!(index.lookup(Pfn(4096)), None);
    }

    #[test]
    fn limits() {
        let last = (1 << 22) - 1;
        let index = sparse(80, 12, PageShift::Shift12, last, 0x100_0000);
        let pfn = (1_u64 << 34) - 4096;
        assert_eq!(index.lookup(Pfn(pfn)), Some(RealAddr(0x100_0000)));
        for beyond in [1 << 34, u64::MAX, u64::MAX / 80 + 1] {
            assert_eq!(index.lookup(Pfn(beyond)), None);
        }
        let mut index = PageIndex::default();
        assert_eq!(index.lookup(Pfn(0)), None, "before start");
        index.start(PageShift::Shift16, 72, &MemoryModel::Flatmem { array: RealAddr(0x2000), pages: 3 });
        assert_eq!(index.lookup(Pfn(2)), Some(RealAddr(0x2000 + 144)));
        assert_eq!(index.lookup(Pfn(3)), None);
    }

    #[test]
    fn a_block_stays_while_a_section_needs_it() {
        // 256 struct pages of 56 bytes are 14336 bytes, so sections 0 and 1 share block 3 (of 4 KiB).
        let index = sparse(56, 12, PageShift::Shift16, 0, 0x10_0000);
        let shared = Pfn(3 * 4096 / 56 + 2);
        assert_eq!(index.lookup(shared), Some(RealAddr(0x10_0000 + shared.0 * 56)));
        index.hot_add(1, &[AddrRun { at: RealAddr(0x20_0000), count: 9 }]);
        assert_eq!(index.lookup(shared), Some(RealAddr(0x10_0000 + shared.0 * 56)), "the shared block keeps its place");
        let next = Pfn(4 * 4096 / 56 + 1);
        assert_eq!(
            index.lookup(next),
            Some(RealAddr(0x20_0000 + next.0 * 56 - 4 * 4096)),
            "the new one gets the first"
        );
        index.hot_remove(0);
        assert_eq!(index.lookup(Pfn(0)), None);
        assert!(index.lookup(shared).is_some());
        index.hot_remove(1);
        assert_eq!(index.lookup(shared), None);
        assert_eq!(index.lookup(next), None);
    }

    #[test]
    fn start_forgets_the_earlier_machine() {
        let mut index = sparse(64, 12, PageShift::Shift12, 5, 0x100_0000);
        index.hot_add(700, &[AddrRun { at: RealAddr(0x200_0000), count: 64 }]);
        assert!(index.lookup(Pfn(700 * 4096)).is_some());
        let empty = MemoryModel::SparsememVmemmap {
            base: 0,
            block_shift: 12,
            list: RealAddr(0),
            sections: [].into(),
            blocks: [].into(),
        };
        index.start(PageShift::Shift12, 64, &empty);
        for pfn in [5 * 4096, 6 * 4096 - 1, 700 * 4096, 701 * 4096 - 1] {
            assert_eq!(index.lookup(Pfn(pfn)), None);
        }
    }
}
