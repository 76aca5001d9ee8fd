//! Tests of the audit, the harness's check of itself: every program that agrees passes it, and large memory traffic of
//! a subject is no finding.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use contract::RealAddr;
use machine::Subject as _;
use machine::subject::Bound;
use programs::generate::{GeneratorConfig, generate};
use programs::store;
use realmode_diff::check::Observation;
use realmode_diff::check::audit::audit;
use realmode_diff::{Checker, Program, SubjectKind, Verdict};

use super::findings::wrong::{HONEST, Hooks, checker};

/// Runs the program with an audit after every `nth` step and after the last. It must agree. Returns how many steps were
/// audited.
fn audited(checker: &mut Checker, program: &Program, nth: usize) -> u64 {
    let mut steps = 0;
    let bound = program.frames_bound();
    let verdict = checker.check_watched(program, &mut |seen: &Observation<'_>| {
        let index = seen.index;
        if !index.is_multiple_of(nth) && index + 1 != program.steps.len() {
            return;
        }
        steps += 1;
        if let Err(fault) = audit(seen.reference, seen.memory) {
            panic!("step {}: {fault}\n{program}", index + 1);
        }
        // A subject that stores only where the reference does stays within the bound.
        let made = u64::from(seen.memory.frames_made());
        assert!(made <= bound, "step {}: {made} frames, and the bound is {bound}\n{program}", index + 1);
    });
    assert!(matches!(verdict, Verdict::Agreed), "{verdict:?}\n{program}");
    steps
}

#[test]
fn generated_programs_pass_the_audit_after_every_step() {
    for subject in [SubjectKind::Candidate, SubjectKind::Null] {
        let mut checker = subject.checker();
        let config = GeneratorConfig::default();
        let steps: u64 = (0..100).map(|index| audited(&mut checker, &generate(&config, 30, index), 1)).sum();
        assert!(steps > 1_000, "{steps} steps");
    }
}

#[test]
fn the_corpora_pass_the_audit() {
    let files = store::programs_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora")).expect("the corpora");
    assert!(files.len() > 100, "{} programs", files.len());
    let mut checker = SubjectKind::Candidate.checker();
    for (number, file) in files.into_iter().enumerate() {
        // Engines keep hundreds of programs, and an unoptimised build would take minutes to audit them all.
        if file.components().any(|part| part.as_os_str() == "minimized") && !number.is_multiple_of(12) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a program");
        let program = realmode_diff::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        audited(&mut checker, &program, 16);
    }
}

/// A machine of 256 MiB. Its struct pages take 1,024 frames, far more than the bound of the program.
const LARGE: &str = "\
realmode-program 1
dialect lopapr
machine flatmem page_shift=12 struct_page=64 array=0x200000000 pages=65536
slot 0 gfn=0x0 pages=16 hva=0x7f0000000000
map 0x7f0000000000 present pfn=0x10 writable dirty young pages=8
window 0x1 page_shift=12 base=0x0 entries=16 pinned table=0x9000000000 hardware=0x9000001000
steps
cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x3
cpu0 H_PUT_TCE liobn=0x1 ioba=0x1000 tce=0x1003
cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=16
";

/// A handler may store to any struct page, and a store that it undoes before the call ends is no finding.
#[test]
fn an_implementation_may_store_all_over_struct_pages() {
    let hooks = Hooks {
        bound: |_| Bound { base: 10_000, per_entry: 36 },
        real: |subject, cpu, call| {
            // The subject sets a lock in a struct page of each frame, in bytes that must be zero again when the call
            // ends.
            let locks = || (0..1024).map(|frame| RealAddr(0x2_0000_0000 + frame * 4096 + 24).ea());
            locks().for_each(|lock| cpu.store(lock, 1, Relaxed));
            let answer = subject.real_mode(cpu, call);
            locks().for_each(|lock| cpu.store(lock, 0, Relaxed));
            answer
        },
        ..HONEST
    };
    let program = realmode_diff::parse(LARGE).expect("a program");
    assert!(program.frames_bound() < 200);
    let mut seen = 0;
    let verdict = checker(hooks).check_watched(&program, &mut |step: &Observation<'_>| {
        seen += 1;
        assert_eq!(audit(step.reference, step.memory), Ok(()));
        assert!(step.memory.frames_made() >= 1024);
    });
    assert!(matches!(verdict, Verdict::Agreed) && seen == 3, "{verdict:?}");
}
