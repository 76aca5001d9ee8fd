//! The canary: a subject that is wrong on purpose. If the harness finds nothing with it, the harness is broken.

use candidate::Candidate;
use contract::description::{AddrRun, SlotSpec};
use contract::hcall::H_GET_TCE;
use contract::{Dialect, HcallAnswer, Hypercall, Liobn, Machine, Pfn, ProbeAnswer, RealAddr, Tce, WindowSpec};
use machine::subject::Bound;
use machine::{Cpu, Subject};

/// The candidate with one mistake: its H_GET_TCE answers without the permission that lets the device write.
#[derive(Default)]
pub struct Canary {
    inner: Candidate,
}

impl Canary {
    /// Makes a canary, which has seen no program.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns `answer`, which the candidate gave to `call`; for H_GET_TCE without the write permission in r4.
    fn forget(call: &Hypercall, mut answer: HcallAnswer) -> HcallAnswer {
        if call.opcode == H_GET_TCE {
            answer.r4 = answer.r4.map(|tce| tce & !Tce::WRITE);
        }
        answer
    }
}

impl Subject for Canary {
    fn name(&self) -> &str {
        "canary"
    }

    fn start(&mut self, dialect: Dialect, machine: &Machine) {
        self.inner.start(dialect, machine);
    }

    fn bound(&self) -> Bound {
        self.inner.bound()
    }

    fn real_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        Self::forget(call, self.inner.real_mode(cpu, call))
    }

    fn virtual_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        Self::forget(call, self.inner.virtual_mode(cpu, call))
    }

    fn pfn_to_page(&self, cpu: &Cpu<'_>, pfn: Pfn) -> Option<RealAddr> {
        self.inner.pfn_to_page(cpu, pfn)
    }

    fn get_page_unless_zero(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        self.inner.get_page_unless_zero(cpu, pfn)
    }

    fn put_page_unless_one(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        self.inner.put_page_unless_one(cpu, pfn)
    }

    fn hot_add(&self, section: u64, blocks: &[AddrRun]) {
        self.inner.hot_add(section, blocks);
    }

    fn hot_remove(&self, section: u64) {
        self.inner.hot_remove(section);
    }

    fn set_slot(&mut self, slot: &SlotSpec) {
        self.inner.set_slot(slot);
    }

    fn create_window(&mut self, window: &WindowSpec) {
        self.inner.create_window(window);
    }

    fn close_window(&mut self, cpu: &Cpu<'_>, liobn: Liobn) {
        self.inner.close_window(cpu, liobn);
    }
}
