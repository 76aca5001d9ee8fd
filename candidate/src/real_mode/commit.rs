//! The passes of a call on a pinned window that change memory. Each pass runs over all entries before the next begins.
//!
//! At every moment a page has at least as many references as entries name it (`REF.HELD`): a pass takes references
//! before entries name the page, and gives them back after the entries no longer do.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use contract::addr::Tce;
use contract::hcall::Status;
use machine::memory::Cpu;

use crate::hypercall;
use crate::scratch::Values;
use crate::struct_page::Change;
use crate::tce;
use crate::view::View;

use super::bound::ATTEMPTS;
use super::journal::{Mark, Progress};
use super::plan::{self, Plan};
use super::undo;

/// Carries out a plan: takes the new references, exchanges the hardware entries, gives the old references back, and
/// stores the guest values.
///
/// Fails with H_TOO_HARD if a reference to give back is the last one, or if the page table or another CPU's change does
/// not fit the plan. The changes are then undone; references that could not be given back are left to virtual mode
/// (`Scratch::owed`).
pub fn write(view: &View<'_>, cpu: &Cpu<'_>, plan: &Plan<'_>) -> Result<(), Status> {
    let mut progress = Progress::default();
    if let Err(status) = change(view, cpu, plan, &mut progress) {
        undo::all(view, cpu, plan, progress);
        return Err(status);
    }
    hypercall::store_guest_values(cpu, plan.run, plan.values);
    Ok(())
}

fn change(view: &View<'_>, cpu: &Cpu<'_>, plan: &Plan<'_>, progress: &mut Progress) -> Result<(), Status> {
    take(view, cpu, plan, progress)?;
    still_mapped(view, cpu, plan)?;
    exchange(cpu, plan, progress)?;
    drop_old(view, cpu, plan, progress)
}

fn take(view: &View<'_>, cpu: &Cpu<'_>, plan: &Plan<'_>, progress: &mut Progress) -> Result<(), Status> {
    if matches!(plan.new, Values::Same(word) if !Tce(word).has_permissions()) {
        progress.taken = plan.run.count;
        return Ok(());
    }
    for i in 0..plan.run.count {
        if let Some(page) = tce::named_page(view, plan.new.get(i)) {
            match plan::struct_page(view, page)?.get_unless_zero(cpu, ATTEMPTS) {
                Change::Done => {}
                Change::Refused | Change::Contended => return Err(Status::TOO_HARD),
            }
        }
        progress.taken = i.wrapping_add(1);
    }
    Ok(())
}

/// Checks that the page table still names the new pages of the plan; else fails with H_TOO_HARD. Between the plan's
/// read and the take, a page could have been unmapped and used for something else. A page that is still mapped after
/// the take is the right one, and the new reference keeps it.
fn still_mapped(view: &View<'_>, cpu: &Cpu<'_>, plan: &Plan<'_>) -> Result<(), Status> {
    let count = plan.run.count;
    for (value, word) in plan.values.distinct(count).zip(plan.new.distinct(count)) {
        if plan::translate(view, cpu, Tce(value)) != Ok(word) {
            return Err(Status::TOO_HARD);
        }
    }
    Ok(())
}

/// Exchanges the hardware entries, first to last. Fails with H_TOO_HARD at an entry that is no longer as the plan read
/// it; the entries before it stay exchanged, and `progress` has their number. AcqRel: a CPU that reads the new entry
/// sees its reference taken, and accesses by the CPU that stored the old entry come before this call changes the old
/// page.
fn exchange(cpu: &Cpu<'_>, plan: &Plan<'_>, progress: &mut Progress) -> Result<(), Status> {
    for (i, old) in plan.journal.entries() {
        let new = plan.new.get(i).swap_bytes();
        let entry = plan.run.entry(plan.hardware, i);
        if cpu.compare_exchange(entry, old.entry().swap_bytes(), new, AcqRel, Relaxed).is_err() {
            return Err(Status::TOO_HARD);
        }
        progress.exchanged = i.wrapping_add(1);
    }
    Ok(())
}

/// Marks the old pages that the device could write DIRTY, and gives the references on all old pages back. DIRTY comes
/// first, while the page is still held. Fails with H_TOO_HARD at a last reference, or if other CPUs keep changing a
/// word. Notes in `progress` and the journal what was done until then.
fn drop_old(view: &View<'_>, cpu: &Cpu<'_>, plan: &Plan<'_>, progress: &mut Progress) -> Result<(), Status> {
    for (i, old) in plan.journal.entries() {
        progress.dropped = i.wrapping_add(1);
        let Some(page) = tce::named_page(view, old.entry()) else { continue };
        let page = plan::struct_page(view, page)?;
        if Tce(old.entry()).device_may_write() {
            match page.set_dirty(cpu, ATTEMPTS) {
                Change::Done => plan.journal.mark(i, Mark::Dirtied),
                Change::Refused => {}
                Change::Contended => return Err(Status::TOO_HARD),
            }
        }
        match page.put_unless_one(cpu, ATTEMPTS) {
            Change::Done => plan.journal.mark(i, Mark::Dropped),
            Change::Refused | Change::Contended => return Err(Status::TOO_HARD),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::args::Run;
    use crate::real_mode::journal::Journal;
    use crate::small_machine::{self, HARDWARE, HVA, ready};
    use contract::addr::Pfn;
    use machine::memory::Mode;

    /// A plan names page 9. In the second case the page table names page 10 by the time the plan is carried out.
    #[test]
    fn a_page_that_is_no_longer_mapped_is_not_named() {
        for (mapped, done) in [(9, true), (10, false)] {
            let (state, mut memory) = small_machine::start();
            memory.set_pte(HVA, ready(mapped));
            memory.set_count(Pfn(9), 2);
            let view = state.view(0);
            let run = Run { window: &view.windows[0], first: 0, count: 1, after: Status::SUCCESS };
            let (values, new) = (Values::Same(3), Values::Same(9 << 12 | 3));
            let journal = Journal(&view.scratch.journal[..1]);
            let plan = Plan { run: &run, hardware: HARDWARE, values, new, journal };
            let result = write(&view, &small_machine::cpu(&memory, Mode::Real), &plan);
            assert_eq!(result, if done { Ok(()) } else { Err(Status::TOO_HARD) });
            assert_eq!(memory.count(Pfn(9)), if done { 3 } else { 2 });
            assert_eq!(memory.peek(HARDWARE).swap_bytes(), if done { 9 << 12 | 3 } else { 0 });
        }
    }
}
