//! Tests of `realmode corpus` and `realmode triage`, which turn the files of fuzzing engines into programs as text and
//! findings, and pack programs for the engines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candidate::Candidate;
use contract::description::{AddrRun, SlotSpec, WordRun};
use contract::hcall::H_STUFF_TCE;
use contract::{Gpa, HcallAnswer, Hypercall, Liobn, Machine, Pfn, ProbeAnswer, RealAddr, Step, WindowSpec, hcall};
use machine::subject::Bound;
use machine::{Cpu, Subject};
use programs::encoding::{decode, decode_exact, encode};
use programs::focus::Focus;
use programs::generate::{GeneratorConfig, generate};
use programs::sequence::Sequence;
use programs::store;
use realmode_diff::hunts::engine::Engine;
use realmode_diff::hunts::triage::{Checked, check_within};
use realmode_diff::{Checker, Dialect, Program, Rule, SubjectKind, Verdict, parse};
use tempfile::TempDir;

use super::samples::{PROGRAM, write};
use super::shared::{folder, run};

const CORPORA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpora");

/// Runs the command and expects this exit status and nothing on standard error. Returns standard output.
fn expect(folder: &TempDir, args: &[&str], status: i32) -> String {
    let ran = run(folder, args);
    assert_eq!((ran.status, ran.stderr.as_str()), (status, ""), "{args:?}\n{}", ran.stdout);
    ran.stdout
}

/// Runs the command and expects this exit status, a message on standard error that starts with `says`, and no output.
fn refuse(folder: &TempDir, args: &[&str], status: i32, says: &str) {
    let ran = run(folder, args);
    assert_eq!((ran.status, ran.stdout.as_str()), (status, ""), "{args:?}\n{}", ran.stderr);
    assert!(ran.stderr.starts_with(says), "{args:?}: {says:?} is not told in {:?}", ran.stderr);
}

fn read(folder: &TempDir, name: &str) -> Vec<u8> {
    fs::read(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text(folder: &TempDir, name: &str) -> String {
    String::from_utf8(read(folder, name)).expect("text")
}

fn names(folder: &TempDir, name: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

fn program(index: u64) -> Program {
    generate(&GeneratorConfig::default(), 7, index)
}

fn texts() -> Vec<(PathBuf, Program)> {
    let files = store::programs_under(Path::new(CORPORA)).expect("the corpora");
    files
        .into_iter()
        .map(|file| {
            let program = parse(&fs::read_to_string(&file).expect("a file")).expect("a program");
            (file, program)
        })
        .collect()
}

/// Makes an output folder of AFL++ with two instances, two crashes (one from an earlier run) and a hang.
fn afl(here: &TempDir) {
    let other = b"bytes that would be some program";
    for (instance, first) in [("main", 0), ("second", 1)] {
        for file in ["fuzzer_stats", "plot_data", "cmdline", "fuzz_bitmap", "target_hash", ".cur_input"] {
            write(here, &format!("afl/{instance}/{file}"), other);
        }
        for index in first..first + 3 {
            let name = format!("afl/{instance}/queue/id:{index:06},src:000000,time:3,execs:9,op:havoc,rep:2");
            write(here, &name, encode(&program(index)));
            let state = format!("afl/{instance}/queue/.state/deterministic_done/id:{index:06},orig:seed");
            write(here, &state, other);
        }
        write(here, &format!("afl/{instance}/.synced/other"), other);
        write(here, &format!("afl/{instance}/crashes/README.txt"), other);
        write(here, &format!("afl/{instance}/queue/something else"), other);
    }
    let failing = encode(&parse(PROGRAM).expect("a program"));
    write(here, "afl/main/crashes/id:000000,sig:06,src:000002", &failing);
    write(here, "afl/second/hangs/id:000000,src:000002", encode(&program(20)));
    write(here, "afl/second/crashes.2026-01-31-10:00:00/id:000009,sig:06,src:1", &failing);
}

// ---- pack and unpack ------------------------------------------------------------------------------------------------

#[test]
fn all_corpora_come_back_equal() {
    let here = folder();
    let texts = texts();
    let count = texts.len();
    let different: BTreeSet<String> = texts.iter().map(|(_, program)| store::fingerprint(program)).collect();
    assert_eq!(different.len(), count, "two corpus files hold the same program");
    let said = expect(&here, &["corpus", "pack", CORPORA, "-o", "new/packed"], 0);
    assert_eq!(said, format!("new/packed: {count} written, 0 already there, 0 equal to another\n"));
    assert_eq!(names(&here, "new/packed"), different, "files are named after their contents");
    for (_, program) in &texts {
        let bytes = read(&here, &format!("new/packed/{}", store::fingerprint(program)));
        assert_eq!(decode_exact(&bytes).as_ref(), Ok(program));
    }
    let said = expect(&here, &["corpus", "unpack", "new/packed", "-o", "texts"], 0);
    assert_eq!(said, format!("texts: {count} written, 0 already there, 0 equal to another\n"));
    assert_eq!(names(&here, "texts").len(), count);
    for (file, program) in &texts {
        let text = text(&here, &format!("texts/{}.realmode", store::fingerprint(program)));
        assert_eq!(parse(&text).as_ref(), Ok(program), "{}", file.display());
        assert_eq!(text, program.to_string());
    }
    // A second run changes nothing, in either direction.
    let there = |folder: &str| format!("{folder}: 0 written, {count} already there, 0 equal to another\n");
    assert_eq!(expect(&here, &["corpus", "pack", CORPORA, "-o", "new/packed"], 0), there("new/packed"));
    assert_eq!(expect(&here, &["corpus", "pack", "texts", "-o", "new/packed"], 0), there("new/packed"));
    assert_eq!(expect(&here, &["corpus", "unpack", "new/packed", "-o", "texts"], 0), there("texts"));
    assert_eq!(names(&here, "new/packed").len() + names(&here, "texts").len(), 2 * count);
}

#[test]
fn equal_programs_are_written_once() {
    let here = folder();
    write(&here, "texts/a.realmode", PROGRAM);
    write(&here, "texts/deep/b.realmode", format!("# The same.\n{}", PROGRAM.replace("0x1000 ", "4_096 ")));
    write(&here, "texts/c.realmode", PROGRAM.replace("lopapr", "kvm"));
    let said = expect(&here, &["corpus", "pack", "texts", "texts/a.realmode", "-o", "out"], 0);
    assert_eq!(said, "out: 2 written, 0 already there, 2 equal to another\n");
    // `unpack` reads texts among packed programs, whatever their names, and leaves a text that is already there as it
    // is.
    write(&here, "out/a text", PROGRAM);
    let name = format!("mine/{}.realmode", store::fingerprint(&parse(PROGRAM).expect("a program")));
    let mine = format!("# Mine.\n{PROGRAM}");
    write(&here, &name, &mine);
    let said = expect(&here, &["corpus", "unpack", "out", "-o", "mine"], 0);
    assert_eq!(said, "mine: 1 written, 1 already there, 1 equal to another\n");
    assert_eq!(text(&here, &name), mine);
}

#[test]
fn unpack_takes_the_queues_of_afl_and_nothing_else() {
    let here = folder();
    afl(&here);
    let expected: BTreeSet<String> =
        (0..4).map(|index| format!("{}.realmode", store::fingerprint(&program(index)))).collect();
    let said = expect(&here, &["corpus", "unpack", "afl", "-o", "texts"], 0);
    assert_eq!(said, "texts: 4 written, 0 already there, 2 equal to another, 2 other files passed over\n");
    assert_eq!(names(&here, "texts"), expected);
    // `unpack` also accepts one instance or one queue.
    expect(&here, &["corpus", "unpack", "afl/main", "-o", "instance"], 0);
    expect(&here, &["corpus", "unpack", "afl/main/queue", "-o", "queue"], 0);
    assert_eq!(names(&here, "instance").len(), 3);
    assert_eq!(names(&here, "queue"), names(&here, "instance"));
    let said = expect(&here, &["corpus", "stats", "afl"], 0);
    assert!(said.starts_with("programs    6, 2 other files passed over\n"), "{said}");
}

/// An engine may change the version in the header of an input. No target runs such an input, so `unpack` does not read
/// it.
#[test]
fn unpack_passes_over_other_versions() {
    let here = folder();
    let mut other = encode(&program(1));
    other[5] = 1;
    write(&here, "queue/other", other);
    write(&here, "queue/this", encode(&program(2)));
    let said = expect(&here, &["corpus", "unpack", "queue", "-o", "out"], 0);
    assert_eq!(said, "out: 1 written, 0 already there, 0 equal to another, 1 of another version not read\n");
}

#[test]
fn unpack_keeps_what_a_target_runs() {
    let here = folder();
    let hostile: Vec<u8> = (0..200).map(|byte| (byte * 37) as u8).collect();
    write(&here, "corpus/da39a3ee5e6b4b0d3255bfef95601890afd80709", b"");
    write(&here, "corpus/b6589fc6ab0dc82cf12099d1c2d40ab994e8410c", &hostile);
    write(&here, "corpus/text.realmode", PROGRAM);
    write(&here, "corpus/notes.md", "no program");
    let said = expect(&here, &["corpus", "unpack", "corpus", "-o", "whole"], 0);
    assert_eq!(said, "whole: 3 written, 0 already there, 0 equal to another, 1 other files passed over\n");
    let programs = [decode(b""), decode(&hostile), parse(PROGRAM).expect("a program")];
    for focus in Focus::ALL {
        let expected: BTreeSet<String> = programs
            .iter()
            .cloned()
            .map(|mut program| {
                focus.apply(&mut program);
                format!("{}.realmode", store::fingerprint(&program))
            })
            .collect();
        expect(&here, &["corpus", "unpack", "corpus", "--focus", focus.name(), "-o", focus.name()], 0);
        assert_eq!(names(&here, focus.name()), expected, "{focus:?}");
    }
    assert_eq!(names(&here, "whole"), names(&here, "program"));
    let lookup = names(&here, "lookup");
    assert!(lookup.iter().all(|name| !text(&here, &format!("lookup/{name}")).contains("H_")), "{lookup:?}");
}

/// If another file has the name of the output, the command reports it and does not overwrite it: it may be the only
/// copy.
#[test]
fn names_that_are_taken_are_left_alone() {
    let here = folder();
    write(&here, "a.realmode", PROGRAM);
    let name = store::fingerprint(&parse(PROGRAM).expect("a program"));
    for there in [&encode(&program(1))[..], b"", PROGRAM.as_bytes(), &encode(&parse(PROGRAM).expect("a program"))[..99]]
    {
        write(&here, &format!("out/{name}"), there);
        let says = format!("realmode: out/{name}: found something else, expected the program of that name\n");
        refuse(&here, &["corpus", "pack", "a.realmode", "-o", "out"], 2, &says);
        assert_eq!(read(&here, &format!("out/{name}")), there);
    }
    write(&here, &format!("texts/{name}.realmode"), "");
    let says = format!("realmode: texts/{name}.realmode: found something else, expected ");
    refuse(&here, &["corpus", "unpack", "a.realmode", "-o", "texts"], 2, &says);
}

// ---- migrate --------------------------------------------------------------------------------------------------------

#[test]
fn migrate_packs_what_is_not_packed() {
    let here = folder();
    let exact = encode(&program(1));
    let mut unused = encode(&program(2));
    unused[28] = 1;
    let mut cut = encode(&program(3));
    cut.truncate(cut.len() - 1);
    let decisions = b"decisions of the generator".to_vec();
    write(&here, "corpus/exact", &exact);
    write(&here, "corpus/deep/unused", &unused);
    write(&here, "corpus/cut", &cut);
    write(&here, "corpus/decisions", &decisions);
    write(&here, "corpus/text.realmode", format!("# Stays.\n{PROGRAM}"));
    write(&here, "corpus/.hidden", b"hidden");
    write(&here, "corpus/README.md", b"notes");
    let said = expect(&here, &["corpus", "migrate", "corpus", "corpus/exact"], 0);
    assert_eq!(
        said,
        "3 rewritten (1 decisions of the generator, 2 mended), 1 current, 1 text, 1 other files passed over\n"
    );
    for (name, before) in [("deep/unused", &unused), ("cut", &cut), ("decisions", &decisions), ("exact", &exact)] {
        assert_eq!(decode_exact(&read(&here, &format!("corpus/{name}"))), Ok(decode(before)), "{name}");
    }
    assert_eq!(read(&here, "corpus/deep/unused"), encode(&program(2)));
    assert_eq!(text(&here, "corpus/text.realmode"), format!("# Stays.\n{PROGRAM}"));
    assert_eq!((read(&here, "corpus/.hidden"), read(&here, "corpus/README.md")), (b"hidden".into(), b"notes".into()));
    assert_eq!(names(&here, "corpus").len(), 7, "no temporary file is left");
    let said = expect(&here, &["corpus", "migrate", "corpus"], 0);
    assert!(said.starts_with("0 rewritten (0 decisions of the generator, 0 mended), 4 current, 1 text"), "{said}");
}

#[test]
fn another_version_stops_a_migration_before_it_writes() {
    let here = folder();
    let mut newer = encode(&program(1));
    newer[4] = 2;
    // Without the file of another version, the migration would rewrite `a` first.
    write(&here, "corpus/a", b"decisions");
    write(&here, "corpus/b", &newer);
    let says = "realmode: corpus/b: found version 2 of the encoding, expected version 1\n";
    refuse(&here, &["corpus", "migrate", "corpus"], 2, says);
    assert_eq!((read(&here, "corpus/a"), read(&here, "corpus/b")), (b"decisions".to_vec(), newer));
    refuse(&here, &["corpus", "unpack", "corpus/b", "-o", "out"], 2, says);
    refuse(&here, &["triage", "corpus"], 2, says);
    let said = expect(&here, &["corpus", "stats", "corpus"], 0);
    assert!(said.starts_with("programs    1\n") && said.contains(" 1 of another version (not read)\n"), "{said}");
    let ran = run(&here, &["corpus", "stats", "corpus/b"]);
    let says = "realmode: nothing was compared: no file has version 1 of the encoding\n";
    assert_eq!((ran.status, ran.stderr.as_str()), (3, says), "{}", ran.stdout);
    // For a text of another version the error gives the place.
    write(&here, "corpus/b", PROGRAM.replace("realmode-program 1", "realmode-program 2"));
    let says = "realmode: corpus/b:1:18: found `2`, expected version 1 of the text form\n";
    refuse(&here, &["corpus", "migrate", "corpus"], 2, says);
    assert_eq!(read(&here, "corpus/a"), b"decisions");
}

// ---- stats ----------------------------------------------------------------------------------------------------------

#[test]
fn stats_are_those_of_the_corpus() {
    let here = folder();
    let one = parse(PROGRAM).expect("a program");
    let mut two = one.clone();
    (two.dialect, two.steps) = (Dialect::Kvm, one.steps[1..2].to_vec());
    let mut mended = encode(&two);
    mended.push(0);
    write(&here, "corpus/one.realmode", PROGRAM);
    write(&here, "corpus/packed", encode(&two));
    write(&here, "corpus/mended", &mended);
    let said = expect(&here, &["corpus", "stats", "corpus", "--json", "new/stats.json"], 0);
    let sizes = (PROGRAM.len(), mended.len());
    let start = format!(
        "programs    3\n\
         forms       2 packed (1 exactly, 1 mended), 0 decisions of the generator, 1 text, 0 of another version (not read)\n\
         bytes       min {}, median {}, max {}\n\
         steps       min 1, median 1, max 5\n\
         models      3 flatmem\n\
         dialects    2 kvm, 1 lopapr\n\
         hypercalls  5: 5 accepted, 0 refused, 1 deferred to virtual mode\n\
         findings    0\n\
         reached     COMBINATIONS combinations of rule, outcome, memory model and mode\n",
        sizes.1 - 1,
        sizes.1,
        sizes.0
    );
    // Each program runs on a machine of its own. A rule counts once for each outcome, memory model and mode.
    let start = start.replace("COMBINATIONS", &reached(&[&one, &two]).to_string());
    similar_asserts::assert_eq!(&said[..start.len().min(said.len())], start);
    for (step, counts) in [("H_PUT_TCE", "4 0"), ("H_GET_TCE", "1 0"), ("age", "1 0"), ("drop", "0 1")] {
        let line = said.lines().find(|line| line.starts_with(&format!("{step} "))).expect(step);
        assert_eq!(line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "), counts, "{line}");
    }
    let table: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("rule ")).collect();
    assert_eq!(table.len(), 2 + Rule::outcomes().count());
    let line = table.iter().find(|line| line.starts_with("MAP.NEW ")).expect("a line");
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["MAP.NEW", "3", "1", "4", "0"]);

    let json: serde_json::Value = serde_json::from_str(&text(&here, "new/stats.json")).expect("JSON");
    for (key, value) in [
        ("programs", 3),
        ("packed", 1),
        ("mended", 1),
        ("decisions", 0),
        ("text", 1),
        ("other_version", 0),
        ("hypercalls", 5),
        ("accepted", 5),
        ("refused", 0),
        ("deferred", 1),
    ] {
        assert_eq!(json[key], value, "{key} in {json}");
    }
    assert_eq!(json["steps"], serde_json::json!({"min": 1, "median": 1, "max": 5}));
    assert_eq!(json["combinations"], reached(&[&one, &two]));
    assert_eq!(json["bytes"]["max"], sizes.0);
    assert_eq!((&json["focus"], &json["dialects"]["kvm"]), (&"program".into(), &2.into()));
    assert!(json["kinds"].as_array().expect("kinds").contains(&serde_json::json!({
        "step": "drop", "run": 0, "skipped": 1
    })));
    assert_eq!(json["rules"].as_array().expect("rules").len(), Rule::outcomes().count());

    let said = expect(&here, &["corpus", "stats", "corpus", "--focus", "lookup"], 0);
    assert!(said.contains("\nsteps       min 0, median 0, max 0\n") && said.contains("\nhypercalls  0: "), "{said}");
}

/// How many combinations the fuzz target reports to its engine for these programs.
fn reached(programs: &[&Program]) -> usize {
    let mut engine = Engine::new(Focus::Program, SubjectKind::Candidate).expect("an engine");
    let mut reached = BTreeSet::new();
    for program in programs {
        engine.run(&encode(program), &mut |combination| _ = reached.insert(combination)).expect("a subject");
    }
    assert!(!reached.is_empty());
    reached.len()
}

#[test]
fn stats_count_the_combinations_of_all_corpora() {
    let here = folder();
    let texts = texts();
    let programs: Vec<&Program> = texts.iter().map(|(_, program)| program).collect();
    let said = expect(&here, &["corpus", "stats", CORPORA], 0);
    let line = said.lines().find(|line| line.starts_with("reached ")).expect("a line");
    let number = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    assert_eq!(number, Some(reached(&programs)), "{line}");
}

#[test]
fn stats_tell_of_findings() {
    let here = folder();
    write(
        &here,
        "good.realmode",
        PROGRAM.replace("cpu1 H_GET_TCE", "cpu1 H_PUT_TCE").replace("0x1000\n", "0x1000 tce=0x0\n"),
    );
    write(&here, "bad.realmode", PROGRAM);
    let ran = run(&here, &["corpus", "stats", ".", "--subject", "canary", "--json", "s.json"]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert_eq!(
        ran.stderr,
        "realmode: ./bad.realmode: DIVERGE.R4 at step 5 (H_GET_TCE): r4: expected 0x2003, found 0x2001\n"
    );
    assert!(ran.stdout.contains("programs    2\n") && ran.stdout.contains("\nfindings    1\n"), "{}", ran.stdout);
    let json: serde_json::Value = serde_json::from_str(&text(&here, "s.json")).expect("JSON");
    assert_eq!(
        json["findings"],
        serde_json::json!([{"file": "./bad.realmode", "rule": "DIVERGE.R4", "field": "r4", "step_kind": "H_GET_TCE"}])
    );
}

// ---- triage ---------------------------------------------------------------------------------------------------------

/// A campaign and the triage of an engine's file make the same finding of the same program.
#[test]
fn triage_makes_of_a_crash_file_what_a_campaign_makes() {
    let here = folder();
    let said = expect(&here, &["fuzz", "--subject", "canary", "--programs", "2000", "--seed", "7", "--jobs", "1"], 1);
    let finding = |said: &str| said.lines().find(|line| line.starts_with("FINDING ")).expect("a finding").to_string();
    let (_, rest) = said.split_once("\n  program ").expect("the program's number");
    let index: u64 = rest.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    let campaign = format!("findings/canary-diverge-r4-seed7-{index}");
    let small = parse(&text(&here, &format!("{campaign}.realmode"))).expect("a program");

    let bytes = encode(&program(index));
    let name = format!("canary-diverge-r4-libfuzzer-{}", store::fingerprint(&program(index)));
    write(&here, "artifacts/crash-0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33", &bytes);
    let again = expect(&here, &["triage", "--subject", "canary", "artifacts", "--out", "out"], 1);
    assert_eq!(finding(&again), finding(&said));
    let steps = program(index).steps.len();
    let block = format!(
        "\n  libfuzzer, artifacts/crash-0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33, {steps} steps as found, shrunk to {} (1-minimal)\n  \
         program  out/{name}.realmode\n  \
         report   out/{name}.report.txt\n  \
         test     out/{name}.test.rs\n  \
         as found out/{name}.found.realmode\n\n\
         0 agreed, 1 with a finding, 1 different\n",
        small.steps.len()
    );
    assert!(again.ends_with(&block), "{again}\n{block}");
    assert_eq!(names(&here, "out").len(), 4);
    assert_eq!(parse(&text(&here, &format!("out/{name}.realmode"))).as_ref(), Ok(&small));
    assert_eq!(parse(&text(&here, &format!("out/{name}.found.realmode"))).as_ref(), Ok(&program(index)));
    assert!(text(&here, &format!("out/{name}.report.txt")).ends_with(&format!("\n{small}")));
    assert_eq!(text(&here, &format!("out/{name}.test.rs")), text(&here, &format!("{campaign}.test.rs")));
    // Four more triages: the same again, of the text that was written, with the candidate, and with a name for the
    // engine.
    let files = names(&here, "out");
    assert_eq!(expect(&here, &["triage", "--subject", "canary", "artifacts", "--out", "out"], 1), again);
    assert_eq!(names(&here, "out"), files);
    let found = format!("out/{name}.found.realmode");
    assert_eq!(finding(&expect(&here, &["triage", "--subject", "canary", &found, "--out", "x"], 1)), finding(&said));
    assert!(
        expect(&here, &["triage", "artifacts", "--out", "none"], 0)
            .ends_with("\n1 agreed, 0 with a finding, 0 different\n")
    );
    assert!(!here.path().join("none").exists());
    expect(&here, &["triage", "--subject", "canary", "--engine", "mine-2", "artifacts", "--out", "named"], 1);
    assert!(names(&here, "named").iter().all(|file| file.starts_with("canary-diverge-r4-mine-2-")));
}

#[test]
fn triage_tells_of_every_file_and_keeps_each_finding_once() {
    let here = folder();
    let one = parse(PROGRAM).expect("a program");
    let mut agreed = one.clone();
    agreed.steps.pop();
    let mut longer = one.clone();
    longer.steps.insert(0, Step::Lookup { pfn: Pfn(1) });
    write(&here, "in/crash-b", encode(&one));
    write(&here, "in/crash-a", encode(&longer));
    write(&here, "in/timeout-c", encode(&agreed));
    write(&here, "in/slow-unit-d", encode(&agreed));
    write(&here, "in/deep/e.realmode", PROGRAM);
    write(&here, "in/fuzz-0.log", "no program");
    let said = expect(&here, &["triage", "--subject", "canary", "in"], 1);
    let (lines, _) = said.split_once("\n\n").expect("blocks");
    assert_eq!(
        lines,
        "in/crash-a: DIVERGE.R4 at step 2 (H_GET_TCE): r4: expected 0x2, found 0x0\n\
         in/crash-b: DIVERGE.R4 as in/crash-a\n\
         in/deep/e.realmode: DIVERGE.R4 as in/crash-a\n\
         in/slow-unit-d: agreed, 4 steps (1 skipped), 2 hypercalls\n\
         in/timeout-c: agreed, 4 steps (1 skipped), 2 hypercalls"
    );
    assert!(said.contains("\n  libfuzzer, in/crash-a, 6 steps as found, shrunk to 2 (1-minimal)\n"), "{said}");
    assert!(
        said.ends_with(
            "\n  shown by 2 more file(s)\n\n2 agreed, 3 with a finding, 1 different, 1 other files passed over\n"
        ),
        "{said}"
    );
    assert_eq!(names(&here, "findings").len(), 4);
    // `--focus` runs only the steps that the target of that focus runs, so the finding does not show.
    let said = expect(&here, &["triage", "--subject", "canary", "--focus", "references", "in", "--out", "o"], 0);
    assert!(said.contains("in/crash-a: agreed, 3 steps (1 skipped), 0 hypercalls\n"), "{said}");
    assert!(
        expect(&here, &["triage", "in/timeout-c", "in/timeout-c"], 0)
            .ends_with("\n1 agreed, 0 with a finding, 0 different\n")
    );
}

#[test]
fn triage_writes_json() {
    let here = folder();
    let one = parse(PROGRAM).expect("a program");
    let mut agreed = one.clone();
    agreed.steps.pop();
    write(&here, "in/crash-a", encode(&one));
    write(&here, "in/crash-b", encode(&Program { steps: [&one.steps[..], &one.steps[..1]].concat(), ..one.clone() }));
    write(&here, "in/slow-unit-c", encode(&agreed));
    write(&here, "in/fuzz-0.log", "no program");
    let said = expect(&here, &["triage", "--subject", "canary", "in", "--out", "out", "--json", "new/triage.json"], 1);
    let json: serde_json::Value = serde_json::from_str(&text(&here, "new/triage.json")).expect("JSON");
    let steps = parse(&text(&here, &file("realmode", &one))).expect("the shrunk program").steps.len();
    similar_asserts::assert_eq!(
        json,
        serde_json::json!({
            "subject": "canary",
            "focus": "program",
            "files": 3,
            "verdict": "finding",
            "agreed": 1,
            "compared_in_part": 0,
            "not_compared": 0,
            "failing": 2,
            "broken": 0,
            "others": 1,
            "unchecked": 0,
            "findings": [{
                "voter": "canary",
                "rule": "DIVERGE.R4",
                "field": "r4",
                "step_kind": "H_GET_TCE",
                "place": "step 2",
                "what": "r4",
                "expected": "0x2",
                "found": "0x0",
                "repeats": true,
                "program": null,
                "sequence": null,
                "engine": "libfuzzer",
                "found_steps": 5,
                "steps": steps,
                "minimal": true,
                "file": file("realmode", &one),
                "found_file": file("found.realmode", &one),
                "report_file": file("report.txt", &one),
                "test_file": file("test.rs", &one),
                "from": "in/crash-a",
                "others": 1,
            }],
        }),
        "{said}"
    );
    // Keys that the JSON of a campaign has too have the same names there.
    let args =
        ["fuzz", "--subject", "canary", "--programs", "2000", "--seed", "7", "--jobs", "1", "--json", "fuzz.json"];
    expect(&here, &args, 1);
    let campaign: serde_json::Value = serde_json::from_str(&text(&here, "fuzz.json")).expect("JSON");
    for key in ["rule", "field", "step_kind", "what", "expected", "found", "steps", "minimal", "file"] {
        assert!(campaign["findings"][0].get(key).is_some(), "{key} in {campaign}");
    }
    // Without findings the command writes JSON too.
    expect(&here, &["triage", "in/slow-unit-c", "--json", "none.json"], 0);
    let json: serde_json::Value = serde_json::from_str(&text(&here, "none.json")).expect("JSON");
    assert_eq!((&json["files"], &json["agreed"], &json["findings"]), (&1.into(), &1.into(), &serde_json::json!([])));
}

/// The file with this ending that triage writes for the canary's finding on `program`.
fn file(ending: &str, program: &Program) -> String {
    format!("out/canary-diverge-r4-libfuzzer-{}.{ending}", store::fingerprint(program))
}

#[test]
fn triage_takes_the_crashes_and_hangs_of_afl() {
    let here = folder();
    afl(&here);
    let said = expect(&here, &["triage", "--subject", "canary", "afl"], 1);
    let lines: Vec<&str> = said.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].starts_with("afl/main/crashes/id:000000,sig:06,src:000002: DIVERGE.R4 at step 2 "), "{said}");
    assert!(
        lines[1].starts_with("afl/second/crashes.2026-01-31-10:00:00/id:000009,sig:06,src:1: DIVERGE.R4 as afl/main")
    );
    assert!(lines[2].starts_with("afl/second/hangs/id:000000,src:000002: "), "{said}");
    let name = store::fingerprint(&parse(PROGRAM).expect("a program"));
    assert!(names(&here, "findings").contains(&format!("canary-diverge-r4-afl-{name}.report.txt")));
    // A folder without crashes is no error, because scripts triage after every run.
    fs::create_dir(here.path().join("empty")).expect("a folder");
    assert_eq!(expect(&here, &["triage", "empty"], 0), "\n0 agreed, 0 with a finding, 0 different\n");
}

#[test]
fn a_check_that_makes_no_end_is_kept_as_it_was_found() {
    let here = folder();
    let mut long = parse(PROGRAM).expect("a program");
    let calls = long.steps.clone();
    long.steps = std::iter::repeat_n(calls, 800).flatten().collect();
    write(&here, "timeout-a", encode(&long));
    write(&here, "timeout-b", encode(&long));
    let said = expect(&here, &["triage", "--limit", "1ns", "timeout-a"], 1);
    let name = format!("subject-hang-libfuzzer-{}", store::fingerprint(&long));
    assert!(said.contains("\nFINDING SUBJECT.HANG at "), "{said}");
    assert!(said.contains(": time of the check: expected an end within 1ns, found none\n"), "{said}");
    assert!(
        said.contains("\n  libfuzzer, timeout-a, 4000 steps as found, not shrunk: its check did not end\n"),
        "{said}"
    );
    let files = BTreeSet::from([format!("{name}.found.realmode"), format!("{name}.report.txt")]);
    assert_eq!(names(&here, "findings"), files);
    assert_eq!(parse(&text(&here, &format!("findings/{name}.found.realmode"))).as_ref(), Ok(&long));
    let report = text(&here, &format!("findings/{name}.report.txt"));
    assert!(report.starts_with("finding    SUBJECT.HANG: the implementation did not return\n"), "{report}");
    // After one file that hangs, triage still checks the others.
    let said = expect(&here, &["triage", "--limit", "1ns", "timeout-a", "timeout-b"], 1);
    assert!(said.contains("timeout-b: ") && said.contains(" 2 with a finding, "), "{said}");
    expect(&here, &["triage", "timeout-a", "timeout-b"], 0);
}

/// The candidate, except that its H_STUFF_TCE hangs without any access that lockstep could count. If `panicking`, its
/// `bound` panics, which lockstep does not expect and does not catch.
#[derive(Default)]
struct Stuck {
    inner: Candidate,
    panicking: bool,
    /// Hangs at the start of a program.
    at_start: bool,
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

impl Subject for Stuck {
    fn name(&self) -> &str {
        "stuck"
    }
    fn start(&mut self, dialect: Dialect, machine: &Machine) {
        if self.at_start {
            park();
        }
        self.inner.start(dialect, machine);
    }
    fn bound(&self) -> Bound {
        assert!(!self.panicking, "a mistake in the harness");
        self.inner.bound()
    }
    fn real_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        if call.opcode == H_STUFF_TCE {
            park();
        }
        self.inner.real_mode(cpu, call)
    }
    fn virtual_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        self.inner.virtual_mode(cpu, call)
    }
    fn pfn_to_page(&self, cpu: &Cpu<'_>, pfn: Pfn) -> Option<RealAddr> {
        self.inner.pfn_to_page(cpu, pfn)
    }
    fn get_page_unless_zero(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        self.inner.get_page_unless_zero(cpu, pfn)
    }
    fn put_page_unless_one(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        self.inner.put_page_unless_one(cpu, pfn)
    }
    fn hot_add(&self, section: u64, blocks: &[AddrRun]) {
        self.inner.hot_add(section, blocks);
    }
    fn hot_remove(&self, section: u64) {
        self.inner.hot_remove(section);
    }
    fn set_slot(&mut self, slot: &SlotSpec) {
        self.inner.set_slot(slot);
    }
    fn create_window(&mut self, window: &WindowSpec) {
        self.inner.create_window(window);
    }
    fn close_window(&mut self, cpu: &Cpu<'_>, liobn: Liobn) {
        self.inner.close_window(cpu, liobn);
    }
}

#[test]
fn a_hang_is_told_with_its_step() {
    let mut program = parse(PROGRAM).expect("a program");
    let call = Hypercall { opcode: hcall::H_STUFF_TCE, args: [1, 0, 0, 1] };
    program.steps.insert(4, Step::Hypercall { vcpu: 0, call });
    let alone = |program: &Program| Sequence::after(Vec::new(), program.clone());
    let stuck = || Checker::new(Box::new(Stuck::default()));
    let started = Instant::now();
    let checked = check_within(Duration::from_millis(500), stuck(), &alone(&program)).expect("a thread");
    assert!(started.elapsed() < Duration::from_secs(20));
    let Checked { verdict: Verdict::Finding(finding), late: true, .. } = checked else { panic!("{checked:?}") };
    assert_eq!((finding.rule, finding.kind.name()), (Rule::SubjectHang, "H_STUFF_TCE"));
    // Step 4 in the count from 0 is the hanging call. Step 3, the `drop`, is skipped, so both sides agreed last on step
    // 2.
    assert_eq!((finding.place, finding.agreed), (realmode_diff::check::Place::Step(4), Some(2)));
    let at_start = Checker::new(Box::new(Stuck { at_start: true, ..Stuck::default() }));
    let checked = check_within(Duration::from_millis(500), at_start, &alone(&program)).expect("a thread");
    let Checked { verdict: Verdict::Finding(finding), late: true, .. } = checked else { panic!("{checked:?}") };
    assert_eq!((finding.place, finding.agreed), (realmode_diff::check::Place::Start, None));
    program.steps.remove(4);
    let checked = check_within(Duration::from_secs(60), stuck(), &alone(&program)).expect("a thread");
    assert!(!checked.late && checked.verdict.finding().is_none());
    let panicking = Checker::new(Box::new(Stuck { panicking: true, ..Stuck::default() }));
    let checked = check_within(Duration::from_secs(60), panicking, &alone(&program)).expect("a thread");
    // A panic outside the calls of the subject is a fault of the harness and blames no subject.
    assert!(!checked.late, "{checked:?}");
    let finding = checked.verdict.finding().expect("a finding");
    assert_eq!((finding.rule, finding.place), (Rule::HarnessFault, realmode_diff::check::Place::Step(1)), "{finding}");
    assert!(finding.found.starts_with("panic: a mistake in the harness (line "), "{finding}");
    let canary =
        check_within(Duration::from_secs(60), SubjectKind::Canary.checker(), &alone(&program)).expect("a thread");
    assert!(!canary.late && canary.verdict.finding().is_some());
}

// ---- bad input ------------------------------------------------------------------------------------------------------

#[test]
fn bad_input_is_told() {
    let here = folder();
    write(&here, "bad.realmode", PROGRAM.replace("drop 0x3f", "drop all"));
    write(&here, "texts without ending", PROGRAM.replace("drop 0x3f", "drop all"));
    write(&here, "notes/readme.txt", "no program");
    write(&here, "file", "in the way");
    write(&here, "good.realmode", PROGRAM);
    let place = "realmode: bad.realmode:11:6: found `all`, expected a pfn\n";
    for args in [
        &["corpus", "pack", "bad.realmode", "-o", "out"][..],
        &["corpus", "unpack", "bad.realmode", "-o", "out"],
        &["corpus", "migrate", "bad.realmode"],
        &["corpus", "stats", "bad.realmode"],
        &["triage", "good.realmode", "bad.realmode"],
    ] {
        refuse(&here, args, 2, place);
        let args: Vec<&str> = args.iter().map(|arg| if *arg == "bad.realmode" { "missing" } else { *arg }).collect();
        refuse(&here, &args, 2, "realmode: missing: No such file");
    }
    let says = "realmode: texts without ending:11:6: found `all`, expected a pfn\n";
    refuse(&here, &["triage", "texts without ending"], 2, says);
    refuse(
        &here,
        &["corpus", "pack", "notes", "-o", "out"],
        2,
        "realmode: notes: found no file that ends in .realmode",
    );
    for args in [&["unpack", "notes", "-o", "out"][..], &["migrate", "notes"], &["stats", "notes"]] {
        refuse(&here, &[&["corpus"], args].concat(), 2, "realmode: notes: found no file of a program\n");
    }
    // `pack` reads texts only, and no command reads a file of more than 64 MiB.
    write(&here, "packed", encode(&program(1)));
    refuse(&here, &["corpus", "pack", "packed", "-o", "out"], 2, "realmode: packed:");
    let large = fs::File::create(here.path().join("large")).expect("a file");
    large.set_len((1 << 26) + 1).expect("room");
    let says = "realmode: large: found 67108865 bytes, expected a program of at most 67108864\n";
    refuse(&here, &["corpus", "stats", "large"], 2, says);
    // A program that is too long as text is not written, because no command could read it.
    let mut long = parse(PROGRAM).expect("a program");
    let words: Vec<WordRun> = (0..20).map(|run| WordRun { value: u64::MAX - run, stride: 0x123, count: 2 }).collect();
    long.steps = vec![Step::Write { gpa: Gpa(0), words }; 4000];
    assert_eq!(long.validate(), Ok(()));
    write(&here, "long", encode(&long));
    let says = format!(
        "realmode: long: found a program of {} bytes as text, expected at most 1048576\n",
        long.to_string().len()
    );
    refuse(&here, &["corpus", "unpack", "long", "-o", "out"], 2, &says);
    assert!(!here.path().join("out").exists());
    // The output cannot be written, because a file is in its way.
    for args in [
        &["corpus", "pack", "good.realmode", "-o", "file"][..],
        &["corpus", "unpack", "good.realmode", "-o", "file/below"],
    ] {
        refuse(&here, args, 3, "realmode: file/");
    }
    let ran = run(&here, &["triage", "--subject", "canary", "good.realmode", "--out", "file"]);
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("realmode: file/canary-diverge-r4-file-"), "{}", ran.stderr);
    assert_eq!(text(&here, "file"), "in the way");
}

#[test]
fn bad_arguments_have_status_2() {
    let here = folder();
    write(&here, "a.realmode", PROGRAM);
    let cases: [&[&str]; 13] = [
        &["corpus"],
        &["corpus", "sort"],
        &["corpus", "pack", "a.realmode"],
        &["corpus", "pack", "-o", "out"],
        &["corpus", "unpack", "a.realmode", "-o", "out", "--focus", "put-tce"],
        &["corpus", "migrate"],
        &["corpus", "stats"],
        &["triage"],
        &["triage", "a.realmode", "--focus", "everything"],
        &["triage", "a.realmode", "--engine", "../up"],
        &["triage", "a.realmode", "--engine", ""],
        &["triage", "a.realmode", "--limit", "soon"],
        &["triage", "a.realmode", "--subject", "nobody"],
    ];
    for args in cases {
        let ran = run(&here, args);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{args:?}: {}", ran.stderr);
    }
    assert_eq!(names(&here, "."), BTreeSet::from(["a.realmode".to_string()]), "nothing is left behind");
    for args in [&["corpus"][..], &["corpus", "pack"], &["corpus", "migrate"], &["triage"]] {
        let help = expect(&here, &[args, &["--help"]].concat(), 0);
        assert!(help.contains("Usage: realmode "), "{help}");
    }
}

/// `draw` packs the programs that a campaign with that seed checks. `--steps` cuts them off.
#[test]
fn draw_packs_the_programs_of_a_campaign() {
    let here = folder();
    let said = expect(&here, &["corpus", "draw", "--seed", "7", "--programs", "20", "-o", "drawn"], 0);
    assert_eq!(said, "drawn: 20 written, 0 already there, 0 equal to another\n");
    let drawn: Vec<Program> = (0..20).map(|index| generate(&GeneratorConfig::default(), 7, index)).collect();
    let expected: BTreeSet<String> = drawn.iter().map(store::fingerprint).collect();
    assert_eq!(names(&here, "drawn"), expected);
    let first = store::fingerprint(&drawn[0]);
    assert_eq!(decode_exact(&read(&here, &format!("drawn/{first}"))), Ok(drawn[0].clone()));
    expect(&here, &["corpus", "draw", "--seed", "7", "--programs", "20", "--steps", "8", "-o", "short"], 0);
    for name in names(&here, "short") {
        assert!(decode(&read(&here, &format!("short/{name}"))).steps.len() <= 8);
    }
}
