//! The regions of real memory, and the tests whether a page, section or block exists (docs/semantics.md, section 1).

use contract::description::{LIST_AREA_BYTES, MAX_PHYSMEM_BITS, SECTION_SIZE_BITS};
use contract::{Pfn, RealAddr};
use core::ops::RangeInclusive;

use crate::state::{Memory, Reference, Sparsemem};

/// Size of a section in bytes, 2^24.
pub(crate) const SECTION_BYTES: u64 = 1 << SECTION_SIZE_BITS;
/// Section numbers are below this limit, 2^22.
pub(crate) const SECTION_LIMIT: u64 = 1 << (MAX_PHYSMEM_BITS - SECTION_SIZE_BITS);
/// All regions of real memory lie below this address, 2^46.
pub(crate) const REAL_LIMIT: u64 = 1 << MAX_PHYSMEM_BITS;

/// A range of real memory, `[at, at + bytes)`, which ends at or below 2^46.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub(crate) at: u64,
    pub(crate) bytes: u64,
}

impl Region {
    /// Makes a region; `None` if it would end above 2^46.
    pub(crate) fn below_limit(at: RealAddr, bytes: u64) -> Option<Self> {
        let end = at.checked_add(bytes)?;
        (end.0 <= REAL_LIMIT).then_some(Self { at: at.0, bytes })
    }

    /// Returns the memory of a section. `section` must be below [`SECTION_LIMIT`].
    pub(crate) const fn section(section: u64) -> Self {
        Self { at: section << SECTION_SIZE_BITS, bytes: SECTION_BYTES }
    }

    /// Returns whether the two regions have a byte in common.
    pub(crate) const fn overlaps(&self, other: &Self) -> bool {
        self.at < other.at + other.bytes && other.at < self.at + self.bytes
    }
}

impl Reference {
    /// Returns all regions in use: present memory, struct pages, the vmemmap list and TCE tables.
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

    /// Returns whether the new regions overlap neither a region in use nor each other.
    pub(crate) fn lie_apart(&self, new: &[Region]) -> bool {
        let there = self.regions();
        new.iter().enumerate().all(|(i, region)| {
            let clear = |other: &Region| !region.overlaps(other);
            there.iter().all(clear) && new.iter().take(i).all(clear)
        })
    }

    /// Returns whether the page exists: it lies in a present section, or below `pages` for flatmem.
    pub(crate) fn exists(&self, pfn: Pfn) -> bool {
        match &self.memory {
            Memory::Flatmem { pages, .. } => pfn.0 < *pages,
            Memory::Sparsemem(sparse) => sparse.sections.contains(&(pfn.0 / self.page_shift.pages_per_section())),
        }
    }
}

impl Sparsemem {
    /// Returns the numbers of the blocks that a section's struct pages overlap. `section_bytes` is the size of the
    /// struct pages of one section.
    pub(crate) const fn blocks_of(&self, section: u64, section_bytes: u64) -> RangeInclusive<u64> {
        let first = section * section_bytes;
        let last = first + section_bytes - 1;
        (first >> self.block_shift)..=(last >> self.block_shift)
    }

    /// Returns the numbers of the sections, present or not, whose struct pages overlap a block. `section_bytes` is the
    /// size of the struct pages of one section.
    pub(crate) const fn sections_of(&self, block: u64, section_bytes: u64) -> RangeInclusive<u64> {
        let first = block << self.block_shift;
        let last = first + (1 << self.block_shift) - 1;
        (first / section_bytes)..=(last / section_bytes)
    }
}
