//! The simulated real memory: the one place where struct pages, TCE tables, guest pages and page-table entries lie.
//!
//! A subject reaches it through a [`Cpu`] only, which knows the CPU's mode and sees a last release, an address that real mode
//! can't reach, a store to memory that belongs to nobody. The host (the harness) sets it up and changes it with the
//! methods that take `&mut self`; the oracle reads it with [`RealMemory::peek`], [`RealMemory::changes`] and
//! [`RealMemory::contents`]. Memory that nothing was stored to reads as zero and costs nothing.
//!
//! Beside the image it keeps an *account*: for each page own(p) and its holders (page-table entries and hardware TCEs that name it,
//! on the head), followed store by store, so that `REF.HELD` is seen at the store that breaks it.

mod account;
mod cpu;
mod frames;
mod page_table;
mod pte;

pub use account::Account;
pub use cpu::{Context, Cpu, CpuReport, Event, Mode};

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use contract::addr::{Hva, Liobn, Pfn, RealAddr};
use contract::description::{MemoryModel, PageShift};
use frames::{FRAME_SHIFT, Frames, Key, NO_REGION, Space, Word};

/// Offsets and bits of a struct page (semantics 1).
pub mod struct_page {
    /// Offset of the u64 flags, little-endian.
    pub const FLAGS: u64 = 0;
    /// Offset of the i32 reference count, little-endian.
    pub const COUNT: u64 = 8;
    /// Offset of the u64 that holds a head's order or a tail's head pfn, little-endian.
    pub const COMPOUND: u64 = 16;
    /// Flag: head of a compound page.
    pub const HEAD: u64 = 1;
    /// Flag: tail of a compound page.
    pub const TAIL: u64 = 2;
    /// Flag: written since it was last clean.
    pub const DIRTY: u64 = 4;
}

/// What a region of real memory is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Struct pages; the region's first byte is `offset` bytes into the array (or virtual array).
    StructPages {
        /// Bytes from the struct page of pfn 0.
        offset: u64,
    },
    /// The guest values of a window.
    Table(Liobn),
    /// The hardware entries of a window.
    Hardware(Liobn),
    /// Pages.
    Ram,
    /// The vmemmap list.
    List,
}

/// A region of real memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// What it is for.
    pub owner: Owner,
}

/// Where a word lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At a real address, in a region (`None`: in memory that belonged to a region that has gone).
    Real(RealAddr, Option<Region>),
    /// The page-table entry of an hva page.
    PageTable(Hva),
}

/// How struct pages are found in this memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Model {
    Flatmem { array: u64, pages: u64 },
    Vmemmap { base: u64, block_shift: u32 },
}

/// The simulated real memory. See the module's text.
pub struct RealMemory {
    frames: Frames,
    /// Regions by number; a number is not used again while a program runs.
    regions: Vec<Region>,
    /// Numbers of the living regions, by start.
    order: Vec<u32>,
    /// Backed blocks (number, real address), by number.
    blocks: Vec<(u64, u64)>,
    page_shift: PageShift,
    struct_page: u64,
    model: Model,
    /// Events get rising numbers, so that the earliest of several CPUs can be told.
    sequence: AtomicU64,
}

impl Default for RealMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl RealMemory {
    /// An empty memory, for [`reset`](Self::reset).
    #[must_use]
    pub fn new() -> Self {
        Self {
            frames: Frames::default(),
            regions: Vec::new(),
            order: Vec::new(),
            blocks: Vec::new(),
            page_shift: PageShift::Shift12,
            struct_page: 64,
            model: Model::Flatmem { array: 0, pages: 0 },
            sequence: AtomicU64::new(0),
        }
    }

    /// Forgets everything; makes room for stores to `frames` frames of 4 KiB (a page-table frame holds 512 entries).
    pub fn reset(&mut self, page_shift: PageShift, struct_page: u64, memory: &MemoryModel, frames: usize) {
        self.frames.reset(frames);
        self.regions.clear();
        self.order.clear();
        self.blocks.clear();
        self.page_shift = page_shift;
        self.struct_page = struct_page;
        self.model = match *memory {
            MemoryModel::Flatmem { array, pages } => Model::Flatmem { array: array.0, pages },
            MemoryModel::SparsememVmemmap { base, block_shift, .. } => Model::Vmemmap { base, block_shift },
        };
        *self.sequence.get_mut() = 0;
    }

    /// Starts a step: [`changes`](Self::changes) counts from here.
    pub fn begin_step(&mut self) {
        self.frames.begin_step();
    }

    /// A CPU that runs one call of a subject. It may make `limit` accesses, then it is taken for hung.
    #[must_use]
    pub const fn cpu(&self, mode: Mode, vcpu: u8, context: Context, limit: u64) -> Cpu<'_> {
        Cpu::new(self, mode, vcpu, context, limit)
    }

    /// Adds a region; the caller sees to it that it overlaps none.
    pub fn add_region(&mut self, region: Region) {
        let number = self.regions.len() as u32;
        self.regions.push(region);
        let at = self.order.partition_point(|&other| self.regions[other as usize].start < region.start);
        self.order.insert(at, number);
    }

    /// Removes the region that starts at `start`; what lay there is forgotten.
    pub fn remove_region(&mut self, start: u64) {
        let Some(at) = self.order.iter().position(|&number| self.regions[number as usize].start == start) else {
            return;
        };
        let region = self.regions[self.order.remove(at) as usize];
        self.zero(region.start, region.end);
        for (frame, _) in self.frames.frames_within(region.start, region.end) {
            self.frames.set_region(frame, NO_REGION);
        }
    }

    /// Makes `[start, end)` (multiples of 8) zero.
    pub fn zero(&mut self, start: u64, end: u64) {
        for (frame, key) in self.frames.frames_within(start, end) {
            let address = key.number() << FRAME_SHIFT;
            let stored = self.frames.stored(frame);
            let from = start.saturating_sub(address) / 8;
            let to = (end - address).min(1 << FRAME_SHIFT) / 8;
            for index in from.max(stored.start)..to.min(stored.end) {
                self.put(Frames::word_of(frame, index), 0);
            }
        }
    }

    /// All regions, lowest first.
    pub fn regions(&self) -> impl Iterator<Item = Region> + '_ {
        self.order.iter().map(|&number| self.regions[number as usize])
    }

    /// The region that holds the byte at `real`.
    #[must_use]
    pub fn region_at(&self, real: u64) -> Option<Region> {
        self.region_number(real).map(|number| self.regions[number as usize])
    }

    /// The last region that starts at or below `real`, whether it reaches that far or not.
    #[must_use]
    pub fn region_from_below(&self, real: u64) -> Option<Region> {
        self.number_from_below(real).map(|number| self.regions[number as usize])
    }

    fn number_from_below(&self, real: u64) -> Option<u32> {
        let after = self.order.partition_point(|&number| self.regions[number as usize].start <= real);
        self.order.get(after.checked_sub(1)?).copied()
    }

    fn region_number(&self, real: u64) -> Option<u32> {
        self.number_from_below(real).filter(|&number| real < self.regions[number as usize].end)
    }

    /// The frame that holds `real`, if a store has made it, and the region that owns it.
    fn find(&self, real: u64) -> Option<(Option<Word>, Region)> {
        match self.frames.find(Key::new(Space::Real, real >> FRAME_SHIFT)) {
            Some(frame) => {
                let mut number = self.frames.region(frame);
                if number == NO_REGION {
                    number = self.region_number(real)?;
                    self.frames.set_region(frame, number);
                }
                let region = self.regions[number as usize];
                (real < region.end).then(|| (Some(Frames::word_of(frame, real >> 3)), region))
            }
            None => self.region_at(real).map(|region| (None, region)),
        }
    }

    /// Backs block `number` by memory at `real`.
    pub fn add_block(&mut self, number: u64, real: RealAddr) {
        let Model::Vmemmap { block_shift, .. } = self.model else { return };
        let at = self.blocks.partition_point(|&(other, _)| other < number);
        self.blocks.insert(at, (number, real.0));
        let owner = Owner::StructPages { offset: number << block_shift };
        self.add_region(Region { start: real.0, end: real.0 + (1 << block_shift), owner });
    }

    /// Takes block `number` away.
    pub fn remove_block(&mut self, number: u64) {
        if let Ok(at) = self.blocks.binary_search_by_key(&number, |&(other, _)| other) {
            let (_, real) = self.blocks.remove(at);
            self.remove_region(real);
        }
    }

    /// Backed blocks, as (number, real address), ascending.
    #[must_use]
    pub fn blocks(&self) -> &[(u64, u64)] {
        &self.blocks
    }

    /// The eight bytes at `real` (a multiple of 8), little-endian; zero where nothing was stored.
    #[must_use]
    pub fn peek(&self, real: RealAddr) -> u64 {
        match self.frames.find(Key::new(Space::Real, real.0 >> FRAME_SHIFT)) {
            Some(frame) => self.frames.word(Frames::word_of(frame, real.0 >> 3)).load(Relaxed),
            None => 0,
        }
    }

    /// Like [`peek`](Self::peek), but `None` where [`changes`](Self::changes) tells of the word.
    #[must_use]
    pub fn peek_unchanged(&self, real: RealAddr) -> Option<u64> {
        match self.frames.find(Key::new(Space::Real, real.0 >> FRAME_SHIFT)) {
            Some(frame) => {
                let word = Frames::word_of(frame, real.0 >> 3);
                (!self.frames.is_logged(word)).then(|| self.frames.word(word).load(Relaxed))
            }
            None => Some(0),
        }
    }

    /// The host stores eight bytes, little-endian, at `real` (a multiple of 8).
    pub fn poke(&mut self, real: RealAddr, value: u64) {
        if value == 0 && self.peek(real) == 0 {
            return;
        }
        if let Some(frame) = self.frames.find_or_make(Key::new(Space::Real, real.0 >> FRAME_SHIFT)) {
            self.put(Frames::word_of(frame, real.0 >> 3), value);
        }
    }

    fn put(&self, word: Word, value: u64) {
        let old = self.frames.word(word).swap(value, Relaxed);
        if old != value {
            self.frames.log(word, old);
        }
    }

    /// Where the word at byte `offset` of the page's struct page lies. Word by word, a split struct page has a place too.
    #[must_use]
    pub fn struct_page_word(&self, pfn: Pfn, offset: u64) -> Option<RealAddr> {
        if pfn.0 >= self.page_shift.pfn_limit() {
            return None;
        }
        let at = pfn.0 * self.struct_page + offset;
        match self.model {
            Model::Flatmem { array, pages } => (pfn.0 < pages).then_some(RealAddr(array + at)),
            Model::Vmemmap { .. } => self.block_address(at).map(RealAddr),
        }
    }

    fn block_address(&self, offset: u64) -> Option<u64> {
        let Model::Vmemmap { block_shift, .. } = self.model else { return None };
        let at = self.blocks.binary_search_by_key(&(offset >> block_shift), |&(number, _)| number).ok()?;
        Some(self.blocks[at].1 + (offset & ((1 << block_shift) - 1)))
    }

    /// The word at byte `offset` of the page's struct page; zero where it is not backed.
    #[must_use]
    pub fn page_word(&self, pfn: Pfn, offset: u64) -> u64 {
        self.struct_page_word(pfn, offset).map_or(0, |real| self.peek(real))
    }

    /// Host: stores a word of the page's struct page.
    pub fn set_page_word(&mut self, pfn: Pfn, offset: u64, value: u64) {
        if let Some(real) = self.struct_page_word(pfn, offset) {
            self.poke(real, value);
        }
    }

    /// The page's reference count.
    #[must_use]
    pub fn count(&self, pfn: Pfn) -> i32 {
        self.page_word(pfn, struct_page::COUNT) as i32
    }

    /// Host: sets the page's reference count.
    pub fn set_count(&mut self, pfn: Pfn, count: i32) {
        self.set_page_word(pfn, struct_page::COUNT, u64::from(count as u32));
    }

    /// Host: changes the page's reference count by `delta` (wrapping).
    pub fn add_count(&mut self, pfn: Pfn, delta: i32) {
        if let Some(real) = self.struct_page_word(pfn, struct_page::COUNT) {
            let count = (self.peek(real) as i32).wrapping_add(delta);
            self.poke(real, u64::from(count as u32));
        }
    }

    /// The page that holds the references: the head for a tail, else the page itself.
    #[must_use]
    pub fn head(&self, pfn: Pfn) -> Pfn {
        if self.page_word(pfn, struct_page::FLAGS) & struct_page::TAIL != 0 {
            Pfn(self.page_word(pfn, struct_page::COMPOUND))
        } else {
            pfn
        }
    }

    /// Host: copies `bytes` (a multiple of 4096) from `from` to `to`, both multiples of 4096.
    pub fn copy(&mut self, from: RealAddr, to: RealAddr, bytes: u64) {
        for offset in (0..bytes).step_by(1 << FRAME_SHIFT) {
            let key = |at: RealAddr| Key::new(Space::Real, (at.0 + offset) >> FRAME_SHIFT);
            match self.frames.find(key(from)) {
                None => self.zero(to.0 + offset, to.0 + offset + (1 << FRAME_SHIFT)),
                Some(source) => {
                    let Some(target) = self.frames.find_or_make(key(to)) else { continue };
                    let (filled, covered) = (self.frames.stored(source), self.frames.stored(target));
                    for index in filled.start.min(covered.start)..filled.end.max(covered.end) {
                        let value = self.frames.word(Frames::word_of(source, index)).load(Relaxed);
                        self.put(Frames::word_of(target, index), value);
                    }
                }
            }
        }
    }

    /// Size of a struct page in bytes.
    #[must_use]
    pub const fn struct_page_size(&self) -> u64 {
        self.struct_page
    }

    /// The words that were stored to since [`begin_step`](Self::begin_step) with their values before it and now, in the order of
    /// the first stores; words that are as they were are among them.
    pub fn changes(&self) -> impl Iterator<Item = (Place, u64, u64)> + '_ {
        self.frames
            .logged()
            .filter_map(|(word, old)| self.place(word).map(|place| (place, old, self.frames.word(word).load(Relaxed))))
    }

    /// Whether a word is not as it was at [`begin_step`](Self::begin_step).
    pub fn differences(&self) -> impl Iterator<Item = (Place, u64, u64)> + '_ {
        self.changes().filter(|(_, old, new)| old != new)
    }

    /// All words that are not zero.
    pub fn contents(&self) -> impl Iterator<Item = (Place, u64)> + '_ {
        self.frames.frames().filter(|(_, key)| key.space() != Space::Account).flat_map(move |(frame, key)| {
            let region = self.frame_region(frame, key);
            let words = self.frames.nonzero(frame);
            words.filter_map(move |(index, value)| self.place_in(key, region, index).map(|place| (place, value)))
        })
    }

    #[inline]
    fn place(&self, word: Word) -> Option<Place> {
        let (key, index) = self.frames.place(word);
        let region = self.frame_region(word / frames::FRAME_WORDS as u32, key);
        self.place_in(key, region, index)
    }

    /// The region that the frame's first byte lies in. Regions start where frames do, so it is that of every byte which it
    /// reaches.
    #[inline]
    fn frame_region(&self, frame: u32, key: Key) -> Option<&Region> {
        if key.space() != Space::Real {
            return None;
        }
        let number = match self.frames.region(frame) {
            NO_REGION => {
                let number = self.region_number(key.number() << FRAME_SHIFT);
                number.inspect(|&number| self.frames.set_region(frame, number))
            }
            number => Some(number),
        };
        number.and_then(|number| self.regions.get(number as usize))
    }

    #[inline]
    fn place_in(&self, key: Key, region: Option<&Region>, index: u64) -> Option<Place> {
        match key.space() {
            Space::Real => {
                let real = key.number() << FRAME_SHIFT | index << 3;
                let region = region.filter(|region| real < region.end).copied();
                Some(Place::Real(RealAddr(real), region))
            }
            Space::PageTable => Some(Place::PageTable(Hva((key.number() << 9 | index) << self.page_shift.bits()))),
            Space::Account => None,
        }
    }
}
