//! The four hypercalls (docs/semantics.md, section 4). Both modes run this code; the trait [`Half`] holds the steps
//! that differ.

use core::sync::atomic::Ordering::Relaxed;

use contract::HcallAnswer;
use contract::addr::{Gpa, Hva, Pfn, RealAddr, Tce};
use contract::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, Hypercall, Status};
use machine::memory::Cpu;

use crate::args::{self, Run};
use crate::scratch::Values;
use crate::tce;
use crate::view::View;

/// The steps of a hypercall that differ between real mode and virtual mode.
pub trait Half {
    /// Copies the first `count` words (0 to 512) of the list at `hva` to the vCPU's scratch memory, and returns the
    /// copy. In virtual mode makes the list's page present and young. A list in a hole of the host page table gives
    /// zeros, if the dialect allows that.
    ///
    /// Fails with H_PARAMETER if the dialect refuses a list in a hole, and with H_TOO_HARD if real mode must defer,
    /// because the list's page is absent or not young.
    fn list<'a>(view: &View<'a>, cpu: &Cpu<'_>, hva: Hva, count: u64) -> Result<Values<'a>, Status>;

    /// Writes `values`, which have passed all checks of the arguments and TCEs, to a pinned window: hardware entries
    /// and guest values. `hardware` is the real address of the window's hardware table. Writes all entries or, on
    /// error, none.
    ///
    /// Fails with H_HARDWARE if the host cannot supply a page, in either mode, and with H_TOO_HARD if real mode must
    /// defer.
    fn pinned(
        view: &View<'_>,
        cpu: &Cpu<'_>,
        run: &Run<'_>,
        hardware: RealAddr,
        values: Values<'_>,
    ) -> Result<(), Status>;
}

/// Runs a hypercall with the registers in `call`, in the mode of `H`. An unknown opcode answers H_FUNCTION.
pub fn run<H: Half>(view: &View<'_>, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
    let status = match call.opcode {
        H_GET_TCE => return get(view, cpu, call),
        H_PUT_TCE => put::<H>(view, cpu, call),
        H_STUFF_TCE => stuff::<H>(view, cpu, call),
        H_PUT_TCE_INDIRECT => indirect::<H>(view, cpu, call),
        _ => Err(Status::FUNCTION),
    };
    HcallAnswer::status(status.unwrap_or_else(|decided| decided))
}

fn get(view: &View<'_>, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
    let [liobn, ioba, ..] = call.args;
    match args::one(view, liobn, ioba) {
        Ok(run) => {
            let tce = cpu.load(run.entry(run.window.table, 0), Relaxed).swap_bytes();
            HcallAnswer { status: Status::SUCCESS, r4: Some(tce) }
        }
        Err(status) => HcallAnswer::status(status),
    }
}

fn put<H: Half>(view: &View<'_>, cpu: &Cpu<'_>, call: &Hypercall) -> Result<Status, Status> {
    let [liobn, ioba, tce, _] = call.args;
    let run = args::one(view, liobn, ioba)?;
    write::<H>(view, cpu, &run, Values::Same(tce), false)
}

fn stuff<H: Half>(view: &View<'_>, cpu: &Cpu<'_>, call: &Hypercall) -> Result<Status, Status> {
    let [liobn, ioba, tce, count] = call.args;
    let run = args::stuff(view, liobn, ioba, Tce(tce), count)?;
    write::<H>(view, cpu, &run, Values::Same(tce), false)
}

fn indirect<H: Half>(view: &View<'_>, cpu: &Cpu<'_>, call: &Hypercall) -> Result<Status, Status> {
    let [liobn, ioba, list, count] = call.args;
    let (run, hva) = args::indirect(view, liobn, ioba, Gpa(list), count)?;
    let values = match hva {
        // The list is read even if no entry will be stored, because the read makes its page young.
        Some(hva) => H::list(view, cpu, hva, run.count)?,
        None => view.unbacked_list()?,
    };
    write::<H>(view, cpu, &run, values, true)
}

/// Checks the TCE of every entry, then writes all entries and returns `run.after`. `in_list` is true for
/// H_PUT_TCE_INDIRECT.
///
/// Fails, with no entry written, with H_PARAMETER if a TCE is invalid, or with the status of a failed `Half::pinned`.
#[inline]
fn write<H: Half>(
    view: &View<'_>,
    cpu: &Cpu<'_>,
    run: &Run<'_>,
    values: Values<'_>,
    in_list: bool,
) -> Result<Status, Status> {
    if !values.distinct(run.count).all(|tce| tce::valid(view, run.window, Tce(tce), in_list)) {
        return Err(Status::PARAMETER);
    }
    if !matches!(values, Values::Same(0)) {
        run.window.used.note(run.first, run.count);
    }
    match run.window.hardware {
        Some(hardware) => H::pinned(view, cpu, run, hardware, values)?,
        None => store_guest_values(cpu, run, values),
    }
    Ok(run.after)
}

/// Stores `values` in the entries of `run` in the window's table of guest values, big-endian. Relaxed is enough: no
/// other word is read because of a guest value.
#[inline]
pub fn store_guest_values(cpu: &Cpu<'_>, run: &Run<'_>, values: Values<'_>) {
    for i in 0..run.count {
        cpu.store(run.entry(run.window.table, i), values.get(i).swap_bytes(), Relaxed);
    }
}

/// Copies the first `count` words of the list at `hva`, which lies in host page `page`, to scratch memory. Each word is
/// read once, and the rest of the call uses only the copy (`LIST.SNAPSHOT`). Relaxed is enough: the guest has no
/// guarantee about the order in which its words are read.
///
/// Fails with H_PARAMETER if `count` is above 512. The argument checks have already refused such a count.
pub fn copy_list<'a>(view: &View<'a>, cpu: &Cpu<'_>, page: Pfn, hva: Hva, count: u64) -> Result<Values<'a>, Status> {
    let words = view.scratch.list.get(..count as usize).ok_or(Status::PARAMETER)?;
    let mut at = RealAddr(page.0.wrapping_shl(view.page_shift) | hva.0 & view.offset_mask());
    for word in words {
        word.store(cpu.load(at.ea(), Relaxed).swap_bytes(), Relaxed);
        at = RealAddr(at.0.wrapping_add(8));
    }
    Ok(Values::List(words))
}
