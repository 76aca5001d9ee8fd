//! Operators that change the values of a single step: mostly to values that fit the program's own machine or lie at an
//! edge of it, sometimes to a neighbouring value, or to one from elsewhere in the program.

use contract::description::{AddrRun, CompoundSpec, Item, WordRun, word_count};
use contract::hcall::{
    H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, Hypercall, LIST_BYTES, MAX_TCES_PER_CALL,
};
use contract::program::MAX_VCPUS;
use contract::visit::{Field, NumberKind, Numbers as _, Place, visit};
use contract::{Program, Pte, Step, WindowSpec};

use super::sights::{Sights, choose};
use crate::focus::Focus;
use crate::generate::dice::Dice;
use crate::links::move_call;

/// Draws the index of a step that `wanted` accepts; `None` if it accepts no step.
pub(super) fn pick_step(program: &Program, wanted: impl Fn(&Step) -> bool, dice: &mut Dice<'_>) -> Option<usize> {
    choose(program.steps.iter().enumerate().filter(|(_, step)| wanted(step)).map(|(index, _)| index), dice)
}

/// Draws a hypercall that `wanted` accepts. Returns the index of the call's step, the call, and the call's window
/// (`None` if that window is not open at this step); `None` if `wanted` accepts no call.
fn pick_call(
    program: &Program,
    wanted: impl Fn(&Hypercall) -> bool,
    dice: &mut Dice<'_>,
) -> Option<(usize, Hypercall, Option<WindowSpec>)> {
    let index = pick_step(program, |step| matches!(step, Step::Hypercall { call, .. } if wanted(call)), dice)?;
    let Step::Hypercall { call, .. } = program.steps[index] else { return None };
    Some((index, call, Sights::new(program, index).window_of(call.args[0])))
}

/// Replaces the hypercall of the step with index `index` by `new`; the vCPU stays. Returns false, and changes nothing,
/// if `new` equals the old call or the step is no hypercall.
fn set_call(program: &mut Program, index: usize, new: Hypercall) -> bool {
    match &mut program.steps[index] {
        Step::Hypercall { call, .. } if *call != new => {
            *call = new;
            true
        }
        _ => false,
    }
}

/// Returns whether the call has a count in r7: H_STUFF_TCE or H_PUT_TCE_INDIRECT.
const fn many(call: &Hypercall) -> bool {
    matches!(call.opcode, H_STUFF_TCE | H_PUT_TCE_INDIRECT)
}

/// Returns the number of entries from the IOBA to the end of the window; 0 if the IOBA lies outside the window.
const fn room(window: &WindowSpec, ioba: u64) -> u64 {
    window.entries.saturating_sub(ioba.wrapping_sub(window.base) >> window.page_shift)
}

/// Sets the IOBA of a call to an edge of the call's window, or one page past it, to the IOBA of any call on this
/// window, or to any entry; in 9 of 100 cases to an address that is mostly wrong. Returns false if no call has a known
/// opcode, if the window of the drawn call is not open, or if the drawn IOBA equals the old one.
pub(super) fn ioba(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some((index, mut call, Some(window))) = pick_call(program, |call| call.name().is_some(), dice) else {
        return false;
    };
    let (page, base, ioba) = (window.page(), window.base, call.args[1]);
    let end = base.wrapping_add(window.entries << window.page_shift);
    let count = if many(&call) { call.args[3].clamp(1, window.entries) } else { 1 };
    let fits = end.wrapping_sub(count << window.page_shift);
    let others = program.steps.iter().filter_map(|step| match step {
        Step::Hypercall { call, .. } if call.args[0] == window.liobn.0 => Some(call.args[1]),
        _ => None,
    });
    let other = choose(others, dice).unwrap_or(base);
    // Addresses outside the window are rare: however many there are, they all lead to the same refusal.
    call.args[1] = if dice.percent(91) {
        let entry = base.wrapping_add(dice.below(window.entries) << window.page_shift);
        dice.pick(&[base, end.wrapping_sub(page), fits, fits.wrapping_add(page), other, other, entry, entry])
    } else {
        dice.pick(&[
            end,
            end,
            base.wrapping_sub(page),
            ioba | 1,
            ioba.wrapping_add(page / 2),
            ioba | (page - 1),
            0u64.wrapping_sub(page),
            1 << 63,
        ])
    };
    set_call(program, index, call)
}

/// Sets the count (r7) of an H_STUFF_TCE or H_PUT_TCE_INDIRECT: mostly to a small number or about the number of entries
/// left in the call's window; sometimes to 0, to about 512, to about all entries of the window, or far too large.
/// Returns false if there is no such call, if the window of the drawn call is not open, or if the drawn count equals
/// the old one.
pub(super) fn count(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some((index, mut call, window)) = pick_call(program, many, dice) else { return false };
    let Some(window) = window else { return false };
    let room = room(&window, call.args[1]);
    let small = dice.between(1, room.clamp(1, 6));
    call.args[3] = match dice.weighted(&[50, 15, 10, 8]) {
        0 => dice.pick(&[1, small, room, room, room.saturating_sub(1), room.min(MAX_TCES_PER_CALL)]),
        1 => dice.pick(&[0, room + 1, 0, MAX_TCES_PER_CALL]),
        2 => dice.pick(&[511, 512, 513, window.entries, window.entries + 1]),
        _ => dice.pick(&[1 << 52, u64::MAX, u64::MAX >> window.page_shift, 1 << 32, room | 1 << 32]),
    };
    set_call(program, index, call)
}

/// Changes a call into one on a window that is drawn from the open ones: on the entry with the same number, or at the
/// same IOBA if the call's own window is not open. In 8 of 100 cases, if the call's window is open, changes only the
/// LIOBN, to one that is mostly closed or unknown. Returns false if no call has a known opcode, if no window is open at
/// the drawn call, or if the call stays as it was, for example because its own window was drawn.
pub(super) fn liobn(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some((index, mut call, window)) = pick_call(program, |call| call.name().is_some(), dice) else {
        return false;
    };
    let sights = Sights::new(program, index);
    if window.is_some() && dice.percent(8) {
        let closed = sights.closed(dice).unwrap_or(0x1234);
        call.args[0] = dice.pick(&[closed, closed, call.args[0] ^ 1, call.args[0] | 1 << 40, u64::MAX]);
        return set_call(program, index, call);
    }
    let Some(other) = sights.window(dice) else { return false };
    move_call(&mut call, &window.unwrap_or(other), &other);
    set_call(program, index, call)
}

/// Corrects the opcode, LIOBN and IOBA of a call that the first checks refuse. Otherwise such calls would pile up in
/// mutated programs, and a refused call tests nothing else. Draws one of the first 8 entries, and for an unknown opcode
/// H_PUT_TCE, H_GET_TCE or H_STUFF_TCE. Returns false if there is no such call, if no window is open at the drawn one,
/// or if the call stays as it was, which only a base that is not a multiple of the page allows.
pub(super) fn admit(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let refused = |index: usize, call: &Hypercall| match Sights::new(program, index).window_of(call.args[0]) {
        _ if call.name().is_none() => true,
        None => true,
        Some(window) => {
            let offset = call.args[1].wrapping_sub(window.base);
            offset >> window.page_shift >= window.entries || offset & (window.page() - 1) != 0
        }
    };
    let found = program.steps.iter().enumerate().filter_map(|(index, step)| match step {
        Step::Hypercall { call, .. } if refused(index, call) => Some((index, *call)),
        _ => None,
    });
    let Some((index, mut call)) = choose(found, dice) else { return false };
    let sights = Sights::new(program, index);
    let Some(window) = sights.window_of(call.args[0]).or_else(|| sights.window(dice)) else { return false };
    if call.name().is_none() {
        call.opcode = dice.pick(&[H_PUT_TCE, H_GET_TCE, H_STUFF_TCE]);
    }
    call.args[0] = window.liobn.0;
    let first = window.base.next_multiple_of(window.page());
    call.args[1] = first.wrapping_add(dice.below(window.entries.min(8)) << window.page_shift);
    set_call(program, index, call)
}

/// Replaces the TCE in r6 of an H_PUT_TCE or H_STUFF_TCE, or one word of a `write` step, by a TCE drawn by
/// [`Sights::tce`], which mostly names guest memory or an edge of it; in 20 of 100 cases changes only the permissions,
/// to 0 to 3. Returns false if there is no such step, or if no window is open at the drawn one. The drawn value may
/// equal the old one.
pub(super) fn tce(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let reads = |step: &Step| match step {
        Step::Hypercall { call, .. } => matches!(call.opcode, H_PUT_TCE | H_STUFF_TCE),
        Step::Write { .. } => true,
        _ => false,
    };
    let Some(index) = pick_step(program, reads, dice) else { return false };
    let sights = Sights::new(program, index);
    let window = match &program.steps[index] {
        Step::Hypercall { call, .. } => sights.window_of(call.args[0]),
        // A list belongs to the next call that reads one.
        _ => program.steps[index..].iter().find_map(|step| match step {
            Step::Hypercall { call, .. } if call.opcode == H_PUT_TCE_INDIRECT => sights.window_of(call.args[0]),
            _ => None,
        }),
    };
    let Some(window) = window.or_else(|| sights.window(dice)) else { return false };
    let value = sights.tce(window.page_shift, dice);
    let permissions = dice.pick(&[0, 1, 2, 3]);
    let only_permissions = dice.percent(20);
    let change = |old: u64| if only_permissions { old & !3 | permissions } else { value };
    match &mut program.steps[index] {
        Step::Hypercall { call, .. } => {
            call.args[2] = change(call.args[2]);
        }
        Step::Write { words, .. } => change_word(words, change, dice),
        _ => return false,
    }
    true
}

/// Replaces one drawn word of a list by `change` of it; an empty list stays. The last word is the likeliest: an error
/// there comes after the call has handled all other words.
fn change_word(words: &mut Vec<WordRun>, change: impl Fn(u64) -> u64, dice: &mut Dice<'_>) {
    let total = word_count(words).max(1);
    let mut at = if dice.percent(30) { total - 1 } else { dice.below(total) };
    for index in 0..words.len() {
        let run = words[index];
        if at >= run.count {
            at -= run.count;
            continue;
        }
        let value = run.value.wrapping_add(run.stride.wrapping_mul(at));
        let rest = WordRun { value: value.wrapping_add(run.stride), stride: run.stride, count: run.count - at - 1 };
        let one = WordRun { value: change(value), stride: 0, count: 1 };
        let parts = [WordRun { count: at, ..run }, one, rest];
        words.splice(index..=index, parts.into_iter().filter(|run| run.count > 0));
        return;
    }
}

/// In 50 of 100 cases changes the list address of an H_PUT_TCE_INDIRECT; otherwise, or without such a call, a `write`
/// step: the count of its last run of words, the stride of a run, the runs (one more, one less, another order), or the
/// address. Returns false if the drawn list address equals the old one, or if a `write` step is to change and there is
/// none. A drawn `write` step may stay as it was.
pub(super) fn list(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let call = |step: &Step| matches!(step, Step::Hypercall { call, .. } if call.opcode == H_PUT_TCE_INDIRECT);
    if dice.percent(50)
        && let Some(index) = pick_step(program, call, dice)
    {
        let gpa = list_gpa(Sights::new(program, index), dice);
        if let Step::Hypercall { call, .. } = &mut program.steps[index] {
            let list = call.args[2];
            let page = list & !(LIST_BYTES - 1);
            call.args[2] = match dice.weighted(&[70, 15, 10]) {
                0 => gpa.unwrap_or(page),
                1 => page,
                _ => dice.pick(&[list.wrapping_add(8), list | 0x800, 1 << 60, !(LIST_BYTES - 1)]),
            };
            return call.args[2] != list;
        }
    }
    let Some(index) = pick_step(program, |step| matches!(step, Step::Write { .. }), dice) else { return false };
    let Step::Write { gpa, words } = &mut program.steps[index] else { return false };
    let host = program.machine.page_shift.bytes();
    match dice.below(5) {
        0 => {
            let Some(run) = words.last_mut() else { return false };
            run.count = dice.pick(&[1, 2, run.count + 1, run.count.saturating_mul(2), 511, 512]);
        }
        1 => {
            let at = dice.below(words.len() as u64) as usize;
            words[at].stride = dice.pick(&[0, 0x1000, 0x1_0000, host, 0u64.wrapping_sub(host)]);
        }
        2 if words.len() > 1 => _ = words.remove(dice.below(words.len() as u64) as usize),
        3 if words.len() > 1 => words.rotate_left(1),
        4 => gpa.0 = gpa.0 & !7 ^ dice.pick(&[8, 0x1000, 0x800]),
        _ => {
            let run = dice.pick(words);
            words.push(WordRun { count: 1, ..run });
        }
    }
    true
}

/// Draws a guest address for a list, a multiple of 4096: where an earlier step writes, in any mapped guest page, or at
/// or past an edge of a slot. `None` if the drawn kind has no address.
fn list_gpa(sights: Sights<'_>, dice: &mut Dice<'_>) -> Option<u64> {
    let within = dice.below(sights.page() / LIST_BYTES) * LIST_BYTES;
    match dice.weighted(&[35, 40, 10, 4]) {
        0 => sights.written(dice).map(|gpa| gpa.0 & !(LIST_BYTES - 1)),
        1 => sights.guest(dice).map(|place| place.gpa + within),
        2 => sights.slot_edges(dice).map(|[first, _, past]| {
            dice.pick(&[past.wrapping_sub(LIST_BYTES), past.wrapping_sub(LIST_BYTES), first, past])
        }),
        _ => sights.slot_edges(dice).map(|[_, last, _]| last),
    }
}

/// Replaces the opcode of a call and keeps LIOBN and IOBA; draws the TCE, the list address or the count (1 to 6) that
/// the new call needs and the old one has not. Draws an unknown opcode in 3 of 98 cases. Returns false if there is no
/// call, if the window of the drawn call is not open, if no list address was drawn for an H_PUT_TCE_INDIRECT, if the
/// focus does not run the new call, or if the call stays as it was.
pub(super) fn opcode(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    let Some((index, mut call, window)) = pick_call(program, |_| true, dice) else { return false };
    let sights = Sights::new(program, index);
    let Some(window) = window else { return false };
    let [liobn, ioba, value, count] = call.args;
    let room = room(&window, ioba).clamp(1, MAX_TCES_PER_CALL);
    let count = if many(&call) { count } else { dice.between(1, room.min(6)) };
    let value = if call.opcode == H_PUT_TCE || call.opcode == H_STUFF_TCE {
        value
    } else {
        sights.tce(window.page_shift, dice)
    };
    call = match dice.weighted(&[30, 15, 25, 25, 3]) {
        0 => Hypercall::put(liobn, ioba, value),
        1 => Hypercall::get(liobn, ioba),
        2 => Hypercall::stuff(liobn, ioba, value, count),
        3 => match list_gpa(sights, dice) {
            Some(list) => Hypercall::indirect(liobn, ioba, list, count.min(MAX_TCES_PER_CALL)),
            None => return false,
        },
        _ => Hypercall { opcode: dice.pick(&[0, 0x24, call.opcode | 1, call.opcode | 1 << 32, u64::MAX]), ..call },
    };
    focus.keeps(&Step::Hypercall { vcpu: 0, call }) && set_call(program, index, call)
}

/// Lets another of the [`MAX_VCPUS`] vCPUs make a drawn call. Returns false if the program has no call.
pub(super) fn vcpu(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some(index) = pick_step(program, |step| matches!(step, Step::Hypercall { .. }), dice) else { return false };
    if let Step::Hypercall { vcpu, .. } = &mut program.steps[index] {
        *vcpu = (*vcpu + 1 + dice.below(u64::from(MAX_VCPUS) - 1) as u8) % MAX_VCPUS;
    }
    true
}

/// Sets the pfn of a step to one drawn by [`Sights::pfn`] (an edge of memory, or a page that the machine or an earlier
/// step names). In 50 of 100 cases a `make-compound` or `split-compound` step instead gets a compound page of the
/// machine, if there is one, with its order. Returns false if no step has a pfn. The step may stay as it was.
pub(super) fn pfn(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let names = |step: &Step| {
        let mut found = false;
        step.numbers(&mut |field, _| found |= field.kind() == NumberKind::Pfn);
        found
    };
    let Some(index) = pick_step(program, names, dice) else { return false };
    let sights = Sights::new(program, index);
    let new = sights.pfn(dice);
    let groups = &program.machine.compounds;
    let group = dice.pick_from(groups).filter(|_| dice.percent(50));
    match &mut program.steps[index] {
        Step::MakeCompound(compound) => match group {
            Some(group) => *compound = group,
            None => {
                *compound = CompoundSpec { pfn: contract::Pfn(new.0 >> compound.order << compound.order), ..*compound }
            }
        },
        Step::SplitCompound { pfn } => *pfn = group.map_or(new, |group| group.pfn),
        step => step.numbers_mut(&mut |field, number| {
            if field.kind() == NumberKind::Pfn {
                *number = new.0;
            }
        }),
    }
    true
}

/// Sets the hva of a `map`, `unmap`, `age`, `clean`, `write-protect` or `migrate` step to one drawn by [`Sights::hva`],
/// mostly of a mapped page. Returns false if there is no such step, or if no hva was drawn. The drawn hva may equal the
/// old one.
pub(super) fn hva(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let names = |step: &Step| {
        matches!(
            step,
            Step::Map { .. }
                | Step::Unmap { .. }
                | Step::Age { .. }
                | Step::Clean { .. }
                | Step::WriteProtect { .. }
                | Step::Migrate { .. }
        )
    };
    let Some(index) = pick_step(program, names, dice) else { return false };
    let Some(new) = Sights::new(program, index).hva(dice) else { return false };
    program.steps[index].numbers_mut(&mut |field, number| {
        if field.kind() == NumberKind::Hva {
            *number = new.0;
        }
    });
    true
}

/// Changes one flag of a page-table entry, or makes the entry present, absent, or a huge entry for one of `compounds`.
/// A hole stays, and the drawn entry may equal the old one.
pub(super) fn change_pte(pte: &mut Pte, compounds: &[CompoundSpec], dice: &mut Dice<'_>) {
    let Some(at) = pte.pfn() else { return };
    match (dice.below(6), &mut *pte) {
        (0..=3, Pte::Present { writable, dirty, young, .. } | Pte::Huge { writable, dirty, young, .. }) => {
            let flag = dice.pick(&[0, 1, 2]);
            let flags = [writable, dirty, young];
            let Some(flag) = flags.into_iter().nth(flag) else { return };
            *flag = !*flag;
        }
        (4, _) => match dice.pick_from(compounds) {
            Some(group) => {
                *pte = Pte::Huge { pfn: group.pfn, order: group.order, writable: true, dirty: true, young: true };
            }
            None => *pte = Pte::Absent { pfn: at },
        },
        (_, Pte::Absent { .. } | Pte::Huge { .. }) => {
            *pte = Pte::Present { pfn: at, writable: true, dirty: true, young: true };
        }
        _ => *pte = Pte::Absent { pfn: at },
    }
}

/// Changes a `map` (the page-table entry), `make-compound` (order 1 to 4), `hot-add` (the section, or the runs of block
/// addresses), `hot-remove` (the section) or `slot` step (pages, gfn, or number 0 to 3). Returns false if there is no
/// such step. The step may stay as it was.
pub(super) fn detail(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let has = |step: &Step| {
        matches!(
            step,
            Step::Map { .. } | Step::MakeCompound(_) | Step::HotAdd { .. } | Step::HotRemove { .. } | Step::Slot(_)
        )
    };
    let Some(index) = pick_step(program, has, dice) else { return false };
    let sights = Sights::new(program, index);
    let section = sights.section(dice.percent(30), dice);
    let edges = sights.slot_edges(dice);
    let page_shift = program.machine.page_shift.bits();
    let room = sights.room();
    let compounds = &program.machine.compounds;
    let steps = &mut program.steps;
    match &mut steps[index] {
        Step::Map { pte, .. } => change_pte(pte, compounds, dice),
        Step::MakeCompound(compound) => compound.order = dice.between(1, 4) as u32,
        Step::HotAdd { section: number, blocks } => match dice.below(4) {
            0 => *number = section,
            1 if !blocks.is_empty() => {
                let at = dice.below(blocks.len() as u64) as usize;
                let count = blocks[at].count;
                blocks[at].count = dice.pick(&[1, count + 1, count.saturating_sub(1).max(1)]).min(4096);
            }
            2 if !blocks.is_empty() => {
                // The run moves to a free place past everything else.
                let at = dice.below(blocks.len() as u64) as usize;
                blocks[at].at.0 = room.next_multiple_of(1 << 24);
            }
            _ => blocks.push(AddrRun { at: contract::RealAddr(room.next_multiple_of(1 << 24)), count: 1 }),
        },
        Step::HotRemove { section: number } => *number = section,
        Step::Slot(slot) => match dice.below(3) {
            0 => slot.pages = dice.pick(&[0, 1, slot.pages / 2, slot.pages.wrapping_add(1), 16]),
            1 => slot.gfn.0 = edges.map_or(0, |edges| dice.pick(&edges) >> page_shift),
            _ => slot.id = dice.below(4) as u32,
        },
        _ => return false,
    }
    true
}

/// Changes one number of a step: by one, by a page or 8, by one bit, or to a number of the same kind from elsewhere in
/// the program. Returns false if there is no step, if the drawn one has no [`tweakable`] number, or if the step stays
/// as it was.
pub(super) fn tweak(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some(index) = pick_step(program, |_| true, dice) else { return false };
    let mut step = program.steps[index].clone();
    let open = |field: Field| tweakable(Place { item: Item::Step(index), field });
    let mut found: Vec<(Field, u64)> = Vec::new();
    step.numbers(&mut |field, number| {
        if open(field) {
            found.push((field, number));
        }
    });
    if found.is_empty() {
        return false;
    }
    let at = dice.below(found.len() as u64) as usize;
    let (field, old) = found[at];
    let new = number(program, field.kind(), old, dice);
    let mut count = 0;
    step.numbers_mut(&mut |field, number| {
        if !open(field) {
            return;
        }
        if count == at {
            // A count of 0 would make the step invalid.
            *number = if field.kind() == NumberKind::Count { new.max(1) } else { new };
        }
        count += 1;
    });
    if let Step::HotAdd { blocks, .. } = &mut step {
        blocks.iter_mut().for_each(|run| run.count = run.count.clamp(1, 4096));
    }
    std::mem::swap(&mut program.steps[index], &mut step);
    program.steps[index] != step
}

/// Returns whether the number at this place may be replaced by any number of its kind. Other places have operators that
/// know more about them, or must stay as they are for the machine to be valid.
pub(super) fn tweakable(place: Place) -> bool {
    use NumberKind as Kind;
    let kind = place.field.kind();
    match place.item {
        Item::Machine => place.field == Field::MemoryPages,
        Item::Section(_) | Item::Block(_) => false,
        Item::Step(_) if matches!(kind, Kind::Vcpu | Kind::Opcode | Kind::Unread | Kind::Order | Kind::Shift) => false,
        // The order of a huge entry stays: only that of its compound page is valid.
        _ => !matches!(kind, Kind::Slot | Kind::Own | Kind::Flag) && !matches!(place.field, Field::HugeOrder),
    }
}

/// Draws a number of this kind from a [`tweakable`] place elsewhere in the program, or changes `old` by one, by a page
/// or 8, or in one bit. The result may equal `old`.
pub(super) fn number(program: &Program, kind: NumberKind, old: u64, dice: &mut Dice<'_>) -> u64 {
    // LIOBNs and IOBAs are right or wrong, and a near miss is wrong like any other. Operators that know the windows
    // draw near misses, and seldom.
    let all_or_nothing = matches!(kind, NumberKind::Liobn | NumberKind::Ioba);
    let host = program.machine.page_shift.bytes();
    match dice.weighted(if all_or_nothing { &[85, 2, 12, 1] } else { &[50, 18, 18, 14] }) {
        0 => {
            let mut same: Vec<u64> = Vec::new();
            visit(program, &mut |place, number| {
                if place.field.kind() == kind && number != old && tweakable(place) {
                    same.push(number);
                }
            });
            dice.pick_from(&same).unwrap_or(old)
        }
        1 => dice.pick(&[old.wrapping_add(1), old.wrapping_sub(1)]),
        2 => {
            let pages = dice.pick(&[0x1000, 0x1_0000, host, 8]);
            dice.pick(&[old.wrapping_add(pages), old.wrapping_sub(pages)])
        }
        _ => old ^ 1 << dice.below(64),
    }
}
