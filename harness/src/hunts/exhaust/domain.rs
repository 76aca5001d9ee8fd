//! The domain of an exhaustive run: its machines, the steps on each machine, and a number for every program.
//!
//! **Machines.** Each memory model has four machines with the same number of sections: two alphabets, each on two
//! layouts.
//!
//! | alphabet | host pages | struct pages | pinned window | emulated window |
//! |---|---|---|---|---|
//! | tables | 64 KiB | 56 bytes | 3 entries of 4 KiB | 2 entries |
//! | tables | 4 KiB | 64 bytes | 3 entries of 4 KiB | 513 entries |
//! | pages | 4 KiB | 56 bytes | 2 entries of 4 KiB | 1 entry |
//! | pages | 64 KiB | 64 bytes, in one block for four sections | 2 entries of 64 KiB | 1 entry |
//!
//! The alphabet *tables* has every hypercall at its edge values, lists and slots. The alphabet *pages* has lookups,
//! references, mappings, compound pages, and sections that steps add and remove.
//!
//! **Programs.** The programs of a machine are all sequences of 0 to N steps of its alphabet. A sequence comes before
//! its extensions, and extensions come in the order of the alphabet. This order gives each program its number.

use contract::{Dialect, Program};
use programs::store;

use super::ground::{Ground, Layout};
use super::{pages, tables};

pub use super::ground::Model;
pub use super::scene::Scene;

/// Largest number of sections that a domain can have.
pub const MAX_SECTIONS: u64 = 4;
/// Largest number of programs that a domain can have. A larger domain would take many cores for weeks.
pub const MAX_PROGRAMS: u64 = 1 << 40;
/// Largest number of programs that a unit should have. Stems are made long enough for this number, as far as the bound
/// on steps allows.
const UNIT_PROGRAMS: u64 = 300_000;
/// Number of units that each machine should have at least, if the bound on steps allows so many.
const UNITS: u64 = 512;

/// The bound of a domain: how many sections, steps and memory models, and which dialect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Number of sections of memory, from 1 to [`MAX_SECTIONS`].
    pub sections: u64,
    /// Largest number of steps that a program has.
    pub steps: usize,
    /// The memory models, in the order in which their programs are numbered.
    pub models: Vec<Model>,
    /// The dialect of all programs, in which answers are expected.
    pub dialect: Dialect,
}

/// Writes the arguments of `realmode exhaust` that give this bound.
impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sections, steps, dialect, .. } = self;
        let models = self.models_name();
        write!(f, "--sections {sections} --steps {steps} --memory-model {models} --dialect {dialect}")
    }
}

impl Bound {
    /// Returns the memory models as an argument of `realmode exhaust`: `flatmem`, `sparsemem-vmemmap` or `both`.
    #[must_use]
    pub fn models_name(&self) -> &'static str {
        match self.models[..] {
            [Model::Flatmem] => "flatmem",
            [Model::SparsememVmemmap] => "sparsemem-vmemmap",
            _ => "both",
        }
    }
}

/// A machine of the domain with its alphabet, and how its programs are numbered.
pub(super) struct Part {
    pub scene: Scene,
    /// Number of the machine's first program in the domain, from 0.
    pub offset: u64,
    /// `trees[d]` is the number of sequences of 0 to d steps, for d from 0 to the bound. It is also the number of
    /// programs made of one sequence and all its extensions by up to d steps.
    pub trees: Vec<u64>,
    /// Number of steps of a stem: the steps that all programs of one unit begin with. 0 if the whole machine is one
    /// unit.
    pub stem: usize,
    /// Number of the machine's first unit in the domain, from 0.
    pub first_unit: u64,
}

/// The programs of one unit of work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    /// All sequences of steps that are shorter than the stems of the machine.
    Short,
    /// One stem with all its extensions. The stem is given as indices into the alphabet, from 0.
    Stem(Vec<u16>),
}

/// Every program up to a bound, each with a number.
pub struct Domain {
    bound: Bound,
    pub(super) parts: Vec<Part>,
    programs: u64,
    units: u64,
}

impl Domain {
    /// Makes the domain of a bound.
    ///
    /// # Errors
    /// Fails if the number of sections is not in 1 to [`MAX_SECTIONS`], or if there are more than [`MAX_PROGRAMS`]
    /// programs; the text gives the number.
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

    /// Adds the machine of a scene to the domain, and chooses how many steps the stems of the machine's units have.
    fn add(&mut self, scene: Scene) {
        let steps = self.bound.steps;
        let letters = scene.alphabet.len() as u64;
        // Cannot fail, because the sum over all machines fits.
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

    /// Returns the bound of this domain.
    #[must_use]
    pub const fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Returns the number of programs in this domain.
    #[must_use]
    pub const fn programs(&self) -> u64 {
        self.programs
    }

    /// Returns the number of units of work in this domain.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// Returns the machines of this domain with their alphabets, in the order in which their programs are numbered.
    pub fn scenes(&self) -> impl Iterator<Item = &Scene> {
        self.parts.iter().map(|part| &part.scene)
    }

    /// Returns the number of programs of the machine with this index, from 0; 0 if there is no such machine.
    #[must_use]
    pub fn programs_of(&self, scene: usize) -> u64 {
        self.parts.get(scene).map_or(0, |part| part.trees[self.bound.steps])
    }

    /// Returns the program with this number, from 0; `None` if there is no such program.
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

    /// Returns the number in the domain of the program with these steps on the part's machine. `letters` are the steps
    /// as indices into the part's alphabet, from 0.
    pub(super) fn number(&self, part: &Part, letters: &[u16]) -> u64 {
        let place = |(depth, &letter): (usize, &u16)| 1 + u64::from(letter) * part.trees[self.bound.steps - depth - 1];
        part.offset + letters.iter().enumerate().map(place).sum::<u64>()
    }

    /// Returns the unit with this number, from 0, and the part with the machine that the unit belongs to. The number
    /// must be below [`units`](Self::units).
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

    /// Returns the index, from 0, of the machine that the unit with this number belongs to.
    pub(super) fn scene_of_unit(&self, number: u64) -> usize {
        self.parts.partition_point(|part| part.first_unit <= number) - 1
    }

    /// Returns the number of programs in the unit with this number, from 0.
    pub(super) fn programs_of_unit(&self, number: u64) -> u64 {
        match self.unit(number) {
            (part, Unit::Short) => part.trees[part.stem - 1],
            (part, Unit::Stem(_)) => part.trees[self.bound.steps - part.stem],
        }
    }

    /// Returns 16 hexadecimal digits that differ from domain to domain: a hash of the bound and of all machines and
    /// steps.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", store::hash(self.to_string()))
    }
}

/// Writes each machine of the domain as a program whose steps are the machine's alphabet.
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

/// Returns `trees` with `trees[d]` = 1 + a + ... + a^d for d from 0 to `steps`, where a is `letters`. Returns `None` if
/// one of these numbers does not fit 128 bits.
fn trees(letters: u128, steps: usize) -> Option<Vec<u128>> {
    // A very large `steps` takes no time and no memory, because 2^128 is passed long before.
    let mut trees = vec![1u128];
    while trees.len() <= steps {
        let last = trees.last().copied()?;
        trees.push(last.checked_mul(letters)?.checked_add(1)?);
    }
    Some(trees)
}
