//! The candidate's state as a handler sees it: borrowed tables, read-only, and the scratch memory of its vCPU.

use contract::addr::{Gfn, Gpa, Hva};
use contract::hcall::Status;

use crate::dialect::Profile;
use crate::pages::PageIndex;
use crate::scratch::{Scratch, Values};
use crate::slot::{self, Slot};
use crate::window::Window;

/// The candidate's state, borrowed by a handler on one vCPU.
pub struct View<'a> {
    /// What the dialect asks of the handlers.
    pub profile: &'a Profile,
    /// The host's PAGE_SHIFT, 12 or 16.
    pub page_shift: u32,
    /// The DMA windows, sorted by LIOBN.
    pub windows: &'a [Window],
    /// The memory slots, sorted by gfn.
    pub slots: &'a [Slot],
    /// The index from pfn to struct page.
    pub pages: &'a PageIndex,
    /// The scratch memory of this vCPU.
    pub scratch: Scratch<'a>,
}

impl<'a> View<'a> {
    /// Returns the mask of the address bits inside a host page.
    #[must_use]
    pub const fn offset_mask(&self) -> u64 {
        1_u64.wrapping_shl(self.page_shift).wrapping_sub(1)
    }

    /// Returns the gfn of a guest physical address.
    #[must_use]
    pub const fn gfn(&self, gpa: Gpa) -> Gfn {
        Gfn(gpa.0.wrapping_shr(self.page_shift))
    }

    /// Returns the hva of a guest physical address; `None` outside guest memory.
    #[must_use]
    pub fn hva(&self, gpa: Gpa) -> Option<Hva> {
        let page = slot::hva(self.slots, self.gfn(gpa), self.page_shift)?;
        Some(Hva(page.0 | gpa.0 & self.offset_mask()))
    }

    /// Returns the values of a list that lies outside guest memory or in a hole of the host page table: zeros, if the
    /// dialect allows such a list.
    ///
    /// Fails with H_PARAMETER if the dialect refuses such a list.
    pub const fn unbacked_list(&self) -> Result<Values<'a>, Status> {
        if self.profile.unbacked_list_is_zeros { Ok(Values::Same(0)) } else { Err(Status::PARAMETER) }
    }
}
