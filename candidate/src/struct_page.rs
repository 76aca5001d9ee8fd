//! One struct page: atomic operations on its flags and its reference count in simulated memory (docs/semantics.md,
//! sections 1 and 3).
//!
//! **Orderings.** A successful change of a count is `SeqCst`, the "fully ordered" of section 3: accesses to the page by
//! a CPU that gives up its reference come before the reference goes, and accesses by a CPU that gets a reference come
//! after it has the reference. A failed change is `Relaxed` because it orders nothing. Flag changes are `Relaxed`: each
//! CPU sets DIRTY before it puts the same page, and that put publishes the flag. Flag reads are `Acquire`, so that the
//! third word of a head or tail is never read older than its flag.
//!
//! **Bounded retries.** A compare-and-swap fails only because another CPU succeeded, so the system as a whole makes
//! progress. Real mode must also bound its own accesses (`RM.BOUNDED`). Its handlers therefore pass a number of
//! attempts, and defer when all attempts have failed.

use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use contract::addr::{Ea, Pfn};
use machine::memory::{Cpu, struct_page as layout};

/// The effective address of a struct page. Real mode uses its real address. Virtual mode uses its vmemmap address,
/// because the words of a split struct page lie in different blocks.
#[derive(Clone, Copy, Debug)]
pub struct StructPage(pub Ea);

/// The result of an attempt to change a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// The word was changed.
    Done,
    /// The word was left alone: the count had the excluded value, or the flag already had the wanted value.
    Refused,
    /// Every attempt failed because another CPU changed the word first.
    Contended,
}

impl StructPage {
    const fn field(self, offset: u64) -> Ea {
        Ea(self.0.0.wrapping_add(offset))
    }

    /// Returns the flags word.
    #[must_use]
    pub fn flags(self, cpu: &Cpu<'_>) -> u64 {
        cpu.load(self.field(layout::FLAGS), Acquire)
    }

    /// Returns whether the page is the head or a tail of a compound page.
    #[must_use]
    pub fn is_compound(self, cpu: &Cpu<'_>) -> bool {
        self.flags(cpu) & (layout::HEAD | layout::TAIL) != 0
    }

    /// Returns the pfn of the head if this page is a tail, else `None`.
    #[must_use]
    pub fn head(self, cpu: &Cpu<'_>) -> Option<Pfn> {
        let tail = self.flags(cpu) & layout::TAIL != 0;
        tail.then(|| Pfn(cpu.load(self.field(layout::COMPOUND), Relaxed)))
    }

    /// `get_page_unless_zero`: adds 1 to the count (wrapping) unless the count is 0 (`Refused`). At most 1 + `attempts`
    /// accesses.
    #[must_use]
    pub fn get_unless_zero(self, cpu: &Cpu<'_>, attempts: u32) -> Change {
        self.add_unless(cpu, 0, 1, attempts)
    }

    /// `put_page_unless_one`: subtracts 1 from the count (wrapping) unless the count is 1 (`Refused`). At most 1 +
    /// `attempts` accesses.
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

    /// Adds `delta` to the count whatever its value (wrapping) and returns the new count. For virtual mode only: it
    /// retries without a limit.
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

    /// Sets DIRTY; `Refused` if it was already set. At most 1 + `attempts` accesses.
    pub fn set_dirty(self, cpu: &Cpu<'_>, attempts: u32) -> Change {
        self.change_flags(cpu, attempts, |flags| flags | layout::DIRTY)
    }

    /// Clears DIRTY; `Refused` if it was already clear. At most 1 + `attempts` accesses.
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
