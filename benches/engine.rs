//! The cost of a short program for a fuzzing engine: the whole way from bytes to verdict, and decoding and validating
//! alone.
//!
//! Engines run few steps per machine, so setting a machine up and taking it down is most of the work here, unlike in
//! `lockstep`. The programs are the first 2000 of seed 9, cut to 8 steps and encoded. `elem/s` is programs a second.
//! docs/performance.md says how to count instructions, which vary less than times.

use std::hint::black_box;

use contract::{Dialect, Machine, MemoryModel, PageShift, RealAddr};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use programs::encoding::{decode, encode};
use programs::focus::Focus;
use programs::generate::{GeneratorConfig, generate};
use realmode_diff::hunts::engine::{Engine, EngineRun};
use realmode_diff::{Program, SubjectKind};

const PROGRAMS: u64 = 2000;
const STEPS: usize = 8;

fn inputs() -> Vec<Vec<u8>> {
    let short = |index| {
        let mut program = generate(&GeneratorConfig { dialect: None, ..GeneratorConfig::default() }, 9, index);
        program.steps.truncate(STEPS);
        encode(&program)
    };
    (0..PROGRAMS).map(short).collect()
}

/// Decodes all inputs. Each row of the table is a function of its own, so that callgrind can count its instructions
/// alone (`--toggle-collect`).
#[inline(never)]
fn row_decode(inputs: &[Vec<u8>]) {
    inputs.iter().for_each(|input| drop(black_box(decode(input))));
}

#[inline(never)]
fn row_validate(programs: &[Program]) {
    programs.iter().for_each(|program| assert!(black_box(program.validate()).is_ok()));
}

#[inline(never)]
fn row_run(engine: &mut Engine, inputs: &[Vec<u8>]) {
    for input in inputs {
        let mut reached = 0;
        let run = engine.run(input, &mut |combination| reached += combination);
        assert!(matches!(run, Ok(EngineRun::Agreed | EngineRun::Rejected)), "{run:?}");
        black_box(reached);
    }
}

fn short_programs(c: &mut Criterion) {
    let inputs = inputs();
    let programs: Vec<Program> = inputs.iter().map(|input| decode(input)).collect();
    let mut group = c.benchmark_group("programs of 8 steps");
    group.sample_size(20).throughput(Throughput::Elements(PROGRAMS));
    group.bench_function("decode alone", |b| b.iter(|| row_decode(&inputs)));
    group.bench_function("validate alone", |b| b.iter(|| row_validate(&programs)));
    for focus in [Focus::Program, Focus::Lookup] {
        let mut engine = Engine::new(focus, SubjectKind::Candidate).expect("an engine");
        // Runs all programs once before measuring, so that reused memory has grown to its full size.
        inputs.iter().for_each(|input| drop(engine.run(input, &mut |_| {})));
        group.bench_function(format!("run, focus {}", focus.name()), |b| b.iter(|| row_run(&mut engine, &inputs)));
    }
    group.finish();
}

fn empty_program(c: &mut Criterion) {
    let memory = MemoryModel::Flatmem { array: RealAddr(1 << 30), pages: 16 };
    let machine = Machine::bare(PageShift::Shift16, 64, memory);
    let input = [encode(&Program { dialect: Dialect::Lopapr, machine, steps: Vec::new() })];
    let mut engine = Engine::new(Focus::Program, SubjectKind::Candidate).expect("an engine");
    c.bench_function("empty program", |b| b.iter(|| row_run(&mut engine, &input)));
}

criterion_group!(benches, short_programs, empty_program);
criterion_main!(benches);
