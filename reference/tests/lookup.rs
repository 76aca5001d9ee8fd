//! docs/semantics.md, section 2: translation from a pfn to its struct page.

mod common;

use common::*;
use contract::description::AddrRun;
use contract::{Dialect, Machine, MemoryModel, PageShift, Pfn, RealAddr, Rule, Step};
use reference::{Answer, Reference};

#[track_caller]
fn lookup(model: &mut Reference, pfn: u64, rule: Rule) -> Option<RealAddr> {
    let outcome = model.step(&Step::Lookup { pfn: Pfn(pfn) });
    assert_eq!(outcome.rule, Some(rule), "pfn {pfn}");
    assert!(outcome.rules.contains(rule));
    let Answer::Lookup(address) = outcome.answer else { panic!("{outcome:?}") };
    assert_eq!(address.is_some(), rule == Rule::LookupHit);
    address
}

#[test]
fn flatmem_has_hit_and_beyond() {
    let mut model = model(Dialect::Lopapr);
    assert_eq!(lookup(&mut model, 0, Rule::LookupHit), Some(RealAddr(0x200_0000)));
    assert_eq!(lookup(&mut model, 4095, Rule::LookupHit), Some(RealAddr(0x200_0000 + 4095 * 64)));
    lookup(&mut model, 4096, Rule::LookupBeyond);
    lookup(&mut model, 1 << 34, Rule::LookupBeyond);
    lookup(&mut model, u64::MAX, Rule::LookupBeyond);
}

#[test]
fn size_56_splits_the_first_page_that_straddles_a_block() {
    for (block_shift, split) in [(12, 73), (16, 1170), (21, 37449), (24, 299_593)] {
        for page_shift in [PageShift::Shift12, PageShift::Shift16] {
            let section = split / page_shift.pages_per_section();
            let sections: Vec<u64> = (section.saturating_sub(1)..=section + 1).collect();
            let mut model = Reference::new(Dialect::Lopapr, &sparse(page_shift, 56, block_shift, &sections));
            lookup(&mut model, split, Rule::LookupSplit);
            let before = lookup(&mut model, split - 1, Rule::LookupHit);
            let after = lookup(&mut model, split + 1, Rule::LookupHit);
            let block = |number| model.block(number).expect("backed").0;
            assert_eq!(before.map(|at| at.0), Some(block(0) + (split - 1) * 56));
            assert_eq!(after.map(|at| at.0), Some(block(1) + (split + 1) * 56 - (1 << block_shift)));
        }
    }
}

#[test]
fn six_of_seven_boundaries_split_with_size_56() {
    let mut model = Reference::new(Dialect::Lopapr, &sparse(PageShift::Shift12, 56, 12, &[0]));
    let splits = (0..512).filter(|pfn| model.step(&Step::Lookup { pfn: Pfn(*pfn) }).rule == Some(Rule::LookupSplit));
    assert_eq!(splits.count(), 6);
    for struct_page in [64, 72, 80] {
        let mut model = Reference::new(Dialect::Lopapr, &sparse(PageShift::Shift12, struct_page, 12, &[0]));
        let splits = (0..4096).any(|pfn| model.step(&Step::Lookup { pfn: Pfn(pfn) }).rule == Some(Rule::LookupSplit));
        assert_eq!(splits, struct_page != 64);
    }
}

#[test]
fn split_is_decided_before_hole_and_removed() {
    let mut model = Reference::new(Dialect::Lopapr, &sparse(PageShift::Shift12, 56, 12, &[0]));
    // Section 0 ends exactly at the end of block 55, so the splits behind it are at the same places as in section 0.
    assert_eq!(4096 * 56 % 4096, 0);
    lookup(&mut model, 4095, Rule::LookupHit);
    lookup(&mut model, 4096, Rule::LookupHole);
    lookup(&mut model, 4096 + 73, Rule::LookupSplit);
    lookup(&mut model, 4096 + 74, Rule::LookupHole);
    done(&mut model, Step::HotRemove { section: 0 });
    lookup(&mut model, 0, Rule::LookupRemoved);
    lookup(&mut model, 73, Rule::LookupSplit);
    lookup(&mut model, 4096, Rule::LookupHole);
    let blocks = vec![AddrRun { at: RealAddr(1 << 41), count: 56 }];
    done(&mut model, Step::HotAdd { section: 0, blocks });
    assert_eq!(lookup(&mut model, 1, Rule::LookupHit), Some(RealAddr((1 << 41) + 56)));
}

#[test]
fn a_page_of_an_absent_section_in_a_backed_block_is_a_hit() {
    let mut model = Reference::new(Dialect::Lopapr, &sparse(PageShift::Shift12, 64, 24, &[0]));
    assert_eq!(lookup(&mut model, 4096, Rule::LookupHit), Some(RealAddr((1 << 40) + 4096 * 64)));
    lookup(&mut model, 262_144, Rule::LookupHole);
}

#[test]
fn beyond_46_bits() {
    for (page_shift, limit) in [(PageShift::Shift12, 1 << 34), (PageShift::Shift16, 1 << 30)] {
        let mut model = Reference::new(Dialect::Lopapr, &sparse(page_shift, 64, 24, &[0]));
        lookup(&mut model, limit - 1, Rule::LookupHole);
        lookup(&mut model, limit, Rule::LookupBeyond);
        lookup(&mut model, u64::MAX, Rule::LookupBeyond);
    }
}

fn high_base(struct_page: u64) -> Machine {
    let mut machine = sparse(PageShift::Shift12, struct_page, 12, &[0]);
    if let MemoryModel::SparsememVmemmap { base, .. } = &mut machine.memory {
        *base = 0_u64.wrapping_sub(4096 * 81);
    }
    machine
}

#[test]
fn a_virtual_address_past_2_64_is_beyond() {
    let mut model = Reference::new(Dialect::Lopapr, &high_base(64));
    lookup(&mut model, 81 * 64 - 1, Rule::LookupHole);
    lookup(&mut model, 81 * 64, Rule::LookupBeyond);
    // 56 does not divide the rest of the address space: the last struct page starts below 2^64 and ends in the block
    // past it.
    let mut model = Reference::new(Dialect::Lopapr, &high_base(56));
    let last = 81 * 4096 / 56;
    assert_ne!(81 * 4096 % 56, 0);
    lookup(&mut model, last, Rule::LookupSplit);
    lookup(&mut model, last + 1, Rule::LookupBeyond);
}
