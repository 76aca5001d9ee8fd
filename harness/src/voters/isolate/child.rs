//! The child: one subject with its checker, on programs that the harness hands over.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use landlock::{ABI, AccessFs, Ruleset, RulesetAttr, RulesetStatus};
use rustix::process::{Resource, Rlimit, Signal};

use super::wire::Frame;
use crate::check::{Checker, Ending, Place, Tally, Verdict, Watch};
use crate::subjects::SubjectKind;
use crate::voters::Task;
use programs::encoding;

/// What a child is told on its command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Orders {
    /// The subject: a name, or the path of a library.
    pub subject: String,
    /// The process that started it, without which it has no business.
    pub parent: u32,
    /// The shared memory.
    pub memory: PathBuf,
    /// Bytes of data that it may have beyond what it has before the subject is loaded.
    pub bytes: u64,
}

/// Runs until the harness has no more requests. What it says to standard output, it and the subject say to standard error: the pipe
/// there belongs to the frames.
///
/// # Errors
/// The other side is gone, or this side could not be set up.
pub fn run(orders: &Orders) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // Who was late to arm the signal sees it here.
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

/// Takes standard output for the frames alone, and leaves standard error in its place.
fn own_pipe() -> io::Result<OwnedFd> {
    let pipe = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(pipe)
}

/// Limits first, then the subject: what a library does while it is loaded is limited too.
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
    // Landlock refuses to open files for writing. Where the kernel has none, a write to a file ends the process.
    if !landlocked() {
        rustix::process::setrlimit(Resource::Fsize, limit(0))?;
    }
    Ok(())
}

/// Bytes of data that this process has.
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

/// How much a child tells while it works.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Telling {
    /// All verdicts together: the fastest, and if the process is lost they are too.
    Together,
    /// Each verdict as it is known.
    Verdicts,
    /// That, and each step before it runs.
    Steps,
}

impl Telling {
    const ALL: [Self; 3] = [Self::Together, Self::Verdicts, Self::Steps];
}

/// Programs to run.
pub(super) struct Request {
    /// Rises from request to request; answers are checked with it.
    pub number: u64,
    pub telling: Telling,
    pub tasks: Vec<Task>,
}

/// Bits of a task's word.
const FRESH: u64 = 1;
const LEAVE_OPEN: u64 = 2;

impl Request {
    /// As it stands in the shared memory: number, how much is told, number of programs, then for each a word that says how it is run, its
    /// length, and its encoding.
    pub fn bytes(number: u64, telling: Telling, tasks: &[Task]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [number, telling as u64, tasks.len() as u64] {
            bytes.extend(word.to_le_bytes());
        }
        let mut packed = Vec::new();
        for Task { program, fresh, ending } in tasks {
            encoding::encode_into(program, &mut packed);
            let how = if *fresh { FRESH } else { 0 } | if *ending == Ending::LeaveOpen { LEAVE_OPEN } else { 0 };
            bytes.extend(how.to_le_bytes());
            bytes.extend((packed.len() as u64).to_le_bytes());
            bytes.extend(&packed);
        }
        bytes
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let (number, telling, count) = (word(&mut rest)?, word(&mut rest)?, word(&mut rest)?);
        let telling = *Telling::ALL.get(usize::try_from(telling).ok()?)?;
        let mut tasks = Vec::new();
        for _ in 0..count {
            let how = word(&mut rest)?;
            let length = usize::try_from(word(&mut rest)?).ok()?;
            let (packed, behind) = rest.split_at_checked(length)?;
            let ending = if how & LEAVE_OPEN == 0 { Ending::Close } else { Ending::LeaveOpen };
            tasks.push(Task { program: encoding::decode(packed), fresh: how & FRESH != 0, ending });
            rest = behind;
        }
        rest.is_empty().then_some(Self { number, telling, tasks })
    }
}

fn word(rest: &mut &[u8]) -> Option<u64> {
    let (word, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u64::from_le_bytes(*word))
}

/// Announces what is about to run.
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
            Telling::Together => frame.write(&mut frames, number)?,
            Telling::Verdicts | Telling::Steps => frame.write(out, number)?,
        }
    }
    Frame::Done(Box::new(tally)).write(&mut frames, number)?;
    out.write_all(&frames)
}

/// The command that runs a child, for [`Orders`].
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

#[cfg(test)]
mod tests {
    use programs::generate::{GeneratorConfig, generate};

    use super::*;

    #[test]
    fn a_request_comes_through_as_it_was() {
        let task = |index| {
            let program = generate(&GeneratorConfig::default(), 3, index);
            let ending = if index % 3 == 0 { Ending::LeaveOpen } else { Ending::Close };
            Task { program, fresh: index % 2 == 0, ending }
        };
        let tasks: Vec<Task> = (0..6).map(task).collect();
        let bytes = Request::bytes(9, Telling::Steps, &tasks);
        let request = Request::read(&bytes).expect("a request");
        assert_eq!((request.number, request.telling), (9, Telling::Steps));
        assert_eq!(request.tasks, tasks);
        assert!(Request::read(&bytes[..bytes.len() - 1]).is_none() && Request::read(&[0; 7]).is_none());
    }
}
