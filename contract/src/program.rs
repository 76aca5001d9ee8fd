//! Programs and the steps that they consist of (semantics 6).

use alloc::vec::Vec;
use core::fmt;

use crate::addr::{Gpa, Hva, Liobn, Pfn};
use crate::description::{AddrRun, CompoundSpec, Machine, Pte, SlotSpec, WindowSpec, WordRun};
use crate::dialect::Dialect;
use crate::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, Hypercall};

/// Largest number of steps of a program.
pub const MAX_STEPS: usize = 4096;
/// Number of vCPUs of a machine. They are numbered from 0.
pub const MAX_VCPUS: u8 = 8;
/// Largest number of words of 8 bytes that one [`Step::Write`] stores.
pub const MAX_STEP_WORDS: u64 = 8192;

/// One step of a program. Semantics 6 says what each step needs and does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// A vCPU of the guest makes a hypercall.
    Hypercall {
        /// Number of the vCPU, from 0, below [`MAX_VCPUS`].
        vcpu: u8,
        /// The vCPU's registers r3 to r7 on entry.
        call: Hypercall,
    },
    /// Probe: looks up the struct page of a page (`pfn_to_page`).
    Lookup {
        /// Page frame number of the page, which need not exist.
        pfn: Pfn,
    },
    /// Probe `get_page_unless_zero`: takes a reference on a page that is not compound, unless its reference count is 0.
    GetPage {
        /// Page frame number of the page, which need not exist.
        pfn: Pfn,
    },
    /// Probe `put_page_unless_one`: gives back a reference on a page that is not compound, unless its reference count
    /// is 1.
    PutPage {
        /// Page frame number of the page, which need not exist.
        pfn: Pfn,
    },
    /// The host takes a reference on a page.
    Take {
        /// Page frame number of the page. For a page of a compound page the host takes the reference on the head.
        pfn: Pfn,
    },
    /// The host drops a reference that it holds on a page; this may be the page's last reference.
    Drop {
        /// Page frame number of the page. For a page of a compound page the host drops the reference on the head.
        pfn: Pfn,
    },
    /// The host sets the page-table entry of a hole.
    Map {
        /// Host virtual address of the first byte that the entry maps: a multiple of the host's page size, for a huge
        /// entry of the compound page's size. Otherwise the step is skipped.
        hva: Hva,
        /// The new page-table entry, never [`Pte::Hole`].
        pte: Pte,
    },
    /// The host removes a page-table entry, which leaves a hole.
    Unmap {
        /// Host virtual address of any byte that the page-table entry covers.
        hva: Hva,
    },
    /// The host clears the young bit of a present or huge page-table entry.
    Age {
        /// Host virtual address of any byte that the page-table entry covers.
        hva: Hva,
    },
    /// The host writes a page back: it clears the dirty bit of a present or huge page-table entry, and DIRTY in the
    /// flags of the page (of the head for a compound page).
    Clean {
        /// Host virtual address of any byte that the page-table entry covers.
        hva: Hva,
    },
    /// The host makes a present or huge page-table entry read-only.
    WriteProtect {
        /// Host virtual address of any byte that the page-table entry covers.
        hva: Hva,
    },
    /// The host moves a page: it copies the contents to a new page, and the page-table entry then names the new page
    /// and holds its reference there. TCEs keep the old page.
    Migrate {
        /// Host virtual address of any byte that the page-table entry of the old page covers.
        hva: Hva,
        /// Page frame number of the new page.
        pfn: Pfn,
    },
    /// The host makes one compound page out of 2^order pages.
    MakeCompound(CompoundSpec),
    /// The host splits a compound page into its 2^order pages.
    SplitCompound {
        /// Page frame number of the compound page's head.
        pfn: Pfn,
    },
    /// The host adds a section of memory.
    HotAdd {
        /// Number of the section: its memory starts at real address `section` x 2^24.
        section: u64,
        /// Real addresses for the vmemmap blocks that no other present section needs, lowest block first. The host
        /// ignores addresses beyond the number of those blocks.
        blocks: Vec<AddrRun>,
    },
    /// The host removes a section of memory, with the vmemmap blocks that no other present section needs.
    HotRemove {
        /// Number of the section: its memory starts at real address `section` x 2^24.
        section: u64,
    },
    /// The host sets a memory slot, or deletes the slot if `pages` is 0.
    Slot(SlotSpec),
    /// The guest writes words of 8 bytes to its memory.
    Write {
        /// Guest physical address of the first word in bytes, a multiple of 8.
        gpa: Gpa,
        /// The words of 8 bytes, stored big-endian from `gpa` on.
        words: Vec<WordRun>,
    },
    /// The host creates a DMA window, with all entries zero.
    CreateWindow(WindowSpec),
    /// The host closes a DMA window: virtual mode clears all its entries, and its LIOBN is then unknown.
    CloseWindow {
        /// LIOBN of the window to close.
        liobn: Liobn,
    },
}

impl Step {
    /// The kind of the step. For a hypercall the opcode decides the kind.
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
        /// The kind of a step (semantics 6). Each of the four TCE hypercalls is a kind of its own; all other opcodes
        /// are one kind.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum StepKind {
            $(#[doc = concat!("`", $name, "`: ", $what, ".")] $variant,)*
        }

        impl StepKind {
            /// All kinds of steps: the hypercalls first, then the other kinds in the order of [`Step`].
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that names the kind in the text form and in reports. For a TCE hypercall it is LoPAPR's name of
            /// the call.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind of step whose [`name`](Self::name) is `name`, or `None` if no kind has this name.
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
    GetTce "H_GET_TCE" "a hypercall that reads one entry of a DMA window";
    PutTce "H_PUT_TCE" "a hypercall that writes one entry of a DMA window";
    StuffTce "H_STUFF_TCE" "a hypercall that writes one TCE into several entries of a DMA window";
    PutTceIndirect "H_PUT_TCE_INDIRECT" "a hypercall that writes TCEs from a list in guest memory into several entries";
    UnknownCall "hcall" "a hypercall whose opcode is none of the four TCE hypercalls";
    Lookup "pfn_to_page" "a probe that looks up the struct page of a pfn";
    GetPage "get_page_unless_zero" "a probe that takes a reference on a page unless the reference count is 0";
    PutPage "put_page_unless_one" "a probe that gives a reference on a page back unless the reference count is 1";
    Take "take" "the host takes a reference on a page";
    Drop "drop" "the host drops a reference that it holds on a page";
    Map "map" "the host maps a page";
    Unmap "unmap" "the host unmaps a page";
    Age "age" "the host clears the young bit of a page-table entry";
    Clean "clean" "the host writes a page back and clears the dirty bit of its page-table entry";
    WriteProtect "write-protect" "the host makes a page-table entry read-only";
    Migrate "migrate" "the host moves the contents of a page to a new page";
    MakeCompound "make-compound" "the host makes one compound page out of 2^order pages";
    SplitCompound "split-compound" "the host splits a compound page into its pages";
    HotAdd "hot-add" "the host adds a section of memory";
    HotRemove "hot-remove" "the host removes a section of memory";
    Slot "slot" "the host sets or deletes a memory slot";
    Write "write" "the guest writes words to its memory";
    CreateWindow "create-window" "the host creates a DMA window";
    CloseWindow "close-window" "the host closes a DMA window";
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A program: everything that one run of the harness depends on (semantics 6).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Program {
    /// The dialect whose answers the harness expects.
    pub dialect: Dialect,
    /// The machine on which the program starts.
    pub machine: Machine,
    /// The steps in the order in which they run; at most [`MAX_STEPS`].
    pub steps: Vec<Step>,
}
