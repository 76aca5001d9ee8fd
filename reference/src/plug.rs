//! Host steps on sections, memory slots, guest memory and windows (semantics 6).

use contract::description::{
    AddrRun, MAX_BLOCKS, MAX_SLOTS, MAX_TOTAL_ENTRIES, MAX_WINDOWS, REGION_ALIGN, SlotSpec, WordRun, word_count, words,
};
use contract::program::MAX_STEP_WORDS;
use contract::{Gpa, Liobn, Pfn, Pte, RealAddr, WindowSpec};

use crate::regions::{REAL_LIMIT, Region, SECTION_BYTES, SECTION_LIMIT};
use crate::state::{Memory, Page, Reference, Sparsemem, Window};
use crate::{Object, Skip, need};

const NO_HOT_PLUG: Skip = Skip("flatmem has no hot-plug");

impl Reference {
    /// `hot-add`: a section with the blocks that it is the first to need.
    pub(crate) fn hot_add(&mut self, section: u64, runs: &[AddrRun]) -> Result<(), Skip> {
        let Memory::Sparsemem(sparse) = &self.memory else { return Err(NO_HOT_PLUG) };
        need(section < SECTION_LIMIT, "the section is not below 2^46")?;
        need(!sparse.sections.contains(&section), "the section is present")?;
        let new = self.new_blocks(sparse, section)?;
        let places = places(runs, sparse.block_shift, new.len())?;
        let mut regions = vec![Region::section(section)];
        regions.extend(&places);
        need(self.lie_apart(&regions), "its memory or a block overlaps something")?;

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

    /// The blocks that the section is the first to need, ascending.
    fn new_blocks(&self, sparse: &Sparsemem, section: u64) -> Result<Vec<u64>, Skip> {
        let blocks = sparse.blocks_of(section, self.section_struct_bytes());
        let end = u128::from(sparse.base) + ((u128::from(*blocks.end()) + 1) << sparse.block_shift);
        need(end <= 1 << 64, "its struct pages lie past 2^64")?;
        let new: Vec<u64> = blocks.filter(|number| !sparse.blocks.contains_key(number)).collect();
        need((sparse.blocks.len() + new.len()) as u64 <= MAX_BLOCKS, "more blocks than the list can hold")?;
        Ok(new)
    }

    /// `hot-remove`: the section goes, and with it the blocks that no other section needs.
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

    /// Bytes of the struct pages of one section.
    const fn section_struct_bytes(&self) -> u64 {
        self.page_shift.pages_per_section() * self.struct_page
    }

    /// A block of struct pages goes: whatever probes left in pages of sections that are not present goes too.
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

    /// `slot`: sets or, where `pages` is 0, deletes the slot of that number. TCEs stay.
    pub(crate) fn set_slot(&mut self, slot: &SlotSpec) -> Result<(), Skip> {
        need(slot.id < MAX_SLOTS, "there are not that many slots")?;
        let old = self.slots.values().find(|other| other.id == slot.id).map(|other| other.gfn);
        if slot.pages == 0 {
            let gfn = old.ok_or(Skip("there is no such slot to delete"))?;
            self.slots.remove(&gfn);
            return Ok(());
        }
        let bytes = u128::from(slot.pages) << self.page_shift.bits();
        let end = (u128::from(slot.gfn.0) << self.page_shift.bits()) + bytes;
        need(end <= 1 << 64, "the gfns end past 2^64")?;
        need(slot.hva.is_aligned(self.page_shift.bytes()), "the hva is not page aligned")?;
        need(u128::from(slot.hva.0) + bytes <= 1 << 64, "the hvas end past 2^64")?;
        let overlaps = |other: &SlotSpec| {
            other.id != slot.id && other.gfn.0 < slot.gfn.0 + slot.pages && slot.gfn.0 < other.gfn.0 + other.pages
        };
        need(!self.slots.values().any(overlaps), "it overlaps another slot")?;

        if let Some(gfn) = old {
            self.slots.remove(&gfn);
        }
        self.slots.insert(slot.gfn, *slot);
        Ok(())
    }

    /// `write`: the guest stores words; page-table bits stay as they are.
    pub(crate) fn write(&mut self, gpa: Gpa, runs: &[WordRun]) -> Result<(), Skip> {
        need(gpa.is_aligned(8), "the gpa is no multiple of 8")?;
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
        let hva = self.hva_of(gpa).ok_or(Skip("a word is no guest memory"))?;
        match self.pte(hva) {
            Pte::Present { writable: true, .. } | Pte::Huge { writable: true, .. } => {}
            Pte::Present { .. } | Pte::Huge { .. } => return Err(Skip("a word's page is read-only")),
            Pte::Absent { .. } | Pte::Hole => return Err(Skip("a word's page is not there")),
        }
        self.real_address(hva).ok_or(Skip("a word's page is not there"))
    }

    /// `create-window`: an all-zero window.
    pub(crate) fn create_window(&mut self, spec: &WindowSpec) -> Result<(), Skip> {
        need(spec.validate(self.page_shift, self.dialect).is_ok(), "the window contradicts itself")?;
        need(!self.windows.contains_key(&spec.liobn), "the LIOBN is taken")?;
        need(self.windows.len() < MAX_WINDOWS, "there are too many windows")?;
        let entries: u64 = self.windows.values().map(|window| window.spec.entries).sum();
        need(entries + spec.entries <= MAX_TOTAL_ENTRIES, "there are too many entries")?;
        let mut tables = Vec::new();
        for (at, bytes) in spec.regions() {
            need(at.is_aligned(REGION_ALIGN), "a table is not 4 KiB aligned")?;
            tables.push(Region::below_limit(at, bytes).ok_or(Skip("a table is not below 2^46"))?);
        }
        need(self.lie_apart(&tables), "a table overlaps something")?;
        self.windows.insert(spec.liobn, Window::new(*spec));
        Ok(())
    }

    /// `close-window`: every entry goes as by H_STUFF_TCE of 0 in virtual mode, then the window.
    pub(crate) fn close_window(&mut self, liobn: Liobn) -> Result<(), Skip> {
        let window = self.windows.remove(&liobn).ok_or(Skip("there is no such window"))?;
        self.touched.extend(window.guest_entries().map(|(index, _)| Object::Entry { liobn, index }));
        for (_, value) in window.hardware_entries() {
            self.release_hardware(value);
        }
        Ok(())
    }
}

/// Where the first `wanted` new blocks are to lie; what is named beyond them is ignored.
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
