//! One program, checked: the reference and a subject step by step, the oracle, and the verdict.
//!
//! | module | what it does |
//! |---|---|
//! | [`checker`] | runs a program on both sides and compares |
//! | `driver` | takes a subject through start, steps, and the closing of windows |
//! | `oracle` | holds real memory against the reference's state |
//! | `judge` | of the rules that one step breaks, says which is reported |
//! | [`verdict`] | what comes of a check: agreed, not compared, a finding, invalid |
//! | [`finding`] | a finding as data: place, rule, field, thing, both values, votes |
//! | [`tally`] | counts of checked programs |
//! | [`change`] | changed words of real memory, as the things that they are |
//! | [`words`] | what the reference says of a step, in words |
//! | [`feedback`] | which combinations of rule, outcome, memory model and mode a program reached |
//! | [`audit`] | the expensive checks of the harness itself |
//! | [`solo`] | runs one side alone, for benchmarks |

pub mod audit;
pub mod change;
pub mod checker;
mod driver;
pub mod feedback;
pub mod finding;
mod judge;
mod oracle;
pub mod solo;
pub mod tally;
pub mod verdict;
pub mod words;

pub use checker::{Checker, Ending, Handled, Observation, Watch};
pub use finding::{Field, Finding, Identity, Kind, Place, Thing};
pub use tally::Tally;
pub use verdict::{NotCompared, Reason, Verdict};
