//! Tests of the shrinker, which keeps the identity of a finding and leaves no part that could go, and of the report and
//! the exported test of a shrunk program.

use std::collections::BTreeSet;

use contract::description::{AddrRun, BlockRun, Machine, MemoryModel};
use contract::hcall::{H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE};
use contract::visit::{Field, Place as Number, visit};
use contract::{HcallAnswer, PageShift, RealAddr, Rule, Status, Step};
use machine::Subject as _;
use programs::generate::{GeneratorConfig, generate};
use realmode_diff::check::{Place, Thing};
use realmode_diff::findings::record::{Catch, Origin, shrink_catch};
use realmode_diff::findings::report::{Context, export, outcomes, report};
use realmode_diff::shrink::{Ended, Judge, Limits, MAX_CHECKS, Shrunk};
use realmode_diff::voters::Unavailable;
use realmode_diff::{Checker, Finding, Identity, Program, SubjectKind, Verdict, parse};

use super::findings::wrong::{self, HONEST, Hooks};

/// Mistakes that random programs show: some in any program, some only if several steps and items come together. Each
/// has the rule that it breaks.
const MISTAKES: [(&str, Hooks, Rule); 7] = [
    (
        "STUFF is always deferred",
        Hooks {
            real: |subject, cpu, call| match call.opcode {
                H_STUFF_TCE => HcallAnswer::status(Status::TOO_HARD),
                _ => subject.real_mode(cpu, call),
            },
            ..HONEST
        },
        Rule::RmLazy,
    ),
    (
        "INDIRECT of three entries or more allocates",
        Hooks {
            real: |subject, cpu, call| {
                let answer = subject.real_mode(cpu, call);
                if call.opcode == H_PUT_TCE_INDIRECT && call.args[3] > 2 && answer.status == Status::SUCCESS {
                    cpu.allocate(64);
                }
                answer
            },
            ..HONEST
        },
        Rule::RmAlloc,
    ),
    (
        "virtual mode's H_PUT_TCE panics",
        Hooks {
            virt: |subject, cpu, call| match call.opcode {
                H_PUT_TCE => panic!("a crash"),
                _ => subject.virtual_mode(cpu, call),
            },
            ..HONEST
        },
        Rule::SubjectCrash,
    ),
    ("a close forgets its entries", Hooks { close_window: |_, _, _| {}, ..HONEST }, Rule::DivergeTce),
    ("changes of slots are missed", Hooks { set_slot: |_, _| {}, ..HONEST }, Rule::DivergeStatus),
    ("blocks that come later are missed", Hooks { hot_add: |_, _, _| {}, ..HONEST }, Rule::DivergeLookup),
    (
        "another vCPU that reads an entry which lets the device write is refused",
        Hooks {
            real: |subject, cpu, call| match subject.real_mode(cpu, call) {
                answer if answer.r4.is_some_and(|tce| tce & 2 != 0) && cpu.vcpu() > 0 => {
                    HcallAnswer::status(Status::PARAMETER)
                }
                answer => answer,
            },
            ..HONEST
        },
        Rule::DivergeStatus,
    ),
];

/// The first program of a seed on which the checker finds the rule, with the finding.
fn first(checker: &mut Checker, rule: Rule, seed: u64) -> (Program, Finding) {
    first_of(checker, rule, seed, |_| true)
}

/// Like [`first`], of the programs that `wanted` accepts.
fn first_of(checker: &mut Checker, rule: Rule, seed: u64, wanted: fn(&Program) -> bool) -> (Program, Finding) {
    (0..20_000)
        .map(|index| generate(&GeneratorConfig::default(), seed, index))
        .filter(wanted)
        .find_map(|program| match checker.check(&program) {
            Verdict::Finding(finding) if finding.rule == rule => Some((program, *finding)),
            _ => None,
        })
        .expect("the mistake shows on some program")
}

/// Shrinks with a limit of checks only, so that the result depends on no clock.
fn shrink(judge: &mut dyn Judge, program: &Program) -> Option<Shrunk> {
    realmode_diff::shrink::shrink(judge, program, Limits::checks(MAX_CHECKS)).expect("a voter")
}

fn identity(checker: &mut Checker, program: &Program) -> Option<Identity> {
    checker.check(program).finding().map(|finding| finding.identity())
}

/// All programs that lack one step or one item of `program`, each with the name of what it lacks.
fn smaller(program: &Program) -> Vec<(String, Program)> {
    let mut all = Vec::new();
    let mut without = |what: &str, count: usize, remove: &dyn Fn(&mut Program, usize)| {
        for index in 0..count {
            let mut copy = program.clone();
            remove(&mut copy, index);
            all.push((format!("{what} {}", index + 1), copy));
        }
    };
    let machine = &program.machine;
    without("step", program.steps.len(), &|copy, index| _ = copy.steps.remove(index));
    without("window", machine.windows.len(), &|copy, index| _ = copy.machine.windows.remove(index));
    without("map", machine.mappings.len(), &|copy, index| _ = copy.machine.mappings.remove(index));
    without("slot", machine.slots.len(), &|copy, index| _ = copy.machine.slots.remove(index));
    without("page", machine.pages.len(), &|copy, index| _ = copy.machine.pages.remove(index));
    without("compound", machine.compounds.len(), &|copy, index| _ = copy.machine.compounds.remove(index));
    without("ram", machine.ram.len(), &|copy, index| _ = copy.machine.ram.remove(index));
    if let MemoryModel::SparsememVmemmap { sections, .. } = &machine.memory {
        without("section", sections.len(), &|copy, index| remove_section(&mut copy.machine, index));
    }
    all
}

/// Removes a section and the blocks that no other section needs. If another item names a page of the section, the
/// program is invalid.
fn remove_section(machine: &mut Machine, index: usize) {
    let bytes = machine.page_shift.pages_per_section() * machine.struct_page;
    let MemoryModel::SparsememVmemmap { block_shift, sections, blocks, .. } = &mut machine.memory else { return };
    sections.remove(index);
    let size = 1 << *block_shift;
    let needed = |block: u64| {
        sections.iter().any(|section| section * bytes < (block + 1) * size && block * size < (section + 1) * bytes)
    };
    let single = |run: &BlockRun| {
        let BlockRun { first, places } = *run;
        (0..places.count).map(move |i| BlockRun {
            first: first + i,
            places: AddrRun { at: RealAddr(places.at.0 + i * size), count: 1 },
        })
    };
    *blocks = blocks.iter().flat_map(single).filter(|run| needed(run.first)).collect();
}

/// Checks what must hold for every shrunk program.
fn sound(name: &str, checker: &mut Checker, drawn: &Program, before: &Finding, shrunk: &Shrunk) {
    let Shrunk { program, finding, ended, .. } = shrunk;
    assert_eq!(finding.identity(), before.identity(), "{name}");
    assert_eq!(*ended, Ended::Minimal, "{name}");
    assert_eq!(program.validate(), Ok(()), "{name}");
    assert_eq!(parse(&program.to_string()).as_ref(), Ok(program), "{name}");
    assert!(program.steps.len() <= 6, "{name}: {} steps\n{program}", program.steps.len());
    assert!(program.to_string().len() <= drawn.to_string().len(), "{name}");
    // A check of the shrunk program alone has the same finding.
    match checker.check(program) {
        Verdict::Finding(again) => assert_eq!(&*again, finding, "{name}"),
        verdict => panic!("{name}: {verdict:?}"),
    }
    for (what, smaller) in smaller(program) {
        assert_ne!(
            identity(checker, &smaller),
            Some(finding.identity()),
            "{name}: {what} is not needed\n{program}\n{smaller}"
        );
    }
}

#[test]
fn what_a_program_shows_is_kept_and_nothing_else() {
    for (name, hooks, rule) in MISTAKES {
        let mut checker = wrong::checker(hooks);
        for seed in [41, 42, 43] {
            let (drawn, before) = first(&mut checker, rule, seed);
            let shrunk = shrink(&mut checker, &drawn).expect("a finding");
            sound(name, &mut wrong::checker(hooks), &drawn, &before, &shrunk);
            reports(&shrunk);
        }
    }
}

/// A finding that needs no host pages of 64 KiB shrinks to a program with pages of 4 KiB that still shows it. A section
/// that comes later needs more blocks with small pages, and the shrinker adds none to the step.
#[test]
fn host_pages_become_small() {
    let large = |program: &Program| program.machine.page_shift == PageShift::Shift16;
    for (name, hooks, rule) in MISTAKES.into_iter().filter(|mistake| mistake.2 != Rule::DivergeLookup) {
        let mut checker = wrong::checker(hooks);
        let (drawn, before) = first_of(&mut checker, rule, 51, large);
        let shrunk = shrink(&mut checker, &drawn).expect("a finding");
        sound(name, &mut wrong::checker(hooks), &drawn, &before, &shrunk);
        assert_eq!(shrunk.program.machine.page_shift, PageShift::Shift12, "{name}: {drawn}\n{}", shrunk.program);
    }
}

#[test]
fn the_canary_shrinks_to_two_steps() {
    let mut checker = SubjectKind::Canary.checker();
    for seed in 50..60 {
        let (drawn, before) = first(&mut checker, Rule::DivergeR4, seed);
        let shrunk = shrink(&mut checker, &drawn).expect("a finding");
        sound("canary", &mut SubjectKind::Canary.checker(), &drawn, &before, &shrunk);
        // A write permission is stored, and H_GET_TCE does not return it.
        let kinds: Vec<&str> = shrunk.program.steps.iter().map(|step| step.kind().name()).collect();
        assert!(matches!(kinds[..], ["H_PUT_TCE", "H_GET_TCE"]), "{kinds:?}\n{}", shrunk.program);
        assert_eq!(shrunk.program.machine.windows.len(), 1);
        reports(&shrunk);
        exported(&shrunk);
    }
}

/// A campaign prints the shrunk program, so shrinking must give the same on every machine.
#[test]
fn a_program_shrinks_to_the_same_every_time() {
    let (name, hooks, rule) = MISTAKES[1];
    let (drawn, _) = first(&mut wrong::checker(hooks), rule, 44);
    let mut checker = wrong::checker(hooks);
    let first = shrink(&mut checker, &drawn).expect("a finding");
    let again = shrink(&mut checker, &drawn).expect("a finding");
    similar_asserts::assert_eq!(first.program.to_string(), again.program.to_string(), "{name}");
    assert_eq!((first.finding, first.checks), (again.finding, again.checks));
    // Shrinking a minimal program changes nothing.
    let twice = shrink(&mut checker, &first.program).expect("a finding");
    similar_asserts::assert_eq!(twice.program.to_string(), first.program.to_string());
}

#[test]
fn what_shows_nothing_is_not_shrunk() {
    let program = generate(&GeneratorConfig::default(), 45, 0);
    assert!(shrink(&mut SubjectKind::Candidate.checker(), &program).is_none());
    let mut invalid = program;
    invalid.machine.struct_page = 1;
    assert!(shrink(&mut SubjectKind::Canary.checker(), &invalid).is_none());
}

// ---- how the shrinker works -----------------------------------------------------------------------------------------

/// A judge that has a finding for every program that `has` accepts. It keeps all programs that it is asked about.
struct Strict<F> {
    has: F,
    asked: Vec<Program>,
}

impl<F: FnMut(&Program) -> bool> Judge for Strict<F> {
    fn finding(&mut self, program: &Program) -> Result<Option<Finding>, Unavailable> {
        assert_eq!(program.validate(), Ok(()), "only valid programs are asked about");
        self.asked.push(program.clone());
        Ok((self.has)(program).then(|| blank(program)))
    }

    fn renew(&mut self) -> Result<bool, Unavailable> {
        Ok(true)
    }
}

/// A finding at the end of the program.
fn blank(program: &Program) -> Finding {
    Finding::new("strict", program, Place::End, Rule::DivergeR4, Thing::R4)
}

/// Shrinks a program as far as `has` accepts it. Returns the result and the programs that were tried.
fn strictly(program: &Program, has: impl FnMut(&Program) -> bool) -> (Shrunk, Vec<Program>) {
    let mut judge = Strict { has, asked: Vec::new() };
    let shrunk = shrink(&mut judge, program).expect("a finding");
    (shrunk, judge.asked)
}

/// A program whose numbers are all high: section, pages, slot, window, and their places.
const FAR: &str = "\
realmode-program 1
dialect kvm
machine sparsemem-vmemmap page_shift=16 struct_page=72 base=0xffffffffffe00000 block_shift=16 list=0x200000000000
section 0x5 0x3f
block 0x1 at=0x200000100000
block 0x11 at=0x200000200000
page 0x520 own=7 dirty
compound 0x510 order=4
slot 3 gfn=0x1000 pages=40 hva=0x7f0000000000
map 0x7f0000100000 huge pfn=0x510 order=4 writable dirty young
map 0x7f0000210000 present pfn=0x3f07 writable
window 0x80000000 page_shift=16 base=0x800000000000000 entries=64 pinned table=0x200000310000 hardware=0x200000320000
steps
take 0x3f07
age 0x7f0000210000
write 0x1021f000 0x10110003*3 0x10210001
cpu3 H_PUT_TCE_INDIRECT liobn=0x80000000 ioba=0x800000000050000 list=0x1021f000 count=4
cpu3 H_GET_TCE liobn=0x80000000 ioba=0x800000000080000
";

/// All kinds of numbers shrink, each together with the numbers that refer to it, so that the result looks like a
/// program written by hand.
#[test]
fn what_stays_gets_the_lowest_numbers() {
    let program = parse(FAR).unwrap_or_else(|error| panic!("{error}"));
    // `has` asks for parts that refer to each other: the list, its page in the slot and in the page table, and the
    // entry that is put and read.
    let reference = |program: &Program| {
        let Some((Step::Hypercall { call: get, .. }, before)) = program.steps.split_last() else { return false };
        let put = before.iter().find_map(|step| match step {
            Step::Hypercall { call, .. } if call.opcode == H_PUT_TCE_INDIRECT => Some(call),
            _ => None,
        });
        let writes = |gpa: u64| before.iter().any(|step| matches!(step, Step::Write { gpa: at, .. } if at.0 == gpa));
        let aged = |hva: u64| before.iter().any(|step| matches!(step, Step::Age { hva: at } if at.0 == hva));
        let taken = |pfn: u64| before.iter().any(|step| matches!(step, Step::Take { pfn: at } if at.0 == pfn));
        put.is_some_and(|put| {
            let [liobn, ioba, list, count] = put.args;
            let machine = &program.machine;
            let shift = machine.page_shift.bits();
            let window = machine.windows.iter().find(|window| window.liobn.0 == liobn);
            let hva = machine.slots.iter().find_map(|slot| {
                let index = (list >> shift).wrapping_sub(slot.gfn.0);
                (index < slot.pages).then(|| slot.hva.0 + (index << shift))
            });
            let pfn = hva.and_then(|hva| machine.mappings.iter().find(|m| m.hva.0 == hva)?.pte.pfn());
            let last = window.is_some_and(|w| (ioba.wrapping_sub(w.base) >> w.page_shift) + count <= w.entries);
            // A count of 0 has no last entry. This then wraps, and `count >= 3` below is false.
            let entry = count.wrapping_sub(1);
            let read = window.is_some_and(|w| get.args[1] == ioba.wrapping_add(entry.wrapping_shl(w.page_shift)));
            let sections = matches!(&machine.memory, MemoryModel::SparsememVmemmap { .. });
            sections
                && last
                && read
                && count >= 3
                && writes(list)
                && hva.is_some_and(aged)
                && pfn.is_some_and(|p| taken(p.0))
        })
    };
    assert!(reference(&program));
    let (shrunk, _) = strictly(&program, reference);
    let expected = "\
realmode-program 1
dialect lopapr
machine sparsemem-vmemmap page_shift=12 struct_page=64 base=0xf000000000000000 block_shift=24 list=0x1000000
section 0x0
block 0x0 at=0x2000000
slot 0 gfn=0x0 pages=1 hva=0x0
map 0x0 present pfn=0x0 writable dirty young
window 0x0 page_shift=12 base=0x0 entries=3 emulated table=0x1100000
steps
take 0x0
age 0x0
write 0x0 0x0
cpu0 H_PUT_TCE_INDIRECT liobn=0x0 ioba=0x0 list=0x0 count=3
cpu0 H_GET_TCE liobn=0x0 ioba=0x2000
";
    similar_asserts::assert_eq!(shrunk.program.to_string(), expected);
}

/// Contents of memory go to the lowest addresses that keep the finding: of all memory, of their page, or of the list
/// that they are, which then moves to the start of its page.
#[test]
fn contents_of_memory_get_the_lowest_addresses() {
    let text = FAR.replace("window 0x8", "ram 0x3f070010 0x7*2\nram 0x3f073458 0x5\nram 0x520fff0 0x3\nwindow 0x8");
    let text = text.replace("0x10110003*3 0x10210001", "0x0").replace("write 0x1021f000", "write 0x10213000");
    let program = parse(&text).unwrap_or_else(|error| panic!("{error}"));
    let at = |program: &Program, word: u64| {
        program.machine.ram.iter().find(|ram| ram.words[0].value == word).map(|ram| ram.at.0)
    };
    let of = |shrunk: &Shrunk| [0x7, 0x5, 0x3].map(|word| at(&shrunk.program, word));
    // Only the words matter: they lie one behind the other at the start of memory.
    let all = |program: &Program| [0x7, 0x5, 0x3].iter().all(|word| at(program, *word).is_some());
    let (shrunk, _) = strictly(&program, all);
    let mut found = of(&shrunk).map(|at| at.expect("the words"));
    found.sort_unstable();
    assert_eq!(found, [0, 8, 16], "{}", shrunk.program);
    // The page matters: the word lies at its start.
    let paged = |program: &Program| {
        all(program)
            && program.steps.iter().any(|step| match step {
                Step::Take { pfn } => at(program, 0x5).map(|at| at >> program.machine.page_shift.bits()) == Some(pfn.0),
                _ => false,
            })
    };
    assert!(paged(&program));
    let (shrunk, _) = strictly(&program, paged);
    assert_eq!(at(&shrunk.program, 0x5).map(|at| at % 4096), Some(0), "{}", shrunk.program);
    // The offset in pages of 64 KiB matters: it is that of a `write`.
    let listed = |program: &Program| {
        program.machine.page_shift == PageShift::Shift16
            && program.steps.iter().any(|step| match step {
                Step::Write { gpa, .. } => at(program, 0x5).is_some_and(|at| (at ^ gpa.0) & 0xf000 == 0),
                _ => false,
            })
    };
    assert!(listed(&program));
    let (shrunk, _) = strictly(&program, listed);
    assert_eq!(of(&shrunk), [None, Some(0), None], "{}", shrunk.program);
}

/// Whatever the field, the shrinker tries programs in which a number of it has changed.
#[test]
fn every_field_is_tried() {
    let numbers = |program: &Program| {
        let mut all = Vec::new();
        visit(program, &mut |place, number| all.push((place, number)));
        all
    };
    let mut tried = BTreeSet::new();
    let drawn = (0..40).map(|index| generate(&GeneratorConfig::default(), 52, index));
    // Generated mappings have one page.
    let many = parse(&FAR.replace("pfn=0x3f07 writable", "pfn=0x3f07 writable pages=3")).expect("a program");
    for program in drawn.chain([many]) {
        let (_, asked) = strictly(&program, |tried| *tried == program);
        let before = numbers(&program);
        let places = |numbers: &[(Number, u64)]| numbers.iter().map(|number| number.0).collect::<Vec<_>>();
        for after in asked.iter().map(numbers).filter(|after| places(after) == places(&before)) {
            let changed = before.iter().zip(&after).filter(|(before, after)| before.1 != after.1);
            tried.extend(changed.map(|(before, _)| before.0.field));
        }
    }
    let missing: Vec<&Field> = Field::ALL.iter().filter(|field| !tried.contains(field)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Counts are halved, not decremented: the shrinker gets from 512 entries to 300 with less than 120 programs.
#[test]
fn counts_shrink_by_halving() {
    let text = FAR.replace("entries=64", "entries=512").replace("0x10110003*3 0x10210001", "0x10110003*400 0x0*112");
    let text = text.replace("count=4", "count=512").replace("ioba=0x800000000050000", "ioba=0x800000000000000");
    let program = parse(&text).unwrap_or_else(|error| panic!("{error}"));
    let calls = |program: &Program| {
        let counts = program.steps.iter().filter_map(|step| match step {
            Step::Hypercall { call, .. } if call.opcode == H_PUT_TCE_INDIRECT => Some(call.args[3]),
            _ => None,
        });
        counts.max()
    };
    let (shrunk, asked) = strictly(&program, |program| calls(program) >= Some(300));
    assert_eq!(calls(&shrunk.program), Some(300));
    assert_eq!(shrunk.program.steps.len(), 1);
    assert!(asked.len() < 120, "{} programs were tried", asked.len());
}

#[test]
fn no_program_is_tried_twice() {
    let mut checker = wrong::checker(MISTAKES[1].1);
    let (drawn, _) = first(&mut checker, MISTAKES[1].2, 48);
    for program in [parse(FAR).expect("a program"), drawn] {
        let (shrunk, asked) = strictly(&program, |program| {
            program.steps.iter().any(|step| matches!(step, Step::Hypercall { call, .. } if call.args[3] > 2))
        });
        let different: std::collections::HashSet<&Program> = asked.iter().collect();
        assert_eq!(different.len(), asked.len());
        // The first program asked about is the program itself, which does not count as a check.
        assert_eq!(shrunk.checks + 1, asked.len() as u64);
    }
}

#[test]
fn limits_are_kept_and_told() {
    let program = parse(FAR).unwrap_or_else(|error| panic!("{error}"));
    let mut judge = Strict { has: |program: &Program| program.steps.len() > 1, asked: Vec::new() };
    let mut within =
        |limits| realmode_diff::shrink::shrink(&mut judge, &program, limits).expect("a voter").expect("a finding");
    let none = within(Limits { checks: MAX_CHECKS, time: Some(std::time::Duration::ZERO) });
    assert_eq!((none.ended, none.checks, &none.program), (Ended::Time, 0, &program));
    let some = within(Limits::checks(3));
    assert_eq!((some.ended, some.checks), (Ended::Checks, 3));
    assert_eq!(within(Limits::checks(MAX_CHECKS)).ended, Ended::Minimal);
    let told = |ended| report(&program, &none.finding, Context { origin: "", ended });
    assert!(told(Some(Ended::Time)).contains("not 1-minimal: the time ran out"));
    assert!(told(Some(Ended::Checks)).contains("not 1-minimal: the budget of checks ran out"));
    assert!(!told(None).contains("minimal"));
}

/// A judge that shows the finding on every program but, after it was renewed, on the drawn one only. So the shrunk
/// program does not show the finding on a fresh subject, and the shrinker runs twice.
struct Forgetful {
    drawn: Program,
    fresh: bool,
    /// How often it can be renewed.
    left: u64,
    asked: u64,
}

impl Judge for Forgetful {
    fn finding(&mut self, program: &Program) -> Result<Option<Finding>, Unavailable> {
        self.asked += 1;
        let fresh = std::mem::take(&mut self.fresh);
        Ok((!fresh || *program == self.drawn).then(|| blank(program)))
    }

    fn renew(&mut self) -> Result<bool, Unavailable> {
        self.fresh = true;
        self.left = self.left.checked_sub(1).ok_or_else(|| Unavailable("no fresh one is left".into()))?;
        Ok(true)
    }
}

/// Both runs of the shrinker take their checks from one budget.
#[test]
fn a_second_run_of_the_shrinker_has_what_the_first_left() {
    let program = parse(FAR).unwrap_or_else(|error| panic!("{error}"));
    let forgetful = |left| Forgetful { drawn: program.clone(), fresh: false, left, asked: 0 };
    let mut judge = forgetful(u64::MAX);
    let origin = Origin::Engine { engine: "test".into(), file: None };
    let catch = Catch { origin, finding: blank(&program), program: program.clone() };
    let shrinks = |judge: &mut Forgetful| shrink_catch(judge, &catch, true, &mut Limits::checks(5).begin());
    let shrunk = shrinks(&mut judge).expect("fresh judges").expect("a finding");
    assert_eq!((shrunk.ended, &shrunk.program), (Ended::Checks, &catch.program));
    // Beside the five checks: the catch's program before the shrinking and in both runs, and the shrunk program once.
    assert_eq!(judge.asked, 5 + 4);
    // The first run begins with two fresh judges and ends with one more, the second has one for each program. Where
    // there is none, it is not known whether the finding shows.
    for left in 0..4 {
        let mut judge = forgetful(left);
        let gone = shrinks(&mut judge).expect_err("a loss");
        assert_eq!(gone.to_string(), "no fresh one is left", "{left}");
    }
}

// ---- report and exported test ---------------------------------------------------------------------------------------

/// Parses the program at the end of a longer text.
fn program_in(text: &str) -> Program {
    let start = text.find(contract::text::HEADER).expect("a header");
    parse(&text[start..]).unwrap_or_else(|error| panic!("{error}"))
}

/// The report names the rule, the place and both values, and contains the program.
fn reports(shrunk: &Shrunk) {
    let Shrunk { program, finding, .. } = shrunk;
    let context = Context { origin: "seed 1, program 2", ended: Some(Ended::Minimal) };
    let text = report(program, finding, context);
    let line = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)).map_or_else(|| panic!("no {key} in\n{text}"), str::trim)
    };
    let rule = finding.rule;
    assert_eq!(line("finding "), format!("{rule}: {}", rule.meaning()));
    assert_eq!(line("section "), format!("docs/semantics.md {}", rule.section()));
    assert_eq!(line("subject "), finding.voter);
    assert_eq!(line("program "), "seed 1, program 2");
    assert_eq!(line("expected "), finding.expected);
    assert_eq!(line("found "), finding.found);
    let field = line("field ");
    assert!(field.starts_with(finding.identity().field.name()) && field.ends_with(&finding.what()), "{field}");
    let step = |index: usize| match program.steps.get(index) {
        Some(step) => format!("step {}: {step}", index + 1),
        None => "the end of the program".into(),
    };
    assert_eq!(line("differs "), step(finding.place.steps_before(&shrunk.program)));
    assert_eq!(line("agreed "), finding.agreed.map_or("none before it".into(), step));
    assert!(text.contains("1-minimal"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours");
    for object in &finding.objects {
        assert!(text.contains(&format!("\n{}:\n", object.name)), "{text}");
    }
    assert_eq!(&program_in(&text), program);
}

/// Checks the parts of an exported test as text, because it is not compiled here: its name, its program and the array
/// of outcomes, which is what the reference says.
fn exported(shrunk: &Shrunk) {
    let Shrunk { program, finding, .. } = shrunk;
    for finding in [Some(finding), None] {
        let text = export(program, finding);
        assert_eq!(text.matches("#[test]").count(), 1);
        let name = text.split_once("fn ").and_then(|(_, rest)| rest.split_once("()")).expect("a function").0;
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{name}");
        let prefix = finding.map_or("program".into(), |f| f.identity().rule.id().to_lowercase().replace('.', "_"));
        assert!(name.starts_with(&prefix), "{name}");
        let expected = text.split_once("] = [\n").and_then(|(_, rest)| rest.split_once("    ];")).expect("an array").0;
        let lines: String = outcomes(program).iter().map(|line| format!("        {line:?},\n")).collect();
        similar_asserts::assert_eq!(expected, lines);
        assert!(text.contains("report::assert_agrees(&program);"));
        assert!(text.contains("assert_eq!(realmode_diff::report::outcomes(&program), expected);"));
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        if let Some(finding) = finding {
            assert!(text.starts_with(&format!("/// {finding}.\n")), "{text}");
        }
        for line in text.lines().take_while(|line| !line.starts_with("fn ")) {
            assert!(line.starts_with("///") || line == "#[test]", "{line}");
        }
    }
}

/// The string literal of an exported test is the program. A backslash of a raw string is itself.
#[test]
fn the_literal_of_an_exported_test_is_the_program() {
    let program = generate(&GeneratorConfig::default(), 46, 0);
    let text = export(&program, None);
    let (before, rest) = text.split_once("realmode_diff::parse(").expect("a call");
    assert!(!before.contains('"'));
    let literal = rest.trim_start();
    let found = match literal.strip_prefix("r\"") {
        Some(raw) => raw.split_once('"').expect("an end").0.to_string(),
        None => {
            let plain = literal.strip_prefix('"').and_then(|plain| plain.split_once('"')).expect("a literal").0;
            // In a plain string a backslash at the end of a line removes the line break and the blanks after it.
            plain.split("\\\n").map(str::trim_start).collect()
        }
    };
    assert_eq!(parse(&found).map_err(|error| error.to_string()), Ok(program));
}

/// A program without steps, a finding at the end and a finding at the start have a report and an exported test.
#[test]
fn findings_at_either_end_are_told() {
    let machine = "realmode-program 1\ndialect lopapr\n\
                   machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=1\n\
                   window 0x1 page_shift=12 base=0x0 entries=1 emulated table=0x9000000\nsteps\n";
    let cases = [
        (Hooks { start: |_, _, _| panic!("at the start"), ..HONEST }, "", "start", 0),
        (
            Hooks { close_window: |_, _, _| panic!("at the end"), ..HONEST },
            "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x0\n",
            "end",
            0,
        ),
    ];
    for (hooks, steps, kind, left) in cases {
        let program = parse(&format!("{machine}{steps}")).unwrap_or_else(|error| panic!("{error}"));
        let mut checker = wrong::checker(hooks);
        let shrunk = shrink(&mut checker, &program).expect("a finding");
        assert_eq!((shrunk.finding.kind.name(), shrunk.program.steps.len()), (kind, left));
        assert_eq!(shrunk.finding.agreed, None);
        let text = report(&shrunk.program, &shrunk.finding, Context::default());
        assert_eq!(program_in(&text), shrunk.program);
        let agreed = text.lines().find(|line| line.starts_with("agreed")).expect("a line");
        assert!(agreed.ends_with("none before it"), "{agreed}");
        assert!(export(&shrunk.program, Some(&shrunk.finding)).contains("let expected: [&str; 0] = [\n    ];"));
    }
}

/// A finding at the start of a program names no step.
#[test]
fn a_crash_at_the_start_names_no_step() {
    let program = generate(&GeneratorConfig::default(), 47, 0);
    let mut checker = wrong::checker(Hooks { start: |_, _, _| panic!("at the start"), ..HONEST });
    let verdict = checker.check(&program);
    let finding = verdict.finding().expect("a finding");
    assert!(!finding.to_string().contains("step 1"), "{finding}");
    let text = report(&program, finding, Context::default());
    let differs = text.lines().find(|line| line.starts_with("differs")).expect("a line");
    assert!(!differs.contains("step 1"), "{differs}");
}
