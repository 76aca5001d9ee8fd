//! docs/semantics.md, section 4: the answers of dialect `qemu`.

mod common;

use common::*;
use contract::{Dialect, Hypercall, Liobn, RealAddr, Rule, Status, Step, WindowSpec};
use reference::{Answer, Owes, Reference};

const QEMU: Dialect = Dialect::Qemu;

#[track_caller]
fn may(model: &mut Reference, hcall: Hypercall, status: Status, rule: Rule) -> reference::Outcome {
    owes(model, hcall, status, rule, Owes::May(""))
}

#[test]
fn an_unaligned_ioba_is_rounded_down() {
    let mut model = model(QEMU);
    may(&mut model, put(PINNED, 0x5fff, gpa(1) | 3), Status::SUCCESS, Rule::MapNew);
    assert_eq!(guest(&model, PINNED, 5), gpa(1) | 3);
    let outcome = may(&mut model, Hypercall::get(PINNED, 0x5abc), Status::SUCCESS, Rule::TceRead);
    assert_eq!(outcome.answer, Answer::Hypercall { status: Status::SUCCESS, r4: Some(gpa(1) | 3) });
    may(&mut model, put(PINNED, 0x40_0000, 0), Status::PARAMETER, Rule::IobaRange);
    may(&mut model, put(PINNED, u64::MAX, 0), Status::PARAMETER, Rule::IobaRange);
    may(&mut model, put(LAST, u64::MAX, 5), Status::SUCCESS, Rule::MapNew);
    assert_eq!(guest(&model, LAST, 15), 5);
}

#[test]
fn a_base_may_be_any_byte_address() {
    let mut model = model(QEMU);
    let spec =
        WindowSpec { liobn: Liobn(9), base: 0x1234, table: RealAddr(0x220_0000), entries: 4, ..windows(QEMU)[0] };
    done(&mut model, Step::CreateWindow(spec));
    may(&mut model, Hypercall::get(9, 0x1234), Status::PARAMETER, Rule::IobaRange);
    may(&mut model, put(9, 0x1fff, 1), Status::PARAMETER, Rule::IobaRange);
    may(&mut model, put(9, 0x2000, 1), Status::SUCCESS, Rule::MapNew);
    assert_eq!(guest(&model, 9, 0), 1);
    may(&mut model, put(9, 0x5fff, 1), Status::SUCCESS, Rule::MapNew);
    assert_eq!(guest(&model, 9, 3), 1);
    may(&mut model, put(9, 0x6000, 1), Status::PARAMETER, Rule::IobaRange);
    may(&mut model, stuff(9, 0x5000, 8, 2), Status::PARAMETER, Rule::IobaRange);
    assert_eq!(guest(&model, 9, 3), 8);
}

#[test]
fn tces_are_stored_as_given() {
    let mut model = model(QEMU);
    for (tce, rule) in [
        (gpa(1) | 0xabf, Rule::MapNew),
        (gpa(1) | 0x003, Rule::MapSame),
        (gpa(gfn::END) | 1, Rule::MapExchange),
        (u64::MAX, Rule::MapExchange),
        (4, Rule::Unmap),
        (0, Rule::TceFault),
    ] {
        may(&mut model, put(PINNED, 0, tce), Status::SUCCESS, rule);
        assert_eq!(guest(&model, PINNED, 0), tce);
    }
}

#[test]
fn counts_come_before_the_ioba() {
    let mut model = model(QEMU);
    may(&mut model, stuff(LAST, 1, 0, 17), Status::PARAMETER, Rule::CountStuff);
    may(&mut model, stuff(LAST, 1, 0, 0), Status::PARAMETER, Rule::CountZero);
    may(&mut model, stuff(LAST, 1, 0, 16), Status::PARAMETER, Rule::IobaRange);
    may(&mut model, stuff(PINNED, 0, 0, 1024), Status::SUCCESS, Rule::TceFault);
    may(&mut model, stuff(PINNED, 0, 0, 1025), Status::PARAMETER, Rule::CountStuff);
    may(&mut model, indirect(LAST, 1, 8, 513), Status::PARAMETER, Rule::CountIndirect);
    may(&mut model, indirect(LAST, 1, 8, 0), Status::PARAMETER, Rule::ListAlign);
    may(&mut model, indirect(LAST, 1, 0, 0), Status::PARAMETER, Rule::CountZero);
    may(&mut model, indirect(LAST, 1, 0, 512), Status::PARAMETER, Rule::IobaRange);
}

#[test]
fn stuff_stores_permissions_and_prefixes() {
    let mut model = model(QEMU);
    may(&mut model, stuff(PINNED, 0x1000, gpa(1) | 3, 3), Status::SUCCESS, Rule::MapNew);
    let outcome = may(&mut model, stuff(LAST, LAST_BASE + 14 * 0x1000, 7, 3), Status::PARAMETER, Rule::IobaRange);
    assert_eq!(outcome.rules.iter().collect::<Vec<_>>(), [Rule::IobaRange, Rule::MapNew]);
    assert_eq!([13, 14, 15].map(|index| guest(&model, LAST, index)), [0, 7, 7]);
    assert_eq!(model.touched().len(), 2);
    may(&mut model, stuff(PINNED, 1023 << 12, 7, 1024), Status::PARAMETER, Rule::IobaRange);
    assert_eq!((guest(&model, PINNED, 1023), guest(&model, PINNED, 0)), (7, 0));
}

#[test]
fn indirect_stores_prefixes() {
    let mut model = model(QEMU);
    write_list(&mut model, 0, &[5, 6, 7]);
    let outcome = may(&mut model, indirect(LAST, LAST_BASE + 14 * 0x1000, 0, 3), Status::PARAMETER, Rule::IobaRange);
    assert!(outcome.rules.contains(Rule::MapNew));
    assert_eq!((guest(&model, LAST, 14), guest(&model, LAST, 15)), (5, 6));
}

#[test]
fn a_list_outside_guest_memory_or_in_a_hole_reads_as_zeros() {
    for list in [gpa(gfn::END), 1 << 63, gpa(gfn::HOLE)] {
        let mut model = model(QEMU);
        may(&mut model, stuff(PINNED, 0, 7, 4), Status::SUCCESS, Rule::MapNew);
        let outcome = may(&mut model, indirect(PINNED, 0, list, 3), Status::SUCCESS, Rule::Unmap);
        assert!(outcome.rules.contains(Rule::ListUnbacked));
        assert_eq!([0, 1, 2, 3].map(|index| guest(&model, PINNED, index)), [0, 0, 0, 7]);
        let outcome = may(&mut model, indirect(LAST, 0, list, 3), Status::PARAMETER, Rule::IobaRange);
        assert!(outcome.rules.contains(Rule::ListUnbacked));
    }
}

#[test]
fn the_list_is_read_before_the_ioba() {
    let mut model = model(QEMU);
    let absent_list = indirect(LAST, 0, gpa(gfn::ABSENT), 1);
    owes(&mut model, absent_list, Status::PARAMETER, Rule::IobaRange, Owes::Defer(Rule::DeferPte));
    assert_eq!((model.pte(hva(gfn::ABSENT)), count(&model, 116)), (present(116, "wy"), 1));
    let old_list = indirect(PINNED, 0, gpa(gfn::OLD), 1);
    owes(&mut model, old_list, Status::SUCCESS, Rule::TceFault, Owes::Defer(Rule::DeferPte));
    assert_eq!(model.pte(hva(gfn::OLD)), present(118, "wdy"));
    may(&mut model, old_list, Status::SUCCESS, Rule::TceFault);
    let none = indirect(PINNED, 0, gpa(gfn::ABSENT), 0);
    done(&mut model, Step::Age { hva: hva(gfn::ABSENT) });
    may(&mut model, none, Status::PARAMETER, Rule::CountZero);
    assert_eq!(model.pte(hva(gfn::ABSENT)), present(116, "w"));
}
