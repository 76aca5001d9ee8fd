//! A small machine with one of everything, for the tests of this crate.

use alloc::vec;

use contract::description::{
    AddrRun, Backing, BlockRun, CompoundSpec, Mapping, MemoryModel, PageShift, PageSpec, RamSpec, SlotSpec, WindowSpec,
    WordRun,
};
use contract::{Dialect, Gfn, Hva, Liobn, Machine, Pfn, Program, Pte, RealAddr};

use crate::RealMemory;
use crate::host::Host;

/// Virtual address of the first byte of the vmemmap range.
pub const BASE: u64 = 0xf << 60;
/// Real address of the vmemmap list.
pub const LIST: u64 = 0x10_0000;
/// Real address of the vmemmap block with number 0x10. Four blocks of 64 KiB each lie there one after the other: 0x10
/// to 0x13.
pub const BLOCKS: u64 = 0x20_0000;
/// Number of the only present section: pages 0x4000 to 0x4fff, whose struct pages fill the blocks 0x10 to 0x13.
pub const SECTION: u64 = 4;
/// pfn of the first page of the section. The page is mapped at [`HVA`], present and writable, and has one own
/// reference.
pub const PFN: u64 = 0x4000;
/// pfn of the head of a compound page of order 1 (two pages), mapped at [`HUGE`].
pub const HEAD: u64 = 0x4010;
/// pfn of a page that no page-table entry and no TCE names. Its count and its own references are -1.
pub const IDLE: u64 = 0x4020;
/// hva that the memory slot gives to gfn 0.
pub const HVA: u64 = 0x7000_0000;
/// hva of gfn 2. One huge entry maps gfns 2 and 3.
pub const HUGE: u64 = 0x7000_2000;
/// hva of gfn 4, whose page-table entry is absent.
pub const ABSENT: u64 = 0x7000_4000;
/// hva of gfn 5, which is a hole.
pub const HOLE: u64 = 0x7000_5000;
/// Real address of the table of guest values of the pinned window: four entries of 8 bytes.
pub const TABLE: u64 = 0x30_0000;
/// Real address of the hardware table of the pinned window: four entries of 8 bytes.
pub const HARDWARE: u64 = 0x30_1000;

/// Returns the machine's only window, which is pinned and has four entries.
pub fn window() -> WindowSpec {
    let backing = Backing::Pinned { hardware: RealAddr(HARDWARE) };
    WindowSpec { liobn: Liobn(1), page_shift: 12, base: 0, entries: 4, table: RealAddr(TABLE), backing }
}

/// Returns a valid program without steps, whose machine is of sparsemem-vmemmap and has one of every kind of item.
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

/// Returns memory as the host sets it up for [`program`], and this host.
pub fn boot() -> (RealMemory, Host) {
    let (mut memory, mut host) = (RealMemory::new(), Host::new());
    host.boot(&mut memory, &program());
    assert_eq!((memory.fault(), memory.audit()), (None, Ok(())));
    (memory, host)
}
