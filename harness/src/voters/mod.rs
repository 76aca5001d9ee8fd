//! Voters: everybody who can be compared with the reference, each as far as it shows.
//!
//! | voter | what it shows |
//! |---|---|
//! | a [`Checker`] of a subject | everything: registers, probes, the whole of real memory, every access |
//! | an [`Isolated`](isolate::Isolated) subject, in a process of its own | the same |
//! | [`Qemu`](qemu::Qemu) | registers after a hypercall and, through H_GET_TCE, the tables |
//! | [`Model`](model::Model), the reference in another dialect | registers and tables |
//!
//! A [`Roster`] says who votes, as data; each thread makes a [`Panel`] of it, which puts programs to all of them. Where
//! a voter differs from the reference, the difference may have been [declared](ledger).
//!
//! A new voter is a module here: it implements [`Voter`], and [`Candidacy`] to be made on each thread, and stands in
//! [`roster::KINDS`] if `--against` is to name it. Two things need not be written again:
//!
//! | module | what it does |
//! |---|---|
//! | [`ahead`] | runs the reference ahead of a machine that answers late and in order, and compares its answers |
//! | [`restart`] | starts again what is lost, and finds out which program is to blame |

pub mod ahead;
pub mod isolate;
pub mod ledger;
pub mod model;
mod panel;
pub mod qemu;
pub mod restart;
pub mod roster;

use std::fmt;

use contract::{Dialect, Program};

use crate::check::{Checker, Ending, Field, Tally, Verdict, Watch};

pub use panel::{Panel, Roll, VoterTally};
pub use roster::{Candidacy, Roster};

/// What a voter shows of a run, as a set. What it shows is compared with the reference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Shows(u16);

impl Shows {
    /// Registers after a hypercall.
    pub const REGISTERS: Self = Self(1);
    /// The guest values of tables.
    pub const TABLES: Self = Self(1 << 1);
    /// Hardware entries of tables.
    pub const HARDWARE: Self = Self(1 << 2);
    /// Answers of probes.
    pub const PROBES: Self = Self(1 << 3);
    /// Reference counts.
    pub const COUNTS: Self = Self(1 << 4);
    /// Flags and other words of struct pages.
    pub const FLAGS: Self = Self(1 << 5);
    /// The host page table.
    pub const PAGE_TABLE: Self = Self(1 << 6);
    /// Guest memory.
    pub const MEMORY: Self = Self(1 << 7);
    /// Which accesses were made, in which mode and order.
    pub const ACCESSES: Self = Self(1 << 8);
    /// All of it.
    pub const ALL: Self = Self((1 << 9) - 1);

    const NAMES: [(Self, &str); 9] = [
        (Self::REGISTERS, "registers"),
        (Self::TABLES, "tables"),
        (Self::HARDWARE, "hardware tables"),
        (Self::PROBES, "probes"),
        (Self::COUNTS, "counts"),
        (Self::FLAGS, "flags"),
        (Self::PAGE_TABLE, "page table"),
        (Self::MEMORY, "memory"),
        (Self::ACCESSES, "accesses"),
    ];

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is shown.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What shows a field; whether a subject runs at all is seen of every voter.
    #[must_use]
    pub const fn of(field: Field) -> Self {
        match field {
            Field::Status | Field::R4 | Field::Registers => Self::REGISTERS,
            Field::GuestValue => Self::TABLES,
            Field::HardwareEntry => Self::HARDWARE,
            Field::Lookup | Field::Probe => Self::PROBES,
            Field::Count => Self::COUNTS,
            Field::PageFlags | Field::StructPage => Self::FLAGS,
            Field::PageTable => Self::PAGE_TABLE,
            Field::Memory | Field::VmemmapList => Self::MEMORY,
            Field::RealMode | Field::Accesses | Field::Address | Field::List | Field::Allocation => Self::ACCESSES,
            Field::Panic | Field::Hang | Field::Process | Field::Interface | Field::Harness => Self(0),
        }
    }
}

/// The names of what is shown, such as `registers, tables`.
impl fmt::Display for Shows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("registers, probes and all of memory");
        }
        let names = Self::NAMES.iter().filter(|(shown, _)| self.contains(*shown)).map(|(_, name)| *name);
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

/// How closely voters look that must be asked for their tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Look {
    /// Now and then after a call, and at the end of each program: small windows whole, large ones in part and now and
    /// then whole. For campaigns.
    #[default]
    Brief,
    /// At the ends of what each call may have written, and at the end of each program, large windows in part. For
    /// shrinking: what is seen does not depend on how many calls came before.
    EachCall,
    /// At everything that each call may have written, and at all windows whole at the end. For single programs.
    Whole,
}

/// A program as it is put to a voter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// The program, which is valid.
    pub program: Program,
    /// Whether a subject that has seen no other program runs it, beside the one that runs the others.
    pub fresh: bool,
    /// How it ends.
    pub ending: Ending,
}

impl From<Program> for Task {
    fn from(program: Program) -> Self {
        Self { program, fresh: false, ending: Ending::Close }
    }
}

/// A voter that is gone for good: nothing can be put to it any more. The text says why and what helps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// Something odd that is no finding: what happened, and the program that was running (its place among those that were
/// handed over).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incident {
    /// Which program.
    pub program: usize,
    /// What happened.
    pub what: String,
}

/// What a voter tells while it works.
pub enum Told {
    /// The verdict on a program; they come in order, one a program.
    Verdict(usize, Verdict),
    /// It was lost and is back.
    Incident(Incident),
}

/// Somebody who can be compared with the reference.
pub trait Voter {
    /// The name in reports and ledgers.
    fn name(&self) -> &str;

    /// What it shows.
    fn shows(&self) -> Shows;

    /// The dialect in which it answers whatever the program's is; `None` where it answers in the program's.
    fn own_dialect(&self) -> Option<Dialect> {
        None
    }

    /// How many programs it likes to be handed at once.
    fn group(&self) -> usize {
        1
    }

    /// Whether going from one program to another costs it far more than most ways, such as a machine that must be
    /// booted.
    fn is_costly(&self, _from: &Program, _to: &Program) -> bool {
        false
    }

    /// Table entries that it was asked for beyond the programs' own calls, since it was made.
    fn read_back(&self) -> u64 {
        0
    }

    /// Forgets every program that it has seen. Answers false where it cannot.
    ///
    /// # Errors
    /// The voter is gone.
    fn renew(&mut self) -> Result<bool, Unavailable>;

    /// Puts programs to it, and tells what comes of each, in order. Counts go to `tally`.
    ///
    /// # Errors
    /// The voter is gone. What was told until then stands.
    fn vote(&mut self, tasks: &[Task], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable>;
}

impl Voter for Checker {
    fn name(&self) -> &str {
        self.subject()
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }

    fn renew(&mut self) -> Result<bool, Unavailable> {
        Self::renew(self).map_err(Unavailable)
    }

    fn vote(&mut self, tasks: &[Task], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable> {
        for (index, task) in tasks.iter().enumerate() {
            tell(Told::Verdict(index, self.check_task(task, tally, &mut ())));
        }
        Ok(())
    }
}

impl Checker {
    /// Checks a task whose program is known to be valid, adding to `tally`.
    pub(crate) fn check_task(&mut self, task: &Task, tally: &mut Tally, watch: &mut dyn Watch) -> Verdict {
        let Task { program, fresh, ending } = task;
        match fresh {
            true => self.check_aside(program, *ending, tally, watch),
            false => self.check_into(program, *ending, tally, watch),
        }
    }
}
