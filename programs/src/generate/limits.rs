//! Limits: the trait that tells the generator which windows a voter can have.

use std::fmt;

use contract::{Dialect, WindowSpec};

/// The DMA windows that a voter, such as a live QEMU, can have. A campaign with this voter draws its programs within
/// these limits.
///
/// Programs drawn within limits use only what the voter can show: registers, tables of emulated windows, and lists in
/// low guest memory.
pub trait Limits: fmt::Debug + Send + Sync {
    /// Returns the windows for the machine of program number `index` of the campaign `seed`. The generator sets the
    /// addresses of their tables, and seldom leaves one of the windows out. If it is expensive for the voter to change
    /// windows, neighbouring numbers should get the same windows.
    fn windows(&self, dialect: Dialect, seed: u64, index: u64) -> Vec<WindowSpec>;

    /// Returns the windows among `open` (the windows that are open at this step) that the voter can close now.
    fn closable(&self, open: &[WindowSpec]) -> Vec<WindowSpec>;

    /// Returns the windows among `machine` (what [`windows`](Self::windows) returned) that the voter can create while
    /// the windows `open` are open.
    fn creatable(&self, machine: &[WindowSpec], open: &[WindowSpec]) -> Vec<WindowSpec>;
}
