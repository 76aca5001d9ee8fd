//! Compares the documents with the program (lists of rules, commands, files, figures), and checks their prose.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use realmode_diff::Rule;

use super::files::{read, root};

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

/// The files with this ending that git tracks, or would track.
fn tracked(ending: &str) -> Vec<String> {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("git runs");
    let names = String::from_utf8(listed.stdout).expect("names in UTF-8");
    let there = |name: &&str| name.ends_with(ending) && root().join(name).is_file();
    let files: Vec<String> = names.split('\0').filter(there).map(str::to_string).collect();
    assert!(!files.is_empty(), "git lists no file that ends in {ending}");
    files
}

/// The lines of a document outside of code blocks, with their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut code = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let fence = line.trim_start().starts_with("```");
        if !fence && !code {
            lines.push((number, line));
        }
        code ^= fence;
    }
    assert!(!code, "a code block without an end");
    lines
}

/// Whether the line is a row of a table.
fn is_row(line: &str) -> bool {
    line.starts_with('|')
}

/// The headings of a document in order, in the form in which links name them.
fn headings(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let titles = prose(&text).into_iter().filter_map(|(_, line)| line.strip_prefix('#'));
    titles
        .map(|title| title.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
        .map(|title| title.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect())
        .collect()
}

#[test]
fn links_lead_somewhere() {
    for document in tracked(".md") {
        let text = read(&document);
        let folder = root().join(&document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { folder.clone() } else { folder.parent().expect("a folder").join(file) };
            assert!(target.exists(), "{document} links to {link}");
            let known = heading.is_empty() || headings(&target).iter().any(|title| title == heading);
            assert!(known, "{document} links to {link}");
        }
    }
}

/// A document has one title, and no two headings with the same link.
#[test]
fn headings_are_unique() {
    for document in tracked(".md") {
        let text = read(&document);
        let titles = prose(&text).iter().filter(|(_, line)| line.starts_with("# ")).count();
        assert_eq!(titles, 1, "{document}: titles");
        assert!(text.starts_with("# "), "{document} does not begin with its title");
        let headings = headings(&root().join(&document));
        let different: BTreeSet<&String> = headings.iter().collect();
        assert_eq!(different.len(), headings.len(), "{document}: two headings are the same in {headings:?}");
    }
}

/// Folders that a document names with a `/` at the end, and files that it names with a path, exist. Paths count from
/// the root or from the document's folder.
#[test]
fn folders_and_files_that_documents_name_exist() {
    let root = root();
    let files = tracked("");
    let tops: BTreeSet<&str> = files.iter().filter_map(|file| file.split_once('/')).map(|(top, _)| top).collect();
    for document in tracked(".md") {
        let text = read(&document);
        let own = root.join(&document);
        let text: String = prose(&text).into_iter().flat_map(|(_, line)| [line, "\n"]).collect();
        for word in quoted(&text).filter(|word| !word.contains(|c: char| c.is_whitespace() || "*$.<".contains(c))) {
            // The reader replaces names in capitals.
            if word.ends_with('/') && !word.chars().any(|c| c.is_ascii_uppercase()) {
                let inside = files.iter().any(|file| format!("/{file}").contains(&format!("/{word}")));
                // A campaign makes `findings/`, and make makes `build/`.
                let known = inside || own.with_file_name(word).is_dir() || ["findings/", "build/"].contains(&word);
                assert!(known, "{document} names {word}");
            }
        }
        for word in quoted(&text).filter(|word| !word.contains(|c: char| c.is_whitespace() || "*$<{".contains(c))) {
            let inside = word.split_once('/').is_some_and(|(top, rest)| tops.contains(top) && !rest.is_empty());
            if inside && word.contains('.') && !word.chars().any(|c| c.is_ascii_uppercase()) {
                assert!(root.join(word).exists() || own.with_file_name(word).exists(), "{document} names {word}");
            }
        }
    }
}

/// Each page of docs/ is named in the README, so that a reader finds it.
#[test]
fn the_readme_links_every_document() {
    let readme = read("README.md");
    for document in tracked(".md").iter().filter(|name| name.starts_with("docs/") || !name.contains('/')) {
        assert!(document == "README.md" || readme.contains(&format!("]({document})")), "the README lacks {document}");
    }
}

/// Largest width of a line in columns.
const COLUMNS: usize = 120;

#[test]
fn lines_of_documents_are_short() {
    for document in tracked(".md") {
        let text = read(&document);
        for (number, line) in prose(&text).into_iter().filter(|(_, line)| !is_row(line)) {
            assert!(line.chars().count() <= COLUMNS, "{document}:{number} has more than {COLUMNS} columns");
        }
    }
}

/// rustfmt does not wrap comments.
#[test]
fn lines_of_comments_are_short() {
    let mut long = Vec::new();
    for file in tracked(".rs") {
        for (number, line) in (1..).zip(read(&file).lines()) {
            let text = line.trim_start();
            // A row of a table cannot be wrapped.
            let row = text.trim_start_matches(['/', '!']).trim_start().starts_with('|');
            if text.starts_with("//") && !row && line.chars().count() > COLUMNS {
                long.push(format!("{file}:{number}"));
            }
        }
    }
    assert!(long.is_empty(), "comments of more than {COLUMNS} columns: {long:#?}");
}

/// Phrases that are hard to read, each with what to say instead.
const BANNED: &[(&str, &str)] = &[
    ("makes no end", "hangs, does not return"),
    ("made no end", "hung, did not return"),
    ("goes astray", "say what happens"),
    ("lest", "so that .. not"),
    ("whoever", "say who"),
    ("told", "reported, named, passed"),
    ("nobody waits for", "say what happens"),
    ("for those who", "for a caller that .."),
    ("has business", "may"),
    ("no business", "may not"),
    ("as ever", "as usual, or nothing"),
];

#[test]
fn documents_speak_plainly() {
    for document in tracked(".md") {
        let text = read(&document);
        for (number, line) in prose(&text) {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '\'').collect();
            let words = format!(" {} ", words.join(" ").to_lowercase());
            for (phrase, instead) in BANNED {
                assert!(!words.contains(&format!(" {phrase} ")), "{document}:{number} says '{phrase}': {instead}");
            }
        }
    }
}

/// A percentage in a document must stand in a figure, which a command writes, because it would get out of date.
#[test]
fn percentages_stand_in_figures_only() {
    for document in tracked(".md") {
        let text = read(&document);
        let mut figure = false;
        for (number, line) in prose(&text) {
            // scripts/figures writes such comments around its figures, and scripts/mutants and .ci/nightly write `<!--
            // NAME: start -->`.
            if line.starts_with("<!-- ") {
                figure = !line.ends_with(": end -->");
            }
            assert!(figure || !line.contains(" %"), "{document}:{number} has a percentage outside of a figure");
        }
        assert!(!figure, "{document}: a figure without an end");
    }
}

/// If the header of a planted fault names a bug by its number, docs/kernel-bugs.md names the fault. Every name in the
/// tables is a planted fault.
#[test]
fn the_tables_of_bugs_name_the_planted_faults() {
    let faults: BTreeSet<String> = tracked(".patch")
        .iter()
        .filter_map(|file| file.strip_prefix("tests/defects/")?.strip_suffix(".patch").map(str::to_string))
        .collect();
    let tables = [read("docs/kernel-bugs.md"), read("docs/defects.md")].concat();
    for row in tables.lines().filter(|line| is_row(line)) {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        for name in cell.split([',', ';']).map(str::trim).filter(|name| name.contains('-')) {
            let shape = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            assert!(!shape || name.starts_with('-') || faults.contains(name), "{name} is no planted fault");
        }
    }
    let bugs = read("docs/kernel-bugs.md");
    for name in faults.iter().filter(|name| !name.contains('/')) {
        let header = read(format!("tests/defects/{name}.patch"));
        let kernel = header.lines().find_map(|line| line.strip_prefix("Kernel: ")).unwrap_or_default();
        let numbered = kernel
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word.strip_prefix('B').is_some_and(|number| number.parse::<u8>().is_ok()));
        assert!(!numbered || bugs.contains(name.as_str()), "docs/kernel-bugs.md does not name {name}");
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

/// The options that the README names exist, most of them for `fuzz` or `exhaust`.
#[test]
fn the_readme_names_options_that_exist() {
    let readme = read("README.md");
    let help = String::from_utf8(realmode(&["fuzz", "--help"]).stdout).expect("text");
    let exhaust = String::from_utf8(realmode(&["exhaust", "--help"]).stdout).expect("text");
    for word in readme
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2 && !word.starts_with("---"))
    {
        let elsewhere =
            ["--release", "--help", "--path", "--corpus", "--dialects", "--sequence", "--renew", "--time", "--checks"];
        let known = help.contains(word) || exhaust.contains(word) || elsewhere.contains(&word);
        assert!(known, "the README names {word}");
    }
}

/// The help of `--against` is made of the kinds of voters; the table of voters is not.
#[test]
fn the_table_of_voters_has_every_kind() {
    let (text, help) = (read("docs/voters.md"), realmode(&["fuzz", "--help"]));
    let help: String = String::from_utf8_lossy(&help.stdout).split_whitespace().collect();
    let named: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).flat_map(quoted).collect();
    for kind in realmode_diff::voters::kinds::KINDS {
        for name in kind.pattern.split(", ").flat_map(|names| names.split(" or ")) {
            let among = named.iter().any(|quoted| quoted.split_whitespace().any(|word| word == name));
            assert!(among, "no table of docs/voters.md has `{name}`");
            assert!(help.contains(name), "{name} is not in the help: {help}");
        }
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
