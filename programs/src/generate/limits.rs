//! What a voter can have: the trait through which the generator learns it.

use std::fmt;

use contract::{Dialect, WindowSpec};

/// The DMA windows that a voter can have, for campaigns whose programs must suit it.
///
/// Programs that are drawn within limits use what a voter of registers and tables shows: emulated windows, and lists in
/// low guest memory.
pub trait Limits: fmt::Debug + Send + Sync {
    /// The windows of the machine on which program number `index` of `seed` runs. Their tables lie nowhere yet.
    /// Programs with neighbouring numbers should share their windows where a change of windows is dear.
    fn windows(&self, dialect: Dialect, seed: u64, index: u64) -> Vec<WindowSpec>;

    /// The windows among `open` that the voter can close now.
    fn closable(&self, open: &[WindowSpec]) -> Vec<WindowSpec>;

    /// The windows of `machine`, as [`windows`](Self::windows) drew them, that the voter can create beside `open`.
    fn creatable(&self, machine: &[WindowSpec], open: &[WindowSpec]) -> Vec<WindowSpec>;
}
