//! An error in the text of a program: its place, and what the parser found and expected there, or why the description
//! of a machine or step is invalid.

use alloc::string::String;
use core::fmt;

/// A piece of one line of a text: where it starts, and its width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Number of the line, from 1. An error at the end of the text stands on the line after the last line.
    pub line: usize,
    /// First column of the piece, in characters, from 1.
    pub column: usize,
    /// Width of the piece in characters, at least 1.
    pub width: usize,
}

/// The error that [`parse`](super::parse) returns: a place in the text and a message. The error does not hold the text;
/// `programs::snippet` shows the lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextError {
    /// Number of the line, from 1. An error at the end of the text stands on the line after the last line.
    pub line: usize,
    /// First column of the error, to underline, in characters, from 1.
    pub column: usize,
    /// Width of the error, to underline, in characters, at least 1.
    pub width: usize,
    /// What the parser found and what it expected, or why the description of a machine or step is invalid.
    pub message: String,
    /// The place of an item or word that contradicts the one at this error, for a second underline. `None` if there is
    /// none, or if it is an item on the line of this error.
    pub other: Option<Span>,
}

impl TextError {
    /// Makes an error at a span, with `message` and without a second place.
    pub(super) const fn at(Span { line, column, width }: Span, message: String) -> Self {
        Self { line, column, width, message, other: None }
    }

    /// The place of the error: its line, first column and width.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span { line: self.line, column: self.column, width: self.width }
    }

    /// Shows the error as `FILE:LINE:COLUMN: MESSAGE`, where FILE is `file`.
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

/// Shows the error as `LINE:COLUMN: MESSAGE`.
impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl core::error::Error for TextError {}
