//! DMA windows: the search by LIOBN in a sorted slice, and the translation from an IOBA to an entry number.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use contract::addr::{Ioba, Liobn, RealAddr};
use contract::description::{Backing, WindowSpec};

/// A range of entries that contains every entry in which a call has stored a value other than 0 since the window was
/// created. Closing a window visits this range only, because most windows are much larger than the part in use.
///
/// Relaxed is enough: each bound is used alone, and the code that closes a window holds `&mut`, which orders all calls
/// before it.
#[derive(Debug)]
pub struct Used {
    low: AtomicU64,
    high: AtomicU64,
}

impl Used {
    /// Returns an empty range.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { low: AtomicU64::new(u64::MAX), high: AtomicU64::new(0) }
    }

    /// Extends the range by entries `first .. first + count`. Must run before values other than 0 are stored there.
    #[inline]
    pub fn note(&self, first: u64, count: u64) {
        if count > 0 {
            self.low.fetch_min(first, Relaxed);
            self.high.fetch_max(first.wrapping_add(count), Relaxed);
        }
    }

    /// Returns a range of entry numbers that contains all entries noted so far.
    pub fn range(&self) -> Range<u64> {
        self.low.load(Relaxed)..self.high.load(Relaxed)
    }
}

/// A DMA window in the form that handlers use.
#[derive(Debug)]
pub struct Window {
    /// The window's LIOBN; slices of windows are sorted by it.
    pub liobn: Liobn,
    /// log2 of the window's page size in bytes, 12 ..= 34.
    pub page_shift: u32,
    /// IOBA of entry 0, in bytes.
    pub base: u64,
    /// Number of entries.
    pub entries: u64,
    /// Real address of the table of guest values: 8 bytes an entry, big-endian.
    pub table: RealAddr,
    /// Real address of the hardware table: 8 bytes an entry, big-endian. `None` for an emulated window.
    pub hardware: Option<RealAddr>,
    /// The range of entries that may hold values other than 0.
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
    /// Returns the mask of the address bits inside one page of the window.
    #[must_use]
    pub const fn offset_mask(&self) -> u64 {
        1_u64.wrapping_shl(self.page_shift).wrapping_sub(1)
    }

    /// Returns the number, from 0, of the entry that `ioba` names. `None` if `ioba` lies outside the window, or if an
    /// address bit inside the window's page is set in both `ioba` and the mask `refused`; other bits inside the page
    /// are rounded away.
    #[must_use]
    #[inline]
    pub fn index(&self, ioba: Ioba, refused: u64) -> Option<u64> {
        let mask = self.offset_mask();
        if ioba.0 & mask & refused != 0 {
            return None;
        }
        // Rounding is absolute, not relative to the base. The base may be any byte address, so the result can lie below
        // it.
        let at = ioba.0 & !mask;
        let index = at.checked_sub(self.base)?.wrapping_shr(self.page_shift);
        (index < self.entries).then_some(index)
    }
}

/// Returns the window with this LIOBN; `None` if there is none. `windows` must be sorted by LIOBN.
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
        let index = |ioba| last.index(Ioba(ioba), u64::MAX);
        assert_eq!(index(u64::MAX - 0x1fff), Some(0));
        assert_eq!(index(u64::MAX - 0xfff), Some(1));
        assert_eq!(index(u64::MAX), None, "unaligned");
        assert_eq!(index(0), None, "below the base");
    }

    #[test]
    fn one_past_the_end_is_outside() {
        let window = window(0, 16, 0x10_0000, 4);
        assert_eq!(window.index(Ioba(0x13_0000), u64::MAX), Some(3));
        assert_eq!(window.index(Ioba(0x14_0000), u64::MAX), None);
        assert_eq!(window.index(Ioba(0xf_0000), u64::MAX), None);
    }

    #[test]
    fn rounding_down_is_absolute() {
        let window = window(0, 12, 0x1800, 2);
        let index = |ioba| window.index(Ioba(ioba), 0);
        assert_eq!(index(0x1fff), None, "0x1000 lies below the base");
        assert_eq!(index(0x2fff), Some(0));
        assert_eq!(index(0x3000), Some(1));
        assert_eq!(index(0x4000), None);
    }
}
