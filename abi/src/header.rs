//! The types and constants of include/realmode.h. `REALMODE_WRITE=1 cargo test --test header` writes that file from
//! this one, with its comments.
//!
//! Names follow C's conventions here, not Rust's.
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};

/// The version of this interface, for `rm_implementation.abi`. The version goes up when the harness would misunderstand
/// a library that was compiled with an earlier header. The harness accepts only its own version.
pub const RM_ABI: u32 = 1;

/// Memory model flatmem: one array of struct pages at consecutive real addresses. A value of `rm_machine.memory_model`.
pub const RM_FLATMEM: u32 = 0;
/// Memory model sparsemem-vmemmap: struct pages at consecutive virtual addresses, backed block by block where memory is
/// present. A value of `rm_machine.memory_model`.
pub const RM_VMEMMAP: u32 = 1;

/// Backing of a DMA window: a table of guest values and nothing else. A value of `rm_window.backing`.
pub const RM_EMULATED: u32 = 0;
/// Backing of a DMA window: a hardware table beside the table of guest values. Each hardware entry with permissions
/// holds a reference on its page. A value of `rm_window.backing`.
pub const RM_PINNED: u32 = 1;

/// Dialect: the answers of LoPAPR. A value of `rm_machine.dialect`.
pub const RM_LOPAPR: u32 = 0;
/// Dialect: the answers of the in-kernel handlers of Linux 4.18 and 4.19, with some of other versions
/// (docs/dialects.md). A value of `rm_machine.dialect`.
pub const RM_KVM: u32 = 1;
/// Dialect: the answers of QEMU 7.2, which has emulated windows only. A value of `rm_machine.dialect`.
pub const RM_QEMU: u32 = 2;

/// Status H_SUCCESS: the call did all that it was asked for.
pub const RM_H_SUCCESS: i64 = 0;
/// Status H_HARDWARE, for pinned windows only: the host cannot supply a page that a TCE names, or maps it read-only and
/// the device may write.
pub const RM_H_HARDWARE: i64 = -1;
/// Status H_FUNCTION: no hypercall has this opcode.
pub const RM_H_FUNCTION: i64 = -2;
/// Status H_PARAMETER: a parameter is invalid.
pub const RM_H_PARAMETER: i64 = -4;
/// Status H_P4: the fourth parameter (r7) is invalid. Only H_STUFF_TCE in dialect lopapr answers it, for a count above
/// 512.
pub const RM_H_P4: i64 = -57;
/// Status H_TOO_HARD: real mode leaves the call to virtual mode. A real-mode handler that returns this status has
/// changed nothing. The virtual-mode handler then runs the same call on the same vCPU, and nothing else runs between
/// the two. A virtual-mode handler must not return this status.
pub const RM_H_TOO_HARD: i64 = 9999;

/// Bit of a TCE: the device may read the page.
pub const RM_TCE_READ: u64 = 1;
/// Bit of a TCE: the device may write the page.
pub const RM_TCE_WRITE: u64 = 2;

/// Offset in bytes from the start of a struct page: the flags `RM_PAGE_*`, 64 bits, little-endian.
pub const RM_PAGE_FLAGS: u64 = 0;
/// Offset in bytes from the start of a struct page: the reference count, 32 bits, signed, little-endian.
pub const RM_PAGE_COUNT: u64 = 8;
/// Offset in bytes from the start of a struct page: a 64-bit number, little-endian. For a head it is the order of the
/// compound page, for a tail the pfn of the head, else 0.
pub const RM_PAGE_COMPOUND: u64 = 16;
/// Flag of a struct page: the page is the head of a compound page.
pub const RM_PAGE_HEAD: u64 = 1;
/// Flag of a struct page: the page is a tail of a compound page. The count of a tail stays 0, because its references
/// and its DIRTY are kept on the head.
pub const RM_PAGE_TAIL: u64 = 2;
/// Flag of a struct page: the page was written since the host last cleaned it. A handler sets the flag when it replaces
/// a hardware entry that has `RM_TCE_WRITE`, on the page of the old entry, before it gives the old entry's reference
/// back.
pub const RM_PAGE_DIRTY: u64 = 4;

/// Offset in bytes from the start of a node of the vmemmap list: the real address of the next node (0 in the last
/// node), 64 bits, little-endian.
pub const RM_NODE_NEXT: u64 = 0;
/// Offset in bytes from the start of a node of the vmemmap list: the real address of the node's block, 64 bits,
/// little-endian.
pub const RM_NODE_REAL: u64 = 8;
/// Offset in bytes from the start of a node of the vmemmap list: the virtual address of the node's block, 64 bits,
/// little-endian.
pub const RM_NODE_VIRTUAL: u64 = 16;

/// Kind of a page-table entry: a hole. No page is mapped, and the host cannot fault one in. A value of `rm_pte.kind`.
pub const RM_PTE_HOLE: u8 = 0;
/// Kind of a page-table entry: the entry maps one page. A value of `rm_pte.kind`.
pub const RM_PTE_PRESENT: u8 = 1;
/// Kind of a page-table entry: the entry maps a whole compound page of 2^order pages, and `pfn` is the head. A value of
/// `rm_pte.kind`.
pub const RM_PTE_HUGE: u8 = 2;
/// Kind of a page-table entry: no page is mapped yet, but virtual mode can fault the page `pfn` in. The handler then
/// makes the entry present, writable and young, and takes one reference on the page. A value of `rm_pte.kind`.
pub const RM_PTE_ABSENT: u8 = 3;

/// Answer of a probe: the probe changed nothing, because the reference count was 0 (`get_page_unless_zero`) or 1
/// (`put_page_unless_one`).
pub const RM_PROBE_NO: c_int = 0;
/// Answer of a probe: the probe took a reference (`get_page_unless_zero`) or gave one back (`put_page_unless_one`).
pub const RM_PROBE_YES: c_int = 1;
/// Answer of a probe: the lookup gives no real address of the struct page, for example because the page does not exist
/// or its struct page straddles two blocks.
pub const RM_PROBE_NO_PAGE: c_int = 2;
/// Answer of a probe: the page is the head or a tail of a compound page, and the probe changed nothing.
pub const RM_PROBE_COMPOUND: c_int = 3;

/// Bit of `rm_coverage.calls`: the implementation covers H_GET_TCE.
pub const RM_GET_TCE: u32 = 1;
/// Bit of `rm_coverage.calls`: the implementation covers H_PUT_TCE.
pub const RM_PUT_TCE: u32 = 2;
/// Bit of `rm_coverage.calls`: the implementation covers H_PUT_TCE_INDIRECT.
pub const RM_PUT_TCE_INDIRECT: u32 = 4;
/// Bit of `rm_coverage.calls`: the implementation covers H_STUFF_TCE.
pub const RM_STUFF_TCE: u32 = 8;

/// Bit of `rm_implementation.flags`: the harness maps the simulated memory, so that the implementation can use plain
/// pointers (see `rm_machine.linear`).
pub const RM_MAP_MEMORY: u64 = 1;

/// Largest number of DMA windows of a machine at a time.
pub const RM_MAX_WINDOWS: u64 = 512;
/// Largest number of memory slots of a machine at a time. Slots are numbered from 0, and every slot number is below
/// this limit.
pub const RM_MAX_SLOTS: u64 = 512;
/// Number of vCPUs of a machine. vCPUs are numbered from 0.
pub const RM_MAX_VCPUS: u64 = 8;
/// Largest number of entries of a DMA window, and so of one H_STUFF_TCE in dialects other than lopapr.
pub const RM_MAX_WINDOW_ENTRIES: u64 = 65536;
/// Largest number of entries of one H_PUT_TCE_INDIRECT, and in dialect lopapr of one H_STUFF_TCE.
pub const RM_MAX_TCES: u64 = 512;
/// Largest number of vmemmap blocks that are backed at a time, and so of nodes of the vmemmap list.
pub const RM_MAX_BLOCKS: u64 = 43690;
/// log2 of the end of real memory in bytes: all real addresses of a machine lie below 2^46.
pub const RM_MAX_PHYSMEM_BITS: u64 = 46;

/// The CPU that runs one call of a handler, a probe or `close_window`. The pointer is valid until that function
/// returns.
pub struct rm_cpu {
    _private: [u8; 0],
}

/// An entry of the host's page table: what the host maps at a host virtual address.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct rm_pte {
    /// Page frame number of the page that the entry names; for a huge entry the head of the compound page. 0 for a
    /// hole.
    pub pfn: u64,
    /// Kind of the entry: `RM_PTE_HOLE`, `RM_PTE_PRESENT`, `RM_PTE_HUGE` or `RM_PTE_ABSENT`.
    pub kind: u8,
    /// Huge entries: the order of the compound page, which has 2^order pages. All other kinds: 0.
    pub order: u8,
    /// Present and huge entries: 1 if the page may be written through this entry. Else 0.
    pub writable: u8,
    /// Present and huge entries: 1 if the page was written through this entry. Else 0.
    pub dirty: u8,
    /// Present and huge entries: 1 if the page was used lately through this entry. Else 0.
    pub young: u8,
    /// Padding. The harness sets it to 0 and does not read it.
    pub reserved: [u8; 3],
}

/// The services: functions of the harness that an implementation calls. Every effective address (`ea`) is a real
/// address, with the top nibble 0xc of the linear map or without it; virtual mode may also use the vmemmap address of a
/// struct page. An access that the mode cannot make, a misaligned one, and a store to anything but struct pages and TCE
/// tables are findings: a load or an exchange then returns 0, a compare-exchange returns false (and `*expected` means
/// nothing), and nothing is stored. Numbers are little-endian, so a handler must swap the bytes of a TCE.
///
/// Each call of a service counts as an access (see `rm_bound`), unless the service's comment says otherwise. Today the
/// harness runs one call at a time. Still, another CPU may run at any service: memory that was read before a service
/// may have changed after it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rm_services {
    /// Loads 8 bytes, with acquire ordering, and returns them. `ea` is a multiple of 8.
    pub load64: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64) -> u64,
    /// Stores 8 bytes, with release ordering. `ea` is a multiple of 8.
    pub store64: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, value: u64),
    /// Exchanges 8 bytes atomically, with acquire and release ordering, and returns the old value. `ea` is a multiple
    /// of 8.
    pub exchange64: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, value: u64) -> u64,
    /// If the 8 bytes at `ea` equal `*expected`, stores `desired` and returns true; `*expected` stays. Else puts the
    /// value of the 8 bytes into `*expected` and returns false. One atomic step, fully ordered if it stores, else
    /// acquire. `ea` is a multiple of 8.
    pub compare_exchange64:
        unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, expected: *mut u64, desired: u64) -> bool,
    /// Loads 4 bytes (a reference count), with acquire ordering, and returns them. `ea` is a multiple of 4.
    pub load32: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64) -> i32,
    /// If the 4 bytes at `ea` equal `*expected`, stores `desired` and returns true; `*expected` stays. Else puts the
    /// value of the 4 bytes into `*expected` and returns false. One atomic step, fully ordered if it stores, else
    /// acquire. `ea` is a multiple of 4.
    pub compare_exchange32:
        unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, ea: u64, expected: *mut i32, desired: i32) -> bool,
    /// Returns true if the CPU runs in real mode (MMU off), false in virtual mode. Does not count as an access.
    pub real_mode: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu) -> bool,
    /// Returns the number of the vCPU that makes the call, from 0, below `RM_MAX_VCPUS`. Does not count as an access.
    pub vcpu: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu) -> u32,
    /// Puts the host virtual address of guest physical address `gpa` into `*hva` and returns true. Returns false, and
    /// leaves `*hva`, if `gpa` lies in no memory slot. Does not count as an access.
    pub slot: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, gpa: u64, hva: *mut u64) -> bool,
    /// Puts the page-table entry that covers host virtual address `hva` into `*entry`. Where nothing is mapped, that is
    /// an entry of kind `RM_PTE_HOLE`.
    pub load_pte: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, hva: u64, entry: *mut rm_pte),
    /// If the page-table entry that covers `hva` equals `*expected`, replaces it by `*desired` and returns true;
    /// `*expected` stays. Else puts the entry of the page table into `*expected` and returns false. One atomic step,
    /// with acquire and release ordering if it replaces. `*desired` may change `writable`, `dirty` and `young`, or make
    /// an absent page present. If it names other pages or none, that is a finding, and the service returns false. An
    /// entry that makes a present page absent names the same page, so the service takes it; but no hypercall leaves a
    /// page absent that was present, so an entry that stays absent is a finding at the end of the call. A handler that
    /// makes a page present takes the reference on it. The harness ignores `reserved`.
    pub compare_exchange_pte:
        unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, hva: u64, expected: *mut rm_pte, desired: *const rm_pte) -> bool,
    /// Tells the harness that the implementation asks for `bytes` bytes of memory. In real mode that is a finding, in
    /// virtual mode nothing happens; the harness gives no memory.
    pub allocate: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, bytes: u64),
    /// Tells the harness that the implementation gives page `pfn`, whose last reference is gone, to the allocator. In
    /// real mode that is a finding, in virtual mode nothing happens. For a compound page `pfn` is the head.
    pub free_page: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64),
    /// Adds a line of text, which ends with a zero byte, to the report of a finding. The harness keeps the last 16
    /// lines of a program, and the first 200 bytes of each line; the report says what was left out. Does not count as
    /// an access.
    pub log: unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, line: *const c_char),
}

/// A run of `count` vmemmap blocks at consecutive real addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_run {
    /// Real address of the first block of the run.
    pub real: u64,
    /// Number of blocks of the run, at least 1.
    pub count: u64,
}

/// A run of vmemmap blocks that are backed at boot: those with the numbers from `first` to `first + run.count - 1`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_blocks {
    /// Number of the run's first block: (virtual address of the block - `rm_machine.vmemmap_base`) >> `block_shift`.
    pub first: u64,
    /// Real addresses of the run's blocks, and the number of blocks.
    pub run: rm_run,
}

/// A memory slot: maps guest frames from `gfn` on to host virtual addresses from `hva` on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_slot {
    /// Number of the slot, below `RM_MAX_SLOTS`.
    pub id: u32,
    /// Padding, always 0.
    pub reserved: u32,
    /// Number of the slot's first guest frame.
    pub gfn: u64,
    /// Size of the slot in host pages. 0, only in `set_slot`, says that the host has deleted the slot.
    pub pages: u64,
    /// Host virtual address of the slot's first byte.
    pub hva: u64,
}

/// A DMA window. The guest value of entry i lies at real address `table + 8 * i`. Entry i maps the page of I/O bus
/// addresses that starts at `base + (i << page_shift)`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_window {
    /// The LIOBN, which names the window in calls.
    pub liobn: u64,
    /// log2 of the size in bytes of the page that one entry maps: 12 to 34.
    pub page_shift: u32,
    /// What the window has besides its guest values: `RM_EMULATED` (nothing) or `RM_PINNED` (a hardware table).
    pub backing: u32,
    /// I/O bus address of entry 0 in bytes.
    pub base: u64,
    /// Number of entries (TCEs) of the window, 1 to `RM_MAX_WINDOW_ENTRIES`.
    pub entries: u64,
    /// Real address of the table of guest values: 8 bytes for each entry, big-endian.
    pub table: u64,
    /// Pinned windows: real address of the hardware table, 8 bytes for each entry, big-endian. An entry is `pfn <<
    /// PAGE_SHIFT | address bits inside the host page | permissions`, and 0 for a fault TCE. Emulated windows: 0.
    pub hardware: u64,
}

/// The description of a machine at `start`. The description and the arrays to which it points are valid until `stop`
/// returns (if `stop` is NULL: until the next `start`). Slots, sections and windows that change later come as notices
/// (`set_slot`, for example).
#[repr(C)]
pub struct rm_machine {
    /// The dialect whose answers the harness expects: `RM_LOPAPR`, `RM_KVM` or `RM_QEMU`.
    pub dialect: u32,
    /// PAGE_SHIFT, log2 of the size of a host page in bytes: 12 or 16.
    pub page_shift: u32,
    /// Size of a struct page in bytes: 56, 64, 72 or 80.
    pub struct_page: u32,
    /// The memory model: `RM_FLATMEM` or `RM_VMEMMAP`.
    pub memory_model: u32,
    /// Flatmem: real address of the struct page of pfn 0. Vmemmap: 0.
    pub array: u64,
    /// Flatmem: number of host pages; the pages with pfn 0 to `pages - 1` exist. Vmemmap: 0.
    pub pages: u64,
    /// Vmemmap: virtual address of the struct page of pfn 0. Flatmem: 0.
    pub vmemmap_base: u64,
    /// Vmemmap: log2 of the size of a block in bytes: 12, 16, 21 or 24. Flatmem: 0.
    pub block_shift: u32,
    /// Padding, always 0.
    pub reserved: u32,
    /// Vmemmap: real address of the 8-byte word that holds the real address of the first node of the vmemmap list, or 0
    /// if the list is empty. The harness maintains the list: it pushes new nodes on the front, and reuses removed nodes
    /// last in, first out. Flatmem: 0.
    pub list: u64,
    /// Vmemmap: array of the numbers of the present sections (real address >> 24), ascending. Do not read the array if
    /// `section_count` is 0.
    pub sections: *const u64,
    /// Number of elements of `sections`; 0 for flatmem.
    pub section_count: usize,
    /// Vmemmap: array of the runs of backed vmemmap blocks, ascending. Do not read the array if `block_count` is 0.
    pub blocks: *const rm_blocks,
    /// Number of elements of `blocks`, each of which is a run; 0 for flatmem.
    pub block_count: usize,
    /// Array of the memory slots at `start`. Do not read the array if `slot_count` is 0.
    pub slots: *const rm_slot,
    /// Number of elements of `slots`.
    pub slot_count: usize,
    /// Array of the DMA windows at `start`. Do not read the array if `window_count` is 0.
    pub windows: *const rm_window,
    /// Number of elements of `windows`.
    pub window_count: usize,
    /// The functions of the harness that the implementation calls. Never NULL.
    pub services: *const rm_services,
    /// With `RM_MAP_MEMORY`: the linear map. The byte at real address r is at `linear + r`, for struct pages, tables,
    /// the vmemmap list and the pages of memory. Between them nothing is mapped, and an access there is a crash (if the
    /// pages of the computer are larger than 4 KiB, the rest of a page is mapped too). Without `RM_MAP_MEMORY`: NULL.
    ///
    /// The harness sees stores through this pointer at the end of the call (or when the call next uses a service that
    /// accesses memory or a page-table entry, or frees a page), as differences of memory: which words changed, from
    /// what to what, and whether the handler may change them. The harness finds a last release in real mode, a stray
    /// store, a wrong result and a leak. It does not see in which order stores were made (`REF.HELD` between them), how
    /// many accesses there were (`RM.BOUNDED`), whether a list was read twice (`LIST.SNAPSHOT`), a value that was put
    /// back, or a load that real mode cannot make.
    pub linear: *mut c_void,
}

/// What an implementation covers. The harness sends no other hypercalls to the implementation and counts them as not
/// asked; it runs no programs of other memory models or dialects on the implementation. When `start` gets this struct,
/// all its bytes are 0xa5; `start` must fill in every field.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rm_coverage {
    /// Memory models that the implementation covers: bits `1 << RM_FLATMEM` and `1 << RM_VMEMMAP`.
    pub memory_models: u32,
    /// Backings of windows that the implementation covers: bits `1 << RM_EMULATED` and `1 << RM_PINNED`.
    pub backings: u32,
    /// Dialects that the implementation covers: bits `1 << RM_LOPAPR`, `1 << RM_KVM` and `1 << RM_QEMU`.
    pub dialects: u32,
    /// Hypercalls that the implementation covers: bits `RM_GET_TCE`, `RM_PUT_TCE`, `RM_PUT_TCE_INDIRECT` and
    /// `RM_STUFF_TCE`.
    pub calls: u32,
    /// 1 if the implementation has a real-mode half, and the harness shall check what real mode owes. 0 if the harness
    /// shall send every call to virtual mode.
    pub real_mode: u32,
}

/// The published bound: a real-mode call of `count` entries makes at most `base + per_entry * count` accesses. `count`
/// is r7, but at most 512 for H_PUT_TCE_INDIRECT and 65536 for H_STUFF_TCE; it is 1 for H_GET_TCE and H_PUT_TCE.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct rm_bound {
    /// Number of accesses that a call may make whatever its count.
    pub base: u64,
    /// Number of further accesses that a call may make for each entry.
    pub per_entry: u64,
}

/// The handlers of one mode. Each returns a status (r3), such as `RM_H_SUCCESS`. A handler of `rm_implementation.real`
/// may be NULL: its call then goes to virtual mode. A handler of `rm_implementation.virt` may be NULL only if
/// `rm_coverage.calls` does not have the bit of its hypercall.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rm_handlers {
    /// H_GET_TCE of the entry at I/O bus address `ioba` of window `liobn`. The handler sets `*tce` (r4) on success
    /// only. Before the call `*tce` holds a value without meaning.
    pub get_tce: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64, ioba: u64, tce: *mut u64) -> i64>,
    /// H_PUT_TCE: stores `tce` into the entry at I/O bus address `ioba` of window `liobn`.
    pub put_tce: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64, ioba: u64, tce: u64) -> i64>,
    /// H_PUT_TCE_INDIRECT: stores the `count` TCEs of the list at guest physical address `list`, 8 bytes each and
    /// big-endian, into the entries of window `liobn` from I/O bus address `ioba` on.
    pub put_tce_indirect:
        Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64, ioba: u64, list: u64, count: u64) -> i64>,
    /// H_STUFF_TCE: stores `tce` into `count` entries of window `liobn` from I/O bus address `ioba` on.
    pub stuff_tce:
        Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64, ioba: u64, tce: u64, count: u64) -> i64>,
}

/// An implementation of the TCE hypercalls, as a table of its functions. A function may be NULL only if its comment
/// says so.
///
/// The harness loads the library once for each thread, each time as a separate copy. Copies share no global variables,
/// and only one thread at a time runs in a copy.
#[repr(C)]
pub struct rm_implementation {
    /// The version of this header that the library was compiled with: `RM_ABI`.
    pub abi: u32,
    /// Size of this struct in bytes: sizeof(struct rm_implementation).
    pub bytes: u32,
    /// The name of the implementation in reports: 1 to 64 letters, digits, '-', '_' and '.', and a zero byte.
    pub name: *const c_char,
    /// `RM_MAP_MEMORY` to get the simulated memory mapped, or 0.
    pub flags: u64,
    /// Starts the implementation on a new machine, whose memory already holds what `*machine` describes. Fills in
    /// `*coverage`. Returns 0, or any other number for an error, which the harness reports. When the harness opens a
    /// library, it calls `start` once on a machine of one page, to find out whether the library starts.
    pub start: Option<unsafe extern "C-unwind" fn(machine: *const rm_machine, coverage: *mut rm_coverage) -> c_int>,
    /// Ends the machine of the last `start`, whose description then becomes invalid. May be NULL.
    pub stop: Option<unsafe extern "C-unwind" fn()>,
    /// Returns the bound on the accesses of a real-mode call; the harness calls it before each hypercall. NULL: the
    /// implementation has no bound, and the harness checks none. With `RM_MAP_MEMORY` the harness checks none either.
    pub bound: Option<unsafe extern "C-unwind" fn() -> rm_bound>,
    /// The handlers of real mode (MMU off). A handler that is NULL leaves its call to virtual mode.
    pub real: rm_handlers,
    /// The handlers of virtual mode. Each runs the whole call. Each bit of `rm_coverage.calls` requires its handler
    /// here.
    pub virt: rm_handlers,
    /// Probe in real mode: looks up the struct page of page `pfn`. If all bytes of the struct page lie inside one
    /// backed block (in flatmem: inside the array), puts its real address, with the top nibble 0xc or without it, into
    /// `*real` and returns 1. Else returns 0. NULL: not covered.
    pub pfn_to_page: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64, real: *mut u64) -> c_int>,
    /// Probe in real mode: takes a reference on page `pfn` unless the page's count is 0. Returns one of `RM_PROBE_*`.
    /// NULL: not covered.
    pub get_page_unless_zero: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64) -> c_int>,
    /// Probe in real mode: gives a reference on page `pfn` back unless the page's count is 1. Returns one of
    /// `RM_PROBE_*`. NULL: not covered.
    pub put_page_unless_one: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, pfn: u64) -> c_int>,
    /// Notice: the host has added section number `section`, and the section's struct pages are zero. `runs` has `count`
    /// elements: real addresses for the blocks that no other present section needs, lowest block first. There may be
    /// more addresses than such blocks. May be NULL.
    pub hot_add: Option<unsafe extern "C-unwind" fn(section: u64, runs: *const rm_run, count: usize)>,
    /// Notice: the host is about to remove section number `section`, and the vmemmap blocks that no other present
    /// section needs. May be NULL.
    pub hot_remove: Option<unsafe extern "C-unwind" fn(section: u64)>,
    /// Notice: the host has set the memory slot with number `slot->id`, or has deleted it if `slot->pages` is 0. May be
    /// NULL.
    pub set_slot: Option<unsafe extern "C-unwind" fn(slot: *const rm_slot)>,
    /// Notice: the host has created a DMA window, whose tables are zero. May be NULL.
    pub create_window: Option<unsafe extern "C-unwind" fn(window: *const rm_window)>,
    /// Closes window `liobn`, in virtual mode. Clears every entry as H_STUFF_TCE of 0 does; afterwards the LIOBN is
    /// unknown. NULL: the harness never closes windows and does not look for leaks.
    pub close_window: Option<unsafe extern "C-unwind" fn(cpu: *mut rm_cpu, liobn: u64)>,
}
