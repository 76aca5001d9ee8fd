//! Offsets and bits of a struct page (docs/semantics.md, section 1). All fields are little-endian.

/// Offset in bytes of the flags, a u64.
pub const FLAGS: u64 = 0;
/// Offset in bytes of the reference count, an i32.
pub const COUNT: u64 = 8;
/// Offset in bytes of a u64: the order on a head, the pfn of the head on a tail, else 0.
pub const COMPOUND: u64 = 16;
/// Flag: the page is the head of a compound page.
pub const HEAD: u64 = 1;
/// Flag: the page is a tail of a compound page.
pub const TAIL: u64 = 2;
/// Flag: a device may have written to the page since the host last cleaned the page. A compound page has the flag on
/// its head.
pub const DIRTY: u64 = 4;
