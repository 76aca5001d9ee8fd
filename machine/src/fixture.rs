//! A small machine with one of everything, for the tests of this crate.

use alloc::vec;

use contract::description::{
    AddrRun, Backing, BlockRun, CompoundSpec, Mapping, MemoryModel, PageShift, PageSpec, RamSpec, SlotSpec, WindowSpec,
    WordRun,
};
use contract::{Dialect, Gfn, Hva, Liobn, Machine, Pfn, Program, Pte, RealAddr};

use crate::RealMemory;
use crate::host::Host;

/// Base of the vmemmap range.
pub const BASE: u64 = 0xf << 60;
/// Real address of the vmemmap list.
pub const LIST: u64 = 0x10_0000;
/// Real address of block 0x10, of 64 KiB like the three that follow.
pub const BLOCKS: u64 = 0x20_0000;
/// The section that is present: pages 0x4000 to 0x4fff, whose struct pages are those four blocks.
pub const SECTION: u64 = 4;
/// The first of its pages; it is mapped at [`HVA`], present and writable, and the host holds a reference too.
pub const PFN: u64 = 0x4000;
/// The head of a compound page of order 1, mapped at [`HUGE`].
pub const HEAD: u64 = 0x4010;
/// A page that no entry names, with count and own -1.
pub const IDLE: u64 = 0x4020;
/// hva of gfn 0.
pub const HVA: u64 = 0x7000_0000;
/// hva of gfns 2 and 3, under a huge entry.
pub const HUGE: u64 = 0x7000_2000;
/// hva of gfn 4, an absent page.
pub const ABSENT: u64 = 0x7000_4000;
/// hva of gfn 5, a hole.
pub const HOLE: u64 = 0x7000_5000;
/// Real address of the pinned window's guest values: four entries.
pub const TABLE: u64 = 0x30_0000;
/// Real address of its hardware entries.
pub const HARDWARE: u64 = 0x30_1000;

/// The machine's pinned window.
pub fn window() -> WindowSpec {
    let backing = Backing::Pinned { hardware: RealAddr(HARDWARE) };
    WindowSpec { liobn: Liobn(1), page_shift: 12, base: 0, entries: 4, table: RealAddr(TABLE), backing }
}

/// The program: a machine of sparsemem-vmemmap, and no steps.
pub fn program() -> Program {
    let blocks = BlockRun { first: 0x10, places: AddrRun { at: RealAddr(BLOCKS), count: 4 } };
    let present = Pte::Present { pfn: Pfn(PFN), writable: true, dirty: false, young: true };
    let huge = Pte::Huge { pfn: Pfn(HEAD), order: 1, writable: true, dirty: false, young: true };
    let map = |hva: u64, pte: Pte| Mapping { hva: Hva(hva), pages: 1, pte };
    let machine = Machine {
        page_shift: PageShift::Shift12,
        struct_page: 64,
        memory: MemoryModel::SparsememVmemmap {
            base: BASE,
            block_shift: 16,
            list: RealAddr(LIST),
            sections: vec![SECTION],
            blocks: vec![blocks],
        },
        pages: vec![
            PageSpec { pfn: Pfn(PFN), own: 1, dirty: false },
            PageSpec { pfn: Pfn(IDLE), own: -1, dirty: false },
        ],
        compounds: vec![CompoundSpec { pfn: Pfn(HEAD), order: 1 }],
        slots: vec![SlotSpec { id: 0, gfn: Gfn(0), pages: 6, hva: Hva(HVA) }],
        mappings: vec![map(HVA, present), map(HUGE, huge), map(ABSENT, Pte::Absent { pfn: Pfn(PFN + 1) })],
        ram: vec![RamSpec {
            at: RealAddr(PFN << 12),
            words: vec![WordRun { value: 0x1003, stride: 0x1000, count: 4 }],
        }],
        windows: vec![window()],
    };
    let program = Program { dialect: Dialect::Lopapr, machine, steps: vec![] };
    assert_eq!(program.validate(), Ok(()));
    program
}

/// Memory as the program sets it up, and its host.
pub fn boot() -> (RealMemory, Host) {
    let (mut memory, mut host) = (RealMemory::new(), Host::new());
    host.boot(&mut memory, &program());
    assert_eq!((memory.fault(), memory.audit()), (None, Ok(())));
    (memory, host)
}
