/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Translation of a pfn to the address of its struct page.
 *
 * With vmemmap the struct pages lie in a virtual array that real mode cannot reach. In real memory
 * the host keeps a list of the blocks that back the array. Each node of the list has the virtual
 * and the real address of a block.
 */

#include "tce.h"

static bool uses_vmemmap(void)
{
	return tce_state.machine->memory_model == RM_VMEMMAP;
}

/** True if the struct page at this offset of a block lies wholly in the block. */
static bool fits_block(uint64_t offset)
{
	uint64_t block = UINT64_C(1) << tce_state.machine->block_shift;

	return offset < block && block - offset >= tce_state.machine->struct_page;
}

/**
 * Finds the block of a virtual address. Looks at all nodes, because hot-plug puts new ones in
 * front and the list is not sorted. A struct page that straddles two blocks is in neither, even if
 * the blocks are neighbours in real memory.
 */
static bool walk_blocks(struct rm_cpu *cpu, uint64_t virtual, uint64_t *page)
{
	uint64_t node = load64(cpu, tce_state.machine->list);

	for (; node; node = load64(cpu, node + RM_NODE_NEXT)) {
		/* wraps to a huge number if the block begins above */
		uint64_t offset = virtual - load64(cpu, node + RM_NODE_VIRTUAL);

		if (fits_block(offset)) {
			*page = load64(cpu, node + RM_NODE_REAL) + offset;
			return true;
		}
	}
	return false;
}

/** Finds the real address of a struct page. False if real mode cannot use it. */
bool realmode_pfn_to_page(struct rm_cpu *cpu, uint64_t pfn, uint64_t *page)
{
	const struct rm_machine *machine = tce_state.machine;
	uint64_t offset = pfn * machine->struct_page;

	if (pfn >> (RM_MAX_PHYSMEM_BITS - machine->page_shift))
		return false;
	if (!uses_vmemmap()) {
		*page = machine->array + offset;
		return pfn < machine->pages;
	}
	if (offset > UINT64_MAX - machine->vmemmap_base)
		return false;
	return walk_blocks(cpu, machine->vmemmap_base + offset, page);
}

/** The virtual address of the struct page of a page that exists, for virtual mode. */
uint64_t pfn_to_page(uint64_t pfn)
{
	const struct rm_machine *machine = tce_state.machine;
	uint64_t array = uses_vmemmap() ? machine->vmemmap_base : machine->array;

	return array + pfn * machine->struct_page;
}

/** The page that keeps the reference count and DIRTY of this one, for virtual mode. */
uint64_t compound_head(struct rm_cpu *cpu, uint64_t pfn)
{
	uint64_t page = pfn_to_page(pfn);

	if (load64(cpu, page + RM_PAGE_FLAGS) & RM_PAGE_TAIL)
		return load64(cpu, page + RM_PAGE_COMPOUND);
	return pfn;
}

/**
 * The most accesses that `realmode_pfn_to_page` makes: the first word, two of each node, and the
 * real address.
 */
uint64_t walk_accesses(void)
{
	return uses_vmemmap() ? 2 + 2 * tce_state.blocks : 0;
}

static void count_blocks(uint64_t count)
{
	uint64_t room = RM_MAX_BLOCKS - tce_state.blocks;

	tce_state.blocks += count < room ? count : room;
}

void count_boot_blocks(void)
{
	size_t i;

	tce_state.blocks = 0;
	for (i = 0; i < tce_state.machine->block_count; i++)
		count_blocks(tce_state.machine->blocks[i].run.count);
}

/**
 * The number of blocks is an upper bound, not the length of the list: `runs` may have more places
 * than there are new blocks, and removed blocks are not subtracted.
 */
void count_new_blocks(const struct rm_run *runs, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		count_blocks(runs[i].count);
}
