//! Tests of the generator: it draws only valid programs, most of their calls succeed, and together they reach every
//! outcome and edge.

use std::collections::BTreeMap;

use contract::description::{MemoryModel, words};
use contract::hcall::{H_PUT_TCE_INDIRECT, H_STUFF_TCE, MAX_TCES_PER_CALL};
use contract::program::{MAX_STEPS, MAX_VCPUS};
use contract::{Hypercall, PageShift, Rule, Step, StepKind, WindowSpec};
use programs::generate::{GeneratorConfig, Limits, decode, generate};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use realmode_diff::voters::qemu::{self, Board, LISTS_BELOW};
use realmode_diff::{Checker, Dialect, Program, SubjectKind, Tally, Verdict};

const ANY: GeneratorConfig = GeneratorConfig { dialect: None, limits: Limits::NONE };

/// No program has more steps than this. The swarm draws at most 48 times, each time a few steps.
const STEPS: usize = 256;

fn runs(checker: &mut Checker, program: &Program) -> Tally {
    assert!(program.steps.len() <= STEPS, "{} steps", program.steps.len());
    match checker.check(program) {
        Verdict::Agreed => checker.tally().clone(),
        verdict => panic!("{verdict:?}\n{program}"),
    }
}

#[test]
fn what_is_drawn_is_a_valid_program() {
    for (seed, dialect) in [(1, None), (2, Some(Dialect::Lopapr)), (3, Some(Dialect::Kvm)), (4, Some(Dialect::Qemu))] {
        for index in 0..2_000 {
            let program = generate(&GeneratorConfig { dialect, ..GeneratorConfig::default() }, seed, index);
            if let Err(invalid) = program.validate() {
                panic!("seed {seed}, program {index}: {invalid}\n{program}");
            }
            assert!(dialect.is_none_or(|dialect| dialect == program.dialect));
            assert!((1..=STEPS).contains(&program.steps.len()), "{} steps", program.steps.len());
        }
    }
}

/// Seed and index are enough to draw a program again, on another thread, in another order, and at the ends of the
/// range.
#[test]
fn seed_and_index_name_a_program() {
    let indices = [0, 1, 2, 63, 64, 1 << 20, u64::MAX - 1, u64::MAX];
    for seed in [0, 1, 7, u64::MAX] {
        let first: Vec<Program> = indices.iter().map(|&index| generate(&ANY, seed, index)).collect();
        let again: Vec<Program> = std::thread::spawn(move || {
            indices.iter().rev().map(|&index| generate(&ANY, seed, index)).collect::<Vec<_>>()
        })
        .join()
        .expect("no panic");
        assert!(first.iter().eq(again.iter().rev()));
    }
}

/// Different pairs of seed and index give different programs, neighbours and pairs with the same sum among them.
#[test]
fn other_seeds_and_indices_name_other_programs() {
    let mut seen = BTreeMap::new();
    for seed in 0..40 {
        for index in 0..40 {
            if let Some(before) = seen.insert(generate(&ANY, seed, index).to_string(), (seed, index)) {
                panic!("{before:?} and {:?} name the same program", (seed, index));
            }
        }
    }
}

#[test]
fn dialects_are_mixed_lopapr_most() {
    let mut counts = BTreeMap::new();
    for index in 0..1_000 {
        *counts.entry(generate(&ANY, 5, index).dialect).or_insert(0) += 1;
    }
    let [lopapr, kvm, qemu] = Dialect::ALL.map(|dialect| counts.get(&dialect).copied().unwrap_or(0));
    assert!(lopapr > kvm && kvm > qemu && qemu > 50, "{counts:?}");
}

// ---- the total decoder ----------------------------------------------------------------------------------------------

#[test]
fn every_byte_string_is_a_program_that_runs() {
    let mut rng = StdRng::seed_from_u64(6);
    let mut checker = SubjectKind::Candidate.checker();
    let mut inputs: Vec<Vec<u8>> = vec![Vec::new()];
    for length in [1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 255, 4096, 1 << 16] {
        for byte in [0, 0xff, 0x80, 0x7f, 1] {
            inputs.push(vec![byte; length]);
        }
        let mut random = vec![0; length];
        rng.fill_bytes(&mut random);
        inputs.push(random);
    }
    for _ in 0..1_000 {
        let mut random = vec![0; rng.random_range(0..3_000)];
        rng.fill_bytes(&mut random);
        // Fuzzing engines often write runs of one byte.
        if rng.random_range(0..2) == 0 && !random.is_empty() {
            let start = rng.random_range(0..random.len());
            let end = rng.random_range(start..random.len());
            random[start..end].fill([0, 0xff, 0x7f][rng.random_range(0..3)]);
        }
        inputs.push(random);
    }
    for input in &inputs {
        let program = decode(input);
        assert_eq!(program.validate(), Ok(()), "{input:x?}");
        assert_eq!(program, decode(input));
        runs(&mut checker, &program);
    }
}

/// Bytes after the last decision change nothing, so a mutation by an engine stays local.
#[test]
fn bytes_past_the_last_decision_mean_nothing() {
    let mut rng = StdRng::seed_from_u64(8);
    for _ in 0..100 {
        let mut bytes = vec![0; 1 << 16];
        rng.fill_bytes(&mut bytes);
        let program = decode(&bytes);
        bytes.extend([0xff; 64]);
        assert_eq!(decode(&bytes), program, "64 KiB are more than a program takes");
    }
    assert_eq!(decode(&[]), decode(&[0; 100]), "what is missing reads as zero");
}

#[test]
fn decoded_programs_differ() {
    let mut rng = StdRng::seed_from_u64(9);
    let programs: std::collections::BTreeSet<String> = (0..300)
        .map(|_| {
            let mut bytes = vec![0; 1_000];
            rng.fill_bytes(&mut bytes);
            decode(&bytes).to_string()
        })
        .collect();
    assert_eq!(programs.len(), 300);
}

// ---- outcomes of the programs ---------------------------------------------------------------------------------------

/// Most hypercalls succeed, every outcome is reached, and few steps are skipped. Programs whose calls are all refused
/// find nothing.
#[test]
fn programs_do_much_and_reach_everything() {
    let mut checker = SubjectKind::Candidate.checker();
    let mut sum = Tally::default();
    let mut reached_after = None;
    for index in 0..4_000 {
        sum.add(&runs(&mut checker, &generate(&ANY, 10, index)));
        if reached_after.is_none() && sum.reached() == Rule::outcomes().count() {
            reached_after = Some(index + 1);
        }
    }
    let unreached: Vec<Rule> = Rule::outcomes().filter(|&rule| sum.rule(rule).total() == 0).collect();
    assert!(unreached.is_empty(), "never reached: {unreached:?}");
    assert!(reached_after.is_some_and(|programs| programs <= 3_000), "all reached after {reached_after:?} programs");
    let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole as f64;
    let accepted = percent(sum.accepted, sum.hypercalls);
    assert!((65.0..95.0).contains(&accepted), "{accepted:.1} % of hypercalls are accepted");
    let skipped = percent(sum.skipped, sum.steps);
    assert!(skipped < 20.0, "{skipped:.1} % of steps are skipped");
    let deferred = percent(sum.deferred, sum.hypercalls);
    assert!((3.0..40.0).contains(&deferred), "{deferred:.1} % of hypercalls are deferred");
    assert!(sum.hypercalls > 8 * sum.programs, "{} hypercalls in {} programs", sum.hypercalls, sum.programs);
}

#[test]
fn each_dialect_accepts_most_of_its_calls() {
    for dialect in Dialect::ALL {
        let mut checker = SubjectKind::Candidate.checker();
        let mut sum = Tally::default();
        for index in 0..600 {
            sum.add(&runs(
                &mut checker,
                &generate(&GeneratorConfig { dialect: Some(dialect), ..GeneratorConfig::default() }, 11, index),
            ));
        }
        assert!(sum.accepted * 100 >= sum.hypercalls * 65, "{dialect}: {} of {}", sum.accepted, sum.hypercalls);
    }
}

// ---- edges ---------------------------------------------------------------------------------------------------------

/// How often each edge was seen, by its name.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    fn note(&mut self, name: &'static str, is: bool) {
        *self.0.entry(name).or_default() += u64::from(is);
    }

    fn calls(&mut self, call: &Hypercall, windows: &[WindowSpec]) {
        let [liobn, ioba, value, count] = call.args;
        self.note("an unknown opcode", call.name().is_none());
        self.note("an opcode with upper bits", call.opcode >> 32 != 0);
        let Some(window) = windows.iter().find(|window| window.liobn.0 == liobn) else {
            self.note("an unknown LIOBN", call.name().is_some());
            return;
        };
        let page = window.page();
        let end = window.base.wrapping_add(window.entries << window.page_shift);
        self.note("the last IOBA", ioba == end.wrapping_sub(page));
        self.note("an IOBA one past the end", ioba == end);
        self.note("an IOBA one page below the base", ioba == window.base.wrapping_sub(page));
        self.note("IOBA 2^63", ioba == 1 << 63);
        self.note("the last IOBA of all", ioba == 0u64.wrapping_sub(page));
        self.note("an IOBA unaligned by 1", ioba & (page - 1) == 1);
        self.note("an IOBA unaligned by a page less 1", ioba & (page - 1) == page - 1);
        let stuff = call.opcode == H_STUFF_TCE;
        let indirect = call.opcode == H_PUT_TCE_INDIRECT;
        if stuff || indirect {
            let room = end.wrapping_sub(ioba) >> window.page_shift;
            for (name, is) in [("STUFF", stuff), ("INDIRECT", indirect)] {
                if is {
                    self.counts(name, count, room, window.entries);
                }
            }
        }
        if indirect {
            self.note("a list + 8", value & 0xfff == 8);
            self.note("a list in the middle of its page", value & 0xfff == 0x800);
            self.note("a list past all memory", value >= 1 << 60);
        } else if call.opcode != contract::hcall::H_GET_TCE {
            self.note("a fault TCE", value & 3 == 0);
            self.note("a fault TCE with address bits", value & 3 == 0 && value != 0);
            for (name, permissions) in [("a read TCE", 1), ("a write TCE", 2), ("a read-write TCE", 3)] {
                self.note(name, value & 3 == permissions);
            }
            self.note("a TCE with bit 2", value & 3 != 0 && value & 4 != 0);
            self.note("a poison TCE", value == !3);
            self.note("a TCE at the end of 64 bits", value == 0xffff_ffff_ffff_f003);
        }
    }

    fn counts(&mut self, call: &'static str, count: u64, room: u64, entries: u64) {
        let names = match call {
            "STUFF" => [
                "STUFF of 0",
                "STUFF of 1",
                "STUFF of 512",
                "STUFF of 513",
                "STUFF of all entries + 1",
                "STUFF past the end by 1",
                "STUFF up to the end",
                "STUFF of 2^52",
                "STUFF of 2^64 - 1",
            ],
            _ => [
                "INDIRECT of 0",
                "INDIRECT of 1",
                "INDIRECT of 512",
                "INDIRECT of 513",
                "INDIRECT of all entries + 1",
                "INDIRECT past the end by 1",
                "INDIRECT up to the end",
                "INDIRECT of 2^52",
                "INDIRECT of 2^64 - 1",
            ],
        };
        let is = [
            count == 0,
            count == 1,
            count == MAX_TCES_PER_CALL,
            count == MAX_TCES_PER_CALL + 1,
            count == entries + 1,
            count == room.wrapping_add(1) && room <= entries,
            count == room && room <= entries,
            count == 1 << 52,
            count == u64::MAX,
        ];
        for (name, is) in names.into_iter().zip(is) {
            self.note(name, is);
        }
    }

    fn machine(&mut self, program: &Program) {
        let machine = &program.machine;
        for (name, size) in [("S = 56", 56), ("S = 64", 64), ("S = 72", 72), ("S = 80", 80)] {
            self.note(name, machine.struct_page == size);
        }
        self.note("PAGE_SHIFT 12", machine.page_shift == PageShift::Shift12);
        self.note("PAGE_SHIFT 16", machine.page_shift == PageShift::Shift16);
        match &machine.memory {
            MemoryModel::Flatmem { .. } => self.note("flatmem", true),
            MemoryModel::SparsememVmemmap { base, block_shift, sections, blocks, .. } => {
                for (name, shift) in
                    [("4 KiB blocks", 12), ("64 KiB blocks", 16), ("2 MiB blocks", 21), ("16 MiB blocks", 24)]
                {
                    self.note(name, *block_shift == shift);
                }
                self.note("the last section below 2^46", sections.last() == Some(&((1 << 22) - 1)));
                self.note("a vmemmap that ends at 2^64", *base > 0xf << 60);
                self.note("block runs out of order in real memory", !blocks.is_sorted_by_key(|run| run.places.at));
                self.note("several block runs", blocks.len() > 1);
                for (name, split, size) in [
                    ("split pfn 73 named", 73, (56, 12)),
                    ("split pfn 1170 named", 1170, (56, 16)),
                    ("split pfn 37449 named", 37449, (56, 21)),
                    ("split pfn 299593 named", 299_593, (56, 24)),
                ] {
                    if (machine.struct_page, *block_shift) == size {
                        let mapped = machine.mappings.iter().any(|m| m.pte.pfn().is_some_and(|pfn| pfn.0 == split));
                        let probed = program.steps.iter().any(|step| match step {
                            Step::Lookup { pfn } | Step::GetPage { pfn } | Step::PutPage { pfn } => pfn.0 == split,
                            _ => false,
                        });
                        self.note(name, mapped || probed);
                    }
                }
            }
        }
        for (name, order) in [("a compound of order 1", 1), ("of order 2", 2), ("of order 3", 3), ("of order 4", 4)] {
            self.note(name, machine.compounds.iter().any(|compound| compound.order == order));
        }
        for (name, own) in [
            ("own -1", -1),
            ("own 1", 1),
            ("own 2", 2),
            ("own MAX", i32::MAX),
            ("own MIN", i32::MIN),
            ("own 2^30", 1 << 30),
        ] {
            self.note(name, machine.pages.iter().any(|page| page.own == own));
        }
        let last = (1 << (64 - machine.page_shift.bits())) - 1;
        self.note("the last guest frame", machine.slots.iter().any(|slot| slot.gfn.0 + (slot.pages - 1) == last));
        let aliases =
            |a: &contract::description::SlotSpec, b: &contract::description::SlotSpec| a.id != b.id && a.hva == b.hva;
        self.note("slots that alias", machine.slots.iter().any(|a| machine.slots.iter().any(|b| aliases(a, b))));
    }

    fn window(&mut self, window: &WindowSpec, dialect: Dialect, host: PageShift) {
        let bytes = u128::from(window.entries) << window.page_shift;
        self.note("a window that ends at 2^64", u128::from(window.base) + bytes == 1 << 64);
        self.note("a window of 1 entry", window.entries == 1);
        self.note("a window of 513 entries", window.entries == 513);
        self.note("a window of 4096 entries", window.entries == 4096);
        self.note("a base that is no multiple of the page (qemu)", window.base & (window.page() - 1) != 0);
        self.note("a LIOBN over 32 bits", window.liobn.0 >> 32 != 0);
        self.note("LIOBN 0", window.liobn.0 == 0);
        let pinned = window.backing != contract::Backing::Emulated;
        assert!(dialect != Dialect::Qemu || !pinned);
        for (name, pair) in [
            ("pages 12 on 12", (12, 12)),
            ("pages 12 on 16", (12, 16)),
            ("pages 16 on 16", (16, 16)),
            ("pages 24 on 16", (24, 16)),
            ("pages 24 on 12", (24, 12)),
            ("pages 21 on 16", (21, 16)),
            ("pages 30 on 12", (30, 12)),
            ("pages 34 on 16", (34, 16)),
        ] {
            self.note(name, (window.page_shift, host.bits()) == pair);
        }
        self.note("pinned, of smaller pages than the host's", pinned && window.page_shift < host.bits());
    }

    fn step(&mut self, step: &Step, program: &Program) {
        let per_section = program.machine.page_shift.pages_per_section();
        match step {
            Step::Hypercall { vcpu, .. } => {
                assert!(*vcpu < MAX_VCPUS);
                self.note("another vCPU", *vcpu > 0);
            }
            Step::Lookup { pfn } | Step::GetPage { pfn } | Step::PutPage { pfn } => {
                let limit = program.machine.page_shift.pfn_limit();
                self.note("a probe of the last pfn", pfn.0 == limit - 1);
                self.note("a probe one past the last pfn", pfn.0 == limit);
                self.note("a probe of pfn 2^64 - 1", pfn.0 == u64::MAX);
                self.note("a probe of a section's first page", pfn.0 % per_section == 0);
                self.note("a probe of a section's last page", pfn.0 % per_section == per_section - 1);
            }
            Step::Write { words: runs, .. } => {
                let words: Vec<u64> = words(runs).collect();
                self.note("a list of 512 words", words.len() == 512);
                self.note("a bad word in a list", words.iter().any(|tce| tce & 3 != 0 && tce & 4 != 0));
            }
            Step::HotAdd { blocks, .. } => self.note("hot-add with several places", blocks.len() > 1),
            Step::Slot(slot) => {
                self.note("a slot deleted", slot.pages == 0);
                self.note("a slot changed", slot.pages > 0);
            }
            _ => {}
        }
    }
}

/// The boundary values at which real handlers went wrong (docs/kernel-bugs.md) and those of docs/semantics.md occur,
/// each at least five times in 8,000 programs.
#[test]
fn edges_are_drawn() {
    let mut seen = Seen::default();
    let mut kinds: BTreeMap<StepKind, u64> = BTreeMap::new();
    for index in 0..8_000 {
        let program = generate(&ANY, 12, index);
        assert!(program.steps.len() <= MAX_STEPS);
        seen.machine(&program);
        let mut windows = program.machine.windows.clone();
        for window in &windows {
            seen.window(window, program.dialect, program.machine.page_shift);
        }
        for step in &program.steps {
            *kinds.entry(step.kind()).or_default() += 1;
            seen.step(step, &program);
            match step {
                Step::Hypercall { call, .. } => seen.calls(call, &windows),
                Step::CreateWindow(window) => {
                    seen.window(window, program.dialect, program.machine.page_shift);
                    windows.push(*window);
                }
                _ => {}
            }
        }
    }
    assert_eq!(kinds.len(), StepKind::ALL.len(), "every kind of step is drawn: {kinds:?}");
    let rare: Vec<_> = seen.0.iter().filter(|&(_, &times)| times < 5).collect();
    assert!(rare.is_empty(), "seen fewer than five times in 8,000 programs: {rare:?}\nof {:?}", seen.0);
}

#[test]
fn live_programs_are_valid_and_fit_a_qemu() {
    for dialect in Dialect::ALL {
        let config = GeneratorConfig { dialect: Some(dialect), limits: qemu::limits() };
        // The board changes every 1024 programs, so the test takes programs that are far apart.
        for index in (0..600).map(|number| number * 331) {
            let program = generate(&config, 13, index);
            program.validate().unwrap_or_else(|invalid| panic!("program {index}: {invalid}\n{program}"));
            assert_eq!(program.dialect, dialect);
            Board::of(&program).unwrap_or_else(|why| panic!("program {index}: {why}\n{program}"));
            let shift = program.machine.page_shift.bits();
            for slot in &program.machine.slots {
                assert!((slot.gfn.0 + slot.pages) << shift <= LISTS_BELOW, "program {index}: slot {slot:?}");
            }
        }
    }
}

/// The same seed gives the same programs for a live QEMU, so that a campaign can be repeated with a later version.
#[test]
fn the_programs_for_a_qemu_stay_the_same() {
    let mut all = String::new();
    for (number, dialect) in (0..201).zip(Dialect::ALL.into_iter().cycle()) {
        let config = GeneratorConfig { dialect: Some(dialect), limits: qemu::limits() };
        all.push_str(&generate(&config, 19, number * 331).to_string());
    }
    assert_eq!(
        programs::store::hash(&all),
        0x2dd0_b695_ef57_940a,
        "the hash of 201 programs, {} bytes of text",
        all.len()
    );
}

#[test]
fn live_programs_reach_every_outcome_of_their_dialect() {
    let config = GeneratorConfig { dialect: Some(Dialect::Qemu), limits: qemu::limits() };
    let mut checker = SubjectKind::Candidate.checker();
    let mut sum = Tally::default();
    for index in (0..60).map(|number| number * 331) {
        match checker.check(&generate(&config, 13, index)) {
            Verdict::Agreed => sum.add(checker.tally()),
            verdict => panic!("program {index}: {verdict:?}"),
        }
    }
    let expected = [
        Rule::HcallUnknown,
        Rule::LiobnUnknown,
        Rule::IobaRange,
        Rule::CountStuff,
        Rule::CountIndirect,
        Rule::CountZero,
        Rule::ListAlign,
        Rule::ListUnbacked,
        Rule::TceFault,
        Rule::TceRead,
        Rule::MapNew,
        Rule::MapExchange,
        Rule::MapSame,
        Rule::Unmap,
    ];
    for rule in expected {
        assert!(sum.rule(rule).total() > 10, "{rule}: {:?}", sum.rule(rule));
    }
    // Some programs create windows in their steps.
    let changes = |program: &Program| program.steps.iter().any(|step| matches!(step, Step::CreateWindow(_)));
    assert!((0..400).any(|index| changes(&generate(&config, 13, index))));
}

/// The generator draws every kind of window that QEMU can have: odd sizes and bases, both ends of the address space,
/// and all three ways in which QEMU makes a window.
#[test]
fn live_boards_have_every_kind_of_window() {
    let config = GeneratorConfig { dialect: Some(Dialect::Qemu), limits: qemu::limits() };
    let mut windows: Vec<WindowSpec> = Vec::new();
    for board in 0..200 {
        windows.extend(&generate(&config, 17, board * 1024).machine.windows);
    }
    let ends_at_the_top =
        |window: &WindowSpec| u128::from(window.base) + (u128::from(window.entries) << window.page_shift) == 1 << 64;
    type Kind = (&'static str, fn(&WindowSpec) -> bool);
    let kinds: [Kind; 10] = [
        ("one entry", |window| window.entries == 1),
        ("five entries", |window| window.entries == 5),
        ("more than a list holds", |window| window.entries > 512 && window.entries < 65_536),
        ("an unaligned base", |window| window.base & (window.page() - 1) != 0),
        ("base 2^63", |window| window.base == 1 << 63),
        ("64 KiB pages", |window| window.page_shift == 16),
        ("2 MiB pages", |window| window.page_shift == 21),
        ("16 MiB pages", |window| window.page_shift == 24),
        ("a second window", |window| window.liobn.0 & !0xff00 == 0x8000_0001),
        ("a VIO window", |window| window.entries == 65_536 && window.base == 0),
    ];
    for (name, is) in kinds {
        assert!(windows.iter().filter(|window| is(window)).count() >= 5, "{name}");
    }
    assert!(windows.iter().filter(|window| ends_at_the_top(window)).count() >= 5, "ends at 2^64");
    let vio: std::collections::BTreeSet<u64> =
        windows.iter().filter(|window| window.entries == 65_536).map(|window| window.liobn.0).collect();
    assert!(vio.len() >= 4, "{vio:x?}");
}
