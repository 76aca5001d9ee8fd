//! The table of answers in which LoPAPR, KVM and QEMU disagree: one named field a disagreement (semantics 4).

use core::fmt;

/// An IOBA that is no multiple of the window's page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnalignedIoba {
    /// H_PARAMETER.
    Refuse,
    /// Taken as the multiple below it.
    RoundDown,
}

/// A count of 0 in STUFF or INDIRECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CountZero {
    /// H_SUCCESS once LIOBN, IOBA, count and list alignment passed.
    SucceedAfterRange,
    /// H_SUCCESS once also the list's slot check, or STUFF's permission check, passed.
    SucceedAfterSlotOrPermission,
    /// H_PARAMETER.
    Refuse,
}

/// The upper limit of STUFF's count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StuffLimit {
    /// 512; more is H_P4.
    Fixed,
    /// Only the window's range limits it.
    RangeOnly,
    /// As many as the window has entries; more is H_PARAMETER.
    WindowEntries,
}

/// A STUFF value with permission bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StuffPermissions {
    /// Checked and mapped like any TCE.
    Map,
    /// H_PARAMETER (`STUFF.PERM`), after the range check.
    Refuse,
}

/// A range of entries that crosses the window's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrossingRange {
    /// H_PARAMETER, nothing stored.
    Refuse,
    /// Entries up to the end are stored, then H_PARAMETER.
    StorePrefix,
}

/// A TCE with permissions and non-zero bits between bit 1 and the window's page shift.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnalignedTce {
    /// H_PARAMETER.
    Refuse,
    /// Stored as given.
    Store,
}

/// A TCE whose page is not guest memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnbackedTce {
    /// H_PARAMETER unless the whole page is guest memory; fault TCEs are not looked at.
    RefuseWholePage,
    /// H_PARAMETER unless the page's first gfn is guest memory; INDIRECT looks at fault TCEs too.
    RefuseFirstGfn,
    /// Stored as given.
    Store,
}

/// An INDIRECT list outside guest memory (or in a host hole).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnbackedList {
    /// H_PARAMETER.
    Refuse,
    /// Its words read as zeros.
    ReadZeros,
}

/// The order of the checks of STUFF and INDIRECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckOrder {
    /// LIOBN, IOBA, count, list alignment, range, list, TCEs.
    IobaFirst,
    /// LIOBN, count, list alignment, IOBA and range, list, TCEs.
    CountFirst,
    /// LIOBN, count, list alignment, then one entry at a time: list word, IOBA, store.
    EntryByEntry,
}

/// One column of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answers {
    /// See [`UnalignedIoba`].
    pub unaligned_ioba: UnalignedIoba,
    /// See [`CountZero`].
    pub count_zero: CountZero,
    /// See [`StuffLimit`].
    pub stuff_limit: StuffLimit,
    /// See [`StuffPermissions`].
    pub stuff_permissions: StuffPermissions,
    /// See [`CrossingRange`].
    pub crossing_range: CrossingRange,
    /// See [`UnalignedTce`].
    pub unaligned_tce: UnalignedTce,
    /// See [`UnbackedTce`].
    pub unbacked_tce: UnbackedTce,
    /// See [`UnbackedList`].
    pub unbacked_list: UnbackedList,
    /// See [`CheckOrder`].
    pub order: CheckOrder,
    /// Whether real mode may defer every call (semantics 5).
    pub may_always_defer: bool,
    /// Whether pinned windows exist.
    pub pinned_windows: bool,
    /// Whether a window's base may be any byte address.
    pub unaligned_base: bool,
}

/// Whose answers a program expects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Dialect {
    /// The specification, LoPAPR.
    #[default]
    Lopapr,
    /// The in-kernel handlers of Linux 4.18-4.19, with the range rule of 4.6-4.11 and the check-first rule of 4.20.
    Kvm,
    /// QEMU 7.2's pseries machine; emulated windows only.
    Qemu,
}

impl Dialect {
    /// All dialects, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Lopapr, Self::Kvm, Self::Qemu];

    /// The word that names it in a program and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lopapr => "lopapr",
            Self::Kvm => "kvm",
            Self::Qemu => "qemu",
        }
    }

    /// The dialect with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// Its column of the table.
    #[must_use]
    pub const fn answers(self) -> Answers {
        match self {
            Self::Lopapr => Answers {
                unaligned_ioba: UnalignedIoba::Refuse,
                count_zero: CountZero::SucceedAfterRange,
                stuff_limit: StuffLimit::Fixed,
                stuff_permissions: StuffPermissions::Map,
                crossing_range: CrossingRange::Refuse,
                unaligned_tce: UnalignedTce::Refuse,
                unbacked_tce: UnbackedTce::RefuseWholePage,
                unbacked_list: UnbackedList::Refuse,
                order: CheckOrder::IobaFirst,
                may_always_defer: false,
                pinned_windows: true,
                unaligned_base: false,
            },
            Self::Kvm => Answers {
                unaligned_ioba: UnalignedIoba::Refuse,
                count_zero: CountZero::SucceedAfterSlotOrPermission,
                stuff_limit: StuffLimit::RangeOnly,
                stuff_permissions: StuffPermissions::Refuse,
                crossing_range: CrossingRange::Refuse,
                unaligned_tce: UnalignedTce::Refuse,
                unbacked_tce: UnbackedTce::RefuseFirstGfn,
                unbacked_list: UnbackedList::Refuse,
                order: CheckOrder::CountFirst,
                may_always_defer: false,
                pinned_windows: true,
                unaligned_base: false,
            },
            Self::Qemu => Answers {
                unaligned_ioba: UnalignedIoba::RoundDown,
                count_zero: CountZero::Refuse,
                stuff_limit: StuffLimit::WindowEntries,
                stuff_permissions: StuffPermissions::Map,
                crossing_range: CrossingRange::StorePrefix,
                unaligned_tce: UnalignedTce::Store,
                unbacked_tce: UnbackedTce::Store,
                unbacked_list: UnbackedList::ReadZeros,
                order: CheckOrder::EntryByEntry,
                may_always_defer: true,
                pinned_windows: false,
                unaligned_base: true,
            },
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
