//! Tests of subjects that carry state from one program to the next. A finding that needs an earlier program is kept as
//! a sequence, and a shrunk program is called minimal only if a fresh subject shows the finding.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use contract::hcall::{H_PUT_TCE, H_STUFF_TCE};
use contract::{HcallAnswer, Hypercall, Rule, Status};
use programs::generate::{GeneratorConfig, generate};
use programs::sequence::{Part, Runnable, Sequence, read};
use programs::store;
use realmode_diff::check::finding::Code;
use realmode_diff::check::{Place, Thing};
use realmode_diff::findings::record::{Catch, Made, Origin, Recorder, shrink_catch};
use realmode_diff::hunts::campaign::{Campaign, Limit};
use realmode_diff::hunts::pursuit;
use realmode_diff::shrink::{Ended, Judge as _, Limits, MAX_CHECKS, Shrunk};
use realmode_diff::voters::ledger::Ledger;
use realmode_diff::voters::{Candidacy, Look, Panel, Roster, Shows, Task, Told, Unavailable, Voter};
use realmode_diff::{Checker, Finding, Tally, Verdict};

use super::emulated::program;
use super::findings::wrong::{HONEST, Hooks, Wrong};

/// A voter that always makes the same mistaken subject.
#[derive(Debug)]
struct Mistaken(fn() -> Wrong);

impl Candidacy for Mistaken {
    fn name(&self) -> String {
        "wrong".into()
    }

    fn make(&self, _: Look) -> Result<Box<dyn Voter>, Unavailable> {
        Ok(Box::new(Checker::made(self.0)))
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }
}

/// An answer to H_GET_TCE with a wrong bit in r4.
fn spoilt(answer: HcallAnswer) -> HcallAnswer {
    HcallAnswer { r4: answer.r4.map(|value| value ^ 8), ..answer }
}

/// A subject whose `start` does not reset its count of calls. It answers H_GET_TCE wrongly from the third call on.
fn third_call() -> Wrong {
    let carry = |calls: &AtomicU64, _: &Hypercall, answer: HcallAnswer| match calls.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => answer,
        _ => spoilt(answer),
    };
    Wrong::new(Hooks { carry, ..HONEST })
}

/// The shrinker runs all candidates on one subject, where the calls add up. The shrunk program must still show the
/// finding on a fresh subject.
#[test]
fn a_shrunk_program_shows_its_finding_on_a_fresh_subject() {
    let get = "cpu0 H_GET_TCE liobn=0x1 ioba=0x0\n";
    let program = program("lopapr", &get.repeat(40));
    let mut panel = Roster::of(vec![Arc::new(Mistaken(third_call))]).panel(Look::Whole).expect("a panel");
    let finding = panel.finding(&program).expect("a voter").expect("a finding");
    let origin = Origin::Engine { engine: "test".into(), file: None };
    let catch = Catch { origin, program, finding };
    let shrunk = shrink_catch(&mut panel, &catch, true, &mut Limits::checks(MAX_CHECKS).begin())
        .expect("a voter")
        .expect("a fresh subject shows it");
    assert_eq!(shrunk.program.steps.len(), 3, "{}", shrunk.program);
    assert_eq!((shrunk.ended, shrunk.finding.repeats), (Ended::Minimal, Some(true)));
    assert!(Checker::made(third_call).check(&shrunk.program).finding().is_some());
}

/// Mistake: H_GET_TCE is answered wrongly in every program after one with an H_STUFF_TCE.
const REMEMBERS: Hooks = {
    const STUFFED: u64 = 1;
    const BEFORE: u64 = 2;
    let carry = |seen: &AtomicU64, call: &Hypercall, answer: HcallAnswer| {
        if call.opcode == H_STUFF_TCE {
            seen.fetch_or(STUFFED, Ordering::Relaxed);
        }
        if seen.load(Ordering::Relaxed) & BEFORE == 0 { answer } else { spoilt(answer) }
    };
    let begin = |seen: &AtomicU64| {
        if seen.load(Ordering::Relaxed) & STUFFED != 0 {
            seen.fetch_or(BEFORE, Ordering::Relaxed);
        }
    };
    Hooks { carry, begin, ..HONEST }
};

/// A subject with the mistake [`REMEMBERS`].
fn remembers() -> Wrong {
    Wrong::new(REMEMBERS)
}

#[test]
fn a_campaign_keeps_what_needs_an_earlier_program_as_a_sequence() {
    let out = tempfile::tempdir().expect("a folder");
    let campaign = Campaign {
        config: GeneratorConfig::default(),
        seed: 3,
        jobs: 2,
        limit: Limit::Programs(3000),
        roster: Roster::of(vec![Arc::new(Mistaken(remembers))]),
        max_findings: 1,
        out: out.path().into(),
    };
    let summary = campaign.run(&AtomicBool::new(false), &mut |_| {}).expect("files can be written");
    let recorded = &summary.findings[0].recorded;
    assert_eq!((recorded.sequence, recorded.finding.repeats), (Some(2), Some(false)), "{recorded}");
    let file = recorded.shrunk_file.as_ref().expect("a sequence");
    assert_eq!(file.extension().and_then(|ending| ending.to_str()), Some(store::SEQUENCE_EXTENSION));
    let text = std::fs::read_to_string(file).expect("text");
    let sequence = Sequence::parse(&text).expect("a sequence");
    let steps: Vec<usize> = sequence.parts.iter().map(|part| part.program.steps.len()).collect();
    assert_eq!(steps, [1, 1], "{sequence}");
    // On a fresh subject the sequence shows the finding, and its last program alone does not.
    let mut panel = Roster::of(vec![Arc::new(Mistaken(remembers))]).panel(Look::Whole).expect("a panel");
    let verdicts = panel.check_sequence(&sequence, &mut |_| {}).expect("a panel");
    assert!(matches!(&verdicts[..], [Verdict::Agreed, Verdict::Finding(_)]), "{verdicts:?}");
    let last = Sequence { parts: sequence.parts[1..].to_vec() };
    assert!(matches!(&panel.check_sequence(&last, &mut |_| {}).expect("a panel")[..], [Verdict::Agreed]));
    let report = std::fs::read_to_string(&recorded.report_file).expect("a report");
    assert!(report.contains("repeats    on a fresh subject: no"), "{report}");
}

/// `left_open` leaves windows open at the end of a program. The candidate must forget them when the next program
/// starts.
#[test]
fn the_candidate_forgets_windows_that_were_left_open() {
    let part = |index| Part { program: generate(&GeneratorConfig::default(), 23, index), left_open: index % 3 != 0 };
    let sequence = Sequence { parts: (0..200).map(part).collect() };
    let mut panel = Roster::from(realmode_diff::SubjectKind::Candidate).panel(Look::Whole).expect("a panel");
    let verdicts = panel.check_sequence(&sequence, &mut |_| {}).expect("a panel");
    assert_eq!(verdicts.len(), 200);
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Agreed));
}

/// A voter that is lost for good at its sixth program.
struct Mortal {
    checker: Checker,
    left: u32,
}

impl Voter for Mortal {
    fn name(&self) -> &str {
        "mortal"
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }

    fn renew(&mut self) -> Result<bool, Unavailable> {
        Voter::renew(&mut self.checker)
    }

    fn vote(&mut self, tasks: &[Task], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable> {
        self.left = self.left.checked_sub(1).ok_or_else(|| Unavailable("mortal is gone for good".into()))?;
        self.checker.vote(tasks, tally, tell)
    }
}

#[derive(Debug)]
struct MortalKind;

impl Candidacy for MortalKind {
    fn name(&self) -> String {
        "mortal".into()
    }

    fn make(&self, _: Look) -> Result<Box<dyn Voter>, Unavailable> {
        Ok(Box::new(Mortal { checker: Checker::made(third_call), left: 5 }))
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }
}

/// A program that did not run shows nothing, so the finding is not gone and not minimal: it is kept as it was found,
/// with the reason.
#[test]
fn a_voter_that_is_lost_while_a_finding_is_shrunk_does_not_count_as_agreed() {
    let program = program("lopapr", &"cpu0 H_GET_TCE liobn=0x1 ioba=0x0\n".repeat(40));
    let roster = Roster::of(vec![Arc::new(MortalKind)]);
    let finding = Checker::made(third_call).check(&program).into_finding().expect("a finding");
    let origin = Origin::Engine { engine: "test".into(), file: None };
    let catch = Catch { origin, program: program.clone(), finding };
    let mut panel = roster.panel(Look::Whole).expect("a panel");
    let gone = shrink_catch(&mut panel, &catch, true, &mut Limits::checks(MAX_CHECKS).begin()).expect_err("a loss");
    assert_eq!(gone.0, "mortal is gone for good");

    let out = tempfile::tempdir().expect("a folder");
    let recorder = Recorder { out: out.path() };
    let file = recorder.keep(&catch).expect("a file");
    let recorded = pursuit::record(&roster, recorder, catch, file, &mut || Ok(Vec::new())).expect("files");
    assert_eq!((&recorded.program, recorded.ended, recorded.finding.repeats), (&program, None, None));
    assert!(recorded.to_string().contains("40 steps as found, not shrunk: mortal is gone for good\n"), "{recorded}");
}

/// The sequence of a finding takes its checks from the same budget as the program of a finding.
#[test]
fn a_sequence_is_shrunk_within_the_budget() {
    let roster = Roster::of(vec![Arc::new(Mistaken(remembers))]);
    let part = |steps: &str| Part { program: program("lopapr", steps), left_open: false };
    let get = part("cpu0 H_GET_TCE liobn=0x1 ioba=0x0\n");
    let mut before = vec![part("cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=1\n")];
    before.resize(40, part(""));
    let all = Sequence::after(before.clone(), get.program.clone());
    let mut panel = roster.panel(Look::Whole).expect("a panel");
    let finding = panel.check_sequence(&all, &mut |_| {}).expect("voters").pop().and_then(Verdict::into_finding);
    let origin = Origin::Engine { engine: "test".into(), file: None };
    let catch = Catch { origin, program: get.program, finding: finding.expect("a finding") };
    let parts = |checks: u64| {
        let mut budget = Limits::checks(checks).begin();
        let mut histories = || Ok(vec![before.clone()]);
        let made = pursuit::pursue_within(&roster, &mut catch.clone(), &mut histories, &mut budget);
        let Made::Sequence(sequence, _) = made else { panic!("no sequence") };
        sequence.parts.len()
    };
    // The one check drops 21 of the 40 programs before the last one.
    assert_eq!((parts(0), parts(1), parts(MAX_CHECKS)), (41, 20, 2));
}

/// The message of a panic may have several lines. Each file that has it in a comment can still be read.
#[test]
fn a_message_of_several_lines_spoils_no_file() {
    let program = program("lopapr", "cpu0 H_GET_TCE liobn=0x1 ioba=0x0\n");
    let found = "panic: assertion `left == right` failed\n  left: 1\n right: 2".to_string();
    let blank = Finding::new("a subject", &program, Place::Step(0), Rule::SubjectCrash, Thing::Panic(Code::RealMode));
    let finding = Finding { found, ..blank };
    let parts = vec![Part { program: program.clone(), left_open: false }; 2];
    let shrunk = Shrunk { program: program.clone(), finding: finding.clone(), ended: Ended::Minimal, checks: 1 };
    for made in
        [Made::Sequence(Sequence { parts: parts.clone() }, Box::new(finding.clone())), Made::Shrunk(Box::new(shrunk))]
    {
        let out = tempfile::tempdir().expect("a folder");
        let recorder = Recorder { out: out.path() };
        let origin = Origin::Engine { engine: "test".into(), file: Some("a\nb".into()) };
        let catch = Catch { origin, program: program.clone(), finding: finding.clone() };
        let file = recorder.keep(&catch).expect("a file");
        let of_one = Runnable::Program(Box::new(program.clone()));
        assert_eq!(read(&file).expect("a program"), of_one);
        let sequence = matches!(made, Made::Sequence(..));
        let recorded = recorder.finish(catch, file, made).expect("files");
        let kept = read(&recorded.shrunk_file.expect("a file")).expect("programs");
        assert_eq!(kept, if sequence { Runnable::Sequence(Sequence { parts: parts.clone() }) } else { of_one });
        let test = std::fs::read_to_string(recorded.test_file.expect("a test")).expect("text");
        let mut lines = test.lines();
        assert!(lines.next().is_some_and(|line| line.starts_with("/// SUBJECT.CRASH") && line.contains("right: 2")));
        assert_eq!(lines.next(), Some("#[test]"), "{test}");
    }
}

/// Programs before it that show findings of their own do not keep a finding from becoming a sequence.
#[test]
fn a_history_with_other_findings_brings_a_finding_back() {
    // Remembers, and always answers H_PUT_TCE wrongly.
    fn subject() -> Wrong {
        let carry = |seen: &AtomicU64, call: &Hypercall, answer: HcallAnswer| match call.opcode {
            H_PUT_TCE => HcallAnswer { status: Status::HARDWARE, ..answer },
            _ => (REMEMBERS.carry)(seen, call, answer),
        };
        Wrong::new(Hooks { carry, ..REMEMBERS })
    }
    let roster = Roster::of(vec![Arc::new(Mistaken(subject))]);
    let part = |steps: &str| Part { program: program("lopapr", steps), left_open: false };
    let put = part("cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3\n");
    let stuff = part("cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=1\n");
    let get = part("cpu0 H_GET_TCE liobn=0x1 ioba=0x0\n");
    let mut checker = Checker::made(subject);
    let found: Vec<bool> =
        [&put, &stuff, &put, &get].map(|part| checker.check(&part.program).finding().is_some()).into();
    assert_eq!(found, [true, false, true, true]);
    let finding = checker.check(&get.program).into_finding().expect("a finding");
    let origin = Origin::Engine { engine: "test".into(), file: None };
    let mut catch = Catch { origin, program: get.program, finding };
    let history = vec![put.clone(), stuff, put];
    let made = pursuit::pursue(&roster, &mut catch, &mut || Ok(vec![history.clone()]));
    let Made::Sequence(sequence, _) = made else { panic!("no sequence") };
    assert_eq!(sequence.parts.len(), 2, "{sequence}");
}

/// A voter that panics, which is a mistake of the harness.
struct Panicking;

impl Voter for Panicking {
    fn name(&self) -> &str {
        "panicking"
    }

    fn shows(&self) -> Shows {
        Shows::ALL
    }

    fn renew(&mut self) -> Result<bool, Unavailable> {
        Ok(true)
    }

    fn vote(&mut self, tasks: &[Task], tally: &mut Tally, tell: &mut dyn FnMut(Told)) -> Result<(), Unavailable> {
        tally.programs += 1;
        tell(Told::Verdict(0, Verdict::Agreed));
        panic!("a mistake at task 2 of {}", tasks.len())
    }
}

/// What a voter said before it panicked counts, the program that ran is told as an incident, and the run ends.
#[test]
fn a_voter_that_panics_takes_no_verdict_with_it() {
    let mut panel = Panel::new(vec![Box::new(Panicking)], Ledger::default());
    let tasks: Vec<Task> = (0..3).map(|_| Task::from(program("lopapr", ""))).collect();
    let mut incidents = Vec::new();
    let result = panel.vote(&tasks, &mut Tally::default(), &mut |_, _| {}, &mut |incident| incidents.push(incident));
    let gone = result.expect_err("a panic").to_string();
    assert!(gone.starts_with("HARNESS.FAULT: panicking: the harness panicked: a mistake at task 2 of 3"), "{gone}");
    assert_eq!(incidents.iter().map(|incident| incident.program).collect::<Vec<_>>(), [1]);
    let voter = panel.take_roll().voters.remove(0);
    assert_eq!((voter.programs, voter.incidents), (1, 1));
}
