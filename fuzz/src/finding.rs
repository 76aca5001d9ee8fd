//! Hands a finding inside a fuzz target on: records it as a campaign does, or leaves what `realmode triage` needs.

use std::path::PathBuf;

use contract::Program;
use programs::sequence::Sequence;
use programs::store;
use realmode_diff::Finding;
#[cfg(not(feature = "afl"))]
use realmode_diff::findings::record::{Catch, Origin, Recorder};
#[cfg(not(feature = "afl"))]
use realmode_diff::hunts::{campaign, pursuit};
use realmode_diff::voters::{Look, Roster};

use crate::Target;

/// The environment variable that names the folder for findings. With the value `off` no files are written, for users
/// who run `realmode triage` themselves.
#[cfg(not(feature = "afl"))]
const FINDINGS: &str = "REALMODE_FINDINGS";

/// The environment variable that names a folder for sequences, for users who run `realmode triage` on the engine's
/// crash files and on this folder. If it is set, a target records nothing. It writes the sequence of a finding that a
/// fresh subject does not show: a crash file holds the last program alone, and triage would find nothing.
const SEQUENCES: &str = "REALMODE_SEQUENCES";

/// Shrinks a finding's program, prints the finding, and writes its files: the program as found, the shrunk program or
/// the sequence, the report and the test. If `folder` returns `None` or a file cannot be written, only prints the
/// finding. If [`SEQUENCES`] is set, only [leaves the sequence](leave_sequence).
#[cfg(not(feature = "afl"))]
pub(crate) fn tell(target: &Target, finding: &Finding, program: &Program, engine: &str) {
    if leave_sequence(target, finding, program, engine) {
        return;
    }
    let Some(out) = folder() else {
        eprintln!("\nFINDING {finding}");
        return;
    };
    let origin = Origin::Engine { engine: engine.into(), file: None };
    let catch = Catch { origin, program: program.clone(), finding: finding.clone() };
    let (recorder, roster) = (Recorder { out: &out }, Roster::from(target.subject()));
    let recorded = recorder
        .keep(&catch)
        .and_then(|file| pursuit::record(&roster, recorder, catch, file, &mut || Ok(vec![target.before()])));
    match recorded {
        Ok(recorded) => eprint!("\n{recorded}"),
        // The finding and its program stand in the error if they could not be written.
        Err(error) => eprintln!("\nFINDING {finding}\n{error}"),
    }
}

/// If [`SEQUENCES`] is set, writes the programs that the subject had run, the last of which is `program`, as a sequence
/// into that folder, unless a fresh subject shows the finding too. Of each identity one sequence is kept. Returns
/// whether the variable is set.
pub(crate) fn leave_sequence(target: &Target, finding: &Finding, program: &Program, engine: &str) -> bool {
    let Some(out) = std::env::var_os(SEQUENCES).map(PathBuf::from) else { return false };
    eprintln!("\nFINDING {finding}");
    let identity = finding.identity();
    let name = format!("{engine}-{:016x}.{}", store::hash(format!("{identity:?}")), store::SEQUENCE_EXTENSION);
    if out.join(&name).exists() {
        return true;
    }
    let panel = Roster::from(target.subject()).panel(Look::Whole);
    let fresh = panel.and_then(|mut panel| panel.check(program));
    if fresh.is_ok_and(|verdict| verdict.finding().is_some_and(|again| again.identity() == identity)) {
        return true;
    }
    let sequence = Sequence::after(target.before(), program.clone());
    if let Err(error) = store::write(&out, &name, format!("# {}\n{sequence}", store::one_line(finding))) {
        // The sequence is printed, so that it is not lost.
        eprintln!("  not written: {error}\n{sequence}");
    }
    true
}

/// Returns the folder for findings. `None` if the user wants no files, or if libFuzzer is minimising a crash, because
/// that shows one finding thousands of times.
#[cfg(not(feature = "afl"))]
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
pub(crate) fn abort(target: &Target, finding: &Finding, program: &Program, engine: &str) -> ! {
    tell(target, finding, program, engine);
    panic!("{finding}");
}
