//! `realmode replay`: checks programs and sequences from files.

use std::path::{Path, PathBuf};

use programs::sequence::{Part, Runnable, Sequence, read};
use realmode_diff::findings::report::{Context, report};
use realmode_diff::voters::{Look, Panel, VoterTally};
use realmode_diff::{Finding, Program, Tally, Verdict};
use serde::Serialize;

use super::json::JsonVerdict;
use super::{CLEAN, FINDING, Failure, MISSING, Outcome, files, print, save_json, watch};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files of programs and sequences of programs, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Run all programs as one sequence: in the given order, on one subject. Without this option the programs of each
    /// file get a fresh subject
    #[arg(long)]
    sequence: bool,
    #[command(flatten)]
    voters: super::voters::Args,
    /// Write the verdicts on all programs to this file as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The numbers of programs replayed so far, by verdict, and the verdicts.
#[derive(Default)]
struct Replayed {
    agreed: usize,
    partly: usize,
    nothing: usize,
    found: usize,
    verdicts: Vec<JsonVerdict>,
    /// File and reason of the first program of which nothing was compared; `None` if there is none.
    first: Option<String>,
}

/// The summary of a replay as JSON: numbers of programs by verdict, and all verdicts. docs/stability.md says how it may
/// change.
#[derive(Serialize)]
struct Json {
    agreed: usize,
    compared_in_part: usize,
    not_compared: usize,
    findings: usize,
    files: Vec<JsonVerdict>,
}

/// The counts of one program that was replayed.
struct Counts {
    /// Numbers of steps that ran, steps that were skipped, and hypercalls, by the first voter.
    steps: u64,
    skipped: u64,
    hypercalls: u64,
    voters: Vec<VoterTally>,
}

impl Counts {
    /// Takes the counts of the program that the panel has just run.
    fn take(panel: &mut Panel) -> Self {
        let &Tally { steps, skipped, hypercalls, .. } = panel.tally();
        Self { steps, skipped, hypercalls, voters: panel.take_roll().voters }
    }
}

impl Args {
    pub(crate) fn plan(&self) -> watch::Plan {
        watch::Plan { files: self.paths.clone(), ..self.voters.plan() }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let roster = args.voters.for_programs()?;
    let mut panel = roster.panel(Look::Whole).map_err(Failure::missing)?;
    let mut replayed = Replayed::default();
    match all(args, &mut panel, &mut replayed) {
        Ok(()) => replayed.end(args.json.as_deref(), None),
        // What was found before a voter was lost is told.
        Err(gone) if gone.status == MISSING => replayed.end(args.json.as_deref(), Some(gone)),
        Err(failure) => Err(failure),
    }
}

/// Replays all files, and counts and prints the verdicts in `replayed`.
fn all(args: &Args, panel: &mut Panel, replayed: &mut Replayed) -> Result<(), Failure> {
    let paths = files(&args.paths)?;
    if args.sequence {
        let mut parts = Vec::new();
        let mut names = Vec::new();
        for path in paths {
            let more = match load(&path)? {
                Runnable::Program(program) => vec![Part { program: *program, left_open: false }],
                Runnable::Sequence(sequence) => sequence.parts,
            };
            names.extend(more.iter().map(|_| path.clone()));
            parts.extend(more);
        }
        replayed.sequence(panel, &names, &Sequence { parts })?;
    } else {
        for path in paths {
            match load(&path)? {
                Runnable::Program(program) => {
                    panel.renew().map_err(Failure::missing)?;
                    let verdict = panel.check(&program).map_err(Failure::missing)?;
                    replayed.tell(&path, &program, verdict, Counts::take(panel))?;
                }
                Runnable::Sequence(sequence) => {
                    let names = vec![path; sequence.parts.len()];
                    replayed.sequence(panel, &names, &sequence)?;
                }
            }
        }
    }
    Ok(())
}

fn load(path: &Path) -> Result<Runnable, Failure> {
    Ok(read(path)?)
}

impl Replayed {
    /// Runs the programs of a sequence on the panel, whose voters first forget all other programs, then prints the
    /// verdicts. Programs after the first finding or invalid program do not run. `names` has the file of each program.
    fn sequence(&mut self, panel: &mut Panel, names: &[PathBuf], sequence: &Sequence) -> Result<(), Failure> {
        let mut counts = Vec::new();
        let verdicts = panel.check_sequence(sequence, &mut |panel| counts.push(Counts::take(panel)));
        let verdicts = verdicts.map_err(Failure::missing)?;
        let (run, all) = (verdicts.len(), sequence.parts.len());
        let ran = verdicts.into_iter().zip(counts);
        for (number, (((verdict, counts), name), part)) in ran.zip(names).zip(&sequence.parts).enumerate() {
            let name = format!("{} (program {} of {all})", name.display(), number + 1);
            self.tell(Path::new(&name), &part.program, verdict, counts)?;
        }
        if run < all {
            print(format_args!("{} programs of the sequence behind it did not run\n", all - run))?;
        }
        Ok(())
    }

    /// Counts the verdict on one program, and prints it with the program's counts. An invalid program is bad input
    /// (status 2).
    fn tell(&mut self, path: &Path, program: &Program, verdict: Verdict, counts: Counts) -> Result<(), Failure> {
        let name = path.display().to_string();
        self.verdicts.push(JsonVerdict::new(path.into(), &verdict));
        let Counts { steps, skipped, hypercalls, voters: votes } = counts;
        let mut ran = format!("{steps} steps ({skipped} skipped), {hypercalls} hypercalls");
        for voter in votes.iter().filter(|voter| voter.incidents > 0) {
            ran += &format!(", {} lost and started again {} times", voter.name, voter.incidents);
        }
        match verdict {
            Verdict::Agreed => {
                self.agreed += 1;
                print(format_args!("{name}: agreed, {ran}\n"))?;
            }
            Verdict::NotCompared(not) => {
                *(if not.compared { &mut self.partly } else { &mut self.nothing }) += 1;
                if !not.compared {
                    self.first.get_or_insert_with(|| format!("{name}: {not}"));
                }
                if votes.len() == 1 {
                    return print(format_args!("{name}: {not}; {ran}\n"));
                }
                print(format_args!("{name}: not compared by all, {ran}\n"))?;
                for voter in votes {
                    if let Some(not) = voter.why_uncovered {
                        print(format_args!("  {}: {not}\n", voter.name))?;
                    }
                    if voter.declared > 0 {
                        print(format_args!("  {}: compared up to a declared difference\n", voter.name))?;
                    }
                }
            }
            Verdict::Invalid(invalid) => return Err(Failure::input(format!("{name}: {invalid}"))),
            Verdict::Finding(finding) => {
                self.found += 1;
                let finding: Finding = *finding;
                let context = Context { origin: &name, ended: None };
                print(format_args!("{name}: FINDING\n{}\n", report(program, &finding, context)))?;
            }
        }
        Ok(())
    }

    /// Prints the totals, writes the JSON summary to `json` if that is given, and returns status 1 with a finding, else
    /// 0. Fails if a voter was lost (`gone`), with status 1 after a finding, else 3. Fails with status 3 if nothing was
    /// compared.
    fn end(self, json: Option<&Path>, gone: Option<Failure>) -> Outcome {
        let Self { agreed, partly, nothing, found, verdicts, first } = self;
        let mut text = format!("{agreed} agreed, ");
        for (count, what) in [(partly, "compared in part"), (nothing, "not compared")] {
            if count > 0 {
                text += &format!("{count} {what}, ");
            }
        }
        print(text + &format!("{found} with a finding\n"))?;
        if let Some(path) = json {
            let summary =
                Json { agreed, compared_in_part: partly, not_compared: nothing, findings: found, files: verdicts };
            save_json(path, &summary)?;
        }
        if let Some(gone) = gone {
            return Err(Failure { status: if found > 0 { FINDING } else { MISSING }, ..gone });
        }
        match first {
            _ if found > 0 => Ok(FINDING),
            Some(first) if agreed + partly == 0 => Err(Failure::missing(format!("nothing was compared: {first}"))),
            _ => Ok(CLEAN),
        }
    }
}
