//! The checks of a call's arguments, before any entry is checked: docs/semantics.md, section 4, steps 1 to 4, in the
//! order of each dialect.
//!
//! The checks read no memory, so both modes decide alike. Where several checks fail with the same status, nobody can
//! observe their order, and the cheapest comes first.

use contract::addr::{Ea, Gpa, Hva, Ioba, Liobn, RealAddr, Tce};
use contract::hcall::{LIST_BYTES, MAX_TCES_PER_CALL, Status};

use crate::view::View;
use crate::window::{self, Window};

/// The range of entries that a call writes.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The window that contains the entries.
    pub window: &'a Window,
    /// Number of the first entry.
    pub first: u64,
    /// Number of entries to write.
    pub count: u64,
    /// Status of the call after the entries are written. It is not H_SUCCESS if only a prefix of the range fits the
    /// window (dialect qemu).
    pub after: Status,
}

impl Run<'_> {
    /// Returns the effective address of entry `i` of the call, counted from 0 at `self.first`, in the table of the
    /// window at real address `table`.
    #[must_use]
    pub const fn entry(&self, table: RealAddr, i: u64) -> Ea {
        RealAddr(table.0.wrapping_add(self.first.wrapping_add(i).wrapping_mul(8))).ea()
    }
}

/// The result of a check. `Err` holds the status of a call that ends here, also H_SUCCESS for count 0.
pub type Decided<T> = Result<T, Status>;

#[inline]
fn find<'a>(view: &View<'a>, liobn: u64) -> Decided<&'a Window> {
    window::find(view.windows, Liobn(liobn)).ok_or(Status::PARAMETER)
}

#[inline]
fn first(view: &View<'_>, window: &Window, ioba: u64) -> Decided<u64> {
    window.index(Ioba(ioba), view.profile.refused_ioba_bits).ok_or(Status::PARAMETER)
}

/// Returns the range of `count` entries from the entry at `ioba` on. In a dialect that goes entry by entry it never
/// fails, and returns the part that lies inside the window, which may be empty.
///
/// Else fails with H_PARAMETER if the dialect refuses `ioba`, or if the range does not lie inside the window.
fn range<'a>(view: &View<'_>, window: &'a Window, ioba: u64, count: u64) -> Decided<Run<'a>> {
    let start = first(view, window, ioba);
    if view.profile.entry_by_entry {
        let (first, fits) = match start {
            Ok(first) => (first, window.entries.wrapping_sub(first)),
            Err(_) => (0, 0),
        };
        let after = if count > fits { Status::PARAMETER } else { Status::SUCCESS };
        return Ok(Run { window, first, count: count.min(fits), after });
    }
    let first = start?;
    // `first` is below `entries`: the difference is exact.
    if count > window.entries.wrapping_sub(first) {
        return Err(Status::PARAMETER);
    }
    Ok(Run { window, first, count, after: Status::SUCCESS })
}

/// Checks the arguments of H_GET_TCE and H_PUT_TCE, and returns the one entry.
///
/// Fails with H_PARAMETER for an unknown LIOBN, and for an IOBA that lies outside the window or that the dialect
/// refuses as unaligned.
#[inline]
pub fn one<'a>(view: &View<'a>, liobn: u64, ioba: u64) -> Decided<Run<'a>> {
    let window = find(view, liobn)?;
    let first = first(view, window, ioba)?;
    Ok(Run { window, first, count: 1, after: Status::SUCCESS })
}

/// Checks the arguments of H_STUFF_TCE, and returns the entries to write.
///
/// # Errors
/// The status that ends the call: that of the first check that fails, or that of a count of 0 (H_SUCCESS, or in dialect
/// `qemu` H_PARAMETER).
pub fn stuff<'a>(view: &View<'a>, liobn: u64, ioba: u64, tce: Tce, count: u64) -> Decided<Run<'a>> {
    let window = find(view, liobn)?;
    if view.profile.ioba_before_count {
        // In this order the IOBA comes before the count. The difference is visible, because the count limit answers
        // H_P4.
        first(view, window, ioba)?;
    }
    if count > view.profile.max_stuff_entries {
        return Err(view.profile.too_many_entries);
    }
    if view.profile.count_within_window && count > window.entries {
        return Err(Status::PARAMETER);
    }
    let run = range(view, window, ioba, count)?;
    if tce.0 & view.profile.refused_stuff_bits != 0 {
        return Err(Status::PARAMETER);
    }
    if count == 0 {
        return Err(view.profile.count_zero);
    }
    Ok(run)
}

/// Checks the arguments of H_PUT_TCE_INDIRECT. Returns the entries to write and the hva of the list, `None` if the list
/// lies outside guest memory and the dialect reads zeros.
///
/// # Errors
/// The status that ends the call: that of the first check that fails, or that of a count of 0 (H_SUCCESS, or in dialect
/// `qemu` H_PARAMETER).
pub fn indirect<'a>(view: &View<'a>, liobn: u64, ioba: u64, list: Gpa, count: u64) -> Decided<(Run<'a>, Option<Hva>)> {
    let window = find(view, liobn)?;
    if count > MAX_TCES_PER_CALL || !list.is_aligned(LIST_BYTES) {
        return Err(Status::PARAMETER);
    }
    let run = range(view, window, ioba, count)?;
    if count == 0 && !view.profile.count_zero_needs_slot {
        return Err(view.profile.count_zero);
    }
    let hva = view.hva(list);
    if hva.is_none() {
        view.unbacked_list()?;
    }
    if count == 0 {
        return Err(view.profile.count_zero);
    }
    Ok((run, hva))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Profile;
    use crate::pages::PageIndex;
    use crate::scratch::Scratch;
    use crate::slot::Slot;
    use crate::tce;
    use contract::dialect::Dialect;
    use core::sync::atomic::AtomicU64;

    /// Runs `test` on a view with window 7, eight pages of 64 KiB from IOBA 0x10_0000 on, and guest memory at gfns 0
    /// ..= 0x2f of 4 KiB.
    fn with_view(dialect: Dialect, test: impl Fn(&View<'_>)) {
        let table = RealAddr(0x1000);
        let (liobn, used) = (Liobn(7), window::Used::nothing());
        let windows = [Window { liobn, page_shift: 16, base: 0x10_0000, entries: 8, table, hardware: None, used }];
        let slots = [Slot { first: 0, last: 0x2f, run_last: 0x2f, hva: 0x7000_0000, id: 0 }];
        let scratch = Scratch { list: &[], hardware: &[], journal: &[], owed: &AtomicU64::new(0) };
        let (profile, pages) = (Profile::of(dialect), &PageIndex::default());
        test(&View { profile, page_shift: 12, windows: &windows, slots: &slots, pages, scratch });
    }

    fn decided<T>(result: Decided<T>) -> Option<Status> {
        result.err()
    }

    #[test]
    fn strict_dialects_find_the_entry_or_refuse() {
        for dialect in [Dialect::Lopapr, Dialect::Kvm] {
            with_view(dialect, |view| {
                assert_eq!(one(view, 7, 0x17_0000).unwrap().first, 7);
                for (liobn, ioba) in [(6, 0x10_0000), (7, 0x10_1000), (7, 0xf_0000), (7, 0x18_0000), (7, u64::MAX)] {
                    assert_eq!(decided(one(view, liobn, ioba)), Some(Status::PARAMETER));
                }
            });
        }
    }

    #[test]
    fn stuff_in_each_dialect() {
        let stuff = |view: &View<'_>, ioba, tce, count| match stuff(view, 7, ioba, Tce(tce), count) {
            Ok(run) => (Some(run.count), run.after),
            Err(status) => (None, status),
        };
        let (refused, done) = ((None, Status::PARAMETER), (None, Status::SUCCESS));
        with_view(Dialect::Lopapr, |view| {
            assert_eq!(stuff(view, 0x10_0000, 3, 8), (Some(8), Status::SUCCESS));
            assert_eq!(stuff(view, 0x10_0000, 3, 9), refused);
            assert_eq!(stuff(view, 0x10_0000, 3, 513), (None, Status::P4));
            assert_eq!(stuff(view, 0x18_0000, 3, 513), refused, "the IOBA comes before the count");
            assert_eq!(stuff(view, 0x17_0000, 3, 0), done);
            assert_eq!(stuff(view, 0x18_0000, 3, 0), refused, "one past the end, with count 0 too");
            assert_eq!(stuff(view, 0x10_0000, 3, u64::MAX), (None, Status::P4));
        });
        with_view(Dialect::Kvm, |view| {
            assert_eq!(stuff(view, 0x10_0000, 0, 8), (Some(8), Status::SUCCESS));
            assert_eq!(stuff(view, 0x10_0000, 0, u64::MAX), refused);
            assert_eq!(stuff(view, 0x10_0000, 1, 8), refused);
            assert_eq!(stuff(view, 0x10_0000, 1, 0), refused, "permissions come before count 0");
            assert_eq!(stuff(view, 0x10_0000, 0, 0), done);
        });
        with_view(Dialect::Qemu, |view| {
            assert_eq!(stuff(view, 0x13_1234, 3, 5), (Some(5), Status::SUCCESS));
            assert_eq!(stuff(view, 0x13_1234, 3, 6), (Some(5), Status::PARAMETER), "a prefix is stored");
            assert_eq!(stuff(view, 0x10_0000, 3, 9), refused);
            assert_eq!(stuff(view, 0x10_0000, 3, 0), refused);
            assert_eq!(stuff(view, 0xf_ffff, 3, 1), (Some(0), Status::PARAMETER));
        });
    }

    #[test]
    fn indirect_in_each_dialect() {
        let indirect = |view: &View<'_>, ioba, list, count| match indirect(view, 7, ioba, Gpa(list), count) {
            Ok((run, hva)) => (Some((run.count, hva.map(|hva| hva.0))), run.after),
            Err(status) => (None, status),
        };
        let (refused, done) = ((None, Status::PARAMETER), (None, Status::SUCCESS));
        for dialect in [Dialect::Lopapr, Dialect::Kvm] {
            with_view(dialect, |view| {
                let found = (Some((2, Some(0x7000_3000))), Status::SUCCESS);
                assert_eq!(indirect(view, 0x10_0000, 0x3000, 2), found);
                assert_eq!(indirect(view, 0x10_0000, 0x3008, 2), refused);
                assert_eq!(indirect(view, 0x10_0000, 0x3000, 513), refused);
                assert_eq!(indirect(view, 0x10_0000, 0x3_0000, 2), refused);
                assert_eq!(indirect(view, 0x17_0000, 0x3000, 2), refused);
                assert_eq!(indirect(view, 0x10_0000, 0x3000, 0), done);
            });
        }
        with_view(Dialect::Lopapr, |view| assert_eq!(indirect(view, 0x10_0000, 0x3_0000, 0), done));
        with_view(Dialect::Kvm, |view| assert_eq!(indirect(view, 0x10_0000, 0x3_0000, 0), refused));
        with_view(Dialect::Qemu, |view| {
            assert_eq!(indirect(view, 0x17_0000, 0x3_0000, 2), (Some((1, None)), Status::PARAMETER));
            let read_only = (Some((0, Some(0x7000_3000))), Status::PARAMETER);
            assert_eq!(indirect(view, 0x18_0000, 0x3000, 2), read_only, "the list is read all the same");
            assert_eq!(indirect(view, 0x10_0000, 0x3000, 0), refused);
        });
    }

    #[test]
    fn tces_in_each_dialect() {
        // The window's page is 64 KiB: guest memory holds three of them.
        let cases = [
            // (tce, in a list, lopapr, kvm, qemu)
            (0x2_0003, false, true, true, true),
            (0x2_0007, false, false, false, true),
            (0x2_1003, false, false, false, true),
            (0x3_0001, false, false, false, true),
            (0x3_0000, false, true, true, true),
            (0x3_0000, true, true, false, true),
            (0x2_1ffc, true, true, true, true),
            (0xffff_ffff_ffff_0001, true, false, false, true),
        ];
        for (tce, in_list, lopapr, kvm, qemu) in cases {
            for (dialect, valid) in [(Dialect::Lopapr, lopapr), (Dialect::Kvm, kvm), (Dialect::Qemu, qemu)] {
                with_view(dialect, |view| {
                    assert_eq!(tce::valid(view, &view.windows[0], Tce(tce), in_list), valid, "{tce:#x} {dialect}");
                });
            }
        }
    }
}
