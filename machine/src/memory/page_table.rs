//! The host page table: entries as words of the image, found by hva.

use alloc::format;
use alloc::string::{String, ToString};
use core::sync::atomic::Ordering::Relaxed;

use contract::addr::Hva;
use contract::description::Pte;

use super::fault::{Fault, Unstored};
use super::frames::{Frame, Key, Space};
use super::image::RealMemory;
use super::pte::{self, Entry};
use super::region::Place;

/// A page-table entry (a hole, if its word is 0), with the frame of the word that holds it.
pub(super) struct Found<'m> {
    pub(super) frame: &'m Frame,
    /// Number of the first page that the entry covers: its hva >> PAGE_SHIFT.
    pub(super) page: u64,
    pub(super) entry: Pte,
}

impl RealMemory {
    /// Returns the page-table word of page number `page` (hva >> PAGE_SHIFT), with its frame; `None` if nothing was
    /// ever stored in this frame.
    pub(super) fn pte_word(&self, page: u64) -> Option<(&Frame, u64)> {
        let frame = self.frames.find(Key::new(Space::PageTable, page >> 9))?;
        Some((frame, frame.word(page).load(Relaxed)))
    }

    /// Returns the page-table entry that covers `hva`; for any page under a huge entry, the huge entry. `None`, which
    /// means a hole, if nothing was ever stored in the frame of the page's word. If the page's word is of a huge entry
    /// that does not exist, reports a [`Fault`] and returns `None`.
    pub(super) fn find_pte(&self, hva: Hva) -> Option<Found<'_>> {
        let shift = self.page_shift.bits();
        let page = hva.0 >> shift;
        let (frame, word) = self.pte_word(page)?;
        let order = match pte::decode(word) {
            Entry::Entry(entry) => return Some(Found { frame, page, entry }),
            Entry::Tail { order } => order,
        };
        let head = page >> order << order;
        if let Some((frame, word)) = self.pte_word(head)
            && let Entry::Entry(entry) = pte::decode(word)
            && entry.pages() == 1 << order
        {
            return Some(Found { frame, page: head, entry });
        }
        // The host writes all words of a huge entry, and a CPU cannot change which pages it covers.
        self.report_fault(Fault::PageTable { hva, word });
        None
    }

    /// Returns the page-table entry of the page that holds `hva` (any byte of the page); for any page under a huge
    /// entry, the huge entry.
    #[must_use]
    pub fn pte(&self, hva: Hva) -> Pte {
        self.find_pte(hva).map_or(Pte::Hole, |found| found.entry)
    }

    /// Host: replaces the page-table entry at `hva`, which must be aligned to the size of a new huge entry, or removes
    /// it ([`Pte::Hole`]). Updates the account of holders, but not the reference counts. If `hva` is inside an old huge
    /// entry, past its first page, reports a [`Fault`] and changes nothing. Also reports a [`Fault`] if a new huge
    /// entry overwrites other entries than the old one, or if memory has no frame left.
    pub fn set_pte(&mut self, hva: Hva, entry: Pte) {
        let first = hva.0 >> self.page_shift.bits();
        let old = match self.find_pte(hva) {
            Some(found) if found.page != first => return self.report_fault(Fault::InsideHuge { hva }),
            Some(found) => found.entry,
            None => Pte::Hole,
        };
        self.account_pte(old, entry);
        for index in 0..old.pages().max(entry.pages()) {
            let page = first + index;
            let hva = Hva(page << self.page_shift.bits());
            let Some(frame) = self.frames.find_or_make(Key::new(Space::PageTable, page >> 9)) else {
                return self.no_frame(Unstored::PageTable(hva));
            };
            if index >= old.pages() && frame.word(page).load(Relaxed) != 0 {
                self.report_fault(Fault::MappedTwice { hva });
            }
            self.put(frame, page, pte::encode(entry, index));
        }
    }

    pub(super) fn account_pte(&self, old: Pte, new: Pte) {
        for (entry, delta) in [(old, -1), (new, 1)] {
            if let Some(pfn) = entry.pfn().filter(|_| entry.holds_reference()) {
                self.add_holders(self.head(pfn), delta);
            }
        }
    }

    /// Formats a page-table word, as [`changes`](Self::changes) returns it, in the notation of the text form. A word
    /// inside a huge entry, past its first page, is shown as such.
    #[must_use]
    pub fn show_pte_word(&self, word: u64) -> String {
        match pte::decode(word) {
            Entry::Entry(entry) => entry.to_string(),
            Entry::Tail { order } => format!("under a huge entry of order {order}"),
        }
    }

    /// Returns all page-table entries that are not holes, each with its hva, in the order in which their frames were
    /// made.
    pub fn page_table(&self) -> impl Iterator<Item = (Hva, Pte)> + '_ {
        self.contents().filter_map(|(place, word)| match (place, pte::decode(word)) {
            (Place::PageTable(hva), Entry::Entry(entry)) => Some((hva, entry)),
            _ => None,
        })
    }
}
