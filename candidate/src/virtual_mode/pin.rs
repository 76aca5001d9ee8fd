//! Faulting pages in, and taking references through the page table.

use contract::addr::{Hva, Pfn, Tce};
use contract::description::Pte;
use machine::memory::Cpu;

use crate::pte;
use crate::tce;
use crate::view::View;

use super::page;

/// Whether the host cannot supply the page for `tce` (`PIN.HARDWARE`). Changes nothing. What is no guest memory was
/// refused before; it has no page either.
pub fn refused(view: &View<'_>, cpu: &Cpu<'_>, tce: Tce) -> bool {
    tce.has_permissions()
        && view.hva(tce::address(tce)).is_none_or(|hva| pte::refuses(cpu.load_pte(hva), tce.device_may_write()))
}

/// Makes the page at `hva` present and young, and dirty where it will be written; answers the page behind `hva`, or
/// `None` for a hole or a page that may not be written.
pub fn fault_in(view: &View<'_>, cpu: &Cpu<'_>, hva: Hva, written: bool) -> Option<Pfn> {
    loop {
        let seen = cpu.load_pte(hva);
        if pte::refuses(seen, written) {
            return None;
        }
        if let Pte::Absent { pfn } = seen {
            // The mapping's reference comes before the mapping, so that the page is held whenever it is mapped.
            page::take(view, cpu, pfn);
            let present = Pte::Present { pfn, writable: true, dirty: written, young: true };
            if cpu.compare_exchange_pte(hva, seen, present).is_ok() {
                return Some(pfn);
            }
            page::put(view, cpu, pfn);
            continue;
        }
        let touched = pte::touched(seen, written);
        if touched == seen || cpu.compare_exchange_pte(hva, seen, touched).is_ok() {
            return pte::page(touched, hva, view.page_shift);
        }
    }
}

/// Faults a TCE's page in and takes a reference on it; answers its hardware entry, 0 for a fault TCE. `None` where the
/// host cannot supply the page (any more).
pub fn pin(view: &View<'_>, cpu: &Cpu<'_>, tce: Tce) -> Option<u64> {
    if !tce.has_permissions() {
        return Some(0);
    }
    let hva = view.hva(tce::address(tce))?;
    loop {
        let pfn = fault_in(view, cpu, hva, tce.device_may_write())?;
        page::take(view, cpu, pfn);
        // Mapped before and after the take: it was the page, and the reference keeps it.
        if pte::page(cpu.load_pte(hva), hva, view.page_shift) == Some(pfn) {
            return Some(tce::hardware_word(view, pfn, tce));
        }
        page::put(view, cpu, pfn);
    }
}

/// Gives back the reference that a hardware entry held, marking the page DIRTY first where the device could write it.
pub fn unpin(view: &View<'_>, cpu: &Cpu<'_>, word: u64) {
    if let Some(pfn) = tce::named_page(view, word) {
        if Tce(word).device_may_write() {
            page::mark_dirty(view, cpu, pfn);
        }
        page::put(view, cpu, pfn);
    }
}
