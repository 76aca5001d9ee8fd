//! A program and a helper that the tests of all commands share.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

/// A program with which every subject agrees except the canary, whose H_GET_TCE loses the write permission of the TCE.
/// The step `drop` is skipped, because its page has own 0.
pub(super) const PROGRAM: &str = "\
realmode-program 1
dialect lopapr
machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=64
slot 0 gfn=0x0 pages=4 hva=0x7f0000000000
map 0x7f0000000000 present pfn=0x10 writable dirty young pages=4
window 0x1 page_shift=12 base=0x0 entries=4 pinned table=0x9000000 hardware=0x9001000
steps
age 0x7f0000002000
cpu0 H_PUT_TCE liobn=0x1 ioba=0x1000 tce=0x2003
cpu0 H_PUT_TCE liobn=0x1 ioba=0x2000 tce=0x1003
drop 0x3f
cpu1 H_GET_TCE liobn=0x1 ioba=0x1000
";

/// Writes a file with its folders, and returns its path.
pub(super) fn write(folder: &TempDir, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, contents).expect("a file");
    path
}
