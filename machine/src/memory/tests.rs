//! Tests of what memory refuses and what its audit finds: each test makes an impossible state, and checks the fault.

use core::sync::atomic::Ordering::Relaxed;

use contract::addr::{Ea, Hva, Liobn, Pfn, RealAddr};
use contract::description::{MemoryModel, PageShift, Pte};

use super::fault::{Fault, Unstored};
use super::frames::{Key, SPARE_FRAMES, Space};
use super::region::{Owner, Place, Region};
use super::{Account, Actor, Context, Cpu, LoggedWord, Mode, RealMemory, pte, struct_page};
use crate::fixture::{ABSENT, BASE, BLOCKS, HARDWARE, HEAD, HOLE, HUGE, HVA, IDLE, LIST, PFN, TABLE, boot};

/// An operation that brings memory into an impossible state.
type Spoil = fn(&mut RealMemory);

/// An operation, and the fault that memory or its audit must then report.
type Case = (Spoil, Fault);

/// Runs each case on a memory of its own, and checks that the memory reports the fault of the case.
fn reported(cases: &[Case]) {
    for (spoil, fault) in cases {
        let (mut memory, _) = boot();
        spoil(&mut memory);
        assert_eq!(memory.fault(), Some(*fault));
        // The audit reports nothing else.
        assert_eq!(memory.audit(), Err(*fault));
    }
}

/// Runs each case on a memory of its own, and checks that the audit finds the fault of the case, and that no fault was
/// reported before the audit.
fn found_by_audit(cases: &[Case]) {
    for (spoil, fault) in cases {
        let (mut memory, _) = boot();
        spoil(&mut memory);
        assert_eq!((memory.fault(), memory.audit()), (None, Err(*fault)));
    }
}

fn cpu(memory: &RealMemory) -> Cpu<'_> {
    memory.cpu(Mode::Real, 0, Context::Hypercall, 1 << 20)
}

/// Stores `value` in the word at real address `real`, without the checks and the log that stores of the host and of
/// CPUs go through.
fn spoil(memory: &RealMemory, real: u64, value: u64) {
    let frame = memory.frames.find(Key::new(Space::Real, real >> 12)).expect("something was stored near it");
    frame.word(real >> 3).store(value, Relaxed);
}

fn spoil_pte(memory: &RealMemory, hva: u64, word: u64) {
    let frame = memory.frames.find(Key::new(Space::PageTable, hva >> 21)).expect("something is mapped near it");
    frame.note_store(hva >> 12);
    frame.word(hva >> 12).store(word, Relaxed);
}

fn spoil_account(memory: &RealMemory, pfn: u64, account: Account) {
    let frame = memory.frames.find_or_make(Key::new(Space::Account, pfn >> 9)).expect("a frame");
    frame.note_store(pfn);
    frame.word(pfn).store(account.word(), Relaxed);
}

fn struct_page_at(pfn: u64) -> u64 {
    BLOCKS + (pfn - PFN) * 64
}

/// A subject that stores where the reference does not may use frames beyond the bound of the program, and no fault is
/// reported.
#[test]
fn a_subject_may_store_all_over_struct_pages() {
    let model = MemoryModel::Flatmem { array: RealAddr(1 << 40), pages: 1 << 20 };
    let mut memory = RealMemory::new();
    memory.reset(PageShift::Shift12, 64, &model, 1);
    let (start, end) = (1 << 40, (1 << 40) + (64 << 20));
    memory.add_region(Region { start, end, owner: Owner::StructPages { offset: 0 } });
    let cpu = cpu(&memory);
    let places = (start..end).step_by(4096).take(1000);
    for at in places.clone() {
        cpu.store(Ea(at), at, Relaxed);
    }
    for at in places {
        assert_eq!((cpu.load(Ea(at), Relaxed), memory.peek(RealAddr(at))), (at, at));
    }
    assert_eq!((cpu.report().event, memory.fault(), memory.frames_made()), (None, None, 1000));
    // Another program finds no trace of it, and may use as many frames.
    memory.reset(PageShift::Shift12, 64, &model, 1);
    memory.add_region(Region { start, end, owner: Owner::StructPages { offset: 0 } });
    assert_eq!((memory.contents().count(), memory.frames.limit()), (0, 1 + SPARE_FRAMES));
    assert_eq!(memory.peek(RealAddr(start)), 0);
}

/// A store that finds no free frame is a fault, so it is not lost silently, and it is no event, so no subject is
/// blamed.
#[test]
fn a_store_without_a_frame_is_a_fault_and_no_event() {
    const FREE: u64 = BLOCKS + 0x3_0000;
    let real = Unstored::Real(RealAddr(FREE));
    let cases: [(Spoil, Unstored); 8] = [
        (|memory| cpu(memory).store(Ea(FREE), 1, Relaxed), real),
        (|memory| assert_eq!(cpu(memory).swap(Ea(FREE), 1, Relaxed), 0), real),
        (|memory| assert!(cpu(memory).compare_exchange(Ea(FREE), 0, 1, Relaxed, Relaxed).is_err()), real),
        (|memory| assert!(cpu(memory).compare_exchange_i32(Ea(FREE), 0, 1, Relaxed, Relaxed).is_err()), real),
        (|memory| memory.poke(RealAddr(FREE), 1), real),
        (|memory| memory.copy(RealAddr(PFN << 12), RealAddr(FREE), 4096), real),
        (|memory| memory.set_pte(Hva(1 << 40), Pte::Absent { pfn: Pfn(PFN) }), Unstored::PageTable(Hva(1 << 40))),
        (|memory| memory.add_own(Pfn(PFN + 512), 1), Unstored::Account(Pfn(PFN + 512))),
    ];
    for (store, place) in cases {
        let (mut memory, _) = boot();
        let frames = memory.frames_made();
        memory.frames.limit_to(frames);
        store(&mut memory);
        assert_eq!(memory.fault(), Some(Fault::NoFrame { place, frames }));
    }
    let (mut memory, _) = boot();
    memory.frames.limit_to(memory.frames_made());
    let cpu = cpu(&memory);
    cpu.store(Ea(FREE), 1, Relaxed);
    assert_eq!(cpu.report().event, None);
    // Stores to existing frames still work.
    cpu.store(Ea(struct_page_at(PFN)), struct_page::DIRTY, Relaxed);
    assert_eq!(memory.page_word(Pfn(PFN), struct_page::FLAGS), struct_page::DIRTY);
}

#[test]
fn regions_and_blocks_lie_apart() {
    let region = |start, end| Region { start, end, owner: Owner::Ram };
    let table = Region { start: TABLE, end: TABLE + 32, owner: Owner::Table(Liobn(1)) };
    reported(&[
        (
            |memory| memory.add_region(Region { start: 0x1000, end: 0x1000, owner: Owner::Ram }),
            Fault::RegionShape(region(0x1000, 0x1000)),
        ),
        (
            |memory| memory.add_region(Region { start: 0x1800, end: 0x2000, owner: Owner::Ram }),
            Fault::RegionShape(region(0x1800, 0x2000)),
        ),
        (
            |memory| memory.add_region(Region { start: TABLE - 4096, end: TABLE + 1, owner: Owner::Ram }),
            Fault::RegionsOverlap(region(TABLE - 4096, TABLE + 1), table),
        ),
        (
            |memory| memory.add_region(Region { start: TABLE, end: TABLE + 1, owner: Owner::Ram }),
            Fault::RegionsOverlap(region(TABLE, TABLE + 1), table),
        ),
        (
            |memory| {
                memory.add_region(Region { start: 0x1000, end: 0x3000, owner: Owner::Ram });
                memory.add_region(Region { start: 0x2000, end: 0x4000, owner: Owner::Ram });
            },
            Fault::RegionsOverlap(region(0x1000, 0x3000), region(0x2000, 0x4000)),
        ),
        (|memory| memory.remove_region(TABLE + 4), Fault::NoRegion { start: TABLE + 4 }),
        (|memory| memory.add_block(0x10, RealAddr(1 << 30)), Fault::BlockTwice { number: 0x10 }),
        (|memory| memory.remove_block(0x14), Fault::NoBlock { number: 0x14 }),
    ]);
    let mut flat = RealMemory::new();
    flat.reset(PageShift::Shift12, 64, &MemoryModel::Flatmem { array: RealAddr(0), pages: 1 }, 1);
    flat.add_block(0, RealAddr(0x1000));
    assert_eq!(flat.fault(), Some(Fault::NoBlock { number: 0 }));
}

#[test]
fn the_host_stores_to_struct_pages_that_are_there() {
    let fault = Fault::NoStructPage { pfn: Pfn(PFN - 1) };
    reported(&[
        (|memory| memory.set_page_word(Pfn(PFN - 1), struct_page::FLAGS, 1), fault),
        (|memory| memory.set_count(Pfn(PFN - 1), 1), fault),
        (|memory| memory.add_count(Pfn(PFN - 1), 1), fault),
    ]);
}

#[test]
fn compound_pages_are_made_of_single_ones() {
    let fault = |pfn, order| Fault::Compound { pfn: Pfn(pfn), order };
    reported(&[
        (|memory| memory.mark_compound(Pfn(HEAD), 1), fault(HEAD, 1)),
        (|memory| memory.mark_compound(Pfn(HEAD - 0x10), 5), fault(HEAD - 0x10, 5)),
        (|memory| memory.mark_compound(Pfn(HEAD + 2), 2), fault(HEAD + 2, 2)),
        (|memory| memory.mark_compound(Pfn(HEAD + 0x10), 0), fault(HEAD + 0x10, 0)),
        (|memory| memory.mark_compound(Pfn(PFN), 10), fault(PFN, 10)),
        (|memory| assert_eq!(memory.unmark_compound(Pfn(HEAD + 1)), None), fault(HEAD + 1, 0)),
    ]);
    let (mut memory, _) = boot();
    assert_eq!(
        [HEAD - 1, HEAD, HEAD + 1, HEAD + 2].map(|pfn| memory.head(Pfn(pfn)).0),
        [HEAD - 1, HEAD, HEAD, HEAD + 2]
    );
    assert_eq!(memory.unmark_compound(Pfn(HEAD)), Some(1));
    assert_eq!(memory.head(Pfn(HEAD + 1)), Pfn(HEAD + 1));
    memory.mark_compound(Pfn(HEAD), 1);
    assert_eq!((memory.fault(), memory.audit()), (None, Ok(())));
}

#[test]
fn holders_are_never_fewer_than_none() {
    reported(&[
        (|memory| memory.move_holders(Pfn(IDLE), -1), Fault::Holders { pfn: Pfn(IDLE), holders: -1 }),
        (|memory| memory.clear_account(Pfn(PFN), Pfn(IDLE)), Fault::Holders { pfn: Pfn(PFN), holders: 1 }),
    ]);
    // The account of unnamed pages may be cleared.
    let (mut memory, _) = boot();
    memory.clear_account(Pfn(IDLE), Pfn(IDLE + 1));
    assert_eq!((memory.own(Pfn(IDLE)), memory.own(Pfn(PFN)), memory.fault()), (0, 1, None));
}

#[test]
fn page_table_entries_replace_one_another() {
    let huge = Pte::Huge { pfn: Pfn(HEAD), order: 1, writable: true, dirty: false, young: true };
    let tail = pte::encode(huge, 1);
    reported(&[
        (|memory| memory.set_pte(Hva(HUGE + 0x1000), Pte::Hole), Fault::InsideHuge { hva: Hva(HUGE + 0x1000) }),
        (
            |memory| {
                let huge = Pte::Huge { pfn: Pfn(HEAD), order: 1, writable: true, dirty: false, young: true };
                memory.set_pte(Hva(ABSENT), Pte::Hole);
                memory.set_pte(Hva(HOLE), Pte::Absent { pfn: Pfn(PFN) });
                memory.set_pte(Hva(ABSENT), huge);
            },
            Fault::MappedTwice { hva: Hva(HOLE) },
        ),
        // A page under a huge entry that does not exist.
        (
            |memory| {
                spoil_pte(memory, HUGE, 0);
                assert_eq!(memory.pte(Hva(HUGE + 0x1000)), Pte::Hole);
            },
            Fault::PageTable { hva: Hva(HUGE + 0x1000), word: tail },
        ),
    ]);
}

#[test]
fn a_cpu_is_one_of_the_vcpus() {
    reported(&[(|memory| assert_eq!(memory.cpu(Mode::Real, 8, Context::Probe, 1).vcpu(), 8), Fault::Vcpu { vcpu: 8 })]);
}

#[test]
fn the_first_fault_is_kept_until_the_next_program() {
    let (mut memory, _) = boot();
    memory.report_fault(Fault::Vcpu { vcpu: 9 });
    memory.report_fault(Fault::NoBlock { number: 1 });
    assert_eq!(memory.fault(), Some(Fault::Vcpu { vcpu: 9 }));
    memory.begin_step();
    assert_eq!(memory.fault(), Some(Fault::Vcpu { vcpu: 9 }));
    let model = MemoryModel::Flatmem { array: RealAddr(0), pages: 1 };
    memory.reset(PageShift::Shift12, 64, &model, 1);
    assert_eq!(memory.fault(), None);
}

#[test]
fn the_audit_sees_regions_and_blocks() {
    let first = Region { start: LIST, end: LIST + (1 << 20), owner: Owner::List };
    let block = Region { start: BLOCKS, end: BLOCKS + 0x1_0000, owner: Owner::StructPages { offset: 0x10_0000 } };
    found_by_audit(&[
        (|memory| memory.order.swap(0, 1), Fault::RegionsOverlap(block, first)),
        (|memory| memory.blocks.swap(0, 1), Fault::BlockTwice { number: 0x10 }),
        // A block without its region, a region without its block, a block elsewhere.
        (|memory| memory.blocks.push((0x14, 1 << 30)), Fault::BlockRegion { number: 0x14, real: RealAddr(1 << 30) }),
        (|memory| memory.blocks.truncate(3), Fault::BlockRegion { number: 0x13, real: RealAddr(BLOCKS + 0x3_0000) }),
        (|memory| memory.blocks[0].1 = 1 << 30, Fault::BlockRegion { number: 0x10, real: RealAddr(BLOCKS) }),
        (
            |memory| {
                let frame = memory.frames.find(Key::new(Space::Real, LIST >> 12)).expect("the list's");
                frame.set_region(memory.region_number(BLOCKS).expect("a block"));
            },
            Fault::FrameRegion { real: RealAddr(LIST) },
        ),
        (|memory| memory.poke(RealAddr(TABLE + 32), 5), Fault::Ownerless { real: RealAddr(TABLE + 32), word: 5 }),
    ]);
    let mut flat = RealMemory::new();
    flat.reset(PageShift::Shift12, 64, &MemoryModel::Flatmem { array: RealAddr(0x1000), pages: 4 }, 1);
    let region = |end| Region { start: 0x1000, end, owner: Owner::StructPages { offset: 0 } };
    assert_eq!(flat.audit(), Err(Fault::BlockRegion { number: 0, real: RealAddr(0x1000) }));
    flat.add_region(region(0x1100));
    assert_eq!(flat.audit(), Ok(()));
    flat.remove_region(0x1000);
    flat.add_region(region(0x1101));
    assert_eq!(flat.audit(), Err(Fault::BlockRegion { number: 0, real: RealAddr(0x1000) }));
}

#[test]
fn the_audit_sees_the_page_table() {
    let at = |hva| Hva(hva);
    found_by_audit(&[
        // Words that no entry is encoded as: bits without a kind, flags of an absent page.
        (|memory| spoil_pte(memory, HOLE, 0x100), Fault::PageTable { hva: at(HOLE), word: 0x100 }),
        (|memory| spoil_pte(memory, ABSENT, 0x4001_0007), Fault::PageTable { hva: at(ABSENT), word: 0x4001_0007 }),
        // A tail that is missing, one of another order, and one without its head.
        (|memory| spoil_pte(memory, HUGE + 0x1000, 0), Fault::PageTable { hva: at(HUGE + 0x1000), word: 0 }),
        (
            |memory| spoil_pte(memory, HUGE + 0x1000, 2 | 1 << 5 | 2 << 8),
            Fault::PageTable { hva: at(HUGE + 0x1000), word: 2 | 1 << 5 | 2 << 8 },
        ),
        (
            |memory| spoil_pte(memory, HOLE, 2 | 1 << 5 | 1 << 8),
            Fault::PageTable { hva: at(HOLE), word: 2 | 1 << 5 | 1 << 8 },
        ),
    ]);
}

#[test]
fn the_audit_sees_compound_pages() {
    let word = |pfn, offset, expected, found| Fault::CompoundWord { pfn: Pfn(pfn), offset, expected, found };
    let (flags, compound) = (struct_page::FLAGS, struct_page::COMPOUND);
    let (head, tail) = (struct_page::HEAD, struct_page::TAIL);
    found_by_audit(&[
        (|memory| spoil(memory, struct_page_at(HEAD), 0), word(HEAD, flags, head, 0)),
        (|memory| spoil(memory, struct_page_at(HEAD) + 16, 2), word(HEAD, compound, 1, 2)),
        (|memory| spoil(memory, struct_page_at(HEAD + 1), 3), word(HEAD + 1, flags, tail, 3)),
        (|memory| spoil(memory, struct_page_at(HEAD + 1) + 16, PFN), word(HEAD + 1, compound, HEAD, PFN)),
        (|memory| memory.set_page_word(Pfn(HEAD + 2), struct_page::FLAGS, 2), word(HEAD + 2, flags, 0, tail)),
        (|memory| memory.compounds.push((HEAD + 1, 1)), Fault::Compound { pfn: Pfn(HEAD + 1), order: 1 }),
    ]);
}

#[test]
fn the_audit_counts_holders() {
    let recount = |pfn, account, counted| Fault::Recount { pfn: Pfn(pfn), account, counted };
    let owed = Account { own: -1, holders: 1 };
    found_by_audit(&[
        (|memory| spoil_account(memory, PFN, Account { own: 1, holders: 2 }), recount(PFN, 2, 1)),
        (|memory| spoil_account(memory, PFN, Account { own: 0, holders: 0 }), recount(PFN, 0, 1)),
        (|memory| spoil_account(memory, IDLE, Account { own: -1, holders: 1 }), recount(IDLE, 1, 0)),
        // A hardware entry on a tail, stored without updating the account.
        (|memory| memory.poke(RealAddr(HARDWARE), ((HEAD + 1) << 12 | 3_u64).swap_bytes()), recount(HEAD, 1, 2)),
        (
            |memory| spoil_account(memory, PFN, Account { own: -1, holders: 1 }),
            Fault::Owed { pfn: Pfn(PFN), account: owed },
        ),
    ]);
}

#[test]
fn the_audit_walks_the_vmemmap_list() {
    let list = |at, expected, found| Fault::List { at: RealAddr(at), expected, found };
    // Nodes of blocks 0x10 to 0x13 follow the first word. The list leads from the last to the first.
    const NODES: u64 = LIST + 8;
    let virt = |block: u64| (0xf << 60) + (block << 16);
    found_by_audit(&[
        (|memory| spoil(memory, LIST, 0), list(LIST, virt(0x10), 0)),
        (|memory| spoil(memory, LIST, 0x1234), list(LIST, 0, 0x1234)),
        (|memory| spoil(memory, LIST, NODES + 8), list(LIST, 0, NODES + 8)),
        (|memory| spoil(memory, NODES + 24, 0), list(NODES + 24, virt(0x10), 0)),
        (|memory| spoil(memory, NODES + 24, NODES + 48), list(NODES + 64, 0, virt(0x12))),
        (|memory| spoil(memory, NODES + 8, 0), list(NODES + 8, BLOCKS, 0)),
        (|memory| spoil(memory, NODES + 16, 0), list(NODES + 16, 0, 0)),
    ]);
}

/// The change log has each changed word once, with its value before the step and all actors that changed it.
#[test]
fn the_log_says_who_changed_a_word() {
    let (mut memory, _) = boot();
    memory.begin_step();
    assert_eq!(memory.log().count(), 0);
    let flags = struct_page_at(IDLE);
    memory.poke(RealAddr(flags), struct_page::DIRTY);
    for (vcpu, mode, value) in [(2, Mode::Real, 0), (2, Mode::Virtual, 4), (2, Mode::Virtual, 4), (3, Mode::Real, 4)] {
        // The last two store the value that is there: that changes nothing.
        memory.cpu(mode, vcpu, Context::Hypercall, 9).store(Ea(flags), value, Relaxed);
    }
    let cpu = memory.cpu(Mode::Virtual, 7, Context::Hypercall, 9);
    let Pte::Present { pfn, writable, young, .. } = memory.pte(Hva(HVA)) else { panic!("not present") };
    let dirty = Pte::Present { pfn, writable, dirty: true, young };
    assert_eq!(cpu.compare_exchange_pte(Hva(HVA), memory.pte(Hva(HVA)), dirty), Ok(()));
    let log: alloc::vec::Vec<LoggedWord> = memory.log().collect();
    let places = log.iter().map(|word| word.place).collect::<alloc::vec::Vec<_>>();
    let region = memory.region_at(flags);
    assert_eq!(places, [Place::Real(RealAddr(flags), region), Place::PageTable(Hva(HVA))]);
    assert_eq!((log[0].before, log[0].now), (0, 4));
    let cpu = |vcpu, mode| Actor::Cpu { vcpu, mode };
    let actors = [Actor::Host, cpu(2, Mode::Real), cpu(2, Mode::Virtual)];
    assert_eq!(log[0].actors.iter().collect::<alloc::vec::Vec<_>>(), actors);
    assert_eq!(log[1].actors.iter().collect::<alloc::vec::Vec<_>>(), [cpu(7, Mode::Virtual)]);
    assert_eq!(memory.peek_unchanged(RealAddr(flags)), None);
    assert_eq!(memory.peek_unchanged(RealAddr(flags + 8)), Some(0xffff_ffff));
    memory.begin_step();
    assert_eq!((memory.log().count(), memory.peek_unchanged(RealAddr(flags))), (0, Some(4)));
}

/// Whatever a subject does, memory reports no fault, and the audit finds only faults in words that a subject can store
/// to.
#[test]
fn no_subject_can_bring_a_fault_about() {
    let mut spoilt = [0; 3];
    for seed in 1..400_u64 {
        let (mut memory, _) = boot();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(seed);
            (state >> 33) % below
        };
        for _ in 0..3 {
            memory.begin_step();
            let mode = if random(2) == 0 { Mode::Real } else { Mode::Virtual };
            let context = [Context::Hypercall, Context::Probe, Context::Close][random(3) as usize];
            let cpu = memory.cpu(mode, random(8) as u8, context, 1 << 20);
            for _ in 0..random(60) {
                let at = [struct_page_at(PFN), struct_page_at(HEAD), TABLE, HARDWARE, BASE + PFN * 64, LIST, 0];
                let at = Ea(at[random(7) as usize] + random(80) * 4);
                let page = [PFN, PFN + 1, HEAD, HEAD + 1, IDLE, random(1 << 34)][random(6) as usize];
                let value = [0, random(1 << 34), page, (page << 12 | random(4)).swap_bytes()][random(4) as usize];
                match random(6) {
                    0 => cpu.store(at, value, Relaxed),
                    1 => _ = cpu.swap(at, value, Relaxed),
                    2 => _ = cpu.compare_exchange(at, cpu.load(at, Relaxed), value, Relaxed, Relaxed),
                    3 => {
                        let new = cpu.load_i32(at, Relaxed).wrapping_add(random(3) as i32 - 1);
                        _ = cpu.compare_exchange_i32(at, cpu.load_i32(at, Relaxed), new, Relaxed, Relaxed);
                    }
                    4 => {
                        let hva = Hva(HVA + random(7) * 4096);
                        let (writable, dirty, young) = (random(2) == 0, random(2) == 0, random(2) == 0);
                        let new = match cpu.load_pte(hva) {
                            Pte::Huge { pfn, order, .. } => Pte::Huge { pfn, order, writable, dirty, young },
                            entry => Pte::Present { pfn: entry.pfn().unwrap_or(Pfn(page)), writable, dirty, young },
                        };
                        _ = cpu.compare_exchange_pte(hva, cpu.load_pte(hva), new);
                    }
                    _ => cpu.free_page(Pfn(page)),
                }
            }
            assert_eq!(memory.fault(), None, "seed {seed}");
        }
        match memory.audit() {
            Ok(()) => spoilt[0] += 1,
            Err(Fault::CompoundWord { .. }) => spoilt[1] += 1,
            // The subject lets a device access a page without taking a reference on it.
            Err(Fault::Owed { .. }) => spoilt[2] += 1,
            Err(fault) => panic!("seed {seed}: {fault}"),
        }
    }
    assert!(spoilt[0] > 50 && spoilt[1] > 50 && spoilt[2] > 0, "{spoilt:?}");
}
