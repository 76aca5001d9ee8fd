//! Errors of the text form as they are shown: file, line and column, what is wrong, and the lines that it is about.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use contract::text::{Span, TextError};

/// Columns that are shown of a line at most.
const WIDTH: usize = 140;

/// A text that is no program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoProgram {
    /// Where it was read from.
    pub file: PathBuf,
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub error: TextError,
}

impl NoProgram {
    /// `FILE:LINE:COLUMN: found X, expected Y`, then the line with the place underlined; of a contradiction both
    /// places. With colours for a terminal where they are wanted. What a hostile text holds (control characters, lines
    /// without end) does not reach the terminal.
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

/// Without colours.
impl fmt::Display for NoProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show(false))
    }
}

impl std::error::Error for NoProgram {}

/// Lines of a text, character for character, in which nothing controls a terminal. Every line ends; the one behind the
/// last is empty.
struct Source {
    text: String,
    /// Number of the first line.
    first: usize,
    /// Where each line starts in `text`, in bytes.
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

    /// A place as bytes of the lines.
    fn bytes(&self, Span { line, column, width }: Span) -> Range<usize> {
        let start = self.starts.get(line - self.first).copied().unwrap_or_default();
        let text = self.text[start..].lines().next().unwrap_or_default();
        let at = |column: usize| start + text.char_indices().nth(column).map_or(text.len(), |(at, _)| at);
        at(column - 1)..at(column - 1 + width)
    }
}
