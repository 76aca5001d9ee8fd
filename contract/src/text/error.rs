//! An error in a program's text: where, what was found, what was expected.

use alloc::string::String;
use core::fmt;

/// A text that is no program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters to underline, at least 1.
    pub width: usize,
    /// What was found and what was expected.
    pub message: String,
    /// The line.
    pub text: String,
}

impl TextError {
    /// The error with the name of the file it stands in.
    #[must_use]
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile { error: self, file }
    }
}

struct InFile<'a> {
    error: &'a TextError,
    file: &'a str,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.error)
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, width, message, text } = self;
        // A line of any length may be hostile: show what surrounds the error.
        let from = column.saturating_sub(80);
        let shown: String = text.chars().skip(from).take(160).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let number = alloc::format!("{line}");
        writeln!(f, "{line}:{column}: {message}")?;
        writeln!(f, "{:>pad$} |", "", pad = number.len())?;
        writeln!(f, "{number} | {shown}")?;
        let indent = (column - 1).saturating_sub(from);
        write!(f, "{:>pad$} | {:indent$}{:^<width$}", "", "", "", pad = number.len(), width = (*width).min(80))
    }
}

impl core::error::Error for TextError {}
