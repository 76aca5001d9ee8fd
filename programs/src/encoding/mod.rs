//! Programs as bytes, for fuzzing engines.
//!
//! A header, then one record for each item of the machine and each step, in the order of the text form. Header and
//! records are [`RECORD`] bytes, so an engine that copies, repeats or drops a record leaves all others in their places.
//! All numbers are little-endian; what a record does not use is zero.
//!
//! | bytes | header | record |
//! |---|---|---|
//! | 0..4 | `RMDP` | key: four letters that name the kind, [`KEYS`] |
//! | 4..8 | version, [`VERSION`] | flags and small numbers |
//! | 8..48 | dialect, page shift, struct page, model, block shift, 0 (4 bytes each); array or base; pages or list (8 each) | five numbers of 8 bytes |
//!
//! A list (the words of `write` and `ram`, the places of `hot-add`) has a record for each run, behind the record it
//! belongs to.
//!
//! **Every byte string decodes.** Bytes that do not begin with the header's eight are decisions of the generator
//! ([`generate::decode`](crate::generate::decode)). Behind a header, a key that is none counts modulo their number, a
//! number that is none of a few choices likewise, an incomplete record at the end is ignored, and what then contradicts
//! itself is [repaired](crate::repair). **Encoding inverts exactly**: `decode(&encode(p)) == p` for every sound
//! program.

mod read;
mod write;

pub use read::{EncodingError, Form, decode, decode_exact, form};
pub use write::{encode, encode_into};

/// Bytes of the header and of each record.
pub const RECORD: usize = 48;
/// The version of the encoding that is written.
pub const VERSION: u32 = 1;
/// The first four bytes of the header.
pub const MAGIC: [u8; 4] = *b"RMDP";

macro_rules! keys {
    ($($name:ident $bytes:literal $what:literal;)*) => {
        /// The kinds of records.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub(crate) enum Key {
            $(#[doc = $what] $name,)*
        }

        impl Key {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The kind with that key; any other four bytes are some kind too.
            fn of(bytes: [u8; 4]) -> Self {
                // As numbers they take a handful of comparisons.
                match u32::from_le_bytes(bytes) {
                    $(number if number == u32::from_le_bytes(*$bytes) => Self::$name,)*
                    other => Self::ALL[other as usize % Self::ALL.len()],
                }
            }
        }

        /// Every key with what its records stand for; a dictionary for engines. New ones are appended.
        pub const KEYS: &[([u8; 4], &str)] = &[$((*$bytes, $what),)*];
    };
}

keys! {
    Section b"sect" "section";
    Block b"blok" "block";
    Page b"page" "page";
    Compound b"comp" "compound";
    Slot b"slot" "slot";
    Mapping b"mapp" "map";
    Ram b"ramm" "ram";
    Window b"wind" "window";
    Hypercall b"hcal" "hypercall";
    Lookup b"look" "pfn_to_page";
    GetPage b"getp" "get_page_unless_zero";
    PutPage b"putp" "put_page_unless_one";
    Take b"take" "take";
    Drop b"drop" "drop";
    StepMap b"smap" "map (step)";
    Unmap b"unmp" "unmap";
    Age b"agep" "age";
    Clean b"clen" "clean";
    WriteProtect b"wpro" "write-protect";
    Migrate b"migr" "migrate";
    MakeCompound b"mkco" "make-compound";
    SplitCompound b"spco" "split-compound";
    HotAdd b"hadd" "hot-add";
    HotRemove b"hrem" "hot-remove";
    StepSlot b"sslo" "slot (step)";
    Write b"writ" "write";
    CreateWindow b"cwin" "create-window";
    CloseWindow b"xwin" "close-window";
    Word b"word" "a run of words";
    Place b"plac" "a run of places";
}

impl Key {
    const fn bytes(self) -> [u8; 4] {
        KEYS[self as usize].0
    }
}

/// Page-table entries in a record's small number.
mod pte_bits {
    pub(super) const HUGE: u32 = 1;
    pub(super) const ABSENT: u32 = 2;
    pub(super) const WRITABLE: u32 = 4;
    pub(super) const DIRTY: u32 = 8;
    pub(super) const YOUNG: u32 = 16;
    pub(super) const ORDER_SHIFT: u32 = 8;
}

/// Windows in a record's small number: the page shift, and whether the window is pinned.
const PINNED: u32 = 1 << 8;
