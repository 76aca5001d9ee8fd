//! Probes of the conditional references (docs/semantics.md, section 3).

use contract::ProbeAnswer;
use contract::addr::Pfn;
use machine::memory::Cpu;

use crate::pages::PageIndex;
use crate::struct_page::{Change, StructPage};

/// Runs the probe `get_page_unless_zero`: takes a reference unless the count is 0. Answers `NoPage` if the lookup gives
/// no struct page, and `Compound` for a head or tail, without a change.
pub fn get_page_unless_zero(pages: &PageIndex, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
    probe(pages, cpu, pfn, |page| page.get_unless_zero(cpu, u32::MAX))
}

/// Runs the probe `put_page_unless_one`: gives a reference back unless the count is 1. Answers `NoPage` if the lookup
/// gives no struct page, and `Compound` for a head or tail, without a change.
pub fn put_page_unless_one(pages: &PageIndex, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
    probe(pages, cpu, pfn, |page| page.put_unless_one(cpu, u32::MAX))
}

/// Looks the page up; answers `NoPage` if it is not found, `Compound` for a head or tail. Else repeats `step` on the
/// struct page until `step` is not `Contended`, because a probe cannot defer. The loop is lock-free: an attempt fails
/// only if another CPU succeeded.
fn probe(pages: &PageIndex, cpu: &Cpu<'_>, pfn: Pfn, step: impl Fn(StructPage) -> Change) -> ProbeAnswer {
    let Some(at) = pages.lookup(pfn) else { return ProbeAnswer::NoPage };
    let page = StructPage(at.ea());
    if page.is_compound(cpu) {
        return ProbeAnswer::Compound;
    }
    loop {
        match step(page) {
            Change::Done => return ProbeAnswer::Done(true),
            Change::Refused => return ProbeAnswer::Done(false),
            Change::Contended => {}
        }
    }
}
