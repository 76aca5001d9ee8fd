//! A panel: it sends programs to several voters and makes one verdict of theirs.

use contract::Program;
use programs::sequence::{Part, Sequence};

use super::ledger::Ledger;
use super::{Incident, Shows, Task, Told, Unavailable, Voter};
use crate::check::finding::{Answer, Vote};
use crate::check::{Ending, Finding, NotCompared, Reason, Tally, Verdict};
use crate::shrink::Judge;

/// Counts of one voter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoterTally {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub shows: Shows,
    /// Programs that it has a verdict on.
    pub programs: u64,
    /// Programs of which anything was compared.
    pub compared: u64,
    /// Hypercalls whose answers were compared.
    pub hypercalls: u64,
    /// Table entries that the harness read back and compared.
    pub read_back: u64,
    /// Programs of which something was not compared. Declared differences are counted apart.
    pub uncovered: u64,
    /// Steps that it was not asked, in all its programs.
    pub not_asked: u64,
    /// The first of those verdicts, with its reason.
    pub why_uncovered: Option<NotCompared>,
    /// Programs that ended in a declared difference.
    pub declared: u64,
    /// Losses that are incidents.
    pub incidents: u64,
}

impl VoterTally {
    /// All counts 0.
    #[must_use]
    pub fn blank(name: String, shows: Shows) -> Self {
        Self {
            name,
            shows,
            programs: 0,
            compared: 0,
            hypercalls: 0,
            read_back: 0,
            uncovered: 0,
            not_asked: 0,
            why_uncovered: None,
            declared: 0,
            incidents: 0,
        }
    }

    /// Adds the counts of the same voter on another thread.
    pub fn add(&mut self, other: &Self) {
        let Self { name: _, shows: _, programs, compared, hypercalls, read_back, uncovered, not_asked, .. } = other;
        self.programs += programs;
        self.compared += compared;
        self.hypercalls += hypercalls;
        self.read_back += read_back;
        self.uncovered += uncovered;
        self.not_asked += not_asked;
        self.declared += other.declared;
        self.incidents += other.incidents;
        if self.why_uncovered.is_none() {
            self.why_uncovered.clone_from(&other.why_uncovered);
        }
    }

    /// Counts a verdict.
    fn count(&mut self, verdict: &Verdict) {
        self.programs += 1;
        self.compared += u64::from(verdict.compared());
        if let Verdict::NotCompared(not) = verdict {
            match not.why {
                Reason::Declared(_) => self.declared += 1,
                _ => {
                    self.uncovered += 1;
                    self.why_uncovered.get_or_insert_with(|| not.clone());
                }
            }
        }
    }
}

/// Counts of all voters of a panel. Those of several threads add up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roll {
    /// One for each voter, in the order of the roster.
    pub voters: Vec<VoterTally>,
    /// How often each entry of the ledger was used.
    pub uses: Vec<u64>,
}

impl Roll {
    /// Adds the counts of another thread's panel of the same roster.
    pub fn add(&mut self, other: &Self) {
        if self.voters.is_empty() {
            self.voters.clone_from(&other.voters);
        } else {
            for (sum, more) in self.voters.iter_mut().zip(&other.voters) {
                sum.add(more);
            }
        }
        self.uses.resize(self.uses.len().max(other.uses.len()), 0);
        for (sum, more) in self.uses.iter_mut().zip(&other.uses) {
            *sum += more;
        }
    }

    /// Why no voter compared anything of any program. `None` if one did, or if there was no program.
    #[must_use]
    pub fn nothing_compared(&self) -> Option<String> {
        let asked = self.voters.iter().any(|voter| voter.programs > 0);
        if !asked || self.voters.iter().any(|voter| voter.compared > 0) {
            return None;
        }
        let why = |voter: &VoterTally| Some(format!("{}: {}", voter.name, voter.why_uncovered.as_ref()?));
        Some(self.voters.iter().filter_map(why).collect::<Vec<_>>().join("; "))
    }
}

/// The voters of one thread.
pub struct Panel {
    voters: Vec<Box<dyn Voter>>,
    ledger: Ledger,
    roll: Roll,
    /// Counts of all voters but the first, whose counts are the caller's.
    spare: Tally,
    /// The first voter's counts of the last [`check`](Self::check).
    tally: Tally,
}

impl Panel {
    /// A panel of these voters. Differences that the ledger declares are no findings.
    #[must_use]
    pub fn new(voters: Vec<Box<dyn Voter>>, ledger: Ledger) -> Self {
        let (roll, spare, tally) = (Roll::default(), Tally::default(), Tally::default());
        let mut panel = Self { voters, ledger, roll, spare, tally };
        panel.roll = panel.blank();
        panel
    }

    fn blank(&self) -> Roll {
        let voter = |voter: &dyn Voter| VoterTally::blank(voter.name().into(), voter.shows());
        Roll { voters: self.voters.iter().map(|one| voter(one.as_ref())).collect(), uses: vec![0; self.ledger.len()] }
    }

    /// How many tasks [`vote`](Self::vote) should get at once, for speed.
    #[must_use]
    pub fn group(&self) -> usize {
        self.voters.iter().map(|voter| voter.group()).max().unwrap_or(1)
    }

    /// Returns the counts since the last call, and sets them to 0.
    pub fn take_roll(&mut self) -> Roll {
        let blank = self.blank();
        std::mem::replace(&mut self.roll, blank)
    }

    /// All voters forget every program that they have run. Returns false if one cannot.
    ///
    /// # Errors
    /// A voter cannot be used any more.
    pub fn renew(&mut self) -> Result<bool, Unavailable> {
        let mut all = true;
        for voter in &mut self.voters {
            all &= voter.renew()?;
        }
        Ok(all)
    }

    /// Sends the tasks, whose programs are valid, to all voters.
    ///
    /// It calls `found` for each program that shows a finding, in order, with the index of the task and the earliest
    /// finding, which has the votes of all. It calls `odd` for each incident. It adds the first voter's counts to
    /// `tally`.
    ///
    /// # Errors
    /// A voter cannot be used any more. What was passed on until then is valid.
    pub fn vote(
        &mut self,
        tasks: &[Task],
        tally: &mut Tally,
        found: &mut dyn FnMut(usize, Box<Finding>),
        odd: &mut dyn FnMut(Incident),
    ) -> Result<(), Unavailable> {
        let (cast, gone) = self.cast(tasks, tally, odd);
        for index in 0..tasks.len() {
            let at: Vec<Option<&Verdict>> = cast.iter().map(|verdicts| verdicts.get(index)).collect();
            if let Verdict::Finding(finding) = self.together(&at) {
                found(index, finding);
            }
        }
        gone
    }

    /// The verdicts of each voter on the tasks. A declared difference is not compared from its place on, and no
    /// finding. A voter that fails has fewer verdicts.
    fn cast(
        &mut self,
        tasks: &[Task],
        tally: &mut Tally,
        odd: &mut dyn FnMut(Incident),
    ) -> (Vec<Vec<Verdict>>, Result<(), Unavailable>) {
        let Self { voters, ledger, roll, spare, .. } = self;
        let mut all = Vec::with_capacity(voters.len());
        let mut gone = Ok(());
        for (number, voter) in voters.iter_mut().enumerate() {
            let own = &mut roll.voters[number];
            let counts = if number == 0 { &mut *tally } else { &mut *spare };
            let (hypercalls, not_asked, read_back) = (counts.hypercalls, counts.not_asked, voter.read_back());
            let programs = counts.programs;
            let mut cast = Vec::with_capacity(tasks.len());
            let result = voter.vote(tasks, counts, &mut |told| match told {
                Told::Verdict(_, verdict) => cast.push(verdict),
                Told::Incident(incident) => {
                    own.incidents += 1;
                    odd(incident);
                }
            });
            assert!(result.is_err() || cast.len() == tasks.len(), "{} told too few verdicts", own.name);
            assert_eq!(
                counts.programs - programs,
                cast.len() as u64,
                "programs that {} counted, and verdicts",
                own.name
            );
            own.hypercalls += counts.hypercalls - hypercalls;
            own.not_asked += counts.not_asked - not_asked;
            own.read_back += voter.read_back() - read_back;
            for (verdict, task) in cast.iter_mut().zip(tasks) {
                if let Verdict::Finding(finding) = verdict
                    && let Some(entry) = ledger.declares(&task.program, finding)
                {
                    roll.uses[entry] += 1;
                    let why = Reason::Declared(ledger.reason(entry));
                    // A declared difference is one that was seen, so something was compared.
                    *verdict = Verdict::NotCompared(NotCompared { from: finding.place, why, compared: true });
                }
                own.count(verdict);
            }
            all.push(cast);
            gone = gone.and(result);
        }
        (all, gone)
    }

    /// Sends one program to all voters.
    ///
    /// # Errors
    /// A voter cannot be used any more.
    pub fn check(&mut self, program: &Program) -> Result<Verdict, Unavailable> {
        self.check_task(Task::from(program.clone()))
    }

    /// Sends one task to all voters.
    ///
    /// # Errors
    /// A voter cannot be used any more.
    pub fn check_task(&mut self, task: Task) -> Result<Verdict, Unavailable> {
        if let Err(invalid) = task.program.validate() {
            return Ok(Verdict::Invalid(invalid));
        }
        let mut tally = std::mem::take(&mut self.tally);
        tally.clear();
        let (cast, gone) = self.cast(&[task], &mut tally, &mut |_| {});
        self.tally = tally;
        gone?;
        let at: Vec<Option<&Verdict>> = cast.iter().map(|verdicts| verdicts.first()).collect();
        Ok(self.together(&at))
    }

    /// Runs a sequence on voters that have run no other program. Returns the verdict on each program, up to and with
    /// the first that is a finding or invalid.
    ///
    /// # Errors
    /// A voter cannot be used any more.
    pub fn check_sequence(&mut self, sequence: &Sequence) -> Result<Vec<Verdict>, Unavailable> {
        self.renew()?;
        let mut verdicts = Vec::with_capacity(sequence.parts.len());
        for Part { program, left_open } in &sequence.parts {
            let ending = if *left_open { Ending::LeaveOpen } else { Ending::Close };
            let verdict = self.check_task(Task { program: program.clone(), fresh: false, ending })?;
            let over = matches!(verdict, Verdict::Finding(_) | Verdict::Invalid(_));
            verdicts.push(verdict);
            if over {
                break;
            }
        }
        Ok(verdicts)
    }

    /// The first voter's counts of the last [`check`](Self::check).
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The one verdict on a program: the earliest finding, with the vote of each voter on it; else the first verdict
    /// that something was not compared; else agreed.
    fn together(&self, cast: &[Option<&Verdict>]) -> Verdict {
        let findings = cast.iter().enumerate().filter_map(|(voter, verdict)| match verdict {
            Some(Verdict::Finding(finding)) => Some((finding.place, voter, finding)),
            _ => None,
        });
        let Some((_, _, finding)) = findings.min_by_key(|(place, voter, _)| (*place, *voter)) else {
            let compared = cast.iter().flatten().any(|verdict| verdict.compared());
            let mut others = cast.iter().flatten().filter_map(|verdict| match verdict {
                Verdict::NotCompared(not) => Some(NotCompared { compared, ..not.clone() }),
                _ => None,
            });
            return others.next().map_or(Verdict::Agreed, Verdict::NotCompared);
        };
        let mut finding = finding.clone();
        if self.voters.len() > 1 {
            let expected = || Answer::Expected(finding.expected.clone());
            let mut votes = vec![Vote { voter: "reference".into(), answer: expected() }];
            for (voter, verdict) in self.voters.iter().zip(cast) {
                let answer = match verdict {
                    Some(Verdict::Finding(other))
                        if other.place == finding.place
                            && other.thing == finding.thing
                            && other.moment == finding.moment =>
                    {
                        Answer::Found(other.found.clone())
                    }
                    Some(Verdict::Finding(other)) if other.place == finding.place => {
                        Answer::Breaks(other.rule, other.what(), other.found.clone())
                    }
                    Some(Verdict::NotCompared(not)) if not.from <= finding.place => Answer::NotAsked,
                    None | Some(Verdict::Invalid(_)) => Answer::NotAsked,
                    // It agreed with the reference as far as it shows its state.
                    _ => match voter.shows().contains(Shows::of(finding.thing.field())) {
                        true => expected(),
                        false => Answer::NotShown,
                    },
                };
                votes.push(Vote { voter: voter.name().into(), answer });
            }
            finding.votes = votes;
        }
        Verdict::Finding(finding)
    }
}

impl Judge for Panel {
    fn finding(&mut self, program: &Program) -> Option<Finding> {
        self.check(program).ok()?.into_finding()
    }

    fn renew(&mut self) -> bool {
        Self::renew(self).unwrap_or(false)
    }

    fn is_costly(&self, from: &Program, to: &Program) -> bool {
        self.voters.iter().any(|voter| voter.is_costly(from, to))
    }

    /// A voter that answers in a dialect of its own would differ for that alone.
    fn any_dialect(&self) -> bool {
        self.voters.iter().all(|voter| voter.own_dialect().is_none())
    }
}
