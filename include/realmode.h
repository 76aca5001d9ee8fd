/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The interface between realmode-diff and an implementation in C of real-mode TCE handling: pfn to page, conditional
 * references, and H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT and H_STUFF_TCE. docs/semantics.md has the rules,
 * docs/bring-your-own.md the first steps, and examples/c/ a whole implementation.
 *
 * A library exports one function,
 *
 *     const struct rm_implementation *realmode_implementation(void);
 *
 * and is run with `realmode fuzz --subject ./libmine.so`. Compile it with -fPIC -fexceptions: the harness ends a
 * handler that hangs by unwinding its frames.
 *
 * `REALMODE_WRITE=1 cargo test --test header` writes this file from abi/src/header.rs, and a test compares the two.
 */

#ifndef REALMODE_H
#define REALMODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rm_implementation;

/** The one function that a library exports. */
const struct rm_implementation *realmode_implementation(void);


/**
 * The version of this interface, for `rm_implementation.abi`. The version goes up when the harness would misunderstand
 * a library that was compiled with an earlier header. The harness accepts only its own version.
 */
#define RM_ABI 1

/**
 * Memory model flatmem: one array of struct pages at consecutive real addresses. A value of `rm_machine.memory_model`.
 */
#define RM_FLATMEM 0

/**
 * Memory model sparsemem-vmemmap: struct pages at consecutive virtual addresses, backed block by block where memory is
 * present. A value of `rm_machine.memory_model`.
 */
#define RM_VMEMMAP 1

/**
 * Backing of a DMA window: a table of guest values and nothing else. A value of `rm_window.backing`.
 */
#define RM_EMULATED 0

/**
 * Backing of a DMA window: a hardware table beside the table of guest values. Each hardware entry with permissions
 * holds a reference on its page. A value of `rm_window.backing`.
 */
#define RM_PINNED 1

/**
 * Dialect: the answers of LoPAPR. A value of `rm_machine.dialect`.
 */
#define RM_LOPAPR 0

/**
 * Dialect: the answers of the in-kernel handlers of Linux 4.18 and 4.19, with some of other versions
 * (docs/dialects.md). A value of `rm_machine.dialect`.
 */
#define RM_KVM 1

/**
 * Dialect: the answers of QEMU 7.2, which has emulated windows only. A value of `rm_machine.dialect`.
 */
#define RM_QEMU 2

/**
 * Status H_SUCCESS: the call did all that it was asked for.
 */
#define RM_H_SUCCESS 0

/**
 * Status H_HARDWARE, for pinned windows only: the host cannot supply a page that a TCE names, or maps it read-only and
 * the device may write.
 */
#define RM_H_HARDWARE -1

/**
 * Status H_FUNCTION: no hypercall has this opcode.
 */
#define RM_H_FUNCTION -2

/**
 * Status H_PARAMETER: a parameter is invalid.
 */
#define RM_H_PARAMETER -4

/**
 * Status H_P4: the fourth parameter (r7) is invalid. Only H_STUFF_TCE in dialect lopapr answers it, for a count above
 * 512.
 */
#define RM_H_P4 -57

/**
 * Status H_TOO_HARD: real mode leaves the call to virtual mode. A real-mode handler that returns this status has
 * changed nothing. The virtual-mode handler then runs the same call on the same vCPU, and nothing else runs between
 * the two. A virtual-mode handler must not return this status.
 */
#define RM_H_TOO_HARD 9999

/**
 * Bit of a TCE: the device may read the page.
 */
#define RM_TCE_READ 1

/**
 * Bit of a TCE: the device may write the page.
 */
#define RM_TCE_WRITE 2

/**
 * Offset in bytes from the start of a struct page: the flags `RM_PAGE_*`, 64 bits, little-endian.
 */
#define RM_PAGE_FLAGS 0

/**
 * Offset in bytes from the start of a struct page: the reference count, 32 bits, signed, little-endian.
 */
#define RM_PAGE_COUNT 8

/**
 * Offset in bytes from the start of a struct page: a 64-bit number, little-endian. For a head it is the order of the
 * compound page, for a tail the pfn of the head, else 0.
 */
#define RM_PAGE_COMPOUND 16

/**
 * Flag of a struct page: the page is the head of a compound page.
 */
#define RM_PAGE_HEAD 1

/**
 * Flag of a struct page: the page is a tail of a compound page. The count of a tail stays 0, because its references
 * and its DIRTY are kept on the head.
 */
#define RM_PAGE_TAIL 2

/**
 * Flag of a struct page: the page was written since the host last cleaned it. A handler sets the flag when it replaces
 * a hardware entry that has `RM_TCE_WRITE`, on the page of the old entry, before it gives the old entry's reference
 * back.
 */
#define RM_PAGE_DIRTY 4

/**
 * Offset in bytes from the start of a node of the vmemmap list: the real address of the next node (0 in the last
 * node), 64 bits, little-endian.
 */
#define RM_NODE_NEXT 0

/**
 * Offset in bytes from the start of a node of the vmemmap list: the real address of the node's block, 64 bits,
 * little-endian.
 */
#define RM_NODE_REAL 8

/**
 * Offset in bytes from the start of a node of the vmemmap list: the virtual address of the node's block, 64 bits,
 * little-endian.
 */
#define RM_NODE_VIRTUAL 16

/**
 * Kind of a page-table entry: a hole. No page is mapped, and the host cannot fault one in. A value of `rm_pte.kind`.
 */
#define RM_PTE_HOLE 0

/**
 * Kind of a page-table entry: the entry maps one page. A value of `rm_pte.kind`.
 */
#define RM_PTE_PRESENT 1

/**
 * Kind of a page-table entry: the entry maps a whole compound page of 2^order pages, and `pfn` is the head. A value of
 * `rm_pte.kind`.
 */
#define RM_PTE_HUGE 2

/**
 * Kind of a page-table entry: no page is mapped yet, but virtual mode can fault the page `pfn` in. The handler then
 * makes the entry present, writable and young, and takes one reference on the page. A value of `rm_pte.kind`.
 */
#define RM_PTE_ABSENT 3

/**
 * Answer of a probe: the probe changed nothing, because the reference count was 0 (`get_page_unless_zero`) or 1
 * (`put_page_unless_one`).
 */
#define RM_PROBE_NO 0

/**
 * Answer of a probe: the probe took a reference (`get_page_unless_zero`) or gave one back (`put_page_unless_one`).
 */
#define RM_PROBE_YES 1

/**
 * Answer of a probe: the lookup gives no real address of the struct page, for example because the page does not exist
 * or its struct page straddles two blocks.
 */
#define RM_PROBE_NO_PAGE 2

/**
 * Answer of a probe: the page is the head or a tail of a compound page, and the probe changed nothing.
 */
#define RM_PROBE_COMPOUND 3

/**
 * Bit of `rm_coverage.calls`: the implementation covers H_GET_TCE.
 */
#define RM_GET_TCE 1

/**
 * Bit of `rm_coverage.calls`: the implementation covers H_PUT_TCE.
 */
#define RM_PUT_TCE 2

/**
 * Bit of `rm_coverage.calls`: the implementation covers H_PUT_TCE_INDIRECT.
 */
#define RM_PUT_TCE_INDIRECT 4

/**
 * Bit of `rm_coverage.calls`: the implementation covers H_STUFF_TCE.
 */
#define RM_STUFF_TCE 8

/**
 * Bit of `rm_implementation.flags`: the harness maps the simulated memory, so that the implementation can use plain
 * pointers (see `rm_machine.linear`).
 */
#define RM_MAP_MEMORY 1

/**
 * Largest number of DMA windows of a machine at a time.
 */
#define RM_MAX_WINDOWS 512

/**
 * Largest number of memory slots of a machine at a time. Slots are numbered from 0, and every slot number is below
 * this limit.
 */
#define RM_MAX_SLOTS 512

/**
 * Number of vCPUs of a machine. vCPUs are numbered from 0.
 */
#define RM_MAX_VCPUS 8

/**
 * Largest number of entries of a DMA window, and so of one H_STUFF_TCE in dialects other than lopapr.
 */
#define RM_MAX_WINDOW_ENTRIES 65536

/**
 * Largest number of entries of one H_PUT_TCE_INDIRECT, and in dialect lopapr of one H_STUFF_TCE.
 */
#define RM_MAX_TCES 512

/**
 * Largest number of vmemmap blocks that are backed at a time, and so of nodes of the vmemmap list.
 */
#define RM_MAX_BLOCKS 43690

/**
 * log2 of the end of real memory in bytes: all real addresses of a machine lie below 2^46.
 */
#define RM_MAX_PHYSMEM_BITS 46

/**
 * The CPU that runs one call of a handler, a probe or `close_window`. The pointer is valid until that function
 * returns.
 */
struct rm_cpu;

/**
 * A run of `count` vmemmap blocks at consecutive real addresses.
 */
struct rm_run {
  /**
   * Real address of the first block of the run.
   */
  uint64_t real;
  /**
   * Number of blocks of the run, at least 1.
   */
  uint64_t count;
};

/**
 * A run of vmemmap blocks that are backed at boot: those with the numbers from `first` to `first + run.count - 1`.
 */
struct rm_blocks {
  /**
   * Number of the run's first block: (virtual address of the block - `rm_machine.vmemmap_base`) >> `block_shift`.
   */
  uint64_t first;
  /**
   * Real addresses of the run's blocks, and the number of blocks.
   */
  struct rm_run run;
};

/**
 * A memory slot: maps guest frames from `gfn` on to host virtual addresses from `hva` on.
 */
struct rm_slot {
  /**
   * Number of the slot, below `RM_MAX_SLOTS`.
   */
  uint32_t id;
  /**
   * Padding, always 0.
   */
  uint32_t reserved;
  /**
   * Number of the slot's first guest frame.
   */
  uint64_t gfn;
  /**
   * Size of the slot in host pages. 0, only in `set_slot`, says that the host has deleted the slot.
   */
  uint64_t pages;
  /**
   * Host virtual address of the slot's first byte.
   */
  uint64_t hva;
};

/**
 * A DMA window. The guest value of entry i lies at real address `table + 8 * i`. Entry i maps the page of I/O bus
 * addresses that starts at `base + (i << page_shift)`.
 */
struct rm_window {
  /**
   * The LIOBN, which names the window in calls.
   */
  uint64_t liobn;
  /**
   * log2 of the size in bytes of the page that one entry maps: 12 to 34.
   */
  uint32_t page_shift;
  /**
   * What the window has besides its guest values: `RM_EMULATED` (nothing) or `RM_PINNED` (a hardware table).
   */
  uint32_t backing;
  /**
   * I/O bus address of entry 0 in bytes.
   */
  uint64_t base;
  /**
   * Number of entries (TCEs) of the window, 1 to `RM_MAX_WINDOW_ENTRIES`.
   */
  uint64_t entries;
  /**
   * Real address of the table of guest values: 8 bytes for each entry, big-endian.
   */
  uint64_t table;
  /**
   * Pinned windows: real address of the hardware table, 8 bytes for each entry, big-endian. An entry is `pfn <<
   * PAGE_SHIFT | address bits inside the host page | permissions`, and 0 for a fault TCE. Emulated windows: 0.
   */
  uint64_t hardware;
};

/**
 * An entry of the host's page table: what the host maps at a host virtual address.
 */
struct rm_pte {
  /**
   * Page frame number of the page that the entry names; for a huge entry the head of the compound page. 0 for a
   * hole.
   */
  uint64_t pfn;
  /**
   * Kind of the entry: `RM_PTE_HOLE`, `RM_PTE_PRESENT`, `RM_PTE_HUGE` or `RM_PTE_ABSENT`.
   */
  uint8_t kind;
  /**
   * Huge entries: the order of the compound page, which has 2^order pages. All other kinds: 0.
   */
  uint8_t order;
  /**
   * Present and huge entries: 1 if the page may be written through this entry. Else 0.
   */
  uint8_t writable;
  /**
   * Present and huge entries: 1 if the page was written through this entry. Else 0.
   */
  uint8_t dirty;
  /**
   * Present and huge entries: 1 if the page was used lately through this entry. Else 0.
   */
  uint8_t young;
  /**
   * Padding. The harness sets it to 0 and does not read it.
   */
  uint8_t reserved[3];
};

/**
 * The services: functions of the harness that an implementation calls. Every effective address (`ea`) is a real
 * address, with the top nibble 0xc of the linear map or without it; virtual mode may also use the vmemmap address of a
 * struct page. An access that the mode cannot make, a misaligned one, and a store to anything but struct pages and TCE
 * tables are findings: a load or an exchange then returns 0, a compare-exchange returns false (and `*expected` means
 * nothing), and nothing is stored. Numbers are little-endian, so a handler must swap the bytes of a TCE.
 *
 * Each call of a service counts as an access (see `rm_bound`), unless the service's comment says otherwise. Today the
 * harness runs one call at a time. Still, another CPU may run at any service: memory that was read before a service
 * may have changed after it.
 */
struct rm_services {
  /**
   * Loads 8 bytes, with acquire ordering, and returns them. `ea` is a multiple of 8.
   */
  uint64_t (*load64)(struct rm_cpu *cpu, uint64_t ea);
  /**
   * Stores 8 bytes, with release ordering. `ea` is a multiple of 8.
   */
  void (*store64)(struct rm_cpu *cpu, uint64_t ea, uint64_t value);
  /**
   * Exchanges 8 bytes atomically, with acquire and release ordering, and returns the old value. `ea` is a multiple
   * of 8.
   */
  uint64_t (*exchange64)(struct rm_cpu *cpu, uint64_t ea, uint64_t value);
  /**
   * If the 8 bytes at `ea` equal `*expected`, stores `desired` and returns true; `*expected` stays. Else puts the
   * value of the 8 bytes into `*expected` and returns false. One atomic step, fully ordered if it stores, else
   * acquire. `ea` is a multiple of 8.
   */
  bool (*compare_exchange64)(struct rm_cpu *cpu, uint64_t ea, uint64_t *expected, uint64_t desired);
  /**
   * Loads 4 bytes (a reference count), with acquire ordering, and returns them. `ea` is a multiple of 4.
   */
  int32_t (*load32)(struct rm_cpu *cpu, uint64_t ea);
  /**
   * If the 4 bytes at `ea` equal `*expected`, stores `desired` and returns true; `*expected` stays. Else puts the
   * value of the 4 bytes into `*expected` and returns false. One atomic step, fully ordered if it stores, else
   * acquire. `ea` is a multiple of 4.
   */
  bool (*compare_exchange32)(struct rm_cpu *cpu, uint64_t ea, int32_t *expected, int32_t desired);
  /**
   * Returns true if the CPU runs in real mode (MMU off), false in virtual mode. Does not count as an access.
   */
  bool (*real_mode)(struct rm_cpu *cpu);
  /**
   * Returns the number of the vCPU that makes the call, from 0, below `RM_MAX_VCPUS`. Does not count as an access.
   */
  uint32_t (*vcpu)(struct rm_cpu *cpu);
  /**
   * Puts the host virtual address of guest physical address `gpa` into `*hva` and returns true. Returns false, and
   * leaves `*hva`, if `gpa` lies in no memory slot. Does not count as an access.
   */
  bool (*slot)(struct rm_cpu *cpu, uint64_t gpa, uint64_t *hva);
  /**
   * Puts the page-table entry that covers host virtual address `hva` into `*entry`. Where nothing is mapped, that is
   * an entry of kind `RM_PTE_HOLE`.
   */
  void (*load_pte)(struct rm_cpu *cpu, uint64_t hva, struct rm_pte *entry);
  /**
   * If the page-table entry that covers `hva` equals `*expected`, replaces it by `*desired` and returns true;
   * `*expected` stays. Else puts the entry of the page table into `*expected` and returns false. One atomic step,
   * with acquire and release ordering if it replaces. `*desired` may change `writable`, `dirty` and `young`, or make
   * an absent page present. If it names other pages or none, that is a finding, and the service returns false. An
   * entry that makes a present page absent names the same page, so the service takes it; but no hypercall leaves a
   * page absent that was present, so an entry that stays absent is a finding at the end of the call. A handler that
   * makes a page present takes the reference on it. The harness ignores `reserved`.
   */
  bool (*compare_exchange_pte)(struct rm_cpu *cpu, uint64_t hva, struct rm_pte *expected, const struct rm_pte *desired);
  /**
   * Tells the harness that the implementation asks for `bytes` bytes of memory. In real mode that is a finding, in
   * virtual mode nothing happens; the harness gives no memory.
   */
  void (*allocate)(struct rm_cpu *cpu, uint64_t bytes);
  /**
   * Tells the harness that the implementation gives page `pfn`, whose last reference is gone, to the allocator. In
   * real mode that is a finding, in virtual mode nothing happens. For a compound page `pfn` is the head.
   */
  void (*free_page)(struct rm_cpu *cpu, uint64_t pfn);
  /**
   * Adds a line of text, which ends with a zero byte, to the report of a finding. The harness keeps the last 16
   * lines of a program, and the first 200 bytes of each line; the report says what was left out. Does not count as
   * an access.
   */
  void (*log)(struct rm_cpu *cpu, const char *line);
};

/**
 * The description of a machine at `start`. The description and the arrays to which it points are valid until `stop`
 * returns (if `stop` is NULL: until the next `start`). Slots, sections and windows that change later come as notices
 * (`set_slot`, for example).
 */
struct rm_machine {
  /**
   * The dialect whose answers the harness expects: `RM_LOPAPR`, `RM_KVM` or `RM_QEMU`.
   */
  uint32_t dialect;
  /**
   * PAGE_SHIFT, log2 of the size of a host page in bytes: 12 or 16.
   */
  uint32_t page_shift;
  /**
   * Size of a struct page in bytes: 56, 64, 72 or 80.
   */
  uint32_t struct_page;
  /**
   * The memory model: `RM_FLATMEM` or `RM_VMEMMAP`.
   */
  uint32_t memory_model;
  /**
   * Flatmem: real address of the struct page of pfn 0. Vmemmap: 0.
   */
  uint64_t array;
  /**
   * Flatmem: number of host pages; the pages with pfn 0 to `pages - 1` exist. Vmemmap: 0.
   */
  uint64_t pages;
  /**
   * Vmemmap: virtual address of the struct page of pfn 0. Flatmem: 0.
   */
  uint64_t vmemmap_base;
  /**
   * Vmemmap: log2 of the size of a block in bytes: 12, 16, 21 or 24. Flatmem: 0.
   */
  uint32_t block_shift;
  /**
   * Padding, always 0.
   */
  uint32_t reserved;
  /**
   * Vmemmap: real address of the 8-byte word that holds the real address of the first node of the vmemmap list, or 0
   * if the list is empty. The harness maintains the list: it pushes new nodes on the front, and reuses removed nodes
   * last in, first out. Flatmem: 0.
   */
  uint64_t list;
  /**
   * Vmemmap: array of the numbers of the present sections (real address >> 24), ascending. Do not read the array if
   * `section_count` is 0.
   */
  const uint64_t *sections;
  /**
   * Number of elements of `sections`; 0 for flatmem.
   */
  size_t section_count;
  /**
   * Vmemmap: array of the runs of backed vmemmap blocks, ascending. Do not read the array if `block_count` is 0.
   */
  const struct rm_blocks *blocks;
  /**
   * Number of elements of `blocks`, each of which is a run; 0 for flatmem.
   */
  size_t block_count;
  /**
   * Array of the memory slots at `start`. Do not read the array if `slot_count` is 0.
   */
  const struct rm_slot *slots;
  /**
   * Number of elements of `slots`.
   */
  size_t slot_count;
  /**
   * Array of the DMA windows at `start`. Do not read the array if `window_count` is 0.
   */
  const struct rm_window *windows;
  /**
   * Number of elements of `windows`.
   */
  size_t window_count;
  /**
   * The functions of the harness that the implementation calls. Never NULL.
   */
  const struct rm_services *services;
  /**
   * With `RM_MAP_MEMORY`: the linear map. The byte at real address r is at `linear + r`, for struct pages, tables,
   * the vmemmap list and the pages of memory. Between them nothing is mapped, and an access there is a crash (if the
   * pages of the computer are larger than 4 KiB, the rest of a page is mapped too). Without `RM_MAP_MEMORY`: NULL.
   *
   * The harness sees stores through this pointer at the end of the call (or when the call next uses a service that
   * accesses memory or a page-table entry, or frees a page), as differences of memory: which words changed, from
   * what to what, and whether the handler may change them. The harness finds a last release in real mode, a stray
   * store, a wrong result and a leak. It does not see in which order stores were made (`REF.HELD` between them), how
   * many accesses there were (`RM.BOUNDED`), whether a list was read twice (`LIST.SNAPSHOT`), a value that was put
   * back, or a load that real mode cannot make.
   */
  void *linear;
};

/**
 * What an implementation covers. The harness sends no other hypercalls to the implementation and counts them as not
 * asked; it runs no programs of other memory models or dialects on the implementation. When `start` gets this struct,
 * all its bytes are 0xa5; `start` must fill in every field.
 */
struct rm_coverage {
  /**
   * Memory models that the implementation covers: bits `1 << RM_FLATMEM` and `1 << RM_VMEMMAP`.
   */
  uint32_t memory_models;
  /**
   * Backings of windows that the implementation covers: bits `1 << RM_EMULATED` and `1 << RM_PINNED`.
   */
  uint32_t backings;
  /**
   * Dialects that the implementation covers: bits `1 << RM_LOPAPR`, `1 << RM_KVM` and `1 << RM_QEMU`.
   */
  uint32_t dialects;
  /**
   * Hypercalls that the implementation covers: bits `RM_GET_TCE`, `RM_PUT_TCE`, `RM_PUT_TCE_INDIRECT` and
   * `RM_STUFF_TCE`.
   */
  uint32_t calls;
  /**
   * 1 if the implementation has a real-mode half, and the harness shall check what real mode owes. 0 if the harness
   * shall send every call to virtual mode.
   */
  uint32_t real_mode;
};

/**
 * The published bound: a real-mode call of `count` entries makes at most `base + per_entry * count` accesses. `count`
 * is r7, but at most 512 for H_PUT_TCE_INDIRECT and 65536 for H_STUFF_TCE; it is 1 for H_GET_TCE and H_PUT_TCE.
 */
struct rm_bound {
  /**
   * Number of accesses that a call may make whatever its count.
   */
  uint64_t base;
  /**
   * Number of further accesses that a call may make for each entry.
   */
  uint64_t per_entry;
};

/**
 * The handlers of one mode. Each returns a status (r3), such as `RM_H_SUCCESS`. A handler of `rm_implementation.real`
 * may be NULL: its call then goes to virtual mode. A handler of `rm_implementation.virt` may be NULL only if
 * `rm_coverage.calls` does not have the bit of its hypercall.
 */
struct rm_handlers {
  /**
   * H_GET_TCE of the entry at I/O bus address `ioba` of window `liobn`. The handler sets `*tce` (r4) on success
   * only. Before the call `*tce` holds a value without meaning.
   */
  int64_t (*get_tce)(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t *tce);
  /**
   * H_PUT_TCE: stores `tce` into the entry at I/O bus address `ioba` of window `liobn`.
   */
  int64_t (*put_tce)(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t tce);
  /**
   * H_PUT_TCE_INDIRECT: stores the `count` TCEs of the list at guest physical address `list`, 8 bytes each and
   * big-endian, into the entries of window `liobn` from I/O bus address `ioba` on.
   */
  int64_t (*put_tce_indirect)(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t list, uint64_t count);
  /**
   * H_STUFF_TCE: stores `tce` into `count` entries of window `liobn` from I/O bus address `ioba` on.
   */
  int64_t (*stuff_tce)(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t tce, uint64_t count);
};

/**
 * An implementation of the TCE hypercalls, as a table of its functions. A function may be NULL only if its comment
 * says so.
 *
 * The harness loads the library once for each thread, each time as a separate copy. Copies share no global variables,
 * and only one thread at a time runs in a copy.
 */
struct rm_implementation {
  /**
   * The version of this header that the library was compiled with: `RM_ABI`.
   */
  uint32_t abi;
  /**
   * Size of this struct in bytes: sizeof(struct rm_implementation).
   */
  uint32_t bytes;
  /**
   * The name of the implementation in reports: 1 to 64 letters, digits, '-', '_' and '.', and a zero byte.
   */
  const char *name;
  /**
   * `RM_MAP_MEMORY` to get the simulated memory mapped, or 0.
   */
  uint64_t flags;
  /**
   * Starts the implementation on a new machine, whose memory already holds what `*machine` describes. Fills in
   * `*coverage`. Returns 0, or any other number for an error, which the harness reports. When the harness opens a
   * library, it calls `start` once on a machine of one page, to find out whether the library starts.
   */
  int (*start)(const struct rm_machine *machine, struct rm_coverage *coverage);
  /**
   * Ends the machine of the last `start`, whose description then becomes invalid. May be NULL.
   */
  void (*stop)(void);
  /**
   * Returns the bound on the accesses of a real-mode call; the harness calls it before each hypercall. NULL: the
   * implementation has no bound, and the harness checks none. With `RM_MAP_MEMORY` the harness checks none either.
   */
  struct rm_bound (*bound)(void);
  /**
   * The handlers of real mode (MMU off). A handler that is NULL leaves its call to virtual mode.
   */
  struct rm_handlers real;
  /**
   * The handlers of virtual mode. Each runs the whole call. Each bit of `rm_coverage.calls` requires its handler
   * here.
   */
  struct rm_handlers virt;
  /**
   * Probe in real mode: looks up the struct page of page `pfn`. If all bytes of the struct page lie inside one
   * backed block (in flatmem: inside the array), puts its real address, with the top nibble 0xc or without it, into
   * `*real` and returns 1. Else returns 0. NULL: not covered.
   */
  int (*pfn_to_page)(struct rm_cpu *cpu, uint64_t pfn, uint64_t *real);
  /**
   * Probe in real mode: takes a reference on page `pfn` unless the page's count is 0. Returns one of `RM_PROBE_*`.
   * NULL: not covered.
   */
  int (*get_page_unless_zero)(struct rm_cpu *cpu, uint64_t pfn);
  /**
   * Probe in real mode: gives a reference on page `pfn` back unless the page's count is 1. Returns one of
   * `RM_PROBE_*`. NULL: not covered.
   */
  int (*put_page_unless_one)(struct rm_cpu *cpu, uint64_t pfn);
  /**
   * Notice: the host has added section number `section`, and the section's struct pages are zero. `runs` has `count`
   * elements: real addresses for the blocks that no other present section needs, lowest block first. There may be
   * more addresses than such blocks. May be NULL.
   */
  void (*hot_add)(uint64_t section, const struct rm_run *runs, size_t count);
  /**
   * Notice: the host is about to remove section number `section`, and the vmemmap blocks that no other present
   * section needs. May be NULL.
   */
  void (*hot_remove)(uint64_t section);
  /**
   * Notice: the host has set the memory slot with number `slot->id`, or has deleted it if `slot->pages` is 0. May be
   * NULL.
   */
  void (*set_slot)(const struct rm_slot *slot);
  /**
   * Notice: the host has created a DMA window, whose tables are zero. May be NULL.
   */
  void (*create_window)(const struct rm_window *window);
  /**
   * Closes window `liobn`, in virtual mode. Clears every entry as H_STUFF_TCE of 0 does; afterwards the LIOBN is
   * unknown. NULL: the harness never closes windows and does not look for leaks.
   */
  void (*close_window)(struct rm_cpu *cpu, uint64_t liobn);
};

#endif  /* REALMODE_H */
