//! Regions, which real memory is divided into, and the place of a word in them.

use contract::addr::{Hva, Liobn, RealAddr};

/// The purpose of a region of real memory (docs/semantics.md, section 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Struct pages. The region is a vmemmap block, or the one array of flatmem.
    StructPages {
        /// Offset in bytes of the region's first byte from the struct page of pfn 0, in the array or the vmemmap range.
        offset: u64,
    },
    /// The guest values of a window, 8 bytes an entry, big-endian.
    Table(Liobn),
    /// The hardware entries of a pinned window, 8 bytes an entry, big-endian.
    Hardware(Liobn),
    /// Pages: a section, or all memory of flatmem.
    Ram,
    /// The vmemmap list, which the host keeps.
    List,
}

/// A region of real memory. Regions start at multiples of 4 KiB and overlap nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// Real address of the first byte.
    pub start: u64,
    /// Real address of the first byte past the region; above `start`.
    pub end: u64,
    /// Its purpose.
    pub owner: Owner,
}

/// Where a word of the image lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At a real address (a multiple of 8), in a region; `None` if the region was removed, which made the word 0.
    Real(RealAddr, Option<Region>),
    /// The page-table entry of an hva page.
    PageTable(Hva),
}
