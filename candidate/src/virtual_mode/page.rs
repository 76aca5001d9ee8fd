//! References and DIRTY of any page, changed with the MMU on.
//!
//! Struct pages are reached at their vmemmap address, word by word, so a split struct page needs no special case.
//! References and DIRTY of a compound page lie on its head.

use contract::addr::Pfn;
use machine::memory::Cpu;

use crate::struct_page::{Change, StructPage};
use crate::view::View;

/// Returns the page that carries the references and DIRTY of `pfn`: its head if `pfn` is a tail, else `pfn` itself.
fn head(view: &View<'_>, cpu: &Cpu<'_>, pfn: Pfn) -> (Pfn, StructPage) {
    let at = |pfn| StructPage(view.pages.virtual_address(pfn));
    match at(pfn).head(cpu) {
        Some(head) => (head, at(head)),
        None => (pfn, at(pfn)),
    }
}

/// Takes a reference on the page, on its head. The page must be safe to take: the page table names it, or somebody else
/// holds a reference.
pub fn take(view: &View<'_>, cpu: &Cpu<'_>, pfn: Pfn) {
    head(view, cpu, pfn).1.add(cpu, 1);
}

/// Gives a reference on the page back, on its head. If that makes the count 0, tells the host to free the page.
pub fn put(view: &View<'_>, cpu: &Cpu<'_>, pfn: Pfn) {
    let (pfn, page) = head(view, cpu, pfn);
    if page.add(cpu, -1) == 0 {
        cpu.free_page(pfn);
    }
}

/// Marks the page DIRTY, on its head. The caller must hold a reference on the page.
pub fn mark_dirty(view: &View<'_>, cpu: &Cpu<'_>, pfn: Pfn) {
    let page = head(view, cpu, pfn).1;
    while page.set_dirty(cpu, u32::MAX) == Change::Contended {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small_machine;
    use machine::memory::Mode;

    /// The notice that gives the page to the host costs one access, and only the last reference may cause it.
    #[test]
    fn the_last_reference_alone_hands_the_page_to_the_host() {
        let accesses = |count| {
            let (state, mut memory) = small_machine::start();
            memory.set_count(Pfn(9), count);
            let cpu = small_machine::cpu(&memory, Mode::Virtual);
            put(&state.view(0), &cpu, Pfn(9));
            assert_eq!(memory.count(Pfn(9)), count - 1);
            cpu.report().accesses
        };
        assert_eq!(accesses(1), accesses(2) + 1);
        assert_eq!(accesses(3), accesses(2));
    }
}
