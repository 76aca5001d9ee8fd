//! A campaign of the candidate against the reference, with a fixed seed and length. `realmode fuzz` runs the same for
//! longer.
//!
//! `REALMODE_PROGRAMS=N` sets the number of programs. `scripts/mutants` uses it to detect mutants of the candidate and
//! of the reference.

use programs::generate::{GeneratorConfig, generate};
use realmode_diff::findings::report::{Context, report};
use realmode_diff::{SubjectKind, Verdict};

const SEED: u64 = 1;
const PROGRAMS: u64 = 2_000;

#[test]
fn the_candidate_agrees_with_the_reference() {
    let programs = match std::env::var("REALMODE_PROGRAMS") {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("REALMODE_PROGRAMS={number}: expected a number")),
        Err(_) => PROGRAMS,
    };
    let mut checker = SubjectKind::Candidate.checker();
    for index in 0..programs {
        let program = generate(&GeneratorConfig::default(), SEED, index);
        match checker.check(&program) {
            Verdict::Agreed => {}
            Verdict::Finding(finding) => {
                panic!("program {index}:\n{}", report(&program, &finding, Context::default()))
            }
            verdict => panic!("program {index}: {verdict}"),
        }
    }
}
