//! What the account beside the image says of one page.

/// Who holds references on a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    /// References that the host itself holds.
    pub own: i32,
    /// Page-table entries and hardware TCEs that name the page; at least 0.
    pub holders: i32,
}

impl Account {
    /// The account as the word that keeps it.
    pub(super) const fn word(self) -> u64 {
        self.own as u32 as u64 | (self.holders as u32 as u64) << 32
    }

    /// What the word says.
    pub(super) const fn of(word: u64) -> Self {
        Self { own: word as i32, holders: (word >> 32) as i32 }
    }

    /// The least count that the page may have: own + holders.
    #[must_use]
    pub const fn due(self) -> i64 {
        self.own as i64 + self.holders as i64
    }
}
