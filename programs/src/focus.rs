//! Which part of a program a fuzz target runs.
//!
//! All targets share one corpus of whole programs. Each looks at its part of them: steps of other kinds are left out,
//! and so is what only those would use. A step that is left out may have been what another one waits for; then that one
//! is skipped, like any step whose precondition fails.

use std::fmt;

use contract::{Program, Step, hcall};

/// The part of programs that a fuzz target runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Focus {
    /// Memory layouts, hot-plug, and lookups of pfns: no guest, no windows.
    Lookup,
    /// Conditional references and everything the host does with pages: no windows.
    References,
    /// H_PUT_TCE, H_GET_TCE, and everything the host does meanwhile.
    PutTce,
    /// H_PUT_TCE_INDIRECT, H_STUFF_TCE, H_GET_TCE, lists, and everything the host does meanwhile.
    Indirect,
    /// Whole programs.
    #[default]
    Program,
}

impl Focus {
    /// All of them, the smallest first.
    pub const ALL: [Self; 5] = [Self::Lookup, Self::References, Self::PutTce, Self::Indirect, Self::Program];

    /// The name of the fuzz target.
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

    /// The focus of the fuzz target with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|focus| focus.name() == name)
    }

    /// Whether programs keep their DMA windows.
    #[must_use]
    pub const fn has_windows(self) -> bool {
        !matches!(self, Self::Lookup | Self::References)
    }

    /// Whether programs keep their guest: slots and page table.
    #[must_use]
    pub const fn has_guest(self) -> bool {
        !matches!(self, Self::Lookup)
    }

    /// Whether the step is of a kind that this focus runs.
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

    /// Leaves out of a sound program what this focus does not run; it stays sound.
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
