//! Regions, which real memory is divided into, and the place of a word in them.

use contract::addr::{Hva, Liobn, RealAddr};

/// The purpose of a region of real memory (docs/semantics.md, section 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Struct pages: the region is a vmemmap block, or flatmem's only array.
    StructPages {
        /// Distance in bytes from the struct page of pfn 0 to the region's first byte, in the array or in the vmemmap
        /// range.
        offset: u64,
    },
    /// The table of guest values of the window with this LIOBN, 8 bytes an entry, big-endian.
    Table(Liobn),
    /// The hardware table of the pinned window with this LIOBN, 8 bytes an entry, big-endian.
    Hardware(Liobn),
    /// Pages of the host: a section, or all memory of flatmem.
    Ram,
    /// The area of the vmemmap list, which only the host changes.
    List,
}

/// A region of real memory. Regions start at multiples of 4 KiB and overlap nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// Real address of the region's first byte, a multiple of 4 KiB.
    pub start: u64,
    /// Real address of the first byte past the region; above `start`.
    pub end: u64,
    /// The purpose of the region.
    pub owner: Owner,
}

/// Where a word of memory lies: in real memory or in the page table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At a real address (a multiple of 8), in the region; `None` if the address lies in no region, for example because
    /// its region was removed, which made the word 0.
    Real(RealAddr, Option<Region>),
    /// In the page table: the entry of the page at this hva.
    PageTable(Hva),
}
