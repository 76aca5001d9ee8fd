//! Regions: what real memory is divided into, and where a word lies in it.

use contract::addr::{Hva, Liobn, RealAddr};

/// What a region of real memory is for (docs/semantics.md, section 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Struct pages. The region is a vmemmap block, or the one array of flatmem.
    StructPages {
        /// Where the region begins in the array (or virtual array): bytes from the struct page of pfn 0.
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
    /// Real address of the first byte behind it; above `start`.
    pub end: u64,
    /// What it is for.
    pub owner: Owner,
}

/// Where a word of the image lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At a real address (a multiple of 8), in a region; `None` where the region has been removed, which made the word
    /// 0.
    Real(RealAddr, Option<Region>),
    /// The page-table entry of an hva page.
    PageTable(Hva),
}
