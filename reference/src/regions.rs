//! What lies where in real memory, and which pages, sections and blocks are there (semantics 1).

use contract::description::{LIST_AREA_BYTES, MAX_PHYSMEM_BITS, SECTION_SIZE_BITS};
use contract::{Pfn, RealAddr};
use core::ops::RangeInclusive;

use crate::state::{Memory, Reference, Sparsemem};

/// Bytes of a section.
pub(crate) const SECTION_BYTES: u64 = 1 << SECTION_SIZE_BITS;
/// Sections are numbered below it.
pub(crate) const SECTION_LIMIT: u64 = 1 << (MAX_PHYSMEM_BITS - SECTION_SIZE_BITS);
/// Everything lies below it.
pub(crate) const REAL_LIMIT: u64 = 1 << MAX_PHYSMEM_BITS;

/// Bytes of real memory. `at + bytes` is at most 2^46.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub(crate) at: u64,
    pub(crate) bytes: u64,
}

impl Region {
    /// The region, if it ends at 2^46 at most.
    pub(crate) fn below_limit(at: RealAddr, bytes: u64) -> Option<Self> {
        let end = at.checked_add(bytes)?;
        (end.0 <= REAL_LIMIT).then_some(Self { at: at.0, bytes })
    }

    /// The memory of a section below [`SECTION_LIMIT`].
    pub(crate) const fn section(section: u64) -> Self {
        Self { at: section << SECTION_SIZE_BITS, bytes: SECTION_BYTES }
    }

    /// Whether the two have a byte in common.
    pub(crate) const fn overlaps(&self, other: &Self) -> bool {
        self.at < other.at + other.bytes && other.at < self.at + self.bytes
    }
}

impl Reference {
    /// Every region there is: present memory, struct pages, the vmemmap list, TCE tables.
    fn regions(&self) -> Vec<Region> {
        let mut regions = Vec::new();
        match &self.memory {
            Memory::Flatmem { array, pages } => {
                regions.push(Region { at: 0, bytes: pages << self.page_shift.bits() });
                regions.push(Region { at: *array, bytes: pages * self.struct_page });
            }
            Memory::Sparsemem(sparse) => {
                regions.push(Region { at: sparse.list, bytes: LIST_AREA_BYTES });
                regions.extend(sparse.sections.iter().map(|section| Region::section(*section)));
                let bytes = 1 << sparse.block_shift;
                regions.extend(sparse.blocks.values().map(|at| Region { at: *at, bytes }));
            }
        }
        for window in self.windows.values() {
            regions.extend(window.spec.regions().map(|(at, bytes)| Region { at: at.0, bytes }));
        }
        regions
    }

    /// Whether each of the new regions lies apart from all there are and from the other new ones.
    pub(crate) fn lie_apart(&self, new: &[Region]) -> bool {
        let there = self.regions();
        new.iter().enumerate().all(|(i, region)| {
            let clear = |other: &Region| !region.overlaps(other);
            there.iter().all(clear) && new.iter().take(i).all(clear)
        })
    }

    /// Whether the page lies in a present section (flatmem: below `pages`).
    pub(crate) fn exists(&self, pfn: Pfn) -> bool {
        match &self.memory {
            Memory::Flatmem { pages, .. } => pfn.0 < *pages,
            Memory::Sparsemem(sparse) => sparse.sections.contains(&(pfn.0 / self.page_shift.pages_per_section())),
        }
    }
}

impl Sparsemem {
    /// The blocks that the struct pages of a section overlap; `section_bytes` is what its struct pages take.
    pub(crate) const fn blocks_of(&self, section: u64, section_bytes: u64) -> RangeInclusive<u64> {
        let first = section * section_bytes;
        let last = first + section_bytes - 1;
        (first >> self.block_shift)..=(last >> self.block_shift)
    }

    /// The sections whose struct pages overlap a block.
    pub(crate) const fn sections_of(&self, block: u64, section_bytes: u64) -> RangeInclusive<u64> {
        let first = block << self.block_shift;
        let last = first + (1 << self.block_shift) - 1;
        (first / section_bytes)..=(last / section_bytes)
    }
}
