//! Properties that hold after every step of any program: no panic, conservation of references, and `touched` names
//! every object that changed.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use contract::description::{AddrRun, CompoundSpec, PageSpec, SlotSpec, WordRun};
use contract::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE};
use contract::{
    Backing, Dialect, Gfn, Gpa, Hva, Hypercall, Liobn, Machine, MemoryModel, PageShift, Pfn, Pte, RealAddr, Rule, Step,
    WindowSpec,
};
use reference::{Answer, Compound, Object, Owes, Reference};

/// The pseudo-random generator xorshift64*, which draws the same numbers on every machine.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn wild(&mut self) -> u64 {
        let at = self.of(&[0, 1 << 12, 1 << 24, 1 << 34, 1 << 46, 1 << 52, 1 << 63, u64::MAX]);
        at.wrapping_add(self.below(5)).wrapping_sub(2)
    }

    fn pfn(&mut self) -> Pfn {
        let edge = self.of(&[64, 73, 100, 116, 128, 144, 300, 400, 4095, 4096, 4169, 8191]);
        match self.below(16) {
            0 => Pfn(self.wild()),
            1 => Pfn(self.below(8192)),
            2..6 => Pfn(edge),
            _ => Pfn(100 + self.below(64)),
        }
    }

    fn hva(&mut self) -> Hva {
        match self.below(24) {
            0 => Hva(self.wild()),
            1 => Hva(hva(self.below(64)).0 + self.below(4096)),
            _ => hva(self.below(56)),
        }
    }

    fn gpa(&mut self) -> u64 {
        if self.below(24) == 0 { self.wild() } else { gpa(self.below(50)) }
    }

    fn tce(&mut self) -> u64 {
        let low = if self.below(16) == 0 { self.below(4096) } else { self.below(4) };
        if self.below(4) == 0 { low & !3 } else { self.gpa() | low }
    }

    fn call(&mut self) -> Hypercall {
        let (liobn, base, page) = self.of(&[
            (PINNED, 0, 1 << 12),
            (PINNED, 0, 1 << 12),
            (EMULATED, EMULATED_BASE, 1 << 16),
            (LAST, LAST_BASE, 1 << 12),
        ]);
        let ioba = match self.below(16) {
            0 => self.wild(),
            1 => base + self.below(16) * page + self.below(page),
            2 => (base + 15 * page).wrapping_add(self.below(3) * page),
            _ => base + self.below(6) * page,
        };
        let count = match self.below(12) {
            0 => self.wild(),
            1 => self.of(&[0, 511, 512, 513, 1024]),
            _ => self.below(5),
        };
        let tce = self.tce();
        match self.below(16) {
            0 => Hypercall { opcode: H_GET_TCE, args: [liobn, ioba, tce, count] },
            1..7 => Hypercall { opcode: H_PUT_TCE, args: [liobn, ioba, tce, count] },
            7..11 => Hypercall { opcode: H_STUFF_TCE, args: [liobn, ioba, tce, count] },
            11..15 => Hypercall { opcode: H_PUT_TCE_INDIRECT, args: [liobn, ioba, self.gpa(), count] },
            _ => Hypercall { opcode: self.below(0x140), args: [self.wild(), ioba, tce, count] },
        }
    }

    fn pte(&mut self) -> Pte {
        let pfn = self.pfn();
        let [writable, dirty, young] = [(); 3].map(|()| self.below(4) != 0);
        match self.below(8) {
            0 => Pte::Hole,
            1 | 2 => Pte::Absent { pfn },
            3 => Pte::Huge { pfn, order: self.of(&[0, 1, 2, 2, 4, 64]), writable, dirty, young },
            _ => Pte::Present { pfn, writable, dirty, young },
        }
    }

    fn step(&mut self) -> Step {
        let kind = self.below(64);
        let (pfn, hva) = (self.pfn(), self.hva());
        match kind {
            0 => Step::Lookup { pfn },
            1 | 2 => Step::GetPage { pfn },
            3 | 4 => Step::PutPage { pfn },
            5 => Step::Take { pfn },
            6 => Step::Drop { pfn },
            7..13 => Step::Map { hva, pte: self.pte() },
            13..16 => Step::Unmap { hva },
            16 => Step::Age { hva },
            17 => Step::Clean { hva },
            18 => Step::WriteProtect { hva },
            19 => Step::Migrate { hva, pfn },
            20 => Step::MakeCompound(CompoundSpec { pfn, order: self.of(&[0, 1, 2, 2, 4, 9, 10, 64]) as u32 }),
            21 => Step::SplitCompound { pfn },
            22 => {
                let at = self.of(&[1 << 41, 1 << 42, 1 << 43, 1 << 40, !0xffff]);
                let count = self.of(&[1, 60, 100, u64::MAX]);
                let section = if self.below(8) == 0 { self.wild() } else { self.below(4) };
                Step::HotAdd { section, blocks: vec![AddrRun { at: RealAddr(at), count }] }
            }
            23 => Step::HotRemove { section: self.below(4) },
            24 => {
                let gfn = if self.below(8) == 0 { self.wild() } else { self.below(60) };
                let id = self.below(10) as u32;
                Step::Slot(SlotSpec { id, gfn: Gfn(gfn), pages: self.of(&[0, 1, 8, 48, u64::MAX]), hva })
            }
            25..31 => {
                let words = (0..=self.below(4)).map(|_| WordRun { value: self.tce(), stride: 0, count: 1 }).collect();
                Step::Write { gpa: Gpa(self.gpa()), words }
            }
            31 => Step::CreateWindow(WindowSpec {
                liobn: Liobn(1 + self.below(4)),
                page_shift: self.of(&[12, 12, 16, 34, 64]),
                base: self.of(&[0, 0, 0x123, EMULATED_BASE]),
                entries: self.of(&[1, 16, 1024, u64::MAX]),
                table: RealAddr(self.of(&[0x50_0000_0000, 0x50_0000_2000, 0x210_0000])),
                backing: self.of(&[Backing::Emulated, Backing::Pinned { hardware: RealAddr(0x50_0010_0000) }]),
            }),
            32 => Step::CloseWindow { liobn: Liobn(1 + self.below(4)) },
            _ => Step::Hypercall { vcpu: 0, call: self.call() },
        }
    }
}

/// Returns the objects in which two states differ.
fn changes(before: &Reference, after: &Reference) -> BTreeSet<Object> {
    let mut changes = BTreeSet::new();
    for model in [before, after] {
        changes.extend(model.pages().map(|(pfn, _)| Object::Page(pfn)));
        changes.extend(model.page_table().map(|(hva, _)| Object::Pte(hva)));
        changes.extend(model.ram().map(|(at, _)| Object::Ram(at)));
        for window in model.windows() {
            let liobn = window.spec.liobn;
            changes.extend(window.guest_entries().map(|(index, _)| Object::Entry { liobn, index }));
        }
    }
    let [old, new] = [before, after].map(|model| model.page_table().collect::<BTreeMap<_, _>>());
    changes.retain(|object| match *object {
        Object::Page(pfn) => before.page(pfn) != after.page(pfn),
        Object::Pte(hva) => old.get(&hva) != new.get(&hva),
        Object::Ram(at) => before.ram_word(at) != after.ram_word(at),
        Object::Entry { liobn, index } => {
            let entry = |model: &Reference| model.window(liobn).map_or((0, 0), |w| (w.guest(index), w.hardware(index)));
            entry(before) != entry(after)
        }
    });
    changes
}

#[track_caller]
fn sound(model: &Reference) {
    conserved(model);
    for (pfn, page) in model.pages() {
        if let Compound::Tail { head } = page.compound {
            assert_eq!((page.count, page.own, page.dirty), (0, 0, false), "a tail holds nothing");
            assert!(matches!(model.page(head).compound, Compound::Head { order } if pfn.0 - head.0 < 1 << order));
        }
    }
    for window in model.windows() {
        let guest = window.guest_entries().filter(|(_, value)| value & 3 != 0).map(|(index, _)| index);
        if let Backing::Pinned { .. } = window.spec.backing {
            assert!(guest.eq(window.hardware_entries().map(|(index, _)| index)));
        } else {
            assert_eq!(window.hardware_entries().count(), 0);
        }
    }
}

fn machines(dialect: Dialect) -> Vec<Machine> {
    let mut sparse = sparse(PageShift::Shift12, 56, 12, &[0, 1]);
    let mut guest = machine(dialect);
    guest.pages.push(PageSpec { pfn: Pfn(400), own: 1, dirty: false });
    (sparse.compounds, sparse.slots) = (guest.compounds.clone(), guest.slots.clone());
    (sparse.mappings, sparse.pages) = (guest.mappings.clone(), guest.pages.clone());
    // The ready gfns map pfns 64 to 79; the struct page of pfn 73 is split.
    sparse.mappings[0].pte = present(64, "wdy");
    sparse.windows = windows(dialect);
    for window in &mut sparse.windows {
        window.table.0 += 0x60_0000_0000;
        if let Backing::Pinned { hardware } = &mut window.backing {
            hardware.0 += 0x60_0000_0000;
        }
    }
    assert!(matches!(sparse.memory, MemoryModel::SparsememVmemmap { .. }));
    vec![guest, sparse]
}

#[test]
fn every_step_of_any_program_is_sound() {
    let mut seen = BTreeSet::new();
    for seed in 1..30_u64 {
        let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for dialect in Dialect::ALL {
            for machine in machines(dialect) {
                let mut model = Reference::new(dialect, &machine);
                for _ in 0..120 {
                    let step = draw.step();
                    let before = model.clone();
                    let outcome = model.step(&step);
                    seen.extend(outcome.rules.iter());
                    sound(&model);
                    let touched: BTreeSet<_> = model.touched().iter().copied().collect();
                    let changed = changes(&before, &model);
                    assert!(changed.is_subset(&touched), "{step:?}: {changed:?} in {touched:?}");
                    match outcome.answer {
                        Answer::Skipped(_) => assert!(touched.is_empty()),
                        Answer::Hypercall { .. } => {
                            assert!(dialect != Dialect::Qemu || outcome.owes != Owes::Finish);
                            assert!(outcome.rule.is_some_and(|rule| outcome.rules.contains(rule)));
                        }
                        Answer::Done | Answer::Lookup(_) | Answer::Probe(_) => {}
                    }
                }
            }
        }
    }
    let missing: Vec<_> = Rule::outcomes().filter(|rule| !seen.contains(rule)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

#[test]
fn closing_and_unmapping_everything_leaves_own() {
    for seed in 1..10_u64 {
        let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for machine in machines(Dialect::Lopapr) {
            let mut model = Reference::new(Dialect::Lopapr, &machine);
            for _ in 0..200 {
                model.step(&draw.step());
            }
            for liobn in model.windows().map(|window| window.spec.liobn).collect::<Vec<_>>() {
                done(&mut model, Step::CloseWindow { liobn });
            }
            for hva in model.page_table().map(|(hva, _)| hva).collect::<Vec<_>>() {
                done(&mut model, Step::Unmap { hva });
            }
            assert!(model.pages().all(|(_, page)| page.count == page.own));
        }
    }
}
