//! The limits of a live QEMU, and its windows: those of one *board*, which many programs share, because another board
//! needs another boot.
//!
//! A board mixes default windows of PCI host bridges (any number of entries), windows that RTAS makes (2^n entries,
//! mostly of larger pages) and VIO windows (65,536 entries of 4 KiB). Most programs of a board have all of its windows.
//! Some lack one, and some close and create windows between other steps, which needs RTAS calls.

use std::sync::Arc;

use contract::{Backing, Dialect, Liobn, PageShift, RealAddr, WindowSpec};

use programs::generate::{Features, Limits, WindowLimits, dice::Dice};

use super::{Board, LISTS_BELOW, VIO_ENTRIES};

/// How many programs in a row, by their numbers, have the same board.
const PROGRAMS: u64 = 1024;

/// Returns which programs a live QEMU can run, for the generator. QEMU shows registers, and tables of emulated windows.
/// It has neither struct pages nor a host page table that a program could change.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        features: Features::FLATMEM
            .or(Features::PAGES_4K)
            .or(Features::PAGES_64K)
            .or(Features::EMULATED)
            .or(Features::ABSENT)
            .or(Features::SLOT_STEPS)
            .or(Features::WINDOW_STEPS),
        // Lists must lie in QEMU's low memory, whatever the size of host pages. Pages that TCEs name need not.
        gfns: LISTS_BELOW >> PageShift::Shift16.bits(),
        // Large slots would show nothing, because QEMU stores TCEs of every page.
        slot_pages: 64,
        // RTAS calls.
        slow_windows: true,
        // Tables are read back through H_GET_TCE.
        slow_ends: true,
        windows: vec![Arc::new(Boards)],
    }
}

/// The windows of boards.
#[derive(Clone, Copy, Debug)]
struct Boards;

impl WindowLimits for Boards {
    fn windows(&self, dialect: Dialect, seed: u64, index: u64) -> Vec<WindowSpec> {
        // Boards are numbered from the other end than programs, so that no board has the dice of a program.
        let dice = &mut Dice::seeded(seed, !(index / PROGRAMS));
        let mut windows: Vec<WindowSpec> = Vec::new();
        let mut board = Board::default();
        let count = dice.pick(&[2, 3, 3, 4]);
        while windows.len() < count {
            let window = match dice.weighted(&[6, 4, 1]) {
                0 => default_window(dialect, dice),
                1 => created_window(dialect, dice),
                _ => vio_window(dice),
            };
            if windows.iter().any(|other| other.liobn == window.liobn) {
                continue;
            }
            let before = board.clone();
            match board.add(&window) {
                Ok(()) => windows.push(window),
                Err(_) => board = before,
            }
        }
        windows
    }

    fn shared_by(&self) -> u64 {
        PROGRAMS
    }

    fn accepts(&self, windows: &[WindowSpec]) -> bool {
        let mut board = Board::default();
        windows.iter().all(|window| board.add(window).is_ok())
    }

    /// Returns the windows of `open` that RTAS can remove. If a bridge has two windows, the first one is not among
    /// them, because RTAS would then make the next window in its place.
    fn closable(&self, open: &[WindowSpec]) -> Vec<WindowSpec> {
        let second = |window: &WindowSpec| open.iter().any(|other| other.liobn.0 == window.liobn.0 | 1);
        let can = |window: &&WindowSpec| window.entries < VIO_ENTRIES && (window.liobn.0 & 1 == 1 || !second(window));
        open.iter().filter(can).copied().collect()
    }

    /// Returns the windows of `machine` that RTAS can make again while `open` are open: the first window of a bridge
    /// without windows, or the second window of a bridge that has its first.
    fn creatable(&self, machine: &[WindowSpec], open: &[WindowSpec]) -> Vec<WindowSpec> {
        let there = |liobn: u64| open.iter().any(|other| other.liobn.0 == liobn);
        let can = |window: &&WindowSpec| {
            let liobn = window.liobn.0;
            window.entries < VIO_ENTRIES
                && !there(liobn)
                && if liobn & 1 == 1 { there(liobn & !1) } else { !there(liobn | 1) }
        };
        machine.iter().filter(can).copied().collect()
    }
}

fn default_window(dialect: Dialect, dice: &mut Dice<'_>) -> WindowSpec {
    let entries = [5, 1, 16, 8, 2, 64, 520, 513, 1024, 4096][dice.weighted(&[16, 10, 16, 12, 10, 6, 6, 4, 1, 1])];
    let liobn = 0x8000_0000 | dice.below(4) << 8;
    window(liobn, 12, entries, dialect, dice)
}

fn created_window(dialect: Dialect, dice: &mut Dice<'_>) -> WindowSpec {
    let page_shift = [16, 21, 24, 12, 30, 34][dice.weighted(&[6, 4, 4, 1, 1, 1])];
    let entries = [8, 1, 2, 16, 64, 512, 1024][dice.weighted(&[10, 6, 6, 8, 4, 1, 1])];
    let number = if page_shift == 12 || dice.percent(60) { 1 } else { 0 };
    let liobn = 0x8000_0000 | dice.below(4) << 8 | number;
    window(liobn, page_shift, entries, dialect, dice)
}

fn window(liobn: u64, page_shift: u32, entries: u64, dialect: Dialect, dice: &mut Dice<'_>) -> WindowSpec {
    let bytes = entries << page_shift;
    let top = 0u64.wrapping_sub(bytes);
    let base = dice.pick(&[0, 0, 0x1000_0000, 1 << 59, 1 << 63, top]) >> page_shift << page_shift;
    let odd = if dialect == Dialect::Qemu && dice.percent(25) { dice.pick(&[0x800, 1, 0xfff]) } else { 0 };
    // A window may end at 2^64, but not beyond.
    let fits = |base: u64| base.checked_add(bytes - 1).is_some();
    let base = [base + odd, base].into_iter().find(|base| fits(*base)).unwrap_or(0);
    spec(liobn, page_shift, base, entries)
}

fn vio_window(dice: &mut Dice<'_>) -> WindowSpec {
    spec(dice.pick(&[0x7100_0005, 0x1234_5678, 0x2000, 0xffff_fffe, 0x8000_1234]), 12, 0, VIO_ENTRIES)
}

const fn spec(liobn: u64, page_shift: u32, base: u64, entries: u64) -> WindowSpec {
    let (liobn, table) = (Liobn(liobn), RealAddr(0));
    WindowSpec { liobn, page_shift, base, entries, table, backing: Backing::Emulated }
}
