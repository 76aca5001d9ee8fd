//! The subjects that come with the harness.

mod canary;
mod null;

use candidate::Candidate;
use clap::ValueEnum;

pub use canary::Canary;
pub(crate) use null::Shadow;

use crate::lockstep::Checker;

/// Which implementation runs against the reference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, ValueEnum)]
pub enum SubjectKind {
    /// The optimised candidate.
    #[default]
    Candidate,
    /// The null control: a second instance of the reference, which must never be caught.
    Null,
    /// The canary: the candidate with a mistake made on purpose, which must always be caught.
    Canary,
}

impl SubjectKind {
    /// The word that names it on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Null => "null",
            Self::Canary => "canary",
        }
    }

    /// A checker of this subject.
    #[must_use]
    pub fn checker(self) -> Checker {
        match self {
            Self::Candidate => Checker::new(Box::new(Candidate::new())),
            Self::Null => null::checker(),
            Self::Canary => Checker::new(Box::new(Canary::new())),
        }
    }
}
