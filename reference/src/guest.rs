//! Guest memory: slots, the host page table, faults, and the contents of memory (semantics 1).

use contract::description::SlotSpec;
use contract::{Gfn, Gpa, Hva, Pfn, Pte, RealAddr};

use crate::Object;
use crate::state::Reference;

impl Reference {
    /// The slot that contains the frame.
    fn slot_of(&self, gfn: Gfn) -> Option<&SlotSpec> {
        let (first, slot) = self.slots.range(..=gfn).next_back()?;
        (gfn.0 - first.0 < slot.pages).then_some(slot)
    }

    /// The hva of a byte of guest memory, `None` if it is not guest memory.
    pub(crate) fn hva_of(&self, gpa: Gpa) -> Option<Hva> {
        let shift = self.page_shift.bits();
        let gfn = Gfn(gpa.0 >> shift);
        let slot = self.slot_of(gfn)?;
        let offset = ((gfn.0 - slot.gfn.0) << shift) + (gpa.0 & (self.page_shift.bytes() - 1));
        slot.hva.checked_add(offset)
    }

    /// Whether all of `[gpa, gpa + bytes)` is guest memory; a range that passes 2^64 is not. `bytes` is at least 1.
    pub(crate) fn is_guest_memory(&self, gpa: Gpa, bytes: u64) -> bool {
        let Some(last) = gpa.checked_add(bytes - 1) else { return false };
        let last = Gfn(last.0 >> self.page_shift.bits());
        let mut gfn = Gfn(gpa.0 >> self.page_shift.bits());
        while gfn <= last {
            let Some(slot) = self.slot_of(gfn) else { return false };
            gfn = Gfn(slot.gfn.0 + slot.pages);
        }
        true
    }

    /// The entry that covers the hva, with its first hva; none for a hole.
    pub(crate) fn entry_at(&self, hva: Hva) -> Option<(Hva, Pte)> {
        let (first, pte) = self.page_table.range(..=hva).next_back()?;
        let bytes = pte.pages() << self.page_shift.bits();
        (hva.0 - first.0 < bytes).then_some((*first, *pte))
    }

    /// The page at `hva` inside an entry that starts at `first`.
    pub(crate) fn page_in(&self, first: Hva, pte: Pte, hva: Hva) -> Option<Pfn> {
        let pages = (hva.0 - first.0) >> self.page_shift.bits();
        pte.pfn().map(|pfn| Pfn(pfn.0 + pages))
    }

    /// An access to an entry that is no hole: an absent page is faulted in (present, writable, clean, +1 reference), and the
    /// entry becomes young; dirty too, if `writes`.
    pub(crate) fn access(&mut self, first: Hva, writes: bool) {
        let Some(pte) = self.page_table.get_mut(&first) else { return };
        let before = *pte;
        match pte {
            Pte::Hole => {}
            Pte::Present { dirty, young, .. } | Pte::Huge { dirty, young, .. } => {
                *young = true;
                *dirty |= writes;
            }
            Pte::Absent { pfn } => {
                *pte = Pte::Present { pfn: *pfn, writable: true, dirty: writes, young: true };
            }
        }
        if *pte != before {
            self.touched.push(Object::Pte(first));
        }
        if let Pte::Absent { pfn } = before {
            self.add_reference(pfn);
        }
    }

    /// The real address of a byte at `hva`, for a present or huge entry.
    pub(crate) fn real_address(&self, hva: Hva) -> Option<RealAddr> {
        let (first, pte) = self.entry_at(hva)?;
        if !pte.holds_reference() {
            return None;
        }
        let pfn = self.page_in(first, pte, hva)?;
        Some(RealAddr((pfn.0 << self.page_shift.bits()) | (hva.0 & (self.page_shift.bytes() - 1))))
    }

    /// Stores a word of memory.
    pub(crate) fn store_word(&mut self, at: RealAddr, word: u64) {
        if word == 0 {
            self.ram.remove(&at);
        } else {
            self.ram.insert(at, word);
        }
        self.touched.push(Object::Ram(at));
    }
}
