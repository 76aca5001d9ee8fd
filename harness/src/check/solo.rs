//! Runs the reference alone or a subject alone, without comparing them. Benchmarks measure the checker against such
//! runs, and the harness finds out with one whether a library starts.

use std::convert::Infallible;
use std::hint::black_box;

use contract::{Dialect, Program, Step};
use machine::{Cpu, RealMemory, Subject};
use reference::{Answer, Reference};

use super::driver::{Conduct, Driver};
use super::finding::Code;

/// A program, and which of its steps run: those whose precondition holds on the reference.
pub struct Plan {
    program: Program,
    /// One item for each step: `true` if the step runs, `false` if it is skipped.
    runs: Vec<bool>,
    /// Number of hypercalls in the program, which never are skipped.
    pub hypercalls: u64,
}

impl Plan {
    /// Makes the plan of `program`: runs the program on a reference to find out which steps are skipped.
    #[must_use]
    pub fn new(program: Program) -> Self {
        let mut reference = Reference::new(program.dialect, &program.machine);
        let runs =
            program.steps.iter().map(|step| !matches!(reference.step(step).answer, Answer::Skipped(_))).collect();
        let hypercalls = program.steps.iter().filter(|step| matches!(step, Step::Hypercall { .. })).count() as u64;
        Self { program, runs, hypercalls }
    }

    /// Returns the program of the plan.
    #[must_use]
    pub const fn program(&self) -> &Program {
        &self.program
    }
}

/// Resets the reference to the plan's machine and dialect, then runs all steps of the plan's program on the reference.
pub fn run_reference(reference: &mut Reference, plan: &Plan) {
    reference.reset(plan.program.dialect, &plan.program.machine);
    for step in &plan.program.steps {
        black_box(reference.step(step));
    }
}

/// Makes a reference on the plan's machine, in dialect `lopapr`. [`run_reference`] sets the dialect of the plan.
#[must_use]
pub fn reference(plan: &Plan) -> Reference {
    Reference::new(Dialect::Lopapr, &plan.program.machine)
}

/// A subject that runs alone, with the memory and the host that it needs.
pub struct Solo<S> {
    driver: Driver<S>,
}

impl<S: Subject> Solo<S> {
    /// Makes a solo run of `subject`.
    pub fn new(subject: S) -> Self {
        Self { driver: Driver::new(Box::new(subject)) }
    }

    /// Sets memory up as the program's machine says, and starts the subject on that machine, as every run does. Runs no
    /// step. A panic of the subject is not caught.
    ///
    /// # Errors
    /// What the subject's `start` did against the rules of its interface ([`Subject::violation`]), in words.
    pub fn start(&mut self, program: &Program) -> Result<(), String> {
        let Ok(()) = self.driver.start(program, &mut Unwatched);
        self.driver.subject().violation().map_or(Ok(()), Err)
    }

    /// Returns the memory and the subject, for a caller that makes its own calls on a started subject.
    pub fn parts(&mut self) -> (&mut RealMemory, &mut S) {
        self.driver.parts()
    }

    /// Runs the steps of the plan that are not skipped on the subject, and ignores the answers. Hypercalls go to real
    /// mode first. At the end the subject closes all windows. A panic of the subject is not caught, and a hang is not
    /// stopped.
    pub fn run(&mut self, plan: &Plan) {
        let driver = &mut self.driver;
        let Ok(()) = driver.start(&plan.program, &mut Unwatched);
        for step in plan.program.steps.iter().zip(&plan.runs).filter_map(|(step, runs)| runs.then_some(step)) {
            driver.begin();
            let Ok(ran) = driver.step(step, true, &mut Unwatched);
            black_box(ran);
            driver.settle();
        }
        let Ok(()) =
            Driver::end(driver, |driver| driver, |driver, step| driver.step(step, true, &mut Unwatched).map(drop));
    }
}

/// Runs the subject's code without any check and without a hang limit.
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
