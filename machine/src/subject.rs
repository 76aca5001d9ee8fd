//! The trait [`Subject`], which an implementation under test implements. docs/implementations.md says what an
//! implementation does, and how programs are run on it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::memory::{Cpu, RealMemory};
use contract::addr::{Liobn, Pfn, RealAddr};
use contract::description::{AddrRun, Machine, SlotSpec, WindowSpec};
use contract::dialect::Dialect;
use contract::hcall::Hypercall;
use contract::{HcallAnswer, ProbeAnswer};

/// The bound on the accesses of one real-mode call: at most `base + per_entry x count`. The count is r7, or 512 if that
/// is less, for H_PUT_TCE_INDIRECT; r7, or 65,536 if that is less, for H_STUFF_TCE; and 1 for every other call. More
/// accesses are a finding, `RM.BOUNDED` (docs/semantics.md, section 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Number of accesses that do not depend on the count.
    pub base: u64,
    /// Number of accesses for each entry of the count.
    pub per_entry: u64,
}

/// The part of the contract that a subject covers: true for each thing that the harness may ask it. Programs on other
/// machines or dialects do not run on the subject, and hypercalls, probes and `close-window` steps that it does not
/// cover are not sent to it; both are counted. All other steps are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// Machines with the memory model flatmem.
    pub flatmem: bool,
    /// Machines with the memory model sparsemem-vmemmap.
    pub vmemmap: bool,
    /// Hypercalls on emulated windows.
    pub emulated: bool,
    /// Hypercalls on pinned windows.
    pub pinned: bool,
    /// Programs of each dialect, in the order of [`Dialect::ALL`].
    pub dialects: [bool; Dialect::ALL.len()],
    /// The hypercall H_GET_TCE.
    pub get: bool,
    /// The hypercall H_PUT_TCE.
    pub put: bool,
    /// The hypercall H_PUT_TCE_INDIRECT.
    pub indirect: bool,
    /// The hypercall H_STUFF_TCE.
    pub stuff: bool,
    /// The real-mode half of hypercalls. Without it every call goes to virtual mode, and what real mode owes
    /// (docs/semantics.md, section 5) is not compared.
    pub real_mode: bool,
    /// The probe `pfn_to_page`.
    pub lookup: bool,
    /// The probe `get_page_unless_zero`.
    pub get_page: bool,
    /// The probe `put_page_unless_one`.
    pub put_page: bool,
    /// The closing of windows. Without it the harness does not search for leaks at the end of a program.
    pub close: bool,
    /// The promise of [`Subject::bound`]. Without it `RM.BOUNDED` is not checked.
    pub bounded: bool,
}

impl Coverage {
    /// The coverage of a subject that covers the whole contract.
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

/// An implementation under test, as the harness calls it.
///
/// A subject gets the description of the machine once, in [`start`](Self::start). From then on it accesses memory only
/// through the [`Cpu`] that each call passes: struct pages, TCE tables, guest pages and the page table lie there, and
/// the oracle compares them there. How the subject keeps its own data (indexes, copies of the slots) is up to it.
///
/// Methods with `&self`, also the hot-plug notices, may run on several vCPUs at a time; a method with `&mut self` runs
/// alone. Host steps that change only memory or the page table have no notice; only [`see`](Self::see) follows them.
pub trait Subject: Sync {
    /// Returns the name of the subject in reports.
    fn name(&self) -> &str;

    /// Starts the subject on a new machine, and makes it forget the machine before. The harness calls this before any
    /// step, when memory already holds what the description says.
    fn start(&mut self, dialect: Dialect, machine: &Machine);

    /// Returns the coverage of the subject on the machine of the last [`start`](Self::start).
    fn coverage(&self) -> Coverage {
        Coverage::ALL
    }

    /// Returns what the subject did, since the last call of this method, against the rules of its interface
    /// (`SUBJECT.PROTOCOL`), such as leaving an output unwritten; `None` if nothing. It is for implementations in
    /// languages whose compiler does not check these rules.
    fn violation(&self) -> Option<String> {
        None
    }

    /// Returns the lines that the subject has logged since the program began, or the last of them, for the report of a
    /// finding.
    fn log(&self) -> Vec<String> {
        Vec::new()
    }

    /// Tells a subject that keeps a copy of memory that the host has set memory up (`booted`; the harness then calls
    /// [`start`](Self::start)), or that the host has done the running step. After a step, the
    /// [`changes`](RealMemory::changes) of `memory` are the host's; after the boot there are none.
    fn see(&self, _memory: &RealMemory, _booted: bool) {}

    /// Returns the bound on the accesses of a real-mode call, which the subject promises to keep.
    fn bound(&self) -> Bound;

    /// Runs the real-mode half of a hypercall. To leave the call to virtual mode, the subject changes nothing and
    /// returns [`Status::TOO_HARD`](contract::Status::TOO_HARD).
    fn real_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer;

    /// Runs the virtual-mode half of a hypercall that real mode deferred, or of every hypercall if the subject covers
    /// no real mode: the whole call, from its registers. The answer is never
    /// [`Status::TOO_HARD`](contract::Status::TOO_HARD).
    fn virtual_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer;

    /// Probe in real mode (docs/semantics.md, section 2): returns the real address of the page's struct page, with or
    /// without the nibble of the linear map; `None` if the struct page does not lie inside one backed block (for
    /// flatmem, inside the array).
    fn pfn_to_page(&self, cpu: &Cpu<'_>, pfn: Pfn) -> Option<RealAddr>;

    /// Probe in real mode (docs/semantics.md, section 3): takes a reference on the page, unless the count is 0, the
    /// page is compound, or the lookup gives no address. The answer says which.
    fn get_page_unless_zero(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer;

    /// Probe in real mode (docs/semantics.md, section 3): gives a reference on the page back, unless the count is 1,
    /// the page is compound, or the lookup gives no address. The answer says which.
    fn put_page_unless_one(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer;

    /// Notice: the host has added section number `section`. `blocks` has the real addresses of the vmemmap blocks that
    /// only this section needs, lowest block number first; addresses beyond the number of these blocks are unused. The
    /// struct pages are already zero.
    fn hot_add(&self, section: u64, blocks: &[AddrRun]);

    /// Notice: the host is about to remove section number `section`, and the vmemmap blocks that no other present
    /// section needs.
    fn hot_remove(&self, section: u64);

    /// Notice: the host has set a memory slot, or deleted it if `pages` is 0.
    fn set_slot(&mut self, slot: &SlotSpec);

    /// Notice: the host has created the window. All entries of its tables are 0.
    fn create_window(&mut self, window: &WindowSpec);

    /// Closes the window with this LIOBN, in virtual mode. The subject removes every entry as H_STUFF_TCE of 0 does,
    /// then forgets the window. Afterwards the harness removes the tables.
    fn close_window(&mut self, cpu: &Cpu<'_>, liobn: Liobn);
}
