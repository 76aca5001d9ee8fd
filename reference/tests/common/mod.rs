//! The machines on which the tests run, and short helpers for steps and for what the model reports.
#![allow(dead_code)]

use contract::description::{AddrRun, BlockRun, CompoundSpec, Mapping, PageSpec, RamSpec, SlotSpec, WordRun};
use contract::hcall::{H_PUT_TCE_INDIRECT, H_STUFF_TCE};
use contract::{
    Backing, Dialect, Gfn, Gpa, Hva, Hypercall, Liobn, Machine, MemoryModel, PageShift, Pfn, Pte, RealAddr, Rule,
    Status, Step, WindowSpec,
};
use reference::{Answer, Outcome, Owes, Reference};

/// The hva of gfn 0 on these machines.
pub const HVA: u64 = 0x7000_0000;
/// LIOBN of the pinned window: 1024 entries of 4 KiB at IOBA 0.
pub const PINNED: u64 = 1;
/// LIOBN of an emulated window: 16 entries of 64 KiB at IOBA 2^40.
pub const EMULATED: u64 = 2;
/// LIOBN of an emulated window: 16 entries of 4 KiB, which end at 2^64.
pub const LAST: u64 = 3;
/// Base of [`EMULATED`], an IOBA.
pub const EMULATED_BASE: u64 = 1 << 40;
/// Base of [`LAST`], an IOBA.
pub const LAST_BASE: u64 = 0_u64.wrapping_sub(16 * 0x1000);

/// A pinned window with LIOBN 1 and eight entries of 4 KiB, whose tables lie far from all memory.
pub const EIGHT_ENTRIES: WindowSpec = WindowSpec {
    liobn: Liobn(1),
    page_shift: 12,
    base: 0,
    entries: 8,
    table: RealAddr(0x30_0000_0000),
    backing: Backing::Pinned { hardware: RealAddr(0x30_0000_1000) },
};

/// Returns the gpa of `gfn` (4 KiB pages).
pub const fn gpa(gfn: u64) -> u64 {
    gfn << 12
}

/// Returns the hva of `gfn` (4 KiB pages).
pub const fn hva(gfn: u64) -> Hva {
    Hva(HVA + (gfn << 12))
}

/// Returns a present entry; each letter in `bits` sets a bit: w(ritable), d(irty), y(oung).
pub fn present(pfn: u64, bits: &str) -> Pte {
    let [writable, dirty, young] = ['w', 'd', 'y'].map(|bit| bits.contains(bit));
    Pte::Present { pfn: Pfn(pfn), writable, dirty, young }
}

/// Returns a huge entry; `bits` is as in [`present`].
pub fn huge(pfn: u64, order: u32, bits: &str) -> Pte {
    let [writable, dirty, young] = ['w', 'd', 'y'].map(|bit| bits.contains(bit));
    Pte::Huge { pfn: Pfn(pfn), order, writable, dirty, young }
}

pub fn absent(pfn: u64) -> Pte {
    Pte::Absent { pfn: Pfn(pfn) }
}

pub fn mapping(gfn: u64, pages: u64, pte: Pte) -> Mapping {
    Mapping { hva: hva(gfn), pages, pte }
}

/// The special gfns of [`machine`].
pub mod gfn {
    /// gfns 0 .. 16 are ready: writable, dirty and young. Their pfn is 100 + gfn.
    pub const READY: u64 = 0;
    pub const ABSENT: u64 = 16;
    pub const HOLE: u64 = 17;
    pub const OLD: u64 = 18;
    pub const READ_ONLY: u64 = 19;
    pub const CLEAN: u64 = 20;
    /// Maps pfn 129, a tail of a compound page.
    pub const TAIL: u64 = 21;
    /// gfns 32 .. 48 lie under one huge entry, which maps the compound page 144 of order 4.
    pub const HUGE: u64 = 32;
    /// gfn 48 has the same hva as gfn 0, through another slot.
    pub const ALIAS: u64 = 48;
    /// The first gfn that is not guest memory.
    pub const END: u64 = 49;
}

pub fn windows(dialect: Dialect) -> Vec<WindowSpec> {
    let window = |liobn, page_shift, base, entries, table, backing| WindowSpec {
        liobn: Liobn(liobn),
        page_shift,
        base,
        entries,
        table: RealAddr(table),
        backing,
    };
    let hardware = Backing::Pinned { hardware: RealAddr(0x211_0000) };
    let pinned = if dialect == Dialect::Qemu { Backing::Emulated } else { hardware };
    vec![
        window(PINNED, 12, 0, 1024, 0x210_0000, pinned),
        window(EMULATED, 16, EMULATED_BASE, 16, 0x212_0000, Backing::Emulated),
        window(LAST, 12, LAST_BASE, 16, 0x213_0000, Backing::Emulated),
    ]
}

/// Returns a flatmem machine with 4096 pages of 4 KiB.
pub fn machine(dialect: Dialect) -> Machine {
    Machine {
        page_shift: PageShift::Shift12,
        struct_page: 64,
        memory: MemoryModel::Flatmem { array: RealAddr(0x200_0000), pages: 4096 },
        pages: vec![PageSpec { pfn: Pfn(300), own: 3, dirty: true }, PageSpec { pfn: Pfn(301), own: -5, dirty: false }],
        compounds: vec![CompoundSpec { pfn: Pfn(128), order: 2 }, CompoundSpec { pfn: Pfn(144), order: 4 }],
        slots: vec![
            SlotSpec { id: 0, gfn: Gfn(0), pages: 48, hva: Hva(HVA) },
            SlotSpec { id: 7, gfn: Gfn(48), pages: 1, hva: Hva(HVA) },
        ],
        mappings: vec![
            mapping(0, 16, present(100, "wdy")),
            mapping(gfn::ABSENT, 1, absent(116)),
            mapping(gfn::OLD, 1, present(118, "wd")),
            mapping(gfn::READ_ONLY, 1, present(119, "y")),
            mapping(gfn::CLEAN, 1, present(120, "wy")),
            mapping(gfn::TAIL, 1, present(129, "wdy")),
            mapping(gfn::HUGE, 1, huge(144, 4, "wdy")),
        ],
        ram: vec![],
        windows: windows(dialect),
    }
}

pub fn model(dialect: Dialect) -> Reference {
    Reference::new(dialect, &machine(dialect))
}

/// Returns a sparsemem machine with these sections present and no guest. With `struct_page` 56 some of its struct pages
/// are split.
pub fn sparse(page_shift: PageShift, struct_page: u64, block_shift: u32, sections: &[u64]) -> Machine {
    let bytes = page_shift.pages_per_section() * struct_page;
    let mut numbers: Vec<u64> =
        sections.iter().flat_map(|s| (s * bytes) >> block_shift..=((s + 1) * bytes - 1) >> block_shift).collect();
    numbers.dedup();
    let blocks = numbers.iter().enumerate().map(|(i, number)| BlockRun {
        first: *number,
        places: AddrRun { at: RealAddr((1 << 40) + ((i as u64) << block_shift)), count: 1 },
    });
    Machine {
        page_shift,
        struct_page,
        memory: MemoryModel::SparsememVmemmap {
            base: 0xc00c_0000_0000_0000,
            block_shift,
            list: RealAddr(0x20_0000_0000),
            sections: sections.to_vec(),
            blocks: blocks.collect(),
        },
        pages: vec![],
        compounds: vec![],
        slots: vec![],
        mappings: vec![],
        ram: vec![],
        windows: vec![],
    }
}

/// Returns [`machine`] with `words` in memory from real address `at` on.
pub fn with_ram(dialect: Dialect, at: u64, words: &[u64]) -> Machine {
    let words = words.iter().map(|value| WordRun { value: *value, stride: 0, count: 1 }).collect();
    Machine { ram: vec![RamSpec { at: RealAddr(at), words }], ..machine(dialect) }
}

/// Makes a call, and expects this status and this deciding rule.
#[track_caller]
pub fn call(model: &mut Reference, call: Hypercall, status: Status, rule: Rule) -> Outcome {
    let outcome = model.step(&Step::Hypercall { vcpu: 0, call });
    let Answer::Hypercall { status: got, r4 } = outcome.answer else { panic!("{outcome:?}") };
    assert_eq!((got, outcome.rule), (status, Some(rule)), "{outcome:?}");
    assert!(outcome.rules.contains(rule));
    if rule != Rule::TceRead {
        assert_eq!(r4, None);
    }
    outcome
}

/// Makes a call, and expects this status, this deciding rule and what real mode owes. The reason of `Owes::May` is not
/// compared.
#[track_caller]
pub fn owes(model: &mut Reference, hcall: Hypercall, status: Status, rule: Rule, owes: Owes) -> Outcome {
    let outcome = call(model, hcall, status, rule);
    match (outcome.owes, owes) {
        (Owes::May(_), Owes::May(_)) => {}
        (got, expected) => assert_eq!(got, expected),
    }
    if let Owes::Defer(reason) = outcome.owes {
        assert!(outcome.rules.contains(reason));
    }
    outcome
}

/// Runs a step, and expects that it is not skipped.
#[track_caller]
pub fn done(model: &mut Reference, step: Step) {
    assert_eq!(model.step(&step).answer, Answer::Done, "{step:?}");
}

/// Runs a step, and expects that it is skipped and changes nothing. Returns the reason.
#[track_caller]
pub fn skipped(model: &mut Reference, step: Step) -> &'static str {
    let before = snapshot(model);
    let outcome = model.step(&step);
    let Answer::Skipped(reason) = outcome.answer else { panic!("{step:?}: {outcome:?}") };
    assert!(model.touched().is_empty());
    assert_eq!(before, snapshot(model));
    reason
}

/// Returns the model's state as text, except the layout of memory.
pub fn snapshot(model: &Reference) -> String {
    let windows: Vec<_> = model.windows().collect();
    let (pages, table): (Vec<_>, Vec<_>) = (model.pages().collect(), model.page_table().collect());
    let (slots, ram): (Vec<_>, Vec<_>) = (model.slots().collect(), model.ram().collect());
    format!("{windows:?} {pages:?} {table:?} {slots:?} {ram:?}")
}

/// Checks for every page that its count is own + mappings + hardware TCEs.
#[track_caller]
pub fn conserved(model: &Reference) {
    for (pfn, page) in model.pages() {
        let held = i64::from(page.own) + model.mappings(pfn) + model.hardware_references(pfn);
        assert_eq!(i64::from(page.count), held, "page {pfn}: {page:?}");
    }
}

pub fn count(model: &Reference, pfn: u64) -> i32 {
    model.page(Pfn(pfn)).count
}

pub fn dirty(model: &Reference, pfn: u64) -> bool {
    model.page(Pfn(pfn)).dirty
}

#[track_caller]
pub fn guest(model: &Reference, liobn: u64, index: u64) -> u64 {
    model.window(Liobn(liobn)).expect("window").guest(index)
}

#[track_caller]
pub fn hardware(model: &Reference, liobn: u64, index: u64) -> u64 {
    model.window(Liobn(liobn)).expect("window").hardware(index)
}

/// Returns the words, each as a run of its own.
pub fn runs(values: &[u64]) -> Vec<WordRun> {
    values.iter().map(|value| WordRun { value: *value, stride: 0, count: 1 }).collect()
}

/// Writes a list to the page of `gfn`, as the guest.
#[track_caller]
pub fn write_list(model: &mut Reference, gfn: u64, values: &[u64]) {
    done(model, Step::Write { gpa: Gpa(gpa(gfn)), words: runs(values) });
}

pub const fn put(liobn: u64, ioba: u64, tce: u64) -> Hypercall {
    Hypercall::put(liobn, ioba, tce)
}

pub const fn stuff(liobn: u64, ioba: u64, tce: u64, count: u64) -> Hypercall {
    Hypercall { opcode: H_STUFF_TCE, args: [liobn, ioba, tce, count] }
}

pub const fn indirect(liobn: u64, ioba: u64, list: u64, count: u64) -> Hypercall {
    Hypercall { opcode: H_PUT_TCE_INDIRECT, args: [liobn, ioba, list, count] }
}
