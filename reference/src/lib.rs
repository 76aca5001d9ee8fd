//! The reference model: docs/semantics.md as code. It uses plain maps and full scans, runs one step at a time, and has
//! no real or virtual mode.
//!
//! | file | what it states | section |
//! |---|---|---|
//! | `state` | the state of a machine, and how it starts from a description | 1 |
//! | `regions` | which regions of real memory are in use; which pages and blocks exist | 1 |
//! | `guest` | memory slots, the host page table, page faults, contents of memory | 1 |
//! | `lookup` | translation from a pfn to its struct page | 2 |
//! | `references` | reference counts, the host's own references, probes | 3 |
//! | `dialects` | what each dialect answers where they disagree | 4 |
//! | `hypercall` | the four hypercalls and the order of their checks | 4 |
//! | `tce` | the checks of a TCE, pinning, and how an entry is written | 4 |
//! | `real_mode` | what real mode owes: finish, defer, or either | 5 |
//! | `host` | host steps on pages and page-table entries | 6 |
//! | `plug` | host steps on sections, memory slots, guest memory and windows | 6 |
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

mod dialects;
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

pub use dialects::answers;
pub use state::{Compound, Page, Reference, Window};

/// A part of the machine whose state a step may have changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Object {
    /// A page's count, own references, DIRTY or compound state.
    Page(Pfn),
    /// The page-table entry whose first hva is, or was, this one.
    Pte(Hva),
    /// An entry of a window: its guest value and its hardware entry.
    Entry {
        /// The window's LIOBN.
        liobn: Liobn,
        /// Number of the entry in the window, from 0.
        index: u64,
    },
    /// The word of memory at this real address, a multiple of 8.
    Ram(RealAddr),
}

/// The result of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The answer of the step.
    pub answer: Answer,
    /// The rule that decided the answer, `None` for host steps and for skipped steps. For a successful call that wrote
    /// several entries, the rule of the first entry.
    pub rule: Option<Rule>,
    /// Every rule that took part: the deciding rule, the rule of each written entry, the reason for which real mode
    /// must defer, and `LIST.UNBACKED` if a list read as zeros (dialect `qemu`). Empty for host steps and skipped
    /// steps.
    pub rules: RuleSet,
    /// What real mode owes for a hypercall (docs/semantics.md, section 5). For all other steps it is `Finish` and has
    /// no meaning.
    pub owes: Owes,
}

/// The answer of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The step was skipped and changed nothing, because a precondition failed. The text says which one, for example
    /// "the page does not exist".
    Skipped(&'static str),
    /// A host step ran.
    Done,
    /// A hypercall returned.
    Hypercall {
        /// The status in r3.
        status: Status,
        /// The value in r4, `None` if the call left r4 unchanged.
        r4: Option<u64>,
    },
    /// `pfn_to_page` returned the real address of the struct page, or `None` if the lookup found none.
    Lookup(Option<RealAddr>),
    /// A probe of a conditional reference returned this answer.
    Probe(ProbeAnswer),
}

/// What real mode owes for a hypercall: to finish it, to defer it, or either (docs/semantics.md, section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owes {
    /// Real mode must finish the call.
    Finish,
    /// Real mode must defer the call to virtual mode, for the reason that this rule names.
    Defer(Rule),
    /// Real mode may finish or defer; the text says why.
    May(&'static str),
}

impl Outcome {
    /// Makes the outcome of a step that is skipped because of `reason`, without a rule.
    #[must_use]
    pub const fn skipped(reason: &'static str) -> Self {
        Self { answer: Answer::Skipped(reason), rule: None, rules: RuleSet::EMPTY, owes: Owes::Finish }
    }

    /// Makes the outcome of a host step that ran.
    pub(crate) const fn done() -> Self {
        Self { answer: Answer::Done, rule: None, rules: RuleSet::EMPTY, owes: Owes::Finish }
    }

    /// Makes the outcome for an answer that one rule decided, with `owes` set to `Finish`.
    pub(crate) fn decided(answer: Answer, rule: Rule) -> Self {
        Self { answer, rule: Some(rule), rules: [rule].into_iter().collect(), owes: Owes::Finish }
    }
}

impl Reference {
    /// Runs one step to its end, or skips it if its precondition fails (docs/semantics.md, section 6). Hypercalls run
    /// as a whole: the model has no modes.
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

/// The reason for which a step is skipped: the precondition that failed.
pub(crate) struct Skip(pub(crate) &'static str);

/// Returns `Ok` if `met`, else `Err` with `reason`, for which the caller's step is skipped.
pub(crate) fn need(met: bool, reason: &'static str) -> Result<(), Skip> {
    if met { Ok(()) } else { Err(Skip(reason)) }
}
