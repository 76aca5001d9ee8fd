//! Replay without an engine: runs the inputs in files and folders, once each. Such a target links only the standard
//! library and the harness, so the coverage of a corpus is measured with it.

use std::path::Path;
use std::process::ExitCode;

use programs::store::files_under;
use realmode_diff::hunts::engine::EngineRun;

use crate::{Target, finding};

/// Runs the programs in the files and folders that the command line names. Records each finding, and goes on. At the
/// end prints the number of inputs, of those that were not run, and of those of which nothing was compared. The exit
/// status is 0 without a finding, 1 with one, 2 if there is no input or an input cannot be read, and 3 if nothing was
/// compared.
pub fn programs(mut target: Target) -> ExitCode {
    let (mut run, mut rejected, mut uncompared) = (0, 0, 0);
    let mut why = None;
    let result = each_input(|bytes| {
        run += 1;
        match target.run(bytes, &mut |_| {}) {
            EngineRun::Agreed => true,
            EngineRun::NotCompared(not) => {
                uncompared += u32::from(!not.compared);
                if !not.compared {
                    why.get_or_insert(not);
                }
                true
            }
            EngineRun::Rejected => {
                rejected += 1;
                true
            }
            EngineRun::Finding(finding, program) => {
                finding::tell(&target, &finding, &program, "replay");
                false
            }
        }
    });
    println!(
        "{run} inputs, {rejected} not run because they would take long or have another version of the encoding, \
         {uncompared} of which nothing was compared"
    );
    if result != ExitCode::SUCCESS || run > rejected + uncompared {
        return result;
    }
    eprintln!("nothing was compared{}", why.map_or(String::new(), |not| format!(": {not}")));
    ExitCode::from(3)
}

/// Runs `run` on the bytes of each file that the command line names or that lies in a folder it names. `run` panics if
/// it finds a mistake. The exit status is 2 if there is no input or an input cannot be read, else 0.
pub fn bytes(run: fn(&[u8])) -> ExitCode {
    each_input(|bytes| {
        run(bytes);
        true
    })
}

/// Runs `run` on the bytes of each input of the command line, also after a finding, for which `run` returns false. The
/// exit status is 0 without a finding, 1 with one, and 2 if there is no input or an input cannot be read; the first
/// such input ends the replay.
fn each_input(mut run: impl FnMut(&[u8]) -> bool) -> ExitCode {
    let mut clean = true;
    let mut files = Vec::new();
    for argument in std::env::args_os().skip(1) {
        match files_under(Path::new(&argument)) {
            Ok(found) => files.extend(found),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
        }
    }
    if files.is_empty() {
        eprintln!("found no input, expected files or folders of inputs");
        return ExitCode::from(2);
    }
    for file in files {
        match std::fs::read(&file) {
            Ok(bytes) => clean &= run(&bytes),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::from(u8::from(!clean))
}
