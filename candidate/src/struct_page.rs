//! One struct page: its flags and its reference count, as atomic steps on simulated memory (semantics 1 and 3).
//!
//! **Orderings.** A successful change of a count is `SeqCst`, the 'fully ordered' of semantics 3: what the holder did
//! to the page comes before its reference goes, and what a new holder does comes after its reference is there. A failed
//! one is `Relaxed`, it orders nothing. Flag changes are `Relaxed`: DIRTY is always set before the put of the same CPU
//! on the same page, and that put carries it. Flag reads are `Acquire`, so that a head's or tail's third word is not
//! read older than its flag.
//!
//! **Bounded retries.** A compare-and-swap fails only because another CPU succeeded, so retries make progress, but real
//! mode owes a bound on its accesses. Its handlers therefore give a number of attempts and defer when those are used
//! up.

use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use contract::addr::{Ea, Pfn};
use machine::memory::{Cpu, struct_page as layout};

/// Where a struct page is reached: in real mode at a real address, in virtual mode at its vmemmap address, where its
/// words may lie in different blocks.
#[derive(Clone, Copy, Debug)]
pub struct StructPage(pub Ea);

/// What became of an attempt to change a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It was changed.
    Done,
    /// It held what the condition excludes (the count), or what it should become (the flag).
    Refused,
    /// Other CPUs changed it as often as there were attempts.
    Contended,
}

impl StructPage {
    const fn field(self, offset: u64) -> Ea {
        Ea(self.0.0.wrapping_add(offset))
    }

    /// The flags.
    #[must_use]
    pub fn flags(self, cpu: &Cpu<'_>) -> u64 {
        cpu.load(self.field(layout::FLAGS), Acquire)
    }

    /// Whether it is a head or a tail.
    #[must_use]
    pub fn is_compound(self, cpu: &Cpu<'_>) -> bool {
        self.flags(cpu) & (layout::HEAD | layout::TAIL) != 0
    }

    /// The head's pfn, for a tail.
    #[must_use]
    pub fn head(self, cpu: &Cpu<'_>) -> Option<Pfn> {
        let tail = self.flags(cpu) & layout::TAIL != 0;
        tail.then(|| Pfn(cpu.load(self.field(layout::COMPOUND), Relaxed)))
    }

    /// `get_page_unless_zero`: one more reference unless there is none. At most 1 + `attempts` accesses.
    #[must_use]
    pub fn get_unless_zero(self, cpu: &Cpu<'_>, attempts: u32) -> Change {
        self.add_unless(cpu, 0, 1, attempts)
    }

    /// `put_page_unless_one`: one reference less unless it is the last. At most 1 + `attempts` accesses.
    #[must_use]
    pub fn put_unless_one(self, cpu: &Cpu<'_>, attempts: u32) -> Change {
        self.add_unless(cpu, 1, -1, attempts)
    }

    fn add_unless(self, cpu: &Cpu<'_>, excluded: i32, delta: i32, attempts: u32) -> Change {
        let count = self.field(layout::COUNT);
        let mut seen = cpu.load_i32(count, Relaxed);
        for _ in 0..attempts {
            if seen == excluded {
                return Change::Refused;
            }
            match cpu.compare_exchange_i32(count, seen, seen.wrapping_add(delta), SeqCst, Relaxed) {
                Ok(_) => return Change::Done,
                Err(now) => seen = now,
            }
        }
        Change::Contended
    }

    /// Adds to the count, whatever it is; answers the new count. For virtual mode, which may wait its turn.
    pub fn add(self, cpu: &Cpu<'_>, delta: i32) -> i32 {
        let count = self.field(layout::COUNT);
        let mut seen = cpu.load_i32(count, Relaxed);
        loop {
            let new = seen.wrapping_add(delta);
            match cpu.compare_exchange_i32(count, seen, new, SeqCst, Relaxed) {
                Ok(_) => return new,
                Err(now) => seen = now,
            }
        }
    }

    /// Sets DIRTY; `Refused` where it was set. At most 1 + `attempts` accesses.
    pub fn set_dirty(self, cpu: &Cpu<'_>, attempts: u32) -> Change {
        self.change_flags(cpu, attempts, |flags| flags | layout::DIRTY)
    }

    /// Clears DIRTY; `Refused` where it was clear. At most 1 + `attempts` accesses.
    pub fn clear_dirty(self, cpu: &Cpu<'_>, attempts: u32) -> Change {
        self.change_flags(cpu, attempts, |flags| flags & !layout::DIRTY)
    }

    fn change_flags(self, cpu: &Cpu<'_>, attempts: u32, change: impl Fn(u64) -> u64) -> Change {
        let flags = self.field(layout::FLAGS);
        let mut seen = cpu.load(flags, Relaxed);
        for _ in 0..attempts {
            let new = change(seen);
            if new == seen {
                return Change::Refused;
            }
            match cpu.compare_exchange(flags, seen, new, Relaxed, Relaxed) {
                Ok(_) => return Change::Done,
                Err(now) => seen = now,
            }
        }
        Change::Contended
    }
}
