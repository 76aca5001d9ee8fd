//! docs/semantics.md, section 4: the order of the checks in dialects `lopapr` and `kvm`.

mod common;

use common::*;
use contract::description::SlotSpec;
use contract::{Dialect, Gfn, Hva, Hypercall, Rule, Status, Step};
use reference::{Answer, Owes, Reference};

const BOTH: [Dialect; 2] = [Dialect::Lopapr, Dialect::Kvm];

/// Makes a call that ends at a check: real mode must finish it, and it changes nothing.
#[track_caller]
fn refused(model: &mut Reference, hcall: Hypercall, status: Status, rule: Rule) {
    let before = snapshot(model);
    owes(model, hcall, status, rule, Owes::Finish);
    assert!(model.touched().is_empty());
    assert_eq!(before, snapshot(model));
}

#[test]
fn unknown_opcodes() {
    for dialect in BOTH {
        for opcode in [0, 0x18, 0x1d, 0x13d, u64::MAX] {
            let hcall = Hypercall { opcode, args: [PINNED, 0, 0, 0] };
            refused(&mut model(dialect), hcall, Status::FUNCTION, Rule::HcallUnknown);
        }
    }
    let hcall = Hypercall { opcode: 0, args: [0; 4] };
    owes(&mut model(Dialect::Qemu), hcall, Status::FUNCTION, Rule::HcallUnknown, Owes::May(""));
}

#[test]
fn unknown_liobn_comes_first_and_may_be_deferred() {
    for dialect in Dialect::ALL {
        let mut model = model(dialect);
        for liobn in [0, 99, 1 << 32 | PINNED, u64::MAX] {
            for hcall in [
                Hypercall::get(liobn, 1),
                put(liobn, 1, 4),
                stuff(liobn, 1, 4, 513),
                indirect(liobn, 1, 1, 513),
                stuff(liobn, 1, 4, 0),
            ] {
                owes(&mut model, hcall, Status::PARAMETER, Rule::LiobnUnknown, Owes::May(""));
            }
        }
    }
}

#[test]
fn ioba_alignment_then_range() {
    for dialect in BOTH {
        let mut model = model(dialect);
        for make in [|ioba| Hypercall::get(PINNED, ioba), |ioba| put(PINNED, ioba, 3), |ioba| stuff(PINNED, ioba, 0, 1)]
        {
            refused(&mut model, make(0x800), Status::PARAMETER, Rule::IobaAlign);
            refused(&mut model, make(u64::MAX), Status::PARAMETER, Rule::IobaAlign);
            refused(&mut model, make(1024 << 12), Status::PARAMETER, Rule::IobaRange);
            refused(&mut model, make(!0xfff), Status::PARAMETER, Rule::IobaRange);
        }
        refused(&mut model, put(EMULATED, EMULATED_BASE + 0x1000, 0), Status::PARAMETER, Rule::IobaAlign);
        refused(&mut model, put(EMULATED, EMULATED_BASE - 0x1_0000, 0), Status::PARAMETER, Rule::IobaRange);
        refused(&mut model, put(EMULATED, EMULATED_BASE + 16 * 0x1_0000, 0), Status::PARAMETER, Rule::IobaRange);
        refused(&mut model, put(LAST, LAST_BASE - 0x1000, 0), Status::PARAMETER, Rule::IobaRange);
        refused(&mut model, put(LAST, 0, 0), Status::PARAMETER, Rule::IobaRange);
    }
}

#[test]
fn a_window_may_end_at_2_64() {
    for dialect in BOTH {
        let mut model = model(dialect);
        let last = LAST_BASE + 15 * 0x1000;
        call(&mut model, put(LAST, last, gpa(1) | 3), Status::SUCCESS, Rule::MapNew);
        assert_eq!(guest(&model, LAST, 15), gpa(1) | 3);
        call(&mut model, stuff(LAST, LAST_BASE, 0, 16), Status::SUCCESS, Rule::TceFault);
        call(&mut model, stuff(LAST, last, 0, 1), Status::SUCCESS, Rule::TceFault);
        refused(&mut model, stuff(LAST, last, 0, 2), Status::PARAMETER, Rule::IobaRange);
        refused(&mut model, indirect(LAST, last, 0, 2), Status::PARAMETER, Rule::IobaRange);
    }
}

#[test]
fn get_returns_the_guests_own_value() {
    for dialect in BOTH {
        let mut model = model(dialect);
        let value = |model: &mut Reference, liobn, ioba| {
            let outcome = owes(model, Hypercall::get(liobn, ioba), Status::SUCCESS, Rule::TceRead, Owes::Finish);
            let Answer::Hypercall { r4, .. } = outcome.answer else { panic!() };
            r4
        };
        assert_eq!(value(&mut model, PINNED, 1023 << 12), Some(0));
        call(&mut model, put(PINNED, 0x5000, gpa(2) | 1), Status::SUCCESS, Rule::MapNew);
        assert_eq!(value(&mut model, PINNED, 0x5000), Some(gpa(2) | 1));
        call(&mut model, put(PINNED, 0x5000, 0xdead_beef_0000_0ffc), Status::SUCCESS, Rule::Unmap);
        assert_eq!(value(&mut model, PINNED, 0x5000), Some(0xdead_beef_0000_0ffc));
    }
}

#[test]
fn stuff_limits() {
    let mut lopapr = model(Dialect::Lopapr);
    refused(&mut lopapr, stuff(PINNED, 0, 0, 513), Status::P4, Rule::CountStuff);
    refused(&mut lopapr, stuff(PINNED, 0, 0, u64::MAX), Status::P4, Rule::CountStuff);
    refused(&mut lopapr, stuff(PINNED, 0x800, 0, 513), Status::PARAMETER, Rule::IobaAlign);
    refused(&mut lopapr, stuff(PINNED, 1024 << 12, 0, 513), Status::PARAMETER, Rule::IobaRange);
    refused(&mut lopapr, stuff(PINNED, 1023 << 12, 0, 2), Status::PARAMETER, Rule::IobaRange);
    call(&mut lopapr, stuff(PINNED, 0, 0, 512), Status::SUCCESS, Rule::TceFault);
    let mut kvm = model(Dialect::Kvm);
    call(&mut kvm, stuff(PINNED, 0, 0, 1024), Status::SUCCESS, Rule::TceFault);
    refused(&mut kvm, stuff(PINNED, 0, 0, 1025), Status::PARAMETER, Rule::IobaRange);
    refused(&mut kvm, stuff(PINNED, 0x1000, 3, u64::MAX), Status::PARAMETER, Rule::IobaRange);
    refused(&mut kvm, stuff(PINNED, 0x1000, 3, 4), Status::PARAMETER, Rule::StuffPerm);
    refused(&mut kvm, stuff(PINNED, 0x1000, 2, 0), Status::PARAMETER, Rule::StuffPerm);
    refused(&mut kvm, stuff(PINNED, 0x1001, 3, 4), Status::PARAMETER, Rule::IobaAlign);
}

#[test]
fn order_of_counts_and_ioba_in_indirect() {
    let mut lopapr = model(Dialect::Lopapr);
    refused(&mut lopapr, indirect(PINNED, 1, 1, 513), Status::PARAMETER, Rule::IobaAlign);
    refused(&mut lopapr, indirect(PINNED, 1024 << 12, 1, 513), Status::PARAMETER, Rule::IobaRange);
    refused(&mut lopapr, indirect(PINNED, 1023 << 12, 1, 513), Status::PARAMETER, Rule::CountIndirect);
    refused(&mut lopapr, indirect(PINNED, 1023 << 12, 8, 2), Status::PARAMETER, Rule::ListAlign);
    refused(&mut lopapr, indirect(PINNED, 1023 << 12, 0, 2), Status::PARAMETER, Rule::IobaRange);
    let mut kvm = model(Dialect::Kvm);
    refused(&mut kvm, indirect(PINNED, 1, 1, 513), Status::PARAMETER, Rule::CountIndirect);
    refused(&mut kvm, indirect(PINNED, 1, 1, 0), Status::PARAMETER, Rule::ListAlign);
    refused(&mut kvm, indirect(PINNED, 1, gpa(60), 1), Status::PARAMETER, Rule::IobaAlign);
    refused(&mut kvm, indirect(PINNED, 1024 << 12, gpa(60), 0), Status::PARAMETER, Rule::IobaRange);
    refused(&mut kvm, indirect(PINNED, 1023 << 12, gpa(60), 2), Status::PARAMETER, Rule::IobaRange);
}

#[test]
fn count_zero() {
    for dialect in BOTH {
        let mut model = model(dialect);
        let end = 1024 << 12;
        refused(&mut model, stuff(PINNED, end, 0, 0), Status::PARAMETER, Rule::IobaRange);
        refused(&mut model, indirect(PINNED, end, 0, 0), Status::PARAMETER, Rule::IobaRange);
        refused(&mut model, stuff(PINNED, 0, 0, 0), Status::SUCCESS, Rule::CountZero);
        for list in [0, gpa(gfn::HOLE), gpa(gfn::ABSENT), gpa(gfn::OLD), gpa(gfn::HUGE)] {
            refused(&mut model, indirect(PINNED, 0, list, 0), Status::SUCCESS, Rule::CountZero);
        }
        refused(&mut model, indirect(PINNED, 0, 8, 0), Status::PARAMETER, Rule::ListAlign);
    }
    let outside = indirect(PINNED, 0, gpa(gfn::END), 0);
    refused(&mut model(Dialect::Lopapr), outside, Status::SUCCESS, Rule::CountZero);
    refused(&mut model(Dialect::Kvm), outside, Status::PARAMETER, Rule::ListUnbacked);
    refused(&mut model(Dialect::Lopapr), stuff(PINNED, 0, 7, 0), Status::SUCCESS, Rule::CountZero);
}

#[test]
fn list_unbacked() {
    for dialect in BOTH {
        let mut model = model(dialect);
        for list in [gpa(gfn::END), !0xfff, 1 << 63] {
            refused(&mut model, indirect(PINNED, 0, list, 1), Status::PARAMETER, Rule::ListUnbacked);
        }
        let before = snapshot(&model);
        let hole = indirect(PINNED, 0, gpa(gfn::HOLE), 1);
        owes(&mut model, hole, Status::PARAMETER, Rule::ListUnbacked, Owes::May(""));
        assert_eq!(before, snapshot(&model));
    }
}

#[test]
fn reading_the_list_stays_when_the_call_fails() {
    for dialect in BOTH {
        let mut model = model(dialect);
        write_list(&mut model, 0, &[7]);
        // The memory of pfn 116 is zero, so the list is one fault TCE.
        let absent = indirect(PINNED, 0, gpa(gfn::ABSENT), 1);
        owes(&mut model, absent, Status::SUCCESS, Rule::TceFault, Owes::Defer(Rule::DeferPte));
        assert_eq!(model.pte(hva(gfn::ABSENT)), present(116, "wy"));
        assert_eq!(count(&model, 116), 1);
        conserved(&model);

        write_list(&mut model, gfn::OLD, &[gpa(1) | 3, 7]);
        let old = indirect(PINNED, 0, gpa(gfn::OLD), 2);
        owes(&mut model, old, Status::PARAMETER, Rule::TceAlign, Owes::Defer(Rule::DeferPte));
        assert_eq!(model.pte(hva(gfn::OLD)), present(118, "wdy"));
        assert_eq!(guest(&model, PINNED, 0), 0);
        assert_eq!(count(&model, 101), 1);
        owes(&mut model, old, Status::PARAMETER, Rule::TceAlign, Owes::Finish);
    }
}

#[test]
fn tce_alignment_by_window_page() {
    for dialect in BOTH {
        let mut model = model(dialect);
        for bit in 2..12 {
            refused(&mut model, put(PINNED, 0, gpa(1) | 1 | 1 << bit), Status::PARAMETER, Rule::TceAlign);
        }
        for bit in 2..16 {
            refused(&mut model, put(EMULATED, EMULATED_BASE, 2 | 1 << bit), Status::PARAMETER, Rule::TceAlign);
        }
        call(&mut model, put(EMULATED, EMULATED_BASE, 0xfffc), Status::SUCCESS, Rule::TceFault);
        assert_eq!(guest(&model, EMULATED, 0), 0xfffc, "fault TCEs are stored as given");
    }
}

#[test]
fn tce_unbacked_whole_page_or_first_gfn() {
    // The window's page is 64 KiB: of the frames from gfn 48 on, only the first is guest memory.
    let crossing = put(EMULATED, EMULATED_BASE, gpa(48) | 3);
    refused(&mut model(Dialect::Lopapr), crossing, Status::PARAMETER, Rule::TceUnbacked);
    call(&mut model(Dialect::Kvm), crossing, Status::SUCCESS, Rule::MapNew);
    // A page that several slots cover together is guest memory, whatever their hvas.
    let mut two = model(Dialect::Lopapr);
    done(&mut two, Step::Slot(SlotSpec { id: 9, gfn: Gfn(49), pages: 15, hva: Hva(HVA) }));
    call(&mut two, crossing, Status::SUCCESS, Rule::MapNew);
    for dialect in BOTH {
        let mut model = model(dialect);
        refused(&mut model, put(PINNED, 0, gpa(gfn::END) | 1), Status::PARAMETER, Rule::TceUnbacked);
        refused(&mut model, put(PINNED, 0, !0xfff | 1), Status::PARAMETER, Rule::TceUnbacked);
        call(&mut model, put(PINNED, 0, gpa(gfn::END)), Status::SUCCESS, Rule::TceFault);
    }
}

#[test]
fn a_page_at_the_very_end_of_guest_memory() {
    let mut model = model(Dialect::Lopapr);
    done(&mut model, Step::Slot(SlotSpec { id: 9, gfn: Gfn((1 << 52) - 16), pages: 16, hva: Hva(HVA) }));
    let top = 0_u64.wrapping_sub(0x1_0000);
    call(&mut model, put(EMULATED, EMULATED_BASE, top | 3), Status::SUCCESS, Rule::MapNew);
    done(&mut model, Step::Slot(SlotSpec { id: 9, gfn: Gfn((1 << 52) - 16), pages: 15, hva: Hva(HVA) }));
    call(&mut model, put(EMULATED, EMULATED_BASE, top | 3), Status::PARAMETER, Rule::TceUnbacked);
}

#[test]
fn kvm_looks_at_fault_tces_of_a_list() {
    for (dialect, status, rule) in
        [(Dialect::Lopapr, Status::SUCCESS, Rule::TceFault), (Dialect::Kvm, Status::PARAMETER, Rule::TceUnbacked)]
    {
        for liobn in [(PINNED, 0), (EMULATED, EMULATED_BASE)] {
            let mut model = model(dialect);
            write_list(&mut model, 0, &[gpa(gfn::END), 7]);
            call(&mut model, indirect(liobn.0, liobn.1, 0, 1), status, rule);
            // No dialect checks the low bits of a fault TCE.
            write_list(&mut model, 0, &[gpa(1) | 0xffc]);
            call(&mut model, indirect(liobn.0, liobn.1, 0, 1), Status::SUCCESS, Rule::TceFault);
        }
    }
    // Even a TCE of 0 names gfn 0, which need not be guest memory.
    let mut kvm = model(Dialect::Kvm);
    done(&mut kvm, Step::Slot(SlotSpec { id: 0, gfn: Gfn(1), pages: 40, hva: hva(1) }));
    call(&mut kvm, indirect(PINNED, 0, gpa(1), 1), Status::PARAMETER, Rule::TceUnbacked);
    call(&mut kvm, stuff(PINNED, 0, 0, 1), Status::SUCCESS, Rule::TceFault);
    call(&mut kvm, put(PINNED, 0, 0), Status::SUCCESS, Rule::TceFault);
}

#[test]
fn the_lowest_entry_decides_and_checks_come_before_pins() {
    for dialect in BOTH {
        let mut model = model(dialect);
        let list = indirect(PINNED, 0, 0, 3);
        write_list(&mut model, 0, &[gpa(gfn::END) | 1, gpa(1) | 5, 0]);
        refused(&mut model, list, Status::PARAMETER, Rule::TceUnbacked);
        write_list(&mut model, 0, &[gpa(1) | 5, gpa(gfn::END) | 1, 0]);
        refused(&mut model, list, Status::PARAMETER, Rule::TceAlign);
        write_list(&mut model, 0, &[gpa(gfn::END) | 5, 0, 0]);
        refused(&mut model, list, Status::PARAMETER, Rule::TceAlign);
        write_list(&mut model, 0, &[gpa(gfn::HOLE) | 1, gpa(1) | 1, gpa(1) | 5]);
        refused(&mut model, list, Status::PARAMETER, Rule::TceAlign);
        write_list(&mut model, 0, &[gpa(1) | 1, gpa(gfn::HOLE) | 1, 0]);
        let before = snapshot(&model);
        owes(&mut model, list, Status::HARDWARE, Rule::PinHardware, Owes::May(""));
        assert_eq!(before, snapshot(&model));
    }
}

#[test]
fn pin_hardware() {
    for dialect in BOTH {
        let mut model = model(dialect);
        let before = snapshot(&model);
        for tce in [gpa(gfn::HOLE) | 1, gpa(gfn::HOLE) | 2, gpa(gfn::READ_ONLY) | 2, gpa(gfn::READ_ONLY) | 3] {
            owes(&mut model, put(PINNED, 0, tce), Status::HARDWARE, Rule::PinHardware, Owes::May(""));
            assert!(model.touched().is_empty());
        }
        assert_eq!(before, snapshot(&model));
        call(&mut model, put(PINNED, 0, gpa(gfn::READ_ONLY) | 1), Status::SUCCESS, Rule::MapNew);
        done(&mut model, Step::WriteProtect { hva: hva(40) });
        let huge = put(PINNED, 0, gpa(33) | 2);
        owes(&mut model, huge, Status::HARDWARE, Rule::PinHardware, Owes::May(""));
        // An emulated window does not use the host page table.
        call(&mut model, put(LAST, LAST_BASE, gpa(gfn::HOLE) | 3), Status::SUCCESS, Rule::MapNew);
    }
}
