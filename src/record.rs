//! A finding on disk: the program as it was found, the same shrunk, the report, a ready test.
//!
//! The embedded campaign, triage of crash files, and fuzz targets all keep their findings here. The program as found is written first,
//! before shrinking takes its time, so that whatever happens later loses nothing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use contract::{Program, Rule};

use crate::report::{Context, export, report};
use crate::shrink::{Shrunk, shrink};
use crate::store::{self, EXTENSION, fingerprint};
use crate::subjects::SubjectKind;
use crate::verdict::Finding;

/// Where a program comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The generator, in the embedded campaign.
    Campaign {
        /// The campaign's seed.
        seed: u64,
        /// The program's number.
        index: u64,
    },
    /// A fuzzing engine.
    Engine {
        /// The engine's name, a part of file names.
        engine: String,
        /// The file that it left, if one is known.
        file: Option<PathBuf>,
    },
}

impl Origin {
    /// What tells this program's files from another's: seed and number, or engine and fingerprint.
    fn name(&self, program: &Program) -> String {
        match self {
            Self::Campaign { seed, index } => format!("seed{seed}-{index}"),
            Self::Engine { engine, .. } => format!("{engine}-{}", fingerprint(program)),
        }
    }

    /// How the program came to be.
    const fn how(&self) -> &'static str {
        match self {
            Self::Campaign { .. } => "drawn",
            Self::Engine { .. } => "found",
        }
    }

    /// The index of the program, if a campaign drew it.
    #[must_use]
    pub const fn index(&self) -> Option<u64> {
        match self {
            Self::Campaign { index, .. } => Some(*index),
            Self::Engine { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Campaign { seed, index } => write!(f, "seed {seed}, program {index}"),
            // Whatever a file is called, its name ends no line: it goes into comments.
            Self::Engine { engine, file: Some(file) } => {
                write!(f, "{engine}, {}", file.display().to_string().replace(char::is_control, "?"))
            }
            Self::Engine { engine, file: None } => f.write_str(engine),
        }
    }
}

/// A finding and its files.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where the program that showed it comes from.
    pub origin: Origin,
    /// The finding on the shrunk program.
    pub finding: Finding,
    /// The shrunk program; as it was found, if it could not be shrunk.
    pub program: Program,
    /// Steps of the program as it was found.
    pub found_steps: usize,
    /// Whether the shrunk program is 1-minimal; `None` if it was not shrunk.
    pub minimal: Option<bool>,
    /// The program as it was found.
    pub found_file: PathBuf,
    /// The shrunk program, if it was shrunk.
    pub shrunk_file: Option<PathBuf>,
    /// The report.
    pub report_file: PathBuf,
    /// The ready test, if the check of the program ends.
    pub test_file: Option<PathBuf>,
}

/// The block that tells of a finding: what it is, how small it was made, and its files.
impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = self.origin.how();
        writeln!(f, "FINDING {}", self.finding)?;
        match &self.origin {
            Origin::Campaign { index, .. } => write!(f, "  program {index} of the seed")?,
            origin => write!(f, "  {origin}")?,
        }
        write!(f, ", {} steps as {how}", self.found_steps)?;
        match self.minimal {
            Some(minimal) => {
                let minimal = if minimal { " (1-minimal)" } else { "" };
                writeln!(f, ", shrunk to {}{minimal}", self.program.steps.len())?;
            }
            None => writeln!(f, ", not shrunk")?,
        }
        let as_found = format!("as {how}");
        let files = [
            ("program", self.shrunk_file.as_ref()),
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

/// Whose finding is kept, and where.
#[derive(Clone, Debug)]
pub struct Recorder<'a> {
    /// Who ran against the reference.
    pub subject: SubjectKind,
    /// The folder, which is made if need be.
    pub out: &'a Path,
    /// Where the program comes from.
    pub origin: Origin,
}

/// Keeps a finding: writes the program as found, shrinks it, and writes what comes of that.
///
/// # Errors
/// A file could not be written; it is named.
pub fn record(
    subject: SubjectKind,
    out: &Path,
    origin: Origin,
    program: &Program,
    finding: &Finding,
) -> io::Result<Recorded> {
    let recorder = Recorder { subject, out, origin };
    recorder.write_found(program, finding.identity.rule)?;
    let shrunk = shrink(&mut subject.checker(), program);
    recorder.write_all(program, finding, shrunk)
}

impl Recorder<'_> {
    /// The names of the finding's files, up to their endings.
    fn stem(&self, program: &Program, rule: Rule) -> String {
        let subject = match self.subject {
            SubjectKind::Candidate => String::new(),
            other => format!("{}-", other.name()),
        };
        format!("{subject}{}-{}", rule.id().to_lowercase().replace('.', "-"), self.origin.name(program))
    }

    fn save(&self, program: &Program, rule: Rule, ending: &str, text: &str) -> io::Result<PathBuf> {
        store::write(self.out, format!("{}.{ending}", self.stem(program, rule)), text)
    }

    /// Writes the program as it was found.
    ///
    /// # Errors
    /// The file could not be written; it is named.
    pub fn write_found(&self, program: &Program, rule: Rule) -> io::Result<PathBuf> {
        let how = self.origin.how();
        let text = format!("# As {how}: {}.\n{program}", self.origin);
        self.save(program, rule, &format!("{how}.{EXTENSION}"), &text)
    }

    /// Writes all files of a finding on `found`; `shrunk` is `None` where shrinking came to nothing.
    ///
    /// # Errors
    /// A file could not be written; it is named.
    pub fn write_all(&self, found: &Program, finding: &Finding, shrunk: Option<Shrunk>) -> io::Result<Recorded> {
        let rule = finding.identity.rule;
        let found_file = self.write_found(found, rule)?;
        let (program, finding, minimal) = match shrunk {
            Some(shrunk) => (shrunk.program, shrunk.finding, Some(shrunk.minimal)),
            None => (found.clone(), finding.clone(), None),
        };
        let origin = self.origin.to_string();
        let context = Context { origin: &origin, subject: self.subject.name(), minimal };
        let shrunk_file = match minimal {
            Some(_) => {
                let text = format!("# {finding}\n# Shrunk from {origin}.\n{program}");
                Some(self.save(found, rule, EXTENSION, &text)?)
            }
            None => None,
        };
        let report_file = self.save(found, rule, "report.txt", &report(&program, &finding, context))?;
        // A test that makes no end is none.
        let test_file = match rule {
            Rule::SubjectHang if minimal.is_none() => None,
            _ => Some(self.save(found, rule, "test.rs", &export(&program, Some(&finding)))?),
        };
        Ok(Recorded {
            origin: self.origin.clone(),
            found_steps: found.steps.len(),
            minimal,
            found_file,
            shrunk_file,
            report_file,
            test_file,
            finding,
            program,
        })
    }
}
