//! Memory slots: translation from gfn to hva by binary search, and a check whether every gfn of a range is guest
//! memory, which takes one such search however long the range is.

use contract::addr::{Gfn, Hva};

/// A memory slot. Slots never overlap. [`index`] sorts a slice of slots by `first`; the other functions need it sorted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// First gfn.
    pub first: u64,
    /// Last gfn, inclusive.
    pub last: u64,
    /// Last gfn, inclusive, of the longest run of adjacent slots that begins with this slot. It lets [`cover`] check a
    /// window's page of up to 2^34 bytes without a walk over the slots in it. [`index`] recomputes it after each
    /// change.
    pub run_last: u64,
    /// Host virtual address of the first page, a multiple of the host page size.
    pub hva: u64,
    /// The slot's number.
    pub id: u32,
}

/// Returns the slot that contains `gfn`; `None` if no slot does.
#[must_use]
pub fn find(slots: &[Slot], gfn: Gfn) -> Option<&Slot> {
    let after = slots.partition_point(|slot| slot.first <= gfn.0);
    slots.get(after.checked_sub(1)?).filter(|slot| gfn.0 <= slot.last)
}

/// Returns whether every gfn of `first ..= last` lies in some slot.
#[must_use]
pub fn cover(slots: &[Slot], first: Gfn, last: Gfn) -> bool {
    find(slots, first).is_some_and(|slot| last.0 <= slot.run_last)
}

/// Returns the hva of the first byte of page `gfn`, or `None` if no slot contains `gfn`. `page_shift` is the host's.
#[must_use]
pub fn hva(slots: &[Slot], gfn: Gfn, page_shift: u32) -> Option<Hva> {
    let slot = find(slots, gfn)?;
    Some(Hva(slot.hva.wrapping_add(gfn.0.wrapping_sub(slot.first).wrapping_shl(page_shift))))
}

/// Sorts slots by gfn and recomputes `run_last`. Must run after every change of the slots.
pub fn index(slots: &mut [Slot]) {
    slots.sort_unstable_by_key(|slot| slot.first);
    let mut next: Option<(u64, u64)> = None;
    for slot in slots.iter_mut().rev() {
        slot.run_last = match next {
            Some((first, run_last)) if slot.last.checked_add(1) == Some(first) => run_last,
            _ => slot.last,
        };
        next = Some((slot.first, slot.run_last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> [Slot; 4] {
        let slot = |first, last, hva, id| Slot { first, last, run_last: 0, hva, id };
        let mut slots = [
            slot(u64::MAX - 1, u64::MAX, 0x4000_0000, 3),
            slot(0x10, 0x1f, 0x1000_0000, 0),
            slot(0x30, 0x3f, 0x3000_0000, 2),
            slot(0x20, 0x2f, 0x2000_0000, 1),
        ];
        index(&mut slots);
        slots
    }

    #[test]
    fn finds_what_a_scan_finds() {
        let slots = slots();
        for gfn in (0..0x50).chain(u64::MAX - 4..=u64::MAX) {
            let scan = slots.iter().find(|slot| (slot.first..=slot.last).contains(&gfn));
            assert_eq!(find(&slots, Gfn(gfn)), scan, "{gfn:#x}");
        }
        assert_eq!(find(&[], Gfn(0)), None);
    }

    #[test]
    fn cover_spans_adjacent_slots_only() {
        let slots = slots();
        assert!(cover(&slots, Gfn(0x10), Gfn(0x3f)));
        assert!(cover(&slots, Gfn(0x2f), Gfn(0x30)));
        assert!(!cover(&slots, Gfn(0x10), Gfn(0x40)));
        assert!(!cover(&slots, Gfn(0xf), Gfn(0x10)));
        assert!(cover(&slots, Gfn(u64::MAX), Gfn(u64::MAX)));
        assert!(!cover(&slots, Gfn(0x30), Gfn(u64::MAX)));
    }

    #[test]
    fn translates_into_the_right_slot() {
        let slots = slots();
        assert_eq!(hva(&slots, Gfn(0x21), 16), Some(Hva(0x2001_0000)));
        assert_eq!(hva(&slots, Gfn(0x1f), 12), Some(Hva(0x1000_f000)));
        assert_eq!(hva(&slots, Gfn(0x40), 12), None);
    }
}
