//! A campaign of the candidate against the reference, with a fixed seed and length. `realmode fuzz` runs the same for
//! longer.
//!
//! `REALMODE_PROGRAMS=N` sets the number of programs. `scripts/mutants` uses it to detect mutants of the candidate and
//! of the reference. So this test is a binary of its own, which builds without the command and the other tests.

use std::sync::atomic::{AtomicU64, Ordering};

use programs::generate::{GeneratorConfig, generate};
use realmode_diff::findings::report::{Context, report};
use realmode_diff::{SubjectKind, Verdict};

const SEED: u64 = 1;
const PROGRAMS: u64 = 2_000;

/// Checks the programs from `next` on, up to `programs`, on one candidate.
fn check(next: &AtomicU64, programs: u64) {
    let mut checker = SubjectKind::Candidate.checker();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= programs {
            return;
        }
        let program = generate(&GeneratorConfig::default(), SEED, index);
        let verdict = checker.check(&program);
        if verdict != Verdict::Agreed {
            // Lets the other threads end.
            next.store(programs, Ordering::Relaxed);
        }
        match verdict {
            Verdict::Agreed => {}
            Verdict::Finding(finding) => {
                panic!("program {index}:\n{}", report(&program, &finding, Context::default()))
            }
            verdict => panic!("program {index}: {verdict}"),
        }
    }
}

#[test]
fn the_candidate_agrees_with_the_reference() {
    let programs = match std::env::var("REALMODE_PROGRAMS") {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("REALMODE_PROGRAMS={number}: expected a number")),
        Err(_) => PROGRAMS,
    };
    let next = AtomicU64::new(0);
    // The scope panics if a thread does.
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| check(&next, programs));
        }
    });
    assert!(next.into_inner() >= programs);
}
