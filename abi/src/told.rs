//! The log lines of an implementation, and its violations of the interface, until the harness asks for them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Number of lines that are kept.
const LINES: usize = 16;
/// Number of bytes that are kept of a line.
const LINE: usize = 200;

/// Log lines of the running program, and the first violation that the harness has not taken yet.
#[derive(Default)]
pub struct Told {
    inner: Mutex<Inner>,
    /// Whether there is a violation: the harness asks after every call, so this must not take the lock.
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

    /// Forgets everything. The next program begins.
    pub fn clear(&self) {
        let mut inner = self.inner();
        inner.lines.clear();
        inner.violation = None;
        self.violated.store(false, Relaxed);
    }

    /// Adds a line of at most 200 bytes, with control characters replaced; the oldest line goes if there are 16.
    pub fn log(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(&line[..line.len().min(LINE)]).replace(char::is_control, "?");
        let mut inner = self.inner();
        if inner.lines.len() == LINES {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    /// Returns the lines, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.inner().lines.iter().cloned().collect()
    }

    /// Records a violation of the interface, unless one is recorded already.
    pub fn violation(&self, what: String) {
        self.inner().violation.get_or_insert(what);
        self.violated.store(true, Relaxed);
    }

    /// Returns the first violation since the last call of this function, and forgets it.
    pub fn take_violation(&self) -> Option<String> {
        if self.violated.swap(false, Relaxed) { self.inner().violation.take() } else { None }
    }
}
