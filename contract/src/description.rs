//! The description of a machine, as data that a program carries (semantics 1), and what makes one contradict itself.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::addr::{Gfn, Hva, Liobn, Pfn, RealAddr};
use crate::dialect::Dialect;

/// Everything described lies below 2^46 (MAX_PHYSMEM_BITS).
pub const MAX_PHYSMEM_BITS: u32 = 46;
/// A section is 2^24 bytes of memory (SECTION_SIZE_BITS).
pub const SECTION_SIZE_BITS: u32 = 24;
/// Regions start at multiples of this many bytes.
pub const REGION_ALIGN: u64 = 4096;
/// Bytes of the area that holds the vmemmap list.
pub const LIST_AREA_BYTES: u64 = 1 << 20;
/// Bytes of a node of the vmemmap list: next, real address, virtual address.
pub const LIST_NODE_BYTES: u64 = 24;
/// Largest order of a compound page.
pub const MAX_ORDER: u32 = 9;
/// Largest number of references the host itself may hold on a page that is mapped or taken.
pub const MAX_OWN: i32 = 1 << 30;
/// Most memory slots; a slot's number is below it.
pub const MAX_SLOTS: u32 = 512;
/// Most DMA windows at a time.
pub const MAX_WINDOWS: usize = 512;
/// Most entries of one window.
pub const MAX_WINDOW_ENTRIES: u64 = 1 << 16;
/// Most entries of all windows of a description together.
pub const MAX_TOTAL_ENTRIES: u64 = 1 << 18;
/// Most present sections of a description.
pub const MAX_SECTIONS: usize = 1024;
/// Most blocks backed at a time: what the vmemmap list's area can hold.
pub const MAX_BLOCKS: u64 = (LIST_AREA_BYTES - 8) / LIST_NODE_BYTES;
/// Most host pages that the mappings of a description cover.
pub const MAX_MAPPED_PAGES: u64 = 1 << 16;
/// Most pages that a description gives references, and most words of memory that it gives contents.
pub const MAX_ITEMS: u64 = 1 << 16;

/// Host PAGE_SHIFT.
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

    /// The page's size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self as u32
    }

    /// Pages of a 2^24-byte section: 4096 or 256.
    #[must_use]
    pub const fn pages_per_section(self) -> u64 {
        1 << (SECTION_SIZE_BITS - self as u32)
    }

    /// The first pfn past what 46 address bits can name.
    #[must_use]
    pub const fn pfn_limit(self) -> u64 {
        1 << (MAX_PHYSMEM_BITS - self as u32)
    }
}

/// A run of consecutive addresses `at`, `at + block size`, ...: the places of `count` blocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct AddrRun {
    /// Real address of the first block.
    pub at: RealAddr,
    /// How many blocks, at least 1.
    pub count: u64,
}

/// Backed vmemmap blocks: `places.count` blocks from block number `first` on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BlockRun {
    /// Number of the first block: (its virtual address - base) / block size.
    pub first: u64,
    /// Where they lie.
    pub places: AddrRun,
}

/// How `struct page` is found (semantics 1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MemoryModel {
    /// One array at a linear-map address.
    Flatmem {
        /// Real address of the array.
        array: RealAddr,
        /// Pages 0 .. pages exist.
        pages: u64,
    },
    /// A virtual array, backed block by block.
    SparsememVmemmap {
        /// Virtual address of the struct page of pfn 0, a multiple of the block size.
        base: u64,
        /// log2 of the block size: 12, 16, 21 or 24.
        block_shift: u32,
        /// Real address of the vmemmap list's area.
        list: RealAddr,
        /// Sections present at boot, ascending, without repetition.
        sections: Vec<u64>,
        /// The blocks those sections need, ascending, each exactly once.
        blocks: Vec<BlockRun>,
    },
}

/// A page of whose references or dirtiness the description says something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PageSpec {
    /// Which page; a head or an order-0 page, never a tail.
    pub pfn: Pfn,
    /// References the host itself holds.
    pub own: i32,
    /// Whether DIRTY is set.
    pub dirty: bool,
}

/// A compound page that exists at boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct CompoundSpec {
    /// The head's pfn, a multiple of 2^order.
    pub pfn: Pfn,
    /// 1 ..= [`MAX_ORDER`].
    pub order: u32,
}

/// A memory slot: gfns `gfn .. gfn + pages` are the hva range that starts at `hva`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SlotSpec {
    /// The slot's number, below [`MAX_SLOTS`].
    pub id: u32,
    /// First guest frame.
    pub gfn: Gfn,
    /// Host pages; 0 only in a step that deletes the slot.
    pub pages: u64,
    /// Host virtual address of the first page, a multiple of the host page.
    pub hva: Hva,
}

/// What the host page table says of an hva page (semantics 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Pte {
    /// Nothing: the host cannot supply a page.
    #[default]
    Hole,
    /// A page is there.
    Present {
        /// Which.
        pfn: Pfn,
        /// Whether the guest's memory may be written.
        writable: bool,
        /// Whether it was written.
        dirty: bool,
        /// Whether it was accessed.
        young: bool,
    },
    /// One entry covers a whole compound page.
    Huge {
        /// The head's pfn.
        pfn: Pfn,
        /// Its order: the entry covers 2^order hva pages.
        order: u32,
        /// Whether the guest's memory may be written.
        writable: bool,
        /// Whether it was written.
        dirty: bool,
        /// Whether it was accessed.
        young: bool,
    },
    /// A page can be faulted in.
    Absent {
        /// Which.
        pfn: Pfn,
    },
}

impl Pte {
    /// How many hva pages the entry covers.
    #[must_use]
    pub const fn pages(self) -> u64 {
        match self {
            Self::Huge { order, .. } => 1 << order,
            _ => 1,
        }
    }

    /// The pfn that the entry names, the head's for a huge one.
    #[must_use]
    pub const fn pfn(self) -> Option<Pfn> {
        match self {
            Self::Hole => None,
            Self::Present { pfn, .. } | Self::Huge { pfn, .. } | Self::Absent { pfn } => Some(pfn),
        }
    }

    /// Whether the entry holds a reference: present and huge ones do.
    #[must_use]
    pub const fn holds_reference(self) -> bool {
        matches!(self, Self::Present { .. } | Self::Huge { .. })
    }
}

/// Page-table entries at boot: `pages` entries like `pte`, at consecutive hvas and (unless huge) consecutive pfns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mapping {
    /// First hva, a multiple of the host page (of the compound page, for a huge entry).
    pub hva: Hva,
    /// How many entries; 1 for a huge one.
    pub pages: u64,
    /// The first entry; never [`Pte::Hole`].
    pub pte: Pte,
}

/// `count` big-endian words: `value`, `value + stride`, `value + 2 x stride`, ... (wrapping).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WordRun {
    /// The first word.
    pub value: u64,
    /// What is added from word to word.
    pub stride: u64,
    /// How many words, at least 1.
    pub count: u64,
}

/// The words of `runs`, one after the other.
pub fn words(runs: &[WordRun]) -> impl Iterator<Item = u64> + '_ {
    runs.iter().flat_map(|run| (0..run.count).map(move |i| run.value.wrapping_add(run.stride.wrapping_mul(i))))
}

/// How many words `runs` has in all (saturating).
#[must_use]
pub fn word_count(runs: &[WordRun]) -> u64 {
    runs.iter().fold(0, |sum, run| sum.saturating_add(run.count))
}

/// Contents of memory at boot.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RamSpec {
    /// Real address of the first word, a multiple of 8, in present memory.
    pub at: RealAddr,
    /// The words, big-endian in memory.
    pub words: Vec<WordRun>,
}

/// What stands behind a window's guest values (semantics 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Backing {
    /// Nothing: raw values are stored.
    #[default]
    Emulated,
    /// A hardware table whose entries hold references.
    Pinned {
        /// Real address of the hardware table, 8 bytes an entry.
        hardware: RealAddr,
    },
}

/// A DMA window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WindowSpec {
    /// Its name.
    pub liobn: Liobn,
    /// log2 of the window's page, 12 ..= 34.
    pub page_shift: u32,
    /// I/O bus address of entry 0.
    pub base: u64,
    /// 1 ..= [`MAX_WINDOW_ENTRIES`].
    pub entries: u64,
    /// Real address of the table of guest values, 8 bytes an entry.
    pub table: RealAddr,
    /// What stands behind it.
    pub backing: Backing,
}

impl WindowSpec {
    /// The window's page in bytes.
    #[must_use]
    pub const fn page(&self) -> u64 {
        1 << self.page_shift
    }

    /// What is wrong with the window taken alone, if anything.
    ///
    /// # Errors
    /// The reason, in words.
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

    /// The regions of real memory that the window's tables take, as (start, bytes).
    pub fn regions(&self) -> impl Iterator<Item = (RealAddr, u64)> + use<> {
        let hardware = match self.backing {
            Backing::Emulated => None,
            Backing::Pinned { hardware } => Some(hardware),
        };
        let bytes = self.entries.saturating_mul(8);
        core::iter::once(self.table).chain(hardware).map(move |start| (start, bytes))
    }
}

/// A machine (semantics 1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Machine {
    /// Host PAGE_SHIFT.
    pub page_shift: PageShift,
    /// Size of a struct page in bytes: 56, 64, 72 or 80.
    pub struct_page: u64,
    /// How struct pages are found.
    pub memory: MemoryModel,
    /// References and dirtiness of pages.
    pub pages: Vec<PageSpec>,
    /// Compound pages.
    pub compounds: Vec<CompoundSpec>,
    /// Memory slots.
    pub slots: Vec<SlotSpec>,
    /// The host page table.
    pub mappings: Vec<Mapping>,
    /// Contents of memory.
    pub ram: Vec<RamSpec>,
    /// DMA windows.
    pub windows: Vec<WindowSpec>,
}

impl Machine {
    /// A machine with nothing on it but its memory.
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

/// Which line of a description an error is about.
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
    /// The word that lines of such items begin with in the text form; `step` for steps.
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

    /// Which of the items of its kind it is, from 0 on; `None` for the machine line.
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

/// A description that contradicts itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    /// Where.
    pub item: Item,
    /// Why, in words.
    pub reason: String,
    /// The item that this one contradicts, where there is one: it overlaps it, say, or describes the same again.
    pub other: Option<Item>,
}

impl Invalid {
    /// An error about `item`.
    #[must_use]
    pub fn new(item: Item, reason: impl Into<String>) -> Self {
        Self { item, reason: reason.into(), other: None }
    }

    /// The same, with the item that is contradicted.
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

/// The numbers of the blocks that hold struct pages of the section, of which it has `bytes`.
#[must_use]
pub const fn blocks_of_section(section: u64, bytes: u64, block_shift: u32) -> Range<u64> {
    (section * bytes) >> block_shift..(((section + 1) * bytes - 1) >> block_shift) + 1
}
