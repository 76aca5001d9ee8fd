//! The host: sets memory up as a machine describes it, and does host steps on it.
//!
//! | module | what it does |
//! |---|---|
//! | here | sets memory up, and the state that the host keeps outside memory |
//! | `steps` | does host steps (docs/semantics.md, section 6) |
//! | `vmemmap_list` | keeps the list of backed blocks in memory |
//!
//! The reference decides whether a step's precondition holds, and the host only gets steps whose precondition holds. If
//! the host finds one that does not hold, it reports a [`Fault`] to memory. After each step the oracle compares memory
//! with the reference, so a mistake of the host shows as a divergence.

mod steps;
#[cfg(test)]
mod tests;
mod vmemmap_list;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use contract::description::{LIST_AREA_BYTES, SECTION_SIZE_BITS, SlotSpec, words};
use contract::{Hva, Machine, MemoryModel, Program, Pte, RealAddr, WindowSpec};

use crate::memory::{Fault, Owner, RealMemory, Region, struct_page};
use vmemmap_list::VmemmapList;

/// Size of a section in bytes.
const SECTION_BYTES: u64 = 1 << SECTION_SIZE_BITS;

/// The host, with what it keeps outside the simulated memory: sizes of the machine, present sections, memory slots and
/// a record of the vmemmap list.
pub struct Host {
    machine: MachineShape,
    /// Numbers of the sections that are present now. Empty in flatmem.
    sections: BTreeSet<u64>,
    slots: Vec<SlotSpec>,
    list: VmemmapList,
}

/// The parts of a machine that no step changes.
#[derive(Clone, Copy)]
struct MachineShape {
    page_shift: u32,
    struct_page: u64,
    pages_per_section: u64,
    /// The vmemmap range; `None` in flatmem.
    vmemmap: Option<Vmemmap>,
}

/// The vmemmap range of a machine of sparsemem-vmemmap.
#[derive(Clone, Copy)]
struct Vmemmap {
    base: u64,
    block_shift: u32,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// Makes a host that has no machine yet. [`boot`](Self::boot) gives it one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            machine: MachineShape { page_shift: 12, struct_page: 64, pages_per_section: 4096, vmemmap: None },
            sections: BTreeSet::new(),
            slots: Vec::new(),
            list: VmemmapList::default(),
        }
    }

    /// Resets `memory`, sets it up as the program's machine says, and empties the change log. The program must be
    /// [valid](Program::validate); memory may report a [`Fault`] for one that is not.
    pub fn boot(&mut self, memory: &mut RealMemory, program: &Program) {
        let machine = &program.machine;
        memory.reset(machine.page_shift, machine.struct_page, &machine.memory, program.frames_bound() as u32);
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
            memory.mark_compound(compound.pfn, compound.order);
        }
        for mapping in &machine.mappings {
            for index in 0..mapping.pages {
                let hva = Hva(mapping.hva.0 + (index << self.machine.page_shift));
                map(memory, hva, shifted(mapping.pte, index));
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
                let vmemmap = Vmemmap { base: *base, block_shift: *block_shift };
                self.machine.vmemmap = Some(vmemmap);
                self.list.reset(list.0);
                memory.add_region(Region { start: list.0, end: list.0 + LIST_AREA_BYTES, owner: Owner::List });
                for &section in sections {
                    self.add_section(memory, section);
                }
                for run in blocks {
                    for index in 0..run.places.count {
                        let real = RealAddr(run.places.at.0 + (index << block_shift));
                        self.add_block(memory, vmemmap, run.first + index, real);
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

    fn add_block(&mut self, memory: &mut RealMemory, vmemmap: Vmemmap, block: u64, real: RealAddr) {
        memory.add_block(block, real);
        // Every backed block of a valid description starts below 2^64, so this does not wrap.
        self.list.push(memory, block, real, vmemmap.base.wrapping_add(block << vmemmap.block_shift));
    }

    /// Removes the tables of a closed window from memory. The subject has set all entries to 0: if a word is not zero,
    /// reports a [`Fault`] to memory, and removes the tables all the same.
    pub fn remove_window(memory: &mut RealMemory, window: &WindowSpec) {
        for (start, bytes) in window.regions() {
            let left = memory.contents_within(start.0, start.0 + bytes).next();
            if let Some((at, _)) = left {
                memory.report_fault(Fault::Precondition {
                    step: contract::StepKind::CloseWindow,
                    needs: "an empty table",
                    at: at.0,
                });
            }
            memory.remove_region(start.0);
        }
    }
}

/// Returns the page-table entry that a mapping which begins with `pte` has for the page `index` pages further on. A
/// huge entry or a hole stays as it is.
fn shifted(pte: Pte, index: u64) -> Pte {
    let mut pte = pte;
    // A huge entry or a hole stands alone and is not shifted.
    if let Pte::Present { pfn, .. } | Pte::Absent { pfn } = &mut pte {
        pfn.0 += index;
    }
    pte
}

/// Sets the page-table entry at `hva`, where the caller has seen a hole. If the entry holds a reference (an absent one
/// does not), adds 1 to the count of its page, or of the head of a compound page.
fn map(memory: &mut RealMemory, hva: Hva, pte: Pte) {
    memory.set_pte(hva, pte);
    if let Some(pfn) = pte.pfn().filter(|_| pte.holds_reference()) {
        let head = memory.head(pfn);
        memory.add_count(head, 1);
    }
}

/// Adds the regions of real memory in which the tables of a window lie: guest values, and hardware entries if it is
/// pinned.
fn add_window(memory: &mut RealMemory, window: &WindowSpec) {
    for ((start, bytes), owner) in window.regions().zip([Owner::Table(window.liobn), Owner::Hardware(window.liobn)]) {
        memory.add_region(Region { start: start.0, end: start.0 + bytes, owner });
    }
}
