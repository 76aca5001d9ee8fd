//! What goes between the harness and a child: programs in shared memory, answers through a pipe. Both are [sealed](sealed) values.
//!
//! A request is eight bytes through the child's standard input, the length of what now stands in the shared memory: a [`Request`]. An
//! answer is the request's number and a [`Frame`]. A library that breaks its process can break its answers too; the checksum, the number
//! and the type tell those from real ones.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use contract::{Program, Rule};
use programs::encoding;
use serde::{Deserialize, Serialize};

use crate::check::verdict::{Finding, Identity, ObjectDiff, RuleTally, Tally};
use crate::processes::sealed::{self, Opened};

/// Most bytes of a frame: what a library writes at random may look like the start of a longer one.
const MAX_FRAME: usize = 16 << 20;

/// An answer of a child.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Frame {
    /// The child is up; the subject's name.
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
    Finding(#[serde(with = "as_finding")] Box<Finding>),
    /// All programs of the request are done; their counts.
    Done(#[serde(with = "as_tally")] Box<Tally>),
}

impl Frame {
    /// Sends the frame as an answer to the request of this number.
    pub(super) fn write(&self, out: &mut impl Write, request: u64) -> io::Result<()> {
        out.write_all(&sealed::seal(&(request, self))?)?;
        out.flush()
    }

    /// The first frame of what was received, with its length in bytes; `None` if it is not whole yet.
    ///
    /// # Errors
    /// What came is no answer to this request: what is wrong with it.
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

/// How much a child tells while it works.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) enum Telling {
    /// All ballots together: the fastest, and if the process is lost they are too.
    Together,
    /// Each ballot as it is cast.
    Ballots,
    /// Each ballot as it is cast, and each step before it runs.
    Steps,
}

/// Programs to run.
pub(super) struct Request {
    /// Rises from request to request; answers carry it.
    pub number: u64,
    pub telling: Telling,
    pub programs: Vec<Program>,
}

/// A request as it is sent: number, [`Telling`], [packed](encoding) programs.
type Packed<'a> = (u64, Telling, Vec<&'a [u8]>);

impl Request {
    /// A request as it stands in the shared memory.
    pub fn bytes(number: u64, telling: Telling, programs: &[Program]) -> io::Result<Vec<u8>> {
        let packed: Vec<Vec<u8>> = programs.iter().map(encoding::encode).collect();
        let packed: Packed<'_> = (number, telling, packed.iter().map(Vec::as_slice).collect());
        sealed::seal(&packed)
    }

    /// The request in these bytes, if they are one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        match sealed::open::<Packed<'_>>(bytes) {
            Opened::Whole((number, telling, packed), length) if length == bytes.len() => {
                Some(Self { number, telling, programs: packed.into_iter().map(encoding::decode).collect() })
            }
            _ => None,
        }
    }
}

/// A finding as it is sent.
mod as_finding {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::{Serialize as _, Serializer};

    use super::{Finding, WireFinding};

    pub(super) fn serialize<S: Serializer>(finding: &Finding, to: S) -> Result<S::Ok, S::Error> {
        WireFinding::of(finding).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Box<Finding>, D::Error> {
        let finding = WireFinding::deserialize(from)?.back();
        finding.map(Box::new).ok_or_else(|| D::Error::custom("no rule of that name"))
    }
}

/// Counts as they are sent.
mod as_tally {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::{Serialize as _, Serializer};

    use super::{Tally, WireTally};

    pub(super) fn serialize<S: Serializer>(tally: &Tally, to: S) -> Result<S::Ok, S::Error> {
        WireTally::of(tally).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Box<Tally>, D::Error> {
        let tally = WireTally::deserialize(from)?.back();
        tally.map(Box::new).ok_or_else(|| D::Error::custom("not as many rules as there are"))
    }
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
    use programs::generate::{GeneratorConfig, generate};

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
        let programs: Vec<Program> = (0..5).map(|index| generate(&GeneratorConfig::default(), 3, index)).collect();
        let bytes = Request::bytes(9, Telling::Steps, &programs).expect("memory takes it");
        let request = Request::read(&bytes).expect("a request");
        assert_eq!((request.number, request.telling), (9, Telling::Steps));
        assert_eq!(request.programs, programs);
        assert!(Request::read(&bytes[..bytes.len() - 1]).is_none() && Request::read(&[0; 7]).is_none());
    }
}
