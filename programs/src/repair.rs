//! Makes any program sound, changing as little as it knows how.
//!
//! Fuzzing engines change bytes and records without regard for what a description says elsewhere. What contradicts
//! itself is mended where there is an obvious way (room for a table that overlaps, places for blocks that are missing)
//! and dropped where there is none. A sound program is left alone, so repairing twice is repairing once.

use contract::description::{Invalid, Item, MAX_ORDER, MAX_OWN, Machine, Mapping, MemoryModel, REGION_ALIGN};
use contract::{Program, Pte, RealAddr};

use crate::layout::{fit_blocks, free_place, place_tables, remove_section};

/// How many single things are mended or dropped before all of a kind goes at once: bounds the time of hostile inputs.
const PATIENCE: usize = 64;

/// Makes the program sound ([`Program::validate`]). A sound one stays as it is; from any other something is changed or
/// left out.
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

/// Tries to mend one item; answers whether there was something to try.
fn mend(program: &mut Program, item: Item) -> bool {
    let machine = &mut program.machine;
    match item {
        Item::Window(index) => {
            let Some(mut window) = machine.windows.get(index).copied() else { return false };
            // Out of the way, so that its own tables leave room.
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
                // The entry has no size that its address could be aligned to.
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

/// What is wrong is the machine as a whole: each time it comes to this, more of it goes, until nothing is left that
/// could be wrong.
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

/// Moves the array, or the list and blocks that have no good place, to where there is room.
fn refit(machine: &mut Machine) {
    let struct_page = machine.struct_page;
    match &mut machine.memory {
        MemoryModel::Flatmem { array, pages } => {
            *pages = (*pages).clamp(1, 1 << 16);
            let bytes = *pages * struct_page;
            // Past everything, so that it is not in its own way.
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
