//! The roster: the voters of a run, as data. Each thread makes its own [`Panel`] of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use contract::{Dialect, Rule};
use programs::generate::Limits;

use super::ledger::Ledger;
use super::{Look, Panel, Shows, Unavailable, Voter, isolate, model, qemu};
use crate::check::{Checker, Finding};
use crate::subjects::SubjectKind;

/// A description of a voter, from which each thread makes the voter itself.
pub trait Candidacy: fmt::Debug + Send + Sync {
    /// The voter's name in reports and ledgers.
    fn name(&self) -> String;

    /// Makes the voter. `look` says how many table entries are read back, if its tables can only be read that way.
    ///
    /// # Errors
    /// This computer cannot run it: why, and what the user can do.
    fn make(&self, look: Look) -> Result<Box<dyn Voter>, Unavailable>;

    /// The machines that it can have, so that campaigns draw programs for it. `None` if it can have every machine.
    fn limits(&self) -> Option<Arc<dyn Limits>> {
        None
    }

    /// The dialect in which campaigns expect answers, unless the user names another. `None` if the voter is no system
    /// with a dialect of its own.
    fn dialect(&self) -> Option<Dialect> {
        None
    }

    /// How many cores one voter keeps busy, together with the thread that uses it. At least 1.
    fn cores(&self) -> usize {
        1
    }

    /// What the voter shows; see [`Voter::shows`].
    fn shows(&self) -> Shows;

    /// The checker of its subject, if it is a subject in this process. Hunts that run very many short programs use it
    /// without a panel, which is faster.
    ///
    /// # Errors
    /// This computer cannot run it: why, and what the user can do.
    fn checker(&self) -> Result<Option<Checker>, Unavailable> {
        Ok(None)
    }

    /// Whether a closer [`Look`] finds more.
    fn looks(&self) -> bool {
        false
    }

    /// The same voter with a time limit of at most `limit` for each step; `None` if it has no such limit.
    fn impatient(&self, limit: Duration) -> Option<Arc<dyn Candidacy>> {
        let _ = limit;
        None
    }
}

/// A kind of voter that `--against` can name.
pub struct VoterKind {
    /// The names, such as `qemu`; several as `A, B or C`.
    pub pattern: &'static str,
    /// What it is, in a few words: for the help of `--against`.
    pub help: &'static str,
    /// The candidate of that name; `None` if it is no name of this kind.
    pub named: fn(name: &str, options: &Options) -> Option<Arc<dyn Candidacy>>,
}

/// Every kind of voter that `--against` can name.
pub const KINDS: &[VoterKind] = &[qemu::KIND, model::KIND];

/// The options of the command line for voters that are no subjects.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// How QEMU is run.
    pub qemu: qemu::Config,
}

/// The voter that `--against` names.
///
/// # Errors
/// No kind of voter has that name. The text lists the names.
pub fn against(name: &str, options: &Options) -> Result<Arc<dyn Candidacy>, String> {
    KINDS.iter().find_map(|kind| (kind.named)(name, options)).ok_or_else(|| {
        let patterns: Vec<&str> = KINDS.iter().map(|kind| kind.pattern).collect();
        format!("expected reference, {}", patterns.join(", "))
    })
}

/// The voters of a run, and the ledger of their declared differences.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    candidates: Vec<Arc<dyn Candidacy>>,
    /// The declared differences, which are no findings.
    pub ledger: Ledger,
}

impl From<SubjectKind> for Roster {
    fn from(subject: SubjectKind) -> Self {
        Self::of(vec![Arc::new(subject)])
    }
}

impl Roster {
    /// These voters, without declared differences.
    #[must_use]
    pub fn of(candidates: Vec<Arc<dyn Candidacy>>) -> Self {
        Self { candidates, ledger: Ledger::default() }
    }

    /// Adds a voter.
    pub fn add(&mut self, candidate: Arc<dyn Candidacy>) {
        self.candidates.push(candidate);
    }

    /// Whether it has no voter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// The names of all, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.candidates.iter().map(|candidate| candidate.name()).collect()
    }

    /// The machines that the voters can have: the limits of the first voter that has any. `None` if none has.
    #[must_use]
    pub fn limits(&self) -> Option<Arc<dyn Limits>> {
        self.candidates.iter().find_map(|candidate| candidate.limits())
    }

    /// The dialect of the first voter that has one of its own.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.candidates.iter().find_map(|candidate| candidate.dialect())
    }

    /// How many threads keep `cores` cores busy. At least 1 if there is a core.
    #[must_use]
    pub fn jobs(&self, cores: usize) -> usize {
        let each = self.candidates.iter().map(|candidate| candidate.cores()).max().unwrap_or(1);
        cores.div_ceil(each.max(1))
    }

    /// The looks to try, in order, until a finding shows again. It is shrunk with the first that shows it, because a
    /// closer look makes shrinking slower.
    #[must_use]
    pub fn looks(&self) -> &'static [Look] {
        match self.candidates.iter().any(|candidate| candidate.looks()) {
            true => &[Look::EachCall, Look::Whole],
            false => &[Look::Whole],
        }
    }

    /// The roster with which this finding is shrunk. Hangs get a shorter time limit for each step, because every
    /// program that still hangs waits that long. For other findings the limit stays, so that a slow step is not taken
    /// for a hang.
    #[must_use]
    pub fn shrinking(&self, finding: &Finding) -> Self {
        let mut roster = self.clone();
        if finding.rule == Rule::SubjectHang {
            for candidate in &mut roster.candidates {
                if let Some(impatient) = candidate.impatient(SHRINKING) {
                    *candidate = impatient;
                }
            }
        }
        roster
    }

    /// Whether every voter shows everything, as subjects do.
    #[must_use]
    pub fn shows_all(&self) -> bool {
        self.candidates.iter().all(|candidate| candidate.shows() == Shows::ALL)
    }

    /// The checker of the only voter, if it is a subject in this process and no difference is declared.
    ///
    /// # Errors
    /// This computer cannot run it.
    pub fn alone(&self) -> Result<Option<Checker>, Unavailable> {
        match &self.candidates[..] {
            [one] if self.ledger.is_empty() => one.checker(),
            _ => Ok(None),
        }
    }

    /// Makes the voters, for the calling thread.
    ///
    /// # Errors
    /// This computer cannot run one of them.
    pub fn panel(&self, look: Look) -> Result<Panel, Unavailable> {
        let voters: Result<Vec<_>, _> = self.candidates.iter().map(|candidate| candidate.make(look)).collect();
        Ok(Panel::new(voters?, self.ledger.clone()))
    }
}

/// The time limit for a step of an isolated subject while a hang is shrunk.
const SHRINKING: Duration = Duration::from_millis(100);

impl Candidacy for SubjectKind {
    fn name(&self) -> String {
        Self::name(*self)
    }

    fn make(&self, _: Look) -> Result<Box<dyn Voter>, Unavailable> {
        let checker: Checker = self.try_checker().map_err(|error| Unavailable(error.to_string()))?;
        Ok(Box::new(checker))
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }

    fn checker(&self) -> Result<Option<Checker>, Unavailable> {
        self.try_checker().map(Some).map_err(|error| Unavailable(error.to_string()))
    }
}

/// A subject that is to run in a process of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Apart {
    /// How its process is run.
    pub config: isolate::Config,
    /// The subject: a name, or the path of a library.
    pub subject: String,
    /// The name that it gives itself.
    pub name: String,
}

impl Candidacy for Apart {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn make(&self, _: Look) -> Result<Box<dyn Voter>, Unavailable> {
        Ok(Box::new(isolate::Isolated::new(self.config.clone(), &self.subject)?))
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }

    fn impatient(&self, limit: Duration) -> Option<Arc<dyn Candidacy>> {
        let mut same = self.clone();
        same.config.limit = same.config.limit.min(limit);
        Some(Arc::new(same))
    }
}
