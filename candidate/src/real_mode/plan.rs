//! The read-only pass: what the hardware entries are to become, what they are, and whether any page is too hard.

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

/// A call on a pinned window that met no reason to defer so far.
pub struct Plan<'a> {
    /// The entries.
    pub run: &'a Run<'a>,
    /// The hardware table.
    pub hardware: RealAddr,
    /// The guest's values.
    pub values: Values<'a>,
    /// The hardware entries they become.
    pub new: Values<'a>,
    /// The hardware entries that were seen there.
    pub journal: Journal<'a>,
}

/// Looks at every page that the call names.
///
/// # Errors
/// H_HARDWARE, or H_TOO_HARD for any reason of semantics 5.
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
        // Acquire: the reference that this entry holds was taken before it was stored.
        let seen = cpu.load(run.entry(hardware, i), Acquire).swap_bytes();
        if let Some(old) = tce::named_page(view, seen) {
            single_page(view, cpu, old)?;
        }
        slot.store(seen, Relaxed);
    }
    Ok(Plan { run, hardware, values, new, journal: Journal(slots) })
}

/// The hardware entry for a TCE, of a page that real mode can take a reference on.
fn new_entry(view: &View<'_>, cpu: &Cpu<'_>, tce: Tce) -> Result<u64, Status> {
    let word = translate(view, cpu, tce)?;
    if let Some(page) = tce::named_page(view, word) {
        single_page(view, cpu, page)?;
    }
    Ok(word)
}

/// The hardware entry that the page table gives for a TCE; 0 for a fault TCE. One access.
///
/// # Errors
/// H_HARDWARE where there is no page for it, H_TOO_HARD where the page table would have to change (`DEFER.PTE`).
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

/// The page's struct page, if it lies in one block (`DEFER.LOOKUP`). No access.
pub fn struct_page(view: &View<'_>, page: Pfn) -> Result<StructPage, Status> {
    view.pages.lookup(page).map(|at| StructPage(at.ea())).ok_or(Status::TOO_HARD)
}

/// Checks that the page has a reachable struct page (`DEFER.LOOKUP`) and is not compound (`DEFER.COMPOUND`), whose
/// references lie on a head that real mode does not look for.
fn single_page(view: &View<'_>, cpu: &Cpu<'_>, page: Pfn) -> Result<(), Status> {
    if struct_page(view, page)?.is_compound(cpu) { Err(Status::TOO_HARD) } else { Ok(()) }
}
