//! Lockstep: one program on the reference and on a subject, step by step, until they differ or the program ends.

use std::sync::Arc;

use contract::description::MAX_WINDOW_ENTRIES;
use contract::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE};
use contract::{
    Backing, Dialect, HcallAnswer, Hypercall, Liobn, Machine, MemoryModel, PageShift, Pfn, ProbeAnswer, Program,
    RealAddr, Rule, Status, Step, WindowSpec,
};
use machine::memory::{Context, CpuReport, Mode};
use machine::subject::Bound;
use machine::{Coverage, RealMemory, Subject};
use reference::{Answer, Outcome, Owes, Reference};

use crate::check::change::{Change, VMEMMAP_LIST};
use crate::check::failure::{Failure, Outcomed, guarded, no_event};
use crate::check::oracle::{Mismatch, Oracle};
use crate::check::verdict::{Finding, Identity, Tally, Verdict};
use crate::check::words::{self, probe};
use machine::host::Host;

/// Accesses after which a probe is taken for hung: room for a walk of the longest vmemmap list.
const PROBE_LIMIT: u64 = 8 * contract::description::MAX_BLOCKS;

/// What [`Checker::check_marked`] calls the start.
pub(crate) const START: u64 = u64::MAX;

/// How a step was handled, for those who watch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handled {
    /// Its precondition failed.
    Skipped,
    /// The host did it.
    Host,
    /// Real mode finished it.
    Real,
    /// Real mode deferred it and virtual mode finished it.
    Deferred,
}

/// A step on which both sides agreed, as a watcher sees it.
pub struct Observation<'a> {
    /// Its index.
    pub index: usize,
    /// The step.
    pub step: &'a Step,
    /// What the reference said of it.
    pub outcome: &'a Outcome,
    /// How it was handled.
    pub handled: Handled,
    /// Accesses of the real-mode run.
    pub accesses: u64,
    /// The memory after it; its changes are this step's.
    pub memory: &'a RealMemory,
    /// The reference after it.
    pub reference: &'a Reference,
}

/// Somebody who sees each step before the subject is asked: only the null control may, and who keeps what a library may take with it.
pub(crate) trait Witness: Send + Sync {
    /// A program begins.
    fn reset(&self, program: &Program);

    /// A step is about to run.
    fn step(&self, step: &Step);
}

/// Runs programs on the reference and a subject; keeps its allocations from program to program.
pub struct Checker {
    reference: Reference,
    memory: RealMemory,
    host: Host,
    subject: Box<dyn Subject + Send>,
    /// For the null control: the second reference, which sees each step before the subject answers for it. For a library in the command's
    /// own process: who notes each program.
    shadow: Option<Arc<dyn Witness>>,
    tally: Tally,
    /// Accesses of real-mode runs, for the bound that a subject publishes.
    accesses: u64,
    /// What the subject covers of the running program's machine.
    coverage: Coverage,
    /// Why the last program was not put to the subject at all.
    uncovered: Option<String>,
}

impl Checker {
    /// A checker of `subject`.
    #[must_use]
    pub fn new(subject: Box<dyn Subject + Send>) -> Self {
        Self::with_shadow(subject, None)
    }

    pub(crate) fn with_shadow(subject: Box<dyn Subject + Send>, shadow: Option<Arc<dyn Witness>>) -> Self {
        Self {
            reference: Reference::new(Dialect::Lopapr, &smallest()),
            memory: RealMemory::new(),
            host: Host::new(),
            subject,
            shadow,
            tally: Tally::default(),
            accesses: 0,
            coverage: Coverage::ALL,
            uncovered: None,
        }
    }

    /// The name of the subject.
    #[must_use]
    pub fn subject(&self) -> &'static str {
        self.subject.name()
    }

    /// Why the subject was not asked about the last program at all: it does not cover its memory model or dialect. Such a program agrees.
    #[must_use]
    pub fn uncovered(&self) -> Option<&str> {
        self.uncovered.as_deref()
    }

    /// Runs the program to its end or to the first finding.
    pub fn check(&mut self, program: &Program) -> Verdict {
        self.check_observed(program, &mut |_| {})
    }

    /// Like [`check`](Self::check); `watch` sees every step on which both sides agreed.
    pub fn check_observed(&mut self, program: &Program, watch: &mut dyn FnMut(&Observation<'_>)) -> Verdict {
        if let Err(invalid) = program.validate() {
            return Verdict::Invalid(invalid);
        }
        self.tally.clear();
        match self.run(program, &mut |_| {}, watch) {
            Ok(()) => Verdict::Agreed(self.tally.clone()),
            Err(finding) => Verdict::Finding(finding, self.tally.clone()),
        }
    }

    /// Like [`check_observed`](Self::check_observed) for a program known to be valid, adding to `tally` instead of making one:
    /// for campaigns.
    pub(crate) fn check_into(
        &mut self,
        program: &Program,
        tally: &mut Tally,
        watch: &mut dyn FnMut(&Observation<'_>),
    ) -> Option<Box<Finding>> {
        std::mem::swap(&mut self.tally, tally);
        let result = self.run(program, &mut |_| {}, watch);
        std::mem::swap(&mut self.tally, tally);
        result.err()
    }

    /// Like [`check_into`](Self::check_into); `mark` is told what is about to run: [`START`], then each step by its index, then the end by
    /// the number of steps. For those who may not see it come back.
    pub(crate) fn check_marked(
        &mut self,
        program: &Program,
        tally: &mut Tally,
        mark: &mut dyn FnMut(u64),
    ) -> Option<Box<Finding>> {
        std::mem::swap(&mut self.tally, tally);
        let result = self.run(program, mark, &mut |_| {});
        std::mem::swap(&mut self.tally, tally);
        result.err()
    }

    fn run(
        &mut self,
        program: &Program,
        mark: &mut dyn FnMut(u64),
        watch: &mut dyn FnMut(&Observation<'_>),
    ) -> Result<(), Box<Finding>> {
        self.tally.programs += 1;
        self.reference.reset(program.dialect, &program.machine);
        self.host.boot(&mut self.memory, program);
        if let Some(shadow) = &self.shadow {
            shadow.reset(program);
        }
        let mut agreed = None;
        mark(START);
        self.start(program).map_err(|failure| self.finding(*failure, 0, "start", None))?;
        self.uncovered = uncovered(self.coverage, program);
        if self.uncovered.is_some() {
            return Ok(());
        }
        for (index, step) in program.steps.iter().enumerate() {
            self.tally.steps += 1;
            mark(index as u64);
            match self.step(step) {
                Ok((outcome, handled)) => {
                    if handled != Handled::Skipped {
                        agreed = Some(index);
                    }
                    let accesses = self.accesses;
                    let (memory, reference) = (&self.memory, &self.reference);
                    watch(&Observation { index, step, outcome: &outcome, handled, accesses, memory, reference });
                }
                Err(failure) => return Err(self.finding(*failure, index, step.kind(), agreed)),
            }
        }
        mark(program.steps.len() as u64);
        self.end().map_err(|failure| self.finding(*failure, program.steps.len(), "end", agreed))
    }

    fn start(&mut self, program: &Program) -> Outcomed<()> {
        guarded("start", None, || {
            self.subject.see(&self.memory, true);
            self.subject.start(program.dialect, &program.machine);
        })?;
        self.kept_to_its_interface("start")?;
        self.coverage = self.subject.coverage();
        Ok(())
    }

    /// What a subject does that its interface does not allow is a finding.
    fn kept_to_its_interface(&self, what: &str) -> Outcomed<()> {
        match self.subject.violation() {
            None => Ok(()),
            Some(found) => {
                Err(Failure::new(Rule::SubjectProtocol, "interface", what, "what the interface allows", found))
            }
        }
    }

    /// Whether the subject covers this step. Where it does not, the step is left out on both sides.
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

    fn finding(&self, failure: Failure, step: usize, kind: &'static str, agreed: Option<usize>) -> Box<Finding> {
        let identity = Identity { rule: failure.rule, field: failure.field, kind };
        let Failure { what, expected, found, objects, .. } = failure;
        let voter = self.subject().into();
        let log = self.subject.log();
        Box::new(Finding { identity, step, agreed, what, expected, found, objects, voter, votes: Vec::new(), log })
    }

    fn oracle(&self) -> Oracle<'_> {
        Oracle { reference: &self.reference, memory: &self.memory, struct_page: self.host.struct_page(), closing: None }
    }

    /// Holds memory against the reference after a step; only mismatches that are `wanted` count.
    fn compare(&self, wanted: fn(&Mismatch) -> bool) -> Outcomed<()> {
        let oracle = self.oracle();
        let mut found = oracle.step();
        found.retain(wanted);
        Failure::from_mismatches(&oracle, found)
    }

    /// The reference's step, which the second reference of a null control makes too.
    fn reference_step(&mut self, step: &Step) -> Outcome {
        if let Some(shadow) = &self.shadow {
            shadow.step(step);
        }
        self.accesses = 0;
        self.reference.step(step)
    }

    fn step(&mut self, step: &Step) -> Outcomed<(Outcome, Handled)> {
        if !self.asks(step) {
            self.tally.not_asked += 1;
            self.memory.begin_step();
            return Ok((Outcome::skipped("the subject does not cover it"), Handled::Skipped));
        }
        if let Step::CloseWindow { liobn } = step {
            let (spec, closed) = self.close(*liobn, step)?;
            if let Some(spec) = spec {
                Host::remove_window(&mut self.memory, &spec);
            }
            return Ok(closed);
        }
        let outcome = self.reference_step(step);
        if let Answer::Skipped(_) = outcome.answer {
            self.tally.skipped += 1;
            self.memory.begin_step();
            return Ok((outcome, Handled::Skipped));
        }
        self.memory.begin_step();
        let handled = match step {
            Step::Hypercall { vcpu, call } => self.hypercall(*vcpu, call, &outcome),
            Step::Lookup { pfn } => self.lookup(*pfn, &outcome),
            Step::GetPage { pfn } => self.probe(*pfn, true, &outcome),
            Step::PutPage { pfn } => self.probe(*pfn, false, &outcome),
            _ => self.host_step(step),
        };
        match handled {
            Ok(handled) => {
                self.compare(|_| true)?;
                Ok((outcome, handled))
            }
            Err(failure) if failure.rule == Rule::DivergeLookup => {
                // What lies in memory is reported before what a probe answered; only REF.CONSERVE comes later.
                self.compare(|mismatch| mismatch.rule != Rule::RefConserve)?;
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    fn hypercall(&mut self, vcpu: u8, call: &Hypercall, outcome: &Outcome) -> Outcomed<Handled> {
        let Answer::Hypercall { status, r4 } = outcome.answer else {
            return Ok(Handled::Skipped);
        };
        let Bound { base, per_entry } = self.subject.bound();
        let bounded = self.coverage.bounded;
        // INDIRECT refuses more than 512 in every dialect; other counts are limited by the largest window.
        let count = call.count().min(MAX_WINDOW_ENTRIES);
        let bound = if bounded { base.saturating_add(per_entry.saturating_mul(count)) } else { 0 };
        // What makes no end makes it soon: no call has business with more entries than the largest window has.
        let largest = match count {
            0..=512 => count,
            _ => self.reference.windows().map(|window| window.spec.entries).max().unwrap_or(0).max(512),
        };
        let limit = (10_000 + 200 * count.min(largest)).max(bound.saturating_mul(2));
        let subject = &self.subject;
        let run = |mode: Mode| -> Outcomed<(HcallAnswer, CpuReport)> {
            let cpu = self.memory.cpu(mode, vcpu, Context::Hypercall, limit);
            let half = if mode == Mode::Real { "real-mode half" } else { "virtual-mode half" };
            let answer = guarded(half, Some(&|| cpu.report()), || match mode {
                Mode::Real => subject.real_mode(&cpu, call),
                Mode::Virtual => subject.virtual_mode(&cpu, call),
            });
            let report = cpu.report();
            let over = bounded && mode == Mode::Real && report.accesses > bound;
            if over && report.event.is_none_or(|event| event.access > bound) {
                let what = format!("accesses of a real-mode call of {count} entries");
                let expected = format!("at most {base} + {per_entry} x {count} = {bound}");
                return Err(Failure::new(Rule::RmBounded, "accesses", what, expected, report.accesses.to_string()));
            }
            no_event(&self.memory, report.event, mode)?;
            let answer = answer?;
            self.kept_to_its_interface(half)?;
            Ok((answer, report))
        };
        let too_hard = (HcallAnswer::status(Status::TOO_HARD), CpuReport { accesses: 0, event: None, hung: false });
        let real_mode = self.coverage.real_mode;
        let (mut answer, report) = if real_mode { run(Mode::Real)? } else { too_hard };
        let deferred = answer.status == Status::TOO_HARD;
        if deferred {
            // What virtual mode does wrong comes before what is wrong with deferring, but the image must be looked at now.
            let unclean = self.deferred_clean().err();
            answer = run(Mode::Virtual)?.0;
            if let Some(failure) = unclean {
                return Err(failure);
            }
            if real_mode && outcome.owes == Owes::Finish {
                let expected = format!("finished in real mode: {}", words::outcome(outcome));
                return Err(Failure::new(Rule::RmLazy, "real mode", "the call", expected, "deferred"));
            }
        } else if let Owes::Defer(reason) = outcome.owes {
            let found = format!("finished in real mode with {}", answer.status);
            return Err(Failure::new(
                reason,
                "real mode",
                "the call",
                format!("deferred: {}", reason.meaning()),
                found,
            ));
        }
        self.accesses = report.accesses;
        if answer.status != status {
            let found = answer.status.to_string();
            return Err(Failure::new(Rule::DivergeStatus, "status", "status (r3)", status.to_string(), found));
        }
        if answer.r4 != r4 {
            let show = |r4: Option<u64>| r4.map_or("untouched".into(), |value| format!("{value:#x}"));
            return Err(Failure::new(Rule::DivergeR4, "r4", "r4", show(r4), show(answer.r4)));
        }
        self.tally.count_hypercall(status, deferred, call.count());
        self.tally.count_rules(outcome.rules, deferred, status == Status::SUCCESS);
        Ok(if deferred { Handled::Deferred } else { Handled::Real })
    }

    /// A deferred call has changed nothing.
    fn deferred_clean(&self) -> Outcomed<()> {
        if self.memory.differences().next().is_none() {
            return Ok(());
        }
        // The reference is past the call, so what changed is told from the words themselves.
        let mut changes: Vec<_> = self
            .memory
            .differences()
            .map(|(place, old, new)| crate::check::change::change(&self.memory, place, old, new))
            .collect();
        changes.sort_by_key(|change| change.address);
        let first = &changes[0];
        Err(Failure::new(
            Rule::DeferClean,
            first.field,
            format!("{} after a call that real mode deferred", first.what),
            format!("{} as before the call", first.old),
            first.new.clone(),
        ))
    }

    fn lookup(&mut self, pfn: Pfn, outcome: &Outcome) -> Outcomed<Handled> {
        let Answer::Lookup(expected) = outcome.answer else { return Ok(Handled::Skipped) };
        let found = self.probe_call(|subject, cpu| subject.pfn_to_page(cpu, pfn))?.map(RealAddr::masked);
        if found != expected.map(RealAddr::masked) {
            let show = |answer: Option<RealAddr>| answer.map_or("none".into(), |real| real.to_string());
            let what = format!("pfn_to_page of {pfn}");
            return Err(Failure::new(Rule::DivergeLookup, "lookup", what, show(expected), show(found)));
        }
        self.tally.count_rules(outcome.rules, false, expected.is_some());
        Ok(Handled::Real)
    }

    fn probe(&mut self, pfn: Pfn, get: bool, outcome: &Outcome) -> Outcomed<Handled> {
        let Answer::Probe(expected) = outcome.answer else { return Ok(Handled::Skipped) };
        if !get {
            // The reference that is given back is the host's own: from here on nobody holds the page for it.
            self.memory.add_own(pfn, -1);
        }
        let result = self.probe_call(|subject, cpu| match get {
            true => subject.get_page_unless_zero(cpu, pfn),
            false => subject.put_page_unless_one(cpu, pfn),
        });
        let done = matches!(result, Ok(ProbeAnswer::Done(true)));
        match (get, done) {
            (true, true) => self.memory.add_own(pfn, 1),
            (false, false) => self.memory.add_own(pfn, 1),
            _ => {}
        }
        let found = result?;
        if found != expected {
            let call = if get { "get_page_unless_zero" } else { "put_page_unless_one" };
            let what = format!("{call} of {pfn}");
            return Err(Failure::new(Rule::DivergeLookup, "probe", what, probe(expected), probe(found)));
        }
        self.tally.count_rules(outcome.rules, false, done);
        Ok(Handled::Real)
    }

    fn probe_call<T>(&self, call: impl FnOnce(&dyn Subject, &machine::Cpu<'_>) -> T) -> Outcomed<T> {
        let cpu = self.memory.cpu(Mode::Real, 0, Context::Probe, PROBE_LIMIT);
        let answer = guarded("real-mode half", Some(&|| cpu.report()), || call(&*self.subject, &cpu));
        no_event(&self.memory, cpu.report().event, Mode::Real)?;
        let answer = answer?;
        self.kept_to_its_interface("real-mode half")?;
        Ok(answer)
    }

    fn host_step(&mut self, step: &Step) -> Outcomed<Handled> {
        if let Step::HotRemove { section } = step {
            guarded("hot_remove", None, || self.subject.hot_remove(*section))?;
        }
        self.host.step(&mut self.memory, step);
        guarded("memory", None, || self.subject.see(&self.memory, false))?;
        match step {
            Step::HotAdd { section, blocks } => guarded("hot_add", None, || self.subject.hot_add(*section, blocks))?,
            Step::Slot(slot) => guarded("set_slot", None, || self.subject.set_slot(slot))?,
            Step::CreateWindow(window) => guarded("create_window", None, || self.subject.create_window(window))?,
            _ => {}
        }
        self.kept_to_its_interface("notice")?;
        Ok(Handled::Host)
    }

    /// Closes a window on both sides. Its tables are still there: they are to be removed where the program goes on.
    fn close(&mut self, liobn: Liobn, step: &Step) -> Outcomed<(Option<WindowSpec>, (Outcome, Handled))> {
        let spec = self.reference.window(liobn).map(|window| window.spec);
        let outcome = self.reference_step(step);
        self.memory.begin_step();
        let (Some(spec), Answer::Done) = (spec, outcome.answer) else {
            self.tally.skipped += 1;
            return Ok((None, (outcome, Handled::Skipped)));
        };
        let cpu = self.memory.cpu(Mode::Virtual, 0, Context::Close, 10_000 + 200 * spec.entries);
        let closed = guarded("close_window", Some(&|| cpu.report()), || self.subject.close_window(&cpu, liobn));
        no_event(&self.memory, cpu.report().event, Mode::Virtual)?;
        closed?;
        self.kept_to_its_interface("close_window")?;
        let oracle = Oracle { closing: Some(&spec), ..self.oracle() };
        Failure::from_mismatches(&oracle, oracle.step())?;
        Ok((Some(spec), (outcome, Handled::Host)))
    }

    /// The end of a program: everything is compared, all windows are closed, all is unmapped, count = own (semantics 7).
    fn end(&mut self) -> Outcomed<()> {
        let oracle = self.oracle();
        Failure::from_mismatches(&oracle, oracle.everything())?;
        if !self.coverage.close {
            return Ok(());
        }
        let liobns: Vec<_> = self.reference.windows().map(|window| window.spec.liobn).collect();
        for liobn in liobns {
            let step = Step::CloseWindow { liobn };
            // A window that the subject does not cover was never written to.
            if self.asks(&step) {
                self.close(liobn, &step)?;
            }
        }
        for (pfn, _) in self.reference.pages() {
            // What is mapped gives its reference back; holders are those mappings alone, for no window is left.
            let left = self.memory.count(pfn).wrapping_sub(self.memory.holders(pfn));
            let own = self.memory.own(pfn);
            if left != own {
                let what = format!("count of page {pfn} with all windows closed and everything unmapped");
                return Err(Failure::new(Rule::RefLeak, "count", what, format!("own {own}"), left.to_string()));
            }
        }
        Ok(())
    }
}

/// A machine with nothing on it.
pub(crate) fn smallest() -> Machine {
    Machine::bare(PageShift::Shift12, 64, MemoryModel::Flatmem { array: RealAddr(1 << 30), pages: 1 })
}

/// Why a subject that covers only so much is not asked about the program at all.
fn uncovered(covered: Coverage, program: &Program) -> Option<String> {
    let (model, asked) = match program.machine.memory {
        MemoryModel::Flatmem { .. } => ("flatmem", covered.flatmem),
        MemoryModel::SparsememVmemmap { .. } => ("sparsemem-vmemmap", covered.vmemmap),
    };
    if !asked {
        return Some(format!("it does not cover {model}"));
    }
    let dialect = Dialect::ALL.iter().position(|dialect| *dialect == program.dialect);
    let asked = dialect.is_some_and(|at| covered.dialects[at]);
    (!asked).then(|| format!("it does not cover dialect {}", program.dialect))
}

/// What changed since the step began, by address: `count of page 0x10: 1 -> 2`. Neighbours that changed alike share a line; the
/// vmemmap list, which the host keeps, has one for all.
#[must_use]
pub fn changes(memory: &RealMemory) -> Vec<String> {
    let mut changes: Vec<_> =
        memory.differences().map(|(place, old, new)| crate::check::change::change(memory, place, old, new)).collect();
    changes.sort_by_key(|change| change.address);
    let mut lines = Vec::new();
    let mut rest = changes.as_slice();
    while let Some(first) = rest.first() {
        let alike = |pair: &&[Change]| pair[1].follows(&pair[0]);
        let run = 1 + rest.windows(2).take_while(alike).count();
        let Change { what, old, new, field, .. } = first;
        lines.push(match (*field, run) {
            (VMEMMAP_LIST, _) => format!("{VMEMMAP_LIST}: {run} words"),
            (_, 1) => format!("{what}: {old} -> {new}"),
            _ => format!("{what}, and {} after it: {old} -> {new}", run - 1),
        });
        rest = &rest[run..];
    }
    lines
}
