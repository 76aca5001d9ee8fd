//! The two machines of these tests, and the addresses of their parts.

use std::sync::atomic::Ordering::SeqCst;

use contract::{Ea, Pfn, Program, RealAddr};
use machine::Cpu;

/// A flatmem machine. Guest pages 0 to 7 map pages 0x10 to 0x17. Page 0x20 is idle with own 2, page 0x21 with count 0.
/// Window 1 is pinned, window 2 emulated.
pub const FLAT: &str = "\
realmode-program 1
dialect lopapr
machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=256
page 0x20 own=2
slot 0 gfn=0x0 pages=16 hva=0x7f0000000000
map 0x7f0000000000 present pfn=0x10 writable dirty young pages=8
ram 0x17000 0x3 0x1003
window 0x1 page_shift=12 base=0x0 entries=16 pinned table=0x9000000 hardware=0x9001000
window 0x2 page_shift=12 base=0x0 entries=16 emulated table=0x9002000
steps
";

/// A sparsemem machine with struct pages of 56 bytes in 4 KiB blocks. The struct page of page 0x49, which is guest page
/// 0, is split between blocks 0 and 1.
pub const SPARSE: &str = "\
realmode-program 1
dialect lopapr
machine sparsemem-vmemmap page_shift=16 struct_page=56 base=0xf000000000000000 block_shift=12 list=0x20000000
section 0x0
block 0x0 at=0x10000000*4
slot 0 gfn=0x0 pages=4 hva=0x7f0000000000
map 0x7f0000000000 present pfn=0x49 writable dirty young pages=2
window 0x1 page_shift=16 base=0x0 entries=16 pinned table=0x9000000 hardware=0x9001000
steps
";

/// Parses a machine followed by steps.
pub fn program(machine: &str, steps: &str) -> Program {
    realmode_diff::parse(&format!("{machine}{steps}")).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the address of the flags of a page of [`FLAT`].
pub fn flags(pfn: u64) -> Ea {
    RealAddr(0x800_0000 + pfn * 64).ea()
}

/// Returns the address of the count of a page of [`FLAT`].
pub fn count(pfn: u64) -> Ea {
    RealAddr(0x800_0008 + pfn * 64).ea()
}

/// Returns the address of guest value `index` of window 1.
pub fn guest(index: u64) -> Ea {
    RealAddr(0x900_0000 + index * 8).ea()
}

/// Returns the address of hardware entry `index` of window 1.
pub fn hardware(index: u64) -> Ea {
    RealAddr(0x900_1000 + index * 8).ea()
}

/// Adds to a page's count, as a subject would.
pub fn add(cpu: &Cpu<'_>, pfn: u64, delta: i32) {
    let now = cpu.load_i32(count(pfn), SeqCst);
    let _ = cpu.compare_exchange_i32(count(pfn), now, now.wrapping_add(delta), SeqCst, SeqCst);
}

/// Stores a TCE, big-endian.
pub fn store_tce(cpu: &Cpu<'_>, at: Ea, tce: u64) {
    cpu.swap(at, tce.swap_bytes(), SeqCst);
}

/// Real address of guest page 7, which holds the list that H_PUT_TCE_INDIRECT names.
pub const LIST: RealAddr = RealAddr(0x1_7000);

/// The largest pfn that fits 64 bits.
pub const LAST_PFN: Pfn = Pfn(u64::MAX);
