//! The encoding: programs as bytes, for fuzzing engines.
//!
//! The bytes are a header, then one record for each item of the machine and each step, in the order of the text form.
//! Header and records are [`RECORD`] bytes each, so if an engine copies, repeats or drops a record, all others stay in
//! their places. All numbers are little-endian. Unused bytes of a record are zero.
//!
//! | bytes | header | record |
//! |---|---|---|
//! | 0..4 | `RMDP` | key: four letters that name the kind, [`KEYS`] |
//! | 4..8 | version, [`VERSION`] | flags and small numbers |
//! | 8..48 | dialect, page shift, struct page, model, block shift, 0 (4 bytes each); array or base; pages or list (8 each) | five numbers of 8 bytes |
//!
//! A list (the words of `write` and `ram`, the places of `hot-add`) has one record for each run, right after the record
//! that it belongs to. The [visitor](contract::visit) gives the order of a record's numbers, for encoding and decoding.
//!
//! **Every byte string decodes.** Bytes that do not begin with `RMDP` and the number [`VERSION`] are decisions of the
//! generator ([`generate::decode`](crate::generate::decode)). After a header, decoding reduces an unknown key modulo
//! the number of keys, and a number that must be one of a few choices modulo the number of choices. It ignores an
//! incomplete record at the end, and [repairs](crate::repair) the resulting program. **Encoding inverts exactly**:
//! `decode(&encode(p)) == p` for every valid program.

mod read;
mod write;

use contract::Step;
use contract::visit::Field;

pub use read::{EncodingError, Form, decode, decode_exact, form};
pub use write::{encode, encode_into};

/// Size of the header and of each record, in bytes.
pub const RECORD: usize = 48;
/// Version of the encoding, in the header's bytes 4 to 7. No other version is written, and none is read as a packed
/// program.
pub const VERSION: u32 = 1;
/// The first four bytes of the header, which mark an encoded program.
pub const MAGIC: [u8; 4] = *b"RMDP";

macro_rules! keys {
    ($($name:ident $bytes:literal $what:literal $(= $step:ident { $($field:tt),* })?;)*) => {
        /// The kinds of records: one for each kind of item of the machine and of step, and for the runs of their lists.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub(crate) enum Key {
            $(#[doc = $what] $name,)*
        }

        impl Key {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the kind of record whose key the four bytes are. Bytes that are no key give some kind too: read
            /// as a little-endian number, modulo the number of kinds, they are its index.
            fn of(bytes: [u8; 4]) -> Self {
                // Comparing numbers takes a handful of comparisons.
                match u32::from_le_bytes(bytes) {
                    $(number if number == u32::from_le_bytes(*$bytes) => Self::$name,)*
                    other => Self::ALL[other as usize % Self::ALL.len()],
                }
            }

            /// Returns the kind of record with which the encoding of this step begins.
            const fn of_step(step: &Step) -> Self {
                match step {
                    $($(Step::$step { .. } => Self::$name,)?)*
                }
            }

            /// Returns the step whose encoding begins with a record of this kind, with all numbers zero and lists
            /// empty; `None` if no step begins with this kind.
            #[inline]
            fn blank_step(self) -> Option<Step> {
                match self {
                    $($(Self::$name => Some(Step::$step { $($field: Default::default()),* }),)?)*
                    _ => None,
                }
            }
        }

        /// The key of every kind of record, and the name of the item or step that such a record stands for. Engines use
        /// the keys as a dictionary. New keys are appended.
        pub const KEYS: &[([u8; 4], &str)] = &[$((*$bytes, $what),)*];
    };
}

// The line of a step names its variant and its fields.
keys! {
    Section b"sect" "section";
    Block b"blok" "block";
    Page b"page" "page";
    Compound b"comp" "compound";
    Slot b"slot" "slot";
    Mapping b"mapp" "map";
    Ram b"ramm" "ram";
    Window b"wind" "window";
    Hypercall b"hcal" "hypercall" = Hypercall { vcpu, call };
    Lookup b"look" "pfn_to_page" = Lookup { pfn };
    GetPage b"getp" "get_page_unless_zero" = GetPage { pfn };
    PutPage b"putp" "put_page_unless_one" = PutPage { pfn };
    Take b"take" "take" = Take { pfn };
    Drop b"drop" "drop" = Drop { pfn };
    StepMap b"smap" "map (step)" = Map { hva, pte };
    Unmap b"unmp" "unmap" = Unmap { hva };
    Age b"agep" "age" = Age { hva };
    Clean b"clen" "clean" = Clean { hva };
    WriteProtect b"wpro" "write-protect" = WriteProtect { hva };
    Migrate b"migr" "migrate" = Migrate { hva, pfn };
    MakeCompound b"mkco" "make-compound" = MakeCompound { 0 };
    SplitCompound b"spco" "split-compound" = SplitCompound { pfn };
    HotAdd b"hadd" "hot-add" = HotAdd { section, blocks };
    HotRemove b"hrem" "hot-remove" = HotRemove { section };
    StepSlot b"sslo" "slot (step)" = Slot { 0 };
    Write b"writ" "write" = Write { gpa, words };
    CreateWindow b"cwin" "create-window" = CreateWindow { 0 };
    CloseWindow b"xwin" "close-window" = CloseWindow { liobn };
    Word b"word" "a run of words";
    Place b"plac" "a run of places";
}

impl Key {
    /// Returns the key of this kind of record: its first four bytes.
    const fn bytes(self) -> [u8; 4] {
        KEYS[self as usize].0
    }

    /// Returns the kind of record that begins when the visitor reaches `field` in an item or step whose record has this
    /// kind: a run of words, or a run of places. `None` if `field` begins no new record.
    const fn of_run(self, field: Field) -> Option<Self> {
        match field {
            Field::Word => Some(Self::Word),
            Field::BlockAt if matches!(self, Self::HotAdd | Self::Place) => Some(Self::Place),
            _ => None,
        }
    }
}

/// Returns where a field lies in the small number of its record (bytes 4 to 7): its lowest bit, and its width in bits.
/// `None` for a field that is one of the record's five numbers, which follow in the order of the
/// [visitor](contract::visit).
const fn small(field: Field) -> Option<(u32, u32)> {
    match field {
        Field::Own | Field::Slot | Field::Order | Field::Vcpu => Some((0, 32)),
        Field::WindowShift => Some((0, 8)),
        Field::Writable => Some((2, 1)),
        Field::Dirty => Some((3, 1)),
        Field::Young => Some((4, 1)),
        Field::HugeOrder => Some((8, 24)),
        _ => None,
    }
}

/// Returns where a field of the machine line lies in the header, as the offset of its 4 bytes, and the values that it
/// may have. `None` for a field that is one of the header's two numbers of 8 bytes, which follow from byte
/// [`HEADER_NUMBERS`] on in the order of the [visitor](contract::visit).
const fn small_in_header(field: Field) -> Option<(usize, &'static [u32])> {
    match field {
        Field::HostShift => Some((12, &[12, 16])),
        Field::StructPage => Some((16, &[56, 64, 72, 80])),
        Field::BlockShift => Some((24, &[12, 16, 21, 24])),
        _ => None,
    }
}

/// Offset of the dialect in the header: its index in `Dialect::ALL`, 4 bytes.
const HEADER_DIALECT: usize = 8;
/// Offset of the memory model in the header: 0 for flatmem, 1 for sparsemem-vmemmap, 4 bytes.
const HEADER_MODEL: usize = 20;
/// Offset of the header's two numbers of 8 bytes.
const HEADER_NUMBERS: usize = 32;

/// Bits in the small number (bytes 4 to 7) of a record with a page-table entry. They give the kind of the entry; a
/// present entry has neither.
mod pte_bits {
    pub(super) const HUGE: u32 = 1;
    pub(super) const ABSENT: u32 = 2;
}

/// Bit in the small number (bytes 4 to 7) of a window's record. It is set if the window is pinned.
const PINNED: u32 = 1 << 8;
