//! A finding as data: its place, the rule that is broken, the thing that differs, and the values of reference and
//! voter.
//!
//! The only wording of each type here is its [`Display`](fmt::Display). No code parses that text.

use std::fmt;

use contract::{Hva, Liobn, Pfn, Program, RealAddr, Rule, StepKind};
use machine::Mode;
use serde::{Deserialize, Serialize};

/// A place in a run of a program. The order of places is the order in which they run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Place {
    /// The start of the program, when the subject gets the machine.
    Start,
    /// The step with this index, counted from 0. Texts print it counted from 1.
    Step(usize),
    /// The end of the program, after the last step: everything is compared, and often windows are then closed and leaks
    /// searched for.
    End,
}

impl Place {
    /// Returns the kind of what runs at this place of `program`. An index past the last step gives [`Kind::End`].
    #[must_use]
    pub fn kind(self, program: &Program) -> Kind {
        match self {
            Self::Start => Kind::Start,
            Self::Step(index) => program.steps.get(index).map_or(Kind::End, |step| Kind::Step(step.kind())),
            Self::End => Kind::End,
        }
    }

    /// Returns the index of the step, from 0; `None` for the start and the end.
    #[must_use]
    pub const fn step(self) -> Option<usize> {
        match self {
            Self::Step(index) => Some(index),
            Self::Start | Self::End => None,
        }
    }

    /// Returns the number of steps of `program` that come before this place: 0 for the start, all steps for the end.
    #[must_use]
    pub fn steps_before(self, program: &Program) -> usize {
        match self {
            Self::Start => 0,
            Self::Step(index) => index.min(program.steps.len()),
            Self::End => program.steps.len(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("the start"),
            Self::Step(index) => write!(f, "step {}", index + 1),
            Self::End => f.write_str("the end of the program"),
        }
    }
}

/// The kind of what runs at a [`Place`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// The start of the program, at which the subject gets the machine.
    Start,
    /// A step of this kind, for example `unmap` or H_PUT_TCE.
    Step(StepKind),
    /// The end of the program, after its last step.
    End,
}

impl Kind {
    /// Returns the kind's name in JSON and in ledgers, such as `H_PUT_TCE`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Step(kind) => kind.name(),
            Self::End => "end",
        }
    }

    /// Returns the kind with this name, or `None` if no kind has it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "start" => Some(Self::Start),
            "end" => Some(Self::End),
            _ => StepKind::from_name(name).map(Self::Step),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! fields {
    ($($variant:ident $name:literal $meaning:literal;)*) => {
        /// The kind of thing that differs in a finding. Its name stands under the key `field` in ledgers and JSON.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum Field {
            $(#[doc = concat!("`", $name, "`: ", $meaning, ".")] $variant,)*
        }

        impl Field {
            /// All fields, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the field's name in reports, ledgers and JSON, such as `guest value`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns what the field is, in a few words, for a table of all fields.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

fields! {
    Status "status" "the status of a hypercall, r3";
    R4 "r4" "the value of a hypercall in r4";
    Registers "registers" "registers that a hypercall must leave alone, r5 to r9";
    GuestValue "guest value" "an entry of a window as the guest reads it";
    HardwareEntry "hardware entry" "an entry of a pinned window's hardware table";
    Count "count" "the reference count of a page";
    PageFlags "page flags" "the flags of a struct page";
    StructPage "struct page" "another word of a struct page";
    PageTable "page table" "an entry of the host page table";
    Memory "memory" "a word of guest memory";
    VmemmapList "vmemmap list" "a word of the vmemmap list";
    Lookup "lookup" "the answer of pfn_to_page";
    Probe "probe" "the answer of a conditional reference";
    RealMode "real mode" "whether real mode finished the call or deferred it";
    Accesses "accesses" "the number of accesses of a real-mode call";
    Address "address" "an address that was touched";
    List "list" "a word of an INDIRECT list";
    Allocation "allocation" "memory that was asked for";
    Panic "panic" "the subject panicked";
    Hang "hang" "the subject did not end";
    Process "process" "the process or machine that the subject runs in";
    Interface "interface" "an answer that the subject's interface does not allow";
    Harness "harness" "a state of the harness itself that cannot be";
}

impl Field {
    /// Returns the field with this name, or `None` if no field has it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A part of a subject's code that the harness calls, for example one half of a hypercall.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Code {
    /// The method `start`, which gives the subject a machine.
    Start,
    /// The method `see`, in which a subject looks at memory that the host has changed.
    See,
    /// The subject's real-mode half of a hypercall, or its code for a probe.
    RealMode,
    /// The subject's virtual-mode half of a hypercall.
    VirtualMode,
    /// The method `close_window`.
    CloseWindow,
    /// The method `create_window`.
    CreateWindow,
    /// The method `hot_add`.
    HotAdd,
    /// The method `hot_remove`.
    HotRemove,
    /// The method `set_slot`.
    SetSlot,
    /// The whole check of a program. Used where an observer in another process knows only that the check does not end.
    Check,
}

impl Code {
    /// Returns the code that runs a hypercall in this mode: the real-mode half or the virtual-mode half.
    #[must_use]
    pub const fn half(mode: Mode) -> Self {
        match mode {
            Mode::Real => Self::RealMode,
            Mode::Virtual => Self::VirtualMode,
        }
    }

    /// Returns `real mode` or `virtual mode`: the mode that the code runs in. All code but [`Code::RealMode`]
    /// (real-mode halves and probes) counts as virtual mode.
    pub(crate) const fn mode(self) -> &'static str {
        match self {
            Self::RealMode => "real mode",
            _ => "virtual mode",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::See => "see",
            Self::RealMode => "real-mode half",
            Self::VirtualMode => "virtual-mode half",
            Self::CloseWindow => "close_window",
            Self::CreateWindow => "create_window",
            Self::HotAdd => "hot_add",
            Self::HotRemove => "hot_remove",
            Self::SetSlot => "set_slot",
            Self::Check => "time of the check",
        })
    }
}

/// The thing that differs, or that the subject must not have used, in a finding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Thing {
    /// The status of a hypercall, r3.
    Status,
    /// The value of r4 after a hypercall.
    R4,
    /// The registers r5 to r9, which a hypercall must leave alone.
    OtherRegisters,
    /// Whether real mode finished the hypercall or deferred it.
    Call,
    /// The number of accesses that the real-mode half made for a hypercall. The value is the number of entries of the
    /// hypercall.
    Accesses(u64),
    /// The answer to `pfn_to_page` of this page.
    Lookup(Pfn),
    /// The answer to `get_page_unless_zero` of this page.
    GetPage(Pfn),
    /// The answer to `put_page_unless_one` of this page.
    PutPage(Pfn),
    /// The reference count of this page.
    Count(Pfn),
    /// The flags in this page's struct page.
    Flags(Pfn),
    /// Bytes 12 to 15 of this page's struct page. They share an 8-byte word with the count and must be zero.
    BesideCount(Pfn),
    /// A word of this page's struct page that holds neither the flags nor the count. The number is its offset in bytes
    /// from the start of the struct page.
    StructPage(Pfn, u64),
    /// The guest value of one entry of the window with this LIOBN. The number is the entry's index, from 0.
    GuestValue(Liobn, u64),
    /// The hardware entry of one entry of the window with this LIOBN. The number is the entry's index, from 0.
    HardwareEntry(Liobn, u64),
    /// The entry of the host page table at this hva.
    Pte(Hva),
    /// The word of guest memory at this real address.
    Word(RealAddr),
    /// A word at this real address, in memory that the step removed.
    GoneWord(RealAddr),
    /// One 8-byte word of the vmemmap list. The number is the word's index from the start of the list, from 0.
    ListNode(u64),
    /// An effective address that the subject touched and must not touch, and where the address leads.
    Address(u64, Whereabouts),
    /// The word at this real address, in the list of an H_PUT_TCE_INDIRECT.
    ListWord(RealAddr),
    /// Memory that the subject asked the CPU for in real mode.
    Allocation,
    /// This code of the subject panicked.
    Panic(Code),
    /// This code of the subject did not end.
    Hang(Code),
    /// This code of the subject broke the rules of its interface.
    Interface(Code),
    /// A subject's process or a voter's machine, given by name, that died or gave an impossible answer.
    Process(String),
    /// A subject's process or a voter's machine, given by name, that no longer answers.
    Silent(String),
    /// The harness itself, in a state that no subject can bring about.
    Harness,
}

impl Thing {
    /// Returns the field of this thing: which kind of thing it is.
    #[must_use]
    pub const fn field(&self) -> Field {
        match self {
            Self::Status => Field::Status,
            Self::R4 => Field::R4,
            Self::OtherRegisters => Field::Registers,
            Self::Call => Field::RealMode,
            Self::Accesses(_) => Field::Accesses,
            Self::Lookup(_) => Field::Lookup,
            Self::GetPage(_) | Self::PutPage(_) => Field::Probe,
            Self::Count(_) => Field::Count,
            Self::Flags(_) => Field::PageFlags,
            Self::BesideCount(_) | Self::StructPage(..) => Field::StructPage,
            Self::GuestValue(..) => Field::GuestValue,
            Self::HardwareEntry(..) => Field::HardwareEntry,
            Self::Pte(_) => Field::PageTable,
            Self::Word(_) | Self::GoneWord(_) => Field::Memory,
            Self::ListNode(_) => Field::VmemmapList,
            Self::Address(..) => Field::Address,
            Self::ListWord(_) => Field::List,
            Self::Allocation => Field::Allocation,
            Self::Panic(_) => Field::Panic,
            Self::Hang(_) | Self::Silent(_) => Field::Hang,
            Self::Interface(_) => Field::Interface,
            Self::Process(_) => Field::Process,
            Self::Harness => Field::Harness,
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status (r3)"),
            Self::R4 => f.write_str("r4"),
            Self::OtherRegisters => f.write_str("r5 to r9"),
            Self::Call => f.write_str("the call"),
            Self::Accesses(entries) => write!(f, "accesses of a real-mode call of {entries} entries"),
            Self::Lookup(pfn) => write!(f, "pfn_to_page of {pfn}"),
            Self::GetPage(pfn) => write!(f, "get_page_unless_zero of {pfn}"),
            Self::PutPage(pfn) => write!(f, "put_page_unless_one of {pfn}"),
            Self::Count(pfn) => write!(f, "count of page {pfn}"),
            Self::Flags(pfn) => write!(f, "flags of page {pfn}"),
            Self::BesideCount(pfn) => write!(f, "bytes 12 to 15 of the struct page of page {pfn}"),
            Self::StructPage(pfn, offset) => write!(f, "word at offset {offset} of the struct page of page {pfn}"),
            Self::GuestValue(liobn, index) => write!(f, "guest value {index} of window {liobn}"),
            Self::HardwareEntry(liobn, index) => write!(f, "hardware entry {index} of window {liobn}"),
            Self::Pte(hva) => write!(f, "page-table entry at hva {hva}"),
            Self::Word(real) => write!(f, "word at real address {real}"),
            Self::GoneWord(real) => write!(f, "word at real address {real}, which has gone"),
            Self::ListNode(index) => write!(f, "vmemmap list word {index}"),
            Self::Address(ea, whereabouts) => write!(f, "address {ea:#x}{whereabouts}"),
            Self::ListWord(real) => write!(f, "list word at real address {real}"),
            Self::Allocation => f.write_str("allocation"),
            Self::Panic(code) | Self::Hang(code) | Self::Interface(code) => code.fmt(f),
            Self::Process(name) | Self::Silent(name) => f.write_str(name),
            Self::Harness => f.write_str("the harness itself"),
        }
    }
}

impl Thing {
    /// Returns whether the text of this thing begins with the name of its field. A report then need not print the field
    /// too.
    pub(crate) const fn says_its_field(&self) -> bool {
        matches!(
            self,
            Self::Status
                | Self::R4
                | Self::Accesses(_)
                | Self::Count(_)
                | Self::GuestValue(..)
                | Self::HardwareEntry(..)
                | Self::ListNode(_)
                | Self::Address(..)
                | Self::ListWord(_)
                | Self::Allocation
        )
    }
}

/// Where an effective address leads: into a region, past the end of the last region below it, below all regions, or to
/// no real address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Whereabouts {
    /// The effective address is neither a real address below 2^46 nor the address of one in the linear map.
    Unreal,
    /// The address lies below all regions.
    Below,
    /// The address lies in a region of this kind, this many bytes from the start of the region.
    Into(u64, Area),
    /// The address lies in no region, this many bytes past the end of the last region below it (0 for the first byte
    /// after that region).
    Past(u64, Area),
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreal => Ok(()),
            Self::Below => f.write_str(", below everything described"),
            Self::Into(bytes, area) => write!(f, ", {bytes} bytes into {area}"),
            Self::Past(bytes, area) => write!(f, ", {bytes} bytes past the end of {area}"),
        }
    }
}

/// What a region of real memory holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Area {
    /// Struct pages. The first that begins in the region belongs to this pfn.
    StructPages(Pfn),
    /// The table of guest values of the window with this LIOBN.
    Table(Liobn),
    /// The hardware table of the window with this LIOBN.
    Hardware(Liobn),
    /// Memory of the guest and the host, made of pages.
    Memory,
    /// The vmemmap list, which the host keeps.
    List,
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StructPages(pfn) => write!(f, "struct pages from page {pfn} on"),
            Self::Table(liobn) => write!(f, "the table of window {liobn}"),
            Self::Hardware(liobn) => write!(f, "the hardware table of window {liobn}"),
            Self::Memory => f.write_str("memory"),
            Self::List => f.write_str("the vmemmap list"),
        }
    }
}

/// The moment within a place of the program at which a difference was seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Moment {
    /// After the step, at the start or at the end, when reference and voter were compared. Also stands for failures
    /// with no closer moment, such as a panic or a hang.
    After,
    /// At one access of a run of this code. The number counts the accesses of the run, from 1.
    Access(u64, Code),
    /// After real mode had deferred the hypercall, before virtual mode ran it.
    Deferred,
    /// At the end of the program, after all windows were closed. References of page-table entries are not counted then,
    /// as if everything had been unmapped.
    Closed,
    /// When the harness read the table entry back to compare it.
    ReadBack,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After => Ok(()),
            Self::Access(number, code) => write!(f, " (access {number} in {})", code.mode()),
            Self::Deferred => f.write_str(" after a call that real mode deferred"),
            Self::Closed => f.write_str(" with all windows closed and everything unmapped"),
            Self::ReadBack => f.write_str(", read back"),
        }
    }
}

/// Tells findings apart: two findings with equal identity count as one finding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The rule that the voter broke.
    pub rule: Rule,
    /// The kind of thing that differs, for example `status`.
    pub field: Field,
    /// The kind of the place where the finding shows: the start, a step of some kind, or the end.
    pub kind: Kind,
}

/// An object that differs, as the reference has it and as real memory has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectDiff {
    /// The name of the object, such as `page 0x10`.
    pub name: String,
    /// The object as the reference has it, in lines of text.
    pub reference: String,
    /// The object as real memory has it, in lines of text.
    pub memory: String,
}

/// The largest number of objects that one finding shows.
pub const MAX_OBJECTS: usize = 8;

/// A broken rule with its place in a program, and the values of reference and voter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The rule that the voter broke.
    pub rule: Rule,
    /// The place of the program where the finding shows.
    pub place: Place,
    /// The kind of what ran at `place`.
    pub kind: Kind,
    /// The rule by which the reference decided the step; `None` at the start, at the end, and for steps that no rule
    /// decides, such as host steps.
    pub decided: Option<Rule>,
    /// Index, from 0, of the last step on which the voter agreed with the reference; `None` if there is none.
    pub agreed: Option<usize>,
    /// The thing that differs, for example the count of a page.
    pub thing: Thing,
    /// The moment, within `place`, at which the difference was seen.
    pub moment: Moment,
    /// The value of the reference, or what the rule demands, as text.
    pub expected: String,
    /// The value of the voter, as text.
    pub found: String,
    /// The objects that differ, at most [`MAX_OBJECTS`] of them.
    pub objects: Vec<ObjectDiff>,
    /// The name of the voter that differs from the reference or broke the rule.
    pub voter: String,
    /// Whether a fresh subject, which has seen no other program, shows the finding too; `None` if no fresh subject ran
    /// the program.
    pub repeats: Option<bool>,
    /// Each voter's answer, the reference's first. Empty if only one voter is compared.
    pub votes: Vec<Vote>,
    /// The lines that the subject logged while the program ran.
    pub log: Vec<String>,
}

impl Finding {
    /// Makes a finding on `program` at `place`. `voter` is the name of the voter that broke the rule. The moment is
    /// [`Moment::After`]; every other field that the arguments do not give is empty or `None`, for the caller to set.
    #[must_use]
    pub fn new(voter: &str, program: &Program, place: Place, rule: Rule, thing: Thing) -> Self {
        Self {
            rule,
            place,
            kind: place.kind(program),
            decided: None,
            agreed: None,
            thing,
            moment: Moment::After,
            expected: String::new(),
            found: String::new(),
            objects: Vec::new(),
            voter: voter.into(),
            repeats: None,
            votes: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Returns the finding's identity, by which it counts as equal to other findings.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        Identity { rule: self.rule, field: self.thing.field(), kind: self.kind }
    }

    /// Returns the thing that differs and the moment at which the difference was seen, as text.
    #[must_use]
    pub fn what(&self) -> String {
        format!("{}{}", self.thing, self.moment)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, place, kind, thing, moment, expected, found, .. } = self;
        write!(f, "{rule} at {place}")?;
        if let Kind::Step(kind) = kind {
            write!(f, " ({kind})")?;
        }
        write!(f, ": {thing}{moment}: expected {expected}, found {found}")
    }
}

/// One voter's answer about the thing that differs in a finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vote {
    /// The name of the voter, or `reference`.
    pub voter: String,
    /// What this voter has for the thing that differs.
    pub answer: Answer,
}

/// A voter's answer about the thing that differs in a finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The voter has the value that the reference has, or that the rule demands.
    Expected(String),
    /// The voter has another value than the reference.
    Found(String),
    /// The voter has another finding at the same place: the rule that it breaks, the thing and moment, and the value
    /// found.
    Breaks(Rule, String, String),
    /// The voter has no verdict on the program, or was not compared at the finding's place or at an earlier one.
    NotAsked,
    /// The voter does not show this field, so its value cannot be compared.
    NotShown,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(value) | Self::Found(value) => f.write_str(value),
            Self::Breaks(rule, what, found) => write!(f, "{rule}: {what}, found {found}"),
            Self::NotAsked => f.write_str("was not asked to the end"),
            Self::NotShown => f.write_str("does not show it"),
        }
    }
}
