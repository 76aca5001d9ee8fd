//! Runs the command `realmode` in a folder of its own, for the tests of `tests/command` and `tests/harness`.

use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The path of the command `realmode`.
pub(crate) const REALMODE: &str = env!("CARGO_BIN_EXE_realmode");

/// An empty folder in which a test runs the command.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// How a run of the command ended, and what it printed.
pub(crate) struct Ran {
    /// The exit status; -1 if a signal ended the command.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the command in `folder` with nothing on standard input. The command must not panic.
pub(crate) fn run(folder: &TempDir, args: &[&str]) -> Ran {
    let output = Command::new(REALMODE).current_dir(folder).args(args).stdin(Stdio::null()).output().expect("a run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let status = output.status.code().unwrap_or(-1);
    let ran = Ran { status, stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!ran.stderr.contains("panicked"), "{args:?}: {}", ran.stderr);
    ran
}
