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

/** Removes a window that `find_window` returned. */
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
 * Finds the entry of an I/O bus address. False if the address lies outside the window or is not
 * aligned to the window's page. Dialect `qemu` rounds it down instead.
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

/** How many values an update has: one for each entry, or one for all. */
uint64_t distinct_values(const struct update *update)
{
	return update->step ? update->count : 1;
}

static uint64_t entry_address(uint64_t table, const struct update *update, uint64_t i)
{
	return table + 8 * (update->first + i);
}

/** Stores the guest's values, which H_GET_TCE returns. They hold no references. */
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
 * Exchanges a hardware entry atomically, so that a device sees the old or the new one. Returns the
 * old entry, whose reference the caller must give back.
 */
uint64_t exchange_hardware(struct rm_cpu *cpu, const struct update *update, uint64_t i,
			   uint64_t entry)
{
	uint64_t at = entry_address(update->window->hardware, update, i);

	return __builtin_bswap64(tce_state.services->exchange64(cpu, at, __builtin_bswap64(entry)));
}

/**
 * The hardware entry for a TCE whose page lies in host page `pfn`. The page of a pinned window is
 * never larger than a host page.
 */
uint64_t make_entry(uint64_t tce, uint64_t pfn)
{
	return pfn << tce_state.machine->page_shift | (tce & (host_page_size() - 1));
}

uint64_t entry_pfn(uint64_t entry)
{
	return entry >> tce_state.machine->page_shift;
}
