//! Random programs.
//!
//! A program is drawn in three parts: a *swarm* (which features this program uses at all), a machine with those features, and
//! steps that mostly make sense on that machine. Values near the edges of the machine (window end, block
//! boundary, slot end, a split struct page, a count that makes the next drop the last) are likely everywhere.
//!
//! What is drawn is always a valid program. The same seed and index draw the same program, whatever thread draws it.

pub(crate) mod dice;
pub(crate) mod machine;
pub(crate) mod steps;
pub(crate) mod swarm;

use contract::{Dialect, Program};

use dice::Dice;
use swarm::Swarm;

/// Which programs to draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GeneratorConfig {
    /// Only this dialect; `None` mixes all, LoPAPR most.
    pub dialect: Option<Dialect>,
    /// Only machines that a live QEMU can have (see [`live`]).
    pub live: bool,
}

/// Program number `index` of the campaign with seed `seed`.
#[must_use]
pub fn generate(config: GeneratorConfig, seed: u64, index: u64) -> Program {
    draw(config, &mut Dice::seeded(seed, index))
}

/// The total decoder for fuzzing engines: every byte string is some valid program of bounded size.
#[must_use]
pub fn decode(bytes: &[u8]) -> Program {
    draw(GeneratorConfig::default(), &mut Dice::Bytes(bytes))
}

fn draw(config: GeneratorConfig, dice: &mut Dice<'_>) -> Program {
    let swarm = Swarm::draw(config.dialect, dice);
    let scene = machine::draw(&swarm, dice);
    steps::draw(&swarm, scene, dice)
}
