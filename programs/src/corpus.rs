//! Converts corpora between their two forms, packed for engines and text for people and git, and brings them up to
//! date.
//!
//! Each file is named after its program's [fingerprint](store::fingerprint), so repeating a conversion changes nothing.

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
    /// An input file holds no program.
    Input(InputError),
    /// A file of that name exists and does not hold the program that belongs there.
    Taken(PathBuf),
    /// The program of this file is longer than [`MAX_TEXT_BYTES`] as text. The number is its length as text in bytes.
    TooLong(PathBuf, usize),
    /// A file could not be written. The error names it.
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

/// How many programs were written or not, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Kept {
    /// Programs written by this call.
    pub written: u64,
    /// Programs that were in the folder before.
    pub there: u64,
    /// Programs equal to an earlier one of this call.
    pub equal: u64,
    /// Files packed in another version of the encoding, which are not read.
    pub other: u64,
}

#[derive(Clone, Copy)]
enum Shape {
    Packed,
    Text,
}

/// A folder that holds one file for each different program.
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

    /// Writes the program, read from the file `from`, into the folder unless it is there.
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

/// Packs programs in text form into `folder`, one file for each different program.
///
/// # Errors
/// A file is not the text of a program, or a file cannot be written. Files written before stay.
pub fn pack(texts: &[PathBuf], folder: &Path) -> Result<Kept, CorpusError> {
    let mut shelf = Shelf::new(folder, Shape::Packed);
    for file in texts {
        shelf.keep(file, &read_text(file)?)?;
    }
    Ok(shelf.kept)
}

/// Writes the programs of `files` as text into `folder`, one file for each program that is different after
/// [`Focus::apply`]. Files packed in another version are only counted: an engine that changes bytes of the header keeps
/// such files, and its target did not run them.
///
/// # Errors
/// A file holds no program, all files are of another version, or a file cannot be written. Files written before stay.
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

/// Draws the programs 0 to `programs` - 1 of the campaign with seed `seed`, cuts each to at most `most_steps` steps,
/// and packs them into `folder`. An engine can use them as seeds.
///
/// # Errors
/// A file cannot be written. Files written before stay.
pub fn draw(seed: u64, programs: u64, most_steps: usize, folder: &Path) -> Result<Kept, CorpusError> {
    let mut shelf = Shelf::new(folder, Shape::Packed);
    for index in 0..programs {
        let mut program = generate(&GeneratorConfig::default(), seed, index);
        program.steps.truncate(most_steps);
        shelf.keep(Path::new("drawn"), &program)?;
    }
    Ok(shelf.kept)
}

/// What [`migrate`] did, as numbers of files.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Migrated {
    /// Packed as [`encode`] writes it: left alone.
    pub current: u64,
    /// Text: left alone.
    pub text: u64,
    /// Decisions of the generator: rewritten as the packed program that today's generator makes of them.
    pub decisions: u64,
    /// Packed otherwise than [`encode`] writes it: rewritten.
    pub mended: u64,
}

/// Rewrites in place the files that are not packed as [`encode`] does it; text files stay. Every file is read before
/// the first is written, so if one file holds no program, none is changed.
///
/// # Errors
/// A file holds no program or another version of the encoding, or a file cannot be written.
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
