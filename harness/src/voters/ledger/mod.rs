//! The ledger: differences between the reference and a voter that are known, with their reasons. A declared difference
//! is counted and is no finding.
//!
//! ```toml
//! [[difference]]
//! between = ["reference/lopapr", "qemu"]  # a voter's name; the reference's with the dialect, or without for any
//! rule = "DIVERGE.STATUS"                 # the rule that the difference would break
//! field = "status"                        # and its field
//! decided = "IOBA.ALIGN"                  # the rule by which the reference decided that step; optional
//! call = "H_PUT_TCE"                      # the kind of step; optional
//! reason = "QEMU rounds an unaligned IOBA down"
//! expires = 2027-06-30                    # the last day on which it holds; optional
//! ```
//!
//! A declared difference ends the program for that voter, because the two are in different states from there on. An
//! entry that a campaign never used is reported as stale: the difference is gone, or the campaign cannot reach it. An
//! entry that has expired is reported and declares nothing any more. The command looks at the date once, before
//! anything runs, so no verdict depends on when its program ran.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use contract::{Dialect, Program, Rule, StepKind};
use serde::Deserialize;

use crate::check::{Field, Finding, Kind};

/// One declared difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The names of the two that differ, in any order: `reference` or `reference/DIALECT`, and a voter.
    pub between: [String; 2],
    /// The rule that the difference would break.
    pub rule: Rule,
    /// The kind of thing that differs.
    pub field: Field,
    /// The rule by which the reference decided the step; `None` for any.
    pub decided: Option<Rule>,
    /// The kind of step; `None` for any.
    pub call: Option<Kind>,
    /// Why they differ.
    pub reason: String,
    /// The last day on which it holds, as `2027-06-30`.
    pub expires: Option<String>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { between: [one, other], rule, field, decided, call, reason, expires } = self;
        write!(f, "{one} - {other}: {rule} {field}")?;
        if let Some(decided) = decided {
            write!(f, ", {decided}")?;
        }
        if let Some(call) = call {
            write!(f, " in {call}")?;
        }
        write!(f, ": {reason}")?;
        match expires {
            Some(day) => write!(f, " (until {day})"),
            None => Ok(()),
        }
    }
}

/// Declared differences, in the order of their file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    /// Entries that have expired.
    expired: Vec<Entry>,
    /// Entries that name a voter, or a dialect of the reference, that takes no part in this run.
    idle: Vec<Entry>,
    /// The names in `idle` entries that take no part.
    missing: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    difference: Vec<toml::Spanned<Raw>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    between: [String; 2],
    rule: String,
    field: String,
    decided: Option<String>,
    call: Option<String>,
    reason: String,
    expires: Option<toml::value::Datetime>,
}

impl Ledger {
    /// The ledger that comes with the harness. It has every difference between QEMU, or its model, and the reference in
    /// dialects `lopapr` and `kvm`.
    ///
    /// # Panics
    /// Never: a test parses it.
    #[must_use]
    pub fn dialects() -> Self {
        Self::parse(include_str!("dialects.toml")).expect("the harness's own ledger")
    }

    /// Reads a ledger's text.
    ///
    /// # Errors
    /// It is no TOML; a key is missing or unknown; a rule, field or kind of step is unknown; a reason is empty; or an
    /// expiry is no day. The text has the line and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_string())?;
        let mut entries = Vec::new();
        for raw in file.difference {
            let line = 1 + text[..raw.span().start].matches('\n').count();
            let Raw { between, rule, field, decided, call, reason, expires } = raw.into_inner();
            let rule = known(line, "rule", &rule, Rule::from_id, || Rule::ALL.iter().map(|rule| rule.id()).collect())?;
            let rules = || Rule::outcomes().map(Rule::id).collect();
            let decided = decided.map(|id| known(line, "outcome rule", &id, outcome, rules)).transpose()?;
            let fields = || Field::ALL.iter().map(|field| field.name()).collect();
            let field = known(line, "field", &field, Field::from_name, fields)?;
            let call = call.map(|name| known(line, "kind of step", &name, Kind::from_name, kinds)).transpose()?;
            if reason.trim().is_empty() {
                return Err(format!("line {line}: a declared difference needs a reason"));
            }
            let expires = match expires {
                Some(toml::value::Datetime { date: Some(day), time: None, offset: None }) => Some(day.to_string()),
                Some(other) => {
                    return Err(format!("line {line}: found expires = {other}, expected a day such as 2027-06-30"));
                }
                None => None,
            };
            entries.push(Entry { between, rule, field, decided, call, reason, expires });
        }
        Ok(Self { entries, ..Self::default() })
    }

    /// Reads a ledger's file.
    ///
    /// # Errors
    /// The file cannot be read, or [`parse`](Self::parse) refuses it. The text begins with its path.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |error: String| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        Self::parse(&text).map_err(named)
    }

    /// How many entries are in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry is in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in force, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Makes [idle](Self::idle) each entry that is not between the reference in one of `dialects` and one of `voters`.
    /// The run cannot use it.
    #[must_use]
    pub fn among(self, dialects: &[Dialect], voters: &[String]) -> Self {
        let concerns =
            |entry: &Entry| dialects.iter().any(|dialect| voters.iter().any(|voter| entry.is_between(*dialect, voter)));
        let Self { entries, expired, mut idle, .. } = self;
        let (entries, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(concerns);
        let (expired, over): (Vec<_>, Vec<_>) = expired.into_iter().partition(concerns);
        idle.extend(others);
        idle.extend(over);
        let parts = |name: &String| {
            dialects.iter().any(|dialect| is_reference(name, *dialect))
                || voters.iter().any(|voter| is_voter(name, voter))
        };
        let missing = idle.iter().flat_map(|entry| &entry.between).filter(|name| !parts(name)).cloned().collect();
        Self { entries, expired, idle, missing }
    }

    /// Drops the [idle](Self::idle) entries.
    #[must_use]
    pub fn without_idle(self) -> Self {
        Self { idle: Vec::new(), missing: BTreeSet::new(), ..self }
    }

    /// A line for the user about the [idle](Self::idle) entries; `None` if there are none.
    #[must_use]
    pub fn told_idle(&self) -> Option<String> {
        let names: Vec<&str> = self.missing.iter().map(String::as_str).collect();
        let (count, names) = (self.idle.len(), names.join(", "));
        (count > 0).then(|| format!("{count} declared differences cannot be used, these voters take no part: {names}"))
    }

    /// The entries that this run cannot use, because a voter or dialect that they name takes no part.
    pub fn idle(&self) -> impl Iterator<Item = &Entry> {
        self.idle.iter()
    }

    /// Makes [expired](Self::expired) each entry whose last day is before `today`, which is written as `2026-11-25`.
    #[must_use]
    pub fn on(self, today: &str) -> Self {
        let Self { entries, mut expired, idle, missing } = self;
        let over = |entry: &Entry| entry.expires.as_deref().is_some_and(|day| day < today);
        let (gone, entries) = entries.into_iter().partition(over);
        expired.extend::<Vec<Entry>>(gone);
        Self { entries, expired, idle, missing }
    }

    /// The entries that have expired.
    pub fn expired(&self) -> impl Iterator<Item = &Entry> {
        self.expired.iter()
    }

    /// The number of the entry that declares the finding: its index among [`entries`](Self::entries). `decided` is
    /// compared with the finding's own rule, because a step that the voter was not asked may not decide.
    #[must_use]
    pub fn declares(&self, program: &Program, finding: &Finding) -> Option<usize> {
        let identity = finding.identity();
        self.entries.iter().position(|entry| {
            entry.is_between(program.dialect, &finding.voter)
                && entry.rule == identity.rule
                && entry.field == identity.field
                && (entry.decided.is_none() || entry.decided == finding.decided)
                && entry.call.is_none_or(|call| call == identity.kind)
        })
    }

    /// The reason of the entry of that number; empty if there is none.
    #[must_use]
    pub fn reason(&self, number: usize) -> String {
        self.entries.get(number).map_or(String::new(), |entry| entry.reason.clone())
    }
}

/// Whether `name` names the reference in that dialect.
fn is_reference(name: &str, dialect: Dialect) -> bool {
    match name.split_once('/') {
        Some(("reference", of)) => of == dialect.name(),
        _ => name == "reference",
    }
}

/// Whether `name` names that voter. A model counts as what it models.
fn is_voter(name: &str, voter: &str) -> bool {
    name == voter || voter.strip_prefix("model/") == Some(name)
}

/// The outcome rule with that id.
fn outcome(id: &str) -> Option<Rule> {
    Rule::from_id(id).filter(|rule| rule.is_outcome())
}

/// The kinds of what runs at a place, by name.
fn kinds() -> Vec<&'static str> {
    let steps = StepKind::ALL.iter().map(|kind| kind.name());
    [Kind::Start.name()].into_iter().chain(steps).chain([Kind::End.name()]).collect()
}

/// What `name` names, or an error with the names that there are.
fn known<T>(
    line: usize,
    what: &str,
    name: &str,
    find: impl FnOnce(&str) -> Option<T>,
    names: impl FnOnce() -> Vec<&'static str>,
) -> Result<T, String> {
    find(name)
        .ok_or_else(|| format!("line {line}: no {what} is called {name:?}; expected one of: {}", names().join(", ")))
}

impl Entry {
    /// Whether it is about the reference in that dialect, and that voter. A model counts as what it models.
    fn is_between(&self, dialect: Dialect, voter: &str) -> bool {
        let [one, other] = &self.between;
        (is_reference(one, dialect) && is_voter(other, voter)) || (is_reference(other, dialect) && is_voter(one, voter))
    }
}
