//! The messages between the harness and a child: programs in shared memory, answers through a pipe. Programs and
//! answers are [sealed] values, which have a length and a checksum.
//!
//! To send a [`Request`], the harness writes the request to the shared memory, and its length, as eight bytes, to the
//! child's standard input. An answer is the request's number and a [`Frame`]. A library that overwrites memory can
//! damage the child's answers. The harness recognises damaged answers by checksum, number and type.

use std::io::{self, Write};

use programs::encoding;
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::check::{Ending, Finding, NotCompared, Place, Tally};
use crate::processes::sealed::{self, Opened};
use crate::voters::Task;

/// Largest number of bytes received of a frame that is not complete. Without this limit damaged bytes could look like
/// the start of a very long frame.
const MAX_FRAME: usize = 16 << 20;

/// An answer of a child to a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Frame {
    /// The child is ready; the text is the subject's name.
    Hello(String),
    /// The subject cannot be used; the text says why.
    Refused(String),
    /// The start, step or end at this place of the program is about to run.
    Mark(Place),
    /// The next program without a verdict agreed: everything of it was compared and is equal.
    Agreed,
    /// The next program without a verdict was not compared or only in part.
    NotCompared(NotCompared),
    /// The next program without a verdict shows this finding.
    Finding(Box<Finding>),
    /// The child has run all programs of the request; the tally has their counts.
    Done(Box<Tally>),
}

impl Frame {
    /// Writes the frame to `out` as an answer to the request with this number. Fails if `out` cannot be written.
    pub(super) fn write(&self, out: &mut impl Write, request: u64) -> io::Result<()> {
        out.write_all(&sealed::seal(&(request, self))?)?;
        out.flush()
    }

    /// Returns the first frame in the bytes that were received, with its length in bytes; `None` if it is not complete
    /// yet.
    ///
    /// # Errors
    /// Fails if the bytes are no answer to the request with this number, or an incomplete frame of more than
    /// [`MAX_FRAME`] bytes. The text says what is wrong with them.
    pub(super) fn read(received: &[u8], request: u64) -> Result<Option<(Self, usize)>, String> {
        match sealed::open::<(u64, Self)>(received) {
            Opened::Part if received.len() > MAX_FRAME => Err("a frame without end".into()),
            Opened::Part => Ok(None),
            Opened::Whole((number, frame), length) if number == request => Ok(Some((frame, length))),
            Opened::Whole((number, _), _) => Err(format!("a frame for request {number}, expected one for {request}")),
            Opened::Broken(what) => Err(format!("a frame with {what}")),
        }
    }
}

/// How much a child sends while it works on a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) enum Telling {
    /// The child sends several verdicts together, at the end or about every 10 ms. This is the fastest way, but if the
    /// process is lost, the verdicts that it has not sent are lost too.
    Together,
    /// The child sends each verdict as soon as it has run the program.
    Verdicts,
    /// The child sends each verdict as soon as it has run the program, and each place before it runs.
    Steps,
}

/// Programs that a child is asked to run.
pub(super) struct Request {
    /// Number of the request, from 1. It goes up by 1 with each request, and each answer to the request carries it too.
    /// What a child sends before its first request carries 0.
    pub number: u64,
    pub telling: Telling,
    pub tasks: Vec<Task>,
}

/// A request as it is sent: its number, [`Telling`], and for each task its [packed](encoding) program, whether a fresh
/// subject runs it, and whether its windows stay open.
type Packed<'a> = (u64, Telling, Vec<(&'a Bytes, bool, bool)>);

impl Request {
    /// Returns the bytes of a request, as they are written to the shared memory. Fails if they are more than a sealed
    /// value can hold (256 MiB).
    pub fn bytes(number: u64, telling: Telling, tasks: &[Task]) -> io::Result<Vec<u8>> {
        let packed: Vec<Vec<u8>> = tasks.iter().map(|task| encoding::encode(&task.program)).collect();
        let task = |(task, packed): (&Task, _)| (packed, task.fresh, task.ending == Ending::LeaveOpen);
        let packed: Packed<'_> =
            (number, telling, tasks.iter().zip(packed.iter().map(|packed| Bytes::new(packed))).map(task).collect());
        sealed::seal(&packed)
    }

    /// Returns the request in these bytes; `None` if they are not exactly one undamaged request.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let task = |(packed, fresh, left_open): (&Bytes, _, _)| {
            let ending = Ending::of(left_open);
            Task { program: encoding::decode(packed), fresh, ending }
        };
        match sealed::open::<Packed<'_>>(bytes) {
            Opened::Whole((number, telling, packed), length) if length == bytes.len() => {
                Some(Self { number, telling, tasks: packed.into_iter().map(task).collect() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::{Pfn, Rule};
    use programs::generate::{GeneratorConfig, generate};

    use super::*;
    use crate::check::finding::ObjectDiff;
    use crate::check::{Reason, Thing};

    fn finding() -> Finding {
        let program = generate(&GeneratorConfig::default(), 3, 0);
        Finding {
            agreed: Some(2),
            expected: "1".into(),
            found: "2".into(),
            objects: vec![ObjectDiff { name: "page 0x1".into(), reference: "a".into(), memory: "b".into() }],
            log: vec!["line".into()],
            ..Finding::new("tce", &program, Place::Step(3), Rule::DivergeCount, Thing::Count(Pfn(1)))
        }
    }

    #[test]
    fn frames_come_through_as_they_were() {
        let mut tally = Tally { programs: 1, hypercalls: 7, ..Tally::default() };
        tally.rules[3].accepted = 9;
        let frames = [
            Frame::Hello("tce".into()),
            Frame::Refused("no symbol".into()),
            Frame::Mark(Place::End),
            Frame::Agreed,
            Frame::NotCompared(NotCompared {
                from: Place::Start,
                why: Reason::Steps(2, "why".into()),
                compared: false,
            }),
            Frame::Finding(Box::new(finding())),
            Frame::Done(Box::new(tally)),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes, 5).expect("memory takes it");
        }
        let mut rest = bytes.as_slice();
        for frame in &frames {
            let (read, length) = Frame::read(rest, 5).expect("an answer").expect("a whole one");
            assert_eq!(&read, frame);
            rest = &rest[length..];
        }
        assert_eq!(Frame::read(rest, 5), Ok(None));
    }

    #[test]
    fn what_was_changed_on_the_way_is_no_frame() {
        let mut bytes = Vec::new();
        Frame::Finding(Box::new(finding())).write(&mut bytes, 5).expect("memory takes it");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(!matches!(Frame::read(&changed, 5), Ok(Some(_))), "byte {at}");
            assert_eq!(Frame::read(&bytes[..at], 5), Ok(None), "{at} bytes");
        }
        assert_eq!(Frame::read(&bytes, 6), Err("a frame for request 5, expected one for 6".into()));
    }

    #[test]
    fn a_request_comes_through_as_it_was() {
        let task = |index| {
            let program = generate(&GeneratorConfig::default(), 3, index);
            let ending = if index % 3 == 0 { Ending::LeaveOpen } else { Ending::Close };
            Task { program, fresh: index % 2 == 0, ending }
        };
        let tasks: Vec<Task> = (0..6).map(task).collect();
        let bytes = Request::bytes(9, Telling::Steps, &tasks).expect("memory takes it");
        let request = Request::read(&bytes).expect("a request");
        assert_eq!((request.number, request.telling), (9, Telling::Steps));
        assert_eq!(request.tasks, tasks);
        assert!(Request::read(&bytes[..bytes.len() - 1]).is_none() && Request::read(&[0; 7]).is_none());
    }
}
