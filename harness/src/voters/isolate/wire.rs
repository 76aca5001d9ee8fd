//! What goes between the harness and a child: programs in shared memory, answers as checked frames through a pipe.
//!
//! A request is eight bytes through the pipe, the length of what now stands in the shared memory. An answer frame is
//!
//! | bytes | |
//! |---|---|
//! | 1 | kind, one of [`KINDS`] |
//! | 4 | length of the payload |
//! | length | payload |
//! | 8 | checksum of kind, payload and the request's number |
//!
//! Whatever an implementation does to its process, what does not check is no answer.

use std::io::{self, Read, Write};

use contract::Rule;
use programs::store;

use crate::check::{Finding, NotCompared, Place, Tally};

/// Most bytes of a frame's payload.
const MAX_PAYLOAD: u32 = 16 << 20;

/// An answer of a child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// It is up; the subject's name.
    Hello(String),
    /// There is no subject: why.
    Refused(String),
    /// This is about to run.
    Mark(Place),
    /// The next program agreed.
    Agreed,
    /// Something of the next program was not compared.
    NotCompared(NotCompared),
    /// The next program showed this.
    Finding(Box<Finding>),
    /// All programs of the request are done; their counts.
    Done(Box<Tally>),
}

/// Kinds of frames, by their first byte.
const KINDS: [&str; 7] = ["hello", "refused", "mark", "agreed", "not compared", "finding", "done"];

/// Why there is no frame.
#[derive(Debug)]
pub(super) enum Broken {
    /// The other side is gone.
    Ended,
    /// What came is no frame of this request; what is wrong with it.
    Garbage(String),
}

impl Frame {
    pub(super) fn write(&self, out: &mut impl Write, request: u64) -> io::Result<()> {
        let (kind, payload): (u8, Vec<u8>) = match self {
            Self::Hello(name) => (0, name.as_bytes().to_vec()),
            Self::Refused(why) => (1, why.as_bytes().to_vec()),
            Self::Mark(place) => (2, serde_json::to_vec(place)?),
            Self::Agreed => (3, Vec::new()),
            Self::NotCompared(not) => (4, serde_json::to_vec(not)?),
            Self::Finding(finding) => (5, serde_json::to_vec(finding)?),
            Self::Done(tally) => (6, serde_json::to_vec(tally)?),
        };
        let mut bytes = Vec::with_capacity(payload.len() + 13);
        bytes.push(kind);
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(&payload);
        bytes.extend(checksum(kind, &payload, request).to_le_bytes());
        out.write_all(&bytes)?;
        out.flush()
    }

    pub(super) fn read(from: &mut impl Read, request: u64) -> Result<Self, Broken> {
        let mut head = [0; 5];
        from.read_exact(&mut head).map_err(|_| Broken::Ended)?;
        let kind = head[0];
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        if usize::from(kind) >= KINDS.len() || length > MAX_PAYLOAD {
            return Err(Broken::Garbage(format!("a frame of kind {kind} and {length} bytes")));
        }
        let mut payload = vec![0; length as usize];
        from.read_exact(&mut payload).map_err(|_| Broken::Ended)?;
        let mut sum = [0; 8];
        from.read_exact(&mut sum).map_err(|_| Broken::Ended)?;
        let name = KINDS[usize::from(kind)];
        if u64::from_le_bytes(sum) != checksum(kind, &payload, request) {
            return Err(Broken::Garbage(format!("a {name} frame with a wrong checksum")));
        }
        let garbage = || Broken::Garbage(format!("a {name} frame that says nothing"));
        let text = || String::from_utf8(payload.clone()).map_err(|_| garbage());
        Ok(match kind {
            0 => Self::Hello(text()?),
            1 => Self::Refused(text()?),
            2 => Self::Mark(serde_json::from_slice(&payload).map_err(|_| garbage())?),
            3 => Self::Agreed,
            4 => Self::NotCompared(serde_json::from_slice(&payload).map_err(|_| garbage())?),
            5 => Self::Finding(serde_json::from_slice(&payload).map_err(|_| garbage())?),
            _ => {
                let tally: Tally = serde_json::from_slice(&payload).map_err(|_| garbage())?;
                let complete = tally.rules.len() == Rule::ALL.len();
                Self::Done(Box::new(complete.then_some(tally).ok_or_else(garbage)?))
            }
        })
    }
}

/// With the request's number in front.
fn checksum(kind: u8, payload: &[u8], request: u64) -> u64 {
    store::hash(request.to_le_bytes().into_iter().chain([kind]).chain(payload.iter().copied()))
}

#[cfg(test)]
mod tests {
    use contract::Pfn;
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
            Frame::NotCompared(NotCompared { from: Place::Start, why: Reason::Steps(2), compared: false }),
            Frame::Finding(Box::new(finding())),
            Frame::Done(Box::new(tally)),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes, 5).expect("memory takes it");
        }
        let mut rest = bytes.as_slice();
        for frame in &frames {
            assert_eq!(&Frame::read(&mut rest, 5).expect("a frame"), frame);
        }
        assert!(matches!(Frame::read(&mut rest, 5), Err(Broken::Ended)));
    }

    #[test]
    fn what_was_changed_on_the_way_is_no_frame() {
        let mut bytes = Vec::new();
        Frame::Finding(Box::new(finding())).write(&mut bytes, 5).expect("memory takes it");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(Frame::read(&mut changed.as_slice(), 5).is_err(), "byte {at}");
        }
        assert!(matches!(Frame::read(&mut bytes.as_slice(), 6), Err(Broken::Garbage(_))), "another request's answer");
    }
}
