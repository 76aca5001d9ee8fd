//! docs/semantics.md, section 6: the limits of preconditions. A precondition concerns the step's own pages, sections
//! and blocks, not their neighbours.

mod common;

use common::*;
use contract::description::{AddrRun, CompoundSpec, MAX_BLOCKS, PageSpec, SlotSpec};
use contract::{
    Backing, Dialect, Gfn, Hva, Liobn, Machine, PageShift, Pfn, ProbeAnswer, RealAddr, Rule, Status, Step, WindowSpec,
};
use reference::{Answer, Object, Page, Reference};

fn add(section: u64, at: u64, count: u64) -> Step {
    Step::HotAdd { section, blocks: vec![AddrRun { at: RealAddr(at), count }] }
}

fn remove(section: u64) -> Step {
    Step::HotRemove { section }
}

/// Returns a machine with sections 0 to 2 of 4 KiB pages, eight guest pages of which none is mapped, and a pinned
/// window of eight entries.
fn sections(pages: Vec<PageSpec>) -> Reference {
    let mut machine = Machine { pages, ..sparse(PageShift::Shift12, 64, 12, &[0, 1, 2]) };
    machine.slots = vec![SlotSpec { id: 0, gfn: Gfn(0), pages: 8, hva: Hva(HVA) }];
    machine.windows = vec![EIGHT_ENTRIES];
    Reference::new(Dialect::Lopapr, &machine)
}

#[test]
fn a_compound_page_needs_no_tce_on_its_own_pages_only() {
    // The compound page has four pages from pfn 104 on. gfn maps to pfn 100 + gfn.
    for (gfn, free) in [(3, true), (4, false), (7, false), (8, true)] {
        let mut model = model(Dialect::Lopapr);
        call(&mut model, put(PINNED, 0, gpa(gfn) | 1), Status::SUCCESS, Rule::MapNew);
        let step = Step::MakeCompound(CompoundSpec { pfn: Pfn(104), order: 2 });
        if free {
            done(&mut model, step);
        } else {
            skipped(&mut model, step);
        }
    }
}

#[test]
fn a_section_goes_whatever_names_the_pages_around_it() {
    for pfn in [4095, 8192] {
        let mut model = sections(vec![]);
        done(&mut model, Step::Map { hva: hva(0), pte: absent(pfn) });
        done(&mut model, Step::Map { hva: hva(1), pte: present(pfn, "wdy") });
        call(&mut model, put(1, 0, gpa(1) | 1), Status::SUCCESS, Rule::MapNew);
        done(&mut model, remove(1));
        assert_eq!(count(&model, pfn), 2);
        skipped(&mut model, remove(pfn >> 12));
    }
    for pfn in [4096, 8191] {
        let mut model = sections(vec![]);
        done(&mut model, Step::Map { hva: hva(0), pte: absent(pfn) });
        skipped(&mut model, remove(1));
    }
}

#[test]
fn a_section_goes_whoever_holds_the_pages_around_it() {
    for (pfn, section) in [(0, 0), (4095, 0), (4096, 1), (8191, 1), (8192, 2), (12287, 2)] {
        for spec in [PageSpec { pfn: Pfn(pfn), own: 1, dirty: false }, PageSpec { pfn: Pfn(pfn), own: 0, dirty: true }]
        {
            let mut model = sections(vec![spec]);
            skipped(&mut model, remove(section));
            for other in (0..3).filter(|other| *other != section) {
                done(&mut model, remove(other));
            }
        }
    }
}

#[test]
fn blocks_are_as_many_as_the_list_can_hold() {
    // A section needs 64 blocks of 4 KiB.
    let most = MAX_BLOCKS / 64;
    let present: Vec<u64> = (0..most - 1).collect();
    let mut model = Reference::new(Dialect::Lopapr, &sparse(PageShift::Shift12, 64, 12, &present));
    let free = 1 << 41;
    done(&mut model, add(most - 1, free, 64));
    skipped(&mut model, add(most, free + (1 << 20), 64));
    done(&mut model, remove(3));
    done(&mut model, add(most, free + (1 << 20), 64));
}

#[test]
fn a_block_goes_with_what_probes_left_in_its_first_and_last_page_and_no_others() {
    // A block of 2^24 bytes holds 2^18 struct pages, those of 64 sections. Section 0 needs the first block, section 64
    // the second.
    let pages = 1 << 18;
    let mut model = Reference::new(Dialect::Lopapr, &sparse(PageShift::Shift12, 64, 24, &[0, 64]));
    let left = [4096, pages - 1, pages + 5000];
    for pfn in left {
        let outcome = model.step(&Step::PutPage { pfn: Pfn(pfn) });
        assert_eq!((outcome.answer, outcome.rule), (Answer::Probe(ProbeAnswer::Done(true)), Some(Rule::PutOk)));
    }
    done(&mut model, remove(0));
    assert_eq!(model.touched(), [Object::Page(Pfn(4096)), Object::Page(Pfn(pages - 1))]);
    assert_eq!(left.map(|pfn| count(&model, pfn)), [0, 0, -1]);
    assert_eq!(model.page(Pfn(pages - 1)), Page::default());
}

#[test]
fn a_table_lies_outside_every_region_and_next_to_any() {
    let create = |at| {
        let (liobn, table, backing) = (Liobn(9), RealAddr(at), Backing::Emulated);
        Step::CreateWindow(WindowSpec { liobn, page_shift: 12, base: 0, entries: 512, table, backing })
    };
    // Memory, the array of struct pages, the table of window 1, its hardware table.
    let flat = [(0, 0x100_0000), (0x200_0000, 0x204_0000), (0x210_0000, 0x210_2000), (0x211_0000, 0x211_2000)];
    // The vmemmap list, section 2, and the blocks of sections 0 and 2.
    let list = (0x20_0000_0000, 0x20_0010_0000);
    let scattered = [list, (2 << 24, 3 << 24), (1 << 40, (1 << 40) + 8 * 0x1_0000)];
    let sparse = sparse(PageShift::Shift12, 64, 16, &[0, 2]);
    for (machine, regions) in [(machine(Dialect::Lopapr), &flat[..]), (sparse, &scattered)] {
        for &(start, end) in regions {
            let mut model = Reference::new(Dialect::Lopapr, &machine);
            for inside in [start, end - 0x1000] {
                skipped(&mut model, create(inside));
            }
            for outside in [start.checked_sub(0x1000), Some(end)].into_iter().flatten() {
                done(&mut model, create(outside));
                done(&mut model, Step::CloseWindow { liobn: Liobn(9) });
            }
        }
    }
}
