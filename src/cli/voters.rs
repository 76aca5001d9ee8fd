//! Which voters a command runs: the options that `fuzz`, `exhaust`, `replay` and `shrink` share.

use std::path::PathBuf;
use std::time::Duration;

use contract::Dialect;
use realmode_diff::SubjectKind;
use realmode_diff::ledger::Ledger;
use realmode_diff::qemu::{self, Look};
use realmode_diff::voters::{Panel, Voters};

use super::Failure;

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
    /// What runs against the reference; may be given several times [default: candidate, or nothing where --against names another voter]
    #[arg(long, value_enum)]
    subject: Vec<SubjectKind>,
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

    /// The voters, for programs of these dialects. Those that this machine lacks are found out when a panel is made of them.
    pub(crate) fn voters(&self, dialects: &[Dialect]) -> Result<Voters, Failure> {
        let mut subjects = self.subject.clone();
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
        if subjects.is_empty() && models.is_empty() && qemu.is_none() {
            subjects.push(SubjectKind::default());
        }
        let mut voters = Voters { subjects, models, qemu, ledger: Ledger::default() };
        let ledger = match &self.ledger {
            Some(path) => Ledger::read(path).map_err(Failure::input)?,
            None => Ledger::dialects(),
        };
        voters.ledger = ledger.among(dialects, &voters.names());
        Ok(voters)
    }

    /// A panel of them, for single programs of any dialect.
    pub(crate) fn panel(&self, look: Look) -> Result<Panel, Failure> {
        let voters = self.voters(&Dialect::ALL)?;
        voters.panel_looking(look).map_err(Failure::missing)
    }
}
