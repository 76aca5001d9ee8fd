//! The reference in a dialect of its own, as a voter. It shows where two dialects differ, without any machine.

use contract::{Dialect, Liobn, Program, Rule, Step};
use reference::{Answer, Object, Outcome, Reference};

use super::{Candidacy, Look, Shows, Task, Told, Unavailable, Voter};
use crate::check::checker::smallest;
use crate::check::{Finding, NotCompared, Place, Reason, Tally, Thing, Verdict, words};

/// What the reference in another dialect shows: registers and guest values.
const SHOWS: Shows = Shows::REGISTERS.and(Shows::TABLES);

/// Describes the reference in this dialect, for rosters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModelOf(pub Dialect);

impl Candidacy for ModelOf {
    fn name(&self) -> String {
        format!("model/{}", self.0)
    }

    fn make(&self, _: Look) -> Result<Box<dyn Voter>, Unavailable> {
        Ok(Box::new(Model::new(self.0)))
    }

    fn shows(&self) -> Shows {
        SHOWS
    }
}

/// The reference as a voter. The voter (`own`) answers in one dialect, and is compared with the reference in the
/// dialect of the program (`reference`).
pub struct Model {
    dialect: Dialect,
    name: String,
    reference: Reference,
    own: Reference,
}

impl Model {
    /// Makes the reference that answers in this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        let reference = Reference::new(dialect, &smallest());
        Self { dialect, name: format!("model/{dialect}"), own: reference.clone(), reference }
    }

    fn run(&mut self, program: &Program, tally: &mut Tally) -> Verdict {
        tally.programs += 1;
        for window in &program.machine.windows {
            if let Err(why) = window.validate(program.machine.page_shift, self.dialect) {
                let why = Reason::Window(window.liobn, self.dialect.name().into(), why.to_string());
                return Verdict::NotCompared(NotCompared { from: Place::Start, why, compared: false });
            }
        }
        self.reference.reset(program.dialect, &program.machine);
        self.own.reset(self.dialect, &program.machine);
        let (mut agreed, mut compared) = (None, false);
        for (index, step) in program.steps.iter().enumerate() {
            tally.steps += 1;
            let place = Place::Step(index);
            let (expected, found) = (self.reference.step(step), self.own.step(step));
            match (expected.answer, found.answer) {
                (Answer::Skipped(_), Answer::Skipped(_)) => {
                    tally.count_step(step, &expected, true);
                    continue;
                }
                (Answer::Skipped(why), _) | (_, Answer::Skipped(why)) => {
                    let why = Reason::Skipped(why.into());
                    return Verdict::NotCompared(NotCompared { from: place, why, compared });
                }
                _ => {}
            }
            if let Some((rule, thing, expected_value, found_value)) = self.difference(&expected, &found) {
                return Verdict::Finding(Box::new(Finding {
                    decided: expected.rule,
                    agreed,
                    expected: expected_value,
                    found: found_value,
                    ..Finding::new(&self.name, program, place, rule, thing)
                }));
            }
            tally.count_step(step, &expected, true);
            compared |= matches!(step, Step::Hypercall { .. });
            agreed = Some(index);
        }
        match compared {
            true => Verdict::Agreed,
            false => {
                let (from, why) = (Place::Start, Reason::Unshown);
                Verdict::NotCompared(NotCompared { from, why, compared: false })
            }
        }
    }

    /// Returns what differs between the two references after a step: r3, r4, or else a guest value that the step
    /// touched. The result is rule, thing, expected value and found value. `None` if nothing differs.
    fn difference(&self, expected: &Outcome, found: &Outcome) -> Option<(Rule, Thing, String, String)> {
        if let (Answer::Hypercall { status, r4 }, Answer::Hypercall { status: other, r4: other_r4 }) =
            (expected.answer, found.answer)
        {
            if status != other {
                return Some((Rule::DivergeStatus, Thing::Status, status.to_string(), other.to_string()));
            }
            if r4 != other_r4 {
                return Some((Rule::DivergeR4, Thing::R4, words::register(r4), words::register(other_r4)));
            }
        }
        let (liobn, index, expected, found) = self.tables()?;
        let hex = |value: u64| format!("{value:#x}");
        Some((Rule::DivergeTce, Thing::GuestValue(liobn, index), hex(expected), hex(found)))
    }

    /// Returns the entry that differs between the two references, of those that the step touched on either: LIOBN,
    /// index from 0, expected and found guest value. Of several the lowest LIOBN and index; `None` if none differs.
    fn tables(&self) -> Option<(Liobn, u64, u64, u64)> {
        let touched = self.reference.touched().iter().chain(self.own.touched());
        let differing = touched.filter_map(|object| match *object {
            Object::Entry { liobn, index } => {
                let value = |model: &Reference| model.window(liobn).map_or(0, |window| window.guest(index));
                let (expected, found) = (value(&self.reference), value(&self.own));
                (expected != found).then_some((liobn, index, expected, found))
            }
            _ => None,
        });
        differing.min()
    }
}

impl Voter for Model {
    fn name(&self) -> &str {
        &self.name
    }

    fn shows(&self) -> Shows {
        SHOWS
    }

    fn own_dialect(&self) -> Option<Dialect> {
        Some(self.dialect)
    }

    /// Does nothing and returns `true`, because this voter remembers nothing from program to program.
    fn renew(&mut self) -> Result<bool, Unavailable> {
        Ok(true)
    }

    fn vote(&mut self, tasks: &[Task], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable> {
        for (index, task) in tasks.iter().enumerate() {
            let verdict = self.run(&task.program, tally);
            tell(Told::Verdict(index, verdict));
        }
        Ok(())
    }
}
