//! Tests that a verdict depends on the program and the subject alone: not on the time, the thread or earlier programs.

use programs::generate::{GeneratorConfig, generate};
use realmode_diff::findings::report::{Context, report};
use realmode_diff::{Checker, Program, SubjectKind, Verdict};

use super::cases;
use super::wrong::checker;

/// Returns everything that a verdict contains, as text.
fn told(program: &Program, checker: &mut Checker) -> String {
    let verdict = checker.check(program);
    let tally = checker.tally();
    let context = Context { origin: "here", ended: None };
    match &verdict {
        Verdict::Finding(finding) => format!("{tally:?}\n{finding:?}\n{}", report(program, finding, context)),
        verdict => format!("{tally:?}\n{verdict}"),
    }
}

#[test]
fn a_verdict_is_the_same_again_elsewhere_and_after_others() {
    let others: Vec<Program> = (0..12).map(|index| generate(&GeneratorConfig::default(), 31, index)).collect();
    for case in cases::all() {
        let program = case.program();
        let mut fresh = checker(case.hooks);
        let first = told(&program, &mut fresh);
        similar_asserts::assert_eq!(told(&program, &mut fresh), first, "{}: checked again", case.name);
        for other in &others {
            // Most of these programs end in a finding too, some in the middle of a hypercall.
            fresh.check(other);
        }
        similar_asserts::assert_eq!(told(&program, &mut fresh), first, "{}: after others", case.name);
        let elsewhere = std::thread::scope(|scope| {
            let there = scope.spawn(|| told(&program, &mut checker(case.hooks)));
            let moved = scope.spawn(|| told(&program, &mut fresh));
            [there.join().expect("no panic"), moved.join().expect("no panic")]
        });
        for text in elsewhere {
            similar_asserts::assert_eq!(text, first, "{}: on another thread", case.name);
        }
    }
}

/// Programs on which both sides agree, and the canary, which sometimes fails: a checker that runs all programs in
/// reverse order returns the same verdicts as a fresh checker for each.
#[test]
fn nothing_leaks_from_program_to_program() {
    for kind in [SubjectKind::Candidate, SubjectKind::Null, SubjectKind::Canary] {
        let programs: Vec<Program> = (0..150).map(|index| generate(&GeneratorConfig::default(), 32, index)).collect();
        let alone: Vec<String> = programs.iter().map(|program| told(program, &mut kind.checker())).collect();
        let mut checker = kind.checker();
        for (program, expected) in programs.iter().zip(&alone).rev() {
            similar_asserts::assert_eq!(&told(program, &mut checker), expected);
        }
    }
}
