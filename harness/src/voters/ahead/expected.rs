//! The answers that the reference expects. The system's answers are compared with them as they come, and the first one
//! that differs becomes a finding.

use std::collections::VecDeque;

use contract::{Liobn, Program, Rule, Status};

use super::system::Answer;
use crate::check::finding::Moment;
use crate::check::{Finding, Place, Thing, words};

/// How many answers were compared, and how many machines started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Hypercalls of programs whose answers were compared.
    pub calls: u64,
    /// Table entries that were read back and compared.
    pub entries: u64,
    /// Machines started.
    pub boots: u64,
}

/// A call that was asked: its place, and the answer that is expected.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// The index of its program among the tasks.
    pub(super) program: usize,
    /// The index of its step; the number of steps for entries that are read back at the end of the program.
    pub(super) step: usize,
    /// The last step before the call that both sides ran, if there is one. They agree on it if the call is the first
    /// whose answer differs.
    pub(super) agreed: Option<usize>,
    /// The rule by which the reference decided the last step up to this call that the system was asked.
    pub(super) decided: Option<Rule>,
    pub(super) expect: Expect,
}

#[derive(Clone, Copy)]
pub(super) enum Expect {
    /// A step of the program: r3, the value of r4 afterwards, and whether the call stores to r4.
    Step { status: Status, r4: u64, stored: bool },
    /// A table entry that is read back through H_GET_TCE: its guest value.
    Entry { liobn: Liobn, index: u64, value: u64 },
}

impl Asked {
    /// The place in its program.
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

    /// The finding that an answer makes which [does not agree](Self::agrees).
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

/// The calls whose answers have not come yet, in the order in which they were asked.
#[derive(Default)]
pub struct Expected {
    asked: VecDeque<Asked>,
    /// The first answer that differs, and its call. Later answers are dropped, because the two sides are in different
    /// states by then.
    wrong: Option<(Asked, Answer)>,
    pub(super) counts: Counts,
}

impl Expected {
    /// Takes the answer to the oldest call that has none.
    ///
    /// # Panics
    /// All calls have been answered already: the system has answered more calls than it was asked.
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

    /// The oldest call that has no answer.
    pub(super) fn oldest(&self) -> Option<&Asked> {
        self.asked.front()
    }

    /// Whether an answer differed from what was expected. The pipeline drops the programs behind it and runs them
    /// again.
    #[must_use]
    pub const fn differs(&self) -> bool {
        self.wrong().is_some()
    }

    /// The first answer that differs, and its call.
    pub(super) const fn wrong(&self) -> Option<(Asked, Answer)> {
        self.wrong
    }

    /// Forgets all calls, and the answer that differed.
    pub(super) fn clear(&mut self) {
        self.asked.clear();
        self.wrong = None;
    }
}
