//! docs/semantics.md, section 5: what real mode owes for pinned windows.

mod common;

use common::*;
use contract::description::{Mapping, SlotSpec};
use contract::{
    Backing, Dialect, Gfn, Hva, Hypercall, Liobn, PageShift, Pfn, RealAddr, Rule, Status, Step, WindowSpec,
};
use reference::{Owes, Reference};

const BOTH: [Dialect; 2] = [Dialect::Lopapr, Dialect::Kvm];
const OK: Status = Status::SUCCESS;
const PTE: Owes = Owes::Defer(Rule::DeferPte);
const LOOKUP: Owes = Owes::Defer(Rule::DeferLookup);
const COMPOUND: Owes = Owes::Defer(Rule::DeferCompound);
const LAST_REF: Owes = Owes::Defer(Rule::DeferLastRef);

#[test]
fn a_ready_page_is_finished() {
    for dialect in BOTH {
        let mut model = model(dialect);
        owes(&mut model, put(PINNED, 0, gpa(1) | 3), OK, Rule::MapNew, Owes::Finish);
        owes(&mut model, put(PINNED, 0, gpa(1) | 3), OK, Rule::MapSame, Owes::Finish);
        owes(&mut model, put(PINNED, 0, gpa(2) | 1), OK, Rule::MapExchange, Owes::Finish);
        owes(&mut model, put(PINNED, 0, 0), OK, Rule::Unmap, Owes::Finish);
        owes(&mut model, put(PINNED, 0, 4), OK, Rule::TceFault, Owes::Finish);
        owes(&mut model, Hypercall::get(PINNED, 0), OK, Rule::TceRead, Owes::Finish);
    }
}

#[test]
fn new_pages_that_need_a_fault() {
    for dialect in BOTH {
        for (gfn, permissions, expected) in [
            (gfn::ABSENT, 1, PTE),
            (gfn::OLD, 1, PTE),
            (gfn::CLEAN, 1, Owes::Finish),
            (gfn::CLEAN, 2, PTE),
            (gfn::CLEAN, 3, PTE),
            (gfn::READ_ONLY, 1, Owes::Finish),
            (gfn::TAIL, 1, COMPOUND),
            (gfn::HUGE, 1, COMPOUND),
            (gfn::HUGE + 1, 2, COMPOUND),
        ] {
            let mut model = model(dialect);
            let hcall = put(PINNED, 0, gpa(gfn) | permissions);
            owes(&mut model, hcall, OK, Rule::MapNew, expected);
            // The first call made the page young and dirty, so only a reason that lasts is still there.
            let again = if expected == COMPOUND { COMPOUND } else { Owes::Finish };
            owes(&mut model, hcall, OK, Rule::MapSame, again);
        }
    }
}

#[test]
fn huge_entries_have_page_table_reasons_first() {
    let mut model = model(Dialect::Lopapr);
    done(&mut model, Step::Age { hva: hva(gfn::HUGE) });
    owes(&mut model, put(PINNED, 0, gpa(gfn::HUGE) | 1), OK, Rule::MapNew, PTE);
    done(&mut model, Step::Clean { hva: hva(gfn::HUGE) });
    owes(&mut model, put(PINNED, 0, gpa(gfn::HUGE) | 1), OK, Rule::MapSame, COMPOUND);
    owes(&mut model, put(PINNED, 0, gpa(gfn::HUGE) | 2), OK, Rule::MapSame, PTE);
}

#[test]
fn the_old_entrys_page_table_state_is_no_reason() {
    let mut model = model(Dialect::Lopapr);
    owes(&mut model, put(PINNED, 0, gpa(1) | 3), OK, Rule::MapNew, Owes::Finish);
    done(&mut model, Step::Age { hva: hva(1) });
    owes(&mut model, put(PINNED, 0, gpa(2) | 3), OK, Rule::MapExchange, Owes::Finish);
    owes(&mut model, put(PINNED, 0, gpa(1) | 3), OK, Rule::MapExchange, PTE);
}

#[test]
fn old_compound_pages_are_a_reason() {
    let mut model = model(Dialect::Lopapr);
    owes(&mut model, put(PINNED, 0, gpa(gfn::TAIL) | 1), OK, Rule::MapNew, COMPOUND);
    owes(&mut model, put(PINNED, 0, gpa(1) | 1), OK, Rule::MapExchange, COMPOUND);
    owes(&mut model, put(PINNED, 0, gpa(1) | 1), OK, Rule::MapSame, Owes::Finish);
    owes(&mut model, put(PINNED, 0, gpa(gfn::HUGE) | 1), OK, Rule::MapExchange, COMPOUND);
    // The last reference would be dropped too, but `DEFER.COMPOUND` comes first.
    done(&mut model, Step::Unmap { hva: hva(gfn::HUGE + 15) });
    owes(&mut model, stuff(PINNED, 0, 0, 4), OK, Rule::Unmap, COMPOUND);
    assert_eq!(count(&model, 144), 0);
}

#[test]
fn last_references() {
    for dialect in BOTH {
        let mut model = model(dialect);
        write_list(&mut model, 0, &[gpa(1) | 1, gpa(1) | 1, gpa(2) | 1]);
        owes(&mut model, indirect(PINNED, 0, 0, 3), OK, Rule::MapNew, Owes::Finish);
        done(&mut model, Step::Unmap { hva: hva(1) });
        assert_eq!(count(&model, 101), 2);
        owes(&mut model.clone(), put(PINNED, 0, 0), OK, Rule::Unmap, Owes::Finish);
        owes(&mut model.clone(), stuff(PINNED, 0, 0, 2), OK, Rule::Unmap, LAST_REF);
        owes(&mut model.clone(), stuff(PINNED, 0, 0, 512), OK, Rule::Unmap, LAST_REF);
        // Another mapping of pfn 101 holds one more reference, so the same call drops no last reference.
        done(&mut model, Step::Map { hva: hva(3).checked_add(0x4000_0000).expect("hva"), pte: present(101, "wdy") });
        assert_eq!(count(&model, 101), 3);
        owes(&mut model.clone(), stuff(PINNED, 0, 0, 2), OK, Rule::Unmap, Owes::Finish);
    }
}

#[test]
fn takes_of_the_same_call_count() {
    let mut model = model(Dialect::Lopapr);
    owes(&mut model, put(PINNED, 0, gpa(1) | 1), OK, Rule::MapNew, Owes::Finish);
    // pfn 101 is unmapped at gfn 1 and mapped at gfn 5 instead.
    done(&mut model, Step::Unmap { hva: hva(1) });
    done(&mut model, Step::Unmap { hva: hva(5) });
    done(&mut model, Step::Map { hva: hva(5), pte: present(101, "wdy") });
    write_list(&mut model, 0, &[gpa(2) | 1, gpa(5) | 1]);
    done(&mut model, Step::Unmap { hva: hva(2) });
    done(&mut model, Step::Map { hva: hva(2), pte: present(102, "wdy") });
    assert_eq!((count(&model, 101), count(&model, 102)), (2, 1));
    let hcall = indirect(PINNED, 0, 0, 2);
    let outcome = owes(&mut model, hcall, OK, Rule::MapExchange, Owes::Finish);
    assert!(outcome.rules.contains(Rule::MapNew));
    assert_eq!(count(&model, 101), 2, "one dropped, one taken");
    // After gfn 5 is unmapped too, only TCE 1 holds pfn 101.
    done(&mut model, Step::Unmap { hva: hva(5) });
    assert_eq!(count(&model, 101), 1);
    owes(&mut model, put(PINNED, 0x1000, 0), OK, Rule::Unmap, LAST_REF);
    assert_eq!(count(&model, 101), 0);
}

#[test]
fn own_references_keep_a_page() {
    let mut model = model(Dialect::Lopapr);
    owes(&mut model, put(PINNED, 0, gpa(1) | 1), OK, Rule::MapNew, Owes::Finish);
    done(&mut model, Step::Take { pfn: Pfn(101) });
    done(&mut model, Step::Unmap { hva: hva(1) });
    owes(&mut model.clone(), put(PINNED, 0, 0), OK, Rule::Unmap, Owes::Finish);
    done(&mut model, Step::Drop { pfn: Pfn(101) });
    owes(&mut model, put(PINNED, 0, 0), OK, Rule::Unmap, LAST_REF);
}

#[test]
fn lists_decide_before_anything_else() {
    for dialect in BOTH {
        let mut model = model(dialect);
        owes(&mut model, indirect(PINNED, 0, gpa(gfn::HUGE), 1), OK, Rule::TceFault, Owes::May(""));
        write_list(&mut model, gfn::HUGE, &[7]);
        let bad = indirect(PINNED, 0, gpa(gfn::HUGE), 1);
        owes(&mut model, bad, Status::PARAMETER, Rule::TceAlign, Owes::May(""));
        // A page with a reason to defer does not change this.
        write_list(&mut model, gfn::HUGE, &[gpa(gfn::TAIL) | 1]);
        owes(&mut model, bad, OK, Rule::MapNew, Owes::May(""));
        done(&mut model, Step::Age { hva: hva(gfn::HUGE + 9) });
        owes(&mut model, bad, OK, Rule::MapSame, PTE);
        owes(&mut model, bad, OK, Rule::MapSame, Owes::May(""));
        // For the list, real mode owes the same on an emulated window.
        done(&mut model, Step::Age { hva: hva(0) });
        write_list(&mut model, 0, &[0]);
        owes(&mut model, indirect(LAST, LAST_BASE, 0, 1), OK, Rule::TceFault, PTE);
        owes(&mut model, indirect(LAST, LAST_BASE, 0, 1), OK, Rule::TceFault, Owes::Finish);
        owes(&mut model, indirect(LAST, LAST_BASE, gpa(gfn::HUGE), 1), OK, Rule::MapNew, Owes::May(""));
    }
}

#[test]
fn a_list_that_must_be_deferred_covers_errors_and_hardware() {
    for dialect in BOTH {
        let mut model = model(dialect);
        write_list(&mut model, 0, &[gpa(gfn::HOLE) | 1]);
        owes(&mut model, indirect(PINNED, 0, 0, 1), Status::HARDWARE, Rule::PinHardware, Owes::May(""));
        done(&mut model, Step::Age { hva: hva(0) });
        owes(&mut model, indirect(PINNED, 0, 0, 1), Status::HARDWARE, Rule::PinHardware, PTE);
        done(&mut model, Step::Age { hva: hva(0) });
        // Checks before the read of the list do not depend on the list's page-table entry.
        owes(&mut model, indirect(PINNED, 1 << 40, 0, 1), Status::PARAMETER, Rule::IobaRange, Owes::Finish);
    }
}

#[test]
fn a_list_that_names_its_own_page() {
    let mut model = model(Dialect::Lopapr);
    write_list(&mut model, gfn::CLEAN, &[gpa(gfn::CLEAN) | 1]);
    owes(&mut model, indirect(PINNED, 0, gpa(gfn::CLEAN), 1), OK, Rule::MapNew, Owes::Finish);
    write_list(&mut model, gfn::CLEAN, &[gpa(gfn::CLEAN) | 2]);
    owes(&mut model, indirect(PINNED, 0, gpa(gfn::CLEAN), 1), OK, Rule::MapSame, PTE);
}

#[test]
fn emulated_windows_are_finished() {
    for dialect in BOTH {
        let mut model = model(dialect);
        for gfn in [gfn::ABSENT, gfn::HOLE, gfn::OLD, gfn::TAIL, gfn::HUGE] {
            let hcall = put(LAST, LAST_BASE, gpa(gfn) | 3);
            assert_eq!(model.step(&Step::Hypercall { vcpu: 3, call: hcall }).owes, Owes::Finish);
        }
        assert_eq!(model.pte(hva(gfn::ABSENT)), absent(116), "no call changes the page-table entry");
    }
}

/// Returns a machine where gfn i maps pfn 64 + i, with struct pages of 56 bytes in 4 KiB blocks: the struct page of pfn
/// 73 is split.
fn splitting() -> Reference {
    let mut machine = sparse(PageShift::Shift12, 56, 12, &[0]);
    machine.slots = vec![SlotSpec { id: 0, gfn: Gfn(0), pages: 64, hva: Hva(HVA) }];
    machine.mappings = vec![Mapping { hva: Hva(HVA), pages: 64, pte: present(64, "wdy") }];
    machine.windows = vec![WindowSpec {
        liobn: Liobn(1),
        page_shift: 12,
        base: 0,
        entries: 64,
        table: RealAddr(0x30_0000_0000),
        backing: Backing::Pinned { hardware: RealAddr(0x30_0001_0000) },
    }];
    Reference::new(Dialect::Lopapr, &machine)
}

#[test]
fn split_struct_pages_old_and_new() {
    let mut model = splitting();
    owes(&mut model, put(1, 0, gpa(8) | 1), OK, Rule::MapNew, Owes::Finish);
    owes(&mut model, put(1, 0, gpa(9) | 1), OK, Rule::MapExchange, LOOKUP);
    owes(&mut model, put(1, 0, gpa(9) | 1), OK, Rule::MapSame, LOOKUP);
    owes(&mut model, put(1, 0, gpa(10) | 1), OK, Rule::MapExchange, LOOKUP);
    owes(&mut model, put(1, 0, gpa(8) | 1), OK, Rule::MapExchange, Owes::Finish);
    // `DEFER.PTE` comes before `DEFER.LOOKUP`, `DEFER.LAST_REF` after it.
    done(&mut model, Step::Age { hva: hva(9) });
    owes(&mut model, put(1, 0, gpa(9) | 1), OK, Rule::MapExchange, PTE);
    done(&mut model, Step::Unmap { hva: hva(9) });
    owes(&mut model, put(1, 0, 0), OK, Rule::Unmap, LOOKUP);
    assert_eq!(count(&model, 73), 0);
    conserved(&model);
}

#[test]
fn one_reason_anywhere_in_the_call_is_enough_and_the_first_kind_wins() {
    let mut model = splitting();
    write_list(&mut model, 0, &[gpa(8) | 1, gpa(10) | 1, gpa(9) | 1]);
    owes(&mut model.clone(), indirect(1, 0, 0, 2), OK, Rule::MapNew, Owes::Finish);
    owes(&mut model.clone(), indirect(1, 0, 0, 3), OK, Rule::MapNew, LOOKUP);
    done(&mut model, Step::Age { hva: hva(10) });
    owes(&mut model.clone(), indirect(1, 0, 0, 3), OK, Rule::MapNew, PTE);
    // For a compound page with a split struct page, `DEFER.LOOKUP` comes first.
    done(&mut model, Step::MakeCompound(contract::description::CompoundSpec { pfn: Pfn(72), order: 2 }));
    owes(&mut model.clone(), put(1, 0, gpa(9) | 1), OK, Rule::MapNew, LOOKUP);
    owes(&mut model, put(1, 0, gpa(11) | 1), OK, Rule::MapNew, COMPOUND);
}
