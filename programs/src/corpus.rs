//! Converts corpora between their two forms, packed for engines and text for people and git, and brings them up to
//! date.
//!
//! A converted or drawn program gets a file that is named after its [fingerprint](store::fingerprint), so repeating a
//! conversion changes nothing. [`migrate`] rewrites files under the names they have.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use contract::Program;
use contract::text::MAX_TEXT_BYTES;

use crate::encoding::encode;
use crate::focus::Focus;
use crate::generate::{GeneratorConfig, generate};
use crate::inputs::{InputError, Stored, read, read_text};
use crate::store::{self, EXTENSION};

/// Why a corpus was not written, or not completely.
#[derive(Debug)]
pub enum CorpusError {
    /// An input file holds no program or cannot be read.
    Input(InputError),
    /// The folder already has a file with the name of a program to write, and that file does not hold the program, or
    /// not in packed form where a packed program is to be written. It stays as it is.
    Taken(PathBuf),
    /// The program read from this file is longer than [`MAX_TEXT_BYTES`] as text. The number is the length of that text
    /// in bytes.
    TooLong(PathBuf, usize),
    /// A file of the corpus could not be written. The error names the file.
    Write(io::Error),
}

impl fmt::Display for CorpusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::Taken(file) => {
                write!(f, "{}: found something else, expected the program of that name", file.display())
            }
            Self::TooLong(file, bytes) => write!(
                f,
                "{}: found a program of {bytes} bytes as text, expected at most {MAX_TEXT_BYTES}",
                file.display()
            ),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CorpusError {}

impl From<InputError> for CorpusError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

/// Number of programs that one call of [`pack`], [`unpack`] or [`draw`] wrote, and of those that it did not write, by
/// reason.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Kept {
    /// Programs that this call wrote to the folder.
    pub written: u64,
    /// Programs not written, because the folder held them before this call.
    pub there: u64,
    /// Programs not written, because this call had already met an equal program.
    pub equal: u64,
    /// Input files packed in another version of the encoding. [`unpack`] does not read their programs.
    pub other: u64,
}

#[derive(Clone, Copy)]
enum Shape {
    Packed,
    Text,
}

/// A corpus folder while programs are written to it: one file for each different program.
struct Shelf<'a> {
    folder: &'a Path,
    shape: Shape,
    names: HashSet<PathBuf>,
    kept: Kept,
}

impl<'a> Shelf<'a> {
    fn new(folder: &'a Path, shape: Shape) -> Self {
        Self { folder, shape, names: HashSet::new(), kept: Kept::default() }
    }

    /// Writes the program to the folder, unless a file there already holds it, and counts it in `kept`. `from` is the
    /// file the program was read from, for the error message.
    fn keep(&mut self, from: &Path, program: &Program) -> Result<(), CorpusError> {
        let fingerprint = store::fingerprint(program);
        let (name, contents) = match self.shape {
            Shape::Packed => (fingerprint, encode(program)),
            Shape::Text => (format!("{fingerprint}.{EXTENSION}"), program.to_string().into_bytes()),
        };
        if matches!(self.shape, Shape::Text) && contents.len() > MAX_TEXT_BYTES {
            return Err(CorpusError::TooLong(from.into(), contents.len()));
        }
        let path = self.folder.join(&name);
        if std::fs::symlink_metadata(&path).is_ok() {
            // The owner may have edited comments and layout, but the file must hold this program. Half a file, for
            // example, would lose it.
            let there = read(&path).is_ok_and(|input| {
                input.program == *program
                    && matches!((self.shape, input.stored), (Shape::Text, _) | (_, Stored::Packed))
            });
            if !there {
                return Err(CorpusError::Taken(path));
            }
            *(if self.names.contains(&path) { &mut self.kept.equal } else { &mut self.kept.there }) += 1;
        } else {
            store::write(self.folder, name, contents).map_err(CorpusError::Write)?;
            self.kept.written += 1;
        }
        self.names.insert(path);
        Ok(())
    }
}

/// Reads programs from the text files `texts` and writes them to `folder` in packed form, one file for each different
/// program.
///
/// # Errors
/// A file of `texts` is not the text of a program, or a file cannot be written or its name is taken
/// ([`CorpusError::Taken`]). Files written before the error stay.
pub fn pack(texts: &[PathBuf], folder: &Path) -> Result<Kept, CorpusError> {
    let mut shelf = Shelf::new(folder, Shape::Packed);
    for file in texts {
        shelf.keep(file, &read_text(file)?)?;
    }
    Ok(shelf.kept)
}

/// Reads programs from `files` and writes them to `folder` as text, one file for each program that is different after
/// [`Focus::apply`]. Files packed in another version of the encoding are only counted: an engine that changes bytes of
/// the header keeps such files, and its fuzz target did not run them.
///
/// # Errors
/// A file holds no program, all files are packed in another version, a program is longer than [`MAX_TEXT_BYTES`] as
/// text, or a file cannot be written or its name is taken ([`CorpusError::Taken`]). Files written before the error
/// stay.
pub fn unpack(files: &[PathBuf], focus: Focus, folder: &Path) -> Result<Kept, CorpusError> {
    let mut shelf = Shelf::new(folder, Shape::Text);
    for file in files {
        let mut program = match read(file) {
            Ok(input) => input.program,
            Err(InputError::Version(..)) if shelf.kept.other + 1 < files.len() as u64 => {
                shelf.kept.other += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        focus.apply(&mut program);
        shelf.keep(file, &program)?;
    }
    Ok(shelf.kept)
}

/// Draws the programs with numbers 0 to `programs` - 1 of the campaign with seed `seed` (any dialect, no limits of a
/// voter), cuts each to its first `most_steps` steps, and writes them to `folder` in packed form. An engine can use
/// them as seeds.
///
/// # Errors
/// A file cannot be written or its name is taken ([`CorpusError::Taken`]). Files written before the error stay.
pub fn draw(seed: u64, programs: u64, most_steps: usize, folder: &Path) -> Result<Kept, CorpusError> {
    let mut shelf = Shelf::new(folder, Shape::Packed);
    for index in 0..programs {
        let mut program = generate(&GeneratorConfig::default(), seed, index);
        program.steps.truncate(most_steps);
        shelf.keep(Path::new("drawn"), &program)?;
    }
    Ok(shelf.kept)
}

/// Number of files that one call of [`migrate`] found in each form, and what it did with them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Migrated {
    /// Files packed exactly as [`encode`] writes them. They stay as they are.
    pub current: u64,
    /// Files that hold a program as text. They stay as they are.
    pub text: u64,
    /// Files without the header of the encoding, whose bytes are decisions of the generator. Each is rewritten as the
    /// packed form of the program that today's generator makes of them.
    pub decisions: u64,
    /// Files packed otherwise than [`encode`] writes them. Each is rewritten in packed form.
    pub mended: u64,
}

/// Rewrites files in place, in the form that [`encode`] writes. Text files, and files that have this form already, stay
/// as they are. Every file is read before the first is written, so only a file that cannot be written leaves others
/// rewritten.
///
/// # Errors
/// A file holds no program, is packed in another version of the encoding, or cannot be written.
pub fn migrate(files: &[PathBuf]) -> Result<Migrated, CorpusError> {
    let mut migrated = Migrated::default();
    let mut old = Vec::new();
    for file in files {
        match read(file)?.stored {
            Stored::Packed => migrated.current += 1,
            Stored::Text => migrated.text += 1,
            Stored::Decisions => {
                migrated.decisions += 1;
                old.push(file);
            }
            Stored::Mended => {
                migrated.mended += 1;
                old.push(file);
            }
        }
    }
    for file in old {
        // The file is read a second time because not all programs of a corpus need fit into memory.
        let input = read(file)?;
        if matches!(input.stored, Stored::Decisions | Stored::Mended) {
            let name = file.file_name().unwrap_or_default();
            store::write(store::folder_of(file), name, encode(&input.program)).map_err(CorpusError::Write)?;
        }
    }
    Ok(migrated)
}
