//! Watches commands that run a library without isolation: a second process runs the command, and this one reports if
//! the library ends that process.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use programs::{inputs, store};
use realmode_diff::hunts::campaign::default_out;
use realmode_diff::subjects::is_library;
use realmode_diff::voters::isolate::{Config, Isolated};
use realmode_diff::voters::{Task, Told, Voter as _};
use realmode_diff::watch::{self, End, Loss, Role, Watched};
use realmode_diff::{Program, Rule, Tally, Verdict};

use super::{FINDING, Failure, shell};

/// What the watching process needs to know about a command.
#[derive(Default)]
pub(crate) struct Plan {
    /// Paths of the libraries that the command runs without isolation. If there are none, nothing is watched.
    pub(crate) libraries: Vec<String>,
    /// The folder in which to keep a program that ended the process; `None` for the default folder for findings.
    pub(crate) out: Option<PathBuf>,
    /// Files and folders of programs that the command line names.
    pub(crate) files: Vec<PathBuf>,
    /// Whether the command ends with a summary when Ctrl-C interrupts it.
    pub(crate) interruptible: bool,
}

impl Plan {
    /// Returns the plan of a command that runs the subject of this name or path.
    pub(crate) fn of(subject: &str) -> Self {
        let libraries = is_library(subject).then(|| subject.to_string()).into_iter().collect();
        Self { libraries, ..Self::default() }
    }
}

/// Tells the watching process, when dropped, that the command ended by itself: it returned or panicked.
pub(crate) struct Finish;

impl Drop for Finish {
    fn drop(&mut self) {
        watch::finish();
    }
}

/// Runs the command in a second process if it runs a library without isolation, and returns the exit code of that
/// process, or status 1 if the library ended it. Returns `None` if this process must run the command itself: the
/// command runs no such library, this process is the second one, or the user wants no second one. If a signal ended the
/// second process, this process ends by the same signal.
pub(crate) fn run(plan: &Plan) -> Result<Option<ExitCode>, Failure> {
    let watched = |error| Failure::missing(format!("{}: no process to run it in: {error}", plan.libraries.join(", ")));
    if plan.libraries.is_empty() || watch::role().map_err(watched)? != Role::Alone {
        return Ok(None);
    }
    let process = Watched::start().map_err(watched)?;
    if plan.interruptible {
        // A terminal interrupts both processes. Another sender interrupts only this one, so it passes the signal on.
        let interrupt = process.interrupter();
        ctrlc::set_handler(interrupt).map_err(|error| Failure::missing(format!("no handler for Ctrl-C: {error}")))?;
    }
    let (status, code) = match process.end().map_err(watched)? {
        End::Own(status) => (status, status.code()),
        End::Lost(loss) => {
            tell(plan, &loss);
            (loss.status, Some(FINDING.into()))
        }
    };
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        watch::end_by(signal);
    }
    Ok(Some(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FINDING))))
}

/// Reports on stderr how a library ended the process that ran it, and for each program that may be the cause the file
/// that keeps it.
fn tell(plan: &Plan, loss: &Loss) {
    if plan.interruptible && std::io::stderr().is_terminal() {
        // Ends the line of the progress bar.
        eprintln!();
    }
    let how = loss.how();
    let mut guilty: Vec<&(PathBuf, Program)> = loss.running.iter().collect();
    if guilty.len() > 1 {
        // Several threads each ran a program. Only those programs count that end a process again.
        let confirmed: Vec<_> =
            guilty.iter().copied().filter(|(library, program)| ends_alone(library, program)).collect();
        guilty = if confirmed.is_empty() { guilty } else { confirmed };
    }
    if guilty.is_empty() {
        let libraries = plan.libraries.join(", ");
        eprintln!(
            "realmode: {libraries}: the process {how} before the library ran a program; --isolate keeps it apart"
        );
    }
    for (library, program) in guilty {
        let kept = keep(plan, library, program, &how);
        let (named, library) = (shell::word(library), library.display());
        match kept {
            Ok(file) => eprintln!(
                "realmode: {library}: the process {how} while the library ran {}; --isolate makes that a finding: \
                 realmode replay --isolate --subject {named} {}",
                file.display(),
                shell::word(&file)
            ),
            Err(error) => eprintln!(
                "realmode: {library}: the process {how} while the library ran this program, not kept: {error}\n{program}"
            ),
        }
    }
}

/// Returns the file of the program that ended a process: a file from the command line that holds it, or else a new file
/// that `keep` writes to the plan's folder. `how` says how the process ended.
fn keep(plan: &Plan, library: &Path, program: &Program, how: &str) -> std::io::Result<PathBuf> {
    let given = plan.files.iter().filter_map(|path| store::programs_under(path).ok()).flatten();
    let is_it = |file: &PathBuf| inputs::read_text(file).is_ok_and(|given| given == *program);
    if let Some(file) = given.into_iter().find(is_it) {
        return Ok(file);
    }
    let stem = library.file_stem().unwrap_or_default().to_string_lossy();
    let name = format!("incident-{stem}-{}.{}", store::fingerprint(program), store::EXTENSION);
    let library = store::one_line(library.display());
    let text = format!("# The process that ran {library} on it {how}.\n{program}");
    store::write(plan.out.as_deref().unwrap_or(default_out()), name, text)
}

/// Returns whether the library ends its process (`SUBJECT.CRASH`) when it runs this program alone, in a process of its
/// own. False also if that process cannot be started.
fn ends_alone(library: &Path, program: &Program) -> bool {
    let Ok(config) = Config::new() else { return false };
    let Ok(mut isolated) = Isolated::new(config, &library.display().to_string()) else { return false };
    let mut ends = false;
    let mut tell = |told| {
        if let Told::Verdict(_, Verdict::Finding(finding)) = told {
            ends = finding.rule == Rule::SubjectCrash;
        }
    };
    let voted = isolated.vote(&[Task::from(program.clone())], &mut Tally::default(), &mut tell);
    voted.is_ok() && ends
}
