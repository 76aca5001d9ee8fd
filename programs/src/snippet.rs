//! Shows errors of the text form as a compiler does: file, line, column, message, and the lines that they are about.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use contract::text::{Span, TextError};

/// Largest number of columns that an error shows of a line.
const WIDTH: usize = 140;

/// A text that is not a program, with its first error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoProgram {
    /// The file that the text was read from.
    pub file: PathBuf,
    /// The whole text of the file.
    pub text: String,
    /// The first error, with its line and column in `text`.
    pub error: TextError,
}

impl NoProgram {
    /// Returns `FILE:LINE:COLUMN: MESSAGE`, then the line with the place underlined; if two places contradict each
    /// other, both. `colours` adds escape sequences for a terminal. Control characters and very long lines of a hostile
    /// text do not reach the terminal.
    #[must_use]
    pub fn show(&self, colours: bool) -> String {
        let Self { file, text, error } = self;
        let place = error.span();
        let first = error.other.map_or(place.line, |other| other.line.min(place.line));
        let last = error.other.map_or(place.line, |other| other.line.max(place.line));
        let source = Source::new(text, first..=last);
        let primary = AnnotationKind::Primary.span(source.bytes(place));
        let other = error.other.map(|other| AnnotationKind::Context.span(source.bytes(other)).label("the other place"));
        let snippet = Snippet::source(source.text.as_str()).line_start(first).annotation(primary).annotations(other);
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let shown = renderer.term_width(WIDTH).render(&[Group::with_level(Level::ERROR).element(snippet)]);
        format!("{}:{error}\n{}", file.display(), shown.trim_end())
    }
}

/// Shows the error as [`NoProgram::show`] does, without colours.
impl fmt::Display for NoProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show(false))
    }
}

impl std::error::Error for NoProgram {}

/// Consecutive lines of a text, with control characters replaced by one character each. Every line ends with a newline.
/// The line after the last line of the text counts as an empty line.
struct Source {
    text: String,
    /// Number of the first of these lines in the whole text, from 1.
    first: usize,
    /// Offset in bytes of each of these lines in `text`.
    starts: Vec<usize>,
}

impl Source {
    fn new(text: &str, lines: RangeInclusive<usize>) -> Self {
        let first = *lines.start();
        let mut source = Self { text: String::new(), first, starts: Vec::new() };
        for line in text.lines().chain([""]).take(*lines.end()).skip(first - 1) {
            source.starts.push(source.text.len());
            source.text.extend(line.chars().map(|c| match c {
                '\t' => ' ',
                c if c.is_control() => '\u{fffd}',
                c => c,
            }));
            source.text.push('\n');
        }
        source
    }

    /// Returns the place `Span` (line, column and width in characters) as a range of bytes in `text`.
    fn bytes(&self, Span { line, column, width }: Span) -> Range<usize> {
        let start = self.starts.get(line - self.first).copied().unwrap_or_default();
        let text = self.text[start..].lines().next().unwrap_or_default();
        let at = |column: usize| start + text.char_indices().nth(column).map_or(text.len(), |(at, _)| at);
        at(column - 1)..at(column - 1 + width)
    }
}
