//! Tests of what the host refuses: each test makes the host do something impossible, and checks the fault.

use alloc::vec;

use contract::description::{AddrRun, CompoundSpec, LIST_AREA_BYTES, MemoryModel, SlotSpec, WordRun};
use contract::{Gfn, Gpa, Hva, Hypercall, Liobn, Machine, PageShift, Pfn, Program, Pte, RealAddr, Step};

use super::Host;
use crate::RealMemory;
use crate::fixture::{
    ABSENT, BASE, BLOCKS, HARDWARE, HEAD, HOLE, HUGE, HVA, LIST, PFN, SECTION, TABLE, boot, program, window,
};
use crate::memory::Fault;

/// Number of an absent section whose vmemmap blocks are not backed. [`PLACE`] is free real memory for these blocks.
const ADDED: u64 = 6;
const PLACE: RealAddr = RealAddr(0x40_0000);

fn hot_add(section: u64, count: u64) -> Step {
    Step::HotAdd { section, blocks: vec![AddrRun { at: PLACE, count }] }
}

fn absent() -> Pte {
    Pte::Absent { pfn: Pfn(PFN) }
}

#[test]
fn a_step_whose_precondition_fails_is_a_fault() {
    let call = Hypercall::get(1, 0);
    let words = vec![WordRun { value: 1, stride: 0, count: 2 }];
    let cases = [
        (Step::Hypercall { vcpu: 0, call }, "a step of the host", 0),
        (Step::CloseWindow { liobn: Liobn(1) }, "a step of the host", 0),
        (Step::Lookup { pfn: Pfn(PFN) }, "a step of the host", 0),
        (Step::GetPage { pfn: Pfn(PFN) }, "a step of the host", 0),
        (Step::PutPage { pfn: Pfn(PFN) }, "a step of the host", 0),
        (Step::Map { hva: Hva(HVA), pte: absent() }, "a hole", HVA),
        (Step::Unmap { hva: Hva(HOLE) }, "no hole", HOLE),
        (Step::Age { hva: Hva(ABSENT) }, "a present or huge entry", ABSENT),
        (Step::WriteProtect { hva: Hva(HOLE) }, "a present or huge entry", HOLE),
        (Step::Clean { hva: Hva(ABSENT) }, "a present or huge entry", ABSENT),
        (Step::Migrate { hva: Hva(HUGE), pfn: Pfn(PFN + 5) }, "a present entry", HUGE),
        (hot_add(SECTION, 4), "an absent section", SECTION),
        (hot_add(ADDED, 3), "a place for the block", 0x1b),
        (Step::HotRemove { section: ADDED }, "a present section", ADDED),
        // The last of the slot's pages is a hole, and the slot ends there.
        (Step::Write { gpa: Gpa(0x4ff8), words: words.clone() }, "guest memory", 0x5000),
        (Step::Write { gpa: Gpa(0x6000), words }, "guest memory", 0x6000),
    ];
    for (step, needs, at) in cases {
        let (mut memory, mut host) = boot();
        host.step(&mut memory, &step);
        assert_eq!(memory.fault(), Some(Fault::Precondition { step: step.kind(), needs, at }));
    }
}

#[test]
fn faults_of_memory_come_through() {
    let cases = [
        (Step::SplitCompound { pfn: Pfn(PFN) }, Fault::Compound { pfn: Pfn(PFN), order: 0 }),
        (Step::MakeCompound(CompoundSpec { pfn: Pfn(HEAD), order: 1 }), Fault::Compound { pfn: Pfn(HEAD), order: 1 }),
        (Step::Take { pfn: Pfn(PFN - 1) }, Fault::NoStructPage { pfn: Pfn(PFN - 1) }),
        // The section is removed while its pages are still mapped.
        (Step::HotRemove { section: SECTION }, Fault::Holders { pfn: Pfn(PFN), holders: 1 }),
    ];
    for (step, fault) in cases {
        let (mut memory, mut host) = boot();
        host.step(&mut memory, &step);
        assert_eq!(memory.fault(), Some(fault));
    }
    let (mut memory, mut host) = boot();
    host.step(&mut memory, &Step::CreateWindow(window()));
    assert!(matches!(memory.fault(), Some(Fault::RegionsOverlap(..))));
}

#[test]
fn a_machine_without_blocks_has_no_hot_plug() {
    let flat = MemoryModel::Flatmem { array: RealAddr(1 << 30), pages: 16 };
    let machine = Machine::bare(PageShift::Shift12, 64, flat);
    for step in [hot_add(0, 1), Step::HotRemove { section: 0 }] {
        let (mut memory, mut host) = (RealMemory::new(), Host::new());
        host.boot(&mut memory, &Program { machine: machine.clone(), ..program() });
        host.step(&mut memory, &step);
        let needs = "sparsemem-vmemmap";
        assert_eq!(memory.fault(), Some(Fault::Precondition { step: step.kind(), needs, at: 0 }));
    }
}

#[test]
fn a_window_goes_with_empty_tables() {
    for at in [TABLE, HARDWARE + 8] {
        let (mut memory, _) = boot();
        memory.poke(RealAddr(at), 1);
        Host::remove_window(&mut memory, &window());
        let (step, needs) = (contract::StepKind::CloseWindow, "an empty table");
        assert_eq!(memory.fault(), Some(Fault::Precondition { step, needs, at }));
    }
    let (mut memory, _) = boot();
    Host::remove_window(&mut memory, &window());
    assert_eq!((memory.fault(), memory.audit(), memory.region_at(TABLE)), (None, Ok(()), None));
}

#[test]
fn the_list_is_what_the_host_remembers() {
    let list = |at, expected, found| Some(Fault::List { at: RealAddr(at), expected, found });
    // Nodes of blocks 0x10 to 0x13 follow the first word. The list leads from the last to the first.
    const NODES: u64 = LIST + 8;
    let (mut memory, mut host) = boot();
    host.list.remove(&mut memory, 0x14);
    assert_eq!(memory.fault(), Some(Fault::NoBlock { number: 0x14 }));

    let (mut memory, mut host) = boot();
    memory.poke(RealAddr(NODES + 48), 0);
    host.list.remove(&mut memory, 0x11);
    assert_eq!(memory.fault(), list(NODES + 48, NODES + 24, 0));

    let (mut memory, mut host) = boot();
    memory.poke(RealAddr(LIST), NODES);
    host.list.push(&mut memory, 0x14, PLACE, BASE);
    assert_eq!(memory.fault(), list(LIST, NODES + 72, NODES));

    let (mut memory, mut host) = boot();
    let room = (LIST_AREA_BYTES - 8) / 24;
    for block in 0..room - 4 {
        host.list.push(&mut memory, 0x20 + block, PLACE, BASE);
    }
    assert_eq!(memory.fault(), None);
    host.list.push(&mut memory, 1, PLACE, BASE);
    assert_eq!(memory.fault(), Some(Fault::ListFull { node: RealAddr(NODES + 24 * room) }));
}

/// Whatever steps with valid preconditions the host does (sections are added and removed, pages made compound and
/// split, slots moved), the audit finds no fault.
#[test]
fn what_the_host_may_do_passes_the_audit() {
    let (mut memory, mut host) = boot();
    let steps = [
        hot_add(ADDED, 4),
        Step::Take { pfn: Pfn(PFN) },
        Step::Drop { pfn: Pfn(PFN) },
        Step::Migrate { hva: Hva(HVA), pfn: Pfn(ADDED << 12) },
        Step::Write { gpa: Gpa(0), words: vec![WordRun { value: 3, stride: 0, count: 512 }] },
        Step::Clean { hva: Hva(HUGE + 0x1000) },
        Step::Age { hva: Hva(HUGE + 0x1000) },
        Step::WriteProtect { hva: Hva(HVA) },
        Step::MakeCompound(CompoundSpec { pfn: Pfn(ADDED << 12), order: 9 }),
        Step::Map {
            hva: Hva(HOLE),
            pte: Pte::Present { pfn: Pfn((ADDED << 12) + 7), writable: true, dirty: false, young: false },
        },
        Step::SplitCompound { pfn: Pfn(ADDED << 12) },
        Step::Unmap { hva: Hva(HUGE + 0x1000) },
        Step::Unmap { hva: Hva(HVA) },
        Step::Unmap { hva: Hva(HOLE) },
        Step::Unmap { hva: Hva(ABSENT) },
        Step::SplitCompound { pfn: Pfn(HEAD) },
        Step::Slot(SlotSpec { id: 0, gfn: Gfn(0), pages: 0, hva: Hva(0) }),
        Step::HotRemove { section: ADDED },
        hot_add(ADDED, 4),
    ];
    for step in steps {
        memory.begin_step();
        host.step(&mut memory, &step);
        assert_eq!((memory.fault(), memory.audit()), (None, Ok(())), "{}", step.kind());
    }
    // Nodes are reused last in, first out, so the last block's node came first.
    assert_eq!(memory.blocks()[4..].iter().map(|block| block.0).collect::<vec::Vec<_>>(), [0x18, 0x19, 0x1a, 0x1b]);
    assert_eq!(memory.peek(RealAddr(LIST)), LIST + 8 + 24 * 4);
    assert_eq!(memory.block(0x13), Some(RealAddr(BLOCKS + 0x3_0000)));
}
