//! `realmode show`: shows a program step by step.

use std::fmt::Write as _;
use std::path::PathBuf;

use realmode_diff::Verdict;
use realmode_diff::check::change::changes;
use realmode_diff::check::words::outcome;
use realmode_diff::check::{Handled, Observation};

use super::{CLEAN, FINDING, Failure, MISSING, Outcome, load, print, watch};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The text file with the program
    file: PathBuf,
    /// The subject to check: candidate, null, canary, or the path of a library
    #[arg(long, default_value = "candidate")]
    subject: String,
    /// The largest number of changes of memory to show for one step
    #[arg(long, default_value_t = 24)]
    changes: usize,
}

impl Args {
    pub(crate) fn plan(&self) -> watch::Plan {
        watch::Plan { files: vec![self.file.clone()], ..watch::Plan::of(&self.subject) }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let program = load(&args.file)?;
    let mut text = String::new();
    let mut checker = super::subject(&args.subject)?.try_checker().map_err(Failure::missing)?;
    let verdict = checker.check_watched(&program, &mut |seen: &Observation<'_>| {
        let _ = writeln!(text, "{:>4}  {}", seen.index + 1, seen.step);
        let how = match seen.handled {
            Handled::Skipped | Handled::Host => String::new(),
            Handled::Real => match seen.accesses {
                0 => " [real mode]".into(),
                1 => " [real mode, 1 access]".into(),
                accesses => format!(" [real mode, {accesses} accesses]"),
            },
            Handled::Deferred => format!(" [deferred after {} access(es), then virtual mode]", seen.accesses),
        };
        let _ = writeln!(text, "      = {}{how}", outcome(seen.outcome));
        let changes = changes(seen.memory);
        for change in changes.iter().take(args.changes) {
            let _ = writeln!(text, "      {change}");
        }
        if changes.len() > args.changes {
            let _ = writeln!(text, "      ... and {} more changes", changes.len() - args.changes);
        }
    });
    print(text)?;
    match verdict {
        Verdict::Invalid(invalid) => Err(Failure::input(format!("{}: {invalid}", args.file.display()))),
        verdict => {
            print(format_args!("{verdict}\n"))?;
            match verdict {
                Verdict::Finding(_) => Ok(FINDING),
                _ if verdict.compared() => Ok(CLEAN),
                _ => Ok(MISSING),
            }
        }
    }
}
