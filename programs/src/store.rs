//! Writes files atomically, through a temporary name, sync and rename; names programs by a hash; finds them in folders.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use contract::Program;
use walkdir::WalkDir;

/// File name extension of a program in text form.
pub const EXTENSION: &str = "realmode";

/// File name extension of a sequence in text form.
pub const SEQUENCE_EXTENSION: &str = "realmode-sequence";

/// Writes `contents` to the file `name` in `folder` and returns the path. Creates the folder if it does not exist, and
/// replaces an old file. If the process dies at any moment, either the old file or the new one is there.
///
/// # Errors
/// The folder or the file cannot be written. The error is the system's, with the path in its message.
pub fn write(folder: &Path, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<PathBuf> {
    let path = folder.join(name);
    let attempt = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        // The file gets the permissions of any other new file, because engines run as other users.
        #[cfg(unix)]
        let builder = builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.prefix(".writing-").tempfile_in(folder)?;
        file.write_all(contents.as_ref())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        // The rename survives a crash of the system only once the folder is synced.
        File::open(folder)?.sync_all()
    };
    attempt().map_err(|error| named(&path, &error))?;
    Ok(path)
}

/// Returns the text with `?` in place of each control character. Comments in files are made with it: a line end in a
/// message or a path would end the comment.
#[must_use]
pub fn one_line(text: impl Display) -> String {
    text.to_string().replace(char::is_control, "?")
}

/// Returns the folder that holds the file; `.` for a bare file name.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns a short name for a program: the [`hash`] of its text form as 16 hexadecimal digits.
#[must_use]
pub fn fingerprint(program: &Program) -> String {
    format!("{:016x}", hash(program.to_string()))
}

/// Returns the XXH3 hash of the bytes, 64 bits, without seed. File names, checksums and everything else that leaves the
/// process or must not change from build to build use this hash: it depends on the bytes alone, not on the machine or
/// the toolchain.
#[must_use]
pub fn hash(bytes: impl AsRef<[u8]>) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes.as_ref())
}

/// Finds all files of programs and sequences (by their extension) under the folder `path`, sorted by path. If `path` is
/// a file, returns it alone, whatever its extension. Links are followed; one that leads nowhere counts as a file.
///
/// # Errors
/// Those of [`files_under`].
pub fn programs_under(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = files_under(path)?;
    let is_program = |file: &PathBuf| {
        file == path || file.extension().is_some_and(|ending| ending == EXTENSION || ending == SEQUENCE_EXTENSION)
    };
    found.retain(is_program);
    Ok(found)
}

/// Finds all files under the folder `path`, sorted by path. If `path` is a file, returns it alone. Links are followed;
/// one that leads nowhere counts as a file.
///
/// # Errors
/// `path` does not exist, a folder cannot be read, or a link leads to a folder that contains the link. The error names
/// the path.
pub fn files_under(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path).map_err(|error| named(path, &error))?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in WalkDir::new(path).follow_links(true) {
        found.push(match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) => entry.into_path(),
            // A dangling link counts as a file; reading it later gives the error.
            Err(error) => match error.path().filter(|path| path.is_symlink() && error.loop_ancestor().is_none()) {
                Some(path) => path.into(),
                None => return Err(unwalked(error)),
            },
        });
    }
    found.sort();
    Ok(found)
}

/// Returns the error with the path in front of its message.
pub(crate) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Converts an error of a walk through folders to an I/O error, with the path in front of its message.
pub(crate) fn unwalked(error: walkdir::Error) -> io::Error {
    match (error.path(), error.io_error()) {
        (Some(path), Some(io)) => named(path, io),
        _ => error.into(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_once() {
        let here = tempfile::tempdir().expect("a folder");
        let at = |name: &str| here.path().join(name);
        for folder in ["all/deep", "other"] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        for file in ["all/b.realmode", "all/deep/a.realmode", "all/notes.txt", "other/c.realmode"] {
            fs::write(at(file), "").expect("a file");
        }
        symlink("../other", at("all/link")).expect("a link");
        // Dangling links: one with a program's extension is found, so that reading it reports the error; any other is
        // ignored.
        symlink("nowhere", at("all/gone.realmode")).expect("a link");
        symlink("nowhere", at("all/gone.txt")).expect("a link");
        let expected =
            ["all/b.realmode", "all/deep/a.realmode", "all/gone.realmode", "all/link/c.realmode"].map(at).to_vec();
        assert_eq!(programs_under(&at("all")).expect("a folder"), expected);
        assert_eq!(programs_under(&at("all/notes.txt")).expect("a file"), [at("all/notes.txt")]);
        let others = ["all/gone.txt", "all/notes.txt"].map(at);
        let mut all: Vec<PathBuf> = expected.into_iter().chain(others).collect();
        all.sort();
        assert_eq!(files_under(&at("all")).expect("a folder"), all);

        symlink("..", at("all/deep/up")).expect("a link");
        let error = programs_under(&at("all")).expect_err("a loop").to_string();
        assert!(error.contains(&at("all/deep/up").display().to_string()), "{error}");
        let error = programs_under(&at("missing")).expect_err("nothing").to_string();
        assert!(error.starts_with(&format!("{}: No such file", at("missing").display())), "{error}");
    }

    /// Compares with values of the XXH3 reference implementation: file names must not change when the library does.
    #[test]
    fn the_hash_is_xxh3() {
        assert_eq!(hash(""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash("a"), 0xe6c6_32b6_1e96_4e1f);
        let long: Vec<u8> = (0..2048u32).map(|index| index as u8).collect();
        assert_eq!(hash(long), 0xdd42_0471_ff96_bd00);
    }
}
