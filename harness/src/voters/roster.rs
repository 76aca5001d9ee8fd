//! The roster: who votes, as data. Each thread makes its own [`Panel`] of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use contract::{Dialect, Rule};
use programs::generate::Limits;

use super::ledger::Ledger;
use super::{Look, Panel, Shows, Unavailable, Voter, isolate, model, qemu};
use crate::check::{Checker, Finding};
use crate::subjects::SubjectKind;

/// Somebody who can be made a voter, on any thread.
pub trait Candidacy: fmt::Debug + Send + Sync {
    /// The voter's name in reports and ledgers.
    fn name(&self) -> String;

    /// Makes the voter. Where its tables must be asked for, it is asked so closely.
    ///
    /// # Errors
    /// It cannot be had on this machine; why, and what helps.
    fn make(&self, look: Look) -> Result<Box<dyn Voter>, Unavailable>;

    /// What it can have of a machine, for campaigns that draw programs for it; `None` where it can have everything.
    fn limits(&self) -> Option<Arc<dyn Limits>> {
        None
    }

    /// The dialect of the system that it is, in which campaigns expect answers unless another is named.
    fn dialect(&self) -> Option<Dialect> {
        None
    }

    /// How many cores one instance keeps busy, with the thread that feeds it.
    fn cores(&self) -> usize {
        1
    }

    /// What the voter shows.
    fn shows(&self) -> Shows;

    /// A checker of the subject that it is, if it is one in this process: for hunts that put very many short programs
    /// to one subject.
    ///
    /// # Errors
    /// It cannot be had on this machine; why, and what helps.
    fn checker(&self) -> Result<Option<Checker>, Unavailable> {
        Ok(None)
    }

    /// Whether a closer [`Look`] shows more.
    fn looks(&self) -> bool {
        false
    }

    /// The same, giving up on a step after at most `limit`; `None` where it is the same for any limit.
    fn impatient(&self, limit: Duration) -> Option<Arc<dyn Candidacy>> {
        let _ = limit;
        None
    }
}

/// A kind of voter that `--against` can name.
pub struct VoterKind {
    /// How it is named, such as `model/DIALECT`.
    pub pattern: &'static str,
    /// What it is, in a few words.
    pub help: &'static str,
    /// The candidacy that `name` means; `None` where it names no voter of this kind.
    pub named: fn(name: &str, options: &Options) -> Option<Arc<dyn Candidacy>>,
}

/// Every kind of voter that `--against` can name.
pub const KINDS: &[VoterKind] = &[qemu::KIND, model::KIND];

/// What the command line says of voters that are no subjects.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// How QEMU is run.
    pub qemu: qemu::Config,
}

/// The voter that `--against` names.
///
/// # Errors
/// No kind of voter has such a name; the names that there are.
pub fn against(name: &str, options: &Options) -> Result<Arc<dyn Candidacy>, String> {
    KINDS.iter().find_map(|kind| (kind.named)(name, options)).ok_or_else(|| {
        let patterns: Vec<&str> = KINDS.iter().map(|kind| kind.pattern).collect();
        format!("expected reference, {}", patterns.join(", "))
    })
}

/// Who votes beside the reference, and which differences are no findings.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    candidates: Vec<Arc<dyn Candidacy>>,
    /// Differences that are no findings.
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

    /// Whether nobody votes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// The names of all, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.candidates.iter().map(|candidate| candidate.name()).collect()
    }

    /// What a program must keep to so that every voter can have it. Where several voters have limits, those of the
    /// first hold.
    #[must_use]
    pub fn limits(&self) -> Option<Arc<dyn Limits>> {
        self.candidates.iter().find_map(|candidate| candidate.limits())
    }

    /// The dialect of the first voter that is a system of its own.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.candidates.iter().find_map(|candidate| candidate.dialect())
    }

    /// How many threads keep `cores` cores busy.
    #[must_use]
    pub fn jobs(&self, cores: usize) -> usize {
        let each = self.candidates.iter().map(|candidate| candidate.cores()).max().unwrap_or(1);
        cores.div_ceil(each.max(1))
    }

    /// The looks at which a finding is sought again before it is shrunk, in order: the closer one looks, the longer
    /// shrinking takes.
    #[must_use]
    pub fn looks(&self) -> &'static [Look] {
        match self.candidates.iter().any(|candidate| candidate.looks()) {
            true => &[Look::EachCall, Look::Whole],
            false => &[Look::Whole],
        }
    }

    /// The same for shrinking what this finding was made on. Only while a hang is shrunk are steps given up early,
    /// because every program that still hangs takes that long. For other findings the limit stays, so that a slow step
    /// is not taken for a hang.
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

    /// The checker of a subject in this process that votes alone, with no difference declared.
    ///
    /// # Errors
    /// It cannot be had on this machine.
    pub fn alone(&self) -> Result<Option<Checker>, Unavailable> {
        match &self.candidates[..] {
            [one] if self.ledger.is_empty() => one.checker(),
            _ => Ok(None),
        }
    }

    /// A panel of them, for the thread that asks for it.
    ///
    /// # Errors
    /// One of them cannot be had on this machine.
    pub fn panel(&self, look: Look) -> Result<Panel, Unavailable> {
        let voters: Result<Vec<_>, _> = self.candidates.iter().map(|candidate| candidate.make(look)).collect();
        Ok(Panel::new(voters?, self.ledger.clone()))
    }
}

/// How long a step of an isolated subject may take at most while a hang is shrunk.
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
    /// How.
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
