//! Crossover: makes a program with the machine of one parent and steps of both.
//!
//! Steps of the second parent refer to another machine. Most of the time they are translated: its n-th window, slot,
//! mapping and section become those of the first parent, with n modulo their number there, so that steps which referred
//! to the same thing still do.

use contract::description::MemoryModel;
use contract::visit::{NumberKind, Numbers as _};
use contract::{Machine, Program, Step};

use super::bounds::MAX_GROWN_STEPS;
use super::sights::Sights;
use super::steps::stretch;
use super::windows;
use crate::generate::dice::Dice;
use crate::links::move_call;

/// Makes a program with the machine of `one` and steps of `one` and `other`, at most as many steps as `one` has (or
/// [`MAX_GROWN_STEPS`], if that is more). The new program may be invalid.
pub(super) fn cross(one: &Program, other: &Program, dice: &mut Dice<'_>) -> Program {
    let translate = dice.percent(92);
    let mut child = one.clone();
    let most = MAX_GROWN_STEPS.max(one.steps.len());
    // The steps of the other parent: its tail, or a range of at most 16.
    let tail = other.steps.len().saturating_sub(dice.below(other.steps.len() as u64 + 1) as usize);
    let range = match dice.below(2) {
        0 => other.steps.len() - tail..other.steps.len(),
        _ => stretch(&other.steps, 16, dice).unwrap_or(0..0),
    };
    let mut foreign: Vec<Step> = other.steps[range.clone()].to_vec();
    if translate {
        for (index, step) in foreign.iter_mut().enumerate() {
            translated(step, one, other, range.start + index);
        }
    }
    let cut = dice.below(one.steps.len() as u64 + 1) as usize;
    match dice.weighted(&[45, 30, 25]) {
        // A prefix of the first parent's steps, then the other's.
        0 => {
            child.steps.truncate(cut.max(1));
            child.steps.extend(foreign);
        }
        // The other's steps inserted among the first parent's.
        1 => _ = child.steps.splice(cut..cut, foreign),
        // Both in turns, a few steps each.
        _ => {
            let mut own = std::mem::take(&mut child.steps).into_iter();
            let mut foreign = foreign.into_iter();
            while child.steps.len() < most {
                let before = child.steps.len();
                child.steps.extend(own.by_ref().take(dice.between(1, 4) as usize));
                child.steps.extend(foreign.by_ref().take(dice.between(1, 4) as usize));
                if child.steps.len() == before {
                    break;
                }
            }
        }
    }
    child.steps.truncate(most);
    adapt_created(&mut child);
    child
}

/// Changes each window that a step of the child creates, so that the window by itself is valid on the child's machine
/// and its tables lie above everything that the child places in memory.
fn adapt_created(child: &mut Program) {
    for index in 0..child.steps.len() {
        let Step::CreateWindow(window) = child.steps[index] else { continue };
        let mut new = window;
        windows::adapt(child, &mut new);
        child.steps[index] = Step::CreateWindow(new);
    }
}

/// Returns `index` modulo `count`; 0 if `count` is 0.
const fn round(index: usize, count: usize) -> usize {
    if count == 0 { 0 } else { index % count }
}

/// Translates `step`, which has index `index` in the program `other`, to the machine of `one`: pfns, hvas, gpas, TCEs,
/// sections, and the window of a call or of `close-window`.
fn translated(step: &mut Step, one: &Program, other: &Program, index: usize) {
    let (to, from) = (&one.machine, &other.machine);
    step.numbers_mut(&mut |field, number| {
        *number = match field.kind() {
            NumberKind::Pfn => pfn(*number, from, to),
            NumberKind::Hva => hva(*number, from, to),
            NumberKind::Gpa => gpa(*number, from, to),
            NumberKind::Tce if *number & 3 != 0 => gpa(*number & !0xfff, from, to) & !0xfff | *number & 0xfff,
            NumberKind::Section => section(*number, from, to),
            _ => return,
        };
    });
    if let Step::Map { hva, .. } = step {
        hva.0 &= !(to.page_shift.bytes() - 1);
    }
    let name = match step {
        Step::Hypercall { call, .. } => call.args[0],
        Step::CloseWindow { liobn } => liobn.0,
        _ => return,
    };
    let foreign = Sights::new(other, index);
    // A window that a step creates keeps its LIOBN.
    let Some(at) = from.windows.iter().position(|window| window.liobn.0 == name) else { return };
    let (Some(was), Some(is)) = (foreign.window_of(name), to.windows.get(round(at, to.windows.len()))) else { return };
    match step {
        Step::Hypercall { call, .. } => move_call(call, &was, is),
        Step::CloseWindow { liobn } => *liobn = is.liobn,
        _ => {}
    }
}

fn pfn(pfn: u64, from: &Machine, to: &Machine) -> u64 {
    let mapped = |machine: &Machine| {
        machine
            .mappings
            .iter()
            .position(|m| m.pte.pfn().is_some_and(|first| pfn.wrapping_sub(first.0) < m.pages * m.pte.pages()))
    };
    if let Some(at) = mapped(from)
        && let Some(is) = to.mappings.get(round(at, to.mappings.len()))
        && let (Some(first), Some(was)) = (is.pte.pfn(), from.mappings[at].pte.pfn())
    {
        return first.0 + (pfn - was.0) % (is.pages * is.pte.pages());
    }
    // A pfn that no mapping covers keeps its place in its section. A pfn past the limit stays as it is.
    let (per_from, per_to) = (from.page_shift.pages_per_section(), to.page_shift.pages_per_section());
    if pfn >= from.page_shift.pfn_limit() {
        return pfn;
    }
    let offset = pfn % per_from;
    let offset = if offset == per_from - 1 { per_to - 1 } else { offset % per_to };
    section(pfn / per_from, from, to) * per_to + offset
}

fn section(section: u64, from: &Machine, to: &Machine) -> u64 {
    match (&from.memory, &to.memory) {
        (MemoryModel::SparsememVmemmap { sections: from, .. }, MemoryModel::SparsememVmemmap { sections: to, .. }) => {
            match from.binary_search(&section) {
                Ok(at) => to.get(round(at, to.len())).copied().unwrap_or(section),
                Err(_) => section,
            }
        }
        (_, MemoryModel::SparsememVmemmap { sections: to, .. }) => {
            to.get(round(section as usize, to.len())).copied().unwrap_or(section)
        }
        (MemoryModel::SparsememVmemmap { sections: from, .. }, _) => {
            from.binary_search(&section).map_or(section, |at| at as u64)
        }
        _ => section,
    }
}

fn hva(hva: u64, from: &Machine, to: &Machine) -> u64 {
    let shift = from.page_shift.bits();
    let at = from.mappings.iter().position(|m| hva.wrapping_sub(m.hva.0) >> shift < m.pages * m.pte.pages());
    let Some(at) = at else { return hva };
    let Some(is) = to.mappings.get(round(at, to.mappings.len())) else { return hva };
    let index = (hva - from.mappings[at].hva.0) >> shift;
    is.hva.0 + ((index % (is.pages * is.pte.pages())) << to.page_shift.bits())
}

fn gpa(gpa: u64, from: &Machine, to: &Machine) -> u64 {
    let (shift_from, shift_to) = (from.page_shift.bits(), to.page_shift.bits());
    let frame = gpa >> shift_from;
    let within = gpa & ((1 << shift_from.min(shift_to)) - 1);
    let at = from.slots.iter().position(|slot| frame.wrapping_sub(slot.gfn.0) < slot.pages);
    let slot = at.and_then(|at| Some((from.slots[at], to.slots.get(round(at, to.slots.len()))?)));
    let Some((was, is)) = slot else { return gpa };
    let index = frame - was.gfn.0;
    // The last page of a slot stays the last.
    let index = if index + 1 == was.pages { is.pages - 1 } else { index % is.pages };
    (is.gfn.0 + index) << shift_to | within
}
