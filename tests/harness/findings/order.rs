//! Tests of the judge: which rule it reports if a step breaks several (docs/semantics.md, section 7).

use std::sync::atomic::Ordering::SeqCst;

use contract::{Ea, HcallAnswer, Hypercall, Liobn, Rule, Status};
use machine::{Cpu, Subject as _};
use realmode_diff::check::{Field, Place, Thing};
use realmode_diff::{Finding, Verdict};

use super::machines::{FLAT, LIST, add, flags, guest, hardware, program, store_tce};
use super::wrong::{HONEST, Hooks, checker};

type Half = fn(&candidate::Candidate, &Cpu<'_>, &Hypercall) -> HcallAnswer;

const TOO_HARD: HcallAnswer = HcallAnswer::status(Status::TOO_HARD);
const PUT: &str = "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3\n";
const GET: &str = "cpu0 H_GET_TCE liobn=0x1 ioba=0x0\n";
const NOT_YOUNG: &str = "age 0x7f0000000000\ncpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x1\n";

fn wrong_load(cpu: &Cpu<'_>) {
    let _ = cpu.load(Ea(0), SeqCst);
    let _ = cpu.load(Ea(0xf << 60), SeqCst);
}

#[test]
fn the_first_rule_in_order_wins() {
    use Rule::*;
    let cases: Vec<(&str, &str, Half, Rule, &str)> = vec![
        // The earliest event wins.
        (
            "allocation, then a bad access",
            PUT,
            |subject, cpu, call| {
                cpu.allocate(8);
                wrong_load(cpu);
                subject.real_mode(cpu, call)
            },
            RmAlloc,
            "allocation",
        ),
        (
            "a bad access, then allocation",
            PUT,
            |subject, cpu, call| {
                wrong_load(cpu);
                cpu.allocate(8);
                subject.real_mode(cpu, call)
            },
            RmBadAccess,
            "address",
        ),
        (
            "one store that is a last release and leaves a holder without reference",
            "unmap 0x7f0000000000\nmap 0x7f0000000000 present pfn=0x10 writable dirty young\n\
             cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3\n",
            |subject, cpu, call| {
                add(cpu, 0x10, -1);
                subject.real_mode(cpu, call)
            },
            RmFinalRelease,
            "count",
        ),
        // Events come before all rules that are checked at the end of the step.
        (
            "an event, then a panic",
            PUT,
            |_, cpu, _| {
                cpu.allocate(8);
                panic!("later");
            },
            RmAlloc,
            "allocation",
        ),
        (
            "an event, then a hang",
            PUT,
            |_, cpu, _| {
                cpu.allocate(8);
                loop {
                    cpu.allocate(8);
                }
            },
            RmAlloc,
            "allocation",
        ),
        (
            "a hang in real mode exceeds the bound first",
            PUT,
            |_, cpu, _| loop {
                let _ = cpu.load(guest(0), SeqCst);
            },
            RmBounded,
            "accesses",
        ),
        (
            "over the bound, then an event",
            PUT,
            |subject, cpu, call| {
                for _ in 0..37 {
                    let _ = cpu.load(guest(0), SeqCst);
                }
                cpu.allocate(8);
                subject.real_mode(cpu, call)
            },
            RmBounded,
            "accesses",
        ),
        (
            "an event with the last access that is allowed, then over the bound",
            PUT,
            |subject, cpu, call| {
                for _ in 0..36 {
                    let _ = cpu.load(guest(0), SeqCst);
                }
                cpu.allocate(8);
                subject.real_mode(cpu, call)
            },
            RmAlloc,
            "allocation",
        ),
        (
            "over the bound, then a panic",
            PUT,
            |_, cpu, _| {
                for _ in 0..38 {
                    let _ = cpu.load(guest(0), SeqCst);
                }
                panic!("later");
            },
            RmBounded,
            "accesses",
        ),
        (
            "an event and a wrong status",
            PUT,
            |_, cpu, _| {
                cpu.allocate(8);
                HcallAnswer::status(Status::FUNCTION)
            },
            RmAlloc,
            "allocation",
        ),
        (
            "an event in a call that is deferred unclean",
            NOT_YOUNG,
            |_, cpu, _| {
                store_tce(cpu, guest(0), 1);
                cpu.allocate(8);
                TOO_HARD
            },
            RmAlloc,
            "allocation",
        ),
        (
            "a list word read twice, then a store to guest memory",
            "cpu0 H_PUT_TCE_INDIRECT liobn=0x1 ioba=0x0 list=0x7000 count=2\n",
            |subject, cpu, call| {
                let _ = cpu.load(LIST.ea(), SeqCst);
                let answer = subject.real_mode(cpu, call);
                cpu.store(LIST.ea(), 0, SeqCst);
                answer
            },
            ListSnapshot,
            "list",
        ),
        // Rules that are checked at the end of the step, in the order of the table.
        (
            "a panic after a change",
            PUT,
            |_, cpu, _| {
                store_tce(cpu, guest(5), 1);
                panic!("changed");
            },
            SubjectCrash,
            "panic",
        ),
        (
            "a call that must be finished is deferred unclean",
            GET,
            |_, cpu, _| {
                store_tce(cpu, guest(5), 1);
                TOO_HARD
            },
            DeferClean,
            "guest value",
        ),
        (
            "unclean in several places: the lowest address",
            NOT_YOUNG,
            |_, cpu, _| {
                store_tce(cpu, hardware(3), 0x1000);
                store_tce(cpu, guest(7), 0x1000);
                cpu.store(flags(0x21), 4, SeqCst);
                add(cpu, 0x20, 1);
                TOO_HARD
            },
            DeferClean,
            "count",
        ),
        (
            "finished what must be deferred, with a wrong status",
            NOT_YOUNG,
            |_, _, _| HcallAnswer::status(Status::FUNCTION),
            DeferPte,
            "real mode",
        ),
        (
            "finished what must be deferred, with wrong entries",
            NOT_YOUNG,
            |_, cpu, _| {
                store_tce(cpu, guest(3), 0x1000);
                HcallAnswer::status(Status::SUCCESS)
            },
            DeferPte,
            "real mode",
        ),
        (
            "a wrong status, a wrong r4 and a wrong entry",
            GET,
            |_, cpu, _| {
                store_tce(cpu, guest(3), 0x1000);
                HcallAnswer { status: Status::P4, r4: Some(5) }
            },
            DivergeStatus,
            "status",
        ),
        (
            "a wrong r4 and a wrong entry",
            GET,
            |_, cpu, _| {
                store_tce(cpu, guest(3), 0x1000);
                HcallAnswer { status: Status::SUCCESS, r4: Some(5) }
            },
            DivergeR4,
            "r4",
        ),
        (
            "flags, a count and an entry, in this order of addresses",
            PUT,
            |subject, cpu, call| {
                let answer = subject.real_mode(cpu, call);
                cpu.store(flags(1), 4, SeqCst);
                add(cpu, 2, 1);
                store_tce(cpu, guest(3), 0x1000);
                answer
            },
            DivergeTce,
            "guest value",
        ),
        (
            "flags and a count",
            PUT,
            |subject, cpu, call| {
                let answer = subject.real_mode(cpu, call);
                cpu.store(flags(1), 4, SeqCst);
                add(cpu, 2, 1);
                answer
            },
            DivergeCount,
            "count",
        ),
    ];
    let mut wrong = Vec::new();
    for (name, steps, real, rule, field) in cases {
        let program = program(FLAT, steps);
        match checker(Hooks { real, ..HONEST }).check(&program) {
            Verdict::Finding(finding)
                if (finding.rule, finding.identity().field.name()) == (rule, field)
                    && finding.place == Place::Step(program.steps.len() - 1) => {}
            verdict => wrong.push(format!("{name}: expected {rule} of {field}, found {verdict:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of several mismatches of one rule, the one at the lowest address is reported, whatever the order of the stores.
#[test]
fn the_lowest_address_is_reported_first() {
    let cases: [(Half, &str); 4] = [
        (
            |subject, cpu, call| {
                let answer = subject.real_mode(cpu, call);
                store_tce(cpu, hardware(2), 0x1000);
                store_tce(cpu, guest(9), 0x1000);
                store_tce(cpu, guest(4), 0x1000);
                answer
            },
            "guest value 4 of window 0x1",
        ),
        (
            |subject, cpu, call| {
                let answer = subject.real_mode(cpu, call);
                store_tce(cpu, hardware(5), 0x1000);
                store_tce(cpu, hardware(2), 0x1000);
                answer
            },
            "hardware entry 2 of window 0x1",
        ),
        (
            |subject, cpu, call| {
                let answer = subject.real_mode(cpu, call);
                add(cpu, 0x30, 1);
                add(cpu, 0x20, 1);
                add(cpu, 0x40, 1);
                answer
            },
            "count of page 0x20",
        ),
        (
            |subject, cpu, call| {
                let answer = subject.real_mode(cpu, call);
                cpu.store(flags(0x40), 4, SeqCst);
                cpu.store(Ea(flags(0x3f).0 + 16), 1, SeqCst);
                answer
            },
            "word at offset 16 of the struct page of page 0x3f",
        ),
    ];
    for (real, what) in cases {
        let verdict = checker(Hooks { real, ..HONEST }).check(&program(FLAT, PUT));
        assert_eq!(verdict.finding().map(Finding::what).as_deref(), Some(what));
    }
}

/// A probe that answers wrongly and changes a count: the difference in memory is reported first.
#[test]
fn memory_comes_before_what_a_probe_answers() {
    let hooks = Hooks {
        get: |_, cpu, pfn| {
            add(cpu, pfn.0, 1);
            contract::ProbeAnswer::Done(true)
        },
        ..HONEST
    };
    let verdict = checker(hooks).check(&program(FLAT, "get_page_unless_zero 0x21\n"));
    let identity = verdict.finding().expect("a finding").identity();
    assert_eq!((identity.rule, identity.field), (Rule::DivergeCount, Field::Count));
}

/// A divergence that no later step reads is reported at the step that caused it, because every store is compared when
/// it happens.
#[test]
fn a_mistake_is_told_where_it_was_made() {
    let hooks = Hooks {
        real: |subject, cpu, call| {
            if call.args[1] == 0x3000 {
                store_tce(cpu, guest(12), 0x1000);
            }
            subject.real_mode(cpu, call)
        },
        ..HONEST
    };
    let steps: String = (0..6).map(|entry| format!("cpu0 H_GET_TCE liobn=0x1 ioba={:#x}\n", entry << 12)).collect();
    let verdict = checker(hooks).check(&program(FLAT, &steps));
    let finding = verdict.finding().expect("a finding");
    assert_eq!((finding.place, finding.agreed), (Place::Step(3), Some(2)));
    assert_eq!(finding.thing, Thing::GuestValue(Liobn(1), 12));
}

/// A skipped step is not an agreed step: the last agreed step is one that ran.
#[test]
fn a_skipped_step_is_not_the_last_agreed_one() {
    let hooks = Hooks { real: |_, _, _| HcallAnswer::status(Status::FUNCTION), ..HONEST };
    for (before, agreed) in [("", None), ("take 0x21\n", None), ("take 0x20\ndrop 0x21\nage 0x0\n", Some(0))] {
        let program = program(FLAT, &format!("{before}{PUT}"));
        let verdict = checker(hooks).check(&program);
        let finding = verdict.finding().expect("a finding");
        assert_eq!((finding.place, finding.agreed), (Place::Step(program.steps.len() - 1), agreed));
    }
}
