//! The verdict: the result of checking a program. Every way to run a program ends in a verdict, or in the loss of a
//! voter.

use std::fmt;

use contract::description::Invalid;
use contract::{Dialect, Liobn};
use serde::{Deserialize, Serialize};

use super::finding::{Finding, Place};

/// The result of checking one program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Everything that the voter shows was compared, from the start to the end of the program, and is equal. Steps may
    /// have been skipped.
    Agreed,
    /// A part of the program was not compared. Everything that was compared is equal, except for a difference that a
    /// ledger declares.
    NotCompared(NotCompared),
    /// The voter broke a rule, for example by an answer that is not the reference's.
    Finding(Box<Finding>),
    /// The program contradicts itself or exceeds a limit of descriptions, so it did not run. The value says why.
    Invalid(Invalid),
}

impl Verdict {
    /// Returns the finding, or `None` for any other verdict.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Finding(finding) => Some(finding),
            _ => None,
        }
    }

    /// Returns the finding by value, or `None` for any other verdict.
    #[must_use]
    pub fn into_finding(self) -> Option<Finding> {
        match self {
            Self::Finding(finding) => Some(*finding),
            _ => None,
        }
    }

    /// Returns whether a part of the program was compared: true for [`Agreed`](Self::Agreed) and
    /// [`Finding`](Self::Finding), false for [`Invalid`](Self::Invalid). A [`NotCompared`](Self::NotCompared) can be
    /// either, and its field `compared` says which.
    #[must_use]
    pub fn compared(&self) -> bool {
        match self {
            Self::Agreed | Self::Finding(_) => true,
            Self::NotCompared(NotCompared { compared, .. }) => *compared,
            Self::Invalid(_) => false,
        }
    }

    /// Returns the verdict's name in JSON, such as `not compared`.
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

/// Writes the verdict as one line of text. Of a finding the line has rule, place, thing and both values.
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

/// What part of a program was not compared, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NotCompared {
    /// The first place of the program that was not compared.
    pub from: Place,
    /// Why that place was not compared.
    pub why: Reason,
    /// Whether any part of the program was compared, before `from` or after it; a declared difference counts as
    /// compared. In the verdict of a panel: whether any voter compared a part.
    pub compared: bool,
}

impl NotCompared {
    /// Returns how many steps the voter was not asked, if it was asked all other steps. `None` if `why` is another
    /// reason than [`Reason::Steps`].
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

/// Why a program, or a part of it, was not compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Reason {
    /// The subject does not cover machines with this memory model, given by name.
    MemoryModel(String),
    /// The subject does not cover this dialect, given by name.
    Dialect(String),
    /// The voter was not asked this many steps; the text says why it was not asked the first of them. All other steps
    /// were compared.
    Steps(u64, String),
    /// The program has nothing that the voter shows: no hypercall, and no window that a step closes.
    Unshown,
    /// The voter cannot have the program's machine, or cannot start it; the text says why.
    Machine(String),
    /// The voter cannot run a step, so nothing from that step on was compared; the text says why.
    Step(String),
    /// The window with this LIOBN is invalid in the dialect named by the first text; the second text says why.
    Window(Liobn, String, String),
    /// Two dialects are compared, and only one of them skips the step; the text says why it is skipped. Nothing from
    /// that step on was compared.
    Skipped(String),
    /// The ledger declares the difference that was found; the text is the reason from the ledger.
    Declared(String),
}

impl Reason {
    /// Makes the reason that the subject does not cover this dialect.
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
            Self::Unshown => f.write_str("it shows nothing of what the program does"),
            Self::Steps(_, why) | Self::Machine(why) | Self::Step(why) => f.write_str(why),
            Self::Window(liobn, dialect, why) => write!(f, "window {liobn} in dialect {dialect}: {why}"),
            Self::Skipped(why) => write!(f, "one dialect only skips this step: {why}"),
            Self::Declared(why) => write!(f, "a declared difference: {why}"),
        }
    }
}

/// A voter that cannot be used any more, or not on this computer at all. The text says why, and what the user can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}
