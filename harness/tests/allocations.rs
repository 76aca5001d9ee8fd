//! Checks how often the harness and the candidate allocate beyond what the reference allocates: less than once in 50
//! steps, and fewer than 40 times for a program.
//!
//! The reference consists of maps and vectors, which allocate. Everything around the reference keeps the memory that it
//! has grown to: for example real memory and its log, the candidate's tables, and the oracle's lists.
//! has grown to: real memory and its log, the candidate's tables, the oracle's lists.

use allocation_counter::measure;
use contract::Dialect;
use programs::generate::{GeneratorConfig, Limits, generate};
use realmode_diff::check::solo::{Plan, reference, run_reference};
use realmode_diff::{SubjectKind, Verdict};

/// Returns plans of 60 drawn programs with the steps of each repeated `rounds` times. Leaves out the programs that are
/// invalid then.
fn programs(rounds: usize) -> Vec<Plan> {
    let config = GeneratorConfig { dialect: Some(Dialect::Lopapr), limits: Limits::NONE };
    let program = |index| {
        let mut program = generate(&config, 2, index);
        program.steps = std::iter::repeat_n(program.steps, rounds).flatten().collect();
        Plan::new(program)
    };
    (0..60).map(program).filter(|plan| plan.program().validate().is_ok()).collect()
}

/// Checks all programs twice and measures the second pass. Returns the number of allocations beyond those of the
/// reference alone, and the number of steps of all programs.
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
    // Both runs have the same cost of a program. They differ only by fifteen times as many steps.
    let more = long - short;
    assert!(more * 50 < long_steps - short_steps, "{more} allocations in {} steps", long_steps - short_steps);
    assert!(short < 40 * 60, "{short} allocations in 60 programs");
}
