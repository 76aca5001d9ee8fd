//! The options that name voters, which `fuzz`, `exhaust`, `replay` and `shrink` share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use contract::Dialect;
use realmode_diff::SubjectKind;
use realmode_diff::subjects::is_library;
use realmode_diff::voters::Voter as _;
use realmode_diff::voters::isolate::{self, Isolated};
use realmode_diff::voters::kinds::{KINDS, Options, against};
use realmode_diff::voters::ledger::Ledger;
use realmode_diff::voters::qemu;
use realmode_diff::voters::roster::{Apart, Candidacy, Roster};

use super::{Failure, watch};

#[derive(clap::Args, Default)]
#[group(skip)]
pub(crate) struct Args {
    /// A subject to check: candidate, null (a second reference, which must agree), canary (which must be found), or the
    /// path of a library with an implementation in C (docs/bring-your-own.md); may be given several times [default:
    /// candidate, or no subject if --against names a voter]
    #[arg(long)]
    subject: Vec<String>,
    /// Run each --subject in a process of its own: then a crash, a hang, or too much memory is a finding
    #[arg(long)]
    isolate: bool,
    /// The time after which a step of an isolated subject counts as hung [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "isolate")]
    isolate_limit: Option<Duration>,
    /// MiB of data that an isolated subject may allocate, at least 1 [default: 256]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..), requires = "isolate")]
    isolate_memory: Option<u32>,
    #[arg(long, value_name = "VOTER", help = against_help())]
    against: Vec<String>,
    /// A TOML file of declared differences, which are no findings (docs/voters.md) [default: the differences of the
    /// dialect table]
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// The QEMU to run [default: $REALMODE_QEMU, or qemu-system-ppc64 on the PATH]
    #[arg(long, value_name = "PROGRAM")]
    qemu: Option<PathBuf>,
    /// The time without an answer after which QEMU counts as hung [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    qemu_limit: Option<Duration>,
    /// The largest number of requests in one batch to QEMU, 1 to 4096; a request is a hypercall or a copy of a list to
    /// the guest [default: 512]
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u16).range(1..=4096))]
    qemu_batch: Option<u16>,
}

/// Returns the help of `--against`, which names every kind of voter.
fn against_help() -> String {
    let kinds: Vec<String> = KINDS.iter().map(|kind| format!("{} ({})", kind.pattern, kind.help)).collect();
    format!("Another voter: {}; may be given several times", kinds.join("; "))
}

impl Args {
    /// Returns which libraries (subjects given by path) the command runs without isolation, for the process that
    /// watches it.
    pub(crate) fn plan(&self) -> watch::Plan {
        let libraries = self.subject.iter().filter(|subject| !self.isolate && is_library(subject));
        watch::Plan { libraries: libraries.cloned().collect(), ..watch::Plan::default() }
    }

    /// Makes the roster's description of a subject that runs in a process of its own. Starts the subject once: one that
    /// cannot run counts as missing (status 3). An unknown name is bad input (status 2).
    fn apart(&self, subject: &str) -> Result<Apart, Failure> {
        if !is_library(subject) {
            super::subject(subject)?;
        }
        let mut config = isolate::Config::new().map_err(|error| Failure::missing(format!("this program: {error}")))?;
        config.limit = self.isolate_limit.unwrap_or(config.limit);
        config.bytes = self.isolate_memory.map_or(config.bytes, |mib| u64::from(mib) << 20);
        let name = Isolated::new(config.clone(), subject).map_err(Failure::missing)?.name().into();
        Ok(Apart { config, subject: subject.into(), name })
    }

    /// Makes the roster's description of the voter that one --subject names, isolated with --isolate. An unknown name
    /// is bad input (status 2); a subject that cannot run counts as missing (status 3).
    fn candidate(&self, subject: &str) -> Result<Arc<dyn Candidacy>, Failure> {
        Ok(match self.isolate {
            true => Arc::new(self.apart(subject)?),
            false => Arc::new(super::subject(subject)?),
        })
    }

    /// Returns the settings for a live QEMU from the options: program, time limit and batch size.
    fn options(&self) -> Options {
        let default = qemu::Config::default();
        Options {
            qemu: qemu::Config {
                program: self.qemu.clone().unwrap_or(default.program),
                limit: self.qemu_limit.unwrap_or(default.limit),
                batch: self.qemu_batch.map_or(default.batch, usize::from),
            },
        }
    }

    /// Returns the roster of all voters that --subject and --against name, or of the candidate alone if they name none,
    /// without declared differences. `--against reference` names none. Whether QEMU can run on this machine shows only
    /// when a panel is made of the roster.
    pub(crate) fn roster(&self) -> Result<Roster, Failure> {
        let mut candidates = Vec::new();
        for subject in &self.subject {
            candidates.push(self.candidate(subject)?);
        }
        let options = self.options();
        for name in self.against.iter().filter(|name| *name != "reference") {
            let candidate = against(name, &options);
            candidates.push(candidate.map_err(|error| Failure::input(format!("--against {name}: {error}")))?);
        }
        if candidates.is_empty() {
            candidates.push(self.candidate(&SubjectKind::default().name())?);
        }
        Ok(Roster::of(candidates))
    }

    /// Gives the roster the declared differences that programs of `dialects` can use, from --ledger or else from the
    /// dialect table. A ledger that cannot be read is bad input (status 2).
    pub(crate) fn declare(&self, roster: &mut Roster, dialects: &[Dialect]) -> Result<(), Failure> {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let today = now.get(..10).unwrap_or_default();
        roster.ledger = match &self.ledger {
            Some(path) => Ledger::read(path).map_err(Failure::input)?.on(today).among(dialects, &roster.names()),
            // The harness's own ledger has entries for every voter, so unused entries of it are not reported.
            None => Ledger::dialects().on(today).among(dialects, &roster.names()).without_idle(),
        };
        Ok(())
    }

    /// Returns the roster for programs of any dialect, with its declared differences. Prints on stderr which declared
    /// differences no program can use.
    pub(crate) fn for_programs(&self) -> Result<Roster, Failure> {
        let mut roster = self.roster()?;
        self.declare(&mut roster, &Dialect::ALL)?;
        for line in super::hunt::unused(&roster).lines() {
            eprintln!("realmode: {line}");
        }
        Ok(roster)
    }
}
