//! The ground that the machines of the domain stand on: sections, blocks, and where tables lie.

use contract::description::{AddrRun, Backing, MemoryModel, blocks_of_section};
use contract::{Dialect, Liobn, Machine, PageShift, Pfn, RealAddr, Step, WindowSpec};
use programs::layout::fit_blocks;

/// The array, the list and the tables lie from here on, past all sections.
const STRUCT_PAGES: u64 = 1 << 44;
const TABLES: u64 = STRUCT_PAGES + (1 << 28);
/// Hot-added blocks lie here, or here.
const HOT_PLACES: [u64; 2] = [STRUCT_PAGES + (2 << 28), STRUCT_PAGES + (3 << 28)];

/// A memory model of the domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Model {
    /// One array of struct pages.
    Flatmem,
    /// Blocks of struct pages.
    SparsememVmemmap,
}

/// Page size, size of a struct page, and for sparsemem-vmemmap the block size and base.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub page_shift: PageShift,
    pub struct_page: u64,
    pub block_shift: u32,
    pub base: u64,
}

impl Layout {
    /// 64 KiB pages; a section takes three and a half blocks, so that two share one, and struct pages are split.
    pub const WIDE_SPLIT: Self =
        Self { page_shift: PageShift::Shift16, struct_page: 56, block_shift: 12, base: 0xf << 60 };
    /// 4 KiB pages; a section takes four blocks of its own, none splits a struct page.
    pub const NARROW: Self =
        Self { page_shift: PageShift::Shift12, struct_page: 64, block_shift: 16, base: 0xc00c << 48 };
    /// 4 KiB pages; three and a half blocks, as with [`WIDE_SPLIT`](Self::WIDE_SPLIT).
    pub const NARROW_SPLIT: Self =
        Self { page_shift: PageShift::Shift12, struct_page: 56, block_shift: 16, base: 0xf << 60 };
    /// 64 KiB pages; one block serves four sections, so that pages of a section that is not there have a struct page.
    pub const WIDE_SHARED: Self =
        Self { page_shift: PageShift::Shift16, struct_page: 64, block_shift: 16, base: 0xc00c << 48 };
}

/// Memory with `sections` sections, and the pages of it that are worth naming.
///
/// Flatmem: sections 0 to `sections` - 1 in one array. Sparsemem-vmemmap: 1; 1 and 0; 1, 3 and 0; 1, 3, 4 and 0, of
/// which 0, where it is among them, is added and removed by steps: then the list of blocks is out of order. Section 2
/// is never there.
pub(super) struct Ground {
    pub layout: Layout,
    pub dialect: Dialect,
    pub memory: MemoryModel,
    /// First page of the first section that is present.
    pub main: u64,
    /// First page of the last one.
    pub last: u64,
    /// A page of the first section: the last whose struct page is split, where the layout splits one.
    pub split: u64,
    /// The section that comes and goes.
    pub hot: Option<u64>,
}

impl Ground {
    pub(super) fn new(model: Model, sections: u64, dialect: Dialect, layout: Layout) -> Self {
        let per_section = layout.page_shift.pages_per_section();
        let array = RealAddr(STRUCT_PAGES);
        let (memory, main, last, hot) = match model {
            Model::Flatmem => {
                let memory = MemoryModel::Flatmem { array, pages: sections * per_section };
                (memory, 0, sections - 1, None)
            }
            Model::SparsememVmemmap => {
                let boot: &[u64] = match sections {
                    0..=2 => &[1],
                    3 => &[1, 3],
                    _ => &[1, 3, 4],
                };
                let Layout { page_shift, struct_page, block_shift, base } = layout;
                let memory = MemoryModel::SparsememVmemmap {
                    base,
                    block_shift,
                    list: array,
                    sections: boot.to_vec(),
                    blocks: Vec::new(),
                };
                let mut machine = Machine::bare(page_shift, struct_page, memory);
                fit_blocks(&mut machine);
                (machine.memory, 1, boot[boot.len() - 1], (sections >= 2).then_some(0))
            }
        };
        // The last block boundary inside the first section. With 64 KiB pages just 8 bytes of the struct page lie
        // beyond it.
        let block = 1 << layout.block_shift;
        let boundary = ((main + 1) * per_section * layout.struct_page - 1) / block * block;
        let (main, last) = (main * per_section, last * per_section);
        let split = match boundary / layout.struct_page {
            split if split > main => split,
            // The block is larger than the section.
            _ => main + 0x49,
        };
        Self { layout, dialect, memory, main, last, split, hot }
    }

    pub(super) fn machine(&self) -> Machine {
        Machine::bare(self.layout.page_shift, self.layout.struct_page, self.memory.clone())
    }

    pub(super) const fn shift(&self) -> u32 {
        self.layout.page_shift.bits()
    }

    pub(super) const fn per_section(&self) -> u64 {
        self.layout.page_shift.pages_per_section()
    }

    /// A window whose tables are number `place` of all tables, pinned where the dialect has such windows.
    pub(super) fn pinned(&self, liobn: Liobn, page_shift: u32, base: u64, entries: u64, place: u64) -> WindowSpec {
        let table = RealAddr(TABLES + place * 0x4000);
        let backing = if self.dialect.has_pinned_windows() {
            Backing::Pinned { hardware: RealAddr(table.0 + 0x2000) }
        } else {
            Backing::Emulated
        };
        WindowSpec { liobn, page_shift, base, entries, table, backing }
    }

    /// An emulated window that ends at 2^64.
    pub(super) fn emulated(&self, liobn: Liobn, page_shift: u32, entries: u64, place: u64) -> WindowSpec {
        let base = 0u64.wrapping_sub(entries << page_shift);
        WindowSpec { backing: Backing::Emulated, ..self.pinned(liobn, page_shift, base, entries, place) }
    }

    /// Steps that add the section that comes and goes, its blocks at one place or the other.
    pub(super) fn hot_adds(&self) -> Vec<Step> {
        let Some(section) = self.hot else { return Vec::new() };
        let bytes = self.per_section() * self.layout.struct_page;
        let count = blocks_of_section(section, bytes, self.layout.block_shift).count() as u64;
        // Blocks that another section brought already need no place; what is named beyond those needed is passed over.
        let at = |at: u64| Step::HotAdd { section, blocks: vec![AddrRun { at: RealAddr(at), count }] };
        HOT_PLACES.map(at).to_vec()
    }

    /// Pages at the edges of what is there.
    pub(super) fn edges(&self) -> Vec<Pfn> {
        let per_section = self.per_section();
        let limit = self.layout.page_shift.pfn_limit();
        let mut edges: Vec<u64> = vec![
            0,
            per_section - 1,
            self.main,
            self.main + per_section - 1,
            self.split - 1,
            self.split,
            self.split + 1,
            self.last + per_section - 1,
            // Of a section that is never there, past the end of an array.
            self.last + per_section,
            2 * per_section,
            limit - 1,
            limit,
            u64::MAX,
        ];
        edges.sort_unstable();
        edges.dedup();
        edges.into_iter().map(Pfn).collect()
    }
}
