//! The cost of an implementation in C. Compares, in turns within one run, the compared hypercalls a second of three
//! subjects: the Rust candidate, examples/c in this process, and examples/c in a process of its own. Run it with `cargo
//! bench --bench foreign`; it needs a C compiler and make.
//!
//! | programs | what they are |
//! |---|---|
//! | campaign | the first 2000 programs of seed 1, as `realmode fuzz` draws them |
//! | long | the first 200 programs of seed 2 with their steps repeated sixteen times (invalid results left out), so that setting machines up matters little |

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use programs::generate::{GeneratorConfig, generate};
use realmode_diff::voters::isolate::{Config, Isolated};
use realmode_diff::voters::{Task, Told, Voter};
use realmode_diff::{Program, SubjectKind, Tally, Verdict};

const ROUNDS: usize = 15;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = build(root);
    let path = library.display().to_string();
    let candidate = || Box::new(SubjectKind::Candidate.checker()) as Box<dyn Voter>;
    let in_process = || Box::new(SubjectKind::open(&library).expect("examples/c").checker()) as Box<dyn Voter>;
    let isolated = || {
        let config =
            Config { program: env!("CARGO_BIN_EXE_realmode").into(), ..Config::new().expect("a configuration") };
        Box::new(Isolated::new(config, &path).expect("examples/c")) as Box<dyn Voter>
    };
    println!("compared hypercalls/s, one job, median of {ROUNDS} rounds in turns\n");
    println!("| programs | candidate | examples/c in process | / candidate | examples/c isolated | / candidate |");
    println!("|---|---|---|---|---|---|");
    for (name, programs) in [("campaign", campaign()), ("long", long())] {
        let programs: Vec<Task> = programs.into_iter().map(Task::from).collect();
        let mut voters = [candidate(), in_process(), isolated()];
        let mut rates = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (voter, rates) in voters.iter_mut().zip(&mut rates) {
                rates.push(rate(voter.as_mut(), &programs));
            }
        }
        let [candidate, here, apart] = rates.map(median);
        println!(
            "| {name} | {candidate:.0} | {here:.0} | {:.2} | {apart:.0} | {:.2} |",
            here / candidate,
            apart / candidate
        );
    }
}

fn build(root: &Path) -> PathBuf {
    let folder = root.join("examples/c");
    let made = Command::new("make").arg("-s").current_dir(&folder).status().expect("make runs");
    assert!(made.success(), "examples/c does not build");
    folder.join("build/libtce.so")
}

fn campaign() -> Vec<Program> {
    (0..2000).map(|index| generate(&GeneratorConfig::default(), 1, index)).collect()
}

fn long() -> Vec<Program> {
    let long = |mut program: Program| {
        program.steps = std::iter::repeat_n(program.steps, 16).flatten().collect();
        program
    };
    let programs = (0..200).map(|index| generate(&GeneratorConfig::default(), 2, index));
    programs.map(long).filter(|program| program.validate().is_ok()).collect()
}

/// Runs the programs on the voter, which must agree with the reference on all of them; else panics. Returns the number
/// of compared hypercalls a second.
fn rate(voter: &mut dyn Voter, programs: &[Task]) -> f64 {
    let mut tally = Tally::default();
    let started = Instant::now();
    for group in programs.chunks(voter.group()) {
        let voted = voter.vote(group, &mut tally, &mut |told| match told {
            Told::Verdict(_, Verdict::Agreed) => {}
            Told::Verdict(_, verdict) => panic!("{verdict}"),
            Told::Incident(incident) => panic!("{}", incident.what),
        });
        voted.expect("the subject is there");
    }
    tally.hypercalls as f64 / started.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
