//! Places in real memory for parts of a machine's description: tables, blocks and sections.
//!
//! Code that changes descriptions (repair, mutation) calls this module to find free memory and to add or remove a
//! section together with its blocks.

use std::collections::BTreeMap;

use contract::description::{
    AddrRun, BlockRun, MAX_BLOCKS, MAX_PHYSMEM_BITS, MemoryModel, REGION_ALIGN, blocks_of_section,
};
use contract::visit::{NumberKind, Numbers as _};
use contract::{Extent, Machine, Pfn, RealAddr, WindowSpec};

/// Real address where the search for free memory begins: 2^45, above the memory of ordinary machines, so that sections
/// can still be added below. If nothing is free from there to 2^46, the search begins again at 0.
const FIRST_ROOM: u64 = 1 << 45;

/// The ranges of real memory that something occupies.
#[derive(Clone, Debug, Default)]
pub struct Room {
    /// Start and end (one past the last byte) of each occupied range, as real addresses, ascending by start.
    taken: Vec<(u128, u128)>,
}

impl Room {
    /// Returns the ranges that the machine's description occupies: memory, struct pages, vmemmap list and tables.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        let range = |extent: &Extent| (u128::from(extent.start), u128::from(extent.start) + extent.bytes);
        let mut taken: Vec<_> = machine.extents().iter().map(range).collect();
        taken.sort_unstable();
        Self { taken }
    }

    /// Marks `bytes` bytes from real address `start` on as occupied. Some of them may be occupied already.
    pub fn take(&mut self, start: u64, bytes: u128) {
        let range = (u128::from(start), u128::from(start) + bytes);
        let at = self.taken.partition_point(|other| *other < range);
        self.taken.insert(at, range);
    }

    /// Returns the lowest real address at or above `from` that is a multiple of `align` (a power of two) and has
    /// `bytes` free bytes. Returns `None` if these bytes would end above 2^46.
    #[must_use]
    pub fn lowest(&self, from: u64, bytes: u64, align: u64) -> Option<RealAddr> {
        let bytes = u128::from(bytes);
        let mut at = u128::from(from.checked_next_multiple_of(align)?);
        for &(start, end) in &self.taken {
            if end > at && start < at + bytes {
                at = end.checked_next_multiple_of(u128::from(align))?;
            }
        }
        (at + bytes <= 1 << MAX_PHYSMEM_BITS).then_some(RealAddr(at as u64))
    }
}

/// Finds the lowest real address from 2^45 on, and then from 0 on, where `bytes` bytes overlap nothing that the machine
/// describes. The address is a multiple of `align`, a power of two. Returns `None` if there is no room below 2^46.
#[must_use]
pub fn free_place(machine: &Machine, bytes: u64, align: u64) -> Option<RealAddr> {
    let room = Room::of(machine);
    room.lowest(FIRST_ROOM, bytes, align).or_else(|| room.lowest(0, bytes, align))
}

/// Returns the number of bytes to reserve for one table of the window: 8 for each entry, rounded up to a multiple of
/// [`REGION_ALIGN`]. It is at most 1 MiB, so that a huge number of entries, which validation refuses anyway, cannot
/// overflow.
fn table_bytes(window: &WindowSpec) -> u64 {
    window.entries.saturating_mul(8).min(1 << 20).next_multiple_of(REGION_ALIGN)
}

/// Places the tables of the window (guest values, then hardware entries if it is pinned) one after the other from
/// address `at` on, without checking that the memory is free.
pub fn put_tables(window: &mut WindowSpec, at: RealAddr) {
    let (mut next, bytes) = (at.0, table_bytes(window));
    window.numbers_mut(&mut |field, address| {
        if field.kind() == NumberKind::Real {
            *address = next;
            next += bytes;
        }
    });
}

/// Places the tables of a window, which is not part of the machine yet, in free real memory. Returns false, with the
/// window unchanged, if there is no room.
pub fn place_tables(machine: &Machine, window: &mut WindowSpec) -> bool {
    let bytes = table_bytes(window) * window.regions().count() as u64;
    let room = free_place(machine, bytes, REGION_ALIGN);
    if let Some(room) = room {
        put_tables(window, room);
    }
    room.is_some()
}

/// Gives every vmemmap block that a present section needs exactly one place, and removes all other blocks. Blocks that
/// have a place keep it; the others get free memory. Returns false if there is no room (the others then stay without a
/// place) or if more than [`MAX_BLOCKS`] blocks are needed (nothing changes). Does nothing for flatmem, and returns
/// true.
pub fn fit_blocks(machine: &mut Machine) -> bool {
    let bytes = machine.page_shift.pages_per_section() * machine.struct_page;
    let MemoryModel::SparsememVmemmap { block_shift, sections, blocks, .. } = &mut machine.memory else { return true };
    let shift = *block_shift;
    let mut needed: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    for &section in sections.iter() {
        needed.extend(blocks_of_section(section, bytes, shift).map(|block| (block, None)));
        if needed.len() as u64 > MAX_BLOCKS {
            return false;
        }
    }
    for run in blocks.iter() {
        let known = run.places.at.0;
        for (&block, place) in needed.range_mut(run.first..run.first.saturating_add(run.places.count)) {
            *place = known.checked_add((block - run.first) << shift);
        }
    }
    let known = |needed: &BTreeMap<u64, Option<u64>>| runs(needed.iter().filter_map(|(&b, &at)| Some((b, at?))), shift);
    *blocks = known(&needed);
    let missing: Vec<u64> = needed.iter().filter(|(_, at)| at.is_none()).map(|(&block, _)| block).collect();
    let Some(size) = (missing.len() as u64).checked_shl(shift).filter(|size| size >> shift == missing.len() as u64)
    else {
        return false;
    };
    if missing.is_empty() {
        return true;
    }
    let Some(room) = free_place(machine, size, 1 << shift) else { return false };
    for (index, block) in missing.into_iter().enumerate() {
        needed.insert(block, Some(room.0 + ((index as u64) << shift)));
    }
    if let MemoryModel::SparsememVmemmap { blocks, .. } = &mut machine.memory {
        *blocks = known(&needed);
    }
    true
}

/// Joins vmemmap blocks, given as (number, real address) in ascending order, into as few runs as possible. Blocks of a
/// run are adjacent by number and by address.
fn runs(places: impl Iterator<Item = (u64, u64)>, block_shift: u32) -> Vec<BlockRun> {
    let mut runs: Vec<BlockRun> = Vec::new();
    for (block, at) in places {
        match runs.last_mut() {
            Some(run)
                if run.first + run.places.count == block
                    && run.places.at.0.wrapping_add(run.places.count << block_shift) == at =>
            {
                run.places.count += 1;
            }
            _ => runs.push(BlockRun { first: block, places: AddrRun { at: RealAddr(at), count: 1 } }),
        }
    }
    runs
}

/// Removes section number `section`, the vmemmap blocks that no other section needs, and the items of the machine whose
/// first page lies in it: own references, compound pages, mappings and contents. Steps stay.
pub fn remove_section(machine: &mut Machine, section: u64) {
    let (per_section, shift) = (machine.page_shift.pages_per_section(), machine.page_shift.bits());
    let gone = |pfn: Pfn| pfn.0 / per_section == section;
    machine.pages.retain(|page| !gone(page.pfn));
    machine.compounds.retain(|compound| !gone(compound.pfn));
    machine.mappings.retain(|mapping| mapping.pte.pfn().is_none_or(|pfn| !gone(pfn)));
    machine.ram.retain(|ram| !gone(Pfn(ram.at.0 >> shift)));
    let MemoryModel::SparsememVmemmap { sections, .. } = &mut machine.memory else { return };
    sections.retain(|other| *other != section);
    fit_blocks(machine);
}

/// Adds section number `section`, with places for the vmemmap blocks that no present section needs yet. Returns false,
/// with the machine unchanged, if there is no room, the section is already present, or the memory model has no
/// sections.
pub fn add_section(machine: &mut Machine, section: u64) -> bool {
    let before = machine.memory.clone();
    let MemoryModel::SparsememVmemmap { sections, .. } = &mut machine.memory else { return false };
    let Err(at) = sections.binary_search(&section) else { return false };
    sections.insert(at, section);
    let fits = fit_blocks(machine);
    if !fits {
        machine.memory = before;
    }
    fits
}
