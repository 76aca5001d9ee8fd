//! The state of a target that runs programs.

use programs::focus::Focus;
use programs::mutate::Mutator;
use realmode_diff::SubjectKind;
use realmode_diff::hunts::engine::Engine;
use realmode_diff::subjects::NoSubject;

/// What a target keeps from input to input: checker and mutator.
pub struct Target {
    engine: Engine,
    mutator: Mutator,
    feedback: bool,
    fresh: bool,
}

/// If this variable is set, each input gets a new checker. Otherwise one checker serves all inputs and its buffers
/// grow, so the branches that an input reaches depend a little on earlier inputs. That is too much for measuring the
/// coverage of a corpus.
const FRESH: &str = "REALMODE_FRESH";

/// The value `off` in this variable leaves the engine with branch coverage as its only feedback, to measure what
/// combinations add.
const FEEDBACK: &str = "REALMODE_FEEDBACK";

/// This variable names a subject instead of the target's own, like `--subject` of the command.
const SUBJECT: &str = "REALMODE_SUBJECT";

/// Returns the subject that the environment names, if any. An unknown one ends the process with status 2, a library
/// that cannot be used with status 3.
fn named_subject() -> Option<SubjectKind> {
    let name = std::env::var_os(SUBJECT)?;
    match name.to_string_lossy().parse() {
        Ok(subject) => Some(subject),
        Err(error) => {
            eprintln!("{SUBJECT}={}: {error}", name.display());
            std::process::exit(if error == NoSubject::Unknown { 2 } else { 3 });
        }
    }
}

impl Target {
    /// Makes a target with this focus and subject. The environment may name another subject.
    #[must_use]
    pub fn new(focus: Focus, subject: SubjectKind) -> Self {
        let subject = named_subject().unwrap_or(subject);
        let feedback = std::env::var_os(FEEDBACK).is_none_or(|value| value != "off");
        let fresh = std::env::var_os(FRESH).is_some();
        Self { engine: Engine::new(focus, subject), mutator: Mutator::new(focus), feedback, fresh }
    }

    /// Returns whether combinations that a program reaches are reported to the engine
    /// ([`realmode_diff::check::feedback`]).
    #[must_use]
    pub const fn feedback(&self) -> bool {
        self.feedback
    }

    /// Returns the check that runs the next input.
    pub fn engine(&mut self) -> &mut Engine {
        if self.fresh {
            self.engine = Engine::new(self.engine.focus(), self.engine.subject());
        }
        &mut self.engine
    }

    /// Returns the subject that runs against the reference.
    #[must_use]
    pub const fn subject(&self) -> SubjectKind {
        self.engine.subject()
    }

    /// Returns the mutator.
    pub const fn mutator(&mut self) -> &mut Mutator {
        &mut self.mutator
    }
}
