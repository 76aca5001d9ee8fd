//! Steps and programs (semantics 6).

use alloc::vec::Vec;

use crate::addr::{Gpa, Hva, Liobn, Pfn};
use crate::description::{AddrRun, CompoundSpec, Machine, Pte, SlotSpec, WindowSpec, WordRun};
use crate::dialect::Dialect;
use crate::hcall::Hypercall;

/// Most steps of a program.
pub const MAX_STEPS: usize = 4096;
/// vCPU numbers are below it.
pub const MAX_VCPUS: u8 = 8;
/// Most words that one step writes.
pub const MAX_STEP_WORDS: u64 = 8192;

/// One step of a program. What each needs and does stands in semantics 6.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// A vCPU makes a hypercall.
    Hypercall {
        /// Which vCPU, below [`MAX_VCPUS`].
        vcpu: u8,
        /// Its registers.
        call: Hypercall,
    },
    /// Probe: pfn_to_page.
    Lookup {
        /// The page.
        pfn: Pfn,
    },
    /// Probe: get_page_unless_zero.
    GetPage {
        /// The page.
        pfn: Pfn,
    },
    /// Probe: put_page_unless_one.
    PutPage {
        /// The page.
        pfn: Pfn,
    },
    /// The host takes a reference.
    Take {
        /// The page.
        pfn: Pfn,
    },
    /// The host drops a reference.
    Drop {
        /// The page.
        pfn: Pfn,
    },
    /// The host maps a page.
    Map {
        /// Where.
        hva: Hva,
        /// The entry, never [`Pte::Hole`].
        pte: Pte,
    },
    /// The host unmaps a page.
    Unmap {
        /// Where.
        hva: Hva,
    },
    /// The host clears an entry's young bit.
    Age {
        /// Where.
        hva: Hva,
    },
    /// The host writes a page back: the entry's dirty bit and the page's DIRTY are cleared.
    Clean {
        /// Where.
        hva: Hva,
    },
    /// The host makes an entry read-only.
    WriteProtect {
        /// Where.
        hva: Hva,
    },
    /// The host moves a page.
    Migrate {
        /// Where it is mapped.
        hva: Hva,
        /// The page it moves to.
        pfn: Pfn,
    },
    /// The host makes a compound page of 2^order pages.
    MakeCompound(CompoundSpec),
    /// The host splits a compound page.
    SplitCompound {
        /// Its head.
        pfn: Pfn,
    },
    /// A section of memory is added.
    HotAdd {
        /// Which section.
        section: u64,
        /// Places of the blocks it is the first to need, lowest block first.
        blocks: Vec<AddrRun>,
    },
    /// A section of memory is removed.
    HotRemove {
        /// Which section.
        section: u64,
    },
    /// A memory slot is set, or deleted where `pages` is 0.
    Slot(SlotSpec),
    /// The guest writes words to its memory.
    Write {
        /// Where, a multiple of 8.
        gpa: Gpa,
        /// The words, big-endian in memory.
        words: Vec<WordRun>,
    },
    /// A DMA window is created.
    CreateWindow(WindowSpec),
    /// A DMA window is closed.
    CloseWindow {
        /// Which.
        liobn: Liobn,
    },
}

impl Step {
    /// The kind of step: the word that names it in the text form, the call's name for hypercalls.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Hypercall { call, .. } => match call.name() {
                Some(name) => name,
                None => "hcall",
            },
            Self::Lookup { .. } => "pfn_to_page",
            Self::GetPage { .. } => "get_page_unless_zero",
            Self::PutPage { .. } => "put_page_unless_one",
            Self::Take { .. } => "take",
            Self::Drop { .. } => "drop",
            Self::Map { .. } => "map",
            Self::Unmap { .. } => "unmap",
            Self::Age { .. } => "age",
            Self::Clean { .. } => "clean",
            Self::WriteProtect { .. } => "write-protect",
            Self::Migrate { .. } => "migrate",
            Self::MakeCompound(_) => "make-compound",
            Self::SplitCompound { .. } => "split-compound",
            Self::HotAdd { .. } => "hot-add",
            Self::HotRemove { .. } => "hot-remove",
            Self::Slot(_) => "slot",
            Self::Write { .. } => "write",
            Self::CreateWindow(_) => "create-window",
            Self::CloseWindow { .. } => "close-window",
        }
    }
}

/// A program: everything one run means (semantics 6).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Program {
    /// Whose answers are expected.
    pub dialect: Dialect,
    /// The machine it starts on.
    pub machine: Machine,
    /// What happens, in order.
    pub steps: Vec<Step>,
}
