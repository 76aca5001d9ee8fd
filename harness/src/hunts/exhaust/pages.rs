//! The scene about pages. Its alphabet has lookups, conditional references, the host's own references, mappings,
//! compound pages, and sections that steps add and remove.

use contract::description::{CompoundSpec, Mapping, PageSpec, RamSpec, SlotSpec};
use contract::{Gfn, Hva, Hypercall, Liobn, Pfn, Pte, RealAddr, Step};

use super::ground::{Ground, Layout};
use super::scene::Scene;
use super::tables::{BOTH, EMULATED, HVA, PINNED, READ, WRITE, call, present, words};

/// Makes the scene about pages on the memory of `ground`. The scene has guest pages with these gfns:
///
/// - 0: an ordinary page that holds a list
/// - 1: the first of two host pages that can become a compound page
/// - 2: a hole
/// - 3: absent
/// - 4 and 5: under a huge entry
/// - 8: in a slot of its own, on a host page of the last section, on which the host holds a reference too
///
/// It also has five host pages that are not mapped, with reference counts -1, 0, 1, 2 and `i32::MAX`, a pinned window
/// of 2 entries, and an emulated window of 1 entry.
pub(super) fn scene(ground: &Ground) -> Scene {
    let shift = ground.shift();
    let at = |gfn: u64| gfn << shift;
    let hva = |gfn: u64| Hva(HVA + at(gfn));
    let main = ground.main;
    let (plain, absent, pair, huge) = (main + 0x10, main + 0x12, main + 0x14, main + 0x18);
    let (far, target) = (ground.last + 0x20, ground.last + 0x22);
    let idle = |index: u64| main + 0x30 + index;
    let counts = [-1, 0, 1, 2, i32::MAX];

    let mut machine = ground.machine();
    machine.pages =
        (0..).zip(counts).map(|(index, own)| PageSpec { pfn: Pfn(idle(index)), own, dirty: false }).collect();
    machine.pages.push(PageSpec { pfn: Pfn(far), own: 1, dirty: false });
    machine.compounds = vec![CompoundSpec { pfn: Pfn(huge), order: 1 }];
    machine.slots = vec![
        SlotSpec { id: 0, gfn: Gfn(0), pages: 6, hva: hva(0) },
        SlotSpec { id: 1, gfn: Gfn(8), pages: 1, hva: hva(8) },
    ];
    let huge_entry = Pte::Huge { pfn: Pfn(huge), order: 1, writable: true, dirty: true, young: true };
    machine.mappings = [
        (0, present(plain, true, true)),
        (1, present(pair, true, true)),
        (3, Pte::Absent { pfn: Pfn(absent) }),
        (4, huge_entry),
        (8, present(far, true, true)),
    ]
    .map(|(gfn, pte)| Mapping { hva: hva(gfn), pages: 1, pte })
    .to_vec();
    machine.ram = vec![RamSpec { at: RealAddr(plain << shift), words: words(&[at(1) | BOTH, at(0) | READ]) }];
    let pinned = ground.pinned(Liobn(PINNED), shift, 0, 2, 0);
    machine.windows = vec![pinned, ground.emulated(Liobn(EMULATED), shift, 1, 1)];

    let mut alphabet: Vec<Step> = ground.edges().into_iter().map(|pfn| Step::Lookup { pfn }).collect();
    let beyond = ground.layout.page_shift.pfn_limit();
    let got = [idle(0), idle(1), idle(2), idle(3), idle(4), plain, huge + 1, ground.split, beyond];
    alphabet.extend(got.map(|pfn| Step::GetPage { pfn: Pfn(pfn) }));
    let put = [idle(0), idle(1), idle(2), idle(3), plain, huge, far];
    alphabet.extend(put.map(|pfn| Step::PutPage { pfn: Pfn(pfn) }));
    alphabet.extend([
        Step::Take { pfn: Pfn(plain) },
        Step::Drop { pfn: Pfn(plain) },
        Step::Take { pfn: Pfn(huge + 1) },
        Step::Drop { pfn: Pfn(far) },
        Step::Drop { pfn: Pfn(idle(2)) },
        Step::Unmap { hva: hva(0) },
        Step::Unmap { hva: hva(1) },
        Step::Unmap { hva: hva(4) },
        Step::Unmap { hva: hva(8) },
        Step::Map { hva: hva(2), pte: present(plain, true, false) },
        Step::Map { hva: hva(2), pte: present(huge + 1, true, true) },
        Step::Map { hva: hva(2), pte: Pte::Absent { pfn: Pfn(idle(1)) } },
        Step::Map { hva: hva(4), pte: huge_entry },
        Step::Age { hva: hva(4) },
        Step::Clean { hva: hva(0) },
        Step::WriteProtect { hva: hva(0) },
        Step::Migrate { hva: hva(0), pfn: Pfn(target) },
        Step::MakeCompound(CompoundSpec { pfn: Pfn(pair), order: 1 }),
        Step::SplitCompound { pfn: Pfn(huge) },
        Step::CloseWindow { liobn: Liobn(PINNED) },
        Step::CreateWindow(ground.pinned(Liobn(PINNED), shift, 0, 2, 2)),
    ]);
    if let Some(section) = ground.hot {
        // The section's first page. With [`Layout::WIDE_SHARED`] its struct page lies in a block of section 1, so it is
        // backed while the section is absent.
        let first = section * ground.per_section();
        alphabet.extend(ground.hot_adds());
        alphabet.extend([
            Step::HotRemove { section },
            Step::Map { hva: hva(2), pte: present(first, true, true) },
            Step::Migrate { hva: hva(0), pfn: Pfn(first) },
            Step::GetPage { pfn: Pfn(first) },
        ]);
        if ground.last != ground.main {
            alphabet.push(Step::HotRemove { section: ground.last / ground.per_section() });
        }
    }
    let (first, last) = (pinned.base, pinned.base + pinned.page());
    alphabet.extend(
        [
            Hypercall::put(PINNED, first, at(0) | BOTH),
            Hypercall::put(PINNED, first, at(0) | READ),
            Hypercall::put(PINNED, first, at(1) | BOTH),
            Hypercall::put(PINNED, first, at(2) | BOTH),
            Hypercall::put(PINNED, first, at(3) | WRITE),
            Hypercall::put(PINNED, first, at(5) | BOTH),
            Hypercall::put(PINNED, first, at(8) | BOTH),
            Hypercall::put(PINNED, first, 0),
            Hypercall::put(PINNED, last, at(0) | BOTH),
            Hypercall::put(PINNED, last, 0),
            Hypercall::put(EMULATED, 0u64.wrapping_sub(1 << shift), at(2) | BOTH),
            Hypercall::get(PINNED, first),
            Hypercall::stuff(PINNED, first, at(0) | BOTH, 2),
            Hypercall::stuff(PINNED, first, 0, 2),
            Hypercall::indirect(PINNED, first, at(0), 2),
        ]
        .map(call),
    );
    let Layout { struct_page, .. } = ground.layout;
    Scene::new(format!("pages, page_shift={shift} struct_page={struct_page}"), ground.dialect, machine, alphabet)
}
