//! `realmode exhaust`: runs every program of a small domain, up to a number of steps.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use contract::Dialect;
use indicatif::HumanDuration;
use realmode_diff::Rule;
use realmode_diff::findings::record::Recorded;
use realmode_diff::hunts::campaign::default_out;
use realmode_diff::hunts::exhaust::domain::MAX_SECTIONS;
use realmode_diff::hunts::exhaust::{Bound, Counts, Domain, Exhaust, Failed, Model, Progress, Summary};
use serde::Serialize;

use super::fuzz::rule_table;
use super::hunt::{self, Bar};
use super::json::{JsonFinding, JsonRule, JsonVoter, json_rules};
use super::{CLEAN, Failure, Outcome, print, save_json, watch};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum MemoryModel {
    /// Flatmem: one array of struct pages
    Flatmem,
    /// Sparsemem-vmemmap: struct pages in blocks; sections are added and removed
    SparsememVmemmap,
    /// Machines of both memory models
    #[default]
    Both,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The number of sections of memory of each machine, 1 to 4
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=MAX_SECTIONS))]
    sections: u64,
    /// The largest number of steps of a program, 0 to 64
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=64))]
    steps: u8,
    /// The memory model of the machines
    #[arg(long, value_enum, default_value_t)]
    memory_model: MemoryModel,
    /// The dialect whose answers are expected: lopapr, kvm or qemu
    #[arg(long, default_value = "lopapr", value_parser = dialect)]
    dialect: Dialect,
    #[command(flatten)]
    voters: super::voters::Args,
    /// The number of threads, 1 to 1024 [default: as many as keep all cores busy]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Stop after this time, such as 30s, 5min or 1h30m; the same command continues the run
    #[arg(long, value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// The folder for findings and for the state file [default: findings]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The state file, which records the finished units of the run [default: a file in --out, named after bound, voters
    /// and build]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Start from the beginning: empty the state file, whatever it holds
    #[arg(long)]
    restart: bool,
    /// Write the summary of the run to this file as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print the domain instead of running it: each machine as a program whose steps are all that programs are made of
    #[arg(long)]
    list: bool,
}

fn dialect(name: &str) -> Result<Dialect, String> {
    Dialect::from_name(name).ok_or_else(|| "expected lopapr, kvm or qemu".into())
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(why) => Self::input(why),
            Failed::Unavailable(gone) => Self::missing(gone),
            Failed::Io(error) => Self::missing(error),
        }
    }
}

impl Args {
    pub(crate) fn plan(&self) -> watch::Plan {
        watch::Plan { out: self.out.clone(), interruptible: true, ..self.voters.plan() }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let models = match args.memory_model {
        MemoryModel::Flatmem => vec![Model::Flatmem],
        MemoryModel::SparsememVmemmap => vec![Model::SparsememVmemmap],
        MemoryModel::Both => vec![Model::Flatmem, Model::SparsememVmemmap],
    };
    let bound = Bound { sections: args.sections, steps: args.steps.into(), models, dialect: args.dialect };
    let domain = Domain::new(bound).map_err(Failure::input)?;
    if args.list {
        print(&domain)?;
        return Ok(CLEAN);
    }
    let mut roster = args.voters.roster()?;
    args.voters.declare(&mut roster, &[args.dialect])?;
    let exhaust = Exhaust {
        domain,
        jobs: hunt::jobs(args.jobs, &roster),
        roster,
        time: args.time,
        out: args.out.clone().unwrap_or_else(|| default_out().to_path_buf()),
        state: args.state.clone(),
        restart: args.restart,
    };
    let stop = hunt::stop_flag()?;
    // The bar counts units.
    let bar = Bar::new(exhaust.domain.units());
    let summary = exhaust.run(&stop, &mut |progress| show(&bar, &progress));
    bar.finish();
    let summary = summary?;
    print(text(&exhaust, &summary))?;
    if let Some(path) = &args.json {
        save_json(path, &Json::new(&exhaust, &summary))?;
    }
    hunt::end(summary.findings.len(), summary.gone.as_ref(), &summary.roll)
}

/// Shows the progress of the exhaustive run in the progress bar.
fn show(bar: &Bar, progress: &Progress) {
    let Progress { units, programs, of_programs, findings, run, left, .. } = *progress;
    let rate = run as f64 / bar.elapsed().as_secs_f64().max(0.001);
    let left = left.map_or("some time".into(), |left| HumanDuration(left).to_string());
    bar.show(units, format!("{programs} of {of_programs} programs, {rate:.0} run/s, {findings} findings, {left} left"));
}

/// Formats the summary of an exhaustive run. Only its last lines have times and what earlier runs did, so the rest is
/// the same for complete runs of the same bound and voters.
fn text(exhaust: &Exhaust, summary: &Summary) -> String {
    let Summary { counts, tally, .. } = summary;
    let (domain, voters) = (&exhaust.domain, exhaust.roster.names().join(", "));
    let total = domain.programs();
    let mut out = String::new();
    let _ = writeln!(out, "{voters} against the reference, every program of {}", domain.bound());
    let _ = writeln!(out, "\n{:>14} {:>14} {:>14} {:>14}  machine", "programs", "run", "equal", "behind");
    for (index, (scene, counts)) in domain.scenes().zip(&summary.scenes).enumerate() {
        let Counts { run, equal, behind, .. } = counts;
        let (programs, letters) = (domain.programs_of(index), scene.alphabet.len());
        let _ = writeln!(out, "{programs:>14} {run:>14} {equal:>14} {behind:>14}  {}, {letters} steps", scene.title);
    }
    let Counts { run, equal, behind, failing } = counts;
    let _ = writeln!(out, "{total:>14} {run:>14} {equal:>14} {behind:>14}  all");
    let _ = writeln!(
        out,
        "\nrun: compared step by step; equal: the last step is skipped, so the run is that of a shorter program; behind: a finding ends \
         the run before the last step"
    );
    let _ = write!(out, "\n{}", rule_table(tally));
    if summary.roll.voters.len() > 1 || summary.roll.voters.iter().any(|voter| voter.uncovered + voter.declared > 0) {
        for voter in &summary.roll.voters {
            let _ = write!(out, "\n{}, which shows {}: {} programs", voter.name, voter.shows, voter.programs);
            let _ = write!(
                out,
                ", {} of them in part or not at all ({} steps not asked)",
                voter.uncovered, voter.not_asked
            );
            let _ = write!(out, ", {} ended in a declared difference", voter.declared);
        }
        out.push('\n');
    }
    for voter in summary.roll.voters.iter().filter(|voter| voter.incidents > 0) {
        let _ = writeln!(out, "\n{}: lost and started again {} times", voter.name, voter.incidents);
    }
    out.push_str(&hunt::unused(&exhaust.roster));
    for recorded in &summary.findings {
        let _ = write!(out, "\n{recorded}");
    }
    let accounted = counts.programs();
    let _ = match summary.findings.len() {
        0 if summary.roll.nothing_compared().is_some() => {
            writeln!(out, "\nnothing was compared in {accounted} of {total} programs")
        }
        0 => writeln!(out, "\nno divergence in {accounted} of {total} programs"),
        n => writeln!(
            out,
            "\n{n} different findings, {failing} programs show one and {behind} lie behind one, {accounted} of {total} programs \
             accounted for"
        ),
    };
    if !summary.complete {
        let _ = writeln!(out, "stopped: the same command goes on with {}", summary.state.display());
    }
    if summary.before > 0 {
        let (before, state) = (summary.before, summary.state.display());
        let _ = writeln!(out, "{before} of them were accounted for before, by {state} (--restart begins anew)");
    }
    let seconds = summary.elapsed.as_secs_f64().max(0.001);
    let _ = writeln!(out, "time: {seconds:.1} s with {} jobs", exhaust.jobs);
    out
}

/// The summary of an exhaustive run as JSON. docs/stability.md says how it may change.
#[derive(Serialize)]
struct Json {
    subject: String,
    voters: Vec<JsonVoter>,
    sections: u64,
    steps: usize,
    memory_model: &'static str,
    dialect: String,
    complete: bool,
    programs: u64,
    accounted: u64,
    run: u64,
    equal: u64,
    behind: u64,
    failing: u64,
    before: u64,
    hypercalls: u64,
    seconds: f64,
    jobs: usize,
    state: PathBuf,
    machines: Vec<JsonMachine>,
    /// The verdict on the whole run: `finding`, `lost`, `not compared` or `agreed`.
    verdict: &'static str,
    findings: Vec<JsonShown>,
    rules_reached: usize,
    rules_total: usize,
    rules: Vec<JsonRule>,
}

/// The numbers of programs with one machine of the domain: all, run, equal to a shorter program, and behind a finding.
/// `steps` is the number of different steps of the machine.
#[derive(Serialize)]
struct JsonMachine {
    machine: String,
    steps: usize,
    programs: u64,
    run: u64,
    equal: u64,
    behind: u64,
}

/// A finding of an exhaustive run, and the number of steps of the program that showed it first, before shrinking.
#[derive(Serialize)]
struct JsonShown {
    #[serde(flatten)]
    finding: JsonFinding,
    found_steps: usize,
}

impl JsonShown {
    fn new(recorded: &Recorded) -> Self {
        Self { finding: JsonFinding::new(recorded), found_steps: recorded.found_steps }
    }
}

impl Json {
    fn new(exhaust: &Exhaust, summary: &Summary) -> Self {
        let domain = &exhaust.domain;
        let bound = domain.bound();
        let machine = |(index, (scene, counts)): (usize, (&realmode_diff::hunts::exhaust::domain::Scene, &Counts))| {
            let &Counts { run, equal, behind, .. } = counts;
            let programs = domain.programs_of(index);
            JsonMachine { machine: scene.title.clone(), steps: scene.alphabet.len(), programs, run, equal, behind }
        };
        let counts = &summary.counts;
        Self {
            subject: exhaust.roster.names().join("+"),
            voters: summary.roll.voters.iter().map(JsonVoter::new).collect(),
            sections: bound.sections,
            steps: bound.steps,
            memory_model: bound.models_name(),
            dialect: bound.dialect.to_string(),
            complete: summary.complete,
            programs: domain.programs(),
            accounted: counts.programs(),
            run: counts.run,
            equal: counts.equal,
            behind: counts.behind,
            failing: counts.failing,
            before: summary.before,
            hypercalls: summary.tally.hypercalls,
            seconds: summary.elapsed.as_secs_f64(),
            jobs: exhaust.jobs,
            state: summary.state.clone(),
            machines: domain.scenes().zip(&summary.scenes).enumerate().map(machine).collect(),
            verdict: hunt::verdict(summary.findings.len(), summary.gone.as_ref(), &summary.roll),
            findings: summary.findings.iter().map(JsonShown::new).collect(),
            rules_reached: summary.tally.reached(),
            rules_total: Rule::outcomes().count(),
            rules: json_rules(&summary.tally),
        }
    }
}
