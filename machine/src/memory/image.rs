//! [`RealMemory`]: regions, vmemmap blocks, struct pages and words, and the log of what a step changed.

use alloc::vec::Vec;
use core::cell::{Cell, OnceCell};
use core::sync::atomic::Ordering::Relaxed;

use contract::addr::{Hva, Pfn, RealAddr};
use contract::description::{MAX_ORDER, MemoryModel, PageShift, REGION_ALIGN};

use super::actor::{Actor, Actors};
use super::fault::{Fault, Unstored};
use super::frames::{FRAME_SHIFT, Frame, Frames, Key, NO_REGION, Space};
use super::region::{Owner, Place, Region};
use super::struct_page;

/// The memory model, as far as it is needed to find struct pages. docs/semantics.md, section 1, explains the values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Model {
    Flatmem { array: u64, pages: u64 },
    Vmemmap { base: u64, block_shift: u32, list: u64 },
}

/// The simulated real memory, with the host's record of its regions, vmemmap blocks and compound pages. The text of the
/// module [`memory`](super) explains it.
///
/// A memory belongs to one thread: CPUs borrow it, and one of them runs at a time.
pub struct RealMemory {
    pub(super) frames: Frames,
    /// Regions by number, from 0, removed ones included. Numbers are not reused while a program runs.
    pub(super) regions: Vec<Region>,
    /// Numbers of the regions that were not removed, sorted by start address.
    pub(super) order: Vec<u32>,
    /// Backed vmemmap blocks as (number, real address), sorted by number.
    pub(super) blocks: Vec<(u64, u64)>,
    /// Compound pages as (pfn of the head, order), sorted by pfn.
    pub(super) compounds: Vec<(u64, u32)>,
    pub(super) page_shift: PageShift,
    pub(super) struct_page: u64,
    pub(super) model: Model,
    /// Number that the next event of any CPU gets. Numbers ascend in time, so that the earliest event of several CPUs
    /// is known.
    pub(super) sequence: Cell<u64>,
    fault: OnceCell<Fault>,
}

impl Default for RealMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// A word of memory that the running step changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoggedWord {
    /// Where the word lies.
    pub place: Place,
    /// Value of the word before the step, little-endian.
    pub before: u64,
    /// Value of the word now, little-endian. It may equal `before`, if it was changed back.
    pub now: u64,
    /// The actors that changed the word in this step.
    pub actors: Actors,
}

impl RealMemory {
    /// Makes a memory without regions. [`reset`](Self::reset) gives it a memory model.
    #[must_use]
    pub fn new() -> Self {
        Self {
            frames: Frames::default(),
            regions: Vec::new(),
            order: Vec::new(),
            blocks: Vec::new(),
            compounds: Vec::new(),
            page_shift: PageShift::Shift12,
            struct_page: 64,
            model: Model::Flatmem { array: 0, pages: 0 },
            sequence: Cell::new(0),
            fault: OnceCell::new(),
        }
    }

    /// Forgets everything, faults included, takes the memory model, and allocates `frames` frames of 4 KiB in advance:
    /// as many as the program's stores are known to need ([`Program::frames_bound`](contract::Program::frames_bound)).
    /// `struct_page` is the size of a struct page in bytes.
    pub fn reset(&mut self, page_shift: PageShift, struct_page: u64, memory: &MemoryModel, frames: u32) {
        self.frames.reset(frames);
        self.regions.clear();
        self.order.clear();
        self.blocks.clear();
        self.compounds.clear();
        self.page_shift = page_shift;
        self.struct_page = struct_page;
        self.model = match *memory {
            MemoryModel::Flatmem { array, pages } => Model::Flatmem { array: array.0, pages },
            MemoryModel::SparsememVmemmap { base, block_shift, list, .. } => {
                Model::Vmemmap { base, block_shift, list: list.0 }
            }
        };
        self.sequence.set(0);
        self.fault.take();
    }

    /// Starts a step: [`log`](Self::log), [`changes`](Self::changes) and [`differences`](Self::differences) have what
    /// changes from now on.
    pub fn begin_step(&mut self) {
        self.frames.begin_step();
    }

    /// Returns the first fault since [`reset`](Self::reset); `None` if there is none. After a fault the contents of
    /// memory mean nothing, so no finding may be based on them.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
    }

    /// Reports a fault. Only the first fault since [`reset`](Self::reset) is kept.
    pub fn report_fault(&self, fault: Fault) {
        self.fault.get_or_init(|| fault);
    }

    pub(super) fn no_frame(&self, place: Unstored) {
        self.report_fault(Fault::NoFrame { place, frames: self.frames.limit() });
    }

    /// Returns the number of frames of 4 KiB that stores have made since [`reset`](Self::reset).
    #[must_use]
    pub fn frames_made(&self) -> u32 {
        self.frames.made()
    }

    /// Adds a region. The region must not be empty, must start at a multiple of 4 KiB, and must not overlap another
    /// region: else this reports a [`Fault`] and adds nothing.
    pub fn add_region(&mut self, region: Region) {
        if region.start >= region.end || !region.start.is_multiple_of(REGION_ALIGN) {
            return self.report_fault(Fault::RegionShape(region));
        }
        let at = self.order.partition_point(|&other| self.regions[other as usize].start < region.start);
        let below = self.order[..at].last().map(|&number| self.regions[number as usize]);
        let above = self.order.get(at).map(|&number| self.regions[number as usize]);
        if let Some(other) = below.filter(|below| below.end > region.start) {
            return self.report_fault(Fault::RegionsOverlap(other, region));
        }
        if let Some(other) = above.filter(|above| above.start < region.end) {
            return self.report_fault(Fault::RegionsOverlap(region, other));
        }
        let number = self.regions.len() as u32;
        self.regions.push(region);
        self.order.insert(at, number);
    }

    /// Removes the region that starts at real address `start`, and makes its words zero. Reports a [`Fault`] if no
    /// region starts there.
    pub fn remove_region(&mut self, start: u64) {
        let Some(at) = self.order.iter().position(|&number| self.regions[number as usize].start == start) else {
            return self.report_fault(Fault::NoRegion { start });
        };
        let region = self.regions[self.order.remove(at) as usize];
        self.zero(region.start, region.end);
        for frame in self.frames.frames_within(region.start, region.end) {
            frame.set_region(NO_REGION);
        }
    }

    /// Host: sets the bytes at real addresses `start .. end` to zero. Both are multiples of 8, and `start` is below
    /// `end`.
    pub fn zero(&mut self, start: u64, end: u64) {
        for frame in self.frames.frames_within(start, end) {
            let address = frame.key().number() << FRAME_SHIFT;
            let stored = frame.stored();
            let from = (start.max(address) - address) / 8;
            let to = (end - address).min(1 << FRAME_SHIFT) / 8;
            for index in from.max(stored.start)..to.min(stored.end) {
                self.put(frame, index, 0);
            }
        }
    }

    /// Returns the words that are not zero at real addresses `start .. end` (multiples of 8, `start` below `end`), each
    /// with its address, little-endian.
    pub fn contents_within(&self, start: u64, end: u64) -> impl Iterator<Item = (RealAddr, u64)> + '_ {
        let words = self.frames.frames_within(start, end).flat_map(|frame| {
            let address = frame.key().number() << FRAME_SHIFT;
            frame.nonzero().map(move |(index, word)| (RealAddr(address | index << 3), word))
        });
        words.filter(move |(real, _)| (start..end).contains(&real.0))
    }

    /// Returns all regions, sorted by start address.
    pub fn regions(&self) -> impl Iterator<Item = Region> + '_ {
        self.order.iter().map(|&number| self.regions[number as usize])
    }

    /// Returns the region that holds the byte at real address `real`; `None` outside all regions.
    #[must_use]
    pub fn region_at(&self, real: u64) -> Option<Region> {
        self.region_number(real).map(|number| self.regions[number as usize])
    }

    /// Returns the region with the highest start at or below real address `real`, whether it covers `real` or not;
    /// `None` if all regions start above.
    #[must_use]
    pub fn region_from_below(&self, real: u64) -> Option<Region> {
        self.number_from_below(real).map(|number| self.regions[number as usize])
    }

    fn number_from_below(&self, real: u64) -> Option<u32> {
        let after = self.order.partition_point(|&number| self.regions[number as usize].start <= real);
        self.order.get(after.checked_sub(1)?).copied()
    }

    pub(super) fn region_number(&self, real: u64) -> Option<u32> {
        self.number_from_below(real).filter(|&number| real < self.regions[number as usize].end)
    }

    /// Returns the frame of the byte at real address `real` (`None` if no store has made it), and the number of the
    /// region that holds the byte. `None` outside all regions.
    pub(super) fn find(&self, real: u64) -> Option<(Option<&Frame>, u32)> {
        let Some(frame) = self.frames.find(Key::new(Space::Real, real >> FRAME_SHIFT)) else {
            return self.region_number(real).map(|number| (None, number));
        };
        let mut number = frame.region();
        if number == NO_REGION {
            number = self.region_number(real)?;
            frame.set_region(number);
        }
        (real < self.regions[number as usize].end).then_some((Some(frame), number))
    }

    /// Backs vmemmap block number `number` by memory at real address `real`, a multiple of the block's size, and adds
    /// the region of its struct pages. The memory model must be sparsemem-vmemmap, and the block must not be backed
    /// yet: else this reports a [`Fault`] and does nothing.
    pub fn add_block(&mut self, number: u64, real: RealAddr) {
        let Model::Vmemmap { block_shift, .. } = self.model else {
            return self.report_fault(Fault::NoBlock { number });
        };
        let Err(at) = self.find_block(number) else {
            return self.report_fault(Fault::BlockTwice { number });
        };
        self.blocks.insert(at, (number, real.0));
        let owner = Owner::StructPages { offset: number << block_shift };
        self.add_region(Region { start: real.0, end: real.0 + (1 << block_shift), owner });
    }

    /// Removes vmemmap block number `number` with the region of its struct pages, whose contents are lost. Reports a
    /// [`Fault`] if the block is not backed.
    pub fn remove_block(&mut self, number: u64) {
        match self.find_block(number) {
            Ok(at) => {
                let (_, real) = self.blocks.remove(at);
                self.remove_region(real);
            }
            Err(_) => self.report_fault(Fault::NoBlock { number }),
        }
    }

    fn find_block(&self, number: u64) -> Result<usize, usize> {
        self.blocks.binary_search_by_key(&number, |&(number, _)| number)
    }

    /// Returns the real address of vmemmap block number `number`; `None` if the block is not backed.
    #[must_use]
    pub fn block(&self, number: u64) -> Option<RealAddr> {
        self.find_block(number).ok().map(|at| RealAddr(self.blocks[at].1))
    }

    /// Returns the backed vmemmap blocks as (number, real address), sorted by number.
    #[must_use]
    pub fn blocks(&self) -> &[(u64, u64)] {
        &self.blocks
    }

    /// Returns the eight bytes at real address `real` (a multiple of 8), little-endian; 0 if nothing was stored there.
    #[must_use]
    pub fn peek(&self, real: RealAddr) -> u64 {
        match self.frames.find(Key::new(Space::Real, real.0 >> FRAME_SHIFT)) {
            Some(frame) => frame.word(real.0 >> 3).load(Relaxed),
            None => 0,
        }
    }

    /// Returns the eight bytes at `real` like [`peek`](Self::peek), but `None` if the running step changed them, so
    /// that [`changes`](Self::changes) has the word.
    #[must_use]
    pub fn peek_unchanged(&self, real: RealAddr) -> Option<u64> {
        match self.frames.find(Key::new(Space::Real, real.0 >> FRAME_SHIFT)) {
            Some(frame) if self.frames.is_logged(frame, real.0 >> 3) => None,
            Some(frame) => Some(frame.word(real.0 >> 3).load(Relaxed)),
            None => Some(0),
        }
    }

    /// Host: stores `value` in the eight bytes at real address `real` (a multiple of 8), little-endian. If memory has
    /// no frame left, reports a [`Fault`] and stores nothing.
    pub fn poke(&mut self, real: RealAddr, value: u64) {
        if value == 0 && self.peek(real) == 0 {
            return;
        }
        match self.frames.find_or_make(Key::new(Space::Real, real.0 >> FRAME_SHIFT)) {
            Some(frame) => self.put(frame, real.0 >> 3, value),
            None => self.no_frame(Unstored::Real(real)),
        }
    }

    /// Stores `value` in the word with index `index` modulo 512 of `frame`, and logs the host as the actor.
    pub(super) fn put(&self, frame: &Frame, index: u64, value: u64) {
        let word = frame.word(index);
        let old = word.load(Relaxed);
        if old != value {
            word.store(value, Relaxed);
            self.frames.log(frame, index, old, Actors::only(Actor::Host));
        }
    }

    /// Returns the real address of the word at byte `offset` of the page's struct page; `None` if this word is not
    /// backed (for flatmem, if the page does not exist), or if the page lies at or above 2^46. Two words of a split
    /// struct page can lie in different blocks.
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

    /// Returns the real address of the byte at `offset` bytes from the base of the vmemmap range; `None` if its block
    /// is not backed, or in flatmem.
    pub(super) fn block_address(&self, offset: u64) -> Option<u64> {
        let Model::Vmemmap { block_shift, .. } = self.model else { return None };
        self.block(offset >> block_shift).map(|block| block.0 + (offset & ((1 << block_shift) - 1)))
    }

    /// Returns the word at byte `offset` of the page's struct page, little-endian; 0 if the word is not backed, because
    /// a subject may name any page.
    #[must_use]
    pub fn page_word(&self, pfn: Pfn, offset: u64) -> u64 {
        self.struct_page_word(pfn, offset).map_or(0, |real| self.peek(real))
    }

    /// Host: stores `value`, little-endian, in the word at byte `offset` of the page's struct page. Reports a [`Fault`]
    /// if the word is not backed.
    pub fn set_page_word(&mut self, pfn: Pfn, offset: u64, value: u64) {
        match self.struct_page_word(pfn, offset) {
            Some(real) => self.poke(real, value),
            None => self.report_fault(Fault::NoStructPage { pfn }),
        }
    }

    /// Returns the reference count in the page's own struct page, which for a tail is not the head's; 0 if it is not
    /// backed.
    #[must_use]
    pub fn count(&self, pfn: Pfn) -> i32 {
        self.page_word(pfn, struct_page::COUNT) as i32
    }

    /// Host: sets the reference count in the page's own struct page. Reports a [`Fault`] if it is not backed.
    pub fn set_count(&mut self, pfn: Pfn, count: i32) {
        self.set_page_word(pfn, struct_page::COUNT, u64::from(count as u32));
    }

    /// Host: adds `delta` to the reference count in the page's own struct page. The count wraps like that of an unnamed
    /// page (docs/semantics.md, section 3). Reports a [`Fault`] if the struct page is not backed.
    pub fn add_count(&mut self, pfn: Pfn, delta: i32) {
        match self.struct_page_word(pfn, struct_page::COUNT) {
            Some(real) => {
                let count = (self.peek(real) as i32).wrapping_add(delta);
                self.poke(real, u64::from(count as u32));
            }
            None => self.report_fault(Fault::NoStructPage { pfn }),
        }
    }

    /// Returns the page that keeps the references on the page `pfn`: the head for a tail, else the page itself. The
    /// answer comes from the host's record of compound pages, which no subject can change.
    #[must_use]
    pub fn head(&self, pfn: Pfn) -> Pfn {
        let after = self.compounds.partition_point(|&(head, _)| head <= pfn.0);
        match self.compounds[..after].last() {
            Some(&(head, order)) if pfn.0 - head < 1 << order => Pfn(head),
            _ => pfn,
        }
    }

    /// Host: makes a compound page of the 2^`order` pages from `head` on: sets HEAD and TAIL, and the words with order
    /// and head. The tails lose DIRTY. Counts and account stay as they are: the caller moves them. None of the pages
    /// may be compound, `order` must be 1 to 9, and `head` a multiple of 2^`order`: else this reports a [`Fault`] and
    /// does nothing.
    pub fn mark_compound(&mut self, head: Pfn, order: u32) {
        let fault = Fault::Compound { pfn: head, order };
        if !(1..=MAX_ORDER).contains(&order) || !head.0.is_multiple_of(1 << order) {
            return self.report_fault(fault);
        }
        let at = self.compounds.partition_point(|&(other, _)| other < head.0);
        let taken =
            self.head(head) != head || self.compounds.get(at).is_some_and(|&(other, _)| other - head.0 < 1 << order);
        if taken {
            return self.report_fault(fault);
        }
        self.compounds.insert(at, (head.0, order));
        let flags = self.page_word(head, struct_page::FLAGS);
        self.set_page_word(head, struct_page::FLAGS, flags | struct_page::HEAD);
        self.set_page_word(head, struct_page::COMPOUND, u64::from(order));
        for tail in (1..1 << order).map(|index| Pfn(head.0 + index)) {
            self.set_page_word(tail, struct_page::FLAGS, struct_page::TAIL);
            self.set_page_word(tail, struct_page::COMPOUND, head.0);
        }
    }

    /// Host: makes single pages of the compound page whose head is `head`, each with the head's DIRTY. Counts and
    /// account stay as they are: the caller moves them. Returns the order. If `head` is no head of a compound page,
    /// reports a [`Fault`] and returns `None`.
    pub fn unmark_compound(&mut self, head: Pfn) -> Option<u32> {
        let Ok(at) = self.compounds.binary_search_by_key(&head.0, |&(head, _)| head) else {
            self.report_fault(Fault::Compound { pfn: head, order: 0 });
            return None;
        };
        let (_, order) = self.compounds.remove(at);
        let dirty = self.page_word(head, struct_page::FLAGS) & struct_page::DIRTY;
        for pfn in (0..1 << order).map(|index| Pfn(head.0 + index)) {
            self.set_page_word(pfn, struct_page::FLAGS, dirty);
            self.set_page_word(pfn, struct_page::COMPOUND, 0);
        }
        Some(order)
    }

    /// Host: copies `bytes` bytes (a multiple of 4096) from real address `from` to real address `to`, both multiples of
    /// 4096. Words that were never stored to are copied as zeros. If memory has no frame left for a part of the target,
    /// reports a [`Fault`] and stops the copy there.
    pub fn copy(&mut self, from: RealAddr, to: RealAddr, bytes: u64) {
        for offset in (0..bytes).step_by(1 << FRAME_SHIFT) {
            let key = |at: RealAddr| Key::new(Space::Real, (at.0 + offset) >> FRAME_SHIFT);
            let Some(source) = self.frames.find(key(from)) else {
                self.zero(to.0 + offset, to.0 + offset + (1 << FRAME_SHIFT));
                continue;
            };
            let Some(target) = self.frames.find_or_make(key(to)) else {
                return self.no_frame(Unstored::Real(RealAddr(to.0 + offset)));
            };
            let (filled, covered) = (source.stored(), target.stored());
            for index in filled.start.min(covered.start)..filled.end.max(covered.end) {
                self.put(target, index, source.word(index).load(Relaxed));
            }
        }
    }

    /// Returns the host's PAGE_SHIFT: 12 or 16.
    #[must_use]
    pub const fn page_shift(&self) -> PageShift {
        self.page_shift
    }

    /// Returns the size of a struct page in bytes.
    #[must_use]
    pub const fn struct_page_size(&self) -> u64 {
        self.struct_page
    }

    /// Returns the words that were changed since [`begin_step`](Self::begin_step), each once, with the actors that
    /// changed it, and without the account. Words that were changed back are included. The order depends only on the
    /// stores, so it is the same in every run.
    pub fn log(&self) -> impl Iterator<Item = LoggedWord> + '_ {
        self.frames.changed().flat_map(move |frame| {
            let (key, region) = (frame.key(), self.frame_region(frame));
            self.frames.logged(frame).filter_map(move |(index, before, actors)| {
                let now = frame.word(index).load(Relaxed);
                // The account is not part of the image.
                self.place_in(key, region, index).map(|place| LoggedWord { place, before, now, actors })
            })
        })
    }

    /// Returns the words of [`log`](Self::log) as (place, value before the step, value now).
    pub fn changes(&self) -> impl Iterator<Item = (Place, u64, u64)> + '_ {
        self.log().map(|word| (word.place, word.before, word.now))
    }

    /// Returns those [`changes`](Self::changes) in which the value now differs from the value before the step.
    pub fn differences(&self) -> impl Iterator<Item = (Place, u64, u64)> + '_ {
        self.changes().filter(|(_, old, new)| old != new)
    }

    /// Returns all words of real memory and page table that are not zero, each with its place. The account is left out.
    pub fn contents(&self) -> impl Iterator<Item = (Place, u64)> + '_ {
        self.frames.frames().filter(|frame| frame.key().space() != Space::Account).flat_map(move |frame| {
            let (key, region) = (frame.key(), self.frame_region(frame));
            frame
                .nonzero()
                .filter_map(move |(index, value)| self.place_in(key, region, index).map(|place| (place, value)))
        })
    }

    /// Returns the region that holds the frame's first byte; `None` outside all regions, and for a frame that is not
    /// real memory. Regions start at the start of a frame, so a byte of the frame that lies in a region lies in this
    /// one.
    #[inline]
    fn frame_region(&self, frame: &Frame) -> Option<&Region> {
        if frame.key().space() != Space::Real {
            return None;
        }
        let number = match frame.region() {
            NO_REGION => {
                let number = self.region_number(frame.key().number() << FRAME_SHIFT);
                number.inspect(|&number| frame.set_region(number))
            }
            number => Some(number),
        };
        number.map(|number| &self.regions[number as usize])
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
