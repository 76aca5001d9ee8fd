//! Finds and reads files of programs, whether an engine or a person wrote them.
//!
//! Engines keep packed programs ([`encoding`]) among files of their own. AFL++ has an output folder with one folder for
//! each instance, which holds `queue`, `crashes` and `hangs`; programs in them are named `id:...`. libFuzzer has one
//! folder. People keep programs as text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use contract::Program;
use contract::text::{MAX_TEXT_BYTES, TextError};
use walkdir::WalkDir;

use crate::encoding::{self, Form, VERSION};
use crate::snippet::NoProgram;
use crate::store::{self, EXTENSION, SEQUENCE_EXTENSION, named, unwalked};

/// Largest size in bytes of a file that [`read`] accepts; text may have at most [`MAX_TEXT_BYTES`] bytes. Engines are
/// configured to keep their files far smaller.
pub const MAX_PACKED_BYTES: usize = 1 << 26;

/// Which folders of an AFL++ instance [`find`] reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// The folder `queue`: the programs that AFL++ mutates.
    Corpus,
    /// The folders `crashes` and `hangs`, and those of earlier runs (such as `crashes.TIME`): the programs that failed.
    Findings,
}

impl Wanted {
    /// Returns whether [`find`] reads the folder `name` of an AFL++ instance.
    fn has(self, name: &str) -> bool {
        match self {
            Self::Corpus => name == "queue",
            Self::Findings => matches!(name.split('.').next(), Some("crashes" | "hangs")),
        }
    }
}

/// The files that [`find`] found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Files {
    /// Paths of the files of programs, sorted, without duplicates.
    pub programs: Vec<PathBuf>,
    /// Number of files in the folders that were passed over as no programs. Hidden files, and files directly in the
    /// folder of an AFL++ instance, are not counted.
    pub others: usize,
}

/// File name extensions that no program has: notes, logs, and the other files of a finding.
const OTHER_ENDINGS: [&str; 8] = ["txt", "md", "rs", "json", "log", "dict", "toml", "profraw"];

/// Finds all files of programs that `paths` name or that lie in folders that `paths` name. A file that `paths` name is
/// taken whatever its name. In folders, `find` passes over hidden files, files with an extension that no program has,
/// and an engine's own files. It does not enter hidden or linked folders, and of an AFL++ instance only the `wanted`
/// folders.
///
/// # Errors
/// A folder cannot be read, or one of `paths` does not exist. The error names the path.
pub fn find(paths: &[PathBuf], wanted: Wanted) -> io::Result<Files> {
    let mut files = Files::default();
    for path in paths {
        if fs::metadata(path).map_err(|error| named(path, &error))?.is_dir() {
            walk(path, wanted, &mut files)?;
        } else {
            files.programs.push(path.clone());
        }
    }
    files.programs.sort();
    files.programs.dedup();
    Ok(files)
}

fn walk(folder: &Path, wanted: Wanted, files: &mut Files) -> io::Result<()> {
    let mut folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    let mut instance = (PathBuf::new(), false);
    // A linked folder is not entered: it may contain the folder that is being walked.
    let walk = WalkDir::new(folder).min_depth(1).into_iter().filter_entry(|entry| {
        let (name, folder) = (name_of(entry.path()), store::folder_of(entry.path()));
        if name.starts_with('.') {
            return false;
        }
        if instance.0 != folder {
            instance = (folder.into(), is_instance(folder));
        }
        !instance.1 || entry.file_type().is_dir() && wanted.has(&name)
    });
    for entry in walk {
        let path = entry.map_err(unwalked)?.into_path();
        // A linked file is read. Anything that is neither file nor folder, such as a pipe, cannot be a program.
        if fs::metadata(&path).is_ok_and(|target| target.is_file()) {
            folders.entry(store::folder_of(&path).into()).or_default().push(path);
        }
    }
    for here in folders.into_values() {
        let by_number = here.iter().any(|path| is_numbered(&name_of(path)));
        for path in here {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let is_program = match by_number {
                true => is_numbered(&name_of(&path)),
                // A sequence is a finding, and no program of a corpus.
                false if ending == SEQUENCE_EXTENSION => wanted == Wanted::Findings,
                false => !OTHER_ENDINGS.contains(&ending),
            };
            if is_program {
                files.programs.push(path);
            } else {
                files.others += 1;
            }
        }
    }
    Ok(())
}

/// Returns whether the folder belongs to one AFL++ instance: files directly in such a folder are AFL++'s own, not
/// programs.
fn is_instance(folder: &Path) -> bool {
    let is_dir = |name: &str| fs::symlink_metadata(folder.join(name)).is_ok_and(|kind| kind.is_dir());
    folder.join("fuzzer_stats").is_file() || is_dir("queue") && (is_dir("crashes") || is_dir("hangs"))
}

fn name_of(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Returns whether the file name has the form that AFL++ gives programs: `id:000007,...`, or `id_...` on file systems
/// without colons.
fn is_numbered(name: &str) -> bool {
    let number = name.strip_prefix("id:").or_else(|| name.strip_prefix("id_"));
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

/// Returns the engine whose naming scheme the file follows: `afl`, `libfuzzer`, or `file` for neither.
#[must_use]
pub fn engine(path: &Path) -> &'static str {
    let name = name_of(path);
    if is_numbered(&name) {
        "afl"
    } else if ["crash-", "timeout-", "oom-", "slow-unit-", "leak-"].iter().any(|start| name.starts_with(start)) {
        "libfuzzer"
    } else {
        "file"
    }
}

/// The form in which a file holds a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// The text form of a program.
    Text,
    /// Packed: the bytes are exactly what [`encode`](crate::encoding::encode) writes for the program.
    Packed,
    /// Packed, but not exactly what [`encode`](crate::encoding::encode) writes: decoding repaired or ignored something.
    Mended,
    /// Bytes without a header, which the generator reads as its decisions.
    Decisions,
}

/// A program that was read from a file, and the form in which the file holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// The form in which the file holds the program.
    pub stored: Stored,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// The program, which is valid.
    pub program: Program,
}

/// Why no program was read from a file.
#[derive(Debug)]
pub enum InputError {
    /// The file cannot be read. The error is the system's.
    Unreadable(PathBuf, io::Error),
    /// The file is too long. The numbers are its size in bytes (at least; it may have grown while it was read) and the
    /// limit in bytes.
    TooLong(PathBuf, u64, usize),
    /// The file holds text that is not a program.
    Text(Box<NoProgram>),
    /// The program is packed in another version of the encoding than [`VERSION`]. The number is that version.
    Version(PathBuf, u32),
    /// The file holds a [sequence](crate::sequence) of programs.
    Sequence(PathBuf),
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, error) => write!(f, "{}: {error}", file.display()),
            Self::TooLong(file, bytes, most) => {
                write!(f, "{}: found {bytes} bytes, expected a program of at most {most}", file.display())
            }
            Self::Text(error) => error.fmt(f),
            Self::Sequence(file) => {
                write!(f, "{}: found a sequence of programs, expected one program", file.display())
            }
            Self::Version(file, version) => {
                write!(f, "{}: found version {version} of the encoding, expected version {VERSION}", file.display())
            }
        }
    }
}

impl std::error::Error for InputError {}

impl InputError {
    /// Returns the error message. An error in a text quotes its lines, with the escape sequences that show colours in a
    /// terminal.
    #[must_use]
    pub fn in_colours(&self) -> String {
        match self {
            Self::Text(error) => error.show(true),
            error => error.to_string(),
        }
    }
}

/// Reads one program from a text file of at most [`MAX_TEXT_BYTES`] bytes.
///
/// # Errors
/// The file cannot be read, is too long, or its text is not a program. In the last case the error has the first
/// mistake, with line and column.
pub fn read_text(path: &Path) -> Result<Program, InputError> {
    let size = fs::metadata(path).map_err(|error| InputError::Unreadable(path.into(), error))?.len();
    if size > MAX_TEXT_BYTES as u64 {
        return Err(InputError::TooLong(path.into(), size, MAX_TEXT_BYTES));
    }
    text(path, &bytes(path, MAX_TEXT_BYTES)?)
}

/// Reads one program from a text file of at most [`MAX_TEXT_BYTES`] bytes, or from a file of any engine of at most
/// [`MAX_PACKED_BYTES`] bytes. A file is read as text if it has the extension [`EXTENSION`] or begins as the text form
/// does.
///
/// # Errors
/// The file cannot be read, is too long, holds a sequence or text that is not a program, or is packed in another
/// version of the encoding. All other bytes decode to some program.
pub fn read(path: &Path) -> Result<Input, InputError> {
    // A sequence may be longer than a program.
    if path.extension().is_some_and(|ending| ending == SEQUENCE_EXTENSION) {
        return Err(InputError::Sequence(path.into()));
    }
    let found = bytes(path, MAX_PACKED_BYTES)?;
    let input = |stored, program| Ok(Input { stored, bytes: found.len() as u64, program });
    if begins_with(&found, b"realmode-sequence") {
        return Err(InputError::Sequence(path.into()));
    }
    if path.extension().is_some_and(|ending| ending == EXTENSION) || begins_with(&found, b"realmode-program") {
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

/// Returns whether the bytes are a text, of any version, whose first line that is neither empty nor a comment begins
/// with `word`.
fn begins_with(bytes: &[u8], word: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.find(|line| !line.is_empty() && line[0] != b'#').is_some_and(|line| line.starts_with(word))
}

fn text(path: &Path, bytes: &[u8]) -> Result<Program, InputError> {
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(InputError::TooLong(path.into(), bytes.len() as u64, MAX_TEXT_BYTES));
    }
    let text = utf8(path, bytes)?;
    contract::text::parse(text)
        .map_err(|error| InputError::Text(Box::new(NoProgram { file: path.into(), text: text.into(), error })))
}

/// Returns the bytes of a file as text. The error names the first byte that is none.
fn utf8<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, InputError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (before, rest) = bytes.split_at(error.valid_up_to());
        let before = String::from_utf8_lossy(before);
        let (line, column) =
            (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
        let message =
            format!("found the byte {:#04x}, expected text in UTF-8", rest.first().copied().unwrap_or_default());
        let error = TextError { line, column, width: 1, message, other: None };
        InputError::Text(Box::new(NoProgram { file: path.into(), text: String::from_utf8_lossy(bytes).into(), error }))
    })
}

/// Reads a text file of at most `most` bytes. Fails if the file cannot be read, is too long, or is not in UTF-8.
pub(crate) fn read_string(path: &Path, most: usize) -> Result<String, InputError> {
    let bytes = bytes(path, most)?;
    utf8(path, &bytes).map(str::to_string)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn found(root: &Path, wanted: Wanted) -> (Vec<String>, usize) {
        let files = find(&[root.into()], wanted).expect("a folder");
        let below = |path: &PathBuf| path.strip_prefix(root).expect("below it").display().to_string();
        (files.programs.iter().map(below).collect(), files.others)
    }

    #[test]
    fn what_is_no_program_is_passed_over() {
        let here = tempfile::tempdir().expect("a folder");
        let at = |name: &str| here.path().join(name);
        for folder in ["deep/er", ".git", "afl/queue/.state", "afl/crashes", "afl/crashes.2026", "afl/seen"] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        for file in [
            "one",
            "notes.md",
            ".hidden",
            ".git/one",
            "deep/er/two.realmode",
            "deep/er/two.realmode-sequence",
            "afl/fuzzer_stats",
            "afl/one",
            "afl/queue/id:000000,orig",
            "afl/queue/README",
            "afl/queue/.state/id:000000",
            "afl/crashes/id:000001,sig:06",
            "afl/crashes.2026/id:000002,sig:06",
            "afl/seen/id:000003",
        ] {
            fs::write(at(file), "").expect("a file");
        }
        // Linked files are read. Linked folders, links to nothing, and sockets are not.
        symlink("one", at("linked")).expect("a link");
        symlink("deep", at("folder")).expect("a link");
        symlink("nowhere", at("gone")).expect("a link");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
        let corpus = ["afl/queue/id:000000,orig", "deep/er/two.realmode", "linked", "one"].map(String::from).to_vec();
        assert_eq!(found(here.path(), Wanted::Corpus), (corpus, 3));
        let crashes = ["afl/crashes/id:000001,sig:06", "afl/crashes.2026/id:000002,sig:06"];
        let findings = crashes
            .into_iter()
            .chain(["deep/er/two.realmode", "deep/er/two.realmode-sequence", "linked", "one"])
            .map(String::from)
            .collect();
        assert_eq!(found(here.path(), Wanted::Findings), (findings, 1));
        // A sequence is no program, whatever reads it and whatever its name.
        fs::write(at("deep/er/two.realmode-sequence"), "\n").expect("a file");
        fs::write(at("three"), "# found\nrealmode-sequence 1\n").expect("a file");
        for name in ["deep/er/two.realmode-sequence", "three"] {
            assert!(matches!(read(&at(name)), Err(InputError::Sequence(_))), "{name}");
        }
        // A file that is named itself is taken, even a hidden one.
        assert_eq!(find(&[at(".hidden")], Wanted::Corpus).expect("a file").programs, [at(".hidden")]);
        let error = find(&[at("missing")], Wanted::Corpus).expect_err("nothing").to_string();
        assert!(error.starts_with(&format!("{}: No such file", at("missing").display())), "{error}");
    }
}
