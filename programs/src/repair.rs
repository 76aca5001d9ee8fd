//! Repairs programs: makes any program valid and changes little.
//!
//! Fuzzing engines change bytes and records without regard for the rest of the description. Repair mends a
//! contradiction where there is an obvious way: it moves a table that overlaps something, and finds places for missing
//! blocks. Where there is none, it removes the item. A valid program is left alone, so repairing twice is the same as
//! repairing once.

use contract::description::{Invalid, Item, MAX_ORDER, MAX_OWN, Machine, Mapping, MemoryModel, REGION_ALIGN};
use contract::{Program, Pte, RealAddr};

use crate::layout::{fit_blocks, free_place, place_tables, remove_section};

/// Number of attempts after which [`rebuild`] repairs the machine as a whole, instead of single items of the program.
/// This bounds the time for a hostile input.
const PATIENCE: usize = 64;

/// Makes the program valid ([`Program::validate`]). A valid program stays as it is; in an invalid one items are changed
/// or removed until it is valid.
pub fn repair(program: &mut Program) {
    let mut mended = None;
    let mut machine_errors = 0;
    for attempt in 0.. {
        let Err(Invalid { item, .. }) = program.validate() else { return };
        if item == Item::Machine || attempt > PATIENCE {
            machine_errors += 1;
            rebuild(program, machine_errors);
            mended = None;
        } else if mended != Some(item) && mend(program, item) {
            mended = Some(item);
        } else {
            drop_item(program, item);
            mended = None;
        }
    }
}

/// Tries to mend one invalid item by changing it. Returns false if there is no known way. After true the item may still
/// be invalid.
fn mend(program: &mut Program, item: Item) -> bool {
    let machine = &mut program.machine;
    match item {
        Item::Window(index) => {
            let Some(mut window) = machine.windows.get(index).copied() else { return false };
            // The window is taken out first, so that its own tables do not count as taken.
            machine.windows.remove(index);
            let placed = place_tables(machine, &mut window);
            window.base = window.base >> window.page_shift.min(63) << window.page_shift.min(63);
            machine.windows.insert(index, window);
            placed
        }
        Item::Block(_) => fit_blocks(machine),
        Item::Page(index) => match machine.pages.get_mut(index) {
            Some(page) if !(0..=MAX_OWN).contains(&page.own) => {
                page.own = page.own.clamp(0, MAX_OWN);
                true
            }
            _ => false,
        },
        Item::Mapping(index) => {
            let page = machine.page_shift.bytes();
            match machine.mappings.get_mut(index) {
                // The order is invalid, so the entry has no size to align its address to.
                Some(Mapping { pte: Pte::Huge { order, .. }, .. }) if !(1..=MAX_ORDER).contains(order) => false,
                Some(mapping) => {
                    let size = page * mapping.pte.pages();
                    let aligned = mapping.hva.0 & !(size - 1);
                    let changed = aligned != mapping.hva.0 || mapping.pages == 0;
                    mapping.hva.0 = aligned;
                    mapping.pages = mapping.pages.max(1);
                    changed
                }
                None => false,
            }
        }
        _ => false,
    }
}

/// Removes one invalid item from the program. With a section goes what begins on one of its pages: page lines, compound
/// pages, mappings and contents, but no tables of windows. With a step past the largest number of steps go all steps
/// after it. Does nothing for the machine as a whole.
fn drop_item(program: &mut Program, item: Item) {
    fn remove<T>(list: &mut Vec<T>, index: usize) {
        if index < list.len() {
            list.remove(index);
        }
    }
    let machine = &mut program.machine;
    match item {
        Item::Machine => {}
        Item::Section(index) => {
            if let MemoryModel::SparsememVmemmap { sections, .. } = &machine.memory
                && let Some(&section) = sections.get(index)
            {
                remove_section(machine, section);
            }
        }
        Item::Block(index) => {
            if let MemoryModel::SparsememVmemmap { blocks, .. } = &mut machine.memory {
                remove(blocks, index);
            }
            fit_blocks(machine);
        }
        Item::Page(index) => remove(&mut machine.pages, index),
        Item::Compound(index) => remove(&mut machine.compounds, index),
        Item::Slot(index) => remove(&mut machine.slots, index),
        Item::Mapping(index) => remove(&mut machine.mappings, index),
        Item::Ram(index) => remove(&mut machine.ram, index),
        Item::Window(index) => remove(&mut machine.windows, index),
        Item::Step(index) if index >= contract::program::MAX_STEPS => {
            program.steps.truncate(contract::program::MAX_STEPS);
        }
        Item::Step(index) => remove(&mut program.steps, index),
    }
}

/// Repairs an error of the machine as a whole, which belongs to no single item. `errors` counts the calls for one
/// program, from 1. The first call only refits the memory ([`refit`]); each later one removes more, until nothing is
/// left that could be wrong.
fn rebuild(program: &mut Program, errors: u32) {
    let machine = &mut program.machine;
    match errors {
        1 => refit(machine),
        2 => {
            if let MemoryModel::SparsememVmemmap { blocks, .. } = &mut machine.memory {
                blocks.clear();
            }
            refit(machine);
        }
        3 => {
            let keep = program.steps.len() / 2;
            program.steps.truncate(keep);
            machine.mappings.truncate(64);
            machine.ram.truncate(8);
            machine.pages.truncate(64);
            machine.compounds.truncate(8);
        }
        4 => {
            machine.windows.truncate(2);
            machine.mappings.clear();
            machine.ram.clear();
        }
        5 => program.steps.retain(|step| !matches!(step, contract::Step::CreateWindow(_))),
        6 => {
            let memory = MemoryModel::Flatmem { array: RealAddr(1 << 30), pages: 64 };
            program.machine = Machine::bare(machine.page_shift, 64, memory);
        }
        _ => program.steps.clear(),
    }
}

/// For flatmem reduces the memory to at most 2^16 pages and moves the array of struct pages to free memory. For
/// sparsemem-vmemmap corrects the base, drops sections over the limit, moves the vmemmap list, and places the blocks
/// that have no place. The array or list goes to 2^62, which is invalid, if there is no room.
fn refit(machine: &mut Machine) {
    let struct_page = machine.struct_page;
    match &mut machine.memory {
        MemoryModel::Flatmem { array, pages } => {
            *pages = (*pages).clamp(1, 1 << 16);
            let bytes = *pages * struct_page;
            // Past everything else, so that the search does not count the array itself as taken.
            *array = RealAddr(1 << 62);
            if let Some(room) = free_place(machine, bytes, REGION_ALIGN)
                && let MemoryModel::Flatmem { array, .. } = &mut machine.memory
            {
                *array = room;
            }
        }
        MemoryModel::SparsememVmemmap { base, block_shift, list, sections, .. } => {
            let least = contract::addr::LINEAR_MAP + (1 << contract::description::MAX_PHYSMEM_BITS);
            *base = (*base).max(least) >> *block_shift << *block_shift;
            if *base < least {
                *base = 0xf << 60;
            }
            sections.truncate(contract::description::MAX_SECTIONS);
            *list = RealAddr(1 << 62);
            fit_blocks(machine);
            if let Some(room) = free_place(machine, contract::description::LIST_AREA_BYTES, REGION_ALIGN)
                && let MemoryModel::SparsememVmemmap { list, .. } = &mut machine.memory
            {
                *list = room;
            }
        }
    }
}
