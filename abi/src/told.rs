//! What is kept of an implementation's talk between two questions of the harness.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines that are kept.
const LINES: usize = 16;
/// Bytes of a line that are kept.
const LINE: usize = 200;

/// Log lines and violations of the running program.
#[derive(Default)]
pub struct Told {
    inner: Mutex<Inner>,
    /// Whether there is a violation: asked for after every call.
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

    /// Forgets everything: another program begins.
    pub fn clear(&self) {
        let mut inner = self.inner();
        inner.lines.clear();
        inner.violation = None;
        self.violated.store(false, Relaxed);
    }

    /// Keeps a line, control characters replaced.
    pub fn log(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(&line[..line.len().min(LINE)]).replace(char::is_control, "?");
        let mut inner = self.inner();
        if inner.lines.len() == LINES {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.inner().lines.iter().cloned().collect()
    }

    /// Notes what the interface does not allow; the first counts.
    pub fn violation(&self, what: String) {
        self.inner().violation.get_or_insert(what);
        self.violated.store(true, Relaxed);
    }

    /// The violation since this was last asked.
    pub fn take_violation(&self) -> Option<String> {
        if self.violated.swap(false, Relaxed) { self.inner().violation.take() } else { None }
    }
}
