//! Trims inputs by whole records. AFL++'s own trimming cuts bytes anywhere, which changes every record after the cut.

use programs::encoding::{Form, RECORD, form};

/// The trimming of one input. It removes ranges of records one after the other, from the end of the input, and halves
/// the length of the ranges after each pass.
#[derive(Default)]
pub(crate) struct Trim {
    best: Vec<u8>,
    candidate: Vec<u8>,
    /// Number of records in the range that is removed at a time.
    stretch: usize,
    /// Index of the record after the range that is removed next; the header is record 0.
    end: usize,
    step: usize,
    steps: usize,
}

/// Largest number of trimming steps for one input: a program of a thousand records is not worth more.
const MAX_STEPS: usize = 256;

impl Trim {
    /// Begins to trim `input`. Returns the largest number of steps; 0 if the input is not a program in the current
    /// version of the encoding, or has fewer than two records after the header.
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

    /// Returns the number of whole records after the header of the best input so far.
    fn records(&self) -> usize {
        (self.best.len() / RECORD).saturating_sub(1)
    }

    /// Returns the best input so far without the next range of records.
    pub(crate) fn candidate(&mut self) -> &[u8] {
        let start = self.end.saturating_sub(self.stretch).max(1);
        self.candidate.clear();
        self.candidate.extend_from_slice(&self.best[..start * RECORD]);
        self.candidate.extend_from_slice(&self.best[self.end * RECORD..]);
        &self.candidate
    }

    /// Takes the candidate as the best input if it behaved the `same` for AFL++ as the best input so far, and goes on
    /// to the next range. Returns the number of the next step, or the number of all steps when trimming is done.
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
