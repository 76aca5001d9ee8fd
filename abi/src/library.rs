//! Opens and loads a shared library with an implementation.

use core::ffi::CStr;
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW, Symbol};
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endian as _, Endianness, FileKind};
use rustix::fs::MemfdFlags;

use crate::header::{RM_ABI, RM_MAP_MEMORY, rm_implementation};
use crate::told::line;

/// Name of the function that a library exports, and that returns its `struct rm_implementation`.
const SYMBOL: &str = "realmode_implementation";

/// The reason why a library cannot be used, as one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

impl Unusable {
    /// Makes the error from `why`, its one line.
    #[must_use]
    pub const fn new(why: String) -> Self {
        Self(why)
    }

    pub(crate) fn of(library: &Library, what: &str) -> Self {
        Self(format!("{}: {what}", library.path.display()))
    }
}

/// A shared library that was checked and can be used. Each instance is loaded from a copy of its own, so that instances
/// share no variables.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    contents: Arc<[u8]>,
    name: String,
}

impl Library {
    /// Reads the library at `path`, loads it once, and checks it.
    ///
    /// # Errors
    /// The file cannot be read, is not a shared library for this computer, does not export `realmode_implementation`,
    /// was made for another version of the interface, or its `struct rm_implementation` is wrong. The error names the
    /// file.
    pub fn open(path: &Path) -> Result<Self, Unusable> {
        let told = |what: String| Unusable(format!("{}: {what}", path.display()));
        let contents = fs::read(path).map_err(|error| told(error.to_string()))?;
        unloadable(&contents).map_or(Ok(()), |what| Err(told(what)))?;
        let mut library = Self { path: path.into(), contents: contents.into(), name: String::new() };
        library.name = library.instance()?.name.clone();
        Ok(library)
    }

    /// Returns the name that the implementation gives itself: 1 to 64 letters, digits, '-', '_' and '.'.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of the file from which the library was read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the bytes of the file, as they were when the library was opened.
    #[must_use]
    pub fn contents(&self) -> &[u8] {
        &self.contents
    }

    /// Makes an error about this library, for a caller that cannot use it; `what` is the reason.
    #[must_use]
    pub fn refuse(&self, what: &str) -> Unusable {
        Unusable::of(self, what)
    }

    /// Loads a copy of the library and checks its `struct rm_implementation`. Fails with the reason, which names the
    /// file.
    pub(crate) fn instance(&self) -> Result<Instance, Unusable> {
        let told = |what: String| Unusable(format!("{}: {what}", self.path.display()));
        // For a file that it has loaded before, the loader returns the same library. A copy in memory is another file.
        let copy = copy(&self.contents).map_err(|error| told(format!("no copy in memory: {error}")))?;
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        // SAFETY: the library's initialisers run here. The user who names the library promises that they only
        // initialise.
        let loaded = unsafe { Loaded::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
        let loaded = loaded.map_err(|error| {
            // The loader's message names the copy.
            told(error.to_string().replace(&path, "the library"))
        })?;
        // SAFETY: the symbol is a function of this type, as the header declares it.
        let function: Symbol<unsafe extern "C-unwind" fn() -> *const rm_implementation> =
            unsafe { loaded.get(SYMBOL.as_bytes()) }
                .map_err(|_| told(format!("exports no `{SYMBOL}`, expected the function that realmode.h declares")))?;
        // SAFETY: the function takes no argument and returns a pointer.
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
        // SAFETY: version and size show that this is the table. It stays while the library is loaded, and the instance
        // keeps the library loaded.
        let table: &'static rm_implementation = unsafe { &*table };
        if table.name.is_null() {
            return Err(told("its name is NULL".into()));
        }
        // SAFETY: the header says that this is a string.
        let bytes = unsafe { CStr::from_ptr(table.name) }.to_bytes();
        let name = String::from_utf8_lossy(bytes).into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            let found = line(bytes, 64);
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

/// A loaded copy of a library. Dropping it unloads the copy.
pub(crate) struct Instance {
    /// The library's `struct rm_implementation`. It is valid only as long as the instance lives.
    pub(crate) table: &'static rm_implementation,
    pub(crate) name: String,
    _loaded: Loaded,
    _copy: OwnedFd,
}

/// Makes a file in memory that holds `contents`. Fails if the kernel cannot make or write the file.
fn copy(contents: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("realmode-subject", MemfdFlags::CLOEXEC)?;
    let mut file = fs::File::from(fd);
    file.write_all(contents)?;
    Ok(file.into())
}

/// Returns why this computer cannot load a file with these contents, as far as the headers of the file show it; `None`
/// if they show no reason. The loader itself would say less, and it would map a truncated library as if it were whole:
/// touching the missing part ends the process.
fn unloadable(contents: &[u8]) -> Option<String> {
    match FileKind::parse(contents) {
        Ok(FileKind::Elf64) => {}
        Ok(FileKind::Elf32) => return Some("a 32-bit library, expected one of 64 bits".into()),
        _ => return Some("no ELF file, expected a shared library".into()),
    }
    let part = || Some("a part of a library, expected a whole one".into());
    let Ok(header) = FileHeader64::<Endianness>::parse(contents) else { return part() };
    let Ok(endian) = header.endian() else { return part() };
    let (machine, kind) = (header.e_machine(endian), header.e_type(endian));
    if let Some(expected) = MACHINE.filter(|expected| *expected != machine) {
        return Some(format!("made for ELF machine {}, expected {}", machine.0, expected.0));
    }
    if endian.is_big_endian() != cfg!(target_endian = "big") {
        return Some("made for the other byte order".into());
    }
    if kind != elf::ET_DYN {
        return Some(format!("an ELF file of type {}, expected a shared library (type {})", kind.0, elf::ET_DYN.0));
    }
    let Ok(segments) = header.program_headers(endian, contents) else { return part() };
    let is_there = |segment: &ProgramHeader64<Endianness>| {
        segment.p_type(endian) != elf::PT_LOAD || segment.data(endian, contents).is_ok()
    };
    if segments.iter().all(is_there) { None } else { part() }
}

/// The ELF machine number of this process; `None` for an architecture that is not listed here, on which no library is
/// refused for its machine number.
const MACHINE: Option<elf::Machine> = if cfg!(target_arch = "x86_64") {
    Some(elf::EM_X86_64)
} else if cfg!(target_arch = "aarch64") {
    Some(elf::EM_AARCH64)
} else if cfg!(target_arch = "powerpc64") {
    Some(elf::EM_PPC64)
} else if cfg!(target_arch = "riscv64") {
    Some(elf::EM_RISCV)
} else if cfg!(target_arch = "s390x") {
    Some(elf::EM_S390)
} else {
    None
};
