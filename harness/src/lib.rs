//! Differential fuzzing of PowerPC real-mode TCE handling: runs programs on a reference model and on an implementation,
//! and reports where they differ.
//!
//! ```
//! use realmode_diff::{Checker, Verdict, parse, report};
//!
//! // A machine with one DMA window, and two hypercalls: map a page, read the entry back.
//! let program = parse(
//!     "realmode-program 1
//! dialect lopapr
//! machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=32
//! slot 0 gfn=0x0 pages=4 hva=0x7f0000000000
//! map 0x7f0000000000 present pfn=0x10 writable dirty young pages=4
//! window 0x1 page_shift=12 base=0x0 entries=4 pinned table=0x9000000 hardware=0x9001000
//! steps
//! cpu0 H_PUT_TCE liobn=0x1 ioba=0x1000 tce=0x2003
//! cpu0 H_GET_TCE liobn=0x1 ioba=0x1000
//! ",
//! )?;
//! // A subject is any type that implements the trait `machine::Subject`.
//! let mut checker = Checker::made(candidate::Candidate::new);
//! assert_eq!(checker.check(&program), Verdict::Agreed);
//!
//! // The canary is the candidate with one mistake: its H_GET_TCE forgets that the device may write.
//! let mut canary = realmode_diff::SubjectKind::Canary.checker();
//! let finding = canary.check(&program).into_finding().expect("a finding");
//! assert_eq!(finding.to_string(), "DIVERGE.R4 at step 2 (H_GET_TCE): r4: expected 0x2003, found 0x2001");
//! println!("{}", report::report(&program, &finding, report::Context::default()));
//! # Ok::<(), contract::text::TextError>(())
//! ```
//!
//! The way of a program through the library:
//!
//! ```text
//!  program ──> checker ──> reference: abstract state ──┐
//!                   └────> subject: real memory ───────┴──> oracle, judge ──> verdict ──> shrinker ──> recorder
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@check`] | runs a program on the reference and on a subject, and returns the verdict |
//! | [`subjects`] | the subjects that come with the harness (candidate, null control, canary), and libraries in C |
//! | [`shrink`] | makes a failing program small |
//! | [`findings`] | writes findings to disk, with a report and a test |
//! | [`voters`] | everything that can be compared with the reference, and panels of voters |
//! | [`hunts`] | runs many programs: campaigns, exhaustive runs, triage of crash files, fuzzing engines |
//! | [`watch`] | keeps the running programs of a library that may end the command's own process |
//! | `processes` | what the processes of the harness share |
//! | [`dialects`] | prints docs/dialects.md: where the dialects disagree |

pub mod check;
pub mod dialects;
pub mod findings;
pub mod hunts;
mod processes;
pub mod shrink;
pub mod subjects;
pub mod voters;
pub mod watch;

pub use check::{Checker, Finding, Identity, Tally, Verdict};
pub use contract::text::parse;
pub use contract::{Dialect, Program, Rule};
pub use findings::report;
pub use subjects::SubjectKind;

/// Checks a program with a new candidate as the subject. The verdict depends on the program alone.
#[must_use]
pub fn check(program: &Program) -> Verdict {
    SubjectKind::Candidate.checker().check(program)
}

/// Holds the code blocks of docs/implementations.md, which run as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/implementations.md")]
struct Implementations;
