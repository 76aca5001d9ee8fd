//! Checks one program: runs it on the reference and on a subject step by step, compares both, and returns the verdict.
//!
//! | module | what it does |
//! |---|---|
//! | [`checker`] | runs a program on both sides and compares |
//! | `driver` | takes a subject through its start, its steps, and the closing of windows |
//! | `oracle` | compares real memory with the reference's state |
//! | `failure` | a broken rule, as oracle, events and checker report it |
//! | `judge` | picks the rule to report, if one step breaks several |
//! | [`verdict`] | the result of a check: agreed, not compared, finding, or invalid |
//! | [`finding`] | a finding as data: place, rule, field, thing, both values, votes |
//! | [`tally`] | counts of checked programs |
//! | [`change`] | names the words of real memory that a step changed |
//! | [`words`] | the reference's answers as text |
//! | [`feedback`] | numbers the combinations of rule, outcome, memory model and mode that a program reached |
//! | [`audit`] | expensive checks of the harness itself |
//! | [`solo`] | runs one side alone, for benchmarks and to find out whether a library starts |

pub mod audit;
pub mod change;
pub mod checker;
mod driver;
mod failure;
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
pub use verdict::{NotCompared, Reason, Unavailable, Verdict};
