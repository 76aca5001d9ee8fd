//! Tests of mutation and crossover: their programs are valid, inside the focus and of limited size, and they reach
//! edges that random bytes do not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use contract::description::{MemoryModel, SECTION_SIZE_BITS, word_count, words};
use contract::hcall::{H_PUT_TCE_INDIRECT, H_STUFF_TCE};
use contract::{Backing, Hypercall, Liobn, Pte, Rule, Step, StepKind, WindowSpec};
use programs::encoding::{RECORD, decode, decode_exact, encode};
use programs::focus::Focus;
use programs::generate::{GeneratorConfig, generate};
use programs::mutate::{
    MAX_GROWN_ENTRIES, MAX_GROWN_STEPS, MAX_GROWN_TOTAL, MAX_GROWN_WORDS, Mutator, crossover, mutate, mutate_with,
    operators,
};
use programs::store;
use realmode_diff::{Dialect, Program, SubjectKind, Tally, Verdict};

fn corpus() -> Vec<Program> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora");
    // Only programs that leave room to grow. Engines keep some programs that fill the largest input.
    let files = ["seeds", "regressions"].map(|folder| store::programs_under(&corpora.join(folder)).expect("a corpus"));
    let files = files.concat();
    files.iter().map(|file| programs::inputs::read_text(file).expect("a program")).collect()
}

/// Largest input in bytes, as an engine sets it.
const MAX_SIZE: usize = 12_000;

/// The inputs from which chains of mutations start.
fn beginnings() -> Vec<Vec<u8>> {
    let drawn = (0..60).map(|index| generate(&GeneratorConfig::default(), 21, index));
    let mut inputs: Vec<Vec<u8>> = corpus().into_iter().chain(drawn).map(|program| encode(&program)).collect();
    // An empty input, one that is no encoding, and a broken encoding.
    inputs.push(Vec::new());
    inputs.push(vec![0xa5; 300]);
    let mut broken = inputs[0].clone();
    broken.extend([0xff; 3 * RECORD + 7]);
    inputs.push(broken);
    inputs
}

fn windows(program: &Program) -> impl Iterator<Item = &WindowSpec> {
    let created = program.steps.iter().filter_map(|step| match step {
        Step::CreateWindow(window) => Some(window),
        _ => None,
    });
    program.machine.windows.iter().chain(created)
}

/// The size of a program: steps, most entries of a window, entries of all windows, most words of one write.
fn size(program: &Program) -> (usize, u64, u64, u64) {
    let written = program.steps.iter().map(|step| match step {
        Step::Write { words, .. } => word_count(words),
        _ => 0,
    });
    let entries = || windows(program).map(|window| window.entries);
    (program.steps.len(), entries().max().unwrap_or(0), entries().sum(), written.max().unwrap_or(0))
}

/// Checks what mutation promises for every output. Returns the program.
fn keeps_promises(out: &[u8], max_size: usize, focus: Focus, seed: u64) -> Program {
    assert!(out.len() <= max_size, "seed {seed}: {} bytes", out.len());
    let program = decode_exact(out).unwrap_or_else(|error| panic!("{focus:?}, seed {seed}: {error}"));
    let mut inside = program.clone();
    focus.apply(&mut inside);
    assert!(inside == program, "{focus:?}, seed {seed}: steps or items outside the focus\n{program}");
    program
}

/// Makes chains of mutations and crossovers in one focus and checks every output. Runs every `check_every`th program,
/// which must agree, and returns the sum of their tallies.
fn chains(focus: Focus, outputs: u64, check_every: u64) -> Tally {
    let inputs = beginnings();
    let mut checker = SubjectKind::Candidate.checker();
    let mut mutator = Mutator::new(focus);
    let mut tally = Tally::default();
    let mut buffer = vec![0; MAX_SIZE + 100];
    let mut other = vec![0; MAX_SIZE];
    let mut seed = (focus as u64) << 32;
    let mut made = 0;
    while made < outputs {
        let first = &inputs[seed as usize % inputs.len()];
        let mut length = first.len().min(MAX_SIZE);
        buffer[..length].copy_from_slice(&first[..length]);
        let bound = size(&decode(&buffer[..length]));
        for depth in 0..10 {
            seed += 1;
            let max_size = if seed.is_multiple_of(7) { length.max(20 * RECORD) } else { MAX_SIZE };
            length = if depth % 4 == 3 {
                let mate = &inputs[(seed as usize * 31) % inputs.len()];
                let length = mutator.crossover(&buffer[..length], mate, &mut other[..max_size], seed);
                buffer[..length].copy_from_slice(&other[..length]);
                length
            } else {
                mutator.mutate(&mut buffer, length, max_size, seed)
            };
            // An input that is no encoding may be returned unchanged if its program does not fit.
            if max_size < MAX_SIZE && decode_exact(&buffer[..length]).is_err() && length <= first.len() && depth == 0 {
                break;
            }
            let program = keeps_promises(&buffer[..length], max_size, focus, seed);
            let (steps, entries, total, words) = size(&program);
            assert!(steps <= bound.0.max(MAX_GROWN_STEPS), "{focus:?}, seed {seed}: {steps} steps");
            assert!(entries <= bound.1.max(MAX_GROWN_ENTRIES), "{focus:?}, seed {seed}: {entries} entries");
            assert!(total <= bound.2.max(MAX_GROWN_TOTAL), "{focus:?}, seed {seed}: {total} entries in all");
            assert!(words <= bound.3.max(MAX_GROWN_WORDS), "{focus:?}, seed {seed}: {words} words");
            made += 1;
            if made % check_every == 0 {
                match checker.check(&program) {
                    Verdict::Agreed => tally.add(checker.tally()),
                    verdict => panic!("{focus:?}, seed {seed}: {verdict:?}\n{program}"),
                }
            }
        }
    }
    assert_eq!(mutator.failures(), 0, "{focus:?}: stderr has a line for each");
    tally
}

#[test]
fn a_hundred_thousand_mutations_keep_every_promise() {
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let threads: Vec<_> = Focus::ALL.map(|focus| scope.spawn(move || chains(focus, 20_000, 12))).into();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    for (focus, tally) in Focus::ALL.into_iter().zip(&tallies) {
        assert!(tally.programs > 1_600, "{focus:?}: {} programs were checked", tally.programs);
        assert_eq!(tally.hypercalls > 0, focus.has_windows(), "{focus:?}");
    }
    let all = &tallies[Focus::ALL.len() - 1];
    assert!(all.accepted * 2 > all.hypercalls, "{} of {} hypercalls were accepted", all.accepted, all.hypercalls);
}

#[test]
fn the_seed_decides() {
    let inputs = beginnings();
    for focus in Focus::ALL {
        // One mutator has mutated before, the other has not.
        let mut used = Mutator::new(focus);
        for (index, input) in inputs.iter().enumerate() {
            let run = |mutator: &mut Mutator, seed: u64| {
                let mut buffer = vec![0; 1 << 14];
                buffer[..input.len()].copy_from_slice(input);
                let size = mutator.mutate(&mut buffer, input.len(), 1 << 14, seed);
                buffer.truncate(size);
                let mut child = vec![0; 1 << 14];
                let size = mutator.crossover(&buffer, &inputs[index / 2], &mut child, seed);
                child.truncate(size);
                (buffer, child)
            };
            let seed = index as u64;
            assert_eq!(run(&mut used, seed), run(&mut Mutator::new(focus), seed), "{focus:?}, input {index}");
        }
        assert_eq!(used.failures(), 0, "{focus:?}: stderr has a line for each");
    }
    let program = decode(&inputs[0]);
    let different: BTreeSet<String> = (0..200)
        .map(|seed| {
            let mut copy = program.clone();
            mutate(&mut copy, Focus::Program, seed);
            copy.to_string()
        })
        .collect();
    assert!(different.len() > 150, "200 seeds made {} programs", different.len());
}

#[test]
fn too_little_room_never_cuts_a_record() {
    let input = encode(&generate(&GeneratorConfig::default(), 3, 4));
    let mut mutator = Mutator::new(Focus::Program);
    for max_size in 0..input.len() {
        let mut buffer = input.clone();
        let size = mutator.mutate(&mut buffer, input.len(), max_size, 9);
        assert!(size <= max_size && size.is_multiple_of(RECORD), "{size} of {max_size}");
        let mut out = vec![0; max_size];
        let size = mutator.crossover(&input, &input, &mut out, 9);
        assert!(size <= max_size && size.is_multiple_of(RECORD), "{size} of {max_size}");
    }
}

/// A small machine that has everything that an operator can change.
const SMALL: &str = "\
realmode-program 1
dialect lopapr
machine sparsemem-vmemmap page_shift=12 struct_page=56 base=0xf000000000000000 block_shift=16 list=0x200000000000
section 0x0
section 0x2
block 0x0 at=0x200001000000*2
block 0x2 at=0x200001080000*2
block 0x7 at=0x200001100000*4
page 0x40 own=1
compound 0x80 order=2
slot 0 gfn=0x0 pages=16 hva=0x7f0000000000
slot 1 gfn=0x20 pages=8 hva=0x7f1000000000
map 0x7f0000000000 present pfn=0x10 writable dirty young pages=8
map 0x7f1000000000 present pfn=0x40 writable dirty young
map 0x7f1000004000 huge pfn=0x80 order=2 writable dirty young
window 0x1 page_shift=12 base=0x0 entries=16 pinned table=0x200002000000 hardware=0x200002001000
window 0x2 page_shift=12 base=0x800000000000000 entries=8 emulated table=0x200002002000
steps
create-window 0x3 page_shift=12 base=0x0 entries=4 pinned table=0x200002003000 hardware=0x200002004000
cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x1003
write 0x2000 0x3003 0x4001
cpu0 H_PUT_TCE_INDIRECT liobn=0x1 ioba=0x2000 list=0x2000 count=0x2
cpu0 H_STUFF_TCE liobn=0x1 ioba=0x2000 tce=0x0 count=0x2
cpu0 H_GET_TCE liobn=0x2 ioba=0x800000000000000
pfn_to_page 0x10
take 0x10
map 0x7f0000008000 present pfn=0x18 writable dirty young
migrate 0x7f0000008000 pfn=0x19
make-compound 0x60 order=1
slot 2 gfn=0x100 pages=4 hva=0x7f2000000000
hot-add 0x1 0x200003000000*4
close-window 0x3
";

fn small() -> Program {
    let program = realmode_diff::parse(SMALL).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(program.validate(), Ok(()));
    program
}

/// Each operator changes a program that has everything, and the result is valid.
#[test]
fn every_operator_works() {
    let small = small();
    for operator in operators() {
        let mut made = BTreeSet::new();
        for seed in 0..60 {
            let mut program = small.clone();
            // The operator "admit" needs a call outside the window, which the program does not have.
            if operator == "admit" {
                program.steps.push(Step::Hypercall { vcpu: 0, call: Hypercall::get(1, 0x10_0000) });
            }
            let before = program.clone();
            if mutate_with(operator, &mut program, Focus::Program, seed) && program != before {
                assert_eq!(program.validate(), Ok(()), "{operator}, seed {seed}");
                made.insert(program.to_string());
            }
        }
        assert!(!made.is_empty(), "{operator} changes nothing");
    }
    assert!(!mutate_with("no such operator", &mut small.clone(), Focus::Program, 1));
}

/// How often each edge was seen, by its name.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    fn note(&mut self, name: &'static str, is: bool) {
        *self.0.entry(name).or_default() += u64::from(is);
    }

    fn call(&mut self, call: &Hypercall, program: &Program) {
        let [liobn, ioba, value, count] = call.args;
        let Some(window) = windows(program).find(|window| window.liobn == Liobn(liobn)) else {
            self.note("a LIOBN that nobody has", call.name().is_some());
            return;
        };
        self.note("a closed window's LIOBN", liobn == 3);
        let page = window.page();
        let end = window.base.wrapping_add(window.entries << window.page_shift);
        self.note("IOBA at the base", ioba == window.base);
        self.note("IOBA of the last entry", ioba == end.wrapping_sub(page));
        self.note("IOBA one past the end", ioba == end);
        self.note("IOBA one page below the base", ioba == window.base.wrapping_sub(page));
        self.note("IOBA off by one", ioba & (page - 1) == 1);
        self.note("the last IOBA of all", ioba == 0u64.wrapping_sub(page));
        if call.opcode == H_STUFF_TCE || call.opcode == H_PUT_TCE_INDIRECT {
            let room = end.wrapping_sub(ioba) >> window.page_shift;
            for (name, is) in [
                ("count 0", count == 0),
                ("count 1", count == 1),
                ("count up to the end", count == room),
                ("count one past the end", count == room + 1),
                ("count 511", count == 511),
                ("count 512", count == 512),
                ("count 513", count == 513),
                ("count of all entries", count == window.entries),
                ("count 2^64 - 1", count == u64::MAX),
            ] {
                self.note(name, is);
            }
        }
        let ends = || program.machine.slots.iter().map(|slot| (slot.gfn.0 << 12, (slot.gfn.0 + slot.pages) << 12));
        if call.opcode == H_PUT_TCE_INDIRECT {
            self.note("a list 8 bytes off", value & 0xfff == 8);
            self.note("a list in the last 4 KiB of a slot", ends().any(|(_, end)| value == end.wrapping_sub(0x1000)));
            self.note("a list outside guest memory", ends().all(|(first, end)| value < first || value >= end));
        } else if call.fields().len() > 2 {
            let address = value & !0xfff;
            let tce = value & 3 != 0;
            self.note("a TCE of a slot's first page", tce && ends().any(|(first, _)| address == first));
            self.note("a TCE of a slot's last page", tce && ends().any(|(_, end)| address == end.wrapping_sub(0x1000)));
            self.note("a TCE just past a slot", tce && ends().any(|(_, end)| address == end));
            self.note("a TCE with bits in between", tce && value & 0xffc != 0);
            for (name, permissions) in [("no permission", 0), ("read", 1), ("write", 2), ("both", 3)] {
                self.note(name, value & 3 == permissions);
            }
        }
    }

    fn pfn(&mut self, pfn: u64, program: &Program) {
        let size = program.machine.struct_page;
        let MemoryModel::SparsememVmemmap { block_shift, .. } = program.machine.memory else { return };
        let at = u128::from(pfn) * u128::from(size);
        let blocks = (at >> block_shift, (at + u128::from(size) - 1) >> block_shift);
        let per_section = program.machine.page_shift.pages_per_section();
        self.note("a split pfn", blocks.0 != blocks.1);
        self.note("the first pfn of a block", at.saturating_sub(size.into()) >> block_shift < blocks.0 && pfn > 0);
        self.note("the first pfn of a section", pfn.is_multiple_of(per_section));
        self.note("the last pfn of a section", pfn % per_section == per_section - 1);
        self.note("pfn_limit", pfn == program.machine.page_shift.pfn_limit());
        self.note("the last pfn", pfn == program.machine.page_shift.pfn_limit() - 1);
        self.note("a compound's head", program.machine.compounds.iter().any(|c| c.pfn.0 == pfn));
        self.note("a compound's tail", program.machine.compounds.iter().any(|c| c.pfn.0 + 1 == pfn));
        self.note("a mapped pfn", program.machine.mappings.iter().any(|m| m.pte.pfn().is_some_and(|p| p.0 == pfn)));
    }

    fn machine(&mut self, program: &Program) {
        let machine = &program.machine;
        match &machine.memory {
            MemoryModel::Flatmem { .. } => self.note("flatmem", true),
            MemoryModel::SparsememVmemmap { block_shift, sections, blocks, base, .. } => {
                self.note("another block size", *block_shift != 16);
                self.note("another base", *base != 0xf << 60);
                self.note("a section more", sections.len() > 2);
                self.note("a section less", sections.len() < 2);
                self.note("the last section", sections.last() == Some(&((1 << (46 - SECTION_SIZE_BITS)) - 1)));
                let adjacent = |pair: &[contract::description::BlockRun]| {
                    pair[0].places.at.0 + (pair[0].places.count << block_shift) == pair[1].places.at.0
                };
                self.note("blocks adjacent, each on its own line", blocks.windows(2).any(adjacent));
                self.note("blocks in five pieces", blocks.len() >= 5);
            }
        }
        self.note("another struct page", machine.struct_page != 56);
        self.note("another PAGE_SHIFT", machine.page_shift.bits() == 16);
        self.note("another dialect", program.dialect != Dialect::Lopapr);
        self.note("a third window", machine.windows.len() > 2);
        self.note("one window", machine.windows.len() == 1);
        self.note("a window at the top", machine.windows.iter().any(|window| window.base >> 63 != 0));
        self.note("a window of one entry", machine.windows.iter().any(|window| window.entries == 1));
        self.note("a window of 513 entries", machine.windows.iter().any(|window| window.entries == 513));
        self.note("all windows emulated", machine.windows.iter().all(|window| window.backing == Backing::Emulated));
        self.note("a third slot", machine.slots.len() > 2);
        self.note("a slot less", machine.slots.len() < 2);
        self.note("slots that alias", machine.slots.len() > 1 && machine.slots[0].hva == machine.slots[1].hva);
        let pte = |is: fn(&Pte) -> bool| machine.mappings.iter().any(|mapping| is(&mapping.pte));
        self.note("an absent page", pte(|pte| matches!(pte, Pte::Absent { .. })));
        self.note("a read-only page", pte(|pte| matches!(pte, Pte::Present { writable: false, .. })));
        self.note("a clean page", pte(|pte| matches!(pte, Pte::Present { dirty: false, .. })));
        self.note("an old page", pte(|pte| matches!(pte, Pte::Present { young: false, .. })));
        self.note("no huge page", !pte(|pte| matches!(pte, Pte::Huge { .. })));
        self.note("a page unmapped", machine.mappings.len() < 3);
        self.note("a page mapped", machine.mappings.len() > 3);
        self.note("another compound", machine.compounds.iter().any(|compound| compound.pfn.0 != 0x80));
        self.note("no compound", machine.compounds.is_empty());
        self.note("contents", !machine.ram.is_empty());
        for (name, own) in
            [("own 0", 0), ("own -1", -1), ("own MAX", i32::MAX), ("own MIN", i32::MIN), ("own 2^30", 1 << 30)]
        {
            let is = machine.pages.iter().any(|page| page.own == own);
            self.note(name, is || own == 0 && machine.pages.is_empty());
        }
    }
}

/// A few thousand mutations of one small program, one or two deep, reach every edge that the mutator knows.
#[test]
fn edges_are_reached() {
    let small = small();
    let mut seen = Seen::default();
    let mut checker = SubjectKind::Candidate.checker();
    let mut tally = Tally::default();
    for seed in 0..8_000 {
        let mut program = small.clone();
        mutate(&mut program, Focus::Program, seed);
        if seed % 2 == 1 {
            mutate(&mut program, Focus::Program, seed + 1_000_000);
        }
        seen.machine(&program);
        for (index, step) in program.steps.iter().enumerate() {
            match step {
                Step::Hypercall { call, .. } => seen.call(call, &program),
                Step::Lookup { pfn } | Step::GetPage { pfn } | Step::PutPage { pfn } | Step::Take { pfn } => {
                    seen.pfn(pfn.0, &program);
                }
                Step::Write { gpa, words: runs } => {
                    let calls = |step: Option<&Step>| matches!(step, Some(Step::Hypercall { call, .. }) if call.opcode == H_PUT_TCE_INDIRECT && call.args[2] == gpa.0);
                    seen.note("a list written right before its call", calls(program.steps.get(index + 1)));
                    seen.note("a bad word in a list", words(runs).any(|tce| tce & 3 != 0 && tce & 0xffc != 0));
                }
                Step::HotRemove { .. } => seen.note("a section removed", true),
                _ => {}
            }
        }
        if seed % 4 == 0 {
            match checker.check(&program) {
                Verdict::Agreed => tally.add(checker.tally()),
                verdict => panic!("seed {seed}: {verdict:?}\n{program}"),
            }
        }
    }
    let rare: Vec<_> = seen.0.iter().filter(|&(_, &times)| times < 3).collect();
    assert!(rare.is_empty(), "seen fewer than three times in 8,000 mutations: {rare:?}\nof {:?}", seen.0);
    // The small program itself drops no last reference and has no split struct page.
    for rule in [Rule::DeferLastRef, Rule::DeferLookup, Rule::DeferPte, Rule::DeferCompound, Rule::LookupSplit] {
        assert!(tally.rule(rule).total() >= 3, "{rule}: {:?}", tally.rule(rule));
    }
}

/// An engine may write any bytes into a step, so a step may ask for a window that can never be created. Such a program
/// is valid.
#[test]
fn windows_that_cannot_be_created_do_no_harm() {
    let mut program = small();
    for (page_shift, entries, base) in [(255, 4, 0), (12, 0, 0), (0, 1, 1), (34, 1 << 16, u64::MAX), (12, 4, 0x10)] {
        let odd = WindowSpec { liobn: Liobn(9), page_shift, entries, base, ..program.machine.windows[0] };
        program.steps.insert(0, Step::CreateWindow(odd));
        program.steps.push(Step::Hypercall { vcpu: 0, call: Hypercall::stuff(9, 0, 0x1003, 2) });
    }
    assert_eq!(program.validate(), Ok(()));
    for seed in 0..3_000 {
        let mut copy = program.clone();
        mutate(&mut copy, Focus::Program, seed);
        assert_eq!(copy.validate(), Ok(()), "seed {seed}");
        let child = crossover(&small(), &copy, Focus::Program, seed);
        assert_eq!(child.validate(), Ok(()), "seed {seed}");
    }
}

/// The kinds of steps in the program.
fn kinds(program: &Program) -> BTreeSet<StepKind> {
    program.steps.iter().map(Step::kind).collect()
}

#[test]
fn a_child_has_something_of_both() {
    let one = small();
    let mut other = small();
    // The second parent has another machine, and steps of kinds that the first parent does not have.
    other.machine.windows[0].liobn = Liobn(0x77);
    other.machine.windows[0].entries = 8;
    other.steps = vec![
        Step::Hypercall { vcpu: 5, call: Hypercall::put(0x77, 0x7000, 0x20_001) },
        Step::Age { hva: contract::Hva(0x7f00_0000_1000) },
        Step::Clean { hva: contract::Hva(0x7f00_0000_1000) },
    ];
    assert_eq!(other.validate(), Ok(()));
    let (mut both, mut followed) = (0, 0);
    for seed in 0..400 {
        let child = crossover(&one, &other, Focus::Program, seed);
        assert_eq!(child.machine, one.machine, "the machine is the first's");
        let kinds = kinds(&child);
        let has_one =
            [StepKind::CreateWindow, StepKind::Take, StepKind::StuffTce].iter().any(|kind| kinds.contains(kind));
        let has_other = kinds.contains(&StepKind::Age) || kinds.contains(&StepKind::Clean);
        both += u64::from(has_one && has_other);
        // A call on the last entry of the other's first window becomes one on the last entry of the first's.
        let put = |step: &Step| matches!(step, Step::Hypercall { vcpu: 5, call } if call.args[..2] == [1, 0xf000]);
        followed += u64::from(child.steps.iter().any(put));
    }
    assert!(both > 200, "{both} of 400 have steps of both");
    assert!(followed > 100, "{followed} of 400 have the other's call on the first's window");
}
