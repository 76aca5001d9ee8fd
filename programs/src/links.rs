//! Renumbering: moves a page, an address, a section or a window, and changes every number of the program that refers to
//! it.
//!
//! The mutator moves things so that steps still refer to them. The shrinker moves them to where they read best. These
//! functions do not keep a program valid by themselves.

use contract::description::{AddrRun, BlockRun, blocks_of_section};
use contract::visit::{Field, NumberKind, visit_mut};
use contract::{Hypercall, MemoryModel, Program, RealAddr, Step, WindowSpec, hcall};

use crate::layout::fit_blocks;

/// Replaces every pfn of the machine and the steps by `map` of it. Contents of memory (`ram`) move with their page.
pub fn move_pfns(program: &mut Program, map: impl Fn(u64) -> u64) {
    let shift = program.machine.page_shift.bits();
    visit_mut(program, &mut |place, number| match place.field {
        Field::RamAt => *number = map(*number >> shift).wrapping_shl(shift) | *number & ((1 << shift) - 1),
        field if field.kind() == NumberKind::Pfn => *number = map(*number),
        _ => {}
    });
}

/// Replaces every host virtual address in slots, mappings and steps by `map` of it.
pub fn move_hvas(program: &mut Program, map: impl Fn(u64) -> u64) {
    visit_mut(program, &mut |place, number| {
        if place.field.kind() == NumberKind::Hva {
            *number = map(*number);
        }
    });
}

/// Replaces every guest physical address by `map` of it: the addresses of lists and `write` steps, and bits 12 and up
/// of TCEs with permissions, in registers and in words that `write` or `ram` stores. Memory slots stay where they are.
pub fn move_gpas(program: &mut Program, map: impl Fn(u64) -> u64) {
    visit_mut(program, &mut |place, number| match place.field.kind() {
        NumberKind::Gpa => *number = map(*number),
        NumberKind::Tce if *number & 3 != 0 => *number = map(*number & !0xfff) & !0xfff | *number & 0xfff,
        _ => {}
    });
}

/// Translates an I/O bus address of the window `from` to the window `to`. The entry number stays the same (modulo the
/// entries of `to`; the last entry stays the last), as do the distance past the window's end and the offset in the
/// page.
fn ioba(ioba: u64, from: &WindowSpec, to: &WindowSpec) -> u64 {
    let offset = ioba.wrapping_sub(from.base);
    let (index, off) = (offset >> from.page_shift, offset & (from.page() - 1));
    let index = if index < from.entries {
        // The last entry stays the last.
        if index + 1 == from.entries { to.entries - 1 } else { index % to.entries }
    } else {
        index.wrapping_sub(from.entries).wrapping_add(to.entries)
    };
    to.base.wrapping_add(index.wrapping_shl(to.page_shift)).wrapping_add(off & (to.page() - 1))
}

/// Changes a call on the window `from` into a call on the window `to`: LIOBN, IOBA, TCE, and the count if it fitted
/// `from` and does not fit `to`. Both windows are valid. A call with an unknown opcode stays as it is.
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

/// Returns the TCE for the window `to`. A TCE with permissions that was aligned to the page of `from` is aligned down
/// to the page of `to`; any other stays as it is.
fn tce(tce: u64, from: &WindowSpec, to: &WindowSpec) -> u64 {
    if tce & 3 == 0 || tce & (from.page() - 1) > 3 { tce } else { tce & !(to.page() - 1) | tce & 3 }
}

/// Adapts the steps from index `start` on after the window `from` has become `to`: the calls on the window, and the
/// step that closes it. Stops at a step that creates a window with the LIOBN of `from`.
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

/// Gives section number `from` the number `to`, which no section has. Its pages, and the vmemmap blocks that only it
/// needs, move along. These blocks keep their real addresses, as far as the section still needs as many blocks.
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
