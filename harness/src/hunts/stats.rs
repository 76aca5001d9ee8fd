//! What a corpus is made of, and what running it decides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use contract::Program;
use contract::description::{Item, MemoryModel};
use contract::visit::{Field, Notation, visit};

use crate::check::feedback::Feedback;
use crate::check::{Checker, Finding, Handled, NotCompared, Observation, Tally, Verdict};
use programs::inputs::{Input, Stored};

/// Programs by how they are kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Forms {
    /// Packed as encoding writes it.
    pub packed: u64,
    /// Packed, but mended on reading.
    pub mended: u64,
    /// Decisions of the generator.
    pub decisions: u64,
    /// Packed in another version of the encoding: not read, and counted nowhere else.
    pub other: u64,
    /// Text.
    pub text: u64,
}

/// How often steps of one kind ran.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StepCounts {
    /// They ran, and both sides agreed.
    pub run: u64,
    /// They were skipped, for their precondition failed.
    pub skipped: u64,
}

/// The least, middle and largest of some numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Spread {
    /// The least.
    pub min: u64,
    /// The middle one; the lower of two.
    pub median: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    /// Of these numbers; all zero for none.
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

/// Values of fields, by the word that a line begins with (for hypercalls, their name) and the field.
pub type Fields = BTreeMap<(&'static str, Field), Values>;

/// The values of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Values {
    /// How many there are.
    pub count: u64,
    /// The least.
    pub min: i128,
    /// The largest.
    pub max: i128,
    /// How many low bits a valid program can set.
    pub width: u32,
    /// Bits that were 0 in some value.
    zeros: u64,
    /// Bits that were 1 in some value.
    ones: u64,
}

impl Values {
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

    /// Of the [width](Self::width): the bits that were 0 in some value and 1 in another.
    #[must_use]
    pub const fn seen_both(&self) -> u32 {
        (self.zeros & self.ones & (u64::MAX >> (64 - self.width))).count_ones()
    }
}

/// The figures of a corpus.
#[derive(Clone, Default, Debug)]
pub struct Stats {
    /// How the programs are kept.
    pub forms: Forms,
    /// Sizes of the files in bytes.
    pub bytes: Vec<u64>,
    /// Steps of the programs.
    pub steps: Vec<u64>,
    /// By kind of step; steps from a finding on are not counted.
    pub kinds: BTreeMap<&'static str, StepCounts>,
    /// Programs by memory model.
    pub models: BTreeMap<&'static str, u64>,
    /// Programs by dialect.
    pub dialects: BTreeMap<&'static str, u64>,
    /// The values of every field of their machines.
    pub machine_fields: Fields,
    /// The values of every field of their steps, whether these ran or not.
    pub step_fields: Fields,
    /// What running them decided.
    pub tally: Tally,
    /// The [combinations](crate::check::feedback) that they reached: what engines are told of.
    pub combinations: BTreeSet<usize>,
    /// Programs that show a finding.
    pub findings: Vec<(PathBuf, Finding)>,
    /// Programs of which something was not compared; their steps and rules are counted as far as they ran.
    pub not_compared: Vec<(PathBuf, NotCompared)>,
}

impl Stats {
    /// Counts a program, and runs it.
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
            // What reading gives is sound.
            Verdict::Invalid(_) => {}
        }
    }
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
