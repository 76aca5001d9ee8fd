//! One program, checked: the reference and a subject step by step, the oracle, and the verdict.
//!
//! | module | what it does |
//! |---|---|
//! | [`lockstep`] | runs a program on both sides, step by step |
//! | [`verdict`] | what comes out: agreed, invalid, or a finding |
//! | [`feedback`] | which combinations of rule, outcome, memory model and mode a program reached |
//! | [`words`] | what the reference says of a step, in words |
//! | [`audit`] | the expensive checks of the harness itself |
//! | [`solo`] | runs one side alone, for benchmarks |

pub mod audit;
pub(crate) mod change;
pub(crate) mod failure;
pub mod feedback;
pub mod lockstep;
pub(crate) mod oracle;
pub mod solo;
pub mod verdict;
pub mod words;
