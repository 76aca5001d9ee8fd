//! The subject that calls an implementation in a shared library.

use core::ffi::c_int;
use core::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use contract::description::{AddrRun, Machine, SlotSpec, WindowSpec};
use contract::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE};
use contract::{Dialect, HcallAnswer, Hypercall, Liobn, Pfn, ProbeAnswer, RealAddr, Status};
use machine::subject::Bound;
use machine::{Coverage, Cpu, RealMemory, Subject};

use crate::described::{Described, dialect_number, run, slot, window};
use crate::header::{
    RM_EMULATED, RM_FLATMEM, RM_GET_TCE, RM_MAP_MEMORY, RM_PINNED, RM_PROBE_COMPOUND, RM_PROBE_NO, RM_PROBE_NO_PAGE,
    RM_PROBE_YES, RM_PUT_TCE, RM_PUT_TCE_INDIRECT, RM_STUFF_TCE, RM_VMEMMAP, rm_coverage, rm_cpu, rm_handlers, rm_run,
};
use crate::library::{Instance, Library, Unusable};
use crate::services::Handle;
use crate::slots::Slots;
use crate::told::Told;
use crate::view::View;

/// Value of every byte of `struct rm_coverage` before `start` fills it in. A field that `start` does not write is then
/// out of range, which is a violation.
const POISON: u8 = 0xa5;

/// The [`Subject`] that calls an implementation in a shared library. Each `Foreign` has a copy of the library to
/// itself.
pub struct Foreign {
    instance: Instance,
    name: String,
    machine: Described,
    started: bool,
    slots: Slots,
    coverage: Coverage,
    told: Told,
    view: Option<View>,
    /// Number of poison values used so far. Each value is another one, so that no implementation writes the current one
    /// into an output by chance for long.
    poison: AtomicU64,
}

// SAFETY: the pointers inside lead to arrays of its own, and to the library's table, which nobody writes.
unsafe impl Send for Foreign {}
// SAFETY: `&self` gives access to the functions of the library, which keep state in variables of this copy. Only one
// thread of the harness at a time is in a subject, as the header promises. Everything else that `&self` changes is
// locked or atomic.
unsafe impl Sync for Foreign {}

impl Foreign {
    /// Loads a copy of the library. Reports name the subject as the library does.
    ///
    /// # Errors
    /// The library cannot be loaded, or the library asks for a linear map and there is no address space for it.
    pub fn new(library: &Library) -> Result<Self, Unusable> {
        let instance = library.instance()?;
        let view = match instance.table.flags & RM_MAP_MEMORY {
            0 => None,
            _ => Some(View::new().map_err(|error| {
                Unusable::of(
                    library,
                    &format!("no linear map (a process has room for one: --jobs 1, or --isolate): {error}"),
                )
            })?),
        };
        Ok(Self {
            instance,
            name: library.name().into(),
            machine: Described::new(),
            started: false,
            slots: Slots::default(),
            coverage: Coverage::ALL,
            told: Told::default(),
            view,
            poison: AtomicU64::new(0),
        })
    }

    /// Runs `call`, a call of a library function, with the `struct rm_cpu` pointer to a handle for `cpu`. Then carries
    /// the stores that the function made through plain pointers into the image. Returns the answer of `call`.
    fn with<T>(&self, cpu: &Cpu<'_>, call: impl FnOnce(*mut rm_cpu) -> T) -> T {
        let handle = Handle { cpu, slots: &self.slots, told: &self.told, view: self.view.as_ref() };
        let answer = call(handle.pointer());
        if let Some(view) = &self.view {
            view.settle(cpu);
        }
        answer
    }

    /// Returns a poison value, another one at each call, which the caller puts into an output before it calls the
    /// library. An output that still has the value afterwards was not written.
    fn poison(&self) -> u64 {
        let number = self.poison.fetch_add(1, Relaxed);
        (number ^ 0xa5a5_a5a5_a5a5_a5a5).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Runs the handler of the hypercall `call`; `None` if that handler is NULL. For an unknown opcode returns
    /// H_FUNCTION without a call of the library.
    fn hypercall(&self, cpu: &Cpu<'_>, handlers: &rm_handlers, call: &Hypercall) -> Option<HcallAnswer> {
        let [liobn, ioba, third, count] = call.args;
        // SAFETY, of all four: the header gives their types, and the pointers are valid until they return.
        let status = match call.opcode {
            H_GET_TCE => return self.get(cpu, handlers, call),
            H_PUT_TCE => {
                let handler = handlers.put_tce?;
                self.with(cpu, |cpu| unsafe { handler(cpu, liobn, ioba, third) })
            }
            H_PUT_TCE_INDIRECT => {
                let handler = handlers.put_tce_indirect?;
                // SAFETY: as above.
                self.with(cpu, |cpu| unsafe { handler(cpu, liobn, ioba, third, count) })
            }
            H_STUFF_TCE => {
                let handler = handlers.stuff_tce?;
                // SAFETY: as above.
                self.with(cpu, |cpu| unsafe { handler(cpu, liobn, ioba, third, count) })
            }
            // Other opcodes have no handler. The hypervisor answers them.
            _ => Status::FUNCTION.0,
        };
        Some(HcallAnswer::status(Status(status)))
    }

    /// Runs the handler of H_GET_TCE; `None` if that handler is NULL. r4 is `None` if the handler leaves `*tce`
    /// unwritten; with H_SUCCESS that is a violation.
    fn get(&self, cpu: &Cpu<'_>, handlers: &rm_handlers, call: &Hypercall) -> Option<HcallAnswer> {
        let handler = handlers.get_tce?;
        let poison = self.poison();
        let mut tce = poison;
        // SAFETY: as above.
        let status = Status(self.with(cpu, |cpu| unsafe { handler(cpu, call.args[0], call.args[1], &raw mut tce) }));
        if status == Status::SUCCESS && tce == poison {
            self.told.violation("get_tce answered RM_H_SUCCESS and left *tce as it was".into());
        }
        Some(HcallAnswer { status, r4: (tce != poison).then_some(tce) })
    }

    /// Converts `answer`, which should be one of `RM_PROBE_*`. For any other number records a violation that names the
    /// probe, `name`, and returns [`ProbeAnswer::NoPage`].
    fn probe(&self, name: &str, answer: c_int) -> ProbeAnswer {
        match answer {
            RM_PROBE_YES => ProbeAnswer::Done(true),
            RM_PROBE_NO => ProbeAnswer::Done(false),
            RM_PROBE_NO_PAGE => ProbeAnswer::NoPage,
            RM_PROBE_COMPOUND => ProbeAnswer::Compound,
            other => {
                self.told.violation(format!("{name} answered {other}, expected one of RM_PROBE_*"));
                ProbeAnswer::NoPage
            }
        }
    }

    /// Checks what `start` returned (`status`) and filled in (`coverage`). Takes the coverage over, or records a
    /// violation and keeps the previous coverage.
    fn started(&mut self, status: c_int, coverage: &rm_coverage) {
        if status != 0 {
            return self.told.violation(format!("start answered {status}, expected 0"));
        }
        let table = self.instance.table;
        let fields = [
            ("memory_models", coverage.memory_models, 1 << RM_FLATMEM | 1 << RM_VMEMMAP),
            ("backings", coverage.backings, 1 << RM_EMULATED | 1 << RM_PINNED),
            ("dialects", coverage.dialects, (1 << Dialect::ALL.len()) - 1),
            ("calls", coverage.calls, RM_GET_TCE | RM_PUT_TCE | RM_PUT_TCE_INDIRECT | RM_STUFF_TCE),
            ("real_mode", coverage.real_mode, 1),
        ];
        for (field, value, allowed) in fields {
            if value & !allowed != 0 {
                let unset = if value == u32::from_ne_bytes([POISON; 4]) { ", as it was before" } else { "" };
                let what = format!("start left coverage.{field} = {value:#x}{unset}, expected bits of {allowed:#x}");
                return self.told.violation(what);
            }
        }
        let virt = &table.virt;
        let handlers = [
            (RM_GET_TCE, "get_tce", virt.get_tce.is_some()),
            (RM_PUT_TCE, "put_tce", virt.put_tce.is_some()),
            (RM_PUT_TCE_INDIRECT, "put_tce_indirect", virt.put_tce_indirect.is_some()),
            (RM_STUFF_TCE, "stuff_tce", virt.stuff_tce.is_some()),
        ];
        for (bit, name, there) in handlers {
            if coverage.calls & bit != 0 && !there {
                return self.told.violation(format!("start covers {name}, but virt.{name} is NULL"));
            }
        }
        let dialects = Dialect::ALL.map(|dialect| coverage.dialects >> dialect_number(dialect) & 1 != 0);
        self.coverage = Coverage {
            flatmem: coverage.memory_models >> RM_FLATMEM & 1 != 0,
            vmemmap: coverage.memory_models >> RM_VMEMMAP & 1 != 0,
            emulated: coverage.backings >> RM_EMULATED & 1 != 0,
            pinned: coverage.backings >> RM_PINNED & 1 != 0,
            dialects,
            get: coverage.calls & RM_GET_TCE != 0,
            put: coverage.calls & RM_PUT_TCE != 0,
            indirect: coverage.calls & RM_PUT_TCE_INDIRECT != 0,
            stuff: coverage.calls & RM_STUFF_TCE != 0,
            real_mode: coverage.real_mode != 0,
            lookup: table.pfn_to_page.is_some(),
            get_page: table.get_page_unless_zero.is_some(),
            put_page: table.put_page_unless_one.is_some(),
            close: table.close_window.is_some(),
            bounded: table.bound.is_some() && self.view.is_none(),
        };
    }

    /// Calls the library's `stop` if the implementation was started and `stop` is not NULL.
    fn stop(&mut self) {
        if std::mem::take(&mut self.started)
            && let Some(stop) = self.instance.table.stop
        {
            // SAFETY: the function takes no argument.
            unsafe { stop() };
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Subject for Foreign {
    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self, dialect: Dialect, machine: &Machine) {
        self.stop();
        self.told.clear();
        self.slots.reset(machine);
        let linear = self.view.as_ref().map_or(ptr::null_mut(), View::linear);
        self.machine.describe(dialect, machine, linear);
        let Some(start) = self.instance.table.start else { return };
        let mut coverage = poisoned();
        // SAFETY: the description is valid until the next one, and the implementation is stopped before that.
        let status = unsafe { start(self.machine.pointer(), &raw mut coverage) };
        self.started = true;
        self.started(status, &coverage);
    }

    fn coverage(&self) -> Coverage {
        self.coverage
    }

    fn violation(&self) -> Option<String> {
        self.told.take_violation()
    }

    fn log(&self) -> Vec<String> {
        self.told.lines()
    }

    fn see(&self, memory: &RealMemory, booted: bool) {
        if let Some(view) = &self.view
            && let Err(error) = view.see(memory, booted)
        {
            self.told.violation(format!("its memory cannot be mapped: {error}"));
        }
    }

    fn bound(&self) -> Bound {
        // SAFETY: the function takes no argument and returns two numbers.
        let bound = self.instance.table.bound.map(|bound| unsafe { bound() }).unwrap_or_default();
        Bound { base: bound.base, per_entry: bound.per_entry }
    }

    fn real_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        let answer = self.hypercall(cpu, &self.instance.table.real, call);
        answer.unwrap_or(HcallAnswer::status(Status::TOO_HARD))
    }

    fn virtual_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer {
        let answer = self.hypercall(cpu, &self.instance.table.virt, call);
        answer.unwrap_or(HcallAnswer::status(Status::FUNCTION))
    }

    fn pfn_to_page(&self, cpu: &Cpu<'_>, pfn: Pfn) -> Option<RealAddr> {
        let lookup = self.instance.table.pfn_to_page?;
        let poison = self.poison();
        let mut real = poison;
        // SAFETY: the header gives its type, and the pointers are valid until it returns.
        match self.with(cpu, |cpu| unsafe { lookup(cpu, pfn.0, &raw mut real) }) {
            0 => None,
            1 if real != poison => Some(RealAddr(real)),
            answer => {
                let what = if answer == 1 { ", and left *real as it was" } else { ", expected 0 or 1" };
                self.told.violation(format!("pfn_to_page answered {answer}{what}"));
                None
            }
        }
    }

    fn get_page_unless_zero(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        let Some(get) = self.instance.table.get_page_unless_zero else { return ProbeAnswer::NoPage };
        // SAFETY: as above.
        self.probe("get_page_unless_zero", self.with(cpu, |cpu| unsafe { get(cpu, pfn.0) }))
    }

    fn put_page_unless_one(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
        let Some(put) = self.instance.table.put_page_unless_one else { return ProbeAnswer::NoPage };
        // SAFETY: as above.
        self.probe("put_page_unless_one", self.with(cpu, |cpu| unsafe { put(cpu, pfn.0) }))
    }

    fn hot_add(&self, section: u64, blocks: &[AddrRun]) {
        if let Some(notice) = self.instance.table.hot_add {
            let runs: Vec<rm_run> = blocks.iter().map(run).collect();
            // SAFETY: the runs live until the function returns.
            unsafe { notice(section, runs.as_ptr(), runs.len()) };
        }
    }

    fn hot_remove(&self, section: u64) {
        if let Some(notice) = self.instance.table.hot_remove {
            // SAFETY: the function takes a number.
            unsafe { notice(section) };
        }
    }

    fn set_slot(&mut self, spec: &SlotSpec) {
        self.slots.set(spec);
        if let Some(notice) = self.instance.table.set_slot {
            let told = slot(spec);
            // SAFETY: the slot lives until the function returns.
            unsafe { notice(&raw const told) };
        }
    }

    fn create_window(&mut self, spec: &WindowSpec) {
        if let Some(notice) = self.instance.table.create_window {
            let window = window(spec);
            // SAFETY: the window lives until the function returns.
            unsafe { notice(&raw const window) };
        }
    }

    fn close_window(&mut self, cpu: &Cpu<'_>, liobn: Liobn) {
        if let Some(close) = self.instance.table.close_window {
            // SAFETY: the pointer is valid until the function returns.
            self.with(cpu, |cpu| unsafe { close(cpu, liobn.0) });
        }
    }
}

/// Returns a `struct rm_coverage` in which every byte has the value [`POISON`].
const fn poisoned() -> rm_coverage {
    let word = u32::from_ne_bytes([POISON; 4]);
    rm_coverage { memory_models: word, backings: word, dialects: word, calls: word, real_mode: word }
}
