//! Trimming by whole records. AFL++'s own trimming cuts bytes anywhere, which turns every record behind the cut into
//! another.

use programs::encoding::{Form, RECORD, form};

/// Stretches of records are left out one after the other, from the end, each time half as long as in the round before.
#[derive(Default)]
pub(crate) struct Trim {
    best: Vec<u8>,
    candidate: Vec<u8>,
    /// Records of a stretch, 0 when done.
    stretch: usize,
    /// The record behind the next stretch.
    end: usize,
    step: usize,
    steps: usize,
}

/// Most steps: a program of a thousand records is not worth more.
const MAX_STEPS: usize = 256;

impl Trim {
    /// Begins with an input; answers the most steps it will take, 0 for what is no encoded program.
    pub(crate) fn start(&mut self, input: &[u8]) -> usize {
        self.best.clear();
        self.best.extend_from_slice(input);
        let records = self.records();
        if form(input) != Form::Current || records < 2 {
            return 0;
        }
        self.stretch = records.div_ceil(8).max(1);
        self.end = records + 1;
        self.step = 0;
        self.steps = MAX_STEPS;
        self.steps
    }

    /// Whole records behind the header.
    fn records(&self) -> usize {
        (self.best.len() / RECORD).saturating_sub(1)
    }

    /// The input without the next stretch.
    pub(crate) fn candidate(&mut self) -> &[u8] {
        let start = self.end.saturating_sub(self.stretch).max(1);
        self.candidate.clear();
        self.candidate.extend_from_slice(&self.best[..start * RECORD]);
        self.candidate.extend_from_slice(&self.best[self.end * RECORD..]);
        &self.candidate
    }

    /// Whether the candidate did the same; answers the number of the next step, the most there can be when done.
    pub(crate) fn next(&mut self, same: bool) -> usize {
        self.step += 1;
        let start = self.end.saturating_sub(self.stretch).max(1);
        if same {
            std::mem::swap(&mut self.best, &mut self.candidate);
        }
        self.end = start;
        if self.end <= 1 {
            if self.stretch == 1 {
                return self.steps;
            }
            self.stretch = self.stretch.div_ceil(2);
            self.end = self.records() + 1;
        }
        if self.records() < 2 || self.step >= self.steps { self.steps } else { self.step }
    }
}
