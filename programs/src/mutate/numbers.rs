//! The numbers of a program, each with what it means, for changes that go by the kind of number alone.

use contract::description::{Mapping, MemoryModel, PageSpec, SlotSpec, WordRun};
use contract::{Backing, Machine, Pte, Step, WindowSpec, hcall};

/// What a number means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Liobn,
    Ioba,
    /// A TCE, in a register or a list.
    Tce,
    /// Of entries, words, pages or blocks.
    Count,
    Gpa,
    Gfn,
    Pfn,
    Hva,
    Section,
    /// A real address of a table or block.
    Real,
    /// What is added from word to word.
    Stride,
    /// A number of no such kind.
    Other,
}

type Visit<'a> = &'a mut dyn FnMut(Kind, &mut u64);

fn narrow(kind: Kind, number: &mut u32, visit: Visit<'_>) {
    let mut wide = u64::from(*number);
    visit(kind, &mut wide);
    *number = wide as u32;
}

fn pte(pte: &mut Pte, visit: Visit<'_>) {
    match pte {
        Pte::Present { pfn, .. } | Pte::Huge { pfn, .. } | Pte::Absent { pfn } => visit(Kind::Pfn, &mut pfn.0),
        Pte::Hole => {}
    }
}

fn slot(slot: &mut SlotSpec, visit: Visit<'_>) {
    visit(Kind::Gfn, &mut slot.gfn.0);
    visit(Kind::Count, &mut slot.pages);
    visit(Kind::Hva, &mut slot.hva.0);
}

fn window(window: &mut WindowSpec, visit: Visit<'_>) {
    visit(Kind::Liobn, &mut window.liobn.0);
    visit(Kind::Ioba, &mut window.base);
    visit(Kind::Count, &mut window.entries);
    visit(Kind::Real, &mut window.table.0);
    if let Backing::Pinned { hardware } = &mut window.backing {
        visit(Kind::Real, &mut hardware.0);
    }
}

fn words(words: &mut [WordRun], visit: Visit<'_>) {
    for run in words {
        visit(Kind::Tce, &mut run.value);
        visit(Kind::Stride, &mut run.stride);
        visit(Kind::Count, &mut run.count);
    }
}

/// Visits the numbers of a step in a fixed order.
pub(super) fn of_step(step: &mut Step, visit: Visit<'_>) {
    match step {
        Step::Hypercall { call, .. } => {
            let third = if call.opcode == hcall::H_PUT_TCE_INDIRECT { Kind::Gpa } else { Kind::Tce };
            let kinds = [Kind::Liobn, Kind::Ioba, third, Kind::Count];
            let used = call.fields().len();
            for (kind, number) in kinds.into_iter().zip(&mut call.args).take(used) {
                visit(kind, number);
            }
        }
        Step::Lookup { pfn }
        | Step::GetPage { pfn }
        | Step::PutPage { pfn }
        | Step::Take { pfn }
        | Step::Drop { pfn }
        | Step::SplitCompound { pfn } => visit(Kind::Pfn, &mut pfn.0),
        Step::Map { hva, pte: entry } => {
            visit(Kind::Hva, &mut hva.0);
            pte(entry, visit);
        }
        Step::Unmap { hva } | Step::Age { hva } | Step::Clean { hva } | Step::WriteProtect { hva } => {
            visit(Kind::Hva, &mut hva.0);
        }
        Step::Migrate { hva, pfn } => {
            visit(Kind::Hva, &mut hva.0);
            visit(Kind::Pfn, &mut pfn.0);
        }
        Step::MakeCompound(compound) => visit(Kind::Pfn, &mut compound.pfn.0),
        Step::HotAdd { section, blocks } => {
            visit(Kind::Section, section);
            for run in blocks {
                visit(Kind::Real, &mut run.at.0);
                visit(Kind::Count, &mut run.count);
            }
        }
        Step::HotRemove { section } => visit(Kind::Section, section),
        Step::Slot(spec) => slot(spec, visit),
        Step::Write { gpa, words: runs } => {
            visit(Kind::Gpa, &mut gpa.0);
            words(runs, visit);
        }
        Step::CreateWindow(spec) => window(spec, visit),
        Step::CloseWindow { liobn } => visit(Kind::Liobn, &mut liobn.0),
    }
}

/// Visits the numbers of a machine in a fixed order; what its soundness hangs on most, the sections and blocks, is left
/// out.
pub(super) fn of_machine(machine: &mut Machine, visit: Visit<'_>) {
    if let MemoryModel::Flatmem { pages, .. } = &mut machine.memory {
        visit(Kind::Other, pages);
    }
    for PageSpec { pfn, .. } in &mut machine.pages {
        visit(Kind::Pfn, &mut pfn.0);
    }
    for compound in &mut machine.compounds {
        visit(Kind::Pfn, &mut compound.pfn.0);
        narrow(Kind::Other, &mut compound.order, visit);
    }
    machine.slots.iter_mut().for_each(|spec| slot(spec, visit));
    for Mapping { hva, pages, pte: entry } in &mut machine.mappings {
        visit(Kind::Hva, &mut hva.0);
        visit(Kind::Count, pages);
        pte(entry, visit);
    }
    for ram in &mut machine.ram {
        visit(Kind::Real, &mut ram.at.0);
        words(&mut ram.words, visit);
    }
    for spec in &mut machine.windows {
        window(spec, visit);
        narrow(Kind::Other, &mut spec.page_shift, visit);
    }
}
