//! Sends calls whose window a mutation has closed or removed to windows that are open.

use contract::{Liobn, Program, Step, WindowSpec};

use super::sights::Sights;
use crate::generate::dice::Dice;
use crate::links::move_call;

/// Changes calls on the window `gone` that are in steps from index `start` on into calls on an open window. A call
/// stays if its LIOBN is open again, if no window is open, and in 4 of 100 other cases, because calls on an unknown
/// LIOBN must be tested too.
pub(super) fn away_from(program: &mut Program, start: usize, gone: &WindowSpec, dice: &mut Dice<'_>) {
    for index in start..program.steps.len() {
        let Step::Hypercall { vcpu, mut call } = program.steps[index] else { continue };
        let sights = Sights::new(program, index);
        if call.args[0] != gone.liobn.0 || sights.window_of(gone.liobn.0).is_some() || dice.percent(4) {
            continue;
        }
        if let Some(other) = sights.window(dice) {
            move_call(&mut call, gone, &other);
            program.steps[index] = Step::Hypercall { vcpu, call };
        }
    }
}

/// Returns the indices of the steps that are a call on a window that is not open at this step. Calls with unknown
/// opcodes are left out.
pub(super) fn unheard(program: &Program) -> Vec<usize> {
    let mut open: Vec<Liobn> = program.machine.windows.iter().map(|window| window.liobn).collect();
    let mut found = Vec::new();
    for (index, step) in program.steps.iter().enumerate() {
        match step {
            Step::CreateWindow(window) => open.push(window.liobn),
            Step::CloseWindow { liobn } => open.retain(|other| other != liobn),
            Step::Hypercall { call, .. } if call.name().is_some() && !open.contains(&Liobn(call.args[0])) => {
                found.push(index);
            }
            _ => {}
        }
    }
    found
}

/// If more than `most` calls name a window that is not open, draws calls from these until `most` are left, and changes
/// each drawn call into one on an open window. If no window is open, removes the step that closed the call's window. 12
/// of 100 drawn calls stay, because refused calls must be tested too.
pub(super) fn reopen(program: &mut Program, most: usize, dice: &mut Dice<'_>) {
    let mut left = unheard(program);
    while left.len() > most {
        let index = left.swap_remove(dice.below(left.len() as u64) as usize);
        let Step::Hypercall { vcpu, mut call } = program.steps[index] else { continue };
        if dice.percent(12) {
            continue;
        }
        let sights = Sights::new(program, index);
        if let Some(window) = sights.window(dice) {
            let was = sights.window_once(call.args[0]).unwrap_or(window);
            move_call(&mut call, &was, &window);
            program.steps[index] = Step::Hypercall { vcpu, call };
            continue;
        }
        let closes = |step: &Step| matches!(step, Step::CloseWindow { liobn } if liobn.0 == call.args[0]);
        if let Some(close) = program.steps[..index].iter().rposition(closes) {
            program.steps.remove(close);
            left = unheard(program);
        }
    }
}
