//! A panel: programs are put to several voters, and what they answer is brought together.

use std::time::Duration;

use contract::{Program, Rule};

use super::{Ballot, Incident, Level, Model, Told, Unavailable, Voter};
use crate::check::verdict::{Finding, Tally, Verdict, Vote};
use crate::shrink::Judge;
use crate::subjects::SubjectKind;
use crate::voters::isolate::{self, Isolated};
use crate::voters::ledger::Ledger;
use crate::voters::qemu::{self, Look, Qemu};

/// Who is to vote, as data: each thread makes its own [`Panel`] of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Voters {
    /// Subjects that run on real memory, in this process.
    pub subjects: Vec<SubjectKind>,
    /// Subjects in processes of their own.
    pub isolated: Vec<Apart>,
    /// The reference in other dialects.
    pub models: Vec<contract::Dialect>,
    /// A live QEMU.
    pub qemu: Option<qemu::Config>,
    /// Differences that are no findings.
    pub ledger: Ledger,
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

impl From<SubjectKind> for Voters {
    fn from(subject: SubjectKind) -> Self {
        Self { subjects: vec![subject], ..Self::default() }
    }
}

impl Voters {
    /// The names of all, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let subjects = self.subjects.iter().map(|subject| subject.name().to_string());
        let isolated = self.isolated.iter().map(|apart| apart.name.clone());
        let models = self.models.iter().map(|dialect| format!("model/{dialect}"));
        subjects.chain(isolated).chain(models).chain(self.qemu.as_ref().map(|_| "qemu".to_string())).collect()
    }

    /// The same, for shrinking what this finding was made on: many programs without end are waited for then, so each for a short time. For
    /// other findings patience stays what it is, lest something slow be taken for something else.
    #[must_use]
    pub fn shrinking(&self, finding: &Finding) -> Self {
        let mut voters = self.clone();
        if finding.identity.rule == Rule::SubjectHang {
            for apart in &mut voters.isolated {
                apart.config.limit = apart.config.limit.min(SHRINKING);
            }
        }
        voters
    }

    /// A panel of them, for the thread that asks for it.
    ///
    /// # Errors
    /// One of them cannot be had on this machine.
    pub fn panel(&self) -> Result<Panel, Unavailable> {
        self.panel_looking(Look::Brief)
    }

    /// A panel in which those who must be asked for their tables are asked so closely.
    ///
    /// # Errors
    /// One of them cannot be had on this machine.
    pub fn panel_looking(&self, look: Look) -> Result<Panel, Unavailable> {
        let mut voters: Vec<Box<dyn Voter>> = Vec::new();
        for subject in &self.subjects {
            voters.push(Box::new(subject.try_checker().map_err(|error| Unavailable(error.to_string()))?));
        }
        for Apart { config, subject, .. } in &self.isolated {
            voters.push(Box::new(Isolated::new(config.clone(), subject)?));
        }
        for dialect in &self.models {
            voters.push(Box::new(Model::new(*dialect)));
        }
        if let Some(config) = &self.qemu {
            let qemu = Qemu::new(config.clone()).map_err(|error| Unavailable(error.to_string()))?;
            voters.push(Box::new(qemu.looking(look)));
        }
        Ok(Panel::new(voters, self.ledger.clone()))
    }
}

/// How long a step of an isolated subject may take at most while a program that makes no end is shrunk.
const SHRINKING: Duration = Duration::from_millis(100);

/// How one voter's votes went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoterTally {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub level: Level,
    /// Programs that were put to it.
    pub programs: u64,
    /// Hypercalls whose answers were compared.
    pub hypercalls: u64,
    /// Table entries that were read back on purpose and compared.
    pub read_back: u64,
    /// Programs that it could not run to their end.
    pub uncovered: u64,
    /// Why the first of them went no further.
    pub why_uncovered: Option<String>,
    /// Programs that ended in a declared difference.
    pub declared: u64,
    /// Times that it was lost and came back.
    pub incidents: u64,
}

/// How the votes of a whole panel went. Rolls of several threads add up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roll {
    /// One a voter, in order.
    pub voters: Vec<VoterTally>,
    /// How often each entry of the ledger was used.
    pub uses: Vec<u64>,
}

impl Roll {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        if self.voters.is_empty() {
            self.voters.clone_from(&other.voters);
        } else {
            for (sum, more) in self.voters.iter_mut().zip(&other.voters) {
                sum.programs += more.programs;
                sum.hypercalls += more.hypercalls;
                sum.read_back += more.read_back;
                sum.uncovered += more.uncovered;
                sum.declared += more.declared;
                sum.incidents += more.incidents;
                if sum.why_uncovered.is_none() {
                    sum.why_uncovered.clone_from(&more.why_uncovered);
                }
            }
        }
        self.uses.resize(self.uses.len().max(other.uses.len()), 0);
        for (sum, more) in self.uses.iter_mut().zip(&other.uses) {
            *sum += more;
        }
    }
}

/// Voters that programs are put to.
pub struct Panel {
    voters: Vec<Box<dyn Voter>>,
    ledger: Ledger,
    roll: Roll,
    /// Counts of all voters but the first, whose counts are the caller's.
    spare: Tally,
}

impl Panel {
    /// A panel of these voters; differences that the ledger declares are no findings.
    #[must_use]
    pub fn new(voters: Vec<Box<dyn Voter>>, ledger: Ledger) -> Self {
        let mut panel = Self { voters, ledger, roll: Roll::default(), spare: Tally::default() };
        panel.roll = panel.blank();
        panel
    }

    fn blank(&self) -> Roll {
        let voter = |voter: &dyn Voter| VoterTally {
            name: voter.name().into(),
            level: voter.level(),
            programs: 0,
            hypercalls: 0,
            read_back: 0,
            uncovered: 0,
            why_uncovered: None,
            declared: 0,
            incidents: 0,
        };
        Roll { voters: self.voters.iter().map(|one| voter(one.as_ref())).collect(), uses: vec![0; self.ledger.len()] }
    }

    /// How many programs the panel likes to be handed at once.
    #[must_use]
    pub fn group(&self) -> usize {
        self.voters.iter().map(|voter| voter.group()).max().unwrap_or(1)
    }

    /// How the votes went since this was last asked.
    pub fn take_roll(&mut self) -> Roll {
        let blank = self.blank();
        std::mem::replace(&mut self.roll, blank)
    }

    /// Puts valid programs to all voters. `found` is told of each program that shows a finding, in order: the earliest one, and what
    /// everybody voted there; `odd` of voters that were lost and came back. Counts of the first voter go to `tally`.
    ///
    /// # Errors
    /// A voter is gone. What was told until then stands.
    pub fn vote(
        &mut self,
        programs: &[Program],
        tally: &mut Tally,
        found: &mut dyn FnMut(usize, Box<Finding>),
        odd: &mut dyn FnMut(Incident),
    ) -> Result<(), Unavailable> {
        let Self { voters, ledger, roll, spare, .. } = self;
        let mut ballots: Vec<Vec<Ballot>> = Vec::with_capacity(voters.len());
        let mut gone = Ok(());
        for (number, voter) in voters.iter_mut().enumerate() {
            let own = &mut roll.voters[number];
            let counts = if number == 0 { &mut *tally } else { &mut *spare };
            let (hypercalls, read_back) = (counts.hypercalls, voter.read_back());
            let mut cast = Vec::with_capacity(programs.len());
            let result = voter.vote(programs, counts, &mut |told| match told {
                Told::Ballot(_, ballot) => cast.push(ballot),
                Told::Incident(incident) => {
                    own.incidents += 1;
                    odd(incident);
                }
            });
            own.programs += cast.len() as u64;
            own.hypercalls += counts.hypercalls - hypercalls;
            own.read_back += voter.read_back() - read_back;
            for (ballot, program) in cast.iter_mut().zip(programs) {
                match ballot {
                    Ballot::Agreed => {}
                    Ballot::Uncovered(why) => {
                        own.uncovered += 1;
                        own.why_uncovered.get_or_insert_with(|| why.clone());
                    }
                    Ballot::Finding(finding) => {
                        if let Some(entry) = ledger.declares(program, finding) {
                            roll.uses[entry] += 1;
                            own.declared += 1;
                            *ballot = Ballot::Agreed;
                        }
                    }
                }
            }
            ballots.push(cast);
            gone = gone.and(result);
        }
        for index in 0..programs.len() {
            let at = |voter: &Vec<Ballot>| voter.get(index).cloned();
            let cast: Vec<Option<Ballot>> = ballots.iter().map(at).collect();
            if let Some(finding) = together(cast, &roll.voters) {
                found(index, finding);
            }
        }
        gone
    }

    /// Puts one program to all voters.
    ///
    /// # Errors
    /// A voter is gone.
    pub fn check(&mut self, program: &Program) -> Result<Verdict, Unavailable> {
        if let Err(invalid) = program.validate() {
            return Ok(Verdict::Invalid(invalid));
        }
        let mut tally = Tally::default();
        let mut finding = None;
        self.vote(std::slice::from_ref(program), &mut tally, &mut |_, found| finding = Some(found), &mut |_| {})?;
        Ok(match finding {
            Some(finding) => Verdict::Finding(finding, tally),
            None => Verdict::Agreed(tally),
        })
    }
}

/// The earliest finding among the ballots on one program, with everybody's vote on it.
fn together(cast: Vec<Option<Ballot>>, voters: &[VoterTally]) -> Option<Box<Finding>> {
    let findings = cast.iter().enumerate().filter_map(|(voter, ballot)| match ballot {
        Some(Ballot::Finding(finding)) => Some((finding.step, voter)),
        _ => None,
    });
    let (_, first) = findings.min()?;
    let Some(Ballot::Finding(mut finding)) = cast[first].clone() else { return None };
    if voters.len() > 1 {
        finding.votes = vec![Vote { voter: "reference".into(), answer: finding.expected.clone() }];
        for (voter, ballot) in voters.iter().zip(&cast) {
            let answer = match ballot {
                Some(Ballot::Finding(other)) if other.step == finding.step && other.what == finding.what => {
                    other.found.clone()
                }
                Some(Ballot::Finding(other)) if other.step == finding.step => {
                    format!("{}: {}, found {}", other.identity.rule, other.what, other.found)
                }
                Some(Ballot::Uncovered(_)) | None => "was not asked to the end".into(),
                // It agreed with the reference, in what it shows.
                _ if voter.level < voters[first].level && !shown_by_all(&finding) => "does not show it".into(),
                _ => finding.expected.clone(),
            };
            finding.votes.push(Vote { voter: voter.name.clone(), answer });
        }
    }
    Some(finding)
}

/// Whether what differs is among what every voter shows.
fn shown_by_all(finding: &Finding) -> bool {
    matches!(finding.identity.field, "status" | "r4" | "guest value")
}

impl Judge for Panel {
    fn finding(&mut self, program: &Program) -> Option<Finding> {
        self.check(program).ok()?.into_finding()
    }

    fn is_costly(&self, from: &Program, to: &Program) -> bool {
        self.voters.iter().any(|voter| voter.is_costly(from, to))
    }

    /// Who answers in a dialect of its own would differ for that alone.
    fn any_dialect(&self) -> bool {
        self.voters.iter().all(|voter| voter.level() == Level::Memory)
    }
}
