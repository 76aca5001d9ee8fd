//! The domain: which machines, which steps on each, and a number for every program.
//!
//! **Machines.** For each memory model four, on the same number of sections: two alphabets, each on two layouts.
//!
//! | alphabet | layout |
//! |---|---|
//! | tables: every hypercall at its edge values, lists, slots | 64 KiB pages, struct pages of 56 bytes, 4 KiB pinned window, a short emulated one |
//! | tables | 4 KiB pages, struct pages of 64 bytes, 4 KiB pinned window, an emulated one of 513 entries |
//! | pages: lookups, references, mappings, compound pages, sections that come and go | 4 KiB pages, struct pages of 56 bytes |
//! | pages | 64 KiB pages, struct pages of 64 bytes, a block for four sections |
//!
//! **Programs.** Every sequence of 0 to N steps of a machine's alphabet. A sequence comes before its extensions, and
//! extensions come in the order of the alphabet; that order gives each program its number.

use contract::{Dialect, Program};
use programs::store;

use super::ground::{Ground, Layout};
use super::{pages, tables};

pub use super::ground::Model;
pub use super::scene::Scene;

/// Most sections.
pub const MAX_SECTIONS: u64 = 4;
/// Most programs of a domain: what takes many cores for weeks is no use.
pub const MAX_PROGRAMS: u64 = 1 << 40;
/// A unit of work has at most so many programs, where the number of steps allows it.
const UNIT_PROGRAMS: u64 = 300_000;
/// Each machine makes at least so many units, where the number of steps allows it.
const UNITS: u64 = 512;

/// What bounds a domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Sections of memory, 1 to [`MAX_SECTIONS`].
    pub sections: u64,
    /// Most steps of a program.
    pub steps: usize,
    /// Memory models, in order.
    pub models: Vec<Model>,
    /// Whose answers are expected.
    pub dialect: Dialect,
}

/// The arguments of `realmode exhaust` that name the domain.
impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sections, steps, dialect, .. } = self;
        let models = self.models_name();
        write!(f, "--sections {sections} --steps {steps} --memory-model {models} --dialect {dialect}")
    }
}

impl Bound {
    /// The word for the memory models.
    #[must_use]
    pub fn models_name(&self) -> &'static str {
        match self.models[..] {
            [Model::Flatmem] => "flatmem",
            [Model::SparsememVmemmap] => "sparsemem-vmemmap",
            _ => "both",
        }
    }
}

/// A machine of the domain and how its programs are counted.
pub(super) struct Part {
    pub scene: Scene,
    /// Number of the first program.
    pub offset: u64,
    /// `trees[d]`: sequences of 0 to d steps, that is a sequence with all its extensions by up to d steps.
    pub trees: Vec<u64>,
    /// Steps that the programs of a unit have in common.
    pub stem: usize,
    /// Number of the first unit.
    pub first_unit: u64,
}

/// What a unit of work holds: every extension of a stem, or all that is shorter than the stems.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    /// All sequences that are shorter than the stems.
    Short,
    /// The stem with its extensions.
    Stem(Vec<u16>),
}

/// Every program up to a bound.
pub struct Domain {
    bound: Bound,
    pub(super) parts: Vec<Part>,
    programs: u64,
    units: u64,
}

impl Domain {
    /// The domain.
    ///
    /// # Errors
    /// The bound is out of range; the text says the number of programs.
    pub fn new(bound: Bound) -> Result<Self, String> {
        let Bound { sections, steps, dialect, .. } = bound;
        if !(1..=MAX_SECTIONS).contains(&sections) {
            return Err(format!("{sections} sections are not in 1..={MAX_SECTIONS}"));
        }
        let mut scenes = Vec::new();
        for &model in &bound.models {
            let ground = |layout| Ground::new(model, sections, dialect, layout);
            let four = [
                tables::scene(&ground(Layout::WIDE_SPLIT), true, 2),
                tables::scene(&ground(Layout::NARROW), false, 513),
                pages::scene(&ground(Layout::NARROW_SPLIT)),
                pages::scene(&ground(Layout::WIDE_SHARED)),
            ];
            scenes.extend(four.into_iter().map(|scene| Scene {
                title: match model {
                    Model::Flatmem => format!("flatmem, {}", scene.title),
                    Model::SparsememVmemmap => format!("sparsemem-vmemmap, {}", scene.title),
                },
                ..scene
            }));
        }
        let total: Option<u128> = scenes
            .iter()
            .map(|scene| trees(scene.alphabet.len() as u128, steps).and_then(|trees| trees.last().copied()))
            .try_fold(0u128, |sum, tree| sum.checked_add(tree?));
        if total.is_none_or(|total| total > MAX_PROGRAMS.into()) {
            let total = total.map_or("more than 2^128".into(), |total| total.to_string());
            return Err(format!(
                "{total} programs of up to {steps} steps are more than {MAX_PROGRAMS} (2^40): fewer steps, please"
            ));
        }
        let mut domain = Self { bound, parts: Vec::new(), programs: 0, units: 0 };
        for scene in scenes {
            domain.add(scene);
        }
        Ok(domain)
    }

    fn add(&mut self, scene: Scene) {
        let steps = self.bound.steps;
        let letters = scene.alphabet.len() as u64;
        // The sum over all machines fits, so this does.
        let trees: Vec<u64> =
            trees(letters.into(), steps).unwrap_or_default().into_iter().map(|tree| tree as u64).collect();
        let enough = |stem: usize| trees[steps - stem] <= UNIT_PROGRAMS && letters.pow(stem as u32) >= UNITS;
        let stem = (0..steps).find(|&stem| enough(stem)).unwrap_or(steps.saturating_sub(1));
        let units = letters.pow(stem as u32) + u64::from(stem > 0);
        let (offset, first_unit) = (self.programs, self.units);
        self.programs += trees[steps];
        self.units += units;
        self.parts.push(Part { scene, offset, trees, stem, first_unit });
    }

    /// What bounds it.
    #[must_use]
    pub const fn bound(&self) -> &Bound {
        &self.bound
    }

    /// How many programs there are.
    #[must_use]
    pub const fn programs(&self) -> u64 {
        self.programs
    }

    /// How many units of work.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// The machines, in order.
    pub fn scenes(&self) -> impl Iterator<Item = &Scene> {
        self.parts.iter().map(|part| &part.scene)
    }

    /// Programs of the machine with that index, 0 where there is none.
    #[must_use]
    pub fn programs_of(&self, scene: usize) -> u64 {
        self.parts.get(scene).map_or(0, |part| part.trees[self.bound.steps])
    }

    /// The program of that number.
    #[must_use]
    pub fn program(&self, number: u64) -> Option<Program> {
        let part = self.parts.iter().rev().find(|part| part.offset <= number)?;
        let mut rest = number - part.offset;
        let mut left = self.bound.steps;
        if rest >= part.trees[left] {
            return None;
        }
        let mut program = part.scene.start.clone();
        while rest > 0 {
            left -= 1;
            let tree = part.trees[left];
            program.steps.push(part.scene.alphabet[((rest - 1) / tree) as usize].clone());
            rest = (rest - 1) % tree;
        }
        Some(program)
    }

    /// The number of a sequence of a part's letters.
    pub(super) fn number(&self, part: &Part, letters: &[u16]) -> u64 {
        let place = |(depth, &letter): (usize, &u16)| 1 + u64::from(letter) * part.trees[self.bound.steps - depth - 1];
        part.offset + letters.iter().enumerate().map(place).sum::<u64>()
    }

    /// The unit of that number, which is below [`units`](Self::units).
    pub(super) fn unit(&self, number: u64) -> (&Part, Unit) {
        let part = &self.parts[self.scene_of_unit(number)];
        let mut rest = number - part.first_unit;
        if part.stem > 0 {
            if rest == 0 {
                return (part, Unit::Short);
            }
            rest -= 1;
        }
        let letters = part.scene.alphabet.len() as u64;
        let mut stem = vec![0; part.stem];
        for letter in stem.iter_mut().rev() {
            *letter = (rest % letters) as u16;
            rest /= letters;
        }
        (part, Unit::Stem(stem))
    }

    /// Index of the machine whose unit that is.
    pub(super) fn scene_of_unit(&self, number: u64) -> usize {
        self.parts.partition_point(|part| part.first_unit <= number) - 1
    }

    /// Programs of the unit of that number.
    pub(super) fn programs_of_unit(&self, number: u64) -> u64 {
        match self.unit(number) {
            (part, Unit::Short) => part.trees[part.stem - 1],
            (part, Unit::Stem(_)) => part.trees[self.bound.steps - part.stem],
        }
    }

    /// 64 bits that tell this domain from others: of the bound and of every machine and step.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", store::hash(self.to_string()))
    }
}

/// Each machine as a program whose steps are its alphabet.
impl std::fmt::Display for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "# realmode exhaust {}: {} programs", self.bound, self.programs)?;
        for (index, part) in self.parts.iter().enumerate() {
            let Scene { title, start, alphabet } = &part.scene;
            let (letters, programs) = (alphabet.len(), part.trees[self.bound.steps]);
            let number = index + 1;
            writeln!(f, "\n# Machine {number}: {title}. {programs} programs of these {letters} steps.")?;
            write!(f, "{}", Program { steps: alphabet.clone(), ..start.clone() })?;
        }
        Ok(())
    }
}

/// `trees(a, n)[d]` = 1 + a + ... + a^d for d = 0 to n; `None` where one does not fit.
fn trees(letters: u128, steps: usize) -> Option<Vec<u128>> {
    // Far below, 2^128 is passed.
    let mut trees = vec![1u128];
    while trees.len() <= steps {
        let last = trees.last().copied()?;
        trees.push(last.checked_mul(letters)?.checked_add(1)?);
    }
    Some(trees)
}
