//! Limits: which programs the voters of a campaign can run, as data. The generator keeps to them and knows nothing else
//! about voters.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use contract::{Backing, Dialect, WindowSpec};

/// What programs may have, as a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Features(u16);

impl Features {
    /// Memory model flatmem.
    pub const FLATMEM: Self = Self(1);
    /// Memory model sparsemem-vmemmap.
    pub const SPARSEMEM: Self = Self(1 << 1);
    /// Host pages of 4 KiB.
    pub const PAGES_4K: Self = Self(1 << 2);
    /// Host pages of 64 KiB.
    pub const PAGES_64K: Self = Self(1 << 3);
    /// Emulated windows.
    pub const EMULATED: Self = Self(1 << 4);
    /// Pinned windows, in dialects that have them.
    pub const PINNED: Self = Self(1 << 5);
    /// Compound pages, and steps that make and split them.
    pub const COMPOUND: Self = Self(1 << 6);
    /// Absent page-table entries. Holes are no feature: `unmap` steps make them in every program.
    pub const ABSENT: Self = Self(1 << 7);
    /// Page-table entries that are read-only, not young or not dirty, and steps that clear these flags.
    pub const FLAGS: Self = Self(1 << 8);
    /// Own references and the flag DIRTY of pages, and steps that take and drop own references.
    pub const OWN: Self = Self(1 << 9);
    /// Steps that hot-add and hot-remove sections, on sparsemem-vmemmap.
    pub const HOT_PLUG: Self = Self(1 << 10);
    /// Steps that migrate pages.
    pub const MIGRATE: Self = Self(1 << 11);
    /// Steps that change memory slots.
    pub const SLOT_STEPS: Self = Self(1 << 12);
    /// Steps that create and close windows.
    pub const WINDOW_STEPS: Self = Self(1 << 13);
    /// Probe steps: lookups and conditional references.
    pub const PROBES: Self = Self(1 << 14);
    /// Every feature.
    pub const ALL: Self = Self((1 << 15) - 1);

    /// Returns the features that are in `self` or in `other`.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the features that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the features of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns whether this set has every feature of `other`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether this set has the backing of the window.
    const fn has_backing(self, window: &WindowSpec) -> bool {
        self.contains(match window.backing {
            Backing::Emulated => Self::EMULATED,
            Backing::Pinned { .. } => Self::PINNED,
        })
    }
}

/// The DMA windows of a voter that can have only some, such as a live QEMU.
pub trait WindowLimits: fmt::Debug + Send + Sync {
    /// Returns windows for the machine of program number `index` of the campaign `seed`. The voter can have these
    /// windows together, and those that remain if any of them are left out. A valid machine in `dialect`, with host
    /// pages of any size, may have them together. The generator sets the addresses of their tables.
    fn windows(&self, dialect: Dialect, seed: u64, index: u64) -> Vec<WindowSpec>;

    /// Returns how many programs in a row, by their numbers, get the same windows. More than 1 if it is slow to have
    /// other windows in the next program, because that needs a boot.
    fn shared_by(&self) -> u64 {
        1
    }

    /// Returns whether the voter can have these windows together in one machine. If so, it can also have those that
    /// remain if any of them are left out. The addresses of the tables do not count.
    fn accepts(&self, windows: &[WindowSpec]) -> bool;

    /// Returns the windows among `open` (the windows that are open at this step) that the voter can close now.
    fn closable(&self, open: &[WindowSpec]) -> Vec<WindowSpec>;

    /// Returns the windows among `machine` (windows that the voter [accepts](Self::accepts) together) that the voter
    /// can create while the windows `open` are open.
    fn creatable(&self, machine: &[WindowSpec], open: &[WindowSpec]) -> Vec<WindowSpec>;
}

/// Which programs the voters of a campaign can run, and which they run fast. Drawn programs keep to the limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What programs may have.
    pub features: Features,
    /// All guest memory lies below this gfn. Lists lie in guest memory, apart from deliberate mistakes: those name a
    /// hole in guest memory, gpa 2^60 or the last 4 KiB below 2^64.
    pub gfns: u64,
    /// Largest number of pages of a memory slot.
    pub slot_pages: u64,
    /// Whether it takes a voter as long to create or close a window as hundreds of hypercalls take. Few programs then
    /// have such steps.
    pub slow_windows: bool,
    /// Whether it takes a voter long to end a program, for example because every table is read back whole. Programs
    /// then have hundreds of steps, and few of them change memory slots.
    pub slow_ends: bool,
    /// The limits of windows. Programs keep to all of them, in whatever order they stand. Empty if programs may have
    /// any windows of their dialect.
    pub windows: Vec<Arc<dyn WindowLimits>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::NONE
    }
}

/// Multiplied by the number of a draw (0 for the first), the distance of the draw's seed from the campaign's seed: 2^64
/// divided by the golden ratio, so that no campaign with a seed nearby draws the same windows.
const SEED_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Limits {
    /// No limits: voters can run every program.
    pub const NONE: Self = Self {
        features: Features::ALL,
        gfns: u64::MAX,
        slot_pages: u64::MAX,
        slow_windows: false,
        slow_ends: false,
        windows: Vec::new(),
    };

    /// How many times, for each program and each group of voters that propose windows (at most two), the generator
    /// draws windows that every voter can have.
    pub const DRAWS: u64 = 64;

    /// Returns the limits of programs that keep to `self` and to `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.windows.extend(other.windows);
        Self {
            features: self.features.and(other.features),
            gfns: self.gfns.min(other.gfns),
            slot_pages: self.slot_pages.min(other.slot_pages),
            slow_windows: self.slow_windows || other.slow_windows,
            slow_ends: self.slow_ends || other.slow_ends,
            windows: self.windows,
        }
    }

    /// Checks that some program in each of these dialects keeps to the limits.
    ///
    /// # Errors
    /// Fails at the first thing that every program needs and that the limits exclude. If voters limit windows, the
    /// function looks at [`DRAWS`](Self::DRAWS) draws of each voter's windows.
    pub fn check(&self, dialects: &[Dialect]) -> Result<(), Unsatisfiable> {
        let none_of = |one: Features, other: Features| self.features.and(one.or(other)) == Features(0);
        if none_of(Features::FLATMEM, Features::SPARSEMEM) {
            return Err(Unsatisfiable::MemoryModel);
        }
        if none_of(Features::PAGES_4K, Features::PAGES_64K) {
            return Err(Unsatisfiable::PageSize);
        }
        if self.gfns == 0 || self.slot_pages == 0 {
            return Err(Unsatisfiable::GuestMemory);
        }
        for &dialect in dialects {
            if !self.has_windows(dialect) {
                return Err(Unsatisfiable::Backing(dialect));
            }
            if self.windows(dialect, 0, 0).is_some_and(|windows| windows.is_empty()) {
                return Err(Unsatisfiable::Windows(dialect));
            }
        }
        Ok(())
    }

    /// Returns whether programs in this dialect may have windows of some backing.
    const fn has_windows(&self, dialect: Dialect) -> bool {
        self.features.contains(Features::EMULATED)
            || self.features.contains(Features::PINNED) && dialect.has_pinned_windows()
    }

    /// Returns the windows that program number `index` of the campaign `seed` may have; `None` for any of its dialect
    /// with a backing in [`features`](Self::features).
    ///
    /// Each voter with limits proposes windows. Those that another voter does not accept beside the windows before them
    /// are left out. The proposal with the most windows is taken, of equal ones the least, so the order of voters does
    /// not matter. Only the voters whose windows are [shared by](WindowLimits::shared_by) the most programs propose,
    /// because other windows would cost those voters time. If none of their windows is accepted in
    /// [`DRAWS`](Self::DRAWS) draws, every voter proposes. The result is empty if none of these windows is accepted
    /// either.
    pub(crate) fn windows(&self, dialect: Dialect, seed: u64, index: u64) -> Option<Vec<WindowSpec>> {
        if !self.has_windows(dialect) {
            return Some(Vec::new());
        }
        let longest = self.windows.iter().map(|limits| limits.shared_by()).max()?;
        for programs in [longest, 0] {
            for draw in 0..Self::DRAWS {
                let seed = seed.wrapping_add(draw.wrapping_mul(SEED_STEP));
                let best = (0..self.windows.len())
                    .filter(|number| self.windows[*number].shared_by() >= programs)
                    .map(|number| self.proposal(number, dialect, seed, index))
                    .max_by(|one, other| one.len().cmp(&other.len()).then_with(|| other.cmp(one)));
                if let Some(windows) = best.filter(|windows| !windows.is_empty()) {
                    return Some(windows);
                }
            }
        }
        Some(Vec::new())
    }

    /// Returns the windows that the voter with this number in `windows` proposes and that all other voters accept.
    fn proposal(&self, number: usize, dialect: Dialect, seed: u64, index: u64) -> Vec<WindowSpec> {
        let mut kept = Vec::new();
        for window in self.windows[number].windows(dialect, seed, index) {
            kept.push(window);
            let mut others = self.windows.iter().enumerate().filter(|(other, _)| *other != number);
            if !self.features.has_backing(&window) || !others.all(|(_, other)| other.accepts(&kept)) {
                kept.pop();
            }
        }
        kept
    }
}

/// What the limits of voters leave no program with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsatisfiable {
    /// A memory model.
    MemoryModel,
    /// A size of host pages.
    PageSize,
    /// Guest memory.
    GuestMemory,
    /// A window of any backing, in this dialect.
    Backing(Dialect),
    /// A window that every voter can have, in this dialect.
    Windows(Dialect),
}

impl fmt::Display for Unsatisfiable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryModel => f.write_str("they have no memory model in common"),
            Self::PageSize => f.write_str("they have no size of host pages in common"),
            Self::GuestMemory => f.write_str("they leave no room for guest memory"),
            Self::Backing(dialect) => write!(f, "they have no backing of windows in common in dialect {dialect}"),
            Self::Windows(dialect) => {
                write!(f, "{} draws gave no window in dialect {dialect} that all of them can have", Limits::DRAWS)
            }
        }
    }
}

impl Error for Unsatisfiable {}
