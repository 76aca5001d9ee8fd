/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The half that runs with the MMU off. It cannot fault a page in, reach a struct page by its
 * virtual address, or free a page. It answers H_TOO_HARD if a call needs one of these.
 *
 * It checks everything before it changes anything, so it never has to restore an entry. It may have
 * to give references back if another CPU changes something meanwhile. If such a reference has
 * become the last one, it is left to the virtual-mode half of the call (`owed`).
 */

#include "tce.h"

static void load_pte(struct rm_cpu *cpu, uint64_t hva, struct rm_pte *entry)
{
	tce_state.services->load_pte(cpu, hva, entry);
}

/** True if a page can be read or written without a change of its page-table entry. */
static bool is_ready(const struct rm_pte *entry, bool write)
{
	return entry->kind != RM_PTE_ABSENT && entry->young && (entry->dirty || !write);
}

static int64_t real_copy_list(struct rm_cpu *cpu, uint64_t hva, uint64_t count, uint64_t *words)
{
	struct rm_pte entry, now;
	uint64_t pfn;

	load_pte(cpu, hva, &entry);
	if (!host_can_supply(&entry, false))
		return RM_H_PARAMETER;
	if (!is_ready(&entry, false))
		return RM_H_TOO_HARD;
	pfn = mapped_pfn(&entry, hva);
	read_words(cpu, host_address(pfn, hva), count, words);

	/* No reference protected the page, so check that it is still the same. */
	load_pte(cpu, hva, &now);
	return is_ready(&now, false) && mapped_pfn(&now, hva) == pfn ? RM_H_SUCCESS : RM_H_TOO_HARD;
}

/** Makes the hardware entry of a TCE. A fault TCE gives 0. */
static int64_t translate(struct rm_cpu *cpu, uint64_t tce, uint64_t *target)
{
	bool write = tce & RM_TCE_WRITE;
	struct rm_pte entry;
	uint64_t hva;

	*target = 0;
	if (!(tce & TCE_PERMISSIONS))
		return RM_H_SUCCESS;
	if (!guest_to_host(tce, &hva))
		return RM_H_PARAMETER;
	load_pte(cpu, hva, &entry);
	if (!host_can_supply(&entry, write))
		return RM_H_HARDWARE;
	if (!is_ready(&entry, write))
		return RM_H_TOO_HARD;
	*target = make_entry(tce, mapped_pfn(&entry, hva));
	return RM_H_SUCCESS;
}

/** Translates all TCEs. An error of one comes before H_TOO_HARD for another. */
static int64_t translate_all(struct rm_cpu *cpu, const struct update *update, uint64_t *targets)
{
	int64_t worst = RM_H_SUCCESS, status;
	uint64_t i;

	for (i = 0; i < distinct_values(update); i++) {
		status = translate(cpu, update->values[i], &targets[i]);
		if (status != RM_H_SUCCESS)
			worst = status;
		if (status < 0)
			break;
	}
	return worst;
}

static bool translations_hold(struct rm_cpu *cpu, const struct update *update,
			      const uint64_t *targets)
{
	uint64_t i, now;

	for (i = 0; i < distinct_values(update); i++) {
		if (translate(cpu, update->values[i], &now) != RM_H_SUCCESS || now != targets[i])
			return false;
	}
	return true;
}

/**
 * Finds the struct page of the page that an entry names. False if real mode cannot count its
 * references. The references of a compound page are on its head, which real mode does not look
 * for; it leaves such pages to virtual mode.
 */
static bool usable_page(struct rm_cpu *cpu, uint64_t entry, uint64_t *page)
{
	return realmode_pfn_to_page(cpu, entry_pfn(entry), page) && !page_is_compound(cpu, *page);
}

static bool note_change(struct rm_cpu *cpu, struct vcpu *vcpu, uint64_t entry, int64_t references)
{
	struct change *change = &vcpu->changes[vcpu->change_count];

	if (!(entry & TCE_PERMISSIONS))
		return true;
	if (!usable_page(cpu, entry, &change->page))
		return false;
	change->references = references;
	vcpu->change_count++;
	return true;
}

/**
 * True if each page keeps a reference. `changes` are sorted, so the changes of one page are next to
 * each other.
 */
static bool all_keep_one(struct rm_cpu *cpu, const struct vcpu *vcpu)
{
	const struct change *change = vcpu->changes, *end = change + vcpu->change_count;

	while (change < end) {
		uint64_t page = change->page;
		int64_t references = tce_state.services->load32(cpu, page + RM_PAGE_COUNT);

		for (; change < end && change->page == page; change++)
			references += change->references;
		if (references < 1)
			return false;
	}
	return true;
}

/**
 * True if real mode can finish the call: it can count the references of all new and old pages, and
 * each page keeps one. Takes come before drops, so only the sum of a page's changes matters.
 */
static bool can_finish(struct rm_cpu *cpu, const struct update *update, struct vcpu *vcpu)
{
	uint64_t i;

	vcpu->change_count = 0;
	for (i = 0; i < update->count; i++) {
		if (!note_change(cpu, vcpu, hardware_entry(cpu, update, i), -1) ||
		    !note_change(cpu, vcpu, vcpu->targets[i * update->step], 1))
			return false;
	}
	sort_by_page(vcpu->changes, vcpu->change_count);
	return all_keep_one(cpu, vcpu);
}

static bool take(struct rm_cpu *cpu, uint64_t entry)
{
	uint64_t page;

	if (!(entry & TCE_PERMISSIONS))
		return true;
	return usable_page(cpu, entry, &page) && get_page_unless_zero(cpu, page);
}

/**
 * Gives back the reference of an entry that was removed from a table. Sets DIRTY only now, because
 * the device may have written until the entry was removed.
 */
static void give_back(struct rm_cpu *cpu, struct vcpu *vcpu, uint64_t entry)
{
	uint64_t page;

	if (!(entry & TCE_PERMISSIONS))
		return;
	if (usable_page(cpu, entry, &page)) {
		if (entry & RM_TCE_WRITE)
			set_page_dirty(cpu, page);
		if (put_page_unless_one(cpu, page))
			return;
	}
	vcpu->owed[vcpu->owed_count++] = entry;
}

/** An entry with the same reference, through which a device cannot write. */
static uint64_t read_only(uint64_t entry)
{
	return entry & RM_TCE_WRITE ? (entry & ~TCE_PERMISSIONS) | RM_TCE_READ : entry;
}

/** Gives back the references of the first `count` entries, which are in no table yet. */
static void give_back_targets(struct rm_cpu *cpu, const struct update *update, struct vcpu *vcpu,
			      uint64_t count)
{
	uint64_t i;

	for (i = 0; i < count; i++)
		give_back(cpu, vcpu, read_only(vcpu->targets[i * update->step]));
}

/** Takes one reference for each entry, or none if one of them fails. */
static bool take_targets(struct rm_cpu *cpu, const struct update *update, struct vcpu *vcpu)
{
	uint64_t taken;

	for (taken = 0; taken < update->count; taken++) {
		if (!take(cpu, vcpu->targets[taken * update->step]))
			break;
	}
	/* The pages cannot be freed from now on. Check that they are still the guest's. */
	if (taken == update->count && translations_hold(cpu, update, vcpu->targets))
		return true;
	give_back_targets(cpu, update, vcpu, taken);
	return false;
}

static int64_t real_exchange(struct rm_cpu *cpu, const struct update *update)
{
	struct vcpu *vcpu = this_vcpu(cpu);
	int64_t status = translate_all(cpu, update, vcpu->targets);
	uint64_t i, old;

	if (status != RM_H_SUCCESS)
		return status;
	if (!can_finish(cpu, update, vcpu) || !take_targets(cpu, update, vcpu))
		return RM_H_TOO_HARD;
	for (i = 0; i < update->count; i++) {
		old = exchange_hardware(cpu, update, i, vcpu->targets[i * update->step]);
		give_back(cpu, vcpu, old);
	}
	return RM_H_SUCCESS;
}

static const struct half real_half = { .copy_list = real_copy_list, .exchange = real_exchange };

/** The answer of this half: H_TOO_HARD if it leaves references to the other half. */
static int64_t leave(struct rm_cpu *cpu, int64_t status)
{
	struct vcpu *vcpu = this_vcpu(cpu);

	if (!vcpu->owed_count)
		return status;
	vcpu->answer = status;
	return RM_H_TOO_HARD;
}

static int64_t real_put_tce(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t tce)
{
	return leave(cpu, put_tce(cpu, &real_half, liobn, ioba, tce));
}

static int64_t real_put_tce_indirect(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba,
				     uint64_t list, uint64_t count)
{
	return leave(cpu, put_tce_indirect(cpu, &real_half, liobn, ioba, list, count));
}

static int64_t real_stuff_tce(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t tce,
			      uint64_t count)
{
	return leave(cpu, stuff_tce(cpu, &real_half, liobn, ioba, tce, count));
}

/**
 * The largest number of accesses of a call without interference: a compare-exchange that fails
 * costs one more. Per entry it is that of an exchange of one page for another. `base` is for the
 * page-table entry of a list, which is read twice.
 */
struct rm_bound real_bound(void)
{
	uint64_t usable = walk_accesses() + 1;	/* flags */
	uint64_t look = 3 + 2 * (usable + 1);	/* list, page table, old entry; counts */
	uint64_t taking = usable + 2 + 1;	/* count; page table again */
	uint64_t giving = 1 + usable + 2 + 2;	/* exchange; dirty, count */
	uint64_t storing = 1;

	return (struct rm_bound){ .base = 2, .per_entry = look + taking + giving + storing };
}

const struct rm_handlers real_handlers = {
	.get_tce = get_tce,
	.put_tce = real_put_tce,
	.put_tce_indirect = real_put_tce_indirect,
	.stuff_tce = real_stuff_tce,
};
