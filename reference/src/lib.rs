//! The reference model: what docs/semantics.md says, as plain maps and full scans, one step at a time, without modes.
//!
//! | file | what it states | section |
//! |---|---|---|
//! | `state` | what a machine is to the model, and how a description becomes one | 1 |
//! | `regions` | what lies where in real memory, which pages and blocks are there | 1 |
//! | `guest` | memory slots, the host page table, faults, contents of memory | 1 |
//! | `lookup` | pfn to page | 2 |
//! | `references` | counts, own references, probes | 3 |
//! | `hypercall` | the four calls and the order of their checks | 4 |
//! | `tce` | one TCE's checks, pinning, and how an entry is written | 4 |
//! | `real_mode` | what real mode owes | 5 |
//! | `host` | host steps on pages and page-table entries | 6 |
//! | `plug` | host steps on sections, slots, memory and windows | 6 |
//!
//! ```
//! use contract::{Dialect, Hypercall, Machine, MemoryModel, PageShift, RealAddr, Rule, Status, Step};
//! use reference::{Answer, Reference};
//!
//! let machine = Machine {
//!     page_shift: PageShift::Shift12,
//!     struct_page: 64,
//!     memory: MemoryModel::Flatmem { array: RealAddr(0x10_0000), pages: 16 },
//!     pages: vec![], compounds: vec![], slots: vec![], mappings: vec![], ram: vec![], windows: vec![],
//! };
//! let mut model = Reference::new(Dialect::Lopapr, &machine);
//! let outcome = model.step(&Step::Hypercall { vcpu: 0, call: Hypercall::get(1, 0) });
//! assert_eq!(outcome.answer, Answer::Hypercall { status: Status::PARAMETER, r4: None });
//! assert_eq!(outcome.rule, Some(Rule::LiobnUnknown));
//! ```
#![forbid(unsafe_code)]

mod guest;
mod host;
mod hypercall;
mod lookup;
mod plug;
mod real_mode;
mod references;
mod regions;
mod state;
mod tce;

use contract::{Hva, Liobn, Pfn, ProbeAnswer, RealAddr, Rule, RuleSet, Status, Step};

pub use state::{Compound, Page, Reference, Window};

/// Something whose state a step may have changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Object {
    /// A page's count, own references, DIRTY or compound state.
    Page(Pfn),
    /// The page-table entry that starts (or started) at this hva.
    Pte(Hva),
    /// A window's entry, its guest value and its hardware entry.
    Entry {
        /// The window.
        liobn: Liobn,
        /// The entry's number.
        index: u64,
    },
    /// The word of memory at this real address, a multiple of 8.
    Ram(RealAddr),
}

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What came of it.
    pub answer: Answer,
    /// The rule that decided, `None` for host steps; a call that wrote several entries is named after its first.
    pub rule: Option<Rule>,
    /// Every rule that took part: the deciding one, that of each written entry, and the reason why real mode must defer.
    pub rules: RuleSet,
    /// What real mode owes (semantics 5); only meaningful for hypercalls.
    pub owes: Owes,
}

/// What a step answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The step's precondition failed, the one named here; nothing changed.
    Skipped(&'static str),
    /// A host step was done.
    Done,
    /// A hypercall returned.
    Hypercall {
        /// r3.
        status: Status,
        /// r4 where the call wrote it.
        r4: Option<u64>,
    },
    /// `pfn_to_page`: the real address of the struct page, if it has one.
    Lookup(Option<RealAddr>),
    /// A probe of a conditional reference.
    Probe(ProbeAnswer),
}

/// What real mode owes for a call (semantics 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owes {
    /// It must finish the call.
    Finish,
    /// It must leave the call to virtual mode, for this reason.
    Defer(Rule),
    /// It may do either; why.
    May(&'static str),
}

impl Outcome {
    /// A step whose precondition failed.
    #[must_use]
    pub const fn skipped(reason: &'static str) -> Self {
        Self { answer: Answer::Skipped(reason), rule: None, rules: RuleSet::EMPTY, owes: Owes::Finish }
    }

    /// A host step that was done.
    pub(crate) const fn done() -> Self {
        Self { answer: Answer::Done, rule: None, rules: RuleSet::EMPTY, owes: Owes::Finish }
    }

    /// An answer that one rule decided.
    pub(crate) fn decided(answer: Answer, rule: Rule) -> Self {
        Self { answer, rule: Some(rule), rules: [rule].into_iter().collect(), owes: Owes::Finish }
    }
}

impl Reference {
    /// Runs one step to its end: there are no modes here.
    pub fn step(&mut self, step: &Step) -> Outcome {
        self.touched.clear();
        let host = match step {
            Step::Hypercall { call, .. } => return self.hypercall(call),
            Step::Lookup { pfn } => return self.probe_lookup(*pfn),
            Step::GetPage { pfn } => return self.get_page_unless_zero(*pfn),
            Step::PutPage { pfn } => return self.put_page_unless_one(*pfn),
            Step::Take { pfn } => self.host_take(*pfn),
            Step::Drop { pfn } => self.host_drop(*pfn),
            Step::Map { hva, pte } => self.map(*hva, *pte),
            Step::Unmap { hva } => self.unmap(*hva),
            Step::Age { hva } => self.age(*hva),
            Step::Clean { hva } => self.clean(*hva),
            Step::WriteProtect { hva } => self.write_protect(*hva),
            Step::Migrate { hva, pfn } => self.migrate(*hva, *pfn),
            Step::MakeCompound(compound) => self.make_compound(compound.pfn, compound.order),
            Step::SplitCompound { pfn } => self.split_compound(*pfn),
            Step::HotAdd { section, blocks } => self.hot_add(*section, blocks),
            Step::HotRemove { section } => self.hot_remove(*section),
            Step::Slot(slot) => self.set_slot(slot),
            Step::Write { gpa, words } => self.write(*gpa, words),
            Step::CreateWindow(spec) => self.create_window(spec),
            Step::CloseWindow { liobn } => self.close_window(*liobn),
        };
        match host {
            Ok(()) => Outcome::done(),
            Err(Skip(reason)) => Outcome::skipped(reason),
        }
    }
}

/// The precondition of a step that failed.
pub(crate) struct Skip(pub(crate) &'static str);

/// Goes on if `met`, else the step is skipped.
pub(crate) fn need(met: bool, reason: &'static str) -> Result<(), Skip> {
    if met { Ok(()) } else { Err(Skip(reason)) }
}
