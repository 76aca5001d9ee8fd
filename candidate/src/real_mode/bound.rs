//! The bound on the accesses of a real-mode call (`RM.BOUNDED`).
//!
//! The most expensive call is an H_PUT_TCE_INDIRECT on a pinned window that fails at its last drop and is undone.
//! UPDATE stands for one load and [`ATTEMPTS`] compare-and-swaps. An entry then costs:
//!
//! | step | accesses |
//! |---|---|
//! | read the list's word | 1 |
//! | plan: page-table entry, new page's flags, hardware entry, old page's flags | 4 |
//! | take the new reference | UPDATE |
//! | read the page-table entry again | 1 |
//! | exchange the hardware entry | 1 |
//! | set DIRTY on the old page, give its reference back | 2 UPDATE |
//! | undo: take the old page again, clear its DIRTY | 2 UPDATE |
//! | undo: exchange back; if another CPU changed the entry, also set DIRTY on the old page | 1 + UPDATE |
//! | undo: give the new page's reference back | UPDATE |
//!
//! The sum is 8 + 7 UPDATE. A call that succeeds stores a guest value instead of the undo. A call also makes at most
//! one access that belongs to no entry: H_PUT_TCE_INDIRECT reads the page-table entry of the list's page, and H_GET_TCE
//! reads a guest value. Without other CPUs every change succeeds at the first attempt; UPDATE is then at most 2, and an
//! entry costs at most 20 accesses.

use machine::subject::Bound;

/// Largest number of compare-and-swaps that a real-mode hypercall tries for one change of a count or of flags. The call
/// is deferred when all of them failed because other CPUs changed the word. Probes have no such limit.
pub const ATTEMPTS: u32 = 3;

const UPDATE: u64 = 1 + ATTEMPTS as u64;

/// The published bound: 1 + 36 x count accesses.
pub const BOUND: Bound = Bound { base: 1, per_entry: 8 + 7 * UPDATE };

#[cfg(test)]
mod tests {
    use super::*;

    /// The published bound is the sum of the table above.
    #[test]
    fn the_bound_is_1_and_36_an_entry() {
        assert_eq!((BOUND.base, BOUND.per_entry), (1, 36));
    }
}
