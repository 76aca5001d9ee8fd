//! Steps, items of the machine, and runs of lists go.

use std::ops::Range;

use crate::check::Place;
use contract::description::{MemoryModel, WordRun};
use contract::{Program, Step};
use programs::layout::remove_section;

use super::Shrinker;

/// Drops from a list of the machine.
macro_rules! drop_items {
    ($shrinker:ident, $list:ident) => {
        $shrinker.drop_from(|p| p.machine.$list.len(), |p, range| drop(p.machine.$list.drain(range)))
    };
}

impl Shrinker<'_> {
    /// Drops whatever can go, until every single step and item must stay.
    pub(super) fn drop_parts(&mut self) {
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

    /// Nothing behind the step that shows the finding matters.
    fn cut_tail(&mut self) -> bool {
        let keep = match self.finding.place {
            Place::Start => 0,
            Place::Step(index) => index + 1,
            Place::End => return false,
        };
        keep < self.best.steps.len() && self.attempt(|program| program.steps.truncate(keep))
    }

    /// Drops stretches of a list, halves first, then ever shorter ones down to single elements.
    fn drop_from(&mut self, length: impl Fn(&Program) -> usize, remove: impl Fn(&mut Program, Range<usize>)) -> bool {
        let mut changed = false;
        let mut stretch = length(&self.best).div_ceil(2).max(1);
        loop {
            // From the end: what comes later depends on what comes earlier.
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

    /// Shorter lists of runs: one goes, or takes in its neighbour, so that what stands behind stays where it is.
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

fn sections(program: &Program) -> &[u64] {
    match &program.machine.memory {
        MemoryModel::SparsememVmemmap { sections, .. } => sections,
        MemoryModel::Flatmem { .. } => &[],
    }
}

fn drop_sections(program: &mut Program, range: Range<usize>) {
    let gone = sections(program)[range].to_vec();
    for section in gone {
        remove_section(&mut program.machine, section);
    }
}

/// The words of a step, or behind the steps of the machine's memory.
fn words(program: &Program, holder: usize) -> &[WordRun] {
    match (program.steps.get(holder), holder.checked_sub(program.steps.len())) {
        (Some(Step::Write { words, .. }), _) => words,
        (None, Some(index)) => &program.machine.ram[index].words,
        _ => &[],
    }
}

fn words_mut(program: &mut Program, holder: usize) -> Option<&mut Vec<WordRun>> {
    let steps = program.steps.len();
    match program.steps.get_mut(holder) {
        Some(Step::Write { words, .. }) => Some(words),
        Some(_) => None,
        None => Some(&mut program.machine.ram.get_mut(holder - steps)?.words),
    }
}
