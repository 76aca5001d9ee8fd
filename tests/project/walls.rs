//! Tests of the invariants in docs/architecture.md that concern the structure of the project.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use contract::dialect::{Dialect, Field};

use super::files::{read, root};

/// The Rust files in a folder and below it, sorted.
pub(crate) fn sources(folder: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect(&root().join(folder), &mut files);
    files.sort();
    assert!(!files.is_empty(), "{folder} has no sources");
    files
}

/// Returns the names in the `[dependencies]` and `[dev-dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in read(manifest).lines() {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.contains("dependencies");
        } else if inside && let Some((name, _)) = line.split_once('=') {
            names.push(name.trim().to_string());
        }
    }
    names
}

/// Returns a file's code without comments, so that a word in a comment does not count as a use.
pub(crate) fn code(path: &Path) -> String {
    fs::read_to_string(path)
        .expect("a source file")
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Invariant 1: reference and candidate are two independent readings of docs/semantics.md. Shared code would hide a
/// shared mistake.
#[test]
fn reference_and_candidate_share_nothing_but_the_contract() {
    assert_eq!(dependencies("reference/Cargo.toml"), ["contract"], "the reference needs only the contract");
    for name in dependencies("candidate/Cargo.toml") {
        let allowed = ["contract", "machine", "once_cell", "loom"];
        assert!(allowed.contains(&name.as_str()), "the candidate depends on {name}");
    }
    assert_eq!(dependencies("machine/Cargo.toml"), ["contract"], "the simulated machine needs only the contract");
    // loom serves only its own tests (scripts/loom), and no other build uses it.
    assert!(read("candidate/Cargo.toml").contains("[target.'cfg(loom)'.dependencies]\nloom = "));
    for file in sources("reference/src") {
        assert!(!code(&file).contains("candidate"), "{} names the candidate", file.display());
        assert!(
            !code(&file).contains("blocks_of_section"),
            "{} takes its arithmetic from the contract",
            file.display()
        );
    }
    for file in sources("candidate/src") {
        assert!(!code(&file).contains("reference::"), "{} names the reference", file.display());
        assert!(
            !code(&file).contains("blocks_of_section"),
            "{} takes its arithmetic from the contract",
            file.display()
        );
    }
}

/// Invariants 1 and 2: what a dialect answers stands in `reference/src/dialects.rs`, and a second time, read
/// independently, in `candidate/src/dialect.rs`. The contract only has the words for it.
#[test]
fn the_contract_holds_no_dialects_answers() {
    // The types of answers have the names of the fields.
    let types: Vec<String> = Field::ALL.iter().map(|field| format!("{field:?}")).collect();
    let chosen_in = |path: &Path| -> Vec<String> {
        let code = code(path);
        types.iter().map(|name| format!("{name}::")).filter(|choice| code.contains(choice)).collect()
    };
    for file in sources("contract/src") {
        assert!(chosen_in(&file).is_empty(), "{} chooses answers: {:?}", file.display(), chosen_in(&file));
        let code = code(&file).replace("pub struct Answers {", "").replace("impl Answers {", "");
        for word in ["Answers {", "-> Answers", ": Answers"] {
            assert!(!code.contains(word), "{} makes answers: it contains `{word}`", file.display());
        }
    }
    // The patterns above find the two files that do choose.
    for file in ["reference/src/dialects.rs", "candidate/src/dialect.rs"] {
        assert!(!chosen_in(&root().join(file)).is_empty(), "{file} chooses no answers");
    }
    assert!(code(&root().join("reference/src/dialects.rs")).contains(": Answers"));
    // The candidate has no answers in the form of the reference's.
    for file in sources("candidate/src") {
        let name = file.strip_prefix(root()).expect("below the root");
        assert!(!code(&file).contains("Answers"), "{} names the reference's form of answers", name.display());
        let reading = name.ends_with("candidate/src/dialect.rs");
        assert!(reading || chosen_in(&file).is_empty(), "{} asks {:?}", name.display(), chosen_in(&file));
    }
}

/// The only file of the contract that holds values of dialects: which windows a valid description may have.
const VALUES_OF_DIALECTS: &str = "contract/src/dialect/windows.rs";

/// Returns what tells dialects apart in this code: the names of dialects, and comparisons of a dialect.
fn tells_dialects_apart(code: &str) -> Vec<String> {
    let words: BTreeSet<&str> = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let variants = Dialect::ALL.map(|dialect| format!("{dialect:?}")).into_iter();
    let names = Dialect::ALL.map(|dialect| format!("\"{dialect}\"")).into_iter();
    let comparisons = ["match dialect", ".dialect {", "dialect ==", "dialect !=", "dialect as ", "Dialect::ALL"];
    let comparisons = comparisons.into_iter().chain(["Dialect::default()", "discriminant"]).map(String::from);
    variants
        .filter(|variant| words.contains(variant.as_str()))
        .chain(names.chain(comparisons).filter(|text| code.contains(text.as_str())))
        .collect()
}

/// Invariant 2: the contract tells dialects apart in one file only, apart from their names. Neither side nor the
/// machine asks that file, so that a mistake in it cannot hide in both.
#[test]
fn the_contract_has_values_of_dialects_in_one_place() {
    let values = root().join(VALUES_OF_DIALECTS);
    assert!(!tells_dialects_apart(&code(&values)).is_empty(), "{VALUES_OF_DIALECTS} holds no values");
    for file in sources("contract/src").into_iter().filter(|file| *file != values) {
        let mut code = code(&file);
        if file.ends_with("contract/src/dialect/mod.rs") {
            // The dialects themselves, their order and their names.
            let all = Dialect::ALL.map(|dialect| format!("Self::{dialect:?}")).join(", ");
            let mut declared = vec![format!("[Self; {}] = [{all}];", Dialect::ALL.len())];
            declared.extend(Dialect::ALL.map(|dialect| format!("\n    {dialect:?},\n")));
            declared.extend(Dialect::ALL.map(|dialect| format!("Self::{dialect:?} => \"{dialect}\",")));
            for text in declared {
                assert!(code.contains(&text), "{} does not contain `{text}`", file.display());
                code = code.replacen(&text, "\n", 1);
            }
        }
        let found = tells_dialects_apart(&code);
        assert!(found.is_empty(), "{} tells dialects apart: it contains {found:?}", file.display());
    }
    let text = code(&values);
    let questions: Vec<&str> = text.split("pub const fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    assert!(questions.contains(&"has_pinned_windows"), "{questions:?}");
    let asks = |file: &Path| -> Vec<&&str> {
        let code = code(file);
        questions.iter().filter(|question| code.contains(&format!("{question}("))).collect()
    };
    // `WindowSpec::validate` asks.
    assert!(!asks(&root().join("contract/src/description.rs")).is_empty());
    for folder in ["contract/src", "reference/src", "candidate/src", "machine/src", "abi/src"] {
        for file in sources(folder) {
            if file == values || file.ends_with("contract/src/description.rs") {
                continue;
            }
            assert!(asks(&file).is_empty(), "{} asks the contract: {:?}", file.display(), asks(&file));
            let decides = matches!(folder, "reference/src" | "candidate/src");
            assert!(!decides || !code(&file).contains("validate("), "{} lets the contract decide", file.display());
        }
    }
}

/// Tests the search of the test above.
#[test]
fn code_that_tells_dialects_apart_is_seen() {
    for planted in [
        "match self { Self::Kvm => 1, _ => 2 }",
        "match program.dialect { _ => 2 }",
        "match dialect {\n_ => 2 }",
        "if self.dialect == other { 1 } else { 2 }",
        "if dialect.name() == \"qemu\" { 1 } else { 2 }",
        "[64, 64, 32][dialect as usize]",
        "Dialect::ALL.iter().position(|other| *other == *self)",
    ] {
        assert!(!tells_dialects_apart(planted).is_empty(), "{planted}");
    }
    for fine in ["Dialect::from_name(word)", "writeln!(f, \"dialect {}\", self.dialect)", "pub dialect: Dialect,"] {
        assert!(tells_dialects_apart(fine).is_empty(), "{fine}: {:?}", tells_dialects_apart(fine));
    }
}

/// The fuzz targets and AFL++'s mutator do not depend on crates that serve the terminal.
#[test]
fn only_the_command_knows_the_terminal() {
    for manifest in
        ["contract", "machine", "reference", "candidate", "abi", "programs", "harness", "fuzz", "fuzz/afl-mutator"]
    {
        for name in dependencies(&format!("{manifest}/Cargo.toml")) {
            assert!(
                !matches!(name.as_str(), "clap" | "indicatif" | "ctrlc" | "realmode"),
                "{manifest} depends on {name}"
            );
        }
    }
    assert_eq!(dependencies("fuzz/afl-mutator/Cargo.toml"), ["programs", "rand"]);
}

/// Invariants 1 and 2: the contract depends on no crate of ours, and on serde only where a dependent asks for it.
#[test]
fn the_contract_depends_on_nothing() {
    let manifest = read("contract/Cargo.toml");
    assert_eq!(dependencies("contract/Cargo.toml"), ["serde"]);
    let line = manifest.lines().find(|line| line.starts_with("serde = ")).expect("serde has a line of its own");
    for word in ["optional = true", "default-features = false"] {
        assert!(line.contains(word), "serde is optional and works without std: {line}");
    }
    assert!(!manifest.contains("[features]"), "no feature of the contract brings serde in by default");
    assert!(read("contract/src/lib.rs").contains("#![no_std]"));
}

/// The real-mode half uses no allocator, no lock and no panic. The compiler enforces the lints; this test checks that
/// they are denied, and searches the source for the rest.
#[test]
fn the_real_mode_half_cannot_allocate_or_lock() {
    let lib = read("candidate/src/lib.rs");
    assert!(lib.contains("#![no_std]") && lib.contains("#![forbid(unsafe_code)]"));
    assert!(!lib.contains("extern crate alloc"), "the crate's root must not declare alloc, nor contain the words");
    for lint in ["indexing_slicing", "unwrap_used", "expect_used", "panic", "unreachable", "arithmetic_side_effects"] {
        let denied = [code(&root().join("candidate/src/lib.rs")), code(&root().join("candidate/src/real_mode/mod.rs"))]
            .iter()
            .flat_map(|code| code.split("#![deny(").skip(1))
            .filter_map(|rest| rest.split(")]").next())
            .any(|lints| lints.split(',').any(|denied| denied.trim() == format!("clippy::{lint}")));
        assert!(denied, "clippy::{lint} is not denied in the real-mode half");
    }
    for file in sources("candidate/src/real_mode") {
        let code = code(&file);
        for word in
            ["alloc", "std::", "Box", "Vec", "String", "format!", "Mutex", "RwLock", "virtual_mode", "Mode::Virtual"]
        {
            assert!(!code.contains(word), "{} contains {word}", file.display());
        }
    }
}

/// Invariant 3: the oracle reads the machine and never what an implementation says about itself.
#[test]
fn the_oracle_does_not_know_subjects() {
    let oracle = code(&root().join("harness/src/check/oracle.rs"));
    for word in ["Subject", "candidate", "Candidate"] {
        assert!(!oracle.contains(word), "the oracle contains {word}");
    }
}

/// Invariant 8: planted faults are patches, never hooks in the candidate's source.
#[test]
fn the_candidate_has_no_hooks_for_defects() {
    for file in sources("candidate/src") {
        let code = code(&file).to_lowercase();
        for word in ["defect", "mutant", "sabotage", "cfg(feature", "env!("] {
            assert!(!code.contains(word), "{} contains {word}", file.display());
        }
    }
}

/// Unsafe code is forbidden or denied in every crate. The only exceptions are the files below, which link with an
/// engine or call a library in C; each unsafe place in them has a `SAFETY:` comment.
#[test]
fn unsafe_code_is_fenced() {
    assert!(read("Cargo.toml").contains("unsafe_code = \"deny\""));
    let fenced = [
        "abi/src/foreign.rs",
        "abi/src/library.rs",
        "abi/src/services.rs",
        "abi/src/view.rs",
        "fuzz/src/lib.rs",
        "fuzz/src/libfuzzer.rs",
        "fuzz/src/aflpp.rs",
        "fuzz/afl-mutator/src/lib.rs",
    ];
    let folders = [
        "src",
        "contract/src",
        "machine/src",
        "reference/src",
        "candidate/src",
        "abi/src",
        "programs/src",
        "harness/src",
        "fuzz",
    ];
    for folder in folders {
        for file in sources(folder) {
            let name = file.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            let code = code(&file);
            let names = if name == "fuzz/afl-mutator/src/lib.rs" { "#[unsafe(link_section" } else { "#[unsafe(" };
            let unsafe_places = code.matches("unsafe {").count() + code.matches(names).count();
            if fenced.contains(&name.as_str()) {
                let text = fs::read_to_string(&file).expect("a source file");
                assert!(unsafe_places > 0, "{name} has no unsafe code and needs no exception");
                assert!(text.matches("SAFETY: ").count() >= unsafe_places, "{name} has unsafe code without its reason");
            } else {
                assert_eq!(unsafe_places, 0, "{name} has unsafe code");
                assert!(!code.contains("allow(unsafe_code"), "{name} allows unsafe code");
            }
        }
    }
}
