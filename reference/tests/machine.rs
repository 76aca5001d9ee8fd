//! docs/semantics.md, section 1: the state that a description starts.

mod common;

use common::*;
use contract::description::{AddrRun, BlockRun, WordRun};
use contract::{Dialect, Hva, Liobn, MemoryModel, PageShift, Pfn, Pte, RealAddr};
use reference::{Compound, Page, Reference};

#[test]
fn boot_counts_own_and_mappings_on_heads() {
    let model = model(Dialect::Lopapr);
    conserved(&model);
    assert_eq!(count(&model, 100), 1);
    assert_eq!(count(&model, 116), 0, "an absent entry holds none");
    assert_eq!(model.page(Pfn(300)), Page { count: 3, own: 3, dirty: true, compound: Compound::No });
    assert_eq!(model.page(Pfn(301)), Page { count: -5, own: -5, dirty: false, compound: Compound::No });
    assert_eq!(model.page(Pfn(128)), Page { count: 1, compound: Compound::Head { order: 2 }, ..Page::default() });
    assert_eq!(model.page(Pfn(129)), Page { compound: Compound::Tail { head: Pfn(128) }, ..Page::default() });
    assert_eq!(count(&model, 144), 1, "a huge entry as a whole holds one");
    assert_eq!((model.mappings(Pfn(128)), model.mappings(Pfn(129)), model.hardware_references(Pfn(128))), (1, 0, 0));
}

#[test]
fn page_table_answers_for_every_byte() {
    let model = model(Dialect::Lopapr);
    assert_eq!(model.pte(Hva(HVA + 0xfff)), present(100, "wdy"));
    assert_eq!(model.pte(Hva(hva(33).0 + 17)), huge(144, 4, "wdy"));
    assert_eq!(model.pte(hva(47)), huge(144, 4, "wdy"));
    assert_eq!(model.pte(hva(48)), Pte::Hole);
    assert_eq!(model.pte(Hva(HVA - 1)), Pte::Hole);
    assert_eq!(model.pte(hva(gfn::HOLE)), Pte::Hole);
    let first: Vec<_> = model.page_table().map(|(hva, _)| hva).collect();
    assert!(first.is_sorted());
    assert_eq!(first.len(), 22);
}

#[test]
fn pages_ascend_and_are_never_default() {
    let model = model(Dialect::Lopapr);
    let pages: Vec<_> = model.pages().collect();
    assert!(pages.is_sorted_by_key(|(pfn, _)| *pfn));
    assert!(pages.iter().all(|(_, page)| *page != Page::default()));
    assert!(!pages.iter().any(|(pfn, _)| *pfn == Pfn(116)));
}

#[test]
fn contents_are_runs_of_words_that_wrap() {
    let mut machine = machine(Dialect::Lopapr);
    let words = vec![WordRun { value: u64::MAX, stride: 1, count: 3 }, WordRun { value: 9, stride: 0, count: 1 }];
    machine.ram = vec![contract::description::RamSpec { at: RealAddr(0x5000), words }];
    let model = Reference::new(Dialect::Lopapr, &machine);
    let ram: Vec<_> = model.ram().collect();
    assert_eq!(ram, [(RealAddr(0x5000), u64::MAX), (RealAddr(0x5010), 1), (RealAddr(0x5018), 9)]);
    assert_eq!(model.ram_word(RealAddr(0x5008)), 0);
}

#[test]
fn sections_and_blocks() {
    let model = Reference::new(Dialect::Lopapr, &sparse(PageShift::Shift12, 56, 16, &[0, 2]));
    assert!(model.section_present(0) && !model.section_present(1) && model.section_present(2));
    // The struct pages of section 0 take 229376 bytes, 3.5 blocks of 64 KiB. Those of section 2 start at block 7.
    assert_eq!(model.block(3), Some(RealAddr((1 << 40) + 3 * 0x1_0000)));
    assert_eq!(model.block(4), None);
    assert_eq!(model.block(7), Some(RealAddr((1 << 40) + 4 * 0x1_0000)));
    assert_eq!(model.block(u64::MAX), None);
    assert!(!model.section_present(u64::MAX));
}

#[test]
fn block_runs_have_consecutive_places() {
    let mut machine = sparse(PageShift::Shift12, 64, 12, &[0]);
    if let MemoryModel::SparsememVmemmap { blocks, .. } = &mut machine.memory {
        *blocks = vec![BlockRun { first: 0, places: AddrRun { at: RealAddr(1 << 41), count: 64 } }];
    }
    let model = Reference::new(Dialect::Lopapr, &machine);
    assert_eq!(model.block(63), Some(RealAddr((1 << 41) + 63 * 4096)));
    assert_eq!(model.block(64), None);
}

#[test]
fn flatmem_has_sections_of_existing_pages_only() {
    let model = model(Dialect::Lopapr);
    assert!(model.section_present(0) && !model.section_present(1) && !model.section_present(u64::MAX));
    assert_eq!(model.block(0), None);
}

#[test]
fn reset_forgets_everything() {
    let mut model = model(Dialect::Lopapr);
    call(&mut model, put(PINNED, 0, 3), contract::Status::SUCCESS, contract::Rule::MapNew);
    model.reset(Dialect::Qemu, &machine(Dialect::Qemu));
    assert_eq!(snapshot(&model), snapshot(&common::model(Dialect::Qemu)));
    assert!(model.touched().is_empty());
    assert_eq!(model.windows().count(), 3);
    assert_eq!(model.window(Liobn(PINNED)).map(|w| w.guest_entries().count() + w.hardware_entries().count()), Some(0));
}

#[test]
fn slots_and_windows_are_listed() {
    let model = model(Dialect::Lopapr);
    let ids: Vec<_> = model.slots().map(|slot| slot.id).collect();
    assert_eq!(ids, [0, 7]);
    let liobns: Vec<_> = model.windows().map(|window| window.spec.liobn.0).collect();
    assert_eq!(liobns, [1, 2, 3]);
    assert!(model.window(Liobn(4)).is_none());
}

#[test]
fn everything_described_is_listed_once_and_nothing_else() {
    let described = with_ram(Dialect::Lopapr, 0x5000, &[7, 0, 9]);
    let model = Reference::new(Dialect::Lopapr, &described);
    // The mapped pages, the two compound pages and the pages that the host holds; not pfn 116, which only an absent
    // entry names.
    let pages = (100..116).chain(118..121).chain(128..132).chain(144..160).chain([300, 301]);
    assert!(model.pages().map(|(pfn, _)| pfn.0).eq(pages));
    assert!(model.pages().all(|(pfn, page)| page == model.page(pfn)));
    let gfns = (0..17).chain(18..22).chain([gfn::HUGE]);
    assert!(model.page_table().map(|(at, _)| at).eq(gfns.map(hva)));
    assert!(model.page_table().all(|(at, pte)| pte == model.pte(at)));
    assert!(model.slots().eq(described.slots));
    assert!(model.windows().map(|window| window.spec).eq(described.windows));
    assert!(model.ram().eq([(RealAddr(0x5000), 7), (RealAddr(0x5010), 9)]));
}

#[test]
fn mappings_and_hardware_references_count_on_the_head() {
    let mut model = model(Dialect::Lopapr);
    for (entry, gfn) in [(0, 3), (1, 3), (2, gfn::TAIL), (3, gfn::HUGE + 7)] {
        let tce = gpa(gfn) | 1;
        call(&mut model, put(PINNED, entry << 12, tce), contract::Status::SUCCESS, contract::Rule::MapNew);
    }
    for (pfn, mappings, hardware) in [(103, 1, 2), (102, 1, 0), (128, 1, 1), (129, 0, 0), (144, 1, 1), (116, 0, 0)] {
        assert_eq!((model.mappings(Pfn(pfn)), model.hardware_references(Pfn(pfn))), (mappings, hardware), "page {pfn}");
    }
}

#[test]
fn flatmem_may_reach_up_to_2_46() {
    let present = |pages, section| {
        let memory = MemoryModel::Flatmem { array: RealAddr(0), pages };
        Reference::new(Dialect::Lopapr, &contract::Machine { memory, ..machine(Dialect::Lopapr) })
            .section_present(section)
    };
    assert_eq!([2, 3, 4].map(|section| present(3 * 4096 + 1, section)), [true, true, false]);
    let last = (1 << 22) - 1;
    assert_eq!(
        [last, last + 1, 1 << 52, u64::MAX].map(|section| present(1 << 34, section)),
        [true, false, false, false]
    );
}
