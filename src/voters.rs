//! Which voters a command runs: the options that `fuzz`, `exhaust`, `replay` and `shrink` share.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use contract::Dialect;
use realmode_diff::SubjectKind;
use realmode_diff::check::verdict::Finding;
use realmode_diff::subjects::is_library;
use realmode_diff::voters::isolate::{self, Isolated};
use realmode_diff::voters::ledger::Ledger;
use realmode_diff::voters::qemu::{self, Look};
use realmode_diff::voters::{Apart, Panel, Voter as _, Voters};

use super::{Failure, watch};

/// Who else votes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Against {
    Reference,
    Qemu,
    Model(Dialect),
}

fn against(name: &str) -> Result<Against, String> {
    match name {
        "reference" => Ok(Against::Reference),
        "qemu" => Ok(Against::Qemu),
        _ => match name.strip_prefix("model/").and_then(Dialect::from_name) {
            Some(dialect) => Ok(Against::Model(dialect)),
            None => Err("expected reference, qemu, model/lopapr, model/kvm or model/qemu".into()),
        },
    }
}

#[derive(clap::Args, Default)]
#[group(skip)]
pub(crate) struct Args {
    /// What runs against the reference: candidate, null (a second reference, which agrees), canary (must be found), or the path of a library
    /// with an implementation in C (docs/bring-your-own.md); may be given several times [default: candidate, or nothing where --against names another voter]
    #[arg(long)]
    subject: Vec<String>,
    /// Run each --subject in a process of its own: a crash, an endless loop, memory without end become findings
    #[arg(long)]
    isolate: bool,
    /// How long a step of an isolated subject may take [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "isolate")]
    isolate_limit: Option<Duration>,
    /// MiB of data that an isolated subject may have [default: 256]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..), requires = "isolate")]
    isolate_memory: Option<u32>,
    /// Who votes as well: `qemu` for a live QEMU, `model/DIALECT` for the reference in another dialect; may be given several times
    #[arg(long, value_name = "VOTER", value_parser = against)]
    against: Vec<Against>,
    /// Differences between the reference and a voter that are declared and no findings, as TOML [default: what the dialect table says]
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// The QEMU to run [default: $REALMODE_QEMU, or qemu-system-ppc64 on the PATH]
    #[arg(long, value_name = "PROGRAM")]
    qemu: Option<PathBuf>,
    /// After how long without an answer QEMU is taken for hung [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    qemu_limit: Option<Duration>,
    /// Most hypercalls that go to QEMU together [default: 512]
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u16).range(1..=4096))]
    qemu_batch: Option<u16>,
}

impl Args {
    /// Whether a live QEMU votes.
    pub(crate) fn live(&self) -> bool {
        self.against.contains(&Against::Qemu)
    }

    /// The libraries that run in a process of the command's own.
    pub(crate) fn plan(&self) -> watch::Plan {
        let libraries = self.subject.iter().filter(|subject| !self.isolate && is_library(subject));
        watch::Plan { libraries: libraries.cloned().collect(), ..watch::Plan::default() }
    }

    /// A subject for a process of its own, started once to see whether it can be.
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

    /// The voters, for programs of these dialects. Those that this machine lacks are found out when a panel is made of them.
    pub(crate) fn voters(&self, dialects: &[Dialect]) -> Result<Voters, Failure> {
        let (mut subjects, mut isolated) = (Vec::new(), Vec::new());
        for subject in &self.subject {
            match self.isolate {
                true => isolated.push(self.apart(subject)?),
                false => subjects.push(super::subject(subject)?),
            }
        }
        let models = self.against.iter().filter_map(|against| match against {
            Against::Model(dialect) => Some(*dialect),
            _ => None,
        });
        let models: Vec<Dialect> = models.collect();
        let qemu = self.live().then(|| {
            let default = qemu::Config::default();
            qemu::Config {
                program: self.qemu.clone().unwrap_or(default.program),
                limit: self.qemu_limit.unwrap_or(default.limit),
                batch: self.qemu_batch.map_or(default.batch, usize::from),
            }
        });
        if self.subject.is_empty() && models.is_empty() && qemu.is_none() {
            match self.isolate {
                true => isolated.push(self.apart(SubjectKind::default().name())?),
                false => subjects.push(SubjectKind::default()),
            }
        }
        let mut voters = Voters { subjects, isolated, models, qemu, ledger: Ledger::default() };
        let ledger = match &self.ledger {
            Some(path) => Ledger::read(path).map_err(Failure::input)?,
            None => Ledger::dialects(),
        };
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let ledger = ledger.on(now.get(..10).unwrap_or_default());
        voters.ledger = ledger.among(dialects, &voters.names());
        Ok(voters)
    }

    /// Whether subjects run in processes of their own.
    pub(crate) fn isolated(&self) -> bool {
        self.isolate
    }

    /// A panel of them, for shrinking what this finding was made on.
    pub(crate) fn panel_shrinking(&self, finding: &Finding, look: Look) -> Result<Panel, Failure> {
        let voters = self.voters(&Dialect::ALL)?.shrinking(finding);
        voters.panel_looking(look).map_err(Failure::missing)
    }

    /// A panel of them, for single programs of any dialect.
    pub(crate) fn panel(&self, look: Look) -> Result<Panel, Failure> {
        let voters = self.voters(&Dialect::ALL)?;
        voters.panel_looking(look).map_err(Failure::missing)
    }
}
