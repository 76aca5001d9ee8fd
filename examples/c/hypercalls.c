/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The four hypercalls, with the checks of their arguments in the order of each dialect. Both modes
 * run this code; `struct half` has the steps that differ.
 *
 * A call stores nothing before it has checked everything. Only in dialect `qemu` can a part of a
 * call be done.
 */

#include "tce.h"

static bool dialect_is(uint32_t dialect)
{
	return tce_state.machine->dialect == dialect;
}

/** Number of host pages in a page of the window: 1 if it is smaller than a host page. */
static uint64_t host_pages(const struct rm_window *window)
{
	uint32_t host = tce_state.machine->page_shift;

	return window->page_shift > host ? UINT64_C(1) << (window->page_shift - host) : 1;
}

static bool value_is_valid(const struct update *update, uint64_t tce)
{
	uint64_t inside = (UINT64_C(1) << update->window->page_shift) - 1;
	bool mapped = tce & TCE_PERMISSIONS;

	if (mapped && (tce & inside & ~TCE_PERMISSIONS))
		return false;
	/* KVM checks the first host page only, and in a list fault TCEs too. */
	if (dialect_is(RM_KVM))
		return !(mapped || update->from_list) || guest_memory(tce, 1);
	return !mapped || guest_memory(tce, host_pages(update->window));
}

/** Checks all values, because a list is stored as a whole or not at all. QEMU checks none. */
static bool values_are_valid(const struct update *update)
{
	uint64_t i;

	for (i = 0; i < distinct_values(update) && !dialect_is(RM_QEMU); i++) {
		if (!value_is_valid(update, update->values[i]))
			return false;
	}
	return true;
}

static int64_t write_entries(struct rm_cpu *cpu, const struct half *half,
			     const struct update *update)
{
	int64_t status;

	if (!values_are_valid(update))
		return RM_H_PARAMETER;
	if (update->window->backing == RM_PINNED) {
		status = half->exchange(cpu, update);
		if (status != RM_H_SUCCESS)
			return status;
	}
	/* Stored last: if real mode defers above, it must have changed nothing. */
	store_values(cpu, update);
	return RM_H_SUCCESS;
}

/** QEMU writes entry by entry up to the end of the window. */
static int64_t write_up_to_end(struct rm_cpu *cpu, const struct half *half, struct update *update,
			       uint64_t ioba)
{
	uint64_t room;
	bool crosses;
	int64_t status;

	if (!find_entry(update->window, ioba, &update->first))
		return RM_H_PARAMETER;
	room = update->window->entries - update->first;
	crosses = update->count > room;
	if (crosses)
		update->count = room;
	status = write_entries(cpu, half, update);
	return crosses ? RM_H_PARAMETER : status;
}

/** True if the update lies in the window. Compares without a sum, which could wrap. */
static bool find_range(struct update *update, uint64_t ioba)
{
	return find_entry(update->window, ioba, &update->first) &&
	       update->count <= update->window->entries - update->first;
}

int64_t get_tce(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t *tce)
{
	const struct rm_window *window = find_window(liobn);
	uint64_t index;

	if (!window || !find_entry(window, ioba, &index))
		return RM_H_PARAMETER;
	*tce = load_be64(cpu, window->table + 8 * index);
	return RM_H_SUCCESS;
}

int64_t put_tce(struct rm_cpu *cpu, const struct half *half, uint64_t liobn, uint64_t ioba,
		uint64_t tce)
{
	struct update update = { .window = find_window(liobn), .count = 1, .values = &tce };

	if (!update.window || !find_range(&update, ioba))
		return RM_H_PARAMETER;
	return write_entries(cpu, half, &update);
}

int64_t stuff_tce(struct rm_cpu *cpu, const struct half *half, uint64_t liobn, uint64_t ioba,
		  uint64_t tce, uint64_t count)
{
	struct update update = { .window = find_window(liobn), .count = count, .values = &tce };

	if (!update.window)
		return RM_H_PARAMETER;
	if (dialect_is(RM_QEMU)) {
		if (!count || count > update.window->entries)
			return RM_H_PARAMETER;
		return write_up_to_end(cpu, half, &update, ioba);
	}
	/*
	 * The order matters: a bad IOBA (H_PARAMETER) comes before H_P4, and a range past the end
	 * (H_PARAMETER) after it.
	 */
	if (!find_entry(update.window, ioba, &update.first))
		return RM_H_PARAMETER;
	if (dialect_is(RM_LOPAPR) && count > RM_MAX_TCES)
		return RM_H_P4;
	if (!find_range(&update, ioba))
		return RM_H_PARAMETER;
	/* In KVM this call can only clear entries. It checks that before count 0. */
	if (dialect_is(RM_KVM) && (tce & TCE_PERMISSIONS))
		return RM_H_PARAMETER;
	return count ? write_entries(cpu, half, &update) : RM_H_SUCCESS;
}

/** Dialect `qemu` reads a missing list as zeros; for the others it is an error. */
static int64_t missing_list(uint64_t count, uint64_t *words)
{
	uint64_t i;

	if (!dialect_is(RM_QEMU))
		return RM_H_PARAMETER;
	for (i = 0; i < count; i++)
		words[i] = 0;
	return RM_H_SUCCESS;
}

static int64_t copy_list(struct rm_cpu *cpu, const struct half *half, uint64_t list,
			 uint64_t count, uint64_t *words)
{
	uint64_t hva;
	int64_t status = RM_H_PARAMETER;

	if (guest_to_host(list, &hva))
		status = half->copy_list(cpu, hva, count, words);
	return status == RM_H_PARAMETER ? missing_list(count, words) : status;
}

/**
 * The status of a call with count 0 whose other arguments are right. LoPAPR does not check the list
 * then.
 */
static int64_t empty_list(uint64_t list)
{
	if (dialect_is(RM_QEMU) || (dialect_is(RM_KVM) && !guest_memory(list, 1)))
		return RM_H_PARAMETER;
	return RM_H_SUCCESS;
}

int64_t put_tce_indirect(struct rm_cpu *cpu, const struct half *half, uint64_t liobn,
			 uint64_t ioba, uint64_t list, uint64_t count)
{
	uint64_t *words = this_vcpu(cpu)->list;
	struct update update = {
		.window = find_window(liobn),
		.count = count,
		.values = words,
		.step = 1,
		.from_list = true,
	};
	int64_t status;

	/* All these errors are H_PARAMETER, so the order of these checks makes no difference. */
	if (!update.window || count > RM_MAX_TCES || list % (8 * RM_MAX_TCES))
		return RM_H_PARAMETER;
	if (!dialect_is(RM_QEMU) && !find_range(&update, ioba))
		return RM_H_PARAMETER;
	if (!count)
		return empty_list(list);
	status = copy_list(cpu, half, list, count, words);
	if (status != RM_H_SUCCESS)
		return status;
	if (dialect_is(RM_QEMU))
		return write_up_to_end(cpu, half, &update, ioba);
	return write_entries(cpu, half, &update);
}

void clear_window(struct rm_cpu *cpu, const struct half *half, const struct rm_window *window)
{
	const uint64_t fault = 0;
	const struct update update = {
		.window = window,
		.count = window->entries,
		.values = &fault,
	};

	write_entries(cpu, half, &update);
}
