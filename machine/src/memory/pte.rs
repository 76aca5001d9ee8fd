//! The encoding of page-table entries as words of the image. Only this module knows it; subjects see entries decoded.
//!
//! Bits 0-1: 0 a hole, 1 present, 2 huge, 3 absent. Bit 2 writable, 3 dirty, 4 young; bits 8-12 the order of a huge
//! entry; bits 16 and up the pfn. A huge entry has a word for each of its pages: those after the first have bit 5 set,
//! and besides it only the kind (2) and the order.

use contract::addr::Pfn;
use contract::description::Pte;

const PRESENT: u64 = 1;
const HUGE: u64 = 2;
const ABSENT: u64 = 3;
const WRITABLE: u64 = 1 << 2;
const DIRTY: u64 = 1 << 3;
const YOUNG: u64 = 1 << 4;
const TAIL: u64 = 1 << 5;

/// A decoded word of the page table.
pub(super) enum Entry {
    /// The word is a page-table entry, or a hole.
    Entry(Pte),
    /// The word of a page under a huge entry, not the first page. The entry itself is in the word whose page number
    /// (hva >> PAGE_SHIFT) is this one rounded down to a multiple of 2^order.
    Tail {
        /// Order of the huge entry.
        order: u32,
    },
}

/// Returns the word for page number `index` (from 0) of the pages that the entry covers; 0 for a hole and past the last
/// page.
pub(super) fn encode(entry: Pte, index: u64) -> u64 {
    let flags = |writable, dirty, young| {
        (if writable { WRITABLE } else { 0 }) | (if dirty { DIRTY } else { 0 }) | (if young { YOUNG } else { 0 })
    };
    match entry {
        _ if index >= entry.pages() => 0,
        Pte::Hole => 0,
        Pte::Present { pfn, writable, dirty, young } => PRESENT | flags(writable, dirty, young) | pfn.0 << 16,
        Pte::Huge { order, .. } if index > 0 => HUGE | TAIL | u64::from(order) << 8,
        Pte::Huge { pfn, order, writable, dirty, young } => {
            HUGE | flags(writable, dirty, young) | u64::from(order) << 8 | pfn.0 << 16
        }
        Pte::Absent { pfn } => ABSENT | pfn.0 << 16,
    }
}

/// Decodes a word of the page table.
pub(super) fn decode(word: u64) -> Entry {
    let pfn = Pfn(word >> 16);
    let (writable, dirty, young) = (word & WRITABLE != 0, word & DIRTY != 0, word & YOUNG != 0);
    let order = (word >> 8) as u32 & 0x1f;
    Entry::Entry(match word & 3 {
        PRESENT => Pte::Present { pfn, writable, dirty, young },
        HUGE if word & TAIL != 0 => return Entry::Tail { order },
        HUGE => Pte::Huge { pfn, order, writable, dirty, young },
        ABSENT => Pte::Absent { pfn },
        _ => Pte::Hole,
    })
}
