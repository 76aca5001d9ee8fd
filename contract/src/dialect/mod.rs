//! The names of the dialects, of the fields in which LoPAPR, KVM and QEMU disagree, and of the answers that a field can
//! have (semantics 4).
//!
//! Nothing here says what a dialect answers. The reference has its values in `reference::answers`, and the candidate
//! has its own reading of semantics 4. `tests/corpora/dialects.rs` compares the two: a table that both sides import
//! would hide a mistake in it. The only values of dialects in this crate are in `windows.rs`: which windows a valid
//! description may have in a dialect, because a program must be valid or not without either side. The reference does
//! not ask them. It decides step `create-window` by its own answers, and its tests compare the two at every edge.

use core::fmt;

mod windows;

macro_rules! answers {
    ($($field:ident $Type:ident $situation:literal { $($variant:ident $text:literal;)* })*) => {
        $(
            #[doc = $situation]
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub enum $Type {
                $(#[doc = concat!($text, ".")] $variant,)*
            }

            impl $Type {
                /// The answer that this value stands for, in a few words.
                #[must_use]
                pub const fn text(self) -> &'static str {
                    match self { $(Self::$variant => $text,)* }
                }
            }
        )*

        /// One column of the table of dialects: the answer of one dialect for each field. Only the reference makes
        /// values of this type.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct Answers {
            $(#[doc = concat!("See [`", stringify!($Type), "`].")] pub $field: $Type,)*
        }

        /// A field of [`Answers`]: a point in which LoPAPR, KVM and QEMU disagree.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Field {
            $(#[doc = $situation] $Type,)*
        }

        impl Field {
            /// All fields of [`Answers`], in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$Type,)*];

            /// The name of the field in [`Answers`], such as `unaligned_ioba`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$Type => stringify!($field),)* }
            }

            /// The situation in which the dialects disagree, in a sentence.
            #[must_use]
            pub const fn situation(self) -> &'static str {
                match self { $(Self::$Type => $situation,)* }
            }
        }

        impl Answers {
            /// The answer of this column's dialect for `field`, in a few words.
            #[must_use]
            pub const fn text(&self, field: Field) -> &'static str {
                match field { $(Field::$Type => self.$field.text(),)* }
            }
        }
    };
}

answers! {
    unaligned_ioba UnalignedIoba "An IOBA that is no multiple of the window's page." {
        Refuse "H_PARAMETER";
        RoundDown "rounded down to a multiple";
    }
    count_zero CountZero "A count of 0 in STUFF or INDIRECT." {
        SucceedAfterRange "H_SUCCESS once LIOBN, IOBA, count limit, list alignment and range passed";
        SucceedAfterSlotOrPermission "H_SUCCESS once LIOBN, IOBA, count limit, list alignment and range passed, then \
            the list's memory slot (INDIRECT) or the value's permissions (STUFF)";
        Refuse "H_PARAMETER";
    }
    stuff_limit StuffLimit "The upper limit of STUFF's count." {
        Fixed "512; more is H_P4";
        RangeOnly "none but the window's range";
        WindowEntries "as many as the window has entries; more is H_PARAMETER";
    }
    stuff_permissions StuffPermissions "A STUFF value with permission bits." {
        Map "handled like any TCE";
        Refuse "H_PARAMETER, after the range check";
    }
    crossing_range CrossingRange "A range of entries that crosses the window's end." {
        Refuse "H_PARAMETER, nothing stored";
        StorePrefix "entries up to the end are stored, then H_PARAMETER";
    }
    unaligned_tce UnalignedTce "A TCE with permissions and a bit set that must be 0: bits 2 to page_shift - 1 of the \
        window, bit 0 being the rightmost." {
        Refuse "H_PARAMETER";
        Store "stored as given";
    }
    unbacked_tce UnbackedTce "A TCE whose page is not guest memory." {
        RefuseWholePage "H_PARAMETER unless the whole page is guest memory; fault TCEs are not checked";
        RefuseFirstGfn "H_PARAMETER unless the page's first gfn is guest memory; INDIRECT checks fault TCEs too";
        Store "stored as given";
    }
    unbacked_list UnbackedList "An INDIRECT list outside guest memory, or in a host hole." {
        Refuse "H_PARAMETER";
        ReadZeros "its words read as zeros";
    }
    order CheckOrder "The order of the checks of STUFF and INDIRECT; a call leaves out the checks that it does not \
        have." {
        IobaFirst "LIOBN, IOBA, count limit, list alignment, range, count 0, list, TCEs";
        CountFirst "LIOBN, count limit, list alignment, IOBA and range, list's slot (INDIRECT) or permissions (STUFF), \
            count 0, list page, TCEs";
        EntryByEntry "LIOBN, count limit, list alignment, count 0, then one entry at a time: list word, IOBA, store";
    }
    deferring Deferring "What real mode may leave to virtual mode (semantics 5)." {
        AsOwed "the calls that real mode must or may defer by semantics 5, and no others";
        Always "every call";
    }
    pinned_windows PinnedWindows "Windows that pin the pages which their TCEs name." {
        Exist "exist";
        Refuse "do not exist";
    }
    window_base WindowBase "The base of a window." {
        PageMultiple "a multiple of the window's page";
        AnyByte "any byte address";
    }
    liobn_width LiobnWidth "The width of a window's LIOBN." {
        Bits64 "64 bits";
        Bits32 "32 bits";
    }
}

/// The system whose answers a program expects where LoPAPR, KVM and QEMU disagree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Dialect {
    /// The answers of the specification, LoPAPR.
    #[default]
    Lopapr,
    /// The answers of the in-kernel handlers of Linux 4.18-4.19, with the range rule of 4.6-4.11, the check-first rule
    /// of 4.20 and the pinned windows of 2013.
    Kvm,
    /// The answers of the pseries machine of QEMU 7.2; emulated windows only.
    Qemu,
}

impl Dialect {
    /// All dialects, in the order of the columns of the table of dialects (semantics 4).
    pub const ALL: [Self; 3] = [Self::Lopapr, Self::Kvm, Self::Qemu];

    /// The word that names the dialect in a program and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lopapr => "lopapr",
            Self::Kvm => "kvm",
            Self::Qemu => "qemu",
        }
    }

    /// The dialect whose [`name`](Self::name) is `name`, or `None` if no dialect has this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
