//! The subjects that come with the harness, and subjects in shared libraries.

mod canary;
mod null;
mod planted;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use abi::{Foreign, Library, Unusable};
use candidate::Candidate;
use contract::{Dialect, Program};
use programs::store;

pub use canary::Canary;
use planted::PLANTED;

use crate::check::checker::{Checker, Instance, smallest};
use crate::check::solo::Solo;
use crate::watch;

/// Which implementation is the subject and runs against the reference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SubjectKind {
    /// The optimised candidate.
    #[default]
    Candidate,
    /// The null control: a second reference. It must never show a finding.
    Null,
    /// The canary: the candidate with one mistake on purpose. Every campaign must find the mistake.
    Canary,
    /// A candidate with a planted fault. The number is its index, from 0, in the list of planted candidates, which is
    /// empty except in the scratch copy that `scripts/defects` builds.
    Planted(usize),
    /// An implementation in a shared library (include/realmode.h). The number is its index, from 0, among the libraries
    /// that this process has opened.
    Library(usize),
}

/// The libraries that this process has opened. None is ever closed or removed, so that the index of a
/// `SubjectKind::Library` stays valid.
static LIBRARIES: Mutex<Vec<Arc<Library>>> = Mutex::new(Vec::new());

/// Why the harness has no subject of a given name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoSubject {
    /// No subject has this name, and the name is no path of a library.
    Unknown,
    /// The name is the path of a library that cannot be used; the value says why.
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

/// Returns whether `name` is taken as the path of a library: it contains a `/` or ends in `.so`.
#[must_use]
pub fn is_library(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "so")
}

impl SubjectKind {
    /// Returns the subject's name on the command line. For a library, returns the name that the library gives itself.
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

    /// Returns a fingerprint of the library's file, as it was when the library was opened; `None` for other subjects.
    pub(crate) fn code(self) -> Option<u64> {
        match self {
            Self::Library(at) => library(at).map(|library| store::hash(library.contents())),
            Self::Candidate | Self::Null | Self::Canary | Self::Planted(_) => None,
        }
    }

    /// Makes a checker that runs this subject.
    ///
    /// # Panics
    /// Panics if the subject is a library that was never opened or cannot be loaded once more, or if there is no
    /// planted candidate with the index of a `Planted`.
    #[must_use]
    pub fn checker(self) -> Checker {
        self.try_checker().unwrap_or_else(|unusable| panic!("{unusable}"))
    }

    /// Makes a checker that runs this subject. The checker can replace its subject by a new one
    /// ([`renew`](Checker::renew)).
    ///
    /// # Errors
    /// Fails if the subject is a library that was never opened, or one that cannot be loaded once more, such as a
    /// library that wants memory mapped at a fixed address that is already taken.
    ///
    /// # Panics
    /// Panics if there is no planted candidate with the index of a `Planted`.
    pub fn try_checker(self) -> Result<Checker, Unusable> {
        let make = move || self.instance().map_err(|unusable| unusable.to_string());
        Ok(Checker::of(self.instance()?, Some(Box::new(make))))
    }

    /// Makes a new subject of this kind, which has seen no program, with its witness if it has one. Fails if a library
    /// was never opened or cannot be loaded once more.
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

    /// Opens the library at `path`, checks that its implementation starts, and returns the library as a subject. If a
    /// library with the same `path` is open already, only returns that one.
    ///
    /// # Errors
    /// Fails if the library cannot be loaded, if it gives itself the name of another voter (such as `qemu`), or if its
    /// implementation does not start on the smallest machine.
    pub fn open(path: &Path) -> Result<Self, Unusable> {
        let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = libraries.iter().position(|library| library.path() == path) {
            return Ok(Self::Library(at));
        }
        let library = Arc::new(Library::open(path)?);
        // A ledger names voters, so a library must not be taken for another one.
        if RESERVED.contains(&library.name()) {
            return Err(library.refuse(&format!("its name `{}` is that of another voter", library.name())));
        }
        // An implementation that cannot start is refused here, before any program runs.
        let bare = Program { dialect: Dialect::Lopapr, machine: smallest(), steps: Vec::new() };
        Solo::new(Foreign::new(&library)?).start(&bare).map_err(|what| library.refuse(&what))?;
        libraries.push(library);
        Ok(Self::Library(libraries.len() - 1))
    }
}

/// Names that a library cannot give itself.
const RESERVED: [&str; 5] = ["reference", "qemu", "candidate", "null", "canary"];

/// Returns the library with this index, from 0, among the opened libraries; `None` if there is no such index.
fn library(at: usize) -> Option<Arc<Library>> {
    LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner).get(at).cloned()
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Finds the subject with this name. If the name is the path of a library, opens the library.
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
