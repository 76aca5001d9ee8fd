//! Measures a corpus: how its programs are kept, their values, and the rules that they decide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use contract::Program;
use contract::description::{Item, MemoryModel};
use contract::visit::{Field, Notation, visit};

use crate::check::feedback::Feedback;
use crate::check::{Checker, Finding, Handled, NotCompared, Observation, Tally, Verdict};
use programs::inputs::{Input, Stored};

/// Number of programs by the form in which they are kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Forms {
    /// Packed, exactly as the encoder writes them.
    pub packed: u64,
    /// Packed, and repaired when they were read.
    pub mended: u64,
    /// Decisions of the generator, without a header.
    pub decisions: u64,
    /// Packed in another version of the encoding. They are not read and counted nowhere else.
    pub other: u64,
    /// As text.
    pub text: u64,
}

/// How often steps of one kind ran and were skipped.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StepCounts {
    /// Steps that ran and on which both sides agreed.
    pub run: u64,
    /// Steps that were skipped because their precondition failed, or left out because the subject does not cover them.
    pub skipped: u64,
}

/// Least, median and largest of some numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Spread {
    /// The least number.
    pub min: u64,
    /// The median; of an even number of numbers, the lower of the two in the middle.
    pub median: u64,
    /// The largest number.
    pub max: u64,
}

impl Spread {
    /// Returns the spread of these numbers; all zeros for none.
    #[must_use]
    pub fn of(numbers: &[u64]) -> Self {
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable();
        match (sorted.first(), sorted.last()) {
            (Some(&min), Some(&max)) => Self { min, median: sorted[(sorted.len() - 1) / 2], max },
            _ => Self::default(),
        }
    }
}

/// Values of fields, by the word that the line in the text form begins with (for hypercalls, the call's name) and the
/// field.
pub type Fields = BTreeMap<(&'static str, Field), Values>;

/// The values that one field has in a corpus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Values {
    /// Number of values.
    pub count: u64,
    /// Least value.
    pub min: i128,
    /// Largest value.
    pub max: i128,
    /// Number of low bits that a valid program can set, 1 to 64.
    pub width: u32,
    /// Bits that were 0 in some value.
    zeros: u64,
    /// Bits that were 1 in some value.
    ones: u64,
}

impl Values {
    /// Makes the values of a field that was not seen yet.
    const fn none(width: u32) -> Self {
        Self { count: 0, min: i128::MAX, max: i128::MIN, width, zeros: 0, ones: 0 }
    }

    fn add(&mut self, field: Field, number: u64) {
        let value = if field.notation() == Notation::Signed { (number as i64).into() } else { number.into() };
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.ones |= number;
        self.zeros |= !number;
    }

    /// Returns how many of the low [width](Self::width) bits are 0 in some value and 1 in another.
    #[must_use]
    pub const fn seen_both(&self) -> u32 {
        (self.zeros & self.ones & (u64::MAX >> (64 - self.width))).count_ones()
    }
}

/// The figures of a corpus.
#[derive(Clone, Default, Debug)]
pub struct Stats {
    /// Number of programs by the form in which they are kept.
    pub forms: Forms,
    /// Sizes of the files in bytes, one for each program.
    pub bytes: Vec<u64>,
    /// Numbers of steps, one for each program.
    pub steps: Vec<u64>,
    /// Steps by kind. Steps from a finding on are not counted.
    pub kinds: BTreeMap<&'static str, StepCounts>,
    /// Number of programs by memory model.
    pub models: BTreeMap<&'static str, u64>,
    /// Number of programs by dialect.
    pub dialects: BTreeMap<&'static str, u64>,
    /// Values of every field of the programs' machines.
    pub machine_fields: Fields,
    /// Values of every field of the programs' steps, whether the steps ran or not.
    pub step_fields: Fields,
    /// Counts of all runs.
    pub tally: Tally,
    /// The [combinations](crate::check::feedback) that the programs reached, which targets report to engines.
    pub combinations: BTreeSet<usize>,
    /// Programs that show a finding, with their files.
    pub findings: Vec<(PathBuf, Finding)>,
    /// Programs of which something was not compared. Their steps and rules are counted as far as they ran.
    pub not_compared: Vec<(PathBuf, NotCompared)>,
}

impl Stats {
    /// Counts a program, and runs it on `checker`.
    pub fn add(&mut self, checker: &mut Checker, file: &Path, input: &Input) {
        let Input { stored, bytes, program } = input;
        *match stored {
            Stored::Text => &mut self.forms.text,
            Stored::Packed => &mut self.forms.packed,
            Stored::Mended => &mut self.forms.mended,
            Stored::Decisions => &mut self.forms.decisions,
        } += 1;
        self.bytes.push(*bytes);
        self.steps.push(program.steps.len() as u64);
        *self.dialects.entry(program.dialect.name()).or_default() += 1;
        let model = match program.machine.memory {
            MemoryModel::Flatmem { .. } => "flatmem",
            MemoryModel::SparsememVmemmap { .. } => "sparsemem-vmemmap",
        };
        *self.models.entry(model).or_default() += 1;
        self.add_fields(program);
        let (kinds, combinations) = (&mut self.kinds, &mut self.combinations);
        let feedback = Feedback::new(&program.machine);
        let verdict = checker.check_watched(program, &mut |seen: &Observation<'_>| {
            combinations.extend(feedback.of(seen));
            let counts = kinds.entry(seen.step.kind().name()).or_default();
            *(if seen.handled == Handled::Skipped { &mut counts.skipped } else { &mut counts.run }) += 1;
        });
        self.tally.add(checker.tally());
        match verdict {
            Verdict::Agreed => {}
            Verdict::NotCompared(not) => self.not_compared.push((file.into(), not)),
            Verdict::Finding(finding) => self.findings.push((file.into(), *finding)),
            // A program that was read from a file is always valid.
            Verdict::Invalid(_) => {}
        }
    }
    /// Adds the program's values to the fields.
    fn add_fields(&mut self, program: &Program) {
        visit(program, &mut |place, number| {
            let (fields, line) = match place.item {
                Item::Step(index) => (&mut self.step_fields, program.steps[index].kind().name()),
                item => (&mut self.machine_fields, item.word()),
            };
            let values = fields.entry((line, place.field)).or_insert_with(|| Values::none(place.bits()));
            values.add(place.field, number);
        });
    }
}
