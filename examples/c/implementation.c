/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The interface to the harness: start, changes of the machine, probes, and the exported table.
 */

#include <string.h>

#include "tce.h"

struct tce_state tce_state;

static int start(const struct rm_machine *machine, struct rm_coverage *coverage)
{
	size_t i;

	/* Resets all state. The rest of `vcpus` is megabytes that no call reads before writing. */
	tce_state.machine = machine;
	tce_state.services = machine->services;
	tce_state.window_count = 0;
	tce_state.slot_count = 0;
	for (i = 0; i < RM_MAX_VCPUS; i++)
		tce_state.vcpus[i].owed_count = 0;
	count_boot_blocks();
	for (i = 0; i < machine->slot_count; i++) {
		if (!set_slot(&machine->slots[i]))
			return 1;
	}
	for (i = 0; i < machine->window_count; i++) {
		if (!add_window(&machine->windows[i]))
			return 2;
	}
	*coverage = (struct rm_coverage){
		.memory_models = 1 << RM_FLATMEM | 1 << RM_VMEMMAP,
		.backings = 1 << RM_EMULATED | 1 << RM_PINNED,
		.dialects = 1 << RM_LOPAPR | 1 << RM_KVM | 1 << RM_QEMU,
		.calls = RM_GET_TCE | RM_PUT_TCE | RM_PUT_TCE_INDIRECT | RM_STUFF_TCE,
		.real_mode = 1,
	};
	return 0;
}

static int probe_lookup(struct rm_cpu *cpu, uint64_t pfn, uint64_t *real)
{
	return realmode_pfn_to_page(cpu, pfn, real);
}

static int probe_reference(struct rm_cpu *cpu, uint64_t pfn,
			   bool (*change)(struct rm_cpu *cpu, uint64_t page))
{
	uint64_t page;

	if (!realmode_pfn_to_page(cpu, pfn, &page))
		return RM_PROBE_NO_PAGE;
	if (page_is_compound(cpu, page))
		return RM_PROBE_COMPOUND;
	return change(cpu, page) ? RM_PROBE_YES : RM_PROBE_NO;
}

static int probe_get(struct rm_cpu *cpu, uint64_t pfn)
{
	return probe_reference(cpu, pfn, get_page_unless_zero);
}

static int probe_put(struct rm_cpu *cpu, uint64_t pfn)
{
	return probe_reference(cpu, pfn, put_page_unless_one);
}

/* The harness keeps the list of blocks. Only its length matters here, for the bound. */
static void hot_add(uint64_t section, const struct rm_run *runs, size_t count)
{
	(void)section;
	count_new_blocks(runs, count);
}

/* Cannot fail: a machine has no more slots and windows than the arrays hold. */
static void slot_changed(const struct rm_slot *slot)
{
	(void)set_slot(slot);
}

static void create_window(const struct rm_window *window)
{
	(void)add_window(window);
}

__attribute__((visibility("default"))) const struct rm_implementation *realmode_implementation(void)
{
	static struct rm_implementation implementation = {
		.abi = RM_ABI,
		.bytes = sizeof(implementation),
		.name = "example-c",
		.start = start,
		.bound = real_bound,
		.pfn_to_page = probe_lookup,
		.get_page_unless_zero = probe_get,
		.put_page_unless_one = probe_put,
		.hot_add = hot_add,
		.set_slot = slot_changed,
		.create_window = create_window,
		.close_window = close_window,
	};

	implementation.real = real_handlers;
	implementation.virt = virtual_handlers;
	return &implementation;
}
