//! Files that are whole or not there: a temporary name, sync, rename.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use contract::Program;

/// Ending of the file name of a program's text.
pub const EXTENSION: &str = "realmode";

/// Ending of the file name of a sequence's text.
pub const SEQUENCE_EXTENSION: &str = "realmode-sequence";

/// Writes `contents` as `name` in `folder`, which is made if need be. A kill at any moment leaves the old file or the new one.
///
/// # Errors
/// What the system says, with the path.
pub fn write(folder: &Path, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<PathBuf> {
    let path = folder.join(name);
    let attempt = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        // Whoever may read other new files may read this one: engines run as other users.
        #[cfg(unix)]
        let builder = builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.prefix(".writing-").tempfile_in(folder)?;
        file.write_all(contents.as_ref())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        // The rename itself is safe once the folder is.
        File::open(folder)?.sync_all()
    };
    attempt().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(path)
}

/// The folder of a file, given its path.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A short name for a program: 64 bits over its text, so that it is the same everywhere.
#[must_use]
pub fn fingerprint(program: &Program) -> String {
    format!("{:016x}", hash(program.to_string().bytes()))
}

/// 64 bits of FNV-1a.
#[must_use]
pub fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// All files of programs and sequences under `path` (itself, if it is a file), sorted by path.
///
/// # Errors
/// A folder that cannot be read, with its path.
pub fn programs_under(path: &Path) -> io::Result<Vec<PathBuf>> {
    let name = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if !fs::metadata(path).map_err(name)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(name)? {
        let path = entry.map_err(name)?.path();
        if path.is_dir() {
            found.extend(programs_under(&path)?);
        } else if path.extension().is_some_and(|ending| ending == EXTENSION || ending == SEQUENCE_EXTENSION) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
