//! What real mode owes for a call: it must finish the call, must defer it to virtual mode, or may do either
//! (docs/semantics.md, section 5).

use std::collections::BTreeMap;

use contract::dialect::Deferring;
use contract::{Pfn, Pte, Rule, WindowSpec};

use crate::Owes;
use crate::state::Reference;
use crate::tce::NewEntry;

impl Reference {
    /// Returns "must finish", or "may" in a dialect where real mode may always defer.
    pub(crate) fn must_finish(&self) -> Owes {
        match self.answers().deferring {
            Deferring::AsOwed => Owes::Finish,
            Deferring::Always => Owes::May("the dialect may always defer"),
        }
    }

    /// Returns what the page-table entry of the list's page decides, whatever the rest of the call would owe
    /// (docs/semantics.md, section 5, item 3): must defer if the page is absent or not young, may defer for a huge
    /// entry or a hole. `None`, because it decides nothing, for a single page that is present and young.
    pub(crate) fn owed_for_list(&self, list: Pte) -> Option<Owes> {
        match list {
            Pte::Absent { .. } => Some(Owes::Defer(Rule::DeferPte)),
            Pte::Present { young, .. } | Pte::Huge { young, .. } if !young => Some(Owes::Defer(Rule::DeferPte)),
            Pte::Huge { .. } => Some(Owes::May("the list lies under a huge mapping")),
            Pte::Hole => Some(Owes::May("the list lies in a host hole")),
            Pte::Present { .. } => None,
        }
    }

    /// Returns what real mode owes for a call that will succeed on a pinned window (docs/semantics.md, section 5, item
    /// 5). Must run before anything is written.
    pub(crate) fn owed_for_success(&self, spec: &WindowSpec, new: &[NewEntry]) -> Owes {
        let dropped = self.replaced_pages(spec, new);
        let taken: Vec<Pfn> = new.iter().filter_map(|entry| entry.target).map(|target| target.pfn).collect();
        let mut named = taken.iter().chain(&dropped);

        if new.iter().any(|entry| self.entry_needs_virtual_mode(entry)) {
            return Owes::Defer(Rule::DeferPte);
        }
        if named.clone().any(|pfn| self.lookup(*pfn).0 == Rule::LookupSplit) {
            return Owes::Defer(Rule::DeferLookup);
        }
        if named.any(|pfn| self.is_compound(*pfn)) {
            return Owes::Defer(Rule::DeferCompound);
        }
        if self.drops_a_last_reference(&taken, &dropped) {
            return Owes::Defer(Rule::DeferLastRef);
        }
        self.must_finish()
    }

    /// Returns whether `DEFER.PTE` applies to the new entry: its page is absent, not young, or not dirty while the
    /// device may write. False for an entry that names no page.
    fn entry_needs_virtual_mode(&self, entry: &NewEntry) -> bool {
        let Some(target) = entry.target else { return false };
        match self.pte(target.hva) {
            Pte::Present { dirty, young, .. } | Pte::Huge { dirty, young, .. } => {
                !young || (entry.tce.device_may_write() && !dirty)
            }
            Pte::Absent { .. } | Pte::Hole => true,
        }
    }

    /// Returns whether `DEFER.LAST_REF` applies: after all takes and drops of the call, a dropped page would have count
    /// 0.
    fn drops_a_last_reference(&self, taken: &[Pfn], dropped: &[Pfn]) -> bool {
        let mut left: BTreeMap<Pfn, i64> = BTreeMap::new();
        for pfn in dropped {
            let head = self.head(*pfn);
            *left.entry(head).or_insert_with(|| i64::from(self.page(head).count)) -= 1;
        }
        for pfn in taken {
            if let Some(count) = left.get_mut(&self.head(*pfn)) {
                *count += 1;
            }
        }
        left.values().any(|count| *count == 0)
    }

    /// Returns the pages that the hardware entries to be replaced name, one for each old entry with permissions.
    fn replaced_pages(&self, spec: &WindowSpec, new: &[NewEntry]) -> Vec<Pfn> {
        let Some(window) = self.window(spec.liobn) else { return Vec::new() };
        let old = new.iter().map(|entry| window.hardware(entry.index)).filter(|value| *value != 0);
        old.map(|value| Pfn(value >> self.page_shift.bits())).collect()
    }
}
