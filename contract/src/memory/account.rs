//! The account beside the image: for each page (a head or an order-0 page) the host's own references and the holders that name it.

use core::sync::atomic::Ordering::Relaxed;

use super::RealMemory;
use super::frames::{Frames, Key, Space};
use crate::addr::{Pfn, Tce};

impl RealMemory {
    pub(super) fn account(&self, pfn: Pfn) -> u64 {
        match self.frames.find(Key::new(Space::Account, pfn.0 >> 9)) {
            Some(frame) => self.frames.word(Frames::word_of(frame, pfn.0)).load(Relaxed),
            None => 0,
        }
    }

    pub(super) fn set_account(&self, pfn: Pfn, own: i32, holders: i32) {
        if let Some(frame) = self.frames.find_or_make(Key::new(Space::Account, pfn.0 >> 9)) {
            let value = u64::from(own as u32) | u64::from(holders as u32) << 32;
            let word = Frames::word_of(frame, pfn.0);
            self.frames.note_store(word);
            self.frames.word(word).store(value, Relaxed);
        }
    }

    /// References that the host itself holds on the page (a head or an order-0 page).
    #[must_use]
    pub fn own(&self, pfn: Pfn) -> i32 {
        self.account(pfn) as i32
    }

    /// Page-table entries and hardware TCEs that name the page, on the head.
    #[must_use]
    pub fn holders(&self, pfn: Pfn) -> i32 {
        (self.account(pfn) >> 32) as i32
    }

    /// Host: changes own(p) by `delta` (wrapping), not the count.
    pub fn add_own(&mut self, pfn: Pfn, delta: i32) {
        let (own, holders) = (self.own(pfn), self.holders(pfn));
        self.set_account(pfn, own.wrapping_add(delta), holders);
    }

    /// Host: forgets what the account says of pages `first .. end`, whose struct pages were zeroed or have gone.
    pub fn clear_account(&mut self, first: Pfn, end: Pfn) {
        for (frame, key) in self.frames.frames() {
            if key.space() == Space::Account {
                let base = key.number() << 9;
                for pfn in first.0.max(base)..end.0.min(base.saturating_add(512)) {
                    self.frames.word(Frames::word_of(frame, pfn)).store(0, Relaxed);
                }
            }
        }
    }

    /// Host: moves `delta` holders to the page's account, for compound pages that are made or split.
    pub fn move_holders(&mut self, pfn: Pfn, delta: i32) {
        self.add_holders(pfn, delta);
    }

    pub(super) fn add_holders(&self, pfn: Pfn, delta: i32) {
        self.set_account(pfn, self.own(pfn), self.holders(pfn).wrapping_add(delta));
    }

    pub(super) fn hardware_page(&self, entry: u64) -> Option<Pfn> {
        let tce = Tce(entry.swap_bytes());
        tce.has_permissions().then(|| self.head(Pfn(tce.0 >> self.page_shift.bits())))
    }
}
