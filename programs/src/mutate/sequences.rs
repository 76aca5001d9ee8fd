//! Operators that insert several steps together, for situations that single steps seldom reach.

use contract::description::WordRun;
use contract::hcall::{H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, MAX_TCES_PER_CALL};
use contract::{Gpa, Hypercall, Program, Pte, Step, WindowSpec};

use super::fresh::{self, Wanted};
use super::sights::Sights;
use super::steps::{put, room};
use super::values::pick_step;
use super::windows;
use crate::focus::Focus;
use crate::generate::dice::Dice;

/// Inserts a `write` step with a list of as many TCEs as the call stores (1 to 512) right before an H_PUT_TCE_INDIRECT;
/// in 40 of 100 cases, if there is a `write` step, inserts an H_PUT_TCE_INDIRECT right after it. Returns false if there
/// is no H_PUT_TCE_INDIRECT to insert before, if its window (for the inserted call, any window) is not open, if the
/// focus does not run the inserted call, or if no step can be added.
pub(super) fn list_for_call(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    let writes = |step: &Step| matches!(step, Step::Write { .. });
    if dice.percent(40)
        && let Some(index) = pick_step(program, writes, dice)
    {
        return call_after(program, index, focus, dice);
    }
    let calls = |step: &Step| matches!(step, Step::Hypercall { call, .. } if call.opcode == H_PUT_TCE_INDIRECT);
    let Some(index) = pick_step(program, calls, dice) else { return false };
    let Step::Hypercall { call, .. } = program.steps[index] else { return false };
    let sights = Sights::new(program, index);
    let Some(window) = sights.window_of(call.args[0]) else { return false };
    let mut words = Vec::new();
    let mut left = call.args[3].clamp(1, MAX_TCES_PER_CALL);
    while left > 0 {
        let count = if words.len() > 4 { left } else { dice.between(1, left) };
        let stride = if dice.percent(25) { window.page() } else { 0 };
        words.push(WordRun { value: sights.tce(window.page_shift, dice), stride, count });
        left -= count;
    }
    // The gpa is aligned down to 8 bytes because an unaligned `write` is skipped.
    let step = Step::Write { gpa: Gpa(call.args[2] & !7), words };
    put(program, index, vec![step])
}

/// Inserts an H_PUT_TCE_INDIRECT right after the `write` step with index `index`; the call's list is what this step
/// writes. Returns false if that step is no `write`, if no window is open after it, if the focus does not run the call,
/// or if no step can be added.
fn call_after(program: &mut Program, index: usize, focus: Focus, dice: &mut Dice<'_>) -> bool {
    let Step::Write { gpa: Gpa(gpa), words } = &program.steps[index] else { return false };
    let Some(window) = Sights::new(program, index + 1).window(dice) else { return false };
    let count = contract::description::word_count(words).min(MAX_TCES_PER_CALL).min(window.entries);
    let first = dice.below(window.entries - count + 1);
    let ioba = window.base.next_multiple_of(window.page()).wrapping_add(first << window.page_shift);
    let call = Hypercall::indirect(window.liobn.0, ioba, *gpa & !0xfff, count);
    let step = Step::Hypercall { vcpu: 0, call };
    focus.keeps(&step) && put(program, index + 1, vec![step])
}

/// Changes an H_STUFF_TCE or H_PUT_TCE_INDIRECT so that it names 512 entries, mostly with its old first entry among
/// them. A window that is too small grows to 512, 513 or 1024 entries. If a step can be added, a `write` step with a
/// list of 512 words is inserted before an H_PUT_TCE_INDIRECT. Returns false if there is no such call, if the window of
/// the drawn call is not open, or if this window is too small and cannot grow: it is created by a step, or its tables
/// find no room.
pub(super) fn full_call(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let many = |step: &Step| matches!(step, Step::Hypercall { call, .. } if matches!(call.opcode, H_STUFF_TCE | H_PUT_TCE_INDIRECT));
    let Some(index) = pick_step(program, many, dice) else { return false };
    let found = |program: &Program| match program.steps[index] {
        Step::Hypercall { call, .. } => {
            Sights::new(program, index).window_of(call.args[0]).map(|window| (call, window))
        }
        _ => None,
    };
    let Some((call, window)) = found(program) else { return false };
    if window.entries < MAX_TCES_PER_CALL {
        let entries = dice.pick(&[MAX_TCES_PER_CALL, MAX_TCES_PER_CALL + 1, 2 * MAX_TCES_PER_CALL]);
        let at = program.machine.windows.iter().position(|spec| spec.liobn.0 == call.args[0]);
        if !at.is_some_and(|at| windows::replace(program, at, WindowSpec { entries, ..program.machine.windows[at] })) {
            return false;
        }
    }
    let Some((mut call, window)) = found(program) else { return false };
    let Some(room) = window.entries.checked_sub(MAX_TCES_PER_CALL) else { return false };
    let named = call.args[1].wrapping_sub(window.base) >> window.page_shift;
    let first = dice.pick(&[named, named.saturating_sub(MAX_TCES_PER_CALL - 1), 0]).min(room);
    call.args[1] = window.base.wrapping_add(first << window.page_shift);
    call.args[3] = MAX_TCES_PER_CALL;
    let mut list = Vec::new();
    if call.opcode == H_PUT_TCE_INDIRECT {
        call.args[2] &= !0xfff;
        let sights = Sights::new(program, index);
        let [some, other] = [sights.tce(window.page_shift, dice), sights.tce(window.page_shift, dice)];
        let some = dice.pick(&[some, some, 0]);
        let count = dice.pick(&[1, MAX_TCES_PER_CALL - 1, MAX_TCES_PER_CALL / 2]);
        let word = |value, count| WordRun { value, stride: 0, count };
        let words = vec![word(some, count), word(other, MAX_TCES_PER_CALL - count)];
        list.push(Step::Write { gpa: Gpa(call.args[2]), words });
    }
    if let Step::Hypercall { call: old, .. } = &mut program.steps[index] {
        *old = call;
    }
    put(program, index, list);
    true
}

/// Inserts a `write` step with a new list and the H_PUT_TCE_INDIRECT that reads the list. Returns false if fewer than
/// two steps can be added, if no window is open, or if six tries drew no step that the focus runs.
pub(super) fn list(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    fresh_at_random(program, Wanted::List, focus, dice)
}

/// Inserts a step that creates or closes a DMA window. Almost all later calls on a window that it closes are changed to
/// calls on open windows. Returns false if fewer than two steps can be added, if six tries drew no step that the focus
/// runs, or (in 85 of 100 cases) if the step would close the only open window.
pub(super) fn window(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    fresh_at_random(program, Wanted::Window, focus, dice)
}

/// Inserts a call whose TCEs name a page, an `unmap` of the page, and a call that replaces these TCEs, so that the last
/// reference on the page may go. Returns false if fewer than two steps can be added, or if six tries drew no step that
/// the focus runs, for example because no pinned window is open.
pub(super) fn last_reference(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    fresh_at_random(program, Wanted::LastReference, focus, dice)
}

/// Inserts new steps of the wanted kind at a random index. If the first of them closes a window, almost all later calls
/// on this window are changed to calls on open windows. Returns false if fewer than two steps can be added, if
/// [`fresh::steps`] drew none, or (in 85 of 100 cases) if the first step would close the only open window.
fn fresh_at_random(program: &mut Program, wanted: Wanted, focus: Focus, dice: &mut Dice<'_>) -> bool {
    if room(program) < 2 {
        return false;
    }
    let at = dice.below(program.steps.len() as u64 + 1) as usize;
    let steps = fresh::steps(program, at, wanted, focus, dice);
    let closes = match steps.first() {
        Some(Step::CloseWindow { liobn }) => Sights::new(program, at).window_of(liobn.0),
        _ => None,
    };
    // The last open window mostly stays: without it, all later calls would be refused for the same reason.
    if closes.is_some() && Sights::new(program, at).windows().count() == 1 && dice.percent(85) {
        return false;
    }
    let count = steps.len();
    let done = put(program, at, steps);
    if let Some(window) = closes {
        super::retarget::away_from(program, at + count, &window, dice);
    }
    done
}

/// After an H_PUT_TCE or H_STUFF_TCE with permissions, inserts an `unmap` of the page that the call's TCE names and a
/// call that replaces or clears the entry; in 15 of 100 cases a `map` of that hva in between. The inserted call can
/// then drop the last reference on the page. Returns false if there is no such call, if the window of the drawn call is
/// not open, if the TCE names no guest memory, or if no step that the focus runs can be added.
pub(super) fn unmap_then_release(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    let names = |step: &Step| matches!(step, Step::Hypercall { call, .. } if matches!(call.opcode, H_PUT_TCE | H_STUFF_TCE) && call.args[2] & 3 != 0);
    let Some(index) = pick_step(program, names, dice) else { return false };
    let Step::Hypercall { vcpu, call } = program.steps[index] else { return false };
    let sights = Sights::new(program, index);
    let Some(window) = sights.window_of(call.args[0]) else { return false };
    let Some(hva) = sights.hva_of(call.args[2] & !3) else { return false };
    let [liobn, ioba, tce, count] = call.args;
    let other = sights.tce(window.page_shift, dice);
    let release = match dice.weighted(&[30, 30, 20, 10]) {
        0 => Hypercall::put(liobn, ioba, 0),
        1 => Hypercall::put(liobn, ioba, other),
        2 => Hypercall::stuff(liobn, ioba, 0, call.count().clamp(1, count.max(1))),
        _ => Hypercall::put(liobn, ioba, tce),
    };
    let mut steps = vec![Step::Unmap { hva }];
    // Sometimes the host maps a page at that hva again.
    if dice.percent(15) {
        let pfn = sights.present_pfn(dice);
        steps.push(Step::Map { hva, pte: Pte::Present { pfn, writable: true, dirty: true, young: true } });
    }
    steps.push(Step::Hypercall { vcpu, call: release });
    steps.retain(|step| focus.keeps(step));
    put(program, index + 1, steps)
}

/// Inserts two steps that change the reference count of one page, with up to four steps between them: for example
/// `take` and `drop`, `drop` and `take`, or two `put_page_unless_one`. Returns false if fewer than two steps can be
/// added, or if the focus does not run the first of the two.
pub(super) fn take_and_drop(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    if room(program) < 2 {
        return false;
    }
    let at = dice.below(program.steps.len() as u64 + 1) as usize;
    let pfn = Sights::new(program, at).pfn(dice);
    let end = (at + 1 + dice.below(4) as usize).min(program.steps.len());
    let pairs = [
        (Step::Take { pfn }, Step::Drop { pfn }),
        (Step::GetPage { pfn }, Step::PutPage { pfn }),
        (Step::Drop { pfn }, Step::Take { pfn }),
        (Step::Take { pfn }, Step::PutPage { pfn }),
        (Step::PutPage { pfn }, Step::PutPage { pfn }),
    ];
    let (before, after) = pairs[dice.below(pairs.len() as u64) as usize].clone();
    focus.keeps(&before) && put(program, end.max(at), vec![after]) && put(program, at, vec![before])
}

/// Inserts a host step (`age`, `clean`, `write-protect`, `migrate` or `unmap`) right before a call: on the page of the
/// call's list or on the page that its TCE names, or, if that lies outside guest memory, on one drawn by
/// [`Sights::hva`]. Returns false if no call has a list or a TCE, if no hva was drawn, if the focus does not run the
/// step, or if no step can be added.
pub(super) fn host_meanwhile(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    let calls = |step: &Step| matches!(step, Step::Hypercall { call, .. } if call.fields().len() > 2);
    let Some(index) = pick_step(program, calls, dice) else { return false };
    let Step::Hypercall { call, .. } = program.steps[index] else { return false };
    let sights = Sights::new(program, index);
    // For H_PUT_TCE_INDIRECT this is the page of the list, for the other calls the page that the TCE names.
    let Some(hva) = sights.hva_of(call.args[2] & !3).or_else(|| sights.hva(dice)) else { return false };
    let pfn = sights.odd_pfn(dice);
    let step = match dice.weighted(&[25, 20, 15, 25, 15]) {
        0 => Step::Age { hva },
        1 => Step::Clean { hva },
        2 => Step::WriteProtect { hva },
        3 => Step::Migrate { hva, pfn },
        _ => Step::Unmap { hva },
    };
    focus.keeps(&step) && put(program, index, vec![step])
}

/// Inserts a `hot-remove` and a `hot-add` of one section of the machine (in 20 of 100 cases in the other order), and a
/// lookup of one of its pages or of a page with a split struct page. Returns false if fewer than three steps can be
/// added, or for flatmem.
pub(super) fn replug(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    if room(program) < 3 {
        return false;
    }
    let at = dice.below(program.steps.len() as u64 + 1) as usize;
    let sights = Sights::new(program, at);
    let contract::MemoryModel::SparsememVmemmap { block_shift, .. } = program.machine.memory else { return false };
    let section = sights.section(true, dice);
    let per_section = program.machine.page_shift.pages_per_section();
    let first = section * per_section;
    let pfn = sights.split(dice).filter(|_| dice.percent(30));
    let pfn = pfn.unwrap_or_else(|| contract::Pfn(first + dice.pick(&[0, 1, per_section - 1, per_section / 2])));
    let count = ((per_section * program.machine.struct_page) >> block_shift) + 2;
    let at_real = contract::RealAddr(sights.room().next_multiple_of(1 << block_shift));
    let blocks = vec![contract::description::AddrRun { at: at_real, count }];
    let steps = vec![Step::HotRemove { section }, Step::HotAdd { section, blocks }, Step::Lookup { pfn }];
    let swap = dice.percent(20);
    let mut steps: Vec<Step> = steps.into_iter().filter(|step| focus.keeps(step)).collect();
    if swap {
        steps.swap(0, 1);
    }
    put(program, at, steps)
}
