//! References on pages: who holds them, and the conditional ones that probes take and give back (docs/semantics.md,
//! sections 1 and 3).

use contract::{Pfn, ProbeAnswer, Rule};

use crate::state::{Compound, Reference, Window};
use crate::{Answer, Object, Outcome};

impl Reference {
    /// Returns the page that holds the references of `pfn`: the head for a page of a compound page, else `pfn` itself.
    #[must_use]
    pub fn head(&self, pfn: Pfn) -> Pfn {
        match self.page(pfn).compound {
            Compound::Tail { head } => head,
            Compound::Head { .. } | Compound::No => pfn,
        }
    }

    /// Returns whether the page is a head or a tail.
    pub(crate) fn is_compound(&self, pfn: Pfn) -> bool {
        self.page(pfn).compound != Compound::No
    }

    /// Adds a reference to the page, on its head.
    pub(crate) fn add_reference(&mut self, pfn: Pfn) {
        let head = self.head(pfn);
        let page = self.page_mut(head);
        page.count = page.count.wrapping_add(1);
        self.touched.push(Object::Page(head));
    }

    /// Removes a reference from the page, on its head, possibly the last.
    pub(crate) fn give_reference(&mut self, pfn: Pfn) {
        let head = self.head(pfn);
        let page = self.page_mut(head);
        page.count = page.count.wrapping_sub(1);
        self.touched.push(Object::Page(head));
    }

    /// Returns the number of references that present and huge page-table entries hold on page `head`, which includes
    /// those on all its tails. 0 if `head` is itself a tail.
    #[must_use]
    pub fn mappings(&self, head: Pfn) -> i64 {
        let holders = self.page_table.values().filter(|pte| pte.holds_reference()).filter_map(|pte| pte.pfn());
        holders.filter(|pfn| self.head(*pfn) == head).map(|_| 1).sum()
    }

    /// Returns the number of references that hardware entries hold on page `head`, which includes those on all its
    /// tails. 0 if `head` is itself a tail.
    #[must_use]
    pub fn hardware_references(&self, head: Pfn) -> i64 {
        self.hardware_pfns().filter(|pfn| self.head(*pfn) == head).map(|_| 1).sum()
    }

    /// Returns the pages that hardware entries name, each page once per entry that names it.
    pub(crate) fn hardware_pfns(&self) -> impl Iterator<Item = Pfn> + '_ {
        let entries = self.windows.values().flat_map(Window::hardware_entries);
        entries.map(|(_, value)| Pfn(value >> self.page_shift.bits()))
    }

    /// Returns whether a page-table entry (absent ones too) or a hardware entry names the page. A compound page is
    /// named if any of its pages is.
    pub(crate) fn is_named(&self, pfn: Pfn) -> bool {
        let head = self.head(pfn);
        self.page_table.values().filter_map(|pte| pte.pfn()).any(|named| self.head(named) == head)
            || self.hardware_pfns().any(|named| self.head(named) == head)
    }

    /// Runs the probe `get_page_unless_zero`: `count != 0 ? count += 1, true : false`; success also adds 1 to own.
    /// Answers `NoPage` if the lookup finds no struct page, `Compound` for a head or tail. The step is skipped if the
    /// page is named and the count on its head is `i32::MAX`.
    pub(crate) fn get_page_unless_zero(&mut self, pfn: Pfn) -> Outcome {
        if self.page(self.head(pfn)).count == i32::MAX && self.is_named(pfn) {
            return Outcome::skipped("the page is named and its count is i32::MAX");
        }
        if let Some(outcome) = self.no_probe(pfn) {
            return outcome;
        }
        if self.page(pfn).count == 0 {
            return probe(ProbeAnswer::Done(false), Rule::GetZero);
        }
        let page = self.page_mut(pfn);
        page.count = page.count.wrapping_add(1);
        page.own = page.own.wrapping_add(1);
        self.touched.push(Object::Page(pfn));
        probe(ProbeAnswer::Done(true), Rule::GetOk)
    }

    /// Runs the probe `put_page_unless_one`: `count != 1 ? count -= 1, true : false`; success also takes 1 from own.
    /// Answers `NoPage` if the lookup finds no struct page, `Compound` for a head or tail. The step is skipped if the
    /// page is named and own on its head is below 1.
    pub(crate) fn put_page_unless_one(&mut self, pfn: Pfn) -> Outcome {
        if self.page(self.head(pfn)).own < 1 && self.is_named(pfn) {
            return Outcome::skipped("the page is named and the host holds no reference of its own");
        }
        if let Some(outcome) = self.no_probe(pfn) {
            return outcome;
        }
        if self.page(pfn).count == 1 {
            return probe(ProbeAnswer::Done(false), Rule::PutLast);
        }
        let page = self.page_mut(pfn);
        page.count = page.count.wrapping_sub(1);
        page.own = page.own.wrapping_sub(1);
        self.touched.push(Object::Page(pfn));
        probe(ProbeAnswer::Done(true), Rule::PutOk)
    }

    /// Returns the outcome of a probe that `PAGE.NONE` or `PAGE.COMPOUND` decides, `None` if neither does.
    fn no_probe(&self, pfn: Pfn) -> Option<Outcome> {
        if self.lookup(pfn).1.is_none() {
            return Some(probe(ProbeAnswer::NoPage, Rule::PageNone));
        }
        self.is_compound(pfn).then(|| probe(ProbeAnswer::Compound, Rule::PageCompound))
    }
}

fn probe(answer: ProbeAnswer, rule: Rule) -> Outcome {
    Outcome::decided(Answer::Probe(answer), rule)
}
