//! Changes of which steps there are, and in which order.

use std::ops::Range;

use contract::{Program, Step};

use super::bounds::MAX_GROWN_STEPS;
use super::fresh::{self, Wanted};
use super::retarget;
use crate::focus::Focus;
use crate::generate::dice::Dice;

/// How many steps may still come.
pub(super) fn room(program: &Program) -> usize {
    MAX_GROWN_STEPS.saturating_sub(program.steps.len())
}

/// A place between steps; the end is as likely as anything.
fn gap(program: &Program, dice: &mut Dice<'_>) -> usize {
    if dice.percent(25) { program.steps.len() } else { dice.below(program.steps.len() as u64 + 1) as usize }
}

/// A stretch of 1 ..= `most` steps, or `None` of no steps.
pub(super) fn stretch(steps: &[Step], most: usize, dice: &mut Dice<'_>) -> Option<Range<usize>> {
    if steps.is_empty() || most == 0 {
        return None;
    }
    let length = dice.between(1, most.min(steps.len()) as u64) as usize;
    let start = dice.below((steps.len() - length + 1) as u64) as usize;
    Some(start..start + length)
}

/// Puts steps in at `at`, as many as there is room for.
pub(super) fn put(program: &mut Program, at: usize, mut steps: Vec<Step>) -> bool {
    steps.truncate(room(program));
    let some = !steps.is_empty();
    program.steps.splice(at..at, steps);
    some
}

/// New steps that make sense on this machine.
pub(super) fn insert(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    if room(program) == 0 {
        return false;
    }
    let at = gap(program, dice);
    let steps = fresh::steps(program, at, Wanted::Any, focus, dice);
    put(program, at, steps)
}

/// One step goes. Calls of a window that now is never created are made for another.
pub(super) fn drop_one(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    if program.steps.len() < 2 {
        return false;
    }
    let at = dice.below(program.steps.len() as u64) as usize;
    remove(program, at..at + 1, dice);
    true
}

/// A stretch goes.
pub(super) fn drop_stretch(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let most = program.steps.len() / 2;
    let Some(range) = stretch(&program.steps, most, dice) else { return false };
    remove(program, range, dice);
    true
}

fn remove(program: &mut Program, range: Range<usize>, dice: &mut Dice<'_>) {
    let start = range.start;
    let gone: Vec<Step> = program.steps.drain(range).collect();
    for step in gone {
        if let Step::CreateWindow(window) = step
            && window.validate(program.machine.page_shift, program.dialect).is_ok()
        {
            retarget::away_from(program, start, &window, dice);
        }
    }
}

/// The same step again, or a stretch several times.
pub(super) fn repeat(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let room = room(program);
    let most = if dice.percent(50) { 1 } else { 6 };
    let Some(range) = stretch(&program.steps, most.min(room), dice) else { return false };
    let times = (dice.pick(&[1, 1, 2, 3, 7]) as usize).min(room / range.len());
    let steps = program.steps[range.clone()].to_vec();
    put(program, range.end, std::iter::repeat_n(steps, times).flatten().collect())
}

/// Two steps change places, or a stretch moves.
pub(super) fn reorder(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let length = program.steps.len();
    if length < 2 {
        return false;
    }
    if dice.percent(50) {
        let one = dice.below(length as u64 - 1) as usize;
        // Neighbours most of the time: two steps of one story told the other way round.
        let other = if dice.percent(60) { one + 1 } else { dice.below(length as u64) as usize };
        program.steps.swap(one, other);
        return one != other;
    }
    let Some(range) = stretch(&program.steps, 6.min(length - 1), dice) else { return false };
    let moved: Vec<Step> = program.steps.drain(range.clone()).collect();
    let at = dice.below(program.steps.len() as u64 + 1) as usize;
    program.steps.splice(at..at, moved);
    at != range.start
}

/// A stretch stands in another place too.
pub(super) fn splice(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let room = room(program);
    let Some(range) = stretch(&program.steps, 8.min(room), dice) else { return false };
    let steps = program.steps[range].to_vec();
    let at = gap(program, dice);
    put(program, at, steps)
}
