//! The description of a machine, as the data that a program carries (semantics 1), and the limits of its numbers.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::addr::{Gfn, Hva, Liobn, Pfn, RealAddr};
use crate::dialect::Dialect;

/// log2 of the end of real memory in bytes: everything that a machine describes lies below real address 2^46.
pub const MAX_PHYSMEM_BITS: u32 = 46;
/// log2 of the size of a section of memory in bytes.
pub const SECTION_SIZE_BITS: u32 = 24;
/// Alignment in bytes of the start of each region of real memory. Only a run of vmemmap blocks is aligned to the block
/// size instead.
pub const REGION_ALIGN: u64 = 4096;
/// Size in bytes of the area of real memory that holds the vmemmap list.
pub const LIST_AREA_BYTES: u64 = 1 << 20;
/// Size in bytes of a node of the vmemmap list: three words of 8 bytes, which are the real address of the next node,
/// the block's real address and the block's virtual address.
pub const LIST_NODE_BYTES: u64 = 24;
/// Largest order of a compound page, which has 2^order pages. The smallest order is 1.
pub const MAX_ORDER: u32 = 9;
/// Limit of own, the number of references that the host itself holds on a page. Own must be in 0 ..= `MAX_OWN` for a
/// page that a page-table entry names at boot, and when step `map` or `migrate` maps a page. Step `take` raises own at
/// most to `MAX_OWN`; a probe may raise it further.
pub const MAX_OWN: i32 = 1 << 30;
/// Largest number of memory slots at a time. Slots are numbered from 0, and every slot number is below this limit.
pub const MAX_SLOTS: u32 = 512;
/// Largest number of DMA windows at a time.
pub const MAX_WINDOWS: usize = 512;
/// Largest number of entries (TCEs) of one DMA window.
pub const MAX_WINDOW_ENTRIES: u64 = 1 << 16;
/// Largest number of entries (TCEs) of all DMA windows of a program together: the windows at boot and those of all its
/// `create-window` steps.
pub const MAX_TOTAL_ENTRIES: u64 = 1 << 18;
/// Largest number of sections of memory that are present at boot.
pub const MAX_SECTIONS: usize = 1024;
/// Largest number of vmemmap blocks that are backed at a time, 43690: the area of the vmemmap list holds one pointer of
/// 8 bytes and that many nodes.
pub const MAX_BLOCKS: u64 = (LIST_AREA_BYTES - 8) / LIST_NODE_BYTES;
/// Largest number of page-table entries at boot, which is the sum of [`Mapping::pages`]. A huge entry counts as one.
pub const MAX_MAPPED_PAGES: u64 = 1 << 16;
/// Largest number of page lines ([`PageSpec`]) of a description, and largest number of 8-byte words of all its memory
/// contents ([`RamSpec`]) together.
pub const MAX_ITEMS: u64 = 1 << 16;

/// PAGE_SHIFT of the host: log2 of the size of a host page in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PageShift {
    /// PAGE_SHIFT 12: host pages of 4 KiB.
    Shift12 = 12,
    /// PAGE_SHIFT 16: host pages of 64 KiB.
    Shift16 = 16,
}

impl PageShift {
    /// PAGE_SHIFT as a number: 12 or 16.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self as u32
    }

    /// Size of a host page in bytes: 4096 or 65536.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self as u32
    }

    /// Number of host pages in a section of 2^24 bytes: 4096 for PAGE_SHIFT 12, 256 for PAGE_SHIFT 16.
    #[must_use]
    pub const fn pages_per_section(self) -> u64 {
        1 << (SECTION_SIZE_BITS - self as u32)
    }

    /// The lowest pfn whose page does not lie below real address 2^46: 2^34 for PAGE_SHIFT 12, 2^30 for PAGE_SHIFT 16.
    #[must_use]
    pub const fn pfn_limit(self) -> u64 {
        1 << (MAX_PHYSMEM_BITS - self as u32)
    }
}

/// The real addresses of `count` vmemmap blocks that lie one after the other: `at`, `at + block size`, and so on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct AddrRun {
    /// Real address of the run's first block, a multiple of the block size.
    pub at: RealAddr,
    /// Number of blocks, at least 1.
    pub count: u64,
}

/// A run of backed vmemmap blocks at boot: those with the numbers `first .. first + places.count`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BlockRun {
    /// Number of the run's first block: (virtual address of the block - virtual address of the struct page of pfn 0) /
    /// block size.
    pub first: u64,
    /// Real addresses of the run's blocks, and the number of blocks.
    pub places: AddrRun,
}

/// The memory model: how the host finds the struct page of a pfn (semantics 1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MemoryModel {
    /// One array of struct pages for all memory. Memory cannot be hot-plugged.
    Flatmem {
        /// Real address of the array of struct pages, a multiple of [`REGION_ALIGN`].
        array: RealAddr,
        /// Number of host pages, at least 1: the pages with the pfns `0 .. pages` exist.
        pages: u64,
    },
    /// An array of struct pages at consecutive virtual addresses, backed block by block where memory is present.
    SparsememVmemmap {
        /// Virtual address of the struct page of pfn 0: a multiple of the block size, at least 0xc000400000000000.
        base: u64,
        /// log2 of the size of a vmemmap block in bytes: 12, 16, 21 or 24.
        block_shift: u32,
        /// Real address of the area of [`LIST_AREA_BYTES`] bytes that holds the vmemmap list, a multiple of
        /// [`REGION_ALIGN`].
        list: RealAddr,
        /// Numbers of the sections of memory that are present at boot (real address >> 24), ascending, each once.
        sections: Vec<u64>,
        /// The vmemmap blocks that hold struct pages of the present sections, ascending, each block once.
        blocks: Vec<BlockRun>,
    },
}

/// The references that the host itself holds on a page at boot, and the page's DIRTY flag. A page without a `PageSpec`
/// starts with 0 such references and without DIRTY.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PageSpec {
    /// Page frame number of a head or of a page that is not compound. It is never a tail.
    pub pfn: Pfn,
    /// Number of references that the host itself holds, without those of page-table entries and TCEs: 0 ..= [`MAX_OWN`]
    /// if a page-table entry names the page or one of its tails, else any `i32`.
    pub own: i32,
    /// Whether DIRTY is set in the flags of the struct page at boot.
    pub dirty: bool,
}

/// A compound page that exists at boot, or that step `make-compound` makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct CompoundSpec {
    /// Page frame number of the head, a multiple of 2^order.
    pub pfn: Pfn,
    /// log2 of the number of host pages of the compound page, 1 ..= [`MAX_ORDER`].
    pub order: u32,
}

/// A memory slot at boot or of step `slot`. It maps the guest frames `gfn .. gfn + pages` to host virtual addresses
/// from `hva` on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SlotSpec {
    /// Number of the slot. At boot it must be below [`MAX_SLOTS`]; a step whose number is not below this limit is
    /// skipped.
    pub id: u32,
    /// Number of the slot's first guest frame.
    pub gfn: Gfn,
    /// Size of the slot in host pages. 0 is valid only in a step, which then deletes the slot.
    pub pages: u64,
    /// Host virtual address of the slot's first byte, a multiple of the host's page size.
    pub hva: Hva,
}

/// A page-table entry of the host: what the host maps at a page of host virtual addresses (semantics 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Pte {
    /// A hole: there is no entry, and the host cannot fault a page in.
    #[default]
    Hole,
    /// The entry maps one page and holds one reference on the page (on the head if the page belongs to a compound
    /// page).
    Present {
        /// Page frame number of the page that the entry maps.
        pfn: Pfn,
        /// Whether the process that runs the guest may write the page through this entry.
        writable: bool,
        /// The dirty bit: the page was written through this entry.
        dirty: bool,
        /// The young bit: the page was used lately through this entry.
        young: bool,
    },
    /// The entry maps a whole compound page and holds one reference on its head.
    Huge {
        /// Page frame number of the head of the compound page.
        pfn: Pfn,
        /// Order of the compound page, 1 ..= [`MAX_ORDER`]: the entry covers 2^order pages of host virtual addresses.
        order: u32,
        /// Whether the process that runs the guest may write the compound page through this entry.
        writable: bool,
        /// The dirty bit: the compound page was written through this entry.
        dirty: bool,
        /// The young bit: the compound page was used lately through this entry.
        young: bool,
    },
    /// The entry maps no page yet, but the host can fault one in. The entry holds no reference.
    Absent {
        /// Page frame number of the page that the host would fault in.
        pfn: Pfn,
    },
}

impl Pte {
    /// Number of pages of host virtual addresses that the entry covers: 2^order for a huge entry, else 1. The order
    /// must be below 64.
    #[must_use]
    pub const fn pages(self) -> u64 {
        match self {
            Self::Huge { order, .. } => 1 << order,
            _ => 1,
        }
    }

    /// The page frame number that the entry names, or `None` for a hole. A huge entry names the head of its compound
    /// page.
    #[must_use]
    pub const fn pfn(self) -> Option<Pfn> {
        match self {
            Self::Hole => None,
            Self::Present { pfn, .. } | Self::Huge { pfn, .. } | Self::Absent { pfn } => Some(pfn),
        }
    }

    /// Whether the entry holds a reference on its page. Present and huge entries do; absent entries and holes do not.
    #[must_use]
    pub const fn holds_reference(self) -> bool {
        matches!(self, Self::Present { .. } | Self::Huge { .. })
    }
}

/// Page-table entries at boot: `pages` entries like `pte`, at consecutive host virtual addresses, with consecutive
/// pfns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mapping {
    /// Host virtual address of the first byte that the entries cover: a multiple of the host's page size, or for a huge
    /// entry of the size of its compound page.
    pub hva: Hva,
    /// Number of page-table entries, at least 1; exactly 1 for a huge entry.
    pub pages: u64,
    /// The page-table entry at `hva`, never [`Pte::Hole`].
    pub pte: Pte,
}

/// `count` words of 8 bytes: `value`, `value + stride`, `value + 2 x stride`, and so on. The sums wrap at 2^64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WordRun {
    /// The first word of the run.
    pub value: u64,
    /// The difference between each word and the next one, added with wrapping.
    pub stride: u64,
    /// Number of words of 8 bytes, at least 1.
    pub count: u64,
}

/// All words of 8 bytes of `runs`, in order.
pub fn words(runs: &[WordRun]) -> impl Iterator<Item = u64> + '_ {
    runs.iter().flat_map(|run| (0..run.count).map(move |i| run.value.wrapping_add(run.stride.wrapping_mul(i))))
}

/// Number of words of 8 bytes in all `runs` together, or `u64::MAX` if the number does not fit 64 bits.
#[must_use]
pub fn word_count(runs: &[WordRun]) -> u64 {
    runs.iter().fold(0, |sum, run| sum.saturating_add(run.count))
}

/// The contents of a part of real memory at boot.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RamSpec {
    /// Real address in bytes of the first word, a multiple of 8. All the words must lie in present memory.
    pub at: RealAddr,
    /// The words of 8 bytes, stored big-endian from `at` on.
    pub words: Vec<WordRun>,
}

/// What a DMA window has besides its table of guest values (semantics 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Backing {
    /// Nothing: the window is a table of guest values, and no page is pinned for it.
    #[default]
    Emulated,
    /// A hardware table. Each of its entries with permissions holds a reference on the page that the entry names.
    Pinned {
        /// Real address of the hardware table, which has 8 bytes for each entry of the window.
        hardware: RealAddr,
    },
}

/// A DMA window at boot, or of step `create-window`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WindowSpec {
    /// The LIOBN, which names the window in hypercalls; below 2^32 in dialect `qemu`.
    pub liobn: Liobn,
    /// log2 of the size in bytes of the page that one entry maps, 12 ..= 34; for a pinned window at most the host's
    /// PAGE_SHIFT.
    pub page_shift: u32,
    /// I/O bus address of entry 0 in bytes: a multiple of the window's page size, or any address in dialect `qemu`.
    pub base: u64,
    /// Number of entries (TCEs) of the window, 1 ..= [`MAX_WINDOW_ENTRIES`].
    pub entries: u64,
    /// Real address of the table of guest values, which has 8 bytes for each entry.
    pub table: RealAddr,
    /// What the window has besides its table of guest values: nothing, or a hardware table.
    pub backing: Backing,
}

impl WindowSpec {
    /// Size in bytes of the page that one entry of the window maps. `page_shift` must be below 64.
    #[must_use]
    pub const fn page(&self) -> u64 {
        1 << self.page_shift
    }

    /// Checks the window alone: its numbers, and what `dialect` allows. `page_shift` is the host's. The function checks
    /// neither the addresses of the tables nor other windows.
    ///
    /// # Errors
    /// The first thing that is wrong, in words.
    pub fn validate(&self, page_shift: PageShift, dialect: Dialect) -> Result<(), String> {
        if !(12..=34).contains(&self.page_shift) {
            return Err(format!("page_shift {} is not in 12..=34", self.page_shift));
        }
        if self.entries == 0 {
            return Err("a window needs at least one entry".into());
        }
        if self.entries > MAX_WINDOW_ENTRIES {
            return Err(format!("{} entries are more than {MAX_WINDOW_ENTRIES}", self.entries));
        }
        if dialect.aligns_window_bases() && self.base & (self.page() - 1) != 0 {
            return Err(format!("base {:#x} is no multiple of the window's page {:#x}", self.base, self.page()));
        }
        if u128::from(self.base) + u128::from(self.entries) * u128::from(self.page()) > 1 << 64 {
            return Err(format!("{} entries from base {:#x} on end past 2^64", self.entries, self.base));
        }
        if self.liobn.0 > dialect.max_liobn() {
            let bits = dialect.liobn_bits();
            return Err(format!("liobn {} does not fit {bits} bits (dialect {dialect})", self.liobn));
        }
        if let Backing::Pinned { .. } = self.backing {
            if !dialect.has_pinned_windows() {
                return Err(format!("dialect {dialect} has no pinned windows"));
            }
            if self.page_shift > page_shift.bits() {
                return Err(format!(
                    "a pinned window's page_shift {} is above the host's {}",
                    self.page_shift,
                    page_shift.bits()
                ));
            }
        }
        Ok(())
    }

    /// The regions of real memory that hold the window's tables, each as (first real address, size in bytes): the table
    /// of guest values, then the hardware table if there is one.
    pub fn regions(&self) -> impl Iterator<Item = (RealAddr, u64)> + use<> {
        let hardware = match self.backing {
            Backing::Emulated => None,
            Backing::Pinned { hardware } => Some(hardware),
        };
        let bytes = self.entries.saturating_mul(8);
        core::iter::once(self.table).chain(hardware).map(move |start| (start, bytes))
    }
}

/// The machine on which a program starts (semantics 1). [`Program::validate`](crate::Program::validate) checks it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Machine {
    /// PAGE_SHIFT of the host: log2 of the size of a host page in bytes.
    pub page_shift: PageShift,
    /// Size of a struct page in bytes: 56, 64, 72 or 80.
    pub struct_page: u64,
    /// The memory model: how the host finds struct pages.
    pub memory: MemoryModel,
    /// References that the host itself holds on pages at boot, and the pages' DIRTY flags; each page once.
    pub pages: Vec<PageSpec>,
    /// Compound pages that exist at boot.
    pub compounds: Vec<CompoundSpec>,
    /// Memory slots that exist at boot.
    pub slots: Vec<SlotSpec>,
    /// Entries of the host's page table at boot. All other host virtual addresses are holes.
    pub mappings: Vec<Mapping>,
    /// Contents of present memory at boot. Words that no element names are zero.
    pub ram: Vec<RamSpec>,
    /// DMA windows that exist at boot. All their entries are zero.
    pub windows: Vec<WindowSpec>,
}

impl Machine {
    /// A machine with a memory model, and with no page lines, compound pages, slots, mappings, memory contents or
    /// windows. `struct_page` is the size of a struct page in bytes.
    #[must_use]
    pub const fn bare(page_shift: PageShift, struct_page: u64, memory: MemoryModel) -> Self {
        Self {
            page_shift,
            struct_page,
            memory,
            pages: Vec::new(),
            compounds: Vec::new(),
            slots: Vec::new(),
            mappings: Vec::new(),
            ram: Vec::new(),
            windows: Vec::new(),
        }
    }
}

/// The part of a program that an error is about. Each index counts the items of one kind from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// The machine line: page size, size of a struct page and memory model. Also stands for what is wrong with no
    /// single line, such as too many items of a kind or a vmemmap block that no line has.
    Machine,
    /// An element of `sections` of [`MemoryModel::SparsememVmemmap`], by index.
    Section(usize),
    /// An element of `blocks` of [`MemoryModel::SparsememVmemmap`], by index.
    Block(usize),
    /// An element of [`Machine::pages`], by index.
    Page(usize),
    /// An element of [`Machine::compounds`], by index.
    Compound(usize),
    /// An element of [`Machine::slots`], by index.
    Slot(usize),
    /// An element of [`Machine::mappings`], by index.
    Mapping(usize),
    /// An element of [`Machine::ram`], by index.
    Ram(usize),
    /// An element of [`Machine::windows`], by index.
    Window(usize),
    /// An element of [`Program::steps`](crate::Program::steps), by index.
    Step(usize),
}

impl Item {
    /// The first word of the lines that describe items of this kind in the text form. For a step it is `step`, although
    /// the lines of steps start with other words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Section(_) => "section",
            Self::Block(_) => "block",
            Self::Page(_) => "page",
            Self::Compound(_) => "compound",
            Self::Slot(_) => "slot",
            Self::Mapping(_) => "map",
            Self::Ram(_) => "ram",
            Self::Window(_) => "window",
            Self::Step(_) => "step",
        }
    }

    /// The index of the item among the items of its kind, from 0, or `None` for the machine line.
    #[must_use]
    pub const fn index(self) -> Option<usize> {
        match self {
            Self::Machine => None,
            Self::Section(i)
            | Self::Block(i)
            | Self::Page(i)
            | Self::Compound(i)
            | Self::Slot(i)
            | Self::Mapping(i)
            | Self::Ram(i)
            | Self::Window(i)
            | Self::Step(i) => Some(i),
        }
    }
}

/// Why a description is invalid: the item that contradicts another one or exceeds a limit, and the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    /// The item of the program that is wrong.
    pub item: Item,
    /// What is wrong with `item`, in words.
    pub reason: String,
    /// The item that `item` contradicts, for example one that overlaps `item` or describes the same thing, or the
    /// section that needs a vmemmap block which `item` leaves out. `None` if `item` is wrong alone, or if no single
    /// item is to blame.
    pub other: Option<Item>,
}

impl Invalid {
    /// An error about `item` with its `reason`. The field `other` is `None`: `item` contradicts no other item.
    #[must_use]
    pub fn new(item: Item, reason: impl Into<String>) -> Self {
        Self { item, reason: reason.into(), other: None }
    }

    /// The same error with the field `other` set: the item that `item` contradicts, or `None`.
    #[must_use]
    pub const fn against(mut self, other: Option<Item>) -> Self {
        self.other = other;
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.item.word();
        match self.item.index() {
            None => write!(f, "{word}: {}", self.reason),
            Some(index) => write!(f, "{word} line {}: {}", index + 1, self.reason),
        }
    }
}

impl core::error::Error for Invalid {}

/// The numbers of the vmemmap blocks that hold struct pages of section number `section`. `bytes` is the size in bytes
/// of all struct pages of one section, and `block_shift` is log2 of the block size in bytes. `(section + 1) * bytes`
/// must fit 64 bits.
#[must_use]
pub const fn blocks_of_section(section: u64, bytes: u64, block_shift: u32) -> Range<u64> {
    (section * bytes) >> block_shift..(((section + 1) * bytes - 1) >> block_shift) + 1
}
