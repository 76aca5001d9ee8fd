//! The swarm: the features that one program uses. Each program switches some on and the others off.

use std::sync::Arc;

use contract::{Dialect, PageShift, WindowSpec};

use super::dice::Dice;
use super::limits::{Features, Limits, WindowLimits};

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
    /// Whether there are probe steps: lookups and conditional references. A hot-plug step brings a lookup in any
    /// case, unless the limits of voters exclude probes.
    pub(crate) probes: bool,
    /// Whether there are calls with hundreds of entries, and windows that are large enough for them.
    pub(crate) long: bool,
    /// Whether the pages that steps name include some with split struct pages and some at the edges of sections.
    pub(crate) edges: bool,
    /// How many of 100 hypercalls get a deliberate mistake.
    pub(crate) wrong: u64,
    /// Number of draws of steps: a random number from half of this to this. One draw can add several steps.
    pub(crate) steps: u64,
    /// What the limits of voters allow, whether this program uses it or not.
    pub(crate) allowed: Features,
    /// All guest memory lies below this gfn.
    pub(crate) gfns: u64,
    /// Largest number of pages of a memory slot.
    pub(crate) slot_pages: u64,
    /// The only windows that the program may have; `None` if there is no such limit.
    pub(crate) choice: Option<Choice>,
}

/// The windows that a program may have, and the voters that limit which of them can be closed and created when.
pub(crate) struct Choice {
    pub(crate) windows: Vec<WindowSpec>,
    limits: Vec<Arc<dyn WindowLimits>>,
}

impl Choice {
    /// Returns the windows among `open` that every voter can close now.
    pub(crate) fn closable(&self, open: &[WindowSpec]) -> Vec<WindowSpec> {
        common(open, self.limits.iter().map(|limits| limits.closable(open)))
    }

    /// Returns the windows of the choice that every voter can create while the windows `open` are open.
    pub(crate) fn creatable(&self, open: &[WindowSpec]) -> Vec<WindowSpec> {
        common(&self.windows, self.limits.iter().map(|limits| limits.creatable(&self.windows, open)))
    }
}

/// Returns the windows of `all` that are in each list, in the order of `all`.
fn common(all: &[WindowSpec], lists: impl Iterator<Item = Vec<WindowSpec>>) -> Vec<WindowSpec> {
    lists.fold(all.to_vec(), |mut common, list| {
        common.retain(|window| list.contains(window));
        common
    })
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
            allowed: Features::ALL,
            gfns: u64::MAX,
            slot_pages: u64::MAX,
            choice: None,
        }
    }

    /// Restricts the swarm of program number `index` of the campaign `seed` to the limits: switches off what they do
    /// not allow. If something is slow for a voter, draws anew, with other probabilities, whether steps change windows
    /// and slots, how often calls are wrong, and the number of steps.
    pub(crate) fn limit(&mut self, limits: &Limits, seed: u64, index: u64, dice: &mut Dice<'_>) {
        let has = |feature| limits.features.contains(feature);
        self.allowed = limits.features;
        self.gfns = limits.gfns;
        self.slot_pages = limits.slot_pages;
        // The limits allow at least one of each pair; see `Limits::check`.
        self.flatmem = if self.flatmem { has(Features::FLATMEM) } else { !has(Features::SPARSEMEM) };
        self.page_shift = match self.page_shift {
            PageShift::Shift16 if !has(Features::PAGES_64K) => PageShift::Shift12,
            PageShift::Shift12 if !has(Features::PAGES_4K) => PageShift::Shift16,
            drawn => drawn,
        };
        self.emulated = has(Features::EMULATED) && (self.emulated || !has(Features::PINNED));
        self.pinned = self.dialect.has_pinned_windows() && has(Features::PINNED) && (self.pinned || !self.emulated);
        for (feature, allowed) in [
            (&mut self.compound, has(Features::COMPOUND)),
            (&mut self.absent, has(Features::ABSENT)),
            (&mut self.imperfect, has(Features::FLAGS)),
            (&mut self.own, has(Features::OWN)),
            (&mut self.hotplug, has(Features::HOT_PLUG) && !self.flatmem),
            (&mut self.migrate, has(Features::MIGRATE)),
            (&mut self.slots, has(Features::SLOT_STEPS)),
            (&mut self.windows, has(Features::WINDOW_STEPS)),
            (&mut self.probes, has(Features::PROBES)),
        ] {
            *feature &= allowed;
        }
        if limits.slow_ends {
            // Rare, because few TCEs of a long program would name guest memory after a slot is gone.
            self.slots = dice.percent(5) && has(Features::SLOT_STEPS);
        }
        if limits.slow_windows {
            self.windows = dice.percent(3) && has(Features::WINDOW_STEPS);
        }
        if limits.slow_ends {
            self.wrong = dice.pick(&[20, 10, 40, 5]);
            self.steps = dice.pick(&[1024, 512, 256, 1536]);
        }
        let windows = limits.windows(self.dialect, seed, index);
        self.choice = windows.map(|windows| Choice { windows, limits: limits.windows.clone() });
    }
}
