//! The recorder: writes a finding to disk as the program that was found, the shrunk program, the report, and a ready
//! test.
//!
//! Campaigns, exhaustive runs, triage of crash files, and fuzz targets all record their findings here. A finding
//! travels as a [`Catch`], with its program. The program is written as soon as it is caught, before it is shrunk, so
//! that a later failure cannot lose it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::{Program, Rule};
use programs::sequence::Sequence;
use programs::store::{self, EXTENSION, SEQUENCE_EXTENSION, fingerprint, one_line};

use super::report::{Context, export, export_sequence, report};
use crate::check::Finding;
use crate::shrink::{Budget, Ended, Judge, Shrunk, shrink_within};
use crate::voters::Unavailable;

/// Where a program comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The generator drew the program in a campaign.
    Campaign {
        /// The seed of the campaign.
        seed: u64,
        /// Number of the program within the seed, from 0.
        index: u64,
    },
    /// An exhaustive run made the program.
    Exhaust {
        /// The bound of the domain, as arguments of `realmode exhaust`.
        bound: String,
        /// Number of the program in the domain, from 0.
        index: u64,
    },
    /// A fuzzing engine found the program.
    Engine {
        /// The name of the engine, which becomes a part of file names.
        engine: String,
        /// The crash file of the engine; `None` if it is not known.
        file: Option<PathBuf>,
    },
}

impl Origin {
    /// Returns the part of a finding's file names that stands for this program: `seed1-2` for program 2 of seed 1,
    /// `exhaust-7-<fingerprint>` for program 7 of an exhaustive run, `libfuzzer-<fingerprint>` for a program that
    /// libFuzzer found. The [fingerprint] is a hash of the program's text, 16 hexadecimal digits.
    fn name(&self, program: &Program) -> String {
        match self {
            Self::Campaign { seed, index } => format!("seed{seed}-{index}"),
            Self::Exhaust { index, .. } => format!("exhaust-{index}-{}", fingerprint(program)),
            Self::Engine { engine, .. } => format!("{engine}-{}", fingerprint(program)),
        }
    }

    /// Returns the word for how the program came to be: `drawn` in a campaign, else `found`.
    const fn how(&self) -> &'static str {
        match self {
            Self::Campaign { .. } => "drawn",
            Self::Exhaust { .. } | Self::Engine { .. } => "found",
        }
    }

    /// Returns the number of the program, from 0, within the campaign's seed or the exhaustive run's domain; `None` for
    /// an engine.
    #[must_use]
    pub const fn index(&self) -> Option<u64> {
        match self {
            Self::Campaign { index, .. } | Self::Exhaust { index, .. } => Some(*index),
            Self::Engine { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Campaign { seed, index } => write!(f, "seed {seed}, program {index}"),
            Self::Exhaust { bound, index } => write!(f, "program {index} of realmode exhaust {bound}"),
            Self::Engine { engine, file: Some(file) } => write!(f, "{engine}, {}", one_line(file.display())),
            Self::Engine { engine, file: None } => f.write_str(engine),
        }
    }
}

/// A finding with its program and where the program comes from, on the way from the check to the recorder.
#[derive(Clone, Debug)]
pub struct Catch {
    /// Where the program comes from.
    pub origin: Origin,
    /// The program as it was found, before shrinking.
    pub program: Program,
    /// The finding that `program` shows.
    pub finding: Finding,
}

/// A finding that was recorded, with the paths of its files.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where the program as it was found comes from.
    pub origin: Origin,
    /// The finding that `program` shows; with a sequence, after the programs before it.
    pub finding: Finding,
    /// The shrunk program, or the last program of the sequence. If neither was made, the program as it was found.
    pub program: Program,
    /// Number of steps of the program as it was found, before shrinking.
    pub found_steps: usize,
    /// Why shrinking ended; `None` if the program was not shrunk or a sequence was made.
    pub ended: Option<Ended>,
    /// Why neither a shrunk program nor a sequence was made; `None` if one was.
    pub not_shrunk: Option<NotShrunk>,
    /// Number of programs in the recorded sequence, for a finding that needs earlier programs; the last one is
    /// `program`. `None` if no sequence was made.
    pub sequence: Option<usize>,
    /// Path of the program as it was found.
    pub found_file: PathBuf,
    /// Path of the shrunk program or of the sequence; `None` if neither was made.
    pub shrunk_file: Option<PathBuf>,
    /// Path of the report.
    pub report_file: PathBuf,
    /// Path of the ready test; `None` for a hang that was not shrunk or needs a sequence, because such a test would
    /// hang the test run.
    pub test_file: Option<PathBuf>,
}

/// Writes the lines that announce a recorded finding: the finding, how far its program was shrunk, and its files.
impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = self.origin.how();
        writeln!(f, "FINDING {}", self.finding)?;
        match &self.origin {
            Origin::Campaign { index, .. } => write!(f, "  program {index} of the seed")?,
            origin => write!(f, "  {origin}")?,
        }
        write!(f, ", {} steps as {how}", self.found_steps)?;
        match (self.sequence, self.ended) {
            (Some(programs), _) => {
                writeln!(f, ", shown by a sequence of {programs} programs on one subject, not by a fresh subject")?;
            }
            (None, Some(ended)) => writeln!(f, ", shrunk to {} ({ended})", self.program.steps.len())?,
            (None, None) => {
                f.write_str(", not shrunk")?;
                self.not_shrunk.iter().try_for_each(|why| write!(f, ": {why}"))?;
                writeln!(f)?;
            }
        }
        let as_found = format!("as {how}");
        let what = if self.sequence.is_some() { "sequence" } else { "program" };
        let files = [
            (what, self.shrunk_file.as_ref()),
            ("report", Some(&self.report_file)),
            ("test", self.test_file.as_ref()),
            (&as_found, Some(&self.found_file)),
        ];
        for (what, file) in files {
            if let Some(file) = file {
                writeln!(f, "  {what:<8} {}", file.display())?;
            }
        }
        Ok(())
    }
}

/// Why the program of a catch was not shrunk, and no sequence was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotShrunk {
    /// The voters could not be made once more.
    NotMade(Unavailable),
    /// A voter was lost for good while the program was shrunk. A program that did not run shows nothing.
    Lost(Unavailable),
    /// A fresh subject does not show the finding, and no sequence brings it back.
    NotAgain,
    /// The check of the program itself did not end in time.
    Hangs,
    /// Shrinking did not end within this time.
    Late(Duration),
    /// Shrinking panicked, with this message. That is a mistake of the harness.
    Panicked(String),
}

impl fmt::Display for NotShrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMade(gone) | Self::Lost(gone) => gone.fmt(f),
            Self::NotAgain => f.write_str("a fresh subject does not show it"),
            Self::Hangs => f.write_str("its check did not end"),
            Self::Late(limit) => write!(f, "shrinking did not end within {}", humantime::format_duration(*limit)),
            Self::Panicked(message) => write!(f, "shrinking panicked: {message}"),
        }
    }
}

/// What was made of a catch before the recorder writes it.
pub enum Made {
    /// Nothing smaller was made, for this reason: the recorder writes the program as it was found.
    AsFound(NotShrunk),
    /// The program as the shrinker left it, with the finding that it shows on a fresh subject.
    Shrunk(Box<Shrunk>),
    /// A sequence of programs and its finding. The last program shows the finding on a subject that has run all
    /// programs before it.
    Sequence(Sequence, Box<Finding>),
}

/// Writes findings to one folder.
#[derive(Clone, Copy, Debug)]
pub struct Recorder<'a> {
    /// The folder. The recorder makes it if it does not exist.
    pub out: &'a Path,
}

impl Catch {
    /// Returns the name that all files of the finding share, without their endings: voter (left out for the candidate),
    /// rule, and source of the program.
    fn stem(&self) -> String {
        let voter = match self.finding.voter.as_str() {
            "candidate" => String::new(),
            other => format!("{}-", other.replace('/', "-")),
        };
        let rule = self.finding.rule.id().to_lowercase().replace('.', "-");
        format!("{voter}{rule}-{}", self.origin.name(&self.program))
    }
}

impl Recorder<'_> {
    /// Writes `text` to the file of the catch with this ending, and returns the path of the file. The error names the
    /// file.
    fn save(&self, catch: &Catch, ending: &str, text: &str) -> io::Result<PathBuf> {
        store::write(self.out, format!("{}.{ending}", catch.stem()), text)
    }

    /// Writes the program of a catch as it was found, and returns the path of the file.
    ///
    /// # Errors
    /// Fails if the file cannot be written. The error names the file, and has the finding and its program, so that they
    /// are not lost.
    pub fn keep(&self, catch: &Catch) -> io::Result<PathBuf> {
        let how = catch.origin.how();
        let text = format!("# As {how}: {}.\n{}", catch.origin, catch.program);
        self.save(catch, &format!("{how}.{EXTENSION}"), &text).map_err(|error| {
            io::Error::new(error.kind(), format!("{error}\nnot written: FINDING {}\n{text}", catch.finding))
        })
    }

    /// Writes the program that ran when a voter was lost, because that program may be the cause. `what`, which says
    /// what happened, goes into a comment of the file. Returns the path of the file.
    ///
    /// # Errors
    /// Fails if the file cannot be written; the error names it.
    pub fn keep_incident(&self, origin: &Origin, program: &Program, what: &str) -> io::Result<PathBuf> {
        let how = origin.how();
        let text = format!("# {}. As {how}: {origin}.\n{program}", one_line(what));
        store::write(self.out, format!("incident-{}.{how}.{EXTENSION}", origin.name(program)), &text)
    }

    /// Writes the report, the ready test, and the shrunk program or the sequence (`made`) of a catch. Writes no test
    /// for a hang that was not shrunk. `found_file` is the path that [`keep`](Self::keep) has returned for the same
    /// catch.
    ///
    /// # Errors
    /// Fails if a file cannot be written; the error names it.
    pub fn finish(&self, catch: Catch, found_file: PathBuf, made: Made) -> io::Result<Recorded> {
        let origin = catch.origin.to_string();
        let found_steps = catch.program.steps.len();
        let mut not_shrunk = None;
        let (program, finding, ended, sequence) = match made {
            Made::AsFound(why) => {
                not_shrunk = Some(why);
                (catch.program.clone(), catch.finding.clone(), None, None)
            }
            Made::Shrunk(shrunk) => {
                let Shrunk { program, finding, ended, .. } = *shrunk;
                (program, finding, Some(ended), None)
            }
            Made::Sequence(sequence, finding) => {
                let last = sequence.parts.last().map_or(catch.program.clone(), |part| part.program.clone());
                (last, *finding, None, Some(sequence))
            }
        };
        let (shrunk_file, test) = match &sequence {
            Some(sequence) => {
                let text = format!(
                    "# {}\n# The last program shows it, after the others on one subject. From {origin}.\n{sequence}",
                    one_line(&finding)
                );
                (Some(self.save(&catch, SEQUENCE_EXTENSION, &text)?), export_sequence(sequence, &finding))
            }
            None if ended.is_some() => {
                let text = format!("# {}\n# Shrunk from {origin}.\n{program}", one_line(&finding));
                (Some(self.save(&catch, EXTENSION, &text)?), export(&program, Some(&finding)))
            }
            None => (None, export(&program, Some(&finding))),
        };
        let context = Context { origin: &origin, ended };
        let report_file = self.save(&catch, "report.txt", &report(&program, &finding, context))?;
        // No test is written for a hang that was not shrunk: it would hang the test run.
        let test_file = match (catch.finding.rule, ended) {
            (Rule::SubjectHang, None) => None,
            _ => Some(self.save(&catch, "test.rs", &test)?),
        };
        let sequence = sequence.map(|sequence| sequence.parts.len());
        let origin = catch.origin;
        Ok(Recorded {
            origin,
            finding,
            program,
            found_steps,
            ended,
            not_shrunk,
            sequence,
            found_file,
            shrunk_file,
            report_file,
            test_file,
        })
    }
}

/// Shrinks the program of a catch, and makes sure that a fresh subject shows the finding on the shrunk program.
///
/// Returns `None` if a fresh subject shows no finding on the catch's program. With `exact` a finding of another
/// identity counts as no finding. Also returns `None` if that finding does not come back while the program is shrunk.
/// `exact` is `false` for a voter that may look more closely now than during the hunt, because such a voter may show
/// the same mistake at another place.
///
/// The shrinker first tries all its programs on one subject, which is fast. If a fresh subject then shows nothing on
/// the shrunk program, because earlier programs had left something behind in the first subject, the shrinker runs once
/// more with a fresh subject for every program. Both runs take their checks from `budget`.
///
/// # Errors
/// Fails if a voter of the judge cannot be used any more. So it is not known whether a fresh subject shows the finding.
pub fn shrink_catch(
    judge: &mut dyn Judge,
    catch: &Catch,
    exact: bool,
    budget: &mut Budget,
) -> Result<Option<Shrunk>, Unavailable> {
    judge.renew()?;
    let Some(identity) = judge.finding(&catch.program)?.map(|finding| finding.identity()) else { return Ok(None) };
    if exact && identity != catch.finding.identity() {
        return Ok(None);
    }
    let same = |finding: &Finding| finding.identity() == identity;
    judge.renew()?;
    let shrunk = shrink_within(judge, &catch.program, budget)?.filter(|shrunk| same(&shrunk.finding));
    let Some(shrunk) = shrunk else { return Ok(None) };
    judge.renew()?;
    if let Some(finding) = judge.finding(&shrunk.program)?.filter(same) {
        return Ok(Some(Shrunk { finding: Finding { repeats: Some(true), ..finding }, ..shrunk }));
    }
    let shrunk = shrink_within(&mut Fresh(judge), &catch.program, budget)?.filter(|shrunk| same(&shrunk.finding));
    Ok(shrunk.map(|mut shrunk| {
        shrunk.finding.repeats = Some(true);
        shrunk
    }))
}

/// A judge that renews its subject before every program.
struct Fresh<'a>(&'a mut dyn Judge);

impl Judge for Fresh<'_> {
    fn finding(&mut self, program: &Program) -> Result<Option<Finding>, Unavailable> {
        self.0.renew()?;
        self.0.finding(program)
    }

    fn renew(&mut self) -> Result<bool, Unavailable> {
        self.0.renew()
    }

    fn any_dialect(&self) -> bool {
        self.0.any_dialect()
    }

    fn is_costly(&self, from: &Program, to: &Program) -> bool {
        self.0.is_costly(from, to)
    }
}
