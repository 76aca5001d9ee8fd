//! `realmode fuzz`: the embedded campaign.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use contract::Dialect;
use indicatif::{ProgressBar, ProgressStyle};
use realmode_diff::campaign::{Campaign, Limit, Progress, Summary, default_out};
use realmode_diff::generate::GeneratorConfig;
use realmode_diff::verdict::RuleTally;
use realmode_diff::{Rule, SubjectKind, Tally};
use serde::Serialize;

use super::{CLEAN, FINDING, Failure, Outcome, print, save_json};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum DialectChoice {
    /// Mix all three, LoPAPR most
    #[default]
    All,
    /// The specification
    Lopapr,
    /// Linux's in-kernel handlers
    Kvm,
    /// QEMU's pseries machine (emulated windows only)
    Qemu,
}

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// How long to run, such as 30s, 5min or 1h30m [default: 30s]
    #[arg(long, value_parser = humantime::parse_duration, conflicts_with = "programs")]
    time: Option<Duration>,
    /// How many programs to check, instead of a time
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    programs: Option<u64>,
    /// The seed of all programs [default: a random one, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// Threads [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Whose answers are expected
    #[arg(long, value_enum, default_value_t)]
    dialect: DialectChoice,
    /// What runs against the reference
    #[arg(long, value_enum, default_value_t)]
    subject: SubjectKind,
    /// Stop once this many different findings (by rule, field and kind of step) are known [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    max_findings: Option<u32>,
    /// Where findings are written [default: findings]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the summary as one JSON object to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let campaign = Campaign {
        config: GeneratorConfig {
            dialect: match args.dialect {
                DialectChoice::All => None,
                DialectChoice::Lopapr => Some(Dialect::Lopapr),
                DialectChoice::Kvm => Some(Dialect::Kvm),
                DialectChoice::Qemu => Some(Dialect::Qemu),
            },
        },
        seed: args.seed.unwrap_or_else(rand::random),
        jobs: args.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from),
        limit: match args.programs {
            Some(programs) => Limit::Programs(programs),
            None => Limit::Time(args.time.unwrap_or(Duration::from_secs(30))),
        },
        subject: args.subject,
        max_findings: args.max_findings.unwrap_or(1) as usize,
        out: args.out.clone().unwrap_or_else(|| default_out().to_path_buf()),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let handler = Arc::clone(&stop);
    // The first Ctrl-C ends the campaign with its summary, a second one ends the process.
    let set = ctrlc::set_handler(move || {
        if handler.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    set.map_err(|error| Failure::missing(format!("no handler for Ctrl-C: {error}")))?;
    let bar = Bar::new(&campaign);
    let summary = campaign.run(&stop, &mut |progress| bar.show(progress)).map_err(Failure::missing)?;
    bar.finish();
    print(text(&campaign, &summary))?;
    if let Some(path) = &args.json {
        save_json(path, &Json::new(&campaign, &summary))?;
    }
    Ok(if summary.findings.is_empty() { CLEAN } else { FINDING })
}

/// The progress bar: full for a number of programs, by time for a time.
struct Bar {
    bar: ProgressBar,
    started: Instant,
    by_time: bool,
}

impl Bar {
    fn new(campaign: &Campaign) -> Self {
        let (length, by_time) = match campaign.limit {
            Limit::Programs(programs) => (programs, false),
            Limit::Time(time) => (time.as_millis().try_into().unwrap_or(u64::MAX), true),
        };
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("[{elapsed_precise}] {bar:24} {msg}") {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now(), by_time }
    }

    fn show(&self, progress: Progress) {
        let elapsed = self.started.elapsed();
        let seconds = elapsed.as_secs_f64().max(0.001);
        self.bar.set_position(if self.by_time { elapsed.as_millis() as u64 } else { progress.programs });
        self.bar.set_message(format!(
            "{:.0} programs/s, {:.0} hypercalls/s, {} accepted, {} of {} rules, {} findings",
            progress.programs as f64 / seconds,
            progress.hypercalls as f64 / seconds,
            percent(progress.accepted, progress.hypercalls),
            progress.reached,
            Rule::outcomes().count(),
            progress.findings,
        ));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".into() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

/// The summary. Times stand in its last line only: the rest is the same for the same seed and number of programs.
fn text(campaign: &Campaign, summary: &Summary) -> String {
    let Tally { programs, steps, skipped, hypercalls, accepted, deferred, entries, .. } = summary.tally;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} against the reference, seed {}: {programs} programs, {steps} steps ({} skipped), {hypercalls} hypercalls",
        campaign.subject.name(),
        campaign.seed,
        percent(skipped, steps),
    );
    let _ = writeln!(
        out,
        "validity: {} of hypercalls accepted, {} deferred to virtual mode, {entries} entries written or read",
        percent(accepted, hypercalls),
        percent(deferred, hypercalls),
    );
    let _ = write!(out, "\n{}", rule_table(&summary.tally));
    for recorded in &summary.findings {
        let _ = write!(out, "\n{recorded}");
    }
    let _ = match summary.findings.len() {
        0 => writeln!(out, "\nno divergence in {programs} programs"),
        n => writeln!(out, "\n{n} different findings, {} programs show one", summary.failing),
    };
    let seconds = summary.elapsed.as_secs_f64().max(0.001);
    let _ = writeln!(
        out,
        "time: {seconds:.1} s with {} jobs, {:.0} programs/s, {:.0} compared hypercalls/s",
        campaign.jobs,
        programs as f64 / seconds,
        hypercalls as f64 / seconds,
    );
    out
}

/// Every outcome rule with how it was decided.
pub(super) fn rule_table(tally: &Tally) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{:<16} {:>12} {:>12} {:>12} {:>12}", "rule", "real mode", "deferred", "accepted", "refused");
    for rule in Rule::outcomes() {
        let counts = tally.rule(rule);
        let mark = if counts.total() == 0 { "  never reached" } else { "" };
        let _ = writeln!(
            out,
            "{:<16} {:>12} {:>12} {:>12} {:>12}{mark}",
            rule.id(),
            counts.real,
            counts.deferred,
            counts.accepted,
            counts.refused
        );
    }
    let _ = writeln!(out, "{} of {} outcome rules reached", tally.reached(), Rule::outcomes().count());
    out
}

#[derive(Serialize)]
struct Json {
    subject: &'static str,
    seed: u64,
    jobs: usize,
    programs: u64,
    steps: u64,
    skipped: u64,
    hypercalls: u64,
    accepted: u64,
    deferred: u64,
    seconds: f64,
    findings: Vec<JsonFinding>,
    rules_reached: usize,
    rules_total: usize,
    rules: Vec<JsonRule>,
}

#[derive(Serialize)]
struct JsonFinding {
    rule: &'static str,
    field: &'static str,
    step_kind: &'static str,
    what: String,
    expected: String,
    found: String,
    program: Option<u64>,
    drawn_steps: usize,
    steps: usize,
    minimal: bool,
    file: PathBuf,
}

/// How a rule was decided.
#[derive(Serialize)]
pub(super) struct JsonRule {
    rule: &'static str,
    real_mode: u64,
    deferred: u64,
    accepted: u64,
    refused: u64,
}

impl Json {
    fn new(campaign: &Campaign, summary: &Summary) -> Self {
        let tally = &summary.tally;
        Self {
            subject: campaign.subject.name(),
            seed: campaign.seed,
            jobs: campaign.jobs,
            programs: tally.programs,
            steps: tally.steps,
            skipped: tally.skipped,
            hypercalls: tally.hypercalls,
            accepted: tally.accepted,
            deferred: tally.deferred,
            seconds: summary.elapsed.as_secs_f64(),
            findings: summary
                .findings
                .iter()
                .map(|recorded| JsonFinding {
                    rule: recorded.finding.identity.rule.id(),
                    field: recorded.finding.identity.field,
                    step_kind: recorded.finding.identity.kind,
                    what: recorded.finding.what.clone(),
                    expected: recorded.finding.expected.clone(),
                    found: recorded.finding.found.clone(),
                    program: recorded.origin.index(),
                    drawn_steps: recorded.found_steps,
                    steps: recorded.program.steps.len(),
                    minimal: recorded.minimal == Some(true),
                    file: recorded.shrunk_file.as_ref().unwrap_or(&recorded.found_file).clone(),
                })
                .collect(),
            rules_reached: tally.reached(),
            rules_total: Rule::outcomes().count(),
            rules: json_rules(tally),
        }
    }
}

/// Every outcome rule with how it was decided.
pub(super) fn json_rules(tally: &Tally) -> Vec<JsonRule> {
    let rule = |rule: Rule| {
        let RuleTally { real, deferred, accepted, refused } = tally.rule(rule);
        JsonRule { rule: rule.id(), real_mode: real, deferred, accepted, refused }
    };
    Rule::outcomes().map(rule).collect()
}
