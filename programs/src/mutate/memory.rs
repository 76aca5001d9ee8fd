//! Operators that change the host's memory: sections, vmemmap blocks, struct pages, the memory model. Steps are adapted
//! where possible.
//!
//! Each operator leaves a machine that needs little [`repair`](crate::repair).

use contract::description::{AddrRun, BlockRun, MemoryModel, SECTION_SIZE_BITS};
use contract::visit::{Field, visit_mut};
use contract::{Machine, PageShift, Program, RealAddr};

use super::sights::{LAST_SECTION, Sights};
use crate::focus::Focus;
use crate::generate::dice::Dice;
use crate::layout::{add_section, fit_blocks, free_place, remove_section};
use crate::links::{move_gpas, move_hvas, move_pfns};

/// Number of sections of a machine from which on none is added: each section can need hundreds of vmemmap blocks.
const MAX_SECTIONS: usize = 8;

/// Adds an absent section to the machine, with the vmemmap blocks that the section needs. Returns false for flatmem, if
/// the machine has [`MAX_SECTIONS`] already, if the drawn section is present or lies past [`LAST_SECTION`], or if the
/// blocks find no room.
pub(super) fn section_comes(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let section = Sights::new(program, 0).section(false, dice);
    let MemoryModel::SparsememVmemmap { sections, .. } = &program.machine.memory else { return false };
    sections.len() < MAX_SECTIONS && section <= LAST_SECTION && add_section(&mut program.machine, section)
}

/// Removes a section of the machine and the items of the machine whose first page lies in the section. Steps stay.
/// Returns false for flatmem, or if the machine has only one section.
pub(super) fn section_goes(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let MemoryModel::SparsememVmemmap { sections, .. } = &program.machine.memory else { return false };
    if sections.len() < 2 {
        return false;
    }
    let section = dice.pick(sections);
    remove_section(&mut program.machine, section);
    true
}

/// Moves a run of vmemmap blocks right behind its predecessor, exchanges it with another run, or moves it (in 60 of 100
/// cases only its first 1 to 3 blocks, which cuts the run in two) to a place of its own. Returns false for flatmem, if
/// there are no blocks, if the two runs to exchange are one or differ in length, or if no place is free.
pub(super) fn blocks(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let machine = &mut program.machine;
    let MemoryModel::SparsememVmemmap { block_shift, blocks, .. } = &machine.memory else { return false };
    let shift = *block_shift;
    if blocks.is_empty() {
        return false;
    }
    let at = dice.below(blocks.len() as u64) as usize;
    let run = blocks[at];
    let cut = match run.places.count {
        0 | 1 => 0,
        // The cut is within the first few blocks, where the struct pages lie that programs name.
        count => dice.between(1, (count - 1).min(3)),
    };
    let cut_off = blocks.len() < 64 && cut > 0 && dice.percent(60);
    let bytes = if cut_off { cut << shift } else { run.places.count << shift };
    // A gap of one block keeps the moved blocks from being adjacent to what lies before them.
    let gap = dice.below(2) << shift;
    let room = free_place(machine, bytes + gap, 1 << shift);
    let MemoryModel::SparsememVmemmap { blocks, .. } = &mut machine.memory else { return false };
    match dice.below(4) {
        // Right behind the previous run: contiguous in real memory, but still two blocks.
        0 if at > 0 => {
            let before = blocks[at - 1].places;
            blocks[at].places.at = RealAddr(before.at.0 + (before.count << shift));
        }
        1 if blocks.len() > 1 => {
            let other = dice.below(blocks.len() as u64) as usize;
            if blocks[at].places.count != blocks[other].places.count || at == other {
                return false;
            }
            let places = blocks[at].places;
            blocks[at].places = blocks[other].places;
            blocks[other].places = places;
        }
        _ => {
            let Some(room) = room else { return false };
            let room = RealAddr(room.0 + gap);
            if cut_off {
                // The first few blocks move; the rest stays.
                let rest = AddrRun { at: RealAddr(run.places.at.0 + (cut << shift)), count: run.places.count - cut };
                blocks[at].places = rest;
                blocks[at].first += cut;
                blocks.insert(at, BlockRun { first: run.first, places: AddrRun { at: room, count: cut } });
            } else {
                blocks[at].places.at = room;
            }
        }
    }
    true
}

/// Changes the size of struct pages (56, 64, 72 or 80 bytes) or the size of vmemmap blocks (2^12, 2^16, 2^21 or 2^24
/// bytes), and finds new places for blocks or for flatmem's array. Returns false if sizes and places are as before.
pub(super) fn struct_pages(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let machine = &mut program.machine;
    let size = dice.pick(&[56, 56, 64, 72, 80]);
    let resize = dice.percent(50);
    let before = (machine.struct_page, machine.memory.clone());
    if resize {
        machine.struct_page = size;
    }
    if let MemoryModel::SparsememVmemmap { block_shift, base, blocks, .. } = &mut machine.memory {
        if !resize {
            let shift = dice.pick(&[12, 16, 21, 24]);
            *block_shift = shift;
            *base &= !((1 << shift) - 1);
            blocks.clear();
        }
        fit_blocks(machine);
    } else {
        // The array may now overlap what lies behind it.
        place_array(machine);
    }
    (machine.struct_page, &machine.memory) != (before.0, &before.1)
}

/// Moves flatmem's array of struct pages to free real memory, or to 2^62, which is invalid, if there is no room. Does
/// nothing for another memory model.
fn place_array(machine: &mut Machine) {
    let size = machine.struct_page;
    if let MemoryModel::Flatmem { array, pages } = &mut machine.memory {
        let bytes = *pages * size;
        // Past everything else, so that the search does not count the array itself as taken.
        *array = RealAddr(1 << 62);
        let room = free_place(machine, bytes, 4096);
        if let (MemoryModel::Flatmem { array, .. }, Some(room)) = (&mut machine.memory, room) {
            *array = room;
        }
    }
}

/// Replaces every pfn of the machine and the steps by `map` of it. Heads of the machine's compound pages are then
/// aligned down to their order.
fn map_pfns(program: &mut Program, map: impl Fn(u64) -> u64) {
    move_pfns(program, map);
    for compound in &mut program.machine.compounds {
        compound.pfn.0 = compound.pfn.0 >> compound.order << compound.order;
    }
}

/// Switches between flatmem and sparsemem-vmemmap. A switch to flatmem renumbers the pages to those that exist there,
/// so that two pages can become one. A switch to sparsemem-vmemmap keeps all pfns, with at most [`MAX_SECTIONS`]
/// sections. Always returns true.
pub(super) fn model(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let per_section = program.machine.page_shift.pages_per_section();
    match program.machine.memory.clone() {
        MemoryModel::SparsememVmemmap { sections, .. } => {
            let pages = dice.pick(&[per_section, 64, 1024]);
            let first = sections.first().map_or(0, |section| section * per_section);
            map_pfns(program, |pfn| {
                if pfn.wrapping_sub(first) < pages {
                    pfn - first
                } else if pfn < 1 << 40 {
                    pfn % pages
                } else {
                    pfn
                }
            });
            program.machine.memory = MemoryModel::Flatmem { array: RealAddr(1 << 62), pages };
            place_array(&mut program.machine);
        }
        MemoryModel::Flatmem { pages, .. } => {
            // Tables of windows may lie where the sections now are; repair moves them.
            let sections = (0..pages.div_ceil(per_section).min(MAX_SECTIONS as u64)).collect();
            let block_shift = dice.pick(&[16, 12, 21, 24]);
            let list = RealAddr(1 << 62);
            let base = 0xf << 60;
            program.machine.memory =
                MemoryModel::SparsememVmemmap { base, block_shift, list, sections, blocks: Vec::new() };
            fit_blocks(&mut program.machine);
            let room = free_place(&program.machine, contract::description::LIST_AREA_BYTES, 4096);
            if let (MemoryModel::SparsememVmemmap { list, .. }, Some(room)) = (&mut program.machine.memory, room) {
                *list = room;
            }
        }
    }
    true
}

/// Switches between PAGE_SHIFT 12 and 16. Numbers of sections and slots, and page numbers inside them, stay; pfns,
/// addresses and blocks that depend on the page size are computed again. Always returns true.
pub(super) fn page_shift(program: &mut Program, _: Focus, _: &mut Dice<'_>) -> bool {
    let old = program.machine.page_shift;
    let new = if old == PageShift::Shift12 { PageShift::Shift16 } else { PageShift::Shift12 };
    let (from, to) = (old.bits(), new.bits());
    let (per_old, per_new) = (old.pages_per_section(), new.pages_per_section());
    let sparse = matches!(program.machine.memory, MemoryModel::SparsememVmemmap { .. });
    let limits = (old.pfn_limit(), new.pfn_limit());
    map_pfns(program, |pfn| match pfn {
        // A pfn past the limit stays past the limit.
        _ if pfn >= limits.0 => (pfn - limits.0).saturating_add(limits.1),
        _ if sparse => {
            let offset = pfn % per_old;
            let offset = if offset == per_old - 1 { per_new - 1 } else { offset % per_new };
            pfn / per_old * per_new + offset
        }
        _ => pfn,
    });
    let frames = |gpa: u64| gpa >> from << to | gpa & ((1 << from.min(to)) - 1);
    let slots = program.machine.slots.clone();
    // An hva keeps its page number inside its slot.
    let move_hva = |hva: u64| {
        let slot = slots.iter().find(|slot| hva.wrapping_sub(slot.hva.0) >> from < slot.pages);
        match slot {
            Some(slot) => (slot.hva.0 >> to << to).wrapping_add((hva - slot.hva.0) >> from << to),
            None => hva >> to << to,
        }
    };
    move_hvas(program, move_hva);
    move_gpas(program, frames);
    let gfns = 1u64 << (64 - to);
    visit_mut(program, &mut |place, number| match place.field {
        Field::Gfn => *number = (*number).min(gfns - 1),
        Field::RamAt => *number = frames(*number),
        _ => {}
    });
    let machine = &mut program.machine;
    machine.page_shift = new;
    for window in &mut machine.windows {
        if window.backing != contract::Backing::Emulated {
            window.page_shift = window.page_shift.min(to);
        }
    }
    for mapping in &mut machine.mappings {
        let size = mapping.pte.pages() << to;
        mapping.hva.0 &= !(size - 1);
    }
    match &mut machine.memory {
        MemoryModel::Flatmem { pages, .. } => {
            // Limits the memory to 2^40 bytes, below the place of the tables.
            *pages = (*pages).min(1 << (40 - to)).max(1);
            place_array(machine);
        }
        MemoryModel::SparsememVmemmap { blocks, .. } => {
            blocks.clear();
            fit_blocks(machine);
        }
    }
    true
}

/// Moves the vmemmap range to another base: to the top of the address space, or to one of two bases that the kernel
/// uses. If the drawn base is the old one, moves the vmemmap list instead; for flatmem, moves the array of struct
/// pages. Always returns true.
pub(super) fn base(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let machine = &mut program.machine;
    let per_section = machine.page_shift.pages_per_section();
    let size = machine.struct_page;
    let MemoryModel::SparsememVmemmap { base, block_shift, sections, list, .. } = &mut machine.memory else {
        place_array(machine);
        return true;
    };
    let needed = (sections.last().map_or(0, |last| last + 1) * per_section * size).next_multiple_of(1 << *block_shift);
    let old = *base;
    *base = dice.pick(&[0xf << 60, 0xc00c << 48, 0u64.wrapping_sub(needed)]);
    if *base == 0 {
        *base = 0xf << 60;
    }
    if *base == old {
        // The base stays the same, so the vmemmap list moves instead: right behind a section, where a stray store would
        // hit it, or to a free place.
        let end = sections.last().map_or(0, |last| (last + 1) << SECTION_SIZE_BITS);
        *list = RealAddr(1 << 62);
        let room = free_place(machine, contract::description::LIST_AREA_BYTES, 4096);
        if let MemoryModel::SparsememVmemmap { list, .. } = &mut machine.memory {
            *list = if dice.percent(30) { RealAddr(end) } else { room.unwrap_or(RealAddr(end)) };
        }
    }
    true
}
