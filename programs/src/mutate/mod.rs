//! Structure-aware mutation and crossover of programs, one implementation for every engine.
//!
//! An engine that changes bytes mostly makes programs that are refused at the first gate. What is here knows what a
//! program is about: its windows, guest pages, blocks and references. A mutation is one to four *operators*, drawn from
//! a table with weights: steps come, go and move; values go to the edges of the program's own machine; steps that
//! belong together come together; the machine grows, shrinks and moves, and its steps follow. [`Mutator`] is what
//! engines call; [`mutate`] and [`crossover`] work on programs.
//!
//! Everything is a function of the input and a seed. What comes out is sound, inside the [`Focus`], and bounded
//! ([`MAX_GROWN_STEPS`] and its neighbours), unless the input was larger.

mod bounds;
mod crossover;
mod engine;
mod fresh;
mod guest;
mod memory;
mod operators;
mod retarget;
mod sequences;
mod sights;
mod steps;
mod values;
mod windows;

use contract::Program;

pub use bounds::{MAX_GROWN_ENTRIES, MAX_GROWN_PAGES, MAX_GROWN_STEPS, MAX_GROWN_TOTAL, MAX_GROWN_WORDS};
pub use engine::Mutator;

use crate::focus::Focus;
use crate::generate::dice::Dice;
use crate::repair::repair;
use bounds::Bounds;
use operators::{OPERATORS, Operator};

/// How often an operator that had nothing to change makes way for another.
const TRIES: u32 = 12;
/// One to four operators: mostly one, so that an engine learns what it was good for; sometimes several, for what takes
/// two.
const STACKED: [u32; 4] = [50, 28, 14, 8];

/// Mutates a sound program; it stays one, and comes to lie inside the focus.
pub fn mutate(program: &mut Program, focus: Focus, seed: u64) {
    let mut dice = Dice::seeded(seed, 1);
    let bounds = Bounds::of(program);
    focus.apply(program);
    let unheard = retarget::unheard(program).len();
    let count = 1 + dice.weighted(&STACKED);
    for _ in 0..count {
        for _ in 0..TRIES {
            if run(operators::draw(focus, &mut dice), program, focus, &mut dice) {
                break;
            }
        }
    }
    retarget::reopen(program, unheard, &mut dice);
    settle(program, bounds, focus);
}

/// The names of all operators, in the order of their table.
pub fn operators() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|operator| operator.name)
}

/// Mutates a sound program with one operator; answers whether there was something to change. An unknown name changes
/// nothing.
pub fn mutate_with(operator: &str, program: &mut Program, focus: Focus, seed: u64) -> bool {
    let Some(operator) = operators::named(operator) else { return false };
    let bounds = Bounds::of(program);
    focus.apply(program);
    let done = run(operator, program, focus, &mut Dice::seeded(seed, 2));
    settle(program, bounds, focus);
    done
}

/// A program with the machine of `one` and steps of both sound programs; sound and inside the focus.
#[must_use]
pub fn crossover(one: &Program, other: &Program, focus: Focus, seed: u64) -> Program {
    let bounds = Bounds::of(one);
    let mut dice = Dice::seeded(seed, 3);
    let mut child = crossover::cross(one, other, &mut dice);
    retarget::reopen(&mut child, retarget::unheard(one).len(), &mut dice);
    settle(&mut child, bounds, focus);
    child
}

/// Operators count on a sound program: sections ascend, pages exist.
fn run(operator: &Operator, program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    let done = (operator.run)(program, focus, dice);
    if operator.repairs && done {
        repair(program);
    }
    done
}

fn settle(program: &mut Program, bounds: Bounds, focus: Focus) {
    bounds.keep(program);
    focus.apply(program);
    repair(program);
}
