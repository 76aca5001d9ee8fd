//! A target that runs programs.

use programs::focus::Focus;
use programs::mutate::Mutator;
use realmode_diff::SubjectKind;
use realmode_diff::hunts::engine::Engine;
use realmode_diff::subjects::NoSubject;

/// What a target keeps from input to input.
pub struct Target {
    engine: Engine,
    mutator: Mutator,
    feedback: bool,
    fresh: bool,
}

/// Set, each input has a checker of its own. Else one checker serves all, whose buffers grow with use: which branches
/// an input reaches then depends a little on what ran before, too much for counting what a corpus reaches.
const FRESH: &str = "REALMODE_FRESH";

/// `off` in this variable leaves an engine with branches alone for feedback, to see what meaning adds.
const FEEDBACK: &str = "REALMODE_FEEDBACK";

/// Names another subject than the target's own, as `--subject` of the command does.
const SUBJECT: &str = "REALMODE_SUBJECT";

/// The subject that the environment names, if any. One that there is not ends the process.
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
    /// A target with this focus, for this subject, unless the environment names another.
    #[must_use]
    pub fn new(focus: Focus, subject: SubjectKind) -> Self {
        let subject = named_subject().unwrap_or(subject);
        let feedback = std::env::var_os(FEEDBACK).is_none_or(|value| value != "off");
        let fresh = std::env::var_os(FRESH).is_some();
        Self { engine: Engine::new(focus, subject), mutator: Mutator::new(focus), feedback, fresh }
    }

    /// Whether the engine is to be told of combinations reached ([`realmode_diff::check::feedback`]).
    #[must_use]
    pub const fn feedback(&self) -> bool {
        self.feedback
    }

    /// Runs the next input.
    pub fn engine(&mut self) -> &mut Engine {
        if self.fresh {
            self.engine = Engine::new(self.engine.focus(), self.engine.subject());
        }
        &mut self.engine
    }

    /// Who runs against the reference.
    #[must_use]
    pub const fn subject(&self) -> SubjectKind {
        self.engine.subject()
    }

    /// Changes inputs.
    pub const fn mutator(&mut self) -> &mut Mutator {
        &mut self.mutator
    }
}
