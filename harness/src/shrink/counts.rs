//! Lowers the counts of a program: for example entries of windows and calls, words, and pages.

use std::collections::BTreeMap;

use contract::description::Item;
use contract::visit::{Field, NumberKind, Place};
use contract::{Hva, Pfn, Pte};

use super::Shrinker;
use super::moves::change_window;
use super::numbers::{all, set};

impl Shrinker<'_> {
    /// Lowers each count alone, then equal counts together, then drops first pages of mappings. Returns whether the
    /// best program changed.
    pub(super) fn counts(&mut self) -> bool {
        let mut changed = false;
        for index in 0..all(&self.best).len() {
            let Some(&(place, value)) = all(&self.best).get(index) else { break };
            if !is_free(place) {
                continue;
            }
            changed |= self.fewer(value, least(place), |shrinker, fewer| {
                shrinker.attempt(|program| set(program, index, fewer))
                    || place.field == Field::Entries
                        && shrinker
                            .attempt(|program| change_window(program, place.item, |window| window.entries = fewer))
            });
        }
        changed |= self.equal_counts();
        for mapping in 0..self.best.machine.mappings.len() {
            changed |= self.last_pages(mapping);
        }
        changed
    }

    /// Lowers equal counts together, such as the pages of a slot and of the step that moves the slot, or the entries of
    /// a hypercall and the words of its list. Returns whether the best program changed.
    fn equal_counts(&mut self) -> bool {
        let mut times: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, (place, value)) in all(&self.best).into_iter().enumerate() {
            if is_free(place) {
                times.entry(value).or_default().push(index);
            }
        }
        let mut changed = false;
        for (value, indices) in times.into_iter().filter(|(_, indices)| indices.len() > 1) {
            changed |= self.fewer(value, 1, |shrinker, fewer| {
                shrinker.attempt(|program| indices.iter().for_each(|&index| set(program, index, fewer)))
            });
        }
        changed
    }

    /// Lowers `value` as far as `attempt` accepts. Tries `least` first, then halves the distance between the largest
    /// number that failed and the smallest number that worked. Returns whether a lower number was accepted.
    pub(super) fn fewer(&mut self, value: u64, least: u64, mut attempt: impl FnMut(&mut Self, u64) -> bool) -> bool {
        if value <= least {
            return false;
        }
        if attempt(self, least) {
            return true;
        }
        let (mut too_few, mut enough) = (least, value);
        while enough - too_few > 1 {
            let half = too_few + (enough - too_few) / 2;
            if attempt(self, half) {
                enough = half;
            } else {
                too_few = half;
            }
        }
        enough < value
    }

    /// Drops as many of the first pages of a mapping as it can and keeps the last pages. `index` is the mapping's index
    /// in the machine, from 0. Returns whether the best program changed.
    fn last_pages(&mut self, index: usize) -> bool {
        let mapping = self.best.machine.mappings[index];
        let page = self.best.machine.page_shift.bytes();
        self.fewer(mapping.pages, 1, |shrinker, pages| {
            shrinker.attempt(|program| {
                let gone = mapping.pages - pages;
                let mapping = &mut program.machine.mappings[index];
                mapping.pages = pages;
                mapping.hva = Hva(mapping.hva.0 + gone * page);
                if let Pte::Present { pfn, .. } | Pte::Absent { pfn } = &mut mapping.pte {
                    *pfn = Pfn(pfn.0 + gone);
                }
            })
        })
    }
}

/// Returns whether the number is a count that the shrinker may change. The count of a run of the machine's vmemmap
/// blocks may not change, because it follows from the machine's sections.
const fn is_free(place: Place) -> bool {
    matches!(place.field.kind(), NumberKind::Count) && !matches!(place.item, Item::Block(_))
}

/// Returns the smallest count that leaves the field its meaning: 0 for the count of a hypercall, else 1.
const fn least(place: Place) -> u64 {
    match place.field {
        // The pages of slots are among the other counts, and a slot of 0 pages is deleted.
        Field::Count => 0,
        _ => 1,
    }
}
