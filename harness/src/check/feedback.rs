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
/// Number of outcomes. They are: success, a lookup with a result, or `true`; H_PARAMETER, a lookup without a result, or
/// `false`; any other answer.
const OUTCOMES: usize = 3;
/// Number of modes: real mode finished the step, or virtual mode finished it.
const MODES: usize = 2;

/// For each rule its number among the outcome rules, reasons to defer included ([`Rule::outcomes`]), from 0, and how
/// many of these rules there are. A rule that only a finding can name has `None`: no step is decided by that rule, and
/// engines look at every counter after every run.
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

/// Number of combinations of rule, outcome, memory model and mode, including those that no program can reach. The
/// combinations are numbered from 0.
pub const COMBINATIONS: usize = PLACES.1 * OUTCOMES * MODELS * MODES;

/// Numbers the combinations of rule, outcome, memory model and mode that programs on one machine reach.
#[derive(Clone, Copy, Debug)]
pub struct Feedback {
    model: usize,
}

impl Feedback {
    /// Makes the feedback for programs on machines with the memory model and block size of `machine`.
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

    /// Returns the numbers of the combinations that a step reached: one for each rule in the reference's outcome. Host
    /// steps, and steps that were skipped or not asked, reach none.
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

/// Returns the number of the outcome that this answer belongs to, from 0 and below [`OUTCOMES`].
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

/// Returns the combination with this number in words, such as `MAP.NEW x done x vmemmap 2^21 x deferred`. A number from
/// [`COMBINATIONS`] on gives `no rule` in place of the rule.
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
