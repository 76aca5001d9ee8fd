//! DMA windows: found by LIOBN in a sorted slice, and the entry that an IOBA names.

use contract::addr::{Ioba, Liobn, RealAddr};
use contract::dialect::UnalignedIoba;
use contract::machine::{Backing, WindowSpec};

/// A window as the handlers want it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
}

impl From<&WindowSpec> for Window {
    fn from(spec: &WindowSpec) -> Self {
        let hardware = match spec.backing {
            Backing::Emulated => None,
            Backing::Pinned { hardware } => Some(hardware),
        };
        let WindowSpec { liobn, page_shift, base, entries, table, .. } = *spec;
        Self { liobn, page_shift, base, entries, table, hardware }
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
        Window { liobn: Liobn(liobn), page_shift, base, entries, table: RealAddr(0), hardware: None }
    }

    #[test]
    fn finds_by_liobn() {
        let windows = [window(1, 12, 0, 1), window(5, 12, 0, 1), window(u64::MAX, 12, 0, 1)];
        for one in &windows {
            assert_eq!(find(&windows, one.liobn), Some(one));
        }
        for unknown in [0, 2, 6, u64::MAX - 1] {
            assert_eq!(find(&windows, Liobn(unknown)), None);
        }
        assert_eq!(find(&[], Liobn(0)), None);
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
