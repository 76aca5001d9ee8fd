/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Guest memory: memory slots translate guest physical addresses to host virtual ones, and the
 * host's page table translates those to pages.
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

/** Sets a slot, or deletes it if it has 0 pages. False if there are too many slots. */
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
 * True if `pages` host pages from the one of `gpa` on lie in slots. Goes slot by slot and not page
 * by page, because a window's page of 16 GiB has millions of host pages.
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

/** True if virtual mode can supply the page. It makes an absent page writable. */
bool host_can_supply(const struct rm_pte *entry, bool write)
{
	if (entry->kind == RM_PTE_ABSENT)
		return true;
	return entry->kind != RM_PTE_HOLE && (entry->writable || !write);
}

/** The page at `hva`. A huge entry names only its first page. */
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
 * Copies words of a list. Reads each word once, because the guest may change it, and the call must
 * store the value that it has checked.
 */
void read_words(struct rm_cpu *cpu, uint64_t real, uint64_t count, uint64_t *words)
{
	uint64_t i;

	for (i = 0; i < count; i++)
		words[i] = load_be64(cpu, real + 8 * i);
}
