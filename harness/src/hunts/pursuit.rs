//! Takes a catch to its record: shrinks its program on fresh subjects, or makes a sequence of programs that shows the
//! finding, and records the result. All hunts use this module.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use contract::Program;
use programs::quiet;
use programs::sequence::{Part, Sequence};

use crate::check::{Finding, Identity, Verdict};
use crate::findings::record::{Catch, Made, NotShrunk, Recorded, Recorder, shrink_catch};
use crate::shrink::{Budget, Judge, Limits, shrink_within};
use crate::voters::{Look, Panel, Roster, Unavailable};

/// Returns the histories that a finding may need: the programs that the same subject had run before, in order. Of
/// several possible histories the likeliest comes first. The list is empty if there was no earlier program. Fails if a
/// voter that is needed to find the history out cannot be made or is lost.
pub type Histories<'a> = dyn FnMut() -> Result<Vec<Vec<Part>>, Unavailable> + 'a;

/// [Pursues](pursue) a catch and records the result. `found_file` is the path of the catch's program as it was found.
///
/// # Errors
/// Fails if a file cannot be written; the error names it.
pub fn record(
    roster: &Roster,
    recorder: Recorder<'_>,
    mut catch: Catch,
    found_file: PathBuf,
    histories: &mut Histories<'_>,
) -> io::Result<Recorded> {
    let made = pursue(roster, &mut catch, histories);
    recorder.finish(catch, found_file, made)
}

/// Shrinks the program of a catch, or makes a sequence. `histories` is called only if no fresh voter shows the finding;
/// the catch's finding then says that it does not repeat. Returns what was made. That is nothing ([`Made::AsFound`]) if
/// neither a shrunk program nor a sequence shows the finding, if a voter cannot be made or is lost, or if the shrinker
/// panics.
pub fn pursue(roster: &Roster, catch: &mut Catch, histories: &mut Histories<'_>) -> Made {
    pursue_within(roster, catch, histories, &mut Limits::default().begin())
}

/// Does the same as [`pursue`], and takes all checks, those of sequences included, from `budget`.
pub fn pursue_within(roster: &Roster, catch: &mut Catch, histories: &mut Histories<'_>, budget: &mut Budget) -> Made {
    // A mistake of the shrinker must not take the finding with it.
    let guarded = AssertUnwindSafe(|| pursue_unguarded(roster, catch, histories, budget));
    quiet::quietly(|| catch_unwind(guarded))
        .unwrap_or_else(|_| Made::AsFound(NotShrunk::Panicked(quiet::last_message())))
}

/// Does what [`pursue_within`] does, except that a panic is not caught.
fn pursue_unguarded(roster: &Roster, catch: &mut Catch, histories: &mut Histories<'_>, budget: &mut Budget) -> Made {
    let roster = roster.shrinking(&catch.finding);
    let exact = roster.looks().len() == 1;
    for &look in roster.looks() {
        let mut panel = match roster.panel(look) {
            Ok(panel) => panel,
            Err(gone) => return Made::AsFound(NotShrunk::NotMade(gone)),
        };
        match shrink_catch(&mut panel, catch, exact, budget) {
            Ok(Some(shrunk)) => return Made::Shrunk(Box::new(shrunk)),
            Ok(None) => {}
            Err(gone) => return Made::AsFound(NotShrunk::Lost(gone)),
        }
    }
    catch.finding.repeats = Some(false);
    match histories().and_then(|histories| sequence(&roster, catch, histories, budget)) {
        Ok(Some((sequence, finding))) => Made::Sequence(sequence, Box::new(finding)),
        Ok(None) => Made::AsFound(NotShrunk::NotAgain),
        Err(gone) => Made::AsFound(NotShrunk::Lost(gone)),
    }
}

/// Returns the smallest sequence found whose last program shows the catch's finding on a fresh subject: some of the
/// programs of the first history that brings the finding back, then the catch's program, all of them shrunk. Returns
/// `None` if no history does so. Each smaller sequence that is tried takes a check from `budget`. Fails if a voter
/// cannot be made, or is lost before the finding came back.
fn sequence(
    roster: &Roster,
    catch: &Catch,
    mut histories: Vec<Vec<Part>>,
    budget: &mut Budget,
) -> Result<Option<(Sequence, Finding)>, Unavailable> {
    histories.retain(|history| !history.is_empty());
    if histories.is_empty() {
        return Ok(None);
    }
    let (mut panel, identity) = (roster.panel(Look::Whole)?, catch.finding.identity());
    for history in histories {
        let whole = Sequence::after(history, catch.program.clone());
        if let Some((best, finding)) = brought_back(&mut panel, whole, identity, budget)? {
            let mut shrinker = SequenceShrinker { panel, identity, best, finding };
            // A voter that is lost only ends the shrinking: the best sequence has shown the finding already.
            drop(shrinker.shrink(budget));
            let SequenceShrinker { best, finding, .. } = shrinker;
            return Ok(Some((best, Finding { repeats: Some(false), ..finding })));
        }
    }
    Ok(None)
}

/// Runs a sequence on voters that start afresh. A run ends at the first finding, so programs before the last one that
/// show a finding of their own are dropped, one after the other; each takes a check from `budget`. Returns what is left
/// of the sequence, and the finding on its last program, if that finding has this identity. Fails if a voter is lost.
fn brought_back(
    panel: &mut Panel,
    mut sequence: Sequence,
    identity: Identity,
    budget: &mut Budget,
) -> Result<Option<(Sequence, Finding)>, Unavailable> {
    loop {
        let mut verdicts = panel.check_sequence(&sequence, &mut |_| {})?;
        let ran = verdicts.len();
        if ran == sequence.parts.len() {
            let finding = verdicts.pop().and_then(Verdict::into_finding);
            return Ok(finding.filter(|finding| finding.identity() == identity).map(|finding| (sequence, finding)));
        }
        if budget.take().is_err() {
            return Ok(None);
        }
        sequence.parts.remove(ran - 1);
    }
}

/// Runs a sequence on voters that start afresh. Returns the finding on the last program of the sequence if that finding
/// has this identity. Returns `None` if an earlier program shows a finding or is invalid, or if the last program shows
/// no finding or one of another identity. Fails if a voter is lost.
fn shown(panel: &mut Panel, sequence: &Sequence, identity: Identity) -> Result<Option<Finding>, Unavailable> {
    let verdicts = panel.check_sequence(sequence, &mut |_| {})?;
    let last = verdicts.len() == sequence.parts.len();
    let finding = verdicts.into_iter().next_back().and_then(Verdict::into_finding);
    Ok(finding.filter(|finding| last && finding.identity() == identity))
}

/// Makes a sequence smaller while its last program shows a finding of the same identity.
struct SequenceShrinker {
    /// The voters. They start afresh for each sequence that is tried.
    panel: Panel,
    identity: Identity,
    best: Sequence,
    /// The finding on the last program of `best`.
    finding: Finding,
}

impl SequenceShrinker {
    /// Makes the best sequence as small as `budget` allows. Fails if a voter is lost; the best sequence stays.
    fn shrink(&mut self, budget: &mut Budget) -> Result<(), Unavailable> {
        self.drop_programs(budget)?;
        self.close_windows(budget)?;
        self.shrink_programs(budget)
    }

    /// Tries a sequence, and keeps it as the best one if it [shows](shown) the finding. Tries nothing once the budget
    /// is used up.
    fn attempt(&mut self, sequence: Sequence, budget: &mut Budget) -> Result<(), Unavailable> {
        if budget.take().is_ok()
            && let Some(finding) = shown(&mut self.panel, &sequence, self.identity)?
        {
            (self.best, self.finding) = (sequence, finding);
        }
        Ok(())
    }

    /// Drops programs before the last program of the sequence: halves first, then shorter stretches, then single
    /// programs, each only if the finding stays.
    fn drop_programs(&mut self, budget: &mut Budget) -> Result<(), Unavailable> {
        let mut chunk = self.best.parts.len().div_ceil(2).max(1);
        loop {
            let mut end = self.best.parts.len() - 1;
            while end > 0 {
                let start = end.saturating_sub(chunk);
                let mut sequence = self.best.clone();
                sequence.parts.drain(start..end);
                self.attempt(sequence, budget)?;
                end = start.min(self.best.parts.len() - 1);
            }
            if chunk == 1 {
                return Ok(());
            }
            chunk = chunk.div_ceil(2);
        }
    }

    /// Lets programs of the sequence that leave their windows open close them at their end, if the finding stays.
    fn close_windows(&mut self, budget: &mut Budget) -> Result<(), Unavailable> {
        for index in 0..self.best.parts.len() {
            if self.best.parts[index].left_open {
                let mut sequence = self.best.clone();
                sequence.parts[index].left_open = false;
                self.attempt(sequence, budget)?;
            }
        }
        Ok(())
    }

    /// Shrinks each program of the sequence, the last one first, if the finding of the sequence stays.
    fn shrink_programs(&mut self, budget: &mut Budget) -> Result<(), Unavailable> {
        for index in (0..self.best.parts.len()).rev() {
            let program = self.best.parts[index].program.clone();
            if let Some(shrunk) = shrink_within(&mut Within { shrinker: self, index }, &program, budget)? {
                // The judge has run the whole sequence with this program.
                self.best.parts[index].program = shrunk.program;
                self.finding = shrunk.finding;
            }
        }
        Ok(())
    }
}

/// A judge for one program of a sequence: it returns the finding of the whole sequence with the program put into it.
struct Within<'a> {
    shrinker: &'a mut SequenceShrinker,
    /// Index of the program in the sequence, from 0.
    index: usize,
}

impl Judge for Within<'_> {
    fn finding(&mut self, program: &Program) -> Result<Option<Finding>, Unavailable> {
        if program.validate().is_err() {
            return Ok(None);
        }
        let SequenceShrinker { panel, identity, best, .. } = &mut *self.shrinker;
        let mut sequence = best.clone();
        sequence.parts[self.index].program.clone_from(program);
        shown(panel, &sequence, *identity)
    }

    /// Does nothing and returns `true`, because each sequence starts on a fresh subject anyway.
    fn renew(&mut self) -> Result<bool, Unavailable> {
        Ok(true)
    }

    fn any_dialect(&self) -> bool {
        self.shrinker.panel.any_dialect()
    }

    fn is_costly(&self, from: &Program, to: &Program) -> bool {
        self.shrinker.panel.is_costly(from, to)
    }
}
