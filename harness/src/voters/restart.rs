//! Starts lost machines and processes again, and decides which program caused a loss.
//!
//! A [`Runner`] runs programs in a machine or a process, and may lose it on the way: the machine ends, gives no answer,
//! or gives an answer that its interface does not allow. [`vote`] then runs the programs that have no verdict in a
//! fresh machine and watches them more closely. What [`vote`] reports of a loss:
//!
//! | what happens next | what is reported |
//! |---|---|
//! | the program at which the machine was lost passes on the fresh machine | an incident |
//! | the program, alone and watched step by step, loses the fresh machine in the same way | a finding at the step |
//! | the machine [refuses](Way::Refused) to start in the same way again, and starts for the smallest program | not compared |
//! | nothing: the machine was lost after the last verdict | an incident |
//! | the machine is lost more than [`MOST`] times without a verdict between | incidents; the voter is [`Unavailable`] |
//!
//! The finding's rule is `SUBJECT.CRASH`, `SUBJECT.HANG` or `SUBJECT.PROTOCOL`, by the [`Way`]. By [`Runner::at_first`]
//! a runner can choose that a program which runs alone gets a finding for its first loss already.
//!
//! Invariants, which [`vote`] asserts:
//!
//! 1. Each task gets one verdict, and verdicts come in the order of the tasks. If the voter becomes unavailable, the
//!    verdicts until then are valid.
//! 2. Each loss is reported once: by the verdict on the program that caused it, or as an incident. Every incident names
//!    one of the tasks.
//! 3. A program gets a finding only for a loss at a known place in it, while it ran alone.

use contract::Rule;

use super::{Incident, Task, Told, Unavailable};
use crate::check::{Finding, NotCompared, Place, Reason, Tally, Thing, Verdict};

/// How many losses in a row, without a verdict between them, are tolerated. One loss more makes the voter
/// [`Unavailable`].
pub const MOST: usize = 3;

/// How a machine or process refused to take programs. What it said stands in [`Loss::how`]; nothing is decided by its
/// words, which may hold a time or the number of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The process ended itself with this exit status, with a message.
    Status(i32),
    /// The process aborted itself (SIGABRT), with a message.
    Abort,
    /// The process runs, and cannot have the subject that it is to run.
    NoSubject,
}

/// The way in which a machine or process was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The machine or process ended: `SUBJECT.CRASH`.
    Ended,
    /// The machine or process gave no answer within its time limit: `SUBJECT.HANG`.
    Silent,
    /// The machine or process gave an answer that its interface does not allow: `SUBJECT.PROTOCOL`.
    Garbled,
    /// Before it took programs, the machine or process ended or refused to go on, and said why; perhaps it cannot have
    /// what the program needs. No program gets a finding for such a loss.
    Refused(Refusal),
    /// The harness's own side failed, for example the memory that it shares with the machine. No program gets a finding
    /// for such a loss.
    Host,
}

/// The loss of a machine or process in which a voter ran programs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// The way in which the machine or process was lost.
    pub way: Way,
    /// What the machine or process did, in words that follow its name, such as `ended by signal 9`.
    pub how: String,
    /// The place of the loss in the first program that has no verdict. `None` if the place is not known, or if no
    /// program was running.
    pub place: Option<Place>,
}

impl Loss {
    /// Makes a loss whose place is not known.
    #[must_use]
    pub const fn new(way: Way, how: String) -> Self {
        Self { way, how, place: None }
    }

    /// Returns the same loss with `place` as its place.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }
}

/// How closely a runner watches programs, which decides how much is known about a loss.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Watching {
    /// The runner works in its fastest way. A loss may take the verdicts on all programs of the run with it.
    #[default]
    Together,
    /// The runner passes on the verdict on each program before the next program runs. So it is known at which program
    /// the machine was lost.
    Verdicts,
    /// The runner runs a single program and notes each step before it runs. So it is known at which place the machine
    /// was lost.
    Steps,
}

/// Runs programs in a machine or process, which it may lose on the way.
pub trait Runner {
    /// Returns the voter's name in reports and ledgers.
    fn name(&self) -> &str;

    /// Returns how reports name the machine or process, such as `QEMU` or `its process`.
    fn thing(&self) -> &str;

    /// Returns how closely the next run must at least watch programs, even if nothing has been lost. `left` is the
    /// number of programs without a verdict. If the answer is [`Watching::Steps`], the next program runs alone and can
    /// get a finding for its first loss, without a second try.
    fn at_first(&self, left: usize) -> Watching {
        let _ = left;
        Watching::Together
    }

    /// Runs programs and passes the verdict on each program to `tell`, in order. Adds to `tally` one program for each
    /// verdict, and the counts of its steps, which may be missing after a loss. Starts a machine or process if none is
    /// running. May watch more closely than `watching` asks for.
    ///
    /// # Errors
    /// Fails if the machine or process is lost. The verdicts that were passed on are valid, and the next run starts
    /// another machine or process.
    fn run(
        &mut self,
        tasks: &[Task],
        watching: Watching,
        tally: &mut Tally,
        tell: &mut dyn FnMut(Verdict),
    ) -> Result<(), Loss>;

    /// Returns whether a machine can be started for the smallest program. [`vote`] asks this after a machine has twice
    /// [refused](Way::Refused) to start for another program: if `true`, that program is not compared; if `false`, the
    /// refusals count as losses for which no program is to blame.
    fn starts_bare(&mut self) -> bool {
        false
    }
}

/// Losses of one call of [`vote`] that neither a verdict nor an incident has reported yet.
#[derive(Default)]
struct Unexplained {
    losses: Vec<(usize, Loss)>,
    /// Number of all losses so far. `explained` is the number of those that a verdict or an incident has reported.
    all: usize,
    explained: usize,
}

impl Unexplained {
    /// Returns whether an unreported loss at this program happened in this way. `program` is the index of the program
    /// among the tasks.
    fn has(&self, program: usize, way: Way) -> bool {
        self.losses.iter().any(|(other, before)| (*other, before.way) == (program, way))
    }

    fn add(&mut self, program: usize, loss: Loss) {
        self.all += 1;
        self.losses.push((program, loss));
    }

    /// Drops the unreported losses of all programs that happened in this way, because a verdict reports them.
    fn explain(&mut self, way: Way) {
        let before = self.losses.len();
        self.losses.retain(|(_, loss)| loss.way != way);
        self.explained += before - self.losses.len();
    }

    /// Reports the losses that are left as incidents. `thing` is the name of the machine or process.
    fn tell(&mut self, thing: &str, tell: &mut dyn FnMut(Told)) {
        for (program, loss) in self.losses.drain(..) {
            self.explained += 1;
            tell(Told::Incident(Incident { program, what: format!("{thing} {}", loss.how) }));
        }
    }
}

/// Runs the tasks on `runner`, again after each loss of the machine, and passes verdicts and incidents to `tell`.
/// Verdicts come in the order of the tasks. Adds one program to `tally` for each verdict.
///
/// # Errors
/// Fails if the machine or process was lost more than [`MOST`] times without a verdict between the losses. The verdicts
/// that were passed on are valid.
///
/// # Panics
/// Panics if the runner passes on more or fewer verdicts than it has programs.
pub fn vote(
    runner: &mut dyn Runner,
    tasks: &[Task],
    tally: &mut Tally,
    tell: &mut dyn FnMut(Told),
) -> Result<(), Unavailable> {
    let mut next = 0;
    let mut watching = Watching::Together;
    let mut unexplained = Unexplained::default();
    // Losses since the last verdict.
    let mut row = 0;
    while next < tasks.len() {
        let first = next;
        watching = watching.max(runner.at_first(tasks.len() - first));
        let end = if watching == Watching::Steps { first + 1 } else { tasks.len() };
        let ran = runner.run(&tasks[first..end], watching, tally, &mut |verdict| {
            assert!(next < end, "a verdict on no program: {verdict}");
            tell(Told::Verdict(next, verdict));
            next += 1;
        });
        if next > first {
            row = 0;
        }
        let Err(loss) = ran else {
            assert_eq!(next, end, "programs without a verdict, though nothing was lost");
            unexplained.tell(runner.thing(), tell);
            watching = Watching::Together;
            continue;
        };
        row += 1;
        if next == end {
            let how = format!("{} after its last answer", loss.how);
            unexplained.add(end - 1, Loss { how, ..loss });
            unexplained.tell(runner.thing(), tell);
            watching = Watching::Together;
            continue;
        }
        let surely = unexplained.has(next, loss.way) || runner.at_first(tasks.len() - first) == Watching::Steps;
        let verdict = match (loss.way, loss.place) {
            (Way::Refused(_), _) if unexplained.has(next, loss.way) && runner.starts_bare() => {
                Some(not_compared(runner, &loss))
            }
            (Way::Ended | Way::Silent | Way::Garbled, Some(place)) if watching == Watching::Steps && surely => {
                Some(finding(runner, &tasks[next], &loss, place))
            }
            _ => None,
        };
        // A known place names the program, so that program runs alone next.
        watching = match (watching, loss.place) {
            (Watching::Together, None) => Watching::Verdicts,
            _ => Watching::Steps,
        };
        let (way, what) = (loss.way, format!("{} {}", runner.thing(), loss.how));
        unexplained.add(next, loss);
        if let Some(verdict) = verdict {
            unexplained.explain(way);
            unexplained.tell(runner.thing(), tell);
            tell(Told::Verdict(next, verdict));
            tally.programs += 1;
            next += 1;
            (row, watching) = (0, Watching::Together);
        } else if row > MOST {
            unexplained.tell(runner.thing(), tell);
            return Err(Unavailable(format!("{}: {what}", runner.name())));
        }
    }
    assert_eq!((next, unexplained.explained), (tasks.len(), unexplained.all), "a verdict or an incident is missing");
    Ok(())
}

/// Makes the verdict that a program was not compared, because no machine can be started for it.
fn not_compared(runner: &dyn Runner, loss: &Loss) -> Verdict {
    let why = Reason::Machine(format!("{} {}", runner.thing(), loss.how));
    Verdict::NotCompared(NotCompared { from: Place::Start, why, compared: false })
}

/// Makes the finding that a program makes its machine or process end, hang, or give an answer that its interface does
/// not allow. `place` is where in the program the loss happened.
fn finding(runner: &dyn Runner, task: &Task, loss: &Loss, place: Place) -> Verdict {
    let thing = runner.thing().to_string();
    let (rule, thing) = match loss.way {
        Way::Silent => (Rule::SubjectHang, Thing::Silent(thing)),
        Way::Garbled => (Rule::SubjectProtocol, Thing::Process(thing)),
        Way::Ended | Way::Refused(_) | Way::Host => (Rule::SubjectCrash, Thing::Process(thing)),
    };
    let program = &task.program;
    Verdict::Finding(Box::new(Finding {
        agreed: place.steps_before(program).checked_sub(1),
        expected: "an answer".into(),
        found: loss.how.clone(),
        ..Finding::new(runner.name(), program, place, rule, thing)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::checker::smallest;
    use contract::{Dialect, Program, Step};

    /// What a program does to the machine that it runs in.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Deed {
        /// The program runs to its end, and the machine stays.
        Passes,
        /// The program loses its machine each time, in this way.
        Loses(Way),
        /// The program loses its machine the first time only, in this way.
        LosesOnce(Way),
        /// The machine refuses to start for the program.
        IsRefused,
        /// The program runs to its end, and then its machine ends; the first time only.
        LosesBehind,
    }

    const REFUSED: Way = Way::Refused(Refusal::Status(1));

    const DEEDS: [Deed; 7] = [
        Deed::Passes,
        Deed::Loses(Way::Ended),
        Deed::Loses(Way::Silent),
        Deed::LosesOnce(Way::Ended),
        Deed::LosesOnce(Way::Garbled),
        Deed::IsRefused,
        Deed::LosesBehind,
    ];

    /// A runner that plays one deed for each program. It tells programs apart by their numbers of steps.
    struct Actor {
        deeds: Vec<Deed>,
        done: Vec<bool>,
        /// Whether the actor, even when it watches programs together, passes on each verdict before a loss, and knows
        /// the place of a loss within a program. The place of a refusal is never known.
        knows: bool,
        /// Whether the actor watches a single program by steps from the start.
        at_once: bool,
        losses: usize,
    }

    impl Runner for Actor {
        fn name(&self) -> &str {
            "actor"
        }

        fn thing(&self) -> &str {
            "its stage"
        }

        fn at_first(&self, left: usize) -> Watching {
            if self.at_once && left == 1 { Watching::Steps } else { Watching::Together }
        }

        fn run(
            &mut self,
            tasks: &[Task],
            watching: Watching,
            _: &mut Tally,
            tell: &mut dyn FnMut(Verdict),
        ) -> Result<(), Loss> {
            assert!(watching < Watching::Steps || tasks.len() == 1, "several programs, watched by steps");
            let mut held = 0;
            let mut lost = None;
            for task in tasks {
                let number = task.program.steps.len();
                let first = !std::mem::replace(&mut self.done[number], true);
                let way = match self.deeds[number] {
                    Deed::Loses(way) => Some(way),
                    Deed::LosesOnce(way) if first => Some(way),
                    Deed::IsRefused => Some(REFUSED),
                    _ => None,
                };
                if let Some(way) = way {
                    let loss = Loss::new(way, format!("lost {number}"));
                    let known = way != REFUSED && (self.knows || watching == Watching::Steps);
                    lost = Some(if known { loss.at(Place::Start) } else { loss });
                    break;
                }
                held += 1;
                if self.deeds[number] == Deed::LosesBehind && first {
                    lost = Some(Loss::new(Way::Ended, "lost behind".into()));
                    break;
                }
            }
            // Verdicts that are told together are lost together.
            if lost.is_none() || self.knows || watching > Watching::Together {
                (0..held).for_each(|_| tell(Verdict::Agreed));
            }
            self.losses += usize::from(lost.is_some());
            lost.map_or(Ok(()), Err)
        }

        fn starts_bare(&mut self) -> bool {
            true
        }
    }

    fn tasks(count: usize) -> Vec<Task> {
        let program = |number| Program {
            dialect: Dialect::Lopapr,
            machine: smallest(),
            steps: vec![Step::CloseWindow { liobn: contract::Liobn(0) }; number],
        };
        (0..count).map(|number| Task::from(program(number))).collect()
    }

    /// Plays all combinations of deeds by three programs, with four kinds of runners.
    #[test]
    fn every_program_has_its_verdict_and_every_loss_its_explanation() {
        let tasks = tasks(3);
        let plays = DEEDS.iter().flat_map(|a| DEEDS.iter().flat_map(move |b| DEEDS.iter().map(move |c| [*a, *b, *c])));
        for deeds in plays {
            for (knows, at_once) in [(false, false), (false, true), (true, false), (true, true)] {
                let case = format!("{deeds:?}, knows: {knows}, at once: {at_once}");
                let mut actor = Actor { deeds: deeds.to_vec(), done: vec![false; 3], knows, at_once, losses: 0 };
                let (mut verdicts, mut incidents) = (Vec::new(), Vec::new());
                let mut tally = Tally::default();
                let voted = vote(&mut actor, &tasks, &mut tally, &mut |told| match told {
                    Told::Verdict(index, verdict) => {
                        assert_eq!(index, verdicts.len(), "{case}");
                        verdicts.push(verdict);
                    }
                    Told::Incident(incident) => incidents.push(incident),
                });
                assert_eq!((voted, verdicts.len()), (Ok(()), 3), "{case}");
                for (at, (deed, verdict)) in deeds.iter().zip(&verdicts).enumerate() {
                    let right = match (deed, verdict) {
                        (Deed::Passes | Deed::LosesBehind | Deed::LosesOnce(_), Verdict::Agreed) => true,
                        // A program that is blamed at once cannot be told from one that always does it; nor can one
                        // before which what it runs in was lost as well.
                        (Deed::LosesOnce(_), Verdict::Finding(_)) => {
                            at_once || at > 0 && deeds[at - 1] == Deed::LosesBehind
                        }
                        (Deed::Loses(Way::Silent), Verdict::Finding(finding)) => finding.rule == Rule::SubjectHang,
                        (Deed::Loses(_), Verdict::Finding(finding)) => finding.rule == Rule::SubjectCrash,
                        (Deed::IsRefused, Verdict::NotCompared(not)) => !not.compared,
                        _ => false,
                    };
                    assert!(right, "{case}: {deed:?} {verdict}");
                }
                assert!(incidents.iter().all(|incident| incident.program < 3), "{case}: {incidents:?}");
                let odd = deeds.iter().any(|deed| matches!(deed, Deed::LosesOnce(_) | Deed::LosesBehind));
                assert!(odd || incidents.is_empty(), "{case}: {incidents:?}");
                if deeds == [Deed::Passes, Deed::LosesBehind, Deed::Passes] || deeds[1..] == [Deed::Passes; 2] && odd {
                    assert_eq!(incidents.len(), actor.losses, "{case}: {incidents:?}");
                }
            }
        }
    }

    /// Checks that a program that has its verdict is not blamed for a loss after it, and that the next program is not
    /// blamed either.
    #[test]
    fn a_loss_behind_the_verdict_of_a_program_alone_is_an_incident() {
        struct Behind(usize);
        impl Runner for Behind {
            fn name(&self) -> &str {
                "behind"
            }
            fn thing(&self) -> &str {
                "its machine"
            }
            fn run(
                &mut self,
                tasks: &[Task],
                _: Watching,
                _: &mut Tally,
                tell: &mut dyn FnMut(Verdict),
            ) -> Result<(), Loss> {
                self.0 += 1;
                if self.0 > 1 {
                    tasks.iter().for_each(|_| tell(Verdict::Agreed));
                }
                if self.0 > 2 { Ok(()) } else { Err(Loss::new(Way::Ended, "ended".into()).at(Place::End)) }
            }
        }
        let mut told = Vec::new();
        let voted = vote(&mut Behind(0), &tasks(3), &mut Tally::default(), &mut |what| {
            told.push(match what {
                Told::Verdict(index, verdict) => format!("{index}: {verdict}"),
                Told::Incident(Incident { program, what }) => format!("{program}: {what}"),
            });
        });
        assert_eq!(voted, Ok(()));
        let agreed = |index: usize| format!("{index}: {}", Verdict::Agreed);
        let lost = ["0: its machine ended", "0: its machine ended after its last answer"].map(String::from);
        assert_eq!(told, [&[agreed(0)][..], &lost, &[agreed(1), agreed(2)]].concat());
    }

    #[test]
    fn what_is_lost_again_and_again_is_given_up_and_every_loss_is_an_incident() {
        let tasks = tasks(2);
        for way in [Way::Ended, Way::Host, REFUSED] {
            struct Dead(Way);
            impl Runner for Dead {
                fn name(&self) -> &str {
                    "dead"
                }
                fn thing(&self) -> &str {
                    "its machine"
                }
                fn run(
                    &mut self,
                    _: &[Task],
                    _: Watching,
                    _: &mut Tally,
                    _: &mut dyn FnMut(Verdict),
                ) -> Result<(), Loss> {
                    let loss = Loss::new(self.0, "is not there".into());
                    Err(if self.0 == Way::Host { loss.at(Place::Start) } else { loss })
                }
            }
            let mut incidents = Vec::new();
            let voted = vote(&mut Dead(way), &tasks, &mut Tally::default(), &mut |told| match told {
                Told::Verdict(_, verdict) => panic!("{verdict}"),
                Told::Incident(incident) => incidents.push(incident),
            });
            assert_eq!(voted, Err(Unavailable("dead: its machine is not there".into())));
            let incident = Incident { program: 0, what: "its machine is not there".into() };
            assert_eq!(incidents, vec![incident; MOST + 1], "{way:?}");
        }
    }

    /// Checks that a program is not compared once its machine has refused twice in the same way, whatever the machine
    /// says, and that a refusal in another way between the two is an incident.
    #[test]
    fn a_refusal_is_known_by_its_way_and_not_by_its_words() {
        struct Refuses(&'static [Refusal], usize);
        impl Runner for Refuses {
            fn name(&self) -> &str {
                "refuses"
            }
            fn thing(&self) -> &str {
                "its machine"
            }
            fn run(&mut self, _: &[Task], _: Watching, _: &mut Tally, _: &mut dyn FnMut(Verdict)) -> Result<(), Loss> {
                self.1 += 1;
                Err(Loss::new(Way::Refused(self.0[self.1 - 1]), format!("refused {}", self.1)))
            }
            fn starts_bare(&mut self) -> bool {
                true
            }
        }
        const STATUS: Refusal = Refusal::Status(1);
        for (ways, lost) in [(&[STATUS; 2][..], None), (&[STATUS, Refusal::Abort, STATUS], Some(2))] {
            let (mut verdicts, mut incidents) = (Vec::new(), Vec::new());
            let mut runner = Refuses(ways, 0);
            let voted = vote(&mut runner, &tasks(1), &mut Tally::default(), &mut |told| match told {
                Told::Verdict(_, verdict) => verdicts.push(verdict),
                Told::Incident(incident) => incidents.push(incident.what),
            });
            assert_eq!((voted, runner.1), (Ok(()), ways.len()), "{ways:?}: {incidents:?}");
            let why = Reason::Machine(format!("its machine refused {}", ways.len()));
            assert_eq!(verdicts, [Verdict::NotCompared(NotCompared { from: Place::Start, why, compared: false })]);
            let expected: Vec<String> = lost.iter().map(|number| format!("its machine refused {number}")).collect();
            assert_eq!(incidents, expected, "{ways:?}");
        }
    }

    /// Checks that a loss in one way does not explain losses in another way, so that only the program that loses its
    /// machine twice in the same way is blamed.
    #[test]
    fn losses_of_another_way_are_no_explanation() {
        // The first loss is by chance; the program is then lost another way, twice.
        struct Twice(usize);
        impl Runner for Twice {
            fn name(&self) -> &str {
                "twice"
            }
            fn thing(&self) -> &str {
                "its machine"
            }
            fn run(&mut self, _: &[Task], _: Watching, _: &mut Tally, _: &mut dyn FnMut(Verdict)) -> Result<(), Loss> {
                self.0 += 1;
                let way = if self.0 == 1 { Way::Ended } else { Way::Silent };
                Err(Loss::new(way, format!("was lost {}", self.0)).at(Place::End))
            }
        }
        let (mut verdicts, mut incidents) = (Vec::new(), Vec::new());
        let mut runner = Twice(0);
        let voted = vote(&mut runner, &tasks(1), &mut Tally::default(), &mut |told| match told {
            Told::Verdict(_, verdict) => verdicts.push(verdict.into_finding().expect("a finding")),
            Told::Incident(incident) => incidents.push(incident.what),
        });
        assert_eq!((voted, runner.0), (Ok(()), 3));
        assert_eq!((verdicts[0].rule, verdicts[0].place), (Rule::SubjectHang, Place::End));
        assert_eq!(incidents, ["its machine was lost 1"]);
    }
}
