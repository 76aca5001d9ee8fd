//! Host steps on sections, memory slots, guest memory and windows (docs/semantics.md, section 6). A step whose
//! precondition fails is skipped with a reason.

use contract::description::{
    AddrRun, MAX_BLOCKS, MAX_SLOTS, MAX_TOTAL_ENTRIES, MAX_WINDOW_ENTRIES, MAX_WINDOWS, REGION_ALIGN, SlotSpec,
    WordRun, word_count, words,
};
use contract::dialect::{LiobnWidth, PinnedWindows, WindowBase};
use contract::program::MAX_STEP_WORDS;
use contract::{Backing, Gpa, Liobn, Pfn, Pte, RealAddr, WindowSpec};

use crate::regions::{REAL_LIMIT, Region, SECTION_BYTES, SECTION_LIMIT};
use crate::state::{Memory, Page, Reference, Sparsemem, Window};
use crate::{Object, Skip, need};

const NO_HOT_PLUG: Skip = Skip("flatmem has no hot-plug");

impl Reference {
    /// Step `hot-add`: adds section number `section`, whose struct pages become zero, and the vmemmap blocks that only
    /// this section needs. `runs` are the real addresses for those blocks, lowest block number first; more addresses
    /// are ignored. Skipped if an address is missing or its block overlaps a region in use, among other preconditions.
    pub(crate) fn hot_add(&mut self, section: u64, runs: &[AddrRun]) -> Result<(), Skip> {
        let Memory::Sparsemem(sparse) = &self.memory else { return Err(NO_HOT_PLUG) };
        need(section < SECTION_LIMIT, "the section is not below 2^46")?;
        need(!sparse.sections.contains(&section), "the section is present")?;
        let new = self.new_blocks(sparse, section)?;
        let places = places(runs, sparse.block_shift, new.len())?;
        let mut regions = vec![Region::section(section)];
        regions.extend(&places);
        need(self.lie_apart(&regions), "the section's memory or a block overlaps a region")?;

        let Memory::Sparsemem(sparse) = &mut self.memory else { return Err(NO_HOT_PLUG) };
        sparse.sections.insert(section);
        for (number, place) in new.into_iter().zip(places) {
            sparse.blocks.insert(number, place.at);
            sparse.ever.insert(number);
        }
        let pages = self.page_shift.pages_per_section();
        self.zero_struct_pages(section * pages, pages);
        Ok(())
    }

    /// Returns the numbers of the vmemmap blocks that the section needs and no present section does, ascending. Skips
    /// the step if the section's struct pages end past 2^64, or if there would be more blocks than the vmemmap list can
    /// hold.
    fn new_blocks(&self, sparse: &Sparsemem, section: u64) -> Result<Vec<u64>, Skip> {
        let blocks = sparse.blocks_of(section, self.section_struct_bytes());
        let end = u128::from(sparse.base) + ((u128::from(*blocks.end()) + 1) << sparse.block_shift);
        need(end <= 1 << 64, "the section's struct pages end past 2^64")?;
        let new: Vec<u64> = blocks.filter(|number| !sparse.blocks.contains_key(number)).collect();
        need((sparse.blocks.len() + new.len()) as u64 <= MAX_BLOCKS, "the vmemmap list cannot hold more blocks")?;
        Ok(new)
    }

    /// Step `hot-remove`: removes section number `section` with its contents, and the vmemmap blocks that no other
    /// present section needs. Skipped if a page of the section has references or flags, or is named, among other
    /// preconditions.
    pub(crate) fn hot_remove(&mut self, section: u64) -> Result<(), Skip> {
        let Memory::Sparsemem(sparse) = &self.memory else { return Err(NO_HOT_PLUG) };
        need(sparse.sections.contains(&section), "the section is not present")?;
        let pages = self.page_shift.pages_per_section();
        let first = section * pages;
        let inside = |pfn: Pfn| pfn.0 >= first && pfn.0 - first < pages;
        let mut states = self.pages.range(Pfn(first)..Pfn(first + pages));
        need(states.all(|(_, page)| *page == Page::default()), "a page has references or flags")?;
        need(!self.page_table.values().filter_map(|pte| pte.pfn()).any(inside), "a page-table entry names a page")?;
        need(!self.hardware_pfns().any(inside), "a TCE names a page")?;

        self.clear_contents(section * SECTION_BYTES, SECTION_BYTES);
        let bytes = self.section_struct_bytes();
        let Memory::Sparsemem(sparse) = &mut self.memory else { return Err(NO_HOT_PLUG) };
        sparse.sections.remove(&section);
        let needed = |number: &u64| sparse.sections.range(sparse.sections_of(*number, bytes)).next().is_some();
        let gone: Vec<u64> = sparse
            .blocks_of(section, bytes)
            .filter(|number| sparse.blocks.contains_key(number) && !needed(number))
            .collect();
        let shift = sparse.block_shift;
        for number in &gone {
            sparse.blocks.remove(number);
        }
        for number in gone {
            self.forget_struct_pages(number << shift, 1 << shift);
        }
        Ok(())
    }

    /// Returns the size in bytes of the struct pages of one section.
    const fn section_struct_bytes(&self) -> u64 {
        self.page_shift.pages_per_section() * self.struct_page
    }

    /// Forgets the contents of a removed block of struct pages, `bytes` long, which starts `offset` bytes after the
    /// struct page of pfn 0 in the virtual array. This includes what probes changed in struct pages of sections that
    /// are not present.
    fn forget_struct_pages(&mut self, offset: u64, bytes: u64) {
        let first = offset / self.struct_page;
        let last = (offset + bytes - 1) / self.struct_page;
        self.zero_struct_pages(first, last - first + 1);
    }

    fn zero_struct_pages(&mut self, first: u64, pages: u64) {
        let known: Vec<(Pfn, Page)> =
            self.pages.range(Pfn(first)..Pfn(first + pages)).map(|(pfn, page)| (*pfn, *page)).collect();
        for (pfn, page) in known {
            self.pages.remove(&pfn);
            if page != Page::default() {
                self.touched.push(Object::Page(pfn));
            }
        }
    }

    /// Step `slot`: sets or replaces the memory slot with the number `slot.id`, or deletes it if `slot.pages` is 0.
    /// TCEs stay. Skipped if the slot would overlap another, or if there is none to delete, among other preconditions.
    pub(crate) fn set_slot(&mut self, slot: &SlotSpec) -> Result<(), Skip> {
        need(slot.id < MAX_SLOTS, "the slot number is too large")?;
        let old = self.slots.values().find(|other| other.id == slot.id).map(|other| other.gfn);
        if slot.pages == 0 {
            let gfn = old.ok_or(Skip("the slot to delete does not exist"))?;
            self.slots.remove(&gfn);
            return Ok(());
        }
        let bytes = u128::from(slot.pages) << self.page_shift.bits();
        let end = (u128::from(slot.gfn.0) << self.page_shift.bits()) + bytes;
        need(end <= 1 << 64, "the gfn range ends past 2^64")?;
        need(slot.hva.is_aligned(self.page_shift.bytes()), "the hva is not page aligned")?;
        need(u128::from(slot.hva.0) + bytes <= 1 << 64, "the hva range ends past 2^64")?;
        let overlaps = |other: &SlotSpec| {
            other.id != slot.id && other.gfn.0 < slot.gfn.0 + slot.pages && slot.gfn.0 < other.gfn.0 + other.pages
        };
        need(!self.slots.values().any(overlaps), "the slot overlaps another slot")?;

        if let Some(gfn) = old {
            self.slots.remove(&gfn);
        }
        self.slots.insert(slot.gfn, *slot);
        Ok(())
    }

    /// Step `write`: the guest stores the 8-byte words of `runs` from `gpa` on. The bits of page-table entries stay as
    /// they are. Skipped, with no word stored, unless a writable present or huge entry maps each word, among other
    /// preconditions.
    pub(crate) fn write(&mut self, gpa: Gpa, runs: &[WordRun]) -> Result<(), Skip> {
        need(gpa.is_aligned(8), "the gpa is not a multiple of 8")?;
        need(word_count(runs) <= MAX_STEP_WORDS, "too many words")?;
        let mut stores = Vec::new();
        for (i, word) in (0_u64..).zip(words(runs)) {
            let gpa = gpa.checked_add(8 * i).ok_or(Skip("the words end past 2^64"))?;
            stores.push((self.writable_word(gpa)?, word));
        }
        for (at, word) in stores {
            self.store_word(at, word);
        }
        Ok(())
    }

    fn writable_word(&self, gpa: Gpa) -> Result<RealAddr, Skip> {
        let hva = self.hva_of(gpa).ok_or(Skip("a word lies outside guest memory"))?;
        match self.pte(hva) {
            Pte::Present { writable: true, .. } | Pte::Huge { writable: true, .. } => {}
            Pte::Present { .. } | Pte::Huge { .. } => return Err(Skip("a word's page is read-only")),
            Pte::Absent { .. } | Pte::Hole => return Err(Skip("a word's page is not there")),
        }
        self.real_address(hva).ok_or(Skip("a word's page is not there"))
    }

    /// Step `create-window`: adds a window whose entries are all 0. Skipped if the LIOBN is taken, or if a table
    /// overlaps a region in use, among other preconditions.
    pub(crate) fn create_window(&mut self, spec: &WindowSpec) -> Result<(), Skip> {
        need(self.can_have(spec), "the window contradicts itself")?;
        need(!self.windows.contains_key(&spec.liobn), "the LIOBN is taken")?;
        need(self.windows.len() < MAX_WINDOWS, "there are too many windows")?;
        let entries: u64 = self.windows.values().map(|window| window.spec.entries).sum();
        need(entries + spec.entries <= MAX_TOTAL_ENTRIES, "there are too many entries")?;
        let mut tables = Vec::new();
        for (at, bytes) in spec.regions() {
            need(at.is_aligned(REGION_ALIGN), "a table is not 4 KiB aligned")?;
            tables.push(Region::below_limit(at, bytes).ok_or(Skip("a table is not below 2^46"))?);
        }
        need(self.lie_apart(&tables), "a table overlaps a region")?;
        self.windows.insert(spec.liobn, Window::new(*spec));
        Ok(())
    }

    /// Returns whether a window with these numbers can exist in the program's dialect (docs/semantics.md, section 1):
    /// page, number of entries, base, LIOBN and backing. The addresses of the tables and the other windows do not
    /// count.
    fn can_have(&self, spec: &WindowSpec) -> bool {
        let WindowSpec { liobn, page_shift, base, entries, backing, .. } = *spec;
        if !(12..=34).contains(&page_shift) || !(1..=MAX_WINDOW_ENTRIES).contains(&entries) {
            return false;
        }
        let answers = self.answers();
        let aligned = match answers.window_base {
            WindowBase::PageMultiple => base.is_multiple_of(1 << page_shift),
            WindowBase::AnyByte => true,
        };
        let named = match answers.liobn_width {
            LiobnWidth::Bits64 => true,
            LiobnWidth::Bits32 => u32::try_from(liobn.0).is_ok(),
        };
        let backed = match (backing, answers.pinned_windows) {
            (Backing::Emulated, _) => true,
            (Backing::Pinned { .. }, PinnedWindows::Exist) => page_shift <= self.page_shift.bits(),
            (Backing::Pinned { .. }, PinnedWindows::Refuse) => false,
        };
        aligned && named && backed && u128::from(base) + (u128::from(entries) << page_shift) <= 1 << 64
    }

    /// Step `close-window`: clears every entry as H_STUFF_TCE of 0 does in virtual mode, then removes the window.
    pub(crate) fn close_window(&mut self, liobn: Liobn) -> Result<(), Skip> {
        let window = self.windows.remove(&liobn).ok_or(Skip("the LIOBN is unknown"))?;
        self.touched.extend(window.guest_entries().map(|(index, _)| Object::Entry { liobn, index }));
        for (_, value) in window.hardware_entries() {
            self.release_hardware(value);
        }
        Ok(())
    }
}

/// Returns the regions of the `wanted` new blocks at the first `wanted` addresses of `runs`; further addresses are
/// ignored. Skips the step if an address is missing or unaligned, or if a block does not lie below 2^46.
fn places(runs: &[AddrRun], block_shift: u32, wanted: usize) -> Result<Vec<Region>, Skip> {
    let bytes = 1_u64 << block_shift;
    let addresses = runs.iter().flat_map(|run| (0..run.count).map(move |i| run.at.checked_add(i.checked_mul(bytes)?)));
    let mut places = Vec::with_capacity(wanted);
    for at in addresses.take(wanted) {
        let at = at.filter(|at| at.0 < REAL_LIMIT).ok_or(Skip("a block is not below 2^46"))?;
        need(at.is_aligned(bytes), "a block is not aligned")?;
        places.push(Region::below_limit(at, bytes).ok_or(Skip("a block is not below 2^46"))?);
    }
    need(places.len() == wanted, "an address for a new block is missing")?;
    Ok(places)
}
