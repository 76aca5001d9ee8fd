//! The state of a machine in the model, how it starts from a description, and the functions by which the harness reads
//! it (docs/semantics.md, section 1).

use std::collections::{BTreeMap, BTreeSet};

use contract::description::{MAX_PHYSMEM_BITS, SlotSpec, words};
use contract::{Dialect, Gfn, Hva, Liobn, Machine, MemoryModel, PageShift, Pfn, Pte, RealAddr, WindowSpec};

use crate::Object;

/// The state of a page: the contents of its struct page, and the share of its count that the host itself took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Reference count; 0 on a tail.
    pub count: i32,
    /// Number of references that the host itself took, less those it gave back.
    pub own: i32,
    /// The flag DIRTY; always clear on a tail.
    pub dirty: bool,
    /// The page's place in a compound page.
    pub compound: Compound,
}

/// The place of a page in a compound page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compound {
    /// The page is not part of a compound page.
    #[default]
    No,
    /// The page is the first of 2^order pages.
    Head {
        /// log2 of the number of pages, 1 ..= 9.
        order: u32,
    },
    /// The page is part of a compound page, but not its first.
    Tail {
        /// The first page of the compound page.
        head: Pfn,
    },
}

/// A DMA window with its entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// The window's description.
    pub spec: WindowSpec,
    /// The guest values by entry number. Entries of the window past the end of this vector are 0.
    guest: Vec<u64>,
    /// The hardware entries by entry number. Entries of the window past the end of this vector are 0.
    hardware: Vec<u64>,
}

impl Window {
    /// Makes a window whose entries are all 0.
    pub(crate) const fn new(spec: WindowSpec) -> Self {
        Self { spec, guest: Vec::new(), hardware: Vec::new() }
    }

    /// Returns the guest value of entry `index`.
    #[must_use]
    pub fn guest(&self, index: u64) -> u64 {
        self.guest.get(index as usize).copied().unwrap_or(0)
    }

    /// Returns the hardware entry `index`; 0 in an emulated window.
    #[must_use]
    pub fn hardware(&self, index: u64) -> u64 {
        self.hardware.get(index as usize).copied().unwrap_or(0)
    }

    /// Stores the guest value and the hardware entry of entry `index`.
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

    /// Returns the guest values that are not 0 as (entry number, value), ascending.
    pub fn guest_entries(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        not_zero(&self.guest)
    }

    /// Returns the hardware entries that are not 0 as (entry number, value), ascending.
    pub fn hardware_entries(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        not_zero(&self.hardware)
    }
}

fn not_zero(table: &[u64]) -> impl Iterator<Item = (u64, u64)> + '_ {
    (0..).zip(table.iter().copied()).filter(|(_, value)| *value != 0)
}

/// The memory model: where struct pages lie, and which pages exist.
#[derive(Clone, Debug)]
pub(crate) enum Memory {
    Flatmem { array: u64, pages: u64 },
    Sparsemem(Sparsemem),
}

/// Memory model sparsemem-vmemmap: the present sections, and the virtual array of struct pages with the blocks that
/// back it.
#[derive(Clone, Debug)]
pub(crate) struct Sparsemem {
    /// Virtual address of the struct page of pfn 0.
    pub(crate) base: u64,
    pub(crate) block_shift: u32,
    /// Real address of the area that holds the vmemmap list.
    pub(crate) list: u64,
    /// Numbers of the present sections.
    pub(crate) sections: BTreeSet<u64>,
    /// The backed blocks: block number to real address.
    pub(crate) blocks: BTreeMap<u64, u64>,
    /// Numbers of the blocks that are backed or once were.
    pub(crate) ever: BTreeSet<u64>,
}

/// The reference model: the state of one machine, and the dialect in which it answers.
#[derive(Clone, Debug)]
pub struct Reference {
    pub(crate) dialect: Dialect,
    pub(crate) page_shift: PageShift,
    /// Size of a struct page in bytes (S).
    pub(crate) struct_page: u64,
    pub(crate) memory: Memory,
    /// States of pages by pfn. A page without an element here has `Page::default()`; a page with one may have it too.
    pub(crate) pages: BTreeMap<Pfn, Page>,
    /// Page-table entries by their first hva. An hva that no entry covers is a hole.
    pub(crate) page_table: BTreeMap<Hva, Pte>,
    /// Memory slots by their first gfn.
    pub(crate) slots: BTreeMap<Gfn, SlotSpec>,
    pub(crate) windows: BTreeMap<Liobn, Window>,
    /// The words of memory that are not 0.
    pub(crate) ram: BTreeMap<RealAddr, u64>,
    /// The objects that the last step changed or may have changed.
    pub(crate) touched: Vec<Object>,
}

impl Reference {
    /// Makes the model of a machine. The description must be valid. All entries of its windows are 0 at boot.
    #[must_use]
    pub fn new(dialect: Dialect, machine: &Machine) -> Self {
        let mut model = Self::blank(dialect, machine);
        model.boot(machine);
        model
    }

    /// Forgets everything and starts on another machine. The description must be valid.
    pub fn reset(&mut self, dialect: Dialect, machine: &Machine) {
        let touched = std::mem::take(&mut self.touched);
        *self = Self { touched, ..Self::blank(dialect, machine) };
        self.boot(machine);
    }

    /// Makes the model of the machine before its boot: slots, windows and blocks are there, all memory and all entries
    /// are zero, and nothing is mapped.
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

    /// Marks the 2^order pages from `head` on as one compound page. Changes no count, own or DIRTY.
    pub(crate) fn mark_compound(&mut self, head: Pfn, order: u32) {
        self.page_mut(head).compound = Compound::Head { order };
        for i in 1..1 << order {
            self.page_mut(Pfn(head.0.wrapping_add(i))).compound = Compound::Tail { head };
        }
    }

    /// Returns the page's state for a change. The caller adds the page to `touched` if the harness must compare it.
    pub(crate) fn page_mut(&mut self, pfn: Pfn) -> &mut Page {
        self.pages.entry(pfn).or_default()
    }

    /// Returns the objects whose state the last step changed or may have changed, some more than once. Valid until the
    /// next step.
    #[must_use]
    pub fn touched(&self) -> &[Object] {
        &self.touched
    }

    /// Returns the state of a page; the default for a page that no step or description has changed.
    #[must_use]
    pub fn page(&self, pfn: Pfn) -> Page {
        self.pages.get(&pfn).copied().unwrap_or_default()
    }

    /// Returns every page whose state is not the default, ascending.
    pub fn pages(&self) -> impl Iterator<Item = (Pfn, Page)> + '_ {
        self.pages.iter().filter(|(_, page)| **page != Page::default()).map(|(pfn, page)| (*pfn, *page))
    }

    /// Returns the page-table entry that covers `hva`, [`Pte::Hole`] if none does. A huge entry is returned whole, with
    /// the pfn of its head.
    #[must_use]
    pub fn pte(&self, hva: Hva) -> Pte {
        self.entry_at(hva).map_or(Pte::Hole, |(_, pte)| pte)
    }

    /// Returns all page-table entries except holes, by first hva, ascending.
    pub fn page_table(&self) -> impl Iterator<Item = (Hva, Pte)> + '_ {
        self.page_table.iter().map(|(hva, pte)| (*hva, *pte))
    }

    /// Returns all windows, by LIOBN, ascending.
    pub fn windows(&self) -> impl Iterator<Item = &Window> + '_ {
        self.windows.values()
    }

    /// Returns the window with this LIOBN.
    #[must_use]
    pub fn window(&self, liobn: Liobn) -> Option<&Window> {
        self.windows.get(&liobn)
    }

    /// Returns all memory slots, by first gfn, ascending.
    pub fn slots(&self) -> impl Iterator<Item = SlotSpec> + '_ {
        self.slots.values().copied()
    }

    /// Returns the words of memory that are not 0, as (real address, value), ascending.
    pub fn ram(&self) -> impl Iterator<Item = (RealAddr, u64)> + '_ {
        self.ram.iter().map(|(at, word)| (*at, *word))
    }

    /// Returns the value of the big-endian word at `at`, which must be a multiple of 8.
    #[must_use]
    pub fn ram_word(&self, at: RealAddr) -> u64 {
        self.ram.get(&at).copied().unwrap_or(0)
    }

    /// Returns whether the section with this number is present; for flatmem, whether a page of the section exists.
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

    /// Returns the real address of the vmemmap block with this number. `None` if the block is not backed now, and in
    /// flatmem.
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

/// Returns the entry with its pfn replaced by `change(pfn)`.
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
