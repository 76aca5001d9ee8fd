//! The account beside the image: for each page (a head or an order-0 page) the host's own references and the holders that name it.

use core::sync::atomic::Ordering::Relaxed;

use super::RealMemory;
use super::frames::{Frames, Key, Space};
use contract::addr::{Pfn, Tce};

/// Who holds references on a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    /// References that the host itself holds.
    pub own: i32,
    /// Page-table entries and hardware TCEs that name the page.
    pub holders: i32,
}

impl Account {
    const fn of(word: u64) -> Self {
        Self { own: word as i32, holders: (word >> 32) as i32 }
    }
}

impl RealMemory {
    /// What the account says of the page (a head or an order-0 page).
    #[must_use]
    pub fn account(&self, pfn: Pfn) -> Account {
        match self.frames.find(Key::new(Space::Account, pfn.0 >> 9)) {
            Some(frame) => Account::of(self.frames.word(Frames::word_of(frame, pfn.0)).load(Relaxed)),
            None => Account { own: 0, holders: 0 },
        }
    }

    fn change_account(&self, pfn: Pfn, own: i32, holders: i32) {
        if let Some(frame) = self.frames.find_or_make(Key::new(Space::Account, pfn.0 >> 9)) {
            let word = Frames::word_of(frame, pfn.0);
            let cell = self.frames.word(word);
            let old = Account::of(cell.load(Relaxed));
            let (own, holders) = (old.own.wrapping_add(own), old.holders.wrapping_add(holders));
            self.frames.note_store(word);
            cell.store(u64::from(own as u32) | u64::from(holders as u32) << 32, Relaxed);
        }
    }

    /// References that the host itself holds on the page (a head or an order-0 page).
    #[must_use]
    pub fn own(&self, pfn: Pfn) -> i32 {
        self.account(pfn).own
    }

    /// Page-table entries and hardware TCEs that name the page, on the head.
    #[must_use]
    pub fn holders(&self, pfn: Pfn) -> i32 {
        self.account(pfn).holders
    }

    /// Host: changes own(p) by `delta` (wrapping), not the count.
    pub fn add_own(&mut self, pfn: Pfn, delta: i32) {
        self.change_account(pfn, delta, 0);
    }

    /// Host: forgets what the account says of pages `first .. end`, whose struct pages were zeroed or have gone.
    pub fn clear_account(&mut self, first: Pfn, end: Pfn) {
        for (frame, key) in self.frames.frames() {
            if key.space() == Space::Account {
                let base = key.number() << 9;
                let stored = self.frames.stored(frame);
                let (low, high) = (base.saturating_add(stored.start), base.saturating_add(stored.end));
                for pfn in first.0.max(low)..end.0.min(high) {
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
        self.change_account(pfn, 0, delta);
    }

    pub(super) fn hardware_page(&self, entry: u64) -> Option<Pfn> {
        let tce = Tce(entry.swap_bytes());
        tce.has_permissions().then(|| self.head(Pfn(tce.0 >> self.page_shift.bits())))
    }
}
