//! Random programs.
//!
//! A program is drawn in three parts: a *swarm* (which features this program uses at all), a machine with those features, and
//! steps that mostly make sense on that machine. Values near the edges of the machine (window end, block
//! boundary, slot end, a split struct page, a count that makes the next drop the last) are likely everywhere.
//!
//! What is drawn is always a valid program. The same seed and index draw the same program, whatever thread draws it.

pub(crate) mod dice;
pub(crate) mod live;
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
    /// Only machines that a live QEMU can have (see the module `qemu`): they have windows that it can make, and lists in its memory.
    pub live: bool,
}

/// Program number `index` of the campaign with seed `seed`.
#[must_use]
pub fn generate(config: GeneratorConfig, seed: u64, index: u64) -> Program {
    let mut dice = Dice::seeded(seed, index);
    let mut swarm = Swarm::draw(config.dialect, &mut dice);
    if config.live {
        swarm.make_live(live::windows(swarm.dialect, seed, index), &mut dice);
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
