//! What all children of the harness need: files without names that both sides open, values that are checked when they
//! are read, and how a process ended in words.

pub(crate) mod sealed;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;

/// A file without a name.
#[cfg(target_os = "linux")]
pub(crate) fn anonymous(name: &str) -> io::Result<File> {
    Ok(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn anonymous(_: &str) -> io::Result<File> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "processes of their own need Linux (memfd, /proc)"))
}

/// A path by which another process of the same user opens a file of ours.
pub(crate) fn path(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

/// How a process ended, such as `ended by signal 9 (kill)`.
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

/// What a signal that ends processes says in words. Numbers of signals differ between architectures, so none is named
/// here.
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

/// The last line that says something.
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
