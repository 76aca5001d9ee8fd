//! Which windows a valid description may have in each dialect (semantics 1).
//!
//! This is the only place of the crate that holds values of dialects. Validation needs them: whether a program is valid
//! must not depend on the reference or on a subject. [`WindowSpec::validate`](crate::WindowSpec::validate) and the
//! crates that make programs ask them; the reference and subjects must not. The reference has the same values in its
//! own answers (fields `pinned_windows`, `window_base` and `liobn_width`), and tests compare the two.

use super::Dialect;

impl Dialect {
    /// Whether a valid description in this dialect may have pinned windows (semantics 1).
    #[must_use]
    #[inline]
    pub const fn has_pinned_windows(self) -> bool {
        match self {
            Self::Lopapr | Self::Kvm => true,
            Self::Qemu => false,
        }
    }

    /// Whether the base of a valid window must be a multiple of the window's page size (semantics 1). `false` means
    /// that the base is any I/O bus address.
    #[must_use]
    #[inline]
    pub const fn aligns_window_bases(self) -> bool {
        match self {
            Self::Lopapr | Self::Kvm => true,
            Self::Qemu => false,
        }
    }

    /// Largest number of bits of the LIOBN of a valid window: 32 or 64 (semantics 1).
    #[must_use]
    #[inline]
    pub const fn liobn_bits(self) -> u32 {
        match self {
            Self::Lopapr | Self::Kvm => 64,
            Self::Qemu => 32,
        }
    }

    /// Returns the largest LIOBN of a window in this dialect: all [`liobn_bits`](Self::liobn_bits) are 1.
    #[must_use]
    #[inline]
    pub const fn max_liobn(self) -> u64 {
        u64::MAX >> (u64::BITS - self.liobn_bits())
    }
}
