//! The pipeline: the reference runs ahead of a system that answers late.
//!
//! ```text
//!  programs ──> reference ──> what each call should answer ──> expected ──┐
//!                   └───────> calls, in batches ──> system ──> answers ───┴──> verdicts
//! ```
//!
//! The reference says what each call should answer. The pipeline sends calls without waiting for answers, many programs
//! deep, and compares each answer when it comes. If one differs, the pipeline waits for all answers behind it and drops
//! them. It then clears all tables and runs the programs behind it again.
//!
//! | file | what it is |
//! |---|---|
//! | `system` | the traits of a system, [`System`] and [`Running`], and what goes between it and the pipeline |
//! | `expected` | what calls should answer, and the finding that a wrong answer makes |
//! | this one | sends programs: their windows, lists and calls, and the calls that read tables back |
//!
//! The pipeline compares r3 and r4, checks that r5 to r9 are left alone, and reads tables back through H_GET_TCE; its
//! [`Look`] says how many entries. A new system implements the two traits, and [`Candidacy`](super::Candidacy).

mod expected;
mod system;

use contract::hcall::{H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, LIST_BYTES, MAX_TCES_PER_CALL};
use contract::{Dialect, Hva, Hypercall, Liobn, Program, RealAddr, Rule, Status, Step, WindowSpec};
use programs::store;
use reference::{Answer as Answered, Outcome, Reference};

use super::restart::{self, Loss, Runner, Watching};
use super::{Look, Shows, Task, Told, Unavailable, Voter};
use crate::check::checker::smallest;
use crate::check::{NotCompared, Place, Reason, Tally, Verdict};
use expected::{Asked, Expect};
use system::reach;

pub use expected::{Counts, Expected};
pub use system::{Answer, List, Running, System, Uncovered, Written, ioba};

/// What the pipeline compares: registers and guest values.
pub const SHOWS: Shows = Shows::REGISTERS.and(Shows::TABLES);

/// Number of programs that [`Voter::vote`] should get at once.
const GROUP: usize = 64;
/// Largest number of entries of a window that is always read back whole: at the end of each program, and before a step
/// closes the window.
const WHOLE: u64 = 1024;
/// Windows of more than [`WHOLE`] entries are read back whole after one program in this many, on average, with
/// [`Look::Brief`]; after every program with [`Look::Whole`], and never with [`Look::EachCall`].
const WHOLE_EVERY: u64 = 64;
/// About how many entries are read back of a window with more than [`WHOLE`] entries that is not read whole, spread
/// over the range that may have been written.
const SAMPLE: u64 = 512;
/// With [`Look::Brief`], the first entries that a hypercall may have written are read back if its number among the
/// hypercalls of its program that the machine was asked, from 1, is a multiple of this.
const GLANCE_EVERY: u64 = 8;
/// Largest number of entries that are read back at the start and at the end of the range that a hypercall may have
/// written. [`Look::Brief`] reads only the start, and [`Look::Whole`] has no such limit.
const GLANCE: u64 = 16;

/// Why a program was not sent to the system up to its end, or is not compared as a whole.
enum Trouble {
    /// An answer differs from the reference's: to this program or to an earlier one.
    Differs,
    /// The machine was lost; the value says how.
    Lost(Loss),
    /// A part of the program is not compared; the value says from which place on, and why.
    Uncovered(NotCompared),
}

impl From<Loss> for Trouble {
    fn from(loss: Loss) -> Self {
        Self::Lost(loss)
    }
}

/// A running machine and the board that it was started with.
struct Booted<S: System> {
    board: S::Board,
    running: S::Running,
}

/// A system as a voter: the reference runs ahead of the system's machine.
pub struct Ahead<S: System> {
    system: S,
    booted: Option<Booted<S>>,
    reference: Reference,
    expected: Expected,
    written: Written,
    look: Look,
}

impl<S: System> Ahead<S> {
    /// Makes a voter of a system. A machine is started when the first program comes.
    ///
    /// # Errors
    /// Fails if this computer cannot start a machine. The text says why, and what the user can do.
    pub fn new(system: S) -> Result<Self, Unavailable> {
        system.find()?;
        let reference = Reference::new(system.own_dialect().unwrap_or(Dialect::Lopapr), &smallest());
        let (expected, written) = (Expected::default(), Written::default());
        Ok(Self { system, booted: None, reference, expected, written, look: Look::default() })
    }

    /// Makes the voter read back as many table entries as `look` says; for a program in another dialect than the
    /// system's own, at least those of [`Look::EachCall`].
    #[must_use]
    pub const fn looking(mut self, look: Look) -> Self {
        self.look = look;
        self
    }

    /// Returns how many answers were compared and how many machines were started, since the voter was made.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.expected.counts
    }

    /// Sends the tasks from index `first` on, until an answer differs or all tasks are sent. Passes their verdicts to
    /// `tell` and adds their counts to `tally`. Returns the index of the task to go on with.
    ///
    /// # Errors
    /// Fails if the machine is lost. All programs before the one at which the machine was lost have their verdicts.
    fn stretch(
        &mut self,
        tasks: &[Task],
        first: usize,
        tally: &mut Tally,
        tell: &mut dyn FnMut(Verdict),
    ) -> Result<usize, Loss> {
        let mut sent: Vec<(Tally, Option<NotCompared>)> = Vec::new();
        let mut trouble = Ok(());
        for (index, task) in tasks.iter().enumerate().skip(first) {
            let mut own = Tally::default();
            match self.put(&task.program, index, &mut own) {
                Ok(()) => sent.push((own, None)),
                Err(Trouble::Uncovered(why)) => sent.push((own, Some(why))),
                Err(other) => {
                    trouble = Err(other);
                    break;
                }
            }
        }
        let trouble = trouble.and_then(|()| self.settle());
        let lost = match trouble {
            Err(Trouble::Lost(loss)) => Some(loss),
            _ => None,
        };
        // Answers come in order, so all programs before the one in trouble have all their answers.
        let wrong = self.expected.wrong();
        let oldest = if lost.is_some() { self.expected.oldest().copied() } else { None };
        let stopped_at = wrong.map(|(asked, _)| asked).or(oldest);
        let end = stopped_at.map_or(first + sent.len(), |asked| asked.program);
        for (own, uncovered) in sent.drain(..end - first) {
            tally.add(&own);
            tell(uncovered.map_or(Verdict::Agreed, Verdict::NotCompared));
        }
        let Some((asked, answer)) = wrong else {
            let Some(loss) = lost else { return Ok(end) };
            self.forget();
            return Err(match oldest {
                Some(asked) => loss.at(asked.place(&tasks[end].program)),
                None => loss,
            });
        };
        let program = &tasks[end].program;
        self.count(program, asked.step, tally);
        tell(Verdict::Finding(Box::new(asked.finding(self.system.name(), program, &answer))));
        let lost = lost.or_else(|| self.booted.as_mut()?.running.drain(&mut self.expected).err());
        match lost {
            Some(loss) => {
                self.forget();
                // The place is unknown, because the machine was lost at one of the calls that are dropped, or at none.
                Err(Loss { place: None, ..loss })
            }
            None => {
                self.expected.clear();
                self.written.anything = true;
                Ok(end + 1)
            }
        }
    }

    /// Drops the machine and all hypercalls that it has not answered.
    fn forget(&mut self) {
        self.booted = None;
        self.expected.clear();
        self.written = Written::default();
    }

    /// Adds a program to `tally` that was compared up to the step with index `end`, and the program's steps before that
    /// step.
    fn count(&mut self, program: &Program, end: usize, tally: &mut Tally) {
        self.reference.reset(program.dialect, &program.machine);
        tally.programs += 1;
        for step in &program.steps[..end] {
            tally.steps += 1;
            let window = named(&self.reference, step);
            let outcome = self.reference.step(step);
            match (step, outcome.answer) {
                (_, Answered::Skipped(_)) => tally.skipped += 1,
                (Step::Hypercall { call, .. }, Answered::Hypercall { status, .. })
                    if self.system.leaves_out(call, window.as_ref()).is_none() =>
                {
                    count_call(tally, call, status, &outcome);
                }
                (Step::Hypercall { .. }, _) => tally.not_asked += 1,
                _ => {}
            }
        }
    }

    /// Sends one program to the machine. `index` is the program's index among the tasks, from 0. Starts another machine
    /// first if the program needs another board. Adds the program and the steps that are sent to `tally`. The error
    /// says why the program was not sent to its end, or is not compared as a whole.
    fn put(&mut self, program: &Program, index: usize, tally: &mut Tally) -> Result<(), Trouble> {
        tally.programs += 1;
        let board = self.system.board(program).map_err(|why| {
            Trouble::Uncovered(NotCompared { from: Place::Start, why: Reason::Machine(why), compared: false })
        })?;
        if self.booted.as_ref().is_none_or(|booted| !self.system.serves(&booted.board, &board)) {
            self.settle()?;
            self.boot(board)?;
        }
        let Booted { running, .. } = self.booted.as_mut().expect("a machine was started");
        self.reference.reset(program.dialect, &program.machine);
        // Another dialect is known to differ, and the ledger declares differences by step. So each call is looked at,
        // and a difference is found at the step that makes it.
        let own = self.system.own_dialect().is_none_or(|own| own == program.dialect);
        let mut sender = Sender {
            system: &self.system,
            running,
            reference: &mut self.reference,
            expected: &mut self.expected,
            written: &mut self.written,
            program: index,
            page_shift: program.machine.page_shift.bits(),
            look: if own { self.look } else { self.look.max(Look::EachCall) },
            decided: None,
            agreed: None,
            not_asked: None,
            compared: false,
        };
        let whole = match self.look {
            Look::Brief => key(program).is_multiple_of(WHOLE_EVERY),
            Look::EachCall => false,
            Look::Whole => true,
        };
        sender.run(program, whole, tally)?;
        if !sender.compared {
            let (from, why) = (Place::Start, Reason::Unshown);
            return Err(Trouble::Uncovered(NotCompared { from, why, compared: false }));
        }
        Ok(())
    }

    /// Waits until the machine has answered all hypercalls. Fails if an answer differs or the machine is lost.
    fn settle(&mut self) -> Result<(), Trouble> {
        match &mut self.booted {
            Some(Booted { running, .. }) => settle(running, &mut self.expected),
            None => Ok(()),
        }
    }

    /// Starts a machine with this board in the place of the running one, which must have answered all hypercalls. Fails
    /// if the new machine is lost before it takes calls.
    fn boot(&mut self, board: S::Board) -> Result<(), Loss> {
        assert!(self.expected.oldest().is_none(), "a machine is given up with calls on their way");
        self.forget();
        self.expected.counts.boots += 1;
        let running = self.system.boot(&board)?;
        self.booted = Some(Booted { board, running });
        Ok(())
    }
}

/// Waits until the machine has answered all hypercalls. Fails if an answer differs or the machine is lost.
fn settle(running: &mut impl Running, expected: &mut Expected) -> Result<(), Trouble> {
    running.drain(expected)?;
    differs(expected)
}

fn differs(expected: &Expected) -> Result<(), Trouble> {
    if expected.differs() { Err(Trouble::Differs) } else { Ok(()) }
}

/// Returns the window that a hypercall step names; `None` if the program has no such window now or the step is no
/// hypercall.
fn named(reference: &Reference, step: &Step) -> Option<WindowSpec> {
    match step {
        Step::Hypercall { call, .. } => reference.window(Liobn(call.args[0])).map(|window| window.spec),
        _ => None,
    }
}

/// Counts a hypercall on which the machine and the reference agreed. Reasons to defer are not counted: the machine does
/// not show which of its halves finished the call.
fn count_call(tally: &mut Tally, call: &Hypercall, status: Status, outcome: &Outcome) {
    tally.count_hypercall(status, false, call.count());
    tally.count_rules(outcome.rules.without_reasons(), false, status == Status::SUCCESS);
}

/// Returns a hash of the program's last eight steps, which is the same in every run and with every toolchain. It
/// decides after which programs large windows are read back whole.
fn key(program: &Program) -> u64 {
    let last = program.steps.iter().rev().take(8);
    store::hash(last.flat_map(|step| step.to_string().into_bytes()).collect::<Vec<u8>>())
}

/// Sends the steps of one program to the machine.
struct Sender<'a, S: System> {
    system: &'a S,
    running: &'a mut S::Running,
    reference: &'a mut Reference,
    expected: &'a mut Expected,
    written: &'a mut Written,
    /// Index of the program among the tasks, from 0.
    program: usize,
    page_shift: u32,
    look: Look,
    /// The rule by which the reference decided the last step, not counting steps that the machine was not asked; `None`
    /// if no rule decided that step.
    decided: Option<Rule>,
    /// Index, from 0, of the last step that was neither skipped nor not asked; `None` if there is none.
    agreed: Option<usize>,
    /// Index of the first step that the machine was not asked, why it was not asked, and the number of such steps;
    /// `None` if there is none.
    not_asked: Option<(usize, String, u64)>,
    /// Whether the machine was asked a hypercall for one of the program's steps (also to read back a window before a
    /// step closes it), so that a part of the program is compared.
    compared: bool,
}

impl<S: System> Sender<'_, S> {
    /// Sends the program to the machine, from its start to its end, and the hypercalls that read tables back. With
    /// `whole` all windows are read back whole at the end. Adds the steps to `tally`.
    ///
    /// # Errors
    /// Fails if an answer differs, if the machine is lost, or if a part of the program is not compared. The last error
    /// is also returned if the program was sent to its end, but the machine was not asked all of its steps.
    fn run(&mut self, program: &Program, whole: bool, tally: &mut Tally) -> Result<(), Trouble> {
        self.start(program)?;
        let put = program.steps.iter().enumerate().try_for_each(|(index, step)| {
            tally.steps += 1;
            self.step(index, step, tally)
        });
        let put = put.and_then(|()| self.end(program.steps.len(), whole));
        let Some((first, why, steps)) = self.not_asked.take() else { return put };
        let why = match put {
            Ok(()) => Reason::Steps(steps, why),
            // Steps before the one that ends the program were not asked either, and none of them may count as agreed.
            Err(Trouble::Uncovered(NotCompared { from, why: then, .. })) => {
                Reason::Step(format!("{why}; nothing is compared from {from} on: {then}"))
            }
            Err(other) => return Err(other),
        };
        Err(Trouble::Uncovered(NotCompared { from: Place::Step(first), why, compared: self.compared }))
    }

    /// Gives the machine the program's windows, with all entries zero. Fails if the machine is lost or an answer to an
    /// earlier program differs.
    fn start(&mut self, program: &Program) -> Result<(), Trouble> {
        let written = std::mem::take(self.written);
        self.running.begin(&program.machine, written, self.expected).map_err(|loss| loss.at(Place::Start))?;
        differs(self.expected)
    }

    fn step(&mut self, index: usize, step: &Step, tally: &mut Tally) -> Result<(), Trouble> {
        if let Step::Hypercall { call, .. } = step {
            return self.hypercall(index, step, call, tally);
        }
        if let Step::CloseWindow { liobn } = step
            && let Some(window) = self.reference.window(*liobn)
        {
            let spec = window.spec;
            self.compared = true;
            self.read_back(&spec, index, false)?;
        }
        let outcome = self.reference.step(step);
        self.decided = outcome.rule;
        if matches!(outcome.answer, Answered::Skipped(_)) {
            tally.skipped += 1;
            return Ok(());
        }
        if self.system.mirrors(step) {
            settle(self.running, self.expected)?;
            let changed = self.running.change(step, self.reference).map_err(|loss| loss.at(Place::Step(index)))?;
            changed.map_err(|why| self.not_from(index, why))?;
        }
        self.agreed = Some(index);
        if let Step::CreateWindow(WindowSpec { liobn, .. }) | Step::CloseWindow { liobn } = step {
            self.written.entries.remove(liobn);
        }
        Ok(())
    }

    fn hypercall(&mut self, index: usize, step: &Step, call: &Hypercall, tally: &mut Tally) -> Result<(), Trouble> {
        let spec = named(self.reference, step);
        let [liobn, _, list, count] = call.args;
        let thing = self.system.thing();
        if let Some(why) = self.system.leaves_out(call, spec.as_ref()) {
            self.reference.step(step);
            if !self.reference.touched().is_empty() {
                return Err(self.not_from(index, format!("{thing} is not asked this call, which changes something")));
            }
            tally.not_asked += 1;
            let why = || {
                let what = call.name().map_or_else(|| format!("opcode {:#x}", call.opcode), str::to_string);
                (index, format!("{thing} is not asked {what}: {why}"), 0)
            };
            self.not_asked.get_or_insert_with(why).2 += 1;
            return Ok(());
        }
        if spec.is_none() && call.name().is_some() && self.running.has(Liobn(liobn)) {
            return Err(self.not_from(index, format!("{thing} has a window {liobn:#x}")));
        }
        if call.opcode == H_PUT_TCE_INDIRECT
            && list.is_multiple_of(LIST_BYTES)
            && (1..=MAX_TCES_PER_CALL).contains(&count)
        {
            self.list(index, list, count)?;
        }
        let outcome = self.reference.step(step);
        self.decided = outcome.rule;
        let Answered::Hypercall { status, r4 } = outcome.answer else { return Ok(()) };
        count_call(tally, call, status, &outcome);
        let expect = Expect::Step { status, r4: r4.unwrap_or(liobn), stored: r4.is_some() };
        let (decided, agreed) = (self.decided, self.agreed);
        self.expected.add(Asked { program: self.program, step: index, agreed, decided, expect });
        self.compared = true;
        self.running.call(call, self.expected)?;
        differs(self.expected)?;
        let writes = matches!(call.opcode, H_PUT_TCE | H_STUFF_TCE | H_PUT_TCE_INDIRECT);
        if let Some((spec, reach)) = spec.filter(|_| writes).and_then(|spec| Some((spec, reach(&spec, call)?))) {
            self.written.add(spec.liobn, &reach);
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
        self.agreed = Some(index);
        Ok(())
    }

    /// Stores the list at guest physical address `gpa`, of `count` words, in the machine's memory, as the reference has
    /// it. `index` is the index of the step that uses the list. Fails if the machine is lost, cannot have the list, or
    /// has given an answer that differs.
    fn list(&mut self, index: usize, gpa: u64, count: u64) -> Result<(), Trouble> {
        let real = real_address(self.reference, self.page_shift, gpa);
        let word = |i| real.map_or(0, |real| self.reference.ram_word(RealAddr(real.0 + 8 * i)));
        let words: Vec<u64> = (0..count).map(word).collect();
        let list = List { gpa, words: &words, backed: real.is_some() };
        self.running.list(list, self.expected)?.map_err(|why| self.not_from(index, why))?;
        differs(self.expected)
    }

    fn end(&mut self, index: usize, whole: bool) -> Result<(), Trouble> {
        let specs: Vec<WindowSpec> = self.reference.windows().map(|window| window.spec).collect();
        for spec in specs {
            self.read_back(&spec, index, whole)?;
        }
        Ok(())
    }

    /// Reads a window's table back: the whole table if `whole` is set or the window is small. Else it reads a sample of
    /// the entries that may have been written, their neighbours, and the first and last entry. `index` is the index of
    /// the running step, or the number of steps at the end of the program.
    fn read_back(&mut self, spec: &WindowSpec, index: usize, whole: bool) -> Result<(), Trouble> {
        if whole || spec.entries <= WHOLE {
            return self.read_entries(spec, index, 0..spec.entries);
        }
        let written = self.written.of(spec.liobn);
        let around = written.start.saturating_sub(1)..spec.entries.min(written.end + 1);
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
        let Self { running, expected, program, decided, agreed, .. } = self;
        let window = self.reference.window(spec.liobn);
        for index in entries {
            let Some(ioba) = ioba(spec, index) else { continue };
            let value = window.map_or(0, |window| window.guest(index));
            let expect = Expect::Entry { liobn: spec.liobn, index, value };
            expected.add(Asked { program: *program, step, agreed: *agreed, decided: *decided, expect });
            running.call(&Hypercall::get(spec.liobn.0, ioba), expected)?;
            differs(expected)?;
        }
        Ok(())
    }

    /// Returns the error that the program is not compared from this step on, because the machine cannot be asked the
    /// step.
    fn not_from(&self, step: usize, why: String) -> Trouble {
        let (from, why) = (Place::Step(step), Reason::Step(why));
        Trouble::Uncovered(NotCompared { from, why, compared: self.compared })
    }
}

/// Returns the real address of guest physical address `gpa`; `None` if no slot or no page-table entry is there. A page
/// whose page-table entry is absent has a real address too.
fn real_address(reference: &Reference, page_shift: u32, gpa: u64) -> Option<RealAddr> {
    let gfn = gpa >> page_shift;
    let slot = reference.slots().find(|slot| slot.gfn.0 <= gfn && gfn - slot.gfn.0 < slot.pages)?;
    let page = (slot.hva.0 >> page_shift) + (gfn - slot.gfn.0);
    let pte = reference.pte(Hva(page << page_shift));
    // A huge entry starts at a multiple of its size.
    let pfn = pte.pfn()?.0 + (page & (pte.pages() - 1));
    Some(RealAddr(pfn << page_shift | gpa & ((1 << page_shift) - 1)))
}

impl<S: System> Runner for Ahead<S> {
    fn name(&self) -> &str {
        self.system.name()
    }

    fn thing(&self) -> &str {
        self.system.thing()
    }

    /// Sends programs in the same way for every `watching`. Answers come in order, so the hypercall at which the
    /// machine is lost is always known.
    fn run(
        &mut self,
        tasks: &[Task],
        _: Watching,
        tally: &mut Tally,
        tell: &mut dyn FnMut(Verdict),
    ) -> Result<(), Loss> {
        let mut next = 0;
        while next < tasks.len() {
            next = self.stretch(tasks, next, tally, tell)?;
        }
        Ok(())
    }

    fn starts_bare(&mut self) -> bool {
        self.boot(self.system.bare()).is_ok()
    }
}

impl<S: System> Voter for Ahead<S> {
    fn name(&self) -> &str {
        self.system.name()
    }

    fn shows(&self) -> Shows {
        SHOWS
    }

    fn own_dialect(&self) -> Option<Dialect> {
        self.system.own_dialect()
    }

    /// Drops the machine if programs leave more in it than windows and tables ([`System::remembers`]); the next program
    /// then starts another. Windows and tables are cleared before each program anyway. Always returns `true`.
    fn renew(&mut self) -> Result<bool, Unavailable> {
        if self.system.remembers() {
            self.forget();
        }
        Ok(true)
    }

    fn group(&self) -> usize {
        GROUP
    }

    fn is_costly(&self, from: &Program, to: &Program) -> bool {
        match (self.system.board(from), self.system.board(to)) {
            (Ok(from), Ok(to)) => !self.system.serves(&from, &to),
            _ => false,
        }
    }

    fn read_back(&self) -> u64 {
        self.expected.counts.entries
    }

    fn vote(&mut self, tasks: &[Task], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable> {
        restart::vote(self, tasks, tally, tell)
    }
}
