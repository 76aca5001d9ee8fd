//! Drops steps, items of the machine, and runs of words from a program.

use std::ops::Range;

use crate::check::Place;
use contract::description::{MemoryModel, WordRun};
use contract::{Machine, Program, Step};
use programs::layout::remove_section;

use super::Shrinker;

/// Drops items from the list of the machine that is called `$list`. The value is whether the best program changed.
macro_rules! drop_items {
    ($shrinker:ident, $list:ident) => {
        $shrinker.drop_from(|p| p.machine.$list.len(), |p, range| drop(p.machine.$list.drain(range)))
    };
}

impl Shrinker<'_> {
    /// Drops parts of the best program until no single step and no single item can go, or a limit is reached.
    pub(super) fn drop_parts(&mut self) {
        // Makes a new list of the machine a compile error, so that it gets a line below.
        let Machine {
            page_shift: _,
            struct_page: _,
            memory:
                MemoryModel::Flatmem { array: _, pages: _ }
                | MemoryModel::SparsememVmemmap { base: _, block_shift: _, list: _, sections: _, blocks: _ },
            pages: _,
            compounds: _,
            slots: _,
            mappings: _,
            ram: _,
            windows: _,
        } = &self.best.machine;
        loop {
            let mut changed = self.cut_tail();
            changed |= self.drop_from(|p| p.steps.len(), |p, range| drop(p.steps.drain(range)));
            changed |= drop_items!(self, windows);
            changed |= drop_items!(self, mappings);
            changed |= drop_items!(self, slots);
            changed |= drop_items!(self, pages);
            changed |= drop_items!(self, compounds);
            changed |= drop_items!(self, ram);
            changed |= self.drop_from(|p| sections(p).len(), drop_sections);
            changed |= self.drop_runs();
            if !changed {
                return;
            }
        }
    }

    /// Drops all steps after the step that shows the finding, or all steps for a finding at the start. Returns whether
    /// the best program changed; `false` for a finding at the end.
    fn cut_tail(&mut self) -> bool {
        let keep = match self.finding.place {
            Place::Start => 0,
            Place::Step(index) => index + 1,
            Place::End => return false,
        };
        keep < self.best.steps.len() && self.attempt(|program| program.steps.truncate(keep))
    }

    /// Drops stretches of one list of the program: halves first, then shorter stretches down to single elements.
    /// `length` returns the length of the list, `remove` drops a range of it. Returns whether anything was dropped.
    fn drop_from(&mut self, length: impl Fn(&Program) -> usize, remove: impl Fn(&mut Program, Range<usize>)) -> bool {
        let mut changed = false;
        let mut stretch = length(&self.best).div_ceil(2).max(1);
        loop {
            // Goes from the end to the start, because later elements depend on earlier ones.
            let mut end = length(&self.best);
            while end > 0 {
                let start = end.saturating_sub(stretch);
                changed |= self.attempt(|program| remove(program, start..end));
                end = start.min(length(&self.best));
            }
            if stretch == 1 {
                return changed;
            }
            stretch = stretch.div_ceil(2);
        }
    }

    /// Shortens the lists of words in steps and in the machine's memory contents, and the lists of block addresses in
    /// `hot-add` steps. Drops runs of words, or merges a run with its neighbour so that the words after it keep their
    /// addresses. Returns whether the best program changed.
    fn drop_runs(&mut self) -> bool {
        let mut changed = false;
        for holder in 0..self.best.steps.len() + self.best.machine.ram.len() {
            changed |= self.drop_from(
                |p| words(p, holder).len(),
                |p, range| {
                    words_mut(p, holder).map(|list| list.drain(range));
                },
            );
            for index in (1..words(&self.best, holder).len()).rev() {
                for [stays, goes] in [[index, index - 1], [index - 1, index]] {
                    let took = self.attempt(|program| {
                        if let Some(list) = words_mut(program, holder) {
                            list[stays].count += list[goes].count;
                            list.remove(goes);
                        }
                    });
                    if took {
                        changed = true;
                        break;
                    }
                }
            }
        }
        for step in 0..self.best.steps.len() {
            changed |= self.drop_from(
                |program| match &program.steps[step] {
                    Step::HotAdd { blocks, .. } => blocks.len(),
                    _ => 0,
                },
                |program, range| {
                    if let Step::HotAdd { blocks, .. } = &mut program.steps[step] {
                        blocks.drain(range);
                    }
                },
            );
        }
        changed
    }
}

/// Returns the numbers of the sections that the machine has at the start; an empty list for flatmem.
fn sections(program: &Program) -> &[u64] {
    match &program.machine.memory {
        MemoryModel::SparsememVmemmap { sections, .. } => sections,
        MemoryModel::Flatmem { .. } => &[],
    }
}

/// Removes the sections with these indices in [`sections`], from 0, from the machine, with the machine's items whose
/// first page lies in them. Steps stay.
fn drop_sections(program: &mut Program, range: Range<usize>) {
    let gone = sections(program)[range].to_vec();
    for section in gone {
        remove_section(&mut program.machine, section);
    }
}

/// Returns the runs of words that the step with index `holder` writes. A `holder` at or past the number of steps stands
/// for an item of the machine's memory contents (`ram`): the number of steps for item 0. Returns an empty list for a
/// step that writes no words.
fn words(program: &Program, holder: usize) -> &[WordRun] {
    match (program.steps.get(holder), holder.checked_sub(program.steps.len())) {
        (Some(Step::Write { words, .. }), _) => words,
        (None, Some(index)) => &program.machine.ram[index].words,
        _ => &[],
    }
}

/// Like [`words`], but mutable. Returns `None` for a step that writes no words, and for a `holder` past the last item
/// of memory contents.
fn words_mut(program: &mut Program, holder: usize) -> Option<&mut Vec<WordRun>> {
    let steps = program.steps.len();
    match program.steps.get_mut(holder) {
        Some(Step::Write { words, .. }) => Some(words),
        Some(_) => None,
        None => Some(&mut program.machine.ram.get_mut(holder - steps)?.words),
    }
}
