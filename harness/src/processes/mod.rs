//! What the processes of the harness share: files without a path that two processes open, values with a checksum, and
//! the words for how a process ended.

pub(crate) mod sealed;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;

/// Makes a file in memory that has no path in any folder. `name` is shown in `/proc` only. The error is the system's,
/// or says that the system is not Linux.
#[cfg(target_os = "linux")]
pub(crate) fn anonymous(name: &str) -> io::Result<File> {
    Ok(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn anonymous(_: &str) -> io::Result<File> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "processes of their own need Linux (memfd, /proc)"))
}

/// Returns a path under `/proc` by which another process of the same user can open `file`, which this process has open.
pub(crate) fn path(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

/// Returns how a process ended, in words, such as `ended by signal 9 (kill)` or `ended with status 3`.
pub(crate) fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (_, Some(signal)) => {
            let name = Signal::from_named_raw(signal).and_then(signal_name);
            format!("ended by signal {signal}{}", name.map_or(String::new(), |name| format!(" ({name})")))
        }
        (Some(code), _) => format!("ended with status {code}"),
        _ => "ended".into(),
    }
}

/// Returns in words what a signal means; `None` for a signal that the list in this function lacks, such as SIGUSR1. The
/// list compares constants and not numbers, because the numbers of signals differ between architectures.
fn signal_name(signal: Signal) -> Option<&'static str> {
    let names = [
        (Signal::ABORT, "abort"),
        (Signal::BUS, "bus error"),
        (Signal::FPE, "arithmetic"),
        (Signal::HUP, "hangup"),
        (Signal::ILL, "illegal instruction"),
        (Signal::INT, "interrupt"),
        (Signal::KILL, "kill"),
        (Signal::PIPE, "broken pipe"),
        (Signal::QUIT, "quit"),
        (Signal::SEGV, "segmentation fault"),
        (Signal::SYS, "bad system call"),
        (Signal::TERM, "terminate"),
        (Signal::TRAP, "trap"),
        (Signal::XCPU, "used too much time"),
        (Signal::XFSZ, "wrote to a file"),
    ];
    names.into_iter().find_map(|(named, name)| (named == signal).then_some(name))
}

/// Returns the last line of `said` that is not blank; `None` if all lines are blank.
pub(crate) fn last_line(said: &str) -> Option<&str> {
    said.lines().rev().find(|line| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn signals_are_named_whatever_their_numbers() {
        for (script, how) in [
            ("exit 3", "ended with status 3"),
            ("kill -SEGV $$", "(segmentation fault)"),
            ("kill -BUS $$", "(bus error)"),
            ("kill -XFSZ $$", "(wrote to a file)"),
            ("kill -USR1 $$", &format!("ended by signal {}", Signal::USR1.as_raw())),
        ] {
            let status = Command::new("sh").args(["-c", &format!("ulimit -c 0; {script}")]).status().expect("a shell");
            let told = ended(status);
            assert!(told.ends_with(how), "{script}: {told}");
        }
    }
}
