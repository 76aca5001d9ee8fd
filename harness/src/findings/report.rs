//! Makes texts of a finding: a report for people, and the source of a test. The recorder writes them to disk.

use std::fmt::Write as _;

use contract::{Program, Rule};
use reference::Reference;
use similar::{Algorithm, TextDiff};

use crate::check::words::outcome;
use crate::check::{Finding, Place, Verdict};
use crate::shrink::Ended;
use crate::subjects::SubjectKind;
use crate::voters::{Look, Roster};
use programs::sequence::{Part, Sequence};
use programs::store::{fingerprint, one_line};

/// What a report says about a finding that the finding itself does not hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// Where the program comes from, such as a file, or seed and number. Empty if that is not known.
    pub origin: &'a str,
    /// Why shrinking ended; `None` if the program was not shrunk or a sequence was made.
    pub ended: Option<Ended>,
}

/// Returns the report of a finding on `program`, made from these arguments alone: nothing runs. It has for example the
/// rule, the values of reference and voter, the last step on which they agreed, the votes, the objects that differ, and
/// the program.
#[must_use]
pub fn report(program: &Program, finding: &Finding, context: Context<'_>) -> String {
    let rule = finding.rule;
    let mut text = String::new();
    let _ = writeln!(text, "finding    {rule}: {}", rule.meaning());
    let _ = writeln!(text, "section    docs/semantics.md {}", rule.section());
    let _ = writeln!(text, "subject    {}", finding.voter);
    if !context.origin.is_empty() {
        let _ = writeln!(text, "program    {}", context.origin);
    }
    let _ = writeln!(
        text,
        "agreed     {}",
        finding.agreed.map_or("none before it".into(), |at| at_place(program, Place::Step(at)))
    );
    let _ = writeln!(text, "differs    {}", at_place(program, finding.place));
    let _ = match finding.thing.says_its_field() {
        true => writeln!(text, "field      {}", finding.what()),
        false => writeln!(text, "field      {}: {}", finding.thing.field(), finding.what()),
    };
    let _ = writeln!(text, "expected   {}", finding.expected);
    let _ = writeln!(text, "found      {}", finding.found);
    if let Some(repeats) = finding.repeats {
        let repeats = if repeats { "yes" } else { "no" };
        let _ = writeln!(text, "repeats    on a fresh subject: {repeats}");
    }
    for (number, vote) in finding.votes.iter().enumerate() {
        let head = if number == 0 { "votes" } else { "" };
        let _ = writeln!(text, "{head:<10} {}: {}", vote.voter, vote.answer);
    }
    for (number, line) in finding.log.iter().enumerate() {
        let head = if number == 0 { "log" } else { "" };
        let _ = writeln!(text, "{head:<10} {line}");
    }
    for object in &finding.objects {
        let _ = writeln!(text, "\n{}:", object.name);
        let _ = writeln!(text, "Differences (-reference|+{}):", finding.voter);
        differences(&object.reference, &object.memory, &mut text);
    }
    match context.ended {
        Some(Ended::Minimal) => {
            let _ = writeln!(text, "\nThe program is 1-minimal: without any one step or item the finding is gone.");
        }
        Some(ended) => {
            let _ = writeln!(text, "\nThe program was shrunk, and is {ended}.");
        }
        None => {}
    }
    let _ = write!(text, "\n{program}");
    text
}

/// Returns a place of the program and what runs there, as text.
fn at_place(program: &Program, place: Place) -> String {
    match place {
        Place::Start => "the start: the subject is handed the machine".into(),
        Place::Step(index) => program.steps.get(index).map_or(place.to_string(), |step| format!("{place}: {step}")),
        Place::End => "the end of the program".into(),
    }
}

/// Adds the lines in which an object differs between reference and memory to `text`, with up to four equal lines before
/// and after each difference. The comparison has no time limit, so the same objects always give the same text.
fn differences(reference: &str, memory: &str, text: &mut String) {
    const CONTEXT: usize = 4;
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_lines(reference, memory);
    for (number, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if number > 0 {
            text.push_str("@ ~~~\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            // `change` ends its line even if the object's last line has no end.
            let _ = write!(text, "{}{change}", change.tag());
        }
    }
}

/// Returns the reference's outcome of each step of the program in words, one line for each step. Runs the reference
/// from the start. The program must be valid.
#[must_use]
pub fn outcomes(program: &Program) -> Vec<String> {
    let mut reference = Reference::new(program.dialect, &program.machine);
    program.steps.iter().map(|step| outcome(&reference.step(step))).collect()
}

/// Checks, for tests, that the candidate agrees with the reference on the program.
///
/// # Panics
/// Panics if candidate and reference differ (the message is the report), or if the program was not compared or is
/// invalid.
pub fn assert_agrees(program: &Program) {
    assert_agreed(program, crate::check(program));
}

/// Panics unless the verdict on the program is that both sides agree.
fn assert_agreed(program: &Program, verdict: Verdict) {
    match verdict {
        Verdict::Agreed => {}
        Verdict::Finding(finding) => panic!("\n{}", report(program, &finding, Context::default())),
        other => panic!("{other}"),
    }
}

/// Checks, for tests, that one candidate agrees with the reference on every program of a sequence, in order. `text` is
/// the sequence in its text form.
///
/// # Panics
/// Panics if candidate and reference differ (the message is the report), if `text` is no sequence, or if a program of
/// the sequence was not compared or is invalid.
pub fn assert_sequence_agrees(text: &str) {
    let sequence = Sequence::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let panel = Roster::from(SubjectKind::Candidate).panel(Look::Whole);
    let verdicts = panel.and_then(|mut panel| panel.check_sequence(&sequence, &mut |_| {}));
    let verdicts = verdicts.unwrap_or_else(|error| panic!("{error}"));
    for (Part { program, .. }, verdict) in sequence.parts.iter().zip(verdicts) {
        assert_agreed(program, verdict);
    }
}

/// Returns the source text of a test to paste into `tests/`. The text holds the outcomes that the reference has now.
/// The test fails if the reference then has other outcomes, or if candidate and reference differ on the program. The
/// test's name and comment come from `finding`; `None` stands for a program on which both sides agreed. The program
/// must be valid.
#[must_use]
pub fn export(program: &Program, finding: Option<&Finding>) -> String {
    let rule = finding.map(|finding| finding.rule);
    let name = rule.map_or("program", Rule::id).to_lowercase().replace('.', "_");
    let hash = fingerprint(program);
    let mut text = String::new();
    match finding {
        Some(finding) => {
            let _ = writeln!(text, "/// {}.", one_line(finding));
        }
        None => {
            let _ = writeln!(text, "/// A program on which both sides agreed.");
        }
    }
    let _ = writeln!(text, "#[test]");
    let _ = writeln!(text, "fn {name}_{}() {{", &hash[..8]);
    let _ = writeln!(text, "    let program = realmode_diff::parse(");
    // The raw string needs no escapes, because no program contains a quote; the text form ignores the empty first line.
    let _ = writeln!(text, "        r\"\n{program}\",\n    )");
    let _ = writeln!(text, "    .expect(\"a program\");");
    let lines = outcomes(program);
    let _ = writeln!(text, "    let expected: [&str; {}] = [", lines.len());
    for line in lines {
        let _ = writeln!(text, "        {line:?},");
    }
    let _ = writeln!(text, "    ];");
    let _ = writeln!(text, "    similar_asserts::assert_eq!(realmode_diff::report::outcomes(&program), expected);");
    let _ = writeln!(text, "    realmode_diff::report::assert_agrees(&program);");
    let _ = writeln!(text, "}}");
    text
}

/// Returns the source text of a test to paste into `tests/`. The test runs the sequence of programs on one candidate
/// and compares the candidate with the reference. `finding` names the test.
#[must_use]
pub fn export_sequence(sequence: &Sequence, finding: &Finding) -> String {
    let name = finding.rule.id().to_lowercase().replace('.', "_");
    let text = sequence.to_string();
    let hash = programs::store::hash(&text);
    let mut test = String::new();
    let _ = writeln!(test, "/// {}, after the programs before it on the same subject.", one_line(finding));
    let _ = writeln!(test, "#[test]");
    let _ = writeln!(test, "fn {name}_{:08x}() {{", hash >> 32);
    let _ = writeln!(test, "    realmode_diff::report::assert_sequence_agrees(\n        r\"\n{text}\",\n    );");
    let _ = writeln!(test, "}}");
    test
}
