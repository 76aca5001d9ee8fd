//! The harness catches what it must: for every finding rule a tiny wrong subject and a short program on which that rule, at
//! that step and field, is what is reported, while the candidate agrees on the same program.
//!
//! Two rules have no case, because no subject can break them alone. `REF.CONSERVE` and `REF.LEAK` compare a count with the account
//! that [`RealMemory`](machine::RealMemory) keeps of every store. Where counts, entries and page table are as the
//! reference has them, the account can be wrong only if some page holds one holder too many on it (every store that
//! takes a holder from one page gives it to another). That page was looked at when it got the holder and whenever its
//! count was stored, so `REF.HELD` came first. What the two rules watch is the harness itself; [`null`] is their test.

mod cases;
mod machines;
mod null;
mod order;
mod same;
pub(crate) mod wrong;
