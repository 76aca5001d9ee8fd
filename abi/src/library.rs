//! A shared library with an implementation.

use core::ffi::CStr;
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW, Symbol};
use rustix::fs::MemfdFlags;

use crate::header::{RM_ABI, RM_MAP_MEMORY, rm_implementation};

/// The function that a library exports.
const SYMBOL: &str = "realmode_implementation";

/// Why a library cannot be used, in a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

impl Unusable {
    /// For this reason.
    #[must_use]
    pub const fn new(why: String) -> Self {
        Self(why)
    }

    pub(crate) fn of(library: &Library, what: &str) -> Self {
        Self(format!("{}: {what}", library.path.display()))
    }
}

/// A library that was looked at and can be used. Instances of it are loaded one by one, each from a copy of its own, so that they share
/// no variable.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    contents: Arc<[u8]>,
    name: String,
}

impl Library {
    /// Looks at a library.
    ///
    /// # Errors
    /// It is not there, is none for this machine, lacks the symbol, or was made for another version of the interface.
    pub fn open(path: &Path) -> Result<Self, Unusable> {
        let told = |what: String| Unusable(format!("{}: {what}", path.display()));
        let contents = fs::read(path).map_err(|error| told(error.to_string()))?;
        foreign_machine(&contents).map_or(Ok(()), |what| Err(told(what)))?;
        let mut library = Self { path: path.into(), contents: contents.into(), name: String::new() };
        library.name = library.instance()?.name.clone();
        Ok(library)
    }

    /// The name that the implementation gives itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it was found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it cannot be used after all.
    #[must_use]
    pub fn refuse(&self, what: &str) -> Unusable {
        Unusable::of(self, what)
    }

    /// Loads a copy.
    pub(crate) fn instance(&self) -> Result<Instance, Unusable> {
        let told = |what: String| Unusable(format!("{}: {what}", self.path.display()));
        // The loader takes a file that it has seen for the same library; a copy in memory is another file.
        let copy = copy(&self.contents).map_err(|error| told(format!("no copy in memory: {error}")))?;
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        // SAFETY: the library's initialisers run here. That they do nothing but initialise is the promise of whoever names it.
        let loaded = unsafe { Loaded::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
        let loaded = loaded.map_err(|error| {
            // The loader names the copy.
            told(error.to_string().replace(&path, "the library"))
        })?;
        // SAFETY: the symbol is a function of this type: the header declares it so.
        let function: Symbol<unsafe extern "C-unwind" fn() -> *const rm_implementation> =
            unsafe { loaded.get(SYMBOL.as_bytes()) }
                .map_err(|_| told(format!("exports no `{SYMBOL}`, expected the function that realmode.h declares")))?;
        // SAFETY: it takes nothing and answers a pointer.
        let table = unsafe { function() };
        if table.is_null() || !table.is_aligned() {
            return Err(told(format!("`{SYMBOL}` answered {table:?}, expected a table")));
        }
        // SAFETY: every version of the table begins with these two numbers.
        let (abi, bytes) = unsafe { ((*table).abi, (*table).bytes) };
        if abi != RM_ABI {
            return Err(told(format!("made for version {abi} of realmode.h, expected version {RM_ABI}")));
        }
        if bytes as usize != size_of::<rm_implementation>() {
            let expected = size_of::<rm_implementation>();
            return Err(told(format!("its table has {bytes} bytes, expected {expected}")));
        }
        // SAFETY: version and size say that it is this table, which stays while the library is loaded: an instance keeps it.
        let table: &'static rm_implementation = unsafe { &*table };
        if table.name.is_null() {
            return Err(told("its name is NULL".into()));
        }
        // SAFETY: the header says that it is a string.
        let name = unsafe { CStr::from_ptr(table.name) }.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            let found = name.escape_debug();
            return Err(told(format!("its name is '{found}', expected up to 64 letters, digits, '-', '_' and '.'")));
        }
        if table.flags & !RM_MAP_MEMORY != 0 {
            return Err(told(format!("its flags are {:#x}, expected 0 or RM_MAP_MEMORY", table.flags)));
        }
        if table.start.is_none() {
            return Err(told("its start is NULL".into()));
        }
        Ok(Instance { table, name, _loaded: loaded, _copy: copy })
    }
}

/// A library that is loaded.
pub(crate) struct Instance {
    /// Good as long as this lives.
    pub(crate) table: &'static rm_implementation,
    pub(crate) name: String,
    _loaded: Loaded,
    _copy: OwnedFd,
}

fn copy(contents: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("realmode-subject", MemfdFlags::CLOEXEC)?;
    let mut file = fs::File::from(fd);
    file.write_all(contents)?;
    Ok(file.into())
}

/// What makes a file none that this machine can load, as far as its first bytes say.
fn foreign_machine(contents: &[u8]) -> Option<String> {
    let Some(head) = contents.get(..20).filter(|head| head.starts_with(b"\x7fELF")) else {
        return Some("no ELF file, expected a shared library".into());
    };
    if head[4] != 2 {
        return Some("a 32-bit library, expected one of 64 bits".into());
    }
    let machine = u16::from_le_bytes([head[18], head[19]]);
    let expected = if cfg!(target_arch = "x86_64") {
        62
    } else if cfg!(target_arch = "aarch64") {
        183
    } else {
        machine
    };
    if head[5] != 1 || machine != expected {
        return Some(format!("made for ELF machine {machine}, expected {expected}"));
    }
    (!is_whole(contents)).then(|| "a part of a library, expected a whole one".into())
}

/// Whether all that is to be mapped is there: the loader maps what lies past the end too, and touching that is the end of the process.
fn is_whole(contents: &[u8]) -> bool {
    const PROGRAM_HEADER: usize = 56;
    const LOAD: u64 = 1;
    let number = |at: usize, bytes: usize| {
        let field = contents.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let (Some(table), Some(entries)) = (number(32, 8), number(56, 2)) else { return false };
    (0..entries as usize).all(|entry| {
        let at = usize::try_from(table).ok().and_then(|table| table.checked_add(entry * PROGRAM_HEADER));
        let entry = at.and_then(|at| Some((number(at, 4)?, number(at + 8, 8)?, number(at + 32, 8)?)));
        entry.is_some_and(|(kind, offset, bytes)| {
            kind != LOAD || offset.checked_add(bytes).is_some_and(|end| end <= contents.len() as u64)
        })
    })
}
