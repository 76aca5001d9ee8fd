//! The subjects that come with the harness, and those of shared libraries.

mod canary;
mod null;
mod planted;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use abi::{Foreign, Library, Unusable};
use candidate::Candidate;
use contract::Dialect;

pub use canary::Canary;
use planted::PLANTED;

use crate::check::checker::{Checker, Instance, smallest};
use crate::watch;

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
    /// A candidate with a planted fault, by its place in the list of them: only in the scratch copy of
    /// `scripts/defects`.
    Planted(usize),
    /// An implementation in a shared library (include/realmode.h), by its place in the list of those that were opened.
    Library(usize),
}

/// The libraries that were opened. They stay, because a finding of one may be looked at as long as the process runs.
static LIBRARIES: Mutex<Vec<Arc<Library>>> = Mutex::new(Vec::new());

/// Why there is no such subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoSubject {
    /// The name is none.
    Unknown,
    /// It names a library that cannot be used.
    Unusable(Unusable),
}

impl fmt::Display for NoSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => {
                f.write_str("expected candidate, null, canary or the path of a library, such as ./libmine.so")
            }
            Self::Unusable(unusable) => unusable.fmt(f),
        }
    }
}

impl std::error::Error for NoSubject {}

/// Whether this is the path of a library, and no name.
#[must_use]
pub fn is_library(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "so")
}

impl SubjectKind {
    /// The word that names it on the command line; the name that a library gives itself.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Candidate => "candidate".into(),
            Self::Null => "null".into(),
            Self::Canary => "canary".into(),
            Self::Planted(at) => PLANTED.get(at).map_or("planted", |planted| planted.name).into(),
            Self::Library(at) => library(at).map_or("library".into(), |library| library.name().into()),
        }
    }

    /// A checker of this subject.
    ///
    /// # Panics
    /// It is a library that cannot be loaded once more: see [`try_checker`](Self::try_checker).
    #[must_use]
    pub fn checker(self) -> Checker {
        self.try_checker().unwrap_or_else(|unusable| panic!("{unusable}"))
    }

    /// A checker of this subject, which can be renewed.
    ///
    /// # Errors
    /// It is a library that cannot be loaded once more, such as one that wants memory mapped where there is no room for
    /// a second time.
    pub fn try_checker(self) -> Result<Checker, Unusable> {
        let make = move || self.instance().map_err(|unusable| unusable.to_string());
        Ok(Checker::of(self.instance()?, Some(Box::new(make))))
    }

    /// A subject of this kind that has seen no program.
    fn instance(self) -> Result<Instance, Unusable> {
        Ok(match self {
            Self::Candidate => Instance::of(Candidate::new()),
            Self::Null => null::instance(),
            Self::Canary => Instance::of(Canary::new()),
            Self::Planted(at) => Instance { subject: (PLANTED[at].make)(), witness: None },
            Self::Library(at) => match library(at) {
                Some(library) => {
                    let witness = watch::recorder(library.path());
                    Instance { subject: Box::new(Foreign::new(&library)?), witness }
                }
                None => return Err(Unusable::new(format!("no library number {at} was opened"))),
            },
        })
    }

    /// Opens a library.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(path: &Path) -> Result<Self, Unusable> {
        let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = libraries.iter().position(|library| library.path() == path) {
            return Ok(Self::Library(at));
        }
        let library = Arc::new(Library::open(path)?);
        // An implementation that cannot start is refused before anything runs.
        Foreign::new(&library)?.try_start(Dialect::Lopapr, &smallest()).map_err(|what| library.refuse(&what))?;
        libraries.push(library);
        Ok(Self::Library(libraries.len() - 1))
    }
}

fn library(at: usize) -> Option<Arc<Library>> {
    LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner).get(at).cloned()
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// By its name, or a library by its path.
impl FromStr for SubjectKind {
    type Err = NoSubject;

    fn from_str(name: &str) -> Result<Self, NoSubject> {
        if is_library(name) {
            return Self::open(Path::new(name)).map_err(NoSubject::Unusable);
        }
        let planted = (0..PLANTED.len()).map(Self::Planted);
        [Self::Candidate, Self::Null, Self::Canary]
            .into_iter()
            .chain(planted)
            .find(|kind| kind.name() == name)
            .ok_or(NoSubject::Unknown)
    }
}
