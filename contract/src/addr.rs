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
            /// The address plus `offset`, or `None` if the sum does not fit 64 bits.
            #[must_use]
            pub const fn checked_add(self, offset: u64) -> Option<Self> {
                match self.0.checked_add(offset) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Whether the address is a multiple of `alignment`, which must be a power of two.
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
    /// Host page frame number: real address >> PAGE_SHIFT.
    Pfn
);
address!(
    /// Real (physical) address of the host, in bytes. The answer of a lookup may have the top nibble of the linear map.
    RealAddr
);
address!(
    /// Effective address in bytes: the operand of a load or store. What it reaches depends on the mode of the CPU.
    Ea
);
address!(
    /// Guest physical address in bytes.
    Gpa
);
address!(
    /// Guest frame number: gpa >> PAGE_SHIFT.
    Gfn
);
address!(
    /// Host virtual address (of the process that owns the guest) in bytes.
    Hva
);
address!(
    /// I/O bus address in bytes.
    Ioba
);
address!(
    /// Logical I/O bus number: the name of a DMA window.
    Liobn
);
address!(
    /// Translation control entry: bit 0 device may read, bit 1 device may write, address bits from 12 up.
    Tce
);

/// Top nibble of the kernel's linear map: `linear = real | 0xc000_0000_0000_0000`.
pub const LINEAR_MAP: u64 = 0xc << 60;

/// The bits of an effective address that hypervisor real mode uses: the CPU ignores the top nibble.
pub const REAL_MASK: u64 = !(0xf << 60);

impl RealAddr {
    /// The address without the top nibble of the linear map. Results of lookups compare in this form (semantics 7,
    /// `DIVERGE.LOOKUP`).
    #[must_use]
    pub const fn masked(self) -> Self {
        Self(self.0 & REAL_MASK)
    }

    /// The effective address that reaches this real address in either mode.
    #[must_use]
    pub const fn ea(self) -> Ea {
        Ea(self.0 | LINEAR_MAP)
    }
}

impl Tce {
    /// Bit 0: the device may read the page.
    pub const READ: u64 = 1;
    /// Bit 1: the device may write the page.
    pub const WRITE: u64 = 2;

    /// Whether the device may read or write.
    #[must_use]
    pub const fn has_permissions(self) -> bool {
        self.0 & (Self::READ | Self::WRITE) != 0
    }

    /// Whether the device may write.
    #[must_use]
    pub const fn device_may_write(self) -> bool {
        self.0 & Self::WRITE != 0
    }
}
