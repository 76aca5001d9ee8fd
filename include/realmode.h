/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The interface between realmode-diff and an implementation in C of real-mode TCE handling: pfn to page, conditional references, and
 * H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE. What is promised stands in docs/semantics.md, how to begin in
 * docs/bring-your-own.md, and a whole implementation in examples/c/.
 *
 * A library exports one function,
 *
 *     const struct rm_implementation *realmode_implementation(void);
 *
 * and is run with `realmode fuzz --subject ./libmine.so`. Compile with -fPIC -fexceptions: a handler that makes no end is left by
 * unwinding.
 *
 * Written from abi/src/header.rs; a test compares them.
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
 * The version of this interface, for `rm_implementation.abi`. It goes up whenever what was compiled against an earlier
 * header would be misunderstood; the harness takes no other version than its own.
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
 * Backing: the guest's value is stored, nothing else.
 */
#define RM_EMULATED 0

/**
 * Backing: a hardware table beside the guest's values, whose entries hold references on pages.
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
 * H_TOO_HARD: 'not in real mode'. A real-mode handler that answers it has changed nothing; the virtual-mode handler
 * then runs the same call on the same vCPU, and nothing else runs between them. The virtual-mode handler never answers
 * it.
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
 * struct page: offset of 64 bits, little-endian: a head's order, a tail's head (as a pfn).
 */
#define RM_PAGE_COMPOUND 16

/**
 * Flag of a compound page's head.
 */
#define RM_PAGE_HEAD 1

/**
 * Flag of a compound page's tails, whose own count stays 0: their references and DIRTY are the head's.
 */
#define RM_PAGE_TAIL 2

/**
 * Flag: written since it was last clean.
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
 * Page-table entry: nothing is there, and nothing can be.
 */
#define RM_PTE_HOLE 0

/**
 * Page-table entry: a page is there.
 */
#define RM_PTE_PRESENT 1

/**
 * Page-table entry: it covers 2^order pages, a whole compound page; `pfn` is the head's.
 */
#define RM_PTE_HUGE 2

/**
 * Page-table entry: the page can be faulted in, in virtual mode: becomes present, writable and young with one
 * reference on the page.
 */
#define RM_PTE_ABSENT 3

/**
 * Answer of a probe: the count stayed as it was.
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
 * Answer of a probe: the page is a compound page's head or tail, and was left alone.
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
 * A bit of `rm_implementation.flags`: map memory directly (see `rm_machine.linear`).
 */
#define RM_MAP_MEMORY 1

/**
 * Most windows of a machine at a time.
 */
#define RM_MAX_WINDOWS 512

/**
 * Most memory slots; their numbers lie below it.
 */
#define RM_MAX_SLOTS 512

/**
 * Most virtual CPUs; their numbers lie below it.
 */
#define RM_MAX_VCPUS 8

/**
 * Most entries of a window, and so of one H_STUFF_TCE in the other dialects.
 */
#define RM_MAX_WINDOW_ENTRIES 65536

/**
 * Most entries of one H_PUT_TCE_INDIRECT, and in dialect lopapr of one H_STUFF_TCE.
 */
#define RM_MAX_TCES 512

/**
 * Most vmemmap blocks that are backed at a time, and so nodes of the list.
 */
#define RM_MAX_BLOCKS 43690

/**
 * log2 of the end of all real addresses.
 */
#define RM_MAX_PHYSMEM_BITS 46

/**
 * A CPU while it runs one call. It is valid until that call returns.
 */
struct rm_cpu;

/**
 * `count` blocks of vmemmap at consecutive real addresses.
 */
struct rm_run {
  /**
   * Real address of the first.
   */
  uint64_t real;
  /**
   * How many.
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
   * Where they lie.
   */
  struct rm_run run;
};

/**
 * A memory slot: guest frames from `gfn` on are host virtual addresses from `hva` on.
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
   * First guest frame.
   */
  uint64_t gfn;
  /**
   * Pages of the host; 0 in a notice that the slot is deleted.
   */
  uint64_t pages;
  /**
   * Host virtual address of the first byte.
   */
  uint64_t hva;
};

/**
 * A DMA window. Entry i is at `table + 8 * i` and covers `base + (i << page_shift)`.
 */
struct rm_window {
  /**
   * Its name.
   */
  uint64_t liobn;
  /**
   * log2 of its page, 12 to 34.
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
   * Entries, 1 to `RM_MAX_WINDOW_ENTRIES`.
   */
  uint64_t entries;
  /**
   * Real address of the guest's values, big-endian.
   */
  uint64_t table;
  /**
   * Pinned windows: real address of the hardware entries, big-endian, `pfn << PAGE_SHIFT | address bits inside the
   * page | permissions`.
   */
  uint64_t hardware;
};

/**
 * An entry of the host's page table.
 */
struct rm_pte {
  /**
   * The page; the head for a huge entry.
   */
  uint64_t pfn;
  /**
   * `RM_PTE_HOLE`, `RM_PTE_PRESENT`, `RM_PTE_HUGE` or `RM_PTE_ABSENT`.
   */
  uint8_t kind;
  /**
   * Huge entries: the compound page's order. Else 0.
   */
  uint8_t order;
  /**
   * Present and huge: may be written.
   */
  uint8_t writable;
  /**
   * Present and huge: was written.
   */
  uint8_t dirty;
  /**
   * Present and huge: was accessed.
   */
  uint8_t young;
  /**
   * Zero, and ignored.
   */
  uint8_t reserved[3];
};

/**
 * What the harness does for an implementation. All addresses are real addresses with the linear map's nibble (0xc) or
 * without it; in virtual mode struct pages may be named by their vmemmap address as well. An address that the mode
 * cannot reach is a finding, reads 0, and is not stored to. Numbers are little-endian, so a TCE wants its bytes
 * swapped.
 *
 * Each access counts (`rm_bound`). Calls run one at a time today; still, a service may be where another CPU comes in,
 * so what was read before one may have changed after it.
 */
struct rm_services {
  /**
   * Loads 8 bytes, with acquire ordering. `ea` is a multiple of 8.
   */
  uint64_t (*load64)(struct rm_cpu *cpu, uint64_t ea);
  /**
   * Stores 8 bytes, with release ordering.
   */
  void (*store64)(struct rm_cpu *cpu, uint64_t ea, uint64_t value);
  /**
   * Exchanges 8 bytes; answers what was there.
   */
  uint64_t (*exchange64)(struct rm_cpu *cpu, uint64_t ea, uint64_t value);
  /**
   * Stores `desired` where `*expected` is, fully ordered, and answers true, with `*expected` as it was; else puts
   * what is there into `*expected`.
   */
  bool (*compare_exchange64)(struct rm_cpu *cpu, uint64_t ea, uint64_t *expected, uint64_t desired);
  /**
   * Loads 4 bytes, with acquire ordering: a reference count. `ea` is a multiple of 4.
   */
  int32_t (*load32)(struct rm_cpu *cpu, uint64_t ea);
  /**
   * The same as `compare_exchange64` for 4 bytes.
   */
  bool (*compare_exchange32)(struct rm_cpu *cpu, uint64_t ea, int32_t *expected, int32_t desired);
  /**
   * True while the CPU runs with its MMU off.
   */
  bool (*real_mode)(struct rm_cpu *cpu);
  /**
   * The virtual CPU's number, below `RM_MAX_VCPUS`.
   */
  uint32_t (*vcpu)(struct rm_cpu *cpu);
  /**
   * The host's virtual address of a guest's physical address; false where it lies in no memory slot. No access.
   */
  bool (*slot)(struct rm_cpu *cpu, uint64_t gpa, uint64_t *hva);
  /**
   * The page-table entry of the page that holds `hva`.
   */
  void (*load_pte)(struct rm_cpu *cpu, uint64_t hva, struct rm_pte *entry);
  /**
   * Replaces that entry if it is `*expected` and answers true, with `*expected` as it was; else puts what is there
   * into `*expected`. The new entry differs in its bits only, or makes an absent page present. Reserved bytes are
   * ignored.
   */
  bool (*compare_exchange_pte)(struct rm_cpu *cpu, uint64_t hva, struct rm_pte *expected, const struct rm_pte *desired);
  /**
   * Tells that memory is asked for: a finding in real mode.
   */
  void (*allocate)(struct rm_cpu *cpu, uint64_t bytes);
  /**
   * Tells that a page, whose last reference is gone, goes to the allocator: a finding in real mode. Of a compound
   * page `pfn` is the head's.
   */
  void (*free_page)(struct rm_cpu *cpu, uint64_t pfn);
  /**
   * A line for the report of a finding; the last 16 of a program are kept, and 200 bytes of each.
   */
  void (*log)(struct rm_cpu *cpu, const char *line);
};

/**
 * A machine. It is valid from `start` to `stop`, and says how things are at `start`: later changes come as notices.
 */
struct rm_machine {
  /**
   * Whose answers are expected: `RM_LOPAPR`, `RM_KVM` or `RM_QEMU`.
   */
  uint32_t dialect;
  /**
   * log2 of the host's page: 12 or 16.
   */
  uint32_t page_shift;
  /**
   * Bytes of a struct page: 56, 64, 72 or 80.
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
   * Flatmem: pages.
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
   * keeps the list: new nodes in front, removed nodes used again last in, first out.
   */
  uint64_t list;
  /**
   * Vmemmap: numbers of the sections (of 2^24 bytes) that are present, ascending.
   */
  const uint64_t *sections;
  /**
   * How many.
   */
  size_t section_count;
  /**
   * Vmemmap: the blocks that they need, ascending.
   */
  const struct rm_blocks *blocks;
  /**
   * How many runs of them.
   */
  size_t block_count;
  /**
   * Memory slots.
   */
  const struct rm_slot *slots;
  /**
   * How many.
   */
  size_t slot_count;
  /**
   * DMA windows.
   */
  const struct rm_window *windows;
  /**
   * How many.
   */
  size_t window_count;
  /**
   * What the harness does for you.
   */
  const struct rm_services *services;
  /**
   * With `RM_MAP_MEMORY`: the linear map. The byte at real address r is at `linear + r`, for struct pages, tables,
   * the vmemmap list and the guest's pages; everything between them is not mapped, and touching it is a crash. NULL
   * without that flag.
   *
   * What is done through this pointer is seen at the end of the call (or at its next service), as differences of
   * memory: which words changed, from what to what, and whether the handler may change them. A last release in real
   * mode, a stray store, a wrong result, a leak are found. Not seen: in which order stores were made (`REF.HELD`
   * between them), how many accesses (`RM.BOUNDED`), whether a list was read twice (`LIST.SNAPSHOT`), a value that
   * was put back, and a read of what real mode cannot reach.
   */
  void *linear;
};

/**
 * What an implementation covers; what it does not cover it is not asked, and that is counted. All bytes are 0xa5 when
 * `start` gets it: each field is to be filled in.
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
   * 1 if there is a real-mode half and what real mode owes is to be checked, 0 if every call goes to virtual mode.
   */
  uint32_t real_mode;
};

/**
 * The published bound: a real-mode call of `count` entries makes at most `base + per_entry * count` accesses.
 */
struct rm_bound {
  /**
   * Accesses whatever the count.
   */
  uint64_t base;
  /**
   * Accesses an entry.
   */
  uint64_t per_entry;
};

/**
 * The handlers of one mode. One that is NULL is not covered. Each answers with a status (r3).
 */
struct rm_handlers {
  /**
   * H_GET_TCE. `*tce` is r4: set on success only. It holds a value of no meaning before.
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
 * An implementation. Functions that are marked so may be NULL.
 *
 * The harness loads the library once for each thread, each time as a copy of its own: global variables are never
 * shared, and one thread at a time is inside.
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
   * The name in reports: letters, digits, '-', '_' and '.'.
   */
  const char *name;
  /**
   * `RM_MAP_MEMORY`, or 0.
   */
  uint64_t flags;
  /**
   * A new machine; memory already holds what its description says. Fills `coverage` in. 0, or an error: a number
   * that is told.
   */
  int (*start)(const struct rm_machine *machine, struct rm_coverage *coverage);
  /**
   * The machine goes. May be NULL.
   */
  void (*stop)(void);
  /**
   * The bound on accesses of real-mode calls, asked for before each. NULL: there is none, and it is not checked.
   */
  struct rm_bound (*bound)(void);
  /**
   * Real mode: MMU off.
   */
  struct rm_handlers real;
  /**
   * Virtual mode: runs the whole call. These are the handlers that count for `rm_coverage.calls`; one of `real` that
   * is NULL leaves its call to virtual mode.
   */
  struct rm_handlers virt;
  /**
   * Probe in real mode: 1 and in `*real` the real address of the page's struct page, if its bytes lie inside one
   * backed block; else 0. NULL: not covered.
   */
  int (*pfn_to_page)(struct rm_cpu *cpu, uint64_t pfn, uint64_t *real);
  /**
   * Probe in real mode: takes a reference unless the count is 0. Answers `RM_PROBE_*`. NULL: not covered.
   */
  int (*get_page_unless_zero)(struct rm_cpu *cpu, uint64_t pfn);
  /**
   * Probe in real mode: gives a reference back unless it is the last. Answers `RM_PROBE_*`. NULL: not covered.
   */
  int (*put_page_unless_one)(struct rm_cpu *cpu, uint64_t pfn);
  /**
   * Notice: a section was added; the blocks that it is the first to need lie at `runs`, lowest first (there may be
   * more places than blocks). Their struct pages are zero. May be NULL.
   */
  void (*hot_add)(uint64_t section, const struct rm_run *runs, size_t count);
  /**
   * Notice: a section is about to go, with the blocks that no other needs. May be NULL.
   */
  void (*hot_remove)(uint64_t section);
  /**
   * Notice: a slot was set, or deleted where `pages` is 0. May be NULL.
   */
  void (*set_slot)(const struct rm_slot *slot);
  /**
   * Notice: a window was created; its tables are zero. May be NULL.
   */
  void (*create_window)(const struct rm_window *window);
  /**
   * Virtual mode: close the window. Every entry goes as by H_STUFF_TCE of 0; afterwards its LIOBN is unknown. NULL:
   * windows are never closed, and leaks not looked for.
   */
  void (*close_window)(struct rm_cpu *cpu, uint64_t liobn);
};

#endif  /* REALMODE_H */
