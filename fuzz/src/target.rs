//! A target that runs programs.

use realmode_diff::SubjectKind;
use realmode_diff::engine::Engine;
use realmode_diff::focus::Focus;
use realmode_diff::mutate::Mutator;

/// What a target keeps from input to input.
pub struct Target {
    engine: Engine,
    mutator: Mutator,
}

impl Target {
    /// A target with this focus, for this subject.
    #[must_use]
    pub fn new(focus: Focus, subject: SubjectKind) -> Self {
        Self { engine: Engine::new(focus, subject), mutator: Mutator::new(focus) }
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
