/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Reference counts and the flag DIRTY. The head of a compound page keeps both; the caller passes
 * the head.
 *
 * The loops end: a compare-exchange fails only if that of another CPU has succeeded.
 */

#include "tce.h"

static int32_t load_count(struct rm_cpu *cpu, uint64_t page)
{
	return tce_state.services->load32(cpu, page + RM_PAGE_COUNT);
}

/** Adds with wrapping, on unsigned numbers, because signed overflow is undefined in C. */
static bool try_add(struct rm_cpu *cpu, uint64_t page, int32_t *count, int32_t delta)
{
	int32_t sum = (int32_t)((uint32_t)*count + (uint32_t)delta);

	return tce_state.services->compare_exchange32(cpu, page + RM_PAGE_COUNT, count, sum);
}

static bool add_unless(struct rm_cpu *cpu, uint64_t page, int32_t delta, int32_t unless)
{
	int32_t count = load_count(cpu, page);

	while (count != unless) {
		if (try_add(cpu, page, &count, delta))
			return true;
	}
	return false;
}

/** Takes a reference, except on a page with count 0, which is being freed. */
bool get_page_unless_zero(struct rm_cpu *cpu, uint64_t page)
{
	return add_unless(cpu, page, 1, 0);
}

/** Drops a reference unless it is the last: that frees the page, which real mode cannot do. */
bool put_page_unless_one(struct rm_cpu *cpu, uint64_t page)
{
	return add_unless(cpu, page, -1, 1);
}

/** Takes a reference on a page that cannot be freed meanwhile, for virtual mode. */
void get_page(struct rm_cpu *cpu, uint64_t pfn)
{
	uint64_t page = pfn_to_page(pfn);
	int32_t count = load_count(cpu, page);

	while (!try_add(cpu, page, &count, 1))
		;
}

/** Drops a reference and frees the page if it was the last, for virtual mode. */
void put_page(struct rm_cpu *cpu, uint64_t pfn)
{
	uint64_t page = pfn_to_page(pfn);
	int32_t count = load_count(cpu, page);

	while (!try_add(cpu, page, &count, -1))
		;
	if (count == 1)
		tce_state.services->free_page(cpu, pfn);
}

bool page_is_compound(struct rm_cpu *cpu, uint64_t page)
{
	return load64(cpu, page + RM_PAGE_FLAGS) & (RM_PAGE_HEAD | RM_PAGE_TAIL);
}

/** Sets DIRTY. The caller must hold a reference: a freed page may have another owner. */
void set_page_dirty(struct rm_cpu *cpu, uint64_t page)
{
	uint64_t flags = load64(cpu, page + RM_PAGE_FLAGS);

	while (!(flags & RM_PAGE_DIRTY)) {
		if (tce_state.services->compare_exchange64(cpu, page + RM_PAGE_FLAGS, &flags,
							   flags | RM_PAGE_DIRTY))
			return;
	}
}
