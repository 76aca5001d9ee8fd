//! An error in a program's text: where, what was found, what was expected.

use alloc::string::String;
use core::fmt;

/// A stretch of one line of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Line, from 1. The line after the last one is the end of the text.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters, at least 1.
    pub width: usize,
}

/// A text that is no program. What is shown of it is up to whoever has the text: see `programs::snippet`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextError {
    /// Line, from 1. The line after the last one is the end of the text.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters to underline, at least 1.
    pub width: usize,
    /// What was found and what was expected.
    pub message: String,
    /// In a contradiction, the place that this one contradicts.
    pub other: Option<Span>,
}

impl TextError {
    /// An error at this place.
    pub(super) const fn at(Span { line, column, width }: Span, message: String) -> Self {
        Self { line, column, width, message, other: None }
    }

    /// Where the error is.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span { line: self.line, column: self.column, width: self.width }
    }

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

/// `LINE:COLUMN: found X, expected Y`.
impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl core::error::Error for TextError {}
