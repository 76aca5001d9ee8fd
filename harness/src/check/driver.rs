//! The driver: takes a subject through a program, from its start over each step to the closing of windows.
//!
//! The driver owns the real memory, the host, and the subject, and it compares nothing. A [`Conduct`] decides how the
//! subject's code runs and what is checked meanwhile: the [checker](super::checker) looks for broken rules, a
//! [benchmark](super::solo) looks for nothing. Both call [`Driver::begin`] before each step, also before one that does
//! not run, and [`Driver::settle`] after each step that ran.

use contract::{HcallAnswer, Hypercall, Liobn, Pfn, ProbeAnswer, Program, RealAddr, Status, Step, WindowSpec};
use machine::host::Host;
use machine::memory::{Context, CpuReport};
use machine::{Cpu, Mode, RealMemory, Subject};

use super::finding::Code;

/// Decides how the driver runs the subject's code, and what it checks while a step runs.
pub(crate) trait Conduct {
    /// The reason why the driver stops before the end of the program, such as a broken rule.
    type Stop;

    /// Returns the hang limit of this code: how many memory accesses one run of the code may make. `entries` is the
    /// number of entries that the hypercall asks for, or that the window to close has; 0 for a probe.
    fn limit(&self, code: Code, entries: u64) -> u64;

    /// Runs `call`, code of the subject that uses `cpu`. May check afterwards what the CPU reports. Returns the result
    /// of `call`, or why the driver must stop.
    fn on_cpu<T>(
        &mut self,
        code: Code,
        memory: &RealMemory,
        cpu: &Cpu<'_>,
        call: impl FnOnce() -> T,
    ) -> Result<T, Self::Stop>;

    /// Runs `call`, code of the subject that has no CPU, such as `start`. Returns its result, or why the driver must
    /// stop.
    fn off_cpu<T>(&mut self, code: Code, call: impl FnOnce() -> T) -> Result<T, Self::Stop>;

    /// Checks whether the subject reports a violation of its interface ([`Subject::violation`]) after it ran this code.
    /// The error is why the driver must stop.
    fn interface<S: Subject + ?Sized>(&mut self, code: Code, subject: &S) -> Result<(), Self::Stop>;

    /// Reports that the harness contradicts itself; `what` says how. The error is why the driver must stop.
    fn fault(&mut self, what: &'static str) -> Result<(), Self::Stop>;

    /// The driver calls this before virtual mode runs a hypercall. Either real mode has deferred the call, or real mode
    /// did not run because the subject does not cover it.
    fn deferred(&mut self, memory: &RealMemory);
}

/// What came of a step that the driver ran on the subject or on the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ran {
    /// The subject's answer to a hypercall.
    Hypercall(Answered),
    /// The subject's answer to `pfn_to_page`: the real address of the struct page, with or without the nibble of the
    /// linear map; `None` if the subject found none.
    Lookup(Option<RealAddr>),
    /// The subject's answer to `get_page_unless_zero` or `put_page_unless_one`.
    Probe(ProbeAnswer),
    /// The subject has closed a window. The window's tables stay in memory until [`Driver::settle`].
    Closed,
    /// The host did the step, for example `unmap`. Such a step has no answer.
    Host,
}

/// The subject's answer to a hypercall, and how the subject came to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Answered {
    /// The registers r3 and r4 as the guest sees them after the hypercall.
    pub(crate) answer: HcallAnswer,
    /// Whether virtual mode gave the answer. It does so if real mode deferred the call or the subject has no real-mode
    /// half.
    pub(crate) deferred: bool,
    /// Number of memory accesses that the real-mode half made; 0 if the subject has no real-mode half.
    pub(crate) accesses: u64,
}

/// A subject with its real memory and its host. The driver reuses their allocations for the next program.
pub(crate) struct Driver<S: ?Sized> {
    memory: RealMemory,
    host: Host,
    /// The open windows, the oldest first.
    open: Vec<WindowSpec>,
    /// The window that the running step closed, while its tables still lie in memory; else `None`.
    closed: Option<WindowSpec>,
    subject: Box<S>,
}

impl<S: Subject + ?Sized> Driver<S> {
    /// Makes a driver of `subject`, with empty memory and no windows.
    pub(crate) fn new(subject: Box<S>) -> Self {
        Self { memory: RealMemory::new(), host: Host::new(), open: Vec::new(), closed: None, subject }
    }

    /// Returns the subject that the driver runs.
    pub(crate) fn subject(&self) -> &S {
        &self.subject
    }

    /// Makes the driver run `subject` from now on. Returns the subject that it ran so far.
    pub(crate) fn replace(&mut self, subject: Box<S>) -> Box<S> {
        core::mem::replace(&mut self.subject, subject)
    }

    /// Replaces memory and host by new ones and forgets all windows; the subject stays. Called after a panic of the
    /// harness, which may leave memory, host and windows half changed.
    pub(crate) fn forget(&mut self) {
        (self.memory, self.host) = (RealMemory::new(), Host::new());
        self.open.clear();
        self.closed = None;
    }

    /// Returns the real memory as it is now.
    pub(crate) const fn memory(&self) -> &RealMemory {
        &self.memory
    }

    /// Returns memory and subject, for a caller that makes its own calls on the subject.
    pub(crate) fn parts(&mut self) -> (&mut RealMemory, &mut S) {
        (&mut self.memory, &mut *self.subject)
    }

    /// Returns the window that the running step closed, until [`settle`](Self::settle) removes its tables; else `None`.
    pub(crate) const fn closed(&self) -> Option<&WindowSpec> {
        self.closed.as_ref()
    }

    /// Sets memory, host and windows up as the program's machine says. Lets the subject look at memory (`see`), then
    /// starts the subject with the program's dialect and machine. The error is the reason why `conduct` stops the
    /// program.
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

    /// Begins a step: memory forgets the changes of the step before.
    pub(crate) fn begin(&mut self) {
        self.memory.begin_step();
    }

    /// Runs a step whose precondition holds, on the subject or on the host. With `real_mode` the subject's real-mode
    /// half gets a hypercall first; without it virtual mode gets the hypercall at once. The error is the reason why
    /// `conduct` stops the program.
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

    /// Ends a step. If the step closed a window, the host now removes the window's tables from memory.
    pub(crate) fn settle(&mut self) {
        if let Some(window) = self.closed.take() {
            Host::remove_window(&mut self.memory, &window);
        }
    }

    /// Ends a program: closes each open window, lowest LIOBN first, in a `close-window` step of its own. `run` runs
    /// this step on the driver, or does nothing if the window is to stay open; `driver` returns the driver of `runner`.
    /// The error is the first one of `run`, and the windows after it stay open.
    pub(crate) fn end<R, E>(
        runner: &mut R,
        driver: impl Fn(&mut R) -> &mut Self,
        mut run: impl FnMut(&mut R, &Step) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut liobns: Vec<Liobn> = driver(runner).open.iter().map(|window| window.liobn).collect();
        liobns.sort_unstable();
        for liobn in liobns {
            driver(runner).begin();
            run(runner, &Step::CloseWindow { liobn })?;
            driver(runner).settle();
        }
        Ok(())
    }

    /// Lets the subject close the window with this LIOBN on a virtual-mode CPU. The window's tables stay in memory
    /// until [`settle`](Self::settle). Reports a fault of the harness if no such window is open.
    fn close<C: Conduct>(&mut self, liobn: Liobn, conduct: &mut C) -> Result<(), C::Stop> {
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

    /// Runs a hypercall on the subject. If `real_mode` is set, the real-mode half gets the call first. Virtual mode
    /// gets the call if real mode answers H_TOO_HARD or did not run.
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

    /// Runs the half of a hypercall that belongs to `mode`, on a CPU of that mode. Returns the subject's answer and the
    /// CPU's report.
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

    /// Runs a probe (`call`) of the subject on a real-mode CPU and returns the subject's answer.
    fn probe<C: Conduct, T>(&self, conduct: &mut C, call: impl FnOnce(&S, &Cpu<'_>) -> T) -> Result<T, C::Stop> {
        let subject = &*self.subject;
        let cpu = self.memory.cpu(Mode::Real, 0, Context::Probe, conduct.limit(Code::RealMode, 0));
        let answer = conduct.on_cpu(Code::RealMode, &self.memory, &cpu, || call(subject, &cpu))?;
        conduct.interface(Code::RealMode, subject)?;
        Ok(answer)
    }

    /// Runs the probe `get_page_unless_zero` on the subject. If the answer is true, the page's own references go up by
    /// one.
    fn get_page<C: Conduct>(&mut self, pfn: Pfn, conduct: &mut C) -> Result<ProbeAnswer, C::Stop> {
        let answer = self.probe(conduct, |subject, cpu| subject.get_page_unless_zero(cpu, pfn))?;
        if answer == ProbeAnswer::Done(true) {
            // The probe's new reference counts as own.
            self.memory.add_own(pfn, 1);
        }
        Ok(answer)
    }

    /// Runs the probe `put_page_unless_one` on the subject. If the answer is true, the page's own references go down by
    /// one.
    fn put_page<C: Conduct>(&mut self, pfn: Pfn, conduct: &mut C) -> Result<ProbeAnswer, C::Stop> {
        // Takes the reference from own before the probe runs, because `REF.HELD` must allow the count to fall.
        self.memory.add_own(pfn, -1);
        let answer = self.probe(conduct, |subject, cpu| subject.put_page_unless_one(cpu, pfn));
        if !matches!(answer, Ok(ProbeAnswer::Done(true))) {
            self.memory.add_own(pfn, 1);
        }
        answer
    }

    /// Lets the host do `step`, then lets the subject look at memory (`see`). Informs the subject about a hot-remove
    /// before the host does it, and about a hot-add, a slot or a new window after `see`. Closing a window is done in
    /// [`close`](Self::close).
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
