//! Address kinds as types, so that a gpa is never taken for an hva.
//!
//! Arithmetic that can leave 64 bits is checked: `checked_add` answers `None`, it never wraps. With feature `serde` an
//! address is its number.

use core::fmt;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(pub u64);

        impl $name {
            /// The sum, or `None` where it does not fit 64 bits.
            #[must_use]
            pub const fn checked_add(self, offset: u64) -> Option<Self> {
                match self.0.checked_add(offset) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Whether this is a multiple of `alignment` (a power of two).
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
    /// Host real (physical) address in bytes. As the answer of a lookup it may carry the linear map's top nibble.
    RealAddr
);
address!(
    /// Effective address in bytes: what a load or store names, before the CPU's mode says what it means.
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

/// The bits that real mode keeps of an effective address (in hypervisor real mode the CPU ignores the top nibble).
pub const REAL_MASK: u64 = !(0xf << 60);

impl RealAddr {
    /// The address without the linear map's nibble; results of lookups compare in this form (semantics 2).
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
