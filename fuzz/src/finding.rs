//! Records a finding inside a fuzz target: writes the same files as the embedded campaign.

use std::path::PathBuf;

use contract::Program;
use realmode_diff::findings::record::{Catch, Origin, Recorder};
use realmode_diff::hunts::{campaign, pursuit};
use realmode_diff::voters::Roster;
use realmode_diff::{Finding, SubjectKind};

/// The environment variable that names the folder for findings. With the value `off` no files are written, for users
/// who run `realmode triage` themselves.
const FINDINGS: &str = "REALMODE_FINDINGS";

/// Shrinks a finding's program, prints the finding, and writes its files: the program as found, the shrunk program, the
/// report and the test. If `folder` returns `None` or a file cannot be written, only prints the finding.
pub(crate) fn tell(finding: &Finding, program: &Program, subject: SubjectKind, engine: &str) {
    let Some(out) = folder() else {
        eprintln!("\nFINDING {finding}");
        return;
    };
    let origin = Origin::Engine { engine: engine.into(), file: None };
    let catch = Catch { origin, program: program.clone(), finding: finding.clone() };
    let recorder = Recorder { out: &out };
    let recorded = recorder.keep(&catch).and_then(|file| {
        // Only the engine knows which programs ran before in this process. Like triage of its files, recording begins
        // with a fresh subject.
        pursuit::record(&Roster::from(subject), recorder, catch, file, &mut Vec::new)
    });
    match recorded {
        Ok(recorded) => eprint!("\n{recorded}"),
        // If the files cannot be written, the finding is printed, so that it is not lost.
        Err(error) => eprintln!("\nFINDING {finding}\n  not written: {error}\n{program}"),
    }
}

/// Returns the folder for findings. `None` if the user wants no files, or if libFuzzer is minimising a crash, because
/// that shows one finding thousands of times.
fn folder() -> Option<PathBuf> {
    let minimizing = std::env::args().any(|argument| argument.starts_with("-minimize_crash"));
    match std::env::var_os(FINDINGS) {
        _ if minimizing => None,
        Some(folder) if folder == "off" => None,
        Some(folder) => Some(folder.into()),
        None => Some(campaign::default_out().into()),
    }
}

/// Records the finding like [`tell`], then panics, so that libFuzzer keeps the input.
#[cfg(feature = "libfuzzer")]
pub(crate) fn abort(finding: &Finding, program: &Program, subject: SubjectKind, engine: &str) -> ! {
    tell(finding, program, subject, engine);
    panic!("{finding}");
}
