//! Sequences: several programs that run on one subject, one after the other, and their text form.
//!
//! ```text
//! realmode-sequence 1
//! realmode-program 1
//! dialect lopapr
//! ...
//! leave windows open
//! realmode-program 1
//! ...
//! ```
//!
//! The first line names the form. Each program stands as in a file of its own. The line `leave windows open` after a
//! program says that the harness does not close its windows at its end, so the next program starts with whatever the
//! subject kept of them.

use std::path::Path;
use std::{fmt, fs};

use contract::Program;
use contract::text::{self, TextError};

use crate::inputs::{self, InputError, read_text};
use crate::snippet::NoProgram;

/// The first line of the text form of a sequence.
pub const HEADER: &str = "realmode-sequence 1";
/// The line that stands after a program whose windows the harness leaves open.
const LEAVE_OPEN: &str = "leave windows open";
/// The first word of the text form of a program.
const PROGRAM: &str = "realmode-program";

/// One program of a sequence.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Part {
    /// The program.
    pub program: Program,
    /// Whether the harness leaves the windows open at the end of the program, instead of closing them.
    pub left_open: bool,
}

/// Several programs that one subject runs one after the other.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sequence {
    /// The programs in the order in which they run. [`parse`](Self::parse) returns at least one.
    pub parts: Vec<Part>,
}

impl Sequence {
    /// Makes the sequence of the programs `before` and then `program`, which closes its windows.
    #[must_use]
    pub fn after(mut before: Vec<Part>, program: Program) -> Self {
        before.push(Part { program, left_open: false });
        Self { parts: before }
    }

    /// Returns whether the text is a sequence, of any version: its first line that is neither empty nor a comment
    /// begins with `realmode-sequence`.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.next().is_some_and(|line| line.starts_with("realmode-sequence"))
    }

    /// Parses the text form of a sequence.
    ///
    /// # Errors
    /// The text is not a sequence, or one of its programs is wrong. The error names one mistake and its line in `text`,
    /// from 1.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut parts: Vec<(usize, String, bool)> = Vec::new();
        let mut header = false;
        for (number, line) in text.lines().enumerate() {
            let words = line.trim();
            match parts.last_mut() {
                _ if !header => match words {
                    HEADER => header = true,
                    "" => {}
                    comment if comment.starts_with('#') => {}
                    _ => return Err(error_at(number + 1, line, format!("found '{words}', expected '{HEADER}'"))),
                },
                _ if words.starts_with(PROGRAM) => parts.push((number, format!("{line}\n"), false)),
                Some((_, _, left_open)) if words == LEAVE_OPEN && !*left_open => *left_open = true,
                Some((_, _, true)) if !words.is_empty() && !words.starts_with('#') => {
                    let message = format!("found '{words}' after '{LEAVE_OPEN}', expected '{PROGRAM} 1'");
                    return Err(error_at(number + 1, line, message));
                }
                Some((_, program, _)) => {
                    program.push_str(line);
                    program.push('\n');
                }
                None if words.is_empty() || words.starts_with('#') => {}
                None => {
                    return Err(error_at(number + 1, line, format!("found '{words}', expected '{PROGRAM} 1'")));
                }
            }
        }
        let end = text.lines().count() + 1;
        if parts.is_empty() {
            let expected = if header { format!("{PROGRAM} 1") } else { HEADER.to_string() };
            return Err(error_at(end, "", format!("found the end of the file, expected '{expected}'")));
        }
        let part = |(first, text, left_open): (usize, String, bool)| {
            let program = text::parse(&text).map_err(|mut error| {
                error.line += first;
                if let Some(other) = &mut error.other {
                    other.line += first;
                }
                error
            })?;
            Ok(Part { program, left_open })
        };
        Ok(Self { parts: parts.into_iter().map(part).collect::<Result<_, _>>()? })
    }
}

/// What a text file can hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Runnable {
    /// One program.
    Program(Box<Program>),
    /// A sequence of programs.
    Sequence(Sequence),
}

/// Reads a text file that holds a program or a sequence. A sequence may have up to 2^28 bytes, a program up to
/// [`contract::text::MAX_TEXT_BYTES`].
///
/// # Errors
/// The file cannot be read, is too long, or its text is wrong. In the last case the error has the first mistake, with
/// line and column.
pub fn read(path: &Path) -> Result<Runnable, InputError> {
    let size = fs::metadata(path).map_err(|error| InputError::Unreadable(path.into(), error))?.len();
    if size <= MAX_BYTES as u64
        && let Ok(text) = fs::read_to_string(path)
        && Sequence::is_one(&text)
    {
        return sequence(path, text).map(Runnable::Sequence);
    }
    read_text(path).map(|program| Runnable::Program(Box::new(program)))
}

/// Reads a file that holds a program in any form that [`inputs::read`] accepts, or a sequence, which it refuses. A
/// program becomes a sequence of this program alone.
///
/// # Errors
/// The file cannot be read, is too long, or the text of its sequence is wrong; or [`inputs::read`] fails otherwise.
pub fn read_input(path: &Path) -> Result<Sequence, InputError> {
    match inputs::read(path) {
        Ok(input) => Ok(Sequence::after(Vec::new(), input.program)),
        Err(InputError::Sequence(_)) => sequence(path, inputs::read_string(path, MAX_BYTES)?),
        Err(error) => Err(error),
    }
}

/// Parses the text of the file as a sequence.
fn sequence(path: &Path, text: String) -> Result<Sequence, InputError> {
    Sequence::parse(&text).map_err(|error| InputError::Text(Box::new(NoProgram { file: path.into(), text, error })))
}

/// Largest size in bytes of a file that holds a sequence.
const MAX_BYTES: usize = 1 << 28;

/// Makes an error about the whole line number `line` (from 1), whose text is `text`.
fn error_at(line: usize, text: &str, message: String) -> TextError {
    TextError { line, column: 1, width: text.chars().count().max(1), message, other: None }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        for Part { program, left_open } in &self.parts {
            write!(f, "{program}")?;
            if *left_open {
                writeln!(f, "{LEAVE_OPEN}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{GeneratorConfig, generate};

    fn sequence() -> Sequence {
        let part = |index: u64| {
            let program = generate(&GeneratorConfig::default(), 5, index);
            Part { program, left_open: index.is_multiple_of(2) }
        };
        Sequence { parts: (0..3).map(part).collect() }
    }

    #[test]
    fn printed_and_read_it_is_the_same() {
        let sequence = sequence();
        let text = format!("# a comment\n\n{sequence}");
        assert!(Sequence::is_one(&text));
        assert_eq!(Sequence::parse(&text).expect("a sequence"), sequence);
    }

    #[test]
    fn a_program_is_no_sequence() {
        let program = sequence().parts.remove(0).program.to_string();
        assert!(!Sequence::is_one(&program));
        assert_eq!(Sequence::parse(&program).expect_err("no sequence").line, 1);
    }

    #[test]
    fn a_file_named_as_a_sequence_is_never_taken_for_a_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let parts = sequence().parts;
        for (name, text) in
            [("no.realmode-sequence", "# a\nb\n".into()), ("one.realmode", parts[0].program.to_string())]
        {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        let error = read_input(&folder.path().join("no.realmode-sequence")).expect_err("no sequence").to_string();
        assert!(error.contains("no.realmode-sequence:2:1: found 'b', expected 'realmode-sequence 1'"), "{error}");
        let alone = Sequence { parts: vec![Part { left_open: false, ..parts[0].clone() }] };
        assert_eq!(read_input(&folder.path().join("one.realmode")).expect("a program"), alone);
    }

    #[test]
    fn errors_name_their_line() {
        let text = sequence().to_string();
        let line = 1 + text.lines().position(|line| line == LEAVE_OPEN).expect("a line");
        let broken = text.replacen("dialect ", "dialekt ", 2).replacen("dialekt ", "dialect ", 1);
        let error = Sequence::parse(&broken).expect_err("a dialekt");
        assert!(error.line > line, "{error:?} lies in the second program, behind line {line}");
        assert!(broken.lines().nth(error.line - 1).expect("a line").contains("dialekt"));
        for (text, at) in [("", 1), ("# only\n", 2), (HEADER, 2), ("realmode-sequence 1\nsection 0x0\n", 2)] {
            assert_eq!(Sequence::parse(text).expect_err(text).line, at, "{text:?}");
        }
        let behind = text.replacen(LEAVE_OPEN, &format!("{LEAVE_OPEN}\nsection 0x0"), 1);
        assert_eq!(Sequence::parse(&behind).expect_err("a section").line, line + 1);
    }
}
