//! Validates the description of a program: it must not contradict itself or exceed a limit.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

use crate::addr::{LINEAR_MAP, Pfn};
use crate::description::{
    Invalid, Item, LIST_AREA_BYTES, MAX_BLOCKS, MAX_ITEMS, MAX_MAPPED_PAGES, MAX_ORDER, MAX_OWN, MAX_PHYSMEM_BITS,
    MAX_SECTIONS, MAX_SLOTS, MAX_TOTAL_ENTRIES, MAX_WINDOWS, Machine, Mapping, MemoryModel, PageSpec, Pte,
    REGION_ALIGN, SECTION_SIZE_BITS, WordRun, blocks_of_section, word_count,
};
use crate::program::{MAX_STEP_WORDS, MAX_STEPS, MAX_VCPUS, Program, Step};

/// Largest [`frames_bound`](Program::frames_bound) of a valid program: 2^14 frames of 4 KiB, which is 64 MiB.
pub const MAX_FRAMES: u64 = 1 << 14;

/// Largest page shift of the window of step `create-window`, valid or not: the binary encoding has 8 bits for it.
const MAX_KEPT_SHIFT: u32 = 255;

type Check = Result<(), Invalid>;

fn require(condition: bool, item: Item, reason: impl FnOnce() -> String) -> Check {
    if condition { Ok(()) } else { Err(Invalid::new(item, reason())) }
}

/// Returns an error about `item` with this `reason` if `condition` is false. `other` is the item that `item`
/// contradicts, or `None`.
fn agree(condition: bool, item: Item, other: impl Into<Option<Item>>, reason: impl FnOnce() -> String) -> Check {
    if condition { Ok(()) } else { Err(Invalid::new(item, reason()).against(other.into())) }
}

impl Program {
    /// Checks that the description is sound (semantics 1) and within the limits of [`description`](crate::description)
    /// and [`program`](crate::program).
    ///
    /// # Errors
    /// The first contradiction or exceeded limit, with the item that it is about.
    pub fn validate(&self) -> Result<(), Invalid> {
        let machine = &self.machine;
        model(machine)?;
        regions(machine)?;
        let pages = Pages::new(machine)?;
        mappings(machine, &pages)?;
        owned(machine, &pages)?;
        slots(machine)?;
        ram(machine)?;
        windows(self)?;
        steps(self)?;
        let frames = self.frames_bound();
        require(frames <= MAX_FRAMES, Item::Machine, || {
            format!("the program may touch {frames} frames of 4 KiB, more than {MAX_FRAMES}")
        })
    }

    /// Upper bound of the number of 4 KiB frames of simulated memory that the program can store to, its boot included.
    /// The program must have passed the other checks of [`Program::validate`].
    #[must_use]
    pub fn frames_bound(&self) -> u64 {
        let s = self.machine.struct_page;
        let struct_pages = |pages: u64| pages * s / 4096 + 2;
        let entries = |n: u64| n / 512 + 2;
        let page_frames = self.machine.page_shift.bytes() / 4096;
        let mut frames: u64 = 64;
        if let MemoryModel::SparsememVmemmap { blocks, .. } = &self.machine.memory {
            let blocks: u64 = blocks.iter().map(|run| run.places.count).sum();
            frames += blocks * 24 / 4096 + 2;
        }
        for window in &self.machine.windows {
            frames += 2 * entries(window.entries);
        }
        for mapping in &self.machine.mappings {
            let pages = mapping.pages * mapping.pte.pages();
            frames += struct_pages(pages) + 2 * entries(pages);
        }
        for compound in &self.machine.compounds {
            frames += struct_pages(1 << compound.order.min(MAX_ORDER)) + 2;
        }
        // A page line costs a frame for its struct page and one for the account, twice that if the struct page
        // straddles two frames.
        frames += 4 * self.machine.pages.len() as u64;
        for ram in &self.machine.ram {
            frames += entries(word_count(&ram.words));
        }
        for step in &self.steps {
            frames += match step {
                Step::Hypercall { .. } | Step::Lookup { .. } | Step::HotRemove { .. } | Step::Slot(_) => 0,
                Step::Unmap { .. }
                | Step::Age { .. }
                | Step::Clean { .. }
                | Step::WriteProtect { .. }
                | Step::CloseWindow { .. }
                | Step::SplitCompound { .. } => 2,
                Step::GetPage { .. } | Step::PutPage { .. } | Step::Take { .. } | Step::Drop { .. } => 4,
                Step::Map { pte, .. } => 4 + 2 * entries(pte.pages()),
                Step::Migrate { .. } => 6 + page_frames,
                Step::MakeCompound(compound) => struct_pages(1 << compound.order.min(MAX_ORDER)) + 4,
                Step::HotAdd { blocks, .. } => blocks.iter().fold(2u64, |sum, run| sum.saturating_add(run.count / 100)),
                Step::Write { words, .. } => entries(word_count(words)),
                Step::CreateWindow(window) => 2 * entries(window.entries),
            };
        }
        frames
    }
}

impl Machine {
    /// Whether the page with this pfn exists at boot: whether it lies in a present section, or in flatmem below the
    /// number of pages.
    #[must_use]
    pub fn page_exists(&self, pfn: Pfn) -> bool {
        match &self.memory {
            MemoryModel::Flatmem { pages, .. } => pfn.0 < *pages,
            MemoryModel::SparsememVmemmap { sections, .. } => {
                sections.binary_search(&(pfn.0 / self.page_shift.pages_per_section())).is_ok()
            }
        }
    }
}

fn order_fits(order: u32, item: Item) -> Check {
    require((1..=MAX_ORDER).contains(&order), item, || format!("order {order} is not in 1..={MAX_ORDER}"))
}

fn model(machine: &Machine) -> Check {
    let s = machine.struct_page;
    require(matches!(s, 56 | 64 | 72 | 80), Item::Machine, || format!("struct_page {s} is none of 56, 64, 72, 80"))?;
    match &machine.memory {
        MemoryModel::Flatmem { pages, .. } => {
            let limit = machine.page_shift.pfn_limit();
            require((1..=limit).contains(pages), Item::Machine, || format!("pages {pages} is not in 1..={limit}"))
        }
        MemoryModel::SparsememVmemmap { base, block_shift, sections, blocks, .. } => {
            require(matches!(block_shift, 12 | 16 | 21 | 24), Item::Machine, || {
                format!("block_shift {block_shift} is none of 12, 16, 21, 24")
            })?;
            require(base & ((1 << block_shift) - 1) == 0, Item::Machine, || {
                format!("base {base:#x} is no multiple of the block size {:#x}", 1u64 << block_shift)
            })?;
            // Smaller addresses are real addresses or belong to the linear map, and an address must have one meaning.
            require(*base >= LINEAR_MAP + (1 << MAX_PHYSMEM_BITS), Item::Machine, || {
                format!("base {base:#x} is below the linear map's end {:#x}", LINEAR_MAP + (1u64 << MAX_PHYSMEM_BITS))
            })?;
            require(sections.len() <= MAX_SECTIONS, Item::Machine, || {
                format!("{} sections are more than {MAX_SECTIONS}", sections.len())
            })?;
            let per_section = machine.page_shift.pages_per_section();
            for (i, &section) in sections.iter().enumerate() {
                let before = Item::Section(i.saturating_sub(1));
                agree(i == 0 || sections[i - 1] < section, Item::Section(i), before, || {
                    format!("section {section:#x} does not follow {:#x}: ascending order is expected", sections[i - 1])
                })?;
                require(section < 1 << (MAX_PHYSMEM_BITS - SECTION_SIZE_BITS), Item::Section(i), || {
                    format!("section {section:#x} lies past 2^{MAX_PHYSMEM_BITS}")
                })?;
                let end = (section + 1) * per_section * s;
                require(u128::from(*base) + u128::from(end) <= 1 << 64, Item::Section(i), || {
                    format!("the struct pages of section {section:#x} end past 2^64")
                })?;
            }
            blocks_match(machine, sections, blocks, *block_shift)
        }
    }
}

fn blocks_match(machine: &Machine, sections: &[u64], runs: &[crate::description::BlockRun], block_shift: u32) -> Check {
    let bytes_per_section = machine.page_shift.pages_per_section() * machine.struct_page;
    // The blocks that the sections need, as ascending ranges of block numbers that do not overlap.
    let mut needed: Vec<(u64, u64)> = Vec::new();
    for &section in sections {
        let Range { start: first, end } = blocks_of_section(section, bytes_per_section, block_shift);
        match needed.last_mut() {
            Some(last) if first <= last.1 => last.1 = end,
            _ => needed.push((first, end)),
        }
    }
    let total = needed.iter().map(|(first, end)| end - first).sum::<u64>();
    require(total <= MAX_BLOCKS, Item::Machine, || format!("{total} blocks are more than {MAX_BLOCKS}"))?;
    let section_of = |block: u64| {
        let needs = |section: &u64| blocks_of_section(*section, bytes_per_section, block_shift).contains(&block);
        sections.iter().position(needs).map(Item::Section)
    };
    let mut ranges = needed.into_iter();
    let mut rest: Option<(u64, u64)> = ranges.next();
    for (i, run) in runs.iter().enumerate() {
        let item = Item::Block(i);
        require(run.places.count > 0, item, || "a run of blocks needs at least one".to_string())?;
        let mut next = run.first;
        let mut left = run.places.count;
        while left > 0 {
            match rest {
                Some((first, end)) if first == next => {
                    let taken = left.min(end - first);
                    next = next.wrapping_add(taken);
                    left -= taken;
                    rest = if first + taken == end { ranges.next() } else { Some((first + taken, end)) };
                }
                Some((first, _)) if first < next => {
                    let reason =
                        format!("block {first:#x}, which a present section needs, has no place before this line");
                    return Err(Invalid::new(item, reason).against(section_of(first)));
                }
                _ => return Err(Invalid::new(item, format!("no present section needs block {next:#x}"))),
            }
        }
    }
    match rest {
        Some((first, _)) => {
            let reason = format!("block {first:#x}, which a present section needs, has no place");
            Err(Invalid::new(Item::Machine, reason).against(section_of(first)))
        }
        None => Ok(()),
    }
}

/// A piece of real memory that the description of a machine uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Real address of the piece's first byte.
    pub start: u64,
    /// Size of the piece in bytes.
    pub bytes: u128,
    /// Required alignment of `start` in bytes, a power of two.
    pub align: u64,
    /// The item of the description that uses the piece.
    pub item: Item,
    /// What the piece is used for, in words.
    pub what: &'static str,
}

impl Machine {
    /// All pieces of real memory that the machine uses, in the order of its lines. The function does not check or sort
    /// them.
    #[must_use]
    pub fn extents(&self) -> Vec<Extent> {
        let mut extents = Vec::with_capacity(8 + 2 * self.windows.len());
        let mut add = |start: u64, bytes: u128, align: u64, item, what| {
            extents.push(Extent { start, bytes, align, item, what });
        };
        match &self.memory {
            MemoryModel::Flatmem { array, pages } => {
                let pages = u128::from(*pages);
                let array_bytes = pages * u128::from(self.struct_page);
                add(array.0, array_bytes, REGION_ALIGN, Item::Machine, "the array of struct pages");
                add(0, pages << self.page_shift.bits(), REGION_ALIGN, Item::Machine, "memory");
            }
            MemoryModel::SparsememVmemmap { block_shift, list, sections, blocks, .. } => {
                add(list.0, LIST_AREA_BYTES.into(), REGION_ALIGN, Item::Machine, "the vmemmap list");
                for (i, section) in sections.iter().enumerate() {
                    let start = section << SECTION_SIZE_BITS;
                    add(start, 1 << SECTION_SIZE_BITS, REGION_ALIGN, Item::Section(i), "a section");
                }
                for (i, run) in blocks.iter().enumerate() {
                    let bytes = u128::from(run.places.count) << block_shift;
                    add(run.places.at.0, bytes, 1 << block_shift, Item::Block(i), "a run of blocks");
                }
            }
        }
        for (i, window) in self.windows.iter().enumerate() {
            for (start, bytes) in window.regions() {
                add(start.0, bytes.into(), REGION_ALIGN, Item::Window(i), "a window's table");
            }
        }
        extents
    }
}

/// Checks that the regions of real memory are aligned, end at or below 2^46 and do not overlap.
fn regions(machine: &Machine) -> Check {
    let mut extents = machine.extents();
    for &Extent { start, bytes, align, item, what } in &extents {
        require(start & (align - 1) == 0, item, || format!("{what} at {start:#x}: not at a multiple of {align:#x}"))?;
        require(u128::from(start) + bytes <= 1 << MAX_PHYSMEM_BITS, item, || {
            format!("{what} at {start:#x} ends past 2^{MAX_PHYSMEM_BITS}")
        })?;
    }
    extents.sort_by_key(|extent| extent.start);
    for pair in extents.windows(2) {
        let Extent { start, bytes, what, item, .. } = pair[0];
        agree(u128::from(start) + bytes <= u128::from(pair[1].start), pair[1].item, item, || {
            format!("{} at {:#x} overlaps {what} at {start:#x}", pair[1].what, pair[1].start)
        })?;
    }
    Ok(())
}

/// The compound pages, and the pages that page-table entries name. The checks of mappings and page lines use both.
struct Pages {
    /// The compound pages, by the pfn of their head.
    compounds: BTreeMap<u64, Compound>,
    /// The pfns that page-table entries name, ascending; for a page of a compound page, the head's pfn. Empty if the
    /// description has no page lines.
    named: Vec<u64>,
}

/// The item that alone says which pages exist: the machine line in flatmem. `None` in sparsemem-vmemmap, where sections
/// do.
const fn present(machine: &Machine) -> Option<Item> {
    match machine.memory {
        MemoryModel::Flatmem { .. } => Some(Item::Machine),
        MemoryModel::SparsememVmemmap { .. } => None,
    }
}

/// A compound page: its order, and its index in [`Machine::compounds`].
#[derive(Clone, Copy)]
struct Compound {
    order: u32,
    index: usize,
}

impl Compound {
    const fn item(&self) -> Item {
        Item::Compound(self.index)
    }
}

impl Pages {
    fn new(machine: &Machine) -> Result<Self, Invalid> {
        let mut pages = Self { compounds: BTreeMap::new(), named: Vec::new() };
        for (i, compound) in machine.compounds.iter().enumerate() {
            let item = Item::Compound(i);
            let (pfn, order) = (compound.pfn, compound.order);
            order_fits(order, item)?;
            let size = 1u64 << order;
            require(pfn.is_aligned(size), item, || format!("pfn {pfn} is no multiple of {size:#x}"))?;
            // Each page is looked up, because with PAGE_SHIFT 16 a compound page of order 9 spans two sections.
            let all = (0..size).all(|index| pfn.checked_add(index).is_some_and(|page| machine.page_exists(page)));
            agree(all, item, present(machine), || format!("the pages of the compound page at {pfn} do not all exist"))?;
            let before = pages.compounds.range(..pfn.0 + size).next_back();
            let overlapped =
                before.filter(|(at, other)| pfn.0 < *at + (1 << other.order)).map(|(_, other)| other.item());
            agree(overlapped.is_none(), item, overlapped, || format!("the compound page at {pfn} overlaps another"))?;
            pages.compounds.insert(pfn.0, Compound { order, index: i });
        }
        let mut total: u64 = 0;
        for (i, mapping) in machine.mappings.iter().enumerate() {
            let item = Item::Mapping(i);
            total = total.saturating_add(mapping.pages);
            require(total <= MAX_MAPPED_PAGES, item, || format!("more than {MAX_MAPPED_PAGES} pages are mapped"))?;
            let Some(first) = mapping.pte.pfn() else { continue };
            for index in 0..mapping.pages {
                let pfn = first.checked_add(index).filter(|&pfn| machine.page_exists(pfn));
                let Some(pfn) = pfn else {
                    let reason = format!("page {:#x} does not exist", first.0.wrapping_add(index));
                    return Err(Invalid::new(item, reason).against(present(machine)));
                };
                // Only the checks of page lines use this list.
                if !machine.pages.is_empty() {
                    pages.named.push(pages.head(pfn).0);
                }
            }
        }
        pages.named.sort_unstable();
        Ok(pages)
    }

    /// The compound page that contains page `pfn` as head or tail, with the pfn of its head. `None` if page `pfn` is
    /// not compound.
    fn compound(&self, pfn: Pfn) -> Option<(Pfn, Compound)> {
        let (&head, &compound) = self.compounds.range(..=pfn.0).next_back()?;
        (pfn.0 < head + (1 << compound.order)).then_some((Pfn(head), compound))
    }

    fn head(&self, pfn: Pfn) -> Pfn {
        self.compound(pfn).map_or(pfn, |(head, _)| head)
    }
}

fn mappings(machine: &Machine, pages: &Pages) -> Check {
    let page = machine.page_shift.bytes();
    let mut ranges: Vec<(u64, u128, usize)> = Vec::with_capacity(machine.mappings.len());
    for (i, &Mapping { hva, pages: count, pte }) in machine.mappings.iter().enumerate() {
        let item = Item::Mapping(i);
        require(pte != Pte::Hole, item, || "a hole is not mapped".to_string())?;
        require(count > 0, item, || "a mapping needs at least one page".to_string())?;
        // The order must be checked before `pte.pages()` shifts by it: it must be that of a compound page.
        if let Pte::Huge { pfn, order, .. } = pte {
            require(count == 1, item, || "a huge entry is one entry".to_string())?;
            let there = pages.compound(pfn);
            let matches = there.is_some_and(|(head, compound)| head == pfn && compound.order == order);
            agree(matches, item, there.map(|(_, compound)| compound.item()), || {
                format!("{pfn} is not the head of a compound page of order {order}")
            })?;
        }
        let size = page * pte.pages();
        require(hva.is_aligned(size), item, || format!("hva {hva} is no multiple of {size:#x}"))?;
        let bytes = u128::from(size) * u128::from(count);
        require(u128::from(hva.0) + bytes <= 1 << 64, item, || format!("the range at hva {hva} ends past 2^64"))?;
        ranges.push((hva.0, bytes, i));
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let [(first, bytes, number), (next, _, other)] = [pair[0], pair[1]];
        let apart = u128::from(first) + bytes <= u128::from(next);
        agree(apart, Item::Mapping(other), Item::Mapping(number), || format!("hva {next:#x} is mapped twice"))?;
    }
    Ok(())
}

fn owned(machine: &Machine, pages: &Pages) -> Check {
    require(machine.pages.len() as u64 <= MAX_ITEMS, Item::Machine, || format!("more than {MAX_ITEMS} page lines"))?;
    let repeated = first_repeated(&machine.pages);
    for (i, spec) in machine.pages.iter().enumerate() {
        let item = Item::Page(i);
        let pfn = spec.pfn;
        agree(machine.page_exists(pfn), item, present(machine), || format!("page {pfn} does not exist"))?;
        if let Some((first, _)) = repeated.filter(|(_, again)| *again == i) {
            agree(false, item, Item::Page(first), || format!("page {pfn} is described twice"))?;
        }
        if let Some((head, compound)) = pages.compound(pfn).filter(|(head, _)| *head != pfn) {
            agree(false, item, compound.item(), || {
                format!("page {pfn} is a tail of {head}: its references are the head's")
            })?;
        }
        // Own of at most 2^30 and at most 2^16 mappings give a count that fits an i32.
        if !(0..=MAX_OWN).contains(&spec.own) && pages.named.binary_search(&pfn.0).is_ok() {
            agree(false, item, naming(machine, pages, pfn), || {
                format!("own {} of page {pfn}, which is mapped, is not in 0..={MAX_OWN}", spec.own)
            })?;
        }
    }
    Ok(())
}

/// The first page line whose page an earlier page line has already, as (index of the earlier line, index of this line).
/// `None` if each page occurs once.
fn first_repeated(pages: &[PageSpec]) -> Option<(usize, usize)> {
    let mut lines: Vec<(Pfn, usize)> = pages.iter().enumerate().map(|(i, spec)| (spec.pfn, i)).collect();
    lines.sort_unstable();
    let repeated = lines.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| (pair[0].1, pair[1].1));
    repeated.min_by_key(|(_, again)| *again)
}

/// The first mapping that names page `head` or one of its tails, or `None` if no mapping does.
fn naming(machine: &Machine, pages: &Pages, head: Pfn) -> Option<Item> {
    let names = |mapping: &Mapping| {
        let first = mapping.pte.pfn();
        first.is_some_and(|first| (0..mapping.pages).any(|index| pages.head(Pfn(first.0 + index)) == head))
    };
    machine.mappings.iter().position(names).map(Item::Mapping)
}

fn slots(machine: &Machine) -> Check {
    let page = machine.page_shift;
    let mut ids = [false; MAX_SLOTS as usize];
    let mut ranges: Vec<(u64, u64, usize)> = Vec::with_capacity(machine.slots.len().min(MAX_SLOTS as usize));
    for (i, slot) in machine.slots.iter().enumerate() {
        let item = Item::Slot(i);
        require(slot.id < MAX_SLOTS, item, || format!("slot number {} is not below {MAX_SLOTS}", slot.id))?;
        if mem::replace(&mut ids[slot.id as usize], true) {
            let known = machine.slots.iter().position(|known| known.id == slot.id).map(Item::Slot);
            agree(false, item, known, || format!("slot {} is described twice", slot.id))?;
        }
        require(slot.pages > 0, item, || "a slot needs at least one page".to_string())?;
        let frames = 1u128 << (64 - page.bits());
        require(u128::from(slot.gfn.0) + u128::from(slot.pages) <= frames, item, || {
            format!("the slot's guest memory ends past 2^64 (gfn {}, {} pages)", slot.gfn, slot.pages)
        })?;
        require(slot.hva.is_aligned(page.bytes()), item, || {
            format!("hva {} is no multiple of {:#x}", slot.hva, page.bytes())
        })?;
        require(u128::from(slot.hva.0) + (u128::from(slot.pages) << page.bits()) <= 1 << 64, item, || {
            format!("the slot's hva range ends past 2^64 (hva {}, {} pages)", slot.hva, slot.pages)
        })?;
        ranges.push((slot.gfn.0, slot.gfn.0 + slot.pages, i));
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        agree(pair[0].1 <= pair[1].0, Item::Slot(pair[1].2), Item::Slot(pair[0].2), || {
            format!("overlaps slot {}: gfn {:#x} lies in both", machine.slots[pair[0].2].id, pair[1].0)
        })?;
    }
    Ok(())
}

fn ram(machine: &Machine) -> Check {
    let shift = machine.page_shift.bits();
    let mut total: u64 = 0;
    for (i, ram) in machine.ram.iter().enumerate() {
        let item = Item::Ram(i);
        let count = word_count(&ram.words);
        total = total.saturating_add(count);
        require(ram.at.is_aligned(8), item, || format!("{} is no multiple of 8", ram.at))?;
        require(count > 0, item, || "no words".to_string())?;
        runs_of_words(&ram.words, item)?;
        require(total <= MAX_ITEMS, item, || format!("more than {MAX_ITEMS} words of memory"))?;
        let exists = ram
            .at
            .checked_add(count * 8 - 1)
            .is_some_and(|last| (ram.at.0 >> shift..=last.0 >> shift).all(|pfn| machine.page_exists(Pfn(pfn))));
        agree(exists, item, present(machine), || {
            format!("{count} words at {} do not all lie in present memory", ram.at)
        })?;
    }
    Ok(())
}

fn runs_of_words(runs: &[WordRun], item: Item) -> Check {
    require(runs.iter().all(|run| run.count > 0), item, || "a run of words needs at least one".to_string())
}

fn windows(program: &Program) -> Check {
    let machine = &program.machine;
    require(machine.windows.len() <= MAX_WINDOWS, Item::Machine, || format!("more than {MAX_WINDOWS} windows"))?;
    for (i, window) in machine.windows.iter().enumerate() {
        let item = Item::Window(i);
        window.validate(machine.page_shift, program.dialect).map_err(|reason| Invalid::new(item, reason))?;
        let known = machine.windows[..i].iter().position(|other| other.liobn == window.liobn).map(Item::Window);
        agree(known.is_none(), item, known, || format!("LIOBN {} is described twice", window.liobn))?;
    }
    Ok(())
}

fn steps(program: &Program) -> Check {
    require(program.steps.len() <= MAX_STEPS, Item::Step(MAX_STEPS), || {
        format!("{} steps are more than {MAX_STEPS}", program.steps.len())
    })?;
    let mut entries: u64 = program.machine.windows.iter().map(|window| window.entries).sum();
    require(entries <= MAX_TOTAL_ENTRIES, Item::Machine, || {
        format!("the windows have {entries} entries in all, more than {MAX_TOTAL_ENTRIES}")
    })?;
    for (i, step) in program.steps.iter().enumerate() {
        let item = Item::Step(i);
        match step {
            Step::Hypercall { vcpu, .. } => {
                require(*vcpu < MAX_VCPUS, item, || format!("vCPU {vcpu} is not below {MAX_VCPUS}"))?;
            }
            Step::Write { words, .. } => {
                let count = word_count(words);
                require((1..=MAX_STEP_WORDS).contains(&count), item, || {
                    format!("{count} words are not in 1..={MAX_STEP_WORDS}")
                })?;
                runs_of_words(words, item)?;
            }
            Step::CreateWindow(window) => {
                // A step with an invalid window is valid and is skipped, but the encoding must be able to keep its
                // numbers.
                require(window.page_shift <= MAX_KEPT_SHIFT, item, || {
                    format!("page_shift {} is not in 0..={MAX_KEPT_SHIFT}", window.page_shift)
                })?;
                entries = entries.saturating_add(window.entries);
                require(entries <= MAX_TOTAL_ENTRIES, item, || {
                    format!("all windows of the program together have more than {MAX_TOTAL_ENTRIES} entries")
                })?;
            }
            Step::HotAdd { blocks, .. } => {
                let count = blocks.iter().fold(0u64, |sum, run| sum.saturating_add(run.count));
                require(count <= MAX_BLOCKS, item, || format!("{count} places are more than {MAX_BLOCKS} blocks"))?;
                require(blocks.iter().all(|run| run.count > 0), item, || {
                    "a run of blocks needs at least one".to_string()
                })?;
            }
            Step::Map { pte, .. } => {
                require(*pte != Pte::Hole, item, || "a hole is not mapped".to_string())?;
                if let Pte::Huge { order, .. } = pte {
                    order_fits(*order, item)?;
                }
            }
            Step::MakeCompound(compound) => order_fits(compound.order, item)?,
            _ => {}
        }
    }
    Ok(())
}
