//! QEMU's pseries machine as a live voter.
//!
//! QEMU answers the four hypercalls with its own code. The harness starts `qemu-system-ppc64` with a guest of its own,
//! which only issues hypercalls. Requests and answers go through the machine's memory, which both processes share.
//!
//! | file | what it is |
//! |---|---|
//! | `guest.s`, `guest` | the guest: assembly, and the machine words of it |
//! | `layout` | where things lie in the shared memory |
//! | `child` | the process: found, started, watched, ended |
//! | `mailbox` | batches of requests and answers |
//! | `board` | which windows QEMU can have |
//! | `live` | a running machine: windows made and removed through RTAS, tables cleared, lists stored |
//! | `draw` | the limits of a QEMU, for campaigns |
//! | `voter` | what the [pipeline](super::ahead) and rosters must know of it |
//!
//! QEMU shows registers and, through H_GET_TCE, tables. It has no reference counts. A program whose windows QEMU cannot
//! make is not compared. If a list cannot be put into QEMU's memory, for example because the harness's own part lies
//! there, the program is not compared from that step on. Opcodes of other hypercalls that QEMU has are not asked, and
//! those steps are counted.

mod board;
mod child;
mod draw;
pub mod guest;
mod layout;
mod live;
mod mailbox;
mod voter;

pub use board::{Board, VIO_ENTRIES};
pub use child::{COMMAND, Config, ENVIRONMENT, INSTALL, Unavailable, Version};
pub use draw::limits;
pub use live::Live;
pub use voter::{NAME, Qemu};

/// Guest physical address, in bytes, below which QEMU's memory belongs to the program, so that lists can lie there. The
/// guest's own code and the mailbox lie from here to the end of QEMU's memory.
pub const LISTS_BELOW: u64 = layout::RESERVED;
