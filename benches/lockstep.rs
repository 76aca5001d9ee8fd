//! Compared hypercalls a second, the speed of reference and candidate each alone on the same programs, and the cost of
//! an empty program.
//!
//! `cargo bench` prints the time of a pass over a fixed set of programs and, as `elem/s`, hypercalls a second. Compare
//! only rows of one run with each other; docs/performance.md says how to read them.

use candidate::Candidate;
use contract::{Dialect, Machine, MemoryModel, PageShift, RealAddr};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use programs::generate::{GeneratorConfig, Limits, generate};
use realmode_diff::check::solo::{Plan, Solo, reference, run_reference};
use realmode_diff::{Program, SubjectKind, Verdict};

/// Number of programs in the fixed set: the first programs of seed 1 in dialect lopapr, as the campaign draws them.
const PROGRAMS: u64 = 1000;
const CONFIG: GeneratorConfig = GeneratorConfig { dialect: Some(Dialect::Lopapr), limits: Limits::NONE };

/// Measures hypercalls a second on the programs of `plans`: reference and candidate in lockstep, and each of them
/// alone.
fn sides(c: &mut Criterion, name: &str, plans: &[Plan]) {
    let hypercalls: u64 = plans.iter().map(|plan| plan.hypercalls).sum();
    println!("{name}: {} programs, {hypercalls} hypercalls a pass; elem/s is hypercalls a second", plans.len());
    let mut group = c.benchmark_group(name);
    group.sample_size(20).throughput(Throughput::Elements(hypercalls));
    let mut checker = SubjectKind::Candidate.checker();
    group.bench_function("lockstep, everything checked", |b| {
        b.iter(|| {
            for plan in plans {
                assert!(matches!(checker.check(plan.program()), Verdict::Agreed));
            }
        });
    });
    let mut solo = Solo::new(Candidate::new());
    group.bench_function("candidate alone", |b| b.iter(|| plans.iter().for_each(|plan| solo.run(plan))));
    let mut model = reference(&plans[0]);
    group.bench_function("reference alone", |b| {
        b.iter(|| plans.iter().for_each(|plan| run_reference(&mut model, plan)))
    });
    group.finish();
}

/// Measures the programs of the fixed set, which have about fifteen hypercalls each, and the time to draw them.
fn campaign_programs(c: &mut Criterion) {
    let plans: Vec<Plan> = (0..PROGRAMS).map(|index| Plan::new(generate(&CONFIG, 1, index))).collect();
    sides(c, "campaign programs", &plans);
    c.bench_function("drawing the campaign programs", |b| {
        b.iter(|| (0..PROGRAMS).for_each(|index| drop(std::hint::black_box(generate(&CONFIG, 1, index)))));
    });
}

/// Measures programs with many calls on one machine, which show the cost of a compared hypercall without the cost of
/// its machine.
fn long_programs(c: &mut Criterion) {
    let plans: Vec<Plan> = (0..200)
        .map(|index| {
            let mut program = generate(&CONFIG, 2, index);
            // Repeats the same steps sixteen times; later rounds run on the state that earlier rounds left.
            program.steps = std::iter::repeat_n(program.steps, 16).flatten().collect();
            Plan::new(program)
        })
        .filter(|plan| plan.program().validate().is_ok())
        .collect();
    sides(c, "long programs", &plans);
}

fn empty_program(c: &mut Criterion) {
    let program = Program {
        dialect: Dialect::Lopapr,
        machine: Machine::bare(PageShift::Shift16, 64, MemoryModel::Flatmem { array: RealAddr(1 << 30), pages: 16 }),
        steps: Vec::new(),
    };
    let mut checker = SubjectKind::Candidate.checker();
    c.bench_function("empty program", |b| b.iter(|| checker.check(std::hint::black_box(&program))));
}

criterion_group!(benches, campaign_programs, long_programs, empty_program);
criterion_main!(benches);
