//! Five fixed workloads whose instructions `scripts/instructions` counts. Instruction counts vary less than times, so
//! they show a slow drift.
//!
//! `cargo bench --bench workloads -- NAME` runs one workload once; without a name it lists them. Only the code inside
//! `measured` is counted, so setting up costs nothing.

use std::hint::black_box;

use candidate::Candidate;
use candidate::pages::PageIndex;
use contract::description::{AddrRun, BlockRun};
use contract::{Dialect, MemoryModel, PageShift, Pfn, RealAddr};
use programs::encoding::{decode, encode};
use programs::generate::{GeneratorConfig, Limits, generate};
use realmode_diff::check::solo::{Plan, Solo, reference, run_reference};
use realmode_diff::{SubjectKind, Verdict};

const CONFIG: GeneratorConfig = GeneratorConfig { dialect: Some(Dialect::Lopapr), limits: Limits::NONE };

/// Runs `work`. callgrind counts instructions only while this function runs.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

/// Workload: checks 300 programs as the campaign draws them, reference and candidate in lockstep.
fn lockstep() {
    let programs: Vec<_> = (0..300).map(|index| generate(&CONFIG, 1, index)).collect();
    let mut checker = SubjectKind::Candidate.checker();
    let mut check = || {
        for program in &programs {
            assert!(matches!(checker.check(program), Verdict::Agreed));
        }
    };
    // Runs all programs once before measuring, so that reused memory has grown to its full size.
    check();
    measured(&mut check);
}

/// Returns programs with many calls on one machine: drawn programs whose steps are repeated sixteen times.
fn long_programs() -> Vec<Plan> {
    let long = |index| {
        let mut program = generate(&CONFIG, 2, index);
        program.steps = std::iter::repeat_n(program.steps, 16).flatten().collect();
        Plan::new(program)
    };
    (0..40).map(long).filter(|plan| plan.program().validate().is_ok()).collect()
}

fn candidate() {
    let plans = long_programs();
    let mut solo = Solo::new(Candidate::new());
    let mut run = || plans.iter().for_each(|plan| solo.run(plan));
    run();
    measured(&mut run);
}

fn the_reference() {
    let plans = long_programs();
    let mut model = reference(&plans[0]);
    let mut run = || plans.iter().for_each(|plan| run_reference(&mut model, plan));
    run();
    measured(&mut run);
}

/// Workload: looks up pfns in the candidate's index of 4,096 vmemmap blocks: hits, splits and misses.
fn lookup() {
    let (blocks, shift, struct_page) = (4096, 16, 56);
    let mut index = PageIndex::default();
    let run = |first| BlockRun { first, places: AddrRun { at: RealAddr((1 << 40) + (first << 17)), count: 1 } };
    let memory = MemoryModel::SparsememVmemmap {
        base: 0xf << 60,
        block_shift: shift,
        list: RealAddr(0),
        sections: (0..(blocks << shift) / (256 * struct_page)).collect(),
        blocks: (0..blocks).map(run).collect(),
    };
    index.start(PageShift::Shift16, struct_page, &memory);
    let pages = (blocks << shift) / struct_page;
    measured(&mut || {
        for step in 0..100_000 {
            black_box(index.lookup(black_box(Pfn(step * 7919 % (pages + pages / 8)))));
        }
    });
}

/// Workload: decodes 1,000 packed programs of at most 8 steps, as a fuzz target decodes an engine's inputs.
fn decoding() {
    let short = |index| {
        let mut program = generate(&GeneratorConfig::default(), 9, index);
        program.steps.truncate(8);
        encode(&program)
    };
    let inputs: Vec<Vec<u8>> = (0..1000).map(short).collect();
    measured(&mut || {
        for input in &inputs {
            assert!(black_box(decode(input)).validate().is_ok());
        }
    });
}

const WORKLOADS: [(&str, fn()); 5] = [
    ("lockstep", lockstep),
    ("candidate", candidate),
    ("reference", the_reference),
    ("lookup", lookup),
    ("decode", decoding),
];

fn main() {
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    match named.and_then(|name| WORKLOADS.into_iter().find(|(known, _)| *known == name)) {
        Some((_, run)) => run(),
        None => WORKLOADS.into_iter().for_each(|(name, _)| println!("{name}")),
    }
}
