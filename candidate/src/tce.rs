//! The checks of a single TCE (docs/semantics.md, section 4, step 5), and the encoding of hardware entries.

use contract::addr::{Gpa, Pfn, Tce};

use crate::dialect::TcePage;
use crate::slot;
use crate::view::View;
use crate::window::Window;

/// The address bits of a TCE, from bit 12 up.
const ADDRESS: u64 = !0xfff;

/// Returns the guest physical address that a TCE names.
#[must_use]
pub const fn address(tce: Tce) -> Gpa {
    Gpa(tce.0 & ADDRESS)
}

/// Returns whether the dialect lets `tce` be stored in `window`. If `tce` has permissions, its reserved bits must be 0
/// and its page must be guest memory, as far as the dialect checks them. A fault TCE is valid, except that some
/// dialects check the page of an entry of H_PUT_TCE_INDIRECT (`in_list`).
#[must_use]
#[inline]
pub fn valid(view: &View<'_>, window: &Window, tce: Tce, in_list: bool) -> bool {
    let permitted = tce.has_permissions();
    if permitted && tce.0 & window.offset_mask() & view.profile.reserved_tce_bits != 0 {
        return false;
    }
    let checked = permitted || in_list && view.profile.checks_fault_tces_of_lists;
    if !checked {
        return true;
    }
    let first = address(tce);
    match view.profile.tce_page {
        TcePage::Unchecked => true,
        TcePage::FirstGfn => slot::find(view.slots, view.gfn(first)).is_some(),
        TcePage::Whole => {
            // The check above refuses an unaligned address, so `or` gives the last byte and cannot overflow 64 bits.
            let last = Gpa(first.0 | window.offset_mask());
            slot::cover(view.slots, view.gfn(first), view.gfn(last))
        }
    }
}

/// Returns the hardware entry for `tce`, which must have permissions and whose host page is `page`: the page's real
/// address, and the TCE's bits below the host page size (address bits and permissions).
#[must_use]
pub const fn hardware_word(view: &View<'_>, page: Pfn, tce: Tce) -> u64 {
    page.0.wrapping_shl(view.page_shift) | tce.0 & view.offset_mask()
}

/// Returns the page that the hardware entry `word` names and holds a reference on; `None` for an entry without
/// permissions.
#[must_use]
pub const fn named_page(view: &View<'_>, word: u64) -> Option<Pfn> {
    if Tce(word).has_permissions() { Some(Pfn(word.wrapping_shr(view.page_shift))) } else { None }
}
