//! Makes the text of docs/dialects.md from the reference's answers ([`reference::answers`]) and from [`rows`].
//! `realmode rules --dialects` prints it.

use std::fmt::Write as _;

use contract::Hypercall;
use contract::dialect::{Dialect, Field};
use reference::answers;

use rows::{AGREED, AGREED_PROGRAM, Duty, OUTSIDE_THE_TEST, ROWS, Row, Seen, ShownBy};

pub mod rows;

/// Folder of the programs that show the rows of the table of dialects, relative to the root of the repository.
pub const FOLDER: &str = "corpora/dialects";

const HEAD: &str = "\
# Where the systems disagree

A dialect is one system's answers to the questions on which LoPAPR, KVM and QEMU disagree. A program names the dialect
it expects. Section 4 of [semantics.md](semantics.md) has the order of all checks and explains the rule ids, and the
[glossary](glossary.md) explains the words. INDIRECT is H_PUT_TCE_INDIRECT, STUFF is H_STUFF_TCE, and a *fault TCE* is a
TCE without permissions.

- `lopapr`: the specification, LoPAPR of August 2020, chapter on logical partitioning, TCE access. This project decides
  where LoPAPR says nothing. It also decides the order of INDIRECT's checks, where another order than LoPAPR's changes
  the rule that decides and not the status.
- `kvm`: the in-kernel handlers of Linux 4.18 and 4.19, with three rules of other versions: the range rule of 4.6 to
  4.11 (the whole range must lie in the window), the rule of 4.20 that all entries are checked before one is stored, and
  the pinned windows of 2013. A call that the handlers would leave to user space (H_TOO_HARD in both modes) is
  H_PARAMETER.
- `qemu`: QEMU's pseries machine, version 7.2.22, as observed from inside a guest; emulated windows only. The column
  *source* marks the answers that a guest cannot observe, and the one that is assumed.

The table has a row for each *field*, which is one such question. A section for each program follows. In its table,
*answer* is what the dialect answers in general. *The program shows* is what it answers in this program, with the rule
that decided after the word `by`.

| part of this page | written in |
|---|---|
| this head, and the words around the tables | `harness/src/dialects/mod.rs` |
| the fields, and the texts of the answers | `contract/src/dialect/mod.rs` |
| which dialect gives which answer | `reference/src/dialects.rs` |
| situations, sources, and what the programs show | `harness/src/dialects/rows.rs` |

`realmode rules --dialects > docs/dialects.md` puts them together. The test `tests/corpora/dialects.rs` compares page,
rows, programs and reference. It also checks that each program has one difference, which is that of its row: all other
steps answer alike in all dialects in which the program's machine is valid. Last, it compares the reference's answers
with a second reading. That is the contract's for `pinned_windows`, `window_base` and `liobn_width`, and the candidate's
for the other fields; `deferring` has none.

## The table
";

/// Returns the whole text of docs/dialects.md.
#[must_use]
pub fn document() -> String {
    let mut text = HEAD.to_string();
    overview(&mut text);
    for row in ROWS {
        section(&mut text, row);
    }
    agreed(&mut text);
    outside(&mut text);
    text
}

/// Returns the path of the program that shows the row with this name, relative to the root of the repository.
#[must_use]
pub fn program_of(name: &str) -> String {
    format!("{FOLDER}/{name}.realmode")
}

fn table_head(text: &mut String, columns: &[&str]) {
    let _ = writeln!(text, "\n| {} |", columns.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(columns.len()));
}

/// Adds the table of all fields to `text`: a line for each field, with each dialect's answer and the rows that show it.
fn overview(text: &mut String) {
    let dialects = Dialect::ALL.map(Dialect::name);
    table_head(text, &[&["field"], &dialects[..], &["shown by"]].concat());
    for &field in Field::ALL {
        let answers = Dialect::ALL.map(|dialect| answers(dialect).text(field)).join(" | ");
        let rows: Vec<String> = ROWS
            .iter()
            .filter(|row| row.field == field)
            .map(|row| format!("[{}](#{})", row.name, anchor(row.name)))
            .collect();
        let _ = writeln!(text, "| `{}` | {answers} | {} |", field.name(), rows.join(", "));
    }
}

/// Returns the anchor of a heading: its letters, digits and hyphens, without all other characters.
fn anchor(heading: &str) -> String {
    heading.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

/// Adds `words` to `text` as a paragraph of lines of at most 120 columns, after an empty line. Only a longer word makes
/// a longer line.
fn paragraph(text: &mut String, words: &str) {
    let mut columns = 0;
    for word in words.split(' ') {
        let width = word.chars().count();
        let wraps = columns > 0 && columns + 1 + width > 120;
        let separator = if columns == 0 || wraps { "\n" } else { " " };
        columns = if separator == " " { columns + 1 + width } else { width };
        text.push_str(separator);
        text.push_str(word);
    }
    text.push('\n');
}

fn section(text: &mut String, row: &Row) {
    let _ = writeln!(text, "\n## {}", row.name);
    paragraph(text, row.situation);
    let path = program_of(row.name);
    let program =
        format!("Field `{}`. {} Program: [{path}](../{path}), where", row.field.name(), row.field.situation());
    match row.shows {
        ShownBy::Answer(call, seen) => {
            paragraph(text, &format!("{program} the answer to `{call}` differs."));
            seen_answers(text, row, &seen);
        }
        ShownBy::Duty(call, duties) => {
            paragraph(text, &format!("{program} the dialects differ in whether real mode must finish `{call}`."));
            rows_of(text, row, duties.map(|duty| duty_in_words(duty).into()));
        }
        ShownBy::Machine(refused) => {
            paragraph(text, &format!("{program} the machine is valid in some dialects only."));
            let shown = refused.map(|reason| reason.map_or("valid".into(), |reason| format!("refused: {reason}")));
            rows_of(text, row, shown);
        }
    }
}

/// Adds a table to `text` with one line for each dialect: the dialect's answer in general, what the row's program shows
/// (`shown`), and the source.
fn rows_of(text: &mut String, row: &Row, shown: [String; Dialect::ALL.len()]) {
    table_head(text, &["dialect", "answer", "the program shows", "source"]);
    for ((dialect, shown), source) in Dialect::ALL.into_iter().zip(shown).zip(row.sources) {
        let answer = answers(dialect).text(row.field);
        let _ = writeln!(text, "| `{dialect}` | {answer} | {shown} | {source} |");
    }
}

/// Adds the table of what the row's program shows in each dialect: status, rule and r4. Entries and faulted-in pages
/// are added only if the dialects differ in them.
fn seen_answers(text: &mut String, row: &Row, seen: &[Seen; Dialect::ALL.len()]) {
    let entries = seen.iter().any(|one| one.entries != seen[0].entries);
    let pages = seen.iter().any(|one| one.faulted_in != seen[0].faulted_in);
    let shown = seen.each_ref().map(|seen| {
        let mut shown = format!("{} by `{}`", seen.status, seen.rule);
        if let Some(r4) = seen.r4 {
            let _ = write!(shown, ", r4 = {r4:#x}");
        }
        if entries {
            let _ = write!(shown, "; {}", entries_in_words(seen.entries));
        }
        if pages {
            let _ = write!(shown, "; absent pages faulted in: {}", seen.faulted_in);
        }
        shown
    });
    rows_of(text, row, shown);
}

fn entries_in_words(entries: &[(u64, u64)]) -> String {
    if entries.is_empty() {
        return "all entries 0 at the end".into();
    }
    let entries: Vec<String> = entries.iter().map(|(index, value)| format!("entry {index} = {value:#x}")).collect();
    format!("at the end {}", entries.join(", "))
}

const fn duty_in_words(duty: Duty) -> &'static str {
    match duty {
        Duty::Finish => "real mode must finish it",
        Duty::MayDefer => "real mode may defer it",
    }
}

fn agreed(text: &mut String) {
    let path = program_of(AGREED_PROGRAM);
    text.push_str("\n## Where all agree\n");
    paragraph(text, &format!("The steps of [{path}](../{path}). Every dialect gives the same answer to each."));
    table_head(text, &["situation", "call", "all answer"]);
    for row in AGREED {
        let call: &Hypercall = &row.call;
        let _ = writeln!(text, "| {} | `{call}` | {} |", row.situation, row.status);
    }
}

fn outside(text: &mut String) {
    text.push_str(
        "\n## What has no meaning here\n\nReal systems also disagree about things that no program can show.\n",
    );
    table_head(text, &["disagreement", "why it has no row"]);
    for row in OUTSIDE_THE_TEST {
        let _ = writeln!(text, "| {} | {} |", row.situation, row.reason);
    }
}
