//! Measures a corpus: the forms of its files, the values in its programs, and the rules that its programs decide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use contract::Program;
use contract::description::{Item, MemoryModel};
use contract::visit::{Field, Notation, visit};

use crate::check::feedback::Feedback;
use crate::check::{Checker, Finding, Handled, NotCompared, Observation, Tally, Verdict};
use programs::inputs::{Input, Stored};

/// Number of programs of a corpus, by the form in which their files keep them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Forms {
    /// Number of programs that are packed exactly as the encoder writes them.
    pub packed: u64,
    /// Number of programs that are packed, but not exactly as the encoder writes them: the reader repaired or ignored
    /// something.
    pub mended: u64,
    /// Number of programs whose files hold only decisions of the generator, without a header.
    pub decisions: u64,
    /// Number of files that are packed in another version of the encoding. They are not read, and no other count
    /// includes them.
    pub other: u64,
    /// Programs that are kept as text.
    pub text: u64,
}

/// How many steps of one kind ran, and how many did not.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StepCounts {
    /// Number of steps that ran and on which the reference and the subject agreed.
    pub run: u64,
    /// Number of steps that were skipped because their precondition failed, or not asked because the subject does not
    /// cover them.
    pub skipped: u64,
}

/// The least, the median and the largest of some numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Spread {
    /// The least number.
    pub min: u64,
    /// The median. For an even count of numbers, the lower of the two in the middle.
    pub median: u64,
    /// The largest number.
    pub max: u64,
}

impl Spread {
    /// Returns the spread of `numbers`; all zeros if there are none.
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

/// The values of fields. The key is the first word of the line in the text form (for hypercalls the name of the call)
/// and the field.
pub type Fields = BTreeMap<(&'static str, Field), Values>;

/// The values that one field has in the programs of a corpus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Values {
    /// Number of values that were seen.
    pub count: u64,
    /// The least value that was seen.
    pub min: i128,
    /// The largest value that was seen.
    pub max: i128,
    /// Number of low bits of the field that a valid program can set, from 1 to 64.
    pub width: u32,
    /// The bits that are 0 in at least one value.
    zeros: u64,
    /// The bits that are 1 in at least one value.
    ones: u64,
}

impl Values {
    /// Makes the values of a field of which no value was seen yet. `width` is the number of low bits that can be set.
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

    /// Returns how many of the low [width](Self::width) bits are 0 in at least one value and 1 in at least one other
    /// value.
    #[must_use]
    pub const fn seen_both(&self) -> u32 {
        (self.zeros & self.ones & (u64::MAX >> (64 - self.width))).count_ones()
    }
}

/// The figures of a corpus: for example its forms, sizes, values and rules.
#[derive(Clone, Default, Debug)]
pub struct Stats {
    /// Number of programs, by the form in which their files keep them.
    pub forms: Forms,
    /// Size of each program's file, in bytes.
    pub bytes: Vec<u64>,
    /// Number of steps of each program.
    pub steps: Vec<u64>,
    /// Number of steps by kind, run and not run. The step that shows a finding and the steps after it are not counted.
    pub kinds: BTreeMap<&'static str, StepCounts>,
    /// Number of programs by the name of their memory model.
    pub models: BTreeMap<&'static str, u64>,
    /// Number of programs by the name of their dialect.
    pub dialects: BTreeMap<&'static str, u64>,
    /// The values of every field of the machines of the programs.
    pub machine_fields: Fields,
    /// The values of every field of the steps of the programs, whether the steps ran or not.
    pub step_fields: Fields,
    /// The counts of all programs that were checked, added up.
    pub tally: Tally,
    /// Which [combinations](crate::check::feedback) of rule, outcome, memory model and mode the programs reached. Each
    /// has the number under which fuzz targets report it to engines.
    pub combinations: BTreeSet<usize>,
    /// The findings that programs show, each with the path of the program's file.
    pub findings: Vec<(PathBuf, Finding)>,
    /// The programs that were not compared or only in part, each with the path of its file. Their steps and rules are
    /// counted as far as they ran.
    pub not_compared: Vec<(PathBuf, NotCompared)>,
}

impl Stats {
    /// Adds a program to the figures: counts the program and its values, and checks the program with `checker`. `file`
    /// is the path of the program's file.
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
    /// Adds the values of all fields of the program to the figures.
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
