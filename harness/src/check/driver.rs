//! The driver: takes a subject through a program, from its start over each step to the closing of windows.
//!
//! The driver owns the real memory, the host, and the subject, and it compares nothing. A [`Conduct`] decides how the
//! subject's code runs and what is checked meanwhile: the [checker](super::checker) looks for broken rules, a
//! [benchmark](super::solo) looks for nothing.

use contract::{HcallAnswer, Hypercall, Liobn, Pfn, ProbeAnswer, Program, RealAddr, Status, Step, WindowSpec};
use machine::host::Host;
use machine::memory::{Context, CpuReport};
use machine::{Cpu, Mode, RealMemory, Subject};

use super::finding::Code;

/// Decides how the subject's code runs, and what is checked while a step runs.
pub(crate) trait Conduct {
    /// Why the driver stops before the end of the program.
    type Stop;

    /// Returns the hang limit of this code: how many accesses one run may make. `entries` is the number of entries that
    /// the call asks for, or that the window to close has.
    fn limit(&self, code: Code, entries: u64) -> u64;

    /// Runs code of the subject that has a CPU, then checks what the CPU reports.
    fn on_cpu<T>(
        &mut self,
        code: Code,
        memory: &RealMemory,
        cpu: &Cpu<'_>,
        call: impl FnOnce() -> T,
    ) -> Result<T, Self::Stop>;

    /// Runs code of the subject that has no CPU.
    fn off_cpu<T>(&mut self, code: Code, call: impl FnOnce() -> T) -> Result<T, Self::Stop>;

    /// Checks what the subject reports about its own interface ([`Subject::violation`]) after this code.
    fn interface<S: Subject + ?Sized>(&mut self, code: Code, subject: &S) -> Result<(), Self::Stop>;

    /// Reports that the harness contradicts itself.
    fn fault(&mut self, what: &'static str) -> Result<(), Self::Stop>;

    /// Called before virtual mode runs a hypercall: real mode has deferred it, or the subject has no real-mode half.
    fn deferred(&mut self, memory: &RealMemory);
}

/// The subject's result of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ran {
    /// The answer to a hypercall.
    Hypercall(Answered),
    /// The answer of `pfn_to_page`.
    Lookup(Option<RealAddr>),
    /// The answer of `get_page_unless_zero` or `put_page_unless_one`.
    Probe(ProbeAnswer),
    /// The subject has closed a window. The window's tables stay until [`Driver::settle`].
    Closed,
    /// The host did the step.
    Host,
}

/// The subject's answer to a hypercall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Answered {
    /// The registers that the guest sees.
    pub(crate) answer: HcallAnswer,
    /// Whether virtual mode answered: real mode deferred the call, or the subject has no real-mode half.
    pub(crate) deferred: bool,
    /// Accesses of the real-mode half; 0 if there is none.
    pub(crate) accesses: u64,
}

/// A subject with its real memory and its host. Keeps its allocations from program to program.
pub(crate) struct Driver<S: ?Sized> {
    memory: RealMemory,
    host: Host,
    /// The open windows, in the order in which they were opened.
    open: Vec<WindowSpec>,
    /// The window that was closed last, while its tables still lie in memory.
    closed: Option<WindowSpec>,
    subject: Box<S>,
}

impl<S: Subject + ?Sized> Driver<S> {
    /// Makes a driver of that subject.
    pub(crate) fn new(subject: Box<S>) -> Self {
        Self { memory: RealMemory::new(), host: Host::new(), open: Vec::new(), closed: None, subject }
    }

    /// Returns the subject.
    pub(crate) fn subject(&self) -> &S {
        &self.subject
    }

    /// Replaces the subject and returns the old one.
    pub(crate) fn replace(&mut self, subject: Box<S>) -> Box<S> {
        core::mem::replace(&mut self.subject, subject)
    }

    /// Forgets memory, host and windows. Called after a panic, which may leave them half changed.
    pub(crate) fn forget(&mut self) {
        (self.memory, self.host) = (RealMemory::new(), Host::new());
        self.open.clear();
        self.closed = None;
    }

    /// Returns real memory as it is now.
    pub(crate) const fn memory(&self) -> &RealMemory {
        &self.memory
    }

    /// Returns the window that was closed last, until [`settle`](Self::settle).
    pub(crate) const fn closed(&self) -> Option<&WindowSpec> {
        self.closed.as_ref()
    }

    /// Sets memory up as the program's machine says, and starts the subject on the machine.
    pub(crate) fn start<C: Conduct>(&mut self, program: &Program, conduct: &mut C) -> Result<(), C::Stop> {
        self.host.boot(&mut self.memory, program);
        self.open.clear();
        self.open.extend_from_slice(&program.machine.windows);
        self.closed = None;
        let Self { memory, subject, .. } = self;
        conduct.off_cpu(Code::Start, || {
            subject.see(memory, true);
            subject.start(program.dialect, &program.machine);
        })?;
        conduct.interface(Code::Start, &**subject)
    }

    /// Begins a step: memory's change log starts again.
    pub(crate) fn begin(&mut self) {
        self.memory.begin_step();
    }

    /// Runs a step whose precondition holds. With `real_mode`, the real-mode half of the subject gets hypercalls first;
    /// without it, virtual mode gets them at once.
    pub(crate) fn step<C: Conduct>(&mut self, step: &Step, real_mode: bool, conduct: &mut C) -> Result<Ran, C::Stop> {
        match step {
            Step::Hypercall { vcpu, call } => self.hypercall(*vcpu, call, real_mode, conduct).map(Ran::Hypercall),
            Step::Lookup { pfn } => self.probe(conduct, |subject, cpu| subject.pfn_to_page(cpu, *pfn)).map(Ran::Lookup),
            Step::GetPage { pfn } => self.get_page(*pfn, conduct).map(Ran::Probe),
            Step::PutPage { pfn } => self.put_page(*pfn, conduct).map(Ran::Probe),
            Step::CloseWindow { liobn } => self.close(*liobn, conduct).map(|()| Ran::Closed),
            _ => self.host_step(step, conduct).map(|()| Ran::Host),
        }
    }

    /// Ends a step: if it closed a window, the host removes the window's tables.
    pub(crate) fn settle(&mut self) {
        if let Some(window) = self.closed.take() {
            Host::remove_window(&mut self.memory, &window);
        }
    }

    /// Lets the subject close a window. The window's tables stay until [`settle`](Self::settle).
    pub(crate) fn close<C: Conduct>(&mut self, liobn: Liobn, conduct: &mut C) -> Result<(), C::Stop> {
        let Some(at) = self.open.iter().position(|window| window.liobn == liobn) else {
            return conduct.fault("a window is closed that is not open");
        };
        let window = self.open.remove(at);
        self.closed = Some(window);
        let Self { memory, subject, .. } = self;
        let limit = conduct.limit(Code::CloseWindow, window.entries);
        let cpu = memory.cpu(Mode::Virtual, 0, Context::Close, limit);
        conduct.on_cpu(Code::CloseWindow, memory, &cpu, || subject.close_window(&cpu, liobn))?;
        conduct.interface(Code::CloseWindow, &**subject)
    }

    /// Returns the LIOBNs of the open windows.
    pub(crate) fn open(&self) -> impl Iterator<Item = Liobn> + '_ {
        self.open.iter().map(|window| window.liobn)
    }

    /// Runs a hypercall: real mode first if `real_mode` is set, then virtual mode if it is needed.
    fn hypercall<C: Conduct>(
        &self,
        vcpu: u8,
        call: &Hypercall,
        real_mode: bool,
        conduct: &mut C,
    ) -> Result<Answered, C::Stop> {
        let mut accesses = 0;
        if real_mode {
            let (answer, report) = self.half(Mode::Real, vcpu, call, conduct)?;
            accesses = report.accesses;
            if answer.status != Status::TOO_HARD {
                return Ok(Answered { answer, deferred: false, accesses });
            }
        }
        conduct.deferred(&self.memory);
        let (answer, _) = self.half(Mode::Virtual, vcpu, call, conduct)?;
        Ok(Answered { answer, deferred: true, accesses })
    }

    /// Runs one half of a hypercall, and returns the answer with the CPU's report.
    fn half<C: Conduct>(
        &self,
        mode: Mode,
        vcpu: u8,
        call: &Hypercall,
        conduct: &mut C,
    ) -> Result<(HcallAnswer, CpuReport), C::Stop> {
        let (code, subject) = (Code::half(mode), &*self.subject);
        let cpu = self.memory.cpu(mode, vcpu, Context::Hypercall, conduct.limit(code, call.count()));
        let answer = conduct.on_cpu(code, &self.memory, &cpu, || match mode {
            Mode::Real => subject.real_mode(&cpu, call),
            Mode::Virtual => subject.virtual_mode(&cpu, call),
        })?;
        conduct.interface(code, subject)?;
        Ok((answer, cpu.report()))
    }

    /// Runs a probe on a real-mode CPU.
    fn probe<C: Conduct, T>(&self, conduct: &mut C, call: impl FnOnce(&S, &Cpu<'_>) -> T) -> Result<T, C::Stop> {
        let subject = &*self.subject;
        let cpu = self.memory.cpu(Mode::Real, 0, Context::Probe, conduct.limit(Code::RealMode, 0));
        let answer = conduct.on_cpu(Code::RealMode, &self.memory, &cpu, || call(subject, &cpu))?;
        conduct.interface(Code::RealMode, subject)?;
        Ok(answer)
    }

    /// Runs the probe `get_page_unless_zero`, and counts the reference that it took as own.
    fn get_page<C: Conduct>(&mut self, pfn: Pfn, conduct: &mut C) -> Result<ProbeAnswer, C::Stop> {
        let answer = self.probe(conduct, |subject, cpu| subject.get_page_unless_zero(cpu, pfn))?;
        if answer == ProbeAnswer::Done(true) {
            // The probe's new reference counts as own.
            self.memory.add_own(pfn, 1);
        }
        Ok(answer)
    }

    /// Runs the probe `put_page_unless_one`, which gives back an own reference.
    fn put_page<C: Conduct>(&mut self, pfn: Pfn, conduct: &mut C) -> Result<ProbeAnswer, C::Stop> {
        // Takes the reference from own before the probe runs, because `REF.HELD` must allow the count to fall.
        self.memory.add_own(pfn, -1);
        let answer = self.probe(conduct, |subject, cpu| subject.put_page_unless_one(cpu, pfn));
        if !matches!(answer, Ok(ProbeAnswer::Done(true))) {
            self.memory.add_own(pfn, 1);
        }
        answer
    }

    /// Lets the host do a step, and informs the subject about hot-plug, slots and windows: about a hot-remove before
    /// the host does it, about everything else afterwards.
    fn host_step<C: Conduct>(&mut self, step: &Step, conduct: &mut C) -> Result<(), C::Stop> {
        let Self { memory, host, open, subject, .. } = self;
        if let Step::HotRemove { section } = step {
            conduct.off_cpu(Code::HotRemove, || subject.hot_remove(*section))?;
        }
        host.step(memory, step);
        conduct.off_cpu(Code::See, || subject.see(memory, false))?;
        let code = match step {
            Step::HotAdd { section, blocks } => {
                conduct.off_cpu(Code::HotAdd, || subject.hot_add(*section, blocks))?;
                Code::HotAdd
            }
            Step::Slot(slot) => {
                conduct.off_cpu(Code::SetSlot, || subject.set_slot(slot))?;
                Code::SetSlot
            }
            Step::CreateWindow(window) => {
                open.push(*window);
                conduct.off_cpu(Code::CreateWindow, || subject.create_window(window))?;
                Code::CreateWindow
            }
            Step::HotRemove { .. } => Code::HotRemove,
            _ => Code::See,
        };
        conduct.interface(code, &**subject)
    }
}
