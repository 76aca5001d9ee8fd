//! Limits on how large mutation makes a program. A run must stay quick, and an engine keeps what has grown once.

use contract::description::{Item, WordRun, word_count};
use contract::visit::{Field, visit, visit_mut};
use contract::{Program, Step};

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

/// The sizes of a program that [`Bounds`] limits, besides the number of its steps. A sum that does not fit 64 bits is
/// `u64::MAX`.
#[derive(Clone, Copy, Default)]
struct Sizes {
    /// Number of entries of the largest window.
    entries: u64,
    /// Number of entries of all windows together, windows that steps create included.
    total: u64,
    /// Number of words of the item or step with the most words.
    words: u64,
    /// Number of page-table entries of all mappings of the machine together.
    pages: u64,
}

impl Sizes {
    fn of(program: &Program) -> Self {
        let mut sizes = Self::default();
        let mut words = (Item::Machine, 0);
        visit(program, &mut |place, number| match place.field {
            Field::Entries => {
                sizes.entries = sizes.entries.max(number);
                sizes.total = sizes.total.saturating_add(number);
            }
            Field::MapPages => sizes.pages = sizes.pages.saturating_add(number),
            Field::Words => {
                let before = if words.0 == place.item { words.1 } else { 0 };
                words = (place.item, number.saturating_add(before));
                sizes.words = sizes.words.max(words.1);
            }
            _ => {}
        });
        sizes
    }
}

impl Bounds {
    /// Returns the size limits for mutations of `program`.
    pub(super) fn of(program: &Program) -> Self {
        let Sizes { entries, total, words, pages } = Sizes::of(program);
        Self {
            steps: program.steps.len().max(MAX_GROWN_STEPS),
            entries: entries.max(MAX_GROWN_ENTRIES),
            total: total.max(MAX_GROWN_TOTAL),
            words: words.max(MAX_GROWN_WORDS),
            pages: pages.max(MAX_GROWN_PAGES),
        }
    }

    /// Cuts the program to the size limits: steps, words, entries, mappings and windows. The result may be invalid.
    pub(super) fn keep(self, program: &mut Program) {
        program.steps.truncate(self.steps);
        visit_mut(program, &mut |place, number| {
            if place.field == Field::Entries {
                *number = (*number).min(self.entries);
            }
        });
        // Cutting removes runs of words, which the visitor cannot do.
        for step in &mut program.steps {
            if let Step::Write { words, .. } = step {
                cut(words, self.words);
            }
        }
        for ram in &mut program.machine.ram {
            cut(&mut ram.words, self.words);
        }
        while Sizes::of(program).pages > self.pages {
            let Some(largest) = program.machine.mappings.iter_mut().max_by_key(|mapping| mapping.pages) else { break };
            if largest.pages < 2 {
                program.machine.mappings.pop();
            } else {
                largest.pages /= 2;
            }
        }
        while Sizes::of(program).total > self.total {
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
