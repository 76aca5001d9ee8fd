//! The answers that the reference expects. The pipeline compares the system's answers with them as they come. The first
//! answer that differs becomes a finding.

use std::collections::VecDeque;

use contract::{Liobn, Program, Rule, Status};

use crate::check::finding::Moment;
use crate::check::{Finding, Place, Thing, words};

/// How many answers of a system were compared, and how many machines it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Number of hypercalls that are steps of programs and whose answers were compared.
    pub calls: u64,
    /// Number of table entries that were read back and compared.
    pub entries: u64,
    /// Number of machines that were started.
    pub boots: u64,
}

/// The registers of the guest after a hypercall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// r3, which holds the status.
    pub r3: u64,
    /// r4. It still holds the LIOBN of the hypercall if the hypercall stores nothing to r4.
    pub r4: u64,
    /// The bits that the hypercall changed in any of r5 to r9, combined by OR; 0 if it left all five alone.
    pub others: u64,
}

/// A hypercall that the system was asked: its place, and the answer that the reference expects.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// Index of the hypercall's program among the tasks, from 0.
    pub(super) program: usize,
    /// Index, from 0, of the step that the hypercall is or, for an entry that is read back, of the step at which it is
    /// read back. The number of steps at the end of the program.
    pub(super) step: usize,
    /// Index of the last step before `step` that was neither skipped nor not asked; `None` if there is none. Reference
    /// and system agree on that step if this hypercall is the first whose answer differs.
    pub(super) agreed: Option<usize>,
    /// The rule by which the reference decided the last step before the answer, the hypercall's own step included, but
    /// not counting steps that the machine was not asked; `None` if no rule decided it.
    pub(super) decided: Option<Rule>,
    pub(super) expect: Expect,
}

#[derive(Clone, Copy)]
pub(super) enum Expect {
    /// The hypercall is a step of the program. The reference expects this status in r3 and this value in r4; `stored`
    /// says whether the hypercall stores to r4.
    Step { status: Status, r4: u64, stored: bool },
    /// The hypercall is an H_GET_TCE that reads an entry back. The reference expects the guest value `value` in the
    /// entry with this index, from 0.
    Entry { liobn: Liobn, index: u64, value: u64 },
}

impl Asked {
    /// Returns the place of the hypercall in its program.
    pub(super) fn place(&self, program: &Program) -> Place {
        if self.step < program.steps.len() { Place::Step(self.step) } else { Place::End }
    }

    fn agrees(&self, answer: &Answer) -> bool {
        let (status, r4) = match self.expect {
            Expect::Step { status, r4, .. } => (status, r4),
            Expect::Entry { value, .. } => (Status::SUCCESS, value),
        };
        (answer.others, answer.r3, answer.r4) == (0, status.0 as u64, r4)
    }

    /// Makes the finding of an answer that [does not agree](Self::agrees) with the reference. `voter` is the name of
    /// the system.
    pub(super) fn finding(&self, voter: &str, program: &Program, answer: &Answer) -> Finding {
        let hex = |value: u64| format!("{value:#x}");
        let found_status = Status(answer.r3 as i64);
        let (rule, thing, expected, found) = match self.expect {
            Expect::Step { status, .. } if found_status != status => {
                (Rule::DivergeStatus, Thing::Status, status.to_string(), found_status.to_string())
            }
            Expect::Step { r4, stored, .. } if answer.r4 != r4 => {
                let untouched = if stored { "" } else { ", untouched" };
                (Rule::DivergeR4, Thing::R4, format!("{}{untouched}", words::register(Some(r4))), hex(answer.r4))
            }
            Expect::Entry { liobn, index, value } if (found_status, answer.r4) != (Status::SUCCESS, value) => {
                let found = if found_status == Status::SUCCESS { hex(answer.r4) } else { found_status.to_string() };
                (Rule::DivergeTce, Thing::GuestValue(liobn, index), hex(value), found)
            }
            _ => {
                let found = format!("bits {:#x} changed", answer.others);
                (Rule::DivergeR4, Thing::OtherRegisters, words::register(None), found)
            }
        };
        let moment = match self.expect {
            Expect::Step { .. } => Moment::After,
            Expect::Entry { .. } => Moment::ReadBack,
        };
        let blank = Finding::new(voter, program, self.place(program), rule, thing);
        Finding { decided: self.decided, agreed: self.agreed, moment, expected, found, ..blank }
    }
}

/// The hypercalls that the system has not answered yet, in the order in which it was asked them.
#[derive(Default)]
pub struct Expected {
    asked: VecDeque<Asked>,
    /// The first answer that differs from the reference's, with its hypercall; `None` if none differs. Later answers
    /// are dropped, because system and reference are in different states by then.
    wrong: Option<(Asked, Answer)>,
    pub(super) counts: Counts,
}

impl Expected {
    /// Takes the system's answer to the oldest hypercall that has none: compares it with the reference's, counts it,
    /// and keeps the first that differs. Only drops the answers after one that differs.
    ///
    /// # Panics
    /// Panics if the system has answered more hypercalls than it was asked.
    pub fn take(&mut self, answer: Answer) {
        let asked = self.asked.pop_front().expect("an answer to a call");
        if self.wrong.is_some() {
            return;
        }
        match asked.expect {
            Expect::Step { .. } => self.counts.calls += 1,
            Expect::Entry { .. } => self.counts.entries += 1,
        }
        if !asked.agrees(&answer) {
            self.wrong = Some((asked, answer));
        }
    }

    pub(super) fn add(&mut self, asked: Asked) {
        self.asked.push_back(asked);
    }

    /// Returns the oldest hypercall that has no answer; `None` if all are answered.
    pub(super) fn oldest(&self) -> Option<&Asked> {
        self.asked.front()
    }

    /// Returns whether an answer differed from the reference's. The pipeline then drops the answers behind that answer,
    /// and runs the programs behind its program again.
    #[must_use]
    pub const fn differs(&self) -> bool {
        self.wrong().is_some()
    }

    /// Returns the first answer that differs from the reference's, with its hypercall; `None` if none differs.
    pub(super) const fn wrong(&self) -> Option<(Asked, Answer)> {
        self.wrong
    }

    /// Forgets all hypercalls without an answer, and the answer that differed.
    pub(super) fn clear(&mut self) {
        self.asked.clear();
        self.wrong = None;
    }
}
