//! A finding inside a target: the same files as from the embedded campaign.

use std::path::PathBuf;

use contract::Program;
use realmode_diff::findings::record::{Catch, Origin, Recorder};
use realmode_diff::hunts::{campaign, pursuit};
use realmode_diff::voters::Roster;
use realmode_diff::{Finding, SubjectKind};

/// Names the folder for findings; `off` writes none, for those who run `realmode triage` themselves.
const FINDINGS: &str = "REALMODE_FINDINGS";

/// Says what was found and writes it down: as found, shrunk, report, test.
pub(crate) fn tell(finding: &Finding, program: &Program, subject: SubjectKind, engine: &str) {
    let Some(out) = folder() else {
        eprintln!("\nFINDING {finding}");
        return;
    };
    let origin = Origin::Engine { engine: engine.into(), file: None };
    let catch = Catch { origin, program: program.clone(), finding: finding.clone() };
    let recorder = Recorder { out: &out };
    let recorded = recorder.keep(&catch).and_then(|file| {
        // What ran before in this process is the engine's to know; triage of its files begins with a fresh subject too.
        pursuit::record(&Roster::from(subject), recorder, catch, file, &mut Vec::new)
    });
    match recorded {
        Ok(recorded) => eprint!("\n{recorded}"),
        // Nothing found is lost: what cannot be written is printed.
        Err(error) => eprintln!("\nFINDING {finding}\n  not written: {error}\n{program}"),
    }
}

/// Where findings go, if anywhere: an engine that makes one input smaller runs into the same finding thousands of
/// times.
fn folder() -> Option<PathBuf> {
    let minimizing = std::env::args().any(|argument| argument.starts_with("-minimize_crash"));
    match std::env::var_os(FINDINGS) {
        _ if minimizing => None,
        Some(folder) if folder == "off" => None,
        Some(folder) => Some(folder.into()),
        None => Some(campaign::default_out().into()),
    }
}

/// Like [`tell`], then ends the process as engines expect it.
#[cfg(feature = "libfuzzer")]
pub(crate) fn abort(finding: &Finding, program: &Program, subject: SubjectKind, engine: &str) -> ! {
    tell(finding, program, subject, engine);
    panic!("{finding}");
}
