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
//! A declared difference ends the program for that voter, because the voter and the reference are in different states
//! from there on. An entry that a campaign never used is reported as stale: the difference is gone, or the campaign
//! cannot reach it. An entry that has expired is reported and declares nothing any more. The command looks at the date
//! once, before anything runs, so no verdict depends on when its program ran.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use contract::{Dialect, Program, Rule, StepKind};
use serde::Deserialize;

use crate::check::{Field, Finding, Kind};

/// One declared difference between the reference and a voter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The names of the reference and of the voter that differ, in any order. One is `reference` or
    /// `reference/DIALECT`, the other a voter's name.
    pub between: [String; 2],
    /// The rule that the declared difference would break.
    pub rule: Rule,
    /// The kind of thing that differs, for example `status`.
    pub field: Field,
    /// The rule by which the reference decided the step; `None` if the entry is for any rule.
    pub decided: Option<Rule>,
    /// The kind of step, or the start or the end; `None` if the entry is for any kind.
    pub call: Option<Kind>,
    /// Why the reference and the voter differ.
    pub reason: String,
    /// The last day on which the entry is in force, such as `2027-06-30`; `None` if it never expires.
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

/// The declared differences of a run, in the order of their file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    /// Entries whose last day has passed. They declare nothing any more.
    expired: Vec<Entry>,
    /// Entries that name a voter, or a dialect of the reference, that takes no part in this run. They declare nothing.
    idle: Vec<Entry>,
    /// The names in `idle` entries of voters and dialects that take no part in this run.
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
    /// Returns the ledger that comes with the harness. It has every known difference of QEMU, and of the reference in
    /// dialect `qemu`, from the reference in dialect `lopapr` or `kvm`.
    ///
    /// # Panics
    /// Never panics, because a test parses the ledger.
    #[must_use]
    pub fn dialects() -> Self {
        Self::parse(include_str!("dialects.toml")).expect("the harness's own ledger")
    }

    /// Reads a ledger from its text in TOML.
    ///
    /// # Errors
    /// Fails if the text is no TOML; if a key is missing or unknown; if a rule, field or kind of step is unknown; if a
    /// reason is empty; or if an expiry is no day. The error gives the line and what was expected.
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

    /// Reads a ledger from the file at `path`.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or if [`parse`](Self::parse) refuses its text. The error begins with the path.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |error: String| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        Self::parse(&text).map_err(named)
    }

    /// Returns the number of entries that are in force: neither expired nor idle.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether no entry is in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the entries that are in force, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Makes [idle](Self::idle) each entry that the run cannot use: one that is not between the reference in one of
    /// `dialects` and one of `voters`.
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

    /// Returns the ledger without its [idle](Self::idle) entries.
    #[must_use]
    pub fn without_idle(self) -> Self {
        Self { idle: Vec::new(), missing: BTreeSet::new(), ..self }
    }

    /// Returns a line for the user about the [idle](Self::idle) entries; `None` if there are none.
    #[must_use]
    pub fn told_idle(&self) -> Option<String> {
        let names: Vec<&str> = self.missing.iter().map(String::as_str).collect();
        let (count, names) = (self.idle.len(), names.join(", "));
        (count > 0).then(|| format!("{count} declared differences cannot be used, these voters take no part: {names}"))
    }

    /// Returns the entries that this run cannot use, because a voter or a dialect that they name takes no part.
    pub fn idle(&self) -> impl Iterator<Item = &Entry> {
        self.idle.iter()
    }

    /// Makes [expired](Self::expired) each entry in force whose last day is before `today`, a day such as `2026-11-25`.
    #[must_use]
    pub fn on(self, today: &str) -> Self {
        let Self { entries, mut expired, idle, missing } = self;
        let over = |entry: &Entry| entry.expires.as_deref().is_some_and(|day| day < today);
        let (gone, entries) = entries.into_iter().partition(over);
        expired.extend::<Vec<Entry>>(gone);
        Self { entries, expired, idle, missing }
    }

    /// Returns the entries whose last day has passed.
    pub fn expired(&self) -> impl Iterator<Item = &Entry> {
        self.expired.iter()
    }

    /// Returns the index, among [`entries`](Self::entries) and from 0, of the first entry that declares the finding;
    /// `None` if no entry does. An entry with a `decided` needs the same `decided` in the finding, which never names
    /// the rule of a step that the voter was not asked.
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

    /// Returns the reason of the entry with this index among [`entries`](Self::entries), from 0; empty if there is no
    /// such entry.
    #[must_use]
    pub fn reason(&self, number: usize) -> String {
        self.entries.get(number).map_or(String::new(), |entry| entry.reason.clone())
    }
}

/// Returns whether `name` names the reference in this dialect: `reference`, or `reference/` and the dialect.
fn is_reference(name: &str, dialect: Dialect) -> bool {
    match name.split_once('/') {
        Some(("reference", of)) => of == dialect.name(),
        _ => name == "reference",
    }
}

/// Returns whether `name` names the voter. The voter `model/qemu` also counts as `qemu`.
fn is_voter(name: &str, voter: &str) -> bool {
    name == voter || voter.strip_prefix("model/") == Some(name)
}

/// Returns the rule of [`Rule::outcomes`] with this id; `None` if no such rule has this id.
fn outcome(id: &str) -> Option<Rule> {
    Rule::from_id(id).filter(|rule| rule.is_outcome())
}

/// Returns the names of all kinds of what runs at a place: the start, each kind of step, and the end.
fn kinds() -> Vec<&'static str> {
    let steps = StepKind::ALL.iter().map(|kind| kind.name());
    [Kind::Start.name()].into_iter().chain(steps).chain([Kind::End.name()]).collect()
}

/// Returns what `name` names, found by `find`. The error gives the line of the ledger and the names that there are;
/// `what` says what is named, such as `field`.
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
    /// Returns whether the entry is between the reference in this dialect and the voter with this name. The voter
    /// `model/qemu` also counts as `qemu`.
    fn is_between(&self, dialect: Dialect, voter: &str) -> bool {
        let [one, other] = &self.between;
        (is_reference(one, dialect) && is_voter(other, voter)) || (is_reference(other, dialect) && is_voter(one, voter))
    }
}
