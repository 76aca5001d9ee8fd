//! The words that both sides of realmode-diff speak.
//!
//! Nothing here decides anything that is under test: no order of checks, no translation that a reference and a
//! candidate must both get right. This crate defines, stores, prints and parses.
//!
//! | module | what it holds |
//! |---|---|
//! | [`addr`] | address kinds as types with checked arithmetic |
//! | [`hcall`] | hypercalls, statuses, their numbers |
//! | [`dialect`] | the names of dialects, and of the fields and answers in which they disagree |
//! | [`rule`] | every rule id, its section and kind |
//! | [`description`] | the description of a machine, and what makes one contradict itself |
//! | [`program`] | steps and programs |
//! | [`visit`] | every number of a program with what it means: for printing, encoding, mutating, repairing, shrinking, counting |
//! | [`text`] | the text form of a program: parse and print are inverse |
//! | [`answer`] | what a hypercall and a probe answer |
//! | `by_name` | with feature `serde`: rules, dialects and kinds of steps as the strings that name them |
//!
//! Feature `serde` (off by default) serialises addresses, statuses, probe answers, rules, dialects and kinds of steps;
//! nothing else needs a dependency.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod addr;
pub mod answer;
#[cfg(feature = "serde")]
mod by_name;
pub mod description;
pub mod dialect;
pub mod hcall;
pub mod program;
pub mod rule;
pub mod text;
mod validate;
pub mod visit;

pub use addr::{Ea, Gfn, Gpa, Hva, Ioba, Liobn, Pfn, RealAddr, Tce};
pub use answer::{HcallAnswer, ProbeAnswer};
pub use description::{Backing, Machine, MemoryModel, PageShift, Pte, WindowSpec};
pub use dialect::Dialect;
pub use hcall::{Hypercall, Status};
pub use program::{Program, Step, StepKind};
pub use rule::{Rule, RuleSet};
pub use validate::{Extent, MAX_FRAMES};
