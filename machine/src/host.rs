//! The host: sets the image up as a machine describes it, and carries host steps out on it.
//!
//! Preconditions are the reference's to judge; what comes here is to be done. What it does is held against the reference
//! after each step like what a subject does, so a mistake here shows as a divergence.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::memory::{Owner, RealMemory, Region, struct_page};
use contract::description::{AddrRun, LIST_NODE_BYTES, MemoryModel, blocks_of_section, words};
use contract::{Gpa, Hva, Machine, Pfn, Program, Pte, RealAddr, Step, WindowSpec};

const SECTION_BYTES: u64 = 1 << contract::description::SECTION_SIZE_BITS;

/// What the host remembers beside the image.
pub struct Host {
    machine: MachineShape,
    sections: BTreeSet<u64>,
    slots: Vec<contract::description::SlotSpec>,
    list: VmemmapList,
}

/// The parts of a machine that do not change.
#[derive(Clone, Copy)]
struct MachineShape {
    page_shift: u32,
    struct_page: u64,
    pages_per_section: u64,
    vmemmap: Option<Vmemmap>,
}

#[derive(Clone, Copy)]
struct Vmemmap {
    base: u64,
    block_shift: u32,
}

/// The kernel's list of backed blocks, kept in real memory for subjects that walk it (semantics 1).
#[derive(Default)]
struct VmemmapList {
    at: u64,
    /// Nodes never used start here.
    carve: u64,
    /// Nodes given back, reused last in, first out.
    freed: Vec<u64>,
    /// Nodes with their blocks, the list's front last.
    nodes: Vec<(u64, u64)>,
}

impl VmemmapList {
    fn reset(&mut self, at: u64) {
        self.at = at;
        self.carve = at + 8;
        self.freed.clear();
        self.nodes.clear();
    }

    fn push(&mut self, memory: &mut RealMemory, block: u64, real: RealAddr, virt: u64) {
        let node = self.freed.pop().unwrap_or_else(|| {
            let node = self.carve;
            self.carve += LIST_NODE_BYTES;
            node
        });
        let front = self.nodes.last().map_or(0, |&(node, _)| node);
        memory.poke(RealAddr(node), front);
        memory.poke(RealAddr(node + 8), real.0);
        memory.poke(RealAddr(node + 16), virt);
        memory.poke(RealAddr(self.at), node);
        self.nodes.push((node, block));
    }

    fn remove(&mut self, memory: &mut RealMemory, block: u64) {
        let Some(index) = self.nodes.iter().position(|&(_, other)| other == block) else { return };
        let (node, _) = self.nodes.remove(index);
        let next = memory.peek(RealAddr(node));
        // The node in front of it now stands at `index`, if there is one.
        let pointer = self.nodes.get(index).map_or(self.at, |&(node, _)| node);
        memory.poke(RealAddr(pointer), next);
        self.freed.push(node);
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// A host without a machine, for [`boot`](Self::boot).
    #[must_use]
    pub fn new() -> Self {
        Self {
            machine: MachineShape { page_shift: 12, struct_page: 64, pages_per_section: 4096, vmemmap: None },
            sections: BTreeSet::new(),
            slots: Vec::new(),
            list: VmemmapList::default(),
        }
    }

    /// Size of a struct page in bytes.
    #[must_use]
    pub const fn struct_page(&self) -> u64 {
        self.machine.struct_page
    }

    /// Sets `memory` up as the program's machine says.
    pub fn boot(&mut self, memory: &mut RealMemory, program: &Program) {
        let machine = &program.machine;
        memory.reset(machine.page_shift, machine.struct_page, &machine.memory, program.frames_bound() as usize);
        self.sections.clear();
        self.slots.clear();
        self.slots.extend_from_slice(&machine.slots);
        self.machine = MachineShape {
            page_shift: machine.page_shift.bits(),
            struct_page: machine.struct_page,
            pages_per_section: machine.page_shift.pages_per_section(),
            vmemmap: None,
        };
        self.boot_memory(memory, machine);
        for window in &machine.windows {
            add_window(memory, window);
        }
        for compound in &machine.compounds {
            mark_compound(memory, compound.pfn, compound.order);
        }
        for mapping in &machine.mappings {
            for index in 0..mapping.pages {
                let hva = Hva(mapping.hva.0 + (index << self.machine.page_shift));
                self.map(memory, hva, shifted(mapping.pte, index));
            }
        }
        for page in &machine.pages {
            memory.add_count(page.pfn, page.own);
            memory.add_own(page.pfn, page.own);
            if page.dirty {
                let flags = memory.page_word(page.pfn, struct_page::FLAGS);
                memory.set_page_word(page.pfn, struct_page::FLAGS, flags | struct_page::DIRTY);
            }
        }
        for ram in &machine.ram {
            for (index, word) in words(&ram.words).enumerate() {
                memory.poke(RealAddr(ram.at.0 + index as u64 * 8), word.swap_bytes());
            }
        }
        memory.begin_step();
    }

    fn boot_memory(&mut self, memory: &mut RealMemory, machine: &Machine) {
        match &machine.memory {
            MemoryModel::Flatmem { array, pages } => {
                let end = array.0 + pages * machine.struct_page;
                memory.add_region(Region { start: array.0, end, owner: Owner::StructPages { offset: 0 } });
                memory.add_region(Region { start: 0, end: pages << machine.page_shift.bits(), owner: Owner::Ram });
            }
            MemoryModel::SparsememVmemmap { base, block_shift, list, sections, blocks } => {
                self.machine.vmemmap = Some(Vmemmap { base: *base, block_shift: *block_shift });
                self.list.reset(list.0);
                let end = list.0 + contract::description::LIST_AREA_BYTES;
                memory.add_region(Region { start: list.0, end, owner: Owner::List });
                for &section in sections {
                    self.add_section(memory, section);
                }
                for run in blocks {
                    for index in 0..run.places.count {
                        let real = RealAddr(run.places.at.0 + (index << block_shift));
                        self.add_block(memory, run.first + index, real);
                    }
                }
            }
        }
    }

    fn add_section(&mut self, memory: &mut RealMemory, section: u64) {
        let start = section * SECTION_BYTES;
        memory.add_region(Region { start, end: start + SECTION_BYTES, owner: Owner::Ram });
        self.sections.insert(section);
    }

    fn add_block(&mut self, memory: &mut RealMemory, block: u64, real: RealAddr) {
        let Some(Vmemmap { base, block_shift }) = self.machine.vmemmap else { return };
        memory.add_block(block, real);
        self.list.push(memory, block, real, base.wrapping_add(block << block_shift));
    }

    fn blocks_of(&self, section: u64) -> Range<u64> {
        let shift = self.machine.vmemmap.map_or(24, |vmemmap| vmemmap.block_shift);
        blocks_of_section(section, self.machine.pages_per_section * self.machine.struct_page, shift)
    }

    /// Carries out a host step whose precondition holds. Closing a window takes its tables away: the subject has emptied them.
    pub fn step(&mut self, memory: &mut RealMemory, step: &Step) {
        match step {
            Step::Hypercall { .. } | Step::Lookup { .. } | Step::GetPage { .. } | Step::PutPage { .. } => {}
            Step::Take { pfn } => change_own(memory, *pfn, 1),
            Step::Drop { pfn } => change_own(memory, *pfn, -1),
            Step::Map { hva, pte } => self.map(memory, *hva, *pte),
            Step::Unmap { hva } => {
                let pte = memory.pte(*hva);
                let first = self.first_hva(*hva, pte);
                memory.set_pte(first, Pte::Hole);
                if let Some(pfn) = pte.pfn().filter(|_| pte.holds_reference()) {
                    let head = memory.head(pfn);
                    memory.add_count(head, -1);
                }
            }
            Step::Age { hva } => self.change_bits(memory, *hva, |_, _, young| *young = false),
            Step::WriteProtect { hva } => self.change_bits(memory, *hva, |writable, _, _| *writable = false),
            Step::Clean { hva } => {
                self.change_bits(memory, *hva, |_, dirty, _| *dirty = false);
                if let Some(pfn) = memory.pte(*hva).pfn() {
                    let head = memory.head(pfn);
                    let flags = memory.page_word(head, struct_page::FLAGS);
                    memory.set_page_word(head, struct_page::FLAGS, flags & !struct_page::DIRTY);
                }
            }
            Step::Migrate { hva, pfn } => self.migrate(memory, *hva, *pfn),
            Step::MakeCompound(compound) => make_compound(memory, compound.pfn, compound.order),
            Step::SplitCompound { pfn } => split_compound(memory, *pfn),
            Step::HotAdd { section, blocks } => self.hot_add(memory, *section, blocks),
            Step::HotRemove { section } => self.hot_remove(memory, *section),
            Step::Slot(slot) => {
                self.slots.retain(|other| other.id != slot.id);
                if slot.pages > 0 {
                    self.slots.push(*slot);
                }
            }
            Step::Write { gpa, words: runs } => {
                for (index, word) in words(runs).enumerate() {
                    if let Some(real) = self.real(memory, Gpa(gpa.0.wrapping_add(index as u64 * 8))) {
                        memory.poke(real, word.swap_bytes());
                    }
                }
            }
            Step::CreateWindow(window) => add_window(memory, window),
            Step::CloseWindow { .. } => {}
        }
    }

    /// Takes the tables of a closed window away.
    pub fn remove_window(memory: &mut RealMemory, window: &WindowSpec) {
        for (start, _) in window.regions() {
            memory.remove_region(start.0);
        }
    }

    /// Where the guest's byte lies, through slot and page table.
    fn real(&self, memory: &RealMemory, gpa: Gpa) -> Option<RealAddr> {
        let shift = self.machine.page_shift;
        let gfn = gpa.0 >> shift;
        let slot = self.slots.iter().find(|slot| gfn >= slot.gfn.0 && gfn - slot.gfn.0 < slot.pages)?;
        let page = (slot.hva.0 >> shift) + (gfn - slot.gfn.0);
        let pte = memory.pte(Hva(page << shift));
        let pfn = pte.pfn()?.0 + (page & (pte.pages() - 1));
        Some(RealAddr(pfn << shift | gpa.0 & ((1 << shift) - 1)))
    }

    fn first_hva(&self, hva: Hva, pte: Pte) -> Hva {
        Hva(hva.0 & !((pte.pages() << self.machine.page_shift) - 1))
    }

    fn map(&self, memory: &mut RealMemory, hva: Hva, pte: Pte) {
        memory.set_pte(hva, pte);
        if let Some(pfn) = pte.pfn().filter(|_| pte.holds_reference()) {
            let head = memory.head(pfn);
            memory.add_count(head, 1);
        }
    }

    fn change_bits(&self, memory: &mut RealMemory, hva: Hva, change: impl FnOnce(&mut bool, &mut bool, &mut bool)) {
        let mut pte = memory.pte(hva);
        if let Pte::Present { writable, dirty, young, .. } | Pte::Huge { writable, dirty, young, .. } = &mut pte {
            change(writable, dirty, young);
        }
        let first = self.first_hva(hva, pte);
        memory.set_pte(first, pte);
    }

    fn migrate(&self, memory: &mut RealMemory, hva: Hva, to: Pfn) {
        let Pte::Present { pfn: from, writable, dirty, young } = memory.pte(hva) else { return };
        let shift = self.machine.page_shift;
        memory.copy(RealAddr(from.0 << shift), RealAddr(to.0 << shift), 1 << shift);
        memory.add_count(to, 1);
        memory.set_pte(self.first_hva(hva, Pte::Hole), Pte::Present { pfn: to, writable, dirty, young });
        memory.add_count(from, -1);
    }

    fn hot_add(&mut self, memory: &mut RealMemory, section: u64, places: &[AddrRun]) {
        let Some(Vmemmap { block_shift, .. }) = self.machine.vmemmap else { return };
        let mut places = places.iter().flat_map(|run| (0..run.count).map(|index| run.at.0 + (index << block_shift)));
        for block in self.blocks_of(section) {
            if memory.blocks().binary_search_by_key(&block, |&(number, _)| number).is_err()
                && let Some(real) = places.next()
            {
                self.add_block(memory, block, RealAddr(real));
            }
        }
        self.add_section(memory, section);
        let bytes = self.machine.pages_per_section * self.machine.struct_page;
        let (mut at, end) = (section * bytes, (section + 1) * bytes);
        while at < end {
            let next = end.min(((at >> block_shift) + 1) << block_shift);
            if let Ok(index) = memory.blocks().binary_search_by_key(&(at >> block_shift), |&(number, _)| number) {
                let real = memory.blocks()[index].1 + (at & ((1 << block_shift) - 1));
                memory.zero(real, real + (next - at));
            }
            at = next;
        }
        let per_section = self.machine.pages_per_section;
        memory.clear_account(Pfn(section * per_section), Pfn((section + 1) * per_section));
    }

    fn hot_remove(&mut self, memory: &mut RealMemory, section: u64) {
        self.sections.remove(&section);
        memory.remove_region(section * SECTION_BYTES);
        for block in self.blocks_of(section) {
            let needed = self.sections.iter().any(|&other| self.blocks_of(other).contains(&block));
            if !needed {
                memory.remove_block(block);
                // Probes may have changed counts of pages that no section has; they go with the block.
                let size = self.machine.vmemmap.map_or(0, |vmemmap| 1 << vmemmap.block_shift);
                let page = |offset: u64| Pfn(offset / self.machine.struct_page);
                memory.clear_account(page(block * size), page((block + 1) * size));
                self.list.remove(memory, block);
            }
        }
    }
}

fn shifted(pte: Pte, index: u64) -> Pte {
    let mut pte = pte;
    if let Pte::Present { pfn, .. } | Pte::Absent { pfn } = &mut pte {
        pfn.0 += index;
    }
    pte
}

fn add_window(memory: &mut RealMemory, window: &WindowSpec) {
    for ((start, bytes), owner) in window.regions().zip([Owner::Table(window.liobn), Owner::Hardware(window.liobn)]) {
        memory.add_region(Region { start: start.0, end: start.0 + bytes, owner });
    }
}

fn change_own(memory: &mut RealMemory, pfn: Pfn, delta: i32) {
    let head = memory.head(pfn);
    memory.add_count(head, delta);
    memory.add_own(head, delta);
}

fn mark_compound(memory: &mut RealMemory, head: Pfn, order: u32) {
    let flags = memory.page_word(head, struct_page::FLAGS);
    memory.set_page_word(head, struct_page::FLAGS, flags | struct_page::HEAD);
    memory.set_page_word(head, struct_page::COMPOUND, u64::from(order));
    for tail in (1..1 << order).map(|index| Pfn(head.0 + index)) {
        memory.set_page_word(tail, struct_page::FLAGS, struct_page::TAIL);
        memory.set_page_word(tail, struct_page::COMPOUND, head.0);
    }
}

fn make_compound(memory: &mut RealMemory, head: Pfn, order: u32) {
    for tail in (1..1 << order).map(|index| Pfn(head.0 + index)) {
        let (count, holders) = (memory.count(tail), memory.holders(tail));
        memory.add_count(head, count);
        memory.set_count(tail, 0);
        memory.move_holders(head, holders);
        memory.move_holders(tail, -holders);
        let dirty = memory.page_word(tail, struct_page::FLAGS) & struct_page::DIRTY;
        let flags = memory.page_word(head, struct_page::FLAGS);
        memory.set_page_word(head, struct_page::FLAGS, flags | dirty);
    }
    mark_compound(memory, head, order);
}

fn split_compound(memory: &mut RealMemory, head: Pfn) {
    let pages = 1 << memory.page_word(head, struct_page::COMPOUND);
    let dirty = memory.page_word(head, struct_page::FLAGS) & struct_page::DIRTY;
    let mut mapped = vec![0; pages as usize];
    for (_, pte) in memory.page_table() {
        if let Some(pfn) = pte.pfn().filter(|pfn| pte.holds_reference() && pfn.0 >= head.0 && pfn.0 - head.0 < pages) {
            mapped[(pfn.0 - head.0) as usize] += 1;
        }
    }
    for (index, &mappings) in mapped.iter().enumerate() {
        let pfn = Pfn(head.0 + index as u64);
        memory.set_page_word(pfn, struct_page::FLAGS, dirty);
        memory.set_page_word(pfn, struct_page::COMPOUND, 0);
        memory.set_count(pfn, mappings);
        let holders = memory.holders(pfn);
        memory.move_holders(pfn, mappings - holders);
    }
}
