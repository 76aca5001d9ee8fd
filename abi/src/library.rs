//! A shared library with an implementation.

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

/// A library that was looked at and can be used. Instances of it are loaded one by one, each from a copy of its own, so
/// that they share no variable.
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
        unloadable(&contents).map_or(Ok(()), |what| Err(told(what)))?;
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
        // SAFETY: the library's initialisers run here. That they do nothing but initialise is the promise of whoever
        // names it.
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
        // SAFETY: version and size say that it is this table, which stays while the library is loaded: an instance
        // keeps it.
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

/// Why this machine cannot load a file, as far as its headers say. The loader itself would say less, and map a part of
/// a library as if it were whole: touching what is not there ends the process.
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

/// The ELF machine of this process, where it is known.
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
