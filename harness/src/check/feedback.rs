//! Feedback for fuzzing engines: which combinations of rule, outcome, memory model and mode a program reached.
//!
//! An engine that is guided by branches sees each rule decided once and has no reason to try it again. That `MAP.SAME`
//! was deferred on a machine with 2 MiB blocks is no new branch. Therefore each combination has a number, and fuzz
//! targets report the number as an extra counter of libFuzzer or as IJON state of AFL++.

use contract::{Machine, MemoryModel, ProbeAnswer, Rule, RuleSet, Status};
use reference::{Answer, Outcome};

use super::checker::{Handled, Observation};

/// Number of memory models: flatmem, and sparsemem-vmemmap with each of its four block sizes.
const MODELS: usize = 5;
/// Number of outcomes: success or `true`; H_PARAMETER, a lookup without a result, or `false`; any other answer.
const OUTCOMES: usize = 3;
/// Number of modes: real mode finished the step, or virtual mode did.
const MODES: usize = 2;

/// For each rule its number among the outcome rules, and how many outcome rules there are. Rules that only findings
/// have get no number, because no step is decided by them and engines look at every counter after every run.
const PLACES: ([Option<usize>; Rule::ALL.len()], usize) = {
    let (mut places, mut decided, mut at) = ([None; Rule::ALL.len()], 0, 0);
    while at < Rule::ALL.len() {
        if Rule::ALL[at].is_outcome() {
            places[at] = Some(decided);
            decided += 1;
        }
        at += 1;
    }
    (places, decided)
};

/// How many combinations there are, reachable or not. Their numbers are `0 .. COMBINATIONS`.
pub const COMBINATIONS: usize = PLACES.1 * OUTCOMES * MODELS * MODES;

/// Numbers the combinations that programs on one machine reach.
#[derive(Clone, Copy, Debug)]
pub struct Feedback {
    model: usize,
}

impl Feedback {
    /// Makes the feedback for programs on this machine.
    #[must_use]
    pub const fn new(machine: &Machine) -> Self {
        let model = match &machine.memory {
            MemoryModel::Flatmem { .. } => 0,
            MemoryModel::SparsememVmemmap { block_shift, .. } => match block_shift {
                0..=12 => 1,
                13..=16 => 2,
                17..=21 => 3,
                _ => 4,
            },
        };
        Self { model }
    }

    /// Returns the combinations that a step reached, one for each rule that took part in its outcome. Host steps and
    /// skipped steps reach none.
    pub fn of(self, observation: &Observation<'_>) -> impl Iterator<Item = usize> + use<> {
        let (rules, outcome) = match *observation.outcome {
            Outcome { answer: Answer::Skipped(_) | Answer::Done, .. } => (RuleSet::EMPTY, 0),
            Outcome { rules, answer, .. } => (rules, class(answer)),
        };
        let mode = usize::from(observation.handled == Handled::Deferred);
        rules.iter().map(move |rule| {
            let place = PLACES.0[rule as usize].expect("the reference decides a step by outcomes, never by findings");
            ((place * OUTCOMES + outcome) * MODELS + self.model) * MODES + mode
        })
    }
}

/// Returns the number of the answer's outcome, below [`OUTCOMES`].
const fn class(answer: Answer) -> usize {
    match answer {
        Answer::Hypercall { status: Status::SUCCESS, .. }
        | Answer::Lookup(Some(_))
        | Answer::Probe(ProbeAnswer::Done(true)) => 0,
        Answer::Hypercall { status: Status::PARAMETER, .. }
        | Answer::Lookup(None)
        | Answer::Probe(ProbeAnswer::Done(false)) => 1,
        _ => 2,
    }
}

/// Returns a combination in words, such as `MAP.NEW x done x vmemmap 2^21 x deferred`.
#[must_use]
pub fn describe(combination: usize) -> String {
    let (rest, mode) = (combination / MODES, combination % MODES);
    let (rest, model) = (rest / MODELS, rest % MODELS);
    let (rule, outcome) = (rest / OUTCOMES, rest % OUTCOMES);
    let rule = Rule::outcomes().nth(rule).map_or("no rule", Rule::id);
    let outcome = ["done", "refused", "otherwise"][outcome];
    let model = ["flatmem", "vmemmap 2^12", "vmemmap 2^16", "vmemmap 2^21", "vmemmap 2^24"][model];
    format!("{rule} x {outcome} x {model} x {}", ["real mode", "deferred"][mode])
}
