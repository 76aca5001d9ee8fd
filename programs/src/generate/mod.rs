//! Random programs.
//!
//! A program is drawn in three parts: a *swarm* (which features this program uses at all), a machine with those
//! features, and steps that mostly make sense on that machine. Values near the edges of the machine (window end, block
//! boundary, slot end, a split struct page, a count that makes the next drop the last) are likely everywhere.
//!
//! What is drawn is always a valid program. The same seed and index draw the same program, whatever thread draws it.

pub mod dice;
mod limits;
pub(crate) mod machine;
pub(crate) mod steps;
pub(crate) mod swarm;

use std::sync::Arc;

use contract::{Dialect, Program};

use dice::Dice;
pub use limits::Limits;
use swarm::{Limited, Swarm};

/// Which programs to draw.
#[derive(Clone, Debug, Default)]
pub struct GeneratorConfig {
    /// Only this dialect; `None` mixes all, LoPAPR most.
    pub dialect: Option<Dialect>,
    /// Only machines within a voter's limits.
    pub limits: Option<Arc<dyn Limits>>,
}

/// Program number `index` of the campaign with seed `seed`.
#[must_use]
pub fn generate(config: &GeneratorConfig, seed: u64, index: u64) -> Program {
    let mut dice = Dice::seeded(seed, index);
    let mut swarm = Swarm::draw(config.dialect, &mut dice);
    if let Some(limits) = &config.limits {
        let windows = limits.windows(swarm.dialect, seed, index);
        swarm.limit(Limited { limits: Arc::clone(limits), windows }, &mut dice);
    }
    finish(&swarm, &mut dice)
}

/// The total decoder for fuzzing engines: every byte string is some valid program of bounded size.
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
