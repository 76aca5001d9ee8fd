//! Hypercalls and statuses with their numbers (LoPAPR; semantics 4).

use core::fmt;

/// Opcode (r3) of H_GET_TCE, which returns one TCE.
pub const H_GET_TCE: u64 = 0x1c;
/// Opcode (r3) of H_PUT_TCE, which stores one TCE.
pub const H_PUT_TCE: u64 = 0x20;
/// Opcode (r3) of H_STUFF_TCE, which stores one TCE into many entries.
pub const H_STUFF_TCE: u64 = 0x138;
/// Opcode (r3) of H_PUT_TCE_INDIRECT, which stores TCEs from a list in guest memory.
pub const H_PUT_TCE_INDIRECT: u64 = 0x13c;

/// Largest valid count of H_PUT_TCE_INDIRECT, in TCEs: a list of 4 KiB holds 512 TCEs of 8 bytes. Dialect `lopapr` has
/// the same limit for H_STUFF_TCE.
pub const MAX_TCES_PER_CALL: u64 = 512;
/// Size, and alignment of the guest physical address, of the list of H_PUT_TCE_INDIRECT, in bytes.
pub const LIST_BYTES: u64 = 4096;

/// The registers of a hypercall on entry: `opcode` is r3, `args` are r4 to r7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Hypercall {
    /// r3: the opcode, which says which hypercall it is.
    pub opcode: u64,
    /// r4, r5, r6 and r7. Their meaning depends on the opcode (semantics 4); a hypercall that has fewer than four
    /// arguments ignores the last registers.
    pub args: [u64; 4],
}

impl Hypercall {
    /// H_GET_TCE of the entry at I/O bus address `ioba` of window `liobn`.
    #[must_use]
    pub const fn get(liobn: u64, ioba: u64) -> Self {
        Self { opcode: H_GET_TCE, args: [liobn, ioba, 0, 0] }
    }

    /// H_PUT_TCE of `tce` into the entry at I/O bus address `ioba` of window `liobn`.
    #[must_use]
    pub const fn put(liobn: u64, ioba: u64, tce: u64) -> Self {
        Self { opcode: H_PUT_TCE, args: [liobn, ioba, tce, 0] }
    }

    /// H_STUFF_TCE of `tce` into `count` entries of window `liobn`, from I/O bus address `ioba` on.
    #[must_use]
    pub const fn stuff(liobn: u64, ioba: u64, tce: u64, count: u64) -> Self {
        Self { opcode: H_STUFF_TCE, args: [liobn, ioba, tce, count] }
    }

    /// H_PUT_TCE_INDIRECT of the first `count` TCEs of the list at guest physical address `list`, into the entries of
    /// window `liobn` from I/O bus address `ioba` on.
    #[must_use]
    pub const fn indirect(liobn: u64, ioba: u64, list: u64, count: u64) -> Self {
        Self { opcode: H_PUT_TCE_INDIRECT, args: [liobn, ioba, list, count] }
    }

    /// LoPAPR's name of the hypercall, such as `H_PUT_TCE`, or `None` if the opcode is none of the four TCE hypercalls.
    #[must_use]
    pub const fn name(&self) -> Option<&'static str> {
        match self.opcode {
            H_GET_TCE => Some("H_GET_TCE"),
            H_PUT_TCE => Some("H_PUT_TCE"),
            H_STUFF_TCE => Some("H_STUFF_TCE"),
            H_PUT_TCE_INDIRECT => Some("H_PUT_TCE_INDIRECT"),
            _ => None,
        }
    }

    /// The names of the argument registers that the hypercall reads, from r4 on: `ioba` is the name of r5, for example.
    /// Empty for an unknown opcode.
    #[must_use]
    pub const fn fields(&self) -> &'static [&'static str] {
        match self.opcode {
            H_GET_TCE => &["liobn", "ioba"],
            H_PUT_TCE => &["liobn", "ioba", "tce"],
            H_STUFF_TCE => &["liobn", "ioba", "tce", "count"],
            H_PUT_TCE_INDIRECT => &["liobn", "ioba", "list", "count"],
            _ => &[],
        }
    }

    /// Number of TCEs that the call asks for, valid or not: r7 for H_STUFF_TCE and H_PUT_TCE_INDIRECT, 1 for every
    /// other opcode.
    #[must_use]
    pub const fn count(&self) -> u64 {
        match self.opcode {
            H_STUFF_TCE | H_PUT_TCE_INDIRECT => self.args[3],
            _ => 1,
        }
    }
}

/// The status of a hypercall: what r3 holds afterwards. Feature `serde` writes the status as its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Status(pub i64);

impl Status {
    /// H_SUCCESS: the call did all that it was asked for.
    pub const SUCCESS: Self = Self(0);
    /// H_HARDWARE: the host cannot supply a page that a TCE names, or maps it read-only and the device may write.
    pub const HARDWARE: Self = Self(-1);
    /// H_FUNCTION: no hypercall has this opcode.
    pub const FUNCTION: Self = Self(-2);
    /// H_PARAMETER: a parameter is invalid.
    pub const PARAMETER: Self = Self(-4);
    /// H_P4: the fourth parameter (r7) is invalid.
    pub const P4: Self = Self(-57);
    /// H_TOO_HARD: real mode leaves the call to virtual mode, which runs the whole call again. The guest never sees
    /// this status.
    pub const TOO_HARD: Self = Self(9999);

    /// The symbolic name of the status, such as `H_P4`, or `None` if the number is none of the constants of this type.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::SUCCESS => Some("H_SUCCESS"),
            Self::HARDWARE => Some("H_HARDWARE"),
            Self::FUNCTION => Some("H_FUNCTION"),
            Self::PARAMETER => Some("H_PARAMETER"),
            Self::P4 => Some("H_P4"),
            Self::TOO_HARD => Some("H_TOO_HARD"),
            _ => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
