//! The subjects that come with the harness.

mod canary;
mod null;
mod planted;

use std::fmt;
use std::str::FromStr;

use candidate::Candidate;

pub use canary::Canary;
pub(crate) use null::Shadow;
use planted::PLANTED;

use crate::lockstep::Checker;

/// Which implementation runs against the reference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SubjectKind {
    /// The optimised candidate.
    #[default]
    Candidate,
    /// The null control: a second instance of the reference, which must never be caught.
    Null,
    /// The canary: the candidate with a mistake made on purpose, which must always be caught.
    Canary,
    /// A candidate with a planted fault, by its place in the list of them: only in the scratch copy of `scripts/defects`.
    Planted(usize),
}

impl SubjectKind {
    /// The word that names it on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Null => "null",
            Self::Canary => "canary",
            Self::Planted(at) => PLANTED.get(at).map_or("planted", |planted| planted.name),
        }
    }

    /// A checker of this subject.
    ///
    /// # Panics
    /// There is no planted fault at this place.
    #[must_use]
    pub fn checker(self) -> Checker {
        match self {
            Self::Candidate => Checker::new(Box::new(Candidate::new())),
            Self::Null => null::checker(),
            Self::Canary => Checker::new(Box::new(Canary::new())),
            Self::Planted(at) => Checker::new((PLANTED[at].make)()),
        }
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// By its name.
impl FromStr for SubjectKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let planted = (0..PLANTED.len()).map(Self::Planted);
        [Self::Candidate, Self::Null, Self::Canary]
            .into_iter()
            .chain(planted)
            .find(|kind| kind.name() == name)
            .ok_or_else(|| "expected candidate, null or canary".into())
    }
}
