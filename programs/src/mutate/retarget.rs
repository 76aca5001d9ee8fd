//! Hypercalls moved from one window to another, so that they stay what they were: the same entry, a range as far from
//! the end.

use contract::{Hypercall, Liobn, Program, Step, WindowSpec, hcall};

use super::sights::Sights;
use crate::generate::dice::Dice;

/// The IOBA in `to` that is what `ioba` is in `from`: the entry of the same number, as far past the end, as far off its
/// page.
fn ioba(ioba: u64, from: &WindowSpec, to: &WindowSpec) -> u64 {
    let offset = ioba.wrapping_sub(from.base);
    let (index, off) = (offset >> from.page_shift, offset & (from.page() - 1));
    let index = if index < from.entries {
        // The last stays the last.
        if index + 1 == from.entries { to.entries - 1 } else { index % to.entries }
    } else {
        index.wrapping_sub(from.entries).wrapping_add(to.entries)
    };
    to.base.wrapping_add(index.wrapping_shl(to.page_shift)).wrapping_add(off & (to.page() - 1))
}

/// Makes the call one on `to`, which was one on `from`.
pub(super) fn call(call: &mut Hypercall, from: &WindowSpec, to: &WindowSpec) {
    if call.name().is_none() {
        return;
    }
    let many = matches!(call.opcode, hcall::H_STUFF_TCE | hcall::H_PUT_TCE_INDIRECT);
    let room = |window: &WindowSpec, ioba: u64| {
        window.entries.wrapping_sub(ioba.wrapping_sub(window.base) >> window.page_shift)
    };
    let inside = !many || call.args[3] <= room(from, call.args[1]);
    call.args[0] = to.liobn.0;
    call.args[1] = ioba(call.args[1], from, to);
    if many && inside && call.args[3] > 0 {
        call.args[3] = call.args[3].min(room(to, call.args[1]).max(1));
    }
    if matches!(call.opcode, hcall::H_PUT_TCE | hcall::H_STUFF_TCE) {
        call.args[2] = tce(call.args[2], from, to);
    }
}

/// A TCE that is as aligned to the page of `to` as it was to that of `from`.
pub(super) fn tce(tce: u64, from: &WindowSpec, to: &WindowSpec) -> u64 {
    if tce & 3 == 0 || tce & (from.page() - 1) > 3 { tce } else { tce & !(to.page() - 1) | tce & 3 }
}

/// From step `start` on, calls of the window that is there no more go to another one that is open; a few stay, for they
/// are to be refused too.
pub(super) fn away_from(program: &mut Program, start: usize, gone: &WindowSpec, dice: &mut Dice<'_>) {
    for index in start..program.steps.len() {
        let Step::Hypercall { vcpu, call: mut registers } = program.steps[index] else { continue };
        let sights = Sights::new(program, index);
        if registers.args[0] != gone.liobn.0 || sights.window_of(gone.liobn.0).is_some() || dice.percent(4) {
            continue;
        }
        if let Some(other) = sights.window(dice) {
            call(&mut registers, gone, &other);
            program.steps[index] = Step::Hypercall { vcpu, call: registers };
        }
    }
}

/// From step `start` on, calls of `from`, a window that has become `to`, follow it. A step that closes it too.
pub(super) fn follow(program: &mut Program, start: usize, from: &WindowSpec, to: &WindowSpec) {
    for step in &mut program.steps[start..] {
        match step {
            Step::Hypercall { call: registers, .. } if registers.args[0] == from.liobn.0 => call(registers, from, to),
            Step::CloseWindow { liobn } if *liobn == from.liobn => *liobn = to.liobn,
            Step::CreateWindow(window) if window.liobn == from.liobn => return,
            _ => {}
        }
    }
}

/// The steps that call a window which is not open then.
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

/// Where a change has left more than `most` calls without a window, most of those go to one that is open; where none
/// is, the step that closed theirs goes. Some stay unheard, for that too is an answer.
pub(super) fn reopen(program: &mut Program, most: usize, dice: &mut Dice<'_>) {
    let mut left = unheard(program);
    while left.len() > most {
        let index = left.swap_remove(dice.below(left.len() as u64) as usize);
        let Step::Hypercall { vcpu, call: mut registers } = program.steps[index] else { continue };
        if dice.percent(12) {
            continue;
        }
        let sights = Sights::new(program, index);
        if let Some(window) = sights.window(dice) {
            let was = sights.window_once(registers.args[0]).unwrap_or(window);
            call(&mut registers, &was, &window);
            program.steps[index] = Step::Hypercall { vcpu, call: registers };
            continue;
        }
        let closes = |step: &Step| matches!(step, Step::CloseWindow { liobn } if liobn.0 == registers.args[0]);
        if let Some(close) = program.steps[..index].iter().rposition(closes) {
            program.steps.remove(close);
            left = unheard(program);
        }
    }
}
