//! Guest memory: slots, the host page table, page faults, and the contents of memory (docs/semantics.md, section 1).

use contract::description::SlotSpec;
use contract::{Gfn, Gpa, Hva, Pfn, Pte, RealAddr};

use crate::Object;
use crate::state::Reference;

impl Reference {
    /// Returns the slot that contains `gfn`.
    fn slot_of(&self, gfn: Gfn) -> Option<&SlotSpec> {
        let (first, slot) = self.slots.range(..=gfn).next_back()?;
        (gfn.0 - first.0 < slot.pages).then_some(slot)
    }

    /// Returns the hva of a guest physical address, `None` outside guest memory.
    pub(crate) fn hva_of(&self, gpa: Gpa) -> Option<Hva> {
        let shift = self.page_shift.bits();
        let gfn = Gfn(gpa.0 >> shift);
        let slot = self.slot_of(gfn)?;
        let offset = ((gfn.0 - slot.gfn.0) << shift) + (gpa.0 & (self.page_shift.bytes() - 1));
        slot.hva.checked_add(offset)
    }

    /// Returns whether all of `[gpa, gpa + bytes)` is guest memory. A range that ends past 2^64 is not. `bytes` must be
    /// at least 1.
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

    /// Returns the page-table entry that covers `hva`, present, huge or absent, as (first hva that the entry covers,
    /// entry). `None` for a hole.
    pub(crate) fn entry_at(&self, hva: Hva) -> Option<(Hva, Pte)> {
        let (first, pte) = self.page_table.range(..=hva).next_back()?;
        let bytes = pte.pages() << self.page_shift.bits();
        (hva.0 - first.0 < bytes).then_some((*first, *pte))
    }

    /// Returns the pfn of the page at `hva`, which lies inside the page-table entry `pte` that starts at `first`: for a
    /// huge entry the page itself, not the head. `None` for a hole.
    pub(crate) fn page_in(&self, first: Hva, pte: Pte, hva: Hva) -> Option<Pfn> {
        let pages = (hva.0 - first.0) >> self.page_shift.bits();
        pte.pfn().map(|pfn| Pfn(pfn.0 + pages))
    }

    /// Accesses a page-table entry for a hypercall that reads a list or maps a TCE there; `first` is the hva of the
    /// first byte that the entry covers. The entry becomes young, and dirty if `writes`. An absent entry also becomes
    /// present and writable and takes a reference on its page. Nothing happens for a hole.
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

    /// Returns the real address of the byte at `hva`; `None` unless a present or huge page-table entry covers `hva`.
    pub(crate) fn real_address(&self, hva: Hva) -> Option<RealAddr> {
        let (first, pte) = self.entry_at(hva)?;
        if !pte.holds_reference() {
            return None;
        }
        let pfn = self.page_in(first, pte, hva)?;
        Some(RealAddr((pfn.0 << self.page_shift.bits()) | (hva.0 & (self.page_shift.bytes() - 1))))
    }

    /// Stores `word` at real address `at`, a multiple of 8.
    pub(crate) fn store_word(&mut self, at: RealAddr, word: u64) {
        if word == 0 {
            self.ram.remove(&at);
        } else {
            self.ram.insert(at, word);
        }
        self.touched.push(Object::Ram(at));
    }
}
