//! Probes of the conditional references (semantics 3).

use contract::ProbeAnswer;
use contract::addr::Pfn;
use machine::memory::Cpu;

use crate::pages::PageIndex;
use crate::struct_page::{Change, StructPage};

/// Takes a reference unless there is none.
pub fn get_page_unless_zero(pages: &PageIndex, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
    probe(pages, cpu, pfn, |page| page.get_unless_zero(cpu, u32::MAX))
}

/// Gives a reference back unless it is the last.
pub fn put_page_unless_one(pages: &PageIndex, cpu: &Cpu<'_>, pfn: Pfn) -> ProbeAnswer {
    probe(pages, cpu, pfn, |page| page.put_unless_one(cpu, u32::MAX))
}

/// A probe has no way to defer, so it tries until it has an answer: lock-free, each failure is another CPU's success.
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
