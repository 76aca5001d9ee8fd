//! DMA windows: found by LIOBN in a sorted slice, and the entry that an IOBA names.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use contract::addr::{Ioba, Liobn, RealAddr};
use contract::description::{Backing, WindowSpec};
use contract::dialect::UnalignedIoba;

/// The entries to which calls have stored other values than 0 since the window was created, so that closing it looks at
/// no others: most windows are much larger than what is in use of them.
///
/// Relaxed: marks are words on their own. Who closes a window has it for itself, which orders all calls before.
#[derive(Debug)]
pub struct Used {
    low: AtomicU64,
    high: AtomicU64,
}

impl Used {
    /// No entry.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { low: AtomicU64::new(u64::MAX), high: AtomicU64::new(0) }
    }

    /// Entries `first .. first + count` are about to become other than 0.
    #[inline]
    pub fn note(&self, first: u64, count: u64) {
        if count > 0 {
            self.low.fetch_min(first, Relaxed);
            self.high.fetch_max(first.wrapping_add(count), Relaxed);
        }
    }

    /// A range that holds all entries that were noted.
    pub fn range(&self) -> Range<u64> {
        self.low.load(Relaxed)..self.high.load(Relaxed)
    }
}

/// A window as the handlers want it.
#[derive(Debug)]
pub struct Window {
    /// Its name; slices of windows are sorted by it.
    pub liobn: Liobn,
    /// log2 of its page, 12 ..= 34.
    pub page_shift: u32,
    /// I/O bus address of entry 0.
    pub base: u64,
    /// How many entries it has.
    pub entries: u64,
    /// Real address of the guest's values.
    pub table: RealAddr,
    /// Real address of the hardware entries, for a pinned window.
    pub hardware: Option<RealAddr>,
    /// Entries that may be other than 0.
    pub used: Used,
}

impl From<&WindowSpec> for Window {
    fn from(spec: &WindowSpec) -> Self {
        let hardware = match spec.backing {
            Backing::Emulated => None,
            Backing::Pinned { hardware } => Some(hardware),
        };
        let WindowSpec { liobn, page_shift, base, entries, table, .. } = *spec;
        Self { liobn, page_shift, base, entries, table, hardware, used: Used::nothing() }
    }
}

impl Window {
    /// The bits of an address inside the window's page.
    #[must_use]
    pub const fn offset_mask(&self) -> u64 {
        1_u64.wrapping_shl(self.page_shift).wrapping_sub(1)
    }

    /// The number of the entry that `ioba` names, or `None` where it is unaligned and the dialect refuses that, or lies
    /// outside.
    #[must_use]
    #[inline]
    pub fn index(&self, ioba: Ioba, unaligned: UnalignedIoba) -> Option<u64> {
        let mask = self.offset_mask();
        let at = match unaligned {
            UnalignedIoba::Refuse if ioba.0 & mask != 0 => return None,
            UnalignedIoba::Refuse => ioba.0,
            // Rounding is absolute, not relative to a base that may be any byte: it can land below the base.
            UnalignedIoba::RoundDown => ioba.0 & !mask,
        };
        let index = at.checked_sub(self.base)?.wrapping_shr(self.page_shift);
        (index < self.entries).then_some(index)
    }
}

/// The window of that name in a slice sorted by LIOBN.
#[must_use]
#[inline]
pub fn find(windows: &[Window], liobn: Liobn) -> Option<&Window> {
    let at = windows.binary_search_by_key(&liobn, |window| window.liobn).ok()?;
    windows.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(liobn: u64, page_shift: u32, base: u64, entries: u64) -> Window {
        let (liobn, table) = (Liobn(liobn), RealAddr(0));
        Window { liobn, page_shift, base, entries, table, hardware: None, used: Used::nothing() }
    }

    #[test]
    fn finds_by_liobn() {
        let windows = [window(1, 12, 0, 1), window(5, 12, 0, 1), window(u64::MAX, 12, 0, 1)];
        for one in &windows {
            assert!(find(&windows, one.liobn).is_some_and(|found| core::ptr::eq(found, one)));
        }
        for unknown in [0, 2, 6, u64::MAX - 1] {
            assert!(find(&windows, Liobn(unknown)).is_none());
        }
        assert!(find(&[], Liobn(0)).is_none());
    }

    #[test]
    fn the_used_range_holds_what_was_noted() {
        let used = Used::nothing();
        assert!(used.range().is_empty());
        used.note(7, 0);
        assert!(used.range().is_empty());
        used.note(7, 2);
        assert_eq!(used.range(), 7..9);
        used.note(3, 1);
        used.note(4, 512);
        assert_eq!(used.range(), 3..516);
        used.note(1, 0);
        assert_eq!(used.range(), 3..516, "no entry is none at the front either");
    }

    #[test]
    fn a_window_may_end_at_2_to_the_64() {
        let last = window(0, 12, u64::MAX - 0x1fff, 2);
        let index = |ioba| last.index(Ioba(ioba), UnalignedIoba::Refuse);
        assert_eq!(index(u64::MAX - 0x1fff), Some(0));
        assert_eq!(index(u64::MAX - 0xfff), Some(1));
        assert_eq!(index(u64::MAX), None, "unaligned");
        assert_eq!(index(0), None, "below the base");
    }

    #[test]
    fn one_past_the_end_is_outside() {
        let window = window(0, 16, 0x10_0000, 4);
        assert_eq!(window.index(Ioba(0x13_0000), UnalignedIoba::Refuse), Some(3));
        assert_eq!(window.index(Ioba(0x14_0000), UnalignedIoba::Refuse), None);
        assert_eq!(window.index(Ioba(0xf_0000), UnalignedIoba::Refuse), None);
    }

    #[test]
    fn rounding_down_is_absolute() {
        let window = window(0, 12, 0x1800, 2);
        let index = |ioba| window.index(Ioba(ioba), UnalignedIoba::RoundDown);
        assert_eq!(index(0x1fff), None, "0x1000 lies below the base");
        assert_eq!(index(0x2fff), Some(0));
        assert_eq!(index(0x3000), Some(1));
        assert_eq!(index(0x4000), None);
    }
}
