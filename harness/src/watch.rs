//! Watches a command that runs a library in its own process, and keeps the running programs if the library ends the
//! process.
//!
//! ```text
//!  the command                                the same command, watched
//!  waits               <── shared memory ──── the library, and the program that each checker has just begun
//!  Ctrl-C              ─── SIGINT ──────────>
//! ```
//!
//! A command that is to run a library in its own process starts itself again with the same arguments
//! ([`Watched::start`]) and waits. The second process does the work. It may end by a signal, because the library calls
//! `exit`, or because the system runs out of memory. In each case the first process still has the programs that ran,
//! because they lie in memory that both processes share. A signal handler in a single process would do less: a library
//! may set its own handlers, may have overwritten what the handler needs, and can call `exit` without any signal.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use contract::{Program, Step};
use programs::encoding;
use rustix::process::{DumpableBehavior, Pid, Signal};
use serde_bytes::Bytes;

use crate::check::checker::Witness;
use crate::processes::sealed::{self, Opened};
use crate::processes::{anonymous, ended, path};

/// Name of the environment variable that tells a process that it is watched. Its value is the watching process's id,
/// `:`, and the path of the shared memory. If the value has no `:`, such as `no`, a command runs libraries unwatched,
/// so that a debugger has only one process to follow.
pub const ENVIRONMENT: &str = "REALMODE_WATCHED";

/// Number of bytes of a stretch, the part of the shared memory that one checker has. It is more than any packed program
/// has. Stretch 0 belongs to no checker and holds [`FINISHED`].
const STRETCH: u64 = 1 << 27;
/// Value of the first byte of the shared memory once the watched command has ended by itself. The command writes it
/// just before it ends ([`finish`]), also after a panic. The byte stays 0 if a signal kills the command or the library
/// calls `exit`.
const FINISHED: u8 = 1;

/// A record in the shared memory: the path of a library, and the [packed](encoding) program that the library runs.
type Record<'a> = (&'a str, &'a Bytes);

// ---- the process that is watched ------------------------------------------------------------------------------------

/// The shared memory, as a watched process uses it.
struct Memory {
    file: File,
    /// The numbers of the stretches that no checker uses any more, and how many stretches were ever used.
    free: Mutex<(Vec<u64>, u64)>,
}

/// The shared memory. It is set only in a process that is watched.
static MEMORY: OnceLock<Memory> = OnceLock::new();

/// Whether another process watches this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// No process watches this process. It may start itself again to be watched.
    Alone,
    /// Another process watches this process.
    Watched,
    /// The user wants this process to run libraries without being watched.
    Unwatched,
}

/// Returns the role of this process by the [environment variable](ENVIRONMENT): [`Role::Alone`] if the variable is not
/// set, or names another process than this one's parent; [`Role::Unwatched`] if its value has no `:`. If the process is
/// watched, `role` also opens the shared memory, and asks the system to kill this process when the watching process
/// ends.
///
/// # Errors
/// Fails if the watching process ends during the call, if the shared memory cannot be opened, or if the system call
/// fails by which this process asks to be killed.
pub fn role() -> io::Result<Role> {
    let Some(value) = std::env::var_os(ENVIRONMENT) else { return Ok(Role::Alone) };
    let value = value.to_string_lossy();
    let Some((watcher, memory)) = value.split_once(':') else { return Ok(Role::Unwatched) };
    let watcher = watcher.parse().ok().and_then(Pid::from_raw);
    // A process that the watched process started inherits the variable, but has another parent.
    if watcher.is_none() || rustix::process::getppid() != watcher {
        return Ok(Role::Alone);
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != watcher {
        return Err(io::Error::other("the process that watches this one has ended"));
    }
    let file = File::options().read(true).write(true).open(memory)?;
    let _ = MEMORY.set(Memory { file, free: Mutex::new((Vec::new(), 0)) });
    Ok(Role::Watched)
}

/// Marks in the shared memory that this command ends by itself. If a watched process ends without the mark and not by a
/// signal, the watching process blames a library. Does nothing in a process that is not watched.
pub fn finish() {
    if let Some(memory) = MEMORY.get() {
        // An error is ignored: without the mark there is a report too many, which is better than one too few.
        let _ = memory.file.write_all_at(&[FINISHED], 0);
    }
}

/// Returns whether another process watches this process, as [`role`] has found out; `false` before `role` has run.
#[must_use]
pub fn is_watched() -> bool {
    MEMORY.get().is_some()
}

/// Writes each program that one checker begins to the shared memory, over the one before. Clears the record when the
/// checker drops the recorder.
struct Recorder {
    memory: &'static Memory,
    /// Number of the recorder's stretch of the shared memory, from 1.
    stretch: u64,
    /// Path of the library that the checker runs.
    library: String,
}

/// Makes a recorder of the programs that one checker runs on the library at this path. Returns `None` if this process
/// is not watched.
pub(crate) fn recorder(library: &Path) -> Option<Arc<dyn Witness>> {
    let memory = MEMORY.get()?;
    let mut free = memory.free.lock().unwrap_or_else(PoisonError::into_inner);
    let stretch = free.0.pop().unwrap_or_else(|| {
        free.1 += 1;
        free.1
    });
    Some(Arc::new(Recorder { memory, stretch, library: library.display().to_string() }))
}

impl Recorder {
    /// Writes bytes to the start of the recorder's stretch of the shared memory.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.memory.file.write_all_at(bytes, self.stretch * STRETCH)
    }
}

impl Witness for Recorder {
    fn reset(&self, program: &Program) {
        let packed = encoding::encode(program);
        let record: Record<'_> = (&self.library, Bytes::new(&packed));
        sealed::seal(&record).and_then(|bytes| self.write(&bytes)).expect("the shared memory takes a program");
    }

    fn step(&self, _: &Step) {}
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Overwrites the length and the checksum, because zeros are no valid record.
        let _ = self.write(&[0; 16]);
        self.memory.free.lock().unwrap_or_else(PoisonError::into_inner).0.push(self.stretch);
    }
}

// ---- the process that watches ---------------------------------------------------------------------------------------

/// A second process of this command, which runs a library while this process waits for the second one to end.
pub struct Watched {
    child: Child,
    memory: File,
}

/// How a watched process ended.
#[derive(Debug)]
pub enum End {
    /// The process ended by itself, or by a signal that people and systems send: SIGHUP, SIGINT, SIGPIPE, SIGQUIT or
    /// SIGTERM.
    Own(ExitStatus),
    /// The process ended most likely because of a library: by any other signal, or without the mark of [`finish`].
    Lost(Loss),
}

/// What is known of a watched process that a library ended.
#[derive(Debug)]
pub struct Loss {
    /// How the watched process ended: its exit status or signal.
    pub status: ExitStatus,
    /// The last program that each checker began, with the path of its library. Some may have finished. Empty if no
    /// program was begun, for example while a library was being loaded.
    pub running: Vec<(PathBuf, Program)>,
}

impl Loss {
    /// Returns how the watched process ended, in words.
    #[must_use]
    pub fn how(&self) -> String {
        ended(self.status)
    }
}

impl Watched {
    /// Starts this command again with the same arguments, as a watched process. The calling thread must live as long as
    /// the watched process, because the system kills the watched process when the thread ends.
    ///
    /// # Errors
    /// Fails if the shared memory or the process cannot be made.
    pub fn start() -> io::Result<Self> {
        let memory = anonymous("realmode-watched")?;
        let mut arguments = std::env::args_os();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg0(arguments.next().unwrap_or_else(|| "realmode".into())).args(arguments);
        let mut value = OsString::from(std::process::id().to_string());
        value.push(":");
        value.push(path(&memory));
        Ok(Self { child: command.env(ENVIRONMENT, value).spawn()?, memory })
    }

    /// Returns a function that sends SIGINT to the watched process. Any thread may call the function.
    pub fn interrupter(&self) -> impl Fn() + Send + 'static {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        move || {
            if let Some(pid) = pid {
                // An error is ignored: the process may have ended meanwhile.
                let _ = rustix::process::kill_process(pid, Signal::INT);
            }
        }
    }

    /// Waits until the watched process ends, and returns how it ended.
    ///
    /// # Errors
    /// Fails if the system cannot wait for the process, or if the shared memory cannot be read.
    pub fn end(mut self) -> io::Result<End> {
        let status = self.child.wait()?;
        let by_somebody = [Signal::HUP, Signal::INT, Signal::PIPE, Signal::QUIT, Signal::TERM];
        let own = match status.signal() {
            Some(number) => by_somebody.iter().any(|signal| signal.as_raw() == number),
            None => {
                let mut finished = [0];
                self.memory.read_at(&mut finished, 0)? == 1 && finished[0] == FINISHED
            }
        };
        Ok(if own { End::Own(status) } else { End::Lost(Loss { status, running: self.running()? }) })
    }

    /// Returns the programs whose records stand in the shared memory, each with the path of its library. The error says
    /// why the shared memory cannot be read.
    fn running(&self) -> io::Result<Vec<(PathBuf, Program)>> {
        let mut running = Vec::new();
        let bytes = self.memory.metadata()?.len();
        for stretch in 1..bytes.div_ceil(STRETCH) {
            let mut record = Vec::new();
            // Reads a stretch in parts, because most of it was never written.
            loop {
                let (before, at) = (record.len(), stretch * STRETCH + record.len() as u64);
                record.resize(before + (1 << 16), 0);
                let count = self.memory.read_at(&mut record[before..], at)?;
                record.truncate(before + count);
                match sealed::open::<Record<'_>>(&record) {
                    Opened::Part if count > 0 && record.len() < STRETCH as usize => {}
                    Opened::Whole((library, packed), _) => {
                        running.push((library.into(), encoding::decode(packed)));
                        break;
                    }
                    // There is no record: the stretch was cleared, or its checker had not begun a program.
                    Opened::Part | Opened::Broken(_) => break,
                }
            }
        }
        Ok(running)
    }
}

/// Ends this process by the same signal that ended the watched process, so that this process's parent sees that signal.
/// Leaves no core dump, because the watched process has left one. Returns only if `signal` is not the number of a named
/// signal, or if that signal does not end a process.
pub fn end_by(signal: i32) {
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let Some(signal) = Signal::from_named_raw(signal) else { return };
    // Rust's runtime has handlers for some signals, which at the first signal only remove themselves.
    for _ in 0..3 {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
}
