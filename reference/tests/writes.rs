//! docs/semantics.md, section 4, step 7: how entries are written, and under which rule.

mod common;

use common::*;
use contract::description::{Mapping, SlotSpec};
use contract::{
    Backing, Dialect, Gfn, Hva, Hypercall, Liobn, Machine, PageShift, Pfn, RealAddr, Rule, Status, Step, WindowSpec,
};
use reference::{Object, Reference};

const BOTH: [Dialect; 2] = [Dialect::Lopapr, Dialect::Kvm];

#[track_caller]
fn succeed(model: &mut Reference, hcall: Hypercall, rule: Rule) {
    call(model, hcall, Status::SUCCESS, rule);
    conserved(model);
}

#[test]
fn each_rule_of_a_pinned_entry() {
    for dialect in BOTH {
        let mut model = model(dialect);
        succeed(&mut model, put(PINNED, 0, gpa(1) | 3), Rule::MapNew);
        assert_eq!(hardware(&model, PINNED, 0), 101 << 12 | 3);
        assert_eq!((count(&model, 101), dirty(&model, 101)), (2, false));
        succeed(&mut model, put(PINNED, 0, gpa(1) | 1), Rule::MapSame);
        assert_eq!(hardware(&model, PINNED, 0), 101 << 12 | 1);
        assert_eq!((count(&model, 101), dirty(&model, 101)), (2, true));
        succeed(&mut model, put(PINNED, 0, gpa(2) | 1), Rule::MapExchange);
        assert_eq!((count(&model, 101), count(&model, 102)), (1, 2));
        succeed(&mut model, put(PINNED, 0, 0), Rule::Unmap);
        assert_eq!((count(&model, 102), dirty(&model, 102)), (1, false), "the device could only read");
        succeed(&mut model, put(PINNED, 0, 0xffc), Rule::TceFault);
        assert_eq!((guest(&model, PINNED, 0), hardware(&model, PINNED, 0)), (0xffc, 0));
        assert_eq!(model.touched(), [Object::Entry { liobn: Liobn(PINNED), index: 0 }]);
    }
}

#[test]
fn a_page_over_itself_becomes_dirty() {
    let mut model = model(Dialect::Lopapr);
    succeed(&mut model, put(PINNED, 0, gpa(1) | 2), Rule::MapNew);
    succeed(&mut model, put(PINNED, 0, gpa(1) | 2), Rule::MapSame);
    assert!(dirty(&model, 101));
}

#[test]
fn the_recorded_page_goes_back_not_a_new_translation() {
    let mut model = model(Dialect::Lopapr);
    succeed(&mut model, put(PINNED, 0, gpa(1) | 2), Rule::MapNew);
    done(&mut model, Step::Migrate { hva: hva(1), pfn: Pfn(400) });
    assert_eq!((count(&model, 101), count(&model, 400)), (1, 1));
    succeed(&mut model, put(PINNED, 0, gpa(1) | 2), Rule::MapExchange);
    assert_eq!((count(&model, 101), count(&model, 400)), (0, 2));
    assert_eq!((dirty(&model, 101), dirty(&model, 400)), (true, false));
    done(&mut model, Step::Slot(SlotSpec { id: 0, gfn: Gfn(0), pages: 0, hva: Hva(0) }));
    succeed(&mut model, put(PINNED, 0, 0), Rule::Unmap);
    assert_eq!(count(&model, 400), 1);
}

#[test]
fn emulated_entries_compare_address_bits_and_hold_nothing() {
    for dialect in BOTH {
        let mut model = model(dialect);
        let before: Vec<_> = model.pages().collect();
        succeed(&mut model, put(LAST, LAST_BASE, gpa(1) | 1), Rule::MapNew);
        succeed(&mut model, put(LAST, LAST_BASE, gpa(1) | 2), Rule::MapSame);
        succeed(&mut model, put(LAST, LAST_BASE, gpa(2) | 2), Rule::MapExchange);
        // The alias of gfn 0 has the same hva but another address.
        succeed(&mut model, put(LAST, LAST_BASE, gpa(0) | 2), Rule::MapExchange);
        succeed(&mut model, put(LAST, LAST_BASE, gpa(gfn::ALIAS) | 2), Rule::MapExchange);
        succeed(&mut model, put(LAST, LAST_BASE, 4), Rule::Unmap);
        succeed(&mut model, put(LAST, LAST_BASE, 0), Rule::TceFault);
        assert_eq!(before, model.pages().collect::<Vec<_>>());
    }
}

#[test]
fn aliasing_slots_are_one_host_page() {
    let mut model = model(Dialect::Lopapr);
    succeed(&mut model, put(PINNED, 0, gpa(0) | 3), Rule::MapNew);
    succeed(&mut model, put(PINNED, 0, gpa(gfn::ALIAS) | 3), Rule::MapSame);
    succeed(&mut model, put(PINNED, 0x1000, gpa(gfn::ALIAS) | 3), Rule::MapNew);
    assert_eq!((count(&model, 100), guest(&model, PINNED, 0)), (3, gpa(gfn::ALIAS) | 3));
    succeed(&mut model, stuff(PINNED, 0, 0, 2), Rule::Unmap);
    assert_eq!(count(&model, 100), 1);
}

#[test]
fn targets_are_faulted_in_and_become_young_and_dirty() {
    for dialect in BOTH {
        let mut model = model(dialect);
        succeed(&mut model, put(PINNED, 0, gpa(gfn::ABSENT) | 1), Rule::MapNew);
        assert_eq!((model.pte(hva(gfn::ABSENT)), count(&model, 116)), (present(116, "wy"), 2));
        succeed(&mut model, put(PINNED, 0x1000, gpa(gfn::OLD) | 1), Rule::MapNew);
        assert_eq!(model.pte(hva(gfn::OLD)), present(118, "wdy"));
        succeed(&mut model, put(PINNED, 0x2000, gpa(gfn::CLEAN) | 1), Rule::MapNew);
        assert_eq!(model.pte(hva(gfn::CLEAN)), present(120, "wy"));
        succeed(&mut model, put(PINNED, 0x2000, gpa(gfn::CLEAN) | 2), Rule::MapSame);
        assert_eq!(model.pte(hva(gfn::CLEAN)), present(120, "wdy"));
        done(&mut model, Step::Unmap { hva: hva(gfn::ABSENT) });
        done(&mut model, Step::Map { hva: hva(gfn::ABSENT), pte: absent(116) });
        succeed(&mut model, put(PINNED, 0x3000, gpa(gfn::ABSENT) | 2), Rule::MapNew);
        assert_eq!((model.pte(hva(gfn::ABSENT)), count(&model, 116)), (present(116, "wdy"), 3));
    }
}

#[test]
fn one_absent_page_in_two_entries_is_faulted_in_once() {
    let mut model = model(Dialect::Lopapr);
    write_list(&mut model, 0, &[gpa(gfn::ABSENT) | 1, gpa(gfn::ABSENT) | 2]);
    succeed(&mut model, indirect(PINNED, 0, 0, 2), Rule::MapNew);
    assert_eq!((model.pte(hva(gfn::ABSENT)), count(&model, 116)), (present(116, "wdy"), 3));
}

#[test]
fn an_absent_list_may_name_itself() {
    let mut model = model(Dialect::Lopapr);
    // The list's page is absent, but its memory already holds the list.
    let list = with_ram(Dialect::Lopapr, 116 << 12, &[gpa(gfn::ABSENT) | 3]);
    model.reset(Dialect::Lopapr, &list);
    succeed(&mut model, indirect(PINNED, 0, gpa(gfn::ABSENT), 1), Rule::MapNew);
    assert_eq!((model.pte(hva(gfn::ABSENT)), count(&model, 116)), (present(116, "wdy"), 2));
}

#[test]
fn compound_pages_count_on_their_head() {
    let mut model = model(Dialect::Lopapr);
    succeed(&mut model, put(PINNED, 0, gpa(gfn::TAIL) | 2), Rule::MapNew);
    assert_eq!((hardware(&model, PINNED, 0), count(&model, 128), count(&model, 129)), (129 << 12 | 2, 2, 0));
    succeed(&mut model, put(PINNED, 0x1000, gpa(gfn::HUGE + 5) | 2), Rule::MapNew);
    assert_eq!((hardware(&model, PINNED, 1), count(&model, 144)), (149 << 12 | 2, 2));
    // Another tail of the same compound page counts as another host page.
    succeed(&mut model, put(PINNED, 0x1000, gpa(gfn::HUGE + 6) | 2), Rule::MapExchange);
    assert_eq!((count(&model, 144), dirty(&model, 144), dirty(&model, 149)), (2, true, false));
    assert_eq!(model.hardware_references(Pfn(144)), 1);
    succeed(&mut model, stuff(PINNED, 0, 0, 2), Rule::Unmap);
    assert!(dirty(&model, 128));
    assert_eq!((count(&model, 128), count(&model, 144)), (1, 1));
}

#[test]
fn huge_entries_become_young_and_dirty_as_a_whole() {
    let mut model = model(Dialect::Lopapr);
    done(&mut model, Step::Age { hva: hva(gfn::HUGE) });
    done(&mut model, Step::Clean { hva: hva(gfn::HUGE + 1) });
    assert_eq!(model.pte(hva(gfn::HUGE)), huge(144, 4, "w"));
    succeed(&mut model, put(PINNED, 0, gpa(gfn::HUGE + 5) | 2), Rule::MapNew);
    assert_eq!(model.pte(hva(gfn::HUGE)), huge(144, 4, "wdy"));
    assert!(model.touched().contains(&Object::Pte(hva(gfn::HUGE))));
}

#[test]
fn a_huge_list_is_read_where_it_lies() {
    for dialect in BOTH {
        let mut model = model(dialect);
        write_list(&mut model, gfn::HUGE + 3, &[gpa(1) | 1]);
        assert_eq!(model.ram_word(RealAddr(147 << 12)), gpa(1) | 1);
        succeed(&mut model, indirect(PINNED, 0, gpa(gfn::HUGE + 3), 1), Rule::MapNew);
        assert_eq!(hardware(&model, PINNED, 0), 101 << 12 | 1);
    }
}

#[test]
fn a_call_is_named_after_its_first_entry_and_counts_all() {
    let mut model = model(Dialect::Lopapr);
    // Entry 0 stays a fault TCE, entry 1 keeps its page, 2 gets another page, 3 is unmapped, 4 is mapped new.
    for (index, gfn) in [(1, 1), (2, 2), (3, 3)] {
        succeed(&mut model, put(PINNED, index << 12, gpa(gfn) | 1), Rule::MapNew);
    }
    write_list(&mut model, 0, &[0, gpa(1) | 3, gpa(4) | 1, 0, gpa(5) | 1]);
    let outcome = call(&mut model, indirect(PINNED, 0, 0, 5), Status::SUCCESS, Rule::TceFault);
    let rules: Vec<_> = outcome.rules.iter().collect();
    assert_eq!(rules, [Rule::TceFault, Rule::MapNew, Rule::MapExchange, Rule::MapSame, Rule::Unmap]);
    let entries: Vec<_> = model.touched().iter().filter(|object| matches!(object, Object::Entry { .. })).collect();
    assert_eq!(entries.len(), 5);
}

#[test]
fn one_page_dropped_and_taken_many_times_in_a_call() {
    let mut model = model(Dialect::Lopapr);
    succeed(&mut model, stuff(PINNED, 0, gpa(1) | 3, 512), Rule::MapNew);
    assert_eq!((count(&model, 101), model.hardware_references(Pfn(101))), (513, 512));
    succeed(&mut model, stuff(PINNED, 0, gpa(1) | 1, 512), Rule::MapSame);
    assert_eq!(count(&model, 101), 513);
    succeed(&mut model, stuff(PINNED, 0, gpa(2) | 1, 512), Rule::MapExchange);
    assert_eq!((count(&model, 101), count(&model, 102)), (1, 513));
    done(&mut model, Step::Unmap { hva: hva(2) });
    succeed(&mut model, stuff(PINNED, 0, 0, 512), Rule::Unmap);
    assert_eq!(count(&model, 102), 0);
    assert_eq!(model.window(Liobn(PINNED)).map(|w| w.guest_entries().count()), Some(0));
}

/// Returns a machine with 64 KiB pages, gfn 0 at pfn 8, and a pinned window of 4 KiB pages.
fn big_pages() -> Machine {
    let mut machine = sparse(PageShift::Shift16, 64, 16, &[0]);
    machine.slots = vec![SlotSpec { id: 0, gfn: Gfn(0), pages: 4, hva: Hva(HVA) }];
    machine.mappings = vec![Mapping { hva: Hva(HVA), pages: 4, pte: present(8, "wdy") }];
    machine.windows = vec![WindowSpec {
        liobn: Liobn(1),
        page_shift: 12,
        base: 0,
        entries: 64,
        table: RealAddr(0x30_0000_0000),
        backing: Backing::Pinned { hardware: RealAddr(0x30_0001_0000) },
    }];
    machine
}

#[test]
fn hardware_entries_keep_the_address_inside_the_host_page() {
    let mut model = Reference::new(Dialect::Lopapr, &big_pages());
    succeed(&mut model, put(1, 0, 0x1_3003), Rule::MapNew);
    assert_eq!(hardware(&model, 1, 0), 9 << 16 | 0x3003);
    // The new TCE names other 4 KiB of the same host page.
    succeed(&mut model, put(1, 0, 0x1_f001), Rule::MapSame);
    assert_eq!((hardware(&model, 1, 0), count(&model, 9), dirty(&model, 9)), (9 << 16 | 0xf001, 2, true));
    succeed(&mut model, put(1, 0, 0x2_f001), Rule::MapExchange);
}

#[test]
fn a_list_may_lie_anywhere_in_a_big_page() {
    let mut model = Reference::new(Dialect::Lopapr, &big_pages());
    done(&mut model, Step::Write { gpa: contract::Gpa(0x1_3000), words: runs(&[0x2_0001, 0x3_1002]) });
    assert_eq!(model.ram_word(RealAddr(0x9_3008)), 0x3_1002);
    succeed(&mut model, indirect(1, 0x1000, 0x1_3000, 2), Rule::MapNew);
    assert_eq!((hardware(&model, 1, 1), hardware(&model, 1, 2)), (10 << 16 | 1, 11 << 16 | 0x1002));
    call(&mut model, indirect(1, 0, 0x1_3800, 2), Status::PARAMETER, Rule::ListAlign);
}
