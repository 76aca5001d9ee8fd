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

/// Number of bytes that are shown of the end of what a process writes to standard error. A reader keeps one byte more,
/// so that [`last_line`] knows whether there was more.
pub(crate) const LAST_WORDS: usize = 4096;

/// Returns the last line of `said` that is not blank; `None` if all lines are blank. `said` is the end of what a
/// process wrote, and of it the last [`LAST_WORDS`] bytes count. `...` stands before a line whose beginning is not
/// among them. What is not UTF-8 is replaced by U+FFFD.
pub(crate) fn last_line(said: &[u8]) -> Option<String> {
    let surplus = said.len().saturating_sub(LAST_WORDS);
    let kept = String::from_utf8_lossy(&said[surplus..]);
    let (number, line) = kept.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).last()?;
    let whole = number > 0 || surplus == 0 || said[surplus - 1] == b'\n';
    Some(if whole { line.into() } else { format!("...{line}") })
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

    #[test]
    fn a_last_line_that_was_cut_says_so() {
        let told = |said: &str| last_line(said.as_bytes());
        assert_eq!((told(""), told(" \n\n")), (None, None));
        assert_eq!(told("first\nlast\n \n").as_deref(), Some("last"));
        assert_eq!(told(&format!("{}\nlast", "x".repeat(1 << 20))).as_deref(), Some("last"));
        let longest = "x".repeat(LAST_WORDS);
        assert_eq!(told(&longest).as_ref(), Some(&longest));
        assert_eq!(told(&format!("first\n{longest}")).as_ref(), Some(&longest));
        assert_eq!(told(&format!("y{longest}")), Some(format!("...{longest}")));
        // The cut falls into a character of two bytes.
        let text = format!("\u{e9}{}", &longest[1..]);
        assert_eq!(told(&text), Some(format!("...\u{fffd}{}", &longest[1..])));
    }
}
