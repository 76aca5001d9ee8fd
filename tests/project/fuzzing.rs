//! Compares the fuzz targets with the documents, scripts, dictionaries and code that name them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use programs::encoding::{KEYS, encode};
use programs::focus::Focus;
use programs::generate::{GeneratorConfig, generate};
use programs::store;
use realmode_diff::check::feedback::{COMBINATIONS, describe};
use realmode_diff::hunts::engine::{Engine, EngineRun, MAX_WORK, text, work};
use realmode_diff::{Program, Rule, SubjectKind};

use super::files::{read, root};

fn targets() -> BTreeSet<String> {
    let files = fs::read_dir(root().join("fuzz/fuzz_targets")).expect("the targets");
    let name = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    files.map(|entry| name(entry.expect("an entry").path())).collect()
}

/// Returns the first word in backticks of each row of a table.
fn rows(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split('`').next())
        .map(str::to_string)
        .collect()
}

#[test]
fn documents_manifest_and_scripts_name_the_targets() {
    let targets = targets();
    let fuzzing = read("docs/fuzzing.md");
    let table = fuzzing.split("## Targets").nth(1).expect("a section").split("\n## ").next().expect("a section");
    assert_eq!(rows(table), targets, "docs/fuzzing.md");
    let readme = read("README.md");
    let table = readme.split("### Fuzz targets").nth(1).expect("a section").split("\n## ").next().expect("a section");
    assert_eq!(rows(table), targets, "README.md");
    let lib = read("scripts/lib.sh");
    let list = lib.split("targets=(").nth(1).and_then(|rest| rest.split(')').next()).expect("a list");
    assert_eq!(list.split(' ').map(str::to_string).collect::<BTreeSet<_>>(), targets, "scripts/lib.sh");
    let manifest = read("fuzz/Cargo.toml");
    let bins: BTreeSet<String> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"))
        .filter_map(|rest| rest.split('.').next())
        .map(str::to_string)
        .collect();
    assert_eq!(bins, targets, "fuzz/Cargo.toml");
    let others: BTreeSet<String> = Focus::ALL.map(|focus| focus.name().to_string()).into();
    assert!(others.is_subset(&targets));
}

/// The values of an option in a text: the words after each `--OPTION`, without the quotes and commas at their ends.
fn values_of<'a>(text: &'a str, option: &'a str) -> impl Iterator<Item = &'a str> {
    let words = text.split_whitespace();
    words
        .clone()
        .zip(words.skip(1))
        .filter(move |(word, _)| *word == option)
        .map(|(_, value)| value.trim_end_matches(['`', '"', ',']))
}

/// Fuzzing engines instrument the crates whose lines `scripts/coverage` measures.
#[test]
fn engines_instrument_what_coverage_measures() {
    let coverage = read("scripts/coverage");
    let sources = coverage.split("sources=(").nth(1).and_then(|rest| rest.split(')').next()).expect("a list");
    let sources: BTreeSet<&str> = sources.split(' ').filter_map(|folder| folder.strip_suffix("/src")).collect();
    assert_eq!(sources, BTreeSet::from(["candidate", "contract", "machine", "reference"]));
    for wrapper in ["fuzz/instrument", "fuzz/instrument-afl"] {
        let text = read(wrapper);
        assert_eq!(values_of(&text, "--crate-name").collect::<BTreeSet<_>>(), sources, "{wrapper}");
    }
}

/// The packages, tests and benchmarks that scripts name exist. Most scripts are too slow to run in a test.
#[test]
fn scripts_name_what_exists() {
    let mut packages = BTreeSet::new();
    for manifest in [".", "contract", "machine", "reference", "candidate", "abi", "programs", "harness", "fuzz"] {
        let manifest = read(format!("{manifest}/Cargo.toml"));
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        packages.insert(name.expect("a package").to_string());
    }
    packages.insert("realmode-afl-mutator".into());
    let mut found = 0;
    for folder in ["scripts", ".ci", "oss-fuzz"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("text");
            let script = path.display();
            let literal =
                |option| values_of(&text, option).filter(|value| value.starts_with(|c: char| c.is_ascii_lowercase()));
            for package in literal("--package").filter(|name| name.starts_with("realmode")) {
                assert!(packages.contains(package), "{script} names the package {package}");
                found += 1;
            }
            for test in literal("--test") {
                assert!(root().join(format!("tests/{test}/main.rs")).exists(), "{script} names the test {test}");
                found += 1;
            }
            for bench in literal("--bench") {
                assert!(root().join(format!("benches/{bench}.rs")).exists(), "{script} names the benchmark {bench}");
                found += 1;
            }
            // A word with `::` at its end filters tests by their module.
            for line in text.lines().filter(|line| line.contains("--test ")) {
                for module in line.split_whitespace().filter_map(|word| word.strip_suffix("::")) {
                    let test = values_of(line, "--test").next().expect("a test");
                    assert!(
                        root().join(format!("tests/{test}/{module}.rs")).exists(),
                        "{script} names the module {module} of the test {test}"
                    );
                }
            }
        }
    }
    assert!(found >= 10, "only {found} names");
}

#[test]
fn targets_are_glue() {
    for target in targets() {
        let text = read(format!("fuzz/fuzz_targets/{target}.rs"));
        assert!(text.lines().count() <= 20, "{target} has more than 20 lines");
        assert!(text.starts_with("//! "), "{target} does not say what it is for");
    }
}

#[test]
fn the_dictionary_has_every_key() {
    let dictionary = read("fuzz/dictionaries/program.dict");
    let words: BTreeSet<&str> = dictionary
        .lines()
        .filter_map(|line| line.split_once("=\""))
        .filter_map(|(_, rest)| rest.strip_suffix('"'))
        .filter(|word| word.len() == 4 && !word.contains('\\'))
        .collect();
    let keys: BTreeSet<&str> = KEYS.iter().map(|(key, _)| std::str::from_utf8(key).expect("letters")).collect();
    assert_eq!(words, keys);
    assert_eq!(keys.len(), KEYS.len(), "keys are unique");
}

fn corpus() -> Vec<Program> {
    programs("corpora")
}

fn programs(folder: &str) -> Vec<Program> {
    let files = store::programs_under(&root().join(folder)).expect("the corpora");
    files.iter().map(|file| programs::inputs::read_text(file).expect("a program")).collect()
}

/// The part of a program that a focus keeps is a valid program, and contains nothing that the focus leaves out.
#[test]
fn a_focus_keeps_its_part() {
    let drawn = (0..2000).map(|index| generate(&GeneratorConfig::default(), 5, index));
    for program in corpus().into_iter().chain(drawn) {
        for focus in Focus::ALL {
            let mut part = program.clone();
            focus.apply(&mut part);
            assert_eq!(part.validate(), Ok(()), "{}\n{program}", focus.name());
            assert!(part.steps.iter().all(|step| focus.keeps(step)));
            let again = part.clone();
            focus.apply(&mut part);
            assert_eq!(part, again);
        }
    }
}

/// Every target reaches something on the corpora and agrees on it, and the numbers that it reports are in range and
/// have names.
#[test]
fn targets_run_the_corpora() {
    for focus in Focus::ALL {
        let mut engine = Engine::new(focus, SubjectKind::Candidate).expect("an engine");
        let mut reached = BTreeSet::new();
        let mut run = |folder: &str| {
            let mut rejected = 0;
            for program in programs(folder) {
                match engine
                    .run(&encode(&program), &mut |combination| _ = reached.insert(combination))
                    .expect("a subject")
                {
                    EngineRun::Agreed => {}
                    EngineRun::NotCompared(not) => panic!("{not}"),
                    EngineRun::Rejected => rejected += 1,
                    EngineRun::Finding(finding, _) => panic!("{}: {finding}\n{program}", focus.name()),
                }
            }
            rejected
        };
        // Engines keep programs that a target rejects, because rejecting is a branch of its own. So `corpora/minimized`
        // has some.
        run("corpora/minimized");
        let rejected = run("corpora/seeds");
        assert!(reached.iter().all(|&combination| combination < COMBINATIONS));
        let names: BTreeSet<String> = reached.iter().map(|&combination| describe(combination)).collect();
        assert_eq!(names.len(), reached.len());
        let least = if focus == Focus::Lookup { 10 } else { 20 };
        assert!(reached.len() >= least, "{} reached {names:?}", focus.name());
        assert!(rejected < 10, "{} rejected {rejected}", focus.name());
    }
}

/// The names of all combinations are different. Each rule that can decide a step has combinations, and no other rule
/// has.
#[test]
fn every_combination_names_a_rule_that_steps_decide() {
    let of = |combination| describe(combination).split(" x ").next().map(str::to_string);
    let named: BTreeSet<_> = (0..COMBINATIONS).filter_map(of).collect();
    let outcomes: BTreeSet<_> = Rule::outcomes().map(|rule| rule.id().to_string()).collect();
    assert_eq!(named, outcomes);
    let described: BTreeSet<_> = (0..COMBINATIONS).map(describe).collect();
    assert_eq!(described.len(), COMBINATIONS);
}

#[test]
fn the_canary_is_found_on_the_corpora() {
    let mut engine = Engine::new(Focus::Program, SubjectKind::Canary).expect("an engine");
    let found =
        corpus().iter().any(|program| matches!(engine.run(&encode(program), &mut |_| {}), Ok(EngineRun::Finding(..))));
    assert!(found);
}

#[test]
fn programs_that_take_long_are_rejected() {
    let text = "realmode-program 1\ndialect kvm\n\
                machine flatmem page_shift=16 struct_page=64 array=0x8000000 pages=32\n\
                window 0x1 page_shift=16 base=0x0 entries=65536 emulated table=0x9000000\nsteps\n\
                cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=65536\n";
    let program = realmode_diff::parse(text).expect("a program");
    assert!(work(&program) > MAX_WORK);
    let mut engine = Engine::new(Focus::Program, SubjectKind::Candidate).expect("an engine");
    assert!(matches!(engine.run(&encode(&program), &mut |_| panic!("it ran")), Ok(EngineRun::Rejected)));
}

#[test]
fn programs_of_another_version_are_rejected() {
    let mut engine = Engine::new(Focus::Program, SubjectKind::Candidate).expect("an engine");
    let mut bytes = encode(&corpus()[0]);
    assert!(matches!(engine.run(&bytes, &mut |_| {}), Ok(EngineRun::Agreed)));
    bytes[4] = 2;
    assert!(matches!(engine.run(&bytes, &mut |_| panic!("it ran")), Ok(EngineRun::Rejected)));
}

#[test]
fn the_text_target_takes_anything() {
    for program in corpus() {
        let mut bytes = program.to_string().into_bytes();
        text(&bytes);
        let middle = bytes.len() / 2;
        text(&bytes[..middle]);
        bytes[middle] = 0xff;
        text(&bytes);
    }
    for bytes in [&b""[..], b"\n\n\n", b"realmode-program 2", &[0xff; 64], b"realmode-program 1\ndialect \0"] {
        text(bytes);
    }
}

/// With `--no-corpora` an engine starts from a program that does nothing.
#[test]
fn the_start_of_engines_does_nothing() {
    let start = realmode_diff::parse(&read("fuzz/start.realmode")).expect("a program");
    assert!(start.steps.is_empty() && start.machine.windows.is_empty() && start.machine.slots.is_empty(), "{start}");
    let run = Engine::new(Focus::Program, SubjectKind::Candidate)
        .expect("an engine")
        .run(&encode(&start), &mut |_| unreachable!())
        .expect("a subject");
    assert!(matches!(run, EngineRun::Agreed), "{run:?}");
}
