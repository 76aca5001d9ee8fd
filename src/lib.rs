//! Differential fuzzing of PowerPC real-mode TCE handling.
//!
//! ```text
//!  program ──> lockstep ──> reference: abstract state ──┐
//!                   └─────> subject: real memory ───────┴──> oracle ──> finding ──> shrink ──> report
//! ```
//!
//! In the order of the way of a program through the house:
//!
//! | module | what it does |
//! |---|---|
//! | [`generate`] | draws random programs; decodes any bytes into one |
//! | [`mutate`] | changes and crosses programs for fuzzing engines |
//! | [`host`] | sets the image up and carries host steps out on it |
//! | [`subjects`] | the implementations that come with the harness: candidate, null control, canary |
//! | [`lockstep`] | runs a program on both sides, step by step |
//! | [`voters`] | everybody who can be held against the reference, and panels of them |
//! | [`qemu`] | QEMU's pseries machine as a live voter |
//! | [`isolate`] | subjects in processes of their own |
//! | [`ledger`] | differences between voters that are declared and no findings |
//! | [`verdict`] | what comes out: agreed, invalid, or a finding |
//! | [`shrink`] | makes a failing program small |
//! | [`report`] | says what differs, in the field's words, and writes a ready test |
//! | [`record`] | keeps a finding: as found, shrunk, report, test |
//! | [`campaign`] | checks many programs on all cores |
//! | [`exhaust`] | checks every program up to a bound, over a small stated domain |
//! | [`inputs`] | finds and reads the files of programs that engines and people keep |
//! | [`triage`] | checks an engine's crash files and keeps what they show |
//! | [`corpus`] | packs and unpacks corpora, and brings them up to date |
//! | [`stats`] | measures a corpus |
//! | [`solo`] | runs one side alone, for benchmarks |
//! | [`store`] | keeps findings so that none is lost |
//! | [`dialects`] | prints where the dialects disagree, as a document |
//!
//! [`check`] is the whole of it; everything that runs programs calls it, or the [`Checker`] behind it.

pub mod campaign;
pub mod corpus;
mod decode;
pub mod dialects;
pub mod encoding;
pub mod engine;
pub mod exhaust;
mod failure;
pub mod feedback;
pub mod focus;
pub mod generate;
pub mod host;
pub mod inputs;
pub mod isolate;
pub mod layout;
pub mod ledger;
pub mod lockstep;
pub mod mutate;
mod oracle;
mod processes;
pub mod qemu;
mod quiet;
pub mod record;
pub mod repair;
pub mod report;
pub mod shrink;
pub mod solo;
pub mod stats;
pub mod store;
pub mod subjects;
pub mod triage;
pub mod verdict;
pub mod voters;

pub use contract::text::parse;
pub use contract::{Dialect, Program, Rule};
pub use lockstep::Checker;
pub use subjects::SubjectKind;
pub use verdict::{Finding, Identity, Tally, Verdict};

/// Runs a program on the reference and the candidate: the verdict depends on the program alone.
#[must_use]
pub fn check(program: &Program) -> Verdict {
    SubjectKind::Candidate.checker().check(program)
}

/// The code blocks of docs/implementations.md compile and run.
#[cfg(doctest)]
#[doc = include_str!("../docs/implementations.md")]
struct Implementations;
