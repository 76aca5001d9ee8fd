//! QEMU's pseries machine as a live voter.
//!
//! QEMU answers the four hypercalls on its own code. A `qemu-system-ppc64` runs as a child, with a guest of our own
//! that does nothing but issue hypercalls; requests and answers go through the machine's memory, which both processes
//! share.
//!
//! | file | what it is |
//! |---|---|
//! | `guest.s`, `guest` | the guest: assembly, and the words that it comes to |
//! | `layout` | where things lie in the shared memory |
//! | `child` | the process: found, started, watched, ended |
//! | `mailbox` | batches of requests and answers |
//! | `board` | which windows QEMU can have |
//! | `live` | a running machine: windows made and removed through RTAS, tables cleared, lists brought in |
//! | `draw` | machines that a QEMU can have, for campaigns |
//! | `voter` | what the [pipeline](super::ahead) and rosters must know of it |
//!
//! Only registers and, through H_GET_TCE, tables are seen: there are no pages to count. What QEMU cannot have or should
//! not be asked (windows it cannot make, hypercalls that it has beside the four, lists in the harness's own memory) is
//! not asked, and counted.

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
pub use draw::BoardLimits;
pub use live::Live;
pub use voter::{KIND, Qemu};

/// Lists must lie below this guest address: what follows is the guest's own, and then the end of QEMU's memory.
pub const LISTS_BELOW: u64 = layout::RESERVED;
