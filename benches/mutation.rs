//! The cost of a mutation, and how the hypercalls of mutated programs end.
//!
//! `cargo bench --bench mutation` first prints the histogram of validity. It simulates an engine without feedback: from
//! each program of the corpus it makes chains of eight mutations, and checks every program on the way. Then it prints
//! times; `elem/s` is mutations, or programs, a second.

use std::path::Path;

use contract::{Rule, Status, Step};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use programs::encoding::{decode, encode, encode_into};
use programs::focus::Focus;
use programs::generate::{GeneratorConfig, generate};
use programs::mutate::Mutator;
use programs::store;
use realmode_diff::{Program, SubjectKind, Verdict};
use reference::Answer;

/// Number of chains of mutations that start from each program of the corpus.
const CHAINS: u64 = 40;
/// Number of mutations in one chain.
const DEPTH: u64 = 8;
/// Largest size in bytes of an encoded program after a mutation.
const MAX_SIZE: usize = 1 << 14;

fn corpus() -> Vec<Program> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora/seeds");
    let files = store::programs_under(&folder).expect("the corpora");
    files.iter().map(|file| programs::inputs::read_text(file).expect("a program")).collect()
}

/// Numbers of hypercalls in mutated programs, by how they ended.
#[derive(Default)]
struct Histogram {
    calls: u64,
    accepted: u64,
    /// Number of calls refused by the first checks alone: for their opcode, their LIOBN or their IOBA.
    gate: u64,
    /// For each rule, in the order of [`Rule::ALL`]: the number of calls that it decided (each entry of a call can have
    /// another rule, so a call can count for several), and how many of these calls were refused.
    rules: Vec<(u64, u64)>,
}

impl Histogram {
    fn take(&mut self, checker: &mut realmode_diff::Checker, program: &Program) {
        self.rules.resize(Rule::ALL.len(), (0, 0));
        let verdict = checker.check_watched(program, &mut |seen: &realmode_diff::check::Observation<'_>| {
            let (Step::Hypercall { call, .. }, Answer::Hypercall { status, .. }) = (seen.step, &seen.outcome.answer)
            else {
                return;
            };
            let accepted = *status == Status::SUCCESS;
            let outside = || {
                let window = seen.reference.window(contract::Liobn(call.args[0])).map(|window| window.spec);
                window.is_some_and(|w| call.args[1].wrapping_sub(w.base) >> w.page_shift >= w.entries)
            };
            let gate = seen.outcome.rules.iter().any(|rule| match rule {
                Rule::HcallUnknown | Rule::LiobnUnknown | Rule::IobaAlign => true,
                Rule::IobaRange => outside(),
                _ => false,
            });
            self.calls += 1;
            self.accepted += u64::from(accepted);
            self.gate += u64::from(gate && !accepted);
            for rule in seen.outcome.rules.iter() {
                let (decided, refused) = &mut self.rules[rule as usize];
                *decided += 1;
                *refused += u64::from(!accepted);
            }
        });
        assert!(matches!(verdict, Verdict::Agreed), "{verdict:?}\n{program}");
    }

    fn print(&self, what: &str) {
        let percent = |part: u64| part as f64 * 100.0 / self.calls as f64;
        println!("how {} hypercalls of {what} ended:", self.calls);
        println!("  {:5.1} % accepted", percent(self.accepted));
        println!("  {:5.1} % refused for a reason of interest", percent(self.calls - self.accepted - self.gate));
        println!("  {:5.1} % refused at the first gate", percent(self.gate));
        println!("  by rule, a call may have several (decided, refused of these):");
        for rule in Rule::outcomes() {
            let (decided, refused) = self.rules[rule as usize];
            if decided > 0 {
                println!("    {:14} {:5.2} % {:5.2} %", rule.id(), percent(decided), percent(refused));
            }
        }
    }
}

fn validity(_: &mut Criterion) {
    let mut checker = SubjectKind::Candidate.checker();
    let corpus = corpus();
    let mut unchanged = Histogram::default();
    corpus.iter().for_each(|program| unchanged.take(&mut checker, program));
    unchanged.print("the corpus itself");
    let mut mutated = Histogram::default();
    let mut mutator = Mutator::new(Focus::Program);
    let mut buffer = vec![0; MAX_SIZE];
    for (index, program) in (0..).zip(&corpus) {
        let bytes = encode(program);
        for chain in 0..CHAINS {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            let mut size = bytes.len();
            for depth in 0..DEPTH {
                size = mutator.mutate(&mut buffer, size, MAX_SIZE, index << 32 | chain << 8 | depth);
                mutated.take(&mut checker, &decode(&buffer[..size]));
            }
        }
    }
    mutated.print("mutated programs, chains of 8 from the corpus");
}

/// Returns 200 programs of 22 to 26 steps, as the campaign draws them.
fn typical() -> Vec<Program> {
    (0..)
        .map(|index| generate(&GeneratorConfig::default(), 1, index))
        .filter(|program| (22..=26).contains(&program.steps.len()))
        .take(200)
        .collect()
}

fn speed(c: &mut Criterion) {
    let programs = typical();
    let bytes: Vec<Vec<u8>> = programs.iter().map(encode).collect();
    let mut group = c.benchmark_group("24 steps");
    group.sample_size(20).throughput(Throughput::Elements(programs.len() as u64));
    let mut buffer = vec![0; MAX_SIZE];
    let mut out = vec![0; MAX_SIZE];
    let mut mutator = Mutator::new(Focus::Program);
    let mut seed = 0;
    group.bench_function("mutate, with decoding and encoding", |b| {
        b.iter(|| {
            for input in &bytes {
                seed += 1;
                buffer[..input.len()].copy_from_slice(input);
                std::hint::black_box(mutator.mutate(&mut buffer, input.len(), MAX_SIZE, seed));
            }
        });
    });
    group.bench_function("cross, with decoding and encoding", |b| {
        b.iter(|| {
            for pair in bytes.windows(2) {
                seed += 1;
                std::hint::black_box(mutator.crossover(&pair[0], &pair[1], &mut out, seed));
            }
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| bytes.iter().for_each(|input| drop(std::hint::black_box(decode(input)))))
    });
    let mut encoded = Vec::new();
    group.bench_function("encode", |b| {
        b.iter(|| programs.iter().for_each(|program| encode_into(std::hint::black_box(program), &mut encoded)));
    });
    group.finish();
}

criterion_group!(benches, validity, speed);
criterion_main!(benches);
