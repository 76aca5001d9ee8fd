//! The two machines of these tests, and where things lie on them.

use std::sync::atomic::Ordering::SeqCst;

use contract::{Ea, Pfn, Program, RealAddr};
use machine::Cpu;

/// Guest pages 0..7 are pages 0x10..0x17; page 0x20 is idle with own 2, page 0x21 with count 0. Window 1 is pinned, window 2
/// emulated.
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

/// Struct pages of 56 bytes in 4 KiB blocks: that of page 0x49, guest page 0, straddles blocks 0 and 1.
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

/// The machine with steps.
pub fn program(machine: &str, steps: &str) -> Program {
    realmode_diff::parse(&format!("{machine}{steps}")).unwrap_or_else(|error| panic!("{error}"))
}

/// The flags of a page of [`FLAT`].
pub fn flags(pfn: u64) -> Ea {
    RealAddr(0x800_0000 + pfn * 64).ea()
}

/// The count of a page of [`FLAT`].
pub fn count(pfn: u64) -> Ea {
    RealAddr(0x800_0008 + pfn * 64).ea()
}

/// Entry `index` of the guest values of window 1.
pub fn guest(index: u64) -> Ea {
    RealAddr(0x900_0000 + index * 8).ea()
}

/// Entry `index` of the hardware table of window 1.
pub fn hardware(index: u64) -> Ea {
    RealAddr(0x900_1000 + index * 8).ea()
}

/// Adds to a page's count, as a subject would.
pub fn add(cpu: &Cpu<'_>, pfn: u64, delta: i32) {
    let now = cpu.load_i32(count(pfn), SeqCst);
    let _ = cpu.compare_exchange_i32(count(pfn), now, now.wrapping_add(delta), SeqCst, SeqCst);
}

/// Stores a TCE.
pub fn store_tce(cpu: &Cpu<'_>, at: Ea, tce: u64) {
    cpu.swap(at, tce.swap_bytes(), SeqCst);
}

/// Guest page 7, which holds a list, as a list that INDIRECT names.
pub const LIST: RealAddr = RealAddr(0x1_7000);

/// The last pfn that 64 bits can name.
pub const LAST_PFN: Pfn = Pfn(u64::MAX);
