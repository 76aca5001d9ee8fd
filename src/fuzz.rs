//! `realmode fuzz`: runs the embedded campaign.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use contract::Dialect;
use programs::generate::GeneratorConfig;
use realmode_diff::hunts::campaign::{Campaign, CampaignFinding, Limit, Progress, Summary, default_out};
use realmode_diff::voters::ledger::Entry;
use realmode_diff::voters::{Look, Shows, VoterTally};
use realmode_diff::{Rule, Tally};
use serde::Serialize;

use super::hunt::{self, Bar};
use super::json::{JsonFinding, JsonRule, JsonVoter, json_rules};
use super::{Failure, Outcome, print, save_json, watch};

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum DialectChoice {
    /// All three dialects, LoPAPR most often
    All,
    /// The dialect of LoPAPR, the specification
    Lopapr,
    /// The dialect of KVM, Linux's in-kernel handlers
    Kvm,
    /// The dialect of QEMU's pseries machine (emulated windows only)
    Qemu,
}

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// How long to run, such as 30s, 5min or 1h30m [default: 30s]
    #[arg(long, value_parser = humantime::parse_duration, conflicts_with = "programs")]
    time: Option<Duration>,
    /// The number of programs to check, at least 1, instead of a time
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    programs: Option<u64>,
    /// The seed from which all programs are drawn [default: a random one, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// The number of threads, 1 to 1024 [default: as many as keep all cores busy]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// The dialect whose answers are expected [default: all; with a live system, the dialect of that system]
    #[arg(long, value_enum)]
    dialect: Option<DialectChoice>,
    #[command(flatten)]
    voters: super::voters::Args,
    /// Stop after this many different findings (by rule, field and kind of step), at least 1 [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    max_findings: Option<u32>,
    /// The folder for findings [default: findings]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the summary of the campaign to this file as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Args {
    pub(crate) fn plan(&self) -> watch::Plan {
        watch::Plan { out: self.out.clone(), interruptible: true, ..self.voters.plan() }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut roster = args.voters.roster()?;
    let dialect = match args.dialect {
        None => roster.dialect(),
        Some(DialectChoice::All) => None,
        Some(DialectChoice::Lopapr) => Some(Dialect::Lopapr),
        Some(DialectChoice::Kvm) => Some(Dialect::Kvm),
        Some(DialectChoice::Qemu) => Some(Dialect::Qemu),
    };
    let dialects = dialect.map_or_else(|| Dialect::ALL.to_vec(), |dialect| vec![dialect]);
    args.voters.declare(&mut roster, &dialects)?;
    let limits = roster
        .limits(&dialects)
        .map_err(|why| Failure::input(format!("no program fits all voters ({}): {why}", roster.names().join(", "))))?;
    // A voter that cannot run on this machine is reported before anything starts.
    roster.panel(Look::Brief).map_err(Failure::missing)?;
    let campaign = Campaign {
        config: GeneratorConfig { dialect, limits },
        seed: args.seed.unwrap_or_else(rand::random),
        jobs: hunt::jobs(args.jobs, &roster),
        limit: match args.programs {
            Some(programs) => Limit::Programs(programs),
            None => Limit::Time(args.time.unwrap_or(Duration::from_secs(30))),
        },
        roster,
        max_findings: args.max_findings.unwrap_or(1) as usize,
        out: args.out.clone().unwrap_or_else(|| default_out().to_path_buf()),
    };
    let stop = hunt::stop_flag()?;
    // The bar counts programs, or milliseconds for a run of limited time.
    let bar = Bar::new(match campaign.limit {
        Limit::Programs(programs) => programs,
        Limit::Time(time) => time.as_millis().try_into().unwrap_or(u64::MAX),
    });
    let summary =
        campaign.run(&stop, &mut |progress| show(&bar, campaign.limit, progress)).map_err(Failure::missing)?;
    bar.finish();
    print(text(&campaign, &summary))?;
    if let Some(path) = &args.json {
        save_json(path, &Json::new(&campaign, &summary))?;
    }
    hunt::end(summary.findings.len(), summary.gone.as_ref(), &summary.roll)
}

/// Shows the progress of the campaign in the progress bar.
fn show(bar: &Bar, limit: Limit, progress: Progress) {
    let elapsed = bar.elapsed();
    let seconds = elapsed.as_secs_f64().max(0.001);
    let position = match limit {
        Limit::Programs(_) => progress.programs,
        Limit::Time(_) => elapsed.as_millis() as u64,
    };
    let incidents = match progress.incidents {
        0 => String::new(),
        incidents => format!(", {incidents} incidents"),
    };
    let message = format!(
        "{:.0} programs/s, {:.0} hypercalls/s, {} accepted, {} of {} rules, {} findings{incidents}",
        progress.programs as f64 / seconds,
        progress.hypercalls as f64 / seconds,
        percent(progress.accepted, progress.hypercalls),
        progress.reached,
        Rule::outcomes().count(),
        progress.findings,
    );
    bar.show(position, message);
}

/// Formats `part` as a percentage of `whole`; `-` if `whole` is 0.
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".into() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

/// Formats the summary of a campaign. Only its last line has times, so the rest is the same for the same seed and
/// number of programs.
fn text(campaign: &Campaign, summary: &Summary) -> String {
    let Tally { programs, steps, skipped, hypercalls, accepted, deferred, entries, .. } = summary.tally;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} against the reference, seed {}: {programs} programs, {steps} steps ({} skipped), {hypercalls} hypercalls",
        campaign.roster.names().join(", "),
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
    out.push_str(&votes(campaign, summary));
    for CampaignFinding { recorded, .. } in &summary.findings {
        let _ = write!(out, "\n{recorded}");
    }
    let _ = match summary.findings.len() {
        0 if summary.roll.nothing_compared().is_some() => {
            writeln!(out, "\nnothing was compared in {programs} programs")
        }
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

/// Returns the declared differences of the ledger that are in force, each with how many times a voter's program ended
/// in it.
fn uses<'a>(campaign: &'a Campaign, summary: &'a Summary) -> impl Iterator<Item = (&'a Entry, u64)> {
    campaign.roster.ledger.entries().zip(summary.roll.uses.iter().copied().chain(std::iter::repeat(0)))
}

/// Formats what each voter did, the declared differences and the incidents. A single voter that shows everything gets
/// no line with its programs and hypercalls, because the rest of the summary has these numbers.
fn votes(campaign: &Campaign, summary: &Summary) -> String {
    let mut out = String::new();
    let voters = &summary.roll.voters;
    let alone = voters.len() == 1 && voters[0].shows == Shows::ALL;
    for voter in voters {
        let VoterTally {
            name, shows, programs, hypercalls, read_back, uncovered, not_asked, declared, incidents, ..
        } = voter;
        if !alone {
            let _ = write!(out, "\n{name}, which shows {shows}: {programs} programs, {hypercalls} compared hypercalls");
            if *read_back > 0 {
                let _ = write!(out, ", {read_back} entries read back");
            }
            let _ = writeln!(out);
        }
        let indent = if alone { "" } else { "  " };
        if let Some(first) = &voter.why_uncovered {
            let nothing = programs - voter.compared;
            let head = if alone { "\n" } else { indent };
            let _ = writeln!(
                out,
                "{head}not compared: something of {uncovered} programs, all of {nothing}; the first: {first}"
            );
        }
        if *not_asked > 0 {
            let _ = writeln!(out, "{indent}{not_asked} steps not asked");
        }
        if *declared > 0 {
            let _ = writeln!(out, "  {declared} programs ended in a declared difference");
        }
        if *incidents > 0 && !alone {
            let _ = writeln!(out, "  lost and started again {incidents} times");
        }
    }
    for (entry, uses) in uses(campaign, summary) {
        let _ = match uses {
            0 => writeln!(out, "declared difference never seen, stale: {entry}"),
            _ => writeln!(out, "declared difference, seen {uses} times: {entry}"),
        };
    }
    out.push_str(&hunt::unused(&campaign.roster));
    for (index, what) in &summary.incidents {
        let _ = writeln!(out, "incident at program {index} of the seed, which was kept: {what}");
    }
    out
}

/// Formats a table of all outcome rules, with how often each was decided: in real mode or deferred, and in accepted or
/// refused calls and probes.
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

/// The summary of a campaign as JSON. docs/stability.md says how it may change.
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
    /// The verdict on the whole campaign: `finding`, `lost`, `not compared` or `agreed`.
    verdict: &'static str,
    /// Declared differences of the ledger that this campaign cannot use, because a voter or a dialect that they name
    /// takes no part in the campaign.
    idle: Vec<String>,
    findings: Vec<JsonDrawn>,
    rules_reached: usize,
    rules_total: usize,
    rules: Vec<JsonRule>,
}

/// A declared difference of the ledger, and how many times a voter's program ended in it.
#[derive(Serialize)]
struct JsonEntry {
    entry: String,
    uses: u64,
}

/// A finding of a campaign, the number of steps of its program before shrinking, the seconds from the start of the
/// campaign until it was found, and the seconds for shrinking and recording it.
#[derive(Serialize)]
struct JsonDrawn {
    #[serde(flatten)]
    finding: JsonFinding,
    drawn_steps: usize,
    found_after_seconds: f64,
    recording_seconds: f64,
}

impl JsonDrawn {
    fn new(found: &CampaignFinding) -> Self {
        let CampaignFinding { recorded, after, recording } = found;
        Self {
            finding: JsonFinding::new(recorded),
            drawn_steps: recorded.found_steps,
            found_after_seconds: after.as_secs_f64(),
            recording_seconds: recording.as_secs_f64(),
        }
    }
}

impl Json {
    fn new(campaign: &Campaign, summary: &Summary) -> Self {
        let tally = &summary.tally;
        Self {
            subject: campaign.roster.names().join("+"),
            voters: summary.roll.voters.iter().map(JsonVoter::new).collect(),
            ledger: uses(campaign, summary).map(|(entry, uses)| JsonEntry { entry: entry.to_string(), uses }).collect(),
            expired: campaign.roster.ledger.expired().map(ToString::to_string).collect(),
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
            verdict: hunt::verdict(summary.findings.len(), summary.gone.as_ref(), &summary.roll),
            idle: campaign.roster.ledger.idle().map(ToString::to_string).collect(),
            findings: summary.findings.iter().map(JsonDrawn::new).collect(),
            rules_reached: tally.reached(),
            rules_total: Rule::outcomes().count(),
            rules: json_rules(tally),
        }
    }
}
