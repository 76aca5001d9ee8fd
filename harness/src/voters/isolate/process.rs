//! The process of a child, as the harness sees it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::child::{Orders, arguments};
use super::wire::{Frame, Request, Telling};
use crate::processes::{LAST_WORDS, anonymous, ended, last_line, path};
use crate::voters::Task;

/// Time between two reads of the child's use of memory while the harness waits for the child.
const LOOK: Duration = Duration::from_millis(1);

/// How the child processes of isolated subjects are run, and their limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Path of the program to start: `realmode` itself, which has a command for children.
    pub program: PathBuf,
    /// Time after which a child that sends nothing counts as hung: the longest that a program may take or, when the
    /// child is watched step by step, a step.
    pub limit: Duration,
    /// Number of bytes of data that a subject may allocate.
    pub bytes: u64,
}

impl Config {
    /// Makes the configuration that starts this executable as the child, with a [`limit`](Self::limit) of 1 second and
    /// 256 MiB of data.
    ///
    /// # Errors
    /// Fails if the system does not say where this executable lies.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, limit: Duration::from_secs(1), bytes: 256 << 20 })
    }
}

/// How the harness lost a child process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Lost {
    /// The child ended; the text says how.
    Ended(String),
    /// The child sent nothing within the time limit.
    Silent,
    /// The child sent something that is no answer; the text says what.
    Garbage(String),
}

impl Lost {
    pub(super) fn told(&self, config: &Config) -> String {
        match self {
            Self::Ended(how) => how.clone(),
            Self::Silent => format!("made no progress within {}", humantime::format_duration(config.limit)),
            Self::Garbage(what) => format!("answered {what}"),
        }
    }
}

/// A child process with its pipes. Dropping this value ends the process.
pub(super) struct Process {
    child: std::process::Child,
    requests: ChildStdin,
    frames: ChildStdout,
    /// The bytes that came through the pipe of frames. `read` is how many of them have been read as frames.
    received: Vec<u8>,
    read: usize,
    memory: File,
    said: Arc<Mutex<Vec<u8>>>,
    /// How many bytes of data the subject may allocate. `data` is how many bytes of data the child had in all when the
    /// harness last looked.
    bytes: u64,
    data: u64,
}

impl Process {
    pub(super) fn start(config: &Config, subject: &str) -> io::Result<Self> {
        let memory = anonymous("realmode-programs")?;
        let parent = std::process::id();
        let orders = Orders { subject: subject.into(), parent, memory: path(&memory).into(), bytes: config.bytes };
        let mut command = Command::new(&config.program);
        command.args(arguments(&orders)).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let (Some(requests), Some(frames), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("a process without pipes"));
        };
        let theirs = Arc::clone(&said);
        // This thread ends when the process does, because that closes the other end of the pipe.
        std::thread::Builder::new().name("last words".into()).spawn(move || listen(errors, &theirs))?;
        let received = Vec::new();
        Ok(Self { child, requests, frames, received, read: 0, memory, said, bytes: config.bytes, data: 0 })
    }

    /// Sends programs to the child as the request with this number. `telling` says how much the child sends while it
    /// works. Fails if the child is lost.
    pub(super) fn request(&mut self, number: u64, telling: Telling, tasks: &[Task]) -> Result<(), Lost> {
        let sent = Request::bytes(number, telling, tasks).and_then(|bytes| {
            self.memory.write_all_at(&bytes, 0)?;
            self.requests.write_all(&(bytes.len() as u64).to_le_bytes())
        });
        sent.map_err(|_| self.ended())
    }

    /// Waits for the next frame that answers the request with this number. The child is lost if it sends nothing for
    /// `limit`, ends, or sends something that is no answer.
    pub(super) fn frame(&mut self, number: u64, limit: Duration) -> Result<Frame, Lost> {
        loop {
            match Frame::read(&self.received[self.read..], number).map_err(Lost::Garbage)? {
                Some((frame, length)) => {
                    self.read += length;
                    return Ok(frame);
                }
                // The limit holds for each part, so that a child that stops in the middle of a frame does not stop the
                // harness.
                None => self.receive(limit)?,
            }
        }
    }

    /// Waits until the child sends more bytes, and adds them to `received`. The child is lost if it sends nothing for
    /// `limit` or ends.
    fn receive(&mut self, limit: Duration) -> Result<(), Lost> {
        let started = Instant::now();
        loop {
            let mut pipe = [PollFd::new(&self.frames, PollFlags::IN)];
            let look = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as i64 };
            match poll(&mut pipe, Some(&look)) {
                Ok(0) if started.elapsed() >= limit => return Err(Lost::Silent),
                Ok(0) => self.look(),
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Lost::Ended(format!("cannot be waited for: {error}"))),
            }
        }
        self.received.drain(..std::mem::take(&mut self.read));
        let mut bytes = [0; 1 << 16];
        match self.frames.read(&mut bytes) {
            Ok(0) | Err(_) => Err(self.ended()),
            Ok(count) => {
                self.received.extend(&bytes[..count]);
                Ok(())
            }
        }
    }

    /// Sets `data` to how many bytes of data the child has; keeps it if that is 0 or cannot be read.
    fn look(&mut self) {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap_or_default();
        // The sixth number is data and stack, in pages of the host; 0 if the process is about to end.
        if let Some(pages @ 1..) = pages.split(' ').nth(5).and_then(|pages| pages.parse::<u64>().ok()) {
            self.data = pages.saturating_mul(rustix::param::page_size() as u64);
        }
    }

    /// Returns how the child ended, after its pipe was closed. A child that still runs after a second is killed.
    fn ended(&mut self) -> Lost {
        let started = Instant::now();
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if started.elapsed() < Duration::from_secs(1) => std::thread::sleep(Duration::from_millis(1)),
                _ => {
                    let _ = self.child.kill();
                    break self.child.wait().ok();
                }
            }
        };
        let mut how = status.map_or_else(|| "ended".into(), ended);
        if self.data >= self.bytes / 2 {
            how += &format!(", last seen with {} MiB of data (its limit is {} MiB)", self.data >> 20, self.bytes >> 20);
        }
        // The thread that reads its standard error may not be done.
        std::thread::sleep(Duration::from_millis(1));
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = last_line(&said) {
            how += &format!(", saying {line:?}");
        }
        Lost::Ended(how)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what a child writes to standard error until the child ends, and keeps in `said` what [`last_line`] needs of
/// it: the last [`LAST_WORDS`] bytes and the one before them.
fn listen(mut errors: impl Read, said: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut bytes) {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend(&bytes[..count]);
        let surplus = said.len().saturating_sub(LAST_WORDS + 1);
        said.drain(..surplus);
    }
}
