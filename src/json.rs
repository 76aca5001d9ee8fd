//! The parts that the JSON summaries of several commands share. docs/stability.md says how they may change.

use std::path::PathBuf;

use realmode_diff::check::tally::RuleTally;
use realmode_diff::check::{Finding, NotCompared, Verdict};
use realmode_diff::findings::record::Recorded;
use realmode_diff::shrink::Ended;
use realmode_diff::voters::VoterTally;
use realmode_diff::{Rule, Tally};
use serde::Serialize;

/// What differs in a finding: the voter, the broken rule, the place in the program, and both values.
#[derive(Serialize)]
pub(crate) struct JsonDifference {
    voter: String,
    rule: &'static str,
    field: &'static str,
    step_kind: &'static str,
    place: String,
    what: String,
    expected: String,
    found: String,
}

impl JsonDifference {
    fn new(finding: &Finding) -> Self {
        let identity = finding.identity();
        Self {
            voter: finding.voter.clone(),
            rule: identity.rule.id(),
            field: identity.field.name(),
            step_kind: identity.kind.name(),
            place: finding.place.to_string(),
            what: finding.what(),
            expected: finding.expected.clone(),
            found: finding.found.clone(),
        }
    }
}

/// A finding, and its file: that of the shrunk program or of the sequence if there is one, else that of the program as
/// it was found.
#[derive(Serialize)]
pub(crate) struct JsonFinding {
    #[serde(flatten)]
    difference: JsonDifference,
    /// Whether a fresh subject shows the finding too; null if no fresh subject ran the program.
    repeats: Option<bool>,
    program: Option<u64>,
    steps: usize,
    minimal: bool,
    /// The number of programs of the recorded sequence; null if no sequence was made. Most findings need none.
    sequence: Option<usize>,
    file: PathBuf,
}

impl JsonFinding {
    pub(crate) fn new(recorded: &Recorded) -> Self {
        let finding = &recorded.finding;
        Self {
            difference: JsonDifference::new(finding),
            repeats: finding.repeats,
            program: recorded.origin.index(),
            steps: recorded.program.steps.len(),
            minimal: recorded.ended == Some(Ended::Minimal),
            sequence: recorded.sequence,
            file: recorded.shrunk_file.as_ref().unwrap_or(&recorded.found_file).clone(),
        }
    }
}

/// What one voter of a hunt did: numbers of programs, compared hypercalls and entries read back, and what was not
/// compared and why.
#[derive(Serialize)]
pub(crate) struct JsonVoter {
    name: String,
    shows: String,
    programs: u64,
    compared: u64,
    hypercalls: u64,
    read_back: u64,
    uncovered: u64,
    not_asked: u64,
    why_uncovered: Option<String>,
    declared: u64,
    incidents: u64,
}

impl JsonVoter {
    pub(crate) fn new(voter: &VoterTally) -> Self {
        let VoterTally { name, shows, programs, compared, hypercalls, read_back, .. } = voter;
        Self {
            name: name.clone(),
            shows: shows.to_string(),
            programs: *programs,
            compared: *compared,
            hypercalls: *hypercalls,
            read_back: *read_back,
            uncovered: voter.uncovered,
            not_asked: voter.not_asked,
            why_uncovered: voter.why_uncovered.as_ref().map(ToString::to_string),
            declared: voter.declared,
            incidents: voter.incidents,
        }
    }
}

/// The verdict on the program of a file, with what was not compared.
#[derive(Serialize)]
pub(crate) struct JsonVerdict {
    file: PathBuf,
    verdict: &'static str,
    /// The first place of the program that was not compared; null if everything was compared or there is a finding.
    /// `why` is the reason.
    from: Option<String>,
    why: Option<String>,
    /// Whether any part of the program was compared.
    compared: bool,
    /// The number of steps that were not asked, if all other steps were compared; null for other verdicts.
    not_asked: Option<u64>,
    /// What differs; null without a finding.
    finding: Option<JsonDifference>,
}

impl JsonVerdict {
    pub(crate) fn new(file: PathBuf, verdict: &Verdict) -> Self {
        let not = match verdict {
            Verdict::NotCompared(not) => Some(not),
            _ => None,
        };
        Self {
            file,
            verdict: verdict.name(),
            from: not.map(|not| not.from.to_string()),
            why: not.map(|NotCompared { why, .. }| why.to_string()),
            compared: verdict.compared(),
            not_asked: not.and_then(NotCompared::not_asked),
            finding: match verdict {
                Verdict::Finding(finding) => Some(JsonDifference::new(finding)),
                _ => None,
            },
        }
    }
}

/// How often an outcome rule was decided: in real mode or deferred to virtual mode, and in accepted or refused calls
/// and probes.
#[derive(Serialize)]
pub(crate) struct JsonRule {
    rule: &'static str,
    real_mode: u64,
    deferred: u64,
    accepted: u64,
    refused: u64,
}

/// Returns all outcome rules, each with how often it was decided.
pub(crate) fn json_rules(tally: &Tally) -> Vec<JsonRule> {
    let rule = |rule: Rule| {
        let RuleTally { real, deferred, accepted, refused } = tally.rule(rule);
        JsonRule { rule: rule.id(), real_mode: real, deferred, accepted, refused }
    };
    Rule::outcomes().map(rule).collect()
}
