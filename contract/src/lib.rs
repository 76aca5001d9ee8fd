//! What the reference and the candidate must name alike: addresses, hypercalls, statuses, rules, dialects, machines,
//! steps and programs.
//!
//! This crate defines, stores, prints and parses. It decides nothing that is under test: it holds no order of checks
//! and no translation of addresses, because a mistake in shared code would show on both sides and so stay hidden.
//!
//! | module | what it holds |
//! |---|---|
//! | [`addr`] | a type for each kind of address, with checked arithmetic |
//! | [`hcall`] | hypercalls, statuses, their numbers |
//! | [`dialect`] | the names of dialects, fields and answers; which windows a description may have in a dialect |
//! | [`rule`] | every rule id, its section and kind |
//! | [`description`] | the description of a machine, and its limits |
//! | [`program`] | steps and programs |
//! | [`visit`] | every number of a program with its meaning: for printing, encoding, mutation, repair and shrinking |
//! | [`text`] | the text form of a program: parse and print are inverse |
//! | [`answer`] | what a hypercall and a probe answer |
//! | `validate` | what makes a description contradict itself or exceed a limit: [`Program::validate`] |
//! | `by_name` | with feature `serde`: rules, dialects and kinds of steps as the strings that name them |
//!
//! Feature `serde` (off by default) serialises and deserialises addresses, statuses, probe answers, rules, dialects and
//! kinds of steps. It brings the only dependency of this crate.
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
