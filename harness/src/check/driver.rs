//! The driver: takes a subject through a program, from its start over each step to the closing of its windows.
//!
//! It owns the real memory, the host, and the subject, and it compares nothing. What is looked at on the way, and how
//! the subject's code is run, is decided by a [`Conduct`]: the [checker](super::checker) watches for broken rules, a
//! [benchmark](super::solo) for nothing.

use contract::{HcallAnswer, Hypercall, Liobn, Pfn, ProbeAnswer, Program, RealAddr, Status, Step, WindowSpec};
use machine::host::Host;
use machine::memory::{Context, CpuReport};
use machine::{Cpu, Mode, RealMemory, Subject};

use super::finding::Code;

/// How the subject's code is run, and what is looked at while a step runs.
pub(crate) trait Conduct {
    /// Why a drive ends before its program.
    type Stop;

    /// How many accesses this code may make before it is taken for hung.
    fn limit(&self, code: Code, entries: u64) -> u64;

    /// Runs code of the subject that has a CPU, and looks at what became of the CPU.
    fn on_cpu<T>(
        &mut self,
        code: Code,
        memory: &RealMemory,
        cpu: &Cpu<'_>,
        call: impl FnOnce() -> T,
    ) -> Result<T, Self::Stop>;

    /// Runs code of the subject that has none.
    fn off_cpu<T>(&mut self, code: Code, call: impl FnOnce() -> T) -> Result<T, Self::Stop>;

    /// Looks at what the subject says of its own interface after this code.
    fn interface<S: Subject + ?Sized>(&mut self, code: Code, subject: &S) -> Result<(), Self::Stop>;

    /// The harness contradicts itself.
    fn fault(&mut self, what: &'static str) -> Result<(), Self::Stop>;

    /// Real mode has deferred the call, and virtual mode has not run yet.
    fn deferred(&mut self, memory: &RealMemory);
}

/// What the subject made of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ran {
    /// A hypercall.
    Hypercall(Answered),
    /// pfn_to_page.
    Lookup(Option<RealAddr>),
    /// get_page_unless_zero or put_page_unless_one.
    Probe(ProbeAnswer),
    /// A window is closed. Its tables stay until [`Driver::settle`].
    Closed,
    /// The host did it.
    Host,
}

/// The subject's answer to a hypercall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Answered {
    /// What the guest sees.
    pub(crate) answer: HcallAnswer,
    /// Whether real mode deferred the call, or there is no real-mode half, so that virtual mode answered.
    pub(crate) deferred: bool,
    /// Accesses of the real-mode half.
    pub(crate) accesses: u64,
}

/// A subject on its real memory. Keeps its allocations from program to program.
pub(crate) struct Driver<S: ?Sized> {
    memory: RealMemory,
    host: Host,
    /// Windows that are open, in the order in which they were opened.
    open: Vec<WindowSpec>,
    /// Windows that were closed by the running step and whose tables still lie in memory.
    closed: Option<WindowSpec>,
    subject: Box<S>,
}

impl<S: Subject + ?Sized> Driver<S> {
    /// A driver of that subject.
    pub(crate) fn new(subject: Box<S>) -> Self {
        Self { memory: RealMemory::new(), host: Host::new(), open: Vec::new(), closed: None, subject }
    }

    /// The subject.
    pub(crate) fn subject(&self) -> &S {
        &self.subject
    }

    /// Puts another subject in the place of the one that is there, which is handed back.
    pub(crate) fn replace(&mut self, subject: Box<S>) -> Box<S> {
        core::mem::replace(&mut self.subject, subject)
    }

    /// Forgets memory, host and windows, for when their state is not to be trusted.
    pub(crate) fn forget(&mut self) {
        (self.memory, self.host) = (RealMemory::new(), Host::new());
        self.open.clear();
        self.closed = None;
    }

    /// Real memory as it is now.
    pub(crate) const fn memory(&self) -> &RealMemory {
        &self.memory
    }

    /// The window that the running step closed, until [`settle`](Self::settle).
    pub(crate) const fn closed(&self) -> Option<&WindowSpec> {
        self.closed.as_ref()
    }

    /// Sets memory up as the program's machine says, and hands the machine to the subject.
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

    /// Begins a step: changes of memory count from here.
    pub(crate) fn begin(&mut self) {
        self.memory.begin_step();
    }

    /// Carries a step out whose precondition holds. With `real_mode`, hypercalls are put to the real-mode half first.
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

    /// Ends a step: the tables of a window that it closed go.
    pub(crate) fn settle(&mut self) {
        if let Some(window) = self.closed.take() {
            Host::remove_window(&mut self.memory, &window);
        }
    }

    /// Closes a window, for the end of a program. Its tables stay.
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

    /// The LIOBNs of the windows that are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = Liobn> + '_ {
        self.open.iter().map(|window| window.liobn)
    }

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

    fn probe<C: Conduct, T>(&self, conduct: &mut C, call: impl FnOnce(&S, &Cpu<'_>) -> T) -> Result<T, C::Stop> {
        let subject = &*self.subject;
        let cpu = self.memory.cpu(Mode::Real, 0, Context::Probe, conduct.limit(Code::RealMode, 0));
        let answer = conduct.on_cpu(Code::RealMode, &self.memory, &cpu, || call(subject, &cpu))?;
        conduct.interface(Code::RealMode, subject)?;
        Ok(answer)
    }

    fn get_page<C: Conduct>(&mut self, pfn: Pfn, conduct: &mut C) -> Result<ProbeAnswer, C::Stop> {
        let answer = self.probe(conduct, |subject, cpu| subject.get_page_unless_zero(cpu, pfn))?;
        if answer == ProbeAnswer::Done(true) {
            // The reference that was taken is the host's own.
            self.memory.add_own(pfn, 1);
        }
        Ok(answer)
    }

    fn put_page<C: Conduct>(&mut self, pfn: Pfn, conduct: &mut C) -> Result<ProbeAnswer, C::Stop> {
        // The reference that is given back is the host's own: from here on nobody holds the page for it.
        self.memory.add_own(pfn, -1);
        let answer = self.probe(conduct, |subject, cpu| subject.put_page_unless_one(cpu, pfn));
        if !matches!(answer, Ok(ProbeAnswer::Done(true))) {
            self.memory.add_own(pfn, 1);
        }
        answer
    }

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
