//! Does host steps, each as a whole (docs/semantics.md, section 6).

use alloc::vec;
use core::ops::Range;

use contract::description::{AddrRun, blocks_of_section, words};
use contract::{Gpa, Hva, Pfn, Pte, RealAddr, Step};

use super::{Host, SECTION_BYTES, Vmemmap, add_window, map};
use crate::memory::{Fault, RealMemory, struct_page};

impl Host {
    /// Does a host step, or a `write` step of the guest. Reports a [`Fault`] to memory if the host notices that a
    /// precondition fails (it does not check all of them), or if the step is a hypercall, a probe or `close-window`,
    /// which a subject does.
    pub fn step(&mut self, memory: &mut RealMemory, step: &Step) {
        if let Err(Broken { needs, at }) = self.try_step(memory, step) {
            memory.report_fault(Fault::Precondition { step: step.kind(), needs, at });
        }
    }

    fn try_step(&mut self, memory: &mut RealMemory, step: &Step) -> Result<(), Broken> {
        match step {
            Step::Hypercall { .. }
            | Step::Lookup { .. }
            | Step::GetPage { .. }
            | Step::PutPage { .. }
            | Step::CloseWindow { .. } => return Err(Broken { needs: "a step of the host", at: 0 }),
            Step::Take { pfn } => change_own(memory, *pfn, 1),
            Step::Drop { pfn } => change_own(memory, *pfn, -1),
            Step::Map { hva, pte } => {
                if memory.pte(*hva) != Pte::Hole {
                    return Err(Broken { needs: "a hole", at: hva.0 });
                }
                map(memory, *hva, *pte);
            }
            Step::Unmap { hva } => self.unmap(memory, *hva)?,
            Step::Age { hva } => self.change_bits(memory, *hva, |_, _, young| *young = false).map(drop)?,
            Step::WriteProtect { hva } => {
                self.change_bits(memory, *hva, |writable, _, _| *writable = false).map(drop)?;
            }
            Step::Clean { hva } => {
                let pfn = self.change_bits(memory, *hva, |_, dirty, _| *dirty = false)?;
                let head = memory.head(pfn);
                let flags = memory.page_word(head, struct_page::FLAGS);
                memory.set_page_word(head, struct_page::FLAGS, flags & !struct_page::DIRTY);
            }
            Step::Migrate { hva, pfn } => self.migrate(memory, *hva, *pfn)?,
            Step::MakeCompound(compound) => make_compound(memory, compound.pfn, compound.order),
            Step::SplitCompound { pfn } => split_compound(memory, *pfn)?,
            Step::HotAdd { section, blocks } => self.hot_add(memory, *section, blocks)?,
            Step::HotRemove { section } => self.hot_remove(memory, *section)?,
            Step::Slot(slot) => {
                self.slots.retain(|other| other.id != slot.id);
                // A slot without pages is deleted.
                if slot.pages > 0 {
                    self.slots.push(*slot);
                }
            }
            Step::Write { gpa, words: runs } => {
                for (index, word) in words(runs).enumerate() {
                    let gpa = Gpa(gpa.0.wrapping_add(index as u64 * 8));
                    let real = self.real(memory, gpa).ok_or(Broken { needs: "guest memory", at: gpa.0 })?;
                    memory.poke(real, word.swap_bytes());
                }
            }
            Step::CreateWindow(window) => add_window(memory, window),
        }
        Ok(())
    }

    /// Returns the real address of the byte at guest address `gpa`, through memory slot and page table. `None` outside
    /// guest memory or in a hole; for an absent entry the address in the page that it names.
    fn real(&self, memory: &RealMemory, gpa: Gpa) -> Option<RealAddr> {
        let shift = self.machine.page_shift;
        let gfn = gpa.0 >> shift;
        let slot = self.slots.iter().find(|slot| gfn >= slot.gfn.0 && gfn - slot.gfn.0 < slot.pages)?;
        let page = (slot.hva.0 >> shift) + (gfn - slot.gfn.0);
        let pte = memory.pte(Hva(page << shift));
        let pfn = pte.pfn()?.0 + (page & (pte.pages() - 1));
        Some(RealAddr(pfn << shift | gpa.0 & ((1 << shift) - 1)))
    }

    /// Returns the hva of the first byte that `pte` covers. `pte` must be the page-table entry that covers `hva`.
    fn first_hva(&self, hva: Hva, pte: Pte) -> Hva {
        Hva(hva.0 & !((pte.pages() << self.machine.page_shift) - 1))
    }

    fn unmap(&self, memory: &mut RealMemory, hva: Hva) -> Result<(), Broken> {
        let pte = memory.pte(hva);
        let pfn = pte.pfn().ok_or(Broken { needs: "no hole", at: hva.0 })?;
        memory.set_pte(self.first_hva(hva, pte), Pte::Hole);
        if pte.holds_reference() {
            let head = memory.head(pfn);
            memory.add_count(head, -1);
        }
        Ok(())
    }

    /// Calls `change` with the flags writable, dirty and young, in this order, of the present or huge entry that covers
    /// `hva`, and stores the changed flags. Returns the pfn that the entry names. Any other entry is an error.
    fn change_bits(
        &self,
        memory: &mut RealMemory,
        hva: Hva,
        change: impl FnOnce(&mut bool, &mut bool, &mut bool),
    ) -> Result<Pfn, Broken> {
        let mut pte = memory.pte(hva);
        let (Pte::Present { pfn, writable, dirty, young } | Pte::Huge { pfn, writable, dirty, young, .. }) = &mut pte
        else {
            return Err(Broken { needs: "a present or huge entry", at: hva.0 });
        };
        change(writable, dirty, young);
        let pfn = *pfn;
        memory.set_pte(self.first_hva(hva, pte), pte);
        Ok(pfn)
    }

    fn migrate(&self, memory: &mut RealMemory, hva: Hva, to: Pfn) -> Result<(), Broken> {
        let Pte::Present { pfn: from, writable, dirty, young } = memory.pte(hva) else {
            return Err(Broken { needs: "a present entry", at: hva.0 });
        };
        let shift = self.machine.page_shift;
        memory.copy(RealAddr(from.0 << shift), RealAddr(to.0 << shift), 1 << shift);
        memory.add_count(to, 1);
        memory.set_pte(self.first_hva(hva, Pte::Hole), Pte::Present { pfn: to, writable, dirty, young });
        memory.add_count(from, -1);
        Ok(())
    }

    /// Returns the machine's vmemmap range. In flatmem there is none: an error that names `section`, the section to be
    /// added or removed.
    fn vmemmap(&self, section: u64) -> Result<Vmemmap, Broken> {
        self.machine.vmemmap.ok_or(Broken { needs: "sparsemem-vmemmap", at: section })
    }

    /// Returns the size in bytes of the struct pages of one section.
    const fn section_struct_bytes(&self) -> u64 {
        self.machine.pages_per_section * self.machine.struct_page
    }

    fn blocks_of(&self, section: u64, vmemmap: Vmemmap) -> Range<u64> {
        blocks_of_section(section, self.section_struct_bytes(), vmemmap.block_shift)
    }

    fn hot_add(&mut self, memory: &mut RealMemory, section: u64, places: &[AddrRun]) -> Result<(), Broken> {
        let vmemmap = self.vmemmap(section)?;
        let shift = vmemmap.block_shift;
        if self.sections.contains(&section) {
            return Err(Broken { needs: "an absent section", at: section });
        }
        let mut places = places.iter().flat_map(|run| (0..run.count).map(move |index| run.at.0 + (index << shift)));
        for block in self.blocks_of(section, vmemmap) {
            if memory.block(block).is_none() {
                let real = places.next().ok_or(Broken { needs: "a place for the block", at: block })?;
                self.add_block(memory, vmemmap, block, RealAddr(real));
            }
        }
        self.add_section(memory, section);
        let bytes = self.section_struct_bytes();
        let (mut at, end) = (section * bytes, (section + 1) * bytes);
        while at < end {
            let block = at >> shift;
            let next = end.min((block + 1) << shift);
            let real = memory.block(block).ok_or(Broken { needs: "a backed block", at: block })?;
            let real = real.0 + (at & ((1 << shift) - 1));
            memory.zero(real, real + (next - at));
            at = next;
        }
        let per_section = self.machine.pages_per_section;
        memory.clear_account(Pfn(section * per_section), Pfn((section + 1) * per_section));
        Ok(())
    }

    fn hot_remove(&mut self, memory: &mut RealMemory, section: u64) -> Result<(), Broken> {
        let vmemmap = self.vmemmap(section)?;
        if !self.sections.remove(&section) {
            return Err(Broken { needs: "a present section", at: section });
        }
        memory.remove_region(section * SECTION_BYTES);
        for block in self.blocks_of(section, vmemmap) {
            let needed = self.sections.iter().any(|&other| self.blocks_of(other, vmemmap).contains(&block));
            if !needed {
                memory.remove_block(block);
                // Probes may have changed counts of struct pages that belong to no section. They go with the block.
                let page = |offset: u64| Pfn(offset / self.machine.struct_page);
                memory.clear_account(page(block << vmemmap.block_shift), page((block + 1) << vmemmap.block_shift));
                self.list.remove(memory, block);
            }
        }
        Ok(())
    }
}

/// A precondition of a step that does not hold, and the address, pfn or number at which it fails.
struct Broken {
    needs: &'static str,
    at: u64,
}

fn change_own(memory: &mut RealMemory, pfn: Pfn, delta: i32) {
    let head = memory.head(pfn);
    memory.add_count(head, delta);
    memory.add_own(head, delta);
}

fn make_compound(memory: &mut RealMemory, head: Pfn, order: u32) {
    for tail in (1..1 << order).map(|index| Pfn(head.0 + index)) {
        let (count, holders) = (memory.count(tail), memory.holders(tail));
        memory.add_count(head, count);
        memory.set_count(tail, 0);
        memory.move_holders(head, holders);
        memory.move_holders(tail, -holders);
        let dirty = memory.page_word(tail, struct_page::FLAGS) & struct_page::DIRTY;
        let flags = memory.page_word(head, struct_page::FLAGS);
        memory.set_page_word(head, struct_page::FLAGS, flags | dirty);
    }
    memory.mark_compound(head, order);
}

fn split_compound(memory: &mut RealMemory, head: Pfn) -> Result<(), Broken> {
    let order = memory.unmark_compound(head).ok_or(Broken { needs: "the head of a compound page", at: head.0 })?;
    let pages = 1 << order;
    let mut mapped = vec![0; pages as usize];
    for (_, pte) in memory.page_table() {
        if let Some(pfn) = pte.pfn().filter(|pfn| pte.holds_reference() && pfn.0 >= head.0 && pfn.0 - head.0 < pages) {
            mapped[(pfn.0 - head.0) as usize] += 1;
        }
    }
    for (index, &mappings) in mapped.iter().enumerate() {
        let pfn = Pfn(head.0 + index as u64);
        memory.set_count(pfn, mappings);
        let holders = memory.holders(pfn);
        memory.move_holders(pfn, mappings - holders);
    }
    Ok(())
}
