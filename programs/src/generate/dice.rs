//! Where decisions come from: a seeded generator, or bytes of a fuzzing engine.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// A source of decisions. From bytes, what is missing at the end reads as zero, so every byte string decides
/// everything.
pub enum Dice<'a> {
    /// A seeded generator.
    Seeded(Box<Xoshiro256PlusPlus>),
    /// The bytes of an engine's input that are not used up yet.
    Bytes(&'a [u8]),
}

impl Dice<'_> {
    /// Program number `index` of the campaign with this seed, whoever runs it.
    #[must_use]
    pub fn seeded(seed: u64, index: u64) -> Self {
        let mut mixer = Xoshiro256PlusPlus::seed_from_u64(seed);
        let key = mixer.next_u64() ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self::Seeded(Box::new(Xoshiro256PlusPlus::seed_from_u64(key)))
    }

    fn u32(&mut self) -> u32 {
        match self {
            Self::Seeded(rng) => rng.next_u32(),
            Self::Bytes(bytes) => {
                let mut word = [0; 4];
                let length = bytes.len().min(4);
                word[..length].copy_from_slice(&bytes[..length]);
                *bytes = &bytes[length..];
                // Little-endian and taken from the top by `below`: the last byte of four decides most.
                u32::from_le_bytes(word)
            }
        }
    }

    /// Any 64 bits.
    pub fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    /// 0 .. n; 0 for n = 0.
    pub fn below(&mut self, n: u64) -> u64 {
        match u32::try_from(n) {
            Ok(n) => (u64::from(self.u32()) * u64::from(n)) >> 32,
            Err(_) => self.u64() % n,
        }
    }

    /// `low ..= high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of 100 cases; false where bytes have run out.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) >= 100 - percent
    }

    /// One of `choices`, which is not empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// One of `choices`, or `None` if there is none.
    pub fn pick_from<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        if choices.is_empty() { None } else { Some(self.pick(choices)) }
    }

    /// The index of one of `weights`, which are not all zero.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u32 = weights.iter().sum();
        let mut at = self.below(u64::from(total)) as u32;
        for (index, &weight) in weights.iter().enumerate() {
            if at < weight {
                return index;
            }
            at -= weight;
        }
        0
    }
}
