//! How many accesses a real-mode call makes at most (`RM.BOUNDED`).
//!
//! The worst call is an H_PUT_TCE_INDIRECT on a pinned window that is undone after its last drop but one. With `UPDATE`
//! for one load and [`ATTEMPTS`] compare-and-swaps, an entry costs:
//!
//! | step | accesses |
//! |---|---|
//! | read the list's word | 1 |
//! | plan: page-table entry, new page's flags, hardware entry, old page's flags | 4 |
//! | take the new reference | UPDATE |
//! | page-table entry again | 1 |
//! | exchange | 1 |
//! | DIRTY on the old page, put it | 2 UPDATE |
//! | undo: take the old page again, clear its DIRTY | 2 UPDATE |
//! | undo: exchange back, or DIRTY for good where another CPU overtook | 1 + UPDATE |
//! | undo: put the new page | UPDATE |
//!
//! in all 8 + 7 UPDATE. A call that succeeds stores a guest value instead of the undo's part. Beside the entries, the
//! list page's page-table entry is read (H_PUT_TCE_INDIRECT), or a guest value (H_GET_TCE): 1. Without other CPUs every
//! change succeeds at the first attempt, so UPDATE is 2 at most and an entry costs at most 20.

use machine::subject::Bound;

/// Compare-and-swaps that a handler tries on one word before it defers: other CPUs changed the word that often.
pub const ATTEMPTS: u32 = 3;

const UPDATE: u64 = 1 + ATTEMPTS as u64;

/// The bound: 1 + 36 x count.
pub const BOUND: Bound = Bound { base: 1, per_entry: 8 + 7 * UPDATE };

#[cfg(test)]
mod tests {
    use super::*;

    /// What is published is what the table above adds up to.
    #[test]
    fn the_bound_is_1_and_36_an_entry() {
        assert_eq!((BOUND.base, BOUND.per_entry), (1, 36));
    }
}
