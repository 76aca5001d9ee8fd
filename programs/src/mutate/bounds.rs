//! Limits on how large mutation makes a program. A run must stay quick, and an engine keeps what has grown once.

use contract::description::{WordRun, word_count};
use contract::{Program, Step, WindowSpec};

/// Largest number of steps to which mutation grows a program. A program that has more does not grow.
pub const MAX_GROWN_STEPS: usize = 64;
/// Largest number of entries to which mutation grows one window.
pub const MAX_GROWN_ENTRIES: u64 = 4096;
/// Largest number of entries to which mutation grows all windows of a program together, windows that steps create
/// included.
pub const MAX_GROWN_TOTAL: u64 = 1 << 13;
/// Largest number of words of 8 bytes to which mutation grows one `write` step or one `ram` item.
pub const MAX_GROWN_WORDS: u64 = 512;
/// Largest number of page-table entries to which mutation grows all mappings of the machine together. A huge entry
/// counts as one.
pub const MAX_GROWN_PAGES: u64 = 256;

/// The size limits for mutating one program: the constants `MAX_GROWN_...`, or the size that the program already has
/// where that is larger.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    steps: usize,
    entries: u64,
    total: u64,
    words: u64,
    pages: u64,
}

fn windows(program: &Program) -> impl Iterator<Item = &WindowSpec> {
    let created = program.steps.iter().filter_map(|step| match step {
        Step::CreateWindow(window) => Some(window),
        _ => None,
    });
    program.machine.windows.iter().chain(created)
}

fn total(program: &Program) -> u64 {
    windows(program).fold(0, |sum, window| sum.saturating_add(window.entries))
}

fn mapped(program: &Program) -> u64 {
    program.machine.mappings.iter().fold(0, |sum, mapping| sum.saturating_add(mapping.pages))
}

impl Bounds {
    /// Returns the size limits for mutations of `program`.
    pub(super) fn of(program: &Program) -> Self {
        let written = program.steps.iter().map(|step| match step {
            Step::Write { words, .. } => word_count(words),
            _ => 0,
        });
        let written = written.chain(program.machine.ram.iter().map(|ram| word_count(&ram.words)));
        Self {
            steps: program.steps.len().max(MAX_GROWN_STEPS),
            entries: windows(program).map(|window| window.entries).max().unwrap_or(0).max(MAX_GROWN_ENTRIES),
            total: total(program).max(MAX_GROWN_TOTAL),
            words: written.max().unwrap_or(0).max(MAX_GROWN_WORDS),
            pages: mapped(program).max(MAX_GROWN_PAGES),
        }
    }

    /// Cuts the program to the size limits: steps, words, entries, mappings and windows. The result may be invalid.
    pub(super) fn keep(self, program: &mut Program) {
        program.steps.truncate(self.steps);
        for step in &mut program.steps {
            match step {
                Step::Write { words, .. } => cut(words, self.words),
                Step::CreateWindow(window) => window.entries = window.entries.min(self.entries),
                _ => {}
            }
        }
        let machine = &mut program.machine;
        for window in &mut machine.windows {
            window.entries = window.entries.min(self.entries);
        }
        for ram in &mut machine.ram {
            cut(&mut ram.words, self.words);
        }
        while mapped(program) > self.pages {
            let Some(largest) = program.machine.mappings.iter_mut().max_by_key(|mapping| mapping.pages) else { break };
            if largest.pages < 2 {
                program.machine.mappings.pop();
            } else {
                largest.pages /= 2;
            }
        }
        while total(program) > self.total {
            let created = program.steps.iter().rposition(|step| matches!(step, Step::CreateWindow(_)));
            match created {
                Some(index) => _ = program.steps.remove(index),
                None if program.machine.windows.pop().is_none() => break,
                None => {}
            }
        }
    }
}

/// Keeps the first `most` words (of 8 bytes) of the runs and removes the others.
fn cut(words: &mut Vec<WordRun>, most: u64) {
    if word_count(words) <= most {
        return;
    }
    let mut left = most;
    words.retain_mut(|run| {
        run.count = run.count.min(left);
        left -= run.count;
        run.count > 0
    });
}
