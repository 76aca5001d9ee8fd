//! Lowers single numbers of a program, and equal numbers together, as the kind of the numbers allows.

use std::collections::{BTreeMap, BTreeSet};

use contract::visit::{Field, NumberKind, Place, visit, visit_mut};
use contract::{Hypercall, Program};

use super::Shrinker;

/// How many other numbers are tried in the place of a number: the lowest of the same kind in the program. For a TCE,
/// also the number of mapped guest addresses that are tried.
const OTHERS: usize = 3;

impl Shrinker<'_> {
    /// Lowers orders, then own references, then equal numbers together, then each number alone. Returns whether the
    /// best program changed.
    pub(super) fn numbers(&mut self) -> bool {
        let mut changed = self.orders();
        changed |= self.own();
        changed |= self.equal();
        let mut index = 0;
        loop {
            let numbers = all(&self.best);
            let Some(&(place, value)) = numbers.get(index) else { return changed };
            let simpler = simpler(&self.best, &numbers, place.field, value);
            // Tries a number that became lower again at once. Lowering a bit in each round would repeat everything else
            // as often.
            if simpler.into_iter().any(|simpler| self.attempt(|program| set(program, index, simpler))) {
                changed = true;
            } else {
                index += 1;
            }
        }
    }

    /// Lowers equal numbers of one kind together, such as the pfn of two probes or the IOBA of two hypercalls. Returns
    /// whether the best program changed.
    fn equal(&mut self) -> bool {
        let numbers = all(&self.best);
        let mut times: BTreeMap<(NumberKind, u64), (Field, usize)> = BTreeMap::new();
        for (place, value) in &numbers {
            times.entry((place.field.kind(), *value)).or_insert((place.field, 0)).1 += 1;
        }
        let mut changed = false;
        for ((kind, mut value), (field, _)) in times.into_iter().filter(|(_, (_, times))| *times > 1) {
            let replace = |program: &mut Program, value: u64, simpler: u64| {
                visit_mut(program, &mut |place, number| {
                    if place.field.kind() == kind && *number == value {
                        *number = simpler;
                    }
                });
            };
            while let Some(lower) = simpler(&self.best, &all(&self.best), field, value)
                .into_iter()
                .find(|&simpler| self.attempt(|program| replace(program, value, simpler)))
            {
                (value, changed) = (lower, true);
            }
        }
        changed
    }

    /// Lowers the order of compound pages, to 1 at the lowest, together with the order of the huge entries that map
    /// them. Returns whether the best program changed.
    fn orders(&mut self) -> bool {
        let mut changed = false;
        let compounds: BTreeSet<(u64, u64)> =
            heads(&self.best).into_iter().map(|(pfn, order, _)| (pfn, order)).collect();
        for (pfn, order) in compounds {
            changed |= self.fewer(order, 1, |shrinker, fewer| {
                let indices: Vec<usize> =
                    heads(&shrinker.best).into_iter().filter(|head| head.0 == pfn).map(|head| head.2).collect();
                shrinker.attempt(|program| indices.iter().for_each(|&index| set(program, index, fewer)))
            });
        }
        changed
    }

    /// Brings the own references of pages closer to 0. For a negative number it tries 1 first. Returns whether the best
    /// program changed.
    fn own(&mut self) -> bool {
        let mut changed = false;
        for index in 0..all(&self.best).len() {
            let (place, value) = all(&self.best)[index];
            let (own, magnitude) = (value as i64, (value as i64).unsigned_abs());
            if place.field != Field::Own || own == 0 {
                continue;
            }
            if own < 0 && self.attempt(|program| set(program, index, 1)) {
                changed = true;
                continue;
            }
            changed |= self.fewer(magnitude, 0, |shrinker, magnitude| {
                let number = if own < 0 { magnitude.wrapping_neg() } else { magnitude };
                shrinker.attempt(|program| set(program, index, number))
            });
        }
        changed
    }
}

/// Returns all numbers of a program with their places, in the order in which `contract::visit` shows them.
pub(super) fn all(program: &Program) -> Vec<(Place, u64)> {
    let mut all = Vec::new();
    visit(program, &mut |place, number| all.push((place, number)));
    all
}

/// Sets the number at this index of [`all`], from 0, to `value`, without high bits that do not fit the field. Does
/// nothing if there is no such index.
pub(super) fn set(program: &mut Program, index: usize, value: u64) {
    let mut at = 0;
    visit_mut(program, &mut |_, number| {
        if at == index {
            *number = value;
        }
        at += 1;
    });
}

/// Returns each order of a compound page that the program names, also in huge entries: the pfn of the head, the order,
/// and the index of the order in [`all`], from 0. The number before an order in [`all`] is that pfn.
fn heads(program: &Program) -> Vec<(u64, u64, usize)> {
    let numbers = all(program);
    let orders = numbers.iter().enumerate().filter(|(_, (place, _))| place.field.kind() == NumberKind::Order);
    orders.map(|(index, (_, order))| (numbers[index - 1].1, *order, index)).collect()
}

/// Returns the numbers to try in place of `value`, the plainest first; all are lower than `value`. `numbers` are all
/// numbers of the program. Returns an empty list for a number that is not lowered alone, such as an order or a count.
fn simpler(program: &Program, numbers: &[(Place, u64)], field: Field, value: u64) -> Vec<u64> {
    use NumberKind as Kind;
    let page = program.machine.page_shift.bytes();
    let kind = field.kind();
    let mut known: Vec<u64> =
        numbers.iter().filter(|number| number.0.field.kind() == kind).map(|number| number.1).collect();
    known.sort_unstable();
    known.dedup();
    let mut simpler = match kind {
        Kind::Slot => (0..value).find(|id| known.binary_search(id).is_err()).into_iter().collect(),
        Kind::Shift if field == Field::WindowShift => vec![12, value.saturating_sub(1)],
        Kind::Opcode if !is_call(value) => vec![0],
        Kind::Stride => vec![0, page],
        Kind::Pfn | Kind::Gfn | Kind::Hva | Kind::Ioba | Kind::Liobn => vec![0],
        Kind::Gpa => vec![0, value & !(page - 1)],
        Kind::Tce => tces(program, value),
        _ => return Vec::new(),
    };
    if !matches!(kind, Kind::Slot | Kind::Shift | Kind::Opcode | Kind::Stride) {
        // Other numbers of this kind in the program, then numbers that are closer to 0 or lose a bit.
        simpler.extend(known.into_iter().take(OTHERS));
        let highest = u64::MAX.checked_shr(value.leading_zeros() + 1).unwrap_or(0);
        simpler.extend([value / 2, value & value.wrapping_sub(1), value & highest]);
    }
    simpler.retain(|&other| other < value);
    simpler
}

/// Returns TCEs to try in place of `value`: for example 0, a fault TCE, a TCE without address, fewer permissions, no
/// address bits inside the host page, and other mapped pages. Not all are lower than `value`.
fn tces(program: &Program, value: u64) -> Vec<u64> {
    let page = program.machine.page_shift.bytes();
    let (address, permissions) = (value & !3, value & 3);
    // A fault TCE other than 0 differs from an entry that was never written.
    let mut tces = vec![0, 4, permissions, address | permissions & 1, address | permissions & 2];
    tces.extend([address & !(page - 1) | permissions, address & !0xfff | permissions]);
    if permissions != 0 {
        tces.extend(mapped_gpas(program).into_iter().take(OTHERS).map(|gpa| gpa | permissions));
    }
    tces
}

/// Returns whether the opcode belongs to one of the four hypercalls that the harness knows.
const fn is_call(opcode: u64) -> bool {
    Hypercall { opcode, args: [0; 4] }.name().is_some()
}

/// Returns the guest physical addresses of the first two pages of each of the machine's mappings, if these pages lie in
/// a slot, in ascending order.
fn mapped_gpas(program: &Program) -> BTreeSet<u64> {
    let shift = program.machine.page_shift.bits();
    let mut gpas = BTreeSet::new();
    for mapping in &program.machine.mappings {
        for slot in &program.machine.slots {
            let first = mapping.hva.0.wrapping_sub(slot.hva.0) >> shift;
            let pages = (mapping.pages * mapping.pte.pages()).min(2);
            let inside = (0..pages).map(|page| first.wrapping_add(page)).filter(|&index| index < slot.pages);
            gpas.extend(inside.map(|index| (slot.gfn.0 + index) << shift));
        }
    }
    gpas
}
