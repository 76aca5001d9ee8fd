//! `realmode replay`: check programs from files.

use std::path::PathBuf;

use realmode_diff::report::{Context, report};
use realmode_diff::{SubjectKind, Tally, Verdict};

use super::{CLEAN, FINDING, Failure, Outcome, files, load, print};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Programs, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// What runs against the reference
    #[arg(long, value_enum, default_value_t)]
    subject: SubjectKind,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut checker = args.subject.checker();
    let (mut agreed, mut found) = (0, 0);
    for path in files(&args.paths)? {
        let program = load(&path)?;
        let name = path.display().to_string();
        match checker.check(&program) {
            Verdict::Agreed(tally) => {
                agreed += 1;
                let Tally { steps, skipped, hypercalls, .. } = tally;
                print(format_args!("{name}: agreed, {steps} steps ({skipped} skipped), {hypercalls} hypercalls\n"))?;
            }
            Verdict::Invalid(invalid) => return Err(Failure::input(format!("{name}: {invalid}"))),
            Verdict::Finding(finding, _) => {
                found += 1;
                let context = Context { origin: &name, subject: args.subject.name(), minimal: None };
                print(format_args!("{name}: FINDING\n{}\n", report(&program, &finding, context)))?;
            }
        }
    }
    print(format_args!("{agreed} agreed, {found} with a finding\n"))?;
    Ok(if found == 0 { CLEAN } else { FINDING })
}
