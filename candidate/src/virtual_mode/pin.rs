//! Faults pages in, and takes references on the pages that the page table names.

use contract::addr::{Hva, Pfn, Tce};
use contract::description::Pte;
use machine::memory::Cpu;

use crate::pte;
use crate::tce;
use crate::view::View;

use super::page;

/// Returns whether the host cannot supply the page for `tce` (`PIN.HARDWARE`): it is a hole, or mapped read-only while
/// the device may write. False for a fault TCE. Changes nothing. A TCE outside guest memory has already been refused by
/// the earlier checks; it would be refused here too.
pub fn refused(view: &View<'_>, cpu: &Cpu<'_>, tce: Tce) -> bool {
    tce.has_permissions()
        && view.hva(tce::address(tce)).is_none_or(|hva| pte::refuses(cpu.load_pte(hva), tce.device_may_write()))
}

/// Makes the page at `hva` young, and dirty too if `written`. A page that was absent becomes present and writable, and
/// its page-table entry takes a reference on it. Returns the pfn of the page. `None` for a hole, or if `written` and
/// the page is not writable.
pub fn fault_in(view: &View<'_>, cpu: &Cpu<'_>, hva: Hva, written: bool) -> Option<Pfn> {
    loop {
        let seen = cpu.load_pte(hva);
        if pte::refuses(seen, written) {
            return None;
        }
        if let Pte::Absent { pfn } = seen {
            // The mapping's reference is taken before the page is mapped, so that a mapped page is always held.
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

/// Faults a TCE's page in (young, and dirty if the device may write), takes a reference on it and returns the hardware
/// entry. Returns 0 for a fault TCE. `None`, without a reference, if the host cannot supply the page, or no longer can,
/// or if the TCE lies outside guest memory.
pub fn pin(view: &View<'_>, cpu: &Cpu<'_>, tce: Tce) -> Option<u64> {
    if !tce.has_permissions() {
        return Some(0);
    }
    let hva = view.hva(tce::address(tce))?;
    loop {
        let pfn = fault_in(view, cpu, hva, tce.device_may_write())?;
        page::take(view, cpu, pfn);
        // The entry named this page before and after the take, so it is the right page, and the reference keeps it.
        if pte::page(cpu.load_pte(hva), hva, view.page_shift) == Some(pfn) {
            return Some(tce::hardware_word(view, pfn, tce));
        }
        page::put(view, cpu, pfn);
    }
}

/// Gives back the reference that the hardware entry `word` held. If the device could write the page, marks it DIRTY
/// first. Does nothing for an entry without permissions.
pub fn unpin(view: &View<'_>, cpu: &Cpu<'_>, word: u64) {
    if let Some(pfn) = tce::named_page(view, word) {
        if Tce(word).device_may_write() {
            page::mark_dirty(view, cpu, pfn);
        }
        page::put(view, cpu, pfn);
    }
}
