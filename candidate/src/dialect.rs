//! The candidate's own reading of the dialects (docs/semantics.md, section 4, the paragraph and the table "Dialects").
//!
//! Handlers ask a [`Profile`]: limits, masks and switches. It is written from semantics.md alone and knows nothing of
//! the reference's table. [`reads`] says in the words of the contract what a profile amounts to, so that a test can
//! print both readings side by side.

use contract::addr::Tce;
use contract::dialect::{
    CheckOrder, CountZero, CrossingRange, Dialect, Field, StuffLimit, StuffPermissions, UnalignedIoba, UnalignedTce,
    UnbackedList, UnbackedTce,
};
use contract::hcall::Status;

/// The part of a TCE's page that must be guest memory, where the TCE is checked at all.
#[derive(Clone, Copy)]
pub enum TcePage {
    /// None: the TCE is stored as it is.
    Unchecked,
    /// The host page at which it begins.
    FirstGfn,
    /// All of it, up to 2^34 bytes.
    Whole,
}

/// What a dialect asks of the handlers.
pub struct Profile {
    /// The bits of an IOBA, of those below the window's page size, that must be 0. Other bits below the page size are
    /// rounded away.
    pub refused_ioba_bits: u64,
    /// Whether H_STUFF_TCE checks its IOBA before its count.
    pub ioba_before_count: bool,
    /// Most entries of H_STUFF_TCE, whatever the window.
    pub max_stuff_entries: u64,
    /// The answer to more entries than `max_stuff_entries`.
    pub too_many_entries: Status,
    /// Whether H_STUFF_TCE refuses a count above the window's number of entries, wherever the range begins.
    pub count_within_window: bool,
    /// The bits that the value of H_STUFF_TCE must not have.
    pub refused_stuff_bits: u64,
    /// Whether a call goes entry by entry: IOBAs are checked last, and the entries before the window's end are stored.
    pub entry_by_entry: bool,
    /// The answer to a count of 0.
    pub count_zero: Status,
    /// Whether H_PUT_TCE_INDIRECT with a count of 0 needs a list in guest memory.
    pub count_zero_needs_slot: bool,
    /// Whether a list outside guest memory, or in a hole of the host page table, reads as zeros; else it is
    /// H_PARAMETER.
    pub unbacked_list_is_zeros: bool,
    /// The bits of a TCE with permissions, below the window's page, that must be 0.
    pub reserved_tce_bits: u64,
    /// What must be guest memory of a TCE's page.
    pub tce_page: TcePage,
    /// Whether H_PUT_TCE_INDIRECT checks the page of TCEs without permissions too.
    pub checks_fault_tces_of_lists: bool,
}

const PERMISSIONS: u64 = Tce::READ | Tce::WRITE;

/// The profile of dialect `lopapr`: checks 1 to 7 of docs/semantics.md, section 4, in the order that they have there.
static LOPAPR: Profile = Profile {
    refused_ioba_bits: u64::MAX,
    ioba_before_count: true,
    max_stuff_entries: 512,
    too_many_entries: Status::P4,
    count_within_window: false,
    refused_stuff_bits: 0,
    entry_by_entry: false,
    count_zero: Status::SUCCESS,
    count_zero_needs_slot: false,
    unbacked_list_is_zeros: false,
    reserved_tce_bits: !PERMISSIONS,
    tce_page: TcePage::Whole,
    checks_fault_tces_of_lists: false,
};

/// Column `kvm` of the table.
static KVM: Profile = Profile {
    refused_ioba_bits: u64::MAX,
    ioba_before_count: false,
    max_stuff_entries: u64::MAX,
    too_many_entries: Status::PARAMETER,
    count_within_window: false,
    refused_stuff_bits: PERMISSIONS,
    entry_by_entry: false,
    count_zero: Status::SUCCESS,
    count_zero_needs_slot: true,
    unbacked_list_is_zeros: false,
    reserved_tce_bits: !PERMISSIONS,
    tce_page: TcePage::FirstGfn,
    checks_fault_tces_of_lists: true,
};

/// Column `qemu` of the table, and the paragraph on dialect `qemu` below it.
static QEMU: Profile = Profile {
    refused_ioba_bits: 0,
    ioba_before_count: false,
    max_stuff_entries: u64::MAX,
    too_many_entries: Status::PARAMETER,
    count_within_window: true,
    refused_stuff_bits: 0,
    entry_by_entry: true,
    count_zero: Status::PARAMETER,
    count_zero_needs_slot: false,
    unbacked_list_is_zeros: true,
    reserved_tce_bits: 0,
    tce_page: TcePage::Unchecked,
    checks_fault_tces_of_lists: false,
};

impl Profile {
    /// Returns the profile of a dialect.
    #[must_use]
    pub const fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::Lopapr => &LOPAPR,
            Dialect::Kvm => &KVM,
            Dialect::Qemu => &QEMU,
        }
    }
}

/// The reading of a field whose switches together are none of the contract's answers.
const NO_ANSWER: &str = "none of the answers that the contract names";

/// Returns the candidate's reading of a field in the words of the contract, worked out from the dialect's `Profile`.
///
/// `None` for the fields that the candidate has no reading of: it takes windows as the host describes them, whatever
/// their kind, base and LIOBN; and real mode defers what it must and nothing else, which every dialect allows.
#[must_use]
pub fn reads(dialect: Dialect, field: Field) -> Option<&'static str> {
    let profile = Profile::of(dialect);
    let known = match field {
        Field::UnalignedIoba => match profile.refused_ioba_bits {
            u64::MAX => Some(UnalignedIoba::Refuse.text()),
            0 => Some(UnalignedIoba::RoundDown.text()),
            _ => None,
        },
        Field::CountZero => match (profile.count_zero, profile.count_zero_needs_slot) {
            (Status::SUCCESS, false) => Some(CountZero::SucceedAfterRange.text()),
            (Status::SUCCESS, true) => Some(CountZero::SucceedAfterSlotOrPermission.text()),
            (Status::PARAMETER, false) => Some(CountZero::Refuse.text()),
            _ => None,
        },
        Field::StuffLimit => match (profile.max_stuff_entries, profile.too_many_entries, profile.count_within_window) {
            (512, Status::P4, false) => Some(StuffLimit::Fixed.text()),
            (u64::MAX, _, false) => Some(StuffLimit::RangeOnly.text()),
            (u64::MAX, _, true) => Some(StuffLimit::WindowEntries.text()),
            _ => None,
        },
        Field::StuffPermissions => match profile.refused_stuff_bits {
            0 => Some(StuffPermissions::Map.text()),
            PERMISSIONS => Some(StuffPermissions::Refuse.text()),
            _ => None,
        },
        Field::CrossingRange if profile.entry_by_entry => Some(CrossingRange::StorePrefix.text()),
        Field::CrossingRange => Some(CrossingRange::Refuse.text()),
        Field::UnalignedTce => match !profile.reserved_tce_bits {
            PERMISSIONS => Some(UnalignedTce::Refuse.text()),
            u64::MAX => Some(UnalignedTce::Store.text()),
            _ => None,
        },
        Field::UnbackedTce => match (profile.tce_page, profile.checks_fault_tces_of_lists) {
            (TcePage::Whole, false) => Some(UnbackedTce::RefuseWholePage.text()),
            (TcePage::FirstGfn, true) => Some(UnbackedTce::RefuseFirstGfn.text()),
            (TcePage::Unchecked, _) => Some(UnbackedTce::Store.text()),
            _ => None,
        },
        Field::UnbackedList if profile.unbacked_list_is_zeros => Some(UnbackedList::ReadZeros.text()),
        Field::UnbackedList => Some(UnbackedList::Refuse.text()),
        Field::CheckOrder => match (profile.ioba_before_count, profile.count_zero_needs_slot, profile.entry_by_entry) {
            (true, false, false) => Some(CheckOrder::IobaFirst.text()),
            (false, true, false) => Some(CheckOrder::CountFirst.text()),
            (false, false, true) => Some(CheckOrder::EntryByEntry.text()),
            _ => None,
        },
        Field::Deferring | Field::PinnedWindows | Field::WindowBase | Field::LiobnWidth => return None,
    };
    Some(known.unwrap_or(NO_ANSWER))
}
