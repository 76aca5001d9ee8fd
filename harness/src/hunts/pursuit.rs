//! From a catch to its record: sought again on fresh subjects, shrunk, or recorded as a sequence. All hunts go this
//! way.

use std::io;
use std::path::PathBuf;

use contract::Program;
use programs::sequence::{Part, Sequence};

use crate::check::{Finding, Identity, Verdict};
use crate::findings::record::{Catch, Made, Recorded, Recorder, shrink_catch};
use crate::shrink::{Judge, Limits, shrink};
use crate::voters::{Panel, Roster};

/// Shrinks and records a catch whose program stands in `found_file`. `before` names the programs that the same subject
/// had run before it, in order, for a finding that a fresh subject does not show; it is called only then.
///
/// # Errors
/// A file could not be written; it is named.
pub fn record(
    roster: &Roster,
    recorder: Recorder<'_>,
    catch: Catch,
    found_file: PathBuf,
    before: &mut dyn FnMut() -> Vec<Part>,
) -> io::Result<Recorded> {
    let roster = roster.shrinking(&catch.finding);
    let (mut tried, exact) = (false, roster.looks().len() == 1);
    for &look in roster.looks() {
        let Ok(mut panel) = roster.panel(look) else { continue };
        tried = true;
        if let Some(shrunk) = shrink_catch(&mut panel, &catch, exact, Limits::default()) {
            return recorder.finish(catch, found_file, Made::Shrunk(Box::new(shrunk)));
        }
    }
    let mut catch = catch;
    if tried {
        catch.finding.repeats = Some(false);
        let made = sequence(&roster, &catch, before());
        if let Some((sequence, finding)) = made {
            return recorder.finish(catch, found_file, Made::Sequence(sequence, Box::new(finding)));
        }
    }
    recorder.finish(catch, found_file, Made::AsFound)
}

/// The fewest of the programs before a catch that make a fresh subject show it on the last, each shrunk.
fn sequence(roster: &Roster, catch: &Catch, before: Vec<Part>) -> Option<(Sequence, Finding)> {
    if before.is_empty() {
        return None;
    }
    let last = Part { program: catch.program.clone(), left_open: false };
    let sequence = Sequence { parts: before.into_iter().chain([last]).collect() };
    let panel = roster.panel(*roster.looks().last()?).ok()?;
    let mut shrinker = SequenceShrinker { panel, identity: catch.finding.identity(), best: sequence, finding: None };
    shrinker.finding = Some(shrinker.shown(&shrinker.best.clone())?);
    shrinker.drop_programs();
    shrinker.close_windows();
    shrinker.shrink_programs();
    let SequenceShrinker { best, finding, .. } = shrinker;
    Some((best, Finding { repeats: Some(false), ..finding? }))
}

/// Makes a sequence smaller while its last program shows the same.
struct SequenceShrinker {
    panel: Panel,
    identity: Identity,
    best: Sequence,
    finding: Option<Finding>,
}

impl SequenceShrinker {
    /// The finding on the last program, if the sequence shows it there and nothing before.
    fn shown(&mut self, sequence: &Sequence) -> Option<Finding> {
        let verdicts = self.panel.check_sequence(sequence).ok()?;
        let last = verdicts.len() == sequence.parts.len();
        let finding = verdicts.into_iter().next_back().and_then(Verdict::into_finding)?;
        (last && finding.identity() == self.identity).then_some(finding)
    }

    fn attempt(&mut self, sequence: Sequence) -> bool {
        match self.shown(&sequence) {
            Some(finding) => {
                (self.best, self.finding) = (sequence, Some(finding));
                true
            }
            None => false,
        }
    }

    /// Drops programs before the last: stretches, halves first, then single ones.
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

    /// Closes windows that need not stay open.
    fn close_windows(&mut self) {
        for index in 0..self.best.parts.len() {
            if self.best.parts[index].left_open {
                let mut sequence = self.best.clone();
                sequence.parts[index].left_open = false;
                self.attempt(sequence);
            }
        }
    }

    /// Shrinks each program within the sequence, the last one first.
    fn shrink_programs(&mut self) {
        for index in (0..self.best.parts.len()).rev() {
            let program = self.best.parts[index].program.clone();
            let shrunk = shrink(&mut Within { shrinker: self, index }, &program, Limits::default());
            if let Some(shrunk) = shrunk {
                let mut sequence = self.best.clone();
                sequence.parts[index].program = shrunk.program;
                self.attempt(sequence);
            }
        }
    }
}

/// Judges one program of a sequence by what the sequence shows with it.
struct Within<'a> {
    shrinker: &'a mut SequenceShrinker,
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

    /// A sequence begins with a fresh subject each time.
    fn renew(&mut self) -> bool {
        true
    }

    fn any_dialect(&self) -> bool {
        self.shrinker.panel.any_dialect()
    }

    fn is_costly(&self, from: &Program, to: &Program) -> bool {
        self.shrinker.panel.is_costly(from, to)
    }
}
