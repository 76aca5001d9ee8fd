//! The read-only pass of a call on a pinned window. It reads the old hardware entries, computes the new ones, and
//! defers if any page has a reason to.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use contract::addr::{Pfn, RealAddr, Tce};
use contract::description::Pte;
use contract::hcall::Status;
use machine::memory::Cpu;

use crate::args::Run;
use crate::pte;
use crate::scratch::Values;
use crate::struct_page::StructPage;
use crate::tce;
use crate::view::View;

use super::journal::Journal;

/// A call on a pinned window for which the read-only pass found no reason to defer.
pub struct Plan<'a> {
    /// The entries that the call writes.
    pub run: &'a Run<'a>,
    /// Real address of the window's hardware table.
    pub hardware: RealAddr,
    /// The guest values to store.
    pub values: Values<'a>,
    /// The new hardware entries, one for each guest value.
    pub new: Values<'a>,
    /// The old hardware entries, as the pass read them.
    pub journal: Journal<'a>,
}

/// Reads every page-table entry, hardware entry and struct page that the call names, and makes the plan. The old
/// hardware entries, and the new ones of a list, go to scratch memory.
///
/// Fails with H_HARDWARE if the host cannot supply a page, with H_TOO_HARD for a reason to defer (docs/semantics.md,
/// section 5); `DEFER.LAST_REF` is found only later, by [`super::commit`].
pub fn make<'a>(
    view: &View<'a>,
    cpu: &Cpu<'_>,
    run: &'a Run<'a>,
    hardware: RealAddr,
    values: Values<'a>,
) -> Result<Plan<'a>, Status> {
    let new = match values {
        Values::Same(value) => Values::Same(new_entry(view, cpu, Tce(value))?),
        Values::List(words) => {
            let slots = view.scratch.hardware.get(..words.len()).ok_or(Status::TOO_HARD)?;
            for (word, slot) in words.iter().zip(slots) {
                slot.store(new_entry(view, cpu, Tce(word.load(Relaxed)))?, Relaxed);
            }
            Values::List(slots)
        }
    };
    let slots = view.scratch.journal.get(..run.count as usize).ok_or(Status::TOO_HARD)?;
    for (i, slot) in (0..).zip(slots) {
        // Acquire: the CPU that stored this entry took its reference before.
        let seen = cpu.load(run.entry(hardware, i), Acquire).swap_bytes();
        if let Some(old) = tce::named_page(view, seen) {
            single_page(view, cpu, old)?;
        }
        slot.store(seen, Relaxed);
    }
    Ok(Plan { run, hardware, values, new, journal: Journal(slots) })
}

/// Returns the hardware entry for a TCE, 0 for a fault TCE, and checks that real mode can take a reference on its page.
/// Fails as `translate` and `single_page` do.
fn new_entry(view: &View<'_>, cpu: &Cpu<'_>, tce: Tce) -> Result<u64, Status> {
    let word = translate(view, cpu, tce)?;
    if let Some(page) = tce::named_page(view, word) {
        single_page(view, cpu, page)?;
    }
    Ok(word)
}

/// Returns the hardware entry for a TCE, as the page table names its page now. One access; for a fault TCE none, and 0
/// is returned.
///
/// Fails with H_HARDWARE if the host cannot supply the page, with H_TOO_HARD if the page table would have to change
/// (`DEFER.PTE`).
pub fn translate(view: &View<'_>, cpu: &Cpu<'_>, tce: Tce) -> Result<u64, Status> {
    if !tce.has_permissions() {
        return Ok(0);
    }
    let hva = view.hva(tce::address(tce)).ok_or(Status::TOO_HARD)?;
    let entry = cpu.load_pte(hva);
    let written = tce.device_may_write();
    if pte::refuses(entry, written) {
        return Err(Status::HARDWARE);
    }
    if matches!(entry, Pte::Absent { .. }) || pte::touched(entry, written) != entry {
        return Err(Status::TOO_HARD);
    }
    let page = pte::page(entry, hva, view.page_shift).ok_or(Status::TOO_HARD)?;
    Ok(tce::hardware_word(view, page, tce))
}

/// Returns the page's struct page. Makes no access. Fails with H_TOO_HARD if the struct page does not lie in one backed
/// block (`DEFER.LOOKUP`).
pub fn struct_page(view: &View<'_>, page: Pfn) -> Result<StructPage, Status> {
    view.pages.lookup(page).map(|at| StructPage(at.ea())).ok_or(Status::TOO_HARD)
}

/// Checks that real mode can reach the page's struct page (`DEFER.LOOKUP`) and that the page is not compound
/// (`DEFER.COMPOUND`); else fails with H_TOO_HARD. The references of a compound page lie on its head, and real mode
/// does not look for the head.
fn single_page(view: &View<'_>, cpu: &Cpu<'_>, page: Pfn) -> Result<(), Status> {
    if struct_page(view, page)?.is_compound(cpu) { Err(Status::TOO_HARD) } else { Ok(()) }
}
