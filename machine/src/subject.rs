//! The trait [`Subject`], which an implementation under test implements. docs/implementations.md shows an
//! implementation from beginning to end.

use alloc::string::String;
use alloc::vec::Vec;

use crate::memory::{Cpu, RealMemory};
use contract::addr::{Liobn, Pfn, RealAddr};
use contract::description::{AddrRun, Machine, SlotSpec, WindowSpec};
use contract::dialect::Dialect;
use contract::hcall::Hypercall;
use contract::{HcallAnswer, ProbeAnswer};

/// The bound on the accesses of one real-mode call: at most `base + per_entry x count`. count is the number of entries
/// that the registers ask for: 1 for H_GET_TCE and H_PUT_TCE, at most 512 for H_PUT_TCE_INDIRECT. More accesses are a
/// finding, `RM.BOUNDED` (docs/semantics.md, section 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Accesses that do not depend on the count.
    pub base: u64,
    /// Accesses for each entry.
    pub per_entry: u64,
}

/// The part of the contract that a subject covers. Programs outside the coverage do not run on the subject, and steps
/// outside it are left out on both sides; both are counted. All other steps are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// Machines of flatmem.
    pub flatmem: bool,
    /// Machines of sparsemem-vmemmap.
    pub vmemmap: bool,
    /// Hypercalls on emulated windows.
    pub emulated: bool,
    /// Hypercalls on pinned windows.
    pub pinned: bool,
    /// Dialects, in the order of [`Dialect::ALL`].
    pub dialects: [bool; Dialect::ALL.len()],
    /// H_GET_TCE.
    pub get: bool,
    /// H_PUT_TCE.
    pub put: bool,
    /// H_PUT_TCE_INDIRECT.
    pub indirect: bool,
    /// H_STUFF_TCE.
    pub stuff: bool,
    /// The real-mode half. Without it every call goes to virtual mode, and what real mode owes (section 5) is not
    /// compared.
    pub real_mode: bool,
    /// The probe `pfn_to_page`.
    pub lookup: bool,
    /// The probe `get_page_unless_zero`.
    pub get_page: bool,
    /// The probe `put_page_unless_one`.
    pub put_page: bool,
    /// Closing of windows. Without it no program is searched for leaks at its end.
    pub close: bool,
    /// The bound of [`Subject::bound`]. Without it `RM.BOUNDED` is not compared.
    pub bounded: bool,
}

impl Coverage {
    /// The coverage of a subject that covers everything.
    pub const ALL: Self = Self {
        flatmem: true,
        vmemmap: true,
        emulated: true,
        pinned: true,
        dialects: [true; Dialect::ALL.len()],
        get: true,
        put: true,
        indirect: true,
        stuff: true,
        real_mode: true,
        lookup: true,
        get_page: true,
        put_page: true,
        close: true,
        bounded: true,
    };
}

/// An implementation under test.
///
/// A subject gets the description of the machine once, in [`start`](Self::start). From then on it accesses memory only
/// through the [`Cpu`] that each call passes: struct pages, TCE tables, guest pages and the page table lie there, and
/// the oracle compares them there. How the subject keeps its own data (indexes, copies of the slots) is up to it.
///
/// Methods with `&self`, hot-plug notices among them, may run on several vCPUs at a time; those with `&mut self` run
/// while no other does. The harness does not announce host steps that change only memory or the page table.
pub trait Subject: Sync {
    /// Returns the name for reports.
    fn name(&self) -> &str;

    /// Starts on a new machine, and forgets everything of an earlier one. Runs in virtual mode, before any step, when
    /// memory already holds what the description says.
    fn start(&mut self, dialect: Dialect, machine: &Machine);

    /// Returns the coverage, for the machine that the subject was started on.
    fn coverage(&self) -> Coverage {
        Coverage::ALL
    }

    /// Returns what the subject did, since the last call of this method, that its interface does not allow
    /// (`SUBJECT.PROTOCOL`), such as leaving an output unwritten. For implementations in languages whose compiler does
    /// not check that.
    fn violation(&self) -> Option<String> {
        None
    }

    /// Returns the lines that the subject has logged in this program so far, for the report of a finding.
    fn log(&self) -> Vec<String> {
        Vec::new()
    }

    /// Tells a subject that keeps a copy of memory that the host has set memory up (`booted`) or changed it. Then the
    /// [`changes`](RealMemory::changes) of the running step are the host's.
    fn see(&self, _memory: &RealMemory, _booted: bool) {}

    /// Returns the bound on accesses of a real-mode call.
    fn bound(&self) -> Bound;

    /// Runs the real-mode half of a hypercall. To leave the call to virtual mode, it changes nothing and returns
    /// [`Status::TOO_HARD`](contract::Status::TOO_HARD).
    fn real_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer;

    /// Runs the virtual-mode half of a hypercall that real mode deferred: the whole call from its registers. It never
    /// returns [`Status::TOO_HARD`](contract::Status::TOO_HARD).
    fn virtual_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer;

    /// Probe in real mode (docs/semantics.md, section 2): returns the real address of the page's struct page, if its
    /// bytes lie inside one backed block. The linear map's nibble may be set.
    fn pfn_to_page(&self, cpu: &Cpu<'_>, pfn: Pfn) -> Option<RealAddr>;

    /// Probe in real mode (section 3): takes a reference on the page unless it has none.
    fn get_page_unless_zero(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer;

    /// Probe in real mode (section 3): gives a reference on the page back unless it is the last.
    fn put_page_unless_one(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer;

    /// Notice: the host has added section number `section`. `blocks` has places for the blocks that only this section
    /// needs, lowest block first; places beyond the number of those blocks are unused. The struct pages are zeroed
    /// already.
    fn hot_add(&self, section: u64, blocks: &[AddrRun]);

    /// Notice: the host is about to remove section number `section`, with the blocks that no other present section
    /// needs.
    fn hot_remove(&self, section: u64);

    /// Notice: the host has set a memory slot, or deleted it if `pages` is 0.
    fn set_slot(&mut self, slot: &SlotSpec);

    /// Notice: the host has created a window. Its tables are all zero.
    fn create_window(&mut self, window: &WindowSpec);

    /// Closes the window of that LIOBN, in virtual mode. Every entry goes as by H_STUFF_TCE of 0. Afterwards the LIOBN
    /// is unknown, and the harness removes the tables.
    fn close_window(&mut self, cpu: &Cpu<'_>, liobn: Liobn);
}
