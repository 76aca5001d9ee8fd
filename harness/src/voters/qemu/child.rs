//! The QEMU process: how the harness finds, starts, watches and ends it.
//!
//! No file or process of QEMU can be left behind. The memory and the firmware of QEMU's machine are anonymous files
//! (memfd) that QEMU opens through `/proc`, so there is no file to remove. QEMU runs with a parent-death signal
//! (`setpriv --pdeathsig`), which the kernel sends when the *thread* that started QEMU ends. So the thread that booted
//! a [`Child`] must also use and drop it. QEMU has a process group of its own, so that Ctrl-C at the terminal does not
//! end QEMU before the harness prints its summary.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::board::Board;
use super::{guest, layout};
use crate::processes::{LAST_WORDS, anonymous, ended, last_line, path};
use crate::voters::restart::Refusal;

/// Name of the QEMU command that is looked for on the `PATH`, if the user names none.
pub const COMMAND: &str = "qemu-system-ppc64";
/// The command that installs QEMU on Debian and its relatives.
pub const INSTALL: &str = "apt-get install --no-install-recommends qemu-system-ppc";
/// Major and minor number of the oldest QEMU that knows `-M pseries,memory-backend=`.
const OLDEST: (u32, u32) = (5, 0);
/// Name of the environment variable that names another QEMU command.
pub const ENVIRONMENT: &str = "REALMODE_QEMU";

/// Which QEMU command to run, and the limits of its machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The QEMU command: a path, or a name on the `PATH`.
    pub program: PathBuf,
    /// The time without an answer after which QEMU's machine counts as hung. The machine must also boot within that
    /// time.
    pub limit: Duration,
    /// Largest number of requests in a batch, from 1 to 4096.
    pub batch: usize,
}

impl Default for Config {
    fn default() -> Self {
        let program = std::env::var_os(ENVIRONMENT).filter(|name| !name.is_empty());
        let program = program.map_or_else(|| COMMAND.into(), PathBuf::from);
        Self { program, limit: Duration::from_secs(5), batch: 512 }
    }
}

/// Why no QEMU can be started.
#[derive(Debug)]
pub enum Unavailable {
    /// QEMU's executable was not found. [`Config::program`] has its path, or its name to be searched in `PATH`.
    Missing {
        /// The path or name that was looked for.
        program: PathBuf,
    },
    /// The program could not be run.
    NotRunnable {
        /// The path or name of the program.
        program: PathBuf,
        /// Why the system could not run the program.
        error: io::Error,
    },
    /// The program is no QEMU, or its version is too old.
    Unsuitable {
        /// The path or name of the program.
        program: PathBuf,
        /// The first line that the program wrote about its version.
        said: String,
    },
    /// The harness's own side failed, for example because there is no memory for the machine or no `setpriv`.
    Host {
        /// What the harness lacks or could not do.
        what: &'static str,
        /// Why the system refused.
        error: io::Error,
    },
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program } => {
                write!(f, "{} is not installed; on Debian: {INSTALL}", program.display())
            }
            Self::NotRunnable { program, error } => write!(f, "{} cannot be run: {error}", program.display()),
            Self::Unsuitable { program, said } => {
                let (major, minor) = OLDEST;
                write!(f, "{} is no QEMU of version {major}.{minor} or later: it says {said:?}", program.display())
            }
            Self::Host { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for Unavailable {}

/// The version of a QEMU that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Major and minor number of the version.
    pub number: (u32, u32),
    /// The whole version as text, such as `7.2.22`.
    pub text: String,
}

impl Config {
    /// Runs the QEMU command once and returns its version.
    ///
    /// # Errors
    /// Fails if the command is missing, does not run, is no QEMU, or is too old.
    pub fn version(&self) -> Result<Version, Unavailable> {
        let program = || self.program.clone();
        let output = Command::new(&self.program).arg("--version").stdin(Stdio::null()).output();
        let output = output.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unavailable::Missing { program: program() },
            _ => Unavailable::NotRunnable { program: program(), error },
        })?;
        let said = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_string();
        match parse_version(&said) {
            Some(version) if version.number >= OLDEST => Ok(version),
            _ => Err(Unavailable::Unsuitable { program: program(), said }),
        }
    }
}

fn parse_version(said: &str) -> Option<Version> {
    let text = said.strip_prefix("QEMU emulator version ")?.split_whitespace().next()?;
    let mut numbers = text.split('.');
    let number = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(Version { number, text: text.into() })
}

/// A QEMU process, and the memory of the machine that it runs.
pub(super) struct Child {
    pub(super) process: Process,
    /// The machine's RAM, as a file in memory that QEMU shares with the harness.
    pub(super) memory: File,
    /// The firmware image, as a file in memory, which QEMU reads when it boots.
    _firmware: File,
}

/// The process of a QEMU. Dropping this value ends the process.
pub(super) struct Process {
    child: std::process::Child,
    /// The file in memory that holds what QEMU writes to standard error.
    said: File,
}

impl Child {
    /// Starts QEMU with the windows of `board`. Returns before the guest takes requests. Fails if the harness has no
    /// memory for the machine, or if `setpriv`, which runs QEMU, cannot be run. If `setpriv` cannot run QEMU, the
    /// process ends at once.
    pub(super) fn start(config: &Config, board: &Board) -> Result<Self, Unavailable> {
        let memory = anonymous("realmode-ram").and_then(|memory| {
            memory.set_len(layout::RAM)?;
            let monitor: Vec<u8> = guest::bytes(&guest::MONITOR).collect();
            memory.write_all_at(&monitor, layout::MONITOR)?;
            Ok(memory)
        });
        let memory = memory.map_err(|error| Unavailable::Host { what: "no memory for QEMU's machine", error })?;
        let files = anonymous("realmode-firmware").and_then(|firmware| {
            firmware.write_all_at(&guest::firmware(), 0)?;
            let said = anonymous("realmode-qemu-says")?;
            Ok((firmware, said.try_clone()?, said))
        });
        let (firmware, said, stderr) =
            files.map_err(|error| Unavailable::Host { what: "no file for QEMU's firmware", error })?;

        // The shell checks that its parent is still there after the signal is armed. Otherwise a parent that ends
        // between fork and arming would leave QEMU behind.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "sh", "-c", "[ \"$PPID\" = \"$0\" ] && exec \"$@\""]);
        command.arg(std::process::id().to_string());
        command.arg(&config.program).args(arguments(&memory, &firmware, board));
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let process = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Unavailable::Host { what: "setpriv (util-linux), which ends QEMU with the harness", error }
            }
            _ => Unavailable::NotRunnable { program: config.program.clone(), error },
        })?;
        Ok(Self { process: Process { child: process, said }, memory, _firmware: firmware })
    }
}

/// How a QEMU process ended.
pub(super) struct End {
    /// How the process ended, in words, with the last line that it wrote to standard error.
    pub(super) how: String,
    /// The status or the abort by which the process ended itself after it wrote a message. `None` if the process wrote
    /// nothing, or if a signal from elsewhere ended it.
    pub(super) refusal: Option<Refusal>,
}

impl Process {
    /// Returns how the process ended; `None` if it still runs.
    pub(super) fn ended(&mut self) -> Option<End> {
        match self.child.try_wait() {
            Ok(Some(status)) => Some(self.told(status)),
            Ok(None) => None,
            Err(error) => Some(End { how: format!("lost: {error}"), refusal: None }),
        }
    }

    fn told(&mut self, status: ExitStatus) -> End {
        let how = ended(status);
        match self.last_words().ok().as_deref().and_then(last_line) {
            Some(line) => End {
                how: format!("{how}, saying {line:?}"),
                refusal: match (status.code(), status.signal()) {
                    (Some(code), _) => Some(Refusal::Status(code)),
                    (None, Some(signal)) if signal == Signal::ABORT.as_raw() => Some(Refusal::Abort),
                    _ => None,
                },
            },
            None => End { how, refusal: None },
        }
    }

    /// Returns the end of what the process wrote to standard error, as far as [`last_line`] needs it.
    fn last_words(&mut self) -> io::Result<Vec<u8>> {
        let most = LAST_WORDS as u64 + 1;
        let start = self.said.metadata()?.len().saturating_sub(most);
        self.said.seek(SeekFrom::Start(start))?;
        let mut said = Vec::new();
        (&self.said).take(most).read_to_end(&mut said)?;
        Ok(said)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn arguments(memory: &File, firmware: &File, board: &Board) -> Vec<OsString> {
    let backend = format!("memory-backend-file,id=ram,size={},mem-path={},share=on", layout::RAM, path(memory));
    let ram = format!("{}M", layout::RAM >> 20);
    let firmware = path(firmware);
    let fixed = [
        "-M",
        // TCG has none of the mitigations that the newest machine type asks for.
        "pseries,memory-backend=ram,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off",
        "-cpu",
        "POWER9",
        "-accel",
        "tcg",
        "-nodefaults",
        "-nographic",
        "-m",
        &ram,
        "-object",
        &backend,
        "-bios",
        &firmware,
    ];
    fixed.into_iter().map(OsString::from).chain(board.arguments().into_iter().map(OsString::from)).collect()
}
