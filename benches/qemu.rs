//! The cost of a live QEMU as a voter: compared calls a second by batch size, the time of a boot, and the cost of a
//! clean machine for each program.
//!
//! The programs are the first 256 of seed 9, as `realmode fuzz --against qemu` draws them; they share one board.
//! `elem/s` is compared hypercalls a second. It includes entries that are read back, because each is a hypercall whose
//! answer is compared with the reference. Without QEMU nothing is measured.

use contract::{Backing, Dialect, Hypercall, Liobn, Machine, MemoryModel, PageShift, RealAddr, Step, WindowSpec};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use programs::generate::{GeneratorConfig, generate};
use realmode_diff::voters::qemu::{self, Config, Qemu};
use realmode_diff::voters::{Task, Told, Voter};
use realmode_diff::{Program, Tally, Verdict};

const PROGRAMS: u64 = 256;

/// Runs the programs on QEMU, which must agree with the reference on all that is compared; else panics. Returns the
/// number of compared hypercalls, with one for each entry that was read back.
fn vote(qemu: &mut Qemu, programs: &[Task]) -> u64 {
    let before = qemu.counts();
    let mut tally = Tally::default();
    for group in programs.chunks(qemu.group()) {
        let voted = qemu.vote(group, &mut tally, &mut |told| match told {
            Told::Verdict(_, Verdict::Agreed | Verdict::NotCompared(_)) => {}
            Told::Verdict(_, verdict) => panic!("{verdict}"),
            Told::Incident(incident) => panic!("{}", incident.what),
        });
        voted.expect("QEMU is there");
    }
    let after = qemu.counts();
    after.calls + after.entries - before.calls - before.entries
}

fn qemu(batch: usize) -> Option<Qemu> {
    match Qemu::new(Config { batch, ..Config::default() }) {
        Ok(qemu) => Some(qemu),
        Err(missing) => {
            eprintln!("nothing is measured: {missing}");
            None
        }
    }
}

fn calls(c: &mut Criterion) {
    let config = GeneratorConfig { dialect: Some(Dialect::Qemu), limits: qemu::limits() };
    let programs: Vec<Task> = (0..PROGRAMS).map(|index| generate(&config, 9, index).into()).collect();
    let mut group = c.benchmark_group("compared calls");
    group.sample_size(10);
    for batch in [1, 64, 512, 4096] {
        let Some(mut qemu) = qemu(batch) else { return };
        let compared = vote(&mut qemu, &programs);
        let own = qemu.counts().calls;
        eprintln!("a pass: {compared} compared hypercalls, {own} of them the programs' own");
        group.throughput(Throughput::Elements(compared));
        group.bench_function(format!("batch {batch}"), |b| b.iter(|| vote(&mut qemu, &programs)));
    }
    group.finish();
    let mut group = c.benchmark_group("drawing alone");
    group.bench_function("256 programs", |b| {
        b.iter(|| (0..PROGRAMS).map(|index| generate(&config, 9, index).steps.len()).sum::<usize>());
    });
    group.finish();
}

/// Returns a program that makes `calls` on one emulated window with `entries` entries of 2^`page_shift` bytes, from I/O
/// bus address `base` on.
fn small(page_shift: u32, base: u64, entries: u64, calls: &[Hypercall]) -> Task {
    let memory = MemoryModel::Flatmem { array: RealAddr(1 << 30), pages: 16 };
    let mut machine = Machine::bare(PageShift::Shift12, 64, memory);
    let (liobn, table) = (Liobn(0x8000_0100), RealAddr(1 << 31));
    machine.windows.push(WindowSpec { liobn, page_shift, base, entries, table, backing: Backing::Emulated });
    let steps = calls.iter().map(|call| Step::Hypercall { vcpu: 0, call: *call }).collect();
    Task::from(Program { dialect: Dialect::Qemu, machine, steps })
}

fn machines(c: &mut Criterion) {
    let Some(mut qemu) = qemu(512) else { return };
    let mut group = c.benchmark_group("machines");
    group.sample_size(10);
    let get = [Hypercall::get(0x8000_0100, 0)];
    // The two programs need different boards, so each boots one.
    let boots = [small(12, 0, 1, &get), small(12, 0x1000, 1, &get)];
    group.bench_function("two boots, two programs of one call", |b| b.iter(|| vote(&mut qemu, &boots)));
    // The two programs need different page sizes of one window, so RTAS resets the bridge, removes a window and creates
    // one for each.
    let windows = [small(16, 0, 1, &get), small(21, 0, 1, &get)];
    group.bench_function("two windows made anew, two programs of one call", |b| b.iter(|| vote(&mut qemu, &windows)));
    let clean = [small(12, 0, 256, &get), small(12, 0, 256, &get)];
    group.bench_function("two programs of one call, 256 entries read back", |b| b.iter(|| vote(&mut qemu, &clean)));
    let stuff = [Hypercall::stuff(0x8000_0100, 0, 7, 256)];
    let written = [small(12, 0, 256, &stuff), small(12, 0, 256, &stuff)];
    group.bench_function("the same, 256 entries written and cleared", |b| b.iter(|| vote(&mut qemu, &written)));
    group.finish();
}

criterion_group!(benches, calls, machines);
criterion_main!(benches);
