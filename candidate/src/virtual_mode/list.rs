//! The list of H_PUT_TCE_INDIRECT with the MMU on: its page is faulted in and made young, which stays even if the call
//! fails.

use contract::addr::Hva;
use contract::hcall::Status;
use machine::memory::Cpu;

use crate::hypercall;
use crate::scratch::Values;
use crate::view::View;

use super::pin;

/// Copies the first `count` words, each read once.
///
/// # Errors
/// H_PARAMETER for a hole, where the dialect refuses it.
pub fn copy<'a>(view: &View<'a>, cpu: &Cpu<'_>, hva: Hva, count: u64) -> Result<Values<'a>, Status> {
    match pin::fault_in(view, cpu, hva, false) {
        Some(page) => hypercall::copy_list(view, cpu, page, hva, count),
        None => view.unbacked_list(),
    }
}
