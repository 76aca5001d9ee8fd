//! The expensive checks of memory: whether the image, the account and the host's records agree.

use alloc::collections::BTreeMap;
use core::ops::Range;

use contract::addr::{Hva, Pfn, RealAddr};
use contract::description::{LIST_AREA_BYTES, LIST_NODE_BYTES, Pte};

use super::fault::Fault;
use super::frames::{FRAME_SHIFT, NO_REGION, Space};
use super::image::{Model, RealMemory};
use super::pte::{self, Entry};
use super::region::{Owner, Place, Region};
use super::struct_page;

impl RealMemory {
    /// Makes the expensive checks, in time proportional to what memory holds: every frame is found and none twice, the
    /// log has each change once, regions and blocks are sorted, disjoint and match, no word outside of regions is set,
    /// the page table is complete, compound pages are marked, the account has the holders that a new count gives, and
    /// the vmemmap list names the blocks.
    ///
    /// The caller must know that memory agrees with the reference. Otherwise a struct page that a subject changed
    /// wrongly would be taken for a fault of the harness.
    ///
    /// # Errors
    /// The first fault that was reported since [`reset`](Self::reset), or else the first that the checks find.
    pub fn audit(&self) -> Result<(), Fault> {
        self.noted()?;
        self.frames.audit()?;
        self.audit_regions()?;
        self.audit_blocks()?;
        self.audit_owners()?;
        self.audit_page_table()?;
        self.audit_compounds()?;
        self.audit_account()?;
        self.audit_list()?;
        // The checks above may have reported a fault while they read.
        self.noted()
    }

    fn noted(&self) -> Result<(), Fault> {
        self.fault().map_or(Ok(()), Err)
    }

    fn audit_regions(&self) -> Result<(), Fault> {
        let mut below: Option<Region> = None;
        for region in self.regions() {
            if let Some(below) = below.filter(|below| below.end > region.start) {
                return Err(Fault::RegionsOverlap(below, region));
            }
            below = Some(region);
        }
        Ok(())
    }

    /// Checks that vmemmap blocks are sorted by number, and that the regions of struct pages are exactly the blocks, or
    /// flatmem's array.
    fn audit_blocks(&self) -> Result<(), Fault> {
        if let Some(pair) = self.blocks.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(Fault::BlockTwice { number: pair[1].0 });
        }
        let parts = self.regions().filter_map(|region| match region.owner {
            Owner::StructPages { offset } => Some((offset, region)),
            _ => None,
        });
        let mut expected: BTreeMap<u64, (u64, u64)> = match self.model {
            Model::Flatmem { array, pages } => [(0, (array, array + pages * self.struct_page))].into(),
            Model::Vmemmap { block_shift, .. } => {
                self.blocks.iter().map(|&(number, at)| (number << block_shift, (at, at + (1 << block_shift)))).collect()
            }
        };
        let number = |offset: u64| match self.model {
            Model::Flatmem { .. } => 0,
            Model::Vmemmap { block_shift, .. } => offset >> block_shift,
        };
        for (offset, region) in parts {
            if expected.remove(&offset) != Some((region.start, region.end)) {
                return Err(Fault::BlockRegion { number: number(offset), real: RealAddr(region.start) });
            }
        }
        match expected.pop_first() {
            Some((offset, (start, _))) => Err(Fault::BlockRegion { number: number(offset), real: RealAddr(start) }),
            None => Ok(()),
        }
    }

    /// Checks that each frame of real memory has the number of its region or none yet, and that words outside of
    /// regions are zero.
    fn audit_owners(&self) -> Result<(), Fault> {
        for frame in self.frames.frames().filter(|frame| frame.key().space() == Space::Real) {
            let real = frame.key().number() << FRAME_SHIFT;
            if frame.region() != NO_REGION && self.region_number(real) != Some(frame.region()) {
                return Err(Fault::FrameRegion { real: RealAddr(real) });
            }
        }
        for (place, word) in self.contents() {
            if let Place::Real(real, None) = place {
                return Err(Fault::Ownerless { real, word });
            }
        }
        Ok(())
    }

    /// Checks that each word of the page table is a page-table entry, or the right part of a huge entry.
    fn audit_page_table(&self) -> Result<(), Fault> {
        let shift = self.page_shift.bits();
        let word_at = |page: u64| self.pte_word(page).map_or(0, |(_, word)| word);
        for frame in self.frames.frames().filter(|frame| frame.key().space() == Space::PageTable) {
            for (index, word) in frame.nonzero() {
                let page = frame.key().number() << 9 | index;
                let (head, order) = match pte::decode(word) {
                    Entry::Entry(Pte::Huge { order, .. }) | Entry::Tail { order } => (page >> order << order, order),
                    Entry::Entry(_) => (page, 0),
                };
                let Entry::Entry(entry) = pte::decode(word_at(head)) else {
                    return Err(Fault::PageTable { hva: Hva(page << shift), word });
                };
                if entry.pages() != 1 << order || word != pte::encode(entry, page - head) {
                    return Err(Fault::PageTable { hva: Hva(page << shift), word });
                }
                // The head checks the pages of the entry whose words are zero, because this loop does not visit those.
                let spoilt = |page: &u64| word_at(*page) != pte::encode(entry, *page - head);
                if page == head
                    && let Some(page) = (head..head + entry.pages()).find(spoilt)
                {
                    return Err(Fault::PageTable { hva: Hva(page << shift), word: word_at(page) });
                }
            }
        }
        Ok(())
    }

    /// Checks that struct pages have HEAD and TAIL exactly where the host's record has a compound page, and the right
    /// order and head.
    fn audit_compounds(&self) -> Result<(), Fault> {
        const MARKS: u64 = struct_page::HEAD | struct_page::TAIL;
        if let Some(pair) = self.compounds.windows(2).find(|pair| pair[0].0 + (1 << pair[0].1) > pair[1].0) {
            return Err(Fault::Compound { pfn: Pfn(pair[1].0), order: pair[1].1 });
        }
        for &(head, order) in &self.compounds {
            for pfn in head..head + (1 << order) {
                let (mark, word) =
                    if pfn == head { (struct_page::HEAD, order.into()) } else { (struct_page::TAIL, head) };
                self.marked(Pfn(pfn), struct_page::FLAGS, MARKS, mark)?;
                self.marked(Pfn(pfn), struct_page::COMPOUND, u64::MAX, word)?;
            }
        }
        for (place, word) in self.contents() {
            if let Place::Real(real, Some(Region { start, owner: Owner::StructPages { offset }, .. })) = place {
                let at = offset + real.0 - start;
                let (pfn, offset) = (Pfn(at / self.struct_page), at % self.struct_page);
                let single =
                    self.compounds.binary_search_by_key(&pfn.0, |&(head, _)| head).is_err() && self.head(pfn) == pfn;
                if single && offset == struct_page::FLAGS && word & MARKS != 0 {
                    return Err(Fault::CompoundWord { pfn, offset, expected: 0, found: word & MARKS });
                }
            }
        }
        Ok(())
    }

    fn marked(&self, pfn: Pfn, offset: u64, mask: u64, expected: u64) -> Result<(), Fault> {
        let found = self.page_word(pfn, offset) & mask;
        if found == expected { Ok(()) } else { Err(Fault::CompoundWord { pfn, offset, expected, found }) }
    }

    /// Checks that the account has as many holders of each page as there are page-table entries and hardware TCEs that
    /// hold a reference on it, and that a page with holders has at least 0 own references.
    fn audit_account(&self) -> Result<(), Fault> {
        let mut counted: BTreeMap<Pfn, i32> = BTreeMap::new();
        for (_, entry) in self.page_table() {
            if let Some(pfn) = entry.pfn().filter(|_| entry.holds_reference()) {
                *counted.entry(self.head(pfn)).or_default() += 1;
            }
        }
        for (place, word) in self.contents() {
            if let Place::Real(_, Some(Region { owner: Owner::Hardware(_), .. })) = place
                && let Some(pfn) = self.hardware_page(word)
            {
                *counted.entry(pfn).or_default() += 1;
            }
        }
        for (pfn, account) in self.accounts() {
            // If no entry names the page, the count is 0.
            let holders = counted.remove(&pfn).unwrap_or(0);
            if account.holders != holders {
                return Err(Fault::Recount { pfn, account: account.holders, counted: holders });
            }
            // A page that an entry names is not idle, so its own references are at least 0.
            if holders > 0 && account.own < 0 {
                return Err(Fault::Owed { pfn, account });
            }
        }
        match counted.pop_first() {
            Some((pfn, counted)) => Err(Fault::Recount { pfn, account: 0, counted }),
            None => Ok(()),
        }
    }

    /// Checks that the vmemmap list in memory has exactly one node for each backed block, with its real and virtual
    /// address.
    fn audit_list(&self) -> Result<(), Fault> {
        let Model::Vmemmap { base, block_shift, list } = self.model else { return Ok(()) };
        let nodes: Range<u64> = list + 8..list + LIST_AREA_BYTES;
        let mut left: BTreeMap<u64, u64> =
            self.blocks.iter().map(|&(number, real)| (base + (number << block_shift), real)).collect();
        let mut pointer = list;
        loop {
            let node = self.peek(RealAddr(pointer));
            if node == 0 {
                break;
            }
            let [real, virt] = [8, 16].map(|offset| self.peek(RealAddr(node.wrapping_add(offset))));
            if !nodes.contains(&node) || !(node - nodes.start).is_multiple_of(LIST_NODE_BYTES) {
                return Err(Fault::List { at: RealAddr(pointer), expected: 0, found: node });
            }
            // A circular list names a block twice.
            match left.remove(&virt) {
                Some(expected) if expected == real => {}
                Some(expected) => return Err(Fault::List { at: RealAddr(node + 8), expected, found: real }),
                None => return Err(Fault::List { at: RealAddr(node + 16), expected: 0, found: virt }),
            }
            pointer = node;
        }
        match left.pop_first() {
            Some((virt, _)) => Err(Fault::List { at: RealAddr(pointer), expected: virt, found: 0 }),
            None => Ok(()),
        }
    }
}
