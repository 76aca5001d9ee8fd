//! `realmode corpus`: packs, unpacks, draws, migrates and measures corpora.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use contract::visit::{Field, Notation};
use programs::corpus::{self, CorpusError, Kept, Migrated};
use programs::encoding;
use programs::focus::Focus;
use programs::inputs::{Files, InputError, Wanted, find, read};
use realmode_diff::hunts::stats::{Fields, Forms, Spread, Stats, StepCounts, Values};
use realmode_diff::{Rule, SubjectKind, Verdict};
use serde::Serialize;

use super::fuzz::rule_table;
use super::json::{JsonRule, JsonVerdict, json_rules};
use super::{CLEAN, FINDING, Failure, MISSING, Outcome, files, print, save_json, watch};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Pack programs for engines: one file for each different program, named after its contents
    Pack {
        /// Files of programs as text, or folders of them
        #[arg(required = true, value_name = "FILE|DIR")]
        from: Vec<PathBuf>,
        /// The folder to write the packed programs to; files that are already there stay
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
    /// Write programs of engines as text: one file for each different program, named after its contents
    Unpack {
        /// Files of programs, packed or text, or folders of them
        #[arg(required = true, value_name = "FILE|DIR")]
        from: Vec<PathBuf>,
        /// The folder to write the texts to; files that are already there stay
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Keep only the part of each program that the fuzz target of this name runs
        #[arg(long, value_parser = super::focuses(), default_value_t)]
        focus: Focus,
    },
    /// Draw programs as a campaign does and pack them: seeds for an engine
    Draw {
        /// The seed of the campaign whose programs are drawn
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The number of programs to draw, at least 1
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        programs: u64,
        /// The largest number of steps of a program: longer programs are cut [default: as drawn]
        #[arg(long, value_name = "N")]
        steps: Option<usize>,
        /// The folder to write the packed programs to; files that are already there stay
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
    /// Rewrite files in place that are not packed as this version packs them: decisions of the generator, and programs
    /// that need repair
    ///
    /// The command reads all files first. If one of them holds no program, or a program of another version of the
    /// encoding, it changes no file.
    Migrate {
        /// Files of programs, or folders of them
        #[arg(required = true, value_name = "DIR|FILE")]
        folders: Vec<PathBuf>,
    },
    /// Run all programs of a corpus, and print what the corpus consists of and which rules it decides
    Stats {
        /// Files of programs, packed or text, or folders of them
        #[arg(required = true, value_name = "FILE|DIR")]
        from: Vec<PathBuf>,
        /// Run and count only the part of each program that the fuzz target of this name runs
        #[arg(long, value_parser = super::focuses(), default_value_t)]
        focus: Focus,
        /// The subject that runs against the reference: candidate, null, canary, or the path of a library
        #[arg(long, default_value = "candidate")]
        subject: String,
        /// Write the figures of the corpus to this file as one JSON object
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

impl From<CorpusError> for Failure {
    fn from(error: CorpusError) -> Self {
        match error {
            CorpusError::Write(error) => Self::missing(error),
            CorpusError::Input(error) => error.into(),
            other => Self::input(other),
        }
    }
}

impl Args {
    pub(crate) fn plan(&self) -> watch::Plan {
        match &self.command {
            Command::Stats { subject, .. } => watch::Plan::of(subject),
            _ => watch::Plan::default(),
        }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Pack { from, output } => kept(output, corpus::pack(&files(from)?, output)?, "")?,
        Command::Unpack { from, output, focus } => {
            let files = programs(from)?;
            kept(output, corpus::unpack(&files.programs, *focus, output)?, &passed_over(&files))?;
        }
        Command::Draw { seed, programs, steps, output } => {
            kept(output, corpus::draw(*seed, *programs, steps.unwrap_or(usize::MAX), output)?, "")?;
        }
        Command::Migrate { folders } => {
            let files = programs(folders)?;
            let Migrated { current, text, decisions, mended } = corpus::migrate(&files.programs)?;
            print(format_args!(
                "{} rewritten ({decisions} decisions of the generator, {mended} mended), {current} current, {text} text{}\n",
                decisions + mended,
                passed_over(&files)
            ))?;
        }
        Command::Stats { from, focus, subject, json } => {
            return stats(from, *focus, super::subject(subject)?, json.as_ref());
        }
    }
    Ok(CLEAN)
}

/// Prints how many programs were written to the folder `output` and how many were not. `more` is added at the end of
/// the line.
fn kept(output: &Path, kept: Kept, more: &str) -> Result<(), Failure> {
    let Kept { written, there, equal, other } = kept;
    let others = if other > 0 { format!(", {other} of another version not read") } else { String::new() };
    let output = output.display();
    print(format_args!("{output}: {written} written, {there} already there, {equal} equal to another{others}{more}\n"))
}

/// Finds all files of programs under `paths`, files or folders. If there are none, or a path does not exist, that is
/// bad input (status 2).
fn programs(paths: &[PathBuf]) -> Result<Files, Failure> {
    let files = find(paths, Wanted::Corpus).map_err(Failure::input)?;
    if files.programs.is_empty() {
        let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::input(format!("{}: found no file of a program", paths.join(", "))));
    }
    Ok(files)
}

/// Formats, for the end of a line, the number of files that were passed over because they are no programs; empty for
/// none.
fn passed_over(files: &Files) -> String {
    match files.others {
        0 => String::new(),
        others => format!(", {others} other files passed over"),
    }
}

/// Runs the part `focus` of all programs under `from` on `subject`, prints the figures of the corpus, and writes them
/// to `json` if that is given. Returns status 1 with a finding, else 0. Fails with status 3 if nothing was compared,
/// also if all files have another version of the encoding.
fn stats(from: &[PathBuf], focus: Focus, subject: SubjectKind, json: Option<&PathBuf>) -> Outcome {
    let files = programs(from)?;
    let mut checker = subject.try_checker().map_err(Failure::missing)?;
    let mut stats = Stats::default();
    let mut gone = None;
    for path in &files.programs {
        match read(path) {
            Ok(mut input) => {
                focus.apply(&mut input.program);
                if let Err(why) = checker.renew() {
                    gone = Some(why);
                    break;
                }
                stats.add(&mut checker, path, &input);
            }
            Err(InputError::Version(..)) => stats.forms.other += 1,
            Err(error) => return Err(error.into()),
        }
    }
    for (path, finding) in &stats.findings {
        eprintln!("realmode: {}: {finding}", path.display());
    }
    for (path, not) in &stats.not_compared {
        eprintln!("realmode: {}: {not}", path.display());
    }
    print(text(&stats, &files))?;
    if let Some(path) = json {
        save_json(path, &Json::new(&stats, focus))?;
    }
    if let Some(message) = gone {
        return Err(Failure { status: if stats.findings.is_empty() { MISSING } else { FINDING }, message });
    }
    let compared = stats.tally.programs > stats.not_compared.iter().filter(|(_, not)| !not.compared).count() as u64;
    match (&stats.findings[..], &stats.not_compared[..]) {
        ([_, ..], _) => Ok(FINDING),
        _ if compared => Ok(CLEAN),
        ([], [(path, not), ..]) => Err(Failure::missing(format!("nothing was compared: {}: {not}", path.display()))),
        ([], []) => {
            let version = encoding::VERSION;
            Err(Failure::missing(format!("nothing was compared: no file has version {version} of the encoding")))
        }
    }
}

/// Formats the figures of a corpus as text.
fn text(stats: &Stats, files: &Files) -> String {
    let mut out = String::new();
    let Forms { packed, mended, decisions, other, text } = stats.forms;
    let tally = &stats.tally;
    let _ = writeln!(out, "programs    {}{}", tally.programs, passed_over(files));
    let _ = writeln!(
        out,
        "forms       {} packed ({packed} exactly, {mended} mended), {decisions} decisions of the generator, {text} text, \
         {other} of another version (not read)",
        packed + mended,
    );
    for (what, numbers) in [("bytes", &stats.bytes), ("steps", &stats.steps)] {
        let Spread { min, median, max } = Spread::of(numbers);
        let _ = writeln!(out, "{what:<11} min {min}, median {median}, max {max}");
    }
    for (what, counts) in [("models", &stats.models), ("dialects", &stats.dialects)] {
        let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let _ = writeln!(out, "{what:<11} {}", counts.join(", "));
    }
    let _ = writeln!(
        out,
        "hypercalls  {}: {} accepted, {} refused, {} deferred to virtual mode",
        tally.hypercalls,
        tally.accepted,
        tally.hypercalls - tally.accepted,
        tally.deferred,
    );
    let _ = writeln!(out, "findings    {}", stats.findings.len());
    if !stats.not_compared.is_empty() {
        let nothing = stats.not_compared.iter().filter(|(_, not)| !not.compared).count();
        let _ = writeln!(out, "compared    not all of {} programs, nothing of {nothing}", stats.not_compared.len());
    }
    let combinations = stats.combinations.len();
    let _ = writeln!(out, "reached     {combinations} combinations of rule, outcome, memory model and mode");
    let _ = writeln!(out, "\n{:<24} {:>12} {:>12}", "step", "run", "skipped");
    for (kind, StepCounts { run, skipped }) in &stats.kinds {
        let _ = writeln!(out, "{kind:<24} {run:>12} {skipped:>12}");
    }
    for (title, fields) in [("field of the machine", &stats.machine_fields), ("field of a step", &stats.step_fields)] {
        let _ = write!(out, "\n{}", field_table(title, fields));
    }
    let _ = write!(out, "\n{}", rule_table(tally));
    out
}

/// Formats a table with one line for each field: its number of values, the least and the largest, and how many of its
/// bits are 0 in some values and 1 in others.
fn field_table(title: &str, fields: &Fields) -> String {
    let mut out = format!("{title:<36} {:>9} {:>20} {:>20} {:>14}\n", "values", "min", "max", "bits 0 and 1");
    for (&(line, field), values) in fields {
        let Values { count, min, max, width, .. } = *values;
        let (min, max) = (in_notation(field, min), in_notation(field, max));
        let bits = format!("{} of {width}", values.seen_both());
        let _ = writeln!(out, "{:<36} {count:>9} {min:>20} {max:>20} {bits:>14}", format!("{line} {}", field.label()));
    }
    out
}

/// Formats a value of a field in the notation that the text form uses for this field.
fn in_notation(field: Field, value: i128) -> String {
    match field.notation() {
        Notation::Hexadecimal => format!("{value:#x}"),
        _ => value.to_string(),
    }
}

/// The figures of a corpus as JSON. docs/stability.md says how they may change.
#[derive(Serialize)]
struct Json<'a> {
    focus: &'static str,
    programs: u64,
    packed: u64,
    mended: u64,
    decisions: u64,
    text: u64,
    other_version: u64,
    bytes: JsonSpread,
    steps: JsonSpread,
    models: &'a std::collections::BTreeMap<&'static str, u64>,
    dialects: &'a std::collections::BTreeMap<&'static str, u64>,
    hypercalls: u64,
    accepted: u64,
    refused: u64,
    deferred: u64,
    kinds: Vec<JsonKind>,
    fields: Vec<JsonField>,
    findings: Vec<JsonFinding<'a>>,
    not_compared: Vec<JsonVerdict>,
    combinations: usize,
    rules_reached: usize,
    rules_total: usize,
    rules: Vec<JsonRule>,
}

/// The least, the median and the largest of several numbers: of the programs' sizes in bytes, or of their numbers of
/// steps.
#[derive(Serialize)]
struct JsonSpread {
    min: u64,
    median: u64,
    max: u64,
}

/// How many steps of one kind ran, and how many were skipped or not asked.
#[derive(Serialize)]
struct JsonKind {
    step: &'static str,
    run: u64,
    skipped: u64,
}

/// Figures about the values of one field, `field` of the lines that begin with `line`, in machines or steps (`part`):
/// how many values there are, the least and the largest, the field's width in bits, and how many bits are 0 in some
/// values and 1 in others.
#[derive(Serialize)]
struct JsonField {
    part: &'static str,
    line: &'static str,
    field: &'static str,
    values: u64,
    min: i128,
    max: i128,
    bits: u32,
    bits_seen_both: u32,
}

/// A finding that a program of the corpus shows, and the file of the program.
#[derive(Serialize)]
struct JsonFinding<'a> {
    file: std::borrow::Cow<'a, str>,
    rule: &'static str,
    field: &'static str,
    step_kind: &'static str,
}

fn json_fields(part: &'static str, fields: &Fields) -> impl Iterator<Item = JsonField> {
    fields.iter().map(move |(&(line, field), values)| JsonField {
        part,
        line,
        field: field.label(),
        values: values.count,
        min: values.min,
        max: values.max,
        bits: values.width,
        bits_seen_both: values.seen_both(),
    })
}

impl<'a> Json<'a> {
    fn new(stats: &'a Stats, focus: Focus) -> Self {
        let Forms { packed, mended, decisions, other, text } = stats.forms;
        let tally = &stats.tally;
        let spread = |numbers: &[u64]| {
            let Spread { min, median, max } = Spread::of(numbers);
            JsonSpread { min, median, max }
        };
        let kind = |(&step, &StepCounts { run, skipped }): (&&'static str, &_)| JsonKind { step, run, skipped };
        Self {
            focus: focus.name(),
            programs: tally.programs,
            packed,
            mended,
            decisions,
            text,
            other_version: other,
            bytes: spread(&stats.bytes),
            steps: spread(&stats.steps),
            models: &stats.models,
            dialects: &stats.dialects,
            hypercalls: tally.hypercalls,
            accepted: tally.accepted,
            refused: tally.hypercalls - tally.accepted,
            deferred: tally.deferred,
            kinds: stats.kinds.iter().map(kind).collect(),
            fields: json_fields("machine", &stats.machine_fields)
                .chain(json_fields("step", &stats.step_fields))
                .collect(),
            findings: stats
                .findings
                .iter()
                .map(|(file, finding)| JsonFinding {
                    file: file.to_string_lossy(),
                    rule: finding.rule.id(),
                    field: finding.identity().field.name(),
                    step_kind: finding.kind.name(),
                })
                .collect(),
            not_compared: stats
                .not_compared
                .iter()
                .map(|(file, not)| JsonVerdict::new(file.clone(), &Verdict::NotCompared(not.clone())))
                .collect(),
            combinations: stats.combinations.len(),
            rules_reached: tally.reached(),
            rules_total: Rule::outcomes().count(),
            rules: json_rules(tally),
        }
    }
}
