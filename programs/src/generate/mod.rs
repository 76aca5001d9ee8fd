//! The generator: draws random programs.
//!
//! A program is drawn in three parts: a *swarm* (the features that this program uses), a machine with those features,
//! and steps that mostly make sense on that machine. Values near the edges of the machine are likely everywhere: the
//! end of a window or a slot, a block boundary, a split struct page, a count that makes the next drop the last.
//!
//! A drawn program is always valid. The same configuration, seed and index give the same program on every thread.

pub mod dice;
mod limits;
pub(crate) mod machine;
pub(crate) mod steps;
pub(crate) mod swarm;

use contract::{Dialect, Program};

use dice::Dice;
pub use limits::{Features, Limits, Unsatisfiable, WindowLimits};
use swarm::Swarm;

/// Which programs the generator draws.
#[derive(Clone, Debug, Default)]
pub struct GeneratorConfig {
    /// The dialect of all programs; `None` draws a dialect for each program, LoPAPR most often.
    pub dialect: Option<Dialect>,
    /// The limits of voters, to which all programs keep. Some program must keep to them ([`Limits::check`]).
    pub limits: Limits,
}

/// Draws program number `index` (from 0) of the campaign with seed `seed`. The program is valid.
#[must_use]
pub fn generate(config: &GeneratorConfig, seed: u64, index: u64) -> Program {
    let mut dice = Dice::seeded(seed, index);
    let mut swarm = Swarm::draw(config.dialect, &mut dice);
    swarm.limit(&config.limits, seed, index, &mut dice);
    finish(&swarm, &mut dice)
}

/// Returns the valid program that the generator draws if it takes the bytes as its decisions. Every byte string gives
/// some program, of bounded size.
#[must_use]
pub fn decode(bytes: &[u8]) -> Program {
    let mut dice = Dice::Bytes(bytes);
    let swarm = Swarm::draw(None, &mut dice);
    finish(&swarm, &mut dice)
}

fn finish(swarm: &Swarm, dice: &mut Dice<'_>) -> Program {
    let scene = machine::draw(swarm, dice);
    steps::draw(swarm, scene, dice)
}
