//! Compares the documents with the program: lists of rules, commands and files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use realmode_diff::Rule;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn realmode(arguments: &[&str]) -> std::process::Output {
    Command::new(assert_cmd::cargo::cargo_bin!("realmode"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .output()
        .expect("realmode runs")
}

/// Returns the words between backticks in a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns the rule ids in a text: the words in backticks that are upper-case with a dot, and the one rule without a
/// dot.
fn rule_ids(text: &str) -> BTreeSet<&str> {
    quoted(text)
        .filter(|word| {
            let shape = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '.' || c == '_');
            (shape && word.contains('.')) || *word == "UNMAP"
        })
        .collect()
}

#[test]
fn semantics_names_every_rule_and_no_other() {
    let text = read("docs/semantics.md");
    let named = rule_ids(&text);
    let known: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
    assert_eq!(named, known);
}

#[test]
fn every_rule_stands_in_the_section_it_claims() {
    let text = read("docs/semantics.md");
    for rule in Rule::ALL {
        let start = text.find(&format!("\n## {}. ", rule.section())).expect("the section");
        let section = &text[start + 1..];
        let section = &section[..section.find("\n## ").unwrap_or(section.len())];
        assert!(rule_ids(section).contains(rule.id()), "{rule} is not in section {}", rule.section());
    }
}

#[test]
fn rule_ids_are_unique_and_found_again() {
    for &rule in Rule::ALL {
        assert_eq!(Rule::from_id(rule.id()), Some(rule));
    }
}

/// Returns the headings of a document, in the form in which links name them.
fn headings(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    titles
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .map(|title| title.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect())
        .collect()
}

/// Every link, heading and folder that the README or a document names exists.
#[test]
fn links_lead_somewhere() {
    for document in [
        "README.md",
        "docs/triage.md",
        "docs/bring-your-own.md",
        "docs/voters.md",
        "docs/architecture.md",
        "docs/defects.md",
        "docs/implementations.md",
        "docs/performance.md",
        "docs/exhaustive.md",
        "docs/fuzzing.md",
        "docs/semantics.md",
        "docs/dialects.md",
        "docs/mutants.md",
    ] {
        let text = read(document);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { folder.clone() } else { folder.parent().expect("a folder").join(file) };
            assert!(target.exists(), "{document} links to {link}");
            assert!(heading.is_empty() || headings(&target).contains(heading), "{document} links to {link}");
        }
        // Code blocks between three backticks are left out, because they would upset the pairing of single ones.
        let prose: String = text.split("```").step_by(2).collect();
        for word in quoted(&prose).filter(|word| word.ends_with('/') && !word.contains(' ')) {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(word);
            // Folders inside the sources, the corpora and the candidate are allowed; `findings/` exists only after the
            // first finding.
            let known = path.exists()
                || word == "findings/"
                || ["real_mode/", "virtual_mode/", "seeds/", "regressions/", "minimized/", "dialects/"].contains(&word);
            assert!(known, "{document} names {word}");
        }
    }
}

/// The README's table and `--help` list the same commands.
#[test]
fn the_readme_lists_the_commands() {
    let readme = read("README.md");
    let named: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `realmode "))
        .filter_map(|rest| rest.split([' ', '`']).next())
        .map(str::to_string)
        .collect();
    let help = String::from_utf8(realmode(&["--help"]).stdout).expect("text");
    let commands = help.split("Commands:").nth(1).expect("a list").split("Options:").next().expect("a list");
    let listed: BTreeSet<String> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| *word != "help")
        .map(str::to_string)
        .collect();
    assert_eq!(named, listed);
}

/// The options that the README names for `fuzz` and `exhaust` exist.
#[test]
fn the_readme_names_options_that_exist() {
    let readme = read("README.md");
    let help = String::from_utf8(realmode(&["fuzz", "--help"]).stdout).expect("text");
    let exhaust = String::from_utf8(realmode(&["exhaust", "--help"]).stdout).expect("text");
    for word in readme
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2 && !word.starts_with("---"))
    {
        let elsewhere = ["--release", "--help", "--path", "--corpus", "--dialects"];
        let known = help.contains(word) || exhaust.contains(word) || elsewhere.contains(&word);
        assert!(known, "the README names {word}");
    }
}

/// The commands in the README's `console` blocks print what the README shows; `...` stands for omitted lines.
#[test]
fn the_tour_shows_what_the_program_prints() {
    let readme = read("README.md");
    let mut blocks = 0;
    for block in readme.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let (command, expected) = block.split_once('\n').expect("a command and its output");
        let out = tempfile::tempdir().expect("a folder");
        let mut arguments: Vec<&str> = command.trim_start_matches("$ cargo run --release -- ").split(' ').collect();
        let folder = out.path().to_string_lossy().into_owned();
        if arguments[0] == "fuzz" {
            arguments.extend(["--out", &folder]);
        }
        let output = String::from_utf8(realmode(&arguments).stdout).expect("text").replace(&folder, "findings");
        for part in expected.split("...\n") {
            assert!(output.contains(part), "`{command}` does not print\n{part}\nbut\n{output}");
        }
        blocks += 1;
    }
    assert_eq!(blocks, 2);
}

#[test]
fn exit_statuses_are_documented_alike() {
    let help = String::from_utf8(realmode(&["--help"]).stdout).expect("text");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let readme = read("README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let statuses = "0 something was compared and nothing found, 1 a finding, 2 bad arguments or malformed \
                    input, 3 nothing was compared";
    assert!(help.contains(statuses));
    assert!(readme.contains(statuses));
}
