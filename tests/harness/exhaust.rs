//! Tests of `realmode exhaust`: it accounts for every program of its domain once, with any number of jobs and after any
//! interruption.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use contract::Dialect;
use realmode_diff::SubjectKind;
use realmode_diff::check::{Handled, Kind, Observation};
use realmode_diff::hunts::exhaust::{Bound, Counts, Domain, Exhaust, Failed, Model, Summary};
use tempfile::TempDir;

use super::shared::{self, REALMODE, folder};

const BOTH: [Model; 2] = [Model::Flatmem, Model::SparsememVmemmap];

fn domain(sections: u64, steps: usize, models: &[Model]) -> Domain {
    let bound = Bound { sections, steps, models: models.to_vec(), dialect: Dialect::Lopapr };
    Domain::new(bound).expect("a domain")
}

fn exhaust(folder: &TempDir, domain: Domain, subject: SubjectKind, jobs: usize) -> Exhaust {
    let out = folder.path().to_path_buf();
    Exhaust { domain, roster: subject.into(), jobs, time: None, out, state: None, restart: false }
}

fn run(exhaust: &Exhaust) -> Summary {
    exhaust.run(&AtomicBool::new(false), &mut |_| {}).unwrap_or_else(|failed| panic!("{failed:?}"))
}

/// The part of a summary that must not depend on jobs and interruptions.
fn gist(summary: &Summary) -> impl PartialEq + std::fmt::Debug + use<> {
    let findings: Vec<_> = summary
        .findings
        .iter()
        .map(|recorded| (recorded.origin.index(), recorded.finding.clone(), recorded.program.clone()))
        .collect();
    (summary.counts.clone(), summary.scenes.clone(), summary.tally.clone(), findings, summary.complete)
}

// ---- the domain -----------------------------------------------------------------------------------------------------

#[test]
fn a_domain_has_the_programs_that_the_formula_says() {
    for sections in 1..=4 {
        for steps in 0..=4 {
            let domain = domain(sections, steps, &BOTH);
            assert_eq!(domain.scenes().count(), 8);
            let formula = |letters: u64| (letters.pow(steps as u32 + 1) - 1) / (letters - 1);
            let each: Vec<u64> = domain.scenes().map(|scene| formula(scene.alphabet.len() as u64)).collect();
            assert_eq!((0..8).map(|scene| domain.programs_of(scene)).collect::<Vec<_>>(), each);
            assert_eq!(domain.programs(), each.iter().sum::<u64>());
        }
    }
}

#[test]
fn every_number_is_another_program_and_each_is_valid() {
    for sections in 1..=4 {
        let models = if sections == 2 { &BOTH[1..] } else { &BOTH[..] };
        let domain = domain(sections, if sections == 2 { 2 } else { 1 }, models);
        let mut seen = HashSet::new();
        for number in 0..domain.programs() {
            let program = domain.program(number).expect("a program");
            // Each machine is validated once, and a sample of the longer programs.
            if program.steps.len() < 2 || number % 16 == 0 {
                assert_eq!(program.validate(), Ok(()), "program {number}\n{program}");
            }
            assert!(seen.insert(program), "program {number} was there before");
        }
        assert_eq!(domain.program(domain.programs()), None);
    }
}

#[test]
fn domains_differ_in_their_fingerprints() {
    let mut seen = HashSet::new();
    for sections in 1..=4 {
        for steps in 1..=2 {
            for dialect in Dialect::ALL {
                let bound = Bound { sections, steps, models: BOTH.to_vec(), dialect };
                let domain = Domain::new(bound).expect("a domain");
                let first = domain.program(0).expect("the first");
                assert_eq!((first.validate(), first.steps.len()), (Ok(()), 0), "{dialect}");
                assert!(seen.insert(domain.fingerprint()));
            }
        }
    }
}

#[test]
fn a_bound_that_is_too_large_is_refused_with_its_number() {
    let bound = |sections, steps| Bound { sections, steps, models: BOTH.to_vec(), dialect: Dialect::Lopapr };
    let refused = |bound| Domain::new(bound).err().expect("no domain");
    let letters: Vec<u128> = domain(1, 1, &BOTH).scenes().map(|scene| scene.alphabet.len() as u128).collect();
    let formula: u128 = letters.iter().map(|letters| (letters.pow(11) - 1) / (letters - 1)).sum();
    assert!(refused(bound(1, 10)).starts_with(&format!("{formula} programs of up to 10 steps are more than")));
    assert!(refused(bound(1, 64)).starts_with("more than 2^128 programs"));
    assert!(refused(bound(0, 1)).contains("0 sections"));
    assert!(refused(bound(5, 1)).contains("5 sections"));
}

// ---- programs that are run, and the others --------------------------------------------------------------------------

/// The exhaustive run does not run programs with a skipped step, because the same program without its skipped steps is
/// in the domain too and shows the same. This test runs all of them and compares.
#[test]
fn a_program_with_skipped_steps_is_the_one_without_them() {
    let domain = domain(2, 2, &BOTH[1..]);
    let mut checker = SubjectKind::Canary.checker();
    let (mut run, mut failing, mut equal) = (0, 0, 0);
    for number in 0..domain.programs() {
        let mut program = domain.program(number).expect("a program");
        let mut done = Vec::new();
        let verdict =
            checker.check_watched(&program, &mut |seen: &Observation<'_>| done.push(seen.handled != Handled::Skipped));
        let finding = verdict.finding().map(|finding| finding.identity());
        if done.iter().all(|done| *done) {
            // A step that shows a finding is not observed, and the steps after it are not run.
            let behind =
                finding.is_some_and(|identity| identity.kind != Kind::End) && done.len() + 1 < program.steps.len();
            run += u64::from(!behind);
            failing += u64::from(!behind && finding.is_some());
            continue;
        }
        equal += 1;
        // Steps from the finding on stay in the program.
        let mut index = 0;
        program.steps.retain(|_| {
            index += 1;
            done.get(index - 1).copied().unwrap_or(true)
        });
        let shorter = checker.check(&program);
        assert_eq!(shorter.finding().map(|finding| finding.identity()), finding, "program {number}\n{program}");
    }
    let here = folder();
    let summary = run_canary(&here, &domain);
    let Counts { run: ours, equal: ours_equal, failing: ours_failing, .. } = summary.counts;
    assert_eq!((ours, ours_equal, ours_failing), (run, equal, failing));
    assert!(summary.complete && summary.counts.programs() == domain.programs());
}

fn run_canary(folder: &TempDir, like: &Domain) -> Summary {
    let Bound { sections, steps, models, .. } = like.bound();
    run(&exhaust(folder, domain(*sections, *steps, models), SubjectKind::Canary, 2))
}

#[test]
fn jobs_and_interruptions_change_nothing() {
    let here = folder();
    let mut gists = vec![gist(&run(&exhaust(&here, domain(2, 2, &BOTH[1..]), SubjectKind::Canary, 1)))];
    let here = folder();
    let mut stops = 0;
    loop {
        let mut part = exhaust(&here, domain(2, 2, &BOTH[1..]), SubjectKind::Canary, 2);
        part.time = Some(Duration::from_millis(10 << stops));
        let summary = run(&part);
        if summary.complete {
            gists.push(gist(&summary));
            break;
        }
        assert!(summary.counts.programs() < part.domain.programs());
        stops += 1;
    }
    assert!(stops > 0, "the run was not interrupted");
    assert!(gists.windows(2).all(|pair| pair[0] == pair[1]), "after {stops} stops: {gists:#?}");
    // A complete run prints its result again without running a program.
    let again = run(&exhaust(&here, domain(2, 2, &BOTH[1..]), SubjectKind::Canary, 1));
    assert_eq!(again.before, again.counts.programs());
    assert_eq!(gist(&again), gists[0]);
}

// ---- the state file -------------------------------------------------------------------------------------------------

#[test]
fn a_state_of_another_run_is_refused_and_says_what_differs() {
    let here = folder();
    let state = here.path().join("state");
    let with = |steps, subject| Exhaust {
        state: Some(state.clone()),
        ..exhaust(&here, domain(1, steps, &BOTH[..1]), subject, 1)
    };
    let refused = |exhaust: &Exhaust| match exhaust.run(&AtomicBool::new(false), &mut |_| {}) {
        Err(Failed::Refused(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was taken"),
    };
    assert!(run(&with(1, SubjectKind::Candidate)).complete);
    let why = refused(&with(1, SubjectKind::Null));
    assert!(why.contains("(voters: candidate there, null here)"), "{why}");
    let why = refused(&with(0, SubjectKind::Candidate));
    assert!(why.contains("--steps 1 --memory-model flatmem"), "{why}");

    let whole = fs::read_to_string(&state).expect("a state");
    let second = whole.lines().nth(1).expect("a unit");
    for (damage, says) in [
        (format!("{whole}{second}\n"), "stands there twice"),
        (whole.replacen("{\"unit\":0", "{\"unit\":99", 1), "there is no unit 99"),
        (whole.replacen("\"equal\":", "\"equal\":1", 1), "programs, not"),
        (whole.replacen("\"tally\"", "\"rally\"", 1), "rally"),
        ("hello\n".into(), "expected the first line of a state"),
        (String::new(), "expected the first line of a state"),
    ] {
        fs::write(&state, damage).expect("a file");
        let why = refused(&with(1, SubjectKind::Candidate));
        assert!(why.contains(says), "{why}");
    }
    // `restart` starts the run anew.
    assert_eq!(run(&Exhaust { restart: true, ..with(1, SubjectKind::Candidate) }).before, 0);
    // A last line that was cut short is accepted: the run was killed while it wrote the line.
    fs::write(&state, &whole[..whole.len() - 10]).expect("a file");
    let summary = run(&with(1, SubjectKind::Candidate));
    assert!(summary.complete && summary.before < summary.counts.programs());
}

// ---- the command ----------------------------------------------------------------------------------------------------

/// Runs `realmode exhaust`, which must end with `status`. Returns its standard output, or for a status of 2 or more its
/// standard error.
fn command(folder: &TempDir, args: &[&str], status: i32) -> String {
    let ran = shared::run(folder, &[&["exhaust"], args].concat());
    assert_eq!(ran.status, status, "{args:?}\n{}\n{}", ran.stdout, ran.stderr);
    if status < 2 { ran.stdout } else { ran.stderr }
}

#[test]
fn the_command_says_how_many_and_lists_them() {
    let here = folder();
    let total = domain(1, 1, &BOTH).programs();
    for subject in ["candidate", "null"] {
        let out = command(&here, &["--sections", "1", "--steps", "1", "--subject", subject], 0);
        assert!(out.contains(&format!("no divergence in {total} of {total} programs")), "{out}");
    }
    let list = command(&here, &["--sections", "1", "--steps", "1", "--list"], 0);
    let programs = list.split("\nrealmode-program").skip(1).map(|text| format!("realmode-program{text}"));
    let letters: usize = programs.map(|text| realmode_diff::parse(&text).expect("a program").steps.len()).sum();
    assert_eq!(letters as u64 + 8, total);
    command(&here, &["--sections", "1", "--steps", "1", "--against", "model/lopapr"], 0);
    for args in [&["--sections", "5", "--steps", "1"][..], &["--sections", "1"], &["--sections", "1", "--steps", "12"]]
    {
        command(&here, args, 2);
    }
    let err = command(&here, &["--sections", "1", "--steps", "1", "--state", "/dev/null/x"], 3);
    assert!(err.contains("/dev/null/x"), "{err}");
}

/// What an earlier run compared counts in the verdict on the whole. (A run that found everything done said that nothing
/// was compared, and ended with status 3.)
#[test]
fn a_run_that_finds_everything_done_says_what_was_compared() {
    let here = folder();
    let args =
        ["--sections", "1", "--steps", "1", "--memory-model", "flatmem", "--against", "model/lopapr", "--state", "s"];
    let first = command(&here, &args, 0);
    let again = command(&here, &args, 0);
    let counts = |text: &str| text.lines().take_while(|line| !line.starts_with("no div")).collect::<String>();
    assert_eq!(counts(&first), counts(&again));
}

#[test]
fn the_canary_is_found_recorded_and_shrunk() {
    let here = folder();
    let args = ["--sections", "1", "--steps", "2", "--memory-model", "flatmem", "--subject", "canary", "--json", "j"];
    let out = command(&here, &args, 1);
    assert!(out.contains("FINDING DIVERGE.R4 at step 2 (H_GET_TCE)"), "{out}");
    assert!(out.contains("shrunk to 2 (1-minimal)") && out.contains("1 different findings"), "{out}");
    let json = fs::read_to_string(here.path().join("j")).expect("json");
    let json: serde_json::Value = serde_json::from_str(&json).expect("json");
    let file = here.path().join(json["findings"][0]["file"].as_str().expect("a file"));
    let replay = |subject, status| {
        let mut replay = Command::new(REALMODE);
        replay.args(["replay", "--subject", subject]).arg(&file).assert().code(status);
    };
    replay("canary", 1);
    replay("candidate", 0);
    let ending = |ending: &str| PathBuf::from(file.to_string_lossy().replace(".realmode", ending));
    for other in [".found.realmode", ".report.txt", ".test.rs"] {
        assert!(ending(other).exists(), "{other}");
    }
}

#[test]
fn a_run_that_was_killed_goes_on() {
    let here = folder();
    let args = ["--sections", "2", "--steps", "2", "--memory-model", "flatmem", "--state", "s", "--jobs", "1"];
    let mut child = Process::new(REALMODE)
        .current_dir(here.path())
        .arg("exhaust")
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a run");
    let state = here.path().join("s");
    let lines = || fs::read_to_string(&state).map_or(0, |text| text.lines().count());
    let begun = Instant::now();
    while lines() < 6 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is finished");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("a kill");
    child.wait().expect("an end");
    // The same cut as if the kill had come while a line was written.
    let mut file = OpenOptions::new().append(true).open(&state).expect("a state");
    file.write_all(b"{\"unit\":7,\"ru").expect("a line");
    drop(file);

    let resumed = command(&here, &args, 0);
    assert!(resumed.contains("of them were accounted for before, by s"), "{resumed}");
    let whole = command(&here, &[&args[..6], &["--out", "o"]].concat(), 0);
    let gist = |text: &str| text.split("programs\n").next().map(str::to_string);
    assert_eq!(gist(&resumed), gist(&whole));
    let total = domain(2, 2, &BOTH[..1]).programs();
    assert!(resumed.contains(&format!("no divergence in {total} of {total} programs")), "{resumed}");
}
