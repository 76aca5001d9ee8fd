//! The machine on which tests of single modules run. A test itself makes the changes that another CPU would have made
//! in between.

extern crate alloc;

use alloc::vec;
use contract::addr::{Gfn, Hva, Liobn, Pfn, RealAddr};
use contract::description::{Backing, Machine, MemoryModel, PageShift, Pte, SlotSpec, WindowSpec};
use contract::dialect::Dialect;
use machine::memory::{Context, Cpu, Mode, Owner, RealMemory, Region};

use crate::virtual_mode::State;

/// The hva of gfn 0.
pub const HVA: Hva = Hva(0x7000_0000);
const ARRAY: u64 = 0x10_0000;
const TABLE: u64 = 0x20_0000;
/// Real address of the window's hardware table.
pub const HARDWARE: RealAddr = RealAddr(0x20_1000);

/// Starts a flatmem machine with 16 host pages of 4 KiB, four pages of guest memory from gfn 0 on, none of them mapped
/// yet, and a pinned window (LIOBN 1) of four entries.
pub fn start() -> (State, RealMemory) {
    let liobn = Liobn(1);
    let window = WindowSpec {
        liobn,
        page_shift: 12,
        base: 0,
        entries: 4,
        table: RealAddr(TABLE),
        backing: Backing::Pinned { hardware: HARDWARE },
    };
    let machine = Machine {
        page_shift: PageShift::Shift12,
        struct_page: 64,
        memory: MemoryModel::Flatmem { array: RealAddr(ARRAY), pages: 16 },
        pages: vec![],
        compounds: vec![],
        slots: vec![SlotSpec { id: 0, gfn: Gfn(0), pages: 4, hva: HVA }],
        mappings: vec![],
        ram: vec![],
        windows: vec![window],
    };
    let mut state = State::default();
    state.start(Dialect::Lopapr, &machine);
    let mut memory = RealMemory::new();
    memory.reset(machine.page_shift, machine.struct_page, &machine.memory, 64);
    for (start, bytes, owner) in [
        (0, 16 << 12, Owner::Ram),
        (ARRAY, 16 * 64, Owner::StructPages { offset: 0 }),
        (TABLE, 32, Owner::Table(liobn)),
        (HARDWARE.0, 32, Owner::Hardware(liobn)),
    ] {
        memory.add_region(Region { start, end: start + bytes, owner });
    }
    (state, memory)
}

/// Returns vCPU 0 in the context of a hypercall.
pub fn cpu(memory: &RealMemory, mode: Mode) -> Cpu<'_> {
    memory.cpu(mode, 0, Context::Hypercall, 1000)
}

/// Returns a present page-table entry that a call need not change: writable, dirty and young.
pub const fn ready(pfn: u64) -> Pte {
    Pte::Present { pfn: Pfn(pfn), writable: true, dirty: true, young: true }
}
