//! The command `realmode`: parses the command line, and holds what all subcommands share. See `realmode --help`.

mod corpus;
mod exhaust;
mod export;
mod fuzz;
mod hunt;
mod isolated;
mod json;
mod replay;
mod rules;
mod shell;
mod show;
mod shrink;
mod triage;
mod voters;
mod watch;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use programs::focus::Focus;
use programs::inputs::InputError;
use programs::sequence::{self, Runnable};
use programs::store;
use realmode_diff::subjects::NoSubject;
use realmode_diff::{Program, SubjectKind};

/// Exit status: something was compared and there is no finding.
const CLEAN: u8 = 0;
/// Exit status: there is at least one finding.
const FINDING: u8 = 1;
/// Exit status: bad arguments or malformed input.
const BAD_INPUT: u8 = 2;
/// Exit status: nothing was compared, or something is missing on this machine, such as room to write to.
const MISSING: u8 = 3;

#[derive(Parser)]
#[command(
    name = "realmode",
    version,
    about = "Differential fuzzing of PowerPC real-mode TCE handling",
    long_about = "Runs programs on a reference model and on an optimised real-mode candidate side by side, and reports the first \
                  difference as a short readable program. Without a command it runs a 30 s campaign on all cores.",
    after_help = "Exit status: 0 something was compared and nothing found, 1 a finding, 2 bad arguments or malformed input, 3 nothing \
                  was compared or something is missing on this machine. triage of folders without any crash file ends \
                  with 0."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Draw random programs and check them against the reference on all cores
    Fuzz(fuzz::Args),
    /// Check every program up to a number of steps, over a small stated domain
    ///
    /// The domain has four small machines for each memory model, and about seventy steps for each machine: hypercalls
    /// with edge values, lookups, references, and host steps. Every sequence of up to --steps of these steps is
    /// accounted for exactly once: it was run, or it equals a shorter one because its last step is skipped, or it lies
    /// behind a finding. A file records the finished units, so a run that was stopped (Ctrl-C, a kill, --time)
    /// continues where it was. docs/exhaustive.md describes the domain and the argument.
    Exhaust(exhaust::Args),
    /// Turn the crash files of fuzzing engines into shrunk programs, reports and tests
    ///
    /// Checks the files of an engine again: libFuzzer's crash-*, timeout-*, oom-* and slow-unit-* files, the crashes
    /// and hangs in an output folder of AFL++, or programs as text. Findings with the same rule, field and kind of step
    /// count as one: the command shrinks the first by file name and writes its report and test, and counts the others.
    /// A check that hangs is a finding as well.
    Triage(triage::Args),
    /// Check programs and sequences of programs from files or folders
    Replay(replay::Args),
    /// Show each step of a program: outcome, deciding rule, and changes of memory
    Show(show::Args),
    /// Shrink a failing program; rule, field and kind of step stay the same
    Shrink(shrink::Args),
    /// Print a program as a #[test] to paste
    Export(export::Args),
    /// List every rule, how often a corpus decides each, or where the dialects disagree
    Rules(rules::Args),
    /// Run a subject for another realmode process
    #[command(hide = true)]
    Isolated(isolated::Args),
    /// Pack, unpack, migrate and measure the corpora of fuzzing engines
    ///
    /// Engines keep packed programs, git keeps text. Packed programs may come from any engine: corpus folders of
    /// libFuzzer, queues of AFL++, or its whole output folder. In folders, the command passes over files that an engine
    /// keeps for itself.
    Corpus(corpus::Args),
}

/// Why a command ends without a result: its exit status, and the message for stderr.
struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// Makes the failure for bad arguments or malformed input (status 2).
    fn input(message: impl Display) -> Self {
        Self { status: BAD_INPUT, message: message.to_string() }
    }

    /// Makes the failure for something that is missing on this machine (status 3).
    fn missing(message: impl Display) -> Self {
        Self { status: MISSING, message: message.to_string() }
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::input(error.in_colours())
    }
}

/// The exit status of a command, or why it failed.
type Outcome = Result<u8, Failure>;

impl Cli {
    /// Returns what a process that watches the command must know: which libraries the command runs without isolation,
    /// and where it keeps programs.
    fn plan(&self) -> watch::Plan {
        match &self.command {
            Some(Command::Fuzz(args)) => args.plan(),
            Some(Command::Exhaust(args)) => args.plan(),
            Some(Command::Triage(args)) => args.plan(),
            Some(Command::Replay(args)) => args.plan(),
            Some(Command::Show(args)) => args.plan(),
            Some(Command::Shrink(args)) => args.plan(),
            Some(Command::Corpus(args)) => args.plan(),
            None | Some(Command::Export(_) | Command::Rules(_) | Command::Isolated(_)) => watch::Plan::default(),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match watch::run(&cli.plan()) {
        Ok(Some(code)) => return code,
        Ok(None) => run(cli),
        Err(failure) => Err(failure),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(Failure { status, message }) => {
            // anstream drops the colours if stderr does not show them.
            anstream::eprintln!("realmode: {message}");
            ExitCode::from(status)
        }
    }
}

/// Runs the command in this process, and returns its exit status. Without a command runs a campaign.
fn run(cli: Cli) -> Outcome {
    let _finish = watch::Finish;
    match cli.command {
        None => fuzz::run(&fuzz::Args::default()),
        Some(Command::Fuzz(args)) => fuzz::run(&args),
        Some(Command::Exhaust(args)) => exhaust::run(&args),
        Some(Command::Triage(args)) => triage::run(&args),
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::Show(args)) => show::run(&args),
        Some(Command::Shrink(args)) => shrink::run(&args),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Rules(args)) => rules::run(&args),
        Some(Command::Isolated(args)) => isolated::run(&args),
        Some(Command::Corpus(args)) => corpus::run(&args),
    }
}

/// Prints to standard output. A closed pipe is not an error: the reader has seen enough. Any other error fails with
/// status 3.
fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::missing(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes `json` to the file `path` as one JSON object. A path without a file name is bad input (status 2); a file that
/// cannot be written fails with status 3.
fn save_json(path: &Path, json: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(json).map_err(Failure::missing)?;
    let name = path.file_name().ok_or_else(|| Failure::input(format!("{}: not a file name", path.display())))?;
    store::write(store::folder_of(path), name, json + "\n").map(drop).map_err(Failure::missing)
}

/// Returns the subject of this name, or the library with this path. An unknown name is bad input (status 2); a library
/// that cannot be used counts as missing (status 3).
fn subject(name: &str) -> Result<SubjectKind, Failure> {
    name.parse().map_err(|error| match error {
        NoSubject::Unknown => Failure::input(format!("--subject {name}: {error}")),
        NoSubject::Unusable(unusable) => Failure::missing(unusable),
    })
}

/// Returns the parser of the option --focus, which takes the name of a fuzz target.
fn focuses() -> impl TypedValueParser<Value = Focus> {
    PossibleValuesParser::new(Focus::ALL.map(Focus::name)).map(|name| Focus::from_name(&name).unwrap_or_default())
}

/// Reads a text file with one program. Anything else, also a sequence of programs, is bad input (status 2).
fn load(path: &Path) -> Result<Program, Failure> {
    match sequence::read(path)? {
        Runnable::Program(program) => Ok(*program),
        Runnable::Sequence(sequence) => {
            let programs = sequence.parts.len();
            let what = "expected one program; `realmode replay` runs sequences";
            Err(Failure::input(format!("{}: found a sequence of {programs} programs, {what}", path.display())))
        }
    }
}

/// Finds all files of programs and sequences under `paths`, in the order of `paths`. A path that does not exist, or a
/// folder without such files, is bad input (status 2). A path that is a file counts whatever its name.
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
