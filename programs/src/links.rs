//! Numbers that belong together: what has to change with a page, a section or a window that gets another number.
//!
//! The mutator moves things so that steps still meet them, and the shrinker moves them to where they read best. Nothing
//! here keeps a program sound by itself.

use contract::description::{AddrRun, BlockRun, blocks_of_section};
use contract::visit::{Field, NumberKind, visit_mut};
use contract::{Hypercall, MemoryModel, Program, RealAddr, Step, WindowSpec, hcall};

use crate::layout::fit_blocks;

/// Gives every host page another pfn. Words of memory move with their page.
pub fn move_pfns(program: &mut Program, map: impl Fn(u64) -> u64) {
    let shift = program.machine.page_shift.bits();
    visit_mut(program, &mut |place, number| match place.field {
        Field::RamAt => *number = map(*number >> shift).wrapping_shl(shift) | *number & ((1 << shift) - 1),
        field if field.kind() == NumberKind::Pfn => *number = map(*number),
        _ => {}
    });
}

/// Gives every host virtual address another one: those of slots, of mappings, and of steps.
pub fn move_hvas(program: &mut Program, map: impl Fn(u64) -> u64) {
    visit_mut(program, &mut |place, number| {
        if place.field.kind() == NumberKind::Hva {
            *number = map(*number);
        }
    });
}

/// Gives every guest physical address another one: those of lists and of words that the guest writes, and the addresses
/// in TCEs that have permissions. Slots stay where they are.
pub fn move_gpas(program: &mut Program, map: impl Fn(u64) -> u64) {
    visit_mut(program, &mut |place, number| match place.field.kind() {
        NumberKind::Gpa => *number = map(*number),
        NumberKind::Tce if *number & 3 != 0 => *number = map(*number & !0xfff) & !0xfff | *number & 0xfff,
        _ => {}
    });
}

/// The IOBA in `to` that is what `ioba` is in `from`: the entry of the same number, as far past the end, as far off its
/// page.
fn ioba(ioba: u64, from: &WindowSpec, to: &WindowSpec) -> u64 {
    let offset = ioba.wrapping_sub(from.base);
    let (index, off) = (offset >> from.page_shift, offset & (from.page() - 1));
    let index = if index < from.entries {
        // The last stays the last.
        if index + 1 == from.entries { to.entries - 1 } else { index % to.entries }
    } else {
        index.wrapping_sub(from.entries).wrapping_add(to.entries)
    };
    to.base.wrapping_add(index.wrapping_shl(to.page_shift)).wrapping_add(off & (to.page() - 1))
}

/// Makes the call one on `to`, which was one on `from`. Both are valid windows.
pub fn move_call(call: &mut Hypercall, from: &WindowSpec, to: &WindowSpec) {
    if call.name().is_none() {
        return;
    }
    let many = matches!(call.opcode, hcall::H_STUFF_TCE | hcall::H_PUT_TCE_INDIRECT);
    let room = |window: &WindowSpec, ioba: u64| {
        window.entries.wrapping_sub(ioba.wrapping_sub(window.base) >> window.page_shift)
    };
    let inside = !many || call.args[3] <= room(from, call.args[1]);
    call.args[0] = to.liobn.0;
    call.args[1] = ioba(call.args[1], from, to);
    if many && inside && call.args[3] > 0 {
        call.args[3] = call.args[3].min(room(to, call.args[1]).max(1));
    }
    if matches!(call.opcode, hcall::H_PUT_TCE | hcall::H_STUFF_TCE) {
        call.args[2] = tce(call.args[2], from, to);
    }
}

/// A TCE that is as aligned to the page of `to` as it was to that of `from`.
fn tce(tce: u64, from: &WindowSpec, to: &WindowSpec) -> u64 {
    if tce & 3 == 0 || tce & (from.page() - 1) > 3 { tce } else { tce & !(to.page() - 1) | tce & 3 }
}

/// From step `start` on, calls of `from`, a window that has become `to`, follow it. A step that closes it too.
pub fn follow(program: &mut Program, start: usize, from: &WindowSpec, to: &WindowSpec) {
    for step in &mut program.steps[start..] {
        match step {
            Step::Hypercall { call, .. } if call.args[0] == from.liobn.0 => move_call(call, from, to),
            Step::CloseWindow { liobn } if *liobn == from.liobn => *liobn = to.liobn,
            Step::CreateWindow(window) if window.liobn == from.liobn => return,
            _ => {}
        }
    }
}

/// Gives the section `from` the number `to`, which no section has: its pages, and the blocks that it alone needs, move
/// along. Blocks keep their places as far as the section still needs as many.
pub fn move_section(program: &mut Program, from: u64, to: u64) {
    let pages = program.machine.page_shift.pages_per_section();
    move_pfns(program, |pfn| if pfn / pages == from { to.wrapping_mul(pages).wrapping_add(pfn % pages) } else { pfn });
    visit_mut(program, &mut |place, number| {
        if place.field == Field::Section && *number == from {
            *number = to;
        }
    });
    let machine = &mut program.machine;
    let bytes = pages * machine.struct_page;
    let MemoryModel::SparsememVmemmap { block_shift, sections, blocks, .. } = &mut machine.memory else { return };
    sections.sort_unstable();
    if sections.binary_search(&to).is_err() {
        return;
    }
    let of = |section| blocks_of_section(section, bytes, *block_shift);
    let needed = |block| sections.iter().any(|&section| of(section).contains(&block));
    let place = |block: u64| {
        let run = blocks.iter().find(|run| block.wrapping_sub(run.first) < run.places.count)?;
        Some(RealAddr(run.places.at.0.wrapping_add((block - run.first) << *block_shift)))
    };
    let moved = of(from).zip(of(to)).filter(|&(old, new)| !needed(old) && place(new).is_none());
    let moved =
        moved.filter_map(|(old, first)| Some(BlockRun { first, places: AddrRun { at: place(old)?, count: 1 } }));
    let moved: Vec<BlockRun> = moved.collect();
    blocks.extend(moved);
    fit_blocks(machine);
}
