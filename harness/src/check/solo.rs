//! One side alone, without the other and without the oracle: what benchmarks compare the checker with.

use std::convert::Infallible;
use std::hint::black_box;

use contract::{Dialect, Program, Step};
use machine::{Cpu, RealMemory, Subject};
use reference::{Answer, Reference};

use super::driver::{Conduct, Driver};
use super::finding::Code;

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
        black_box(reference.step(step));
    }
}

/// A reference for [`run_reference`].
#[must_use]
pub fn reference(plan: &Plan) -> Reference {
    Reference::new(Dialect::Lopapr, &plan.program.machine)
}

/// A subject with the memory and the host it needs.
pub struct Solo<S> {
    driver: Driver<S>,
}

impl<S: Subject> Solo<S> {
    /// The subject alone.
    pub fn new(subject: S) -> Self {
        Self { driver: Driver::new(Box::new(subject)) }
    }

    /// Runs the program's steps, each in real mode first, without looking at what comes out. At the end all windows are
    /// closed, as the checker does.
    pub fn run(&mut self, plan: &Plan) {
        let driver = &mut self.driver;
        let Ok(()) = driver.start(&plan.program, &mut Unwatched);
        for step in plan.program.steps.iter().zip(&plan.runs).filter_map(|(step, runs)| runs.then_some(step)) {
            driver.begin();
            let Ok(ran) = driver.step(step, true, &mut Unwatched);
            black_box(ran);
            driver.settle();
        }
        let open: Vec<_> = driver.open().collect();
        for liobn in open {
            let Ok(()) = driver.close(liobn, &mut Unwatched);
        }
    }
}

/// Runs the subject's code as it is, for as long as it takes.
struct Unwatched;

impl Conduct for Unwatched {
    type Stop = Infallible;

    fn limit(&self, _: Code, _: u64) -> u64 {
        u64::MAX
    }

    fn on_cpu<T>(&mut self, _: Code, _: &RealMemory, _: &Cpu<'_>, call: impl FnOnce() -> T) -> Result<T, Infallible> {
        Ok(call())
    }

    fn off_cpu<T>(&mut self, _: Code, call: impl FnOnce() -> T) -> Result<T, Infallible> {
        Ok(call())
    }

    fn interface<S: Subject + ?Sized>(&mut self, _: Code, _: &S) -> Result<(), Infallible> {
        Ok(())
    }

    fn fault(&mut self, what: &'static str) -> Result<(), Infallible> {
        panic!("{what}")
    }

    fn deferred(&mut self, _: &RealMemory) {}
}
