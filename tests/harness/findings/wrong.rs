//! Subjects with a mistake: the candidate with one or more methods replaced. Addresses are those of the machines in
//! `machines.rs`.

use std::sync::atomic::AtomicU64;

use candidate::Candidate;
use contract::description::{AddrRun, Machine, SlotSpec};
use contract::{Dialect, HcallAnswer, Hypercall, Liobn, Pfn, ProbeAnswer, RealAddr, WindowSpec};
use machine::subject::Bound;
use machine::{Coverage, Cpu, Subject};
use realmode_diff::Checker;

/// The function that runs in place of each method; [`HONEST`] runs the candidate's own.
#[derive(Clone, Copy)]
pub struct Hooks {
    pub start: fn(&mut Candidate, Dialect, &Machine),
    pub bound: fn(&Candidate) -> Bound,
    pub real: fn(&Candidate, &Cpu<'_>, &Hypercall) -> HcallAnswer,
    pub virt: fn(&Candidate, &Cpu<'_>, &Hypercall) -> HcallAnswer,
    pub lookup: fn(&Candidate, &Cpu<'_>, Pfn) -> Option<RealAddr>,
    pub get: fn(&Candidate, &Cpu<'_>, Pfn) -> ProbeAnswer,
    pub put: fn(&Candidate, &Cpu<'_>, Pfn) -> ProbeAnswer,
    pub hot_add: fn(&Candidate, u64, &[AddrRun]),
    pub hot_remove: fn(&Candidate, u64),
    pub set_slot: fn(&mut Candidate, &SlotSpec),
    pub create_window: fn(&mut Candidate, &WindowSpec),
    pub close_window: fn(&mut Candidate, &Cpu<'_>, Liobn),
    /// Changes the answer of the real-mode half. The number is the subject's own and survives `start`.
    pub carry: fn(&AtomicU64, &Hypercall, HcallAnswer) -> HcallAnswer,
    /// Changes that number at `start`. The candidate itself keeps no state from one program to the next.
    pub begin: fn(&AtomicU64),
    pub coverage: fn(&Candidate) -> Coverage,
}

/// Hooks without a mistake: every method is the candidate's own.
pub const HONEST: Hooks = Hooks {
    start: |subject, dialect, machine| subject.start(dialect, machine),
    bound: |subject| subject.bound(),
    real: |subject, cpu, call| subject.real_mode(cpu, call),
    virt: |subject, cpu, call| subject.virtual_mode(cpu, call),
    lookup: |subject, cpu, pfn| subject.pfn_to_page(cpu, pfn),
    get: |subject, cpu, pfn| subject.get_page_unless_zero(cpu, pfn),
    put: |subject, cpu, pfn| subject.put_page_unless_one(cpu, pfn),
    hot_add: |subject, section, blocks| subject.hot_add(section, blocks),
    hot_remove: |subject, section| subject.hot_remove(section),
    set_slot: |subject, slot| subject.set_slot(slot),
    create_window: |subject, window| subject.create_window(window),
    close_window: |subject, cpu, liobn| subject.close_window(cpu, liobn),
    carry: |_, _, answer| answer,
    begin: |_| {},
    coverage: |subject| subject.coverage(),
};

/// The candidate with hooks.
pub struct Wrong {
    inner: Candidate,
    hooks: Hooks,
    carried: AtomicU64,
}

impl Wrong {
    pub fn new(hooks: Hooks) -> Self {
        Self { inner: Candidate::new(), hooks, carried: AtomicU64::new(0) }
    }
}

/// Makes a checker of the candidate with these hooks.
pub fn checker(hooks: Hooks) -> Checker {
    Checker::new(Box::new(Wrong::new(hooks)))
}

impl Subject for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }

    fn start(&mut self, dialect: Dialect, machine: &Machine) {
        (self.hooks.begin)(&self.carried);
        (self.hooks.start)(&mut self.inner, dialect, machine);
    }

    fn coverage(&self) -> Coverage {
        (self.hooks.coverage)(&self.inner)
    }

    fn bound(&self) -> Bound {
        (self.hooks.bound)(&self.inner)
    }

    fn real_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        (self.hooks.carry)(&self.carried, call, (self.hooks.real)(&self.inner, cpu, call))
    }

    fn virtual_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        (self.hooks.virt)(&self.inner, cpu, call)
    }

    fn pfn_to_page(&self, cpu: &Cpu<'_>, pfn: Pfn) -> Option<RealAddr> {
        (self.hooks.lookup)(&self.inner, cpu, pfn)
    }

    fn get_page_unless_zero(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        (self.hooks.get)(&self.inner, cpu, pfn)
    }

    fn put_page_unless_one(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        (self.hooks.put)(&self.inner, cpu, pfn)
    }

    fn hot_add(&self, section: u64, blocks: &[AddrRun]) {
        (self.hooks.hot_add)(&self.inner, section, blocks);
    }

    fn hot_remove(&self, section: u64) {
        (self.hooks.hot_remove)(&self.inner, section);
    }

    fn set_slot(&mut self, slot: &SlotSpec) {
        (self.hooks.set_slot)(&mut self.inner, slot);
    }

    fn create_window(&mut self, window: &WindowSpec) {
        (self.hooks.create_window)(&mut self.inner, window);
    }

    fn close_window(&mut self, cpu: &Cpu<'_>, liobn: Liobn) {
        (self.hooks.close_window)(&mut self.inner, cpu, liobn);
    }
}
