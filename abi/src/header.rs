//! The types of include/realmode.h, which is written from this file (`REALMODE_WRITE=1 cargo test --test header`).
//!
//! Names are C's here, not Rust's.
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};

/// The version of this interface, for `rm_implementation.abi`. It goes up whenever what was compiled against an earlier
/// header would be misunderstood; the harness takes no other version than its own.
pub const RM_ABI: u32 = 1;

/// Memory model: one array of struct pages.
pub const RM_FLATMEM: u32 = 0;
/// Memory model: a virtual array of struct pages, backed block by block.
pub const RM_VMEMMAP: u32 = 1;

/// Backing: the guest's value is stored, nothing else.
pub const RM_EMULATED: u32 = 0;
/// Backing: a hardware table beside the guest's values, whose entries hold references on pages.
pub const RM_PINNED: u32 = 1;

/// Dialect: LoPAPR's answers.
pub const RM_LOPAPR: u32 = 0;
/// Dialect: the answers of Linux's in-kernel handlers, 4.18 to 4.20.
pub const RM_KVM: u32 = 1;
/// Dialect: the answers of QEMU 7.2 (emulated windows only).
pub const RM_QEMU: u32 = 2;

/// H_SUCCESS.
pub const RM_H_SUCCESS: i64 = 0;
/// H_HARDWARE.
pub const RM_H_HARDWARE: i64 = -1;
/// H_FUNCTION.
pub const RM_H_FUNCTION: i64 = -2;
/// H_PARAMETER.
pub const RM_H_PARAMETER: i64 = -4;
/// H_P4.
pub const RM_H_P4: i64 = -57;
/// H_TOO_HARD: 'not in real mode'. A real-mode handler that answers it has changed nothing; the virtual-mode handler
/// then runs the same call on the same vCPU, and nothing else runs between them. The virtual-mode handler never answers
/// it.
pub const RM_H_TOO_HARD: i64 = 9999;

/// A TCE lets the device read.
pub const RM_TCE_READ: u64 = 1;
/// A TCE lets the device write.
pub const RM_TCE_WRITE: u64 = 2;

/// struct page: offset of the 64-bit flags, little-endian.
pub const RM_PAGE_FLAGS: u64 = 0;
/// struct page: offset of the 32-bit signed reference count, little-endian.
pub const RM_PAGE_COUNT: u64 = 8;
/// struct page: offset of 64 bits, little-endian: a head's order, a tail's head (as a pfn).
pub const RM_PAGE_COMPOUND: u64 = 16;
/// Flag of a compound page's head.
pub const RM_PAGE_HEAD: u64 = 1;
/// Flag of a compound page's tails, whose own count stays 0: their references and DIRTY are the head's.
pub const RM_PAGE_TAIL: u64 = 2;
/// Flag: written since it was last clean.
pub const RM_PAGE_DIRTY: u64 = 4;

/// A node of the vmemmap list: offset of the real address of the next node (0 in the last), 64 bits, little-endian.
pub const RM_NODE_NEXT: u64 = 0;
/// A node of the vmemmap list: offset of the block's real address.
pub const RM_NODE_REAL: u64 = 8;
/// A node of the vmemmap list: offset of the block's virtual address.
pub const RM_NODE_VIRTUAL: u64 = 16;

/// Page-table entry: nothing is there, and nothing can be.
pub const RM_PTE_HOLE: u8 = 0;
/// Page-table entry: a page is there.
pub const RM_PTE_PRESENT: u8 = 1;
/// Page-table entry: it covers 2^order pages, a whole compound page; `pfn` is the head's.
pub const RM_PTE_HUGE: u8 = 2;
/// Page-table entry: the page can be faulted in, in virtual mode: becomes present, writable and young with one
/// reference on the page.
pub const RM_PTE_ABSENT: u8 = 3;

/// Answer of a probe: the count stayed as it was.
pub const RM_PROBE_NO: c_int = 0;
/// Answer of a probe: the reference was taken or given back.
pub const RM_PROBE_YES: c_int = 1;
/// Answer of a probe: the page has no struct page.
pub const RM_PROBE_NO_PAGE: c_int = 2;
/// Answer of a probe: the page is a compound page's head or tail, and was left alone.
pub const RM_PROBE_COMPOUND: c_int = 3;

/// Call: H_GET_TCE, a bit of `rm_coverage.calls`.
pub const RM_GET_TCE: u32 = 1;
/// Call: H_PUT_TCE.
pub const RM_PUT_TCE: u32 = 2;
/// Call: H_PUT_TCE_INDIRECT.
pub const RM_PUT_TCE_INDIRECT: u32 = 4;
/// Call: H_STUFF_TCE.
pub const RM_STUFF_TCE: u32 = 8;

/// A bit of `rm_implementation.flags`: map memory directly (see `rm_machine.linear`).
pub const RM_MAP_MEMORY: u64 = 1;

/// Most windows of a machine at a time.
pub const RM_MAX_WINDOWS: u64 = 512;
/// Most memory slots; their numbers lie below it.
pub const RM_MAX_SLOTS: u64 = 512;
/// Most virtual CPUs; their numbers lie below it.
pub const RM_MAX_VCPUS: u64 = 8;
/// Most entries of a window, and so of one H_STUFF_TCE in the other dialects.
pub const RM_MAX_WINDOW_ENTRIES: u64 = 65536;
/// Most entries of one H_PUT_TCE_INDIRECT, and in dialect lopapr of one H_STUFF_TCE.
pub const RM_MAX_TCES: u64 = 512;
/// Most vmemmap blocks that are backed at a time, and so nodes of the list.
pub const RM_MAX_BLOCKS: u64 = 43690;
/// log2 of the end of all real addresses.
pub const RM_MAX_PHYSMEM_BITS: u64 = 46;

/// A CPU while it runs one call. It is valid until that call returns.
pub struct rm_cpu {
    _private: [u8; 0],
}

/// An entry of the host's page table.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct rm_pte {
    /// The page; the head for a huge entry.
    pub pfn: u64,
    /// `RM_PTE_HOLE`, `RM_PTE_PRESENT`, `RM_PTE_HUGE` or `RM_PTE_ABSENT`.
    pub kind: u8,
    /// Huge entries: the compound page's order. Else 0.
    pub order: u8,
    /// Present and huge: may be written.
    pub writable: u8,
    /// Present and huge: was written.
    pub dirty: u8,
    /// Present and huge: was accessed.
    pub young: u8,
    /// Zero, and ignored.
    pub reserved: [u8; 3],
}

/// What the harness does for an implementation. All addresses are real addresses with the linear map's nibble (0xc) or
/// without it; in virtual mode struct pages may be named by their vmemmap address as well. An address that the mode
/// cannot reach is a finding, reads 0, and is not stored to. Numbers are little-endian, so a TCE wants its bytes
/// swapped.
///
/// Each access counts (`rm_bound`). Calls run one at a time today; still, a service may be where another CPU comes in,
/// so what was read before one may have changed after it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rm_services {
    /// Loads 8 bytes, with acquire ordering. `ea` is a multiple of 8.
    pub load64: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64) -> u64,
    /// Stores 8 bytes, with release ordering.
    pub store64: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, value: u64),
    /// Exchanges 8 bytes; answers what was there.
    pub exchange64: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, value: u64) -> u64,
    /// Stores `desired` where `*expected` is, fully ordered, and answers true, with `*expected` as it was; else puts
    /// what is there into `*expected`.
    pub compare_exchange64:
        unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, expected: *mut u64, desired: u64) -> bool,
    /// Loads 4 bytes, with acquire ordering: a reference count. `ea` is a multiple of 4.
    pub load32: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64) -> i32,
    /// The same as `compare_exchange64` for 4 bytes.
    pub compare_exchange32:
        unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, expected: *mut i32, desired: i32) -> bool,
    /// True while the CPU runs with its MMU off.
    pub real_mode: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu) -> bool,
    /// The virtual CPU's number, below `RM_MAX_VCPUS`.
    pub vcpu: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu) -> u32,
    /// The host's virtual address of a guest's physical address; false where it lies in no memory slot. No access.
    pub slot: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, gpa: u64, hva: *mut u64) -> bool,
    /// The page-table entry of the page that holds `hva`.
    pub load_pte: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, hva: u64, entry: *mut rm_pte),
    /// Replaces that entry if it is `*expected` and answers true, with `*expected` as it was; else puts what is there
    /// into `*expected`. The new entry differs in its bits only, or makes an absent page present. Reserved bytes are
    /// ignored.
    pub compare_exchange_pte:
        unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, hva: u64, expected: *mut rm_pte, desired: *const rm_pte) -> bool,
    /// Tells that memory is asked for: a finding in real mode.
    pub allocate: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, bytes: u64),
    /// Tells that a page, whose last reference is gone, goes to the allocator: a finding in real mode. Of a compound
    /// page `pfn` is the head's.
    pub free_page: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64),
    /// A line for the report of a finding; the last 16 of a program are kept, and 200 bytes of each.
    pub log: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, line: *const c_char),
}

/// `count` blocks of vmemmap at consecutive real addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_run {
    /// Real address of the first.
    pub real: u64,
    /// How many.
    pub count: u64,
}

/// Backed vmemmap blocks at boot: block number `first` and those after it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_blocks {
    /// Number of the first block: (its virtual address - vmemmap_base) >> block_shift.
    pub first: u64,
    /// Where they lie.
    pub run: rm_run,
}

/// A memory slot: guest frames from `gfn` on are host virtual addresses from `hva` on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_slot {
    /// Its number, below `RM_MAX_SLOTS`.
    pub id: u32,
    /// Zero.
    pub reserved: u32,
    /// First guest frame.
    pub gfn: u64,
    /// Pages of the host; 0 in a notice that the slot is deleted.
    pub pages: u64,
    /// Host virtual address of the first byte.
    pub hva: u64,
}

/// A DMA window. Entry i is at `table + 8 * i` and covers `base + (i << page_shift)`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_window {
    /// Its name.
    pub liobn: u64,
    /// log2 of its page, 12 to 34.
    pub page_shift: u32,
    /// `RM_EMULATED` or `RM_PINNED`.
    pub backing: u32,
    /// I/O bus address of entry 0.
    pub base: u64,
    /// Entries, 1 to `RM_MAX_WINDOW_ENTRIES`.
    pub entries: u64,
    /// Real address of the guest's values, big-endian.
    pub table: u64,
    /// Pinned windows: real address of the hardware entries, big-endian, `pfn << PAGE_SHIFT | address bits inside the
    /// page | permissions`.
    pub hardware: u64,
}

/// A machine. It is valid from `start` to `stop`, and says how things are at `start`: later changes come as notices.
#[repr(C)]
pub struct rm_machine {
    /// Whose answers are expected: `RM_LOPAPR`, `RM_KVM` or `RM_QEMU`.
    pub dialect: u32,
    /// log2 of the host's page: 12 or 16.
    pub page_shift: u32,
    /// Bytes of a struct page: 56, 64, 72 or 80.
    pub struct_page: u32,
    /// `RM_FLATMEM` or `RM_VMEMMAP`.
    pub memory_model: u32,
    /// Flatmem: real address of the struct page of pfn 0.
    pub array: u64,
    /// Flatmem: pages.
    pub pages: u64,
    /// Vmemmap: virtual address of the struct page of pfn 0.
    pub vmemmap_base: u64,
    /// Vmemmap: log2 of the size of a block: 12, 16, 21 or 24.
    pub block_shift: u32,
    /// Zero.
    pub reserved: u32,
    /// Vmemmap: real address of the word that holds the real address of the list's first node, 0 for none. The harness
    /// keeps the list: new nodes in front, removed nodes used again last in, first out.
    pub list: u64,
    /// Vmemmap: numbers of the sections (of 2^24 bytes) that are present, ascending.
    pub sections: *const u64,
    /// How many.
    pub section_count: usize,
    /// Vmemmap: the blocks that they need, ascending.
    pub blocks: *const rm_blocks,
    /// How many runs of them.
    pub block_count: usize,
    /// Memory slots.
    pub slots: *const rm_slot,
    /// How many.
    pub slot_count: usize,
    /// DMA windows.
    pub windows: *const rm_window,
    /// How many.
    pub window_count: usize,
    /// What the harness does for you.
    pub services: *const rm_services,
    /// With `RM_MAP_MEMORY`: the linear map. The byte at real address r is at `linear + r`, for struct pages, tables,
    /// the vmemmap list and the guest's pages; everything between them is not mapped, and touching it is a crash. NULL
    /// without that flag.
    ///
    /// What is done through this pointer is seen at the end of the call (or at its next service), as differences of
    /// memory: which words changed, from what to what, and whether the handler may change them. A last release in real
    /// mode, a stray store, a wrong result, a leak are found. Not seen: in which order stores were made (`REF.HELD`
    /// between them), how many accesses (`RM.BOUNDED`), whether a list was read twice (`LIST.SNAPSHOT`), a value that
    /// was put back, and a read of what real mode cannot reach.
    pub linear: *mut c_void,
}

/// What an implementation covers; what it does not cover it is not asked, and that is counted. All bytes are 0xa5 when
/// `start` gets it: each field is to be filled in.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_coverage {
    /// Bits `1 << RM_FLATMEM` and `1 << RM_VMEMMAP`.
    pub memory_models: u32,
    /// Bits `1 << RM_EMULATED` and `1 << RM_PINNED`.
    pub backings: u32,
    /// Bits `1 << RM_LOPAPR`, `1 << RM_KVM` and `1 << RM_QEMU`.
    pub dialects: u32,
    /// Bits `RM_GET_TCE`, `RM_PUT_TCE`, `RM_PUT_TCE_INDIRECT` and `RM_STUFF_TCE`.
    pub calls: u32,
    /// 1 if there is a real-mode half and what real mode owes is to be checked, 0 if every call goes to virtual mode.
    pub real_mode: u32,
}

/// The published bound: a real-mode call of `count` entries makes at most `base + per_entry * count` accesses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct rm_bound {
    /// Accesses whatever the count.
    pub base: u64,
    /// Accesses an entry.
    pub per_entry: u64,
}

/// The handlers of one mode. One that is NULL is not covered. Each answers with a status (r3).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rm_handlers {
    /// H_GET_TCE. `*tce` is r4: set on success only. It holds a value of no meaning before.
    pub get_tce: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64, ioba: u64, tce: *mut u64) -> i64>,
    /// H_PUT_TCE.
    pub put_tce: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64, ioba: u64, tce: u64) -> i64>,
    /// H_PUT_TCE_INDIRECT. `list` is the guest physical address of `count` big-endian TCEs.
    pub put_tce_indirect:
        Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64, ioba: u64, list: u64, count: u64) -> i64>,
    /// H_STUFF_TCE.
    pub stuff_tce:
        Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64, ioba: u64, tce: u64, count: u64) -> i64>,
}

/// An implementation. Functions that are marked so may be NULL.
///
/// The harness loads the library once for each thread, each time as a copy of its own: global variables are never
/// shared, and one thread at a time is inside.
#[repr(C)]
pub struct rm_implementation {
    /// `RM_ABI`.
    pub abi: u32,
    /// sizeof(struct rm_implementation).
    pub bytes: u32,
    /// The name in reports: letters, digits, '-', '_' and '.'.
    pub name: *const c_char,
    /// `RM_MAP_MEMORY`, or 0.
    pub flags: u64,
    /// A new machine; memory already holds what its description says. Fills `coverage` in. 0, or an error: a number
    /// that is told.
    pub start: Option<unsafe extern "C-unwind" fn(machine: *const rm_machine, coverage: *mut rm_coverage) -> c_int>,
    /// The machine goes. May be NULL.
    pub stop: Option<unsafe extern "C-unwind" fn()>,
    /// The bound on accesses of real-mode calls, asked for before each. NULL: there is none, and it is not checked.
    pub bound: Option<unsafe extern "C-unwind" fn() -> rm_bound>,
    /// Real mode: MMU off.
    pub real: rm_handlers,
    /// Virtual mode: runs the whole call. These are the handlers that count for `rm_coverage.calls`; one of `real` that
    /// is NULL leaves its call to virtual mode.
    pub virt: rm_handlers,
    /// Probe in real mode: 1 and in `*real` the real address of the page's struct page, if its bytes lie inside one
    /// backed block; else 0. NULL: not covered.
    pub pfn_to_page: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64, real: *mut u64) -> c_int>,
    /// Probe in real mode: takes a reference unless the count is 0. Answers `RM_PROBE_*`. NULL: not covered.
    pub get_page_unless_zero: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64) -> c_int>,
    /// Probe in real mode: gives a reference back unless it is the last. Answers `RM_PROBE_*`. NULL: not covered.
    pub put_page_unless_one: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64) -> c_int>,
    /// Notice: a section was added; the blocks that it is the first to need lie at `runs`, lowest first (there may be
    /// more places than blocks). Their struct pages are zero. May be NULL.
    pub hot_add: Option<unsafe extern "C-unwind" fn(section: u64, runs: *const rm_run, count: usize)>,
    /// Notice: a section is about to go, with the blocks that no other needs. May be NULL.
    pub hot_remove: Option<unsafe extern "C-unwind" fn(section: u64)>,
    /// Notice: a slot was set, or deleted where `pages` is 0. May be NULL.
    pub set_slot: Option<unsafe extern "C-unwind" fn(slot: *const rm_slot)>,
    /// Notice: a window was created; its tables are zero. May be NULL.
    pub create_window: Option<unsafe extern "C-unwind" fn(window: *const rm_window)>,
    /// Virtual mode: close the window. Every entry goes as by H_STUFF_TCE of 0; afterwards its LIOBN is unknown. NULL:
    /// windows are never closed, and leaks not looked for.
    pub close_window: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64)>,
}
