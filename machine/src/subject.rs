//! What an implementation under test must offer.

use alloc::string::String;
use alloc::vec::Vec;

use crate::memory::{Cpu, RealMemory};
use contract::addr::{Liobn, Pfn, RealAddr};
use contract::description::{AddrRun, Machine, SlotSpec, WindowSpec};
use contract::dialect::Dialect;
use contract::hcall::Hypercall;
use contract::{HcallAnswer, ProbeAnswer};

/// How many accesses a real-mode call may make: `base + per_entry x count`, where count is the number of entries that the
/// registers ask for (at most 512 for INDIRECT; 1 for GET and PUT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Accesses whatever the count.
    pub base: u64,
    /// Accesses an entry.
    pub per_entry: u64,
}

/// What a subject covers of a machine (all of it, unless it says otherwise). What it does not cover it is not asked, and that is
/// counted; what it covers is held against the reference as ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// Machines of flatmem.
    pub flatmem: bool,
    /// Machines of sparsemem-vmemmap.
    pub vmemmap: bool,
    /// Emulated windows: hypercalls on them.
    pub emulated: bool,
    /// Pinned windows: hypercalls on them.
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
    /// Whether there is a real-mode half; without, every call goes to virtual mode and what real mode owes is not asked.
    pub real_mode: bool,
    /// The probe pfn_to_page.
    pub lookup: bool,
    /// The probe get_page_unless_zero.
    pub get_page: bool,
    /// The probe put_page_unless_one.
    pub put_page: bool,
    /// Closing of windows; without, leaks are not looked for at the end.
    pub close: bool,
    /// Whether [`Subject::bound`] means something.
    pub bounded: bool,
}

impl Coverage {
    /// Everything.
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
/// It sees the machine once, at [`start`](Self::start), and from then on touches memory only through the [`Cpu`] it is handed:
/// struct pages, TCE tables, guest pages and the page table lie there, and that is where the oracle looks for
/// results. Its own bookkeeping (indexes, copies of the slots) is its own business.
///
/// Methods with `&self` may run on several vCPUs at a time, hot-plug notices among them; those with `&mut self` run while no
/// other does. Host steps that change only memory or the page table are not announced.
pub trait Subject: Sync {
    /// The name in reports.
    fn name(&self) -> &'static str;

    /// A new machine. Everything remembered of an earlier one is to be forgotten. Runs in virtual mode, before any step; the
    /// image already holds what the description says.
    fn start(&mut self, dialect: Dialect, machine: &Machine);

    /// What it covers of the machine that it was started on.
    fn coverage(&self) -> Coverage {
        Coverage::ALL
    }

    /// What it did since this was last asked that its interface does not allow, such as an answer that was never given
    /// (`SUBJECT.PROTOCOL`): for implementations in other languages, where the compiler does not see to it.
    fn violation(&self) -> Option<String> {
        None
    }

    /// What it had to say of the program so far, for the report of a finding.
    fn log(&self) -> Vec<String> {
        Vec::new()
    }

    /// For implementations that keep a picture of memory: it was set up (`booted`), or the host changed it. The changes since the
    /// step began are the host's.
    fn see(&self, memory: &RealMemory, booted: bool) {
        let _ = (memory, booted);
    }

    /// The bound on accesses of a real-mode call (`RM.BOUNDED`).
    fn bound(&self) -> Bound;

    /// The real-mode half: answers [`Status::TOO_HARD`](contract::Status::TOO_HARD), with nothing changed, for what
    /// virtual mode must do.
    fn real_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer;

    /// The virtual-mode half: runs the whole call from its registers; never answers
    /// [`Status::TOO_HARD`](contract::Status::TOO_HARD).
    fn virtual_mode(&self, cpu: &Cpu<'_>, call: &Hypercall) -> HcallAnswer;

    /// Probe in real mode: the real address of the page's struct page; the linear map's nibble may be set.
    fn pfn_to_page(&self, cpu: &Cpu<'_>, pfn: Pfn) -> Option<RealAddr>;

    /// Probe in real mode.
    fn get_page_unless_zero(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer;

    /// Probe in real mode.
    fn put_page_unless_one(&self, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer;

    /// Notice: a section was added, and the blocks that it is the first to need lie at `blocks`, lowest block first (places
    /// beyond the number of new blocks are unused). Struct pages are zeroed already.
    fn hot_add(&self, section: u64, blocks: &[AddrRun]);

    /// Notice: a section is about to go, with the blocks that no other present section needs.
    fn hot_remove(&self, section: u64);

    /// Notice: a slot was set, or deleted where `pages` is 0.
    fn set_slot(&mut self, slot: &SlotSpec);

    /// Notice: a window was created; its tables are all zero.
    fn create_window(&mut self, window: &WindowSpec);

    /// Virtual mode: close the window. Every entry goes as by H_STUFF_TCE of 0; afterwards its LIOBN is unknown.
    fn close_window(&mut self, cpu: &Cpu<'_>, liobn: Liobn);
}
