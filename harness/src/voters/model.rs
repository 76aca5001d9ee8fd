//! The reference in a dialect of its own: it shows in which answers two dialects differ, without any machine.

use contract::{Dialect, Program, Rule};
use reference::{Answer, Reference};

use super::{Ballot, Level, Told, Unavailable, Voter};
use crate::check::verdict::{Finding, Identity, Tally};

/// The reference, answering in one dialect whatever the program's is.
pub struct Model {
    dialect: Dialect,
    name: String,
    reference: Reference,
    own: Reference,
}

impl Model {
    /// The reference in that dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        let machine = contract::Machine::bare(
            contract::PageShift::Shift12,
            64,
            contract::MemoryModel::Flatmem { array: contract::RealAddr(1 << 30), pages: 1 },
        );
        let reference = Reference::new(dialect, &machine);
        Self { dialect, name: format!("model/{dialect}"), own: reference.clone(), reference }
    }

    fn run(&mut self, program: &Program, tally: &mut Tally) -> Ballot {
        tally.programs += 1;
        for window in &program.machine.windows {
            if let Err(reason) = window.validate(program.machine.page_shift, self.dialect) {
                return Ballot::Uncovered(format!("window {} in dialect {}: {reason}", window.liobn, self.dialect));
            }
        }
        self.reference.reset(program.dialect, &program.machine);
        self.own.reset(self.dialect, &program.machine);
        let name = &self.name;
        let mut agreed = None;
        for (index, step) in program.steps.iter().enumerate() {
            tally.steps += 1;
            let (expected, found) = (self.reference.step(step), self.own.step(step));
            let finding = |rule, field, what: String, expected: String, found: String| {
                let identity = Identity { rule, field, kind: step.kind().name() };
                Ballot::Finding(Box::new(Finding {
                    identity,
                    step: index,
                    agreed,
                    what,
                    expected,
                    found,
                    objects: vec![],
                    voter: name.clone(),
                    votes: vec![],
                    log: Vec::new(),
                }))
            };
            match (expected.answer, found.answer) {
                (Answer::Skipped(_), Answer::Skipped(_)) => {
                    tally.skipped += 1;
                    continue;
                }
                (Answer::Skipped(why), _) | (_, Answer::Skipped(why)) => {
                    return Ballot::Uncovered(format!("step {} is skipped by one dialect only: {why}", index + 1));
                }
                (Answer::Hypercall { status, r4 }, Answer::Hypercall { status: other, r4: other_r4 }) => {
                    if status != other {
                        let (expected, found) = (status.to_string(), other.to_string());
                        return finding(Rule::DivergeStatus, "status", "status (r3)".into(), expected, found);
                    }
                    if r4 != other_r4 {
                        let show = |r4: Option<u64>| r4.map_or("untouched".into(), |value| format!("{value:#x}"));
                        return finding(Rule::DivergeR4, "r4", "r4".into(), show(r4), show(other_r4));
                    }
                    tally.count_hypercall(status, false, step_entries(step));
                    tally.count_rules(expected.rules, false, status == contract::Status::SUCCESS);
                }
                _ => {}
            }
            if let Some((liobn, index, expected, found)) = self.tables() {
                let what = format!("guest value {index} of window {liobn}");
                let hex = |value: u64| format!("{value:#x}");
                return finding(Rule::DivergeTce, "guest value", what, hex(expected), hex(found));
            }
            agreed = Some(index);
        }
        Ballot::Agreed
    }

    /// The first entry that differs among those that the step touched on either side.
    fn tables(&self) -> Option<(contract::Liobn, u64, u64, u64)> {
        let touched = self.reference.touched().iter().chain(self.own.touched());
        let mut differing: Vec<_> = touched
            .filter_map(|object| match *object {
                reference::Object::Entry { liobn, index } => {
                    let value = |model: &Reference| model.window(liobn).map_or(0, |window| window.guest(index));
                    let (expected, found) = (value(&self.reference), value(&self.own));
                    (expected != found).then_some((liobn, index, expected, found))
                }
                _ => None,
            })
            .collect();
        differing.sort_unstable();
        differing.into_iter().next()
    }
}

fn step_entries(step: &contract::Step) -> u64 {
    match step {
        contract::Step::Hypercall { call, .. } => call.count(),
        _ => 0,
    }
}

impl Voter for Model {
    fn name(&self) -> &str {
        &self.name
    }

    fn level(&self) -> Level {
        Level::Tables
    }

    fn vote(&mut self, programs: &[Program], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable> {
        for (index, program) in programs.iter().enumerate() {
            let ballot = self.run(program, tally);
            tell(Told::Ballot(index, ballot));
        }
        Ok(())
    }
}
