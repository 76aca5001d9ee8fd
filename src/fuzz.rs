//! `realmode fuzz`: the embedded campaign.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use contract::Dialect;
use indicatif::{ProgressBar, ProgressStyle};
use programs::generate::{GeneratorConfig, Limits};
use realmode_diff::check::verdict::RuleTally;
use realmode_diff::findings::record::Recorded;
use realmode_diff::hunts::campaign::{Campaign, Found, Limit, Progress, Summary, default_out};
use realmode_diff::voters::ledger::Entry;
use realmode_diff::voters::qemu::BoardLimits;
use realmode_diff::voters::{Level, VoterTally};
use realmode_diff::{Rule, Tally};
use serde::Serialize;

use super::{CLEAN, FINDING, Failure, MISSING, Outcome, print, save_json};

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum DialectChoice {
    /// Mix all three, LoPAPR most
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
    /// Threads [default: all cores; half of them where a live QEMU votes]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Whose answers are expected [default: all; qemu where a live QEMU votes]
    #[arg(long, value_enum)]
    dialect: Option<DialectChoice>,
    #[command(flatten)]
    voters: super::voters::Args,
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
    let live = args.voters.live();
    let dialect = match args.dialect {
        None if live => Some(Dialect::Qemu),
        None | Some(DialectChoice::All) => None,
        Some(DialectChoice::Lopapr) => Some(Dialect::Lopapr),
        Some(DialectChoice::Kvm) => Some(Dialect::Kvm),
        Some(DialectChoice::Qemu) => Some(Dialect::Qemu),
    };
    let dialects = dialect.map_or_else(|| Dialect::ALL.to_vec(), |dialect| vec![dialect]);
    let voters = args.voters.voters(&dialects)?;
    // Whoever is missing is missed before anything starts.
    voters.panel().map_err(Failure::missing)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let campaign = Campaign {
        config: GeneratorConfig { dialect, limits: live.then(|| Arc::new(BoardLimits) as Arc<dyn Limits>) },
        seed: args.seed.unwrap_or_else(rand::random),
        // A machine of QEMU's keeps a core busy, and so does the thread that feeds it.
        jobs: args.jobs.map_or(if live { cores.div_ceil(2) } else { cores }, usize::from),
        limit: match args.programs {
            Some(programs) => Limit::Programs(programs),
            None => Limit::Time(args.time.unwrap_or(Duration::from_secs(30))),
        },
        voters,
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
    if let Some(gone) = &summary.gone {
        return Err(Failure {
            status: if summary.findings.is_empty() { MISSING } else { FINDING },
            message: gone.to_string(),
        });
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
        let incidents = match progress.incidents {
            0 => String::new(),
            incidents => format!(", {incidents} incidents"),
        };
        self.bar.set_message(format!(
            "{:.0} programs/s, {:.0} hypercalls/s, {} accepted, {} of {} rules, {} findings{incidents}",
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
    let Tally { programs, steps, skipped, not_asked, hypercalls, accepted, deferred, entries, .. } = summary.tally;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} against the reference, seed {}: {programs} programs, {steps} steps ({} skipped), {hypercalls} hypercalls",
        campaign.voters.names().join(", "),
        campaign.seed,
        percent(skipped, steps),
    );
    let _ = writeln!(
        out,
        "validity: {} of hypercalls accepted, {} deferred to virtual mode, {entries} entries written or read",
        percent(accepted, hypercalls),
        percent(deferred, hypercalls),
    );
    if not_asked > 0 {
        let _ = writeln!(out, "{not_asked} steps not asked: the subject does not cover them");
    }
    let _ = write!(out, "\n{}", rule_table(&summary.tally));
    out.push_str(&votes(campaign, summary));
    for Found { recorded, .. } in &summary.findings {
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

/// The ledger's entries with how often each was used.
fn uses<'a>(campaign: &'a Campaign, summary: &'a Summary) -> impl Iterator<Item = (&'a Entry, u64)> {
    campaign.voters.ledger.entries().zip(summary.roll.uses.iter().copied().chain(std::iter::repeat(0)))
}

/// What each voter did, unless a subject votes alone: then that is the whole summary.
fn votes(campaign: &Campaign, summary: &Summary) -> String {
    let mut out = String::new();
    let voters = &summary.roll.voters;
    let alone = voters.len() == 1 && voters[0].level == Level::Memory;
    if let ([VoterTally { uncovered, why_uncovered: Some(why), .. }], true) = (&voters[..], alone) {
        let _ = writeln!(out, "\n{uncovered} programs not run: the subject does not cover them, the first: {why}");
    }
    for voter in voters.iter().filter(|_| !alone) {
        let VoterTally { name, level, programs, hypercalls, read_back, uncovered, why_uncovered, declared, incidents } =
            voter;
        let _ = write!(out, "\n{name}, which shows {level}: {programs} programs, {hypercalls} compared hypercalls");
        if *read_back > 0 {
            let _ = write!(out, ", {read_back} entries read back");
        }
        let _ = writeln!(out);
        if let Some(why) = why_uncovered {
            let _ = writeln!(out, "  {uncovered} programs could not be put to it to their end, the first: {why}");
        }
        if *declared > 0 {
            let _ = writeln!(out, "  {declared} programs ended in a declared difference");
        }
        if *incidents > 0 {
            let _ = writeln!(out, "  lost and started again {incidents} times");
        }
    }
    for (entry, uses) in uses(campaign, summary) {
        let _ = match uses {
            0 => writeln!(out, "declared difference never seen, stale: {entry}"),
            _ => writeln!(out, "declared difference, seen {uses} times: {entry}"),
        };
    }
    for entry in campaign.voters.ledger.expired() {
        let _ = writeln!(out, "declared difference, expired and no longer in force: {entry}");
    }
    for (index, what) in &summary.incidents {
        let _ = writeln!(out, "incident at program {index} of the seed, which was kept: {what}");
    }
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
    subject: String,
    voters: Vec<JsonVoter>,
    ledger: Vec<JsonEntry>,
    expired: Vec<String>,
    seed: u64,
    jobs: usize,
    programs: u64,
    steps: u64,
    skipped: u64,
    not_asked: u64,
    hypercalls: u64,
    accepted: u64,
    deferred: u64,
    seconds: f64,
    failing: u64,
    findings: Vec<JsonDrawn>,
    rules_reached: usize,
    rules_total: usize,
    rules: Vec<JsonRule>,
}

#[derive(Serialize)]
struct JsonVoter {
    name: String,
    shows: String,
    programs: u64,
    hypercalls: u64,
    read_back: u64,
    uncovered: u64,
    declared: u64,
    incidents: u64,
}

impl JsonVoter {
    fn new(voter: &VoterTally) -> Self {
        let VoterTally { name, level, programs, hypercalls, read_back, uncovered, declared, incidents, .. } = voter;
        Self {
            name: name.clone(),
            shows: level.to_string(),
            programs: *programs,
            hypercalls: *hypercalls,
            read_back: *read_back,
            uncovered: *uncovered,
            declared: *declared,
            incidents: *incidents,
        }
    }
}

#[derive(Serialize)]
struct JsonEntry {
    entry: String,
    uses: u64,
}

/// A finding and its files.
#[derive(Serialize)]
pub(super) struct JsonFinding {
    voter: String,
    rule: &'static str,
    field: &'static str,
    step_kind: &'static str,
    what: String,
    expected: String,
    found: String,
    program: Option<u64>,
    steps: usize,
    minimal: bool,
    file: PathBuf,
}

impl JsonFinding {
    pub(super) fn new(recorded: &Recorded) -> Self {
        let finding = &recorded.finding;
        Self {
            voter: finding.voter.clone(),
            rule: finding.identity.rule.id(),
            field: finding.identity.field,
            step_kind: finding.identity.kind,
            what: finding.what.clone(),
            expected: finding.expected.clone(),
            found: finding.found.clone(),
            program: recorded.origin.index(),
            steps: recorded.program.steps.len(),
            minimal: recorded.is_minimal(),
            file: recorded.shrunk_file.as_ref().unwrap_or(&recorded.found_file).clone(),
        }
    }
}

#[derive(Serialize)]
struct JsonDrawn {
    #[serde(flatten)]
    finding: JsonFinding,
    drawn_steps: usize,
    found_after_seconds: f64,
    recording_seconds: f64,
}

impl JsonDrawn {
    fn new(found: &Found) -> Self {
        let Found { recorded, after, recording } = found;
        Self {
            finding: JsonFinding::new(recorded),
            drawn_steps: recorded.found_steps,
            found_after_seconds: after.as_secs_f64(),
            recording_seconds: recording.as_secs_f64(),
        }
    }
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
            subject: campaign.voters.names().join("+"),
            voters: summary.roll.voters.iter().map(JsonVoter::new).collect(),
            ledger: uses(campaign, summary).map(|(entry, uses)| JsonEntry { entry: entry.to_string(), uses }).collect(),
            expired: campaign.voters.ledger.expired().map(ToString::to_string).collect(),
            seed: campaign.seed,
            jobs: campaign.jobs,
            programs: tally.programs,
            steps: tally.steps,
            skipped: tally.skipped,
            not_asked: tally.not_asked,
            hypercalls: tally.hypercalls,
            accepted: tally.accepted,
            deferred: tally.deferred,
            seconds: summary.elapsed.as_secs_f64(),
            failing: summary.failing,
            findings: summary.findings.iter().map(JsonDrawn::new).collect(),
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
