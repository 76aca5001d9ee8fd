//! Voters: every system that is compared with the reference, each as far as it shows its state.
//!
//! | voter | what it shows |
//! |---|---|
//! | a [`Checker`] of a subject | everything: registers, probes, the whole of real memory, every access |
//! | an [`Isolated`](isolate::Isolated) subject, in a process of its own | the same |
//! | [`Qemu`](qemu::Qemu) | registers after a hypercall and, through H_GET_TCE, the tables |
//! | [`Model`](model::Model), the reference in another dialect | registers and tables |
//!
//! A [`Roster`] lists the voters of a run, as data. Each thread makes a [`Panel`] of it, which sends each program to
//! all of them. A [`ledger`] may declare that a voter differs from the reference. Such a difference is no finding.
//!
//! A new voter is a module here. It implements [`Voter`], and [`Candidacy`] so that each thread can make one.
//! [`kinds::KINDS`] has it if `--against` can name it. Two modules do what several voters need:
//!
//! | module | what it does |
//! |---|---|
//! | [`ahead`] | runs the reference ahead of a machine that answers late and in order, and compares its answers |
//! | [`restart`] | starts a lost machine or process again, and decides which program caused the loss |

pub mod ahead;
pub mod isolate;
pub mod kinds;
pub mod ledger;
pub mod model;
mod panel;
pub mod qemu;
pub mod restart;
pub mod roster;

use std::fmt;

use contract::{Dialect, Program};

use crate::check::{Checker, Ending, Field, Tally, Verdict, Watch};

pub use crate::check::Unavailable;
pub use panel::{Panel, Roll, VoterTally};
pub use roster::{Candidacy, Roster};

/// What a voter shows of a run, as a set. The harness compares what is in the set with the reference, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Shows(u16);

impl Shows {
    /// The voter shows the registers after a hypercall.
    pub const REGISTERS: Self = Self(1);
    /// The voter shows the guest values in the tables of windows.
    pub const TABLES: Self = Self(1 << 1);
    /// The voter shows the hardware entries in the hardware tables of windows.
    pub const HARDWARE: Self = Self(1 << 2);
    /// The voter shows its answers to probes.
    pub const PROBES: Self = Self(1 << 3);
    /// The voter shows the reference counts of pages.
    pub const COUNTS: Self = Self(1 << 4);
    /// The voter shows the flags and the other words of struct pages, except the reference count.
    pub const FLAGS: Self = Self(1 << 5);
    /// The voter shows the host page table.
    pub const PAGE_TABLE: Self = Self(1 << 6);
    /// The voter shows guest memory and the vmemmap list.
    pub const MEMORY: Self = Self(1 << 7);
    /// The voter shows which accesses its code made, in which mode and in which order.
    pub const ACCESSES: Self = Self(1 << 8);
    /// The voter shows everything that the harness can compare.
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

    /// Returns the set of what `self` or `other` shows.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether this set has everything that is in `other`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns what a voter must show so that a difference in `field` can be seen. The set is empty for crashes, hangs,
    /// answers that the interface does not allow, and faults of the harness, which can be seen with every voter.
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

/// Writes the names of what the voter shows, such as `registers, tables`; for [`Shows::ALL`] one phrase that means
/// everything.
impl fmt::Display for Shows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("registers, probes and all of memory");
        }
        let names = Self::NAMES.iter().filter(|(shown, _)| self.contains(*shown)).map(|(_, name)| *name);
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

/// How many table entries the harness reads back, from voters whose tables can be read only through H_GET_TCE. Small
/// windows have at most 1,024 entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Look {
    /// The first 16 entries that a hypercall may have written, after one hypercall in eight. At the end of each
    /// program, small windows whole and large windows in part; large windows whole after one program in 64. For
    /// campaigns.
    #[default]
    Brief,
    /// The first 16 and the last 16 entries that each hypercall may have written. At the end of each program, small
    /// windows whole and large windows in part. For shrinking, because what is read does not depend on how many
    /// hypercalls came before.
    EachCall,
    /// All entries that each hypercall may have written, and all windows whole at the end of the program. For single
    /// programs.
    Whole,
}

/// A program as it is sent to a voter, and how the voter is to run it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// The program, which must be valid.
    pub program: Program,
    /// Whether a subject that is made for this program alone runs the program, if the voter can make one. Else the
    /// voter's usual subject runs it.
    pub fresh: bool,
    /// What the check does at the end of the program.
    pub ending: Ending,
}

impl From<Program> for Task {
    fn from(program: Program) -> Self {
        Self { program, fresh: false, ending: Ending::Close }
    }
}

/// The loss of a voter's machine or process that no verdict reports, mostly because it did not happen again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incident {
    /// Index of the program that was running, from 0, among the tasks of [`Voter::vote`].
    pub program: usize,
    /// What happened to the machine or process, in words, such as `QEMU ended by signal 9`.
    pub what: String,
}

/// What a voter reports while it works on tasks.
pub enum Told {
    /// The verdict on the task with this index, from 0. Verdicts come in the order of the tasks, one for each task.
    Verdict(usize, Verdict),
    /// The voter's machine or process was lost, and no verdict reports this loss.
    Incident(Incident),
}

/// A system that can be compared with the reference.
pub trait Voter {
    /// Returns the voter's name in reports and ledgers.
    fn name(&self) -> &str;

    /// Returns what of the voter's state can be compared. It is the same for every program.
    fn shows(&self) -> Shows;

    /// Returns the only dialect in which the voter answers; `None` if it answers in the dialect of each program.
    fn own_dialect(&self) -> Option<Dialect> {
        None
    }

    /// Returns how many tasks [`vote`](Self::vote) should get at once, for speed; at least 1.
    fn group(&self) -> usize {
        1
    }

    /// Returns whether the voter must do something slow, such as booting a machine, if it runs program `to` after
    /// program `from`. The shrinker tries only a few such programs.
    fn is_costly(&self, _from: &Program, _to: &Program) -> bool {
        false
    }

    /// Returns how many table entries the harness has read back from the voter and compared, since the voter was made.
    /// H_GET_TCE steps of programs do not count.
    fn read_back(&self) -> u64 {
        0
    }

    /// Makes the voter forget every program that it has run. Returns `false` if it cannot forget.
    ///
    /// # Errors
    /// Fails if the voter cannot be used any more.
    fn renew(&mut self) -> Result<bool, Unavailable>;

    /// Runs the tasks and passes a verdict on each task to `tell`, in order, and also each incident. Adds to `tally`
    /// one program for each verdict, and what else the voter can count.
    ///
    /// # Errors
    /// Fails if the voter cannot be used any more. The verdicts that it has passed on are valid.
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
    /// Checks a task whose program is known to be valid, on a new subject if the task asks for it and one can be made.
    /// Adds the counts to `tally`.
    pub(crate) fn check_task(&mut self, task: &Task, tally: &mut Tally, watch: &mut dyn Watch) -> Verdict {
        let Task { program, fresh, ending } = task;
        match fresh {
            true => self.check_aside(program, *ending, tally, watch),
            false => self.check_into(program, *ending, tally, watch),
        }
    }
}
