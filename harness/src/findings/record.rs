//! A finding on disk: the program as it was found, the same shrunk, the report, a ready test.
//!
//! The embedded campaign, triage of crash files, and fuzz targets all keep their findings here. The program as found is written first,
//! before shrinking takes its time, so that whatever happens later loses nothing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use contract::{Program, Rule};

use crate::check::verdict::Finding;
use crate::findings::report::{Context, export, report};
use crate::shrink::{Ended, Judge, Limits, Shrunk, shrink};
use programs::store::{self, EXTENSION, fingerprint};

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
    /// The enumeration of every program up to a bound.
    Exhaust {
        /// The bound, as arguments of `realmode exhaust`.
        bound: String,
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
            Self::Exhaust { index, .. } => format!("exhaust-{index}-{}", fingerprint(program)),
            Self::Engine { engine, .. } => format!("{engine}-{}", fingerprint(program)),
        }
    }

    /// How the program came to be.
    const fn how(&self) -> &'static str {
        match self {
            Self::Campaign { .. } => "drawn",
            Self::Exhaust { .. } | Self::Engine { .. } => "found",
        }
    }

    /// The number of the program, if a campaign drew it or it was enumerated.
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
    /// Why the shrunk program is no smaller; `None` if it was not shrunk.
    pub ended: Option<Ended>,
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
        match self.ended {
            Some(ended) => writeln!(f, ", shrunk to {} ({ended})", self.program.steps.len())?,
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

/// Where a finding is kept.
#[derive(Clone, Debug)]
pub struct Recorder<'a> {
    /// The folder, which is made if need be.
    pub out: &'a Path,
    /// Where the program comes from.
    pub origin: Origin,
}

/// Keeps a finding: writes the program as found, shrinks it by `judge`, and writes what comes of that.
///
/// # Errors
/// A file could not be written; it is named.
pub fn record(
    judge: &mut dyn Judge,
    out: &Path,
    origin: Origin,
    program: &Program,
    finding: &Finding,
) -> io::Result<Recorded> {
    let recorder = Recorder { out, origin };
    recorder.write_found(program, finding)?;
    let shrunk = shrink(judge, program, Limits::default());
    recorder.write_all(program, finding, shrunk)
}

impl Recorded {
    /// Whether the program was shrunk to the end.
    #[must_use]
    pub fn is_minimal(&self) -> bool {
        self.ended == Some(Ended::Minimal)
    }
}

impl Recorder<'_> {
    /// The names of the finding's files, up to their endings.
    fn stem(&self, program: &Program, finding: &Finding) -> String {
        let voter = match finding.voter.as_str() {
            "candidate" => String::new(),
            other => format!("{}-", other.replace('/', "-")),
        };
        let rule = finding.identity.rule.id().to_lowercase().replace('.', "-");
        format!("{voter}{rule}-{}", self.origin.name(program))
    }

    fn save(&self, program: &Program, finding: &Finding, ending: &str, text: &str) -> io::Result<PathBuf> {
        store::write(self.out, format!("{}.{ending}", self.stem(program, finding)), text)
    }

    /// Writes the program as it was found.
    ///
    /// # Errors
    /// The file could not be written; it is named.
    pub fn write_found(&self, program: &Program, finding: &Finding) -> io::Result<PathBuf> {
        let how = self.origin.how();
        let text = format!("# As {how}: {}.\n{program}", self.origin);
        self.save(program, finding, &format!("{how}.{EXTENSION}"), &text)
    }

    /// Writes the program that ran when a voter was lost: it may be why.
    ///
    /// # Errors
    /// The file could not be written; it is named.
    pub fn write_incident(&self, program: &Program, what: &str) -> io::Result<PathBuf> {
        let how = self.origin.how();
        // Whatever a voter says, it ends no line.
        let text = format!("# {}. As {how}: {}.\n{program}", what.replace(char::is_control, "?"), self.origin);
        store::write(self.out, format!("incident-{}.{how}.{EXTENSION}", self.origin.name(program)), &text)
    }

    /// Writes all files of a finding on `found`; `shrunk` is `None` where shrinking came to nothing.
    ///
    /// # Errors
    /// A file could not be written; it is named.
    pub fn write_all(&self, found: &Program, finding: &Finding, shrunk: Option<Shrunk>) -> io::Result<Recorded> {
        let found_file = self.write_found(found, finding)?;
        // All files of a finding have the name of what was found at first.
        let first = finding;
        let (program, finding, ended) = match shrunk {
            Some(shrunk) => (shrunk.program, shrunk.finding, Some(shrunk.ended)),
            None => (found.clone(), finding.clone(), None),
        };
        let origin = self.origin.to_string();
        let context = Context { origin: &origin, ended };
        let shrunk_file = match ended {
            Some(_) => {
                let text = format!("# {finding}\n# Shrunk from {origin}.\n{program}");
                Some(self.save(found, first, EXTENSION, &text)?)
            }
            None => None,
        };
        let report_file = self.save(found, first, "report.txt", &report(&program, &finding, context))?;
        // A test that makes no end is none.
        let test_file = match first.identity.rule {
            Rule::SubjectHang if ended.is_none() => None,
            _ => Some(self.save(found, first, "test.rs", &export(&program, Some(&finding)))?),
        };
        Ok(Recorded {
            origin: self.origin.clone(),
            found_steps: found.steps.len(),
            ended,
            found_file,
            shrunk_file,
            report_file,
            test_file,
            finding,
            program,
        })
    }
}
