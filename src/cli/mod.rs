//! Command line: parsing, and what all commands share.

mod export;
mod fuzz;
mod replay;
mod rules;
mod show;
mod shrink;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use contract::text::MAX_TEXT_BYTES;
use realmode_diff::{Program, store};

/// Exit status: nothing found.
const CLEAN: u8 = 0;
/// Exit status: a finding.
const FINDING: u8 = 1;
/// Exit status: bad arguments or malformed input.
const BAD_INPUT: u8 = 2;
/// Exit status: something is missing on this machine, such as room to write to.
const MISSING: u8 = 3;

#[derive(Parser)]
#[command(
    name = "realmode",
    version,
    about = "Differential fuzzing of PowerPC real-mode TCE handling",
    long_about = "Runs programs on a reference model and on an optimised real-mode candidate side by side, and reports the first \
                  difference as a short readable program. Without a command: a 30 s campaign on all cores.",
    after_help = "Exit status: 0 nothing found, 1 a finding, 2 bad arguments or malformed input, 3 something is missing on \
                  this machine."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Draw random programs and check them on all cores
    Fuzz(fuzz::Args),
    /// Check programs from files or folders
    Replay(replay::Args),
    /// Show each step of a program: outcome, deciding rule, and what changed
    Show(show::Args),
    /// Make a failing program small, keeping rule, field and kind of step
    Shrink(shrink::Args),
    /// Print a program as a #[test] to paste
    Export(export::Args),
    /// List every rule; with a corpus, how often each was decided
    Rules(rules::Args),
}

/// Why a command ends without an answer.
pub(crate) struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    fn input(message: impl Display) -> Self {
        Self { status: BAD_INPUT, message: message.to_string() }
    }

    fn missing(message: impl Display) -> Self {
        Self { status: MISSING, message: message.to_string() }
    }
}

type Outcome = Result<u8, Failure>;

pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        None => fuzz::run(&fuzz::Args::default()),
        Some(Command::Fuzz(args)) => fuzz::run(&args),
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::Show(args)) => show::run(&args),
        Some(Command::Shrink(args)) => shrink::run(&args),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Rules(args)) => rules::run(&args),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(Failure { status, message }) => {
            eprintln!("realmode: {message}");
            ExitCode::from(status)
        }
    }
}

/// Prints to standard output. A reader who has seen enough (a closed pipe) is no error.
fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::missing(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON object to a file.
fn save_json(path: &Path, json: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(json).map_err(Failure::missing)?;
    let name = path.file_name().ok_or_else(|| Failure::input(format!("{}: not a file name", path.display())))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    store::write(folder, name, json + "\n").map(drop).map_err(Failure::missing)
}

/// The program in a file.
fn load(path: &Path) -> Result<Program, Failure> {
    let name = path.display().to_string();
    let fail = |error: io::Error| Failure::input(format!("{name}: {error}"));
    let size = std::fs::metadata(path).map_err(fail)?.len();
    if size > MAX_TEXT_BYTES as u64 {
        return Err(Failure::input(format!(
            "{name}: found {size} bytes, expected a program of at most {MAX_TEXT_BYTES}"
        )));
    }
    let bytes = std::fs::read(path).map_err(fail)?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
            let message = format!("{name}:{line}:{column}: found the byte {byte:#04x}, expected text in UTF-8");
            return Err(Failure::input(message));
        }
    };
    realmode_diff::parse(text).map_err(|error| Failure::input(error.in_file(&name)))
}

/// All program files under the paths, in order.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let found = store::programs_under(path).map_err(Failure::input)?;
        if found.is_empty() {
            let message = format!("{}: found no file that ends in .{}", path.display(), store::EXTENSION);
            return Err(Failure::input(message));
        }
        files.extend(found);
    }
    Ok(files)
}
