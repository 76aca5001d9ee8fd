//! Differential fuzzing of PowerPC real-mode TCE handling.
//!
//! ```text
//!  program ──> lockstep ──> reference: abstract state ──┐
//!                   └─────> subject: real memory ───────┴──> oracle ──> finding ──> shrink ──> report
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`check`] | runs a program on the reference and a subject, and says what came of it: the verdict |
//! | [`subjects`] | the implementations that come with the harness: candidate, null control, canary |
//! | [`shrink`] | makes a failing program small |
//! | [`findings`] | says what differs, and keeps it: reports, tests, files |
//! | [`voters`] | everybody who can be held against the reference, and panels of them |
//! | [`hunts`] | runs many programs: campaigns, exhaustive runs, triage of crash files, engines |
//! | [`watch`] | tells what a library did that ended the command's own process |
//! | `processes` | what processes of the harness need to work together |
//! | [`dialects`] | prints where the dialects disagree, as a document |
//!
//! [`check()`] is the whole of it; everything that runs programs calls it, or the [`Checker`] behind it.

pub mod check;
pub mod dialects;
pub mod findings;
pub mod hunts;
mod processes;
pub mod shrink;
pub mod subjects;
pub mod voters;
pub mod watch;

pub use check::lockstep::Checker;
pub use check::verdict::{Finding, Identity, Tally, Verdict};
pub use contract::text::parse;
pub use contract::{Dialect, Program, Rule};
pub use subjects::SubjectKind;

/// Runs a program on the reference and the candidate: the verdict depends on the program alone.
#[must_use]
pub fn check(program: &Program) -> Verdict {
    SubjectKind::Candidate.checker().check(program)
}

/// The code blocks of docs/implementations.md compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/implementations.md")]
struct Implementations;
