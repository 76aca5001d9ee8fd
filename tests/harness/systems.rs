//! Tests of the traits of voters with a system that only this file knows. It runs in the pipeline, votes in panels and
//! campaigns, is lost and started again, and its mistakes are found and shrunk.
//!
//! The toy is a model of a remote machine: the reference in a dialect of its own, in this process. It answers in
//! batches, keeps a copy of the guest's memory, slots and windows, and is lost when a test asks for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use contract::hcall::{H_GET_TCE, H_PUT_TCE, H_STUFF_TCE};
use contract::{Hypercall, Liobn, Machine, PageShift, Rule, Step, WindowSpec};
use programs::generate::{GeneratorConfig, generate};
use realmode_diff::check::{Place, Tally};
use realmode_diff::hunts::campaign::{Campaign, Limit};
use realmode_diff::shrink::{Ended, Judge as _, Limits, MAX_CHECKS, shrink};
use realmode_diff::voters::ahead::{self, Ahead, Answer, Expected, List, Running, System, Uncovered, Written};
use realmode_diff::voters::restart::{Loss, MOST, Refusal, Way};
use realmode_diff::voters::{Candidacy, Incident, Look, Panel, Roster, Shows, Task, Told, Unavailable, Voter};
use realmode_diff::{Dialect, Program, SubjectKind, Verdict};
use reference::{Answer as Answered, Reference};

use super::emulated::program;

/// Selects hypercalls.
type Which = fn(&Hypercall) -> bool;

/// The mistakes of a toy; none by default. All machines of a toy count together, from 1.
#[derive(Debug, Default)]
struct Faults {
    /// Replaces each call by another. The first argument is the number of calls that this machine has made before.
    twist: Option<fn(u64, Hypercall) -> Hypercall>,
    /// Every call that the function selects loses the machine, in this way.
    at: Option<(Which, Way)>,
    /// The machine ends at the call with this number; 0 is no call.
    ends_at: u64,
    /// It ends once, while it waits for the answers behind one that differs.
    ends_behind: AtomicBool,
    /// How many of the first starts fail, and how.
    starts: Option<(u64, Way)>,
    /// The machine does not start if the host's pages are larger than 4 KiB.
    small_pages: bool,
    /// Calls that it must not be asked, because it would take them for others.
    unasked: Option<Which>,

    /// How many machines were started, and how many calls were made.
    started: AtomicU64,
    made: AtomicU64,
    /// How many programs began, in all and before the machine ended at `ends_at`.
    begun: AtomicU64,
    begun_at_end: AtomicU64,
}

const REFUSED: Way = Way::Refused(Refusal::Status(1));

/// The system. It makes voters of itself.
#[derive(Clone, Debug)]
struct Toy {
    dialect: Dialect,
    /// How many calls wait before the machine makes them together.
    batch: usize,
    faults: Arc<Faults>,
}

impl Toy {
    fn new(dialect: Dialect, batch: usize, faults: Faults) -> Self {
        Self { dialect, batch, faults: Arc::new(faults) }
    }

    fn panel(&self, look: Look) -> Panel {
        Roster::of(vec![Arc::new(self.clone())]).panel(look).expect("a toy can always be had")
    }
}

impl Candidacy for Toy {
    fn name(&self) -> String {
        System::name(self).into()
    }

    fn make(&self, look: Look) -> Result<Box<dyn Voter>, Unavailable> {
        Ok(Box::new(Ahead::new(self.clone())?.looking(look)))
    }

    fn dialect(&self) -> Option<Dialect> {
        self.own_dialect()
    }

    fn shows(&self) -> Shows {
        ahead::SHOWS
    }

    fn looks(&self) -> bool {
        true
    }
}

impl System for Toy {
    type Board = PageShift;
    type Running = ToyMachine;

    fn name(&self) -> &str {
        "toy"
    }

    fn thing(&self) -> &str {
        "the toy"
    }

    fn own_dialect(&self) -> Option<Dialect> {
        Some(self.dialect)
    }

    fn find(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    fn board(&self, program: &Program) -> Result<PageShift, Uncovered> {
        let invalid = |window: &WindowSpec| window.validate(program.machine.page_shift, self.dialect).err();
        match program.machine.windows.iter().find_map(invalid) {
            Some(why) => Err(format!("the toy cannot have a window: {why}")),
            None => Ok(program.machine.page_shift),
        }
    }

    fn bare(&self) -> PageShift {
        PageShift::Shift12
    }

    fn serves(&self, has: &PageShift, needs: &PageShift) -> bool {
        has == needs
    }

    fn boot(&self, board: &PageShift) -> Result<ToyMachine, Loss> {
        let started = self.faults.started.fetch_add(1, Ordering::Relaxed) + 1;
        let lost = |way| Err(Loss::new(way, "did not start".into()));
        match self.faults.starts {
            Some((failing, way)) if started <= failing => return lost(way),
            _ if self.faults.small_pages && *board != PageShift::Shift12 => return lost(REFUSED),
            _ => {}
        }
        let memory = contract::MemoryModel::Flatmem { array: contract::RealAddr(1 << 30), pages: 1 };
        let reference = Reference::new(self.dialect, &Machine::bare(*board, 64, memory));
        Ok(ToyMachine { toy: self.clone(), reference, waiting: VecDeque::new(), made: 0 })
    }

    fn leaves_out(&self, call: &Hypercall, _: Option<&WindowSpec>) -> Option<&'static str> {
        self.faults.unasked.is_some_and(|unasked| unasked(call)).then_some("it takes it for another")
    }

    /// A machine with a `twist` counts its calls.
    fn remembers(&self) -> bool {
        self.faults.twist.is_some()
    }

    fn mirrors(&self, _: &Step) -> bool {
        true
    }
}

struct ToyMachine {
    toy: Toy,
    reference: Reference,
    waiting: VecDeque<Hypercall>,
    made: u64,
}

impl ToyMachine {
    /// Makes the calls that wait. Hands out their answers until the machine is lost.
    fn flush(&mut self, expected: &mut Expected) -> Result<(), Loss> {
        let faults = Arc::clone(&self.toy.faults);
        while let Some(call) = self.waiting.pop_front() {
            if faults.made.fetch_add(1, Ordering::Relaxed) + 1 == faults.ends_at {
                faults.begun_at_end.store(faults.begun.load(Ordering::Relaxed), Ordering::Relaxed);
                return Err(Loss::new(Way::Ended, "ended by chance".into()));
            }
            if let Some((at, way)) = faults.at
                && at(&call)
            {
                return Err(Loss::new(way, "was lost at a call".into()));
            }
            let made = faults.twist.map_or(call, |twist| twist(self.made, call));
            self.made += 1;
            if let Answered::Hypercall { status, r4 } =
                self.reference.step(&Step::Hypercall { vcpu: 0, call: made }).answer
            {
                expected.take(Answer { r3: status.0 as u64, r4: r4.unwrap_or(call.args[0]), others: 0 });
            }
        }
        Ok(())
    }
}

impl Running for ToyMachine {
    /// Starts the next program. Asserts that `written` names every entry that is not zero.
    fn begin(&mut self, machine: &Machine, written: Written, expected: &mut Expected) -> Result<(), Loss> {
        self.drain(expected)?;
        if expected.differs() {
            // A machine that differs may have entries at any place, and the next `begin` gets `written.anything`.
            return Ok(());
        }
        // A range that does not fit its window cannot be cleared by one call.
        for (liobn, range) in &written.entries {
            let entries = self.reference.window(*liobn).map(|window| window.spec.entries);
            assert!(entries.is_some_and(|entries| range.end <= entries), "{range:?} of window {liobn}: {entries:?}");
        }
        for window in self.reference.windows() {
            let told = written.of(window.spec.liobn);
            let left = window.guest_entries().find(|(index, value)| *value != 0 && !told.contains(index));
            assert!(written.anything || left.is_none(), "{left:x?} of window {} would stay", window.spec.liobn);
        }
        self.toy.faults.begun.fetch_add(1, Ordering::Relaxed);
        self.reference.reset(self.toy.dialect, machine);
        Ok(())
    }

    fn has(&self, _: Liobn) -> bool {
        false
    }

    /// The machine has a copy of the guest's memory, so the list is there already.
    fn list(&mut self, _: List<'_>, _: &mut Expected) -> Result<Result<(), Uncovered>, Loss> {
        Ok(Ok(()))
    }

    fn call(&mut self, call: &Hypercall, expected: &mut Expected) -> Result<(), Loss> {
        self.waiting.push_back(*call);
        if self.waiting.len() < self.toy.batch { Ok(()) } else { self.flush(expected) }
    }

    fn drain(&mut self, expected: &mut Expected) -> Result<(), Loss> {
        self.flush(expected)?;
        match expected.differs() && self.toy.faults.ends_behind.swap(false, Ordering::Relaxed) {
            true => Err(Loss::new(Way::Ended, "ended behind a difference".into())),
            false => Ok(()),
        }
    }

    fn change(&mut self, step: &Step, _: &Reference) -> Result<Result<(), Uncovered>, Loss> {
        match self.reference.step(step).answer {
            Answered::Skipped(why) => Ok(Err(format!("the toy skips this step: {why}"))),
            _ => Ok(Ok(())),
        }
    }
}

// ---- programs -------------------------------------------------------------------------------------------------------

const PUT: &str = "cpu0 H_PUT_TCE liobn=0x1 ioba=0x1000 tce=0x1003\n";
const GET: &str = "cpu0 H_GET_TCE liobn=0x1 ioba=0x1000\n";
const STUFF: &str = "cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=4\n";

/// The program on a host with 64 KiB pages, without guest memory.
fn on_large_pages(mut program: Program) -> Program {
    program.machine.page_shift = PageShift::Shift16;
    program.machine.slots.clear();
    program.machine.mappings.clear();
    program.validate().expect("a sound machine");
    program
}

fn drawn(dialect: Dialect, count: u64) -> Vec<Task> {
    let config = GeneratorConfig { dialect: Some(dialect), ..GeneratorConfig::default() };
    (0..count).map(|index| generate(&config, 4, index).into()).collect()
}

/// What a voter reported of the programs that it was given.
#[derive(Default, PartialEq, Debug)]
struct Votes {
    verdicts: Vec<Verdict>,
    incidents: Vec<Incident>,
    tally: Tally,
}

fn vote(toy: &Toy, tasks: &[Task]) -> (Votes, Result<(), Unavailable>) {
    let mut voter = Ahead::new(toy.clone()).expect("a toy can always be had");
    let Votes { mut verdicts, mut incidents, mut tally } = Votes::default();
    let voted = voter.vote(tasks, &mut tally, &mut |told| match told {
        Told::Verdict(index, verdict) => {
            assert_eq!(index, verdicts.len(), "in order, each once");
            verdicts.push(verdict);
        }
        Told::Incident(incident) => incidents.push(incident),
    });
    (Votes { verdicts, incidents, tally }, voted)
}

fn agreed(votes: &Votes) -> usize {
    votes.verdicts.iter().filter(|verdict| **verdict == Verdict::Agreed).count()
}

// ---- agreement, and differences -------------------------------------------------------------------------------------

#[test]
fn a_system_of_the_programs_dialect_agrees_however_late_it_answers() {
    for dialect in Dialect::ALL {
        let tasks = drawn(dialect, 100);
        let (at_once, voted) = vote(&Toy::new(dialect, 1, Faults::default()), &tasks);
        assert_eq!((voted, agreed(&at_once)), (Ok(()), 100), "{dialect}: {:?}", at_once.verdicts);
        assert!(at_once.tally.hypercalls > 500 && at_once.incidents.is_empty(), "{dialect}: {:?}", at_once.tally);
        for batch in [7, 100_000] {
            assert_eq!(vote(&Toy::new(dialect, batch, Faults::default()), &tasks).0, at_once, "{dialect}, {batch}");
        }
    }
}

#[test]
fn a_difference_of_dialects_is_found_beside_other_voters_and_shrunk() {
    let zero = "cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=0\n";
    let program = program("lopapr", &format!("{PUT}{GET}{zero}{STUFF}"));
    let toy = Toy::new(Dialect::Qemu, 5, Faults::default());
    let roster = Roster::of(vec![Arc::new(SubjectKind::Candidate), Arc::new(toy)]);
    let mut panel = roster.panel(Look::EachCall).expect("nothing is missing");
    assert!(!panel.any_dialect(), "it has its own");
    let finding = panel.finding(&program).expect("voters").expect("a finding");
    assert_eq!((finding.voter.as_str(), finding.rule, finding.place), ("toy", Rule::DivergeStatus, Place::Step(2)));
    assert_eq!(finding.votes.len(), 3, "{:?}", finding.votes);
    let shrunk = shrink(&mut panel, &program, Limits::checks(MAX_CHECKS)).expect("voters").expect("it shows");
    assert_eq!(
        (shrunk.program.steps.len(), shrunk.program.dialect, shrunk.ended),
        (1, Dialect::Lopapr, Ended::Minimal)
    );
}

/// A system does not show which half finished a call, so reasons to defer are not compared and not counted.
#[test]
fn a_system_counts_no_reason_to_defer() {
    let old_list = "age 0x7f0000000000\ncpu0 H_PUT_TCE_INDIRECT liobn=0x1 ioba=0x0 list=0x0 count=1\n";
    let tasks = [program("lopapr", old_list).into()];
    let (votes, voted) = vote(&Toy::new(Dialect::Lopapr, 1, Faults::default()), &tasks);
    assert_eq!((voted, agreed(&votes), votes.tally.hypercalls), (Ok(()), 1, 1), "{:?}", votes.verdicts);
    assert_eq!(votes.tally.rule(Rule::TceFault).total(), 1);
    assert_eq!(votes.tally.rule(Rule::DeferPte).total(), 0);
}

/// The toy stores to the entry beside the right one. Reading the table back shows it, at the step or at the end.
#[test]
fn a_table_that_differs_is_read_back_and_what_comes_behind_is_put_again() {
    let beside: fn(u64, Hypercall) -> Hypercall = |_, mut call| {
        if (call.opcode, call.args[2]) == (H_PUT_TCE, 0x1003) {
            call.args[1] += 0x1000;
        }
        call
    };
    let faults = || Faults { twist: Some(beside), ..Faults::default() };
    let wrong = program("lopapr", &format!("{STUFF}{PUT}{STUFF}{GET}"));
    let right = program("lopapr", &format!("{STUFF}{GET}"));
    let seen = [
        (Look::EachCall, Place::Step(1)),
        (Look::Whole, Place::Step(1)),
        // The last step clears the wrong entry, so a brief look at the end does not see it.
        (Look::Brief, Place::End),
    ];
    for (look, place) in seen {
        let finding = Toy::new(Dialect::Lopapr, 50, faults()).panel(look).finding(&wrong).expect("a machine");
        let finding = finding.map(|finding| (finding.rule, finding.place));
        assert_eq!(finding, (place != Place::End).then_some((Rule::DivergeTce, place)), "{look:?}");
    }
    // In another dialect each call is looked at, because a known difference must be seen at the step that makes it.
    let finding = Toy::new(Dialect::Qemu, 50, faults()).panel(Look::Brief).finding(&wrong).expect("a machine");
    assert_eq!(finding.map(|finding| (finding.rule, finding.place)), Some((Rule::DivergeTce, Place::Step(1))));
    let last = program("lopapr", &format!("{GET}{PUT}"));
    let toy = Toy::new(Dialect::Lopapr, 50, faults());
    let tasks: Vec<Task> = [&right, &last, &right, &last, &last, &right].map(|program| program.clone().into()).into();
    let (votes, voted) = vote(&toy, &tasks);
    assert_eq!((voted, agreed(&votes)), (Ok(()), 3), "{:?}", votes.verdicts);
    let places: Vec<_> =
        votes.verdicts.iter().map(|verdict| Some((verdict.finding()?.rule, verdict.finding()?.place))).collect();
    let found = Some((Rule::DivergeTce, Place::End));
    assert_eq!(places, [None, found, None, found, found, None]);
    assert_eq!((votes.tally.programs, toy.faults.started.load(Ordering::Relaxed)), (6, 1));
}

/// An entry in the middle of what a call wrote differs until the next call. Only the closest look reads it back.
#[test]
fn a_whole_look_reads_what_each_call_wrote() {
    let spoils: fn(u64, Hypercall) -> Hypercall = |made, mut call| {
        if (call.opcode, call.args[2]) == (H_STUFF_TCE, 0x1003) && made > 0 {
            call = Hypercall::put(call.args[0], 32 << 12, 0x2003);
        }
        call
    };
    let all = |tce: &str| format!("cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce={tce} count=64\n");
    let mut program = program("lopapr", &format!("{}{0}{}", all("0x1003"), all("0x0")));
    program.machine.windows[0].entries = 64;
    program.validate().expect("a sound machine");
    for (look, place) in [(Look::Brief, None), (Look::EachCall, None), (Look::Whole, Some(Place::Step(1)))] {
        let toy = Toy::new(Dialect::Lopapr, 1, Faults { twist: Some(spoils), ..Faults::default() });
        let finding = toy.panel(look).finding(&program).expect("a machine");
        assert_eq!(finding.as_ref().map(|finding| finding.place), place, "{look:?}: {finding:?}");
    }
}

/// What was written in a window that is gone says nothing of the one that comes in its place.
#[test]
fn a_window_that_was_made_anew_is_cleared() {
    let create = "create-window 0x1 page_shift=12 base=0x0 entries=2 emulated table=0x9000000\n";
    let put = |index: u64| format!("cpu0 H_PUT_TCE liobn=0x1 ioba={:#x} tce=0x1003\n", index << 12);
    let first = program("lopapr", &format!("{}close-window 0x1\n{create}{}", put(3), put(1)));
    let gone = program("lopapr", &format!("{}close-window 0x1\n", put(3)));
    let tasks: Vec<Task> = [first, gone, program("lopapr", GET)].map(Task::from).into();
    let (votes, voted) = vote(&Toy::new(Dialect::Lopapr, 1, Faults::default()), &tasks);
    assert_eq!((voted, agreed(&votes)), (Ok(()), 3), "{:?}", votes.verdicts);
}

/// Of a large table a sample is read back at the end of a program. The entry behind the last one that was written is in
/// it, whatever the stride of the sample.
#[test]
fn an_entry_behind_what_was_written_is_read_back() {
    let too_far: fn(u64, Hypercall) -> Hypercall = |_, mut call| {
        if call.opcode == H_STUFF_TCE {
            call.args[3] += 1;
        }
        call
    };
    let mut program = program("qemu", "cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x1003 count=4\n");
    program.machine.windows[0].entries = 8192;
    for count in 2050..2060 {
        let Step::Hypercall { call, .. } = &mut program.steps[0] else { panic!("a hypercall") };
        call.args[3] = count;
        program.validate().expect("a sound machine");
        let toy = Toy::new(Dialect::Qemu, 50, Faults { twist: Some(too_far), ..Faults::default() });
        let finding = toy.panel(Look::Brief).finding(&program).expect("a machine").expect("an entry that differs");
        let entry = realmode_diff::check::Thing::GuestValue(Liobn(1), count);
        assert_eq!((finding.rule, finding.place, finding.thing), (Rule::DivergeTce, Place::End, entry));
    }
}

/// A machine that has answered everything makes way for one with another board.
#[test]
fn programs_of_several_boards_each_have_their_machine() {
    let beside: fn(u64, Hypercall) -> Hypercall = |_, call| match call.opcode {
        H_STUFF_TCE => Hypercall::get(call.args[0], call.args[1]),
        _ => call,
    };
    let small = program("lopapr", &format!("{PUT}{GET}"));
    let large = on_large_pages(program("lopapr", &format!("{GET}{STUFF}")));
    let tasks: Vec<Task> = [&small, &large, &large, &small].map(|program| program.clone().into()).into();
    for batch in [1, 1000] {
        let toy = Toy::new(Dialect::Lopapr, batch, Faults { twist: Some(beside), ..Faults::default() });
        let (votes, voted) = vote(&toy, &tasks);
        let found: Vec<_> = votes.verdicts.iter().map(|verdict| verdict.finding().map(|found| found.place)).collect();
        assert_eq!((voted, found), (Ok(()), vec![None, Some(Place::Step(1)), Some(Place::Step(1)), None]));
        assert_eq!(toy.faults.started.load(Ordering::Relaxed), 3);
        let voter = Ahead::new(toy).expect("a toy can always be had");
        assert!(voter.is_costly(&small, &large) && !voter.is_costly(&large, &large));
    }
}

#[test]
fn what_a_system_cannot_be_asked_is_left_out_where_it_changes_nothing() {
    let faults = || Faults { unasked: Some(|call| call.opcode == H_STUFF_TCE), ..Faults::default() };
    for (steps, agrees) in
        [(format!("{STUFF}{GET}"), false), (format!("{GET}{PUT}{STUFF}{GET}"), false), (GET.repeat(3), true)]
    {
        let verdict = Toy::new(Dialect::Lopapr, 3, faults()).panel(Look::Brief).check(&program("lopapr", &steps));
        match verdict.expect("a toy") {
            Verdict::Agreed => assert!(agrees, "{steps}"),
            Verdict::NotCompared(not) => {
                let step = steps.lines().position(|line| line.contains("STUFF")).map(Place::Step);
                assert_eq!((Some(not.from), not.compared), (step, step > Some(Place::Step(0))), "{not}");
            }
            other => panic!("{other}"),
        }
    }
}

/// A call that fails changes nothing, so the steps behind it are compared. The verdict still says that the toy was not
/// asked that call, and so do the counts of each voter.
#[test]
fn a_step_that_a_system_was_not_asked_does_not_count_as_agreed() {
    let refused = STUFF.replace("liobn=0x1", "liobn=0x2");
    let toy = || {
        let unasked = Some((|call| call.opcode == H_STUFF_TCE) as Which);
        Toy::new(Dialect::Lopapr, 3, Faults { unasked, ..Faults::default() })
    };
    let why = "the toy is not asked H_STUFF_TCE: it takes it for another";
    for (steps, says, from, not_asked, asked) in [
        (format!("{GET}{refused}{GET}"), format!("compared but for 1 step from step 2 on: {why}"), 1, 1, 2),
        (format!("{GET}{refused}{refused}"), format!("compared but for 2 steps from step 2 on: {why}"), 1, 2, 1),
        // Its windows are read back at the end, but no step was compared.
        (refused.clone(), format!("not compared: {why}"), 0, 1, 0),
        // The second one changes something, so the program ends there for the toy.
        (
            format!("{GET}{refused}{GET}{STUFF}{GET}"),
            format!(
                "compared up to step 2, not compared from there on: {why}; nothing is compared from step 4 on: the toy \
                 is not asked this call, which changes something"
            ),
            1,
            1,
            2,
        ),
    ] {
        let program = program("lopapr", &steps);
        let mut alone = toy().panel(Look::Brief);
        let verdict = alone.check(&program).expect("a toy can always be had");
        assert_eq!(verdict.to_string(), says);
        let Verdict::NotCompared(not) = &verdict else { panic!("{verdict}") };
        assert_eq!((not.from, not.compared), (Place::Step(from), asked > 0), "{says}");
        assert_eq!((alone.tally().not_asked, alone.tally().hypercalls), (not_asked, asked), "{says}");
        let voter = alone.take_roll().voters.remove(0);
        assert_eq!((voter.uncovered, voter.compared), (1, u64::from(asked > 0)), "{says}");
        assert_eq!((voter.not_asked, voter.why_uncovered), (not_asked, Some(not.clone())), "{says}");

        // Beside a voter that is asked everything, each has its own count.
        let roster = Roster::of(vec![Arc::new(SubjectKind::Candidate), Arc::new(toy())]);
        let mut both = roster.panel(Look::Brief).expect("nothing is missing");
        assert!(matches!(both.check(&program), Ok(Verdict::NotCompared(not)) if not.compared), "{says}");
        let counts: Vec<u64> = both.take_roll().voters.iter().map(|voter| voter.not_asked).collect();
        assert_eq!((both.tally().not_asked, counts), (0, vec![0, not_asked]), "{says}");
    }
}

/// The toy finds nothing at a step that it was not asked, so the votes on another voter's finding there do not count it
/// as one that agrees; nor is that step the last one on which it agreed, or the one that decided its own finding.
#[test]
fn a_step_that_a_system_was_not_asked_decides_nothing() {
    let unasked: Option<Which> = Some(|call| call.opcode == H_GET_TCE);
    let toy = Toy::new(Dialect::Lopapr, 3, Faults { unasked, ..Faults::default() });
    let roster = Roster::of(vec![Arc::new(SubjectKind::Canary), Arc::new(toy)]);
    let program_of = |steps: &str| program("lopapr", steps);
    let finding = roster
        .panel(Look::Brief)
        .expect("nothing is missing")
        .finding(&program_of(&format!("{PUT}{GET}{PUT}")))
        .expect("voters");
    let finding = finding.expect("the canary forgets that the device may write");
    assert_eq!((finding.voter.as_str(), finding.place), ("canary", Place::Step(1)));
    let toys = finding.votes.iter().find(|vote| vote.voter == "toy").expect("a vote");
    assert_eq!(toys.answer, realmode_diff::check::finding::Answer::NotAsked);

    // The toy is of another dialect and takes no calls of H_GET_TCE, the last step before the one at which it differs.
    let zero = "cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=0\n";
    let unasked: Option<Which> = Some(|call| call.opcode == H_GET_TCE && call.args[0] == 2);
    let toy = Toy::new(Dialect::Qemu, 5, Faults { unasked, ..Faults::default() });
    let steps = format!("{PUT}{GET}{}{zero}{GET}", GET.replace("liobn=0x1", "liobn=0x2"));
    let (votes, voted) = vote(&toy, &[program_of(&steps).into()]);
    let finding = votes.verdicts[0].finding().expect("dialects differ where count is 0");
    assert_eq!((voted, finding.place, finding.agreed), (Ok(()), Place::Step(3), Some(1)));
    assert_eq!((votes.tally.steps, votes.tally.hypercalls, votes.tally.not_asked), (3, 2, 1));
    // The toy forgets an entry. The table, read back at the end, shows what the first step stored.
    let forgets: fn(u64, Hypercall) -> Hypercall = |_, mut call| {
        if call.opcode == H_PUT_TCE {
            call.args[2] = 0;
        }
        call
    };
    let toy = Toy::new(Dialect::Lopapr, 5, Faults { unasked, twist: Some(forgets), ..Faults::default() });
    let steps = format!("{PUT}{}", GET.replace("liobn=0x1", "liobn=0x2"));
    let (votes, _) = vote(&toy, &[program_of(&steps).into()]);
    let finding = votes.verdicts[0].finding().expect("an entry that differs");
    assert_eq!((finding.place, finding.agreed, finding.decided), (Place::End, Some(0), Some(Rule::MapNew)));
}

/// The machine answers wrongly from its ninth call on, so a finding needs two programs.
#[test]
fn a_machine_that_remembers_is_started_anew_where_it_must_forget() {
    let late: fn(u64, Hypercall) -> Hypercall = |made, mut call| {
        if call.opcode == H_GET_TCE && made >= 8 {
            call.args[1] = 0;
        }
        call
    };
    let toy = Toy::new(Dialect::Lopapr, 1, Faults { twist: Some(late), ..Faults::default() });
    let mut panel = toy.panel(Look::Brief);
    let program = program("lopapr", &format!("{PUT}{GET}"));
    assert_eq!(panel.finding(&program), Ok(None));
    let finding = panel.finding(&program).expect("a machine").expect("the calls add up");
    assert_eq!(finding.rule, Rule::DivergeTce);
    assert!(panel.renew().is_ok_and(|renewed| renewed) && panel.finding(&program) == Ok(None));
    assert_eq!(toy.faults.started.load(Ordering::Relaxed), 2);
}

// ---- losses ---------------------------------------------------------------------------------------------------------

/// The machine ends by chance at many different calls. Each time no verdict is lost or reported twice, and one incident
/// names the program that ran.
#[test]
fn a_machine_that_ends_by_chance_is_started_again() {
    let tasks = drawn(Dialect::Kvm, 24);
    for batch in [1, 13, 100_000] {
        let (undisturbed, _) = vote(&Toy::new(Dialect::Kvm, batch, Faults::default()), &tasks);
        assert_eq!(agreed(&undisturbed), 24, "{:?}", undisturbed.verdicts);
        for ends_at in (1..400).step_by(23) {
            let toy = Toy::new(Dialect::Kvm, batch, Faults { ends_at, ..Faults::default() });
            let (votes, voted) = vote(&toy, &tasks);
            assert_eq!(voted, Ok(()));
            assert_eq!(
                (&votes.verdicts, &votes.tally),
                (&undisturbed.verdicts, &undisturbed.tally),
                "{batch} {ends_at}"
            );
            let began = toy.faults.begun_at_end.load(Ordering::Relaxed) as usize;
            let incident = Incident { program: began - 1, what: "the toy ended by chance".into() };
            assert_eq!(votes.incidents, [incident], "{batch} {ends_at}");
        }
    }
}

#[test]
fn a_program_that_always_loses_the_machine_is_a_finding_at_its_step() {
    let harmless: Task = program("lopapr", &format!("{PUT}{GET}")).into();
    let deadly = program("lopapr", &format!("{PUT}{GET}{GET}{STUFF}{GET}"));
    let tasks = [harmless.clone(), harmless.clone(), deadly.clone().into(), harmless.clone(), deadly.clone().into()];
    for (way, rule) in
        [(Way::Ended, Rule::SubjectCrash), (Way::Silent, Rule::SubjectHang), (Way::Garbled, Rule::SubjectProtocol)]
    {
        for batch in [1, 4, 1000] {
            let faults = Faults { at: Some((|call| call.opcode == H_STUFF_TCE, way)), ..Faults::default() };
            let toy = Toy::new(Dialect::Lopapr, batch, faults);
            let (votes, voted) = vote(&toy, &tasks);
            assert_eq!((voted, agreed(&votes)), (Ok(()), 3), "{:?}", votes.verdicts);
            for at in [2, 4] {
                let finding = votes.verdicts[at].finding().expect("a finding");
                assert_eq!((finding.rule, finding.place, finding.agreed), (rule, Place::Step(3), Some(2)), "{finding}");
                assert_eq!(finding.found, "was lost at a call");
            }
            assert_eq!((votes.incidents, votes.tally.programs), (vec![], 5), "the findings explain the losses");
            let shrunk = shrink(&mut toy.panel(Look::EachCall), &deadly, Limits::checks(MAX_CHECKS))
                .expect("a machine")
                .expect("it shows");
            assert_eq!((shrunk.program.steps.len(), shrunk.ended), (1, Ended::Minimal), "{}", shrunk.program);
        }
    }
}

/// The finding before the machine ends is kept, and the end of the machine is an incident.
#[test]
fn a_machine_that_ends_behind_a_difference_takes_no_verdict_with_it() {
    let refuses: fn(u64, Hypercall) -> Hypercall = |_, mut call| {
        if call.opcode == H_STUFF_TCE {
            call.args[0] = 77;
        }
        call
    };
    let good: Task = program("lopapr", GET).into();
    let bad: Task = program("lopapr", &format!("{PUT}{STUFF}{GET}")).into();
    let faults = Faults { twist: Some(refuses), ends_behind: true.into(), ..Faults::default() };
    let (votes, voted) = vote(&Toy::new(Dialect::Lopapr, 2, faults), &[good.clone(), bad, good.clone(), good]);
    assert_eq!((voted, agreed(&votes)), (Ok(()), 3), "{:?}", votes.verdicts);
    let finding = votes.verdicts[1].finding().expect("a finding");
    assert_eq!((finding.rule, finding.place), (Rule::DivergeStatus, Place::Step(1)));
    let whats: Vec<&str> = votes.incidents.iter().map(|incident| incident.what.as_str()).collect();
    assert_eq!(whats, ["the toy ended behind a difference"]);
}

/// A machine is lost behind a difference, and the next one, once, at the next program. That program was lost once and
/// passes the second time: two incidents.
#[test]
fn a_loss_behind_a_difference_is_not_blamed_on_the_next_program() {
    let refuses: fn(u64, Hypercall) -> Hypercall = |_, mut call| {
        if call.opcode == H_STUFF_TCE {
            call.args[0] = 77;
        }
        call
    };
    let good: Task = program("lopapr", &GET.repeat(3)).into();
    let tasks = [program("lopapr", STUFF).into(), good.clone(), good];
    let mut ended_again = 0;
    for ends_at in 2..40 {
        let faults = Faults { twist: Some(refuses), ends_behind: true.into(), ends_at, ..Faults::default() };
        let toy = Toy::new(Dialect::Lopapr, 2, faults);
        let (votes, voted) = vote(&toy, &tasks);
        assert_eq!((voted, votes.verdicts.len()), (Ok(()), 3), "{ends_at}: {:?}", votes.verdicts);
        let finding = votes.verdicts[0].finding().expect("a finding");
        assert_eq!((finding.rule, agreed(&votes)), (Rule::DivergeStatus, 2), "{ends_at}: {:?}", votes.verdicts);
        ended_again += usize::from(votes.incidents.len() == 2);
    }
    assert!(ended_again > 10, "{ended_again}");
}

#[test]
fn a_machine_that_is_lost_while_it_starts_is_tried_again() {
    let tasks = drawn(Dialect::Lopapr, 3);
    for (way, failing) in [
        (Way::Ended, 1),
        (Way::Ended, MOST as u64),
        (Way::Silent, MOST as u64),
        (Way::Host, MOST as u64),
        // Refusing twice means that the machine cannot be had, which the next test covers.
        (REFUSED, 1),
        // These never start, not even with the smallest board.
        (Way::Ended, u64::MAX),
        (Way::Silent, u64::MAX),
        (Way::Host, u64::MAX),
        (REFUSED, u64::MAX),
    ] {
        let toy = Toy::new(Dialect::Lopapr, 10, Faults { starts: Some((failing, way)), ..Faults::default() });
        let (votes, voted) = vote(&toy, &tasks);
        let gone = failing == u64::MAX;
        let expected = if gone { Err(Unavailable("toy: the toy did not start".into())) } else { Ok(()) };
        assert_eq!((voted, agreed(&votes)), (expected, if gone { 0 } else { 3 }), "{way:?} {failing}: {votes:?}");
        let incident = Incident { program: 0, what: "the toy did not start".into() };
        assert_eq!(votes.incidents, vec![incident; failing.min(MOST as u64 + 1) as usize], "{way:?} {failing}");
    }
}

/// A program is not compared if the machine refuses to start twice and a machine with the smallest board starts.
#[test]
fn a_machine_that_cannot_be_had_is_not_compared() {
    let small = program("lopapr", &format!("{PUT}{GET}"));
    let large = on_large_pages(small.clone());
    let tasks: Vec<Task> = [&small, &large, &small, &large].map(|program| program.clone().into()).into();
    let toy = Toy::new(Dialect::Lopapr, 10, Faults { small_pages: true, ..Faults::default() });
    let (votes, voted) = vote(&toy, &tasks);
    assert_eq!((voted, votes.incidents, votes.tally.programs), (Ok(()), vec![], 4));
    for (verdict, task) in votes.verdicts.iter().zip(&tasks) {
        match (verdict, task.program.machine.page_shift) {
            (Verdict::Agreed, PageShift::Shift12) => {}
            (Verdict::NotCompared(not), PageShift::Shift16) => {
                assert_eq!((not.from, not.compared), (Place::Start, false));
                assert_eq!(not.why.to_string(), "the toy did not start");
            }
            (other, shift) => panic!("{shift:?}: {other}"),
        }
    }
}

/// The machine ends by chance during a campaign, which keeps the program that ran.
#[test]
fn a_campaign_keeps_the_program_at_which_a_machine_was_lost() {
    let out = tempfile::tempdir().expect("a folder");
    let toy = Toy::new(Dialect::Kvm, 20, Faults { ends_at: 500, ..Faults::default() });
    let campaign = Campaign {
        config: GeneratorConfig { dialect: Some(Dialect::Kvm), ..GeneratorConfig::default() },
        seed: 8,
        jobs: 1,
        limit: Limit::Programs(128),
        roster: Roster::of(vec![Arc::new(toy)]),
        max_findings: 1,
        out: out.path().into(),
    };
    let summary = campaign.run(&AtomicBool::new(false), &mut |_| {}).expect("files can be written");
    assert_eq!((summary.tally.programs, summary.failing, &summary.gone), (128, 0, &None));
    assert_eq!((summary.incidents.len(), summary.roll.voters[0].incidents), (1, 1), "{:?}", summary.incidents);
    let kept = programs::store::programs_under(out.path()).expect("files");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let text = std::fs::read_to_string(&kept[0]).expect("text");
    assert!(text.contains("the toy ended by chance"), "{text}");
    assert!(kept[0].to_string_lossy().contains("incident"), "{kept:?}");
}
