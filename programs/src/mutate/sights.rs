//! Draws values that a step can usefully refer to on a program's machine: open windows, guest pages, pfns at edges.
//!
//! Each value is drawn directly from the description, without listing all candidates first, because most mutations need
//! only one or two.

use contract::description::{AddrRun, MemoryModel, SECTION_SIZE_BITS, SlotSpec};
use contract::{Gpa, Hva, Liobn, Machine, Pfn, Program, RealAddr, Step, WindowSpec};

use crate::generate::dice::Dice;

/// Number of the last section below 2^46.
pub(super) const LAST_SECTION: u64 = (1 << 22) - 1;
/// Real address from which on the tables of drawn machines lie: 2^45.
const TABLES: u64 = 1 << 45;

/// Draws one of the items; `None` if there are no items.
pub(super) fn choose<T>(items: impl Iterator<Item = T> + Clone, dice: &mut Dice<'_>) -> Option<T> {
    let count = items.clone().count() as u64;
    if count == 0 {
        return None;
    }
    items.clone().nth(dice.below(count) as usize)
}

/// A program and the index `at` of a step, for which values are drawn. The steps before `at` decide which windows are
/// open; sections, pages, mappings and slots count as they are when the program starts.
#[derive(Clone, Copy)]
pub(super) struct Sights<'a> {
    pub(super) program: &'a Program,
    pub(super) at: usize,
}

/// A mapped guest page, given by the guest address and the hva of its first byte.
#[derive(Clone, Copy)]
pub(super) struct GuestPlace {
    pub(super) gpa: u64,
    pub(super) hva: Hva,
}

impl<'a> Sights<'a> {
    pub(super) fn new(program: &'a Program, at: usize) -> Self {
        Self { program, at: at.min(program.steps.len()) }
    }

    pub(super) fn machine(self) -> &'a Machine {
        &self.program.machine
    }

    fn before(self) -> &'a [Step] {
        &self.program.steps[..self.at]
    }

    /// Returns every window of the machine, and every valid window of a `create-window` step before `at`, each with the
    /// index of the step that creates it (0 for a window of the machine). Closed ones are among them.
    fn all_windows(self) -> impl Iterator<Item = (usize, &'a WindowSpec)> + Clone {
        // A step may name an invalid window, which is then never created.
        let sound = move |window: &WindowSpec| window.validate(self.machine().page_shift, self.program.dialect).is_ok();
        let created = self.before().iter().enumerate().filter_map(move |(index, step)| match step {
            Step::CreateWindow(window) if sound(window) => Some((index, window)),
            _ => None,
        });
        self.machine().windows.iter().map(|window| (0, window)).chain(created)
    }

    /// Returns the windows that are open before step `at`.
    pub(super) fn windows(self) -> impl Iterator<Item = &'a WindowSpec> + Clone {
        let closed = move |since: usize, liobn: Liobn| {
            self.before()[since..].iter().any(|step| matches!(step, Step::CloseWindow { liobn: l } if *l == liobn))
        };
        self.all_windows().filter(move |&(since, window)| !closed(since, window.liobn)).map(|(_, window)| window)
    }

    /// Draws a window that is open before step `at`; `None` if no window is open.
    pub(super) fn window(self, dice: &mut Dice<'_>) -> Option<WindowSpec> {
        choose(self.windows(), dice).copied()
    }

    /// Returns the window with this LIOBN if it is open before step `at`, else `None`.
    pub(super) fn window_of(self, liobn: u64) -> Option<WindowSpec> {
        self.windows().find(|window| window.liobn.0 == liobn).copied()
    }

    /// Returns the window with this LIOBN that was created first before step `at`, open or closed; `None` if there is
    /// none.
    pub(super) fn window_once(self, liobn: u64) -> Option<WindowSpec> {
        self.all_windows().find(|(_, window)| window.liobn.0 == liobn).map(|(_, window)| *window)
    }

    /// Draws a LIOBN that a step before `at` closes, and returns the first window with this LIOBN; `None` if there is
    /// no such step, or no window has the LIOBN.
    pub(super) fn closed_window(self, dice: &mut Dice<'_>) -> Option<WindowSpec> {
        let liobn = self.closed(dice)?;
        self.all_windows().map(|(_, window)| window).find(|window| window.liobn.0 == liobn).copied()
    }

    /// Draws the LIOBN that a `close-window` step before `at` names; `None` if there is no such step.
    pub(super) fn closed(self, dice: &mut Dice<'_>) -> Option<u64> {
        let closed = self.before().iter().filter_map(|step| match step {
            Step::CloseWindow { liobn } => Some(liobn.0),
            _ => None,
        });
        choose(closed, dice)
    }

    /// Returns the size of a host page in bytes.
    pub(super) fn page(self) -> u64 {
        self.machine().page_shift.bytes()
    }

    /// Returns the guest address of an hva, in the first memory slot that covers it; `None` if no slot covers it.
    pub(super) fn gpa_of(self, hva: Hva) -> Option<u64> {
        let shift = self.machine().page_shift.bits();
        let slot = self.machine().slots.iter().find(|slot| hva.0.wrapping_sub(slot.hva.0) >> shift < slot.pages)?;
        Some((slot.gfn.0 << shift).wrapping_add(hva.0 - slot.hva.0))
    }

    /// Returns the hva of the first byte of the page that holds the guest address; `None` outside guest memory.
    pub(super) fn hva_of(self, gpa: u64) -> Option<Hva> {
        let shift = self.machine().page_shift.bits();
        let slot = self.machine().slots.iter().find(|slot| (gpa >> shift).wrapping_sub(slot.gfn.0) < slot.pages)?;
        Some(Hva(slot.hva.0.wrapping_add(gpa - (slot.gfn.0 << shift)) & !(self.page() - 1)))
    }

    /// Draws the hva of one of the first 16 pages of a mapping of the machine; `None` if it has no mappings.
    pub(super) fn mapped_hva(self, dice: &mut Dice<'_>) -> Option<Hva> {
        let mapping = dice.pick_from(&self.machine().mappings)?;
        let pages = mapping.pages * mapping.pte.pages();
        let index = dice.below(pages.min(16));
        Some(Hva(mapping.hva.0 + index * self.page()))
    }

    /// Draws a guest page that a mapping of the machine maps; `None` if the machine has no mappings, or if four tries
    /// find no page in a slot.
    pub(super) fn guest(self, dice: &mut Dice<'_>) -> Option<GuestPlace> {
        for _ in 0..4 {
            let hva = self.mapped_hva(dice)?;
            if let Some(gpa) = self.gpa_of(hva) {
                return Some(GuestPlace { gpa, hva });
            }
        }
        None
    }

    /// Draws a memory slot and returns the guest addresses of its first page, of its last page, and of the page past
    /// its end; `None` if the machine has no slots.
    pub(super) fn slot_edges(self, dice: &mut Dice<'_>) -> Option<[u64; 3]> {
        let SlotSpec { gfn, pages, .. } = dice.pick_from(&self.machine().slots)?;
        let shift = self.machine().page_shift.bits();
        Some([gfn.0, gfn.0 + (pages - 1), gfn.0 + pages].map(|gfn| gfn.wrapping_shl(shift)))
    }

    /// Draws an hva: mostly of a mapped page, else of the last page of a slot, or one that an earlier step maps or
    /// unmaps; `None` if the drawn kind has none and the machine has no mappings.
    pub(super) fn hva(self, dice: &mut Dice<'_>) -> Option<Hva> {
        match dice.below(10) {
            0 => self.slot_edges(dice).and_then(|[_, last, _]| self.hva_of(last)),
            1 | 2 => choose(
                self.before().iter().filter_map(|step| match step {
                    Step::Map { hva, .. } | Step::Unmap { hva } => Some(*hva),
                    _ => None,
                }),
                dice,
            ),
            _ => None,
        }
        .or_else(|| self.mapped_hva(dice))
    }

    /// Draws a guest address for a TCE: mostly of a mapped guest page (0 if `guest` draws none), else one near an edge
    /// of a memory slot, or far outside guest memory. The address need not be a multiple of a window's page.
    pub(super) fn target(self, dice: &mut Dice<'_>) -> u64 {
        let guest = self.guest(dice).map_or(0, |place| place.gpa);
        let Some([first, last, past]) = self.slot_edges(dice) else { return guest };
        let page = self.page();
        match dice.weighted(&[76, 6, 6, 5, 3, 2]) {
            0 => guest,
            1 => first,
            2 => last,
            3 => past,
            4 => past.wrapping_sub(4096),
            _ => dice.pick(&[first.wrapping_sub(page), 1 << 60, !0xfff, past.wrapping_add(page)]),
        }
    }

    /// Draws a TCE for a window with pages of 2^`page_shift` bytes: with permissions or a fault TCE. In a few cases low
    /// bits of its address are wrong.
    pub(super) fn tce(self, page_shift: u32, dice: &mut Dice<'_>) -> u64 {
        let page = 1u64 << page_shift.min(63);
        let mut address = self.target(dice) & !(page - 1);
        if page < self.page() {
            address |= dice.below(self.page() >> page_shift) << page_shift;
        }
        match dice.weighted(&[70, 12, 6, 6]) {
            0 => address | dice.pick(&[3, 3, 1, 2]),
            1 => dice.pick(&[0, 0, address, !3]),
            2 => address | 3 | dice.pick(&[4, 8, 0x800, page >> 1]),
            _ => address | dice.below(4),
        }
    }

    /// Draws a boundary between two vmemmap blocks inside the struct pages of a present section, as an offset in bytes
    /// from the base of the vmemmap range; `None` for flatmem, or if the drawn section has none.
    fn boundary(self, dice: &mut Dice<'_>) -> Option<u64> {
        let MemoryModel::SparsememVmemmap { block_shift, sections, .. } = &self.machine().memory else { return None };
        let bytes = self.machine().page_shift.pages_per_section() * self.machine().struct_page;
        let section = dice.pick_from(sections)?;
        let (first, end) = (((section * bytes) >> block_shift) + 1, ((section + 1) * bytes - 1) >> block_shift);
        if first > end {
            return None;
        }
        let chosen = match dice.below(3) {
            0 => first,
            1 => end,
            _ => dice.between(first, end),
        };
        Some(chosen << block_shift)
    }

    /// Draws the pfn of a present page whose struct page is split between two vmemmap blocks; `None` if there is no
    /// boundary, or if the drawn one splits none.
    pub(super) fn split(self, dice: &mut Dice<'_>) -> Option<Pfn> {
        let at = self.boundary(dice)?;
        let size = self.machine().struct_page;
        (at % size != 0).then_some(Pfn(at / size))
    }

    /// Draws the number of a section: a present one if `present`, else one that often is absent, such as the one after
    /// a present section or the last below 2^46; 0 for flatmem.
    pub(super) fn section(self, present: bool, dice: &mut Dice<'_>) -> u64 {
        let MemoryModel::SparsememVmemmap { sections, block_shift, .. } = &self.machine().memory else { return 0 };
        if let Some(section) = dice.pick_from(sections)
            && (present || dice.percent(15))
        {
            return section;
        }
        let next = dice.pick_from(sections).map_or(0, |section| section + 1).min(LAST_SECTION);
        // The section where a struct page is split at a low block boundary. With large blocks that is far from section
        // 0.
        let split = (dice.pick(&[1u64, 2, 3, 7]) << block_shift) / self.machine().struct_page;
        let split = split / self.machine().page_shift.pages_per_section();
        let any = dice.below(8);
        dice.pick(&[0, 1, 2, 3, next, next, split, split, LAST_SECTION, any])
    }

    /// Draws the pfn of a page that exists when the program starts.
    pub(super) fn present_pfn(self, dice: &mut Dice<'_>) -> Pfn {
        for _ in 0..3 {
            let pfn = self.pfn(dice);
            if self.machine().page_exists(pfn) {
                return pfn;
            }
        }
        let per_section = self.machine().page_shift.pages_per_section();
        match &self.machine().memory {
            MemoryModel::Flatmem { pages, .. } => Pfn(dice.below(*pages)),
            _ => Pfn(self.section(true, dice) * per_section + dice.below(per_section)),
        }
    }

    /// Draws the pfn of a page that exists. In up to 35 of 100 cases its struct page is split, so that real mode has no
    /// address for it.
    pub(super) fn odd_pfn(self, dice: &mut Dice<'_>) -> Pfn {
        let split = if dice.percent(35) { self.split(dice) } else { None };
        split.unwrap_or_else(|| self.present_pfn(dice))
    }

    /// Draws the pfn of a page that is mapped, described, at an edge of memory or of a block, or named by an earlier
    /// step. Sometimes the page does not exist.
    pub(super) fn pfn(self, dice: &mut Dice<'_>) -> Pfn {
        let machine = self.machine();
        let per_section = machine.page_shift.pages_per_section();
        let limit = machine.page_shift.pfn_limit();
        let some = match dice.weighted(&[30, 12, 10, 10, 10, 6, 8, 6, 3]) {
            0 => dice.pick_from(&machine.mappings).and_then(|mapping| {
                let pages = if matches!(mapping.pte, contract::Pte::Huge { .. }) { 1 } else { mapping.pages };
                mapping.pte.pfn().map(|pfn| pfn.0 + dice.below(pages.min(16)))
            }),
            1 => dice.pick_from(&machine.pages).map(|page| page.pfn.0),
            2 => dice.pick_from(&machine.compounds).map(|compound| {
                let pages = 1 << compound.order;
                compound.pfn.0 + dice.pick(&[0, 0, 1, pages - 1, pages])
            }),
            3 => match &machine.memory {
                MemoryModel::Flatmem { pages, .. } => Some(dice.pick(&[0, pages - 1, *pages, pages / 2])),
                MemoryModel::SparsememVmemmap { .. } => {
                    let section = self.section(true, dice);
                    let first = section * per_section;
                    Some(dice.pick(&[first, first + per_section - 1, first + per_section, first.saturating_sub(1)]))
                }
            },
            4 => self.split(dice).map(|pfn| pfn.0),
            5 => self.boundary(dice).map(|at| at.div_ceil(machine.struct_page)),
            6 => choose(
                self.before().iter().filter_map(|step| match step {
                    Step::Lookup { pfn } | Step::Take { pfn } | Step::GetPage { pfn } => Some(pfn.0),
                    Step::Migrate { pfn, .. } => Some(pfn.0),
                    Step::Map { pte, .. } => pte.pfn().map(|pfn| pfn.0),
                    _ => None,
                }),
                dice,
            ),
            7 => Some(self.section(false, dice) * per_section + dice.below(per_section)),
            _ => Some(dice.pick(&[limit - 1, limit, u64::MAX, u64::MAX >> 6])),
        };
        Pfn(some.unwrap_or_else(|| match &machine.memory {
            MemoryModel::Flatmem { pages, .. } => dice.below(*pages),
            _ => self.section(true, dice) * per_section + dice.below(per_section),
        }))
    }

    /// Draws the guest address of a `write` step before `at`; `None` if there is no such step.
    pub(super) fn written(self, dice: &mut Dice<'_>) -> Option<Gpa> {
        choose(
            self.before().iter().filter_map(|step| match step {
                Step::Write { gpa, .. } => Some(*gpa),
                _ => None,
            }),
            dice,
        )
    }

    /// Returns a real address (a multiple of 4096, at least 2^45) above everything that the machine and all steps place
    /// in memory, except in the last section.
    pub(super) fn room(self) -> u64 {
        let low = |end: u64| if end >> SECTION_SIZE_BITS < LAST_SECTION { end } else { 0 };
        let mut next = TABLES;
        for extent in self.machine().extents() {
            next = next.max(low((u128::from(extent.start) + extent.bytes).try_into().unwrap_or(u64::MAX)));
        }
        for step in &self.program.steps {
            match step {
                Step::CreateWindow(window) => {
                    for (start, bytes) in window.regions() {
                        next = next.max(low(start.0.saturating_add(bytes)));
                    }
                }
                Step::HotAdd { blocks, .. } => {
                    let shift = match self.machine().memory {
                        MemoryModel::SparsememVmemmap { block_shift, .. } => block_shift,
                        MemoryModel::Flatmem { .. } => 12,
                    };
                    for &AddrRun { at: RealAddr(at), count } in blocks {
                        next = next.max(low(at.saturating_add(count.saturating_mul(1 << shift))));
                    }
                }
                _ => {}
            }
        }
        next.next_multiple_of(4096)
    }
}
