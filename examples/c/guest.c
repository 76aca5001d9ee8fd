/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * From guest physical addresses to host virtual ones, by memory slots, and from there to pages, by
 * the host's page table.
 */

#include "tce.h"

static struct rm_slot *slot_by_id(uint32_t id)
{
	size_t i;

	for (i = 0; i < tce_state.slot_count; i++) {
		if (tce_state.slots[i].id == id)
			return &tce_state.slots[i];
	}
	return NULL;
}

/** Sets, moves or (0 pages) deletes a slot. False: there is no room. */
bool set_slot(const struct rm_slot *slot)
{
	struct rm_slot *known = slot_by_id(slot->id);

	if (!slot->pages) {
		if (known)
			*known = tce_state.slots[--tce_state.slot_count];
		return true;
	}
	if (!known) {
		if (tce_state.slot_count == RM_MAX_SLOTS)
			return false;
		known = &tce_state.slots[tce_state.slot_count++];
	}
	*known = *slot;
	return true;
}

static const struct rm_slot *slot_of(uint64_t gfn)
{
	size_t i;

	for (i = 0; i < tce_state.slot_count; i++) {
		const struct rm_slot *slot = &tce_state.slots[i];

		if (gfn >= slot->gfn && gfn - slot->gfn < slot->pages)
			return slot;
	}
	return NULL;
}

/**
 * True if `pages` host pages from the one of `gpa` on lie in slots: one slot after the other, for a
 * window's page of 16 GiB has millions of them.
 */
bool guest_memory(uint64_t gpa, uint64_t pages)
{
	uint64_t gfn = gpa >> tce_state.machine->page_shift;

	for (;;) {
		const struct rm_slot *slot = slot_of(gfn);
		uint64_t covered;

		if (!slot)
			return false;
		covered = slot->pages - (gfn - slot->gfn);
		if (covered >= pages)
			return true;
		gfn += covered;
		pages -= covered;
	}
}

bool guest_to_host(uint64_t gpa, uint64_t *hva)
{
	uint32_t shift = tce_state.machine->page_shift;
	uint64_t gfn = gpa >> shift;
	const struct rm_slot *slot = slot_of(gfn);

	if (!slot)
		return false;
	*hva = slot->hva + ((gfn - slot->gfn) << shift) + (gpa & (host_page_size() - 1));
	return true;
}

/** Whether virtual mode could get at the page. One that is absent becomes writable. */
bool host_can_supply(const struct rm_pte *entry, bool write)
{
	if (entry->kind == RM_PTE_ABSENT)
		return true;
	return entry->kind != RM_PTE_HOLE && (entry->writable || !write);
}

/** A huge entry names its first page; the one at `hva` comes so many after it. */
uint64_t mapped_pfn(const struct rm_pte *entry, uint64_t hva)
{
	uint64_t page = hva >> tce_state.machine->page_shift;

	return entry->pfn + (page & ((UINT64_C(1) << entry->order) - 1));
}

/** The real address, in page `pfn`, of the byte at `hva`. */
uint64_t host_address(uint64_t pfn, uint64_t hva)
{
	return pfn << tce_state.machine->page_shift | (hva & (host_page_size() - 1));
}

/**
 * Reads each word once: the guest may change them meanwhile, and what was checked must be what is
 * stored.
 */
void read_words(struct rm_cpu *cpu, uint64_t real, uint64_t count, uint64_t *words)
{
	uint64_t i;

	for (i = 0; i < count; i++)
		words[i] = load_be64(cpu, real + 8 * i);
}
