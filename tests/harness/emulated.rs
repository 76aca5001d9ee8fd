//! A small program of one emulated window, for tests of voters.

use realmode_diff::{Program, parse};

/// A program with these steps. Its guest has four pages, and its window 0x1 has four entries.
pub(super) fn program(dialect: &str, steps: &str) -> Program {
    let text = format!(
        "realmode-program 1
dialect {dialect}
machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=32
slot 0 gfn=0x0 pages=4 hva=0x7f0000000000
map 0x7f0000000000 present pfn=0x10 writable dirty young pages=4
window 0x1 page_shift=12 base=0x0 entries=4 emulated table=0x9000000
steps
{steps}"
    );
    parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
