//! Programs to bytes.

use contract::description::{AddrRun, Backing, MemoryModel, SlotSpec, WordRun};
use contract::{Dialect, Program, Pte, Step, WindowSpec};

use super::{Key, MAGIC, PINNED, RECORD, VERSION, pte_bits};

/// The program as bytes: the one encoding of it that [`decode`](super::decode) gives back.
#[must_use]
pub fn encode(program: &Program) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(program, &mut bytes);
    bytes
}

/// Like [`encode`], into a buffer that is emptied first.
pub fn encode_into(program: &Program, bytes: &mut Vec<u8>) {
    bytes.clear();
    let mut out = Writer { bytes };
    out.header(program);
    let machine = &program.machine;
    if let MemoryModel::SparsememVmemmap { sections, blocks, .. } = &machine.memory {
        for &section in sections {
            out.record(Key::Section, 0, [section, 0, 0, 0, 0]);
        }
        for run in blocks {
            out.record(Key::Block, 0, [run.first, run.places.at.0, run.places.count, 0, 0]);
        }
    }
    for page in &machine.pages {
        out.record(Key::Page, page.own as u32, [page.pfn.0, page.dirty.into(), 0, 0, 0]);
    }
    for compound in &machine.compounds {
        out.record(Key::Compound, compound.order, [compound.pfn.0, 0, 0, 0, 0]);
    }
    for slot in &machine.slots {
        out.slot(Key::Slot, slot);
    }
    for mapping in &machine.mappings {
        let (small, pfn) = pte(mapping.pte);
        out.record(Key::Mapping, small, [mapping.hva.0, pfn, mapping.pages, 0, 0]);
    }
    for ram in &machine.ram {
        out.record(Key::Ram, 0, [ram.at.0, 0, 0, 0, 0]);
        out.words(&ram.words);
    }
    for window in &machine.windows {
        out.window(Key::Window, window);
    }
    for step in &program.steps {
        out.step(step);
    }
}

/// A page-table entry as a record's small number and its pfn.
fn pte(pte: Pte) -> (u32, u64) {
    let flags = |writable: bool, dirty: bool, young: bool| {
        [(writable, pte_bits::WRITABLE), (dirty, pte_bits::DIRTY), (young, pte_bits::YOUNG)]
            .iter()
            .fold(0, |bits, &(set, bit)| if set { bits | bit } else { bits })
    };
    match pte {
        Pte::Hole => (pte_bits::ABSENT, 0),
        Pte::Present { pfn, writable, dirty, young } => (flags(writable, dirty, young), pfn.0),
        Pte::Huge { pfn, order, writable, dirty, young } => {
            (pte_bits::HUGE | flags(writable, dirty, young) | order << pte_bits::ORDER_SHIFT, pfn.0)
        }
        Pte::Absent { pfn } => (pte_bits::ABSENT, pfn.0),
    }
}

struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn header(&mut self, program: &Program) {
        let machine = &program.machine;
        let (model, block_shift, one, two) = match &machine.memory {
            MemoryModel::Flatmem { array, pages } => (0, 0, array.0, *pages),
            MemoryModel::SparsememVmemmap { base, block_shift, list, .. } => (1, *block_shift, *base, list.0),
        };
        let dialect = Dialect::ALL.iter().position(|dialect| *dialect == program.dialect).unwrap_or_default();
        self.bytes.extend_from_slice(&MAGIC);
        for small in
            [VERSION, dialect as u32, machine.page_shift.bits(), machine.struct_page as u32, model, block_shift, 0]
        {
            self.bytes.extend_from_slice(&small.to_le_bytes());
        }
        for number in [one, two] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn record(&mut self, key: Key, small: u32, numbers: [u64; 5]) {
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&key.bytes());
        record[4..8].copy_from_slice(&small.to_le_bytes());
        for (place, number) in record[8..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        self.bytes.extend_from_slice(&record);
    }

    fn words(&mut self, runs: &[WordRun]) {
        for run in runs {
            self.record(Key::Word, 0, [run.value, run.stride, run.count, 0, 0]);
        }
    }

    fn places(&mut self, runs: &[AddrRun]) {
        for run in runs {
            self.record(Key::Place, 0, [run.at.0, run.count, 0, 0, 0]);
        }
    }

    fn slot(&mut self, key: Key, slot: &SlotSpec) {
        self.record(key, slot.id, [slot.gfn.0, slot.pages, slot.hva.0, 0, 0]);
    }

    fn window(&mut self, key: Key, window: &WindowSpec) {
        let (pinned, hardware) = match window.backing {
            Backing::Emulated => (0, 0),
            Backing::Pinned { hardware } => (PINNED, hardware.0),
        };
        let numbers = [window.liobn.0, window.base, window.entries, window.table.0, hardware];
        self.record(key, window.page_shift | pinned, numbers);
    }

    fn step(&mut self, step: &Step) {
        let one = |number: u64| [number, 0, 0, 0, 0];
        match step {
            Step::Hypercall { vcpu, call } => {
                let [r4, r5, r6, r7] = call.args;
                self.record(Key::Hypercall, u32::from(*vcpu), [call.opcode, r4, r5, r6, r7]);
            }
            Step::Lookup { pfn } => self.record(Key::Lookup, 0, one(pfn.0)),
            Step::GetPage { pfn } => self.record(Key::GetPage, 0, one(pfn.0)),
            Step::PutPage { pfn } => self.record(Key::PutPage, 0, one(pfn.0)),
            Step::Take { pfn } => self.record(Key::Take, 0, one(pfn.0)),
            Step::Drop { pfn } => self.record(Key::Drop, 0, one(pfn.0)),
            Step::Map { hva, pte: entry } => {
                let (small, pfn) = pte(*entry);
                self.record(Key::StepMap, small, [hva.0, pfn, 0, 0, 0]);
            }
            Step::Unmap { hva } => self.record(Key::Unmap, 0, one(hva.0)),
            Step::Age { hva } => self.record(Key::Age, 0, one(hva.0)),
            Step::Clean { hva } => self.record(Key::Clean, 0, one(hva.0)),
            Step::WriteProtect { hva } => self.record(Key::WriteProtect, 0, one(hva.0)),
            Step::Migrate { hva, pfn } => self.record(Key::Migrate, 0, [hva.0, pfn.0, 0, 0, 0]),
            Step::MakeCompound(compound) => self.record(Key::MakeCompound, compound.order, one(compound.pfn.0)),
            Step::SplitCompound { pfn } => self.record(Key::SplitCompound, 0, one(pfn.0)),
            Step::HotAdd { section, blocks } => {
                self.record(Key::HotAdd, 0, one(*section));
                self.places(blocks);
            }
            Step::HotRemove { section } => self.record(Key::HotRemove, 0, one(*section)),
            Step::Slot(slot) => self.slot(Key::StepSlot, slot),
            Step::Write { gpa, words } => {
                self.record(Key::Write, 0, one(gpa.0));
                self.words(words);
            }
            Step::CreateWindow(window) => self.window(Key::CreateWindow, window),
            Step::CloseWindow { liobn } => self.record(Key::CloseWindow, 0, one(liobn.0)),
        }
    }
}
