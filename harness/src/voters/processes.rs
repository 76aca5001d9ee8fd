//! What all children of the harness need: files without names that both sides open, and how a process ended in words.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

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

/// How it ended, such as `ended by signal 9`.
pub(crate) fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("ended by signal {signal}"),
        (Some(code), _) => format!("ended with status {code}"),
        _ => "ended".into(),
    }
}

/// The last line that says something.
pub(crate) fn last_line(said: &str) -> Option<&str> {
    said.lines().rev().find(|line| !line.trim().is_empty())
}
