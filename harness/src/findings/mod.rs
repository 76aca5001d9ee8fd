//! What was found: told in words, and kept on disk.

pub mod record;
pub mod report;
