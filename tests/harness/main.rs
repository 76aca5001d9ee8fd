//! Tests of the harness, as a library and as a command: campaigns, the exhaustive run, shrinking, voters, libraries in
//! C, and findings.

mod audit;
mod carried;
mod emulated;
mod ends;
mod exhaust;
mod findings;
mod libraries;
mod processes;
mod qemu;
#[path = "../shared/mod.rs"]
mod shared;
mod shrink;
mod systems;
mod voters;
