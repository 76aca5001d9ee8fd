//! Checks that the candidate's real-mode half never allocates, whatever the hypercall or probe.
//!
//! The types of the candidate rule this out already, because its folder `real_mode/` cannot name the allocator. In this
//! test the allocator aborts the process if anything allocates while real mode runs.

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use candidate::Candidate;
use contract::description::{AddrRun, SlotSpec};
use contract::{Dialect, HcallAnswer, Hypercall, Liobn, Machine, Pfn, ProbeAnswer, RealAddr, WindowSpec};
use machine::subject::Bound;
use machine::{Cpu, Subject};
use programs::generate::{GeneratorConfig, generate};
use realmode_diff::{Checker, Verdict};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

/// The candidate. The allocator aborts the process if the candidate allocates while it runs in real mode.
#[derive(Default)]
struct Watched(Candidate);

impl Subject for Watched {
    fn name(&self) -> &str {
        "watched candidate"
    }

    fn start(&mut self, dialect: Dialect, machine: &Machine) {
        self.0.start(dialect, machine);
    }

    fn bound(&self) -> Bound {
        self.0.bound()
    }

    fn real_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        assert_no_alloc(|| self.0.real_mode(cpu, call))
    }

    fn virtual_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        self.0.virtual_mode(cpu, call)
    }

    fn pfn_to_page(&self, cpu: &Cpu<'_>, pfn: Pfn) -> Option<RealAddr> {
        assert_no_alloc(|| self.0.pfn_to_page(cpu, pfn))
    }

    fn get_page_unless_zero(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        assert_no_alloc(|| self.0.get_page_unless_zero(cpu, pfn))
    }

    fn put_page_unless_one(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        assert_no_alloc(|| self.0.put_page_unless_one(cpu, pfn))
    }

    fn hot_add(&self, section: u64, blocks: &[AddrRun]) {
        self.0.hot_add(section, blocks);
    }

    fn hot_remove(&self, section: u64) {
        self.0.hot_remove(section);
    }

    fn set_slot(&mut self, slot: &SlotSpec) {
        self.0.set_slot(slot);
    }

    fn create_window(&mut self, window: &WindowSpec) {
        self.0.create_window(window);
    }

    fn close_window(&mut self, cpu: &Cpu<'_>, liobn: Liobn) {
        self.0.close_window(cpu, liobn);
    }
}

#[test]
fn real_mode_never_allocates() {
    let mut checker = Checker::new(Box::new(Watched::default()));
    for index in 0..3000 {
        let program = generate(&GeneratorConfig::default(), 11, index);
        assert!(matches!(checker.check(&program), Verdict::Agreed), "program {index}");
    }
}
