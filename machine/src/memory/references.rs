//! Keeps the account beside the image: how many own references and holders each page has. The account follows each
//! store, so that `REF.HELD` is noted at the store that breaks it. A page is a head or an order-0 page; an entry that
//! names a tail counts for its head.

use core::sync::atomic::Ordering::Relaxed;

use contract::addr::{Pfn, Tce};

use super::account::Account;
use super::fault::{Fault, Unstored};
use super::frames::{Key, Space};
use super::image::RealMemory;

impl RealMemory {
    /// Returns the account of the page `pfn` (a head or an order-0 page).
    #[must_use]
    pub fn account(&self, pfn: Pfn) -> Account {
        match self.frames.find(Key::new(Space::Account, pfn.0 >> 9)) {
            Some(frame) => Account::of(frame.word(pfn.0).load(Relaxed)),
            None => Account { own: 0, holders: 0 },
        }
    }

    /// Returns every account in which own or holders is not zero, with the pfn of its page, in no particular order.
    pub fn accounts(&self) -> impl Iterator<Item = (Pfn, Account)> + '_ {
        self.frames.frames().filter(|frame| frame.key().space() == Space::Account).flat_map(|frame| {
            let base = frame.key().number() << 9;
            frame.nonzero().map(move |(index, word)| (Pfn(base | index), Account::of(word)))
        })
    }

    fn change_account(&self, pfn: Pfn, own: i32, holders: i32) {
        let Some(frame) = self.frames.find_or_make(Key::new(Space::Account, pfn.0 >> 9)) else {
            return self.no_frame(Unstored::Account(pfn));
        };
        let word = frame.word(pfn.0);
        let old = Account::of(word.load(Relaxed));
        // own wraps together with the count of an unnamed page. Holders are counted one by one, from 0.
        let new = Account { own: old.own.wrapping_add(own), holders: old.holders.wrapping_add(holders) };
        if new.holders < 0 {
            self.report_fault(Fault::Holders { pfn, holders: new.holders });
        }
        frame.note_store(pfn.0);
        word.store(new.word(), Relaxed);
    }

    /// Returns the number of own references on the page `pfn` (a head or an order-0 page).
    #[must_use]
    pub fn own(&self, pfn: Pfn) -> i32 {
        self.account(pfn).own
    }

    /// Returns the number of page-table entries and hardware TCEs that hold a reference on the page `pfn` (a head or an
    /// order-0 page).
    #[must_use]
    pub fn holders(&self, pfn: Pfn) -> i32 {
        self.account(pfn).holders
    }

    /// Host: adds `delta` to the own references in the page's account, but not to its reference count. The number
    /// wraps, like own of an unnamed page (docs/semantics.md, section 3).
    pub fn add_own(&mut self, pfn: Pfn, delta: i32) {
        self.change_account(pfn, delta, 0);
    }

    /// Host: clears the accounts of the pages `first .. end`, whose struct pages were zeroed or removed. Reports a
    /// [`Fault`] if one of them still has holders.
    pub fn clear_account(&mut self, first: Pfn, end: Pfn) {
        for frame in self.frames.frames().filter(|frame| frame.key().space() == Space::Account) {
            let base = frame.key().number() << 9;
            for pfn in frame.stored().map(|index| Pfn(base | index)).filter(|pfn| (first..end).contains(pfn)) {
                let holders = Account::of(frame.word(pfn.0).swap(0, Relaxed)).holders;
                if holders != 0 {
                    self.report_fault(Fault::Holders { pfn, holders });
                }
            }
        }
    }

    /// Host: adds `delta` to the holders in the page's account. The holders of a compound page count for its head, so
    /// the host moves them when it makes or splits one.
    pub fn move_holders(&mut self, pfn: Pfn, delta: i32) {
        if delta != 0 {
            self.add_holders(pfn, delta);
        }
    }

    pub(super) fn add_holders(&self, pfn: Pfn, delta: i32) {
        self.change_account(pfn, 0, delta);
    }

    /// Returns the page (the head for a compound page) that a hardware entry names; `None` for an entry without
    /// permissions. `entry` is the word in memory, little-endian.
    pub(super) fn hardware_page(&self, entry: u64) -> Option<Pfn> {
        let tce = Tce(entry.swap_bytes());
        tce.has_permissions().then(|| self.head(Pfn(tce.0 >> self.page_shift.bits())))
    }
}
