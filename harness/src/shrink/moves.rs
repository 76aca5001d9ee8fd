//! Tries to give pages, sections and windows of a program lower numbers, and slots, mappings, lists and contents of
//! memory lower addresses, and changes everything that names them.

use std::collections::BTreeSet;

use contract::description::{Item, MemoryModel, word_count};
use contract::hcall::{H_PUT_TCE_INDIRECT, H_STUFF_TCE, LIST_BYTES};
use contract::visit::{Field, NumberKind, Numbers as _, visit, visit_mut};
use contract::{Liobn, Machine, Pfn, Program, Step, WindowSpec};
use programs::links::{follow, move_gpas, move_hvas, move_pfns, move_section};

use super::Shrinker;
use super::spans::{Span, lowest, merged};

impl Shrinker<'_> {
    /// Makes all moves of this module. Returns whether the best program changed.
    pub(super) fn moves(&mut self) -> bool {
        let mut changed = self.windows();
        changed |= self.stretches();
        changed |= self.entries();
        changed |= self.sections();
        changed |= self.host_pages();
        changed |= self.contents();
        changed |= self.host_addresses();
        changed |= self.guest_frames();
        changed |= self.guest_pages();
        changed | self.lists()
    }

    /// Gives windows the lowest unused LIOBN, base 0 and pages of 4 KiB, all three together and each alone. Hypercalls
    /// follow their window. Returns whether the best program changed.
    fn windows(&mut self) -> bool {
        let windows = (0..self.best.machine.windows.len()).map(Item::Window);
        let mut changed = false;
        for item in windows.chain((0..self.best.steps.len()).map(Item::Step)) {
            let Some(liobn) = window(&self.best, item).map(|window| window.liobn) else { continue };
            let liobn = unused(&self.best, NumberKind::Liobn).map_or(liobn, |free| liobn.min(Liobn(free)));
            let changes: [fn(&mut WindowSpec, Liobn); 4] = [
                |window, liobn| (window.liobn, window.base, window.page_shift) = (liobn, 0, 12),
                |window, _| window.base = 0,
                |window, _| window.page_shift = 12,
                |window, liobn| window.liobn = liobn,
            ];
            for change in changes {
                changed |= self.attempt(|program| change_window(program, item, |window| change(window, liobn)));
            }
        }
        changed
    }

    /// In each window, moves the stretches of entries that hypercalls name to the lowest free entries, and changes the
    /// IOBAs of these hypercalls. Returns whether the best program changed.
    fn stretches(&mut self) -> bool {
        let liobns: BTreeSet<u64> = called(&self.best).into_iter().map(|(liobn, _)| liobn).collect();
        let mut changed = false;
        for liobn in liobns {
            let Some(window) = window_of(&self.best, liobn) else { continue };
            changed |= self.move_spans(
                |program| entry_spans(program, &window),
                |program, span, to| {
                    for step in &mut program.steps {
                        if let Step::Hypercall { call, .. } = step
                            && call.args[0] == liobn
                            && call.name().is_some()
                        {
                            let entry = entry_of(&window, call.args[1]);
                            let by = entry.wrapping_sub(span.moved(entry, to)) << window.page_shift;
                            call.args[1] = call.args[1].wrapping_sub(by);
                        }
                    }
                },
            );
        }
        changed
    }

    /// Moves all hypercalls with the same LIOBN and IOBA together: to the start of the entry's page, to a lower entry,
    /// or to a lower entry that other hypercalls name. Returns whether the best program changed.
    fn entries(&mut self) -> bool {
        let mut changed = false;
        for (liobn, ioba) in called(&self.best) {
            let Some(window) = window_of(&self.best, liobn) else { continue };
            let (entry, off) = (entry_of(&window, ioba), ioba.wrapping_sub(window.base) & (window.page() - 1));
            let others = called(&self.best).into_iter().filter(|call| call.0 == liobn);
            let mut entries: BTreeSet<u64> = others.map(|(_, ioba)| entry_of(&window, ioba)).collect();
            entries.extend([0, entry / 2, entry.saturating_sub(1), window.entries]);
            let targets =
                entries.into_iter().filter(|&lower| lower < entry).flat_map(|entry| [(entry, 0), (entry, off)]);
            for (entry, off) in [(entry, 0)].into_iter().chain(targets) {
                let to = window.base.wrapping_add(entry.wrapping_shl(window.page_shift)).wrapping_add(off);
                let took = self.attempt(|program| {
                    for step in &mut program.steps {
                        if let Step::Hypercall { call, .. } = step
                            && call.args[..2] == [liobn, ioba]
                            && call.name().is_some()
                        {
                            call.args[1] = to;
                        }
                    }
                });
                if took {
                    changed = true;
                    break;
                }
            }
        }
        changed
    }

    /// Gives sections the lowest numbers that are free, and changes everything that refers to them or to their pages.
    /// Returns whether the best program changed.
    fn sections(&mut self) -> bool {
        let MemoryModel::SparsememVmemmap { block_shift, .. } = self.best.machine.memory else { return false };
        let machine = &self.best.machine;
        let bytes = machine.page_shift.pages_per_section() * machine.struct_page;
        // At multiples of this many sections, struct pages lie in their blocks in the same way.
        let cycle = (1 << block_shift) >> bytes.trailing_zeros().min(block_shift);
        let mut changed = false;
        for section in named(&self.best, NumberKind::Section) {
            let taken = named(&self.best, NumberKind::Section);
            let free = |start: u64, step: u64| {
                (0..=taken.len() as u64).map(|index| start + index * step).find(|section| !taken.contains(section))
            };
            for target in [free(0, 1), free(section % cycle, cycle)].into_iter().flatten() {
                if target < section && self.attempt(|program| move_section(program, section, target)) {
                    changed = true;
                    break;
                }
            }
        }
        changed
    }

    /// Moves host pages to the lowest free pfns that exist: to any pfn or, if the finding is then gone, to a pfn whose
    /// struct page lies at the same offset in its vmemmap block. Returns whether the best program changed.
    fn host_pages(&mut self) -> bool {
        let align = |machine: &Machine| match machine.memory {
            MemoryModel::SparsememVmemmap { block_shift, .. } => {
                (1 << block_shift) >> machine.struct_page.trailing_zeros().min(block_shift)
            }
            MemoryModel::Flatmem { .. } => 1,
        };
        let (mut changed, mut index) = (false, 0);
        loop {
            let mut spans = page_spans(&self.best);
            let Some(&span) = spans.get(index) else { return changed };
            let machine = &self.best.machine;
            let exists = |at: u64| exist(machine, at, span.length);
            let target = |spans: &[Span]| lowest(spans, index, first_pages(machine), exists);
            let any = target(&spans);
            spans[index].align = spans[index].align.max(align(machine));
            let alike = target(&spans);
            for to in any.into_iter().chain(alike) {
                if self.attempt(|program| move_pfns(program, |pfn| span.moved(pfn, to))) {
                    changed = true;
                    break;
                }
            }
            index += 1;
        }
    }

    /// Moves contents of memory (`ram`) to the lowest free real addresses of present memory or, if the finding is then
    /// gone, of their page, or of their 4 KiB, which may be a list. Returns whether the best program changed.
    fn contents(&mut self) -> bool {
        let (mut changed, mut index) = (false, 0);
        loop {
            let machine = &self.best.machine;
            let spans = machine.ram.iter().map(|ram| Span {
                start: ram.at.0,
                length: word_count(&ram.words).saturating_mul(8),
                align: 8,
            });
            let spans = merged(spans.collect());
            let Some(&span) = spans.get(index) else { return changed };
            let page = machine.page_shift.bytes();
            let first = first_pages(machine).into_iter().map(|pfn| pfn * page);
            let [in_page, in_list] = [page, LIST_BYTES].map(|size| span.start & !(size - 1));
            let target = |bases: &[u64], from: u64| {
                lowest(&spans, index, bases.iter().copied(), |at| {
                    at >= from && exist(machine, at / page, (at + span.length - 1) / page - at / page + 1)
                })
            };
            let targets =
                [target(&first.collect::<Vec<_>>(), 0), target(&[in_page], in_page), target(&[in_list], in_list)];
            for to in targets.into_iter().flatten() {
                let took = self.attempt(|program| {
                    visit_mut(program, &mut |place, number| {
                        if place.field == Field::RamAt {
                            *number = span.moved(*number, to);
                        }
                    });
                });
                if took {
                    changed = true;
                    break;
                }
            }
            index += 1;
        }
    }

    /// Moves spans of host virtual memory (a slot with its mappings, or a mapping alone) to the lowest free hva.
    /// Returns whether the best program changed.
    fn host_addresses(&mut self) -> bool {
        self.move_spans(host_spans, |program, span, to| move_hvas(program, |hva| span.moved(hva, to)))
    }

    /// Moves the guest memory of slots to the lowest free gfns, and changes the guest addresses and TCEs that name it.
    /// Returns whether the best program changed.
    fn guest_frames(&mut self) -> bool {
        self.move_spans(slot_spans, |program, span, to| {
            visit_mut(program, &mut |place, number| {
                if place.field.kind() == NumberKind::Gfn {
                    *number = span.moved(*number, to);
                }
            });
            move_frames(program, span, to);
        })
    }

    /// Merges the spans that `spans` returns for the best program, and tries to move each to the lowest free place from
    /// 0 on. `apply` changes a program so that one span starts at a new place. Returns whether the best program
    /// changed.
    fn move_spans(&mut self, spans: impl Fn(&Program) -> Vec<Span>, apply: impl Fn(&mut Program, Span, u64)) -> bool {
        let (mut changed, mut index) = (false, 0);
        loop {
            let spans = merged(spans(&self.best));
            let Some(&span) = spans.get(index) else { return changed };
            if let Some(to) = lowest(&spans, index, [0], |_| true) {
                changed |= self.attempt(|program| apply(program, span, to));
            }
            index += 1;
        }
    }

    /// In each slot of the machine, moves guest pages to the lowest free gfns of the slot, together with what the host
    /// maps at the hvas of these pages, and changes the guest addresses and TCEs that name them. Returns whether the
    /// best program changed.
    fn guest_pages(&mut self) -> bool {
        let mut changed = false;
        for slot in 0..self.best.machine.slots.len() {
            let mut index = 0;
            loop {
                let spans = merged(guest_spans(&self.best, slot));
                let Some(&span) = spans.get(index) else { break };
                let slot = self.best.machine.slots[slot];
                let inside = |at: u64| at + span.length <= slot.gfn.0 + slot.pages;
                if let Some(to) = lowest(&spans, index, [slot.gfn.0], inside) {
                    changed |= self.attempt(|program| {
                        let page = program.machine.page_shift.bytes();
                        let hva = |gfn: u64| slot.hva.0.wrapping_add((gfn - slot.gfn.0) * page);
                        let bytes = Span::new(hva(span.start), span.length * page);
                        move_hvas(program, |number| bytes.moved(number, hva(to)));
                        move_frames(program, span, to);
                    });
                }
                index += 1;
            }
        }
        changed
    }

    /// Moves lists of H_PUT_TCE_INDIRECT, with the `write` steps that fill them, to the start of the guest page that
    /// they lie in. If the finding is then gone, moves contents of memory (`ram`) that lie at the same offsets of their
    /// pages too. A guest page has the size of a host page, and a list has 4 KiB. Returns whether the best program
    /// changed.
    fn lists(&mut self) -> bool {
        let page = self.best.machine.page_shift.bytes();
        let lists: BTreeSet<u64> =
            named(&self.best, NumberKind::Gpa).iter().map(|gpa| gpa & !(LIST_BYTES - 1)).collect();
        let mut changed = false;
        for list in lists {
            let offset = Span::new(list & (page - 1), LIST_BYTES);
            let mut to_start = |contents: bool| {
                self.attempt(|program| {
                    visit_mut(program, &mut |place, number| match place.field {
                        Field::RamAt if contents => {
                            *number = *number & !(page - 1) | offset.moved(*number & (page - 1), 0);
                        }
                        field if field.kind() == NumberKind::Gpa => {
                            *number = Span::new(list, LIST_BYTES).moved(*number, list & !(page - 1));
                        }
                        _ => {}
                    });
                })
            };
            changed |= to_start(false) || to_start(true);
        }
        changed
    }
}

/// Returns all numbers of this kind that the program names, each once.
fn named(program: &Program, kind: NumberKind) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    visit(program, &mut |place, number| {
        if place.field.kind() == kind {
            found.insert(number);
        }
    });
    found
}

/// Returns the lowest number, from 0, that the program does not use as a number of this kind; never `None`.
fn unused(program: &Program, kind: NumberKind) -> Option<u64> {
    let taken = named(program, kind);
    (0..=taken.len() as u64).find(|number| !taken.contains(number))
}

/// Returns the window that this item of the machine describes or that this step creates; `None` for any other item or
/// step.
fn window(program: &Program, item: Item) -> Option<WindowSpec> {
    match item {
        Item::Window(index) => Some(program.machine.windows[index]),
        Item::Step(index) => match program.steps[index] {
            Step::CreateWindow(window) => Some(window),
            _ => None,
        },
        _ => None,
    }
}

/// Changes the window that this item of the machine describes or that this step creates. If the window is valid before
/// and after the change, later hypercalls on it are changed to name the same entries, as far as the changed window has
/// them, and the step that closes it follows. Does nothing for any other item or step.
pub(super) fn change_window(program: &mut Program, item: Item, change: impl FnOnce(&mut WindowSpec)) {
    let (window, start) = match item {
        Item::Window(index) => (&mut program.machine.windows[index], 0),
        Item::Step(index) => match &mut program.steps[index] {
            Step::CreateWindow(window) => (window, index + 1),
            _ => return,
        },
        _ => return,
    };
    let old = *window;
    change(window);
    let new = *window;
    if is_sound(program, &old) && is_sound(program, &new) {
        follow(program, start, &old, &new);
    }
}

/// Returns whether the description of the window is valid with this program's page size and dialect.
fn is_sound(program: &Program, window: &WindowSpec) -> bool {
    window.validate(program.machine.page_shift, program.dialect).is_ok()
}

/// Returns the pairs of LIOBN and IOBA that the program's hypercalls name, each pair once. Unknown opcodes do not
/// count.
fn called(program: &Program) -> BTreeSet<(u64, u64)> {
    let call = |step: &Step| match step {
        Step::Hypercall { call, .. } if call.name().is_some() => Some((call.args[0], call.args[1])),
        _ => None,
    };
    program.steps.iter().filter_map(call).collect()
}

/// Returns the index of the window's entry that this IOBA names, from 0. The entry may lie past the end of the window,
/// and does so for an IOBA below the window's base.
const fn entry_of(window: &WindowSpec, ioba: u64) -> u64 {
    ioba.wrapping_sub(window.base) >> window.page_shift
}

/// Returns the entries of the window that hypercalls name, as spans of entry indices that are not merged. Each
/// hypercall gives one span, which is cut at the end of the window but has at least one entry.
fn entry_spans(program: &Program, window: &WindowSpec) -> Vec<Span> {
    let span = |step: &Step| match step {
        Step::Hypercall { call, .. } if call.name().is_some() && call.args[0] == window.liobn.0 => {
            let entry = entry_of(window, call.args[1]);
            let count = if matches!(call.opcode, H_STUFF_TCE | H_PUT_TCE_INDIRECT) { call.args[3] } else { 1 };
            Some(Span::new(entry, count.min(window.entries.saturating_sub(entry)).max(1)))
        }
        _ => None,
    };
    program.steps.iter().filter_map(span).collect()
}

/// Returns the first valid window with this LIOBN, of the machine or of a step; `None` if the program has none.
pub(super) fn window_of(program: &Program, liobn: u64) -> Option<WindowSpec> {
    let created = program.steps.iter().filter_map(|step| match step {
        Step::CreateWindow(window) => Some(window),
        _ => None,
    });
    let mut windows = program.machine.windows.iter().chain(created);
    windows.find(|window| window.liobn.0 == liobn && is_sound(program, window)).copied()
}

/// Changes all guest physical addresses and all TCEs with permissions that name gfns of `span`, as if the span started
/// at gfn `to`. Memory slots stay.
fn move_frames(program: &mut Program, span: Span, to: u64) {
    let shift = program.machine.page_shift.bits();
    move_gpas(program, |gpa| span.moved(gpa >> shift, to).wrapping_shl(shift) | gpa & ((1 << shift) - 1));
}

/// Returns whether the `length` pages (at least 1) from pfn `first` on all exist at the start of the program.
fn exist(machine: &Machine, first: u64, length: u64) -> bool {
    let Some(last) = first.checked_add(length - 1) else { return false };
    match &machine.memory {
        MemoryModel::Flatmem { pages, .. } => last < *pages,
        MemoryModel::SparsememVmemmap { .. } => {
            let pages = machine.page_shift.pages_per_section();
            (first / pages..=last / pages).all(|section| machine.page_exists(Pfn(section * pages)))
        }
    }
}

/// Returns the pfn of the first page of memory for flatmem, and of the first page of each section for
/// sparsemem-vmemmap.
fn first_pages(machine: &Machine) -> Vec<u64> {
    match &machine.memory {
        MemoryModel::Flatmem { .. } => vec![0],
        MemoryModel::SparsememVmemmap { sections, .. } => {
            sections.iter().map(|section| section * machine.page_shift.pages_per_section()).collect()
        }
    }
}

/// Returns the host pages that the program names, as merged spans of pfns. Pages that one item or step names together
/// form one span.
fn page_spans(program: &Program) -> Vec<Span> {
    let shift = program.machine.page_shift.bits();
    let mut spans: Vec<Span> = Vec::new();
    visit(program, &mut |place, number| match place.field {
        Field::Pfn => spans.push(Span::new(number, 1)),
        Field::RamAt => spans.push(Span::new(number >> shift, 1)),
        // The visitor shows a pfn before its order and its number of pages.
        Field::Order | Field::HugeOrder => {
            if let Some(last) = spans.last_mut() {
                (last.length, last.align) = (1 << number, 1 << number);
            }
        }
        Field::MapPages => {
            if let Some(last) = spans.last_mut() {
                last.length = last.length.max(number);
            }
        }
        _ => {}
    });
    merged(spans)
}

/// Returns the host virtual memory that slots, mappings and steps name, as spans of hvas in bytes that are not merged.
fn host_spans(program: &Program) -> Vec<Span> {
    let page = program.machine.page_shift.bytes();
    let mut spans: Vec<Span> = Vec::new();
    for mapping in &program.machine.mappings {
        let size = page * mapping.pte.pages();
        spans.push(Span { start: mapping.hva.0, length: size.saturating_mul(mapping.pages), align: size });
    }
    let mut slots = program.machine.slots.clone();
    for step in &program.steps {
        match step {
            Step::Slot(slot) => slots.push(*slot),
            Step::Map { hva, pte } => {
                spans.push(Span { start: hva.0 & !(page - 1), length: page * pte.pages(), align: page * pte.pages() })
            }
            step => step.numbers(&mut |field, number| {
                if field.kind() == NumberKind::Hva {
                    spans.push(Span { start: number & !(page - 1), length: page, align: page });
                }
            }),
        }
    }
    let slots = slots.iter().map(|slot| Span {
        start: slot.hva.0,
        length: slot.pages.max(1).saturating_mul(page),
        align: page,
    });
    spans.extend(slots);
    spans
}

/// Returns the guest memory of all slots, of the machine and of steps, as one span of gfns for each slot.
fn slot_spans(program: &Program) -> Vec<Span> {
    let steps = program.steps.iter().filter_map(|step| match step {
        Step::Slot(slot) => Some(slot),
        _ => None,
    });
    program.machine.slots.iter().chain(steps).map(|slot| Span::new(slot.gfn.0, slot.pages.max(1))).collect()
}

/// Returns the gfns of a slot that the host maps, or that a step or a TCE names, as spans of gfns that are not merged.
/// `slot` is the slot's index among the slots of the machine, from 0.
fn guest_spans(program: &Program, slot: usize) -> Vec<Span> {
    let slot = program.machine.slots[slot];
    let shift = program.machine.page_shift.bits();
    let mut spans = Vec::new();
    for mapping in &program.machine.mappings {
        let first = mapping.hva.0.wrapping_sub(slot.hva.0) >> shift;
        let length = mapping.pages * mapping.pte.pages();
        if first < slot.pages && length <= slot.pages - first {
            spans.push(Span { start: slot.gfn.0 + first, length, align: mapping.pte.pages() });
        }
    }
    visit(program, &mut |place, number| {
        let index = match place.field.kind() {
            NumberKind::Gpa => (number >> shift).wrapping_sub(slot.gfn.0),
            NumberKind::Tce if number & 3 != 0 => (number >> shift).wrapping_sub(slot.gfn.0),
            NumberKind::Hva if matches!(place.item, Item::Step(_)) => number.wrapping_sub(slot.hva.0) >> shift,
            _ => return,
        };
        if index < slot.pages {
            spans.push(Span::new(slot.gfn.0 + index, 1));
        }
    });
    spans
}
