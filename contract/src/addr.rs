//! A type for each kind of address, so that a gpa cannot stand where an hva is expected.
//!
//! Addition is checked: `checked_add` answers `None` instead of wrapping. Feature `serde` writes an address as its
//! number.

use core::fmt;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(pub u64);

        impl $name {
            /// The value plus `offset`, or `None` if the sum does not fit 64 bits.
            #[must_use]
            pub const fn checked_add(self, offset: u64) -> Option<Self> {
                match self.0.checked_add(offset) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Whether the value is a multiple of `alignment`, which must be a power of two and has the unit of the
            /// value.
            #[must_use]
            pub const fn is_aligned(self, alignment: u64) -> bool {
                self.0 & (alignment - 1) == 0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }
    };
}

address!(
    /// Page frame number of the host: real address >> PAGE_SHIFT, the host's log2 of the page size in bytes.
    Pfn
);
address!(
    /// Real (physical) address of the host, in bytes. A lookup of a struct page may return the same address with the
    /// top nibble 0xc of the linear map; so compare such addresses [`masked`](Self::masked).
    RealAddr
);
address!(
    /// Effective address in bytes: the operand of a load or store. Real mode accepts the top nibbles 0 and 0xc and
    /// masks the nibble away; virtual mode also reaches struct pages at their vmemmap addresses.
    Ea
);
address!(
    /// Guest physical address in bytes: where the guest believes its memory is.
    Gpa
);
address!(
    /// Guest frame number: guest physical address >> PAGE_SHIFT, the host's log2 of the page size in bytes.
    Gfn
);
address!(
    /// Host virtual address in bytes, in the process that runs the guest.
    Hva
);
address!(
    /// I/O bus address in bytes, as a device uses it inside a DMA window.
    Ioba
);
address!(
    /// Logical I/O bus number: names a DMA window in a hypercall.
    Liobn
);
address!(
    /// Translation control entry: bit 0 (the lowest) lets the device read the page, bit 1 lets it write the page, and
    /// bits 12 and up are the page's address: a gpa, or in a hardware entry a real address.
    Tce
);

/// Top nibble (0xc) of an address of the kernel's linear map: linear address = real address | `LINEAR_MAP`.
pub const LINEAR_MAP: u64 = 0xc << 60;

/// Mask of the low 60 bits of an effective address. Hypervisor real mode uses them as the real address and ignores the
/// top nibble.
pub const REAL_MASK: u64 = !(0xf << 60);

impl RealAddr {
    /// The address with its top nibble cleared, where the linear map has 0xc. The harness compares results of lookups
    /// in this form (semantics 7, `DIVERGE.LOOKUP`).
    #[must_use]
    pub const fn masked(self) -> Self {
        Self(self.0 & REAL_MASK)
    }

    /// The effective address, with the top nibble 0xc, that reaches this real address in real mode and in virtual mode.
    #[must_use]
    pub const fn ea(self) -> Ea {
        Ea(self.0 | LINEAR_MAP)
    }
}

impl Tce {
    /// Bit 0 of a TCE: the device may read the page that the TCE names.
    pub const READ: u64 = 1;
    /// Bit 1 of a TCE: the device may write the page that the TCE names.
    pub const WRITE: u64 = 2;

    /// Whether the device may read or write the page. `false` means that this is a fault TCE.
    #[must_use]
    pub const fn has_permissions(self) -> bool {
        self.0 & (Self::READ | Self::WRITE) != 0
    }

    /// Whether the device may write the page that the TCE names.
    #[must_use]
    pub const fn device_may_write(self) -> bool {
        self.0 & Self::WRITE != 0
    }
}
