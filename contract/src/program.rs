//! Programs and the steps that they consist of (semantics 6).

use alloc::vec::Vec;
use core::fmt;

use crate::addr::{Gpa, Hva, Liobn, Pfn};
use crate::description::{AddrRun, CompoundSpec, Machine, Pte, SlotSpec, WindowSpec, WordRun};
use crate::dialect::Dialect;
use crate::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, Hypercall};

/// Most steps of a program.
pub const MAX_STEPS: usize = 4096;
/// Number of vCPUs: the number of a vCPU is below it.
pub const MAX_VCPUS: u8 = 8;
/// Most 8-byte words that one [`Step::Write`] stores.
pub const MAX_STEP_WORDS: u64 = 8192;

/// One step of a program. Semantics 6 says what each step needs and does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// A vCPU makes a hypercall.
    Hypercall {
        /// The vCPU's number, below [`MAX_VCPUS`].
        vcpu: u8,
        /// Its registers on entry.
        call: Hypercall,
    },
    /// Probe: looks up the struct page of a pfn (`pfn_to_page`).
    Lookup {
        /// The page, existing or not.
        pfn: Pfn,
    },
    /// Probe: takes a reference unless the count is 0 (`get_page_unless_zero`).
    GetPage {
        /// The page, existing or not.
        pfn: Pfn,
    },
    /// Probe: gives a reference back unless the count is 1 (`put_page_unless_one`).
    PutPage {
        /// The page, existing or not.
        pfn: Pfn,
    },
    /// The host takes a reference.
    Take {
        /// The page. The reference counts on the head if the page is compound.
        pfn: Pfn,
    },
    /// The host drops a reference.
    Drop {
        /// The page. The reference goes from the head if the page is compound.
        pfn: Pfn,
    },
    /// The host maps a page.
    Map {
        /// First hva that the entry maps: a multiple of the bytes that it covers, which are one page or, for a huge
        /// entry, 2^order pages.
        hva: Hva,
        /// The entry, never [`Pte::Hole`].
        pte: Pte,
    },
    /// The host unmaps a page.
    Unmap {
        /// Any byte of the hva page.
        hva: Hva,
    },
    /// The host clears an entry's young bit.
    Age {
        /// Any byte of the hva page.
        hva: Hva,
    },
    /// The host writes a page back: it clears the dirty bit of the entry and DIRTY of the page.
    Clean {
        /// Any byte of the hva page.
        hva: Hva,
    },
    /// The host makes an entry read-only.
    WriteProtect {
        /// Any byte of the hva page.
        hva: Hva,
    },
    /// The host moves a page: it copies the contents, and the entry then names the new page.
    Migrate {
        /// Any byte of the hva page that maps the old page.
        hva: Hva,
        /// The new page.
        pfn: Pfn,
    },
    /// The host makes a compound page of 2^order pages.
    MakeCompound(CompoundSpec),
    /// The host splits a compound page.
    SplitCompound {
        /// The pfn of its head.
        pfn: Pfn,
    },
    /// A section of memory is added.
    HotAdd {
        /// The section's number: its memory starts at real address number x 2^24.
        section: u64,
        /// Real addresses for the vmemmap blocks that only this section needs, lowest block first. Addresses beyond the
        /// needed ones are ignored.
        blocks: Vec<AddrRun>,
    },
    /// A section of memory is removed.
    HotRemove {
        /// The section's number.
        section: u64,
    },
    /// The host sets a memory slot, or deletes it if `pages` is 0.
    Slot(SlotSpec),
    /// The guest writes words to its memory.
    Write {
        /// Guest physical address of the first word, a multiple of 8.
        gpa: Gpa,
        /// The words, stored big-endian.
        words: Vec<WordRun>,
    },
    /// A DMA window is created.
    CreateWindow(WindowSpec),
    /// A DMA window is closed and all its entries are cleared.
    CloseWindow {
        /// The window's LIOBN.
        liobn: Liobn,
    },
}

impl Step {
    /// The kind of the step. A hypercall's kind follows from its opcode.
    #[must_use]
    pub const fn kind(&self) -> StepKind {
        match self {
            Self::Hypercall { call, .. } => match call.opcode {
                H_GET_TCE => StepKind::GetTce,
                H_PUT_TCE => StepKind::PutTce,
                H_STUFF_TCE => StepKind::StuffTce,
                H_PUT_TCE_INDIRECT => StepKind::PutTceIndirect,
                _ => StepKind::UnknownCall,
            },
            Self::Lookup { .. } => StepKind::Lookup,
            Self::GetPage { .. } => StepKind::GetPage,
            Self::PutPage { .. } => StepKind::PutPage,
            Self::Take { .. } => StepKind::Take,
            Self::Drop { .. } => StepKind::Drop,
            Self::Map { .. } => StepKind::Map,
            Self::Unmap { .. } => StepKind::Unmap,
            Self::Age { .. } => StepKind::Age,
            Self::Clean { .. } => StepKind::Clean,
            Self::WriteProtect { .. } => StepKind::WriteProtect,
            Self::Migrate { .. } => StepKind::Migrate,
            Self::MakeCompound(_) => StepKind::MakeCompound,
            Self::SplitCompound { .. } => StepKind::SplitCompound,
            Self::HotAdd { .. } => StepKind::HotAdd,
            Self::HotRemove { .. } => StepKind::HotRemove,
            Self::Slot(_) => StepKind::Slot,
            Self::Write { .. } => StepKind::Write,
            Self::CreateWindow(_) => StepKind::CreateWindow,
            Self::CloseWindow { .. } => StepKind::CloseWindow,
        }
    }
}

macro_rules! step_kinds {
    ($($variant:ident $name:literal $what:literal;)*) => {
        /// The kind of a step (semantics 6). Each of the four hypercalls is a kind of its own.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum StepKind {
            $(#[doc = concat!("`", $name, "`: ", $what, ".")] $variant,)*
        }

        impl StepKind {
            /// All kinds: the hypercalls, then the others in the order of [`Step`].
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that names the kind in the text form and in reports. For a hypercall it is LoPAPR's name of the
            /// call.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind with that [`name`](Self::name), or `None` if there is none.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

step_kinds! {
    GetTce "H_GET_TCE" "a hypercall that reads an entry";
    PutTce "H_PUT_TCE" "a hypercall that writes one entry";
    StuffTce "H_STUFF_TCE" "a hypercall that writes one value into several entries";
    PutTceIndirect "H_PUT_TCE_INDIRECT" "a hypercall that writes several entries from a list in guest memory";
    UnknownCall "hcall" "a hypercall whose opcode is none of the four";
    Lookup "pfn_to_page" "a probe of the lookup of a struct page";
    GetPage "get_page_unless_zero" "a probe that takes a reference unless the count is 0";
    PutPage "put_page_unless_one" "a probe that gives a reference back unless it is the last";
    Take "take" "the host takes a reference";
    Drop "drop" "the host drops a reference";
    Map "map" "the host maps a page";
    Unmap "unmap" "the host unmaps a page";
    Age "age" "the host clears an entry's young bit";
    Clean "clean" "the host writes a page back";
    WriteProtect "write-protect" "the host makes an entry read-only";
    Migrate "migrate" "the host moves a page";
    MakeCompound "make-compound" "the host makes a compound page";
    SplitCompound "split-compound" "the host splits a compound page";
    HotAdd "hot-add" "a section of memory is added";
    HotRemove "hot-remove" "a section of memory is removed";
    Slot "slot" "a memory slot is set or deleted";
    Write "write" "the guest writes words to its memory";
    CreateWindow "create-window" "a DMA window is created";
    CloseWindow "close-window" "a DMA window is closed";
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A program: everything that a run depends on (semantics 6).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Program {
    /// The dialect whose answers are expected.
    pub dialect: Dialect,
    /// The machine on which the program starts.
    pub machine: Machine,
    /// The steps in the order in which they run, at most [`MAX_STEPS`].
    pub steps: Vec<Step>,
}
