//! The swarm: the features that one program uses. Each program switches some on and the others off.

use std::sync::Arc;

use contract::{Dialect, PageShift, WindowSpec};

use super::Limits;
use super::dice::Dice;

/// The features of one program, and the values that its machine and steps share.
pub(crate) struct Swarm {
    pub(crate) dialect: Dialect,
    /// PAGE_SHIFT of the host: 12 or 16.
    pub(crate) page_shift: PageShift,
    /// Size of a struct page in bytes: 56, 64, 72 or 80.
    pub(crate) struct_page: u64,
    /// Whether the memory model is flatmem; else it is sparsemem-vmemmap.
    pub(crate) flatmem: bool,
    /// log2 of the size of a vmemmap block in bytes: 12, 16, 21 or 24.
    pub(crate) block_shift: u32,
    /// Whether windows may be pinned. Always false in dialect `qemu`.
    pub(crate) pinned: bool,
    /// Whether windows may be emulated.
    pub(crate) emulated: bool,
    /// Whether there are compound pages, and steps that make and split them.
    pub(crate) compound: bool,
    /// Whether some page-table entries are absent, and some guest pages holes.
    pub(crate) absent: bool,
    /// Whether some page-table entries are read-only, not young, or not dirty, and steps clear these flags.
    pub(crate) imperfect: bool,
    /// Whether some pages start with own references (a page that no page-table entry names: any count) or the flag
    /// DIRTY, and steps `take` and `drop` own references.
    pub(crate) own: bool,
    /// Whether steps hot-add and hot-remove sections. Always false for flatmem.
    pub(crate) hotplug: bool,
    /// Whether steps migrate pages.
    pub(crate) migrate: bool,
    /// Whether steps change memory slots.
    pub(crate) slots: bool,
    /// Whether steps create and close windows.
    pub(crate) windows: bool,
    /// Whether there are probe steps: lookups and conditional references. A hot-plug step brings a lookup in any case.
    pub(crate) probes: bool,
    /// Whether there are calls with hundreds of entries, and windows that are large enough for them.
    pub(crate) long: bool,
    /// Whether the pages that steps name include some with split struct pages and some at the edges of sections.
    pub(crate) edges: bool,
    /// How many of 100 hypercalls get a deliberate mistake.
    pub(crate) wrong: u64,
    /// Number of draws of steps: a random number from half of this to this. One draw can add several steps.
    pub(crate) steps: u64,
    /// The limits of a voter, to which the program must keep; `None` if there are no limits.
    pub(crate) limited: Option<Limited>,
}

/// The limits of a voter, and the windows that these limits allow for this program.
pub(crate) struct Limited {
    pub(crate) limits: Arc<dyn Limits>,
    pub(crate) windows: Vec<WindowSpec>,
}

impl Swarm {
    /// Draws the features of a program, and its dialect if `dialect` is `None`.
    pub(crate) fn draw(dialect: Option<Dialect>, dice: &mut Dice<'_>) -> Self {
        let dialect = match dialect {
            Some(dialect) => dialect,
            None => [Dialect::Lopapr, Dialect::Kvm, Dialect::Qemu][dice.weighted(&[6, 3, 1])],
        };
        let pinned = dialect.has_pinned_windows() && dice.percent(80);
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

    /// Restricts the swarm to the limits of a voter, which shows only registers and tables of emulated windows. Sets
    /// flatmem, and switches off hot-plug, probes and the features of pages (all but `absent`). Draws anew, with other
    /// probabilities, whether steps change slots and windows, how often calls are wrong, and the number of steps.
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
