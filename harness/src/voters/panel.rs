//! A panel: it sends programs to several voters and makes one verdict of their verdicts.

use std::panic::{AssertUnwindSafe, catch_unwind};

use contract::Program;
use programs::quiet;
use programs::sequence::{Part, Sequence};

use super::ledger::Ledger;
use super::{Incident, Shows, Task, Told, Unavailable, Voter};
use crate::check::finding::{Answer, Vote};
use crate::check::{Ending, Finding, NotCompared, Reason, Tally, Verdict};
use crate::shrink::Judge;

/// Counts of one voter of a panel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoterTally {
    /// The voter's name.
    pub name: String,
    /// What the voter shows of its state.
    pub shows: Shows,
    /// Number of programs that the voter has a verdict on.
    pub programs: u64,
    /// Number of programs of which at least a part was compared.
    pub compared: u64,
    /// Number of hypercalls whose answers were compared and counted.
    pub hypercalls: u64,
    /// Number of table entries that the harness read back from the voter and compared.
    pub read_back: u64,
    /// Number of programs of which at least a part was not compared. Programs that ended in a declared difference do
    /// not count here.
    pub uncovered: u64,
    /// Number of steps, over all programs, that the voter was not asked.
    pub not_asked: u64,
    /// What was not compared, and why, in the first program that is counted in `uncovered`; `None` if there is none.
    pub why_uncovered: Option<NotCompared>,
    /// Number of programs that ended in a declared difference.
    pub declared: u64,
    /// Number of losses of the voter's machine or process that are incidents.
    pub incidents: u64,
}

impl VoterTally {
    /// Makes counts of 0 for the voter with this name.
    fn blank(name: String, shows: Shows) -> Self {
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

    /// Adds the counts in `other`, which another thread made of the same voter.
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

    /// Counts the voter's verdict on one program.
    pub(crate) fn count(&mut self, verdict: &Verdict) {
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

/// Counts of all voters of a panel. The rolls of several threads can be added up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roll {
    /// The counts of each voter, in the order of the roster.
    pub voters: Vec<VoterTally>,
    /// How often each entry of the ledger was used, in the order of the ledger.
    pub uses: Vec<u64>,
}

impl Roll {
    /// Makes counts of 0 for voters, each given as its name and what it shows, and for a ledger with this many entries.
    #[must_use]
    pub fn blank(voters: impl IntoIterator<Item = (String, Shows)>, entries: usize) -> Self {
        let voters = voters.into_iter().map(|(name, shows)| VoterTally::blank(name, shows)).collect();
        Self { voters, uses: vec![0; entries] }
    }

    /// Returns the counts, and sets them to 0.
    pub(crate) fn take(&mut self) -> Self {
        let voters = self.voters.iter().map(|voter| (voter.name.clone(), voter.shows));
        let blank = Self::blank(voters, self.uses.len());
        std::mem::replace(self, blank)
    }

    /// Adds the counts of another panel of the same roster, made by another thread.
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

    /// Returns why no voter compared anything of any program; `None` if a voter did. Without any program the reason is
    /// that none ran to its end.
    #[must_use]
    pub fn nothing_compared(&self) -> Option<String> {
        if self.voters.iter().any(|voter| voter.compared > 0) {
            return None;
        }
        let why = |voter: &VoterTally| Some(format!("{}: {}", voter.name, voter.why_uncovered.as_ref()?));
        let whys: Vec<String> = self.voters.iter().filter_map(why).collect();
        Some(if whys.is_empty() { "no program ran to its end".into() } else { whys.join("; ") })
    }
}

/// The voters that one thread uses, with the ledger and their counts.
pub struct Panel {
    voters: Vec<Box<dyn Voter>>,
    ledger: Ledger,
    roll: Roll,
    /// Counts of all voters but the first. The first voter's counts go to the caller's tally.
    spare: Tally,
    /// The first voter's counts of the last valid program of `check` or `check_task`.
    tally: Tally,
}

impl Panel {
    /// Makes a panel of these voters. A finding that the ledger declares becomes the verdict that the program is not
    /// compared from the finding on.
    #[must_use]
    pub fn new(voters: Vec<Box<dyn Voter>>, ledger: Ledger) -> Self {
        let roll = Roll::blank(voters.iter().map(|voter| (voter.name().into(), voter.shows())), ledger.len());
        Self { voters, ledger, roll, spare: Tally::default(), tally: Tally::default() }
    }

    /// Returns how many tasks [`vote`](Self::vote) should get at once, for speed.
    #[must_use]
    pub fn group(&self) -> usize {
        self.voters.iter().map(|voter| voter.group()).max().unwrap_or(1)
    }

    /// Returns the counts of the voters since the last call of `take_roll`, and sets them to 0.
    pub fn take_roll(&mut self) -> Roll {
        self.roll.take()
    }

    /// Makes all voters forget every program that they have run. Returns `false` if a voter cannot forget.
    ///
    /// # Errors
    /// Fails if a voter cannot be used any more.
    pub fn renew(&mut self) -> Result<bool, Unavailable> {
        let mut all = true;
        for voter in &mut self.voters {
            all &= voter.renew()?;
        }
        Ok(all)
    }

    /// Sends the tasks to all voters. The programs of the tasks must be valid.
    ///
    /// Calls `found` for each program that shows a finding, in order, with the index of the task, from 0, and the
    /// earliest finding, which holds the votes of all voters if there are several. Other verdicts are only counted.
    /// Calls `odd` for each incident. Adds the first voter's counts to `tally`.
    ///
    /// # Errors
    /// Fails if a voter cannot be used any more. What was passed on until then is valid.
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

    /// Returns the verdicts of each voter on the tasks, and an error if a voter cannot be used any more; that voter has
    /// fewer verdicts. Counts them in `roll` and, for the first voter, in `tally`. Calls `odd` for each incident. A
    /// finding that the ledger declares becomes the verdict that the program is not compared from the finding on.
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
            let mut hear = |told| match told {
                Told::Verdict(index, verdict) => {
                    assert_eq!(index, cast.len(), "verdicts come in the order of the tasks");
                    cast.push(verdict);
                }
                Told::Incident(incident) => {
                    own.incidents += 1;
                    odd(incident);
                }
            };
            let guarded = AssertUnwindSafe(|| voter.vote(tasks, counts, &mut hear));
            let result = match quiet::quietly(|| catch_unwind(guarded)) {
                Ok(result) => {
                    assert!(result.is_err() || cast.len() == tasks.len(), "{} told too few verdicts", own.name);
                    assert_eq!(
                        counts.programs - programs,
                        cast.len() as u64,
                        "programs that {} counted, and verdicts",
                        own.name
                    );
                    result
                }
                // A mistake of the harness: the program that ran is kept, and the voter is not used again.
                Err(_) => {
                    let what = format!("the harness panicked: {}", quiet::last_message());
                    own.incidents += 1;
                    odd(Incident { program: cast.len(), what: what.clone() });
                    Err(Unavailable(format!("HARNESS.FAULT: {}: {what}", own.name)))
                }
            };
            own.hypercalls += counts.hypercalls - hypercalls;
            own.not_asked += counts.not_asked - not_asked;
            own.read_back += voter.read_back() - read_back;
            for (verdict, task) in cast.iter_mut().zip(tasks) {
                if let Verdict::Finding(finding) = &verdict {
                    let field = finding.thing.field();
                    assert!(
                        own.shows.contains(Shows::of(field)),
                        "{} found {field:?}, which it does not show",
                        own.name
                    );
                }
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

    /// Sends one program to all voters and returns the one verdict of the panel; [`Verdict::Invalid`] if the program is
    /// invalid. Incidents are not reported.
    ///
    /// # Errors
    /// Fails if a voter cannot be used any more.
    pub fn check(&mut self, program: &Program) -> Result<Verdict, Unavailable> {
        self.check_task(Task::from(program.clone()))
    }

    /// Sends one task to all voters and returns the one verdict of the panel; [`Verdict::Invalid`] if the program is
    /// invalid. Incidents are not reported.
    ///
    /// # Errors
    /// Fails if a voter cannot be used any more.
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

    /// Makes the voters forget every program, as far as they can, then runs a sequence on them. Returns the verdicts on
    /// its programs, up to and with the first finding or invalid program. Calls `after` with the panel after each of
    /// these programs, when its [tally](Self::tally) and [roll](Self::take_roll) are at hand.
    ///
    /// # Errors
    /// Fails if a voter cannot be used any more.
    pub fn check_sequence(
        &mut self,
        sequence: &Sequence,
        after: &mut dyn FnMut(&mut Self),
    ) -> Result<Vec<Verdict>, Unavailable> {
        self.renew()?;
        let mut verdicts = Vec::with_capacity(sequence.parts.len());
        for Part { program, left_open } in &sequence.parts {
            let ending = Ending::of(*left_open);
            let verdict = self.check_task(Task { program: program.clone(), fresh: false, ending })?;
            after(self);
            let over = matches!(verdict, Verdict::Finding(_) | Verdict::Invalid(_));
            verdicts.push(verdict);
            if over {
                break;
            }
        }
        Ok(verdicts)
    }

    /// Returns the first voter's counts of the last valid program of [`check`](Self::check) or
    /// [`check_task`](Self::check_task).
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Makes one verdict of the voters' verdicts on a program (`None` for a voter without one): the earliest finding,
    /// with the vote of each voter on it if there are several voters; else the first verdict that a part was not
    /// compared; else agreed.
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
    fn finding(&mut self, program: &Program) -> Result<Option<Finding>, Unavailable> {
        self.check(program).map(Verdict::into_finding)
    }

    fn renew(&mut self) -> Result<bool, Unavailable> {
        Self::renew(self)
    }

    fn is_costly(&self, from: &Program, to: &Program) -> bool {
        self.voters.iter().any(|voter| voter.is_costly(from, to))
    }

    /// Returns whether no voter has a dialect of its own. Such a voter would differ only because the program's dialect
    /// changed.
    fn any_dialect(&self) -> bool {
        self.voters.iter().all(|voter| voter.own_dialect().is_none())
    }
}
