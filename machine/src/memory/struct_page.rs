//! Offsets and bits of a struct page (docs/semantics.md, section 1). All fields are little-endian.

/// Offset of the flags, a u64.
pub const FLAGS: u64 = 0;
/// Offset of the reference count, an i32.
pub const COUNT: u64 = 8;
/// Offset of the u64 that holds the order on a head, and the pfn of the head on a tail.
pub const COMPOUND: u64 = 16;
/// Flag: head of a compound page.
pub const HEAD: u64 = 1;
/// Flag: tail of a compound page.
pub const TAIL: u64 = 2;
/// Flag: a device or the guest has written to the page since the host last cleaned it.
pub const DIRTY: u64 = 4;
