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
        inner.violation = None;
        self.violated.store(false, Relaxed);
    }

    /// Adds the first 200 bytes of a log line, with each control character replaced by `?`, and what is not UTF-8 by
    /// U+FFFD. If there are 16 lines already, the oldest one goes.
    pub fn log(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(&line[..line.len().min(LINE)]).replace(char::is_control, "?");
        let mut inner = self.inner();
        if inner.lines.len() == LINES {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    /// Returns the kept log lines of the program, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.inner().lines.iter().cloned().collect()
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
