/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * DMA windows and the entries of their tables.
 */

#include "tce.h"

bool add_window(const struct rm_window *window)
{
	if (tce_state.window_count == RM_MAX_WINDOWS)
		return false;
	tce_state.windows[tce_state.window_count++] = *window;
	return true;
}

/** `window` is one that `find_window` answered. */
void remove_window(const struct rm_window *window)
{
	tce_state.windows[window - tce_state.windows] = tce_state.windows[--tce_state.window_count];
}

const struct rm_window *find_window(uint64_t liobn)
{
	size_t i;

	for (i = 0; i < tce_state.window_count; i++) {
		if (tce_state.windows[i].liobn == liobn)
			return &tce_state.windows[i];
	}
	return NULL;
}

/**
 * The entry for an I/O bus address, false if it is outside the window, or not the start of a page
 * (QEMU takes the page's start).
 */
bool find_entry(const struct rm_window *window, uint64_t ioba, uint64_t *index)
{
	uint64_t inside = ioba & ((UINT64_C(1) << window->page_shift) - 1);

	if (inside && tce_state.machine->dialect != RM_QEMU)
		return false;
	ioba -= inside;
	if (ioba < window->base)
		return false;
	*index = (ioba - window->base) >> window->page_shift;
	return *index < window->entries;
}

/** How many of an update's values are worth a look. */
uint64_t distinct_values(const struct update *update)
{
	return update->step ? update->count : 1;
}

static uint64_t entry_address(uint64_t table, const struct update *update, uint64_t i)
{
	return table + 8 * (update->first + i);
}

/** The guest's own values are what H_GET_TCE answers; they hold nothing. */
void store_values(struct rm_cpu *cpu, const struct update *update)
{
	uint64_t i;

	for (i = 0; i < update->count; i++) {
		uint64_t value = update->values[i * update->step];

		tce_state.services->store64(cpu, entry_address(update->window->table, update, i),
					    __builtin_bswap64(value));
	}
}

uint64_t hardware_entry(struct rm_cpu *cpu, const struct update *update, uint64_t i)
{
	return load_be64(cpu, entry_address(update->window->hardware, update, i));
}

/**
 * Answers what was there: a device sees either the old or the new, and the old one's reference is
 * the caller's now.
 */
uint64_t exchange_hardware(struct rm_cpu *cpu, const struct update *update, uint64_t i,
			   uint64_t entry)
{
	uint64_t at = entry_address(update->window->hardware, update, i);

	return __builtin_bswap64(tce_state.services->exchange64(cpu, at, __builtin_bswap64(entry)));
}

/**
 * The hardware entry by which `tce` names host page `pfn`. A window's page is never larger than the
 * host's.
 */
uint64_t make_entry(uint64_t tce, uint64_t pfn)
{
	return pfn << tce_state.machine->page_shift | (tce & (host_page_size() - 1));
}

uint64_t entry_pfn(uint64_t entry)
{
	return entry >> tce_state.machine->page_shift;
}
