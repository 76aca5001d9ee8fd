//! The cost of the candidate's hypercalls in real mode alone: by call and number of entries, and by number of windows
//! and memory slots.
//!
//! ```text
//! cargo bench --bench hypercall                 # nanoseconds an entry, medians
//! scripts/instructions --hypercalls             # instructions an entry, under callgrind
//! ```
//!
//! Each row first puts the tables into a state (not measured), then makes its calls on `RealMemory`, as the harness
//! does. The cost includes the memory's monitoring of each access, but no oracle and no reference.

use std::time::Instant;

use candidate::Candidate;
use contract::description::{Backing, Mapping, SlotSpec};
use contract::{
    Dialect, Gfn, Hva, Hypercall, Liobn, Machine, MemoryModel, PageShift, Pfn, Program, Pte, RealAddr, Status,
    WindowSpec,
};
use machine::Subject as _;
use machine::memory::{Context, Mode};
use realmode_diff::check::solo::Solo;

/// Number of entries in each window. All calls of a row together write as many entries.
const ENTRIES: u64 = 512;
/// Number of pages of 4 KiB in each memory slot. The next slot begins one page after the end, so that no two slots are
/// adjacent.
const SLOT_PAGES: u64 = 8;
const LIST_GFN: u64 = 0;
const ROUNDS: usize = 101;

/// The order, by gfn, in which the machine's description names the memory slots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
    Shuffled,
}

struct Rig {
    solo: Solo<Candidate>,
    slots: u64,
    windows: u64,
}

const fn liobn(window: u64) -> u64 {
    0x8000_0000 + window * 3
}

impl Rig {
    fn new(windows: u64, slots: u64, order: Order, pinned: bool) -> Self {
        let memory = MemoryModel::Flatmem { array: RealAddr(1 << 40), pages: 1 << 13 };
        let mut machine = Machine::bare(PageShift::Shift12, 64, memory);
        let mut numbers: Vec<u64> = (0..slots).collect();
        match order {
            Order::Ascending => {}
            Order::Descending => numbers.reverse(),
            // 167 is coprime to the number of slots, which divides 512, so every slot number occurs once.
            Order::Shuffled => numbers.iter_mut().for_each(|number| *number = *number * 167 % slots),
        }
        for number in numbers {
            let (gfn, hva) = (Gfn(number * (SLOT_PAGES + 1)), Hva(0x7f00_0000_0000 + (number << 20)));
            machine.slots.push(SlotSpec { id: number as u32, gfn, pages: SLOT_PAGES, hva });
            let pte = Pte::Present { pfn: Pfn(1 + number * SLOT_PAGES), writable: true, dirty: true, young: true };
            machine.mappings.push(Mapping { hva, pages: SLOT_PAGES, pte });
        }
        for window in 0..windows {
            let (table, hardware) = (RealAddr((2 << 40) + (window << 13)), RealAddr((3 << 40) + (window << 13)));
            let backing = if pinned { Backing::Pinned { hardware } } else { Backing::Emulated };
            let spec =
                WindowSpec { liobn: Liobn(liobn(window)), page_shift: 12, base: 0, entries: ENTRIES, table, backing };
            machine.windows.push(spec);
        }
        let program = Program { dialect: Dialect::Lopapr, machine, steps: Vec::new() };
        program.validate().unwrap_or_else(|invalid| panic!("{invalid}"));
        let mut solo = Solo::new(Candidate::new());
        solo.start(&program).unwrap_or_else(|violation| panic!("{violation}"));
        Self { solo, slots, windows }
    }

    /// Returns a TCE with permissions for guest page number `page` (from 0, over all memory slots). Consecutive numbers
    /// take the slots in turn, and past the last page they begin again.
    fn tce(&self, page: u64) -> u64 {
        let (slot, inside) = (page % self.slots, page / self.slots % SLOT_PAGES);
        (slot * (SLOT_PAGES + 1) + inside) << 12 | 3
    }

    /// Fills the TCE list in memory with 512 TCEs: for the guest pages from number `page` on, or 0 for `None`.
    fn list(&mut self, page: Option<u64>) {
        let at = RealAddr(1 << 12);
        for index in 0..512 {
            let tce = page.map_or(0, |page| self.tce(page + index));
            self.solo.parts().0.poke(RealAddr(at.0 + 8 * index), tce.swap_bytes());
        }
    }

    fn run(&mut self, calls: &[Hypercall]) {
        let (memory, candidate) = self.solo.parts();
        for call in calls {
            memory.begin_step();
            let cpu = memory.cpu(Mode::Real, 0, Context::Hypercall, 1 << 20);
            let answer = candidate.real_mode(&cpu, call);
            assert!(answer.status == Status::SUCCESS && cpu.report().event.is_none(), "{call}: {:?}", cpu.report());
        }
    }
}

/// One row of the table of results: the calls that are measured, and how to reach the state in which they start.
struct Row {
    name: String,
    rig: Rig,
    /// Calls, not measured, that put the tables into the state in which the measured calls start.
    before: Vec<Hypercall>,
    calls: Vec<Hypercall>,
    entries: u64,
}

/// Returns one H_PUT_TCE for each of the [`ENTRIES`] entry numbers, on the windows in turn. `page` is the number of the
/// first guest page to name; with `None` the calls store 0.
fn puts(rig: &Rig, page: Option<u64>) -> Vec<Hypercall> {
    let put = |index| {
        let window = index * 5 % rig.windows;
        Hypercall::put(liobn(window), index << 12, page.map_or(0, |page| rig.tce(page + index)))
    };
    (0..ENTRIES).map(put).collect()
}

/// Returns the calls that together cover the entries of one window, `count` entries each. `call` makes a call from the
/// IOBA of its first entry and the count.
fn many(count: u64, call: impl Fn(u64, u64) -> Hypercall) -> Vec<Hypercall> {
    (0..ENTRIES / count).map(|run| call((run * count) << 12, count)).collect()
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (backing, pinned) in [("emulated", false), ("pinned", true)] {
        let rig = || Rig::new(1, 1, Order::Ascending, pinned);
        let row = |name: &str, rig: Rig, before, calls| Row {
            name: format!("{name}, {backing}"),
            rig,
            before,
            calls,
            entries: ENTRIES,
        };
        let one = rig();
        let (clear, map, other) = (puts(&one, None), puts(&one, Some(0)), puts(&one, Some(1)));
        rows.push(row("H_PUT_TCE map", rig(), clear.clone(), map.clone()));
        rows.push(row("H_PUT_TCE exchange", rig(), map.clone(), other));
        rows.push(row("H_PUT_TCE unmap", rig(), map.clone(), clear.clone()));
        for count in [1, 16, 512] {
            let tce = one.tce(2);
            let stuff = |tce| many(count, move |ioba, count| Hypercall::stuff(liobn(0), ioba, tce, count));
            rows.push(row(&format!("H_STUFF_TCE map {count}"), rig(), clear.clone(), stuff(tce)));
            rows.push(row(&format!("H_STUFF_TCE unmap {count}"), rig(), map.clone(), stuff(0)));
        }
        for count in [1, 16, 512] {
            let list = many(count, |ioba, count| Hypercall::indirect(liobn(0), ioba, LIST_GFN << 12, count));
            let mut full = rig();
            full.list(Some(3));
            rows.push(row(&format!("H_PUT_TCE_INDIRECT map {count}"), full, clear.clone(), list));
        }
    }
    let scales = [
        (1, 1, Order::Ascending),
        (8, 1, Order::Ascending),
        (64, 1, Order::Ascending),
        (512, 1, Order::Ascending),
        (1, 8, Order::Ascending),
        (1, 64, Order::Ascending),
        (1, 512, Order::Ascending),
        (1, 512, Order::Descending),
        (1, 512, Order::Shuffled),
        (512, 512, Order::Shuffled),
    ];
    for (windows, slots, order) in scales {
        let rig = Rig::new(windows, slots, order, true);
        let order = match order {
            _ if slots == 1 => "",
            Order::Ascending => " ascending",
            Order::Descending => " descending",
            Order::Shuffled => " shuffled",
        };
        let name = format!("H_PUT_TCE exchange, pinned, {windows} windows, {slots} slots{order}");
        let (before, calls) = (puts(&rig, Some(0)), puts(&rig, Some(1)));
        rows.push(Row { name, rig, before, calls, entries: ENTRIES });
    }
    rows
}

/// Makes the calls. callgrind counts instructions only while this function runs.
#[inline(never)]
fn measured(rig: &mut Rig, calls: &[Hypercall]) {
    rig.run(calls);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let mut rows = rows();
    if let Some(number) = arguments.first() {
        // Runs the row with that number once, for scripts/instructions.
        let Some(row) = number.parse().ok().and_then(|number: usize| rows.get_mut(number)) else {
            eprintln!("found row {number}, expected a number below {}", rows.len());
            std::process::exit(2);
        };
        for _ in 0..2 {
            row.rig.run(&row.before);
            row.rig.run(&row.calls);
        }
        row.rig.run(&row.before);
        measured(&mut row.rig, &row.calls);
        println!("{} {}", row.entries, row.name);
        return;
    }
    let rounds = if std::env::args().any(|argument| argument == "--test") { 1 } else { ROUNDS };
    println!("nanoseconds an entry, medians of {rounds} rounds");
    let mut first = None;
    for Row { name, rig, before, calls, entries } in &mut rows {
        let mut times: Vec<f64> = (0..rounds)
            .map(|_| {
                rig.run(before);
                let started = Instant::now();
                measured(rig, calls);
                started.elapsed().as_nanos() as f64 / *entries as f64
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let time = times[rounds / 2];
        let against = if name.contains("windows") {
            format!("{:>8.2}", time / *first.get_or_insert(time))
        } else {
            String::new()
        };
        println!("{time:>8.1} {against:>8}  {name}");
    }
}
