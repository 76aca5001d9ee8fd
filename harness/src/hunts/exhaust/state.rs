//! The state of an exhaustive run on disk. The file has one JSON object on each line: first the header, then one line
//! for each finished unit.
//!
//! The run writes a unit's line in one call when the unit is finished. If the process is killed, only the units that
//! were not finished are lost. A last line without its line end is ignored and overwritten. Any other damage makes the
//! run refuse the file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use contract::Rule;
use serde::{Deserialize, Serialize};

use super::walk::{Counts, Walked};
use crate::check::tally::{RuleTally, Tally};
use crate::check::{Finding, NotCompared};
use crate::voters::{Roll, VoterTally};
use programs::store;

/// Least time between two syncs of the file. If the computer loses power, the lines written since the last sync may be
/// lost.
const SYNC: Duration = Duration::from_secs(2);

/// What an exhaustive run checks, and with what. Units of runs with different headers must not be mixed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The bound of the domain as arguments of `realmode exhaust`: sections, steps, memory models and dialect.
    pub exhaust: String,
    /// Fingerprint of the domain's machines and alphabets: 16 hexadecimal digits.
    pub domain: String,
    /// Number of programs in the domain.
    pub programs: u64,
    /// Number of units in the domain.
    pub units: u64,
    /// Names of the voters, in the order of the roster.
    pub voters: Vec<String>,
    /// Fingerprint of the ledger of declared differences: 16 hexadecimal digits.
    pub ledger: String,
    /// Version of realmode-diff that does the run.
    pub version: String,
    /// Fingerprint of the executable, 16 hexadecimal digits or `unknown`; behind it, each after a `+`, the fingerprints
    /// of the voters' [code](crate::voters::roster::Candidacy::code) outside of the executable, such as a library in C.
    pub build: String,
}

impl Header {
    /// Returns the fields in which this header and `other`, the header of the file, differ. Each text gives the field
    /// with both values.
    fn differences(&self, other: &Self) -> Vec<String> {
        let list = |names: &[String]| names.join("+");
        let pairs = [
            ("arguments", self.exhaust.clone(), other.exhaust.clone()),
            ("voters", list(&self.voters), list(&other.voters)),
            ("version", self.version.clone(), other.version.clone()),
            ("domain", self.domain.clone(), other.domain.clone()),
            ("programs", self.programs.to_string(), other.programs.to_string()),
            ("units", self.units.to_string(), other.units.to_string()),
            ("ledger", self.ledger.clone(), other.ledger.clone()),
            ("build", self.build.clone(), other.build.clone()),
        ];
        let differing = pairs.into_iter().filter(|(_, ours, theirs)| ours != theirs);
        differing.map(|(name, ours, theirs)| format!("{name}: {theirs} there, {ours} here")).collect()
    }

    /// Returns 16 hexadecimal digits, a hash of the header, which differ for runs with different headers.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", store::hash(format!("{self:?}")))
    }
}

/// Returns the fingerprint of the running executable as 16 hexadecimal digits, or `unknown` if the executable cannot be
/// read; behind it, each after a `+`, the fingerprints in `code`. Reads the executable only once.
pub(super) fn build(code: &[u64]) -> String {
    static BUILD: OnceLock<String> = OnceLock::new();
    let own = BUILD.get_or_init(|| {
        let bytes = std::env::current_exe().and_then(std::fs::read);
        bytes.map_or("unknown".into(), |bytes| format!("{:016x}", store::hash(bytes)))
    });
    code.iter().fold(own.clone(), |build, code| format!("{build}+{code:016x}"))
}

/// The line of a finished unit. `run`, `equal`, `behind` and `failing` are the unit's [`Counts`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub unit: u64,
    pub run: u64,
    pub equal: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub behind: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failing: u64,
    /// Of each kind of finding in the unit, the one on the program with the fewest steps, with the number of that
    /// program in the domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<(u64, Finding)>,
    /// The fields of the unit's [`Tally`]: programs, steps, skipped, not asked, hypercalls, accepted, deferred,
    /// entries.
    tally: [u64; 8],
    /// For each rule that was decided in the unit, the fields of its [`RuleTally`]: real, deferred, accepted, refused.
    rules: Vec<(Rule, [u64; 4])>,
    /// For each voter its counts: programs, compared, hypercalls, read back, uncovered, not asked, declared, incidents.
    voters: Vec<[u64; 8]>,
    /// For each voter its `why_uncovered`. Empty if everything was compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    why: Vec<Option<NotCompared>>,
    /// How often the unit used each entry of the ledger, in the order of the ledger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    uses: Vec<u64>,
}

const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Line {
    /// Makes the line of a unit that was walked to its end.
    pub(super) fn new(walked: &Walked) -> Self {
        let Counts { run, equal, behind, failing } = walked.counts;
        let Tally { programs, steps, skipped, not_asked, hypercalls, accepted, deferred, entries, ref rules } =
            walked.tally;
        let rule = |(rule, tally): (&Rule, &RuleTally)| {
            let &RuleTally { real, deferred, accepted, refused } = tally;
            (tally.total() > 0).then_some((*rule, [real, deferred, accepted, refused]))
        };
        let votes = |voter: &VoterTally| {
            let &VoterTally { programs, compared, hypercalls, read_back, uncovered, not_asked, .. } = voter;
            [programs, compared, hypercalls, read_back, uncovered, not_asked, voter.declared, voter.incidents]
        };
        Self {
            unit: walked.unit,
            run,
            equal,
            behind,
            failing,
            findings: walked.findings.iter().map(|found| (found.number, (*found.finding).clone())).collect(),
            tally: [programs, steps, skipped, not_asked, hypercalls, accepted, deferred, entries],
            rules: Rule::ALL.iter().zip(rules).filter_map(rule).collect(),
            voters: walked.roll.voters.iter().map(votes).collect(),
            why: match walked.roll.voters.iter().any(|voter| voter.why_uncovered.is_some()) {
                true => walked.roll.voters.iter().map(|voter| voter.why_uncovered.clone()).collect(),
                false => Vec::new(),
            },
            uses: walked.roll.uses.clone(),
        }
    }

    /// Returns how the unit's programs are accounted for.
    pub(super) const fn counts(&self) -> Counts {
        Counts { run: self.run, equal: self.equal, behind: self.behind, failing: self.failing }
    }

    /// Returns the unit's tally of steps, hypercalls and rules.
    pub(super) fn tally(&self) -> Tally {
        let [programs, steps, skipped, not_asked, hypercalls, accepted, deferred, entries] = self.tally;
        let mut tally =
            Tally { programs, steps, skipped, not_asked, hypercalls, accepted, deferred, entries, ..Tally::default() };
        for &(rule, [real, deferred, accepted, refused]) in &self.rules {
            tally.rules[rule as usize] = RuleTally { real, deferred, accepted, refused };
        }
        tally
    }

    /// Returns the unit's counts for each voter and each entry of the ledger. `blank` is a roll of zeros with the
    /// voters in the order of this line.
    pub(super) fn roll(&self, blank: &Roll) -> Roll {
        let mut roll = blank.clone();
        for (voter, &[programs, compared, hypercalls, read_back, uncovered, not_asked, declared, incidents]) in
            roll.voters.iter_mut().zip(&self.voters)
        {
            voter.programs = programs;
            voter.compared = compared;
            voter.hypercalls = hypercalls;
            voter.read_back = read_back;
            voter.uncovered = uncovered;
            voter.not_asked = not_asked;
            voter.declared = declared;
            voter.incidents = incidents;
        }
        for (voter, why) in roll.voters.iter_mut().zip(&self.why) {
            voter.why_uncovered.clone_from(why);
        }
        roll.uses.clone_from(&self.uses);
        roll
    }
}

/// Why the file of a state cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// The file belongs to a run with another header, is in use, or is damaged; the text says which.
    Refused(String),
    /// The file cannot be read or written; the error says why.
    Io(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The open file of a state, ready for the next line.
pub(super) struct State {
    path: PathBuf,
    file: File,
    synced: Instant,
}

impl State {
    /// Opens the file of the state and locks it. Writes a new file first if there is none, and empties the file after
    /// the lock if `anew` is set. Cuts off a last line that has no line end. Returns the state and the lines of the
    /// finished units. The error says why the file cannot be used.
    pub(super) fn open(path: &Path, header: &Header, anew: bool) -> Result<(Self, Vec<Line>), Unusable> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let first = serde_json::to_string(header).map_err(io::Error::from)? + "\n";
        if !path.exists() {
            let name = path.file_name().ok_or_else(|| Unusable::Refused(format!("{}: no file", path.display())))?;
            store::write(store::folder_of(path), name, &first)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(named)?;
        lock(&file, path)?;
        if anew {
            // In place and not by a rename: another run that waits for the lock has this file open.
            file.set_len(0).and_then(|()| file.write_all(first.as_bytes())).map_err(named)?;
            file.seek(SeekFrom::Start(0)).map_err(named)?;
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(named)?;
        // A line without its end was cut short.
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines = read(&text[..whole], path, header)?;
        file.set_len(whole as u64).map_err(named)?;
        file.seek(SeekFrom::End(0)).map_err(named)?;
        Ok((Self { path: path.to_path_buf(), file, synced: Instant::now() }, lines))
    }

    /// Writes the line of a finished unit to the file, and syncs the file if the last sync was long ago. The error
    /// names the file.
    pub(super) fn append(&mut self, line: &Line) -> io::Result<()> {
        let text = serde_json::to_string(line)? + "\n";
        self.file.write_all(text.as_bytes()).map_err(|error| self.named(&error))?;
        if self.synced.elapsed() >= SYNC {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes the system write all lines to the disk. The error names the file.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(|error| self.named(&error))
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

/// Locks the file, so that only one run at a time uses it; the lock ends with the process. Fails if another run has the
/// lock. A file system without locks is accepted. Systems other than Unix have no lock.
fn lock(file: &File, path: &Path) -> Result<(), Unusable> {
    #[cfg(unix)]
    {
        use rustix::fs::{FlockOperation, flock};
        // A file system without locks is no reason to run without a state.
        if flock(file, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK) {
            return Err(Unusable::Refused(format!("{}: another run is going on with it", path.display())));
        }
    }
    let _ = (file, path);
    Ok(())
}

/// Reads the lines of finished units from `text`, the text of the file up to its last line end, the header included.
/// Fails if the header differs, if a line is damaged, or if a unit stands there twice or does not exist.
fn read(text: &[u8], path: &Path, header: &Header) -> Result<Vec<Line>, Unusable> {
    let at = |number: usize, what: String| Unusable::Refused(format!("{}:{number}: {what}", path.display()));
    let text = std::str::from_utf8(text).map_err(|error| at(1, error.to_string()))?;
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let there: Header = serde_json::from_str(first)
        .map_err(|error| at(1, format!("expected the first line of a state of realmode exhaust: {error}")))?;
    let differences = header.differences(&there);
    if !differences.is_empty() {
        let hint = "--restart begins anew, --state names another file";
        return Err(at(1, format!("the state of another run ({}); {hint}", differences.join("; "))));
    }
    let mut known = vec![false; header.units as usize];
    let mut read = Vec::new();
    for (index, line) in lines.enumerate() {
        let line: Line = serde_json::from_str(line).map_err(|error| at(index + 2, error.to_string()))?;
        match known.get_mut(line.unit as usize) {
            Some(known @ false) => *known = true,
            Some(true) => return Err(at(index + 2, format!("unit {} stands there twice", line.unit))),
            None => return Err(at(index + 2, format!("there is no unit {}", line.unit))),
        }
        read.push(line);
    }
    Ok(read)
}
