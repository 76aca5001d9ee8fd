//! `realmode triage`: crash files of fuzzing engines become findings like a campaign's.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use programs::focus::Focus;
use programs::inputs::{Wanted, find, read};
use realmode_diff::Tally;
use realmode_diff::findings::record::Origin;
use realmode_diff::hunts::campaign::default_out;
use realmode_diff::hunts::triage::{Shown, Triage, Triaged};
use serde::Serialize;

use super::{CLEAN, FINDING, Failure, Outcome, print, save_json};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Crash files, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The fuzz target that found them, which runs only its part of each program
    #[arg(long, value_parser = super::focuses(), default_value_t)]
    focus: Focus,
    /// What runs against the reference: candidate, null, canary, or the path of a library
    #[arg(long, default_value = "candidate")]
    subject: String,
    /// Where findings are written [default: findings]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The engine's name, for file names [default: libfuzzer, afl or file, by each file's name]
    #[arg(long, value_name = "NAME", value_parser = engine)]
    engine: Option<String>,
    /// How long a check may take before it counts as hung
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    limit: Duration,
    /// Write what the files show as one JSON object to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A name that file names can have in them.
fn engine(name: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+');
    match !name.is_empty() && name.len() <= 40 && name.chars().all(good) {
        true => Ok(name.into()),
        false => Err("expected up to 40 letters, digits, `-`, `_` and `+`".into()),
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let found = find(&args.paths, Wanted::Findings).map_err(Failure::input)?;
    let (mut programs, mut broken) = (Vec::new(), 0u64);
    // All are read before the first is checked, which may take long.
    for path in found.programs {
        match catch_unwind(|| read(&path)) {
            Ok(input) => {
                let mut program = input.map_err(Failure::input)?.program;
                args.focus.apply(&mut program);
                programs.push((path, program));
            }
            Err(_) => {
                broken += 1;
                eprintln!("realmode: {}: the harness panicked when it read the file", path.display());
            }
        }
    }
    let out = args.out.clone().unwrap_or_else(|| default_out().to_path_buf());
    let subject = super::subject(&args.subject)?;
    let mut triage = Triage::new(subject, args.limit, out, args.engine.clone());
    let (mut agreed, mut failing) = (0u64, 0u64);
    for (path, program) in programs {
        let name = path.display();
        let triaged = triage.check(&path, &program).map_err(Failure::missing)?;
        match triaged {
            Triaged::Agreed(Tally { steps, skipped, hypercalls, .. }) => {
                agreed += 1;
                print(format_args!("{name}: agreed, {steps} steps ({skipped} skipped), {hypercalls} hypercalls\n"))?;
            }
            Triaged::First(number) => {
                failing += 1;
                print(format_args!("{name}: {}\n", triage.shown()[number].recorded.finding))?;
            }
            Triaged::Again(number) => {
                failing += 1;
                let shown = &triage.shown()[number];
                let rule = shown.recorded.finding.identity.rule;
                print(format_args!("{name}: {rule} as {}\n", shown.first.display()))?;
            }
            Triaged::Broken(message, file) => {
                broken += 1;
                eprintln!("realmode: {name}: the harness panicked: {message}; the program is in {}", file.display());
            }
        }
    }
    let mut text = String::new();
    for shown in triage.shown() {
        let _ = write!(text, "\n{}", shown.recorded);
        if shown.others > 0 {
            let _ = writeln!(text, "  shown by {} more file(s)", shown.others);
        }
    }
    let different = triage.shown().len();
    let _ = write!(text, "\n{agreed} agreed, {failing} with a finding, {different} different");
    for (count, what) in [(broken, "on which the harness panicked"), (found.others as u64, "other files passed over")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    print(text + "\n")?;
    if let Some(path) = &args.json {
        let findings = triage.shown().iter().map(JsonFinding::new).collect();
        let (subject, focus) = (subject.name(), args.focus.name());
        let files = agreed + failing + broken;
        let others = found.others;
        save_json(path, &Json { subject, focus, files, agreed, failing, broken, others, findings })?;
    }
    Ok(if failing + broken == 0 { CLEAN } else { FINDING })
}

#[derive(Serialize)]
struct Json<'a> {
    subject: &'static str,
    focus: &'static str,
    files: u64,
    agreed: u64,
    failing: u64,
    broken: u64,
    others: usize,
    findings: Vec<JsonFinding<'a>>,
}

/// Keys that `realmode fuzz --json` has too mean the same there.
#[derive(Serialize)]
struct JsonFinding<'a> {
    rule: &'static str,
    field: &'static str,
    step_kind: &'static str,
    what: &'a str,
    expected: &'a str,
    found: &'a str,
    engine: Option<&'a str>,
    found_steps: usize,
    steps: usize,
    minimal: bool,
    file: &'a Path,
    found_file: &'a Path,
    report_file: &'a Path,
    test_file: Option<&'a Path>,
    from: Cow<'a, str>,
    others: u64,
}

impl<'a> JsonFinding<'a> {
    fn new(shown: &'a Shown) -> Self {
        let Shown { recorded, first, others } = shown;
        let finding = &recorded.finding;
        Self {
            rule: finding.identity.rule.id(),
            field: finding.identity.field,
            step_kind: finding.identity.kind,
            what: &finding.what,
            expected: &finding.expected,
            found: &finding.found,
            engine: match &recorded.origin {
                Origin::Engine { engine, .. } => Some(engine),
                Origin::Campaign { .. } | Origin::Exhaust { .. } => None,
            },
            found_steps: recorded.found_steps,
            steps: recorded.program.steps.len(),
            minimal: recorded.is_minimal(),
            file: recorded.shrunk_file.as_ref().unwrap_or(&recorded.found_file),
            found_file: &recorded.found_file,
            report_file: &recorded.report_file,
            test_file: recorded.test_file.as_deref(),
            from: first.to_string_lossy(),
            others: *others,
        }
    }
}
