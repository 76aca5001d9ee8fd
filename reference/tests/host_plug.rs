//! docs/semantics.md, section 6: host steps on sections, slots, guest memory and windows.

mod common;

use common::*;
use contract::description::{AddrRun, MAX_TOTAL_ENTRIES, MAX_WINDOW_ENTRIES, MAX_WINDOWS, SlotSpec, WordRun};
use contract::{
    Backing, Dialect, Gfn, Gpa, Hva, Hypercall, Liobn, Machine, MemoryModel, PageShift, Pfn, RealAddr, Rule, Status,
    Step, WindowSpec,
};
use reference::{Object, Page, Reference};

fn add(section: u64, runs: &[(u64, u64)]) -> Step {
    let blocks = runs.iter().map(|(at, count)| AddrRun { at: RealAddr(*at), count: *count }).collect();
    Step::HotAdd { section, blocks }
}

fn remove(section: u64) -> Step {
    Step::HotRemove { section }
}

/// Returns a machine with sections 0 and 2, and 56-byte struct pages in 64 KiB blocks: each section takes 3.5 blocks.
fn halves() -> Reference {
    Reference::new(Dialect::Lopapr, &sparse(PageShift::Shift12, 56, 16, &[0, 2]))
}

#[test]
fn flatmem_has_no_hot_plug() {
    let mut model = model(Dialect::Lopapr);
    skipped(&mut model, add(1, &[]));
    skipped(&mut model, remove(0));
}

#[test]
fn hot_add_names_the_new_blocks_in_ascending_order() {
    let mut model = halves();
    skipped(&mut model, add(0, &[(1 << 41, 9)]));
    // Section 1 needs blocks 3 to 6; block 3 is backed already.
    skipped(&mut model, add(1, &[(1 << 41, 2)]));
    done(&mut model, add(1, &[(1 << 41, 1), (1 << 42, 2), (7, u64::MAX)]));
    assert_eq!(model.block(4), Some(RealAddr(1 << 41)));
    assert_eq!(model.block(5), Some(RealAddr(1 << 42)));
    assert_eq!(model.block(6), Some(RealAddr((1 << 42) + 0x1_0000)));
    assert!(model.section_present(1));
    // A block stays while any section needs it: sections 0 and 2 need blocks 3 and 7.
    done(&mut model, remove(1));
    assert!(model.block(3).is_some() && model.block(4).is_none() && model.block(6).is_none());
    assert!(!model.section_present(1));
    done(&mut model, remove(0));
    assert!(model.block(3).is_none());
    done(&mut model, add(1, &[(1 << 43, 4)]));
    assert_eq!(model.block(3), Some(RealAddr(1 << 43)));
}

#[test]
fn hot_add_places_must_be_free() {
    let mut model = halves();
    let free = 1 << 41;
    for at in [
        free + 0x1000,
        1 << 40,
        0,
        2 << 24,
        1 << 24,
        0x20_0000_0000,
        0x20_000f_0000,
        1 << 46,
        (1 << 46) - 0x8000,
        u64::MAX - 0xffff,
    ] {
        skipped(&mut model, add(1, &[(at, 1), (free, 2)]));
    }
    skipped(&mut model, add(1, &[(free, 2), (free, 1)]));
    skipped(&mut model, add(1, &[((1 << 46) - 0x1_0000, 3)]));
    skipped(&mut model, add(1 << 22, &[(free, 9)]));
    skipped(&mut model, add(u64::MAX, &[(free, 9)]));
    // The section's own memory must be free too: section 2^16 lies where the blocks are, section 0x2000 where the list
    // is.
    skipped(&mut model, add(1 << 16, &[(free, 9)]));
    skipped(&mut model, add(0x2000, &[(free, 9)]));
    done(&mut model, add(1, &[((1 << 46) - 0x1_0000, 1), (free, 2)]));
    skipped(&mut model, add(free >> 24, &[(1 << 42, 9)]));
    // The memory of the last section holds the block just added; the section before it is free.
    skipped(&mut model, add((1 << 22) - 1, &[(1 << 42, 9)]));
    done(&mut model, add((1 << 22) - 2, &[(1 << 42, 9)]));
}

#[test]
fn hot_remove_needs_pages_that_nobody_holds() {
    let mut machine = sparse(PageShift::Shift12, 64, 16, &[0, 1]);
    machine.slots = vec![SlotSpec { id: 0, gfn: Gfn(0), pages: 8, hva: Hva(HVA) }];
    machine.windows = vec![EIGHT_ENTRIES];
    let mut model = Reference::new(Dialect::Lopapr, &machine);
    skipped(&mut model, remove(2));
    done(&mut model, Step::Map { hva: hva(0), pte: absent(4096) });
    skipped(&mut model, remove(1));
    done(&mut model, Step::Unmap { hva: hva(0) });
    done(&mut model, Step::Map { hva: hva(0), pte: present(8191, "wdy") });
    skipped(&mut model, remove(1));
    done(&mut model, Step::Write { gpa: Gpa(8), words: runs(&[5]) });
    call(&mut model, put(1, 0, 2), Status::SUCCESS, Rule::MapNew);
    done(&mut model, Step::Unmap { hva: hva(0) });
    skipped(&mut model, remove(1));
    call(&mut model, put(1, 0, 0), Status::SUCCESS, Rule::Unmap);
    assert_eq!(model.page(Pfn(8191)), Page { dirty: true, ..Page::default() });
    skipped(&mut model, remove(1));
    done(&mut model, Step::Map { hva: hva(0), pte: present(8191, "wdy") });
    done(&mut model, Step::Clean { hva: hva(0) });
    done(&mut model, Step::Unmap { hva: hva(0) });
    assert_eq!(model.ram().count(), 1);
    done(&mut model, remove(1));
    assert_eq!(model.touched(), [Object::Ram(RealAddr((8191 << 12) + 8))]);
    assert_eq!(model.ram().count(), 0);
    done(&mut model, remove(0));
    assert_eq!(model.block(0), None);
}

#[test]
fn what_probes_left_goes_with_the_block() {
    let mut model = halves();
    // pfn 4097 is in section 1, and its struct page in block 3, which section 0 needs.
    let probe = Step::PutPage { pfn: Pfn(4097) };
    assert_eq!(model.step(&probe).rule, Some(Rule::PutOk));
    assert_eq!(count(&model, 4097), -1);
    done(&mut model, remove(0));
    assert_eq!(model.page(Pfn(4097)), Page::default());
    assert!(model.touched().contains(&Object::Page(Pfn(4097))));
}

fn slot(id: u32, gfn: u64, pages: u64, hva: u64) -> Step {
    Step::Slot(SlotSpec { id, gfn: Gfn(gfn), pages, hva: Hva(hva) })
}

#[test]
fn slots() {
    let mut model = model(Dialect::Lopapr);
    skipped(&mut model, slot(512, 100, 1, 0));
    skipped(&mut model, slot(512, 100, 0, 0));
    skipped(&mut model, slot(1, 100, 0, 0));
    skipped(&mut model, slot(1, 100, 1, 0x800));
    skipped(&mut model, slot(1, 47, 1, 0));
    skipped(&mut model, slot(1, 40, 20, 0));
    skipped(&mut model, slot(1, (1 << 52) - 1, 2, 0));
    skipped(&mut model, slot(1, 1 << 52, 1, 0));
    skipped(&mut model, slot(1, u64::MAX, u64::MAX, 0));
    skipped(&mut model, slot(1, 100, 2, !0xfff));
    done(&mut model, slot(1, (1 << 52) - 1, 1, !0xfff));
    // The new range of a slot may overlap its old range.
    done(&mut model, slot(0, 8, 40, HVA));
    call(&mut model, put(PINNED, 0, 1), Status::PARAMETER, Rule::TceUnbacked);
    call(&mut model, put(PINNED, 0, gpa(9) | 1), Status::SUCCESS, Rule::MapNew);
    assert_eq!(hardware(&model, PINNED, 0), 101 << 12 | 1);
    skipped(&mut model, slot(0, 8, 41, HVA));
    done(&mut model, slot(7, 0, 8, HVA));
    done(&mut model, slot(0, 5, 0, 1));
    assert_eq!(model.slots().map(|slot| slot.id).collect::<Vec<_>>(), [7, 1]);
    assert_eq!(hardware(&model, PINNED, 0), 101 << 12 | 1, "TCEs stay");
    assert_eq!(count(&model, 101), 2);
    done(&mut model, slot(511, 8, 1, HVA));
}

fn write(gpa: u64, words: &[u64]) -> Step {
    Step::Write { gpa: Gpa(gpa), words: runs(words) }
}

#[test]
fn guest_writes() {
    let mut model = model(Dialect::Lopapr);
    done(&mut model, write(gpa(1) - 8, &[1, 2]));
    assert_eq!((model.ram_word(RealAddr((101 << 12) - 8)), model.ram_word(RealAddr(101 << 12))), (1, 2));
    assert_eq!(model.touched().len(), 2);
    done(&mut model, write(gpa(gfn::ALIAS), &[7, 8]));
    assert_eq!(model.ram_word(RealAddr(100 << 12)), 7);
    done(&mut model, write(gpa(gfn::OLD), &[7]));
    assert_eq!(model.pte(hva(gfn::OLD)), present(118, "wd"), "page-table bits stay");
    done(&mut model, write(gpa(gfn::HUGE + 1) - 8, &[3, 4]));
    assert_eq!(model.ram_word(RealAddr(145 << 12)), 4);
    done(&mut model, write(gpa(gfn::ALIAS), &[0]));
    assert_eq!(model.ram_word(RealAddr(100 << 12)), 0);
    for (gpa, words) in [
        (4, vec![1]),
        (gpa(gfn::END), vec![1]),
        (gpa(gfn::END) - 8, vec![1, 2]),
        (gpa(gfn::ABSENT), vec![1]),
        (gpa(gfn::HOLE), vec![1]),
        (gpa(gfn::READ_ONLY), vec![1]),
        (gpa(gfn::ABSENT) - 8, vec![1, 2]),
        (!7, vec![1]),
    ] {
        skipped(&mut model, write(gpa, &words));
    }
    done(&mut model, slot(1, (1 << 52) - 1, 1, HVA));
    done(&mut model, write(!7, &[6]));
    assert_eq!(model.ram_word(RealAddr((100 << 12) + 0xff8)), 6);
    skipped(&mut model, write(!7, &[6, 6]));
    let endless = WordRun { value: 0, stride: 0, count: u64::MAX };
    skipped(&mut model, Step::Write { gpa: Gpa(0), words: vec![endless, endless] });
}

fn window(liobn: u64, entries: u64, table: u64) -> WindowSpec {
    WindowSpec {
        liobn: Liobn(liobn),
        page_shift: 12,
        base: 0,
        entries,
        table: RealAddr(table),
        backing: Backing::Emulated,
    }
}

#[test]
fn create_window() {
    let mut model = model(Dialect::Lopapr);
    let create = Step::CreateWindow;
    let free = 0x300_0000;
    let good = window(9, 512, free);
    skipped(&mut model, create(WindowSpec { liobn: Liobn(PINNED), ..good }));
    skipped(&mut model, create(WindowSpec { entries: 0, ..good }));
    skipped(&mut model, create(WindowSpec { page_shift: 35, ..good }));
    skipped(&mut model, create(WindowSpec { page_shift: 64, ..good }));
    skipped(&mut model, create(WindowSpec { base: 0x800, ..good }));
    for at in [free + 8, 0, 0xff_f000, 0x200_0000, 0x20f_f000, 0x210_0000, 1 << 46, (1 << 46) - 0x800, u64::MAX - 0xfff]
    {
        skipped(&mut model, create(WindowSpec { table: RealAddr(at), entries: 513, ..good }));
    }
    for hardware in [free, free + 0x800, 0x210_1000, 1 << 50] {
        let backing = Backing::Pinned { hardware: RealAddr(hardware) };
        skipped(&mut model, create(WindowSpec { backing, ..good }));
    }
    let backing = Backing::Pinned { hardware: RealAddr(free + 0x1000) };
    skipped(&mut model, create(WindowSpec { backing, page_shift: 16, ..good }));
    done(&mut model, create(WindowSpec { backing, ..good }));
    call(&mut model, put(9, 0, 1), Status::SUCCESS, Rule::MapNew);
    assert_eq!(hardware(&model, 9, 0), 100 << 12 | 1);
    done(&mut model, create(WindowSpec { table: RealAddr((1 << 46) - 0x1000), ..window(1 << 40, 512, 0) }));

    let mut qemu = common::model(Dialect::Qemu);
    skipped(&mut qemu, create(WindowSpec { backing, ..good }));
    skipped(&mut qemu, create(WindowSpec { liobn: Liobn(1 << 32), ..good }));
    done(&mut qemu, create(WindowSpec { base: 0x801, ..good }));
}

/// The reference decides by its own answers which windows can be created, and a description's validation has values of
/// its own. Both say the same in every dialect, at and around every edge of every number of a window.
#[test]
fn windows_can_be_created_where_a_description_may_have_them() {
    let (mut created, mut refused) = (0, 0);
    for dialect in Dialect::ALL {
        for host in [PageShift::Shift12, PageShift::Shift16] {
            let memory = MemoryModel::Flatmem { array: RealAddr(0x10_0000), pages: 1 };
            let mut model = Reference::new(dialect, &Machine::bare(host, 64, memory));
            for spec in windows_at_edges() {
                let valid = spec.validate(host, dialect);
                if valid.is_ok() {
                    done(&mut model, Step::CreateWindow(spec));
                    done(&mut model, Step::CloseWindow { liobn: spec.liobn });
                    created += 1;
                } else {
                    skipped(&mut model, Step::CreateWindow(spec));
                    refused += 1;
                }
            }
        }
    }
    assert!(created > 1_000 && refused > 1_000, "{created} were created, {refused} refused");
}

/// Returns windows whose numbers lie at and beside the edges of what any dialect allows.
fn windows_at_edges() -> Vec<WindowSpec> {
    let mut windows = Vec::new();
    for page_shift in [0, 11, 12, 13, 15, 16, 17, 33, 34, 35, 63, 64, u32::MAX] {
        let page = 1_u64.checked_shl(page_shift).unwrap_or(0);
        for entries in [0, 1, 2, 3, MAX_WINDOW_ENTRIES - 1, MAX_WINDOW_ENTRIES, MAX_WINDOW_ENTRIES + 1, u64::MAX] {
            let last = 0_u64.wrapping_sub(entries.wrapping_mul(page));
            let around = [0, page, 1 << 34, 1 << 63, last].map(|at| [at.wrapping_sub(1), at, at.wrapping_add(1)]);
            let far = [page >> 1, last.wrapping_sub(page), last.wrapping_add(page), last.wrapping_add(page >> 1)];
            for base in around.into_iter().flatten().chain(far) {
                for liobn in [0, (1 << 32) - 1, 1 << 32, u64::MAX] {
                    for backing in [Backing::Emulated, Backing::Pinned { hardware: RealAddr(0x200_0000) }] {
                        let (liobn, table) = (Liobn(liobn), RealAddr(0x100_0000));
                        windows.push(WindowSpec { liobn, page_shift, base, entries, table, backing });
                    }
                }
            }
        }
    }
    windows
}

#[test]
fn windows_have_limits() {
    let mut model = model(Dialect::Lopapr);
    let present: u64 = model.windows().map(|window| window.spec.entries).sum();
    for i in 0..3 {
        done(&mut model, Step::CreateWindow(window(100 + i, 1 << 16, 0x1000_0000 + (i << 20))));
    }
    let left = MAX_TOTAL_ENTRIES - present - (3 << 16);
    skipped(&mut model, Step::CreateWindow(window(200, left + 1, 0x2000_0000)));
    done(&mut model, Step::CreateWindow(window(200, left, 0x2000_0000)));
    skipped(&mut model, Step::CreateWindow(window(201, 1, 0x3000_0000)));
    let mut model = common::model(Dialect::Lopapr);
    for i in 3..MAX_WINDOWS as u64 {
        done(&mut model, Step::CreateWindow(window(100 + i, 1, 0x1000_0000 + (i << 12))));
    }
    skipped(&mut model, Step::CreateWindow(window(1000, 1, 0x3000_0000)));
}

#[test]
fn close_window_gives_everything_back() {
    let mut model = model(Dialect::Lopapr);
    call(&mut model, put(PINNED, 0x1000, gpa(1) | 2), Status::SUCCESS, Rule::MapNew);
    call(&mut model, put(PINNED, 0x2000, gpa(2) | 1), Status::SUCCESS, Rule::MapNew);
    call(&mut model, put(PINNED, 0x3000, gpa(gfn::TAIL) | 2), Status::SUCCESS, Rule::MapNew);
    call(&mut model, put(PINNED, 0x4000, 4), Status::SUCCESS, Rule::TceFault);
    done(&mut model, Step::Unmap { hva: hva(2) });
    done(&mut model, Step::CloseWindow { liobn: Liobn(PINNED) });
    let entry = |index| Object::Entry { liobn: Liobn(PINNED), index };
    let page = |pfn| Object::Page(Pfn(pfn));
    assert_eq!(model.touched(), [entry(1), entry(2), entry(3), entry(4), page(101), page(102), page(128)]);
    assert_eq!([101, 102, 128].map(|pfn| count(&model, pfn)), [1, 0, 1]);
    assert_eq!([101, 102, 128].map(|pfn| dirty(&model, pfn)), [true, false, true]);
    assert!(model.window(Liobn(PINNED)).is_none());
    call(&mut model, Hypercall::get(PINNED, 0), Status::PARAMETER, Rule::LiobnUnknown);
    skipped(&mut model, Step::CloseWindow { liobn: Liobn(PINNED) });
    // The regions of its tables are free again, and a new window is all zero.
    let [pinned, ..] = windows(Dialect::Lopapr)[..] else { panic!() };
    done(&mut model, Step::CreateWindow(pinned));
    assert_eq!((guest(&model, PINNED, 1), hardware(&model, PINNED, 1)), (0, 0));
    conserved(&model);
}
