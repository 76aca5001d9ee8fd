//! What a fuzz target does with the bytes that its engine hands it; the engines themselves are in `fuzz/`.

use contract::{Hypercall, Program, Step};

use crate::check::feedback::Feedback;
use crate::check::{Checker, Ending, Finding, NotCompared, Observation, Tally, Verdict};
use crate::subjects::SubjectKind;
use programs::encoding::{Form, decode, encode, form};
use programs::focus::Focus;

/// Most [`work`] of a program that a target runs.
pub const MAX_WORK: u64 = 1 << 13;

/// How a run ended.
#[derive(Debug)]
pub enum EngineRun {
    /// Everything was compared and is equal.
    Agreed,
    /// Something was not compared; the rest is equal.
    NotCompared(NotCompared),
    /// The program was not run: it would take long (see [`work`]), or the header names another version of the encoding,
    /// so that it would mean something else to those who look at it later.
    Rejected,
    /// A rule was broken, by this program.
    Finding(Box<Finding>, Box<Program>),
}

/// Runs inputs of an engine; keeps its allocations from one to the next.
pub struct Engine {
    checker: Checker,
    subject: SubjectKind,
    focus: Focus,
    tally: Tally,
}

impl Engine {
    /// For a target with this focus.
    #[must_use]
    pub fn new(focus: Focus, subject: SubjectKind) -> Self {
        Self { checker: subject.checker(), subject, focus, tally: Tally::default() }
    }

    /// What the target runs of programs.
    #[must_use]
    pub const fn focus(&self) -> Focus {
        self.focus
    }

    /// Who runs against the reference.
    #[must_use]
    pub const fn subject(&self) -> SubjectKind {
        self.subject
    }

    /// Runs the program that the bytes stand for; `reached` is told each [combination](crate::check::feedback), as it
    /// is reached.
    pub fn run(&mut self, bytes: &[u8], reached: &mut dyn FnMut(usize)) -> EngineRun {
        if matches!(form(bytes), Form::Other(_)) {
            return EngineRun::Rejected;
        }
        let mut program = decode(bytes);
        self.focus.apply(&mut program);
        if work(&program) > MAX_WORK {
            return EngineRun::Rejected;
        }
        let feedback = Feedback::new(&program.machine);
        let mut watch = |seen: &Observation<'_>| feedback.of(seen).for_each(&mut *reached);
        match self.checker.check_into(&program, Ending::Close, &mut self.tally, &mut watch) {
            Verdict::Agreed => EngineRun::Agreed,
            Verdict::NotCompared(not) => EngineRun::NotCompared(not),
            Verdict::Finding(finding) => EngineRun::Finding(finding, Box::new(program)),
            // What is decoded is valid.
            Verdict::Invalid(_) => EngineRun::Rejected,
        }
    }

    /// What all runs so far came to.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// What a program makes both sides do, roughly: entries that calls name, words written, pages mapped at boot, and a
/// sixteenth of what its windows have room for. Engines take another number of rounds of a loop for progress, so they
/// favour programs that do ever more, and dialects without a limit of 512 let one call name 65,536 entries: a few such
/// programs would take a campaign's whole time without showing anything that shorter ones do not. The embedded campaign
/// and replay run them.
#[must_use]
pub fn work(program: &Program) -> u64 {
    let machine = &program.machine;
    let entries: u64 = machine.windows.iter().map(|window| window.entries).sum();
    let pages: u64 = machine.mappings.iter().map(|mapping| mapping.pages).sum();
    let ram: u64 = machine.ram.iter().map(|ram| contract::description::word_count(&ram.words)).sum();
    let mut largest = machine.windows.iter().map(|window| window.entries).max().unwrap_or(0);
    let mut work = entries / 16 + pages + ram;
    for step in &program.steps {
        work += match step {
            Step::Hypercall { call, .. } => count(call).min(largest.max(512)),
            Step::Write { words, .. } => contract::description::word_count(words),
            Step::CreateWindow(window) => {
                largest = largest.max(window.entries);
                window.entries / 16
            }
            Step::HotAdd { blocks, .. } => blocks.iter().fold(0u64, |sum, run| sum.saturating_add(run.count)),
            _ => 1,
        };
    }
    work
}

const fn count(call: &Hypercall) -> u64 {
    match call.name() {
        Some(_) => call.count(),
        None => 1,
    }
}

/// Hands hostile bytes to the parser. What it takes for a program must print, parse, encode and decode to itself; what
/// it refuses must be refused with a place inside the text.
///
/// # Panics
/// Where one of that fails: the engine's finding.
pub fn text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match contract::text::parse(&text) {
        Ok(program) => {
            let printed = program.to_string();
            let again = contract::text::parse(&printed);
            assert_eq!(again.as_ref(), Ok(&program), "printed and parsed again it is another program");
            assert_eq!(again.map(|again| again.to_string()), Ok(printed), "printed twice it is another text");
            assert_eq!(decode(&encode(&program)), program, "encoded and decoded it is another program");
        }
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1 && error.width >= 1, "{error:?}");
            // A file that ends too soon is refused on the line behind its last.
            assert!(error.line <= text.lines().count() + 1, "{error:?}");
            assert!(!error.to_string().is_empty());
        }
    }
}
