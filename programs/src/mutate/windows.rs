//! Operators that change DMA windows and adapt the calls on them, which would otherwise all be refused.

use contract::description::MAX_WINDOW_ENTRIES;
use contract::{Backing, Dialect, Liobn, Program, RealAddr, Step, WindowSpec};

use super::bounds::MAX_GROWN_ENTRIES;
use super::retarget;
use super::sights::Sights;
use crate::focus::Focus;
use crate::generate::dice::Dice;
use crate::layout::{place_tables, put_tables};
use crate::links::follow;

/// Number of windows of a machine from which on none is added.
const MAX_WINDOWS: usize = 6;

/// Clamps page size and number of entries of the window to their valid ranges, aligns its base down to the page (not in
/// dialect `qemu`), and moves the base down so that the window ends at or below 2^64.
fn fit_base(window: &mut WindowSpec, dialect: Dialect) {
    // A window from a step can have any values.
    window.page_shift = window.page_shift.clamp(12, 34);
    window.entries = window.entries.clamp(1, MAX_WINDOW_ENTRIES);
    if dialect.aligns_window_bases() {
        window.base = window.base >> window.page_shift << window.page_shift;
    }
    let bytes = u128::from(window.entries) << window.page_shift;
    if u128::from(window.base) + bytes > 1 << 64 {
        window.base = 0u64.wrapping_sub(bytes as u64);
    }
}

/// Draws one of a few LIOBNs that fit the dialect, and returns it, or the next above it that no window of the machine
/// has.
fn free_liobn(program: &Program, dice: &mut Dice<'_>) -> u64 {
    let mut liobn = dice.pick(&[0x8000_0000, 0x8000_0001, 0, 0xffff_ff00]);
    if program.dialect.liobn_bits() == 64 && dice.percent(10) {
        liobn = dice.pick(&[1 << 32, u64::MAX - 64]);
    }
    while program.machine.windows.iter().any(|window| window.liobn.0 == liobn) {
        liobn += 1;
    }
    liobn
}

/// Replaces the machine's window with index `at` by `new`: makes base, page size and entries of `new` fit the dialect
/// and the host page, places its tables anew if they grow, and adapts the steps that name the window. Returns whether
/// the window changed; if larger tables find no room, nothing changes.
pub(super) fn replace(program: &mut Program, at: usize, mut new: WindowSpec) -> bool {
    let old = program.machine.windows[at];
    fit_base(&mut new, program.dialect);
    if new.backing != Backing::Emulated && new.page_shift > program.machine.page_shift.bits() {
        new.page_shift = program.machine.page_shift.bits();
        fit_base(&mut new, program.dialect);
    }
    let mut others = std::mem::take(&mut program.machine.windows);
    others.remove(at);
    program.machine.windows = others;
    let grown = new.entries > old.entries || old.backing == Backing::Emulated && new.backing != old.backing;
    let fits = !grown || place_tables(&program.machine, &mut new);
    program.machine.windows.insert(at, if fits { new } else { old });
    if fits {
        follow(program, 0, &old, &new);
    }
    fits && old != new
}

/// Draws the index of a window of the machine; `None` if it has no windows.
fn pick(program: &Program, dice: &mut Dice<'_>) -> Option<usize> {
    let count = program.machine.windows.len() as u64;
    (count > 0).then(|| dice.below(count) as usize)
}

/// Adds a window of 1, 2, 5, 8, 16, 64 or 520 entries to the machine. Returns false if the machine has [`MAX_WINDOWS`]
/// already, or if the window's tables find no room.
pub(super) fn comes(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    if program.machine.windows.len() >= MAX_WINDOWS {
        return false;
    }
    let host = program.machine.page_shift.bits();
    let liobn = Liobn(free_liobn(program, dice));
    let pinned = program.dialect.has_pinned_windows() && dice.percent(70);
    let page_shift = if pinned { dice.pick(&[host, host, 12]) } else { dice.pick(&[12, 16, host, 21, 24, 30, 34]) };
    let entries = dice.pick(&[16, 8, 5, 1, 2, 64, 520]);
    let backing = if pinned { Backing::Pinned { hardware: RealAddr(0) } } else { Backing::Emulated };
    let base = dice.pick(&[0, 0, 1 << 59, 0x1000_0000, u64::MAX]);
    let mut window = WindowSpec { liobn, page_shift, base, entries, table: RealAddr(0), backing };
    fit_base(&mut window, program.dialect);
    let fits = place_tables(&program.machine, &mut window);
    if fits {
        program.machine.windows.push(window);
    }
    fits
}

/// Removes a window of the machine. In 30 of 100 cases, if a step can be added, a new first step creates the window;
/// otherwise almost all calls on the removed window go to another window. Returns false if the machine has fewer than
/// two windows.
pub(super) fn goes(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    if program.machine.windows.len() < 2 {
        return false;
    }
    let Some(at) = pick(program, dice) else { return false };
    let window = program.machine.windows.remove(at);
    if dice.percent(30) && super::steps::room(program) > 0 {
        program.steps.insert(0, Step::CreateWindow(window));
    } else {
        retarget::away_from(program, 0, &window, dice);
    }
    true
}

/// Changes the number of entries of a window of the machine to one of 1 to [`MAX_GROWN_ENTRIES`], and adapts all calls
/// on this window. Returns false if the machine has no window, if the drawn number equals the old one, or if larger
/// tables find no room.
pub(super) fn entries(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some(at) = pick(program, dice) else { return false };
    let old = program.machine.windows[at];
    let entries =
        dice.pick(&[1, 2, old.entries + 1, old.entries.max(2) - 1, old.entries / 2, 8, 16, 64, 512, 513, 1024]);
    let entries = if dice.percent(3) { MAX_GROWN_ENTRIES } else { entries };
    replace(program, at, WindowSpec { entries: entries.clamp(1, MAX_GROWN_ENTRIES), ..old })
}

/// Changes the base (first I/O bus address) of a window of the machine, and adapts all calls on this window. Draws 0,
/// 2^32, 2^59, the highest base that fits, or one page more or less; in dialect `qemu` also an unaligned base. Returns
/// false if the machine has no window, or if the drawn base, made valid, equals the old one.
pub(super) fn base(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some(at) = pick(program, dice) else { return false };
    let old = program.machine.windows[at];
    let page = old.page();
    let top = 0u64.wrapping_sub(old.entries << old.page_shift);
    let mut base = dice.pick(&[0, 1 << 59, top, old.base.wrapping_add(page), old.base.wrapping_sub(page), 1 << 32]);
    if !program.dialect.aligns_window_bases() && dice.percent(30) {
        base = (base & !0xfff).wrapping_add(dice.pick(&[0x800, 1, 0xfff]));
    }
    replace(program, at, WindowSpec { base, ..old })
}

/// Changes the page size of a window of the machine, and adapts all calls on this window. Draws 2^12 to 2^34 bytes for
/// an emulated window, 2^12 bytes to the host's page for a pinned one. Returns false if the machine has no window, or
/// if the drawn size equals the old one.
pub(super) fn page(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some(at) = pick(program, dice) else { return false };
    let old = program.machine.windows[at];
    let host = program.machine.page_shift.bits();
    let page_shift = match old.backing {
        Backing::Emulated => dice.pick(&[12, 16, host, 21, 24, 30, 34]),
        Backing::Pinned { .. } if dice.percent(60) => dice.pick(&[12, host]),
        Backing::Pinned { .. } => dice.between(12, u64::from(host)) as u32,
    };
    // `replace` moves the base down if the window would end above 2^64.
    replace(program, at, WindowSpec { page_shift, ..old })
}

/// Makes a pinned window of the machine emulated, or an emulated window pinned. Returns false if the machine has no
/// window, or if the drawn one is emulated and cannot be pinned: in dialect `qemu`, or because its tables find no room.
pub(super) fn backing(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some(at) = pick(program, dice) else { return false };
    let old = program.machine.windows[at];
    let backing = match old.backing {
        Backing::Pinned { .. } => Backing::Emulated,
        Backing::Emulated if !program.dialect.has_pinned_windows() => return false,
        Backing::Emulated => Backing::Pinned { hardware: RealAddr(0) },
    };
    replace(program, at, WindowSpec { backing, ..old })
}

/// Changes the LIOBN of a window of the machine to one that no window of the machine has, also in the calls on this
/// window. Returns false if the machine has no window.
pub(super) fn liobn(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some(at) = pick(program, dice) else { return false };
    let old = program.machine.windows[at];
    let liobn = Liobn(free_liobn(program, dice));
    replace(program, at, WindowSpec { liobn, ..old })
}

/// Switches the program to another dialect, and adapts all windows, and the calls on windows of the machine. Draws the
/// dialects of [`Dialect::ALL`] with weights 50, 35 and 15. Returns false if the drawn dialect is the program's
/// already.
pub(super) fn dialect(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let new = Dialect::ALL[dice.weighted(&[50, 35, 15])];
    let old = std::mem::replace(&mut program.dialect, new);
    if old == new {
        return false;
    }
    for at in 0..program.machine.windows.len() {
        let mut window = program.machine.windows[at];
        if window.liobn.0 > new.max_liobn() {
            window.liobn.0 = free_liobn(program, dice);
        }
        if !new.has_pinned_windows() {
            window.backing = Backing::Emulated;
        } else if !old.has_pinned_windows()
            && dice.percent(70)
            && window.page_shift <= program.machine.page_shift.bits()
        {
            window.backing = Backing::Pinned { hardware: RealAddr(0) };
        }
        replace(program, at, window);
    }
    for step in 0..program.steps.len() {
        let Step::CreateWindow(mut window) = program.steps[step] else { continue };
        if !new.has_pinned_windows() {
            window.backing = Backing::Emulated;
        }
        window.liobn.0 &= new.max_liobn();
        fit_base(&mut window, new);
        program.steps[step] = Step::CreateWindow(window);
    }
    true
}

/// Makes `window`, which a step creates, valid on the program's machine, and places its tables above everything that
/// the program places in memory.
pub(super) fn adapt(program: &Program, window: &mut WindowSpec) {
    window.liobn.0 &= program.dialect.max_liobn();
    if !program.dialect.has_pinned_windows() {
        window.backing = Backing::Emulated;
    } else if window.backing != Backing::Emulated {
        window.page_shift = window.page_shift.min(program.machine.page_shift.bits());
    }
    fit_base(window, program.dialect);
    let room = Sights::new(program, 0).room();
    put_tables(window, RealAddr(room));
}

/// Changes a window that a `create-window` step creates: the entries (1 to [`MAX_GROWN_ENTRIES`]), the page size, the
/// backing, or the LIOBN (to one that an earlier step closes). Adapts the later calls on this window, if the old window
/// was valid. Returns false if there is no such step. The drawn value may equal the old one.
pub(super) fn created(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let Some(index) = super::values::pick_step(program, |step| matches!(step, Step::CreateWindow(_)), dice) else {
        return false;
    };
    let Step::CreateWindow(old) = program.steps[index] else { return false };
    let mut new = old;
    let closed = Sights::new(program, index).closed(dice);
    match dice.below(4) {
        0 => new.entries = dice.pick(&[1, 8, old.entries + 1, 64, 513]).min(MAX_GROWN_ENTRIES),
        1 => new.page_shift = dice.pick(&[12, 16, program.machine.page_shift.bits(), 24]),
        2 => {
            new.backing = match old.backing {
                Backing::Emulated => Backing::Pinned { hardware: RealAddr(0) },
                Backing::Pinned { .. } => Backing::Emulated,
            }
        }
        // The LIOBN of a window that was closed: nothing of that window may show in the new one.
        _ => new.liobn.0 = closed.unwrap_or(old.liobn.0),
    }
    adapt(program, &mut new);
    program.steps[index] = Step::CreateWindow(new);
    // Calls are adapted only if the old window was valid: calls on one that could not be created refer to no entries.
    if old.validate(program.machine.page_shift, program.dialect).is_ok() {
        follow(program, index + 1, &old, &new);
    }
    true
}
