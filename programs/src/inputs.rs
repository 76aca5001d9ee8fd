//! Files of programs, whoever wrote them: where they lie in the folders of engines, and what is in one.
//!
//! Engines keep packed programs ([`encoding`]) among files of their own: AFL++ an output folder with an instance each
//! in `queue`, `crashes` and `hangs`, where programs are named `id:...`; libFuzzer one folder. People keep texts.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use contract::Program;
use contract::text::MAX_TEXT_BYTES;

use crate::encoding::{self, Form, VERSION};
use crate::store::EXTENSION;

/// Longest file that is taken for a program, in bytes. Engines are told to stay far below.
pub const MAX_PACKED_BYTES: usize = 1 << 26;

/// Which of an engine's folders are looked at, where it has several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// What it keeps to mutate: `queue`.
    Corpus,
    /// What it found: `crashes` and `hangs`, those of earlier runs (`crashes.TIME`) as well.
    Findings,
}

/// What [`find`] found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Files {
    /// Files of programs, by path, each once.
    pub programs: Vec<PathBuf>,
    /// How many other files lie in the same folders.
    pub others: usize,
}

/// Endings of files that lie among an engine's, and hold no program: notes, logs, and the other files of a finding.
const OTHER_ENDINGS: [&str; 8] = ["txt", "md", "rs", "json", "log", "dict", "toml", "profraw"];

/// All files of programs under `paths`. One that is named itself is taken, whatever its name; in folders, hidden files, files with
/// the ending of some other thing, and an engine's own are passed over.
///
/// # Errors
/// A folder that cannot be read, or a path that is not there, with the path.
pub fn find(paths: &[PathBuf], wanted: Wanted) -> io::Result<Files> {
    let mut files = Files::default();
    for path in paths {
        if fs::metadata(path).map_err(|error| named(path, &error))?.is_dir() {
            walk(path, wanted, &mut files).map_err(|error| named(path, &error))?;
        } else {
            files.programs.push(path.clone());
        }
    }
    files.programs.sort();
    files.programs.dedup();
    Ok(files)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn walk(folder: &Path, wanted: Wanted, files: &mut Files) -> io::Result<()> {
    let (mut here, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A linked folder may hold this one; a linked file is read. What is neither, such as a pipe, is nobody's program.
        let kind = entry.file_type()?;
        if name.starts_with('.') {
            continue;
        } else if kind.is_dir() {
            folders.push((name, entry.path()));
        } else if kind.is_file() || fs::metadata(entry.path()).is_ok_and(|target| target.is_file()) {
            here.push((name, entry.path()));
        }
    }
    let has = |name: &str| folders.iter().any(|(folder, _)| folder == name);
    if here.iter().any(|(name, _)| name == "fuzzer_stats") || (has("queue") && (has("crashes") || has("hangs"))) {
        // An instance of AFL++: what lies beside its folders is its own.
        here.clear();
        folders.retain(|(name, _)| match wanted {
            Wanted::Corpus => name == "queue",
            Wanted::Findings => matches!(name.split('.').next(), Some("crashes" | "hangs")),
        });
    }
    let by_number = here.iter().any(|(name, _)| is_numbered(name));
    for (name, path) in here {
        let ending = Path::new(&name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let is_program = if by_number { is_numbered(&name) } else { !OTHER_ENDINGS.contains(&ending) };
        if is_program {
            files.programs.push(path);
        } else {
            files.others += 1;
        }
    }
    for (_, path) in folders {
        walk(&path, wanted, files).map_err(|error| named(&path, &error))?;
    }
    Ok(())
}

/// Names of AFL++: `id:000007,...`, with `_` on file systems without colons.
fn is_numbered(name: &str) -> bool {
    let number = name.strip_prefix("id:").or_else(|| name.strip_prefix("id_"));
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

/// The engine that gave a file its name; `file` if none is known for it.
#[must_use]
pub fn engine(path: &Path) -> &'static str {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if is_numbered(&name) {
        "afl"
    } else if ["crash-", "timeout-", "oom-", "slow-unit-", "leak-"].iter().any(|start| name.starts_with(start)) {
        "libfuzzer"
    } else {
        "file"
    }
}

/// How a program is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// As text.
    Text,
    /// Packed, byte for byte as [`encode`](crate::encoding::encode) writes it.
    Packed,
    /// Packed, but mended on reading: something was repaired, ignored, or is written otherwise.
    Mended,
    /// As decisions of the generator.
    Decisions,
}

/// A program from a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// How it is kept.
    pub stored: Stored,
    /// The file's size in bytes.
    pub bytes: u64,
    /// The program, which is sound.
    pub program: Program,
}

/// A file that holds no program.
#[derive(Debug)]
pub enum InputError {
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It is longer than any program: its size as far as it was looked at, and what is allowed.
    TooLong(PathBuf, u64, usize),
    /// It is no text of a program: told with file, line and column.
    Text(String),
    /// It is packed in another version of the encoding.
    Version(PathBuf, u32),
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, error) => write!(f, "{}: {error}", file.display()),
            Self::TooLong(file, bytes, most) => {
                write!(f, "{}: found {bytes} bytes, expected a program of at most {most}", file.display())
            }
            Self::Text(error) => f.write_str(error),
            Self::Version(file, version) => {
                write!(f, "{}: found version {version} of the encoding, expected version {VERSION}", file.display())
            }
        }
    }
}

impl std::error::Error for InputError {}

/// The program in a text file.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn read_text(path: &Path) -> Result<Program, InputError> {
    let size = fs::metadata(path).map_err(|error| InputError::Unreadable(path.into(), error))?.len();
    if size > MAX_TEXT_BYTES as u64 {
        return Err(InputError::TooLong(path.into(), size, MAX_TEXT_BYTES));
    }
    text(path, &bytes(path, MAX_TEXT_BYTES)?)
}

/// The program in a file of any engine, or in a text file.
///
/// # Errors
/// A file that cannot be read, a text that is no program, and bytes of another version of the encoding. All other bytes are some
/// program.
pub fn read(path: &Path) -> Result<Input, InputError> {
    let found = bytes(path, MAX_PACKED_BYTES)?;
    let input = |stored, program| Ok(Input { stored, bytes: found.len() as u64, program });
    if path.extension().is_some_and(|ending| ending == EXTENSION) || is_text(&found) {
        return input(Stored::Text, text(path, &found)?);
    }
    match (encoding::form(&found), encoding::decode_exact(&found)) {
        (Form::Other(version), _) => Err(InputError::Version(path.into(), version)),
        (Form::Decisions, _) => input(Stored::Decisions, encoding::decode(&found)),
        (Form::Current, Ok(program)) => input(Stored::Packed, program),
        (Form::Current, Err(_)) => input(Stored::Mended, encoding::decode(&found)),
    }
}

fn bytes(path: &Path, most: usize) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    let mut read = || File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes);
    read().map_err(|error| InputError::Unreadable(path.into(), error))?;
    if bytes.len() > most {
        let size = fs::metadata(path).map_or(0, |file| file.len()).max(bytes.len() as u64);
        return Err(InputError::TooLong(path.into(), size, most));
    }
    Ok(bytes)
}

/// Whether the first line that is no comment begins like a program's text, of whatever version.
fn is_text(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.find(|line| !line.is_empty() && line[0] != b'#').is_some_and(|line| line.starts_with(b"realmode-program"))
}

fn text(path: &Path, bytes: &[u8]) -> Result<Program, InputError> {
    let name = path.display().to_string();
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        InputError::Text(format!("{name}:{line}:{column}: found the byte {byte:#04x}, expected text in UTF-8"))
    })?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(InputError::TooLong(path.into(), text.len() as u64, MAX_TEXT_BYTES));
    }
    contract::text::parse(text).map_err(|error| InputError::Text(error.in_file(&name).to_string()))
}
