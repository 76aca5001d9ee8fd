/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The half that runs with the MMU on. It finishes every call.
 */

#include "tce.h"

/**
 * Makes the page at `hva` present and young, and dirty for a write. False if the entry changed
 * meanwhile; `*entry` then has the new one. An absent page gets its reference before the entry is
 * stored, so that the entry never lacks it.
 */
static bool fault_in(struct rm_cpu *cpu, uint64_t hva, struct rm_pte *entry, bool write)
{
	bool absent = entry->kind == RM_PTE_ABSENT;
	struct rm_pte used = *entry;
	uint64_t head = 0;

	used.young = 1;
	if (write)
		used.dirty = 1;
	if (absent) {
		used.kind = RM_PTE_PRESENT;
		used.writable = 1;
		head = compound_head(cpu, entry->pfn);
		get_page(cpu, head);
	}
	if (tce_state.services->compare_exchange_pte(cpu, hva, entry, &used)) {
		*entry = used;
		return true;
	}
	if (absent)
		put_page(cpu, head);
	return false;
}

static bool same_page(const struct rm_pte *a, const struct rm_pte *b)
{
	return a->kind == b->kind && a->order == b->order && a->pfn == b->pfn;
}

/** Takes a reference on the page at `hva`. False if the host cannot supply it. */
static bool pin(struct rm_cpu *cpu, uint64_t hva, bool write, uint64_t *pfn)
{
	struct rm_pte entry, now;
	uint64_t head;

	tce_state.services->load_pte(cpu, hva, &entry);
	while (host_can_supply(&entry, write)) {
		if (!fault_in(cpu, hva, &entry, write))
			continue;
		*pfn = mapped_pfn(&entry, hva);
		head = compound_head(cpu, *pfn);
		if (get_page_unless_zero(cpu, pfn_to_page(head))) {
			/* Before the reference the page could have been unmapped and reused. */
			tce_state.services->load_pte(cpu, hva, &now);
			if (same_page(&now, &entry))
				return true;
			put_page(cpu, head);
		}
		tce_state.services->load_pte(cpu, hva, &entry);
	}
	return false;
}

static void unpin(struct rm_cpu *cpu, uint64_t pfn)
{
	put_page(cpu, compound_head(cpu, pfn));
}

static int64_t virtual_copy_list(struct rm_cpu *cpu, uint64_t hva, uint64_t count, uint64_t *words)
{
	uint64_t pfn;

	if (!pin(cpu, hva, false, &pfn))
		return RM_H_PARAMETER;
	read_words(cpu, host_address(pfn, hva), count, words);
	unpin(cpu, pfn);
	return RM_H_SUCCESS;
}

/** Checked for all values first, because a call that fails must not change the page table. */
static bool can_pin(struct rm_cpu *cpu, uint64_t tce)
{
	struct rm_pte entry;
	uint64_t hva;

	if (!(tce & TCE_PERMISSIONS))
		return true;
	if (!guest_to_host(tce, &hva))
		return false;
	tce_state.services->load_pte(cpu, hva, &entry);
	return host_can_supply(&entry, tce & RM_TCE_WRITE);
}

/** Makes the hardware entry of a TCE and takes its reference. A fault TCE gives 0. */
static bool pin_target(struct rm_cpu *cpu, uint64_t tce, uint64_t *target)
{
	uint64_t hva, pfn;

	*target = 0;
	if (!(tce & TCE_PERMISSIONS))
		return true;
	if (!guest_to_host(tce, &hva) || !pin(cpu, hva, tce & RM_TCE_WRITE, &pfn))
		return false;
	*target = make_entry(tce, pfn);
	return true;
}

static void unpin_target(struct rm_cpu *cpu, uint64_t target)
{
	if (target & TCE_PERMISSIONS)
		unpin(cpu, entry_pfn(target));
}

/** Takes one reference for each value, or none if one of them fails. */
static bool pin_values(struct rm_cpu *cpu, const struct update *update, uint64_t *targets)
{
	uint64_t i;

	for (i = 0; i < distinct_values(update); i++) {
		if (!can_pin(cpu, update->values[i]))
			return false;
	}
	for (i = 0; i < distinct_values(update); i++) {
		if (!pin_target(cpu, update->values[i], &targets[i])) {
			while (i > 0)
				unpin_target(cpu, targets[--i]);
			return false;
		}
	}
	return true;
}

/** Takes more references for a value that goes into several entries: one for each. */
static void pin_again(struct rm_cpu *cpu, uint64_t target, uint64_t times)
{
	uint64_t head;

	if (!(target & TCE_PERMISSIONS))
		return;
	head = compound_head(cpu, entry_pfn(target));
	while (times--)
		get_page(cpu, head);
}

/**
 * Gives back the reference of an entry that was removed from a table. Sets DIRTY only now, because
 * the device may have written until the entry was removed.
 */
static void give_back(struct rm_cpu *cpu, uint64_t entry)
{
	uint64_t head;

	if (!(entry & TCE_PERMISSIONS))
		return;
	head = compound_head(cpu, entry_pfn(entry));
	if (entry & RM_TCE_WRITE)
		set_page_dirty(cpu, pfn_to_page(head));
	put_page(cpu, head);
}

static int64_t virtual_exchange(struct rm_cpu *cpu, const struct update *update)
{
	uint64_t *targets = this_vcpu(cpu)->targets;
	uint64_t i;

	if (!pin_values(cpu, update, targets))
		return RM_H_HARDWARE;
	pin_again(cpu, targets[0], update->count - distinct_values(update));
	for (i = 0; i < update->count; i++)
		give_back(cpu, exchange_hardware(cpu, update, i, targets[i * update->step]));
	return RM_H_SUCCESS;
}

static const struct half virtual_half = {
	.copy_list = virtual_copy_list,
	.exchange = virtual_exchange,
};

/**
 * Gives back the references that the real-mode half of this call could not. Returns the status of
 * that half, or H_TOO_HARD if it owes nothing and the call must still run.
 */
static int64_t settle(struct rm_cpu *cpu)
{
	struct vcpu *vcpu = this_vcpu(cpu);

	if (!vcpu->owed_count)
		return RM_H_TOO_HARD;
	while (vcpu->owed_count)
		give_back(cpu, vcpu->owed[--vcpu->owed_count]);
	return vcpu->answer;
}

static int64_t virtual_put_tce(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t tce)
{
	int64_t status = settle(cpu);

	if (status == RM_H_TOO_HARD)
		status = put_tce(cpu, &virtual_half, liobn, ioba, tce);
	return status;
}

static int64_t virtual_put_tce_indirect(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba,
					uint64_t list, uint64_t count)
{
	int64_t status = settle(cpu);

	if (status == RM_H_TOO_HARD)
		status = put_tce_indirect(cpu, &virtual_half, liobn, ioba, list, count);
	return status;
}

static int64_t virtual_stuff_tce(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t tce,
				 uint64_t count)
{
	int64_t status = settle(cpu);

	if (status == RM_H_TOO_HARD)
		status = stuff_tce(cpu, &virtual_half, liobn, ioba, tce, count);
	return status;
}

void close_window(struct rm_cpu *cpu, uint64_t liobn)
{
	const struct rm_window *window = find_window(liobn);

	if (!window)
		return;
	clear_window(cpu, &virtual_half, window);
	remove_window(window);
}

const struct rm_handlers virtual_handlers = {
	.get_tce = get_tce,
	.put_tce = virtual_put_tce,
	.put_tce_indirect = virtual_put_tce_indirect,
	.stuff_tce = virtual_stuff_tce,
};
