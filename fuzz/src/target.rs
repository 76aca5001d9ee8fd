//! The state of a fuzz target that runs programs.

use programs::focus::Focus;
use programs::mutate::Mutator;
use programs::sequence::Part;
use realmode_diff::SubjectKind;
use realmode_diff::hunts::engine::{Engine, EngineRun};
use realmode_diff::subjects::NoSubject;

/// What a fuzz target keeps from input to input: the check (with its subject) and the mutator.
pub struct Target {
    engine: Engine,
    mutator: Mutator,
    feedback: bool,
    fresh: bool,
}

/// If this environment variable is set, each input gets a new checker. Otherwise one checker serves all inputs and its
/// buffers grow, so the branches that an input reaches depend a little on earlier inputs. That is too much for
/// measuring the coverage of a corpus.
const FRESH: &str = "REALMODE_FRESH";

/// If this environment variable is `off`, combinations are not reported to the engine. Branch coverage is then its only
/// feedback, to measure what combinations add.
const FEEDBACK: &str = "REALMODE_FEEDBACK";

/// This environment variable names a subject (as `--subject` of the command does) that replaces the target's own.
const SUBJECT: &str = "REALMODE_SUBJECT";

/// Returns the subject that the variable [`SUBJECT`] names; `None` if it is not set. An unknown subject ends the
/// process with status 2, a library that cannot be used with status 3.
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

/// Makes the check of a target. A library that cannot be loaded once more ends the process with status 3.
fn engine(focus: Focus, subject: SubjectKind) -> Engine {
    Engine::new(focus, subject).unwrap_or_else(|unusable| {
        eprintln!("{unusable}");
        std::process::exit(3);
    })
}

impl Target {
    /// Makes a target with this focus and subject. The variable `REALMODE_SUBJECT` may name another subject; if that is
    /// unknown or a library that cannot be used, the process ends with status 2 or 3.
    #[must_use]
    pub fn new(focus: Focus, subject: SubjectKind) -> Self {
        let subject = named_subject().unwrap_or(subject);
        let feedback = std::env::var_os(FEEDBACK).is_none_or(|value| value != "off");
        let fresh = std::env::var_os(FRESH).is_some();
        Self { engine: engine(focus, subject), mutator: Mutator::new(focus), feedback, fresh }
    }

    /// Returns whether the combinations that a program reaches are reported to the engine
    /// ([`realmode_diff::check::feedback`]).
    #[must_use]
    pub const fn feedback(&self) -> bool {
        self.feedback
    }

    /// Runs one input, on a new checker if `REALMODE_FRESH` is set. A finding is only returned. A subject that cannot
    /// be made once more ends the process with status 3.
    pub fn run(&mut self, bytes: &[u8], reached: &mut dyn FnMut(usize)) -> EngineRun {
        if self.fresh {
            self.engine = engine(self.engine.focus(), self.engine.subject());
        }
        self.engine.run(bytes, reached).unwrap_or_else(|gone| {
            eprintln!("{gone}");
            std::process::exit(3);
        })
    }

    /// Returns the programs that the subject had run before the last input, in order.
    #[must_use]
    pub fn before(&self) -> Vec<Part> {
        self.engine.before()
    }

    /// Returns the subject that runs against the reference.
    #[must_use]
    pub const fn subject(&self) -> SubjectKind {
        self.engine.subject()
    }

    /// Returns the mutator of this target, for the engine's mutations and crossovers.
    pub const fn mutator(&mut self) -> &mut Mutator {
        &mut self.mutator
    }
}
