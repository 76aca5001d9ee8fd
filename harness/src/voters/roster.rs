//! The roster: the voters of a run, as data. Each thread makes its own [`Panel`] of voters from it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use contract::{Dialect, Rule};
use programs::generate::{Limits, Unsatisfiable};
use programs::store;

use super::ledger::Ledger;
use super::{Look, Panel, Shows, Unavailable, Voter, isolate};
use crate::check::{Checker, Finding};
use crate::subjects::{self, SubjectKind};

/// Describes a voter. Each thread makes the voter itself from the description.
pub trait Candidacy: fmt::Debug + Send + Sync {
    /// Returns the voter's name in reports and ledgers.
    fn name(&self) -> String;

    /// Returns a fingerprint of the voter's code outside of this executable, such as a library in C; `None` if it has
    /// none, or none that can be read.
    fn code(&self) -> Option<u64> {
        None
    }

    /// Makes the voter. `look` says how many table entries the harness reads back, for a voter whose tables can be read
    /// only through H_GET_TCE.
    ///
    /// # Errors
    /// Fails if this computer cannot run the voter. The text says why, and what the user can do.
    fn make(&self, look: Look) -> Result<Box<dyn Voter>, Unavailable>;

    /// Returns which programs the voter can run, so that campaigns draw programs within these limits.
    fn limits(&self) -> Limits {
        Limits::NONE
    }

    /// Returns the dialect in which campaigns expect answers, unless the user names another dialect. `None` if the
    /// voter leaves the choice to the campaign.
    fn dialect(&self) -> Option<Dialect> {
        None
    }

    /// Returns how many cores one voter keeps busy, together with the thread that uses it; at least 1.
    fn cores(&self) -> usize {
        1
    }

    /// Returns what the voter shows of its state; see [`Voter::shows`].
    fn shows(&self) -> Shows;

    /// Returns whether the voter is a subject: it does not hear of a step that the reference skips, so such a step
    /// changes nothing in it.
    fn is_subject(&self) -> bool {
        false
    }

    /// Returns a checker, if the voter is a subject in this process; else `None`. Hunts that run very many short
    /// programs use the checker without a panel, which is faster.
    ///
    /// # Errors
    /// Fails if this computer cannot run the voter. The text says why, and what the user can do.
    fn checker(&self) -> Result<Option<Checker>, Unavailable> {
        Ok(None)
    }

    /// Returns whether a closer [`Look`] at this voter can find more.
    fn looks(&self) -> bool {
        false
    }

    /// Returns a description of the same voter with a time limit of at most `limit` for each step of a program that
    /// runs alone; `None` if the voter has no such limit.
    fn impatient(&self, limit: Duration) -> Option<Arc<dyn Candidacy>> {
        let _ = limit;
        None
    }
}

/// The voters of a run, and the ledger of their declared differences.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    candidates: Vec<Arc<dyn Candidacy>>,
    /// The ledger: differences that are declared and are no findings.
    pub ledger: Ledger,
}

impl From<SubjectKind> for Roster {
    fn from(subject: SubjectKind) -> Self {
        Self::of(vec![Arc::new(subject)])
    }
}

impl Roster {
    /// Makes a roster of these voters, without declared differences.
    #[must_use]
    pub fn of(candidates: Vec<Arc<dyn Candidacy>>) -> Self {
        Self { candidates, ledger: Ledger::default() }
    }

    /// Adds a voter at the end of the roster.
    pub fn add(&mut self, candidate: Arc<dyn Candidacy>) {
        self.candidates.push(candidate);
    }

    /// Returns whether the roster has no voter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Returns the names of all voters, in the order of the roster.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.candidates.iter().map(|candidate| candidate.name()).collect()
    }

    /// Returns the fingerprints of the voters' code outside of this executable, in the order of the roster, for the
    /// voters that have such code.
    #[must_use]
    pub fn code(&self) -> Vec<u64> {
        self.candidates.iter().filter_map(|candidate| candidate.code()).collect()
    }

    /// Returns which programs every voter can run: the limits of all voters together, whatever their order. `dialects`
    /// are the dialects of the programs.
    ///
    /// # Errors
    /// Fails if no program of one of the dialects keeps to the limits of all voters.
    pub fn limits(&self, dialects: &[Dialect]) -> Result<Limits, Unsatisfiable> {
        let limits = self.candidates.iter().fold(Limits::NONE, |limits, candidate| limits.and(candidate.limits()));
        limits.check(dialects)?;
        Ok(limits)
    }

    /// Returns the dialect in which campaigns expect answers: that of the first voter whose [`Candidacy::dialect`] is
    /// not `None`. `None` if there is no such voter.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.candidates.iter().find_map(|candidate| candidate.dialect())
    }

    /// Returns how many threads keep `cores` cores busy with these voters. A thread uses one voter at a time, so the
    /// voter with the most [cores](Candidacy::cores) counts. At least 1 if `cores` is at least 1.
    #[must_use]
    pub fn jobs(&self, cores: usize) -> usize {
        let each = self.candidates.iter().map(|candidate| candidate.cores()).max().unwrap_or(1);
        cores.div_ceil(each.max(1))
    }

    /// Returns the looks to try, in order, until a finding shows again. The finding is then shrunk with the look that
    /// showed it, because a closer look makes shrinking slower.
    #[must_use]
    pub fn looks(&self) -> &'static [Look] {
        match self.candidates.iter().any(|candidate| candidate.looks()) {
            true => &[Look::EachCall, Look::Whole],
            false => &[Look::Whole],
        }
    }

    /// Returns the roster with which `finding` is shrunk. For a hang the time limit of each step of an isolated subject
    /// becomes at most 100 ms, because every program that still hangs waits that long. For other findings the limit
    /// stays, so that a slow step is not taken for a hang.
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

    /// Returns whether every voter is a [subject](Candidacy::is_subject).
    #[must_use]
    pub fn subjects_only(&self) -> bool {
        self.candidates.iter().all(|candidate| candidate.is_subject())
    }

    /// Returns the checker of the only voter, if that voter is a subject in this process and no difference is declared;
    /// else `None`.
    ///
    /// # Errors
    /// Fails if this computer cannot run the voter.
    pub fn alone(&self) -> Result<Option<Checker>, Unavailable> {
        match &self.candidates[..] {
            [one] if self.ledger.is_empty() => one.checker(),
            _ => Ok(None),
        }
    }

    /// Makes the voters, for the calling thread. `look` says how many table entries are read back from voters whose
    /// tables can be read only through H_GET_TCE.
    ///
    /// # Errors
    /// Fails if this computer cannot run one of the voters.
    pub fn panel(&self, look: Look) -> Result<Panel, Unavailable> {
        let voters: Result<Vec<_>, _> = self.candidates.iter().map(|candidate| candidate.make(look)).collect();
        Ok(Panel::new(voters?, self.ledger.clone()))
    }
}

/// The longest time limit that a step of an isolated subject has while a hang is shrunk.
const SHRINKING: Duration = Duration::from_millis(100);

impl Candidacy for SubjectKind {
    fn name(&self) -> String {
        Self::name(*self)
    }

    fn code(&self) -> Option<u64> {
        Self::code(*self)
    }

    fn make(&self, _: Look) -> Result<Box<dyn Voter>, Unavailable> {
        let checker: Checker = self.try_checker().map_err(|error| Unavailable(error.to_string()))?;
        Ok(Box::new(checker))
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }

    fn is_subject(&self) -> bool {
        true
    }

    fn checker(&self) -> Result<Option<Checker>, Unavailable> {
        self.try_checker().map(Some).map_err(|error| Unavailable(error.to_string()))
    }
}

/// Describes a subject that runs in a process of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Apart {
    /// How the subject's process is run, and its limits.
    pub config: isolate::Config,
    /// The subject: its name on the command line, or the path of a library.
    pub subject: String,
    /// The name that the subject gives itself.
    pub name: String,
}

impl Candidacy for Apart {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn code(&self) -> Option<u64> {
        subjects::is_library(&self.subject).then(|| std::fs::read(&self.subject).ok().map(store::hash)).flatten()
    }

    fn make(&self, _: Look) -> Result<Box<dyn Voter>, Unavailable> {
        Ok(Box::new(isolate::Isolated::new(self.config.clone(), &self.subject)?))
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }

    fn is_subject(&self) -> bool {
        true
    }

    fn impatient(&self, limit: Duration) -> Option<Arc<dyn Candidacy>> {
        let mut same = self.clone();
        same.config.limit = same.config.limit.min(limit);
        Some(Arc::new(same))
    }
}
