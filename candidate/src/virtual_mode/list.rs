//! The read of the list of H_PUT_TCE_INDIRECT with the MMU on. Its page is faulted in and made young; both stay even if
//! the call fails.

use contract::addr::Hva;
use contract::hcall::Status;
use machine::memory::Cpu;

use crate::hypercall;
use crate::scratch::Values;
use crate::view::View;

use super::pin;

/// Copies the first `count` words (0 to 512) of the list at `hva` to scratch memory, each word read once, and returns
/// the copy. Makes the list's page present and young. Returns zeros for a list in a hole of the host page table, if the
/// dialect allows such a list.
///
/// Fails with H_PARAMETER for a list in a hole, if the dialect refuses such a list.
pub fn copy<'a>(view: &View<'a>, cpu: &Cpu<'_>, hva: Hva, count: u64) -> Result<Values<'a>, Status> {
    match pin::fault_in(view, cpu, hva, false) {
        Some(page) => hypercall::copy_list(view, cpu, page, hva, count),
        None => view.unbacked_list(),
    }
}
