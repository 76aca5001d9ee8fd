//! `realmode triage`: makes findings of crash files of fuzzing engines, like those of a campaign.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use programs::focus::Focus;
use programs::inputs::{Wanted, find};
use programs::sequence::read_input;
use realmode_diff::Tally;
use realmode_diff::findings::record::Origin;
use realmode_diff::hunts::campaign::default_out;
use realmode_diff::hunts::triage::{Progress, Shown, Triage, Triaged};
use realmode_diff::voters::Roster;
use serde::Serialize;

use super::hunt::{self, Bar};
use super::json::JsonFinding;
use super::{CLEAN, FINDING, Failure, MISSING, Outcome, print, save_json, watch};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Crash files of fuzzing engines, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The fuzz target that found the crashes; it runs only its part of each program
    #[arg(long, value_parser = super::focuses(), default_value_t)]
    focus: Focus,
    /// The subject to check: candidate, null, canary, or the path of a library
    #[arg(long, default_value = "candidate")]
    subject: String,
    /// The folder for findings [default: findings]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The engine's name, a part of file names [default: libfuzzer, afl or file, depending on each file's name]
    #[arg(long, value_name = "NAME", value_parser = engine)]
    engine: Option<String>,
    /// The number of threads, 1 to 1024 [default: as many as keep all cores busy]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// The time after which the check of one program counts as hung
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    limit: Duration,
    /// Write the results of the triage to this file as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Checks the engine's name, which becomes a part of file names: 1 to 40 letters, digits, `-`, `_` and `+`.
fn engine(name: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+');
    match !name.is_empty() && name.len() <= 40 && name.chars().all(good) {
        true => Ok(name.into()),
        false => Err("expected up to 40 letters, digits, `-`, `_` and `+`".into()),
    }
}

impl Args {
    pub(crate) fn plan(&self) -> watch::Plan {
        watch::Plan { out: self.out.clone(), interruptible: true, ..watch::Plan::of(&self.subject) }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let found = find(&args.paths, Wanted::Findings).map_err(Failure::input)?;
    let (mut sequences, mut broken) = (Vec::new(), 0u64);
    // All files are read before the first check, because checks may take long.
    for path in found.programs {
        match catch_unwind(|| read_input(&path)) {
            Ok(sequence) => {
                let mut sequence = sequence?;
                for part in &mut sequence.parts {
                    args.focus.apply(&mut part.program);
                }
                sequences.push((path, sequence));
            }
            Err(_) => {
                broken += 1;
                eprintln!("realmode: {}: the harness panicked when it read the file", path.display());
            }
        }
    }
    let out = args.out.clone().unwrap_or_else(|| default_out().to_path_buf());
    let subject = super::subject(&args.subject)?;
    let jobs = hunt::jobs(args.jobs, &Roster::from(subject));
    let triage = Triage { subject, limit: args.limit, out, engine: args.engine.clone(), jobs };
    let stop = hunt::stop_flag()?;
    let bar = Bar::new(sequences.len() as u64);
    let summary = triage.run(&sequences, &stop, &mut |Progress { files, findings }| {
        bar.show(files as u64, format!("{files} of {} files, {findings} findings", sequences.len()));
    });
    bar.finish();
    let (mut agreed, mut failing, mut not_compared, mut nothing) = (0u64, 0u64, 0u64, None);
    let (mut partly, mut not_checked) = (0u64, 0u64);
    for (index, triaged) in &summary.files {
        let name = sequences[*index].0.display();
        match triaged {
            Triaged::Agreed(Tally { steps, skipped, hypercalls, .. }) => {
                agreed += 1;
                print(format_args!("{name}: agreed, {steps} steps ({skipped} skipped), {hypercalls} hypercalls\n"))?;
            }
            Triaged::NotCompared(not, Tally { steps, hypercalls, .. }) => {
                not_compared += 1;
                print(format_args!("{name}: {not}; {steps} steps, {hypercalls} hypercalls\n"))?;
                partly += u64::from(not.compared);
                nothing = nothing.or((!not.compared).then(|| format!("{name}: {not}")));
            }
            Triaged::NotChecked(why) => {
                not_checked += 1;
                print(format_args!("{name}: not checked: {why}\n"))?;
                nothing.get_or_insert_with(|| format!("{name}: {why}"));
            }
            Triaged::First(number) => {
                failing += 1;
                print(format_args!("{name}: {}\n", summary.shown[*number].recorded.finding))?;
            }
            Triaged::Again(number) => {
                failing += 1;
                let shown = &summary.shown[*number];
                let rule = shown.recorded.finding.rule;
                print(format_args!("{name}: {rule} as {}\n", shown.first.display()))?;
            }
        }
    }
    let mut text = String::new();
    for shown in &summary.shown {
        let _ = write!(text, "\n{}", shown.recorded);
        if shown.others > 0 {
            let _ = writeln!(text, "  shown by {} more file(s)", shown.others);
        }
    }
    let stopped = sequences.len() - summary.files.len();
    let different = summary.shown.len();
    let _ = write!(text, "\n{agreed} agreed, {failing} with a finding, {different} different");
    for (count, what) in [
        (not_compared, "not compared in whole"),
        (broken, "on which the harness panicked"),
        (found.others as u64, "other files passed over"),
        (not_checked, "that could not be checked"),
        (stopped as u64, "not checked, because the triage was stopped"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    print(text + "\n")?;
    if let Some(path) = &args.json {
        let findings = summary.shown.iter().map(JsonShown::new).collect();
        let (subject, focus) = (subject.name(), args.focus.name());
        let files = agreed + failing + not_compared + broken;
        let verdict = match (failing, agreed + partly) {
            (1.., _) => "finding",
            (0, 0) => "not compared",
            (0, 1..) => "agreed",
        };
        let (compared_in_part, not_compared) = (partly, not_compared - partly);
        let (others, unchecked) = (found.others, not_checked + stopped as u64);
        save_json(
            path,
            &Json {
                subject,
                focus,
                files,
                verdict,
                agreed,
                compared_in_part,
                not_compared,
                failing,
                broken,
                others,
                unchecked,
                findings,
            },
        )?;
    }
    if let Some(error) = summary.failed {
        return Err(Failure { status: if failing > 0 { FINDING } else { MISSING }, message: error.to_string() });
    }
    match nothing {
        _ if failing + broken > 0 => Ok(FINDING),
        Some(first) if not_checked > 0 => Err(Failure::missing(format!("not every file was checked: {first}"))),
        Some(first) if agreed == 0 && partly == 0 => Err(Failure::missing(format!("nothing was compared: {first}"))),
        None if stopped > 0 && agreed == 0 && partly == 0 => {
            Err(Failure::missing("nothing was compared: the triage was stopped"))
        }
        _ => Ok(CLEAN),
    }
}

/// The results of a triage as JSON. docs/stability.md says how they may change.
#[derive(Serialize)]
struct Json<'a> {
    subject: String,
    focus: &'static str,
    files: u64,
    /// As in the summary of a hunt: `finding`, `not compared` if nothing was compared, or else `agreed`.
    verdict: &'static str,
    agreed: u64,
    compared_in_part: u64,
    not_compared: u64,
    failing: u64,
    broken: u64,
    others: usize,
    /// The number of files that could not be checked, or to which a stopped triage did not come.
    unchecked: u64,
    findings: Vec<JsonShown<'a>>,
}

/// A finding and its files. `from` is the first crash file that shows it, `others` the number of further ones.
#[derive(Serialize)]
struct JsonShown<'a> {
    #[serde(flatten)]
    finding: JsonFinding,
    engine: Option<&'a str>,
    found_steps: usize,
    found_file: &'a Path,
    report_file: &'a Path,
    test_file: Option<&'a Path>,
    from: Cow<'a, str>,
    others: u64,
}

impl<'a> JsonShown<'a> {
    fn new(shown: &'a Shown) -> Self {
        let Shown { recorded, first, others } = shown;
        Self {
            finding: JsonFinding::new(recorded),
            engine: match &recorded.origin {
                Origin::Engine { engine, .. } => Some(engine),
                Origin::Campaign { .. } | Origin::Exhaust { .. } => None,
            },
            found_steps: recorded.found_steps,
            found_file: &recorded.found_file,
            report_file: &recorded.report_file,
            test_file: recorded.test_file.as_deref(),
            from: first.to_string_lossy(),
            others: *others,
        }
    }
}
