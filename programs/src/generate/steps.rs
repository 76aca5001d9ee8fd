//! Draws random steps for a machine.

use contract::description::{AddrRun, MAX_TOTAL_ENTRIES, Machine, MemoryModel, SlotSpec, WordRun};
use contract::hcall::{LIST_BYTES, MAX_TCES_PER_CALL};
use contract::program::MAX_STEPS;
use contract::{Backing, Dialect, Gpa, Hypercall, Pfn, Program, Pte, Step, WindowSpec};

use super::dice::Dice;
use super::limits::Features;
use super::machine::{GuestPage, Scene, placed, window};
use super::swarm::Swarm;

/// Draws the steps for the scene's machine and returns the program: at most [`MAX_STEPS`] steps.
pub(crate) fn draw(swarm: &Swarm, scene: Scene, dice: &mut Dice<'_>) -> Program {
    let mut writer = Writer {
        swarm,
        windows: scene.machine.windows.clone(),
        closed: Vec::new(),
        mapped: scene.mapped,
        holes: scene.holes,
        pool: scene.pool,
        absent_sections: scene.absent_sections,
        groups: scene.groups,
        places: scene.places,
        machine: &scene.machine,
        list: None,
        steps: Vec::new(),
    };
    let count = dice.between(swarm.steps / 2, swarm.steps);
    for _ in 0..count {
        writer.step(dice);
    }
    let mut steps = writer.steps;
    steps.truncate(MAX_STEPS);
    // Only long programs, for voters with limits, can create more entries than a valid program may have.
    let mut left = MAX_TOTAL_ENTRIES - scene.machine.windows.iter().map(|window| window.entries).sum::<u64>();
    steps.retain(|step| match step {
        Step::CreateWindow(window) if window.entries > left => false,
        Step::CreateWindow(window) => {
            left -= window.entries;
            true
        }
        _ => true,
    });
    Program { dialect: swarm.dialect, machine: scene.machine, steps }
}

/// Draws steps, for the generator or for a mutation: holds the steps drawn so far, and the windows, pages and memory
/// that the next steps can refer to.
pub(crate) struct Writer<'a> {
    pub(crate) swarm: &'a Swarm,
    pub(crate) machine: &'a Machine,
    /// Windows that are open after the steps drawn so far.
    pub(crate) windows: Vec<WindowSpec>,
    /// Windows that earlier steps closed.
    pub(crate) closed: Vec<WindowSpec>,
    /// Guest pages for steps to name, most of them mapped (they have a page-table entry).
    pub(crate) mapped: Vec<GuestPage>,
    /// Guest pages for steps to name by mistake, most of them holes (they have no page-table entry).
    pub(crate) holes: Vec<GuestPage>,
    /// Host pages for steps to name.
    pub(crate) pool: Vec<Pfn>,
    /// Numbers of sections for hot-plug steps, most of them absent when the program starts. Empty in flatmem.
    pub(crate) absent_sections: Vec<u64>,
    /// Aligned groups of 2^order pages: compound pages, or pages of which steps try to make one.
    pub(crate) groups: Vec<contract::description::CompoundSpec>,
    /// Allocates the real memory of window tables and vmemmap blocks that steps create.
    pub(crate) places: super::machine::Places,
    /// Guest address of the TCE list drawn last for an H_PUT_TCE_INDIRECT, and its number of words of 8 bytes; `None`
    /// before the first. In about 3 of 100 cases no step writes the list: it then holds whatever lies there.
    pub(crate) list: Option<(u64, u64)>,
    pub(crate) steps: Vec<Step>,
}

/// A range of `count` entries of a window from the address `ioba` on, as the arguments of a hypercall.
struct Range {
    liobn: u64,
    ioba: u64,
    count: u64,
    page_shift: u32,
}

impl Writer<'_> {
    /// Draws one step of any kind that the swarm allows, and the steps that belong to it, such as the `write` of a
    /// list. Draws nothing if the drawn kind has nothing to act on, such as a section to add.
    pub(crate) fn step(&mut self, dice: &mut Dice<'_>) {
        let on = |feature: bool, weight: u32| if feature { weight } else { 0 };
        let swarm = self.swarm;
        let weights = [
            60,
            on(swarm.probes, 12),
            8,
            on(swarm.own, 6),
            on(swarm.migrate, 5),
            on(swarm.compound, 8),
            on(swarm.hotplug, 8),
            on(swarm.slots, 5),
            on(swarm.windows, 6),
            on(swarm.imperfect, 8),
            on(swarm.pinned, 5),
        ];
        match dice.weighted(&weights) {
            0 => self.hypercall(dice),
            1 => self.probe(dice),
            2 => self.mapping(dice),
            3 => self.own_reference(dice),
            4 => self.migrate(dice),
            5 => self.compound(dice),
            6 => self.hotplug(dice),
            7 => self.slot(dice),
            8 => self.window(dice),
            10 => self.last_reference(dice),
            _ => self.flags(dice),
        }
    }

    /// Draws a `take` or a `drop` of an own reference on a page of the pool.
    pub(crate) fn own_reference(&mut self, dice: &mut Dice<'_>) {
        let pfn = dice.pick(&self.pool);
        self.steps.push(if dice.percent(50) { Step::Take { pfn } } else { Step::Drop { pfn } });
    }

    /// Draws a `migrate` of a guest page to a page of the pool.
    pub(crate) fn migrate(&mut self, dice: &mut Dice<'_>) {
        let hva = self.hva(dice);
        let pfn = dice.pick(&self.pool);
        self.steps.push(Step::Migrate { hva, pfn });
    }

    /// Draws an `age`, a `clean` or a `write-protect` of a guest page.
    pub(crate) fn flags(&mut self, dice: &mut Dice<'_>) {
        let hva = self.hva(dice);
        self.steps.push(match dice.below(3) {
            0 => Step::Age { hva },
            1 => Step::Clean { hva },
            _ => Step::WriteProtect { hva },
        });
    }

    /// Draws a guest page: mostly one of `mapped`; in 4 of 100 cases (if the swarm makes mistakes), and if `mapped` is
    /// empty, one of `holes`. If both are empty, gfn 0.
    fn guest_page(&self, dice: &mut Dice<'_>) -> GuestPage {
        let hole = self.mapped.is_empty() || (self.swarm.wrong > 0 && dice.percent(4));
        match dice.pick_from(if hole { &self.holes } else { &self.mapped }) {
            Some(page) => page,
            None => dice.pick_from(&self.mapped).unwrap_or(GuestPage { gfn: 0, hva: contract::Hva(0x7f00_0000_0000) }),
        }
    }

    fn hva(&self, dice: &mut Dice<'_>) -> contract::Hva {
        self.guest_page(dice).hva
    }

    /// Draws a probe (lookup, `get_page_unless_zero` or `put_page_unless_one`), mostly of a page that exists.
    pub(crate) fn probe(&mut self, dice: &mut Dice<'_>) {
        let pfn = match dice.below(8) {
            0 => {
                // A page that may not exist, or a pfn at or past the limit.
                let near = self.outside(dice);
                let limit = self.swarm.page_shift.pfn_limit();
                Pfn(dice.pick(&[near, near, limit - 1, limit, u64::MAX, u64::MAX >> 6]))
            }
            _ => dice.pick(&self.pool),
        };
        self.steps.push(match dice.below(3) {
            0 => Step::Lookup { pfn },
            1 => Step::GetPage { pfn },
            _ => Step::PutPage { pfn },
        });
    }

    /// Draws the pfn of a page that does not exist when the program starts: in an absent section or past the memory,
    /// often the first.
    fn outside(&self, dice: &mut Dice<'_>) -> u64 {
        let per_section = self.swarm.page_shift.pages_per_section();
        let first = match &self.machine.memory {
            MemoryModel::Flatmem { pages, .. } => *pages,
            MemoryModel::SparsememVmemmap { sections, .. } => {
                let past = sections.last().map_or(0, |last| last + 1);
                let absent = dice.pick_from(&self.absent_sections).unwrap_or(past);
                dice.pick(&[absent, past]) * per_section
            }
        };
        let inside = dice.below(per_section);
        first + dice.pick(&[0, 1, inside])
    }

    /// Draws an `unmap`, a `map`, or both, for the hva of one guest page.
    pub(crate) fn mapping(&mut self, dice: &mut Dice<'_>) {
        let hva = self.hva(dice);
        if dice.percent(50) {
            self.steps.push(Step::Unmap { hva });
            if dice.percent(50) {
                return;
            }
        }
        let perfect = |dice: &mut Dice<'_>| !self.swarm.imperfect || !dice.percent(20);
        let (writable, dirty, young) = (perfect(dice), perfect(dice), perfect(dice));
        let pfn = dice.pick(&self.pool);
        let pte = if self.swarm.absent && dice.percent(30) {
            Pte::Absent { pfn }
        } else {
            match dice.pick_from(&self.groups).filter(|_| dice.percent(30)) {
                Some(group) => Pte::Huge { pfn: group.pfn, order: group.order, writable, dirty, young },
                None => Pte::Present { pfn, writable, dirty, young },
            }
        };
        self.steps.push(Step::Map { hva, pte });
    }

    /// Draws a `make-compound` or a `split-compound` of one of `groups`; nothing if there are no groups.
    pub(crate) fn compound(&mut self, dice: &mut Dice<'_>) {
        if let Some(group) = dice.pick_from(&self.groups) {
            self.steps.push(match dice.below(2) {
                0 => Step::MakeCompound(group),
                _ => Step::SplitCompound { pfn: group.pfn },
            });
        }
    }

    /// Draws a `hot-add` or a `hot-remove` of one of `absent_sections`, and, if voters allow probes, a lookup of a page
    /// in that section. A `hot-add` also puts that page into the pool. Draws nothing if `absent_sections` is empty.
    pub(crate) fn hotplug(&mut self, dice: &mut Dice<'_>) {
        let Some(section) = dice.pick_from(&self.absent_sections) else { return };
        let per_section = self.swarm.page_shift.pages_per_section();
        let pfn = if dice.percent(60) {
            let bytes = per_section * self.swarm.struct_page;
            let size = 1u64 << self.swarm.block_shift;
            let count = bytes / size + 2;
            let mut blocks = Vec::new();
            if dice.percent(50) {
                blocks.push(AddrRun { at: self.places.take(size, size, dice), count: 1 });
            }
            blocks.push(AddrRun { at: self.places.take(count * size, size, dice), count });
            self.steps.push(Step::HotAdd { section, blocks });
            let pfn = Pfn(section * per_section + dice.below(per_section));
            self.pool.push(pfn);
            pfn
        } else {
            self.steps.push(Step::HotRemove { section });
            Pfn(section * per_section + dice.below(per_section))
        };
        if self.swarm.allowed.contains(Features::PROBES) {
            self.steps.push(Step::Lookup { pfn });
        }
    }

    /// Draws a `slot` step for a slot of the machine: deletes it, sets its size to at most 16 pages, or points it at
    /// the memory of a random slot. Draws nothing if the machine has no slots.
    pub(crate) fn slot(&mut self, dice: &mut Dice<'_>) {
        let Some(slot) = dice.pick_from(&self.machine.slots) else { return };
        let other = dice.pick_from(&self.machine.slots).unwrap_or(slot);
        self.steps.push(Step::Slot(match dice.below(3) {
            0 => SlotSpec { pages: 0, ..slot },
            1 => SlotSpec { hva: other.hva, ..slot },
            _ => SlotSpec { pages: dice.between(1, slot.pages.min(16)), ..slot },
        }));
    }

    /// Draws three or more steps on a pinned window: a call whose TCEs name a page, an `unmap` of that page, and a call
    /// that may drop its last reference. Draws nothing if no pinned window is open. Draws fewer steps, or none, if a
    /// list is needed and `mapped` is empty.
    pub(crate) fn last_reference(&mut self, dice: &mut Dice<'_>) {
        let pinned: Vec<WindowSpec> =
            self.windows.iter().copied().filter(|window| window.backing != Backing::Emulated).collect();
        let Some(window) = dice.pick_from(&pinned) else { return };
        let range = self.range(&window, true, dice);
        let count = if self.swarm.dialect == Dialect::Kvm { range.count.min(MAX_TCES_PER_CALL) } else { range.count };
        let page = self.guest_page(dice);
        let tce =
            page.gfn << self.swarm.page_shift.bits() >> window.page_shift << window.page_shift | dice.pick(&[3, 3, 1]);
        let call = |call| Step::Hypercall { vcpu: 0, call };
        if self.swarm.dialect == Dialect::Kvm && count > 1 {
            let Some(list) = dice.pick_from(&self.mapped) else { return };
            let list = list.gfn << self.swarm.page_shift.bits();
            self.steps.push(Step::Write { gpa: Gpa(list), words: vec![WordRun { value: tce, stride: 0, count }] });
            self.steps.push(call(Hypercall::indirect(range.liobn, range.ioba, list, count)));
        } else if count > 1 {
            self.steps.push(call(Hypercall::stuff(range.liobn, range.ioba, tce, count)));
        } else {
            self.steps.push(call(Hypercall::put(range.liobn, range.ioba, tce)));
        }
        self.steps.push(Step::Unmap { hva: page.hva });
        let other = self.tce(window.page_shift, dice);
        let last = count - 1;
        let release = match dice.below(5) {
            0 => Hypercall::put(range.liobn, range.ioba, other),
            // One entry is left, which still names the page.
            1 if last > 0 => Hypercall::stuff(range.liobn, range.ioba, 0, last),
            2 => {
                let Some(list) = dice.pick_from(&self.mapped) else { return };
                let list = list.gfn << self.swarm.page_shift.bits();
                let mut words = vec![WordRun { value: 0, stride: 0, count }];
                if last > 0 {
                    words = vec![
                        WordRun { value: other, stride: 0, count: last },
                        WordRun { value: 0, stride: 0, count: 1 },
                    ];
                }
                self.steps.push(Step::Write { gpa: Gpa(list), words });
                Hypercall::indirect(range.liobn, range.ioba, list, count)
            }
            3 if self.swarm.dialect != Dialect::Kvm => Hypercall::stuff(range.liobn, range.ioba, other, count),
            _ => Hypercall::stuff(range.liobn, range.ioba, 0, count),
        };
        self.steps.push(call(release));
    }

    /// Draws a `create-window` or a `close-window`. Draws nothing if the limits of voters allow none.
    pub(crate) fn window(&mut self, dice: &mut Dice<'_>) {
        if !self.swarm.allowed.contains(Features::WINDOW_STEPS) {
            return;
        }
        let close = if !dice.percent(50) {
            None
        } else if let Some(choice) = &self.swarm.choice {
            dice.pick_from(&choice.closable(&self.windows))
        } else {
            dice.pick_from(&self.windows)
        };
        if let Some(window) = close {
            self.windows.retain(|other| other.liobn != window.liobn);
            self.closed.push(window);
            self.steps.push(Step::CloseWindow { liobn: window.liobn });
            return;
        }
        let window = match &self.swarm.choice {
            Some(choice) => match dice.pick_from(&choice.creatable(&self.windows)) {
                Some(window) => placed(&window, &mut self.places, dice),
                None => return,
            },
            None => window(self.swarm, &self.windows, &mut self.places, dice),
        };
        self.windows.push(window);
        self.steps.push(Step::CreateWindow(window));
    }

    /// Draws a hypercall on an open window, with the steps that belong to it. If no window is open, draws what
    /// [`window`](Self::window) draws.
    pub(crate) fn hypercall(&mut self, dice: &mut Dice<'_>) {
        let wrong = dice.percent(self.swarm.wrong);
        let vcpu = if dice.percent(70) { 0 } else { dice.below(4) as u8 };
        let Some(window) = dice.pick_from(&self.windows) else {
            self.window(dice);
            return;
        };
        let kind = dice.weighted(&[40, 12, 20, 28]);
        self.call(&window, kind, wrong, vcpu, dice);
    }

    /// Draws a hypercall on a range of the window's entries, and for H_PUT_TCE_INDIRECT its list. `kind` is 0 for
    /// H_PUT_TCE, 1 for H_GET_TCE, 2 for H_STUFF_TCE, 3 for H_PUT_TCE_INDIRECT. If `wrong`, the call gets one or two
    /// mistakes.
    pub(crate) fn call(&mut self, window: &WindowSpec, kind: usize, wrong: bool, vcpu: u8, dice: &mut Dice<'_>) {
        let mut range = self.range(window, kind >= 2, dice);
        let call = match kind {
            0 => Hypercall::put(range.liobn, range.ioba, self.tce(range.page_shift, dice)),
            1 => Hypercall::get(range.liobn, range.ioba),
            2 => {
                let permissions = self.swarm.dialect != Dialect::Kvm && dice.percent(50);
                let tce = if permissions { self.tce(range.page_shift, dice) } else { dice.pick(&[0, 0, 0x1000, !3]) };
                Hypercall::stuff(range.liobn, range.ioba, tce, range.count)
            }
            _ => {
                range.count = range.count.min(MAX_TCES_PER_CALL);
                let list = self.list(&range, dice);
                Hypercall::indirect(range.liobn, range.ioba, list, range.count)
            }
        };
        let mut call = if wrong { self.spoil(call, window, dice) } else { call };
        // Two mistakes test the order of checks: which of them decides (docs/semantics.md, section 4).
        if wrong && dice.percent(20) {
            call = self.spoil(call, window, dice);
        }
        self.steps.push(Step::Hypercall { vcpu, call });
    }

    /// Draws a range of the window's entries: one entry, or several if `many`. The range lies inside the window.
    fn range(&self, window: &WindowSpec, many: bool, dice: &mut Dice<'_>) -> Range {
        let first = match dice.below(5) {
            0 => 0,
            1 => window.entries - 1,
            _ => dice.below(window.entries.min(8)),
        };
        let room = window.entries - first;
        let limit = if self.swarm.dialect == Dialect::Lopapr { room.min(MAX_TCES_PER_CALL) } else { room };
        let count = match dice.below(8) {
            _ if !many => 1,
            0 => 1,
            1 if self.swarm.long || limit <= 16 => limit,
            2 if self.swarm.long => limit.min(MAX_TCES_PER_CALL),
            _ => dice.between(1, limit.min(6)),
        };
        // In dialect `qemu` the base may be unaligned. The call rounds the IOBA down, so the entry's own address would
        // name the entry before it.
        let page = window.page();
        let ioba = window.base.next_multiple_of(page).wrapping_add(first << window.page_shift);
        Range { liobn: window.liobn.0, ioba, count, page_shift: window.page_shift }
    }

    /// Draws a TCE for a window with pages of 2^`page_shift` bytes: in 18 of 100 cases a fault TCE, else one with
    /// permissions for a guest page.
    fn tce(&self, page_shift: u32, dice: &mut Dice<'_>) -> u64 {
        if dice.percent(18) {
            return dice.pick(&[0, 0, 0x1000, 0x5a5a_0000, !3]);
        }
        self.mapping_tce(page_shift, dice)
    }

    /// Draws a TCE with permissions that names a guest page, for a window with pages of 2^`page_shift` bytes.
    fn mapping_tce(&self, page_shift: u32, dice: &mut Dice<'_>) -> u64 {
        let page = self.guest_page(dice);
        let host = self.swarm.page_shift.bits();
        let gpa = page.gfn << host;
        let within = if page_shift < host { dice.below(1 << (host - page_shift)) << page_shift } else { 0 };
        let address = (gpa >> page_shift << page_shift) | within;
        address | dice.pick(&[3, 3, 1, 2])
    }

    /// Draws a list of TCEs for the range, and the `write` step that stores it, and returns its guest address. In about
    /// 15 of 100 cases it returns the list drawn last again, if that is long enough; in 3 of 100 it draws no `write`
    /// step, and the list holds whatever lies there.
    fn list(&mut self, range: &Range, dice: &mut Dice<'_>) -> u64 {
        if let Some((gpa, words)) = self.list
            && words >= range.count
            && dice.percent(15)
        {
            return gpa;
        }
        let page = self.guest_page(dice);
        let host = self.swarm.page_shift;
        let gpa = (page.gfn << host.bits()) + (dice.below(host.bytes() / LIST_BYTES) * LIST_BYTES);
        let words = self.words(range, dice);
        if dice.percent(97) {
            self.steps.push(Step::Write { gpa: Gpa(gpa), words });
        }
        self.list = Some((gpa, range.count));
        gpa
    }

    /// Draws the words of a list: as many TCEs as the range has entries, at least one.
    fn words(&self, range: &Range, dice: &mut Dice<'_>) -> Vec<WordRun> {
        let mut words = Vec::new();
        let mut left = range.count.max(1);
        // A long list is one or two runs, with a single word between them or at the end.
        if left > 8 {
            let special = WordRun { value: self.mapping_tce(range.page_shift, dice), stride: 0, count: 1 };
            let at = dice.pick(&[left - 1, left - 1, 400.min(left - 1), 1]);
            for count in [at, left - 1 - at] {
                if count > 0 {
                    let stride = if dice.percent(30) { 1 << range.page_shift } else { 0 };
                    words.push(WordRun { value: self.tce(range.page_shift, dice), stride, count });
                }
                if words.len() < 2 {
                    words.push(special);
                }
            }
            return words;
        }
        while left > 0 {
            let count = if dice.percent(30) { dice.between(1, left) } else { 1 };
            words.push(WordRun { value: self.tce(range.page_shift, dice), stride: 0, count });
            left -= count;
        }
        words
    }

    /// Returns the call with one mistake, or with one argument at an edge of its range. It may add a `write` step that
    /// changes the call's list.
    fn spoil(&mut self, mut call: Hypercall, window: &WindowSpec, dice: &mut Dice<'_>) -> Hypercall {
        let page = window.page();
        let end = window.base.wrapping_add(window.entries << window.page_shift);
        match dice.below(10) {
            0 => {
                let closed = dice.pick_from(&self.closed);
                let liobn = closed.map_or(0x1234, |window| window.liobn.0);
                call.args[0] = dice.pick(&[liobn, liobn, call.args[0] | 1 << 40, u64::MAX, call.args[0] ^ 1]);
                if let Some(window) = closed.filter(|window| window.liobn.0 == call.args[0]) {
                    // An entry of the closed window: a subject that still knew the window would answer.
                    call.args[1] = window.base;
                }
            }
            1 => call.args[1] |= dice.pick(&[1, 8, page >> 1, page - 1]),
            2 | 3 => {
                call.args[1] = dice.pick(&[
                    end,
                    end.wrapping_sub(page),
                    window.base.wrapping_sub(page),
                    1 << 63,
                    0u64.wrapping_sub(page),
                    end,
                ])
            }
            4 | 5 => {
                // Counts at an edge, and ranges that cross the end of the window.
                let room = end.wrapping_sub(call.args[1]) >> window.page_shift;
                call.args[3] = dice.pick(&[
                    0,
                    0,
                    511,
                    512,
                    513,
                    room.wrapping_add(1),
                    window.entries,
                    window.entries + 1,
                    1 << 52,
                    u64::MAX,
                    u64::MAX >> window.page_shift,
                ]);
            }
            6 | 7 => self.spoil_tce(&mut call, window, dice),
            8 => {
                if call.opcode == contract::hcall::H_PUT_TCE_INDIRECT {
                    let hole = dice.pick_from(&self.holes).map_or(0, |page| page.gfn << self.swarm.page_shift.bits());
                    let list = call.args[2];
                    call.args[2] = dice.pick(&[list + 8, list + 0x800, hole, hole, 1 << 60, !0xfff]);
                    call.args[3] = dice.pick(&[call.args[3], call.args[3], 0]);
                } else {
                    self.spoil_tce(&mut call, window, dice);
                }
            }
            _ => call.opcode = dice.pick(&[0, 0x24, call.opcode | 1, call.opcode | 1 << 32, u64::MAX, 0xe0]),
        }
        call
    }

    /// Puts a TCE with a mistake or at an edge of guest memory into the call's r6, or, for H_PUT_TCE_INDIRECT, adds a
    /// `write` step that puts it into the call's list.
    fn spoil_tce(&mut self, call: &mut Hypercall, window: &WindowSpec, dice: &mut Dice<'_>) {
        let good = self.mapping_tce(window.page_shift, dice);
        let last = dice.pick_from(&self.machine.slots).map_or(0, |slot| slot.gfn.0 + slot.pages);
        let past = last.wrapping_shl(self.swarm.page_shift.bits());
        let bad = dice.pick(&[
            good | 4,
            good | 0x800,
            good | window.page() >> 1,
            past | 3,
            past.wrapping_sub(window.page()) | 3,
            0xffff_ffff_ffff_f003,
            1 << 60 | 1,
            past.wrapping_sub(4096) | 2,
        ]);
        // H_PUT_TCE and H_STUFF_TCE have the TCE in r6, H_PUT_TCE_INDIRECT has it in its list.
        if call.opcode == contract::hcall::H_PUT_TCE_INDIRECT {
            let at = call.args[2].wrapping_add(8 * dice.below(call.args[3].min(MAX_TCES_PER_CALL)));
            self.steps.push(Step::Write { gpa: Gpa(at), words: vec![WordRun { value: bad, stride: 0, count: 1 }] });
        } else {
            call.args[2] = bad;
        }
    }
}
