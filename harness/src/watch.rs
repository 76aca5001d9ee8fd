//! A library in the command's own process, and what is left of a run when the library ends that process.
//!
//! ```text
//!  the command                                the same command, watched
//!  waits               <── shared memory ──── the library, and the program that each checker has just begun
//!  Ctrl-C              ─── SIGINT ──────────>
//! ```
//!
//! A command that is to run a library in its own process starts itself again with the same arguments
//! ([`Watched::start`]) and only waits. The second process does the work. Whatever ends it, a signal, an `exit` of the
//! library's, or the system for lack of memory, the first one still has the programs that ran, because they stand in
//! memory of its own. A handler of signals in one process would be less: a library may set its own, may have
//! overwritten what the handler needs, and calls `exit` without a signal.

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

/// Environment variable that tells a process that it is watched: the watching process's id, `:`, and the path of the
/// memory that both share. With any other value, such as `no`, a command runs libraries unwatched, so that a debugger
/// has one process to look at.
pub const ENVIRONMENT: &str = "REALMODE_WATCHED";

/// Bytes of the shared memory for each checker, more than any packed program has. The first stretch holds [`FINISHED`].
const STRETCH: u64 = 1 << 27;
/// The first byte of the shared memory once the command came to its own end.
const FINISHED: u8 = 1;

/// A program of a library's, as it stands in the shared memory: the path of the library and the [packed](encoding)
/// program.
type Record<'a> = (&'a str, &'a Bytes);

// ---- the process that is watched ------------------------------------------------------------------------------------

struct Memory {
    file: File,
    /// Stretches that no checker has any more, and how many were ever taken.
    free: Mutex<(Vec<u64>, u64)>,
}

/// Set in a process that is watched.
static MEMORY: OnceLock<Memory> = OnceLock::new();

/// What part this process has in watching.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Nobody watches it yet.
    Alone,
    /// Another process watches it.
    Watched,
    /// Nobody is to watch it.
    Unwatched,
}

/// The role of this process, by its [environment](ENVIRONMENT). A watched process opens the shared memory, and is
/// killed when the process that watches it ends.
///
/// # Errors
/// The process that watches this one has ended, or the shared memory cannot be opened.
pub fn role() -> io::Result<Role> {
    let Some(value) = std::env::var_os(ENVIRONMENT) else { return Ok(Role::Alone) };
    let value = value.to_string_lossy();
    let Some((watcher, memory)) = value.split_once(':') else { return Ok(Role::Unwatched) };
    let watcher = watcher.parse().ok().and_then(Pid::from_raw);
    // A process that the watched one started has its environment too.
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

/// Marks that the command ends by itself. A process that ends without this mark was ended by a library.
pub fn finish() {
    if let Some(memory) = MEMORY.get() {
        // Without the mark the watching process blames a library: better one report too many than one too few.
        let _ = memory.file.write_all_at(&[FINISHED], 0);
    }
}

/// Whether this process is watched.
#[must_use]
pub fn is_watched() -> bool {
    MEMORY.get().is_some()
}

/// Notes each program that a checker begins, until the checker is gone.
struct Recorder {
    memory: &'static Memory,
    stretch: u64,
    library: String,
}

/// A witness that notes what is run with this library, if this process is watched.
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
        // Zeros are no record.
        let _ = self.write(&[0; 16]);
        self.memory.free.lock().unwrap_or_else(PoisonError::into_inner).0.push(self.stretch);
    }
}

// ---- the process that watches ---------------------------------------------------------------------------------------

/// A process with a library in it, which this one waits for.
pub struct Watched {
    child: Child,
    memory: File,
}

/// How a process that was watched ended.
#[derive(Debug)]
pub enum End {
    /// By itself, or by somebody's signal.
    Own(ExitStatus),
    /// By the doing of a library, as far as can be told.
    Lost(Loss),
}

/// What is left of a process that a library ended.
#[derive(Debug)]
pub struct Loss {
    /// How the process ended.
    pub status: ExitStatus,
    /// The programs that ran, one a checker, each with the path of its library. None if it was while a library was
    /// loaded.
    pub running: Vec<(PathBuf, Program)>,
}

impl Loss {
    /// How the process ended, in words.
    #[must_use]
    pub fn how(&self) -> String {
        ended(self.status)
    }
}

impl Watched {
    /// Starts this program again, with the same arguments. The thread that calls this must live as long as the process.
    ///
    /// # Errors
    /// The process cannot be made.
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

    /// What interrupts the process, from whichever thread.
    pub fn interrupter(&self) -> impl Fn() + Send + 'static {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        move || {
            if let Some(pid) = pid {
                // It may have ended meanwhile.
                let _ = rustix::process::kill_process(pid, Signal::INT);
            }
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The process or its memory is lost.
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

    fn running(&self) -> io::Result<Vec<(PathBuf, Program)>> {
        let mut running = Vec::new();
        let bytes = self.memory.metadata()?.len();
        for stretch in 1..bytes.div_ceil(STRETCH) {
            let mut record = Vec::new();
            // Part by part: most of a stretch was never written.
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
                    // Nothing there, or a checker that had not begun.
                    Opened::Part | Opened::Broken(_) => break,
                }
            }
        }
        Ok(running)
    }
}

/// Ends this process by the signal that ended another, so that who waits for this one sees the same. It leaves no core:
/// the other did.
pub fn end_by(signal: i32) {
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let Some(signal) = Signal::from_named_raw(signal) else { return };
    // The handler that Rust's runtime has for some signals only steps aside at the first.
    for _ in 0..3 {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
}
