//! Host steps on pages and page-table entries (docs/semantics.md, section 6). A step whose precondition fails is
//! skipped with a reason.

use contract::description::{MAX_ORDER, MAX_OWN};
use contract::{Hva, Pfn, Pte, RealAddr};

use crate::state::{Compound, Page, Reference, with_pfn};
use crate::{Object, Skip, need};

impl Reference {
    /// Step `take`: the host takes a reference of its own on the page, on its head. Skipped unless the page exists, the
    /// head's count is at least 1, and the head's own is below 2^30.
    pub(crate) fn host_take(&mut self, pfn: Pfn) -> Result<(), Skip> {
        need(self.exists(pfn), "the page does not exist")?;
        let head = self.head(pfn);
        need(self.page(head).count >= 1, "the count is below 1")?;
        need(self.page(head).own < MAX_OWN, "own is at its limit")?;
        self.page_mut(head).own += 1;
        self.add_reference(head);
        Ok(())
    }

    /// Step `drop`: the host gives back a reference of its own on the page, on its head; it may be the last reference.
    /// Skipped unless the page exists and the head's own is at least 1.
    pub(crate) fn host_drop(&mut self, pfn: Pfn) -> Result<(), Skip> {
        need(self.exists(pfn), "the page does not exist")?;
        let head = self.head(pfn);
        need(self.page(head).own >= 1, "own is below 1")?;
        self.page_mut(head).own -= 1;
        self.give_reference(head);
        Ok(())
    }

    /// Step `map`: adds the page-table entry `pte` at `hva`, where a hole was. An entry that is not absent takes a
    /// reference on its page. Skipped if a precondition of the step fails, for example if the page does not exist.
    pub(crate) fn map(&mut self, hva: Hva, pte: Pte) -> Result<(), Skip> {
        let pfn = pte.pfn().ok_or(Skip("a hole cannot be mapped"))?;
        need(self.exists(pfn), "the page does not exist")?;
        if let Pte::Huge { order, .. } = pte {
            need(self.page(pfn).compound == Compound::Head { order }, "the page is not a head of that order")?;
        }
        let bytes = pte.pages() << self.page_shift.bits();
        need(hva.is_aligned(bytes), "the hva is not aligned")?;
        let last = hva.checked_add(bytes - 1).ok_or(Skip("the hva range ends past 2^64"))?;
        let covered = self.entry_at(hva).is_some() || self.page_table.range(hva..=last).next().is_some();
        need(!covered, "an hva has an entry already")?;
        let own = self.page(self.head(pfn)).own;
        need((0..=MAX_OWN).contains(&own), "own is outside 0 ..= 2^30")?;

        self.page_table.insert(hva, pte);
        self.touched.push(Object::Pte(hva));
        if pte.holds_reference() {
            self.add_reference(pfn);
        }
        Ok(())
    }

    /// Step `unmap`: removes the page-table entry that covers `hva`, a huge one as a whole. An entry that is not absent
    /// gives its reference back. Skipped if `hva` is a hole.
    pub(crate) fn unmap(&mut self, hva: Hva) -> Result<(), Skip> {
        let (first, pte) = self.entry_at(hva).ok_or(Skip("the hva is a hole"))?;
        self.page_table.remove(&first);
        self.touched.push(Object::Pte(first));
        if let (true, Some(pfn)) = (pte.holds_reference(), pte.pfn()) {
            self.give_reference(pfn);
        }
        Ok(())
    }

    /// Step `age`: clears young.
    pub(crate) fn age(&mut self, hva: Hva) -> Result<(), Skip> {
        self.change_mapped(hva, |_, _, young| *young = false).map(|_| ())
    }

    /// Step `clean`: clears dirty in the present or huge entry that covers `hva`, and the flag DIRTY on the head of its
    /// page. Skipped for a hole or an absent entry.
    pub(crate) fn clean(&mut self, hva: Hva) -> Result<(), Skip> {
        let pfn = self.change_mapped(hva, |_, dirty, _| *dirty = false)?;
        let head = self.head(pfn);
        self.page_mut(head).dirty = false;
        self.touched.push(Object::Page(head));
        Ok(())
    }

    /// Step `write-protect`: clears writable.
    pub(crate) fn write_protect(&mut self, hva: Hva) -> Result<(), Skip> {
        self.change_mapped(hva, |writable, _, _| *writable = false).map(|_| ())
    }

    /// Lets `change` set the bits `writable`, `dirty` and `young`, in this order, of the present or huge entry that
    /// covers `hva`. Returns the pfn that the entry names. Skips the step for a hole or an absent entry.
    fn change_mapped(&mut self, hva: Hva, change: impl Fn(&mut bool, &mut bool, &mut bool)) -> Result<Pfn, Skip> {
        let (first, _) = self.entry_at(hva).ok_or(Skip("the hva is a hole"))?;
        match self.page_table.get_mut(&first) {
            Some(Pte::Present { pfn, writable, dirty, young } | Pte::Huge { pfn, writable, dirty, young, .. }) => {
                change(writable, dirty, young);
                self.touched.push(Object::Pte(first));
                Ok(*pfn)
            }
            _ => Err(Skip("the page is absent")),
        }
    }

    /// Step `migrate`: copies the contents of the page at `hva` to page `new`. The page-table entry then names `new`,
    /// keeps its bits, and moves its reference to `new`; TCEs keep naming the old page. Skipped unless the entry is
    /// present, neither page is compound, and nothing names `new`, among other preconditions.
    pub(crate) fn migrate(&mut self, hva: Hva, new: Pfn) -> Result<(), Skip> {
        let (first, pte) = self.entry_at(hva).ok_or(Skip("the hva is a hole"))?;
        let Pte::Present { pfn: old, .. } = pte else { return Err(Skip("the entry is absent or huge")) };
        need(!self.is_compound(old), "the page is compound")?;
        need(new != old, "the new page is the old one")?;
        need(self.exists(new), "the new page does not exist")?;
        need(!self.is_compound(new), "the new page is compound")?;
        need((0..=MAX_OWN).contains(&self.page(new).own), "own of the new page is outside 0 ..= 2^30")?;
        need(!self.is_named(new), "the new page is named")?;

        self.copy_contents(old, new);
        self.add_reference(new);
        self.page_table.insert(first, with_pfn(pte, |_| new));
        self.touched.push(Object::Pte(first));
        self.give_reference(old);
        Ok(())
    }

    fn copy_contents(&mut self, from: Pfn, to: Pfn) {
        let bytes = self.page_shift.bytes();
        let start = |pfn: Pfn| pfn.0 << self.page_shift.bits();
        let (from, to) = (start(from), start(to));
        let words: Vec<(u64, u64)> = self.words_in(from, bytes).map(|(at, word)| (at - from, word)).collect();
        self.clear_contents(to, bytes);
        for (offset, word) in words {
            self.store_word(RealAddr(to + offset), word);
        }
    }

    /// Returns the words in `[at, at + bytes)` that are not 0, as (real address, value).
    fn words_in(&self, at: u64, bytes: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ram.range(RealAddr(at)..RealAddr(at + bytes)).map(|(at, word)| (at.0, *word))
    }

    /// Zeroes the memory `[at, at + bytes)`.
    pub(crate) fn clear_contents(&mut self, at: u64, bytes: u64) {
        let words: Vec<u64> = self.words_in(at, bytes).map(|(at, _)| at).collect();
        for at in words {
            self.store_word(RealAddr(at), 0);
        }
    }

    /// Step `make-compound`: joins 2^order pages from `head` on into one compound page. The head gets the sum of their
    /// counts, and DIRTY if any of them had it; the tails keep neither. Skipped if the host holds an own reference on
    /// one of the pages, among other preconditions.
    pub(crate) fn make_compound(&mut self, head: Pfn, order: u32) -> Result<(), Skip> {
        need((1..=MAX_ORDER).contains(&order), "the order is not in 1..=9")?;
        need(head.is_aligned(1 << order), "the pfn is not aligned")?;
        let pfns = || (0..1_u64 << order).map(|i| Pfn(head.0 + i));
        need(pfns().all(|pfn| self.exists(pfn)), "a page does not exist")?;
        need(pfns().all(|pfn| !self.is_compound(pfn)), "a page is compound already")?;
        need(pfns().all(|pfn| self.page(pfn).own == 0), "own of a page is not 0")?;
        need(pfns().all(|pfn| self.page(pfn).count >= 0), "a count is negative")?;
        let inside = |pfn: Pfn| pfn.0 >= head.0 && pfn.0 - head.0 < 1 << order;
        need(!self.hardware_pfns().any(inside), "a TCE names a page")?;

        let count = pfns().fold(0_i32, |sum, pfn| sum.wrapping_add(self.page(pfn).count));
        let dirty = pfns().any(|pfn| self.page(pfn).dirty);
        for pfn in pfns() {
            *self.page_mut(pfn) = Page::default();
            self.touched.push(Object::Page(pfn));
        }
        self.mark_compound(head, order);
        let page = self.page_mut(head);
        page.count = count;
        page.dirty = dirty;
        Ok(())
    }

    /// Step `split-compound`: splits the compound page with head `head` into single pages. Each page gets the
    /// references of its own page-table entries and the head's DIRTY. Skipped if the head has references of another
    /// kind: own ones, or those of hardware entries or of a huge entry.
    pub(crate) fn split_compound(&mut self, head: Pfn) -> Result<(), Skip> {
        let Compound::Head { order } = self.page(head).compound else {
            return Err(Skip("the page is not a head"));
        };
        need(self.page(head).own == 0, "own is not 0")?;
        let inside = |pfn: Pfn| pfn.0 >= head.0 && pfn.0 - head.0 < 1 << order;
        need(!self.hardware_pfns().any(inside), "a TCE names a page of it")?;
        let huge = |pte: &Pte| matches!(pte, Pte::Huge { pfn, .. } if *pfn == head);
        need(!self.page_table.values().any(huge), "a huge entry maps it")?;

        let dirty = self.page(head).dirty;
        for pfn in (0..1_u64 << order).map(|i| Pfn(head.0 + i)) {
            *self.page_mut(pfn) = Page { dirty, ..Page::default() };
            self.touched.push(Object::Page(pfn));
        }
        let mapped: Vec<Pfn> =
            self.page_table.values().filter(|pte| pte.holds_reference()).filter_map(|pte| pte.pfn()).collect();
        for pfn in mapped.into_iter().filter(|pfn| inside(*pfn)) {
            self.add_reference(pfn);
        }
        Ok(())
    }
}
