//! The null control: a second reference in the place of a subject. Any finding with it is a mistake of the harness.
//!
//! The harness shows every step to the second reference before the subject runs it. Only the null control may use that.
//! The subject then writes the result into real memory through a `Cpu`, as any subject does: it first raises counts,
//! then changes the page table and the entries of windows, then sets flags and the final counts.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::description::{AddrRun, MemoryModel, SlotSpec};
use contract::{
    Dialect, Ea, HcallAnswer, Hypercall, Liobn, Machine, Pfn, ProbeAnswer, Program, RealAddr, Status, Step, WindowSpec,
};
use machine::memory::struct_page;
use machine::subject::Bound;
use machine::{Cpu, Mode, Subject};
use reference::{Answer, Compound, Object, Outcome, Owes, Reference};

use crate::check::checker::{Instance, Witness};

/// Makes a null control, with its second reference as the witness.
pub(crate) fn instance() -> Instance {
    let shadow = Arc::new(Shadow::default());
    Instance { subject: Box::new(Null { shadow: Arc::clone(&shadow) }), witness: Some(shadow) }
}

/// The second reference, which is the witness and the source of the subject's answers. The state is `None` before the
/// first program.
#[derive(Default)]
struct Shadow {
    state: Mutex<Option<State>>,
}

/// The second reference with what it said about the running step.
struct State {
    /// The second reference, in its state after the running step.
    reference: Reference,
    /// The second reference's outcome of the running step; `None` before the first step.
    outcome: Option<Outcome>,
    /// The window that the running step closed; `None` if it closed none.
    closed: Option<WindowSpec>,
    /// Size of a struct page of the machine, in bytes.
    struct_page: u64,
    /// The memory model of the machine, which says where struct pages lie.
    memory: MemoryModel,
}

impl Shadow {
    /// Locks the state, also after a thread has panicked while it held the lock.
    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Shadow {
    fn reset(&self, program: &Program) {
        *self.state() = Some(State {
            reference: Reference::new(program.dialect, &program.machine),
            outcome: None,
            closed: None,
            struct_page: program.machine.struct_page,
            memory: program.machine.memory.clone(),
        });
    }

    fn step(&self, step: &Step) {
        if let Some(state) = &mut *self.state() {
            state.closed = match step {
                Step::CloseWindow { liobn } => state.reference.window(*liobn).map(|window| window.spec),
                _ => None,
            };
            state.outcome = Some(state.reference.step(step));
        }
    }
}

impl State {
    /// Returns the effective address of the word at byte `offset` of the page's struct page: a virtual address in
    /// virtual mode with sparsemem-vmemmap, else the real address. Returns `None` in real mode if no present vmemmap
    /// block holds that word.
    fn page_word(&self, mode: Mode, pfn: Pfn, offset: u64) -> Option<Ea> {
        let at = pfn.0 * self.struct_page + offset;
        match &self.memory {
            MemoryModel::Flatmem { array, .. } => Some(RealAddr(array.0 + at).ea()),
            MemoryModel::SparsememVmemmap { base, .. } if mode == Mode::Virtual => Some(Ea(base.wrapping_add(at))),
            MemoryModel::SparsememVmemmap { block_shift, .. } => {
                let block = self.reference.block(at >> block_shift)?;
                Some(RealAddr(block.0 + (at & ((1 << block_shift) - 1))).ea())
            }
        }
    }

    /// Sets the page's reference count in memory to `count`, unless it has that value or its struct page cannot be
    /// reached.
    fn set_count(&self, cpu: &Cpu<'_>, pfn: Pfn, count: i32) {
        if let Some(ea) = self.page_word(cpu.mode(), pfn, struct_page::COUNT) {
            let now = cpu.load_i32(ea, SeqCst);
            if now != count {
                let _ = cpu.compare_exchange_i32(ea, now, count, SeqCst, SeqCst);
            }
        }
    }

    /// Writes what the running step changed in the second reference into real memory: counts, page-table entries,
    /// window entries and page flags. Frees pages whose count becomes 0 in virtual mode.
    fn carry_out(&self, cpu: &Cpu<'_>) {
        let touched = self.reference.touched();
        let changes_entries = touched.iter().any(|object| matches!(object, Object::Entry { .. } | Object::Pte(_)));
        if changes_entries {
            for &object in touched {
                if let Object::Page(pfn) = object
                    && let Some(ea) = self.page_word(cpu.mode(), pfn, struct_page::COUNT)
                {
                    // Raises the count by more than the call can take. `REF.HELD` then allows every order in which
                    // entries change.
                    let high = self.reference.page(pfn).count.max(cpu.load_i32(ea, SeqCst));
                    self.set_count(cpu, pfn, high.saturating_add(touched.len() as i32));
                }
            }
        }
        for &object in touched {
            match object {
                Object::Pte(hva) => {
                    let (now, next) = (cpu.load_pte(hva), self.reference.pte(hva));
                    if now != next {
                        let _ = cpu.compare_exchange_pte(hva, now, next);
                    }
                }
                Object::Entry { liobn, index } => self.set_entry(cpu, liobn, index),
                Object::Page(_) | Object::Ram(_) => {}
            }
        }
        for &object in touched {
            if let Object::Page(pfn) = object
                && let Some(ea) = self.page_word(cpu.mode(), pfn, struct_page::FLAGS)
            {
                let page = self.reference.page(pfn);
                let kind = match page.compound {
                    Compound::No => 0,
                    Compound::Head { .. } => struct_page::HEAD,
                    Compound::Tail { .. } => struct_page::TAIL,
                };
                cpu.store(ea, kind | if page.dirty { struct_page::DIRTY } else { 0 }, SeqCst);
                self.set_count(cpu, pfn, page.count);
                if page.count == 0 && cpu.mode() == Mode::Virtual {
                    cpu.free_page(pfn);
                }
            }
        }
    }

    /// Writes one entry of a window into memory: first the hardware entry, if the window has a hardware table, then the
    /// guest value. Writes 0 for the window that the running step closed.
    fn set_entry(&self, cpu: &Cpu<'_>, liobn: Liobn, index: u64) {
        let window = self.reference.window(liobn);
        let Some(spec) = window.map(|window| window.spec).or(self.closed) else { return };
        let values = window.map_or([0; 2], |window| [window.hardware(index), window.guest(index)]);
        let mut tables: Vec<RealAddr> = spec.regions().map(|(start, _)| start).collect();
        tables.reverse();
        let values = if tables.len() == 2 { &values[..] } else { &values[1..] };
        for (table, value) in tables.iter().zip(values) {
            cpu.swap(RealAddr(table.0 + index * 8).ea(), value.swap_bytes(), SeqCst);
        }
    }
}

/// The subject, which gives the answers of the second reference. In real mode it finishes only calls that real mode
/// must finish, and defers all others.
struct Null {
    shadow: Arc<Shadow>,
}

impl Null {
    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.shadow.state()
    }

    /// Finishes a hypercall: writes its changes into memory and returns the second reference's answer. Returns
    /// H_FUNCTION if the second reference has no answer to a hypercall.
    fn finish(&self, cpu: &Cpu<'_>) -> HcallAnswer {
        match &*self.state() {
            Some(state) => match state.outcome.map(|outcome| outcome.answer) {
                Some(Answer::Hypercall { status, r4 }) => {
                    state.carry_out(cpu);
                    HcallAnswer { status, r4 }
                }
                _ => HcallAnswer::status(Status::FUNCTION),
            },
            None => HcallAnswer::status(Status::FUNCTION),
        }
    }

    /// Answers `get_page_unless_zero` or `put_page_unless_one` as the second reference did. If the answer is true,
    /// writes the page's new count into memory. Answers `NoPage` if the second reference has no answer to a probe.
    fn probe(&self, cpu: &Cpu<'_>) -> ProbeAnswer {
        match &*self.state() {
            Some(state) => match state.outcome.map(|outcome| outcome.answer) {
                Some(Answer::Probe(answer)) => {
                    if answer == ProbeAnswer::Done(true) {
                        for &object in state.reference.touched() {
                            if let Object::Page(pfn) = object {
                                state.set_count(cpu, pfn, state.reference.page(pfn).count);
                            }
                        }
                    }
                    answer
                }
                _ => ProbeAnswer::NoPage,
            },
            None => ProbeAnswer::NoPage,
        }
    }
}

impl Subject for Null {
    fn name(&self) -> &str {
        "null"
    }

    fn start(&mut self, _: Dialect, _: &Machine) {}

    fn bound(&self) -> Bound {
        // An entry touches at most itself, an old page, a new page and a page-table entry. That is 2 accesses of
        // tables, 2 x (2 x 2 + 1 + 2 + 2) of struct pages, and 2 of the page table.
        Bound { base: 64, per_entry: 32 }
    }

    fn real_mode(&self, cpu: &Cpu<'_>, _: &Hypercall) -> HcallAnswer {
        let owes = self.state().as_ref().and_then(|state| state.outcome).map(|outcome| outcome.owes);
        match owes {
            Some(Owes::Finish) => self.finish(cpu),
            _ => HcallAnswer::status(Status::TOO_HARD),
        }
    }

    fn virtual_mode(&self, cpu: &Cpu<'_>, _: &Hypercall) -> HcallAnswer {
        self.finish(cpu)
    }

    fn pfn_to_page(&self, _: &Cpu<'_>, _: Pfn) -> Option<RealAddr> {
        match self.state().as_ref()?.outcome?.answer {
            Answer::Lookup(real) => real,
            _ => None,
        }
    }

    fn get_page_unless_zero(&self, cpu: &Cpu<'_>, _: Pfn) -> ProbeAnswer {
        self.probe(cpu)
    }

    fn put_page_unless_one(&self, cpu: &Cpu<'_>, _: Pfn) -> ProbeAnswer {
        self.probe(cpu)
    }

    fn hot_add(&self, _: u64, _: &[AddrRun]) {}

    fn hot_remove(&self, _: u64) {}

    fn set_slot(&mut self, _: &SlotSpec) {}

    fn create_window(&mut self, _: &WindowSpec) {}

    fn close_window(&mut self, cpu: &Cpu<'_>, _: Liobn) {
        if let Some(state) = &*self.state() {
            state.carry_out(cpu);
        }
    }
}
