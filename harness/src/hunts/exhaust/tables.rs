//! The scene about tables. Its alphabet has hypercalls at their edge values, lists, slots, and what the host does to
//! pages that TCEs name.

use contract::description::{CompoundSpec, Mapping, RamSpec, SlotSpec, WordRun};
use contract::{Gfn, Gpa, Hva, Hypercall, Liobn, Pfn, Pte, RealAddr, Step, Tce};

use super::ground::{Ground, Layout};
use super::scene::Scene;

/// Host virtual address of the page with gfn 0.
pub(super) const HVA: u64 = 0x7f00_0000_0000;
pub(super) const READ: u64 = Tce::READ;
pub(super) const WRITE: u64 = Tce::WRITE;
pub(super) const BOTH: u64 = READ | WRITE;
/// LIOBN of the pinned window. In dialect `qemu`, which has no pinned windows, the window with this LIOBN is emulated.
pub(super) const PINNED: u64 = 0x8000_0001;
/// LIOBN of the window that is emulated in every dialect.
pub(super) const EMULATED: u64 = 0x7100_0005;
/// A LIOBN that no window of the scene has.
pub(super) const UNKNOWN: u64 = 0x7777;

/// Returns the step in which vCPU 0 makes the hypercall `call`.
pub(super) fn call(call: Hypercall) -> Step {
    Step::Hypercall { vcpu: 0, call }
}

/// Returns a page-table entry that is present and young and maps the page with this pfn.
pub(super) fn present(pfn: u64, writable: bool, dirty: bool) -> Pte {
    Pte::Present { pfn: Pfn(pfn), writable, dirty, young: true }
}

/// Returns these 8-byte words in the form of a program: one run for each word.
pub(super) fn words(words: &[u64]) -> Vec<WordRun> {
    words.iter().map(|&value| WordRun { value, stride: 0, count: 1 }).collect()
}

/// Makes the scene about tables on the memory of `ground`. The scene has guest pages with these gfns:
///
/// - 0: an ordinary page that holds a list
/// - 1: a page with a split struct page, if the layout splits any
/// - 2: read-only
/// - 3: absent, with a list
/// - 4 and 5: under a huge entry; 4 holds a list
/// - 6: a hole
/// - 7: in a slot of its own, on a host page of the last section
/// - 8: no guest memory
///
/// The pinned window has 3 entries. Each is 4 KiB if `narrow` is set, else as large as a host page. The emulated window
/// has `entries` entries, each as large as two host pages, and ends at I/O bus address 2^64.
pub(super) fn scene(ground: &Ground, narrow: bool, entries: u64) -> Scene {
    let (shift, page) = (ground.shift(), 1 << ground.shift());
    let at = |gfn: u64| gfn << shift;
    let hva = |gfn: u64| Hva(HVA + at(gfn));
    let main = ground.main;
    let (list, read_only, absent, hole, huge) = (main + 0x10, main + 0x11, main + 0x12, main + 0x13, main + 0x14);
    let (far, target) = (ground.last + 0x20, ground.last + 0x21);

    let mut machine = ground.machine();
    machine.compounds = vec![CompoundSpec { pfn: Pfn(huge), order: 1 }];
    machine.slots = vec![
        SlotSpec { id: 0, gfn: Gfn(0), pages: 7, hva: hva(0) },
        SlotSpec { id: 1, gfn: Gfn(7), pages: 1, hva: hva(7) },
    ];
    let huge_entry = Pte::Huge { pfn: Pfn(huge), order: 1, writable: true, dirty: true, young: true };
    machine.mappings = [
        (0, present(list, true, true)),
        (1, present(ground.split, true, true)),
        (2, present(read_only, false, false)),
        (3, Pte::Absent { pfn: Pfn(absent) }),
        (4, huge_entry),
        (7, present(far, true, true)),
    ]
    .map(|(gfn, pte)| Mapping { hva: hva(gfn), pages: 1, pte })
    .to_vec();
    let ram = |pfn: u64, list: &[u64]| RamSpec { at: RealAddr(pfn << shift), words: words(list) };
    machine.ram = vec![
        ram(list, &[at(0) | READ, at(7) | BOTH, 0]),
        ram(absent, &[at(0) | BOTH, 0]),
        ram(huge, &[at(0) | READ, at(5) | READ]),
    ];
    let pinned = ground.pinned(Liobn(PINNED), if narrow { 12 } else { shift }, 1 << 28, 3, 0);
    let emulated = ground.emulated(Liobn(EMULATED), shift + 1, entries, 1);
    machine.windows = vec![pinned, emulated];

    let (first, last, past) = (pinned.base, pinned.base + 2 * pinned.page(), pinned.base + 3 * pinned.page());
    let top = emulated.base;
    let (get, put) = (Hypercall::get, Hypercall::put);
    let (stuff, indirect) = (Hypercall::stuff, Hypercall::indirect);
    let mut calls = vec![
        get(PINNED, first),
        get(PINNED, last),
        get(EMULATED, top),
        get(PINNED, past),
        put(UNKNOWN, 0, at(0) | BOTH),
        Hypercall { opcode: 0x24, args: [PINNED, first, 0, 0] },
        // A TCE for every kind of page.
        put(PINNED, first, at(0) | BOTH),
        put(PINNED, first, at(0) | READ),
        put(PINNED, first, at(0) | WRITE),
        put(PINNED, first, at(1) | BOTH),
        put(PINNED, first, at(2) | READ),
        put(PINNED, first, at(2) | WRITE),
        put(PINNED, first, at(3) | BOTH),
        put(PINNED, first, at(4) | READ),
        put(PINNED, first, at(5) | BOTH),
        put(PINNED, first, at(6) | READ),
        put(PINNED, first, at(7) | BOTH),
        put(PINNED, first, at(8) | READ),
        // Fault TCEs, a TCE with a bit set below its address, and the last page of the address space.
        put(PINNED, first, 0),
        put(PINNED, first, at(8) | 0xffc),
        put(PINNED, first, at(0) | 4 | BOTH),
        put(PINNED, first, 0u64.wrapping_sub(page) | BOTH),
        // Other entries, and IOBAs that name no entry.
        put(PINNED, last, at(0) | BOTH),
        put(PINNED, last, at(7) | READ),
        put(PINNED, last, 0),
        put(PINNED, past, at(0) | READ),
        put(PINNED, first + 1, at(0) | READ),
        put(PINNED, first - pinned.page(), 0),
        // A page of the emulated window covers two host pages. Guest pages 6 and 7 lie in different slots.
        put(EMULATED, top, at(0) | BOTH),
        put(EMULATED, top, at(6) | READ),
        put(EMULATED, top, at(8) | READ),
        put(EMULATED, top, at(1) | READ),
        put(EMULATED, top, 0),
        stuff(PINNED, first, 0, 0),
        stuff(PINNED, first, 0, 3),
        stuff(PINNED, first, at(0) | BOTH, 2),
        stuff(PINNED, first, at(3) | READ, 2),
        stuff(PINNED, first, 0, 4),
        stuff(PINNED, last, 0, 2),
        stuff(PINNED, past, 0, 0),
        stuff(PINNED, first, 0, 1 << 52),
        stuff(PINNED, first, 0, u64::MAX),
        stuff(EMULATED, top, at(0) | READ, 2),
        stuff(EMULATED, top, 0, 512),
        stuff(EMULATED, top, 0, 513),
        indirect(PINNED, first, at(0), 0),
        indirect(PINNED, first, at(0), 2),
        indirect(PINNED, first, at(0), 3),
        indirect(PINNED, first, at(0), u64::MAX),
        indirect(PINNED, first, at(0) + 8, 2),
        indirect(PINNED, first, at(3), 2),
        indirect(PINNED, first, at(4), 2),
        indirect(PINNED, first, at(6), 1),
        indirect(PINNED, first, at(8), 1),
        indirect(EMULATED, top, at(0), 2),
        indirect(EMULATED, top, at(0), 512),
        indirect(EMULATED, top, at(0), 513),
    ];
    if pinned.page_shift < shift {
        // A page of the window that does not start with the host page.
        calls.push(put(PINNED, first, at(0) | pinned.page() | BOTH));
    }
    let mut alphabet: Vec<Step> = calls.into_iter().map(call).collect();
    let slot = |pages, hva| Step::Slot(SlotSpec { id: 1, gfn: Gfn(7), pages, hva });
    alphabet.extend([
        Step::Write { gpa: Gpa(0), words: words(&[at(0) | BOTH, at(8) | BOTH]) },
        Step::Write { gpa: Gpa(0), words: words(&[at(1) | BOTH, at(0) | READ]) },
        Step::Unmap { hva: hva(0) },
        Step::Unmap { hva: hva(7) },
        Step::Unmap { hva: hva(4) },
        Step::Map { hva: hva(6), pte: present(hole, true, false) },
        Step::Age { hva: hva(0) },
        Step::Clean { hva: hva(0) },
        Step::WriteProtect { hva: hva(7) },
        Step::Migrate { hva: hva(7), pfn: Pfn(target) },
        slot(0, hva(7)),
        slot(1, hva(0)),
        Step::CloseWindow { liobn: Liobn(PINNED) },
        Step::CreateWindow(ground.pinned(Liobn(PINNED), pinned.page_shift, 1 << 28, 3, 2)),
    ]);
    let Layout { struct_page, .. } = ground.layout;
    Scene::new(format!("tables, page_shift={shift} struct_page={struct_page}"), ground.dialect, machine, alphabet)
}
