//! The description of a machine, as the data that a program carries (semantics 1), and the limits of its numbers.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::addr::{Gfn, Hva, Liobn, Pfn, RealAddr};
use crate::dialect::Dialect;

/// log2 of the real address below which everything described lies, in bytes.
pub const MAX_PHYSMEM_BITS: u32 = 46;
/// log2 of the bytes of a section of memory.
pub const SECTION_SIZE_BITS: u32 = 24;
/// Regions start at multiples of this, in bytes. Runs of vmemmap blocks start at multiples of the block size instead.
pub const REGION_ALIGN: u64 = 4096;
/// Bytes of the area that holds the vmemmap list.
pub const LIST_AREA_BYTES: u64 = 1 << 20;
/// Bytes of a node of the vmemmap list: next, real address, virtual address.
pub const LIST_NODE_BYTES: u64 = 24;
/// Largest order of a compound page. The smallest is 1.
pub const MAX_ORDER: u32 = 9;
/// Largest own of a page that a page-table entry names at boot, that `map` or `migrate` maps, or to which `take` brings
/// it.
pub const MAX_OWN: i32 = 1 << 30;
/// Most memory slots; a slot's number is below it.
pub const MAX_SLOTS: u32 = 512;
/// Most DMA windows at a time.
pub const MAX_WINDOWS: usize = 512;
/// Most entries of one window.
pub const MAX_WINDOW_ENTRIES: u64 = 1 << 16;
/// Most entries of all windows of a program together, with those that its `create-window` steps ask for.
pub const MAX_TOTAL_ENTRIES: u64 = 1 << 18;
/// Most sections that are present at boot.
pub const MAX_SECTIONS: usize = 1024;
/// Most vmemmap blocks that are backed at a time: the area of the vmemmap list has room for 43690 nodes.
pub const MAX_BLOCKS: u64 = (LIST_AREA_BYTES - 8) / LIST_NODE_BYTES;
/// Most host pages that the mappings of a description cover.
pub const MAX_MAPPED_PAGES: u64 = 1 << 16;
/// Most page lines of a description, and most 8-byte words of all its memory contents together.
pub const MAX_ITEMS: u64 = 1 << 16;

/// PAGE_SHIFT of the host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PageShift {
    /// 4 KiB pages.
    Shift12 = 12,
    /// 64 KiB pages.
    Shift16 = 16,
}

impl PageShift {
    /// The shift, 12 or 16.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self as u32
    }

    /// The size of a page in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self as u32
    }

    /// Pages of a 2^24-byte section: 4096 or 256.
    #[must_use]
    pub const fn pages_per_section(self) -> u64 {
        1 << (SECTION_SIZE_BITS - self as u32)
    }

    /// The first pfn that does not fit below 2^46: 2^34 or 2^30.
    #[must_use]
    pub const fn pfn_limit(self) -> u64 {
        1 << (MAX_PHYSMEM_BITS - self as u32)
    }
}

/// The real addresses of `count` vmemmap blocks that lie one after the other: `at`, `at + block size`, and so on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct AddrRun {
    /// Real address of the first block, a multiple of the block size.
    pub at: RealAddr,
    /// How many blocks, at least 1.
    pub count: u64,
}

/// Backed vmemmap blocks: the blocks with the numbers `first .. first + places.count`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BlockRun {
    /// Number of the first block: (its virtual address - base) / block size.
    pub first: u64,
    /// Their real addresses.
    pub places: AddrRun,
}

/// How the struct page of a pfn is found (semantics 1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MemoryModel {
    /// One array of struct pages for all memory. There is no hot-plug.
    Flatmem {
        /// Real address of the array, a multiple of [`REGION_ALIGN`].
        array: RealAddr,
        /// Pages `0 .. pages` exist; at least 1.
        pages: u64,
    },
    /// An array of struct pages at consecutive virtual addresses, backed block by block where memory is present.
    SparsememVmemmap {
        /// Virtual address of the struct page of pfn 0: a multiple of the block size, at least 0xc000400000000000.
        base: u64,
        /// log2 of the block size: 12, 16, 21 or 24.
        block_shift: u32,
        /// Real address of the [`LIST_AREA_BYTES`] that hold the vmemmap list.
        list: RealAddr,
        /// Numbers of the sections that are present at boot, ascending, each once.
        sections: Vec<u64>,
        /// The blocks that hold struct pages of those sections, ascending, each block once.
        blocks: Vec<BlockRun>,
    },
}

/// The references that the host holds on a page at boot, and the page's DIRTY. Pages without one have 0 and no DIRTY.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PageSpec {
    /// The page: a head or a page that is not compound, never a tail.
    pub pfn: Pfn,
    /// References that the host itself holds: 0 ..= [`MAX_OWN`] if a page-table entry names the page, else any number.
    pub own: i32,
    /// Whether DIRTY is set in the flags of the struct page.
    pub dirty: bool,
}

/// A compound page that exists at boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct CompoundSpec {
    /// The head's pfn, a multiple of 2^order.
    pub pfn: Pfn,
    /// log2 of the number of its pages, 1 ..= [`MAX_ORDER`].
    pub order: u32,
}

/// A memory slot: maps the gfns `gfn .. gfn + pages` to the hvas from `hva` on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SlotSpec {
    /// The slot's number. A valid description has it below [`MAX_SLOTS`].
    pub id: u32,
    /// First guest frame.
    pub gfn: Gfn,
    /// Size of the slot in host pages. 0 is valid only in a step, which then deletes the slot.
    pub pages: u64,
    /// Host virtual address of the first page, a multiple of the page size.
    pub hva: Hva,
}

/// What the host page table says of an hva page (semantics 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Pte {
    /// There is no entry, and the host cannot supply a page.
    #[default]
    Hole,
    /// The entry maps a page.
    Present {
        /// The page.
        pfn: Pfn,
        /// Whether the page may be written through this entry.
        writable: bool,
        /// The dirty bit: the page was written through this entry.
        dirty: bool,
        /// The young bit: the page was used lately through this entry.
        young: bool,
    },
    /// The entry maps a whole compound page.
    Huge {
        /// The head of the compound page.
        pfn: Pfn,
        /// The order of the compound page, 1 ..= [`MAX_ORDER`]: the entry covers 2^order hva pages.
        order: u32,
        /// Whether the page may be written through this entry.
        writable: bool,
        /// The dirty bit: the page was written through this entry.
        dirty: bool,
        /// The young bit: the page was used lately through this entry.
        young: bool,
    },
    /// The entry maps no page yet, but the host can fault one in. Such an entry holds no reference.
    Absent {
        /// The page that would be faulted in.
        pfn: Pfn,
    },
}

impl Pte {
    /// How many hva pages the entry covers: 2^order for a huge entry, else 1. The order must be below 64.
    #[must_use]
    pub const fn pages(self) -> u64 {
        match self {
            Self::Huge { order, .. } => 1 << order,
            _ => 1,
        }
    }

    /// The pfn that the entry names, or `None` for a hole. For a huge entry it is the head's.
    #[must_use]
    pub const fn pfn(self) -> Option<Pfn> {
        match self {
            Self::Hole => None,
            Self::Present { pfn, .. } | Self::Huge { pfn, .. } | Self::Absent { pfn } => Some(pfn),
        }
    }

    /// Whether the entry holds a reference on its page. Present and huge entries do.
    #[must_use]
    pub const fn holds_reference(self) -> bool {
        matches!(self, Self::Present { .. } | Self::Huge { .. })
    }
}

/// Page-table entries at boot: `pages` entries like `pte`, at consecutive hvas and (unless huge) consecutive pfns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mapping {
    /// First hva: a multiple of the page size, for a huge entry of the size of its compound page.
    pub hva: Hva,
    /// How many entries, at least 1; exactly 1 for a huge entry.
    pub pages: u64,
    /// The first entry, never [`Pte::Hole`].
    pub pte: Pte,
}

/// `count` words of 8 bytes: `value`, `value + stride`, `value + 2 x stride`, and so on. The sums wrap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WordRun {
    /// The first word.
    pub value: u64,
    /// The difference between one word and the next.
    pub stride: u64,
    /// How many words, at least 1.
    pub count: u64,
}

/// The words of `runs`, one after the other.
pub fn words(runs: &[WordRun]) -> impl Iterator<Item = u64> + '_ {
    runs.iter().flat_map(|run| (0..run.count).map(move |i| run.value.wrapping_add(run.stride.wrapping_mul(i))))
}

/// How many words `runs` has in all, at most `u64::MAX`.
#[must_use]
pub fn word_count(runs: &[WordRun]) -> u64 {
    runs.iter().fold(0, |sum, run| sum.saturating_add(run.count))
}

/// What a part of memory holds at boot.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RamSpec {
    /// Real address of the first word, a multiple of 8, in present memory.
    pub at: RealAddr,
    /// The words, stored big-endian.
    pub words: Vec<WordRun>,
}

/// What a window has besides its guest values (semantics 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Backing {
    /// Nothing: the window is a table of guest values.
    #[default]
    Emulated,
    /// A hardware table. Each of its entries with permissions holds a reference on the page that it names.
    Pinned {
        /// Real address of the hardware table, which has 8 bytes an entry.
        hardware: RealAddr,
    },
}

/// A DMA window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WindowSpec {
    /// The number that names the window in hypercalls; below 2^32 in dialect `qemu`.
    pub liobn: Liobn,
    /// log2 of the bytes of the window's page, 12 ..= 34; for a pinned window at most PAGE_SHIFT.
    pub page_shift: u32,
    /// I/O bus address of entry 0: a multiple of the window's page, or any byte address in dialect `qemu`.
    pub base: u64,
    /// How many entries the window has, 1 ..= [`MAX_WINDOW_ENTRIES`].
    pub entries: u64,
    /// Real address of the table of guest values, which has 8 bytes an entry.
    pub table: RealAddr,
    /// What the window has besides its guest values.
    pub backing: Backing,
}

impl WindowSpec {
    /// The size of the window's page in bytes.
    #[must_use]
    pub const fn page(&self) -> u64 {
        1 << self.page_shift
    }

    /// Checks the window alone: its numbers, and what `dialect` allows. It does not look at memory or at other windows.
    ///
    /// # Errors The first thing that is wrong, in words.
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
        let bits = dialect.liobn_bits();
        if self.liobn.0 > u64::MAX >> (u64::BITS - bits) {
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

    /// The regions of real memory that hold the window's tables, each as its first address and its size in bytes.
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
    /// PAGE_SHIFT of the host.
    pub page_shift: PageShift,
    /// Size of a struct page in bytes: 56, 64, 72 or 80.
    pub struct_page: u64,
    /// The memory model: how struct pages are found.
    pub memory: MemoryModel,
    /// References and DIRTY of pages at boot, each page once.
    pub pages: Vec<PageSpec>,
    /// Compound pages at boot.
    pub compounds: Vec<CompoundSpec>,
    /// Memory slots at boot.
    pub slots: Vec<SlotSpec>,
    /// The host page table at boot.
    pub mappings: Vec<Mapping>,
    /// Contents of memory at boot; all other memory is zero.
    pub ram: Vec<RamSpec>,
    /// DMA windows at boot, with all entries zero.
    pub windows: Vec<WindowSpec>,
}

impl Machine {
    /// A machine that has memory and nothing else.
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

/// The item of a program that an error is about. The index counts the items of its kind from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// The machine line.
    Machine,
    /// `sections[i]`.
    Section(usize),
    /// `blocks[i]`.
    Block(usize),
    /// `pages[i]`.
    Page(usize),
    /// `compounds[i]`.
    Compound(usize),
    /// `slots[i]`.
    Slot(usize),
    /// `mappings[i]`.
    Mapping(usize),
    /// `ram[i]`.
    Ram(usize),
    /// `windows[i]`.
    Window(usize),
    /// `steps[i]` of the program.
    Step(usize),
}

impl Item {
    /// The first word of the lines that describe such items in the text form, or `step` for a step.
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

    /// The item's index among the items of its kind, or `None` for the machine line.
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

/// Why a description is invalid: it contradicts itself or exceeds a limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    /// The item that is wrong.
    pub item: Item,
    /// What is wrong with it, in words.
    pub reason: String,
    /// The item that it contradicts, if there is one: an item that overlaps it, or describes the same thing.
    pub other: Option<Item>,
}

impl Invalid {
    /// An error about `item` that contradicts no other item.
    #[must_use]
    pub fn new(item: Item, reason: impl Into<String>) -> Self {
        Self { item, reason: reason.into(), other: None }
    }

    /// The same error with the item that is contradicted.
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

/// The numbers of the vmemmap blocks that hold struct pages of `section`. `bytes` is the size of the struct pages of
/// one section, and `block_shift` is log2 of the block size. `(section + 1) * bytes` must fit 64 bits.
#[must_use]
pub const fn blocks_of_section(section: u64, bytes: u64, block_shift: u32) -> Range<u64> {
    (section * bytes) >> block_shift..(((section + 1) * bytes - 1) >> block_shift) + 1
}
