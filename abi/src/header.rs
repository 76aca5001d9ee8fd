//! The types and constants of include/realmode.h. `REALMODE_WRITE=1 cargo test --test header` writes that file from
//! this one, with its comments.
//!
//! Names follow C's conventions here, not Rust's.
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};

/// The version of this interface, for `rm_implementation.abi`. It goes up whenever a library that was compiled against
/// an earlier header would be misunderstood. The harness accepts only its own version.
pub const RM_ABI: u32 = 1;

/// Memory model: one array of struct pages.
pub const RM_FLATMEM: u32 = 0;
/// Memory model: a virtual array of struct pages, backed block by block.
pub const RM_VMEMMAP: u32 = 1;

/// Backing: a table of guest values and nothing else.
pub const RM_EMULATED: u32 = 0;
/// Backing: a hardware table beside the table of guest values. Its entries hold references on pages.
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
/// H_TOO_HARD: real mode leaves the call to virtual mode. A real-mode handler that returns it has changed nothing. The
/// virtual-mode handler then runs the same call on the same vCPU, and nothing else runs between them. The virtual-mode
/// handler never returns it.
pub const RM_H_TOO_HARD: i64 = 9999;

/// A TCE lets the device read.
pub const RM_TCE_READ: u64 = 1;
/// A TCE lets the device write.
pub const RM_TCE_WRITE: u64 = 2;

/// struct page: offset of the 64-bit flags, little-endian.
pub const RM_PAGE_FLAGS: u64 = 0;
/// struct page: offset of the 32-bit signed reference count, little-endian.
pub const RM_PAGE_COUNT: u64 = 8;
/// struct page: offset of 64 bits, little-endian: for a head its order, for a tail the pfn of its head, else 0.
pub const RM_PAGE_COMPOUND: u64 = 16;
/// Flag: the head of a compound page.
pub const RM_PAGE_HEAD: u64 = 1;
/// Flag: a tail of a compound page. Its own count stays 0: its references and DIRTY are kept on the head.
pub const RM_PAGE_TAIL: u64 = 2;
/// Flag: the page was written since it was last clean.
pub const RM_PAGE_DIRTY: u64 = 4;

/// A node of the vmemmap list: offset of the real address of the next node (0 in the last), 64 bits, little-endian.
pub const RM_NODE_NEXT: u64 = 0;
/// A node of the vmemmap list: offset of the block's real address.
pub const RM_NODE_REAL: u64 = 8;
/// A node of the vmemmap list: offset of the block's virtual address.
pub const RM_NODE_VIRTUAL: u64 = 16;

/// Page-table entry: a hole. No page is mapped, and none can be faulted in.
pub const RM_PTE_HOLE: u8 = 0;
/// Page-table entry: a page is mapped.
pub const RM_PTE_PRESENT: u8 = 1;
/// Page-table entry: a whole compound page of 2^order pages is mapped. `pfn` is its head.
pub const RM_PTE_HUGE: u8 = 2;
/// Page-table entry: virtual mode can fault the page in. The entry then becomes present, writable and young, and the
/// page gets one reference.
pub const RM_PTE_ABSENT: u8 = 3;

/// Answer of a probe: the reference was not taken or given back; the count stays as it was.
pub const RM_PROBE_NO: c_int = 0;
/// Answer of a probe: the reference was taken or given back.
pub const RM_PROBE_YES: c_int = 1;
/// Answer of a probe: the page has no struct page.
pub const RM_PROBE_NO_PAGE: c_int = 2;
/// Answer of a probe: the page is the head or a tail of a compound page, and was left alone.
pub const RM_PROBE_COMPOUND: c_int = 3;

/// Call: H_GET_TCE, a bit of `rm_coverage.calls`.
pub const RM_GET_TCE: u32 = 1;
/// Call: H_PUT_TCE.
pub const RM_PUT_TCE: u32 = 2;
/// Call: H_PUT_TCE_INDIRECT.
pub const RM_PUT_TCE_INDIRECT: u32 = 4;
/// Call: H_STUFF_TCE.
pub const RM_STUFF_TCE: u32 = 8;

/// A bit of `rm_implementation.flags`: map memory for plain pointers (see `rm_machine.linear`).
pub const RM_MAP_MEMORY: u64 = 1;

/// Limit of the windows of a machine at a time.
pub const RM_MAX_WINDOWS: u64 = 512;
/// Limit of the memory slots. Their numbers lie below it.
pub const RM_MAX_SLOTS: u64 = 512;
/// Limit of the vCPUs. Their numbers lie below it.
pub const RM_MAX_VCPUS: u64 = 8;
/// Limit of the entries of a window, and so of one H_STUFF_TCE in dialects other than lopapr.
pub const RM_MAX_WINDOW_ENTRIES: u64 = 65536;
/// Limit of the entries of one H_PUT_TCE_INDIRECT, and in dialect lopapr of one H_STUFF_TCE.
pub const RM_MAX_TCES: u64 = 512;
/// Limit of the vmemmap blocks that are backed at a time, and so of the nodes of the vmemmap list.
pub const RM_MAX_BLOCKS: u64 = 43690;
/// All real addresses lie below 2 to the power of this.
pub const RM_MAX_PHYSMEM_BITS: u64 = 46;

/// A CPU while it runs one call. The pointer is valid until that call returns.
pub struct rm_cpu {
    _private: [u8; 0],
}

/// An entry of the host's page table.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct rm_pte {
    /// Its page; for a huge entry the head. 0 for a hole.
    pub pfn: u64,
    /// `RM_PTE_HOLE`, `RM_PTE_PRESENT`, `RM_PTE_HUGE` or `RM_PTE_ABSENT`.
    pub kind: u8,
    /// Huge entries: the order of the compound page. Else 0.
    pub order: u8,
    /// Present and huge entries: 1 if the page may be written.
    pub writable: u8,
    /// Present and huge entries: 1 if the page was written.
    pub dirty: u8,
    /// Present and huge entries: 1 if the page was accessed lately.
    pub young: u8,
    /// Zero. The harness ignores it.
    pub reserved: [u8; 3],
}

/// The services: functions of the harness that an implementation calls. All addresses (`ea`) are real addresses, with
/// the nibble of the linear map (0xc) or without it. Virtual mode may also name struct pages by their vmemmap address.
/// An access that the mode cannot make is a finding; a load then gives 0, and a store does nothing. Numbers are
/// little-endian, so the bytes of a TCE must be swapped.
///
/// Each access counts (see `rm_bound`). Calls run one at a time today. Still, another CPU may run at any service, so a
/// value that was read before it may have changed after it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rm_services {
    /// Loads 8 bytes, with acquire ordering. `ea` is a multiple of 8.
    pub load64: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64) -> u64,
    /// Stores 8 bytes, with release ordering. `ea` is a multiple of 8.
    pub store64: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, value: u64),
    /// Exchanges 8 bytes and returns the old value.
    pub exchange64: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, value: u64) -> u64,
    /// Stores `desired` if the 8 bytes equal `*expected`, and returns true; `*expected` stays. Success is fully
    /// ordered. Else puts the value that is there into `*expected` and returns false.
    pub compare_exchange64:
        unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, expected: *mut u64, desired: u64) -> bool,
    /// Loads a reference count of 4 bytes, with acquire ordering. `ea` is a multiple of 4.
    pub load32: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64) -> i32,
    /// Like `compare_exchange64`, for 4 bytes.
    pub compare_exchange32:
        unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, expected: *mut i32, desired: i32) -> bool,
    /// Returns true if the CPU runs with its MMU off.
    pub real_mode: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu) -> bool,
    /// Returns the number of the vCPU, below `RM_MAX_VCPUS`.
    pub vcpu: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu) -> u32,
    /// Puts the host virtual address of a guest physical address into `*hva` and returns true; returns false if the
    /// address lies in no memory slot. It does not count as an access.
    pub slot: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, gpa: u64, hva: *mut u64) -> bool,
    /// Puts the page-table entry of the page that holds `hva` into `*entry`.
    pub load_pte: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, hva: u64, entry: *mut rm_pte),
    /// Replaces the page-table entry of the page that holds `hva` if it is `*expected`, and returns true; `*expected`
    /// stays. Else puts the entry that is there into `*expected` and returns false. The new entry differs only in its
    /// bits, or makes an absent page present. Reserved bytes are ignored.
    pub compare_exchange_pte:
        unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, hva: u64, expected: *mut rm_pte, desired: *const rm_pte) -> bool,
    /// Tells the harness that the implementation asks for memory. In real mode that is a finding.
    pub allocate: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, bytes: u64),
    /// Tells the harness that a page whose last reference is gone goes to the allocator. In real mode that is a
    /// finding. For a compound page `pfn` is the head.
    pub free_page: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64),
    /// Adds a line to the report of a finding. The last 16 lines of a program are kept, and the first 200 bytes of
    /// each.
    pub log: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, line: *const c_char),
}

/// `count` vmemmap blocks at consecutive real addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_run {
    /// Real address of the first block.
    pub real: u64,
    /// Number of blocks.
    pub count: u64,
}

/// Backed vmemmap blocks at boot: block number `first` and those after it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_blocks {
    /// Number of the first block: (its virtual address - vmemmap_base) >> block_shift.
    pub first: u64,
    /// Number of blocks, and their real addresses.
    pub run: rm_run,
}

/// A memory slot: maps guest frames from `gfn` on to host virtual addresses from `hva` on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_slot {
    /// Its number, below `RM_MAX_SLOTS`.
    pub id: u32,
    /// Zero.
    pub reserved: u32,
    /// Number of the first guest frame.
    pub gfn: u64,
    /// Number of pages of the host. 0 in a notice says that the slot is deleted.
    pub pages: u64,
    /// Host virtual address of the first byte.
    pub hva: u64,
}

/// A DMA window. Entry i lies at `table + 8 * i` and covers the page of I/O bus addresses from `base + (i <<
/// page_shift)`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_window {
    /// The LIOBN, which names the window in calls.
    pub liobn: u64,
    /// log2 of the size of its page: 12 to 34.
    pub page_shift: u32,
    /// `RM_EMULATED` or `RM_PINNED`.
    pub backing: u32,
    /// I/O bus address of entry 0.
    pub base: u64,
    /// Number of entries, 1 to `RM_MAX_WINDOW_ENTRIES`.
    pub entries: u64,
    /// Real address of the table of guest values, big-endian.
    pub table: u64,
    /// Pinned windows: real address of the hardware table, big-endian. An entry is `pfn << PAGE_SHIFT | address bits
    /// inside the page | permissions`, and 0 for a fault TCE. Emulated windows: 0.
    pub hardware: u64,
}

/// A machine. It is valid from `start` to `stop` and describes the state at `start`. Later changes come as notices.
#[repr(C)]
pub struct rm_machine {
    /// The dialect whose answers are expected: `RM_LOPAPR`, `RM_KVM` or `RM_QEMU`.
    pub dialect: u32,
    /// PAGE_SHIFT, log2 of the size of the host's page: 12 or 16.
    pub page_shift: u32,
    /// Size of a struct page in bytes: 56, 64, 72 or 80.
    pub struct_page: u32,
    /// `RM_FLATMEM` or `RM_VMEMMAP`.
    pub memory_model: u32,
    /// Flatmem: real address of the struct page of pfn 0.
    pub array: u64,
    /// Flatmem: number of pages.
    pub pages: u64,
    /// Vmemmap: virtual address of the struct page of pfn 0.
    pub vmemmap_base: u64,
    /// Vmemmap: log2 of the size of a block: 12, 16, 21 or 24.
    pub block_shift: u32,
    /// Zero.
    pub reserved: u32,
    /// Vmemmap: real address of the word that holds the real address of the list's first node, 0 for none. The harness
    /// maintains the list. It pushes new nodes on the front, and reuses removed nodes last in, first out.
    pub list: u64,
    /// Vmemmap: numbers of the present sections (of 2^24 bytes), ascending.
    pub sections: *const u64,
    /// Number of sections.
    pub section_count: usize,
    /// Vmemmap: the backed blocks, ascending.
    pub blocks: *const rm_blocks,
    /// Number of entries of `blocks`.
    pub block_count: usize,
    /// The memory slots.
    pub slots: *const rm_slot,
    /// Number of slots.
    pub slot_count: usize,
    /// The DMA windows.
    pub windows: *const rm_window,
    /// Number of windows.
    pub window_count: usize,
    /// The functions that the implementation calls.
    pub services: *const rm_services,
    /// With `RM_MAP_MEMORY`: the linear map. The byte at real address r is at `linear + r`, for struct pages, tables,
    /// the vmemmap list and the guest's pages. Everything between them is not mapped, and an access there is a crash.
    /// NULL without that flag.
    ///
    /// The harness sees accesses through this pointer at the end of the call (or at its next service), as differences
    /// of memory: which words changed, from what to what, and whether the handler may change them. It finds a last
    /// release in real mode, a stray store, a wrong result and a leak. It does not see in which order stores were made
    /// (`REF.HELD` between them), how many accesses there were (`RM.BOUNDED`), whether a list was read twice
    /// (`LIST.SNAPSHOT`), a value that was put back, or a load that real mode cannot make.
    pub linear: *mut c_void,
}

/// What an implementation covers. The harness does not send it other steps, and counts them as not asked. All bytes are
/// 0xa5 when `start` gets the struct; `start` must fill in every field.
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
    /// 1 if there is a real-mode half, and the harness shall check what real mode owes; 0 if every call goes to virtual
    /// mode.
    pub real_mode: u32,
}

/// The published bound: a real-mode call of `count` entries makes at most `base + per_entry * count` accesses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct rm_bound {
    /// Number of accesses whatever the count.
    pub base: u64,
    /// Number of accesses for each entry.
    pub per_entry: u64,
}

/// The handlers of one mode. A call whose handler is NULL is not covered. Each returns a status (r3).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rm_handlers {
    /// H_GET_TCE. `*tce` is r4, and is set on success only. Before the call it holds a value without meaning.
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

/// An implementation. A function may be NULL only if its comment says so.
///
/// The harness loads the library once for each thread, each time as a separate copy. Copies share no global variables,
/// and only one thread at a time runs in a copy.
#[repr(C)]
pub struct rm_implementation {
    /// `RM_ABI`.
    pub abi: u32,
    /// sizeof(struct rm_implementation).
    pub bytes: u32,
    /// The name in reports: 1 to 64 letters, digits, '-', '_' and '.'.
    pub name: *const c_char,
    /// `RM_MAP_MEMORY`, or 0.
    pub flags: u64,
    /// Starts a new machine. Memory already holds what the description says. Fills in `*coverage`. Returns 0, or an
    /// error number, which is reported.
    pub start: Option<unsafe extern "C-unwind" fn(machine: *const rm_machine, coverage: *mut rm_coverage) -> c_int>,
    /// Ends the machine. May be NULL.
    pub stop: Option<unsafe extern "C-unwind" fn()>,
    /// Returns the bound on the accesses of a real-mode call; the harness calls it before each. NULL: there is no
    /// bound, and none is checked.
    pub bound: Option<unsafe extern "C-unwind" fn() -> rm_bound>,
    /// The handlers of real mode (MMU off).
    pub real: rm_handlers,
    /// The handlers of virtual mode. Each runs the whole call. `rm_coverage.calls` is about these: a handler of `real`
    /// that is NULL leaves its call to virtual mode.
    pub virt: rm_handlers,
    /// Probe in real mode. Returns 1 and puts the real address of the page's struct page into `*real`, if its bytes lie
    /// inside one backed block; else returns 0. NULL: not covered.
    pub pfn_to_page: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64, real: *mut u64) -> c_int>,
    /// Probe in real mode: takes a reference unless the count is 0. Returns `RM_PROBE_*`. NULL: not covered.
    pub get_page_unless_zero: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64) -> c_int>,
    /// Probe in real mode: gives a reference back unless it is the last. Returns `RM_PROBE_*`. NULL: not covered.
    pub put_page_unless_one: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64) -> c_int>,
    /// Notice: a section was added. `runs` has places for the blocks that only this section needs, lowest first; there
    /// may be more places than blocks. The struct pages of the section are zero. May be NULL.
    pub hot_add: Option<unsafe extern "C-unwind" fn(section: u64, runs: *const rm_run, count: usize)>,
    /// Notice: a section, and the blocks that only it needs, are about to be removed. May be NULL.
    pub hot_remove: Option<unsafe extern "C-unwind" fn(section: u64)>,
    /// Notice: a slot was set, or deleted if `pages` is 0. May be NULL.
    pub set_slot: Option<unsafe extern "C-unwind" fn(slot: *const rm_slot)>,
    /// Notice: a window was created. Its tables are zero. May be NULL.
    pub create_window: Option<unsafe extern "C-unwind" fn(window: *const rm_window)>,
    /// Virtual mode: closes the window. Every entry goes as by H_STUFF_TCE of 0; afterwards its LIOBN is unknown. NULL:
    /// the harness never closes windows and does not look for leaks.
    pub close_window: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64)>,
}
