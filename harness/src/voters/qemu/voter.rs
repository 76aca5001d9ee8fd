//! QEMU as a system that the pipeline can run ahead of, and as a candidate for rosters.

use contract::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE};
use contract::{Dialect, Hypercall, Program, Step, WindowSpec};
use programs::generate::Limits;
use programs::store;

use super::board::Board;
use super::child::Config;
use super::live::Live;
use crate::voters::ahead::{self, Ahead, System, Uncovered};
use crate::voters::restart::Loss;
use crate::voters::{Candidacy, Look, Shows, Unavailable, Voter};

/// Name of this voter in reports, in ledgers, and for `--against`.
pub const NAME: &str = "qemu";

/// QEMU's pseries machine as a voter: the reference runs ahead of it.
pub type Qemu = Ahead<Config>;

impl System for Config {
    type Board = Board;
    type Running = Live;

    fn name(&self) -> &str {
        NAME
    }

    fn thing(&self) -> &str {
        "QEMU"
    }

    fn own_dialect(&self) -> Option<Dialect> {
        Some(Dialect::Qemu)
    }

    fn find(&self) -> Result<(), Unavailable> {
        self.version().map(drop).map_err(|error| Unavailable(error.to_string()))
    }

    fn board(&self, program: &Program) -> Result<Board, Uncovered> {
        Board::of(program)
    }

    fn bare(&self) -> Board {
        Board::default()
    }

    fn serves(&self, has: &Board, needs: &Board) -> bool {
        has.serves(needs)
    }

    fn boot(&self, board: &Board) -> Result<Live, Loss> {
        Live::boot(self, board.clone())
    }

    fn leaves_out(&self, call: &Hypercall, _: Option<&WindowSpec>) -> Option<&'static str> {
        match call.opcode {
            H_GET_TCE | H_PUT_TCE | H_STUFF_TCE | H_PUT_TCE_INDIRECT => None,
            // RTAS is among them.
            0xef00..=0xf0ff => Some("QEMU's own hypercalls lie there"),
            opcode if opcode.is_multiple_of(4) && opcode <= 0xffff => {
                Some("LoPAPR's hypercalls lie there, and QEMU has many of them")
            }
            _ => None,
        }
    }

    fn mirrors(&self, step: &Step) -> bool {
        matches!(step, Step::CreateWindow(_) | Step::CloseWindow { .. })
    }
}

impl Candidacy for Config {
    fn name(&self) -> String {
        NAME.into()
    }

    fn code(&self) -> Option<u64> {
        self.version().ok().map(|version| store::hash(version.text))
    }

    fn make(&self, look: Look) -> Result<Box<dyn Voter>, Unavailable> {
        Ok(Box::new(Qemu::new(self.clone())?.looking(look)))
    }

    fn shows(&self) -> Shows {
        ahead::SHOWS
    }

    fn limits(&self) -> Limits {
        super::limits()
    }

    fn dialect(&self) -> Option<Dialect> {
        self.own_dialect()
    }

    /// Returns 2: QEMU keeps one core busy, and the thread that sends it requests keeps another busy.
    fn cores(&self) -> usize {
        2
    }

    fn looks(&self) -> bool {
        true
    }
}
