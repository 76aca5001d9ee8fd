//! Makes things of a program plainer that are no numbers to lower: the dialect, the memory model, flags, page-table
//! entries, windows, and hypercalls of several entries.

use contract::description::{MemoryModel, words};
use contract::hcall::{H_PUT_TCE_INDIRECT, H_STUFF_TCE, MAX_TCES_PER_CALL};
use contract::visit::{Field, NumberKind, visit_mut};
use contract::{Backing, Dialect, Hypercall, PageShift, Program, Pte, RealAddr, Step};
use programs::layout::{fit_blocks, free_place};

use super::Shrinker;
use super::moves::window_of;
use super::numbers::{all, set};

/// The virtual address of the struct page of pfn 0 that is plainest in the text form: 0xf000000000000000.
const PLAIN_BASE: u64 = 0xf << 60;

impl Shrinker<'_> {
    /// Makes everything plainer that this module can. Returns whether the best program changed.
    pub(super) fn plain(&mut self) -> bool {
        let mut changed = self.judge.any_dialect() && self.attempt(|program| program.dialect = Dialect::Lopapr);
        changed |= self.memory();
        changed |= self.flags();
        for index in 0..self.best.machine.windows.len() {
            changed |= self.attempt(|program| program.machine.windows[index].backing = Backing::Emulated);
        }
        for index in 0..self.best.machine.mappings.len() {
            changed |= self.attempt(|program| plain_entry(&mut program.machine.mappings[index].pte));
        }
        for index in 0..self.best.steps.len() {
            changed |= self.attempt(|program| match &mut program.steps[index] {
                Step::Map { pte, .. } => plain_entry(pte),
                Step::CreateWindow(window) => window.backing = Backing::Emulated,
                _ => {}
            });
            changed |= self.single_entry(index);
        }
        // Creates a window at the start instead of in a step.
        for index in (0..self.best.steps.len()).rev() {
            if let Some(&Step::CreateWindow(window)) = self.best.steps.get(index) {
                changed |= self.attempt(|program| {
                    program.steps.remove(index);
                    program.machine.windows.push(window);
                });
            }
        }
        changed
    }

    /// Gives flags, vCPU numbers and unread registers their plain values, first all together, then one by one. Returns
    /// whether the best program changed.
    fn flags(&mut self) -> bool {
        let together = self.attempt(|program| {
            visit_mut(program, &mut |place, number| {
                if let Some(plain) = plain_value(place.field) {
                    *number = plain;
                }
            });
        });
        let mut changed = together;
        for (index, (place, value)) in all(&self.best).into_iter().enumerate() {
            match plain_value(place.field) {
                Some(plain) if plain != value => changed |= self.attempt(|program| set(program, index, plain)),
                _ => {}
            }
        }
        changed
    }

    /// Makes the memory model plainer: struct pages of 64 bytes, so that none is split; host pages of 4 KiB; larger
    /// blocks, so that there are few; the base `PLAIN_BASE`; then flatmem. Returns whether the best program changed.
    fn memory(&mut self) -> bool {
        let mut changed = self.attempt(|program| {
            program.machine.struct_page = 64;
            fit_blocks(&mut program.machine);
        });
        changed |= self.attempt(small_pages);
        if let MemoryModel::SparsememVmemmap { block_shift, base, .. } = self.best.machine.memory {
            for shift in [24, 21, 16] {
                if shift > block_shift && self.attempt(|program| large_blocks(program, shift)) {
                    changed = true;
                    break;
                }
            }
            if base != PLAIN_BASE {
                changed |= self.attempt(|program| {
                    if let MemoryModel::SparsememVmemmap { base, .. } = &mut program.machine.memory {
                        *base = PLAIN_BASE;
                    }
                });
            }
            changed |= self.attempt(flat);
        }
        changed
    }

    /// Replaces the step `index`, if it is a hypercall of several entries, by an H_PUT_TCE of its first entry or, for
    /// H_PUT_TCE_INDIRECT, of its last entry. If that very step shows the finding, the step stays, because the kind of
    /// step is a part of the identity. Returns whether the hypercall was replaced.
    fn single_entry(&mut self, index: usize) -> bool {
        let Some(&Step::Hypercall { vcpu, call }) = self.best.steps.get(index) else { return false };
        let [liobn, ioba, value, count] = call.args;
        let put = |shrinker: &mut Self, ioba: u64, tce: u64| {
            let call = Hypercall::put(liobn, ioba, tce);
            shrinker.attempt(|program| program.steps[index] = Step::Hypercall { vcpu, call })
        };
        match call.opcode {
            H_STUFF_TCE => put(self, ioba, value),
            H_PUT_TCE_INDIRECT => {
                let last = count.min(MAX_TCES_PER_CALL).saturating_sub(1);
                let shift = window_of(&self.best, liobn).map_or(12, |window| window.page_shift);
                let tces = [0, last].map(|entry| word_at(&self.best.steps[..index], value.wrapping_add(8 * entry)));
                put(self, ioba, tces[0]) || put(self, ioba.wrapping_add(last.wrapping_shl(shift)), tces[1])
            }
            _ => false,
        }
    }
}

/// Returns the plainest value of a flag, a vCPU number or an unread register; `None` for any other field. Plain are
/// page-table entries that are writable, dirty and young, so that real mode has no reason to defer; clean pages; vCPU
/// 0; registers of 0.
const fn plain_value(field: Field) -> Option<u64> {
    match field {
        Field::PageDirty | Field::Vcpu => Some(0),
        _ => match field.kind() {
            NumberKind::Flag => Some(1),
            NumberKind::Unread => Some(0),
            _ => None,
        },
    }
}

/// Replaces a page-table entry by a present entry of a single page that gives real mode no reason to defer. A hole
/// stays.
fn plain_entry(entry: &mut Pte) {
    if let Some(pfn) = entry.pfn() {
        *entry = Pte::Present { pfn, writable: true, dirty: true, young: true };
    }
}

/// Gives the host pages of 4 KiB, and changes everything that names pages or addresses in them: each page keeps its
/// number (for sparsemem-vmemmap its section, and its number in the section), and an address its page and its offset
/// modulo 4 KiB. TCEs change if they have permissions. Blocks get new places where the machine's sections now need
/// more; the blocks of `hot-add` stay. Does nothing if the pages have 4 KiB.
fn small_pages(program: &mut Program) {
    let (old, new) = (program.machine.page_shift, PageShift::Shift12);
    if old == new {
        return;
    }
    let in_page = new.bytes() - 1;
    let place = |number: u64| number >> old.bits() << new.bits() | number & in_page;
    let has_sections = matches!(program.machine.memory, MemoryModel::SparsememVmemmap { .. });
    let page = |pfn: u64| match has_sections {
        true => (pfn / old.pages_per_section())
            .wrapping_mul(new.pages_per_section())
            .wrapping_add(pfn % old.pages_per_section()),
        false => pfn,
    };
    visit_mut(program, &mut |at, number| {
        use NumberKind as Kind;
        *number = match at.field.kind() {
            Kind::Shift if at.field == Field::HostShift => new.bits().into(),
            Kind::Pfn => page(*number),
            Kind::Real if at.field == Field::RamAt => page(*number >> old.bits()) << new.bits() | *number & in_page,
            Kind::Gpa | Kind::Hva => place(*number),
            Kind::Tce if *number & 3 != 0 => place(*number),
            // A stride between TCEs can be negative.
            Kind::Stride => (*number as i64 >> old.bits() << new.bits()) as u64 | *number & in_page,
            // The others do not depend on the size of pages: for example frames of the guest, counts, and tables.
            Kind::Gfn | Kind::Count | Kind::Order | Kind::Tce | Kind::Real | Kind::Virtual | Kind::Liobn => return,
            Kind::Ioba | Kind::Shift | Kind::Bytes | Kind::Section | Kind::Block | Kind::Slot | Kind::Own => return,
            Kind::Vcpu | Kind::Opcode | Kind::Unread | Kind::Flag => return,
        };
    });
    fit_blocks(&mut program.machine);
}

/// Gives the machine vmemmap blocks of `1 << shift` bytes, at new real addresses, and aligns the virtual base down to
/// them. Does nothing for flatmem.
fn large_blocks(program: &mut Program, shift: u32) {
    if let MemoryModel::SparsememVmemmap { base, block_shift, blocks, .. } = &mut program.machine.memory {
        *block_shift = shift;
        *base = *base >> shift << shift;
        blocks.clear();
    }
    fit_blocks(&mut program.machine);
}

/// Replaces sparsemem-vmemmap by flatmem with all pages up to the end of the last section. Does nothing for flatmem.
fn flat(program: &mut Program) {
    let machine = &mut program.machine;
    let MemoryModel::SparsememVmemmap { sections, .. } = &machine.memory else { return };
    let pages = sections.last().map_or(1, |last| (last + 1) * machine.page_shift.pages_per_section());
    let bytes = pages.saturating_mul(machine.struct_page);
    machine.memory = MemoryModel::Flatmem { array: RealAddr(1 << 62), pages };
    let place = free_place(machine, bytes, contract::description::REGION_ALIGN);
    if let (MemoryModel::Flatmem { array, .. }, Some(place)) = (&mut machine.memory, place) {
        *array = place;
    }
}

/// Returns the word at guest physical address `gpa` as the last of these steps that wrote to it left it; 0 if no step
/// did. Ignores the words that the machine's description puts into memory.
fn word_at(steps: &[Step], gpa: u64) -> u64 {
    let word = |step: &Step| match step {
        Step::Write { gpa: first, words: list } => {
            let index = gpa.checked_sub(first.0)? / 8;
            words(list).nth(usize::try_from(index).ok()?)
        }
        _ => None,
    };
    steps.iter().rev().find_map(word).unwrap_or(0)
}
