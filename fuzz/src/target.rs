//! A target that runs programs.

use realmode_diff::SubjectKind;
use realmode_diff::engine::Engine;
use realmode_diff::focus::Focus;
use realmode_diff::mutate::Mutator;

/// What a target keeps from input to input.
pub struct Target {
    engine: Engine,
    mutator: Mutator,
    feedback: bool,
}

/// `off` in this variable leaves an engine with branches alone for feedback, to see what meaning adds.
const FEEDBACK: &str = "REALMODE_FEEDBACK";

impl Target {
    /// A target with this focus, for this subject.
    #[must_use]
    pub fn new(focus: Focus, subject: SubjectKind) -> Self {
        let feedback = std::env::var_os(FEEDBACK).is_none_or(|value| value != "off");
        Self { engine: Engine::new(focus, subject), mutator: Mutator::new(focus), feedback }
    }

    /// Whether the engine is to be told of combinations reached ([`realmode_diff::feedback`]).
    #[must_use]
    pub const fn feedback(&self) -> bool {
        self.feedback
    }

    /// Runs inputs.
    pub const fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Changes inputs.
    pub const fn mutator(&mut self) -> &mut Mutator {
        &mut self.mutator
    }
}
