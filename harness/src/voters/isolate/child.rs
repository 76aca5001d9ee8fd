//! The child process: it runs the programs that the harness sends, on one subject with a checker of its own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use landlock::{ABI, AccessFs, Ruleset, RulesetAttr, RulesetStatus};
use rustix::process::{Resource, Rlimit, Signal};

use super::wire::{Frame, Request, Telling};
use crate::check::{Checker, Place, Tally, Verdict, Watch};
use crate::subjects::SubjectKind;

/// Longest time for which a child keeps verdicts back to send them together. A verdict also shows that the child makes
/// progress, so this time is short beside any time limit.
const KEPT_BACK: Duration = Duration::from_millis(10);

/// What a child process is started with, from its command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Orders {
    /// The subject: its name on the command line, or the path of a library.
    pub subject: String,
    /// The id of the process that started the child. The child ends at once if its parent is another process, because
    /// then that process has ended already.
    pub parent: u32,
    /// The path of the memory that the child shares with the harness, below `/proc`.
    pub memory: PathBuf,
    /// How many bytes of data the child may allocate, beyond what it has before the subject is loaded.
    pub bytes: u64,
}

/// Runs programs in this process until the harness closes the pipe of requests. Standard output is the pipe for frames,
/// so what the subject prints there goes to standard error. If the subject cannot be used, the harness gets the reason,
/// and the result is `Ok`. The result is also `Ok` if the process that started this one has ended already.
///
/// # Errors
/// Fails if the pipe or the shared memory cannot be set up, if a request is damaged or has an invalid program, or if an
/// answer cannot be sent.
pub fn run(orders: &Orders) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the signal was armed.
    if rustix::process::getppid().is_none_or(|parent| parent.as_raw_nonzero().get() as u32 != orders.parent) {
        return Ok(());
    }
    let mut out: File = own_pipe()?.into();
    let memory = File::open(&orders.memory)?;
    let mut input = io::stdin().lock();
    let mut checker = match start(orders) {
        Ok((name, checker)) => {
            Frame::Hello(name).write(&mut out, 0)?;
            checker
        }
        Err(why) => return Frame::Refused(why).write(&mut out, 0),
    };
    let mut request = [0; 8];
    while input.read_exact(&mut request).is_ok() {
        let mut bytes = vec![0; u64::from_le_bytes(request) as usize];
        memory.read_exact_at(&mut bytes, 0)?;
        let request = Request::read(&bytes).ok_or_else(|| io::Error::other("no request in shared memory"))?;
        serve(&mut checker, &request, &mut out)?;
    }
    Ok(())
}

/// Returns the pipe at standard output, for frames. Makes standard output a copy of standard error, so that the subject
/// cannot write to the pipe by accident.
fn own_pipe() -> io::Result<OwnedFd> {
    let pipe = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(pipe)
}

/// Sets the limits of this process, then loads the subject, so that code which a library runs while it is loaded is
/// limited too. Returns the subject's name and its checker. The error says why the subject cannot be used.
fn start(orders: &Orders) -> Result<(String, Checker), String> {
    limit(orders.bytes).map_err(|error| format!("no limits for the child: {error}"))?;
    let subject: SubjectKind = orders.subject.parse().map_err(|error| format!("{error}"))?;
    let checker = subject.try_checker().map_err(|error| error.to_string())?;
    Ok((subject.name(), checker))
}

fn limit(bytes: u64) -> io::Result<()> {
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    rustix::process::setrlimit(Resource::Core, limit(0))?;
    rustix::process::setrlimit(Resource::Data, limit(data().saturating_add(bytes)))?;
    // Landlock refuses to open files for writing. If the kernel lacks it, a write to a file ends the process.
    if !landlocked() {
        rustix::process::setrlimit(Resource::Fsize, limit(0))?;
    }
    Ok(())
}

/// Returns how many bytes of data this process has (`VmData` of proc_pid_status(5)); 0 if that cannot be read.
fn data() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

fn landlocked() -> bool {
    let writes = AccessFs::from_write(ABI::V1);
    let ruled = Ruleset::default()
        .handle_access(writes)
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self());
    ruled.is_ok_and(|status| status.ruleset == RulesetStatus::FullyEnforced)
}

/// Sends a frame with the place to the harness before each place of a program runs.
struct Marks<'a> {
    out: &'a mut File,
    number: u64,
    told: io::Result<()>,
}

impl Watch for Marks<'_> {
    fn begins(&mut self, place: Place) {
        if self.told.is_ok() {
            self.told = Frame::Mark(place).write(self.out, self.number);
        }
    }
}

fn serve(checker: &mut Checker, request: &Request, out: &mut File) -> io::Result<()> {
    let Request { number, telling, ref tasks } = *request;
    let mut tally = Tally::default();
    let mut frames = Vec::new();
    let mut sent = Instant::now();
    for task in tasks {
        let verdict = if telling == Telling::Steps {
            let mut marks = Marks { out, number, told: Ok(()) };
            let verdict = checker.check_task(task, &mut tally, &mut marks);
            marks.told?;
            verdict
        } else {
            checker.check_task(task, &mut tally, &mut ())
        };
        let frame = match verdict {
            Verdict::Finding(finding) => Frame::Finding(finding),
            Verdict::NotCompared(not) => Frame::NotCompared(not),
            Verdict::Agreed => Frame::Agreed,
            Verdict::Invalid(invalid) => return Err(io::Error::other(format!("an invalid program: {invalid}"))),
        };
        match telling {
            Telling::Together => {
                frame.write(&mut frames, number)?;
                if sent.elapsed() >= KEPT_BACK {
                    out.write_all(&frames)?;
                    frames.clear();
                    sent = Instant::now();
                }
            }
            Telling::Verdicts | Telling::Steps => frame.write(out, number)?,
        }
    }
    Frame::Done(Box::new(tally)).write(&mut frames, number)?;
    out.write_all(&frames)
}

/// Returns the arguments of the command that runs a child with these [`Orders`].
pub(super) fn arguments(orders: &Orders) -> Vec<std::ffi::OsString> {
    let Orders { subject, parent, memory, bytes } = orders;
    let text = |text: &dyn ToString| std::ffi::OsString::from(text.to_string());
    vec![
        "isolated".into(),
        "--parent".into(),
        text(parent),
        "--memory".into(),
        Path::new(memory).into(),
        "--bytes".into(),
        text(bytes),
        subject.into(),
    ]
}
