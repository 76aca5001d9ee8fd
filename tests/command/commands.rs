//! Tests of the command `realmode`: exit status, output, and the files that it leaves. `corpus` and `triage` have tests
//! of their own in corpus.rs.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use contract::text::MAX_TEXT_BYTES;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use realmode_diff::{Rule, parse};
use tempfile::TempDir;

use super::samples::{PROGRAM, write};
use super::shared::{REALMODE, folder, run};

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpora/seeds");

/// Runs the command and expects this exit status. Standard error must contain `says`, and be empty if the status is 0
/// or 1. With another status, standard output must be empty or tell only of programs that agreed. Returns standard
/// output.
fn expect(folder: &TempDir, args: &[&str], status: i32, says: &str) -> String {
    let ran = run(folder, args);
    assert_eq!(ran.status, status, "{args:?}\n{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(says), "{args:?}: {says:?} is not told in {:?}", ran.stderr);
    if status < 2 {
        assert_eq!(ran.stderr, "", "{args:?}");
    } else {
        assert_eq!(ran.stdout.matches("agreed,").count(), ran.stdout.lines().count(), "{args:?}: {}", ran.stdout);
    }
    ran.stdout
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect()
}

/// Everything except the last line, which holds times.
fn without_time(stdout: &str) -> &str {
    let (rest, last) = stdout.trim_end().rsplit_once('\n').expect("lines");
    assert!(last.starts_with("time: "), "{last}");
    assert_eq!(stdout.matches("time: ").count(), 1);
    rest
}

// ---- arguments ------------------------------------------------------------------------------------------------------

#[test]
fn bad_arguments_have_status_2() {
    let here = folder();
    let file = write(&here, "a.realmode", PROGRAM);
    let file = file.to_str().expect("a path");
    let cases: [&[&str]; 24] = [
        &["reboot"],
        &["--seed", "1"],
        &["fuzz", "--dialect", "xen"],
        &["fuzz", "--dialect"],
        &["fuzz", "--subject", "nobody"],
        &["fuzz", "--programs", "0"],
        &["fuzz", "--programs", "-1"],
        &["fuzz", "--programs", "many"],
        &["fuzz", "--programs", "18446744073709551616"],
        &["fuzz", "--seed", "0x7"],
        &["fuzz", "--seed", "-7"],
        &["fuzz", "--jobs", "0"],
        &["fuzz", "--jobs", "1025"],
        &["fuzz", "--jobs", "99999"],
        &["fuzz", "--max-findings", "0"],
        &["fuzz", "--time", "fast"],
        &["fuzz", "--time", "1s", "--programs", "1"],
        &["fuzz", "extra"],
        &["replay"],
        &["replay", "--subject", "nobody", file],
        &["show"],
        &["show", file, file],
        &["shrink", file, "--output"],
        &["rules", "--corpus"],
    ];
    for args in cases {
        let ran = run(&here, args);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{args:?}: {}", ran.stderr);
        // The parser of arguments accepts any name of a subject, because a name may be the path of a library.
        let told = if args.contains(&"nobody") { "realmode: --subject nobody: " } else { "error: " };
        assert!(ran.stderr.starts_with(told), "{args:?}: {}", ran.stderr);
    }
    assert_eq!(names(here.path()), BTreeSet::from(["a.realmode".to_string()]), "nothing is left behind");
}

#[test]
fn help_and_version_have_status_0() {
    let here = folder();
    let help = expect(&here, &["--help"], 0, "");
    for command in ["fuzz", "replay", "show", "shrink", "export", "rules"] {
        assert!(help.contains(command), "{help}");
        assert!(expect(&here, &[command, "--help"], 0, "").contains("Usage:"));
    }
    assert!(
        help.contains("Exit status: 0 something was compared and nothing found, 1 a finding, 2 bad arguments"),
        "{help}"
    );
    assert!(expect(&here, &["--version"], 0, "").starts_with("realmode "));
}

// ---- files that are no programs -------------------------------------------------------------------------------------

#[test]
fn what_is_no_program_file_has_status_2_and_its_place() {
    let here = folder();
    write(&here, "good.realmode", PROGRAM);
    write(&here, "malformed.realmode", PROGRAM.replace("drop 0x3f", "drop all"));
    write(&here, "unsound.realmode", PROGRAM.replace("pages=64", "pages=16"));
    write(&here, "binary.realmode", [PROGRAM.as_bytes(), b"take \xff\n"].concat());
    write(&here, "empty.realmode", "");
    write(&here, "large.realmode", "#".repeat(MAX_TEXT_BYTES + 1));
    write(&here, "nothing/readme.txt", "no program");
    let cases = [
        ("missing.realmode", "missing.realmode: No such file"),
        ("malformed.realmode", "malformed.realmode:11:6: found `all`, expected a pfn\n"),
        ("unsound.realmode", "unsound.realmode:5:1: page 0x10 does not exist\n"),
        ("binary.realmode", "binary.realmode:13:6: found the byte 0xff, expected text in UTF-8\n"),
        ("empty.realmode", "empty.realmode:1:1: found the end of the file, expected the header"),
        ("large.realmode", "large.realmode: found 1048577 bytes, expected a program of at most 1048576\n"),
    ];
    for (file, says) in cases {
        for command in ["replay", "show", "shrink", "export"] {
            expect(&here, &[command, file], 2, &format!("realmode: {says}"));
        }
        expect(&here, &["rules", "--corpus", file], 2, &format!("realmode: {says}"));
        // A good file before the bad one makes no difference.
        expect(&here, &["replay", "good.realmode", file], 2, says);
    }
    for command in [&["replay"][..], &["rules", "--corpus"]] {
        let args = [command, &["nothing"]].concat();
        expect(&here, &args, 2, "realmode: nothing: found no file that ends in .realmode");
    }
    // These commands take one program, so they refuse a folder.
    for command in ["show", "shrink", "export"] {
        expect(&here, &[command, "nothing"], 2, "realmode: nothing: ");
    }
}

#[test]
fn an_error_points_at_its_place() {
    let here = folder();
    write(&here, "a.realmode", PROGRAM.replace("drop 0x3f", "drop  all"));
    let stderr = run(&here, &["replay", "a.realmode"]).stderr;
    similar_asserts::assert_eq!(
        stderr,
        "realmode: a.realmode:11:7: found `all`, expected a pfn\n   |\n11 | drop  all\n   |       ^^^\n"
    );
    // A contradiction shows both places.
    write(&here, "b.realmode", PROGRAM.replace("hardware=0x9001000", "hardware=0x8000000"));
    let stderr = run(&here, &["replay", "b.realmode"]).stderr;
    let machine = PROGRAM.lines().nth(2).expect("a line");
    let window = "window 0x1 page_shift=12 base=0x0 entries=4 pinned table=0x9000000 hardware=0x8000000";
    let expected = format!(
        "realmode: b.realmode:6:1: a window's table at 0x8000000 overlaps the array of struct pages at 0x8000000\n\
         \x20 |\n3 | {machine}\n  | {} the other place\n...\n6 | {window}\n  | {}\n",
        "-".repeat(machine.len()),
        "^".repeat(window.len()),
    );
    similar_asserts::assert_eq!(stderr, expected);
    // Colours change no word.
    let mut command = Command::new(REALMODE);
    command.current_dir(&here).args(["replay", "b.realmode"]).env("CLICOLOR_FORCE", "1");
    let coloured = String::from_utf8(command.output().expect("a run").stderr).expect("text");
    assert!(coloured.contains("\u{1b}["), "{coloured:?}");
    let plain = coloured.split('\u{1b}').enumerate().map(|(number, part)| match number {
        0 => part,
        _ => part.split_once('m').map_or("", |(_, text)| text),
    });
    similar_asserts::assert_eq!(plain.collect::<String>(), expected);
}

// ---- replay, show, shrink, export, rules ----------------------------------------------------------------------------

#[test]
fn replay_tells_of_every_file() {
    let here = folder();
    write(&here, "b.realmode", PROGRAM);
    write(&here, "deep/er/a.realmode", PROGRAM.replace("lopapr", "kvm"));
    write(&here, "deep/notes.txt", "no program");
    let agreed = expect(&here, &["replay", "b.realmode"], 0, "");
    similar_asserts::assert_eq!(
        agreed,
        "b.realmode: agreed, 5 steps (1 skipped), 3 hypercalls\n1 agreed, 0 with a finding\n"
    );
    let agreed = expect(&here, &["replay", ".", "b.realmode"], 0, "");
    similar_asserts::assert_eq!(
        agreed,
        "./b.realmode: agreed, 5 steps (1 skipped), 3 hypercalls\n\
         ./deep/er/a.realmode: agreed, 5 steps (1 skipped), 3 hypercalls\n\
         b.realmode: agreed, 5 steps (1 skipped), 3 hypercalls\n\
         3 agreed, 0 with a finding\n"
    );
    let found = expect(&here, &["replay", "--subject", "canary", "."], 1, "");
    assert!(found.starts_with("./b.realmode: FINDING\nfinding    DIVERGE.R4: "), "{found}");
    assert!(found.ends_with("\n0 agreed, 2 with a finding\n"), "{found}");
    assert_eq!(found.matches("\nexpected   0x2003\nfound      0x2001\n").count(), 2, "{found}");
    expect(&here, &["replay", "--subject", "null", "."], 0, "");
    assert_eq!(names(here.path()).len(), 2, "a replay writes nothing");
}

/// A program without a hypercall shows nothing to a voter that shows registers and tables, so nothing is compared.
#[test]
fn what_a_voter_does_not_show_is_not_compared() {
    let here = folder();
    let start = PROGRAM.split("steps\n").next().expect("a machine");
    write(&here, "a.realmode", format!("{start}steps\npfn_to_page 0x10\n"));
    let args = ["replay", "--against", "model/kvm", "a.realmode", "--json", "j"];
    let ran = run(&here, &args);
    assert_eq!(ran.status, 3, "{}", ran.stdout);
    assert!(ran.stderr.contains("it shows nothing of what the program does"), "{}", ran.stderr);
    let json = fs::read_to_string(here.path().join("j")).expect("JSON");
    assert!(json.contains("\"verdict\": \"not compared\"") && json.contains("\"compared\": false"), "{json}");
}

/// The JSON summary of a replay has the rule, the place and both values of a finding.
#[test]
fn the_json_of_a_replay_has_the_finding() {
    let here = folder();
    write(&here, "a.realmode", PROGRAM);
    expect(&here, &["replay", "--subject", "canary", "a.realmode", "--json", "j"], 1, "");
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(here.path().join("j")).expect("a summary")).expect("JSON");
    let finding = &json["files"][0]["finding"];
    assert_eq!((&finding["rule"], &finding["voter"]), (&"DIVERGE.R4".into(), &"canary".into()), "{json}");
    assert_eq!((&finding["expected"], &finding["found"]), (&"0x2003".into(), &"0x2001".into()), "{json}");
}

/// Each program of a sequence has its own counts, although all run before the first line is printed.
#[test]
fn replay_tells_of_every_program_of_a_sequence() {
    let here = folder();
    write(&here, "a.realmode", PROGRAM);
    write(&here, "b.realmode", PROGRAM.replace("cpu1 H_GET_TCE liobn=0x1 ioba=0x1000\n", ""));
    similar_asserts::assert_eq!(
        expect(&here, &["replay", "--sequence", "a.realmode", "b.realmode"], 0, ""),
        "a.realmode (program 1 of 2): agreed, 5 steps (1 skipped), 3 hypercalls\n\
         b.realmode (program 2 of 2): agreed, 4 steps (1 skipped), 2 hypercalls\n\
         2 agreed, 0 with a finding\n"
    );
}

#[test]
fn the_seeds_that_come_with_the_project_agree() {
    let here = folder();
    let stdout = expect(&here, &["replay", SEEDS], 0, "");
    let files = fs::read_dir(SEEDS).expect("the seeds").count();
    assert!(stdout.ends_with(&format!("\n{files} agreed, 0 with a finding\n")), "{stdout}");
    assert!(files >= 50);
}

#[test]
fn show_tells_of_every_step() {
    let here = folder();
    write(&here, "a.realmode", PROGRAM);
    let stdout = expect(&here, &["show", "a.realmode"], 0, "");
    for step in PROGRAM.split_once("steps\n").expect("steps").1.lines().enumerate() {
        let line = format!("{:>4}  {}\n      = ", step.0 + 1, step.1);
        assert!(stdout.contains(&line), "{line} is not in\n{stdout}");
    }
    assert!(stdout.contains("DEFER.PTE") && stdout.contains("then virtual mode]"), "{stdout}");
    assert!(stdout.contains("skipped: "), "{stdout}");
    assert!(stdout.contains("count of page 0x11: 1 -> 2"), "{stdout}");
    assert!(stdout.contains("guest value 1 of window 0x1: 0x0 -> 0x2003"), "{stdout}");
    assert!(stdout.contains("r4 = 0x2003"), "{stdout}");
    assert!(stdout.ends_with("agreed to the end\n"), "{stdout}");
    let short = expect(&here, &["show", "--changes", "0", "a.realmode"], 0, "");
    assert!(!short.contains("->") && short.contains("more changes"), "{short}");
    let found = expect(&here, &["show", "--subject", "canary", "a.realmode"], 1, "");
    assert!(
        found.ends_with("FINDING DIVERGE.R4 at step 5 (H_GET_TCE): r4: expected 0x2003, found 0x2001\n"),
        "{found}"
    );
    assert!(!found.contains("\n   5  "), "the step that differs is told as the finding\n{found}");
}

#[test]
fn shrink_prints_a_report_or_writes_a_program() {
    let here = folder();
    write(&here, "a.realmode", PROGRAM);
    let agreed = expect(&here, &["shrink", "a.realmode"], 0, "");
    similar_asserts::assert_eq!(agreed, "a.realmode: nothing to shrink: no voter differs from the reference\n");
    let printed = expect(&here, &["shrink", "--subject", "canary", "a.realmode"], 1, "");
    let program = &printed[printed.find("realmode-program 1").expect("a program")..];
    assert_eq!(parse(program).unwrap_or_else(|error| panic!("{error}")).steps.len(), 2, "{printed}");
    assert_eq!(names(here.path()).len(), 1, "it was printed only");

    let args = ["shrink", "--subject", "canary", "a.realmode", "-o", "new/folder/small.realmode"];
    let told = expect(&here, &args, 1, "");
    assert!(
        told.starts_with("new/folder/small.realmode: 2 of 5 steps after ") && told.ends_with(" 1-minimal\n"),
        "{told}"
    );
    let small = fs::read_to_string(here.path().join("new/folder/small.realmode")).expect("a file");
    similar_asserts::assert_eq!(parse(&small).expect("a program").to_string(), program);
    assert!(small.starts_with("# DIVERGE.R4 at step 2 (H_GET_TCE)"), "{small}");
    assert_eq!(names(&here.path().join("new/folder")).len(), 1, "no temporary file is left");
    expect(&here, &["replay", "--subject", "canary", "new/folder/small.realmode"], 1, "");
    expect(&here, &["replay", "new/folder/small.realmode"], 0, "");
    // The output may replace the input. A file where a folder is needed is an error.
    expect(&here, &["shrink", "--subject", "canary", "a.realmode", "-o", "a.realmode"], 1, "");
    similar_asserts::assert_eq!(
        parse(&fs::read_to_string(here.path().join("a.realmode")).expect("a file")).expect("a program").to_string(),
        program
    );
    expect(&here, &["shrink", "--subject", "canary", "a.realmode", "-o", "a.realmode/b"], 3, "realmode: a.realmode/b");
    expect(&here, &["shrink", "--subject", "canary", "a.realmode", "-o", ".."], 2, "realmode: ..: not a file name");
}

#[test]
fn export_prints_a_test() {
    let here = folder();
    write(&here, "a.realmode", PROGRAM);
    let stdout = expect(&here, &["export", "a.realmode"], 0, "");
    assert!(stdout.contains("#[test]\nfn program_") && stdout.ends_with("}\n"), "{stdout}");
    for line in PROGRAM.lines() {
        assert!(stdout.contains(&format!("\n{line}\n")) || stdout.contains(&format!("\"{line}\n")), "{line}");
    }
    for outcome in realmode_diff::findings::report::outcomes(&parse(PROGRAM).expect("a program")) {
        assert!(stdout.contains(&format!("{outcome:?},\n")), "{outcome}");
    }
}

#[test]
fn rules_prints_where_dialects_disagree() {
    let here = folder();
    assert_eq!(expect(&here, &["rules", "--dialects"], 0, ""), realmode_diff::dialects::document());
    assert_eq!(run(&here, &["rules", "--dialects", "--corpus", "."]).status, 2);
}

#[test]
fn rules_lists_every_rule() {
    let here = folder();
    let stdout = expect(&here, &["rules"], 0, "");
    let mut lines = stdout.lines();
    let head: Vec<&str> = lines.next().expect("a head").split_whitespace().collect();
    assert_eq!(head, ["rule", "section", "kind", "meaning"]);
    for (&rule, line) in Rule::ALL.iter().zip(lines.by_ref()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(fields[..2], [rule.id(), rule.section()]);
        assert_eq!(fields[2], format!("{:?}", rule.kind()).to_lowercase());
        assert!(line.ends_with(rule.meaning()), "{line}");
    }
    assert_eq!(lines.next(), None);

    write(&here, "a.realmode", PROGRAM);
    let stdout = expect(&here, &["rules", "--corpus", "."], 0, "");
    let (total, last) = (Rule::outcomes().count(), stdout.lines().last().expect("a line"));
    assert_eq!(last, format!("3 of {total} outcome rules decided by 1 programs"));
    for (rule, decided) in [(Rule::MapNew, "2"), (Rule::TceRead, "1"), (Rule::DeferPte, "1"), (Rule::Unmap, "NEVER")] {
        let line = stdout.lines().find(|line| line.starts_with(&format!("{rule} "))).expect("a line");
        assert_eq!(line.split_whitespace().nth(3), Some(decided), "{line}");
    }
    let line = stdout.lines().find(|line| line.starts_with("RM.LAZY")).expect("a line");
    assert!(!line.contains("NEVER"), "findings are not decided: {line}");
}

// ---- campaigns ------------------------------------------------------------------------------------------------------

#[test]
fn a_campaign_without_findings_has_status_0_and_leaves_nothing() {
    let here = folder();
    for subject in ["null", "candidate"] {
        for dialect in ["all", "lopapr", "kvm", "qemu"] {
            let args =
                ["fuzz", "--subject", subject, "--dialect", dialect, "--programs", "130", "--seed", "3", "--jobs", "1"];
            let stdout = expect(&here, &args, 0, "");
            let head = format!("{subject} against the reference, seed 3: 130 programs, ");
            assert!(stdout.starts_with(&head), "{stdout}");
            assert!(stdout.contains("\nno divergence in 130 programs\n"), "{stdout}");
        }
    }
    assert_eq!(names(here.path()), BTreeSet::new());
}

/// The output of a campaign depends on its seed and its number of programs only, except for the times in the last line.
/// The number of jobs makes no difference.
#[test]
fn the_same_campaign_says_the_same() {
    let say = |subject: &str, jobs: &str| {
        let here = folder();
        let args =
            ["fuzz", "--programs", "500", "--seed", "7", "--jobs", jobs, "--subject", subject, "--max-findings", "9"];
        let ran = run(&here, &args);
        assert_eq!(ran.status, i32::from(subject == "canary"), "{}", ran.stderr);
        without_time(&ran.stdout).to_string()
    };
    for subject in ["candidate", "canary"] {
        let first = say(subject, "1");
        similar_asserts::assert_eq!(say(subject, "1"), first, "{subject}, again");
        similar_asserts::assert_eq!(say(subject, "2"), first, "{subject}, two jobs");
        similar_asserts::assert_eq!(say(subject, "5"), first, "{subject}, five jobs");
    }
    let here = folder();
    let other = run(&here, &["fuzz", "--programs", "500", "--seed", "8", "--jobs", "1"]).stdout;
    assert_ne!(without_time(&other), say("candidate", "1"));
}

#[test]
fn a_campaign_without_a_seed_says_which_it_took() {
    let here = folder();
    let seed = || {
        let stdout = expect(&here, &["fuzz", "--programs", "1", "--jobs", "1"], 0, "");
        let (_, rest) = stdout.split_once("seed ").expect("a seed");
        rest.split(':').next().expect("a number").parse::<u64>().expect("a number")
    };
    assert_ne!(seed(), seed());
}

#[test]
fn a_time_limits_a_campaign() {
    let here = folder();
    let started = Instant::now();
    let stdout = expect(&here, &["fuzz", "--time", "400ms", "--jobs", "1", "--seed", "1"], 0, "");
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(400) && elapsed < Duration::from_secs(10), "{elapsed:?}");
    assert!(stdout.contains("no divergence in "), "{stdout}");
}

/// The first Ctrl-C stops a campaign, which still prints its summary.
#[test]
fn an_interrupt_ends_a_campaign_with_its_summary() {
    let here = folder();
    let mut child = Process::new(REALMODE)
        .args(["fuzz", "--time", "60s", "--jobs", "1", "--seed", "1"])
        .current_dir(&here)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    std::thread::sleep(Duration::from_millis(500));
    let killed = Process::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let mut stdout = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("text");
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    assert!(stdout.contains("no divergence in ") && stdout.contains("\ntime: "), "{stdout}");
}

#[test]
fn the_canary_leaves_all_its_files() {
    let here = folder();
    let args = ["fuzz", "--subject", "canary", "--programs", "2000", "--seed", "7", "--jobs", "1", "--out", "new/out"];
    let stdout = expect(&here, &args, 1, "");
    let finding = stdout.lines().find(|line| line.starts_with("FINDING ")).expect("a finding");
    assert!(finding.starts_with("FINDING DIVERGE.R4 at step 2 (H_GET_TCE): r4: expected 0x"), "{finding}");
    assert!(stdout.contains("(1-minimal)\n") && stdout.contains("\n1 different findings, "), "{stdout}");
    let named: BTreeSet<String> =
        stdout.lines().filter_map(|line| line.split_once("new/out/").map(|(_, name)| name.to_string())).collect();
    let out = here.path().join("new/out");
    assert_eq!(names(&out), named, "all files that are named, and no others");
    assert_eq!(names(here.path()), BTreeSet::from(["new".to_string()]));
    let [drawn, shrunk, report, test] = &*named.into_iter().collect::<Vec<_>>() else { panic!("four files\n{stdout}") };
    let read = |name: &str| fs::read_to_string(out.join(name)).expect("a file");
    assert!(drawn.ends_with(".drawn.realmode") && shrunk.ends_with(".realmode"), "{drawn} {shrunk}");
    assert!(report.ends_with(".report.txt") && test.ends_with(".test.rs"), "{report} {test}");
    let program = parse(&read(shrunk)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(program.steps.len(), 2);
    assert!(read(report).ends_with(&format!("\n{program}")), "{}", read(report));
    assert!(read(test).contains(&program.to_string()) && read(test).contains("#[test]"), "{}", read(test));
    for name in [drawn, shrunk] {
        let path = format!("new/out/{name}");
        assert!(expect(&here, &["replay", "--subject", "canary", &path], 1, "").contains("DIVERGE.R4"));
        expect(&here, &["replay", &path], 0, "");
    }
    // Seed and index draw the same program again.
    let text = read(drawn);
    let head = text.lines().next().expect("a line");
    let index: u64 = head.rsplit(' ').next().and_then(|word| word.trim_end_matches('.').parse().ok()).expect(head);
    let drawn = programs::generate::generate(&Default::default(), 7, index);
    assert_eq!(parse(&text).as_ref(), Ok(&drawn));
    assert!(
        stdout.contains(&format!("\n  program {index} of the seed, {} steps as drawn, ", drawn.steps.len())),
        "{stdout}"
    );
}

#[test]
fn json_has_its_keys() {
    let here = folder();
    for (subject, status) in [("candidate", 0), ("canary", 1)] {
        let args =
            ["fuzz", "--programs", "300", "--seed", "7", "--jobs", "1", "--subject", subject, "--json", "a/b/s.json"];
        let stdout = expect(&here, &args, status, "");
        let text = fs::read_to_string(here.path().join("a/b/s.json")).expect("a file");
        assert!(text.ends_with("}\n"));
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let number = |key: &str| json[key].as_u64().unwrap_or_else(|| panic!("{key} in {text}"));
        assert_eq!((json["subject"].as_str(), number("seed"), number("jobs")), (Some(subject), 7, 1));
        if subject == "candidate" {
            assert_eq!(number("programs"), 300);
        }
        let line = format!(
            "{subject} against the reference, seed 7: {} programs, {} steps (",
            number("programs"),
            number("steps")
        );
        assert!(stdout.starts_with(&line), "{stdout}");
        assert!(stdout.contains(&format!(" {} hypercalls\n", number("hypercalls"))), "{stdout}");
        assert!(number("accepted") <= number("hypercalls") && number("deferred") <= number("hypercalls"));
        assert!(number("skipped") <= number("steps"));
        assert!(json["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0 && seconds < 600.0));
        let rules = json["rules"].as_array().expect("rules");
        assert_eq!(rules.len() as u64, number("rules_total"));
        assert_eq!(rules.len(), Rule::outcomes().count());
        let reached = rules
            .iter()
            .filter(|rule| {
                rule["real_mode"].as_u64().expect("a number") + rule["deferred"].as_u64().expect("a number") > 0
            })
            .count();
        assert_eq!(reached as u64, number("rules_reached"));
        for (rule, expected) in rules.iter().zip(Rule::outcomes()) {
            assert_eq!(rule["rule"].as_str(), Some(expected.id()));
            assert!(rule["accepted"].is_u64() && rule["refused"].is_u64());
        }
        let findings = json["findings"].as_array().expect("findings");
        assert_eq!(findings.len(), status as usize);
        for finding in findings {
            assert_eq!(finding["rule"], "DIVERGE.R4");
            assert_eq!((&finding["field"], &finding["step_kind"]), (&"r4".into(), &"H_GET_TCE".into()));
            assert_eq!((&finding["steps"], &finding["minimal"]), (&2.into(), &true.into()));
            for key in ["what", "expected", "found"] {
                assert!(finding[key].is_string(), "{key} in {text}");
            }
            assert!(finding["program"].is_u64() && finding["drawn_steps"].as_u64() >= Some(2), "{text}");
            let file = here.path().join(finding["file"].as_str().expect("a path"));
            parse(&fs::read_to_string(file).expect("a file")).expect("a program");
        }
        assert_eq!(names(&here.path().join("a/b")).len(), 1, "no temporary file is left");
    }
}

#[test]
fn what_cannot_be_written_has_status_3() {
    let here = folder();
    write(&here, "file", "in the way");
    let canary = ["fuzz", "--subject", "canary", "--programs", "2000", "--seed", "7", "--jobs", "2"];
    for out in ["file", "file/below"] {
        let ran = run(&here, &[&canary[..], &["--out", out]].concat());
        assert_eq!(ran.status, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("realmode: {out}/canary-diverge-r4-seed7-")), "{}", ran.stderr);
    }
    assert_eq!(fs::read_to_string(here.path().join("file")).expect("a file"), "in the way");
    let ran = run(&here, &["fuzz", "--programs", "1", "--jobs", "1", "--json", "file/s.json"]);
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("realmode: file/s.json: "), "{}", ran.stderr);
    let ran = run(&here, &["fuzz", "--programs", "1", "--jobs", "1", "--json", "/"]);
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert_eq!(names(here.path()), BTreeSet::from(["file".to_string()]));
    if let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") {
        let output = Process::new(REALMODE).arg("rules").stdout(full).output().expect("a run");
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("realmode: standard output: "));
    }
}

// ---- pipes and kills ------------------------------------------------------------------------------------------------

/// A reader may close the pipe early, as in `realmode show ... | head -1`. The command must neither panic nor report an
/// error.
#[test]
fn a_closed_pipe_is_no_error() {
    let here = folder();
    write(&here, "a.realmode", PROGRAM);
    let cases: [(&[&str], i32); 7] = [
        (&["rules"], 0),
        (&["show", "a.realmode"], 0),
        (&["replay", "a.realmode", "a.realmode"], 0),
        (&["replay", "--subject", "canary", "a.realmode"], 1),
        (&["shrink", "--subject", "canary", "a.realmode"], 1),
        (&["export", "a.realmode"], 0),
        (&["fuzz", "--programs", "10", "--jobs", "1"], 0),
    ];
    for (args, status) in cases {
        let mut child = Process::new(REALMODE)
            .args(args)
            .current_dir(&here)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a child");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an end");
        assert_eq!((output.status.code(), &*output.stderr), (Some(status), &b""[..]), "{args:?}");
    }
}

/// A campaign leaves only whole files, whenever it is killed: it gives a file its name after all bytes are written. A
/// temporary file that the kill leaves has a name that no tool takes for a program.
#[test]
fn a_killed_campaign_leaves_no_half_written_program() {
    let here = folder();
    let out = here.path().join("out");
    let mut rng = StdRng::seed_from_u64(3);
    let mut killed = 0;
    for seed in 0..36u32 {
        let mut child = Process::new(REALMODE)
            .args(["fuzz", "--subject", "canary", "--time", "60s", "--jobs", "2", "--max-findings", "1000"])
            .args(["--seed", &seed.to_string(), "--out", "out"])
            .current_dir(&here)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        // The first finding comes after some ten milliseconds. Its files follow at once, with the shrinking in between.
        // Two campaigns of three wait for a whole file, so that there is something to check on a slow machine.
        let whole = || {
            let names = fs::read_dir(&out).into_iter().flatten().flatten().map(|entry| entry.file_name());
            names.filter(|name| !name.to_string_lossy().starts_with('.')).count()
        };
        let known = whole();
        let deadline = Instant::now() + Duration::from_secs(30);
        if seed % 3 > 0 {
            while whole() == known && Instant::now() < deadline {
                std::thread::yield_now();
            }
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..[60_000, 3_000, 40_000][seed as usize % 3])));
        child.kill().expect("a kill");
        killed += u32::from(child.wait().expect("an end").code().is_none());
    }
    assert_eq!(killed, 36, "each campaign was killed, not ended");
    let (mut programs, mut others) = (0, 0);
    for name in names(&out) {
        let text = fs::read_to_string(out.join(&name)).expect("text");
        if name.ends_with(".realmode") {
            assert!(!name.starts_with('.'), "{name}");
            parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            programs += 1;
        } else if name.ends_with(".report.txt") {
            let start = text.find("realmode-program 1").unwrap_or_else(|| panic!("{name}: {text}"));
            parse(&text[start..]).unwrap_or_else(|error| panic!("{name}: {error}"));
            others += 1;
        } else if name.ends_with(".test.rs") {
            assert!(text.ends_with("}\n"), "{name}: {text}");
            others += 1;
        } else {
            assert!(name.starts_with(".writing-"), "{name}");
        }
    }
    assert!(programs > 20, "{programs} programs, {others} other files: the kills came too early");
    // A replay of the folder runs all whole programs and ignores the temporary files.
    let ran = run(&here, &["replay", "out"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.ends_with(&format!("\n{programs} agreed, 0 with a finding\n")), "{}", ran.stdout);
}
