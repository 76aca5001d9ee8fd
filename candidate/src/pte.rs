//! Small questions to a page-table entry.

use contract::addr::{Hva, Pfn};
use contract::description::Pte;

/// The page behind `hva` when its entry is `pte`: inside a huge entry, the page itself rather than its head. `None`
/// unless a page is there.
#[must_use]
pub fn page(pte: Pte, hva: Hva, page_shift: u32) -> Option<Pfn> {
    match pte {
        Pte::Present { pfn, .. } => Some(pfn),
        Pte::Huge { pfn, order, .. } => {
            let inside = 1_u64.wrapping_shl(order).wrapping_sub(1);
            Some(Pfn(pfn.0.wrapping_add(hva.0.wrapping_shr(page_shift) & inside)))
        }
        Pte::Hole | Pte::Absent { .. } => None,
    }
}

/// The entry made young, and dirty too where `written`.
#[must_use]
pub const fn touched(pte: Pte, written: bool) -> Pte {
    match pte {
        Pte::Present { pfn, writable, dirty, .. } => {
            Pte::Present { pfn, writable, dirty: dirty || written, young: true }
        }
        Pte::Huge { pfn, order, writable, dirty, .. } => {
            Pte::Huge { pfn, order, writable, dirty: dirty || written, young: true }
        }
        Pte::Hole | Pte::Absent { .. } => pte,
    }
}

/// Whether the host cannot supply the page for an entry of these permissions (`PIN.HARDWARE`).
#[must_use]
pub const fn refuses(pte: Pte, device_writes: bool) -> bool {
    match pte {
        Pte::Hole => true,
        Pte::Present { writable, .. } | Pte::Huge { writable, .. } => device_writes && !writable,
        Pte::Absent { .. } => false,
    }
}
