//! `realmode shrink`: make a failing program small.

use std::path::PathBuf;
use std::time::Duration;

use programs::store;
use realmode_diff::findings::report::{Context, report};
use realmode_diff::shrink::{Judge as _, Limits, MAX_CHECKS, shrink};
use realmode_diff::voters::qemu::Look;

use super::{CLEAN, FINDING, Failure, Outcome, load, print};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The program
    file: PathBuf,
    /// Where to write the shrunk program; else it is printed with its report
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// The longest time; what is found smaller by then is the result
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// Most programs to try
    #[arg(long, value_name = "N", default_value_t = MAX_CHECKS)]
    checks: u64,
    #[command(flatten)]
    voters: super::voters::Args,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let program = load(&args.file)?;
    let name = args.file.display().to_string();
    // The closest look takes longest: it is taken where nothing else shows the finding.
    let mut panel = args.voters.panel(Look::EachCall)?;
    if let Some(finding) = args.voters.isolated().then(|| panel.finding(&program)).flatten() {
        panel = args.voters.panel_shrinking(&finding, Look::EachCall)?;
    }
    let limits = Limits { checks: args.checks, time: Some(args.time) };
    let mut shrunk = shrink(&mut panel, &program, limits);
    if shrunk.is_none() && args.voters.live() {
        shrunk = shrink(&mut args.voters.panel(Look::Whole)?, &program, limits);
    }
    let Some(shrunk) = shrunk else {
        print(format_args!("{name}: nothing to shrink, all sides agree\n"))?;
        return Ok(CLEAN);
    };
    let context = Context { origin: &name, ended: Some(shrunk.ended) };
    match &args.output {
        None => print(report(&shrunk.program, &shrunk.finding, context))?,
        Some(path) => {
            let file =
                path.file_name().ok_or_else(|| Failure::input(format!("{}: not a file name", path.display())))?;
            let text = format!("# {}\n{}", shrunk.finding, shrunk.program);
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
