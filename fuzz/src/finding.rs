//! A finding inside a target: the same files as from the embedded campaign, then the end.

use contract::Program;
use realmode_diff::report::{Context, report};
use realmode_diff::{Finding, SubjectKind};

/// Says what was found.
#[cfg_attr(feature = "afl", allow(dead_code))]
pub(crate) fn tell(finding: &Finding, program: &Program, subject: SubjectKind, engine: &str) {
    let context = Context { origin: engine, subject: subject.name(), minimal: None };
    eprintln!("\nFINDING {finding}\n{}", report(program, finding, context));
}

/// Says what was found and ends the process as engines expect it.
#[cfg(feature = "libfuzzer")]
pub(crate) fn abort(finding: &Finding, program: &Program, subject: SubjectKind, engine: &str) -> ! {
    tell(finding, program, subject, engine);
    panic!("{finding}");
}
