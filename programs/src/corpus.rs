//! Corpora in their two shapes: packed for engines, text for people and git; and what brings one into the other, or up
//! to date.
//!
//! Whatever is written is named after the program's [fingerprint](store::fingerprint), so doing it again changes
//! nothing.

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

/// Why a corpus was not written.
#[derive(Debug)]
pub enum CorpusError {
    /// A file that was to be read holds no program.
    Input(InputError),
    /// Something else has the name that a program is to have.
    Taken(PathBuf),
    /// The program in a file is too long as text, by so many bytes.
    TooLong(PathBuf, usize),
    /// A file could not be written; it is named.
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

/// What became of the programs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Kept {
    /// Written now.
    pub written: u64,
    /// In the folder before.
    pub there: u64,
    /// Equal to one that came earlier.
    pub equal: u64,
    /// Packed in another version of the encoding: not read.
    pub other: u64,
}

#[derive(Clone, Copy)]
enum Shape {
    Packed,
    Text,
}

/// A folder with a file for each different program.
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

    /// Puts the program of the file `from` in its place, unless it is there.
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
            // Comments and layout are the owner's, but the program must be this one: half a file would lose it.
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

/// Packs texts into `folder`, a file for each different program.
///
/// # Errors
/// A file that is no text of a program, or one that cannot be written. What was written before stays.
pub fn pack(texts: &[PathBuf], folder: &Path) -> Result<Kept, CorpusError> {
    let mut shelf = Shelf::new(folder, Shape::Packed);
    for file in texts {
        shelf.keep(file, &read_text(file)?)?;
    }
    Ok(shelf.kept)
}

/// Writes the programs of `files` as texts into `folder`, one for each that is different in what `focus` runs. Files of
/// another version are counted only: an engine that changes bytes of the header keeps such, and its target did not run
/// them. Where there are no others, that is an error: the corpus itself is of another version.
///
/// # Errors
/// A file that holds no program, or one that cannot be written. What was written before stays.
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

/// Draws programs as the embedded campaign with that seed does and packs them into `folder`: seeds for an engine that
/// is to start from the generator's programs, or from programs of few steps.
///
/// # Errors
/// A file that cannot be written. What was written before stays.
pub fn draw(seed: u64, programs: u64, most_steps: usize, folder: &Path) -> Result<Kept, CorpusError> {
    let mut shelf = Shelf::new(folder, Shape::Packed);
    for index in 0..programs {
        let mut program = generate(&GeneratorConfig::default(), seed, index);
        program.steps.truncate(most_steps);
        shelf.keep(Path::new("drawn"), &program)?;
    }
    Ok(shelf.kept)
}

/// What [`migrate`] found, in files.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Migrated {
    /// Packed as encoding writes it: left alone.
    pub current: u64,
    /// Text: left alone.
    pub text: u64,
    /// Decisions of the generator, written as the program that they decide now.
    pub decisions: u64,
    /// Packed otherwise than encoding writes it, written anew.
    pub mended: u64,
}

/// Rewrites in place what is not packed as [`encode`] does it. Every file is read before the first is written, so a
/// file that holds no program leaves all as they were.
///
/// # Errors
/// A file that holds no program, such as one of another version of the encoding, or one that cannot be written.
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
        // Read again: all programs of a corpus need not fit into memory.
        let input = read(file)?;
        if matches!(input.stored, Stored::Decisions | Stored::Mended) {
            let name = file.file_name().unwrap_or_default();
            store::write(store::folder_of(file), name, encode(&input.program)).map_err(CorpusError::Write)?;
        }
    }
    Ok(migrated)
}
