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

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use contract::Rule;
use serde::{Deserialize, Serialize};

use crate::check::verdict::{Finding, Identity, ObjectDiff, RuleTally, Tally};
use programs::store;

/// Most bytes of a frame's payload.
const MAX_PAYLOAD: u32 = 16 << 20;

/// An answer of a child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// It is up; the subject's name.
    Hello(String),
    /// There is no subject: why.
    Refused(String),
    /// The step with this index is about to run; the number of steps for the program's end, `u64::MAX` for its start.
    Mark(u64),
    /// The next program agreed.
    Agreed,
    /// The next program was not put to the subject to its end: why.
    Uncovered(String),
    /// The next program showed this.
    Finding(Box<Finding>),
    /// All programs of the request are done; their counts.
    Done(Box<Tally>),
}

/// Kinds of frames, by their first byte.
const KINDS: [&str; 7] = ["hello", "refused", "mark", "agreed", "uncovered", "finding", "done"];

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
            Self::Mark(step) => (2, step.to_le_bytes().to_vec()),
            Self::Agreed => (3, Vec::new()),
            Self::Uncovered(why) => (4, why.as_bytes().to_vec()),
            Self::Finding(finding) => (5, serde_json::to_vec(&WireFinding::of(finding))?),
            Self::Done(tally) => (6, serde_json::to_vec(&WireTally::of(tally))?),
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
            2 => Self::Mark(u64::from_le_bytes(payload.as_slice().try_into().map_err(|_| garbage())?)),
            3 => Self::Agreed,
            4 => Self::Uncovered(text()?),
            5 => {
                let finding: WireFinding = serde_json::from_slice(&payload).map_err(|_| garbage())?;
                Self::Finding(Box::new(finding.back().ok_or_else(garbage)?))
            }
            _ => {
                let tally: WireTally = serde_json::from_slice(&payload).map_err(|_| garbage())?;
                Self::Done(Box::new(tally.back().ok_or_else(garbage)?))
            }
        })
    }
}

/// With the request's number in front.
fn checksum(kind: u8, payload: &[u8], request: u64) -> u64 {
    store::hash(request.to_le_bytes().into_iter().chain([kind]).chain(payload.iter().copied()))
}

#[derive(Serialize, Deserialize)]
struct WireFinding {
    rule: String,
    field: String,
    kind: String,
    step: usize,
    agreed: Option<usize>,
    what: String,
    expected: String,
    found: String,
    objects: Vec<(String, String, String)>,
    voter: String,
    log: Vec<String>,
}

impl WireFinding {
    fn of(finding: &Finding) -> Self {
        let Finding { identity, step, agreed, what, expected, found, objects, voter, log, votes: _ } = finding.clone();
        let objects = objects.into_iter().map(|object| (object.name, object.reference, object.memory)).collect();
        let Identity { rule, field, kind } = identity;
        let (rule, field, kind) = (rule.id().into(), field.into(), kind.into());
        Self { rule, field, kind, step, agreed, what, expected, found, objects, voter, log }
    }

    fn back(self) -> Option<Finding> {
        let Self { rule, field, kind, step, agreed, what, expected, found, objects, voter, log } = self;
        let identity = Identity { rule: Rule::from_id(&rule)?, field: interned(&field), kind: interned(&kind) };
        let object = |(name, reference, memory)| ObjectDiff { name, reference, memory };
        let objects = objects.into_iter().map(object).collect();
        Some(Finding { identity, step, agreed, what, expected, found, objects, voter, votes: Vec::new(), log })
    }
}

/// Counts: those of [`Tally`] in its order, and for each rule its four.
#[derive(Serialize, Deserialize)]
struct WireTally {
    counts: [u64; 8],
    rules: Vec<[u64; 4]>,
}

impl WireTally {
    fn of(tally: &Tally) -> Self {
        let Tally { programs, steps, skipped, not_asked, hypercalls, accepted, deferred, entries, rules } = tally;
        let counts = [programs, steps, skipped, not_asked, hypercalls, accepted, deferred, entries].map(|count| *count);
        let rules = rules.iter().map(|rule| [rule.real, rule.deferred, rule.accepted, rule.refused]).collect();
        Self { counts, rules }
    }

    fn back(self) -> Option<Tally> {
        let [programs, steps, skipped, not_asked, hypercalls, accepted, deferred, entries] = self.counts;
        let rule = |[real, deferred, accepted, refused]: [u64; 4]| RuleTally { real, deferred, accepted, refused };
        let rules: Vec<RuleTally> = self.rules.into_iter().map(rule).collect();
        let complete = rules.len() == Rule::ALL.len();
        complete.then_some(Tally {
            programs,
            steps,
            skipped,
            not_asked,
            hypercalls,
            accepted,
            deferred,
            entries,
            rules,
        })
    }
}

/// The same words for as long as the process runs. There are few: fields and kinds of steps.
fn interned(word: &str) -> &'static str {
    static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    match words.get(word) {
        Some(word) => word,
        None => {
            let word: &'static str = Box::leak(word.to_string().into_boxed_str());
            words.insert(word);
            word
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            identity: Identity { rule: Rule::DivergeCount, field: "count", kind: "H_PUT_TCE" },
            step: 3,
            agreed: Some(2),
            what: "count of page 0x1".into(),
            expected: "1".into(),
            found: "2".into(),
            objects: vec![ObjectDiff { name: "page 0x1".into(), reference: "a".into(), memory: "b".into() }],
            voter: "tce".into(),
            votes: Vec::new(),
            log: vec!["line".into()],
        }
    }

    #[test]
    fn frames_come_through_as_they_were() {
        let mut tally = Tally { programs: 1, hypercalls: 7, ..Tally::default() };
        tally.rules[3].accepted = 9;
        let frames = [
            Frame::Hello("tce".into()),
            Frame::Refused("no symbol".into()),
            Frame::Mark(u64::MAX),
            Frame::Agreed,
            Frame::Uncovered("flatmem".into()),
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
