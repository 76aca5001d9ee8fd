//! Limits: the trait that tells the generator which windows a voter can have.

use std::fmt;

use contract::{Dialect, WindowSpec};

/// The DMA windows that a voter can have, for campaigns that run programs on it.
///
/// Programs drawn within limits use only what such a voter can show: registers, tables of emulated windows, and lists
/// in low guest memory.
pub trait Limits: fmt::Debug + Send + Sync {
    /// Returns the windows of the machine of program number `index` of `seed`. The generator sets the addresses of
    /// their tables. If changing windows is expensive, neighbouring numbers should share their windows.
    fn windows(&self, dialect: Dialect, seed: u64, index: u64) -> Vec<WindowSpec>;

    /// Returns those windows of `open` that the voter can close now.
    fn closable(&self, open: &[WindowSpec]) -> Vec<WindowSpec>;

    /// Returns those windows of `machine`, as [`windows`](Self::windows) returned them, that the voter can create
    /// beside `open`.
    fn creatable(&self, machine: &[WindowSpec], open: &[WindowSpec]) -> Vec<WindowSpec>;
}
