//! The focus of a fuzz target: which part of a program it runs.
//!
//! All targets share one corpus of whole programs. Each target removes the kinds of steps that it does not run, and the
//! parts of the machine that only such steps use. A step that needed a removed step now has a precondition that fails,
//! so the step is skipped.

use std::fmt;

use contract::{Program, Step, hcall};

/// The part of programs that a fuzz target runs. Each target that runs programs has one focus; `canary` has that of
/// `program`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Focus {
    /// Runs `hot-add`, `hot-remove` and lookups of pfns. The machine has no guest and no windows.
    Lookup,
    /// Runs lookups, conditional references, and every host step except those on windows, but no `write` steps. The
    /// machine has no windows.
    References,
    /// Runs H_PUT_TCE, H_GET_TCE, unknown opcodes, probes, and every host step, but no `write` steps.
    PutTce,
    /// Runs every kind of step except H_PUT_TCE.
    Indirect,
    /// Runs whole programs: every kind of step.
    #[default]
    Program,
}

impl Focus {
    /// All foci. The first keeps the least of a program, the last everything.
    pub const ALL: [Self; 5] = [Self::Lookup, Self::References, Self::PutTce, Self::Indirect, Self::Program];

    /// Returns the name of the fuzz target that has this focus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::References => "references",
            Self::PutTce => "put_tce",
            Self::Indirect => "indirect",
            Self::Program => "program",
        }
    }

    /// Returns the focus with this [`name`](Self::name); `None` for every other name, also for `canary`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|focus| focus.name() == name)
    }

    /// Returns whether this focus keeps the DMA windows of a program.
    #[must_use]
    pub const fn has_windows(self) -> bool {
        !matches!(self, Self::Lookup | Self::References)
    }

    /// Returns whether this focus keeps the guest of a program: memory slots, page table, own references and compound
    /// pages.
    #[must_use]
    pub const fn has_guest(self) -> bool {
        !matches!(self, Self::Lookup)
    }

    /// Returns whether this focus runs steps of the kind of `step`.
    #[must_use]
    pub fn keeps(self, step: &Step) -> bool {
        match step {
            Step::Hypercall { call, .. } => match self {
                Self::Lookup | Self::References => false,
                Self::PutTce => !matches!(call.opcode, hcall::H_STUFF_TCE | hcall::H_PUT_TCE_INDIRECT),
                Self::Indirect => call.opcode != hcall::H_PUT_TCE,
                Self::Program => true,
            },
            Step::Lookup { .. } | Step::HotAdd { .. } | Step::HotRemove { .. } => true,
            Step::Write { .. } => matches!(self, Self::Indirect | Self::Program),
            Step::CreateWindow(_) | Step::CloseWindow { .. } => self.has_windows(),
            _ => self.has_guest(),
        }
    }

    /// Removes from a valid program the steps that this focus does not run, and the parts of the machine that only such
    /// steps use. The program stays valid.
    pub fn apply(self, program: &mut Program) {
        if self == Self::Program {
            return;
        }
        program.steps.retain(|step| self.keeps(step));
        let machine = &mut program.machine;
        if !self.has_windows() {
            machine.windows.clear();
        }
        if !matches!(self, Self::Indirect) {
            machine.ram.clear();
        }
        if !self.has_guest() {
            machine.slots.clear();
            machine.mappings.clear();
            machine.pages.clear();
            machine.compounds.clear();
        }
    }
}

impl fmt::Display for Focus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
