//! What each dialect answers where LoPAPR, KVM and QEMU disagree (docs/semantics.md, section 4, "Dialects"; for windows
//! section 1, for real mode section 5).
//!
//! The comment above a value names its source. docs/dialects.md has the whole source, and a program that shows the
//! answer.

use contract::dialect::{
    Answers, CheckOrder, CountZero, CrossingRange, Deferring, Dialect, LiobnWidth, PinnedWindows, StuffLimit,
    StuffPermissions, UnalignedIoba, UnalignedTce, UnbackedList, UnbackedTce, WindowBase,
};

/// Returns the answers of a dialect, one for each field.
#[must_use]
pub const fn answers(dialect: Dialect) -> Answers {
    match dialect {
        Dialect::Lopapr => LOPAPR,
        Dialect::Kvm => KVM,
        Dialect::Qemu => QEMU,
    }
}

/// The answers of dialect `lopapr`, from LoPAPR of August 2020, chapter on logical partitioning, TCE access. A comment
/// "Ours" means that LoPAPR says nothing and docs/semantics.md decides.
const LOPAPR: Answers = Answers {
    // Ours: as KVM.
    unaligned_ioba: UnalignedIoba::Refuse,
    // H_STUFF_TCE, H_PUT_TCE_INDIRECT: nothing forbids it; the place is ours.
    count_zero: CountZero::SucceedAfterRange,
    // H_STUFF_TCE: more than 512 is H_P4.
    stuff_limit: StuffLimit::Fixed,
    // H_STUFF_TCE: a mapped value is legal.
    stuff_permissions: StuffPermissions::Map,
    // Both calls: the range is checked before the store.
    crossing_range: CrossingRange::Refuse,
    // Bits 52 to 61 are reserved; that they are refused is ours.
    unaligned_tce: UnalignedTce::Refuse,
    // H_PUT_TCE: an address, or a part of the page, outside the partition.
    unbacked_tce: UnbackedTce::RefuseWholePage,
    // H_PUT_TCE_INDIRECT: the list page is not valid.
    unbacked_list: UnbackedList::Refuse,
    // H_STUFF_TCE: the IOBA before the count; for INDIRECT, ours.
    order: CheckOrder::IobaFirst,
    // Ours: semantics, section 5.
    deferring: Deferring::AsOwed,
    // Ours: semantics, section 1.
    pinned_windows: PinnedWindows::Exist,
    // Ours: semantics, section 1.
    window_base: WindowBase::PageMultiple,
    // The LIOBN is in r4, a register of 64 bits.
    liobn_width: LiobnWidth::Bits64,
};

/// The answers of dialect `kvm`: those of the in-kernel handlers of Linux 4.18 and 4.19, or of other versions where a
/// comment says so. A call that the handlers of both modes leave to user space with H_TOO_HARD answers H_PARAMETER
/// here.
const KVM: Answers = Answers {
    // 4.6 and later: low bits of the IOBA are refused.
    unaligned_ioba: UnalignedIoba::Refuse,
    // 4.6 and later: the loop body never runs.
    count_zero: CountZero::SucceedAfterSlotOrPermission,
    // All versions: no limit of its own.
    stuff_limit: StuffLimit::RangeOnly,
    // 4.6 and later: the call only clears.
    stuff_permissions: StuffPermissions::Refuse,
    // 4.6 to 4.11; later versions forgot the end of the range.
    crossing_range: CrossingRange::Refuse,
    // 4.6 and later; from 4.12 on with permissions only.
    unaligned_tce: UnalignedTce::Refuse,
    // 4.18 and 4.19: one lookup; 4.12 and later: for each word of a list.
    unbacked_tce: UnbackedTce::RefuseFirstGfn,
    // All versions: H_TOO_HARD.
    unbacked_list: UnbackedList::Refuse,
    // All versions; the list's address is translated before the loop.
    order: CheckOrder::CountFirst,
    // This project: semantics, section 5.
    deferring: Deferring::AsOwed,
    // The real-mode handlers posted in 2013, on 3.13.
    pinned_windows: PinnedWindows::Exist,
    // 4.6 and later: the offset is a number of pages.
    window_base: WindowBase::PageMultiple,
    // A 64-bit number, compared whole.
    liobn_width: LiobnWidth::Bits64,
};

/// The answers of dialect `qemu`: those of QEMU 7.2.22's pseries machine. Values without a comment were observed from
/// inside a guest.
const QEMU: Answers = Answers {
    unaligned_ioba: UnalignedIoba::RoundDown,
    count_zero: CountZero::Refuse,
    stuff_limit: StuffLimit::WindowEntries,
    stuff_permissions: StuffPermissions::Map,
    crossing_range: CrossingRange::StorePrefix,
    unaligned_tce: UnalignedTce::Store,
    unbacked_tce: UnbackedTce::Store,
    // Observed outside guest memory; in a host hole assumed.
    unbacked_list: UnbackedList::ReadZeros,
    // Observed; that the list comes before the IOBA, only a host can see.
    order: CheckOrder::EntryByEntry,
    // QEMU has no real mode: it answers every call that reaches it.
    deferring: Deferring::Always,
    // Its tables are emulated; pages are pinned elsewhere, if at all.
    pinned_windows: PinnedWindows::Refuse,
    window_base: WindowBase::AnyByte,
    liobn_width: LiobnWidth::Bits32,
};
