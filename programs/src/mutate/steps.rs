//! Operators that add, remove, repeat and reorder steps.

use std::ops::Range;

use contract::{Program, Step};

use super::bounds::MAX_GROWN_STEPS;
use super::fresh::{self, Wanted};
use super::retarget;
use crate::focus::Focus;
use crate::generate::dice::Dice;

/// Returns how many steps can still be added to the program until it has [`MAX_GROWN_STEPS`]; 0 if it has as many or
/// more.
pub(super) fn room(program: &Program) -> usize {
    MAX_GROWN_STEPS.saturating_sub(program.steps.len())
}

/// Draws an index at which to insert steps; the end of the program is more likely than any other index.
fn gap(program: &Program, dice: &mut Dice<'_>) -> usize {
    if dice.percent(25) { program.steps.len() } else { dice.below(program.steps.len() as u64 + 1) as usize }
}

/// Draws a range of 1 to `most` consecutive indices of `steps`; `None` if there are no steps or `most` is 0.
pub(super) fn stretch(steps: &[Step], most: usize, dice: &mut Dice<'_>) -> Option<Range<usize>> {
    if steps.is_empty() || most == 0 {
        return None;
    }
    let length = dice.between(1, most.min(steps.len()) as u64) as usize;
    let start = dice.below((steps.len() - length + 1) as u64) as usize;
    Some(start..start + length)
}

/// Inserts the first of `steps` at index `at`: as many as [`room`] allows. Returns whether any was inserted.
pub(super) fn put(program: &mut Program, at: usize, mut steps: Vec<Step>) -> bool {
    steps.truncate(room(program));
    let some = !steps.is_empty();
    program.steps.splice(at..at, steps);
    some
}

/// Draws new steps that fit the program's machine, and inserts them. Returns false if no step can be added, or if six
/// tries drew no step that the focus runs.
pub(super) fn insert(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    if room(program) == 0 {
        return false;
    }
    let at = gap(program, dice);
    let steps = fresh::steps(program, at, Wanted::Any, focus, dice);
    put(program, at, steps)
}

/// Removes one drawn step. If it creates a window, almost all later calls that lose this window are changed to calls on
/// open windows. Returns false if there are fewer than two steps.
pub(super) fn drop_one(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    if program.steps.len() < 2 {
        return false;
    }
    let at = dice.below(program.steps.len() as u64) as usize;
    remove(program, at..at + 1, dice);
    true
}

/// Removes a drawn range of consecutive steps, from one to half of all steps, and adapts later calls as [`drop_one`]
/// does. Returns false if there are fewer than two steps.
pub(super) fn drop_stretch(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let most = program.steps.len() / 2;
    let Some(range) = stretch(&program.steps, most, dice) else { return false };
    remove(program, range, dice);
    true
}

/// Removes the steps of a range of indices. Almost all later calls that lose their window, because a removed step
/// created it, are changed to calls on open windows.
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

/// Inserts 1, 2, 3 or 7 copies of a step, or of a range of up to six steps, right after it; fewer if the program may
/// not grow so much. Returns false if there are no steps, or if no step can be added.
pub(super) fn repeat(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let room = room(program);
    let most = if dice.percent(50) { 1 } else { 6 };
    let Some(range) = stretch(&program.steps, most.min(room), dice) else { return false };
    let times = (dice.pick(&[1, 1, 2, 3, 7]) as usize).min(room / range.len());
    let steps = program.steps[range.clone()].to_vec();
    put(program, range.end, std::iter::repeat_n(steps, times).flatten().collect())
}

/// Swaps two steps (in 60 of 100 swaps neighbours), or moves a range of up to six steps to another index. Returns false
/// if there are fewer than two steps, or if the drawn index is the old one.
pub(super) fn reorder(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let length = program.steps.len();
    if length < 2 {
        return false;
    }
    if dice.percent(50) {
        let one = dice.below(length as u64 - 1) as usize;
        // Mostly neighbours: two steps that belong together run in the other order.
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

/// Inserts a copy of a range of up to eight steps at a drawn index. Returns false if there are no steps, or if no step
/// can be added.
pub(super) fn splice(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let room = room(program);
    let Some(range) = stretch(&program.steps, 8.min(room), dice) else { return false };
    let steps = program.steps[range].to_vec();
    let at = gap(program, dice);
    put(program, at, steps)
}
