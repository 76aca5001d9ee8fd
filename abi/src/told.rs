//! The log lines of an implementation, and its violations of the interface, until the harness asks for them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Number of log lines that are kept of a program, the last ones.
const LINES: usize = 16;
/// Number of bytes that are kept of a log line, the first ones.
const LINE: usize = 200;

/// The log lines of the running program, and the first violation of the interface that the harness has not taken yet.
#[derive(Default)]
pub struct Told {
    inner: Mutex<Inner>,
    /// Whether a violation is recorded: the harness asks after every call, so the answer must not need the lock.
    violated: AtomicBool,
}

#[derive(Default)]
struct Inner {
    lines: VecDeque<String>,
    /// Number of log lines of the program that are not kept any more.
    dropped: u64,
    violation: Option<String>,
}

impl Told {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the log lines and the violation, because the next program begins.
    pub fn clear(&self) {
        let mut inner = self.inner();
        inner.lines.clear();
        inner.dropped = 0;
        inner.violation = None;
        self.violated.store(false, Relaxed);
    }

    /// Adds a log line, [cut](line) to its first 200 bytes. If there are 16 lines already, the oldest one goes.
    pub fn log(&self, text: &[u8]) {
        let line = line(text, LINE);
        let mut inner = self.inner();
        if inner.lines.len() == LINES {
            inner.lines.pop_front();
            inner.dropped += 1;
        }
        inner.lines.push_back(line);
    }

    /// Returns the kept log lines of the program, oldest first. If older ones were dropped, a line before them says how
    /// many.
    pub fn lines(&self) -> Vec<String> {
        let inner = self.inner();
        let dropped = (inner.dropped > 0).then(|| format!("... ({} earlier lines)", inner.dropped));
        dropped.into_iter().chain(inner.lines.iter().cloned()).collect()
    }

    /// Records `what`, a violation of the interface, unless a violation is recorded already.
    pub fn violation(&self, what: String) {
        self.inner().violation.get_or_insert(what);
        self.violated.store(true, Relaxed);
    }

    /// Returns the first violation since the last call of this function, and forgets it; `None` if there is none.
    pub fn take_violation(&self) -> Option<String> {
        if self.violated.swap(false, Relaxed) { self.inner().violation.take() } else { None }
    }
}

/// Returns the first `most` bytes of an implementation's text, as one line: each control character is replaced by `?`,
/// and what is not UTF-8 by U+FFFD. If there are more bytes, a mark at the end of the line says how many the text has.
pub fn line(text: &[u8], most: usize) -> String {
    let kept = String::from_utf8_lossy(&text[..text.len().min(most)]).replace(char::is_control, "?");
    if text.len() > most { format!("{kept}... ({} bytes)", text.len()) } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_of_a_log_is_said() {
        let told = Told::default();
        told.log(b"a\tb");
        told.log(&[b'x'; LINE]);
        assert_eq!(told.lines(), ["a?b".into(), "x".repeat(LINE)]);
        told.log(&[b'y'; 1 << 20]);
        assert_eq!(told.lines()[2], "y".repeat(LINE) + "... (1048576 bytes)");
        for number in 0..LINES {
            told.log(format!("line {number}").as_bytes());
        }
        let lines = told.lines();
        assert_eq!((lines.len(), lines[0].as_str(), lines[1].as_str()), (LINES + 1, "... (3 earlier lines)", "line 0"));
        told.clear();
        assert!(told.lines().is_empty());
        told.log(b"again");
        assert_eq!(told.lines(), ["again"]);
    }
}
