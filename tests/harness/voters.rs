//! Tests of panels: several voters on one program, the vote of each, what is counted, and declared differences.

use contract::{HcallAnswer, Rule, Status};
use machine::{Coverage, Subject as _};
use realmode_diff::voters::ledger::Ledger;
use std::sync::Arc;

use realmode_diff::check::Place;
use realmode_diff::voters::model::ModelOf;
use realmode_diff::voters::{Candidacy, Look, Panel, Roster};
use realmode_diff::{Dialect, SubjectKind, Tally, Verdict, parse};

use super::emulated::program;
use super::findings::wrong::{HONEST, Hooks, checker};

const READ_BACK: &str = "cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x1003
cpu0 H_GET_TCE liobn=0x1 ioba=0x0
";
const COUNT_ZERO: &str = "cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=0
";

fn panel(subjects: &[SubjectKind], models: &[Dialect], ledger: &str) -> Panel {
    let ledger = Ledger::parse(ledger).expect("a ledger");
    let subjects = subjects.iter().map(|subject| Arc::new(*subject) as Arc<dyn Candidacy>);
    let models = models.iter().map(|dialect| Arc::new(ModelOf(*dialect)) as Arc<dyn Candidacy>);
    let mut roster = Roster::of(subjects.chain(models).collect());
    roster.ledger = ledger;
    roster.panel(Look::Brief).expect("nothing is missing")
}

#[test]
fn everybody_agrees() {
    let mut panel = panel(&[SubjectKind::Candidate, SubjectKind::Null], &[Dialect::Lopapr], "");
    let verdict = panel.check(&program("lopapr", READ_BACK)).expect("all are there");
    assert_eq!(verdict, Verdict::Agreed);
    let tally = panel.tally();
    assert_eq!((tally.programs, tally.hypercalls), (1, 2));
    let roll = panel.take_roll();
    let names: Vec<(&str, u64, u64)> =
        roll.voters.iter().map(|voter| (voter.name.as_str(), voter.programs, voter.hypercalls)).collect();
    assert_eq!(names, [("candidate", 1, 2), ("null", 1, 2), ("model/lopapr", 1, 2)]);
    // `take_roll` resets the counts.
    assert!(panel.take_roll().voters.iter().all(|voter| voter.programs == 0));
}

#[test]
fn a_finding_has_the_votes_of_all() {
    let mut panel = panel(&[SubjectKind::Candidate, SubjectKind::Canary], &[Dialect::Qemu], "");
    let finding = panel.check(&program("lopapr", READ_BACK)).expect("all are there").into_finding().expect("a finding");
    assert_eq!((finding.rule, finding.voter.as_str(), finding.place), (Rule::DivergeR4, "canary", Place::Step(1)));
    let votes: Vec<(&str, String)> =
        finding.votes.iter().map(|vote| (vote.voter.as_str(), vote.answer.to_string())).collect();
    let expected = [("reference", "0x1003"), ("candidate", "0x1003"), ("canary", "0x1001"), ("model/qemu", "0x1003")];
    assert_eq!(votes, expected.map(|(voter, answer)| (voter, answer.to_string())));
    let report = realmode_diff::findings::report::report(&program("lopapr", READ_BACK), &finding, Default::default());
    assert!(report.contains("\nvotes      reference: 0x1003\n           candidate: 0x1003\n"), "{report}");
}

#[test]
fn the_earliest_finding_is_told() {
    // The model of dialect qemu differs at the first step, the canary at the third.
    let steps = format!("{COUNT_ZERO}{READ_BACK}");
    let mut panel = panel(&[SubjectKind::Canary], &[Dialect::Qemu], "");
    let finding = panel.check(&program("lopapr", &steps)).expect("all are there").into_finding().expect("a finding");
    assert_eq!((finding.voter.as_str(), finding.place), ("model/qemu", Place::Step(0)));
    assert_eq!(
        (finding.expected.as_str(), finding.found.as_str()),
        (Status::SUCCESS.to_string().as_str(), Status::PARAMETER.to_string().as_str())
    );
}

#[test]
fn declared_differences_are_counted_and_no_findings() {
    let entry = |rule: &str, decided: &str, call: &str| {
        format!(
            "[[difference]]\nbetween = [\"qemu\", \"reference/lopapr\"]\nrule = \"{rule}\"\nfield = \"status\"\n\
             decided = \"{decided}\"\ncall = \"{call}\"\nreason = \"a test\"\n"
        )
    };
    let steps = program("lopapr", COUNT_ZERO);
    let right = entry("DIVERGE.STATUS", "COUNT.ZERO", "H_STUFF_TCE");
    let mut declared =
        panel(&[], &[Dialect::Qemu], &format!("{}{right}", entry("DIVERGE.R4", "COUNT.ZERO", "H_STUFF_TCE")));
    assert!(declared.check(&steps).expect("all are there").into_finding().is_none());
    let roll = declared.take_roll();
    assert_eq!((roll.voters[0].declared, roll.uses), (1, vec![0, 1]));
    // Each of these differs from the declared difference in one part: rule, deciding rule, call or pair.
    for other in [
        entry("DIVERGE.R4", "COUNT.ZERO", "H_STUFF_TCE"),
        entry("DIVERGE.STATUS", "IOBA.ALIGN", "H_STUFF_TCE"),
        entry("DIVERGE.STATUS", "COUNT.ZERO", "H_PUT_TCE"),
        right.replace("lopapr", "kvm"),
        right.replace("\"qemu\"", "\"candidate\""),
    ] {
        let finding = panel(&[], &[Dialect::Qemu], &other).check(&steps).expect("all are there").into_finding();
        assert!(finding.is_some(), "{other}");
    }
}

#[test]
fn what_a_voter_cannot_have_is_not_asked() {
    let mut odd = program("qemu", READ_BACK);
    odd.machine.windows[0].base = 1;
    let mut panel = panel(&[], &[Dialect::Lopapr], "");
    let verdict = panel.check(&odd).expect("all are there");
    assert!(matches!(&verdict, Verdict::NotCompared(not) if not.from == Place::Start && !not.compared), "{verdict}");
    assert!(!verdict.compared());
    let voter = panel.take_roll().voters.remove(0);
    assert_eq!((voter.programs, voter.compared, voter.uncovered, voter.hypercalls), (1, 0, 1, 0));
    assert!(voter.why_uncovered.expect("a reason").to_string().contains("base 0x1"));
}

/// A host step that both references do is nothing that `model/DIALECT` shows, so a program without a hypercall is not
/// compared, also if the two skip different steps.
#[test]
fn a_model_compares_nothing_without_a_hypercall() {
    let steps = "slot 0 gfn=0x0 pages=1 hva=0x1000\n\
                 create-window 0x2 page_shift=16 base=0x1000 entries=16 emulated table=0x1300000\n";
    let verdict = panel(&[], &[Dialect::Qemu], "").check(&program("lopapr", steps)).expect("all are there");
    assert!(matches!(&verdict, Verdict::NotCompared(not) if not.from == Place::Step(1) && !not.compared), "{verdict}");
}

#[test]
fn invalid_programs_are_refused() {
    let mut invalid = program("lopapr", READ_BACK);
    invalid.machine.windows[0].entries = 0;
    assert!(matches!(panel(&[SubjectKind::Candidate], &[], "").check(&invalid), Ok(Verdict::Invalid(_))));
}

#[test]
fn a_declared_difference_expires() {
    let text = |day: &str| {
        let entry = "[[difference]]\nbetween = [\"reference\", \"canary\"]\nrule = \"DIVERGE.R4\"\nfield = \"r4\"\n";
        format!("{entry}reason = \"the canary\"\nexpires = {day}\n")
    };
    let ledger = |day: &str| Ledger::parse(&text(day)).expect("a ledger").on("2026-11-25");
    let (over, last_day) = (ledger("2026-11-24"), ledger("2026-11-25"));
    assert_eq!((over.len(), over.expired().count()), (0, 1));
    assert_eq!((last_day.len(), last_day.expired().count()), (1, 0));
    assert!(over.expired().next().expect("one").to_string().ends_with("the canary (until 2026-11-24)"));
    for day in ["\"2026-11-24\"", "2026-11-24T10:00:00Z", "10:00:00", "2026-13-01"] {
        let refused = Ledger::parse(&text(day)).expect_err("no day");
        assert!(
            refused.contains("line ") && (refused.contains("2027-06-30") || refused.contains("expires")),
            "{refused}"
        );
    }
}

/// The subject covers no pinned windows, so step 1 is not asked. Then the reference faults no page in and skips step 2,
/// and `TCE.UNBACKED` decides step 3. In a run of all steps `TCE.ALIGN` decides it.
const SKIPPED: &str = "realmode-program 1
dialect kvm
machine sparsemem-vmemmap page_shift=12 struct_page=56 base=0xc00c000000000000 block_shift=16 list=0x200000061000
section 0x0
block 0x0 at=0x200000000000
block 0x1 at=0x200000010000
block 0x2 at=0x200000030000
block 0x3 at=0x200000050000
slot 0 gfn=0x1000 pages=3 hva=0x7f0000000000
map 0x7f0000002000 absent pfn=0x4e5
ram 0x4e5000 0x1000000
window 0x0 page_shift=12 base=0x0 entries=2 emulated table=0x200000161000
window 0x1 page_shift=12 base=0x0 entries=1 pinned table=0x200000162000 hardware=0x200000164000
steps
cpu0 H_PUT_TCE_INDIRECT liobn=0x1 ioba=0x0 list=0x1002000 count=1
write 0x1002000 0x5
cpu0 H_PUT_TCE_INDIRECT liobn=0x0 ioba=0x0 list=0x1002000 count=2
";

#[test]
fn a_difference_is_declared_by_what_decided_the_step_for_that_voter() {
    let program = parse(SKIPPED).expect("a program");
    let hooks = Hooks {
        coverage: |subject| Coverage { pinned: false, ..subject.coverage() },
        virt: |subject, cpu, call| match subject.virtual_mode(cpu, call) {
            HcallAnswer { status: Status::PARAMETER, .. } => HcallAnswer::status(Status::P4),
            answer => answer,
        },
        real: |subject, cpu, call| match subject.real_mode(cpu, call) {
            HcallAnswer { status: Status::PARAMETER, .. } => HcallAnswer::status(Status::P4),
            answer => answer,
        },
        ..HONEST
    };
    let ledger = |decided: &str| {
        let entry =
            "[[difference]]\nbetween = [\"reference\", \"wrong\"]\nrule = \"DIVERGE.STATUS\"\nfield = \"status\"\n";
        Ledger::parse(&format!("{entry}decided = \"{decided}\"\nreason = \"a test\"\n")).expect("a ledger")
    };
    for (decided, declared) in [("TCE.UNBACKED", true), ("TCE.ALIGN", false)] {
        let mut panel = Panel::new(vec![Box::new(checker(hooks))], ledger(decided));
        let verdict = panel.check(&program).expect("all are there");
        let finding = verdict.finding();
        assert_eq!(finding.is_none(), declared, "{decided}: {verdict}");
        if let Some(finding) = finding {
            assert_eq!((finding.place, finding.decided), (Place::Step(2), Some(Rule::TceUnbacked)), "{finding}");
        }
    }
}

/// A window that a voter does not cover may hold what the reference never stored, so the voter does not close it.
#[test]
fn a_window_that_is_not_covered_is_not_closed() {
    let hooks = Hooks { coverage: |subject| Coverage { pinned: false, ..subject.coverage() }, ..HONEST };
    let (machine, _) = SKIPPED.split_once("cpu0 ").expect("steps");
    for (liobn, not_asked) in [(1, 1), (0, 0)] {
        let steps = format!("cpu0 H_GET_TCE liobn=0x0 ioba=0x0\nclose-window {liobn:#x}\n");
        let program = parse(&format!("{machine}{steps}")).expect("a program");
        let mut panel = Panel::new(vec![Box::new(checker(hooks))], Ledger::default());
        let verdict = panel.check(&program).expect("all are there");
        let first = match &verdict {
            Verdict::NotCompared(not) => Some((not.from, not.not_asked(), not.compared)),
            _ => None,
        };
        let expected = (not_asked > 0).then_some((Place::Step(1), Some(1), true));
        assert_eq!((first, panel.tally().not_asked), (expected, not_asked), "{liobn}: {verdict}");
    }
}

/// A live system keeps two cores busy, and one job runs even where there is one core.
#[test]
fn jobs_keep_all_cores_busy() {
    let qemu = Arc::new(realmode_diff::voters::qemu::Config::default());
    let (alone, live) =
        (Roster::from(SubjectKind::Candidate), Roster::of(vec![Arc::new(SubjectKind::Candidate), qemu]));
    for (cores, jobs) in [(1, 1), (2, 1), (3, 2), (4, 2), (8, 4)] {
        assert_eq!((alone.jobs(cores), live.jobs(cores)), (cores, jobs));
    }
}

/// While a hang is shrunk, steps are given up early, but never later than the user said.
#[test]
fn shrinking_a_hang_makes_no_limit_longer() {
    use realmode_diff::voters::isolate::Config;
    use realmode_diff::voters::roster::Apart;
    use std::time::Duration;
    for (millis, shrinking) in [(1000, 100), (20, 20)] {
        let config = Config { program: "realmode".into(), limit: Duration::from_millis(millis), bytes: 0 };
        let apart = Apart { config, subject: "candidate".into(), name: "candidate".into() };
        let impatient = apart.impatient(Duration::from_millis(100)).expect("it has a limit");
        let says = format!("limit: {:?}", Duration::from_millis(shrinking));
        assert!(format!("{impatient:?}").contains(&says), "{impatient:?}");
    }
}

/// A reason to defer is counted where it was compared whether the call was deferred: for a subject with a real-mode
/// half.
#[test]
fn a_reason_to_defer_is_counted_only_where_it_was_compared() {
    // The list's page is not young, which is a reason to defer.
    let program =
        program("lopapr", "age 0x7f0000000000\ncpu0 H_PUT_TCE_INDIRECT liobn=0x1 ioba=0x0 list=0x0 count=1\n");
    let without = Hooks { coverage: |subject| Coverage { real_mode: false, ..subject.coverage() }, ..HONEST };
    let counts = |tally: &Tally| (tally.hypercalls, tally.rule(Rule::TceFault).total(), tally.rule(Rule::DeferPte));
    for (hooks, times) in [(HONEST, 1), (without, 0)] {
        let mut checker = checker(hooks);
        assert_eq!(checker.check(&program), Verdict::Agreed);
        let (calls, written, reason) = counts(checker.tally());
        assert_eq!((calls, written, reason.total(), reason.deferred), (1, 1, times, times));
        assert_eq!(reason.accepted + reason.refused, times);
        assert_eq!(checker.tally().deferred, 1, "virtual mode finished the call");
    }
    let mut panel = panel(&[], &[Dialect::Lopapr], "");
    assert_eq!(panel.check(&program), Ok(Verdict::Agreed));
    let (calls, written, reason) = counts(panel.tally());
    assert_eq!((calls, written, reason.total()), (1, 1, 0), "of a voter that shows no modes");
}
