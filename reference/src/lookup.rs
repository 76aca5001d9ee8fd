//! Translation from a pfn to its struct page: the real address of a struct page that lies inside one backed block
//! (docs/semantics.md, section 2).

use contract::{Pfn, RealAddr, Rule};

use crate::state::{Memory, Reference, Sparsemem};
use crate::{Answer, Outcome};

impl Reference {
    /// Runs the probe `pfn_to_page`.
    pub(crate) fn probe_lookup(&self, pfn: Pfn) -> Outcome {
        let (rule, address) = self.lookup(pfn);
        Outcome::decided(Answer::Lookup(address), rule)
    }

    /// Returns the rule that decides the lookup of `pfn`, and the real address of the struct page: `Some` for
    /// `LOOKUP.HIT` only.
    pub(crate) fn lookup(&self, pfn: Pfn) -> (Rule, Option<RealAddr>) {
        if pfn.0 >= self.page_shift.pfn_limit() {
            return (Rule::LookupBeyond, None);
        }
        match &self.memory {
            Memory::Flatmem { array, pages } => flatmem(*array, *pages, pfn, self.struct_page),
            Memory::Sparsemem(sparse) => sparsemem(sparse, pfn, self.struct_page),
        }
    }
}

/// Looks a pfn up in the flatmem array at real address `array`, which counts as one block: `LOOKUP.HIT` below `pages`,
/// else `LOOKUP.BEYOND`.
fn flatmem(array: u64, pages: u64, pfn: Pfn, struct_page: u64) -> (Rule, Option<RealAddr>) {
    if pfn.0 >= pages {
        return (Rule::LookupBeyond, None);
    }
    (Rule::LookupHit, Some(RealAddr(array + pfn.0 * struct_page)))
}

/// Looks a pfn up in the vmemmap blocks. The caller has checked that `pfn` is below 2^46 >> PAGE_SHIFT, so the offset
/// of its struct page from the base fits 64 bits. `struct_page` is the size of a struct page in bytes.
fn sparsemem(sparse: &Sparsemem, pfn: Pfn, struct_page: u64) -> (Rule, Option<RealAddr>) {
    let offset = pfn.0 * struct_page;
    if sparse.base.checked_add(offset).is_none() {
        return (Rule::LookupBeyond, None);
    }
    let block = offset >> sparse.block_shift;
    let last = (offset + struct_page - 1) >> sparse.block_shift;
    if block != last {
        return (Rule::LookupSplit, None);
    }
    match sparse.blocks.get(&block) {
        Some(place) => {
            let inside = offset - (block << sparse.block_shift);
            (Rule::LookupHit, Some(RealAddr(place + inside)))
        }
        None if sparse.ever.contains(&block) => (Rule::LookupRemoved, None),
        None => (Rule::LookupHole, None),
    }
}
