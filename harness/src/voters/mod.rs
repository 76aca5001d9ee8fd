//! Who answers programs: everybody who can be compared with the reference, each at the level that it shows.
//!
//! | voter | what it shows |
//! |---|---|
//! | a [`Checker`] of a subject | everything: registers, probes, the whole of real memory, every access |
//! | an [`Isolated`](crate::voters::isolate::Isolated) subject, in a process of its own | the same |
//! | [`Qemu`](crate::voters::qemu::Qemu) | registers after a hypercall and, through H_GET_TCE, the tables |
//! | [`Model`], the reference in another dialect | registers and tables |
//!
//! A [`Panel`] puts a program to all of them. The reference runs beside each; where a voter differs from it, the difference may have been
//! [declared](crate::voters::ledger).

pub mod isolate;
pub mod ledger;
mod model;
mod panel;
pub mod qemu;

use std::fmt;

use contract::Program;

use crate::check::lockstep::Checker;
use crate::check::verdict::{Finding, Tally};

pub use model::Model;
pub use panel::{Apart, Panel, Roll, VoterTally, Voters};

/// How much of a run a voter shows. What it shows is compared with the reference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// Registers after a hypercall, and tables.
    Tables,
    /// All of that, probes, real memory and what was done to it.
    Memory,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tables => "registers and tables",
            Self::Memory => "registers, probes and all of memory",
        })
    }
}

/// What a voter makes of one program, held against the reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ballot {
    /// It agreed from the first step to the end.
    Agreed,
    /// It cannot have this machine, or a step of the program cannot be put to it; why. What came before agreed.
    Uncovered(String),
    /// It differs.
    Finding(Box<Finding>),
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

/// Something odd that is no finding: what happened, and the program that was running (its place among those that were handed over).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incident {
    /// Which program.
    pub program: usize,
    /// What happened.
    pub what: String,
}

/// What a voter tells while it works.
pub enum Told {
    /// The ballot on a program; they come in order, one a program.
    Ballot(usize, Ballot),
    /// It was lost and is back.
    Incident(Incident),
}

/// Somebody who can be compared with the reference.
pub trait Voter {
    /// The name in reports and ledgers.
    fn name(&self) -> &str;

    /// What it shows.
    fn level(&self) -> Level;

    /// How many programs it likes to be handed at once.
    fn group(&self) -> usize {
        1
    }

    /// Whether going from one program to another costs it far more than most ways, such as a machine that must be booted.
    fn is_costly(&self, _from: &Program, _to: &Program) -> bool {
        false
    }

    /// Table entries that it was asked for beyond the programs' own calls, since it was made.
    fn read_back(&self) -> u64 {
        0
    }

    /// Puts valid programs to it, and tells what comes of each, in order. Counts go to `tally`.
    ///
    /// # Errors
    /// The voter is gone. What was told until then stands.
    fn vote(&mut self, programs: &[Program], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable>;
}

impl Voter for Checker {
    fn name(&self) -> &str {
        self.subject()
    }

    fn level(&self) -> Level {
        Level::Memory
    }

    fn vote(&mut self, programs: &[Program], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable> {
        for (index, program) in programs.iter().enumerate() {
            let ballot = match self.check_into(program, tally, &mut |_| {}) {
                Some(finding) => Ballot::Finding(finding),
                None => self.uncovered().map_or(Ballot::Agreed, |why| Ballot::Uncovered(why.into())),
            };
            tell(Told::Ballot(index, ballot));
        }
        Ok(())
    }
}
