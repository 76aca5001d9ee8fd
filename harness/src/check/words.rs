//! The reference's outcomes and answers as text, for reports and tests.

use contract::{ProbeAnswer, RealAddr, Rule};
use reference::{Answer, Outcome, Owes};

/// Returns the reference's outcome of a step in words, such as `H_SUCCESS (0) by MAP.NEW, real mode must finish`.
#[must_use]
pub fn outcome(outcome: &Outcome) -> String {
    let others: Vec<&str> = outcome
        .rules
        .iter()
        .filter(|rule| Some(*rule) != outcome.rule && deferring(outcome) != Some(*rule))
        .map(Rule::id)
        .collect();
    let also = if others.is_empty() { String::new() } else { format!(" (also {})", others.join(", ")) };
    let by = outcome.rule.map_or(String::new(), |rule| format!(" by {rule}{also}"));
    match outcome.answer {
        Answer::Skipped(why) => format!("skipped: {why}"),
        Answer::Done => "done".into(),
        Answer::Lookup(Some(real)) => format!("{real}{by}"),
        Answer::Lookup(None) => format!("none{by}"),
        Answer::Probe(answer) => format!("{}{by}", probe(answer)),
        Answer::Hypercall { status, r4 } => {
            let r4 = r4.map_or(String::new(), |value| format!(", r4 = {value:#x}"));
            let owes = match outcome.owes {
                Owes::Finish => "real mode must finish".to_string(),
                Owes::Defer(rule) => format!("real mode must defer: {rule}"),
                Owes::May(why) => format!("real mode may defer: {why}"),
            };
            format!("{status}{r4}{by}, {owes}")
        }
    }
}

/// Returns the rule for which real mode must defer the call, `None` if real mode need not defer it. The text of the
/// outcome names that rule at its end.
const fn deferring(outcome: &Outcome) -> Option<Rule> {
    match outcome.owes {
        Owes::Defer(rule) => Some(rule),
        _ => None,
    }
}

/// Returns the answer to a probe of a conditional reference in words.
pub(crate) const fn probe(answer: ProbeAnswer) -> &'static str {
    match answer {
        ProbeAnswer::NoPage => "no page",
        ProbeAnswer::Compound => "compound",
        ProbeAnswer::Done(true) => "true",
        ProbeAnswer::Done(false) => "false",
    }
}

/// Returns the answer to a lookup as text: a real address, or `none`.
pub(crate) fn lookup(answer: Option<RealAddr>) -> String {
    answer.map_or("none".into(), |real| real.to_string())
}

/// Returns a register's value after a call in hex, or `untouched` for `None`: the call left the register alone.
pub(crate) fn register(value: Option<u64>) -> String {
    value.map_or("untouched".into(), |value| format!("{value:#x}"))
}
