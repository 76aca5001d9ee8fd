//! Findings on disk and in words: the recorder and the report.

pub mod record;
pub mod report;
