//! What a machine is to the model, how a description becomes one, and what the harness may ask of it (semantics 1).

use std::collections::{BTreeMap, BTreeSet};

use contract::description::{MAX_PHYSMEM_BITS, SlotSpec, words};
use contract::{Dialect, Gfn, Hva, Liobn, Machine, MemoryModel, PageShift, Pfn, Pte, RealAddr, WindowSpec};

use crate::Object;

/// What a page's struct page says, and what of its count the host itself took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// All references; 0 on a tail.
    pub count: i32,
    /// References that the host itself took less those it gave back.
    pub own: i32,
    /// DIRTY; always clear on a tail.
    pub dirty: bool,
    /// Whether it is part of a compound page.
    pub compound: Compound,
}

/// Whether and how a page is part of a compound page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compound {
    /// It is not.
    #[default]
    No,
    /// The first page of 2^order.
    Head {
        /// 1 ..= 9.
        order: u32,
    },
    /// Any other page.
    Tail {
        /// The first page.
        head: Pfn,
    },
}

/// A DMA window with its entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// Its description.
    pub spec: WindowSpec,
    /// The guest's values, by entry; all behind the last are 0.
    guest: Vec<u64>,
    /// The hardware entries likewise.
    hardware: Vec<u64>,
}

impl Window {
    /// All entries are 0.
    pub(crate) const fn new(spec: WindowSpec) -> Self {
        Self { spec, guest: Vec::new(), hardware: Vec::new() }
    }

    /// The guest's value of entry `index`.
    #[must_use]
    pub fn guest(&self, index: u64) -> u64 {
        self.guest.get(index as usize).copied().unwrap_or(0)
    }

    /// The hardware entry `index`, 0 in an emulated window.
    #[must_use]
    pub fn hardware(&self, index: u64) -> u64 {
        self.hardware.get(index as usize).copied().unwrap_or(0)
    }

    /// Stores both values of entry `index`.
    pub(crate) fn store(&mut self, index: u64, guest: u64, hardware: u64) {
        let index = index as usize;
        for (table, value) in [(&mut self.guest, guest), (&mut self.hardware, hardware)] {
            if value != 0 && index >= table.len() {
                table.resize(index + 1, 0);
            }
            if let Some(entry) = table.get_mut(index) {
                *entry = value;
            }
        }
    }

    /// The guest values that are not 0, as (index, value), ascending.
    pub fn guest_entries(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        not_zero(&self.guest)
    }

    /// The hardware entries that are not 0, as (index, value), ascending.
    pub fn hardware_entries(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        not_zero(&self.hardware)
    }
}

fn not_zero(table: &[u64]) -> impl Iterator<Item = (u64, u64)> + '_ {
    (0..).zip(table.iter().copied()).filter(|(_, value)| *value != 0)
}

/// How struct pages are found, and which pages exist.
#[derive(Clone, Debug)]
pub(crate) enum Memory {
    Flatmem { array: u64, pages: u64 },
    Sparsemem(Sparsemem),
}

/// The virtual array of struct pages, backed block by block.
#[derive(Clone, Debug)]
pub(crate) struct Sparsemem {
    /// Virtual address of the struct page of pfn 0.
    pub(crate) base: u64,
    pub(crate) block_shift: u32,
    /// Real address of the vmemmap list's area.
    pub(crate) list: u64,
    /// Sections that are present.
    pub(crate) sections: BTreeSet<u64>,
    /// Backed blocks: number to real address.
    pub(crate) blocks: BTreeMap<u64, u64>,
    /// Blocks that are backed or once were.
    pub(crate) ever: BTreeSet<u64>,
}

/// The model: the state of one machine, and the dialect in which it answers.
#[derive(Clone, Debug)]
pub struct Reference {
    pub(crate) dialect: Dialect,
    pub(crate) page_shift: PageShift,
    /// S, the size of a struct page.
    pub(crate) struct_page: u64,
    pub(crate) memory: Memory,
    /// Pages that once had a state of their own; all others are `Page::default()`.
    pub(crate) pages: BTreeMap<Pfn, Page>,
    /// Entries by their first hva; what is not there is a hole.
    pub(crate) page_table: BTreeMap<Hva, Pte>,
    /// Slots by their first gfn.
    pub(crate) slots: BTreeMap<Gfn, SlotSpec>,
    pub(crate) windows: BTreeMap<Liobn, Window>,
    /// Words that are not 0.
    pub(crate) ram: BTreeMap<RealAddr, u64>,
    /// What the last step changed.
    pub(crate) touched: Vec<Object>,
}

impl Reference {
    /// The model of a machine that was validated. Windows are all zero at boot.
    #[must_use]
    pub fn new(dialect: Dialect, machine: &Machine) -> Self {
        let mut model = Self::blank(dialect, machine);
        model.boot(machine);
        model
    }

    /// Forgets everything and starts on another machine.
    pub fn reset(&mut self, dialect: Dialect, machine: &Machine) {
        let touched = std::mem::take(&mut self.touched);
        *self = Self { touched, ..Self::blank(dialect, machine) };
        self.boot(machine);
    }

    /// The machine before it boots: all memory is zero and nothing is mapped.
    fn blank(dialect: Dialect, machine: &Machine) -> Self {
        Self {
            dialect,
            page_shift: machine.page_shift,
            struct_page: machine.struct_page,
            memory: boot_memory(&machine.memory),
            pages: BTreeMap::new(),
            page_table: BTreeMap::new(),
            slots: machine.slots.iter().map(|slot| (slot.gfn, *slot)).collect(),
            windows: machine.windows.iter().map(|spec| (spec.liobn, Window::new(*spec))).collect(),
            ram: BTreeMap::new(),
            touched: Vec::new(),
        }
    }

    fn boot(&mut self, machine: &Machine) {
        self.boot_pages(machine);
        self.boot_mappings(machine);
        self.boot_ram(machine);
        self.touched.clear();
    }

    fn boot_pages(&mut self, machine: &Machine) {
        for compound in &machine.compounds {
            self.mark_compound(compound.pfn, compound.order);
        }
        for spec in &machine.pages {
            let page = self.page_mut(spec.pfn);
            page.count = spec.own;
            page.own = spec.own;
            page.dirty = spec.dirty;
        }
    }

    fn boot_mappings(&mut self, machine: &Machine) {
        for mapping in &machine.mappings {
            for i in 0..mapping.pages {
                let hva = Hva(mapping.hva.0.wrapping_add(i.wrapping_mul(self.page_shift.bytes())));
                let pte = with_pfn(mapping.pte, |pfn| Pfn(pfn.0.wrapping_add(i)));
                self.page_table.insert(hva, pte);
                if let (true, Some(pfn)) = (pte.holds_reference(), pte.pfn()) {
                    self.add_reference(pfn);
                }
            }
        }
    }

    fn boot_ram(&mut self, machine: &Machine) {
        for contents in &machine.ram {
            for (i, word) in (0_u64..).zip(words(&contents.words)) {
                self.store_word(RealAddr(contents.at.0.wrapping_add(i.wrapping_mul(8))), word);
            }
        }
    }

    /// Makes 2^order pages from `head` on one compound page, without moving references.
    pub(crate) fn mark_compound(&mut self, head: Pfn, order: u32) {
        self.page_mut(head).compound = Compound::Head { order };
        for i in 1..1 << order {
            self.page_mut(Pfn(head.0.wrapping_add(i))).compound = Compound::Tail { head };
        }
    }

    /// The page's state, to be changed; the caller notes it as touched where the harness must look.
    pub(crate) fn page_mut(&mut self, pfn: Pfn) -> &mut Page {
        self.pages.entry(pfn).or_default()
    }

    /// Objects whose state the last step changed or may have changed. Valid until the next step.
    #[must_use]
    pub fn touched(&self) -> &[Object] {
        &self.touched
    }

    /// A page's state; the default where nothing is known.
    #[must_use]
    pub fn page(&self, pfn: Pfn) -> Page {
        self.pages.get(&pfn).copied().unwrap_or_default()
    }

    /// Every page whose state is not the default, ascending.
    pub fn pages(&self) -> impl Iterator<Item = (Pfn, Page)> + '_ {
        self.pages.iter().filter(|(_, page)| **page != Page::default()).map(|(pfn, page)| (*pfn, *page))
    }

    /// The page-table entry that covers `hva` (any byte of it); a huge one as a whole.
    #[must_use]
    pub fn pte(&self, hva: Hva) -> Pte {
        self.entry_at(hva).map_or(Pte::Hole, |(_, pte)| pte)
    }

    /// The entries that are no holes, by first hva, ascending.
    pub fn page_table(&self) -> impl Iterator<Item = (Hva, Pte)> + '_ {
        self.page_table.iter().map(|(hva, pte)| (*hva, *pte))
    }

    /// All windows, by LIOBN, ascending.
    pub fn windows(&self) -> impl Iterator<Item = &Window> + '_ {
        self.windows.values()
    }

    /// The window of that name.
    #[must_use]
    pub fn window(&self, liobn: Liobn) -> Option<&Window> {
        self.windows.get(&liobn)
    }

    /// All memory slots, by first gfn, ascending.
    pub fn slots(&self) -> impl Iterator<Item = SlotSpec> + '_ {
        self.slots.values().copied()
    }

    /// The words of memory that are not 0, as numbers, ascending.
    pub fn ram(&self) -> impl Iterator<Item = (RealAddr, u64)> + '_ {
        self.ram.iter().map(|(at, word)| (*at, *word))
    }

    /// The big-endian word at `at` (a multiple of 8), as a number.
    #[must_use]
    pub fn ram_word(&self, at: RealAddr) -> u64 {
        self.ram.get(&at).copied().unwrap_or(0)
    }

    /// Whether the section is present. For flatmem: whether a page of it exists.
    #[must_use]
    pub fn section_present(&self, section: u64) -> bool {
        match &self.memory {
            Memory::Flatmem { pages, .. } => {
                section < 1 << (MAX_PHYSMEM_BITS - contract::description::SECTION_SIZE_BITS)
                    && section * self.page_shift.pages_per_section() < *pages
            }
            Memory::Sparsemem(sparse) => sparse.sections.contains(&section),
        }
    }

    /// Where the vmemmap block of that number lies now; none if it is not backed, or in flatmem.
    #[must_use]
    pub fn block(&self, number: u64) -> Option<RealAddr> {
        match &self.memory {
            Memory::Flatmem { .. } => None,
            Memory::Sparsemem(sparse) => sparse.blocks.get(&number).copied().map(RealAddr),
        }
    }
}

fn boot_memory(model: &MemoryModel) -> Memory {
    match model {
        MemoryModel::Flatmem { array, pages } => Memory::Flatmem { array: array.0, pages: *pages },
        MemoryModel::SparsememVmemmap { base, block_shift, list, sections, blocks } => {
            let backed: BTreeMap<u64, u64> = blocks
                .iter()
                .flat_map(|run| {
                    let place = move |i: u64| run.places.at.0.wrapping_add(i << block_shift);
                    (0..run.places.count).map(move |i| (run.first.wrapping_add(i), place(i)))
                })
                .collect();
            Memory::Sparsemem(Sparsemem {
                base: *base,
                block_shift: *block_shift,
                list: list.0,
                sections: sections.iter().copied().collect(),
                ever: backed.keys().copied().collect(),
                blocks: backed,
            })
        }
    }
}

/// The entry with another pfn.
pub(crate) fn with_pfn(pte: Pte, change: impl Fn(Pfn) -> Pfn) -> Pte {
    match pte {
        Pte::Hole => Pte::Hole,
        Pte::Present { pfn, writable, dirty, young } => Pte::Present { pfn: change(pfn), writable, dirty, young },
        Pte::Huge { pfn, order, writable, dirty, young } => {
            Pte::Huge { pfn: change(pfn), order, writable, dirty, young }
        }
        Pte::Absent { pfn } => Pte::Absent { pfn: change(pfn) },
    }
}
