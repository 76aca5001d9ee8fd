//! The text form of a program.
//!
//! The text begins with a header that names the version, the line `dialect`, and the line `machine` with the memory
//! model. Each further line holds one item of the machine (`section`: one section or more), or after the line `steps`
//! one step. `#` starts a comment. The parser ignores comments and empty lines. Numbers are decimal or hexadecimal
//! (`0x`) and may have `_` between digits. The printer uses the [notation](crate::visit::Notation) of each field.
//!
//! Parse and print are inverse: `parse(print(p)) == p` for every valid program whose text has at most
//! [`MAX_TEXT_BYTES`] bytes. Parsing a text and printing the result keeps its meaning: what changes is layout,
//! comments, the order of items, the notation of numbers and opcodes, and whether defaults such as `pages=1` stand
//! there.
//!
//! ```text
//! realmode-program 1
//! dialect lopapr
//! machine flatmem page_shift=16 struct_page=64 array=0x8000000 pages=256
//! slot 0 gfn=0x0 pages=16 hva=0x7f0000000000
//! map 0x7f0000000000 present pfn=0x10 writable dirty young pages=16
//! window 0x80000001 page_shift=12 base=0x0 entries=16 pinned table=0x9000000 hardware=0x9001000
//! steps
//! cpu0 H_PUT_TCE liobn=0x80000001 ioba=0x1000 tce=0x2003
//! unmap 0x7f0000000000
//! ```

mod error;
mod parse;
mod print;

pub use error::{Span, TextError};
pub use parse::{MAX_TEXT_BYTES, parse};

/// First line of the text of a program. Its number is the version of the text form.
pub const HEADER: &str = "realmode-program 1";
