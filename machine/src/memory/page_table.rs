//! The host page table: entries as words of the image, found by hva.

use alloc::format;
use alloc::string::{String, ToString};
use core::sync::atomic::Ordering::Relaxed;

use super::frames::{Frames, Key, Space, Word};
use super::{Place, RealMemory, pte};
use contract::addr::Hva;
use contract::description::Pte;

impl RealMemory {
    pub(super) fn pte_key(&self, hva: Hva) -> (Key, u64) {
        let page = hva.0 >> self.page_shift.bits();
        (Key::new(Space::PageTable, page >> 9), page)
    }

    pub(super) fn pte_word(&self, hva: Hva) -> Option<Word> {
        let (key, page) = self.pte_key(hva);
        self.frames.find(key).map(|frame| Frames::word_of(frame, page))
    }

    /// The word that holds the entry of `hva` (the head's, under a huge entry) and the entry.
    pub(super) fn find_pte(&self, hva: Hva) -> Option<(Word, Pte)> {
        let word = self.pte_word(hva)?;
        match pte::decode(self.frames.word(word).load(Relaxed)) {
            pte::Entry::Entry(entry) => Some((word, entry)),
            pte::Entry::Tail { order } => {
                let head = Hva(hva.0 >> self.page_shift.bits() >> order << order << self.page_shift.bits());
                let word = self.pte_word(head)?;
                match pte::decode(self.frames.word(word).load(Relaxed)) {
                    pte::Entry::Entry(entry) => Some((word, entry)),
                    pte::Entry::Tail { .. } => None,
                }
            }
        }
    }

    /// What the page table says of the page that holds `hva`; under a huge entry, that entry.
    #[must_use]
    pub fn pte(&self, hva: Hva) -> Pte {
        self.find_pte(hva).map_or(Pte::Hole, |(_, entry)| entry)
    }

    /// Host: sets the entry at `hva`, or removes the one there ([`Pte::Hole`]); keeps the account of holders, not the counts.
    /// A huge entry's hva is its first.
    pub fn set_pte(&mut self, hva: Hva, entry: Pte) {
        let old = self.pte(hva);
        self.account_pte(old, entry);
        let first = hva.0 >> self.page_shift.bits();
        for index in 0..old.pages().max(entry.pages()) {
            let page = first + index;
            let Some(frame) = self.frames.find_or_make(Key::new(Space::PageTable, page >> 9)) else { continue };
            self.put(Frames::word_of(frame, page), pte::encode(entry, index));
        }
    }

    pub(super) fn account_pte(&self, old: Pte, new: Pte) {
        for (entry, delta) in [(old, -1), (new, 1)] {
            if let Some(pfn) = entry.pfn().filter(|_| entry.holds_reference()) {
                self.add_holders(self.head(pfn), delta);
            }
        }
    }

    /// A page-table word that [`changes`](Self::changes) gave, in the words of the text form.
    #[must_use]
    pub fn show_pte_word(&self, word: u64) -> String {
        match pte::decode(word) {
            pte::Entry::Entry(entry) => entry.to_string(),
            pte::Entry::Tail { order } => format!("under a huge entry of order {order}"),
        }
    }

    /// The entries of the page table that are no holes, in the order in which their frames were made.
    pub fn page_table(&self) -> impl Iterator<Item = (Hva, Pte)> + '_ {
        self.contents().filter_map(|(place, word)| match (place, pte::decode(word)) {
            (Place::PageTable(hva), pte::Entry::Entry(entry)) => Some((hva, entry)),
            _ => None,
        })
    }
}
