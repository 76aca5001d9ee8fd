//! One side alone, without the other and without the oracle: what a benchmark holds the lockstep against.

use contract::{Dialect, Program, Status, Step};
use machine::memory::{Context, Mode};
use machine::{RealMemory, Subject};
use reference::{Answer, Reference};

use machine::host::Host;

/// A program with what the reference says of its steps' preconditions.
pub struct Plan {
    program: Program,
    runs: Vec<bool>,
    /// Hypercalls in it.
    pub hypercalls: u64,
}

impl Plan {
    /// Asks the reference which steps run.
    #[must_use]
    pub fn new(program: Program) -> Self {
        let mut reference = Reference::new(program.dialect, &program.machine);
        let runs =
            program.steps.iter().map(|step| !matches!(reference.step(step).answer, Answer::Skipped(_))).collect();
        let hypercalls = program.steps.iter().filter(|step| matches!(step, Step::Hypercall { .. })).count() as u64;
        Self { program, runs, hypercalls }
    }

    /// The program.
    #[must_use]
    pub const fn program(&self) -> &Program {
        &self.program
    }
}

/// Runs the program on the reference alone.
pub fn run_reference(reference: &mut Reference, plan: &Plan) {
    reference.reset(plan.program.dialect, &plan.program.machine);
    for step in &plan.program.steps {
        std::hint::black_box(reference.step(step));
    }
}

/// A reference for [`run_reference`].
#[must_use]
pub fn reference(plan: &Plan) -> Reference {
    Reference::new(Dialect::Lopapr, &plan.program.machine)
}

/// A subject with the memory and the host it needs.
pub struct Solo<S> {
    subject: S,
    memory: RealMemory,
    host: Host,
}

impl<S: Subject> Solo<S> {
    /// The subject alone.
    pub fn new(subject: S) -> Self {
        Self { subject, memory: RealMemory::new(), host: Host::new() }
    }

    /// Runs the program's steps, each in real mode first, without looking at what comes out. At the end all windows are closed, as
    /// the lockstep does.
    pub fn run(&mut self, plan: &Plan) {
        let Self { subject, memory, host } = self;
        host.boot(memory, &plan.program);
        subject.start(plan.program.dialect, &plan.program.machine);
        let mut open: Vec<_> = plan.program.machine.windows.clone();
        for step in plan.program.steps.iter().zip(&plan.runs).filter_map(|(step, runs)| runs.then_some(step)) {
            memory.begin_step();
            match step {
                Step::Hypercall { vcpu, call } => {
                    let cpu = memory.cpu(Mode::Real, *vcpu, Context::Hypercall, u64::MAX);
                    let mut answer = subject.real_mode(&cpu, call);
                    if answer.status == Status::TOO_HARD {
                        let cpu = memory.cpu(Mode::Virtual, *vcpu, Context::Hypercall, u64::MAX);
                        answer = subject.virtual_mode(&cpu, call);
                    }
                    std::hint::black_box(answer);
                }
                Step::Lookup { pfn } => {
                    let cpu = memory.cpu(Mode::Real, 0, Context::Probe, u64::MAX);
                    std::hint::black_box(subject.pfn_to_page(&cpu, *pfn));
                }
                Step::GetPage { pfn } => {
                    let cpu = memory.cpu(Mode::Real, 0, Context::Probe, u64::MAX);
                    std::hint::black_box(subject.get_page_unless_zero(&cpu, *pfn));
                }
                Step::PutPage { pfn } => {
                    let cpu = memory.cpu(Mode::Real, 0, Context::Probe, u64::MAX);
                    std::hint::black_box(subject.put_page_unless_one(&cpu, *pfn));
                }
                Step::CloseWindow { liobn } => {
                    let cpu = memory.cpu(Mode::Virtual, 0, Context::Close, u64::MAX);
                    subject.close_window(&cpu, *liobn);
                    if let Some(at) = open.iter().position(|window| window.liobn == *liobn) {
                        Host::remove_window(memory, &open.remove(at));
                    }
                }
                Step::HotRemove { section } => {
                    subject.hot_remove(*section);
                    host.step(memory, step);
                }
                _ => {
                    host.step(memory, step);
                    match step {
                        Step::HotAdd { section, blocks } => subject.hot_add(*section, blocks),
                        Step::Slot(slot) => subject.set_slot(slot),
                        Step::CreateWindow(window) => {
                            open.push(*window);
                            subject.create_window(window);
                        }
                        _ => {}
                    }
                }
            }
        }
        for window in open {
            let cpu = memory.cpu(Mode::Virtual, 0, Context::Close, u64::MAX);
            subject.close_window(&cpu, window.liobn);
        }
    }
}
