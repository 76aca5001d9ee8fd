//! `realmode export`: prints a program as a test to paste.

use std::path::PathBuf;

use realmode_diff::{SubjectKind, Verdict, findings::report};

use super::{CLEAN, FINDING, Failure, Outcome, load, print};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The text file with the program
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let program = load(&args.file)?;
    let verdict = SubjectKind::Candidate.checker().check(&program);
    if let Verdict::Invalid(invalid) = &verdict {
        return Err(Failure::input(format!("{}: {invalid}", args.file.display())));
    }
    print(report::export(&program, verdict.finding()))?;
    Ok(if verdict.finding().is_some() { FINDING } else { CLEAN })
}
