//! Writes to a pinned window with the MMU on, and the clearing of a window that is closed.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use contract::addr::{RealAddr, Tce};
use contract::hcall::Status;
use machine::memory::Cpu;

use crate::args::Run;
use crate::scratch::Values;
use crate::tce;
use crate::view::View;
use crate::window::Window;

use super::{page, pin};

/// Takes all new references, then exchanges the hardware entries, stores the guest values, and gives the references on
/// the old pages back, last references included. Old pages that the device could write become DIRTY.
///
/// Fails with H_HARDWARE, without a write to the window, if the host cannot supply a page. This is found before any
/// page is faulted in, unless another CPU unmaps a page meanwhile.
pub fn write(
    view: &View<'_>,
    cpu: &Cpu<'_>,
    run: &Run<'_>,
    hardware: RealAddr,
    values: Values<'_>,
) -> Result<(), Status> {
    if values.distinct(run.count).any(|tce| pin::refused(view, cpu, Tce(tce))) {
        return Err(Status::HARDWARE);
    }
    let new = pin_all(view, cpu, run, values)?;
    // All takes are done and each entry holds a reference of its own, so other CPUs cannot tell whether the puts come
    // between the exchanges or after them.
    for i in 0..run.count {
        // AcqRel: a CPU that reads the new entry sees its reference taken, and accesses by the CPU that stored the old
        // entry come before the put here.
        let old = cpu.swap(run.entry(hardware, i), new.get(i).swap_bytes(), AcqRel).swap_bytes();
        cpu.store(run.entry(run.window.table, i), values.get(i).swap_bytes(), Relaxed);
        pin::unpin(view, cpu, old);
    }
    Ok(())
}

/// Takes a reference for each new hardware entry with permissions, and returns the new hardware entries. Fails with
/// H_HARDWARE if the host can no longer supply a page; the references taken so far are then given back.
fn pin_all<'a>(view: &View<'a>, cpu: &Cpu<'_>, run: &Run<'_>, values: Values<'_>) -> Result<Values<'a>, Status> {
    if matches!(values, Values::Same(tce) if !Tce(tce).has_permissions()) {
        // Only such a call may have more entries than scratch has words (H_STUFF_TCE in dialect kvm).
        return Ok(Values::Same(0));
    }
    let slots = view.scratch.hardware.get(..run.count as usize).ok_or(Status::HARDWARE)?;
    for (i, slot) in (0..).zip(slots) {
        let Some(word) = pin::pin(view, cpu, Tce(values.get(i))) else {
            // Another CPU unmapped the page after the check.
            for taken in slots.iter().take(i as usize) {
                if let Some(pfn) = tce::named_page(view, taken.load(Relaxed)) {
                    page::put(view, cpu, pfn);
                }
            }
            return Err(Status::HARDWARE);
        };
        slot.store(word, Relaxed);
    }
    Ok(Values::List(slots))
}

/// Clears every entry of a window that may hold a value other than 0, and gives back the references of its hardware
/// entries; pages that the device could write become DIRTY. Entries that are already 0 are only read: most are, and a
/// store to simulated memory costs more than a load.
pub fn clear(view: &View<'_>, cpu: &Cpu<'_>, window: &Window) {
    let run = Run { window, first: 0, count: window.entries, after: Status::SUCCESS };
    for i in window.used.range() {
        if let Some(hardware) = window.hardware {
            let entry = run.entry(hardware, i);
            if cpu.load(entry, Acquire) != 0 {
                pin::unpin(view, cpu, cpu.swap(entry, 0, AcqRel).swap_bytes());
            }
        }
        let entry = run.entry(window.table, i);
        if cpu.load(entry, Relaxed) != 0 {
            cpu.store(entry, 0, Relaxed);
        }
    }
}
