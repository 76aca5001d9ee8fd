//! What a handler sees of the candidate: borrowed, read-only tables, and its vCPU's scratch.

use contract::addr::{Gfn, Gpa, Hva};
use contract::dialect::{Answers, UnbackedList};
use contract::hcall::Status;

use crate::pages::PageIndex;
use crate::scratch::{Scratch, Values};
use crate::slot::{self, Slot};
use crate::window::Window;

/// The state as a handler on one vCPU sees it.
pub struct View<'a> {
    /// The dialect's answers.
    pub answers: &'a Answers,
    /// Host PAGE_SHIFT.
    pub page_shift: u32,
    /// The windows, sorted by LIOBN.
    pub windows: &'a [Window],
    /// The memory slots, sorted by gfn.
    pub slots: &'a [Slot],
    /// pfn to struct page.
    pub pages: &'a PageIndex,
    /// The vCPU's own words.
    pub scratch: Scratch<'a>,
}

impl<'a> View<'a> {
    /// The bits of an address inside the host page.
    #[must_use]
    pub const fn offset_mask(&self) -> u64 {
        1_u64.wrapping_shl(self.page_shift).wrapping_sub(1)
    }

    /// The guest frame of an address.
    #[must_use]
    pub const fn gfn(&self, gpa: Gpa) -> Gfn {
        Gfn(gpa.0.wrapping_shr(self.page_shift))
    }

    /// The hva of a byte of guest memory; `None` where it lies in no slot.
    #[must_use]
    pub fn hva(&self, gpa: Gpa) -> Option<Hva> {
        let page = slot::hva(self.slots, self.gfn(gpa), self.page_shift)?;
        Some(Hva(page.0 | gpa.0 & self.offset_mask()))
    }

    /// What a list that cannot be read reads as.
    ///
    /// # Errors
    /// H_PARAMETER, where the dialect refuses it.
    pub const fn unbacked_list(&self) -> Result<Values<'a>, Status> {
        match self.answers.unbacked_list {
            UnbackedList::Refuse => Err(Status::PARAMETER),
            UnbackedList::ReadZeros => Ok(Values::Same(0)),
        }
    }
}
