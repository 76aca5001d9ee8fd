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
 * This file is written from abi/src/header.rs; a test compares them.
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
 * The version of this interface, for `rm_implementation.abi`. It goes up whenever a library that was compiled against
 * an earlier header would be misunderstood. The harness accepts only its own version.
 */
#define RM_ABI 1

/**
 * Memory model: one array of struct pages.
 */
#define RM_FLATMEM 0

/**
 * Memory model: a virtual array of struct pages, backed block by block.
 */
#define RM_VMEMMAP 1

/**
 * Backing: a table of guest values and nothing else.
 */
#define RM_EMULATED 0

/**
 * Backing: a hardware table beside the table of guest values. Its entries hold references on pages.
 */
#define RM_PINNED 1

/**
 * Dialect: LoPAPR's answers.
 */
#define RM_LOPAPR 0

/**
 * Dialect: the answers of Linux's in-kernel handlers, 4.18 to 4.20.
 */
#define RM_KVM 1

/**
 * Dialect: the answers of QEMU 7.2 (emulated windows only).
 */
#define RM_QEMU 2

/**
 * H_SUCCESS.
 */
#define RM_H_SUCCESS 0

/**
 * H_HARDWARE.
 */
#define RM_H_HARDWARE -1

/**
 * H_FUNCTION.
 */
#define RM_H_FUNCTION -2

/**
 * H_PARAMETER.
 */
#define RM_H_PARAMETER -4

/**
 * H_P4.
 */
#define RM_H_P4 -57

/**
 * H_TOO_HARD: real mode leaves the call to virtual mode. A real-mode handler that returns it has changed nothing. The
 * virtual-mode handler then runs the same call on the same vCPU, and nothing else runs between them. The virtual-mode
 * handler never returns it.
 */
#define RM_H_TOO_HARD 9999

/**
 * A TCE lets the device read.
 */
#define RM_TCE_READ 1

/**
 * A TCE lets the device write.
 */
#define RM_TCE_WRITE 2

/**
 * struct page: offset of the 64-bit flags, little-endian.
 */
#define RM_PAGE_FLAGS 0

/**
 * struct page: offset of the 32-bit signed reference count, little-endian.
 */
#define RM_PAGE_COUNT 8

/**
 * struct page: offset of 64 bits, little-endian: for a head its order, for a tail the pfn of its head, else 0.
 */
#define RM_PAGE_COMPOUND 16

/**
 * Flag: the head of a compound page.
 */
#define RM_PAGE_HEAD 1

/**
 * Flag: a tail of a compound page. Its own count stays 0: its references and DIRTY are kept on the head.
 */
#define RM_PAGE_TAIL 2

/**
 * Flag: the page was written since it was last clean.
 */
#define RM_PAGE_DIRTY 4

/**
 * A node of the vmemmap list: offset of the real address of the next node (0 in the last), 64 bits, little-endian.
 */
#define RM_NODE_NEXT 0

/**
 * A node of the vmemmap list: offset of the block's real address.
 */
#define RM_NODE_REAL 8

/**
 * A node of the vmemmap list: offset of the block's virtual address.
 */
#define RM_NODE_VIRTUAL 16

/**
 * Page-table entry: a hole. No page is mapped, and none can be faulted in.
 */
#define RM_PTE_HOLE 0

/**
 * Page-table entry: a page is mapped.
 */
#define RM_PTE_PRESENT 1

/**
 * Page-table entry: a whole compound page of 2^order pages is mapped. `pfn` is its head.
 */
#define RM_PTE_HUGE 2

/**
 * Page-table entry: virtual mode can fault the page in. The entry then becomes present, writable and young, and the
 * page gets one reference.
 */
#define RM_PTE_ABSENT 3

/**
 * Answer of a probe: the reference was not taken or given back; the count stays as it was.
 */
#define RM_PROBE_NO 0

/**
 * Answer of a probe: the reference was taken or given back.
 */
#define RM_PROBE_YES 1

/**
 * Answer of a probe: the page has no struct page.
 */
#define RM_PROBE_NO_PAGE 2

/**
 * Answer of a probe: the page is the head or a tail of a compound page, and was left alone.
 */
#define RM_PROBE_COMPOUND 3

/**
 * Call: H_GET_TCE, a bit of `rm_coverage.calls`.
 */
#define RM_GET_TCE 1

/**
 * Call: H_PUT_TCE.
 */
#define RM_PUT_TCE 2

/**
 * Call: H_PUT_TCE_INDIRECT.
 */
#define RM_PUT_TCE_INDIRECT 4

/**
 * Call: H_STUFF_TCE.
 */
#define RM_STUFF_TCE 8

/**
 * A bit of `rm_implementation.flags`: map memory for plain pointers (see `rm_machine.linear`).
 */
#define RM_MAP_MEMORY 1

/**
 * Limit of the windows of a machine at a time.
 */
#define RM_MAX_WINDOWS 512

/**
 * Limit of the memory slots. Their numbers lie below it.
 */
#define RM_MAX_SLOTS 512

/**
 * Limit of the vCPUs. Their numbers lie below it.
 */
#define RM_MAX_VCPUS 8

/**
 * Limit of the entries of a window, and so of one H_STUFF_TCE in dialects other than lopapr.
 */
#define RM_MAX_WINDOW_ENTRIES 65536

/**
 * Limit of the entries of one H_PUT_TCE_INDIRECT, and in dialect lopapr of one H_STUFF_TCE.
 */
#define RM_MAX_TCES 512

/**
 * Limit of the vmemmap blocks that are backed at a time, and so of the nodes of the vmemmap list.
 */
#define RM_MAX_BLOCKS 43690

/**
 * All real addresses lie below 2 to the power of this.
 */
#define RM_MAX_PHYSMEM_BITS 46

/**
 * A CPU while it runs one call. The pointer is valid until that call returns.
 */
struct rm_cpu;

/**
 * `count` vmemmap blocks at consecutive real addresses.
 */
struct rm_run {
  /**
   * Real address of the first block.
   */
  uint64_t real;
  /**
   * Number of blocks.
   */
  uint64_t count;
};

/**
 * Backed vmemmap blocks at boot: block number `first` and those after it.
 */
struct rm_blocks {
  /**
   * Number of the first block: (its virtual address - vmemmap_base) >> block_shift.
   */
  uint64_t first;
  /**
   * Number of blocks, and their real addresses.
   */
  struct rm_run run;
};

/**
 * A memory slot: maps guest frames from `gfn` on to host virtual addresses from `hva` on.
 */
struct rm_slot {
  /**
   * Its number, below `RM_MAX_SLOTS`.
   */
  uint32_t id;
  /**
   * Zero.
   */
  uint32_t reserved;
  /**
   * Number of the first guest frame.
   */
  uint64_t gfn;
  /**
   * Number of pages of the host. 0 in a notice says that the slot is deleted.
   */
  uint64_t pages;
  /**
   * Host virtual address of the first byte.
   */
  uint64_t hva;
};

/**
 * A DMA window. Entry i lies at `table + 8 * i` and covers the page of I/O bus addresses from `base + (i <<
 * page_shift)`.
 */
struct rm_window {
  /**
   * The LIOBN, which names the window in calls.
   */
  uint64_t liobn;
  /**
   * log2 of the size of its page: 12 to 34.
   */
  uint32_t page_shift;
  /**
   * `RM_EMULATED` or `RM_PINNED`.
   */
  uint32_t backing;
  /**
   * I/O bus address of entry 0.
   */
  uint64_t base;
  /**
   * Number of entries, 1 to `RM_MAX_WINDOW_ENTRIES`.
   */
  uint64_t entries;
  /**
   * Real address of the table of guest values, big-endian.
   */
  uint64_t table;
  /**
   * Pinned windows: real address of the hardware table, big-endian. An entry is `pfn << PAGE_SHIFT | address bits
   * inside the page | permissions`, and 0 for a fault TCE. Emulated windows: 0.
   */
  uint64_t hardware;
};

/**
 * An entry of the host's page table.
 */
struct rm_pte {
  /**
   * Its page; for a huge entry the head. 0 for a hole.
   */
  uint64_t pfn;
  /**
   * `RM_PTE_HOLE`, `RM_PTE_PRESENT`, `RM_PTE_HUGE` or `RM_PTE_ABSENT`.
   */
  uint8_t kind;
  /**
   * Huge entries: the order of the compound page. Else 0.
   */
  uint8_t order;
  /**
   * Present and huge entries: 1 if the page may be written.
   */
  uint8_t writable;
  /**
   * Present and huge entries: 1 if the page was written.
   */
  uint8_t dirty;
  /**
   * Present and huge entries: 1 if the page was accessed lately.
   */
  uint8_t young;
  /**
   * Zero. The harness ignores it.
   */
  uint8_t reserved[3];
};

/**
 * The services: functions of the harness that an implementation calls. All addresses (`ea`) are real addresses, with
 * the nibble of the linear map (0xc) or without it. Virtual mode may also name struct pages by their vmemmap address.
 * An access that the mode cannot make is a finding; a load then gives 0, and a store does nothing. Numbers are
 * little-endian, so the bytes of a TCE must be swapped.
 *
 * Each access counts (see `rm_bound`). Calls run one at a time today. Still, another CPU may run at any service, so a
 * value that was read before it may have changed after it.
 */
struct rm_services {
  /**
   * Loads 8 bytes, with acquire ordering. `ea` is a multiple of 8.
   */
  uint64_t (*load64)(struct rm_cpu *cpu, uint64_t ea);
  /**
   * Stores 8 bytes, with release ordering. `ea` is a multiple of 8.
   */
  void (*store64)(struct rm_cpu *cpu, uint64_t ea, uint64_t value);
  /**
   * Exchanges 8 bytes and returns the old value.
   */
  uint64_t (*exchange64)(struct rm_cpu *cpu, uint64_t ea, uint64_t value);
  /**
   * Stores `desired` if the 8 bytes equal `*expected`, and returns true; `*expected` stays. Success is fully
   * ordered. Else puts the value that is there into `*expected` and returns false.
   */
  bool (*compare_exchange64)(struct rm_cpu *cpu, uint64_t ea, uint64_t *expected, uint64_t desired);
  /**
   * Loads a reference count of 4 bytes, with acquire ordering. `ea` is a multiple of 4.
   */
  int32_t (*load32)(struct rm_cpu *cpu, uint64_t ea);
  /**
   * Like `compare_exchange64`, for 4 bytes.
   */
  bool (*compare_exchange32)(struct rm_cpu *cpu, uint64_t ea, int32_t *expected, int32_t desired);
  /**
   * Returns true if the CPU runs with its MMU off.
   */
  bool (*real_mode)(struct rm_cpu *cpu);
  /**
   * Returns the number of the vCPU, below `RM_MAX_VCPUS`.
   */
  uint32_t (*vcpu)(struct rm_cpu *cpu);
  /**
   * Puts the host virtual address of a guest physical address into `*hva` and returns true; returns false if the
   * address lies in no memory slot. It does not count as an access.
   */
  bool (*slot)(struct rm_cpu *cpu, uint64_t gpa, uint64_t *hva);
  /**
   * Puts the page-table entry of the page that holds `hva` into `*entry`.
   */
  void (*load_pte)(struct rm_cpu *cpu, uint64_t hva, struct rm_pte *entry);
  /**
   * Replaces the page-table entry of the page that holds `hva` if it is `*expected`, and returns true; `*expected`
   * stays. Else puts the entry that is there into `*expected` and returns false. The new entry differs only in its
   * bits, or makes an absent page present. Reserved bytes are ignored.
   */
  bool (*compare_exchange_pte)(struct rm_cpu *cpu, uint64_t hva, struct rm_pte *expected, const struct rm_pte *desired);
  /**
   * Tells the harness that the implementation asks for memory. In real mode that is a finding.
   */
  void (*allocate)(struct rm_cpu *cpu, uint64_t bytes);
  /**
   * Tells the harness that a page whose last reference is gone goes to the allocator. In real mode that is a
   * finding. For a compound page `pfn` is the head.
   */
  void (*free_page)(struct rm_cpu *cpu, uint64_t pfn);
  /**
   * Adds a line to the report of a finding. The last 16 lines of a program are kept, and the first 200 bytes of
   * each.
   */
  void (*log)(struct rm_cpu *cpu, const char *line);
};

/**
 * A machine. It is valid from `start` to `stop` and describes the state at `start`. Later changes come as notices.
 */
struct rm_machine {
  /**
   * The dialect whose answers are expected: `RM_LOPAPR`, `RM_KVM` or `RM_QEMU`.
   */
  uint32_t dialect;
  /**
   * PAGE_SHIFT, log2 of the size of the host's page: 12 or 16.
   */
  uint32_t page_shift;
  /**
   * Size of a struct page in bytes: 56, 64, 72 or 80.
   */
  uint32_t struct_page;
  /**
   * `RM_FLATMEM` or `RM_VMEMMAP`.
   */
  uint32_t memory_model;
  /**
   * Flatmem: real address of the struct page of pfn 0.
   */
  uint64_t array;
  /**
   * Flatmem: number of pages.
   */
  uint64_t pages;
  /**
   * Vmemmap: virtual address of the struct page of pfn 0.
   */
  uint64_t vmemmap_base;
  /**
   * Vmemmap: log2 of the size of a block: 12, 16, 21 or 24.
   */
  uint32_t block_shift;
  /**
   * Zero.
   */
  uint32_t reserved;
  /**
   * Vmemmap: real address of the word that holds the real address of the list's first node, 0 for none. The harness
   * maintains the list. It pushes new nodes on the front, and reuses removed nodes last in, first out.
   */
  uint64_t list;
  /**
   * Vmemmap: numbers of the present sections (of 2^24 bytes), ascending.
   */
  const uint64_t *sections;
  /**
   * Number of sections.
   */
  size_t section_count;
  /**
   * Vmemmap: the backed blocks, ascending.
   */
  const struct rm_blocks *blocks;
  /**
   * Number of entries of `blocks`.
   */
  size_t block_count;
  /**
   * The memory slots.
   */
  const struct rm_slot *slots;
  /**
   * Number of slots.
   */
  size_t slot_count;
  /**
   * The DMA windows.
   */
  const struct rm_window *windows;
  /**
   * Number of windows.
   */
  size_t window_count;
  /**
   * The functions that the implementation calls.
   */
  const struct rm_services *services;
  /**
   * With `RM_MAP_MEMORY`: the linear map. The byte at real address r is at `linear + r`, for struct pages, tables,
   * the vmemmap list and the guest's pages. Everything between them is not mapped, and an access there is a crash.
   * NULL without that flag.
   *
   * The harness sees accesses through this pointer at the end of the call (or at its next service), as differences
   * of memory: which words changed, from what to what, and whether the handler may change them. It finds a last
   * release in real mode, a stray store, a wrong result and a leak. It does not see in which order stores were made
   * (`REF.HELD` between them), how many accesses there were (`RM.BOUNDED`), whether a list was read twice
   * (`LIST.SNAPSHOT`), a value that was put back, or a load that real mode cannot make.
   */
  void *linear;
};

/**
 * What an implementation covers. The harness does not send it other steps, and counts them as not asked. All bytes are
 * 0xa5 when `start` gets the struct; `start` must fill in every field.
 */
struct rm_coverage {
  /**
   * Bits `1 << RM_FLATMEM` and `1 << RM_VMEMMAP`.
   */
  uint32_t memory_models;
  /**
   * Bits `1 << RM_EMULATED` and `1 << RM_PINNED`.
   */
  uint32_t backings;
  /**
   * Bits `1 << RM_LOPAPR`, `1 << RM_KVM` and `1 << RM_QEMU`.
   */
  uint32_t dialects;
  /**
   * Bits `RM_GET_TCE`, `RM_PUT_TCE`, `RM_PUT_TCE_INDIRECT` and `RM_STUFF_TCE`.
   */
  uint32_t calls;
  /**
   * 1 if there is a real-mode half, and the harness shall check what real mode owes; 0 if every call goes to virtual
   * mode.
   */
  uint32_t real_mode;
};

/**
 * The published bound: a real-mode call of `count` entries makes at most `base + per_entry * count` accesses.
 */
struct rm_bound {
  /**
   * Number of accesses whatever the count.
   */
  uint64_t base;
  /**
   * Number of accesses for each entry.
   */
  uint64_t per_entry;
};

/**
 * The handlers of one mode. A call whose handler is NULL is not covered. Each returns a status (r3).
 */
struct rm_handlers {
  /**
   * H_GET_TCE. `*tce` is r4, and is set on success only. Before the call it holds a value without meaning.
   */
  int64_t (*get_tce)(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t *tce);
  /**
   * H_PUT_TCE.
   */
  int64_t (*put_tce)(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t tce);
  /**
   * H_PUT_TCE_INDIRECT. `list` is the guest physical address of `count` big-endian TCEs.
   */
  int64_t (*put_tce_indirect)(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t list, uint64_t count);
  /**
   * H_STUFF_TCE.
   */
  int64_t (*stuff_tce)(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t tce, uint64_t count);
};

/**
 * An implementation. A function may be NULL only if its comment says so.
 *
 * The harness loads the library once for each thread, each time as a separate copy. Copies share no global variables,
 * and only one thread at a time runs in a copy.
 */
struct rm_implementation {
  /**
   * `RM_ABI`.
   */
  uint32_t abi;
  /**
   * sizeof(struct rm_implementation).
   */
  uint32_t bytes;
  /**
   * The name in reports: 1 to 64 letters, digits, '-', '_' and '.'.
   */
  const char *name;
  /**
   * `RM_MAP_MEMORY`, or 0.
   */
  uint64_t flags;
  /**
   * Starts a new machine. Memory already holds what the description says. Fills in `*coverage`. Returns 0, or an
   * error number, which is reported.
   */
  int (*start)(const struct rm_machine *machine, struct rm_coverage *coverage);
  /**
   * Ends the machine. May be NULL.
   */
  void (*stop)(void);
  /**
   * Returns the bound on the accesses of a real-mode call; the harness calls it before each. NULL: there is no
   * bound, and none is checked.
   */
  struct rm_bound (*bound)(void);
  /**
   * The handlers of real mode (MMU off).
   */
  struct rm_handlers real;
  /**
   * The handlers of virtual mode. Each runs the whole call. `rm_coverage.calls` is about these: a handler of `real`
   * that is NULL leaves its call to virtual mode.
   */
  struct rm_handlers virt;
  /**
   * Probe in real mode. Returns 1 and puts the real address of the page's struct page into `*real`, if its bytes lie
   * inside one backed block; else returns 0. NULL: not covered.
   */
  int (*pfn_to_page)(struct rm_cpu *cpu, uint64_t pfn, uint64_t *real);
  /**
   * Probe in real mode: takes a reference unless the count is 0. Returns `RM_PROBE_*`. NULL: not covered.
   */
  int (*get_page_unless_zero)(struct rm_cpu *cpu, uint64_t pfn);
  /**
   * Probe in real mode: gives a reference back unless it is the last. Returns `RM_PROBE_*`. NULL: not covered.
   */
  int (*put_page_unless_one)(struct rm_cpu *cpu, uint64_t pfn);
  /**
   * Notice: a section was added. `runs` has places for the blocks that only this section needs, lowest first; there
   * may be more places than blocks. The struct pages of the section are zero. May be NULL.
   */
  void (*hot_add)(uint64_t section, const struct rm_run *runs, size_t count);
  /**
   * Notice: a section, and the blocks that only it needs, are about to be removed. May be NULL.
   */
  void (*hot_remove)(uint64_t section);
  /**
   * Notice: a slot was set, or deleted if `pages` is 0. May be NULL.
   */
  void (*set_slot)(const struct rm_slot *slot);
  /**
   * Notice: a window was created. Its tables are zero. May be NULL.
   */
  void (*create_window)(const struct rm_window *window);
  /**
   * Virtual mode: closes the window. Every entry goes as by H_STUFF_TCE of 0; afterwards its LIOBN is unknown. NULL:
   * the harness never closes windows and does not look for leaks.
   */
  void (*close_window)(struct rm_cpu *cpu, uint64_t liobn);
};

#endif  /* REALMODE_H */
