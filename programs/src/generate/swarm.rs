//! The swarm: the features that one program uses. Each program switches some on and the others off.

use std::sync::Arc;

use contract::{Dialect, PageShift, WindowSpec};

use super::Limits;
use super::dice::Dice;

/// The features of one program, and the values that its machine and steps share.
pub(crate) struct Swarm {
    pub(crate) dialect: Dialect,
    /// PAGE_SHIFT of the host.
    pub(crate) page_shift: PageShift,
    /// Size of a struct page in bytes: 56, 64, 72 or 80.
    pub(crate) struct_page: u64,
    /// Flatmem; else sparsemem-vmemmap.
    pub(crate) flatmem: bool,
    /// log2 of the size of a vmemmap block in bytes: 12, 16, 21 or 24.
    pub(crate) block_shift: u32,
    /// Pinned windows. Dialect `qemu` has none.
    pub(crate) pinned: bool,
    /// Emulated windows.
    pub(crate) emulated: bool,
    /// Compound pages, and steps that make and split them.
    pub(crate) compound: bool,
    /// Absent page-table entries, and holes.
    pub(crate) absent: bool,
    /// Page-table entries that are read-only, not young, or not dirty.
    pub(crate) imperfect: bool,
    /// Pages with own references, unnamed pages with any count, and `take` and `drop` steps.
    pub(crate) own: bool,
    /// Steps that hot-add and hot-remove sections.
    pub(crate) hotplug: bool,
    /// Steps that migrate pages.
    pub(crate) migrate: bool,
    /// Steps that change memory slots.
    pub(crate) slots: bool,
    /// Steps that create and close windows.
    pub(crate) windows: bool,
    /// Lookups and conditional references as steps of their own.
    pub(crate) probes: bool,
    /// Calls with hundreds of entries, and windows that are large enough for them.
    pub(crate) long: bool,
    /// Split struct pages, and pages at the edges of sections.
    pub(crate) edges: bool,
    /// Percentage of hypercalls with a deliberate mistake.
    pub(crate) wrong: u64,
    /// Limit of the draws of steps; at least half as many are made. One draw can add several steps.
    pub(crate) steps: u64,
    /// The voter's limits that the program must keep to; `None` for any program.
    pub(crate) limited: Option<Limited>,
}

/// A voter's limits, and the windows that they allow for this program.
pub(crate) struct Limited {
    pub(crate) limits: Arc<dyn Limits>,
    pub(crate) windows: Vec<WindowSpec>,
}

impl Swarm {
    /// Draws the features of a program; its dialect too, if `dialect` is `None`.
    pub(crate) fn draw(dialect: Option<Dialect>, dice: &mut Dice<'_>) -> Self {
        let dialect = match dialect {
            Some(dialect) => dialect,
            None => [Dialect::Lopapr, Dialect::Kvm, Dialect::Qemu][dice.weighted(&[6, 3, 1])],
        };
        let pinned = dialect != Dialect::Qemu && dice.percent(80);
        let flatmem = dice.percent(25);
        let edges = dice.percent(40);
        Self {
            dialect,
            page_shift: dice.pick(&[PageShift::Shift16, PageShift::Shift12]),
            struct_page: if edges { dice.pick(&[56, 56, 72, 80, 64]) } else { dice.pick(&[64, 64, 64, 56, 72, 80]) },
            flatmem,
            block_shift: [16, 24, 21, 12][dice.weighted(&[4, 3, 2, 2])],
            pinned,
            emulated: !pinned || dice.percent(35),
            compound: dice.percent(30),
            absent: dice.percent(40),
            imperfect: dice.percent(40),
            own: dice.percent(50),
            hotplug: !flatmem && dice.percent(25),
            migrate: dice.percent(25),
            slots: dice.percent(20),
            windows: dice.percent(25),
            probes: dice.percent(30),
            long: dice.percent(6),
            edges,
            wrong: dice.pick(&[10, 0, 5, 20, 40]),
            steps: dice.pick(&[24, 8, 16, 32, 48]),
            limited: None,
        }
    }

    /// Restricts the swarm to a voter's limits: registers and tables are exercised. Pages and their references are left
    /// out, because such a voter does not show them.
    pub(crate) fn limit(&mut self, limited: Limited, dice: &mut Dice<'_>) {
        self.limited = Some(limited);
        self.flatmem = true;
        self.pinned = false;
        self.emulated = true;
        for feature in [
            &mut self.compound,
            &mut self.imperfect,
            &mut self.own,
            &mut self.hotplug,
            &mut self.migrate,
            &mut self.probes,
            &mut self.edges,
        ] {
            *feature = false;
        }
        self.slots = dice.percent(5);
        // Rare, because closing or creating a window takes such a voter as long as hundreds of hypercalls.
        self.windows = dice.percent(3);
        self.wrong = dice.pick(&[20, 10, 40, 5]);
        // Many steps, because every table is read back whole at the end, which takes long.
        self.steps = dice.pick(&[1024, 512, 256, 1536]);
    }
}
