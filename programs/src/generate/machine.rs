//! Draws random machines, and collects what the drawing of steps can refer to on them.

use std::ops::Range;

use contract::description::{
    AddrRun, Backing, BlockRun, CompoundSpec, LIST_AREA_BYTES, Machine, Mapping, MemoryModel, PageSpec, RamSpec,
    SlotSpec, WordRun,
};
use contract::{Gfn, Hva, Liobn, Pfn, Pte, RealAddr, WindowSpec};

use super::dice::Dice;
use super::swarm::{Choice, Swarm};
use contract::description::blocks_of_section;

/// Real address from which on struct pages, tables and the vmemmap list are placed: above all sections that are drawn,
/// except the last section below 2^46.
const TABLES: u64 = 1 << 45;
/// Number of the last section below 2^46.
const LAST_SECTION: u64 = (1 << 22) - 1;

/// A page of guest memory: its gfn, and the hva that its memory slot gives it.
#[derive(Clone, Copy)]
pub(crate) struct GuestPage {
    pub(crate) gfn: u64,
    pub(crate) hva: Hva,
}

/// A drawn machine, and the pages, sections and free memory that the drawn steps can refer to.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    /// Guest pages that have a page-table entry, maybe an absent one, when the program starts. In a slot that has the
    /// hvas of slot 0, some of them can be holes.
    pub(crate) mapped: Vec<GuestPage>,
    /// Guest pages that mostly are holes (no page-table entry) when the program starts: pages that were left out on
    /// purpose, and the last page of each slot, which can be mapped.
    pub(crate) holes: Vec<GuestPage>,
    /// Host pages for steps to name, for example the first and last page of a section and pages with a split struct
    /// page. All of them exist when the program starts.
    pub(crate) pool: Vec<Pfn>,
    /// Numbers of some sections that are absent when the program starts, for hot-plug steps. Empty in flatmem.
    pub(crate) absent_sections: Vec<u64>,
    /// Allocates the real memory of window tables and vmemmap blocks that steps create.
    pub(crate) places: Places,
    /// Aligned groups of 2^order pages. Each is a compound page at the start, or a step can make it one.
    pub(crate) groups: Vec<CompoundSpec>,
}

/// Allocates real memory for struct pages, the vmemmap list and window tables, in ascending order. Nothing is given
/// back.
pub(crate) struct Places {
    /// The lowest real address that is still free, a multiple of 4096.
    next: u64,
    /// Whether an allocation, in 50 of 100 cases, leaves a gap of 1 to 4 pages of 4096 bytes before it.
    spread: bool,
}

impl Places {
    /// Makes an allocator for the real memory from address `next` on, without gaps.
    pub(crate) const fn from(next: u64) -> Self {
        Self { next, spread: false }
    }

    /// Allocates `bytes` bytes of real memory at a multiple of `align` (a power of two), and returns their real
    /// address.
    pub(crate) fn take(&mut self, bytes: u64, align: u64, dice: &mut Dice<'_>) -> RealAddr {
        if self.spread && dice.percent(50) {
            self.next += dice.between(1, 4) << 12;
        }
        let at = self.next.next_multiple_of(align);
        self.next = (at + bytes).next_multiple_of(4096);
        RealAddr(at)
    }
}

/// Returns the pfn whose struct page contains the first byte of vmemmap block number `boundary` (from 0). The struct
/// page is split if it begins before that byte.
fn split_at(boundary: u64, swarm: &Swarm) -> u64 {
    (boundary << swarm.block_shift) / swarm.struct_page
}

/// Draws a machine with the features of the swarm: memory, guest, own references and windows. If the swarm has a choice
/// of windows, the machine has all of them, or, in 2 of 100 cases, all but one.
pub(crate) fn draw(swarm: &Swarm, dice: &mut Dice<'_>) -> Scene {
    let mut places = Places { next: TABLES, spread: dice.percent(50) };
    let (memory, absent_sections, pool) = memory(swarm, &mut places, dice);
    let mut scene = Scene {
        machine: Machine::bare(swarm.page_shift, swarm.struct_page, memory),
        mapped: Vec::new(),
        holes: Vec::new(),
        pool,
        absent_sections,
        places,
        groups: Vec::new(),
    };
    compounds(swarm, &mut scene, dice);
    guest(swarm, &mut scene, dice);
    owned(swarm, &mut scene, dice);
    if let Some(Choice { windows, .. }) = &swarm.choice {
        let lacking = if dice.percent(2) { dice.pick_from(windows).map(|window| window.liobn) } else { None };
        for window in windows.iter().filter(|window| Some(window.liobn) != lacking) {
            let window = placed(window, &mut scene.places, dice);
            scene.machine.windows.push(window);
        }
        return scene;
    }
    for _ in 0..dice.pick(&[2, 1, 3, 4]) {
        let window = window(swarm, &scene.machine.windows, &mut scene.places, dice);
        scene.machine.windows.push(window);
    }
    scene
}

/// Draws the memory model. Returns it with the numbers of absent sections that steps may add, and the pool of pages
/// that steps may name.
fn memory(swarm: &Swarm, places: &mut Places, dice: &mut Dice<'_>) -> (MemoryModel, Vec<u64>, Vec<Pfn>) {
    let per_section = swarm.page_shift.pages_per_section();
    let mut pool = Vec::new();
    let near = |first: u64, dice: &mut Dice<'_>, pool: &mut Vec<Pfn>| {
        for index in 0..dice.between(3, 8) {
            pool.push(Pfn(first + index));
        }
    };
    if swarm.flatmem {
        let pages = dice.pick(&[64, 16, 256, 1024]);
        let array = places.take(pages * swarm.struct_page, 4096, dice);
        near(0, dice, &mut pool);
        near(dice.below(pages - 8), dice, &mut pool);
        pool.push(Pfn(pages - 1));
        pool.sort_unstable();
        pool.dedup();
        return (MemoryModel::Flatmem { array, pages }, Vec::new(), pool);
    }
    // Low boundaries are more likely: their split lies in a low section, and a far one needs a section of its own.
    let boundary = dice.pick(&[1, 1, 2, 3, 7, 8]);
    let split = split_at(boundary, swarm);
    let mut candidates = vec![0, 1, 2, 3, 5];
    if swarm.edges {
        candidates.extend([split / per_section, split / per_section, split / per_section + 1, LAST_SECTION]);
    }
    let mut sections: Vec<u64> = (0..dice.pick(&[2, 1, 3])).map(|_| dice.pick(&candidates)).collect();
    if swarm.edges {
        sections.push(split / per_section);
    }
    sections.sort_unstable();
    sections.dedup();
    let mut absent: Vec<u64> =
        candidates.into_iter().filter(|section| sections.binary_search(section).is_err()).collect();
    absent.sort_unstable();
    absent.dedup();

    for &section in &sections {
        near(section * per_section + dice.below(per_section - 8), dice, &mut pool);
        if swarm.edges {
            pool.extend([Pfn(section * per_section), Pfn((section + 1) * per_section - 1)]);
        }
    }
    if swarm.edges {
        let exists = |pfn: &u64| sections.binary_search(&(pfn / per_section)).is_ok();
        pool.extend([split.saturating_sub(1), split, split + 1].into_iter().filter(exists).map(Pfn));
    }
    pool.sort_unstable();
    pool.dedup();

    let blocks = blocks(swarm, &sections, places, dice);
    let list = places.take(LIST_AREA_BYTES, 4096, dice);
    let needed = (sections.last().map_or(0, |last| last + 1) * per_section * swarm.struct_page)
        .next_multiple_of(1 << swarm.block_shift);
    let top = 0u64.wrapping_sub(needed);
    let base = if dice.percent(90) { dice.pick(&[0xf << 60, 0xc00c << 48]) } else { top };
    (MemoryModel::SparsememVmemmap { base, block_shift: swarm.block_shift, list, sections, blocks }, absent, pool)
}

/// Draws the real addresses of the vmemmap blocks that the struct pages of `sections` need.
fn blocks(swarm: &Swarm, sections: &[u64], places: &mut Places, dice: &mut Dice<'_>) -> Vec<BlockRun> {
    let bytes = swarm.page_shift.pages_per_section() * swarm.struct_page;
    let size = 1 << swarm.block_shift;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &section in sections {
        let Range { start: first, end } = blocks_of_section(section, bytes, swarm.block_shift);
        match ranges.last_mut() {
            Some(last) if first <= last.1 => last.1 = end,
            _ => ranges.push((first, end)),
        }
    }
    let mut runs = Vec::new();
    for (first, end) in ranges {
        let mut next = first;
        while next < end {
            // Up to three single blocks at places of their own, then the rest of the range in one piece.
            let count = if next - first < 3 && dice.percent(60) { 1 } else { end - next };
            runs.push(BlockRun { first: next, places: AddrRun { at: RealAddr(0), count } });
            next += count;
        }
    }
    let mut order: Vec<usize> = (0..runs.len()).collect();
    if dice.percent(50) {
        order.reverse();
    }
    for index in order {
        let run = &mut runs[index];
        run.places.at = places.take(run.places.count * size, size, dice);
    }
    runs
}

/// If the swarm has compound pages, draws up to two groups of 2 to 16 pages, and adds some of their pages to the
/// scene's pool. About 60 of 100 become compound pages of the machine; steps can make the others compound.
fn compounds(swarm: &Swarm, scene: &mut Scene, dice: &mut Dice<'_>) {
    if !swarm.compound {
        return;
    }
    for _ in 0..dice.between(1, 2) {
        let order = dice.pick(&[1, 2, 3, 4]) as u32;
        let Some(near) = dice.pick_from(&scene.pool) else { return };
        let pfn = Pfn(near.0 >> order << order);
        let pages = 1 << order;
        let free =
            scene.groups.iter().all(|other| pfn.0 + pages <= other.pfn.0 || other.pfn.0 + (1 << other.order) <= pfn.0);
        if free && (0..pages).all(|index| scene.machine.page_exists(Pfn(pfn.0 + index))) {
            let group = CompoundSpec { pfn, order };
            scene.groups.push(group);
            scene.pool.extend([pfn, Pfn(pfn.0 + 1), Pfn(pfn.0 + pages - 1)]);
            if dice.percent(60) {
                scene.machine.compounds.push(group);
            }
        }
    }
    scene.pool.sort_unstable();
    scene.pool.dedup();
}

/// Draws one to three memory slots and the mappings of their first pages, in 10 of 100 programs also one at the last
/// gfn. Draws no slot that would lie outside the swarm's limits. Fills the scene's `mapped` and `holes`.
fn guest(swarm: &Swarm, scene: &mut Scene, dice: &mut Dice<'_>) {
    let shift = swarm.page_shift.bits();
    let mut gfn = dice.pick(&[0, 0, 0x10, 0x1000]);
    if gfn >= swarm.gfns {
        gfn = 0;
    }
    let count = dice.pick(&[2, 1, 3]);
    for id in 0..count {
        if gfn >= swarm.gfns {
            break;
        }
        // Some slots are far larger than what is mapped, so that TCEs with large window pages can lie in guest memory.
        let pages = dice.pick(&[16, 8, 32, 16, 0x1000, 0x10_0000]).min(swarm.slot_pages).min(swarm.gfns - gfn);
        let alias = id > 0 && dice.percent(20);
        let hva = Hva(0x7f00_0000_0000 + if alias { 0 } else { id << 40 });
        scene.machine.slots.push(SlotSpec { id: id as u32, gfn: Gfn(gfn), pages, hva });
        let mapped = pages.min(dice.pick(&[8, 4, 16]));
        let mut index = 0;
        while index < mapped {
            let page = GuestPage { gfn: gfn + index, hva: Hva(hva.0 + (index << shift)) };
            index += if alias {
                scene.mapped.push(page);
                1
            } else {
                map(swarm, scene, page, index, mapped, dice)
            };
        }
        scene.holes.push(GuestPage { gfn: gfn + pages - 1, hva: Hva(hva.0 + ((pages - 1) << shift)) });
        gfn += pages + if dice.percent(50) { 0 } else { dice.pick(&[1, 0x100]) };
    }
    // The last guest frame below 2^64.
    let last = (1 << (64 - shift)) - 1;
    if dice.percent(10) && last < swarm.gfns {
        let slot = SlotSpec { id: 500, gfn: Gfn(last), pages: 1, hva: Hva(0x7fff_0000_0000) };
        scene.machine.slots.push(slot);
        map(swarm, scene, GuestPage { gfn: last, hva: slot.hva }, 0, 1, dice);
    }
}

/// Maps the guest page `page`, or a whole compound page from `page` on, or leaves `page` a hole, and adds the guest
/// pages to the scene's `mapped` or `holes`. Returns their number. `index` is the number of `page` in its slot, from 0;
/// `mapped` is the number of pages of the slot that the caller goes through.
fn map(swarm: &Swarm, scene: &mut Scene, page: GuestPage, index: u64, mapped: u64, dice: &mut Dice<'_>) -> u64 {
    if swarm.absent && dice.percent(10) {
        scene.holes.push(page);
        return 1;
    }
    let perfect = |dice: &mut Dice<'_>| !swarm.imperfect || !dice.percent(20);
    let (writable, dirty, young) = (perfect(dice), perfect(dice), perfect(dice));
    let huge = dice.pick_from(&scene.machine.compounds).filter(|compound| {
        let pages = 1 << compound.order;
        index.is_multiple_of(pages) && index + pages <= mapped
    });
    if let Some(compound) = huge.filter(|_| dice.percent(50)) {
        let pages = 1 << compound.order;
        let pte = Pte::Huge { pfn: compound.pfn, order: compound.order, writable, dirty, young };
        scene.machine.mappings.push(Mapping { hva: page.hva, pages: 1, pte });
        for offset in 0..pages {
            let hva = Hva(page.hva.0 + (offset << swarm.page_shift.bits()));
            scene.mapped.push(GuestPage { gfn: page.gfn + offset, hva });
        }
        return pages;
    }
    let pfn = dice.pick(&scene.pool);
    let pte = if swarm.absent && dice.percent(25) {
        if dice.percent(30) {
            // A list on an absent page, which must be faulted in before it can be read.
            let value = TCE_OF_PAGE_0 | page.gfn << swarm.page_shift.bits();
            let words = vec![WordRun { value, stride: 0, count: 4 }];
            let at = RealAddr(pfn.0 << swarm.page_shift.bits());
            if scene.machine.ram.iter().all(|ram| ram.at != at) {
                scene.machine.ram.push(RamSpec { at, words });
            }
        }
        Pte::Absent { pfn }
    } else {
        Pte::Present { pfn, writable, dirty, young }
    };
    scene.machine.mappings.push(Mapping { hva: page.hva, pages: 1, pte });
    scene.mapped.push(page);
    1
}

/// A TCE that lets the device read gpa 0.
const TCE_OF_PAGE_0: u64 = 1;

/// Draws own references and DIRTY flags for some of the pages in the pool. Does nothing if the swarm has no own
/// references.
fn owned(swarm: &Swarm, scene: &mut Scene, dice: &mut Dice<'_>) {
    let machine = &mut scene.machine;
    let head = |pfn: Pfn| {
        machine.compounds.iter().find(|c| pfn.0 >= c.pfn.0 && pfn.0 - c.pfn.0 < 1 << c.order).map_or(pfn, |c| c.pfn)
    };
    let mut named: Vec<Pfn> = machine.mappings.iter().flat_map(|mapping| mapping.pte.pfn()).map(head).collect();
    named.sort_unstable();
    for &pfn in &scene.pool {
        if head(pfn) != pfn || !swarm.own {
            continue;
        }
        let own = if named.binary_search(&pfn).is_ok() {
            dice.pick(&[0, 0, 0, 1, 1, 2, 1 << 30])
        } else {
            dice.pick(&[0, 0, 0, 1, 2, -1, i32::MAX, i32::MIN, 3])
        };
        let dirty = dice.percent(10);
        if own != 0 || dirty {
            machine.pages.push(PageSpec { pfn, own, dirty });
        }
    }
}

/// Returns a copy of the window whose tables have newly allocated real memory.
pub(crate) fn placed(window: &WindowSpec, places: &mut Places, dice: &mut Dice<'_>) -> WindowSpec {
    let table = places.take(window.entries * 8, 4096, dice);
    let backing = match window.backing {
        Backing::Emulated => Backing::Emulated,
        Backing::Pinned { .. } => Backing::Pinned { hardware: places.take(window.entries * 8, 4096, dice) },
    };
    WindowSpec { table, backing, ..*window }
}

/// Draws a window that the swarm's dialect allows, with tables in newly allocated memory and a LIOBN that none of
/// `others` has.
pub(crate) fn window(swarm: &Swarm, others: &[WindowSpec], places: &mut Places, dice: &mut Dice<'_>) -> WindowSpec {
    let pinned = swarm.pinned && (!swarm.emulated || dice.percent(70));
    let page_shift = if pinned {
        dice.pick(&[swarm.page_shift.bits(), swarm.page_shift.bits(), 12])
    } else {
        dice.pick(&[12, 16, 12, swarm.page_shift.bits(), 21, 24, 30, 34])
    };
    let entries: u64 = if swarm.long {
        dice.pick(&[512, 513, 600, 1024, 4096])
    } else {
        [16, 8, 5, 1, 2, 64, 520][dice.weighted(&[4, 4, 3, 2, 3, 2, 1])]
    };
    let bytes = entries << page_shift;
    let mut base = dice.pick(&[0, 0, 1 << 59, 0x1000_0000, u64::MAX]);
    if base == u64::MAX {
        // The window ends at 2^64.
        base = 0u64.wrapping_sub(bytes);
    }
    base = base >> page_shift << page_shift;
    if !swarm.dialect.aligns_window_bases() && dice.percent(20) {
        base = base.wrapping_add(dice.pick(&[0x800, 1, 0xfff]));
        if base.checked_add(bytes).is_none() {
            base = 0x800;
        }
    }
    let mut liobn = dice.pick(&[0x8000_0000, 0x8000_0001, 0x7100_0005, 0, 0xffff_ffff]);
    if swarm.dialect.liobn_bits() == 64 && dice.percent(15) {
        liobn = dice.pick(&[1 << 32, u64::MAX - 64]);
    }
    while others.iter().any(|other| other.liobn.0 == liobn) {
        liobn = (liobn + 1) & swarm.dialect.max_liobn();
    }
    let backing = if pinned { Backing::Pinned { hardware: RealAddr(0) } } else { Backing::Emulated };
    let window = WindowSpec { liobn: Liobn(liobn), page_shift, base, entries, table: RealAddr(0), backing };
    placed(&window, places, dice)
}
