//! Compared hypercalls a second, beside each side alone on the same programs, and the cost of an empty program.
//!
//! `cargo bench` prints times a pass over a fixed set of programs and, as `elem/s`, hypercalls a second; the ratios
//! between the rows of one run are what counts. docs/performance.md says how to read them.

use candidate::Candidate;
use contract::{Dialect, Machine, MemoryModel, PageShift, RealAddr};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use realmode_diff::generate::{GeneratorConfig, generate};
use realmode_diff::solo::{Plan, Solo, reference, run_reference};
use realmode_diff::{Program, SubjectKind, Verdict};

/// Programs of the fixed set: the first of seed 1 in dialect lopapr, as the campaign draws them.
const PROGRAMS: u64 = 1000;

fn compared(c: &mut Criterion) {
    let config = GeneratorConfig { dialect: Some(Dialect::Lopapr) };
    let plans: Vec<Plan> = (0..PROGRAMS).map(|index| Plan::new(generate(config, 1, index))).collect();
    let hypercalls: u64 = plans.iter().map(|plan| plan.hypercalls).sum();
    println!("{PROGRAMS} programs, {hypercalls} hypercalls a pass; elem/s is hypercalls a second");

    let mut group = c.benchmark_group("campaign programs");
    group.sample_size(20).throughput(Throughput::Elements(hypercalls));
    let mut checker = SubjectKind::Candidate.checker();
    group.bench_function("lockstep, everything checked", |b| {
        b.iter(|| {
            for plan in &plans {
                assert!(matches!(checker.check(plan.program()), Verdict::Agreed(_)));
            }
        });
    });
    let mut solo = Solo::new(Candidate::new());
    group.bench_function("candidate alone", |b| b.iter(|| plans.iter().for_each(|plan| solo.run(plan))));
    let mut model = reference(&plans[0]);
    group.bench_function("reference alone", |b| {
        b.iter(|| plans.iter().for_each(|plan| run_reference(&mut model, plan)))
    });
    group.bench_function("drawing the programs", |b| {
        b.iter(|| (0..PROGRAMS).for_each(|index| drop(std::hint::black_box(generate(config, 1, index)))));
    });
    group.finish();
}

/// A program that keeps one machine for many calls: what a hypercall costs apart from its machine.
fn long_programs(c: &mut Criterion) {
    let config = GeneratorConfig { dialect: Some(Dialect::Lopapr) };
    let plans: Vec<Plan> = (0..200)
        .map(|index| {
            let mut program = generate(config, 2, index);
            let steps = program.steps.clone();
            // Sixteen times the same story: the later rounds run on what the earlier ones left.
            program.steps = std::iter::repeat_n(steps, 16).flatten().collect();
            Plan::new(program)
        })
        .filter(|plan| plan.program().validate().is_ok())
        .collect();
    let hypercalls: u64 = plans.iter().map(|plan| plan.hypercalls).sum();
    println!("{} long programs, {hypercalls} hypercalls a pass", plans.len());

    let mut group = c.benchmark_group("long programs");
    group.sample_size(20).throughput(Throughput::Elements(hypercalls));
    let mut checker = SubjectKind::Candidate.checker();
    group.bench_function("lockstep, everything checked", |b| {
        b.iter(|| {
            for plan in &plans {
                assert!(matches!(checker.check(plan.program()), Verdict::Agreed(_)));
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

fn empty_program(c: &mut Criterion) {
    let program = Program {
        dialect: Dialect::Lopapr,
        machine: Machine {
            page_shift: PageShift::Shift16,
            struct_page: 64,
            memory: MemoryModel::Flatmem { array: RealAddr(1 << 30), pages: 16 },
            pages: Vec::new(),
            compounds: Vec::new(),
            slots: Vec::new(),
            mappings: Vec::new(),
            ram: Vec::new(),
            windows: Vec::new(),
        },
        steps: Vec::new(),
    };
    let mut checker = SubjectKind::Candidate.checker();
    c.bench_function("empty program", |b| b.iter(|| checker.check(std::hint::black_box(&program))));
}

criterion_group!(benches, compared, long_programs, empty_program);
criterion_main!(benches);
