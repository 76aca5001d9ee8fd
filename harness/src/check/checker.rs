//! The checker: runs one program on the reference and on a subject, step by step, until a rule is broken or the program
//! ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use contract::description::{AddrRun, MAX_WINDOW_ENTRIES, SlotSpec};
use contract::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, MAX_TCES_PER_CALL};
use contract::{
    Backing, Dialect, HcallAnswer, Hypercall, Liobn, Machine, MemoryModel, PageShift, Pfn, ProbeAnswer, Program,
    RealAddr, Rule, Status, Step, WindowSpec,
};
use machine::subject::Bound;
use machine::{Coverage, Cpu, RealMemory, Subject};
use programs::quiet;
use reference::{Answer, Outcome, Owes, Reference};

use super::audit::audit;
use super::change;
use super::driver::{Answered, Conduct, Driver, Ran};
use super::failure::Failure;
use super::finding::{Code, Finding, Moment, Place, Thing};
use super::judge::Judge;
use super::oracle::Oracle;
use super::tally::Tally;
use super::verdict::{NotCompared, Reason, Verdict};
use super::words;

/// Hang limit of a probe, in accesses. A walk of the longest possible vmemmap list needs fewer.
const PROBE_LIMIT: u64 = 8 * contract::description::MAX_BLOCKS;

/// How the check handled a step, as a [`Watch`] sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handled {
    /// Neither the reference nor the subject ran the step: the step was skipped because its precondition failed, or it
    /// was not asked because the subject does not cover it.
    Skipped,
    /// The host did the step, for example `unmap`, or the subject closed a window.
    Host,
    /// The subject's real-mode half finished the hypercall. Probes count here too.
    Real,
    /// Virtual mode finished the hypercall: real mode deferred it, or the subject has no real-mode half.
    Deferred,
}

/// What a [`Watch`] sees of a step that passed: the reference and the subject agreed on it, or it was skipped or not
/// asked.
pub struct Observation<'a> {
    /// Index of the step in the program, from 0.
    pub index: usize,
    /// The step itself, as the program has it.
    pub step: &'a Step,
    /// The reference's outcome. For a step that was not asked, a made-up outcome that says so.
    pub outcome: &'a Outcome,
    /// How the check handled the step.
    pub handled: Handled,
    /// Number of memory accesses that the real-mode half made for a hypercall; 0 for every other step.
    pub accesses: u64,
    /// The real memory after the step. Its [changes](RealMemory::changes) are those of this step. If the step closed a
    /// window, the window's tables are still there.
    pub memory: &'a RealMemory,
    /// The reference in its state after the step.
    pub reference: &'a Reference,
}

/// Follows a check while it runs: the checker calls it at each place of the program.
pub trait Watch {
    /// Called when the check is about to run `place`: the start, a step, or the end.
    fn begins(&mut self, place: Place) {
        let _ = place;
    }

    /// Called after each step on which the reference and the subject agreed, and after each step that was skipped or
    /// not asked. Not called for a step with a finding.
    fn agreed(&mut self, seen: &Observation<'_>) {
        let _ = seen;
    }
}

/// A watch that does nothing.
impl Watch for () {}

/// A function is a watch: it is called after each step on which the reference and the subject agreed, and after each
/// step that was skipped or not asked.
impl<F: FnMut(&Observation<'_>)> Watch for F {
    fn agreed(&mut self, seen: &Observation<'_>) {
        self(seen);
    }
}

/// Sees each program and each step before the subject runs it. Only the null control may answer from what its witness
/// sees. The recorder of a [watched](crate::watch) library only writes the program down.
pub(crate) trait Witness: Send + Sync {
    /// Called when a check of `program` begins, before the subject starts.
    fn reset(&self, program: &Program);

    /// Called when the reference is about to run this step. A step that was not asked is not shown; a step that is
    /// skipped is shown.
    fn step(&self, step: &Step);
}

/// What the checker does at the end of a program, after the last step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ending {
    /// Compares everything. If the subject covers the closing of windows, also closes all windows that the subject
    /// covers, and searches for leaks (`REF.LEAK`).
    #[default]
    Close,
    /// Compares everything. The windows stay open and leaks are not searched for. The subject starts on the next
    /// program without having closed them.
    LeaveOpen,
}

impl Ending {
    /// Returns the ending of a program of a sequence: [`LeaveOpen`](Self::LeaveOpen) if the sequence says that the
    /// program leaves its windows open, else [`Close`](Self::Close).
    #[must_use]
    pub const fn of(left_open: bool) -> Self {
        if left_open { Self::LeaveOpen } else { Self::Close }
    }
}

/// A new subject, with its witness if the subject has one.
pub(crate) struct Instance {
    /// The subject. It has seen no program yet.
    pub(crate) subject: Box<dyn Subject + Send>,
    /// Sees each step before the subject runs it. `None` for most subjects; the null control and watched libraries have
    /// one.
    pub(crate) witness: Option<Arc<dyn Witness>>,
}

impl Instance {
    /// Makes an instance of `subject` without a witness.
    pub(crate) fn of(subject: impl Subject + Send + 'static) -> Self {
        Self { subject: Box::new(subject), witness: None }
    }
}

/// Makes new subjects of one kind. The error says why the subject cannot be made.
pub(crate) type Make = Box<dyn Fn() -> Result<Instance, String> + Send>;

/// Runs programs on the reference and on a subject, and compares the two sides. Reuses its allocations, and the
/// subject, for the next program.
pub struct Checker {
    reference: Reference,
    driver: Driver<dyn Subject + Send>,
    witness: Option<Arc<dyn Witness>>,
    make: Option<Make>,
    /// Whether [`check_aside`](Self::check_aside) once failed to make a second subject beside the checker's own. It
    /// then does not try again.
    only_one: bool,
    tally: Tally,
    /// Whether the [audit](super::audit) runs at the end of the program that runs now.
    audits: bool,
    /// The place that runs now in the program: the start, a step, or the end. A panic of the harness is reported there.
    place: Place,
    /// Number of memory accesses that the real-mode half made for the hypercall of the running step; 0 for other steps.
    /// Only shown to a [`Watch`].
    accesses: u64,
    /// The rule by which the reference decided the running step, for a finding's `decided`. `None` if no rule decides
    /// the step, as for host steps.
    decided: Option<Rule>,
    /// What the subject covers on the running program's machine.
    coverage: Coverage,
}

impl Checker {
    /// Makes a checker that runs `subject`. The checker cannot be [renewed](Self::renew), because it cannot make
    /// subjects.
    #[must_use]
    pub fn new(subject: Box<dyn Subject + Send>) -> Self {
        Self::of(Instance { subject, witness: None }, None)
    }

    /// Makes a checker that runs the subject that `make` returns. The checker can be [renewed](Self::renew).
    #[must_use]
    pub fn made<S: Subject + Send + 'static>(make: impl Fn() -> S + Send + 'static) -> Self {
        let instance = Instance::of(make());
        Self::of(instance, Some(Box::new(move || Ok(Instance::of(make())))))
    }

    /// Makes a checker that runs this subject. It can be [renewed](Self::renew) if `make` is `Some`.
    pub(crate) fn of(instance: Instance, make: Option<Make>) -> Self {
        Self {
            reference: Reference::new(Dialect::Lopapr, &smallest()),
            driver: Driver::new(instance.subject),
            witness: instance.witness,
            make,
            only_one: false,
            tally: Tally::default(),
            audits: false,
            place: Place::Start,
            accesses: 0,
            decided: None,
            coverage: Coverage::ALL,
        }
    }

    /// Replaces the subject by a new one that has seen no program. Returns `true` if it did so, and `false` if the
    /// checker has no way to make subjects.
    ///
    /// # Errors
    /// The checker has a way to make subjects, but it failed this time; the text says why. Afterwards the checker has
    /// no subject: only a later `renew` may be called.
    pub fn renew(&mut self) -> Result<bool, String> {
        let Some(make) = &self.make else { return Ok(false) };
        retire(&mut self.driver);
        let Instance { subject, witness } = make()?;
        self.driver.replace(subject);
        self.witness = witness;
        Ok(true)
    }

    /// Drops the subject, so that another one can be made: of some subjects only one can exist at a time, such as a
    /// library that wants memory mapped at a fixed address. Afterwards only [`renew`](Self::renew) may be called.
    pub(crate) fn retire(&mut self) {
        retire(&mut self.driver);
    }

    /// Like [`check_into`](Self::check_into), but runs the program on a second, new subject that has seen no other
    /// program. If no second subject can be made, now or in an earlier call, the checker's own subject runs the
    /// program.
    pub(crate) fn check_aside(
        &mut self,
        program: &Program,
        ending: Ending,
        tally: &mut Tally,
        watch: &mut dyn Watch,
    ) -> Verdict {
        let made = if self.only_one { None } else { self.make.as_ref().and_then(|make| make().ok()) };
        let Some(Instance { subject, witness }) = made else {
            // Does not try again for later programs: a failed attempt may have taken long.
            self.only_one = true;
            return self.check_into(program, ending, tally, watch);
        };
        let warm = self.driver.replace(subject);
        let witness = std::mem::replace(&mut self.witness, witness);
        let verdict = self.check_into(program, ending, tally, watch);
        self.driver.replace(warm);
        self.witness = witness;
        verdict
    }

    /// Returns the name of the subject that this checker runs.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.driver.subject().name()
    }

    /// Runs the program to its end or to the first finding, and returns the verdict. A program that
    /// [`Program::validate`] refuses does not run and gives [`Verdict::Invalid`]. Without a finding the verdict is
    /// [`Verdict::NotCompared`] if the subject does not cover a step, the memory model or the dialect. A panic of the
    /// harness becomes a finding of `HARNESS.FAULT`.
    pub fn check(&mut self, program: &Program) -> Verdict {
        self.check_watched(program, &mut ())
    }

    /// Like [`check`](Self::check), and calls `watch` before each place (the start, each step, and the end) and after
    /// each step without a finding.
    pub fn check_watched(&mut self, program: &Program, watch: &mut dyn Watch) -> Verdict {
        if let Err(invalid) = program.validate() {
            return Verdict::Invalid(invalid);
        }
        self.tally.clear();
        self.guarded(program, Ending::Close, watch)
    }

    /// Returns the counts of the last program that [`check`](Self::check) or [`check_watched`](Self::check_watched)
    /// ran.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Like [`check_watched`](Self::check_watched), but expects a valid program, ends it as `ending` says, and adds the
    /// counts to `tally`.
    pub(crate) fn check_into(
        &mut self,
        program: &Program,
        ending: Ending,
        tally: &mut Tally,
        watch: &mut dyn Watch,
    ) -> Verdict {
        std::mem::swap(&mut self.tally, tally);
        let verdict = self.guarded(program, ending, watch);
        std::mem::swap(&mut self.tally, tally);
        verdict
    }

    /// Runs a valid program and returns the verdict. A panic outside of the subject's code becomes a finding of
    /// `HARNESS.FAULT`.
    fn guarded(&mut self, program: &Program, ending: Ending, watch: &mut dyn Watch) -> Verdict {
        self.place = Place::Start;
        match quiet::quietly(|| catch_unwind(AssertUnwindSafe(|| self.run(program, ending, watch)))) {
            Ok(verdict) => verdict,
            Err(_) => {
                let found = format!("panic: {}", quiet::last_message());
                // The panic may have left these half changed, so they are not used again.
                self.reference = Reference::new(Dialect::Lopapr, &smallest());
                self.driver.forget();
                self.finding(*fault(found), self.place, program, None)
            }
        }
    }

    /// Runs the program's start, steps and end, and returns the verdict. Adds the program's counts to the checker's
    /// tally.
    fn run(&mut self, program: &Program, ending: Ending, watch: &mut dyn Watch) -> Verdict {
        self.tally.programs += 1;
        self.audits = cfg!(debug_assertions) || is_audited(program);
        self.reference.reset(program.dialect, &program.machine);
        if let Some(witness) = &self.witness {
            witness.reset(program);
        }
        let mut agreed = None;
        watch.begins(Place::Start);
        if let Err(failure) = self.start(program) {
            return self.finding(*failure, Place::Start, program, agreed);
        }
        if let Some(why) = uncovered(self.coverage, program) {
            return Verdict::NotCompared(NotCompared { from: Place::Start, why, compared: false });
        }
        let mut left_out = None;
        let mut compared = 0;
        for (index, step) in program.steps.iter().enumerate() {
            let place = Place::Step(index);
            self.tally.steps += 1;
            self.place = place;
            watch.begins(place);
            self.driver.begin();
            if !self.asks(step) {
                self.tally.not_asked += 1;
                left_out.get_or_insert((place, 0)).1 += 1;
                self.accesses = 0;
                let outcome = Outcome::skipped("the subject does not cover it");
                watch.agreed(&self.observation(index, step, &outcome, Handled::Skipped));
                continue;
            }
            match self.step(step) {
                Ok((outcome, handled)) => {
                    if handled != Handled::Skipped {
                        agreed = Some(index);
                        compared += 1;
                    }
                    watch.agreed(&self.observation(index, step, &outcome, handled));
                    self.driver.settle();
                }
                Err(failure) => return self.finding(*failure, place, program, agreed),
            }
        }
        self.place = Place::End;
        watch.begins(Place::End);
        if let Err(failure) = self.end(ending) {
            return self.finding(*failure, Place::End, program, agreed);
        }
        match left_out {
            None => Verdict::Agreed,
            Some((from, steps)) => {
                let why = Reason::Steps(steps, "it does not cover this step".into());
                Verdict::NotCompared(NotCompared { from, why, compared: compared > 0 })
            }
        }
    }

    /// Makes what a [`Watch`] sees of the step with this index.
    fn observation<'a>(
        &'a self,
        index: usize,
        step: &'a Step,
        outcome: &'a Outcome,
        handled: Handled,
    ) -> Observation<'a> {
        let Self { reference, driver, accesses, .. } = self;
        Observation { index, step, outcome, handled, accesses: *accesses, memory: driver.memory(), reference }
    }

    /// Makes a finding of `failure`, with the lines that the subject logged. `agreed` is the index, from 0, of the last
    /// step on which the reference and the subject agreed; `None` if there is none.
    fn finding(&self, failure: Failure, place: Place, program: &Program, agreed: Option<usize>) -> Verdict {
        let Failure { rule, thing, moment, expected, found, objects } = failure;
        let log = self.driver.subject().log();
        let decided = place.step().and(self.decided);
        let blank = Finding::new(self.subject(), program, place, rule, thing);
        Verdict::Finding(Box::new(Finding { decided, agreed, moment, expected, found, objects, log, ..blank }))
    }

    /// Starts the subject on the program's machine, then asks the subject what it covers of this machine. Compares
    /// nothing: the error is a panic of the subject or a violation of its interface.
    fn start(&mut self, program: &Program) -> Result<(), Box<Failure>> {
        self.driver.start(program, &mut Watched::new(PROBE_LIMIT))?;
        self.coverage = self.driver.subject().coverage();
        Ok(())
    }

    /// Returns whether the subject covers this step. If not, the step is not asked: neither the subject nor the
    /// reference runs it.
    fn asks(&self, step: &Step) -> bool {
        let covered = self.coverage;
        if covered == Coverage::ALL {
            return true;
        }
        let backing = |liobn: Liobn| {
            self.reference.window(liobn).is_none_or(|window| match window.spec.backing {
                Backing::Emulated => covered.emulated,
                Backing::Pinned { .. } => covered.pinned,
            })
        };
        match step {
            Step::Hypercall { call, .. } => {
                let asked = match call.opcode {
                    H_GET_TCE => covered.get,
                    H_PUT_TCE => covered.put,
                    H_PUT_TCE_INDIRECT => covered.indirect,
                    H_STUFF_TCE => covered.stuff,
                    _ => return true,
                };
                asked && backing(Liobn(call.args[0]))
            }
            Step::Lookup { .. } => covered.lookup,
            Step::GetPage { .. } => covered.get_page,
            Step::PutPage { .. } => covered.put_page,
            Step::CloseWindow { liobn } => covered.close && backing(*liobn),
            _ => true,
        }
    }

    /// Makes an oracle that compares the reference and the real memory as they are now.
    fn oracle(&self) -> Oracle<'_> {
        Oracle { reference: &self.reference, memory: self.driver.memory(), closing: self.driver.closed() }
    }

    /// Shows the step to the witness, if there is one, then runs the step on the reference. Returns the reference's
    /// outcome.
    fn reference_step(&mut self, step: &Step) -> Outcome {
        if let Some(witness) = &self.witness {
            witness.step(step);
        }
        (self.accesses, self.decided) = (0, None);
        let outcome = self.reference.step(step);
        self.decided = outcome.rule;
        outcome
    }

    /// Runs a step, which the driver has [begun](Driver::begin), on the reference, then on the subject or the host, and
    /// compares the results. A step whose precondition fails is skipped. The error is the failure to report.
    fn step(&mut self, step: &Step) -> Result<(Outcome, Handled), Box<Failure>> {
        let outcome = self.reference_step(step);
        if let Answer::Skipped(_) = outcome.answer {
            self.tally.skipped += 1;
            return Ok((outcome, Handled::Skipped));
        }
        let mut watched = match step {
            Step::Hypercall { call, .. } => self.watched_call(call),
            _ => Watched::new(PROBE_LIMIT),
        };
        let ran = self.driver.step(step, self.coverage.real_mode, &mut watched);
        let mut judge = watched.judge;
        let mut handled = Handled::Real;
        match ran {
            Ok(ran) => handled = self.compare_answer(step, &outcome, ran, &mut judge),
            Err(failure) => judge.hear(failure),
        }
        if judge.would_report(Rule::DivergeTce) {
            let oracle = self.oracle();
            if let Some(failure) = oracle.failure(oracle.step()) {
                judge.hear(failure);
            }
        }
        self.hear_fault(&mut judge);
        judge.verdict()?;
        Ok((outcome, handled))
    }

    /// Tells the judge about the fault that memory noted, if any: a contradiction of the simulated machine or of the
    /// oracle. The judge puts the fault before every failure of the subject.
    fn hear_fault(&self, judge: &mut Judge) {
        if let Some(found) = self.driver.memory().fault() {
            judge.hear(fault(found.to_string()));
        }
    }

    /// Runs the audit, the expensive checks of the harness itself. The error is a `HARNESS.FAULT`.
    fn audit(&self) -> Result<(), Box<Failure>> {
        audit(&self.reference, self.driver.memory()).map_err(|found| fault(found.to_string()))
    }

    /// Makes the [`Watched`] for a hypercall, with the call's hang limit and, if the subject publishes a bound, that
    /// bound.
    fn watched_call(&self, call: &Hypercall) -> Watched {
        let published = self.driver.subject().bound();
        // A list has at most 512 entries and a window at most 65,536, so a larger count in r7 must not raise the bound.
        let most = if call.opcode == H_PUT_TCE_INDIRECT { MAX_TCES_PER_CALL } else { MAX_WINDOW_ENTRIES };
        let entries = call.count().min(most);
        let bound = self.coverage.bounded.then_some(CallBound { published, entries });
        // Hang limit: a call touches at most as many entries as the largest window has, so a larger count in r7 must
        // not raise it.
        let touched = match entries {
            0..=MAX_TCES_PER_CALL => entries,
            _ => {
                let largest = self.reference.windows().map(|window| window.spec.entries).max().unwrap_or(0);
                entries.min(largest.max(MAX_TCES_PER_CALL))
            }
        };
        let limit = (10_000 + 200 * touched).max(bound.map_or(0, CallBound::accesses).saturating_mul(2));
        Watched { limit, bound, judge: Judge::default() }
    }

    /// Compares the subject's answer (`ran`) with the reference's (`outcome`), and tells the judge about each
    /// difference. Counts a probe or a hypercall in the tally if the judge then knows of no failure of it. Returns how
    /// the step was handled.
    fn compare_answer(&mut self, step: &Step, outcome: &Outcome, ran: Ran, judge: &mut Judge) -> Handled {
        match (step, outcome.answer, ran) {
            (Step::Hypercall { call, .. }, Answer::Hypercall { status, r4 }, Ran::Hypercall(answered)) => {
                self.compare_hypercall(outcome, HcallAnswer { status, r4 }, call.count(), answered, judge)
            }
            (Step::Lookup { pfn }, Answer::Lookup(expected), Ran::Lookup(found)) => {
                let found = found.map(RealAddr::masked);
                if found == expected.map(RealAddr::masked) {
                    self.tally.count_rules(outcome.rules, false, expected.is_some());
                } else {
                    let (expected, found) = (words::lookup(expected), words::lookup(found));
                    judge.hear(Failure::new(Rule::DivergeLookup, Thing::Lookup(*pfn), expected, found));
                }
                Handled::Real
            }
            (Step::GetPage { pfn }, Answer::Probe(expected), Ran::Probe(found)) => {
                self.compare_probe(outcome, Thing::GetPage(*pfn), expected, found, judge)
            }
            (Step::PutPage { pfn }, Answer::Probe(expected), Ran::Probe(found)) => {
                self.compare_probe(outcome, Thing::PutPage(*pfn), expected, found, judge)
            }
            (_, Answer::Done, Ran::Host | Ran::Closed) => Handled::Host,
            (_, answer, ran) => {
                judge.hear(fault(format!("the reference answered {answer:?}, the driver {ran:?}")));
                Handled::Host
            }
        }
    }

    /// Compares the reference's answer (`expected`) and the subject's answer (`found`) to `get_page_unless_zero` or
    /// `put_page_unless_one`. Tells the judge if the answers differ, else counts the step. Returns [`Handled::Real`].
    fn compare_probe(
        &mut self,
        outcome: &Outcome,
        thing: Thing,
        expected: ProbeAnswer,
        found: ProbeAnswer,
        judge: &mut Judge,
    ) -> Handled {
        if found == expected {
            self.tally.count_rules(outcome.rules, false, found == ProbeAnswer::Done(true));
        } else {
            judge.hear(Failure::new(Rule::DivergeLookup, thing, words::probe(expected), words::probe(found)));
        }
        Handled::Real
    }

    /// Compares the reference's answer to a hypercall (`expected`) with the subject's, and whether real mode finished
    /// or deferred the call with what it owes (docs/semantics.md, section 5). Tells the judge about each difference. If
    /// the judge has heard no failure of this step, counts the call and the number of `entries` that it asks for.
    fn compare_hypercall(
        &mut self,
        outcome: &Outcome,
        expected: HcallAnswer,
        entries: u64,
        answered: Answered,
        judge: &mut Judge,
    ) -> Handled {
        let Answered { answer, deferred, accesses } = answered;
        self.accesses = accesses;
        let HcallAnswer { status, r4 } = expected;
        match outcome.owes {
            Owes::Finish if deferred && self.coverage.real_mode => {
                let expected = format!("finished in real mode: {}", words::outcome(outcome));
                judge.hear(Failure::new(Rule::RmLazy, Thing::Call, expected, "deferred"));
            }
            Owes::Defer(reason) if !deferred => {
                let expected = format!("deferred: {}", reason.meaning());
                let found = format!("finished in real mode with {}", answer.status);
                judge.hear(Failure::new(reason, Thing::Call, expected, found));
            }
            _ => {}
        }
        if answer.status != status {
            let found = answer.status.to_string();
            judge.hear(Failure::new(Rule::DivergeStatus, Thing::Status, status.to_string(), found));
        }
        if answer.r4 != r4 {
            judge.hear(Failure::new(Rule::DivergeR4, Thing::R4, words::register(r4), words::register(answer.r4)));
        }
        if judge.would_report(Rule::RefLeak) {
            // Without a real-mode half it was not compared whether the call had to be deferred.
            let rules = if self.coverage.real_mode { outcome.rules } else { outcome.rules.without_reasons() };
            self.tally.count_hypercall(status, rules, deferred, entries);
        }
        if deferred { Handled::Deferred } else { Handled::Real }
    }

    /// Checks the end of a program: compares everything and runs the audit if it is due. Unless `ending` is
    /// [`Ending::LeaveOpen`] or the subject does not cover the closing of windows, then closes the windows that the
    /// subject covers, and searches for leaks. A page leaks if its count is not own plus mappings then
    /// (docs/semantics.md, section 7).
    fn end(&mut self, ending: Ending) -> Result<(), Box<Failure>> {
        let oracle = self.oracle();
        let mut judge = Judge::default();
        if let Some(failure) = oracle.failure(oracle.everything()) {
            judge.hear(failure);
        }
        self.hear_fault(&mut judge);
        judge.verdict()?;
        if self.audits {
            self.audit()?;
        }
        if !self.coverage.close || ending == Ending::LeaveOpen {
            return Ok(());
        }
        Driver::end(
            self,
            |checker| &mut checker.driver,
            |checker, step| {
                // A window that the subject does not cover stays open: no call has written to it.
                if checker.asks(step) { checker.step(step).map(drop) } else { Ok(()) }
            },
        )?;
        for (pfn, _) in self.reference.pages() {
            let memory = self.driver.memory();
            // No window is left, so the account's holders are page-table entries alone. Unmapping would give each of
            // their references back.
            let left = memory.count(pfn).wrapping_sub(memory.holders(pfn));
            let own = memory.own(pfn);
            if left != own {
                let (expected, found) = (format!("own {own}"), left.to_string());
                return Err(Failure::new(Rule::RefLeak, Thing::Count(pfn), expected, found).at(Moment::Closed));
            }
        }
        Ok(())
    }
}

/// How many memory accesses one real-mode hypercall may make (`RM.BOUNDED`).
#[derive(Clone, Copy)]
struct CallBound {
    /// The bound that the subject published: a base and a number for each entry, in accesses.
    published: Bound,
    /// Number of entries that the call's registers ask for, at most [`MAX_WINDOW_ENTRIES`], or 512 for a list.
    entries: u64,
}

impl CallBound {
    /// Returns how many accesses the call may make: `base + per_entry x entries`, or `u64::MAX` if that is more.
    const fn accesses(self) -> u64 {
        let Bound { base, per_entry } = self.published;
        base.saturating_add(per_entry.saturating_mul(self.entries))
    }
}

/// Runs the subject's code for the checker, catches the subject's panics, and turns what the CPU reports into failures.
struct Watched {
    /// Hang limit of a hypercall or a probe, in accesses. Closing a window has a limit of its own.
    limit: u64,
    /// The most accesses of the real-mode half. `None` if the subject publishes no bound, or the step is no hypercall.
    bound: Option<CallBound>,
    judge: Judge,
}

impl Watched {
    /// Makes a `Watched` for a step that is no hypercall, so without a bound. `limit` is the hang limit in memory
    /// accesses.
    fn new(limit: u64) -> Self {
        Self { limit, bound: None, judge: Judge::default() }
    }
}

impl Conduct for Watched {
    type Stop = Box<Failure>;

    fn limit(&self, code: Code, entries: u64) -> u64 {
        match code {
            Code::CloseWindow => 10_000 + 200 * entries,
            _ => self.limit,
        }
    }

    fn on_cpu<T>(
        &mut self,
        code: Code,
        memory: &RealMemory,
        cpu: &Cpu<'_>,
        call: impl FnOnce() -> T,
    ) -> Result<T, Box<Failure>> {
        let result = quiet::quietly(|| catch_unwind(AssertUnwindSafe(call)));
        let report = cpu.report();
        // The earliest broken rule counts, so an event before the bound was passed comes first.
        if code == Code::RealMode
            && let Some(bound) = self.bound.filter(|bound| report.accesses > bound.accesses())
            && report.event.is_none_or(|event| event.access > bound.accesses())
        {
            let CallBound { published: Bound { base, per_entry }, entries } = bound;
            let expected = format!("at most {base} + {per_entry} x {entries} = {}", bound.accesses());
            return Err(Failure::new(Rule::RmBounded, Thing::Accesses(entries), expected, report.accesses.to_string()));
        }
        if let Some(event) = report.event {
            return Err(Failure::of_event(memory, event, code));
        }
        result.map_err(|_| match report.hung {
            true => {
                let found = format!("no end after {} accesses", report.accesses - 1);
                Failure::new(Rule::SubjectHang, Thing::Hang(code), "an answer", found)
            }
            false => panicked(code),
        })
    }

    fn off_cpu<T>(&mut self, code: Code, call: impl FnOnce() -> T) -> Result<T, Box<Failure>> {
        quiet::quietly(|| catch_unwind(AssertUnwindSafe(call))).map_err(|_| panicked(code))
    }

    fn interface<S: Subject + ?Sized>(&mut self, code: Code, subject: &S) -> Result<(), Box<Failure>> {
        match subject.violation() {
            None => Ok(()),
            Some(found) => {
                Err(Failure::new(Rule::SubjectProtocol, Thing::Interface(code), "what the interface allows", found))
            }
        }
    }

    fn fault(&mut self, what: &'static str) -> Result<(), Box<Failure>> {
        Err(fault(what))
    }

    /// Reports `DEFER.CLEAN` if the call that real mode deferred has changed memory. Runs before virtual mode, because
    /// virtual mode changes memory itself.
    fn deferred(&mut self, memory: &RealMemory) {
        // The reference is already past the call, so it cannot say what memory held before. The change log can.
        let changes = memory.differences().map(|(place, old, new)| change::of(memory, place, old, new));
        if let Some(first) = changes.min_by_key(|change| change.address) {
            let expected = format!("{} as before the call", first.old);
            self.judge.hear(Failure::new(Rule::DeferClean, first.thing, expected, first.new).at(Moment::Deferred));
        }
    }
}

/// Makes a `HARNESS.FAULT`: the harness contradicts itself, and `found` says how.
fn fault(found: impl Into<String>) -> Box<Failure> {
    Failure::new(Rule::HarnessFault, Thing::Harness, "no contradiction", found)
}

/// Makes a `SUBJECT.CRASH` from the message of the panic that was caught last. `code` is the subject's code that
/// panicked.
fn panicked(code: Code) -> Box<Failure> {
    let found = format!("panic: {}", quiet::last_message());
    Failure::new(Rule::SubjectCrash, Thing::Panic(code), "an answer", found)
}

/// Drops the subject of the driver and puts [`Nobody`] in its place.
fn retire(driver: &mut Driver<dyn Subject + Send>) {
    drop(driver.replace(Box::new(Nobody)));
}

/// Stands in the checker for the subject while the old subject is dropped and the new one is not made yet.
struct Nobody;

/// `Nobody` answers wrongly on purpose, so a check that runs it by mistake shows a finding.
impl Subject for Nobody {
    fn name(&self) -> &str {
        "nobody"
    }

    fn start(&mut self, _: Dialect, _: &Machine) {}

    fn bound(&self) -> Bound {
        Bound { base: 0, per_entry: 0 }
    }

    fn real_mode(&self, _: &Cpu<'_>, _: &Hypercall) -> HcallAnswer {
        HcallAnswer::status(Status::TOO_HARD)
    }

    fn virtual_mode(&self, _: &Cpu<'_>, _: &Hypercall) -> HcallAnswer {
        HcallAnswer::status(Status::TOO_HARD)
    }

    fn pfn_to_page(&self, _: &Cpu<'_>, _: Pfn) -> Option<RealAddr> {
        None
    }

    fn get_page_unless_zero(&self, _: &Cpu<'_>, _: Pfn) -> ProbeAnswer {
        ProbeAnswer::NoPage
    }

    fn put_page_unless_one(&self, _: &Cpu<'_>, _: Pfn) -> ProbeAnswer {
        ProbeAnswer::NoPage
    }

    fn hot_add(&self, _: u64, _: &[AddrRun]) {}

    fn hot_remove(&self, _: u64) {}

    fn set_slot(&mut self, _: &SlotSpec) {}

    fn create_window(&mut self, _: &WindowSpec) {}

    fn close_window(&mut self, _: &Cpu<'_>, _: Liobn) {}
}

/// Returns the smallest valid machine: flatmem, one page, no slots, no mappings, no windows.
pub(crate) fn smallest() -> Machine {
    Machine::bare(PageShift::Shift12, 64, MemoryModel::Flatmem { array: RealAddr(1 << 30), pages: 1 })
}

/// Returns whether the audit runs at the end of this program in a release build, which holds for about one program in
/// 64. The answer depends on the program alone. A debug build audits every program.
fn is_audited(program: &Program) -> bool {
    let mut key = program.frames_bound() ^ (program.steps.len() as u64) << 32;
    // Short programs of one machine differ in their steps alone.
    for step in program.steps.iter().rev().take(4) {
        let step = match step {
            Step::Hypercall { call, .. } => call.args.iter().fold(call.opcode, |key, arg| key.rotate_left(13) ^ arg),
            other => other.kind() as u64,
        };
        key = key.rotate_left(17) ^ step;
    }
    // Multiplies by the golden ratio, which spreads neighbouring keys over all 64 bits. The choice has no use for
    // `store::hash`, which needs the program as bytes: this runs once a program and must cost next to nothing, and its
    // result leaves the process nowhere.
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58 == 0
}

/// Returns why the subject does not cover the program's memory model or dialect; `None` if the subject covers both.
fn uncovered(covered: Coverage, program: &Program) -> Option<Reason> {
    let (model, asked) = match program.machine.memory {
        MemoryModel::Flatmem { .. } => ("flatmem", covered.flatmem),
        MemoryModel::SparsememVmemmap { .. } => ("sparsemem-vmemmap", covered.vmemmap),
    };
    if !asked {
        return Some(Reason::MemoryModel(model.into()));
    }
    let dialect = Dialect::ALL.iter().position(|dialect| *dialect == program.dialect);
    let asked = dialect.is_some_and(|at| covered.dialects[at]);
    (!asked).then(|| Reason::dialect(program.dialect))
}

#[cfg(test)]
mod tests {
    use programs::generate::{GeneratorConfig, generate};

    use super::*;

    /// Of drawn programs, and of programs that differ in one number of their last step alone, about one in 64 is
    /// audited: with 12,800 programs 200, and within five standard deviations (14) of that.
    #[test]
    fn one_program_in_64_is_audited() {
        let config = GeneratorConfig::default();
        let drawn = (0..12_800).filter(|&index| is_audited(&generate(&config, 1, index))).count();
        let neighbours = (0..12_800).filter(|&number| {
            let call = Hypercall::put(0x1, (number % 64) << 12, (number / 64) << 12 | 3);
            let steps = vec![Step::Hypercall { vcpu: 0, call }];
            is_audited(&Program { dialect: Dialect::Lopapr, machine: smallest(), steps })
        });
        for (what, audited) in [("drawn", drawn), ("neighbours", neighbours.count())] {
            assert!((130..=270).contains(&audited), "{what}: {audited} of 12800");
        }
    }
}
