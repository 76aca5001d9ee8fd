//! Actors, who change memory: the host, or a CPU in one of its modes.

use contract::program::MAX_VCPUS;

/// The mode that a CPU runs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// MMU off: the CPU accesses only real addresses and the linear map, and may not free, allocate or wait.
    Real,
    /// MMU on: the CPU can also access struct pages at their vmemmap virtual address.
    Virtual,
}

/// Who stores to memory: the host, or a CPU in one of its modes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    /// The host, which the harness plays.
    Host,
    /// A CPU that runs a call of the subject.
    Cpu {
        /// Number of the vCPU, from 0, below [`MAX_VCPUS`].
        vcpu: u8,
        /// The mode that the CPU runs in.
        mode: Mode,
    },
}

impl Actor {
    /// Returns all actors: the host, then each vCPU by number, in real mode and in virtual mode.
    fn all() -> impl Iterator<Item = Self> {
        let cpus = (0..MAX_VCPUS).flat_map(|vcpu| [Mode::Real, Mode::Virtual].map(|mode| Self::Cpu { vcpu, mode }));
        core::iter::once(Self::Host).chain(cpus)
    }
}

/// A set of actors, for example those that changed a word in one step.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Actors(u32);

// One bit for the host and two for each CPU.
const _: () = assert!(2 * (MAX_VCPUS as u32) < u32::BITS);

impl Actors {
    /// Returns the set that has only `actor`. The number of a vCPU is taken modulo [`MAX_VCPUS`].
    #[must_use]
    pub const fn only(actor: Actor) -> Self {
        Self(match actor {
            Actor::Host => 1,
            Actor::Cpu { vcpu, mode } => 1 << (1 + 2 * (vcpu % MAX_VCPUS) + matches!(mode, Mode::Virtual) as u8),
        })
    }

    /// Returns whether `actor` is in this set.
    #[must_use]
    pub const fn contains(self, actor: Actor) -> bool {
        self.0 & Self::only(actor).0 != 0
    }

    /// Returns the actors of this set: the host first, then the CPUs by number, real mode before virtual mode.
    pub fn iter(self) -> impl Iterator<Item = Actor> {
        Actor::all().filter(move |actor| self.contains(*actor))
    }

    /// Returns the set as a number with one bit for each actor, as the change log keeps it.
    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the set of which [`bits`](Self::bits) returned the number `bits`.
    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

impl core::fmt::Debug for Actors {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn each_actor_has_a_place_of_its_own_in_a_set() {
        let all: Vec<Actor> = Actor::all().collect();
        assert_eq!(all.len(), 1 + 2 * usize::from(MAX_VCPUS));
        for &actor in &all {
            assert_eq!(Actors::only(actor).iter().collect::<Vec<_>>(), [actor]);
        }
        let set = Actors::from_bits(all.iter().fold(0, |bits, &actor| bits | Actors::only(actor).bits()));
        assert_eq!(set.iter().collect::<Vec<_>>(), all);
        assert_eq!(Actors::default().iter().next(), None);
    }
}
