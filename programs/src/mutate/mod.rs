//! Structure-aware mutation and crossover of programs: one implementation for every engine.
//!
//! An engine that changes bytes mostly makes calls that the first check refuses. This module knows what a program is
//! about: its windows, guest pages, blocks and references. A mutation applies one to four *operators*, drawn from a
//! table with weights. Operators add, remove and move steps; set values to the edges of the program's own machine;
//! insert steps that belong together; and grow, shrink or move parts of the machine and adapt the steps to that.
//! Engines call [`Mutator`]; [`mutate`] and [`crossover`] work on programs.
//!
//! The result depends only on the input and a seed. It is valid, lies inside the [`Focus`], and keeps to the size
//! limits ([`MAX_GROWN_STEPS`] and its neighbours) unless the input exceeded them.

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

/// Largest number of operators that are tried one after the other until one finds something to change.
const TRIES: u32 = 12;
/// Weights with which a mutation applies one, two, three or four operators. Mostly it applies one, so that the engine
/// sees the effect of that operator; sometimes several, because some changes need two.
const STACKED: [u32; 4] = [50, 28, 14, 8];

/// Mutates a valid program with one to four operators, drawn by weight. The result is valid and inside the focus, and
/// depends only on the arguments.
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

/// Returns the names of all mutation operators, in the order of the table of operators.
pub fn operators() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|operator| operator.name)
}

/// Mutates a valid program with the one operator named `operator`. Returns whether the operator found something to
/// change (a drawn value may still equal the old one); false for an unknown name, which changes nothing. With a known
/// name the program is brought into the focus and the size limits in any case.
pub fn mutate_with(operator: &str, program: &mut Program, focus: Focus, seed: u64) -> bool {
    let Some(operator) = operators::named(operator) else { return false };
    let bounds = Bounds::of(program);
    focus.apply(program);
    let done = run(operator, program, focus, &mut Dice::seeded(seed, 2));
    settle(program, bounds, focus);
    done
}

/// Returns a program with the machine of `one` and steps of `one` and `other`, which must be valid. The result is valid
/// and inside the focus.
#[must_use]
pub fn crossover(one: &Program, other: &Program, focus: Focus, seed: u64) -> Program {
    let bounds = Bounds::of(one);
    let mut dice = Dice::seeded(seed, 3);
    let mut child = crossover::cross(one, other, &mut dice);
    retarget::reopen(&mut child, retarget::unheard(one).len(), &mut dice);
    settle(&mut child, bounds, focus);
    child
}

/// Runs an operator. If the operator found something to change and may leave the program invalid, repairs the program,
/// because the next operator relies on a valid one. Returns whether the operator found something to change.
fn run(operator: &Operator, program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    let done = (operator.run)(program, focus, dice);
    if operator.repairs && done {
        repair(program);
    }
    done
}

/// Cuts the program to the size limits, removes what the focus does not run, and makes the program valid.
fn settle(program: &mut Program, bounds: Bounds, focus: Focus) {
    bounds.keep(program);
    focus.apply(program);
    repair(program);
}
