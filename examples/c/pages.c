/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * From a page's number to its struct page.
 *
 * With vmemmap the struct pages lie in a virtual array that real mode cannot reach. The host keeps
 * a list of the blocks that back it, in real memory: each node has the block's virtual and its real
 * address.
 */

#include "tce.h"

static bool uses_vmemmap(void)
{
	return tce_state.machine->memory_model == RM_VMEMMAP;
}

/** True if the struct page at offset `offset` of a block lies in it to its last byte. */
static bool fits_block(uint64_t offset)
{
	uint64_t block = UINT64_C(1) << tce_state.machine->block_shift;

	return offset < block && block - offset >= tce_state.machine->struct_page;
}

/**
 * Looks at all nodes: hot-plug puts new ones in front, whatever their addresses, so the list's
 * order means nothing. A struct page that straddles two blocks is in neither, even where their real
 * addresses are neighbours by chance.
 */
static bool walk_blocks(struct rm_cpu *cpu, uint64_t virtual, uint64_t *page)
{
	uint64_t node = load64(cpu, tce_state.machine->list);

	for (; node; node = load64(cpu, node + RM_NODE_NEXT)) {
		/* wraps to something huge where the block begins above */
		uint64_t offset = virtual - load64(cpu, node + RM_NODE_VIRTUAL);

		if (fits_block(offset)) {
			*page = load64(cpu, node + RM_NODE_REAL) + offset;
			return true;
		}
	}
	return false;
}

/** The real address of a page's struct page, false if it has none that real mode can use. */
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

/** In virtual mode the array is one piece. For pages that exist. */
uint64_t pfn_to_page(uint64_t pfn)
{
	const struct rm_machine *machine = tce_state.machine;
	uint64_t array = uses_vmemmap() ? machine->vmemmap_base : machine->array;

	return array + pfn * machine->struct_page;
}

/** Virtual mode: the page that has the references and the dirty flag of this one. */
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
 * There may be more places than new blocks, and blocks that go are not counted off: the number is a
 * bound, not the length of the list.
 */
void count_new_blocks(const struct rm_run *runs, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		count_blocks(runs[i].count);
}
