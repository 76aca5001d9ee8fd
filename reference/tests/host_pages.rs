//! docs/semantics.md, section 6: host steps on pages and page-table entries.

mod common;

use common::*;
use contract::description::{CompoundSpec, MAX_OWN, PageSpec};
use contract::{Dialect, Hva, Machine, PageShift, Pfn, Pte, RealAddr, Rule, Status, Step};
use reference::{Compound, Object, Page, Reference};

fn take(pfn: u64) -> Step {
    Step::Take { pfn: Pfn(pfn) }
}

fn drop(pfn: u64) -> Step {
    Step::Drop { pfn: Pfn(pfn) }
}

fn map(at: Hva, pte: Pte) -> Step {
    Step::Map { hva: at, pte }
}

fn compound(pfn: u64, order: u32) -> Step {
    Step::MakeCompound(CompoundSpec { pfn: Pfn(pfn), order })
}

fn split(pfn: u64) -> Step {
    Step::SplitCompound { pfn: Pfn(pfn) }
}

fn lopapr() -> Reference {
    model(Dialect::Lopapr)
}

#[test]
fn take_and_drop() {
    let mut model = lopapr();
    done(&mut model, take(100));
    assert_eq!(model.page(Pfn(100)), Page { count: 2, own: 1, ..Page::default() });
    done(&mut model, drop(100));
    skipped(&mut model, drop(100));
    skipped(&mut model, take(116));
    skipped(&mut model, take(4096));
    skipped(&mut model, drop(4096));
    skipped(&mut model, take(301));
    for _ in 0..3 {
        done(&mut model, drop(300));
    }
    assert_eq!(model.page(Pfn(300)), Page { count: 0, dirty: true, ..Page::default() });
    skipped(&mut model, take(300));
}

#[test]
fn take_and_drop_act_on_the_head() {
    let mut model = lopapr();
    done(&mut model, take(131));
    assert_eq!(model.touched(), [Object::Page(Pfn(128))]);
    assert_eq!((model.page(Pfn(128)).own, model.page(Pfn(131)).own, count(&model, 128)), (1, 0, 2));
    done(&mut model, drop(129));
    skipped(&mut model, drop(128));
}

#[test]
fn own_has_a_limit() {
    let pages = vec![PageSpec { pfn: Pfn(500), own: MAX_OWN - 1, dirty: false }];
    let mut model = Reference::new(Dialect::Lopapr, &Machine { pages, ..machine(Dialect::Lopapr) });
    done(&mut model, take(500));
    skipped(&mut model, take(500));
    done(&mut model, map(Hva(0), present(500, "")));
    // A probe may take own past the limit; then the page cannot be mapped again.
    assert_eq!(model.step(&Step::GetPage { pfn: Pfn(500) }).rule, Some(Rule::GetOk));
    assert_eq!(model.page(Pfn(500)).own, MAX_OWN + 1);
    skipped(&mut model, map(Hva(0x10_0000), present(500, "")));
    skipped(&mut model, map(Hva(0x10_0000), absent(500)));
    skipped(&mut model, take(500));
    done(&mut model, drop(500));
    done(&mut model, map(Hva(0x10_0000), present(500, "")));
}

#[test]
fn map_needs_a_hole_and_a_page() {
    let mut model = lopapr();
    skipped(&mut model, map(hva(0), present(500, "")));
    skipped(&mut model, map(hva(gfn::ABSENT), present(500, "")));
    skipped(&mut model, map(hva(35), present(500, "")));
    skipped(&mut model, map(hva(gfn::HOLE), present(4096, "")));
    skipped(&mut model, map(hva(gfn::HOLE), Pte::Hole));
    skipped(&mut model, map(Hva(hva(gfn::HOLE).0 + 8), present(500, "")));
    skipped(&mut model, map(hva(gfn::HOLE), present(301, "")));
    skipped(&mut model, map(hva(gfn::HOLE), absent(301)));
    done(&mut model, map(hva(gfn::HOLE), present(500, "y")));
    assert_eq!(model.touched(), [Object::Pte(hva(gfn::HOLE)), Object::Page(Pfn(500))]);
    done(&mut model, map(Hva(!0xfff), absent(501)));
    assert_eq!(model.touched(), [Object::Pte(Hva(!0xfff))]);
    assert_eq!((count(&model, 500), count(&model, 501)), (1, 0));
    assert_eq!(model.pte(Hva(u64::MAX)), absent(501));
    done(&mut model, map(hva(60), present(130, "w")));
    assert_eq!(count(&model, 128), 2);
    conserved(&model);
}

#[test]
fn map_huge() {
    let mut model = lopapr();
    let at = Hva(0x1_0000_0000);
    for (hva, pte) in [
        (at, huge(128, 3, "")),
        (at, huge(128, 64, "")),
        (at, huge(129, 2, "")),
        (at, huge(500, 2, "")),
        (Hva(at.0 + 0x1000), huge(128, 2, "")),
        (Hva(HVA + (gfn::READ_ONLY - 3) * 4096), huge(128, 2, "")),
        (hva(36), huge(128, 2, "")),
    ] {
        skipped(&mut model, map(hva, pte));
    }
    done(&mut model, map(Hva(0_u64.wrapping_sub(0x4000)), huge(128, 2, "w")));
    assert_eq!(model.pte(Hva(u64::MAX)), huge(128, 2, "w"));
    assert_eq!(count(&model, 128), 2);
    // A huge entry needs holes for all its pages; here one of them is mapped.
    done(&mut model, map(Hva(at.0 + 0x3000), present(500, "")));
    skipped(&mut model, map(at, huge(128, 2, "")));
    conserved(&model);
}

#[test]
fn unmap() {
    let mut model = lopapr();
    skipped(&mut model, Step::Unmap { hva: hva(gfn::HOLE) });
    done(&mut model, Step::Unmap { hva: hva(1) });
    assert_eq!((count(&model, 101), model.pte(hva(1))), (0, Pte::Hole));
    done(&mut model, Step::Unmap { hva: hva(gfn::ABSENT) });
    assert_eq!(count(&model, 116), 0);
    done(&mut model, Step::Unmap { hva: hva(40) });
    assert_eq!(model.touched(), [Object::Pte(hva(gfn::HUGE)), Object::Page(Pfn(144))]);
    assert_eq!((model.pte(hva(gfn::HUGE)), count(&model, 144)), (Pte::Hole, 0));
    done(&mut model, Step::Unmap { hva: hva(gfn::TAIL) });
    assert_eq!(count(&model, 128), 0);
    conserved(&model);
}

#[test]
fn age_clean_write_protect() {
    let mut model = lopapr();
    for at in [hva(gfn::HOLE), hva(gfn::ABSENT)] {
        skipped(&mut model, Step::Age { hva: at });
        skipped(&mut model, Step::Clean { hva: at });
        skipped(&mut model, Step::WriteProtect { hva: at });
    }
    done(&mut model, Step::Age { hva: hva(0) });
    assert_eq!(model.pte(hva(0)), present(100, "wd"));
    done(&mut model, Step::WriteProtect { hva: hva(0) });
    assert_eq!(model.pte(hva(0)), present(100, "d"));
    done(&mut model, Step::Clean { hva: hva(0) });
    assert_eq!(model.pte(hva(0)), present(100, ""));
    done(&mut model, Step::WriteProtect { hva: hva(47) });
    assert_eq!(model.pte(hva(32)), huge(144, 4, "dy"));
    // `clean` on a tail clears DIRTY on the head.
    call(&mut model, put(PINNED, 0, gpa(gfn::TAIL) | 2), Status::SUCCESS, Rule::MapNew);
    call(&mut model, put(PINNED, 0, 0), Status::SUCCESS, Rule::Unmap);
    assert!(dirty(&model, 128));
    done(&mut model, Step::Clean { hva: hva(gfn::TAIL) });
    assert!(!dirty(&model, 128));
    assert_eq!(model.pte(hva(gfn::TAIL)), present(129, "wy"));
    assert_eq!(model.touched(), [Object::Pte(hva(gfn::TAIL)), Object::Page(Pfn(128))]);
}

fn migrate(gfn: u64, pfn: u64) -> Step {
    Step::Migrate { hva: hva(gfn), pfn: Pfn(pfn) }
}

#[test]
fn migrate_moves_contents_and_the_mapping() {
    let mut model = Reference::new(Dialect::Lopapr, &with_ram(Dialect::Lopapr, 101 << 12, &[1, 0, 3]));
    done(&mut model, map(hva(60), present(500, "w")));
    done(
        &mut model,
        Step::Slot(contract::description::SlotSpec { id: 3, gfn: contract::Gfn(60), pages: 1, hva: hva(60) }),
    );
    done(&mut model, Step::Write { gpa: contract::Gpa(gpa(60)), words: runs(&[9, 9, 9, 9]) });
    done(&mut model, Step::Unmap { hva: hva(60) });
    done(&mut model, migrate(1, 500));
    assert_eq!(model.pte(hva(1)), present(500, "wdy"));
    assert_eq!((count(&model, 101), count(&model, 500)), (0, 1));
    let word = |pfn: u64, i: u64| model.ram_word(RealAddr((pfn << 12) + 8 * i));
    assert_eq!([0, 1, 2, 3].map(|i| word(500, i)), [1, 0, 3, 0]);
    assert_eq!([0, 1, 2].map(|i| word(101, i)), [1, 0, 3]);
    let touched = model.touched();
    for at in 0..4 {
        assert!(touched.contains(&Object::Ram(RealAddr((500 << 12) + 8 * at))));
    }
    conserved(&model);
}

#[test]
fn migrate_needs() {
    let mut model = lopapr();
    skipped(&mut model, migrate(gfn::HOLE, 500));
    skipped(&mut model, migrate(gfn::ABSENT, 500));
    skipped(&mut model, migrate(gfn::HUGE, 500));
    skipped(&mut model, migrate(gfn::TAIL, 500));
    skipped(&mut model, migrate(1, 101));
    skipped(&mut model, migrate(1, 102));
    skipped(&mut model, migrate(1, 116));
    skipped(&mut model, migrate(1, 131));
    skipped(&mut model, migrate(1, 301));
    skipped(&mut model, migrate(1, 4096));
    call(&mut model, put(PINNED, 0, gpa(2) | 1), Status::SUCCESS, Rule::MapNew);
    done(&mut model, Step::Unmap { hva: hva(2) });
    skipped(&mut model, migrate(1, 102));
    done(&mut model, migrate(1, 300));
    assert_eq!(model.page(Pfn(300)), Page { count: 4, own: 3, dirty: true, compound: Compound::No });
    conserved(&model);
}

#[test]
fn make_compound_moves_counts_and_dirty() {
    let mut model = lopapr();
    call(&mut model, put(PINNED, 0, gpa(6) | 2), Status::SUCCESS, Rule::MapNew);
    skipped(&mut model, compound(104, 2));
    call(&mut model, put(PINNED, 0, 0), Status::SUCCESS, Rule::Unmap);
    done(&mut model, compound(104, 2));
    assert_eq!(model.touched().len(), 4);
    let head = Page { count: 4, own: 0, dirty: true, compound: Compound::Head { order: 2 } };
    assert_eq!(model.page(Pfn(104)), head);
    assert_eq!(model.page(Pfn(106)), Page { compound: Compound::Tail { head: Pfn(104) }, ..Page::default() });
    conserved(&model);
    done(&mut model, Step::Unmap { hva: hva(6) });
    done(&mut model, split(104));
    assert_eq!([104, 105, 106, 107].map(|pfn| count(&model, pfn)), [1, 1, 0, 1]);
    assert!([104, 105, 106, 107].into_iter().all(|pfn| dirty(&model, pfn)));
    conserved(&model);
}

#[test]
fn make_compound_needs() {
    let mut model = lopapr();
    for (pfn, order) in
        [(104, 0), (104, 10), (104, 64), (105, 1), (4096, 1), (128, 1), (128, 3), (0_u64.wrapping_sub(4), 2)]
    {
        skipped(&mut model, compound(pfn, order));
    }
    skipped(&mut model, compound(300, 1));
    skipped(&mut model, compound(296, 3));
    done(&mut model, compound(4094, 1));
    done(&mut model, compound(3584, 8));
    skipped(&mut model, compound(3584, 9));
    // Pages of an absent section do not exist, so they cannot be part of a compound page.
    let mut sparse = Reference::new(Dialect::Lopapr, &sparse(PageShift::Shift16, 64, 24, &[0, 1, 2]));
    skipped(&mut sparse, compound(512, 9));
    done(&mut sparse, compound(0, 9));
    skipped(&mut sparse, Step::HotRemove { section: 1 });
}

#[test]
fn split_needs() {
    let mut model = lopapr();
    skipped(&mut model, split(129));
    skipped(&mut model, split(100));
    skipped(&mut model, split(144));
    done(&mut model, take(128));
    skipped(&mut model, split(128));
    done(&mut model, drop(128));
    call(&mut model, put(PINNED, 0, gpa(gfn::TAIL) | 1), Status::SUCCESS, Rule::MapNew);
    skipped(&mut model, split(128));
    call(&mut model, put(PINNED, 0, 0), Status::SUCCESS, Rule::Unmap);
    done(&mut model, split(128));
    assert_eq!([128, 129, 130, 131].map(|pfn| count(&model, pfn)), [0, 1, 0, 0]);
    done(&mut model, Step::Unmap { hva: hva(33) });
    done(&mut model, split(144));
    assert!(model.pages().all(|(pfn, _)| !(144..160).contains(&pfn.0)));
    conserved(&model);
}
