//! Tests of the limits of voters: drawn programs keep to them, and use what they allow.

use std::sync::Arc;

use contract::description::MemoryModel;
use contract::{Backing, Liobn, PageShift, Pte, RealAddr, Step, WindowSpec};
use programs::generate::{Features, GeneratorConfig, Limits, Unsatisfiable, WindowLimits, generate};
use realmode_diff::voters::qemu::{self, Board, LISTS_BELOW};
use realmode_diff::voters::{Candidacy, Look, Roster, Shows, Unavailable, Voter};
use realmode_diff::{Dialect, Program};

fn draw(limits: &Limits, dialect: Option<Dialect>, seed: u64, index: u64) -> Program {
    let program = generate(&GeneratorConfig { dialect, limits: limits.clone() }, seed, index);
    if let Err(invalid) = program.validate() {
        panic!("seed {seed}, program {index}: {invalid}\n{program}");
    }
    program
}

fn steps(program: &Program, is: impl Fn(&Step) -> bool) -> bool {
    program.steps.iter().any(is)
}

/// Whether the program has, at boot or in a step, a page-table entry that the function selects.
fn maps(program: &Program, is: fn(&Pte) -> bool) -> bool {
    program.machine.mappings.iter().any(|mapping| is(&mapping.pte))
        || steps(program, |step| matches!(step, Step::Map { pte, .. } if is(pte)))
}

/// Whether the program has, at boot or in a step, a window that the function selects.
fn has_window(program: &Program, is: fn(&WindowSpec) -> bool) -> bool {
    program.machine.windows.iter().any(is)
        || steps(program, |step| matches!(step, Step::CreateWindow(window) if is(window)))
}

const fn imperfect(pte: &Pte) -> bool {
    match *pte {
        Pte::Present { writable, dirty, young, .. } | Pte::Huge { writable, dirty, young, .. } => {
            !(writable && dirty && young)
        }
        _ => false,
    }
}

type Uses = fn(&Program) -> bool;

/// Every feature, and whether a program uses it.
const FEATURES: [(Features, &str, Uses); 15] = [
    (Features::FLATMEM, "flatmem", |program| matches!(program.machine.memory, MemoryModel::Flatmem { .. })),
    (Features::SPARSEMEM, "sparsemem", |program| !matches!(program.machine.memory, MemoryModel::Flatmem { .. })),
    (Features::PAGES_4K, "4 KiB", |program| program.machine.page_shift == PageShift::Shift12),
    (Features::PAGES_64K, "64 KiB", |program| program.machine.page_shift == PageShift::Shift16),
    (Features::EMULATED, "emulated", |program| has_window(program, |window| window.backing == Backing::Emulated)),
    (Features::PINNED, "pinned", |program| has_window(program, |window| window.backing != Backing::Emulated)),
    (Features::COMPOUND, "compound", |program| {
        !program.machine.compounds.is_empty()
            || steps(program, |step| matches!(step, Step::MakeCompound(_) | Step::SplitCompound { .. }))
    }),
    (Features::ABSENT, "absent", |program| maps(program, |pte| matches!(pte, Pte::Absent { .. }))),
    (Features::FLAGS, "flags", |program| {
        maps(program, imperfect)
            || steps(program, |step| matches!(step, Step::Age { .. } | Step::Clean { .. } | Step::WriteProtect { .. }))
    }),
    (Features::OWN, "own", |program| {
        !program.machine.pages.is_empty()
            || steps(program, |step| matches!(step, Step::Take { .. } | Step::Drop { .. }))
    }),
    (Features::HOT_PLUG, "hot-plug", |program| {
        steps(program, |step| matches!(step, Step::HotAdd { .. } | Step::HotRemove { .. }))
    }),
    (Features::MIGRATE, "migrate", |program| steps(program, |step| matches!(step, Step::Migrate { .. }))),
    (Features::SLOT_STEPS, "slot", |program| steps(program, |step| matches!(step, Step::Slot(_)))),
    (Features::WINDOW_STEPS, "windows", |program| {
        steps(program, |step| matches!(step, Step::CreateWindow(_) | Step::CloseWindow { .. }))
    }),
    (Features::PROBES, "probes", |program| {
        steps(program, |step| matches!(step, Step::Lookup { .. } | Step::GetPage { .. } | Step::PutPage { .. }))
    }),
];

/// Limits that exclude one feature exclude nothing else: each other feature is drawn.
#[test]
fn what_limits_exclude_is_not_drawn_and_all_else_is() {
    let all = FEATURES.iter().fold(Features::ALL, |left, (feature, ..)| left.without(*feature));
    assert_eq!(all, Features::ALL.without(Features::ALL), "a feature has no row");
    for (excluded, name, uses) in FEATURES {
        let limits = Limits { features: Features::ALL.without(excluded), ..Limits::NONE };
        let mut used = [0; FEATURES.len()];
        for index in 0..400 {
            // Without emulated windows no program of dialect `qemu` has windows.
            let program = draw(&limits, Some([Dialect::Lopapr, Dialect::Kvm][index as usize % 2]), 3, index);
            assert!(!uses(&program), "program {index} uses {name}\n{program}");
            for (count, (_, _, uses)) in used.iter_mut().zip(FEATURES) {
                *count += u32::from(uses(&program));
            }
        }
        for ((feature, other, _), count) in FEATURES.into_iter().zip(used) {
            // Hot-plug needs sparsemem-vmemmap.
            let possible = excluded != Features::SPARSEMEM || feature != Features::HOT_PLUG;
            assert_eq!(count > 0, feature != excluded && possible, "without {name}, {count} of 400 use {other}");
        }
    }
}

/// Limits like those of a voter that has hot-plug and no pinned windows. No other voter has such limits, so this tests
/// that the generator asks for nothing but the data.
#[test]
fn a_voter_with_hot_plug_and_without_pinned_windows_gets_both() {
    let limits = Limits {
        features: Features::SPARSEMEM.or(Features::PAGES_64K).or(Features::EMULATED).or(Features::HOT_PLUG),
        slow_ends: true,
        ..Limits::NONE
    };
    limits.check(&Dialect::ALL).expect("programs fit");
    let (mut added, mut calls) = (0, 0);
    for index in 0..200 {
        let program = draw(&limits, None, 4, index);
        for (feature, name, uses) in FEATURES {
            assert!(limits.features.contains(feature) || !uses(&program), "program {index} uses {name}\n{program}");
        }
        added += u32::from(steps(&program, |step| matches!(step, Step::HotAdd { .. })));
        calls += program.steps.iter().filter(|step| matches!(step, Step::Hypercall { .. })).count();
    }
    assert!(added > 20, "{added} of 200 programs add sections");
    assert!(calls > 200 * 128, "{calls} hypercalls");
}

#[test]
fn guest_memory_lies_below_the_limit() {
    for (gfns, slot_pages) in [(1, 1), (3, u64::MAX), (0x11, 4), (0x40, 64), (0x1010, 0x1000), (u64::MAX, 2)] {
        let limits = Limits { gfns, slot_pages, ..Limits::NONE };
        let (mut last, mut largest) = (0, 0);
        for index in 0..300 {
            let program = draw(&limits, None, 5, index);
            let stepped = program.steps.iter().filter_map(|step| match step {
                Step::Slot(slot) => Some(slot),
                _ => None,
            });
            for slot in program.machine.slots.iter().chain(stepped) {
                assert!(slot.gfn.0 + slot.pages <= gfns && slot.pages <= slot_pages, "program {index}: {slot:?}");
                last = last.max(slot.gfn.0 + slot.pages);
                largest = largest.max(slot.pages);
            }
        }
        assert!(gfns > 0x1010 || last == gfns, "the last page below {gfns:#x} is in no slot");
        assert!(slot_pages > 0x1000 || largest == slot_pages, "no slot has {slot_pages} pages");
    }
}

/// Programs for a voter whose ends are slow have many steps, and programs for one whose windows are slow seldom change
/// windows. Neither of the two changes the other.
#[test]
fn what_is_slow_for_a_voter_is_rare() {
    let changes = |limits: &Limits| {
        let programs = (0..400).map(|index| draw(limits, None, 6, index));
        let changing = |program: &Program| steps(program, |step| matches!(step, Step::CloseWindow { .. }));
        let (mut steps, mut windows) = (0, 0);
        for program in programs {
            steps += program.steps.len();
            windows += u32::from(changing(&program));
        }
        (steps / 400, windows)
    };
    let (short, many) = changes(&Limits::NONE);
    let (long, _) = changes(&Limits { slow_ends: true, ..Limits::NONE });
    let (same, few) = changes(&Limits { slow_windows: true, ..Limits::NONE });
    assert!(short < 100 && same < 100 && long > 400, "{short}, {same} and {long} steps");
    assert!(many > 40 && (1..20).contains(&few), "{many} and {few} programs close windows");
}

// ---- several voters -------------------------------------------------------------------------------------------------

/// The windows of a voter that has at most two windows, of at most 64 entries, in the first windows of bridges, and a
/// fixed window that no QEMU can have. It creates and closes windows of an even number of entries only.
#[derive(Debug)]
struct Small;

const fn emulated(liobn: u64, page_shift: u32, entries: u64) -> WindowSpec {
    let (liobn, table) = (Liobn(liobn), RealAddr(0));
    WindowSpec { liobn, page_shift, base: 0, entries, table, backing: Backing::Emulated }
}

const fn even(window: &WindowSpec) -> bool {
    window.entries.is_multiple_of(2)
}

impl WindowLimits for Small {
    fn windows(&self, _: Dialect, _: u64, index: u64) -> Vec<WindowSpec> {
        vec![emulated(5, 12, 3), emulated(0x8000_0000 | (index % 31) << 8, 16, 4)]
    }

    fn accepts(&self, windows: &[WindowSpec]) -> bool {
        windows.len() <= 2 && windows.iter().all(|window| window.entries <= 64 && window.liobn.0 & 1 == 0)
    }

    fn closable(&self, open: &[WindowSpec]) -> Vec<WindowSpec> {
        open.iter().copied().filter(even).collect()
    }

    fn creatable(&self, machine: &[WindowSpec], open: &[WindowSpec]) -> Vec<WindowSpec> {
        let absent = |window: &&WindowSpec| open.iter().all(|other| other.liobn != window.liobn);
        machine.iter().filter(absent).copied().filter(even).collect()
    }
}

/// A voter with these limits, which nobody makes.
#[derive(Clone, Debug)]
struct Toy(Limits);

impl Candidacy for Toy {
    fn name(&self) -> String {
        "toy".into()
    }

    fn make(&self, _: Look) -> Result<Box<dyn Voter>, Unavailable> {
        Err(Unavailable("it has limits and nothing else".into()))
    }

    fn shows(&self) -> Shows {
        Shows::REGISTERS
    }

    fn limits(&self) -> Limits {
        self.0.clone()
    }
}

fn small() -> Limits {
    Limits {
        features: Features::ALL.without(Features::PAGES_64K).without(Features::ABSENT),
        gfns: 0x40,
        slot_pages: 48,
        windows: vec![Arc::new(Small)],
        ..Limits::NONE
    }
}

fn roster(voters: &[&Toy]) -> Roster {
    let mut roster = Roster::default();
    for voter in voters {
        roster.add(Arc::new((*voter).clone()));
    }
    roster
}

/// Returns the windows without the addresses of their tables, as limits name them.
fn unplaced(windows: &[WindowSpec]) -> Vec<WindowSpec> {
    windows.iter().map(|window| WindowSpec { table: RealAddr(0), ..*window }).collect()
}

#[test]
fn two_voters_limits_are_both_kept() {
    let qemu = Arc::new(qemu::Config::default());
    let toy = Arc::new(Toy(small()));
    let both = Roster::of(vec![qemu.clone(), toy.clone()]).limits(&Dialect::ALL).expect("programs fit both");
    let reversed = Roster::of(vec![toy, qemu]).limits(&Dialect::ALL).expect("programs fit both");
    let boards = qemu::limits().windows;
    let (mut windows, mut changes, mut sizes) = (0, 0, 0);
    for number in 0..2_000 {
        // The board changes every 1,024 programs.
        let index = number * 97;
        let program = draw(&both, None, 7, index);
        // One program in eight, because drawing takes most of the test's time.
        if number % 8 == 0 {
            assert_eq!(program, draw(&reversed, None, 7, index), "program {index}: the order of voters matters");
        }
        for (feature, name, uses) in FEATURES {
            assert!(both.features.contains(feature) || !uses(&program), "program {index} uses {name}");
        }
        for slot in &program.machine.slots {
            assert!(slot.gfn.0 + slot.pages <= 0x40 && slot.pages <= 48, "program {index}: slot {slot:?}");
        }
        Board::of(&program).unwrap_or_else(|why| panic!("program {index}: {why}\n{program}"));
        let mut open = unplaced(&program.machine.windows);
        assert!(Small.accepts(&open), "program {index}: {open:x?}");
        windows += open.len();
        for step in &program.steps {
            match step {
                Step::CreateWindow(window) => {
                    let window = unplaced(&[*window])[0];
                    for limits in [&Small as &dyn WindowLimits, &*boards[0]] {
                        assert!(limits.creatable(&[window], &open).contains(&window), "program {index}: {step}");
                    }
                    open.push(window);
                    changes += 1;
                }
                Step::CloseWindow { liobn } => {
                    let place = open.iter().position(|window| window.liobn == *liobn).expect("an open window");
                    for limits in [&Small as &dyn WindowLimits, &*boards[0]] {
                        assert!(limits.closable(&open).contains(&open[place]), "program {index}: {step}");
                    }
                    open.remove(place);
                }
                _ => {}
            }
            assert!(Small.accepts(&open), "program {index}: {open:x?}");
        }
        sizes += program.steps.len();
    }
    assert!(windows > 2_000, "{windows} windows in 2,000 programs");
    assert!(changes > 10, "{changes} windows are created");
    assert!(sizes > 2_000 * 128, "{sizes} steps");
}

/// Two programs of one board need one QEMU, whatever other voters there are.
#[test]
fn programs_for_two_voters_share_boards() {
    let both = roster(&[&Toy(small()), &Toy(qemu::limits())]).limits(&Dialect::ALL).expect("programs fit both");
    let mut windows: Vec<WindowSpec> = Vec::new();
    for index in 0..200 {
        windows.extend(unplaced(&draw(&both, Some(Dialect::Qemu), 8, index).machine.windows));
    }
    windows.sort_unstable();
    windows.dedup();
    assert!((1..=2).contains(&windows.len()), "{windows:x?}");
}

/// Windows of a voter that can have only one window.
#[derive(Debug)]
struct Only(WindowSpec);

impl WindowLimits for Only {
    fn windows(&self, _: Dialect, _: u64, _: u64) -> Vec<WindowSpec> {
        vec![self.0]
    }

    fn accepts(&self, windows: &[WindowSpec]) -> bool {
        unplaced(windows).iter().all(|window| *window == self.0)
    }

    fn closable(&self, open: &[WindowSpec]) -> Vec<WindowSpec> {
        open.to_vec()
    }

    fn creatable(&self, machine: &[WindowSpec], open: &[WindowSpec]) -> Vec<WindowSpec> {
        if open.is_empty() { machine.to_vec() } else { Vec::new() }
    }
}

fn only(window: WindowSpec) -> Toy {
    Toy(Limits { windows: vec![Arc::new(Only(window))], ..Limits::NONE })
}

/// A voter that proposes these windows and accepts all.
#[derive(Debug)]
struct Proposes {
    windows: Vec<WindowSpec>,
    shared_by: u64,
}

impl WindowLimits for Proposes {
    fn windows(&self, _: Dialect, _: u64, _: u64) -> Vec<WindowSpec> {
        self.windows.clone()
    }

    fn shared_by(&self) -> u64 {
        self.shared_by
    }

    fn accepts(&self, _: &[WindowSpec]) -> bool {
        true
    }

    fn closable(&self, open: &[WindowSpec]) -> Vec<WindowSpec> {
        open.to_vec()
    }

    fn creatable(&self, machine: &[WindowSpec], _: &[WindowSpec]) -> Vec<WindowSpec> {
        machine.to_vec()
    }
}

/// The windows that most programs share are taken, then the most windows, then the least ones.
#[test]
fn one_proposal_is_taken_whatever_the_order_of_voters() {
    let (one, other) = (emulated(6, 12, 8), emulated(7, 12, 8));
    let cases = [
        ((vec![one], 1), (vec![other], 1), vec![one]),
        ((vec![one], 1), (vec![other, one], 1), vec![other, one]),
        ((vec![other], 2), (vec![one, other], 1), vec![other]),
    ];
    for (first, second, taken) in cases {
        let toys = [first, second].map(|(windows, shared_by)| {
            Toy(Limits { windows: vec![Arc::new(Proposes { windows, shared_by })], ..Limits::NONE })
        });
        for voters in [[&toys[0], &toys[1]], [&toys[1], &toys[0]]] {
            let limits = roster(&voters).limits(&Dialect::ALL).expect("programs fit both");
            let windows: Vec<WindowSpec> = (0..20)
                .map(|index| unplaced(&draw(&limits, None, 11, index).machine.windows))
                .max_by_key(Vec::len)
                .unwrap_or_default();
            assert_eq!(windows, taken, "{limits:?}");
        }
    }
}

/// Few programs lack their only window, and those must not create it either, if voters exclude such steps.
#[test]
fn a_program_without_windows_creates_none_where_limits_exclude_it() {
    let mut limits = only(emulated(6, 12, 8)).0;
    limits.features = Features::ALL.without(Features::WINDOW_STEPS);
    let mut lacking = 0;
    for index in 0..400 {
        let program = draw(&limits, None, 12, index);
        assert!(!steps(&program, |step| matches!(step, Step::CreateWindow(_) | Step::CloseWindow { .. })));
        lacking += u32::from(program.machine.windows.is_empty());
    }
    assert!((1..40).contains(&lacking), "{lacking} of 400 programs have no window");
}

/// A QEMU can have this window, but does not propose it, so the other voter's proposal is taken.
#[test]
fn a_window_that_one_voter_alone_proposes_is_drawn_for_both() {
    let wanted = emulated(0x8000_1e00, 12, 7);
    let limits = roster(&[&Toy(qemu::limits()), &only(wanted)]).limits(&Dialect::ALL).expect("programs fit both");
    let with = (0..100).map(|index| draw(&limits, None, 9, index)).filter(|program| {
        let windows = unplaced(&program.machine.windows);
        assert!(windows.iter().all(|window| *window == wanted), "{windows:x?}");
        !windows.is_empty()
    });
    assert!(with.count() > 90);
}

/// Programs that close and create windows of many entries again and again stay valid.
#[test]
fn the_only_window_is_created_again_and_again() {
    let hardware = RealAddr(0);
    let pinned = WindowSpec { backing: Backing::Pinned { hardware }, ..emulated(6, 12, 1 << 15) };
    for window in [emulated(6, 12, 1 << 16), pinned] {
        let mut limits = only(window).0;
        limits.slow_ends = true;
        let mut created = 0;
        for index in 0..60 {
            let program = draw(&limits, Some(Dialect::Kvm), 10, index);
            created += program.steps.iter().filter(|step| matches!(step, Step::CreateWindow(_))).count();
        }
        assert!(created > 10, "{created} windows are created");
    }
}

#[test]
fn limits_that_no_program_keeps_to_are_refused() {
    let without = |features| Limits { features: Features::ALL.without(features), ..Limits::NONE };
    let conflict = |one: Limits, other: Limits| {
        let there = roster(&[&Toy(one.clone()), &Toy(other.clone())]).limits(&Dialect::ALL).map(drop);
        assert_eq!(there, roster(&[&Toy(other), &Toy(one)]).limits(&Dialect::ALL).map(drop), "the order matters");
        there
    };
    assert_eq!(conflict(Limits::NONE, qemu::limits()), Ok(()));
    assert_eq!(conflict(without(Features::FLATMEM), without(Features::SPARSEMEM)), Err(Unsatisfiable::MemoryModel));
    assert_eq!(conflict(qemu::limits(), without(Features::FLATMEM)), Err(Unsatisfiable::MemoryModel));
    assert_eq!(conflict(without(Features::PAGES_4K), without(Features::PAGES_64K)), Err(Unsatisfiable::PageSize));
    assert_eq!(conflict(Limits { gfns: 0, ..Limits::NONE }, Limits::NONE), Err(Unsatisfiable::GuestMemory));
    assert_eq!(conflict(Limits { slot_pages: 0, ..Limits::NONE }, Limits::NONE), Err(Unsatisfiable::GuestMemory));
    assert_eq!(
        conflict(without(Features::EMULATED), without(Features::PINNED)),
        Err(Unsatisfiable::Backing(Dialect::Lopapr))
    );
    // Dialect `qemu` has no pinned windows.
    let pinned = roster(&[&Toy(without(Features::EMULATED))]);
    assert_eq!(pinned.limits(&Dialect::ALL).map(drop), Err(Unsatisfiable::Backing(Dialect::Qemu)));
    assert_eq!(pinned.limits(&[Dialect::Lopapr, Dialect::Kvm]).map(drop), Ok(()));
    // A QEMU has no such VIO window; and two windows are not one.
    let no_vio = only(emulated(5, 12, 3)).0;
    assert_eq!(conflict(qemu::limits(), no_vio.clone()), Err(Unsatisfiable::Windows(Dialect::Lopapr)));
    let pinned = WindowSpec { backing: Backing::Pinned { hardware: RealAddr(0) }, ..emulated(5, 12, 3) };
    assert_eq!(conflict(without(Features::PINNED), only(pinned).0), Err(Unsatisfiable::Windows(Dialect::Lopapr)));
    assert_eq!(conflict(no_vio, only(emulated(5, 12, 4)).0), Err(Unsatisfiable::Windows(Dialect::Lopapr)));
    let why = Unsatisfiable::Windows(Dialect::Kvm).to_string();
    assert_eq!(why, "64 draws gave no window in dialect kvm that all of them can have");
}

/// All guest memory of a live QEMU's programs can hold lists.
#[test]
fn a_qemus_lists_fit_below_its_own_part() {
    assert!(qemu::limits().gfns << PageShift::Shift16.bits() <= LISTS_BELOW);
}
