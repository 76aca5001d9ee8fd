//! The rows of disagreement, as data for docs/dialects.md and for `tests/corpora/dialects.rs`, which compares the
//! reference with them. Neither the reference nor the candidate reads them.
//!
//! The dialects can disagree on one field of [`Answers`](contract::dialect::Answers) in several ways that a guest tells
//! apart. Each of these ways is a row of its own. The reference decides what a dialect answers in general
//! (`reference::answers`); a row says what comes of one call, or whether one machine is valid. The call is a step of
//! the program `corpora/dialects/NAME.realmode`, all of whose other steps answer alike in all dialects.

use contract::dialect::Field;
use contract::{Dialect, Hypercall, Rule, Status};

/// A disagreement of the dialects that one hypercall, or one machine, shows.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name of the row, and of its program `corpora/dialects/NAME.realmode`.
    pub name: &'static str,
    /// The field of [`Answers`](contract::dialect::Answers) in which the dialects disagree.
    pub field: Field,
    /// What the hypercall or the machine of the row is, in a sentence or two.
    pub situation: &'static str,
    /// The source of each dialect's answer, in the order of [`Dialect::ALL`].
    pub sources: [&'static str; Dialect::ALL.len()],
    /// How the program of the row shows the disagreement.
    pub shows: ShownBy,
}

/// How a disagreement shows. Each array has one element for each dialect, in the order of
/// [`Dialect::ALL`].
#[derive(Clone, Copy, Debug)]
pub enum ShownBy {
    /// In what the hypercall answers and what it leaves in memory.
    Answer(Hypercall, [Seen; Dialect::ALL.len()]),
    /// In whether real mode must finish the hypercall, which a guest cannot see.
    Duty(Hypercall, [Duty; Dialect::ALL.len()]),
    /// In whether the machine is valid: a part of the reason why validation refuses it, or `None` where it is valid.
    Machine([Option<&'static str>; Dialect::ALL.len()]),
}

/// What one dialect answers to the hypercall of a row, and what memory holds at the end of the row's program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// r3 after the hypercall: its status.
    pub status: Status,
    /// r4 after the hypercall, or `None` where the hypercall does not write r4.
    pub r4: Option<u64>,
    /// The rule that decides the hypercall.
    pub rule: Rule,
    /// The guest values that are not 0 at the end of the program, as (index of the entry from 0, guest value),
    /// ascending. The program has one window.
    pub entries: &'static [(u64, u64)],
    /// Number of host pages that are absent at boot and present at the end of the program.
    pub faulted_in: usize,
}

/// What real mode owes for the hypercall of a row (semantics 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Duty {
    /// Real mode must finish the hypercall.
    Finish,
    /// Real mode may leave the hypercall to virtual mode.
    MayDefer,
}

/// A hypercall that all dialects answer alike, though one could expect otherwise. Each is a step of [`AGREED_PROGRAM`].
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    /// What the hypercall is, in a few words.
    pub situation: &'static str,
    /// The registers of the hypercall on entry.
    pub call: Hypercall,
    /// The status that all dialects answer.
    pub status: Status,
}

/// A disagreement of real systems that no program of the harness can show.
#[derive(Clone, Copy, Debug)]
pub struct Outside {
    /// What the real systems disagree about.
    pub situation: &'static str,
    /// Why no dialect has an answer to this disagreement.
    pub reason: &'static str,
}

/// Name of the program in `corpora/dialects/`, without `.realmode`, that has all hypercalls of [`AGREED`] as steps.
pub const AGREED_PROGRAM: &str = "all-agree";

const fn seen(status: Status, rule: Rule) -> Seen {
    Seen { status, r4: None, rule, entries: &[], faulted_in: 0 }
}

const fn success(rule: Rule) -> Seen {
    seen(Status::SUCCESS, rule)
}

const fn parameter(rule: Rule) -> Seen {
    seen(Status::PARAMETER, rule)
}

impl Seen {
    const fn r4(self, value: u64) -> Self {
        Self { r4: Some(value), ..self }
    }

    const fn entries(self, entries: &'static [(u64, u64)]) -> Self {
        Self { entries, ..self }
    }

    const fn faulted_in(self, faulted_in: usize) -> Self {
        Self { faulted_in, ..self }
    }
}

/// LIOBN of the window of most programs, which has 4 entries of 4 KiB from I/O bus address 0 on. A QEMU can have this
/// window: it is window 0 of PCI host bridge 1.
const WINDOW: u64 = 0x8000_0100;
/// The first I/O bus address past the end of [`WINDOW`], in bytes.
const END: u64 = 0x4000;
/// TCE of the first page of guest memory that programs use, for a device that may read and write. The pages that a live
/// guest itself uses lie below.
const PAGE: u64 = 0x100_0003;
/// Guest physical address of a page in which the programs put lists.
const LIST: u64 = 0x100_3000;
/// Guest physical address outside guest memory, which is also no RAM of a QEMU with 256 MiB.
const OUTSIDE: u64 = 0x1000_0000;

const QEMU: &str = "observed on QEMU 7.2.22";

macro_rules! rows {
    ($($name:literal $field:ident $situation:literal $sources:tt $shows:ident $how:tt;)*) => {
        /// All rows, in the order of [`Field::ALL`].
        pub const ROWS: &[Row] = &[$(Row {
            name: $name,
            field: Field::$field,
            situation: $situation,
            sources: $sources,
            shows: ShownBy::$shows $how,
        },)*];
    };
}

rows! {
    "unaligned-ioba" UnalignedIoba "H_GET_TCE of an address in the middle of an entry's page."
        ["LoPAPR does not say; refused, as KVM does", "KVM 4.6 and later refuse low bits of the IOBA", QEMU]
        Answer(Hypercall::get(WINDOW, 0x1800), [
            parameter(Rule::IobaAlign).entries(&[(1, PAGE)]),
            parameter(Rule::IobaAlign).entries(&[(1, PAGE)]),
            success(Rule::TceRead).r4(PAGE).entries(&[(1, PAGE)]),
        ]);
    "count-zero-stuff" CountZero "H_STUFF_TCE of no entries, with nothing wrong otherwise."
        ["LoPAPR, H_STUFF_TCE: nothing forbids it, so it succeeds", "KVM 4.6 and later: the loop body never runs", QEMU]
        Answer(Hypercall::stuff(WINDOW, 0, 0, 0), [
            success(Rule::CountZero), success(Rule::CountZero), parameter(Rule::CountZero),
        ]);
    "count-zero-indirect" CountZero "H_PUT_TCE_INDIRECT of no entries, with nothing wrong otherwise."
        ["LoPAPR, H_PUT_TCE_INDIRECT: nothing forbids it, so it succeeds",
         "KVM 4.6 and later: the loop body never runs", QEMU]
        Answer(Hypercall::indirect(WINDOW, 0, LIST, 0), [
            success(Rule::CountZero), success(Rule::CountZero), parameter(Rule::CountZero),
        ]);
    "count-zero-permissions" CountZero
        "H_STUFF_TCE of no entries, with a value that KVM refuses: KVM checks the value before the count."
        ["LoPAPR, H_STUFF_TCE: a value with permissions is legal", "KVM 4.6 and later: permissions come before the loop", QEMU]
        Answer(Hypercall::stuff(WINDOW, 0, PAGE, 0), [
            success(Rule::CountZero), parameter(Rule::StuffPerm), parameter(Rule::CountZero),
        ]);
    "count-zero-list" CountZero
        "H_PUT_TCE_INDIRECT of no entries, from a list outside guest memory: KVM translates the list before it checks the count."
        ["LoPAPR, H_PUT_TCE_INDIRECT: no word of the list is needed; count 0 is decided before the list here",
         "KVM: list address to host address before the loop; its H_TOO_HARD is H_PARAMETER here", QEMU]
        Answer(Hypercall::indirect(WINDOW, 0, OUTSIDE, 0), [
            success(Rule::CountZero), parameter(Rule::ListUnbacked), parameter(Rule::CountZero),
        ]);
    "stuff-limit" StuffLimit "H_STUFF_TCE of 513 entries in a window that has them."
        ["LoPAPR, H_STUFF_TCE: more than 512 is H_P4", "KVM, all versions: no limit of its own", QEMU]
        Answer(Hypercall::stuff(WINDOW, 0, 0, 513), [
            seen(Status::P4, Rule::CountStuff).entries(&[(512, PAGE)]), success(Rule::TceFault), success(Rule::TceFault),
        ]);
    "stuff-limit-window" StuffLimit
        "H_STUFF_TCE of more entries than the window has. All refuse it and store nothing. QEMU refuses the \
         count; if it came to the range, it would store the entries up to the window's end before it refuses."
        ["LoPAPR, H_STUFF_TCE: the range is outside", "KVM 4.6 to 4.11: the range is outside", QEMU]
        Answer(Hypercall::stuff(WINDOW, 0, 4, 5), [
            parameter(Rule::IobaRange), parameter(Rule::IobaRange), parameter(Rule::CountStuff),
        ]);
    "stuff-permissions" StuffPermissions "H_STUFF_TCE of a value with permissions, whose page is guest memory."
        ["LoPAPR, H_STUFF_TCE: a mapped value is legal", "KVM 4.6 and later: the call only clears", QEMU]
        Answer(Hypercall::stuff(WINDOW, 0, PAGE, 2), [
            success(Rule::MapNew).entries(&[(0, PAGE), (1, PAGE)]),
            parameter(Rule::StuffPerm),
            success(Rule::MapNew).entries(&[(0, PAGE), (1, PAGE)]),
        ]);
    "crossing-range-stuff" CrossingRange
        "H_STUFF_TCE that starts in the window and ends outside. The status is the same, the tables are not."
        ["LoPAPR, H_STUFF_TCE: the range is checked before the store",
         "KVM 4.6 to 4.11; later versions forgot the end of the range", QEMU]
        Answer(Hypercall::stuff(WINDOW, 0x2000, 4, 3), [
            parameter(Rule::IobaRange), parameter(Rule::IobaRange), parameter(Rule::IobaRange).entries(&[(2, 4), (3, 4)]),
        ]);
    "crossing-range-indirect" CrossingRange
        "H_PUT_TCE_INDIRECT that starts in the window and ends outside. The status is the same, the tables are not."
        ["LoPAPR, H_PUT_TCE_INDIRECT: the range is checked before the store",
         "KVM 4.6 to 4.11; later versions forgot the end of the range", QEMU]
        Answer(Hypercall::indirect(WINDOW, 0x2000, LIST, 3), [
            parameter(Rule::IobaRange),
            parameter(Rule::IobaRange),
            parameter(Rule::IobaRange).entries(&[(2, PAGE), (3, PAGE + 0x1000)]),
        ]);
    "unaligned-tce" UnalignedTce "H_PUT_TCE of a value with permissions and bit 2, which is reserved."
        ["LoPAPR: bits 52 to 61, counted from the left, are reserved (2 to 11 from the right); refused, as KVM does",
         "KVM 4.6 and later refuse them; from 4.12 on only in a TCE with permissions", QEMU]
        Answer(Hypercall::put(WINDOW, 0, PAGE | 4), [
            parameter(Rule::TceAlign), parameter(Rule::TceAlign), success(Rule::MapNew).entries(&[(0, PAGE | 4)]),
        ]);
    "unaligned-tce-in-list" UnalignedTce
        "H_PUT_TCE_INDIRECT with reserved bit 2 in the second of three TCEs. A dialect that refuses it stores none of \
         them."
        ["LoPAPR, H_PUT_TCE_INDIRECT: all is checked before a table is written",
         "KVM 4.20 and later check the whole list first; earlier ones had stored the prefix", QEMU]
        Answer(Hypercall::indirect(WINDOW, 0, LIST, 3), [
            parameter(Rule::TceAlign),
            parameter(Rule::TceAlign),
            success(Rule::MapNew).entries(&[(0, PAGE), (1, PAGE | 4), (2, PAGE + 0x1000)]),
        ]);
    "unbacked-tce" UnbackedTce "H_PUT_TCE of a page that is not guest memory."
        ["LoPAPR, H_PUT_TCE: an address outside the partition is H_PARAMETER",
         "KVM 4.12 and later look the page up; from 4.20 on H_TOO_HARD, which is H_PARAMETER here", QEMU]
        Answer(Hypercall::put(WINDOW, 0, OUTSIDE | 3), [
            parameter(Rule::TceUnbacked),
            parameter(Rule::TceUnbacked),
            success(Rule::MapNew).entries(&[(0, OUTSIDE | 3)]),
        ]);
    "unbacked-tce-page" UnbackedTce "H_PUT_TCE of a 64 KiB page of which only the first 16 KiB are guest memory."
        ["LoPAPR, H_PUT_TCE: a part of the page is outside the partition",
         "KVM 4.18 and 4.19: one lookup, of the page's first gfn", QEMU]
        Answer(Hypercall::put(WINDOW + 1, 1 << 59, PAGE), [
            parameter(Rule::TceUnbacked),
            success(Rule::MapNew).entries(&[(0, PAGE)]),
            success(Rule::MapNew).entries(&[(0, PAGE)]),
        ]);
    "unbacked-fault-tce-in-list" UnbackedTce
        "H_PUT_TCE_INDIRECT of a TCE without permissions whose address is not guest memory."
        ["LoPAPR: a fault TCE is stored untranslated",
         "KVM 4.12 and later translate each word of a list, whatever its permissions", QEMU]
        Answer(Hypercall::indirect(WINDOW, 0, LIST, 2), [
            success(Rule::MapNew).entries(&[(0, PAGE), (1, OUTSIDE)]),
            parameter(Rule::TceUnbacked),
            success(Rule::MapNew).entries(&[(0, PAGE), (1, OUTSIDE)]),
        ]);
    "unbacked-list" UnbackedList
        "H_PUT_TCE_INDIRECT of a list that is not guest memory. The entry that the call would replace has permissions."
        ["LoPAPR, H_PUT_TCE_INDIRECT: a list page that is not valid is H_PARAMETER",
         "KVM, all versions: H_TOO_HARD, which is H_PARAMETER here", QEMU]
        Answer(Hypercall::indirect(WINDOW, 0, OUTSIDE, 1), [
            parameter(Rule::ListUnbacked).entries(&[(0, PAGE)]),
            parameter(Rule::ListUnbacked).entries(&[(0, PAGE)]),
            success(Rule::Unmap),
        ]);
    "unbacked-list-hole" UnbackedList
        "H_PUT_TCE_INDIRECT of a list whose page has a memory slot and no host page behind it. The entry that the call \
         would replace has permissions. A live QEMU has RAM there, full of zeros."
        ["LoPAPR knows no host pages; like a list outside guest memory",
         "KVM, all versions: reading the list fails, H_TOO_HARD, which is H_PARAMETER here",
         "not observed; assumed to be like a list outside guest memory"]
        Answer(Hypercall::indirect(WINDOW, 0, LIST, 1), [
            parameter(Rule::ListUnbacked).entries(&[(0, PAGE)]),
            parameter(Rule::ListUnbacked).entries(&[(0, PAGE)]),
            success(Rule::Unmap),
        ]);
    "order-ioba-or-count" CheckOrder
        "H_PUT_TCE_INDIRECT outside the window, of 513 entries. The status is the same, so a guest cannot tell which \
         check decided."
        ["this project's order (semantics 4); LoPAPR, H_PUT_TCE_INDIRECT, has the count earlier, with the same status",
         "KVM, all versions: the count comes first", QEMU]
        Answer(Hypercall::indirect(WINDOW, END, LIST, 513), [
            parameter(Rule::IobaRange), parameter(Rule::CountIndirect), parameter(Rule::CountIndirect),
        ]);
    "order-ioba-or-list" CheckOrder
        "H_PUT_TCE_INDIRECT outside the window, of a list that is not 4 KiB aligned. The status is the same, so a guest \
         cannot tell which check decided."
        ["this project's order (semantics 4)", "KVM, all versions: the list's alignment comes first", QEMU]
        Answer(Hypercall::indirect(WINDOW, END, LIST + 8, 1), [
            parameter(Rule::IobaRange), parameter(Rule::ListAlign), parameter(Rule::ListAlign),
        ]);
    "order-ioba-or-count-zero" CheckOrder
        "H_STUFF_TCE outside the window, of no entries. No dialect answers H_SUCCESS; QEMU refuses the count."
        ["LoPAPR, H_STUFF_TCE: the IOBA comes first", "KVM 4.6 and later: the IOBA is checked before the loop",
         QEMU]
        Answer(Hypercall::stuff(WINDOW, END, 0, 0), [
            parameter(Rule::IobaRange), parameter(Rule::IobaRange), parameter(Rule::CountZero),
        ]);
    "order-ioba-or-stuff-limit" CheckOrder
        "H_STUFF_TCE outside the window, of more entries than any limit. No dialect answers H_P4: LoPAPR checks its limit after \
         the IOBA."
        ["LoPAPR, H_STUFF_TCE: the IOBA comes before the count", "KVM, all versions: there is no limit to fail", QEMU]
        Answer(Hypercall::stuff(WINDOW, END, 0, 513), [
            parameter(Rule::IobaRange), parameter(Rule::IobaRange), parameter(Rule::CountStuff),
        ]);
    "order-range-or-list-page" CheckOrder
        "H_PUT_TCE_INDIRECT outside the window, of a list whose host page is absent. QEMU reads the first word before it \
         looks at the IOBA, which faults the page in: the host can see that, the guest cannot."
        ["LoPAPR, H_PUT_TCE_INDIRECT: the range comes before the list", "KVM, all versions: the range comes before the list",
         "a guest cannot observe it; this project's order (semantics 4)"]
        Answer(Hypercall::indirect(WINDOW, END, LIST, 1), [
            parameter(Rule::IobaRange), parameter(Rule::IobaRange), parameter(Rule::IobaRange).faulted_in(1),
        ]);
    "deferring" Deferring "H_PUT_TCE on an emulated window, for which real mode has all it needs."
        ["what this project demands of real mode", "what this project demands of real mode",
         "QEMU has no real mode: it answers every call that reaches it"]
        Duty(Hypercall::put(WINDOW, 0, PAGE), [Duty::Finish, Duty::Finish, Duty::MayDefer]);
    "pinned-windows" PinnedWindows "A window with a hardware table beside the guest's."
        ["LoPAPR knows no host pages; as in dialect kvm",
         "the real-mode handlers that were posted in 2013, for Linux 3.13",
         "QEMU's tables are emulated; pages are pinned elsewhere, if at all"]
        Machine([None, None, Some("dialect qemu has no pinned windows")]);
    "window-base" WindowBase "A window that starts in the middle of one of its pages."
        ["what this project demands of a machine", "KVM 4.6 and later: the offset is a number of pages", QEMU]
        Machine([
            Some("base 0x1800 is no multiple of the window's page 0x1000"),
            Some("base 0x1800 is no multiple of the window's page 0x1000"),
            None,
        ]);
    "liobn-width" LiobnWidth "A window whose LIOBN needs 33 bits."
        ["LoPAPR: r4 holds it, a register of 64 bits", "KVM: a 64-bit number, compared whole", QEMU]
        Machine([None, None, Some("does not fit 32 bits")]);
}

macro_rules! agreed {
    ($($situation:literal $call:expr => $status:ident;)*) => {
        /// The hypercalls that all dialects answer alike.
        pub const AGREED: &[Agreed] =
            &[$(Agreed { situation: $situation, call: $call, status: Status::$status },)*];
    };
}

agreed! {
    "an opcode that is none of the four" Hypercall { opcode: u64::MAX - 3, args: [WINDOW, 0, 0, 0] } => FUNCTION;
    "an unknown LIOBN" Hypercall::get(WINDOW + 0x100, 0) => PARAMETER;
    "a known LIOBN with a higher bit set" Hypercall::get(WINDOW | 1 << 32, 0) => PARAMETER;
    "a negative LIOBN, as in LoPAPR's option for several tables" Hypercall::get(u64::MAX, 0) => PARAMETER;
    "an entry that was never written is 0" Hypercall::get(WINDOW, 0x3000) => SUCCESS;
    "an IOBA one past the end" Hypercall::get(WINDOW, END) => PARAMETER;
    "the largest aligned IOBA" Hypercall::put(WINDOW, u64::MAX - 0xfff, PAGE) => PARAMETER;
    "an IOBA outside with a count of 0" Hypercall::indirect(WINDOW, END, LIST, 0) => PARAMETER;
    "a TCE into an entry that is 0" Hypercall::put(WINDOW, 0, PAGE) => SUCCESS;
    "another TCE into the same entry" Hypercall::put(WINDOW, 0, PAGE + 0x1000) => SUCCESS;
    "a fault TCE with junk in all other bits" Hypercall::put(WINDOW, 0x1000, u64::MAX - 3) => SUCCESS;
    "513 entries in H_PUT_TCE_INDIRECT" Hypercall::indirect(WINDOW, 0, LIST, 513) => PARAMETER;
    "a list that is not 4 KiB aligned" Hypercall::indirect(WINDOW, 0, LIST + 8, 1) => PARAMETER;
    "a list that is not 4 KiB aligned with a count of 0" Hypercall::indirect(WINDOW, 0, LIST + 8, 0) => PARAMETER;
    "a list whose host page is absent" Hypercall::indirect(WINDOW, 0x2000, LIST, 1) => SUCCESS;
    "a list whose host page is not young" Hypercall::indirect(WINDOW, 0x2000, LIST - 0x1000, 1) => SUCCESS;
}

macro_rules! outside {
    ($($situation:literal $reason:literal;)*) => {
        /// The disagreements of real systems that have no row, because no program can show them.
        pub const OUTSIDE_THE_TEST: &[Outside] = &[$(Outside { situation: $situation, reason: $reason },)*];
    };
}

outside! {
    "a list that another CPU changes while it is read: LoPAPR copies it first, KVM 4.20 and later read it twice"
        "Steps follow one another, so no guest writes during a call. The rule `LIST.SNAPSHOT` requires that each word is \
         read once.";
    "the hardware refuses an update: H_HARDWARE, or success with the entry zapped, or only a line in a log"
        "A hardware table is memory here and accepts every store. H_HARDWARE has one cause here, `PIN.HARDWARE`: the \
         host cannot supply the page, or the device may write and the host maps the page read-only.";
    "a TCE that only lets the device write: KVM 4.12 and later let it read too, in the hardware's entry"
        "Hardware entries hold the permissions as the guest gave them, in all dialects that have hardware entries. No \
         device does DMA.";
    "a negative LIOBN that names several tables (LoPAPR's Multi-TCE-Table option)"
        "The option is not offered, so the number is an unknown LIOBN.";
    "two hardware tables on one window, of which the first stays updated when the second fails"
        "A window has one hardware table, or none.";
    "KVM's answer when it gives up in both modes: user space carries the call out, and often succeeds"
        "There is no user space. Where KVM would leave the call to it, `kvm` answers H_PARAMETER; `qemu` is what QEMU does.";
    "KVM before 4.20 stores the entries before a bad one; KVM from 4.12 on forgets the end of a range"
        "`kvm` takes the whole-range rule of 4.6 to 4.11 and the check-everything-first rule of 4.20, so it agrees with `lopapr`. \
         tests/defects has both as planted faults.";
    "KVM before 4.12 refuses low bits in a TCE without permissions, and does not check whether a TCE's page is guest memory"
        "`kvm` answers as 4.18 and 4.19 do.";
    "H_RESCINDED for a resource that was removed, H_PARTIAL for an entry whose page was removed"
        "Nothing is removed from the guest during a call; a window that was closed is an unknown LIOBN.";
    "long-busy codes and the number of mapped bytes in r4 (LoPAPR's memory overcommitment)"
        "Neither KVM nor QEMU has them.";
}
