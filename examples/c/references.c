/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * References and the dirty flag. A compound page's are its head's; who calls has found the head.
 *
 * The loops end when a compare-exchange succeeds, and it fails only because another CPU's
 * succeeded.
 */

#include "tce.h"

static int32_t load_count(struct rm_cpu *cpu, uint64_t page)
{
	return tce_state.services->load32(cpu, page + RM_PAGE_COUNT);
}

/** Counts wrap, as they do in the hardware's arithmetic: signed overflow would be undefined. */
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

/** A count of 0 is a page that is being freed: too late for one more reference. */
bool get_page_unless_zero(struct rm_cpu *cpu, uint64_t page)
{
	return add_unless(cpu, page, 1, 0);
}

/** Who drops the last reference must free the page, which real mode cannot do. */
bool put_page_unless_one(struct rm_cpu *cpu, uint64_t page)
{
	return add_unless(cpu, page, -1, 1);
}

/** Virtual mode: a reference on a page that cannot go meanwhile, whatever its count. */
void get_page(struct rm_cpu *cpu, uint64_t pfn)
{
	uint64_t page = pfn_to_page(pfn);
	int32_t count = load_count(cpu, page);

	while (!try_add(cpu, page, &count, 1))
		;
}

/** Virtual mode: gives a reference back, and the page to the allocator if it was the last. */
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

/** To be called while the page is held: a freed page's flags are another owner's. */
void set_page_dirty(struct rm_cpu *cpu, uint64_t page)
{
	uint64_t flags = load64(cpu, page + RM_PAGE_FLAGS);

	while (!(flags & RM_PAGE_DIRTY)) {
		if (tce_state.services->compare_exchange64(cpu, page + RM_PAGE_FLAGS, &flags,
							   flags | RM_PAGE_DIRTY))
			return;
	}
}
