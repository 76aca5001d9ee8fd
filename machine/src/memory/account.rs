//! The account of one page.

/// The references on one page (for a compound page: on its head) that memory accounts for: the host's own, and one for
/// each page-table entry or hardware TCE that holds a reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    /// Own references on the page: those that the host itself holds.
    pub own: i32,
    /// Number of page-table entries and hardware TCEs that hold a reference on the page; at least 0.
    pub holders: i32,
}

impl Account {
    /// Returns the account as a word of 64 bits: own in the low half, holders in the high half.
    pub(super) const fn word(self) -> u64 {
        self.own as u32 as u64 | (self.holders as u32 as u64) << 32
    }

    /// Returns the account of which [`word`](Self::word) returned the number `word`.
    pub(super) const fn of(word: u64) -> Self {
        Self { own: word as i32, holders: (word >> 32) as i32 }
    }

    /// Returns the least reference count that the page may have: own + holders.
    #[must_use]
    pub const fn due(self) -> i64 {
        self.own as i64 + self.holders as i64
    }
}
