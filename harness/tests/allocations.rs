//! What the harness and the candidate add to the reference's allocations: nothing a step, and a handful a program.
//!
//! The reference is plain maps and vectors, and allocates as those do. Everything around it keeps what it has grown to:
//! real memory, its log, the candidate's tables, the oracle's lists.

use allocation_counter::measure;
use contract::Dialect;
use programs::generate::{GeneratorConfig, generate};
use realmode_diff::check::solo::{Plan, reference, run_reference};
use realmode_diff::{SubjectKind, Verdict};

/// `rounds` times the same story on one machine.
fn programs(rounds: usize) -> Vec<Plan> {
    let config = GeneratorConfig { dialect: Some(Dialect::Lopapr), limits: None };
    let program = |index| {
        let mut program = generate(&config, 2, index);
        program.steps = std::iter::repeat_n(program.steps, rounds).flatten().collect();
        Plan::new(program)
    };
    (0..60).map(program).filter(|plan| plan.program().validate().is_ok()).collect()
}

/// Allocations beyond the reference's, and steps, of a second pass over the programs.
fn beyond_the_reference(plans: &[Plan]) -> (i64, i64) {
    let mut model = reference(&plans[0]);
    let mut checker = SubjectKind::Candidate.checker();
    let mut check = || {
        for plan in plans {
            assert!(matches!(checker.check(plan.program()), Verdict::Agreed));
        }
    };
    check();
    let both = measure(check).count_total;
    plans.iter().for_each(|plan| run_reference(&mut model, plan));
    let alone = measure(|| plans.iter().for_each(|plan| run_reference(&mut model, plan))).count_total;
    let steps: usize = plans.iter().map(|plan| plan.program().steps.len()).sum();
    (both as i64 - alone as i64, steps as i64)
}

#[test]
fn a_step_allocates_nothing_beyond_the_reference() {
    let (short, short_steps) = beyond_the_reference(&programs(1));
    let (long, long_steps) = beyond_the_reference(&programs(16));
    eprintln!("{short} allocations beyond the reference in {short_steps} steps, {long} in {long_steps}");
    // What a program costs is the same in both; the rest are fifteen times as many steps.
    let more = long - short;
    assert!(more * 50 < long_steps - short_steps, "{more} allocations in {} steps", long_steps - short_steps);
    assert!(short < 40 * 60, "{short} allocations in 60 programs");
}
