//! Tests that the harness finds every kind of mistake. Each finding rule has a small wrong subject and a short program.
//! The harness must report that rule at the expected step and field, and the candidate must agree on the same program.
//!
//! Two rules have no case, because no subject can break them alone. `REF.CONSERVE` and `REF.LEAK` compare a count with
//! the account that [`RealMemory`](machine::RealMemory) keeps of every store. If counts, entries and the page table are
//! as in the reference, the account can be wrong only if it has a holder too many for some page, because every store
//! that takes a holder from one page gives it to another. The memory checks that page when it gets the holder and
//! whenever its count is stored, so it reports `REF.HELD` first. The two rules therefore check the harness itself, and
//! [`null`] tests them.

mod cases;
mod machines;
mod null;
mod order;
mod same;
pub(crate) mod wrong;
