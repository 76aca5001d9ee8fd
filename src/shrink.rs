//! `realmode shrink`: shrinks a failing program.

use std::path::PathBuf;
use std::time::Duration;

use programs::store;
use realmode_diff::findings::record::{Catch, Origin, shrink_catch};
use realmode_diff::findings::report::{Context, report};
use realmode_diff::shrink::{Limits, MAX_CHECKS};
use realmode_diff::voters::Unavailable;
use realmode_diff::{Finding, Verdict};

use super::{CLEAN, FINDING, Failure, MISSING, Outcome, load, print, watch};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The text file with the program
    file: PathBuf,
    /// The file for the shrunk program [default: print it with its report]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// The time limit for shrinking; the smallest failing program found by then is the result
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// The largest number of smaller programs to check
    #[arg(long, value_name = "N", default_value_t = MAX_CHECKS)]
    checks: u64,
    #[command(flatten)]
    voters: super::voters::Args,
}

impl Args {
    pub(crate) fn plan(&self) -> watch::Plan {
        watch::Plan { files: vec![self.file.clone()], ..self.voters.plan() }
    }
}

/// Makes the failure of a voter that cannot be made or is lost after `finding` was seen on the program of this name.
fn lost(name: &str, finding: &Finding, gone: &Unavailable) -> Failure {
    Failure { status: FINDING, message: format!("{name}: not shrunk: {gone}; found before: {finding}") }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let program = load(&args.file)?;
    let name = args.file.display().to_string();
    let mut budget = Limits { checks: args.checks, time: Some(args.time) }.begin();
    let roster = args.voters.for_programs()?;
    let (mut shrunk, mut seen) = (None, None);
    // The look that shows most takes the longest, so it comes last.
    for &look in roster.looks() {
        let gone = |gone| match &seen {
            None => Failure::missing(gone),
            Some(finding) => lost(&name, finding, &gone),
        };
        let mut panel = roster.panel(look).map_err(gone)?;
        let finding = match panel.check(&program).map_err(gone)? {
            Verdict::Finding(finding) => *finding,
            Verdict::Invalid(invalid) => return Err(Failure::input(format!("{name}: {invalid}"))),
            verdict if !verdict.compared() && seen.is_none() => {
                print(format_args!("{name}: nothing to shrink: {verdict}\n"))?;
                return Ok(MISSING);
            }
            _ => continue,
        };
        let origin = Origin::Engine { engine: "shrink".into(), file: Some(args.file.clone()) };
        let catch = Catch { origin, program: program.clone(), finding };
        seen.get_or_insert_with(|| catch.finding.clone());
        // Some libraries can exist once only, so the first panel goes before the second is made.
        drop(panel);
        let exact = roster.looks().len() == 1;
        let panel = roster.shrinking(&catch.finding).panel(look);
        let result = panel.and_then(|mut panel| shrink_catch(&mut panel, &catch, exact, &mut budget));
        shrunk = result.map_err(|gone| lost(&name, &catch.finding, &gone))?;
        if shrunk.is_some() {
            break;
        }
    }
    let Some(shrunk) = shrunk else {
        return match seen {
            Some(finding) => {
                print(format_args!(
                    "{name}: not shrunk, because no fresh subject shows the finding again: {finding}\n"
                ))?;
                Ok(FINDING)
            }
            None => {
                print(format_args!("{name}: nothing to shrink: no voter differs from the reference\n"))?;
                Ok(CLEAN)
            }
        };
    };
    let context = Context { origin: &name, ended: Some(shrunk.ended) };
    match &args.output {
        None => print(report(&shrunk.program, &shrunk.finding, context))?,
        Some(path) => {
            let file =
                path.file_name().ok_or_else(|| Failure::input(format!("{}: not a file name", path.display())))?;
            let text = format!("# {}\n{}", store::one_line(&shrunk.finding), shrunk.program);
            store::write(store::folder_of(path), file, text).map_err(Failure::missing)?;
            let steps = (program.steps.len(), shrunk.program.steps.len());
            let (checks, ended) = (shrunk.checks, shrunk.ended);
            print(format_args!(
                "{}: {} of {} steps after {checks} checks, {ended}\n",
                path.display(),
                steps.1,
                steps.0
            ))?;
        }
    }
    Ok(FINDING)
}
