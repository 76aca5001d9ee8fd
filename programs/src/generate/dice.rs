//! Random decisions, drawn from a seeded generator or from the bytes of a fuzzing engine.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// A source of random decisions. When the bytes of an engine have run out, further bytes read as zero, so every byte
/// string decides everything.
pub enum Dice<'a> {
    /// A random number generator, made from a seed.
    Seeded(Box<Xoshiro256PlusPlus>),
    /// The bytes of an engine's input that no decision has used yet.
    Bytes(&'a [u8]),
}

impl Dice<'_> {
    /// Makes the source of decisions for program number `index` (from 0) of the campaign with seed `seed`. It gives the
    /// same decisions on every thread.
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
                // `below` uses the top bits, so the last of the four bytes decides most.
                u32::from_le_bytes(word)
            }
        }
    }

    /// Draws any number of 64 bits.
    pub fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    /// Draws a number from 0 to `n` - 1; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        match u32::try_from(n) {
            Ok(n) => (u64::from(self.u32()) * u64::from(n)) >> 32,
            Err(_) => self.u64() % n,
        }
    }

    /// Draws a number from `low` to `high`, both included. `low` must not exceed `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Returns true in `percent` of 100 cases (0 to 100). When the bytes of an engine have run out, it returns true
    /// only for 100.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) >= 100 - percent
    }

    /// Draws one of `choices`. Panics if `choices` is empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Draws one of `choices`; `None` if `choices` is empty.
    pub fn pick_from<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        if choices.is_empty() { None } else { Some(self.pick(choices)) }
    }

    /// Draws an index into `weights`. The probability of an index is its weight divided by the sum of all weights.
    /// Returns 0 if all weights are zero.
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
