//! Pure functions on one entry of the host page table.

use contract::addr::{Hva, Pfn};
use contract::description::Pte;

/// Returns the pfn of the page at `hva`, given its page-table entry `pte`. For a huge entry this is the page at `hva`
/// itself, not the head. `None` for a hole or an absent page.
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

/// Returns the entry with young set, and with dirty set too if `written`. Holes and absent entries are returned
/// unchanged.
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

/// Returns whether the host refuses this entry's page to a device (`PIN.HARDWARE`): the entry is a hole, or the device
/// may write and the present or huge entry is not writable. An absent entry is never refused.
#[must_use]
pub const fn refuses(pte: Pte, device_writes: bool) -> bool {
    match pte {
        Pte::Hole => true,
        Pte::Present { writable, .. } | Pte::Huge { writable, .. } => device_writes && !writable,
        Pte::Absent { .. } => false,
    }
}
