//! A finding in words, and as a test to paste.

use std::fmt::Write as _;

use contract::{Program, Rule};
use reference::Reference;
use similar_asserts::SimpleDiff;

use crate::check::verdict::{Finding, Verdict};
use crate::check::words::outcome;
use crate::shrink::Ended;
use programs::store::fingerprint;

/// What to say beside the finding itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// Where the program comes from, such as a file or seed and index.
    pub origin: &'a str,
    /// Why it is no smaller, if it was shrunk.
    pub ended: Option<Ended>,
}

/// The report: rule, both values, the last step on which both sides agree, the differing objects, the program.
#[must_use]
pub fn report(program: &Program, finding: &Finding, context: Context<'_>) -> String {
    let rule = finding.identity.rule;
    let mut text = String::new();
    let _ = writeln!(text, "finding    {rule}: {}", rule.meaning());
    let _ = writeln!(text, "section    docs/semantics.md {}", rule.section());
    let _ = writeln!(text, "subject    {}", finding.voter);
    if !context.origin.is_empty() {
        let _ = writeln!(text, "program    {}", context.origin);
    }
    let step = |index: usize| match program.steps.get(index) {
        Some(step) => format!("step {}: {step}", index + 1),
        None => "the end of the program: all windows closed, everything unmapped".into(),
    };
    let agreed = finding.agreed.map_or("none before it".into(), step);
    let _ = writeln!(text, "agreed     {agreed}");
    let differs = match finding.identity.kind {
        "start" => "the start: the subject is handed the machine".into(),
        _ => step(finding.step),
    };
    let _ = writeln!(text, "differs    {differs}");
    match (finding.identity.field, finding.what.as_str()) {
        (field, what) if what.starts_with(field) => writeln!(text, "field      {what}"),
        (field, what) => writeln!(text, "field      {field}: {what}"),
    }
    .unwrap_or_default();
    let _ = writeln!(text, "expected   {}", finding.expected);
    let _ = writeln!(text, "found      {}", finding.found);
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
        let diff = SimpleDiff::from_str(&object.reference, &object.memory, "reference", &finding.voter).to_string();
        // Tools that read a report want no colours.
        text.push_str(&plain(&diff));
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

/// Text without terminal escapes.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            rest.by_ref().find(|c| c.is_ascii_alphabetic());
        } else {
            out.push(c);
        }
    }
    out
}

/// What the reference says of each step of the program, a line a step.
#[must_use]
pub fn outcomes(program: &Program) -> Vec<String> {
    let mut reference = Reference::new(program.dialect, &program.machine);
    program.steps.iter().map(|step| outcome(&reference.step(step))).collect()
}

/// Panics with the report unless the candidate agrees with the reference on the program: for tests.
///
/// # Panics
/// Where they differ, or the program is not valid.
pub fn assert_agrees(program: &Program) {
    match crate::check(program) {
        Verdict::Agreed(_) => {}
        Verdict::Invalid(invalid) => panic!("the program is not valid: {invalid}"),
        Verdict::Finding(finding, _) => {
            panic!("\n{}", report(program, &finding, Context::default()));
        }
    }
}

/// A test to paste into `tests/`: it holds the reference to what it says now, and the candidate to the reference.
#[must_use]
pub fn export(program: &Program, finding: Option<&Finding>) -> String {
    let rule = finding.map(|finding| finding.identity.rule);
    let name = rule.map_or("program", Rule::id).to_lowercase().replace('.', "_");
    let hash = fingerprint(program);
    let mut text = String::new();
    match finding {
        Some(finding) => {
            let _ = writeln!(text, "/// {finding}.");
        }
        None => {
            let _ = writeln!(text, "/// A program on which both sides agreed.");
        }
    }
    let _ = writeln!(text, "#[test]");
    let _ = writeln!(text, "fn {name}_{}() {{", &hash[..8]);
    let _ = writeln!(text, "    let program = realmode_diff::parse(");
    // No program has a quote in it, and empty lines mean nothing.
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
