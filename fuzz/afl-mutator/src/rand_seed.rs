//! A seed for each mutation, all from the one that AFL++ hands over.

/// SplitMix64 (Steele, Lea, Flood 2014): a counter and a mixer, so that neighbouring seeds share nothing.
pub(crate) struct Seeds(u64);

impl Seeds {
    pub(crate) fn new(seed: u32) -> Self {
        Self(seed.into())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
