//! The features that one program uses: each run switches some on and the others off.

use std::sync::Arc;

use contract::{Dialect, PageShift, WindowSpec};

use super::Limits;
use super::dice::Dice;

/// See the module's text.
pub(crate) struct Swarm {
    pub(crate) dialect: Dialect,
    pub(crate) page_shift: PageShift,
    pub(crate) struct_page: u64,
    pub(crate) flatmem: bool,
    pub(crate) block_shift: u32,
    /// Pinned windows, as far as the dialect has them.
    pub(crate) pinned: bool,
    pub(crate) emulated: bool,
    pub(crate) compound: bool,
    /// Page-table entries that are absent, or missing.
    pub(crate) absent: bool,
    /// Page-table entries that are read-only, not young, or not dirty.
    pub(crate) imperfect: bool,
    /// Pages of whom the host itself holds references, or with odd counts.
    pub(crate) own: bool,
    pub(crate) hotplug: bool,
    pub(crate) migrate: bool,
    pub(crate) slots: bool,
    pub(crate) windows: bool,
    pub(crate) probes: bool,
    /// Calls of hundreds of entries.
    pub(crate) long: bool,
    /// Struct pages that straddle blocks, pages at the edges of sections.
    pub(crate) edges: bool,
    /// Percent of hypercalls with something wrong on purpose.
    pub(crate) wrong: u64,
    /// How many steps to draw.
    pub(crate) steps: u64,
    /// Where the program must stay within a voter's limits.
    pub(crate) limited: Option<Limited>,
}

/// A voter's limits, and the windows that they allow this program.
pub(crate) struct Limited {
    pub(crate) limits: Arc<dyn Limits>,
    pub(crate) windows: Vec<WindowSpec>,
}

impl Swarm {
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

    /// Keeps to a voter's limits. Tables and registers are exercised; what such a voter does not show (pages and their
    /// references) is left out.
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
        // Closing and creating windows costs such a voter as much as hundreds of hypercalls.
        self.windows = dice.percent(3);
        self.wrong = dice.pick(&[20, 10, 40, 5]);
        // The whole of every table is read back at the end, so it is worth doing something before.
        self.steps = dice.pick(&[1024, 512, 256, 1536]);
    }
}
