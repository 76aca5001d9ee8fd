/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Types and functions that the files of this implementation share. The terms are those of
 * docs/semantics.md. An argument `page` is the address of a struct page: a real address in real
 * mode, a virtual address in virtual mode.
 */

#ifndef TCE_H
#define TCE_H

#include "realmode.h"

enum {
	TCE_PERMISSIONS = RM_TCE_READ | RM_TCE_WRITE,
};

/** By how much a call changes the reference count of a page. */
struct change {
	uint64_t page;
	int64_t references;
};

/**
 * Working memory of a virtual CPU, because real mode cannot allocate. It is valid during one call.
 * Only `owed` lives longer: the real-mode half leaves it to the virtual-mode half of the same call.
 */
struct vcpu {
	uint64_t list[RM_MAX_TCES];	/* words copied from the guest */
	uint64_t targets[RM_MAX_TCES];	/* hardware entries made of `list` */
	/* changes of reference counts that real mode plans */
	struct change changes[RM_MAX_WINDOW_ENTRIES];
	uint64_t change_count;
	/* hardware entries whose references real mode could not give back, and its answer */
	uint64_t owed[RM_MAX_WINDOW_ENTRIES];
	uint64_t owed_count;
	int64_t answer;
};

/** The whole state of the implementation. */
struct tce_state {
	const struct rm_machine *machine;
	const struct rm_services *services;
	uint64_t blocks;	/* upper bound of the nodes on the vmemmap list */
	struct rm_window windows[RM_MAX_WINDOWS];
	size_t window_count;
	struct rm_slot slots[RM_MAX_SLOTS];
	size_t slot_count;
	struct vcpu vcpus[RM_MAX_VCPUS];
};

extern struct tce_state tce_state;

/**
 * A write of `values` to `count` entries of a window, from entry `first` on. With `step` 1 each
 * entry gets the next value, with `step` 0 all entries get the same one.
 */
struct update {
	const struct rm_window *window;
	uint64_t first;
	uint64_t count;
	const uint64_t *values;
	uint64_t step;
	bool from_list;
};

/** The steps that differ between the halves. Both halves share the checks of the arguments. */
struct half {
	/** Copies `count` words of the list at `hva`. H_PARAMETER if there is no page. */
	int64_t (*copy_list)(struct rm_cpu *cpu, uint64_t hva, uint64_t count, uint64_t *words);
	/** Writes the hardware entries of a pinned window, and takes and drops references. */
	int64_t (*exchange)(struct rm_cpu *cpu, const struct update *update);
};

/* Access to memory through the harness. */

static inline uint64_t load64(struct rm_cpu *cpu, uint64_t ea)
{
	return tce_state.services->load64(cpu, ea);
}

/** Loads a big-endian word of a table or list. The services are little-endian on any host. */
static inline uint64_t load_be64(struct rm_cpu *cpu, uint64_t ea)
{
	return __builtin_bswap64(load64(cpu, ea));
}

static inline struct vcpu *this_vcpu(struct rm_cpu *cpu)
{
	return &tce_state.vcpus[tce_state.services->vcpu(cpu)];
}

static inline uint64_t host_page_size(void)
{
	return UINT64_C(1) << tce_state.machine->page_shift;
}

/* pages.c */
bool realmode_pfn_to_page(struct rm_cpu *cpu, uint64_t pfn, uint64_t *page);
uint64_t pfn_to_page(uint64_t pfn);
uint64_t compound_head(struct rm_cpu *cpu, uint64_t pfn);
uint64_t walk_accesses(void);
void count_boot_blocks(void);
void count_new_blocks(const struct rm_run *runs, size_t count);

/* references.c */
bool page_is_compound(struct rm_cpu *cpu, uint64_t page);
void set_page_dirty(struct rm_cpu *cpu, uint64_t page);
bool get_page_unless_zero(struct rm_cpu *cpu, uint64_t page);
bool put_page_unless_one(struct rm_cpu *cpu, uint64_t page);
void get_page(struct rm_cpu *cpu, uint64_t pfn);
void put_page(struct rm_cpu *cpu, uint64_t pfn);

/* guest.c */
bool set_slot(const struct rm_slot *slot);
bool guest_memory(uint64_t gpa, uint64_t pages);
bool guest_to_host(uint64_t gpa, uint64_t *hva);
bool host_can_supply(const struct rm_pte *entry, bool write);
uint64_t mapped_pfn(const struct rm_pte *entry, uint64_t hva);
uint64_t host_address(uint64_t pfn, uint64_t hva);
void read_words(struct rm_cpu *cpu, uint64_t real, uint64_t count, uint64_t *words);

/* windows.c */
bool add_window(const struct rm_window *window);
void remove_window(const struct rm_window *window);
const struct rm_window *find_window(uint64_t liobn);
bool find_entry(const struct rm_window *window, uint64_t ioba, uint64_t *index);
uint64_t hardware_entry(struct rm_cpu *cpu, const struct update *update, uint64_t i);
uint64_t exchange_hardware(struct rm_cpu *cpu, const struct update *update, uint64_t i,
			   uint64_t entry);
void store_values(struct rm_cpu *cpu, const struct update *update);
uint64_t distinct_values(const struct update *update);
uint64_t make_entry(uint64_t tce, uint64_t pfn);
uint64_t entry_pfn(uint64_t entry);

/* hypercalls.c */
int64_t get_tce(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t *tce);
int64_t put_tce(struct rm_cpu *cpu, const struct half *half, uint64_t liobn, uint64_t ioba,
		uint64_t tce);
int64_t put_tce_indirect(struct rm_cpu *cpu, const struct half *half, uint64_t liobn,
			 uint64_t ioba, uint64_t list, uint64_t count);
int64_t stuff_tce(struct rm_cpu *cpu, const struct half *half, uint64_t liobn, uint64_t ioba,
		  uint64_t tce, uint64_t count);
void clear_window(struct rm_cpu *cpu, const struct half *half, const struct rm_window *window);

/* sort.c */
void sort_by_page(struct change *changes, size_t count);

/* real.c and virtual.c */
struct rm_bound real_bound(void);
void close_window(struct rm_cpu *cpu, uint64_t liobn);

extern const struct rm_handlers real_handlers;
extern const struct rm_handlers virtual_handlers;

#endif
