//! `realmode shrink`: make a failing program small.

use std::path::PathBuf;

use programs::store;
use realmode_diff::findings::report::{Context, report};
use realmode_diff::shrink::{self, Judge as _};
use realmode_diff::voters::qemu::Look;

use super::{CLEAN, FINDING, Failure, Outcome, load, print, watch};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The program
    file: PathBuf,
    /// Where to write the shrunk program; else it is printed with its report
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    voters: super::voters::Args,
}

impl Args {
    pub(crate) fn plan(&self) -> watch::Plan {
        watch::Plan { files: vec![self.file.clone()], ..self.voters.plan() }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let program = load(&args.file)?;
    let name = args.file.display().to_string();
    // The closest look takes longest: it is taken where nothing else shows the finding.
    let mut panel = args.voters.panel(Look::EachCall)?;
    if let Some(finding) = args.voters.isolated().then(|| panel.finding(&program)).flatten() {
        panel = args.voters.panel_shrinking(&finding, Look::EachCall)?;
    }
    let mut shrunk = shrink::shrink(&mut panel, &program);
    if shrunk.is_none() && args.voters.live() {
        shrunk = shrink::shrink(&mut args.voters.panel(Look::Whole)?, &program);
    }
    let Some(shrunk) = shrunk else {
        print(format_args!("{name}: nothing to shrink, all sides agree\n"))?;
        return Ok(CLEAN);
    };
    let context = Context { origin: &name, minimal: Some(shrunk.minimal) };
    match &args.output {
        None => print(report(&shrunk.program, &shrunk.finding, context))?,
        Some(path) => {
            let file =
                path.file_name().ok_or_else(|| Failure::input(format!("{}: not a file name", path.display())))?;
            let text = format!("# {}\n{}", shrunk.finding, shrunk.program);
            store::write(store::folder_of(path), file, text).map_err(Failure::missing)?;
            let steps = (program.steps.len(), shrunk.program.steps.len());
            let minimal = if shrunk.minimal { "1-minimal" } else { "not minimal: the budget of checks ran out" };
            let checks = shrunk.checks;
            print(format_args!(
                "{}: {} of {} steps after {checks} checks, {minimal}\n",
                path.display(),
                steps.1,
                steps.0
            ))?;
        }
    }
    Ok(FINDING)
}
