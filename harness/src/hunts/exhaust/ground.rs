//! The ground of the domain's machines: memory with its sections and vmemmap blocks, and the addresses of window
//! tables.

use contract::description::{AddrRun, Backing, MemoryModel, blocks_of_section};
use contract::{Dialect, Liobn, Machine, PageShift, Pfn, RealAddr, Step, WindowSpec};
use programs::layout::fit_blocks;

/// Real address of the array of struct pages or of the vmemmap list. All sections lie below this address, and the
/// tables of windows lie above it.
const STRUCT_PAGES: u64 = 1 << 44;
/// Real address of the tables of the window with place 0 ([`Ground::pinned`]).
const TABLES: u64 = STRUCT_PAGES + (1 << 28);
/// Real address of the first vmemmap block that a hot-add step brings, for each of the two hot-add steps. Both steps
/// add the same section, so that the section can come back with its blocks elsewhere.
const HOT_PLACES: [u64; 2] = [STRUCT_PAGES + (2 << 28), STRUCT_PAGES + (3 << 28)];

/// A memory model of the domain (docs/semantics.md, section 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Model {
    /// One array of struct pages for all memory, without hot-plug.
    Flatmem,
    /// Struct pages in vmemmap blocks, with hot-plug of sections.
    SparsememVmemmap,
}

/// The sizes of pages and struct pages; for sparsemem-vmemmap also the block size and the base.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub page_shift: PageShift,
    /// Size of a struct page in bytes.
    pub struct_page: u64,
    /// log2 of the size of a vmemmap block in bytes.
    pub block_shift: u32,
    /// Virtual address of the struct page of the page with pfn 0.
    pub base: u64,
}

impl Layout {
    /// 64 KiB pages. The struct pages of a section take three and a half blocks, so two sections share a block, and
    /// some struct pages are split.
    pub const WIDE_SPLIT: Self =
        Self { page_shift: PageShift::Shift16, struct_page: 56, block_shift: 12, base: 0xf << 60 };
    /// 4 KiB pages. The struct pages of a section take four blocks that no other section uses, and no struct page is
    /// split.
    pub const NARROW: Self =
        Self { page_shift: PageShift::Shift12, struct_page: 64, block_shift: 16, base: 0xc00c << 48 };
    /// 4 KiB pages. The struct pages of a section take three and a half blocks, so two sections share a block, and some
    /// struct pages are split.
    pub const NARROW_SPLIT: Self =
        Self { page_shift: PageShift::Shift12, struct_page: 56, block_shift: 16, base: 0xf << 60 };
    /// 64 KiB pages. One block holds the struct pages of four sections, so pages of an absent section have a struct
    /// page too.
    pub const WIDE_SHARED: Self =
        Self { page_shift: PageShift::Shift16, struct_page: 64, block_shift: 16, base: 0xc00c << 48 };
}

/// The memory of a machine with 1 to 4 sections, and the pages in it that steps name.
///
/// Flatmem has all sections in one array, numbered from 0. Sparsemem-vmemmap has the sections with these numbers: 1 for
/// one section; 1 and 0 for two; 1, 3 and 0 for three; 1, 3, 4 and 0 for four. Section 0 is absent at the start, and
/// steps add and remove it. After a hot-add of section 0 the vmemmap list is not in the order of the blocks. Section 2
/// is never present.
pub(super) struct Ground {
    pub layout: Layout,
    pub dialect: Dialect,
    pub memory: MemoryModel,
    /// pfn of the first page of the section that comes first among those present at the start.
    pub main: u64,
    /// pfn of the first page of the section that comes last among those present at the start.
    pub last: u64,
    /// pfn of a page of the section that `main` lies in: the last page whose struct page is split, if the layout splits
    /// any; else some page of the section.
    pub split: u64,
    /// Number of the section that steps add and remove; `None` for flatmem and for a single section, where no step adds
    /// or removes a section.
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
        // The last block boundary inside the first section. With 64 KiB pages and split struct pages, only 8 bytes of
        // the struct page lie past the boundary.
        let block = 1 << layout.block_shift;
        let boundary = ((main + 1) * per_section * layout.struct_page - 1) / block * block;
        let (main, last) = (main * per_section, last * per_section);
        let split = match boundary / layout.struct_page {
            split if split > main => split,
            // No boundary lies inside the section, because the block is larger. Any page will do.
            _ => main + 0x49,
        };
        Self { layout, dialect, memory, main, last, split, hot }
    }

    /// Returns a machine with this memory and without pages, slots, mappings and windows.
    pub(super) fn machine(&self) -> Machine {
        Machine::bare(self.layout.page_shift, self.layout.struct_page, self.memory.clone())
    }

    /// Returns the page shift of the host: 12 or 16.
    pub(super) const fn shift(&self) -> u32 {
        self.layout.page_shift.bits()
    }

    /// Returns the number of host pages in a section.
    pub(super) const fn per_section(&self) -> u64 {
        self.layout.page_shift.pages_per_section()
    }

    /// Returns a pinned window, or an emulated one in a dialect without pinned windows. `place` counts the places for
    /// tables, from 0; windows of up to 1024 entries with different places have tables that do not overlap.
    pub(super) fn pinned(&self, liobn: Liobn, page_shift: u32, base: u64, entries: u64, place: u64) -> WindowSpec {
        let table = RealAddr(TABLES + place * 0x4000);
        let backing = if self.dialect.has_pinned_windows() {
            Backing::Pinned { hardware: RealAddr(table.0 + 0x2000) }
        } else {
            Backing::Emulated
        };
        WindowSpec { liobn, page_shift, base, entries, table, backing }
    }

    /// Returns an emulated window that ends at I/O bus address 2^64. `place` is as in [`pinned`](Self::pinned).
    pub(super) fn emulated(&self, liobn: Liobn, page_shift: u32, entries: u64, place: u64) -> WindowSpec {
        let base = 0u64.wrapping_sub(entries << page_shift);
        WindowSpec { backing: Backing::Emulated, ..self.pinned(liobn, page_shift, base, entries, place) }
    }

    /// Returns the steps that add the section [`hot`](Self::hot): one step for each of two addresses of its blocks.
    /// Empty if there is no such section.
    pub(super) fn hot_adds(&self) -> Vec<Step> {
        let Some(section) = self.hot else { return Vec::new() };
        let bytes = self.per_section() * self.layout.struct_page;
        let count = blocks_of_section(section, bytes, self.layout.block_shift).count() as u64;
        // Blocks that another section uses are there already and need no address. A hot-add ignores addresses that are
        // left over.
        let at = |at: u64| Step::HotAdd { section, blocks: vec![AddrRun { at: RealAddr(at), count }] };
        HOT_PLACES.map(at).to_vec()
    }

    /// Returns the pfns at the edges of sections and around the page [`split`](Self::split), and some pfns that do not
    /// exist; ascending, each once.
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
            // Pages of a section that is never present, or past the end of the array.
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
