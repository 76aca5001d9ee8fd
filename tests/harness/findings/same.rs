//! A verdict depends on the program and the subject alone: not on when, where, or after what it was checked.

use programs::generate::{GeneratorConfig, generate};
use realmode_diff::findings::report::{Context, report};
use realmode_diff::{Program, SubjectKind, Verdict};

use super::cases;
use super::wrong::checker;

/// Everything that a verdict says, in bytes.
fn told(program: &Program, verdict: &Verdict) -> String {
    let context = Context { origin: "here", ended: None };
    match verdict {
        Verdict::Agreed(tally) => format!("agreed {tally:?}"),
        Verdict::Invalid(invalid) => format!("invalid {invalid}"),
        Verdict::Finding(finding, tally) => format!("{tally:?}\n{finding:?}\n{}", report(program, finding, context)),
    }
}

#[test]
fn a_verdict_is_the_same_again_elsewhere_and_after_others() {
    let others: Vec<Program> = (0..12).map(|index| generate(&GeneratorConfig::default(), 31, index)).collect();
    for case in cases::all() {
        let program = case.program();
        let mut fresh = checker(case.hooks);
        let first = told(&program, &fresh.check(&program));
        similar_asserts::assert_eq!(told(&program, &fresh.check(&program)), first, "{}: checked again", case.name);
        for other in &others {
            // Most of these end in findings too, some in the middle of a hypercall.
            fresh.check(other);
        }
        similar_asserts::assert_eq!(told(&program, &fresh.check(&program)), first, "{}: after others", case.name);
        let elsewhere = std::thread::scope(|scope| {
            let there = scope.spawn(|| told(&program, &checker(case.hooks).check(&program)));
            let moved = scope.spawn(|| told(&program, &fresh.check(&program)));
            [there.join().expect("no panic"), moved.join().expect("no panic")]
        });
        for text in elsewhere {
            similar_asserts::assert_eq!(text, first, "{}: on another thread", case.name);
        }
    }
}

/// The same for programs on which both sides agree, and for the canary, which also fails at times: in any order on one checker
/// as on a fresh one each.
#[test]
fn nothing_leaks_from_program_to_program() {
    for kind in [SubjectKind::Candidate, SubjectKind::Null, SubjectKind::Canary] {
        let programs: Vec<Program> = (0..150).map(|index| generate(&GeneratorConfig::default(), 32, index)).collect();
        let alone: Vec<String> = programs.iter().map(|program| told(program, &kind.checker().check(program))).collect();
        let mut checker = kind.checker();
        for (program, expected) in programs.iter().zip(&alone).rev() {
            similar_asserts::assert_eq!(&told(program, &checker.check(program)), expected);
        }
    }
}
