//! Operators that change the guest as the machine starts it: slots, mappings, own references, compound pages, contents
//! of memory.

use contract::description::{CompoundSpec, Item, Mapping, PageSpec, RamSpec, SlotSpec, WordRun};
use contract::visit::{Field, NumberKind, Place, visit, visit_mut};
use contract::{Gfn, Hva, Pfn, Program, Pte, RealAddr};

use super::sights::Sights;
use super::values;
use crate::focus::Focus;
use crate::generate::dice::Dice;
use crate::links::move_gpas;

/// Number of mappings, and of pages with own references, from which on none is added, and largest number of pages of a
/// mapping. For slots, compound pages and contents of memory the limit is a quarter of this.
const MAX_ITEMS: usize = 64;

/// Adds (if there are fewer than 16), removes (if there are at least two), resizes or moves a memory slot of the
/// machine, or points it at the host memory of a slot. Guest addresses in the program move along with their slot.
/// Always returns true; the drawn value may equal the old one.
pub(super) fn slots(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let shift = program.machine.page_shift.bits();
    let slots = &mut program.machine.slots;
    let end = slots.iter().map(|slot| slot.gfn.0.saturating_add(slot.pages)).max().unwrap_or(0);
    let frames = 1u64 << (64 - shift);
    if slots.is_empty() || (slots.len() < MAX_ITEMS / 4 && dice.percent(25)) {
        let id = (0..512).find(|id| slots.iter().all(|slot| slot.id != *id)).unwrap_or(0);
        let pages = dice.pick(&[8, 1, 16, 0x1000]);
        let other = dice.pick_from(slots).filter(|_| dice.percent(40));
        let hva = other.map_or(Hva(0x7f00_0000_0000 + (u64::from(id) << 40)), |slot| slot.hva);
        let gfn = dice.pick(&[end, end, end.saturating_add(1), frames - pages]).min(frames - pages);
        slots.push(SlotSpec { id, gfn: Gfn(gfn), pages, hva });
        return true;
    }
    let at = dice.below(slots.len() as u64) as usize;
    let other = dice.pick(slots);
    if slots.len() > 1 && dice.percent(12) {
        slots.remove(at);
        return true;
    }
    let slot = &mut slots[at];
    match dice.weighted(&[45, 15, 20]) {
        0 => slot.pages = dice.pick(&[slot.pages + 1, slot.pages - 1, slot.pages / 2, 1, 8, 16, 0x10_0000]).max(1),
        1 => slot.hva = other.hva,
        _ => {
            // Gpas inside the slot move along, because calls refer to them.
            let new = dice.pick(&[0, end, slot.gfn.0.wrapping_add(1), slot.gfn.0.saturating_sub(1)]);
            let (first, pages) = (slot.gfn.0, slot.pages);
            slot.gfn.0 = new.min(frames - pages.min(frames));
            let by = slot.gfn.0.wrapping_sub(first) << shift;
            let inside = |gpa: u64| (gpa >> shift).wrapping_sub(first) < pages;
            move_gpas(program, |gpa| if inside(gpa) { gpa.wrapping_add(by) } else { gpa });
        }
    }
    true
}

/// Adds, removes or changes a mapping (page-table entries) of the machine, of 1 to [`MAX_ITEMS`] pages. Returns false
/// if a mapping is to be added and no free hva was found, or if another page is to be mapped and the drawn mapping is
/// not one present or absent page.
pub(super) fn mappings(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let sights = Sights::new(program, 0);
    let pfn = sights.odd_pfn(dice);
    let page = sights.page();
    let edge = sights.slot_edges(dice).and_then(|[first, last, _]| sights.hva_of(dice.pick(&[first, last, last])));
    let known = |hva: Hva| {
        program.machine.mappings.iter().any(|m| hva.0.wrapping_sub(m.hva.0) / page < m.pages * m.pte.pages())
    };
    let free = edge.filter(|&hva| !known(hva)).or_else(|| {
        let behind = sights.mapped_hva(dice).map(|hva| Hva(hva.0.wrapping_add(page)))?;
        (!known(behind)).then_some(behind)
    });
    let machine = &mut program.machine;
    let compounds = &machine.compounds;
    let mappings = &mut machine.mappings;
    if mappings.is_empty() || (mappings.len() < MAX_ITEMS && dice.percent(25)) {
        let Some(hva) = free else { return false };
        let perfect = dice.percent(70);
        let pte = match dice.pick_from(compounds).filter(|group| hva.is_aligned(page << group.order)) {
            Some(group) if dice.percent(50) => {
                Pte::Huge { pfn: group.pfn, order: group.order, writable: true, dirty: perfect, young: perfect }
            }
            _ if dice.percent(25) => Pte::Absent { pfn },
            _ => Pte::Present { pfn, writable: perfect || dice.percent(50), dirty: perfect, young: true },
        };
        mappings.push(Mapping { hva, pages: 1, pte });
        return true;
    }
    let at = dice.below(mappings.len() as u64) as usize;
    let Mapping { hva, pages, pte } = mappings[at];
    match dice.weighted(&[12, 35, 40, 13]) {
        0 => {
            mappings.remove(at);
            return true;
        }
        1 if pages == 1 || pte.pages() > 1 => values::change_pte(&mut mappings[at].pte, compounds, dice),
        1 => {
            // One page of a longer run gets an entry that differs from the rest.
            let index = dice.below(pages);
            let part = |from: u64, count: u64| Mapping {
                hva: Hva(hva.0 + from * page),
                pages: count,
                pte: shifted(pte, from),
            };
            let mut one = part(index, 1);
            match &mut one.pte {
                Pte::Present { pfn: named, .. } if dice.percent(40) => *named = pfn,
                pte => values::change_pte(pte, compounds, dice),
            }
            let parts = [part(0, index), one, part(index + 1, pages - index - 1)];
            mappings.splice(at..=at, parts.into_iter().filter(|mapping| mapping.pages > 0));
        }
        2 => match &mut mappings[at].pte {
            Pte::Present { pfn: named, .. } | Pte::Absent { pfn: named } if pages == 1 => *named = pfn,
            _ => return false,
        },
        _ => mappings[at].pages = dice.pick(&[1, pages + 1, pages.saturating_sub(1).max(1)]).min(MAX_ITEMS as u64),
    }
    let mapping = &mut mappings[at];
    if let Pte::Huge { order, .. } = mapping.pte {
        mapping.pages = 1;
        mapping.hva.0 &= !((page << order) - 1);
    }
    true
}

/// Returns the page-table entry that a mapping which begins with `pte` has for the page `by` pages further on. A huge
/// entry or a hole stays as it is.
const fn shifted(pte: Pte, by: u64) -> Pte {
    match pte {
        Pte::Present { pfn, writable, dirty, young } => Pte::Present { pfn: Pfn(pfn.0 + by), writable, dirty, young },
        Pte::Absent { pfn } => Pte::Absent { pfn: Pfn(pfn.0 + by) },
        other => other,
    }
}

/// Sets the own references of a page at the start: 0 to 2^30 for a page that a mapping names, else an edge of the i32
/// range or a number near 0. Sets the page's DIRTY flag in 20 of 100 cases, else clears it. Returns false if the
/// machine has no line for the page and has [`MAX_ITEMS`] lines already.
pub(super) fn own(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let pfn = Sights::new(program, program.steps.len()).present_pfn(dice);
    let machine = &mut program.machine;
    let head = machine.compounds.iter().find(|group| pfn.0.wrapping_sub(group.pfn.0) >> group.order == 0);
    let pfn = head.map_or(pfn, |group| group.pfn);
    let named = machine.mappings.iter().any(|mapping| {
        mapping.pte.pfn().is_some_and(|first| {
            let end = first.0 + mapping.pages * mapping.pte.pages();
            let last = head.map_or(pfn.0, |group| group.pfn.0 + (1 << group.order) - 1);
            first.0 <= last && pfn.0 < end
        })
    });
    // No mapping holds the page, so its count may be any i32.
    let own = if named {
        dice.pick(&[0, 0, 1, 1, 2, (1 << 30) - 1, 1 << 30])
    } else {
        dice.pick(&[0, 1, 1, 2, -1, i32::MAX, i32::MAX - 1, i32::MIN, i32::MIN + 1])
    };
    let dirty = dice.percent(20);
    let pages = &mut machine.pages;
    match pages.iter().position(|page| page.pfn == pfn) {
        Some(at) if own == 0 && !dirty => _ = pages.remove(at),
        Some(at) => pages[at] = PageSpec { pfn, own, dirty },
        None if pages.len() < MAX_ITEMS => pages.push(PageSpec { pfn, own, dirty }),
        None => return false,
    }
    true
}

/// Removes a compound page of the machine, adds one of order 1, 2, 3, 4 or 9, or does first the one, then the other.
/// Returns false if no compound page was removed or added: there are 16 already, or the drawn pages do not exist or
/// overlap a compound page.
pub(super) fn compounds(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let pfn = Sights::new(program, 0).present_pfn(dice);
    let machine = &mut program.machine;
    let order = dice.pick(&[1, 1, 2, 3, 4, 9]);
    let mut removed = false;
    if !machine.compounds.is_empty() && dice.percent(50) {
        let at = dice.below(machine.compounds.len() as u64) as usize;
        let gone = machine.compounds.remove(at);
        removed = true;
        let head = |mapping: &Mapping| mapping.pte.pfn() == Some(gone.pfn);
        for mapping in machine.mappings.iter_mut().filter(|mapping| head(mapping)) {
            if let Pte::Huge { pfn, writable, dirty, young, .. } = mapping.pte {
                mapping.pte = Pte::Present { pfn, writable, dirty, young };
            }
        }
        if dice.percent(50) {
            return true;
        }
    }
    if machine.compounds.len() >= MAX_ITEMS / 4 {
        return removed;
    }
    let new = CompoundSpec { pfn: Pfn(pfn.0 >> order << order), order };
    let pages = 1u64 << order;
    let free = machine
        .compounds
        .iter()
        .all(|other| new.pfn.0 + pages <= other.pfn.0 || other.pfn.0 + (1 << other.order) <= new.pfn.0);
    if !free || !machine.page_exists(Pfn(new.pfn.0 + pages - 1)) {
        return removed;
    }
    machine.compounds.push(new);
    // From now on the head has the references of the tails.
    let tail = |pfn: Pfn| pfn != new.pfn && pfn.0.wrapping_sub(new.pfn.0) < pages;
    machine.pages.retain(|page| !tail(page.pfn));
    if let Some(head) = machine.pages.iter_mut().find(|page| page.pfn == new.pfn) {
        head.own = head.own.clamp(0, 1 << 30);
    }
    true
}

/// Adds, changes or removes contents of memory at the start (`ram`): a list of 1, 4, 16 or 512 TCEs that no step
/// writes. Returns false if the focus is neither `Indirect` nor `Program`, if the machine has no mapping, or if
/// contents are to be added and there are 16 already.
pub(super) fn ram(program: &mut Program, focus: Focus, dice: &mut Dice<'_>) -> bool {
    if !matches!(focus, Focus::Indirect | Focus::Program) {
        return false;
    }
    let sights = Sights::new(program, 0);
    let shift = program.machine.page_shift.bits();
    let Some(mapping) = dice.pick_from(&program.machine.mappings) else { return false };
    let Some(pfn) = mapping.pte.pfn() else { return false };
    let pfn = pfn.0 + dice.below(mapping.pages.min(16));
    let window = sights.window(dice).map_or(12, |window| window.page_shift);
    let value = sights.tce(window, dice);
    let ram = &mut program.machine.ram;
    if !ram.is_empty() && dice.percent(50) {
        let at = dice.below(ram.len() as u64) as usize;
        if dice.percent(20) {
            ram.remove(at);
            return true;
        }
        let Some(run) = ram[at].words.last_mut() else { return false };
        run.value = value;
        return true;
    }
    if ram.len() >= MAX_ITEMS / 4 {
        return false;
    }
    let count = dice.pick(&[1, 4, 16, 512]);
    let within = dice.below((1 << shift) / 4096) * 4096;
    let stride = if dice.percent(30) { 1 << shift } else { 0 };
    ram.push(RamSpec { at: RealAddr((pfn << shift) + within), words: vec![WordRun { value, stride, count }] });
    true
}

/// Changes one number of an item of the machine, or flatmem's number of pages; other counts stay in 1 to 2^20. Returns
/// false if no number is [`tweakable`](values::tweakable), if the drawn one is a LIOBN, a base or a real address, which
/// have operators of their own, or if the new number equals the old one.
pub(super) fn tweak(program: &mut Program, _: Focus, dice: &mut Dice<'_>) -> bool {
    let mut found: Vec<(Place, u64)> = Vec::new();
    visit(program, &mut |place, number| {
        if !matches!(place.item, Item::Step(_)) && values::tweakable(place) {
            found.push((place, number));
        }
    });
    let Some((place, old)) = dice.pick_from(&found) else { return false };
    let kind = place.field.kind();
    // LIOBNs, bases and places of tables have operators that also adapt the calls on the window.
    if matches!(kind, NumberKind::Liobn | NumberKind::Ioba | NumberKind::Real) {
        return false;
    }
    let mut new = values::number(program, kind, old, dice);
    if kind == NumberKind::Count && place.field != Field::MemoryPages {
        new = new.clamp(1, 1 << 20);
    }
    // Only a list of words has the same field several times; then the first that has the old value changes.
    let mut left = true;
    visit_mut(program, &mut |other, number| {
        if left && other == place && *number == old {
            *number = new;
            left = false;
        }
    });
    new != old
}
