//! Tests of the commands of `realmode`, run as a user runs them.

mod commands;
mod corpus;
mod samples;
#[path = "../shared/mod.rs"]
mod shared;
