//! The verdict: what comes of checking a program. Every way of running one answers it.

use std::fmt;

use contract::description::Invalid;
use contract::{Dialect, Liobn};
use serde::{Deserialize, Serialize};

use super::finding::{Finding, Place};

/// What comes of checking a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Everything was compared, from the start to the end of the program, and is equal.
    Agreed,
    /// Something was not compared. What was compared is equal.
    NotCompared(NotCompared),
    /// A rule was broken.
    Finding(Box<Finding>),
    /// The program describes no sound machine, so there is nothing to compare.
    Invalid(Invalid),
}

impl Verdict {
    /// The finding, if there is one.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Finding(finding) => Some(finding),
            _ => None,
        }
    }

    /// The finding, if there is one.
    #[must_use]
    pub fn into_finding(self) -> Option<Finding> {
        match self {
            Self::Finding(finding) => Some(*finding),
            _ => None,
        }
    }

    /// Whether anything of the program was compared.
    #[must_use]
    pub fn compared(&self) -> bool {
        match self {
            Self::Agreed | Self::Finding(_) => true,
            Self::NotCompared(NotCompared { compared, .. }) => *compared,
            Self::Invalid(_) => false,
        }
    }

    /// The word that names it in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::NotCompared(_) => "not compared",
            Self::Finding(_) => "finding",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// The line of a verdict, without the finding's objects.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreed => f.write_str("agreed to the end"),
            Self::NotCompared(not) => not.fmt(f),
            Self::Finding(finding) => write!(f, "FINDING {finding}"),
            Self::Invalid(invalid) => write!(f, "invalid: {invalid}"),
        }
    }
}

/// What of a program was not compared, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NotCompared {
    /// The first place that was not compared.
    pub from: Place,
    /// Why.
    pub why: Reason,
    /// Whether anything else was compared: what lies before `from`, and with [`Reason::Steps`] also what lies behind.
    pub compared: bool,
}

impl NotCompared {
    /// How many steps the voter was not asked, if it was asked all other steps of the program.
    #[must_use]
    pub const fn not_asked(&self) -> Option<u64> {
        match self.why {
            Reason::Steps(steps, _) => Some(steps),
            _ => None,
        }
    }
}

impl fmt::Display for NotCompared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, why, compared } = self;
        match (compared, why) {
            (false, _) => write!(f, "not compared: {why}"),
            (true, Reason::Steps(steps, _)) => {
                let (steps, s) = (steps, if *steps == 1 { "" } else { "s" });
                write!(f, "compared but for {steps} step{s} from {from} on: {why}")
            }
            (true, Reason::Declared(why)) => write!(f, "compared up to a declared difference at {from}: {why}"),
            (true, _) => write!(f, "compared up to {from}, not compared from there on: {why}"),
        }
    }
}

/// Why something was not compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Reason {
    /// The subject does not cover machines of this memory model.
    MemoryModel(String),
    /// The subject does not cover this dialect.
    Dialect(String),
    /// The voter was not asked so many of the steps; why it was not asked the first of them. All other steps were
    /// compared.
    Steps(u64, String),
    /// The voter cannot have the program's machine; why.
    Machine(String),
    /// The voter cannot be asked this step; why.
    Step(String),
    /// A window of this LIOBN is no window in this dialect; why.
    Window(Liobn, String, String),
    /// The two dialects skip different steps.
    Skipped(String),
    /// The difference from here on is declared in the ledger: its reason.
    Declared(String),
}

impl Reason {
    /// The program's dialect is not covered.
    #[must_use]
    pub fn dialect(dialect: Dialect) -> Self {
        Self::Dialect(dialect.name().into())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryModel(model) => write!(f, "it does not cover {model}"),
            Self::Dialect(dialect) => write!(f, "it does not cover dialect {dialect}"),
            Self::Steps(_, why) | Self::Machine(why) | Self::Step(why) => f.write_str(why),
            Self::Window(liobn, dialect, why) => write!(f, "window {liobn} in dialect {dialect}: {why}"),
            Self::Skipped(why) => write!(f, "one dialect only skips this step: {why}"),
            Self::Declared(why) => write!(f, "a declared difference: {why}"),
        }
    }
}
