//! `realmode replay`: check programs from files.

use std::path::PathBuf;

use realmode_diff::findings::report::{Context, report};
use realmode_diff::voters::VoterTally;
use realmode_diff::voters::qemu::Look;
use realmode_diff::{Tally, Verdict};

use super::{CLEAN, FINDING, Failure, Outcome, files, load, print};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Programs, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    voters: super::voters::Args,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut panel = args.voters.panel(Look::Whole)?;
    let (mut agreed, mut partly, mut found) = (0, 0, 0);
    for path in files(&args.paths)? {
        let program = load(&path)?;
        let name = path.display().to_string();
        match panel.check(&program).map_err(Failure::missing)? {
            Verdict::Agreed(tally) => {
                let Tally { steps, skipped, hypercalls, .. } = tally;
                let votes = panel.take_roll().voters;
                let short = votes.iter().any(|voter| voter.uncovered + voter.declared > 0);
                *(if short { &mut partly } else { &mut agreed }) += 1;
                let how = if short { "agreed as far as it went" } else { "agreed" };
                print(format_args!("{name}: {how}, {steps} steps ({skipped} skipped), {hypercalls} hypercalls\n"))?;
                for VoterTally { name, why_uncovered, declared, .. } in votes {
                    if let Some(why) = why_uncovered {
                        print(format_args!("  {name} was not asked to the end: {why}\n"))?;
                    }
                    if declared > 0 {
                        print(format_args!("  {name} was compared up to a declared difference\n"))?;
                    }
                }
            }
            Verdict::Invalid(invalid) => return Err(Failure::input(format!("{name}: {invalid}"))),
            Verdict::Finding(finding, _) => {
                found += 1;
                let context = Context { origin: &name, ended: None };
                print(format_args!("{name}: FINDING\n{}\n", report(&program, &finding, context)))?;
            }
        }
    }
    let partly = if partly == 0 { String::new() } else { format!("{partly} agreed in part, ") };
    print(format_args!("{agreed} agreed, {partly}{found} with a finding\n"))?;
    Ok(if found == 0 { CLEAN } else { FINDING })
}
