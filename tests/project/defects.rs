//! Tests of the planted faults. Each patch in `tests/defects/` applies to the candidate as it is, each in
//! `tests/defects/reference/` to the reference. Each changes nothing else, and its header names the rule that must find
//! it. `scripts/defects` builds and runs them.

use std::path::PathBuf;
use std::process::Command;

use realmode_diff::Rule;

use super::files::root;

/// The folders of patches, each with the path that its patches may change and the least number of patches.
const ROOMS: [(&str, &str, usize); 2] =
    [("tests/defects", "b/candidate/src/", 42), ("tests/defects/reference", "b/reference/src/", 6)];

fn patches_in((folder, _, least): (&str, &str, usize)) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(folder))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "patch"))
        .collect();
    files.sort();
    assert!(files.len() >= least, "only {} patches in {folder}", files.len());
    files
}

fn patches() -> Vec<PathBuf> {
    ROOMS.into_iter().flat_map(patches_in).collect()
}

/// Whether the text begins with a commit of the kernel and its version, such as `bd8cb03dbe77 (2014)`.
fn names_commit(text: &str) -> bool {
    let hash = text.split(" (").next().unwrap_or_default();
    hash.len() == 12 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) && text.contains(')')
}

#[test]
fn each_says_what_it_is_and_which_rule_finds_it() {
    for file in patches() {
        let text = std::fs::read_to_string(&file).expect("text");
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let header = text.split("\n--- ").next().unwrap_or_default();
        let field = |key: &str| header.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        assert_eq!(field("Defect:"), Some(name.as_str()), "{}", file.display());
        assert!(field("Was:").is_some() && field("Trigger:").is_some(), "{name} lacks `Was:` or `Trigger:`");
        let kernel = field("Kernel:").unwrap_or_default();
        assert!(
            names_commit(kernel) || kernel.starts_with("none; "),
            "{name}: `Kernel:` has no hash with version, nor `none; ...`"
        );
        let rules = field("Rule:").unwrap_or_default();
        assert!(!rules.is_empty(), "{name} names no rule");
        for id in rules.split(',').map(str::trim) {
            assert!(Rule::from_id(id).is_some(), "{name} names {id}, which is no rule");
        }
    }
}

#[test]
fn each_touches_its_room_only() {
    for room in ROOMS {
        for file in patches_in(room) {
            let text = std::fs::read_to_string(&file).expect("text");
            for line in text.lines().filter_map(|line| line.strip_prefix("+++ ")) {
                assert!(line.starts_with(room.1), "{} touches {line}", file.display());
            }
        }
    }
}

#[test]
fn each_applies() {
    for file in patches() {
        let output =
            Command::new("git").args(["apply", "--check"]).arg(&file).current_dir(root()).output().expect("git runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} does not apply: {error}", file.display());
    }
}

#[test]
fn each_stands_in_the_tables_of_the_document() {
    let text = std::fs::read_to_string(root().join("docs/defects.md")).expect("text");
    let named: Vec<&str> = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
    for file in patches_in(ROOMS[0]) {
        let name = file.file_stem().expect("a name").to_string_lossy();
        assert!(named.contains(&&*name), "docs/defects.md does not name {name}");
    }
}
