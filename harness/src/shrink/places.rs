//! Moves the regions of a program to lower real addresses: tables of windows, vmemmap blocks, the array of struct pages
//! and the vmemmap list, also those that steps bring.

use contract::Program;
use contract::description::{LIST_AREA_BYTES, MemoryModel, REGION_ALIGN, SECTION_SIZE_BITS};
use contract::visit::Field;
use programs::layout::{Room, fit_blocks};

use super::Shrinker;
use super::numbers::{all, set};

/// A region of real memory whose address is a number of the program.
struct Region {
    /// Index of the region's address in [`all`], from 0.
    index: usize,
    /// Real address of the first byte of the region.
    start: u64,
    /// Length of the region in bytes.
    bytes: u64,
    /// Alignment that the region's address needs, in bytes; a power of two.
    align: u64,
}

impl Shrinker<'_> {
    /// Moves all regions together, then each region alone, to the lowest free addresses. Returns whether the best
    /// program changed.
    pub(super) fn places(&mut self) -> bool {
        let (memory, regions) = regions(&self.best);
        // Moves all regions at once. The old places of the regions count as free, so regions that are in each other's
        // way can move too.
        let mut room = memory.clone();
        let mut together = Vec::new();
        for region in &regions {
            let Some(at) = room.lowest(REGION_ALIGN, region.bytes, region.align) else { break };
            room.take(at.0, region.bytes.into());
            together.push((region.index, at.0));
        }
        let lower = regions.iter().zip(&together).all(|(region, (_, at))| *at <= region.start);
        let mut changed = lower
            && self.attempt(|program| {
                together.iter().for_each(|&(index, at)| set(program, index, at));
                // Neighbouring blocks may now form one run.
                fit_blocks(&mut program.machine);
            });
        for at in 0..regions.len() {
            // Reads the regions again, because earlier attempts have moved some.
            let (memory, regions) = self::regions(&self.best);
            let Some(region) = regions.get(at) else { break };
            let mut room = memory;
            let others = regions.iter().enumerate().filter(|(other, _)| *other != at);
            others.for_each(|(_, other)| room.take(other.start, other.bytes.into()));
            match room.lowest(REGION_ALIGN, region.bytes, region.align) {
                Some(lowest) if lowest.0 < region.start => {
                    changed |= self.attempt(|program| set(program, region.index, lowest.0));
                }
                _ => {}
            }
        }
        changed
    }
}

/// Returns the memory that the program uses, also that of sections that only steps name, and the program's regions.
fn regions(program: &Program) -> (Room, Vec<Region>) {
    let machine = &program.machine;
    let (mut memory, mut regions) = (Room::default(), Vec::new());
    let block_shift = match machine.memory {
        MemoryModel::Flatmem { .. } => 0,
        MemoryModel::SparsememVmemmap { block_shift, .. } => block_shift,
    };
    let numbers = all(program);
    let mut entries = 0;
    for (index, &(place, number)) in numbers.iter().enumerate() {
        let mut add = |bytes: u64, align: u64| regions.push(Region { index, start: number, bytes, align });
        match place.field {
            Field::MemoryPages => memory.take(0, u128::from(number) << machine.page_shift.bits()),
            Field::Section => memory.take(number.saturating_mul(1 << SECTION_SIZE_BITS), 1 << SECTION_SIZE_BITS),
            Field::Array => add(numbers[index + 1].1.saturating_mul(machine.struct_page), REGION_ALIGN),
            Field::ListArea => add(LIST_AREA_BYTES, REGION_ALIGN),
            Field::BlockAt => add(numbers[index + 1].1.saturating_mul(1 << block_shift), 1 << block_shift),
            Field::Entries => entries = number,
            Field::Table | Field::Hardware => add(entries.saturating_mul(8), REGION_ALIGN),
            _ => {}
        }
    }
    (memory, regions)
}
