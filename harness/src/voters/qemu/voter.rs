//! The voter: programs become requests, answers are held against the reference.
//!
//! The reference runs ahead and says what each call should answer; calls and expectations go on their way in batches, many programs
//! deep, and are compared as answers come back. Where one differs, everything behind it is waited for, dropped, and put to the machine
//! again, cleared.

use std::fmt::Write as _;
use std::sync::Arc;

use contract::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, LIST_BYTES, MAX_TCES_PER_CALL};
use contract::{
    Dialect, Hva, Hypercall, Liobn, Machine, MemoryModel, PageShift, Program, RealAddr, Rule, Status, Step, WindowSpec,
};
use programs::generate::Limits;
use programs::store;
use reference::{Answer, Outcome, Reference};

use super::board::{Board, Uncovered};
use super::child::{Config, Unavailable};
use super::draw::BoardLimits;
use super::layout::{RAM, RESERVED};
use super::live::{Answered, Live, Lost, Stopped, ioba, reach};
use crate::check::finding::Moment;
use crate::check::{Finding, NotCompared, Place, Reason, Tally, Thing, Verdict, words};
use crate::voters::roster::{Candidacy, VoterKind};
use crate::voters::{self, Incident, Look, Shows, Task, Told, Voter};

/// The voter's name.
const NAME: &str = "qemu";
/// What it shows.
const SHOWS: Shows = Shows::REGISTERS.and(Shows::TABLES);
/// Windows up to this many entries are read back whole at the end of each program.
const WHOLE: u64 = 1024;
/// Larger ones are read whole after one program in so many.
const WHOLE_EVERY: u64 = 64;
/// After the others as many entries of them are read, spread over what may have been written.
const SAMPLE: u64 = 512;
/// After every so many hypercalls of a program, what the last of them wrote is read back.
const GLANCE_EVERY: u64 = 8;
/// Most entries of such a glance.
const GLANCE: u64 = 16;
/// Times that a machine is started again for one program before the run is given up.
const RESTARTS: usize = 3;

/// What a request is for.
#[derive(Clone, Copy)]
struct Asked {
    program: usize,
    step: usize,
    /// The rule by which the reference decided the step before the request.
    decided: Option<Rule>,
    expect: Expect,
}

#[derive(Clone, Copy)]
enum Expect {
    /// A step: r3, and r4 as it comes back.
    Step { status: Status, r4: u64, touched: bool },
    /// An entry, read back.
    Entry { liobn: Liobn, index: u64, value: u64 },
}

/// What goes wrong while a program is put to the machine.
enum Trouble {
    /// An answer differs.
    Differs(Asked, super::mailbox::Answer),
    /// The machine is lost.
    Stopped(Stopped<Asked>),
    /// The program goes no further with QEMU: from where on, and why.
    Uncovered(NotCompared),
}

impl From<Stopped<Asked>> for Trouble {
    fn from(stopped: Stopped<Asked>) -> Self {
        Self::Stopped(stopped)
    }
}

/// What QEMU was asked, beside what the tally of its programs counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Hypercalls of programs whose answers were compared.
    pub calls: u64,
    /// Entries read back and compared.
    pub entries: u64,
    /// Machines started.
    pub boots: u64,
}

/// QEMU's pseries machine as a voter.
pub struct Qemu {
    config: Config,
    live: Option<Live<Asked>>,
    reference: Reference,
    counts: Counts,
    look: Look,
}

impl Qemu {
    /// A voter on the QEMU that `config` names. It is started when the first program comes.
    ///
    /// # Errors
    /// The QEMU is missing or too old.
    pub fn new(config: Config) -> Result<Self, Unavailable> {
        config.version()?;
        let memory = MemoryModel::Flatmem { array: RealAddr(1 << 30), pages: 1 };
        let machine = Machine::bare(PageShift::Shift12, 64, memory);
        let reference = Reference::new(Dialect::Qemu, &machine);
        Ok(Self { config, live: None, reference, counts: Counts::default(), look: Look::default() })
    }

    /// Looks so closely.
    #[must_use]
    pub const fn looking(mut self, look: Look) -> Self {
        self.look = look;
        self
    }

    /// What was asked so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Puts programs from `first` on until one of them stops the run; answers the one to go on with.
    fn run(
        &mut self,
        tasks: &[Task],
        first: usize,
        tally: &mut Tally,
        tell: &mut dyn FnMut(usize, Verdict),
    ) -> Result<usize, Stopped<Asked>> {
        let mut told = first;
        let mut tallies: Vec<(Tally, Option<NotCompared>)> = Vec::new();
        let mut trouble = Ok(());
        for (index, task) in tasks.iter().enumerate().skip(first) {
            let mut own = Tally::default();
            match self.program(&task.program, index, &mut own) {
                Ok(()) => tallies.push((own, None)),
                Err(Trouble::Uncovered(why)) => tallies.push((own, Some(why))),
                Err(other) => {
                    trouble = Err(other);
                    break;
                }
            }
        }
        if trouble.is_ok()
            && let Some(live) = &mut self.live
        {
            let counts = &mut self.counts;
            let mut wrong = None;
            let drained = live.drain(&mut |answered| check(answered, counts, &mut wrong));
            trouble = match (wrong, drained) {
                (Some((asked, answer)), _) => Err(Trouble::Differs(asked, answer)),
                (None, Err(stopped)) => Err(Trouble::Stopped(stopped)),
                (None, Ok(_)) => Ok(()),
            };
        }
        // All programs before the one in trouble have been answered in full: answers come in order.
        let end = match &trouble {
            Ok(()) => tasks.len(),
            Err(Trouble::Differs(asked, _)) => asked.program,
            Err(Trouble::Stopped(stopped)) => stopped.at.map_or(first + tallies.len(), |asked| asked.program),
            Err(Trouble::Uncovered(_)) => first,
        };
        for (own, uncovered) in tallies.drain(..(end - first).min(tallies.len())) {
            tally.add(&own);
            tell(told, uncovered.map_or(Verdict::Agreed, Verdict::NotCompared));
            told += 1;
        }
        match trouble {
            Ok(()) | Err(Trouble::Uncovered(_)) => Ok(told),
            Err(Trouble::Stopped(mut stopped)) => {
                if let Some(at) = &mut stopped.at {
                    at.program = told;
                }
                self.live = None;
                Err(stopped)
            }
            Err(Trouble::Differs(asked, answer)) => {
                if let Some(live) = &mut self.live {
                    live.drain(&mut |_| false)?;
                    live.forget();
                }
                let program = &tasks[told].program;
                self.count(program, asked.step, tally);
                tell(told, Verdict::Finding(Box::new(finding(program, asked, answer))));
                Ok(told + 1)
            }
        }
    }

    /// Counts the steps before `end` of a program that was compared up to there.
    fn count(&mut self, program: &Program, end: usize, tally: &mut Tally) {
        self.reference.reset(program.dialect, &program.machine);
        tally.programs += 1;
        for step in &program.steps[..end] {
            tally.steps += 1;
            let outcome = self.reference.step(step);
            match (step, outcome.answer) {
                (_, Answer::Skipped(_)) => tally.skipped += 1,
                (Step::Hypercall { call, .. }, Answer::Hypercall { status, .. }) if asks_safely(call.opcode) => {
                    tally.count_hypercall(status, false, call.count());
                    tally.count_rules(outcome.rules, false, status == Status::SUCCESS);
                }
                _ => {}
            }
        }
    }

    /// Puts one program on its way.
    fn program(&mut self, program: &Program, index: usize, tally: &mut Tally) -> Result<(), Trouble> {
        tally.programs += 1;
        let board = Board::of(program).map_err(no_machine)?;
        if self.live.as_ref().is_none_or(|live| !live.board.serves(&board)) {
            self.settle()?;
            self.boot(board)?;
        }
        self.reference.reset(program.dialect, &program.machine);
        let Some(live) = &mut self.live else { return Ok(()) };
        let mut run = Run {
            live,
            reference: &mut self.reference,
            counts: &mut self.counts,
            index,
            page_shift: program.machine.page_shift.bits(),
            // Where dialects are known to differ, a difference must be seen at the step that makes it.
            look: if program.dialect == Dialect::Qemu { self.look } else { self.look.max(Look::EachCall) },
            decided: None,
            wrong: None,
        };
        run.start(program)?;
        for (step, what) in program.steps.iter().enumerate() {
            tally.steps += 1;
            run.step(step, what, tally)?;
        }
        let whole = match self.look {
            Look::Brief => tally_key(program).is_multiple_of(WHOLE_EVERY),
            Look::EachCall => false,
            Look::Whole => true,
        };
        run.end(program.steps.len(), whole)
    }

    /// Waits for everything that is on its way.
    fn settle(&mut self) -> Result<(), Trouble> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let counts = &mut self.counts;
        let mut wrong = None;
        let drained = live.drain(&mut |answered| check(answered, counts, &mut wrong));
        match (wrong, drained) {
            (Some((asked, answer)), _) => Err(Trouble::Differs(asked, answer)),
            (None, Err(stopped)) => Err(stopped.into()),
            (None, Ok(_)) => Ok(()),
        }
    }

    fn boot(&mut self, board: Board) -> Result<(), Trouble> {
        self.live = None;
        self.counts.boots += 1;
        match Live::boot(&self.config, board) {
            Ok(live) => {
                self.live = Some(live);
                Ok(())
            }
            Err(error) => {
                // If a machine without windows starts, it is this one that QEMU cannot have.
                match Live::<Asked>::boot(&self.config, Board::default()) {
                    Ok(_) => Err(no_machine(error.to_string())),
                    Err(error) => Err(Stopped { lost: Lost::Protocol(error.to_string()), at: None }.into()),
                }
            }
        }
    }
}

/// QEMU cannot have the program's machine.
fn no_machine(why: Uncovered) -> Trouble {
    Trouble::Uncovered(NotCompared { from: Place::Start, why: Reason::Machine(why), compared: false })
}

/// QEMU cannot be asked this step.
fn not_from(step: usize, why: String) -> Trouble {
    Trouble::Uncovered(NotCompared { from: Place::Step(step), why: Reason::Step(why), compared: step > 0 })
}

/// A number of the program's steps, the same in every run and with every toolchain: it says which programs are looked at whole.
fn tally_key(program: &Program) -> u64 {
    let mut text = String::new();
    for step in &program.steps {
        let _ = writeln!(text, "{step}");
    }
    store::hash(text)
}

/// Holds an answer against what was expected; the first that differs is kept.
fn check(
    Answered { asked, answer }: Answered<Asked>,
    counts: &mut Counts,
    wrong: &mut Option<(Asked, super::mailbox::Answer)>,
) -> bool {
    let right = answer.others == 0
        && match asked.expect {
            Expect::Step { status, r4, .. } => {
                counts.calls += 1;
                answer.r3 == status.0 as u64 && answer.r4 == r4
            }
            Expect::Entry { value, .. } => {
                counts.entries += 1;
                answer.r3 == Status::SUCCESS.0 as u64 && answer.r4 == value
            }
        };
    if !right {
        *wrong = Some((asked, answer));
    }
    right
}

/// One program on its way.
struct Run<'a> {
    live: &'a mut Live<Asked>,
    reference: &'a mut Reference,
    counts: &'a mut Counts,
    index: usize,
    page_shift: u32,
    look: Look,
    /// The rule by which the reference decided the last step.
    decided: Option<Rule>,
    wrong: Option<(Asked, super::mailbox::Answer)>,
}

impl Run<'_> {
    fn differs(&mut self) -> Result<(), Trouble> {
        match self.wrong.take() {
            Some((asked, answer)) => Err(Trouble::Differs(asked, answer)),
            None => Ok(()),
        }
    }

    fn call(&mut self, call: &Hypercall, asked: Asked) -> Result<(), Trouble> {
        let Self { live, counts, wrong, .. } = self;
        live.call(call, Some(asked), &mut |answered| check(answered, counts, wrong))?;
        self.differs()
    }

    fn settle(&mut self) -> Result<(), Trouble> {
        let Self { live, counts, wrong, .. } = self;
        let drained = live.drain(&mut |answered| check(answered, counts, wrong));
        self.differs()?;
        drained.map(drop).map_err(Trouble::from)
    }

    /// Gives the machine the program's windows, all zero.
    fn start(&mut self, program: &Program) -> Result<(), Trouble> {
        if !self.live.has_exactly(program.machine.windows.iter()) {
            self.settle()?;
            self.live.arrange(program.machine.windows.iter())?;
        }
        let Self { live, counts, wrong, .. } = self;
        live.clear(&mut |answered| check(answered, counts, wrong))?;
        self.differs()
    }

    fn step(&mut self, index: usize, step: &Step, tally: &mut Tally) -> Result<(), Trouble> {
        match step {
            Step::Hypercall { call, .. } => return self.hypercall(index, call, tally),
            Step::CloseWindow { liobn } => {
                if let Some(window) = self.reference.window(*liobn) {
                    let spec = window.spec;
                    self.read_back(&spec, index, false)?;
                    self.settle()?;
                    self.live.close(&spec)?.map_err(|why| not_from(index, why))?;
                }
            }
            _ => {}
        }
        let outcome = self.reference.step(step);
        self.decided = outcome.rule;
        match (step, outcome.answer) {
            (_, Answer::Skipped(_)) => tally.skipped += 1,
            (Step::CreateWindow(spec), _) => {
                self.settle()?;
                self.live.open(spec)?.map_err(|why| not_from(index, why))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn hypercall(&mut self, index: usize, call: &Hypercall, tally: &mut Tally) -> Result<(), Trouble> {
        if !asks_safely(call.opcode) {
            // QEMU has other hypercalls under such numbers.
            self.reference.step(&Step::Hypercall { vcpu: 0, call: *call });
            return Ok(());
        }
        let [liobn, _, list, count] = call.args;
        let spec = self.reference.window(Liobn(liobn)).map(|window| window.spec);
        if spec.is_none() && self.live.has(liobn) && call.name().is_some() {
            return Err(not_from(index, format!("QEMU has a window {liobn:#x}")));
        }
        if call.opcode == H_PUT_TCE_INDIRECT
            && list.is_multiple_of(LIST_BYTES)
            && (1..=MAX_TCES_PER_CALL).contains(&count)
        {
            self.list(index, list, count)?;
        }
        let outcome = self.reference.step(&Step::Hypercall { vcpu: 0, call: *call });
        self.decided = outcome.rule;
        let Outcome { answer: Answer::Hypercall { status, r4 }, rules, .. } = outcome else {
            return Ok(());
        };
        tally.count_hypercall(status, false, call.count());
        tally.count_rules(rules, false, status == Status::SUCCESS);
        let expect = Expect::Step { status, r4: r4.unwrap_or(liobn), touched: r4.is_some() };
        self.call(call, Asked { program: self.index, step: index, decided: self.decided, expect })?;
        let writes = matches!(call.opcode, H_PUT_TCE | H_STUFF_TCE | H_PUT_TCE_INDIRECT);
        if let Some((spec, reach)) = spec.filter(|_| writes).and_then(|spec| Some((spec, reach(&spec, call)?))) {
            let touched = self.live.touched.entry(liobn).or_insert_with(|| reach.clone());
            *touched = touched.start.min(reach.start)..touched.end.max(reach.end);
            let start = reach.start..reach.end.min(reach.start + GLANCE);
            match self.look {
                Look::Brief if !tally.hypercalls.is_multiple_of(GLANCE_EVERY) => {}
                Look::Brief => self.read_entries(&spec, index, start)?,
                Look::EachCall => {
                    let end = start.end.max(reach.end.saturating_sub(GLANCE))..reach.end;
                    self.read_entries(&spec, index, start.chain(end))?;
                }
                Look::Whole => self.read_entries(&spec, index, reach)?,
            }
        }
        Ok(())
    }

    /// Brings the list that the guest has at `list` into QEMU's memory.
    fn list(&mut self, index: usize, list: u64, count: u64) -> Result<(), Trouble> {
        let real = real_address(self.reference, self.page_shift, list);
        let word = |i| real.map_or(0, |real| self.reference.ram_word(RealAddr(real.0 + 8 * i)));
        let words: Vec<u64> = (0..count).map(word).collect();
        let place = match list {
            _ if list < RESERVED => {
                let Self { live, counts, wrong, .. } = self;
                live.list(list, &words, &mut |answered| check(answered, counts, wrong))?;
                return self.differs();
            }
            RESERVED..RAM => "where the harness's own things lie in QEMU's memory",
            _ if words.iter().all(|word| *word == 0) => return Ok(()),
            _ => "past the end of QEMU's memory",
        };
        Err(not_from(index, format!("the list at {list:#x} lies {place}")))
    }

    fn end(&mut self, index: usize, whole: bool) -> Result<(), Trouble> {
        let specs: Vec<WindowSpec> = self.reference.windows().map(|window| window.spec).collect();
        for spec in specs {
            self.read_back(&spec, index, whole)?;
        }
        Ok(())
    }

    /// Reads a table back: all of it, or what may have been written and what lies at its edges.
    fn read_back(&mut self, spec: &WindowSpec, index: usize, whole: bool) -> Result<(), Trouble> {
        if whole || spec.entries <= WHOLE {
            return self.read_entries(spec, index, 0..spec.entries);
        }
        let touched = self.live.touched.get(&spec.liobn.0).cloned().unwrap_or(0..0);
        let around = touched.start.saturating_sub(1)..spec.entries.min(touched.end + 1);
        let stride = ((around.end - around.start) / SAMPLE).max(1);
        let edges = [0, spec.entries - 1, around.end - 1];
        self.read_entries(spec, index, around.step_by(stride as usize).chain(edges))
    }

    fn read_entries(
        &mut self,
        spec: &WindowSpec,
        step: usize,
        entries: impl Iterator<Item = u64>,
    ) -> Result<(), Trouble> {
        for index in entries {
            let Some(ioba) = ioba(spec, index) else { continue };
            let value = self.reference.window(spec.liobn).map_or(0, |window| window.guest(index));
            let expect = Expect::Entry { liobn: spec.liobn, index, value };
            self.call(
                &Hypercall::get(spec.liobn.0, ioba),
                Asked { program: self.index, step, decided: self.decided, expect },
            )?;
        }
        Ok(())
    }
}

/// Whether QEMU answers this opcode as one of the four calls, or as none at all.
const fn asks_safely(opcode: u64) -> bool {
    match opcode {
        H_GET_TCE | H_PUT_TCE | H_STUFF_TCE | H_PUT_TCE_INDIRECT => true,
        // Its own hypercalls, RTAS among them.
        0xef00..=0xf0ff => false,
        // Those of LoPAPR are multiples of 4 and small.
        _ => !opcode.is_multiple_of(4) || opcode > 0xffff,
    }
}

/// Where the frame that holds `gpa` lies in the machine's memory, if the guest has it; absent pages have their contents already.
fn real_address(reference: &Reference, page_shift: u32, gpa: u64) -> Option<RealAddr> {
    let gfn = gpa >> page_shift;
    let slot = reference.slots().find(|slot| slot.gfn.0 <= gfn && gfn - slot.gfn.0 < slot.pages)?;
    let page = (slot.hva.0 >> page_shift) + (gfn - slot.gfn.0);
    let pte = reference.pte(Hva(page << page_shift));
    // A huge entry starts at a multiple of its size.
    let pfn = pte.pfn()?.0 + (page & (pte.pages() - 1));
    Some(RealAddr(pfn << page_shift | gpa & ((1 << page_shift) - 1)))
}

/// The place of a step, or the end for the number of steps.
fn place(program: &Program, step: usize) -> Place {
    if step < program.steps.len() { Place::Step(step) } else { Place::End }
}

fn finding(program: &Program, asked: Asked, answer: super::mailbox::Answer) -> Finding {
    let hex = |value: u64| format!("{value:#x}");
    let found_status = Status(answer.r3 as i64);
    let (rule, thing, expected, found) = match asked.expect {
        Expect::Step { status, .. } if found_status != status => {
            (Rule::DivergeStatus, Thing::Status, status.to_string(), found_status.to_string())
        }
        Expect::Step { r4, touched, .. } if answer.r4 != r4 => {
            let untouched = if touched { "" } else { ", untouched" };
            (Rule::DivergeR4, Thing::R4, format!("{}{untouched}", words::register(Some(r4))), hex(answer.r4))
        }
        Expect::Entry { liobn, index, value } if (found_status, answer.r4) != (Status::SUCCESS, value) => {
            let found = if found_status == Status::SUCCESS { hex(answer.r4) } else { found_status.to_string() };
            (Rule::DivergeTce, Thing::GuestValue(liobn, index), hex(value), found)
        }
        _ => {
            let found = format!("bits {:#x} changed", answer.others);
            (Rule::DivergeR4, Thing::OtherRegisters, words::register(None), found)
        }
    };
    let moment = match asked.expect {
        Expect::Step { .. } => Moment::After,
        Expect::Entry { .. } => Moment::ReadBack,
    };
    let blank = Finding::new(NAME, program, place(program, asked.step), rule, thing);
    Finding { decided: asked.decided, agreed: asked.step.checked_sub(1), moment, expected, found, ..blank }
}

impl Voter for Qemu {
    fn name(&self) -> &str {
        NAME
    }

    fn shows(&self) -> Shows {
        SHOWS
    }

    fn own_dialect(&self) -> Option<Dialect> {
        Some(Dialect::Qemu)
    }

    /// Windows are cleared before each program; nothing else is remembered.
    fn renew(&mut self) -> Result<bool, voters::Unavailable> {
        Ok(true)
    }

    fn group(&self) -> usize {
        64
    }

    fn is_costly(&self, from: &Program, to: &Program) -> bool {
        match (Board::of(from), Board::of(to)) {
            (Ok(from), Ok(to)) => !from.serves(&to),
            _ => false,
        }
    }

    fn read_back(&self) -> u64 {
        self.counts.entries
    }

    fn vote(
        &mut self,
        tasks: &[Task],
        tally: &mut Tally,
        tell: &mut dyn FnMut(Told),
    ) -> Result<(), voters::Unavailable> {
        let mut next = 0;
        let mut lost = 0;
        while next < tasks.len() {
            let before = next;
            let run = self.run(tasks, next, tally, &mut |index, verdict| {
                next = index + 1;
                tell(Told::Verdict(index, verdict));
            });
            let stopped = match run {
                Ok(_) => {
                    lost = 0;
                    continue;
                }
                Err(stopped) => stopped,
            };
            lost = if next > before { 1 } else { lost + 1 };
            let how = match &stopped.lost {
                Lost::Dead(how) => how.clone(),
                Lost::Silent => format!("gave no answer within {:?}", self.config.limit),
                Lost::Protocol(why) => why.clone(),
            };
            tell(Told::Incident(Incident { program: next, what: format!("QEMU {how}") }));
            // Once can be anybody's doing. If a fresh machine goes the same way, it is the program's.
            if lost < 2 {
                continue;
            }
            match stopped {
                Stopped { lost: Lost::Dead(_) | Lost::Silent, at: Some(asked) } => {
                    let finding = loss(&tasks[next].program, asked.step, &stopped.lost, how);
                    tell(Told::Verdict(next, Verdict::Finding(Box::new(finding))));
                    tally.programs += 1;
                    next += 1;
                    lost = 0;
                }
                _ if lost > RESTARTS => return Err(voters::Unavailable(how)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The finding that a program ends QEMU, or leaves it without an answer.
fn loss(program: &Program, step: usize, lost: &Lost, how: String) -> Finding {
    let (rule, thing) = match lost {
        Lost::Silent => (Rule::SubjectHang, Thing::Silent("QEMU".into())),
        _ => (Rule::SubjectCrash, Thing::Process("QEMU".into())),
    };
    let blank = Finding::new(NAME, program, place(program, step), rule, thing);
    Finding { agreed: step.checked_sub(1), expected: "an answer".into(), found: how, ..blank }
}

/// How `--against` names it.
pub const KIND: VoterKind = VoterKind {
    pattern: "qemu",
    help: "QEMU's pseries machine, live",
    named: |name, options| (name == NAME).then(|| Arc::new(options.qemu.clone()) as Arc<dyn Candidacy>),
};

impl Candidacy for Config {
    fn name(&self) -> String {
        NAME.into()
    }

    fn make(&self, look: Look) -> Result<Box<dyn Voter>, voters::Unavailable> {
        let qemu = Qemu::new(self.clone()).map_err(|error| voters::Unavailable(error.to_string()))?;
        Ok(Box::new(qemu.looking(look)))
    }

    fn shows(&self) -> Shows {
        SHOWS
    }

    fn limits(&self) -> Option<Arc<dyn Limits>> {
        Some(Arc::new(BoardLimits))
    }

    fn dialect(&self) -> Option<Dialect> {
        Some(Dialect::Qemu)
    }

    /// A machine of QEMU's keeps a core busy, and so does the thread that feeds it.
    fn cores(&self) -> usize {
        2
    }

    fn looks(&self) -> bool {
        true
    }
}
