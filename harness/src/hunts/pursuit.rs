//! Takes a catch to its record: shrinks its program on fresh subjects, or makes a sequence of programs that shows the
//! finding, and records the result. All hunts use this module.

use std::io;
use std::path::PathBuf;

use contract::Program;
use programs::sequence::{Part, Sequence};

use crate::check::{Finding, Identity, Verdict};
use crate::findings::record::{Catch, Made, Recorded, Recorder, shrink_catch};
use crate::shrink::{Budget, Judge, Limits, shrink_within};
use crate::voters::{Panel, Roster};

/// [Pursues](pursue) a catch and records the result. `found_file` is the path of the catch's program as it was found.
///
/// # Errors
/// Fails if a file cannot be written; the error names it.
pub fn record(
    roster: &Roster,
    recorder: Recorder<'_>,
    catch: Catch,
    found_file: PathBuf,
    before: &mut dyn FnMut() -> Vec<Part>,
) -> io::Result<Recorded> {
    let (catch, made) = pursue(roster, catch, before);
    recorder.finish(catch, found_file, made)
}

/// Shrinks the program of a catch, or makes a sequence. `before` returns the programs that the same subject had run
/// before the catch's program, in order; `before` is called only if fresh voters could be made and the finding does not
/// show on them. Returns the catch, whose finding then says that it does not repeat, and what was made: nothing
/// ([`Made::AsFound`]) if neither a shrunk program nor a sequence shows the finding, or if no fresh voters can be made.
pub fn pursue(roster: &Roster, catch: Catch, before: &mut dyn FnMut() -> Vec<Part>) -> (Catch, Made) {
    let roster = roster.shrinking(&catch.finding);
    let (mut tried, exact) = (false, roster.looks().len() == 1);
    let mut budget = Limits::default().begin();
    for &look in roster.looks() {
        let Ok(mut panel) = roster.panel(look) else { continue };
        match shrink_catch(&mut panel, &catch, exact, &mut budget) {
            Ok(Some(shrunk)) => return (catch, Made::Shrunk(Box::new(shrunk))),
            Ok(None) => tried = true,
            // Without a fresh voter nobody knows whether the finding repeats.
            Err(_) => {}
        }
    }
    let mut catch = catch;
    if tried {
        catch.finding.repeats = Some(false);
        let made = sequence(&roster, &catch, before(), budget);
        if let Some((sequence, finding)) = made {
            return (catch, Made::Sequence(sequence, Box::new(finding)));
        }
    }
    (catch, Made::AsFound)
}

/// Returns the smallest sequence found whose last program shows the catch's finding on a fresh subject: some of the
/// programs in `before`, then the catch's program, all of them shrunk. Returns `None` if `before` is empty or does not
/// bring the finding back, or if the voters cannot be made. Each sequence that is tried takes a check from `budget`.
fn sequence(roster: &Roster, catch: &Catch, before: Vec<Part>, budget: Budget) -> Option<(Sequence, Finding)> {
    if before.is_empty() {
        return None;
    }
    let last = Part { program: catch.program.clone(), left_open: false };
    let sequence = Sequence { parts: before.into_iter().chain([last]).collect() };
    let panel = roster.panel(*roster.looks().last()?).ok()?;
    let identity = catch.finding.identity();
    let mut shrinker = SequenceShrinker { panel, identity, best: sequence, finding: None, budget };
    shrinker.finding = Some(shrinker.shown(&shrinker.best.clone())?);
    shrinker.drop_programs();
    shrinker.close_windows();
    shrinker.shrink_programs();
    let SequenceShrinker { best, finding, .. } = shrinker;
    Some((best, Finding { repeats: Some(false), ..finding? }))
}

/// Makes a sequence smaller while its last program shows a finding of the same identity.
struct SequenceShrinker {
    /// The voters. They start afresh for each sequence that is tried.
    panel: Panel,
    identity: Identity,
    best: Sequence,
    finding: Option<Finding>,
    budget: Budget,
}

impl SequenceShrinker {
    /// Runs a sequence. Returns the finding on the last program of the sequence if that finding has the
    /// [identity](Self::identity) of the catch. Returns `None` if a voter is lost, if an earlier program shows a
    /// finding or is invalid, or if the last program shows no finding or one of another identity.
    fn shown(&mut self, sequence: &Sequence) -> Option<Finding> {
        let verdicts = self.panel.check_sequence(sequence, &mut |_| {}).ok()?;
        let last = verdicts.len() == sequence.parts.len();
        let finding = verdicts.into_iter().next_back().and_then(Verdict::into_finding)?;
        (last && finding.identity() == self.identity).then_some(finding)
    }

    /// Tries a sequence, and keeps it as the best one if [`shown`](Self::shown) returns a finding. Returns whether the
    /// sequence was kept: never once the budget is used up.
    fn attempt(&mut self, sequence: Sequence) -> bool {
        if self.budget.take().is_err() {
            return false;
        }
        match self.shown(&sequence) {
            Some(finding) => {
                (self.best, self.finding) = (sequence, Some(finding));
                true
            }
            None => false,
        }
    }

    /// Drops programs before the last program of the sequence: halves first, then shorter stretches, then single
    /// programs, each only if the finding stays.
    fn drop_programs(&mut self) {
        let mut chunk = self.best.parts.len().div_ceil(2).max(1);
        loop {
            let mut end = self.best.parts.len() - 1;
            while end > 0 {
                let start = end.saturating_sub(chunk);
                let mut sequence = self.best.clone();
                sequence.parts.drain(start..end);
                self.attempt(sequence);
                end = start.min(self.best.parts.len() - 1);
            }
            if chunk == 1 {
                return;
            }
            chunk = chunk.div_ceil(2);
        }
    }

    /// Lets programs of the sequence that leave their windows open close them at their end, if the finding stays.
    fn close_windows(&mut self) {
        for index in 0..self.best.parts.len() {
            if self.best.parts[index].left_open {
                let mut sequence = self.best.clone();
                sequence.parts[index].left_open = false;
                self.attempt(sequence);
            }
        }
    }

    /// Shrinks each program of the sequence, the last one first, if the finding of the sequence stays.
    fn shrink_programs(&mut self) {
        for index in (0..self.best.parts.len()).rev() {
            let program = self.best.parts[index].program.clone();
            let mut budget = self.budget.clone();
            let shrunk = shrink_within(&mut Within { shrinker: self, index }, &program, &mut budget);
            self.budget = budget;
            if let Some(shrunk) = shrunk {
                // The judge has run the whole sequence with this program.
                self.best.parts[index].program = shrunk.program;
                self.finding = Some(shrunk.finding);
            }
        }
    }
}

/// A judge for one program of a sequence: it returns the finding of the whole sequence with the program put into it.
struct Within<'a> {
    shrinker: &'a mut SequenceShrinker,
    /// Index of the program in the sequence, from 0.
    index: usize,
}

impl Judge for Within<'_> {
    fn finding(&mut self, program: &Program) -> Option<Finding> {
        if program.validate().is_err() {
            return None;
        }
        let mut sequence = self.shrinker.best.clone();
        sequence.parts[self.index].program.clone_from(program);
        self.shrinker.shown(&sequence)
    }

    /// Does nothing and returns `Ok(true)`, because each sequence starts on a fresh subject anyway.
    fn renew(&mut self) -> Result<bool, String> {
        Ok(true)
    }

    fn any_dialect(&self) -> bool {
        self.shrinker.panel.any_dialect()
    }

    fn is_costly(&self, from: &Program, to: &Program) -> bool {
        self.shrinker.panel.is_costly(from, to)
    }
}
