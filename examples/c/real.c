/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The half that runs with the MMU off. It cannot fault a page in, reach a struct page by its
 * virtual address, or free a page, and says H_TOO_HARD where one of these is needed.
 *
 * It looks at everything before it changes anything. So there is nothing to take back but
 * references, when another CPU was quicker. If another CPU makes one of ours the last one after
 * all, the reference is kept for the virtual-mode half of the call (`owed`).
 */

#include "tce.h"

static void load_pte(struct rm_cpu *cpu, uint64_t hva, struct rm_pte *entry)
{
	tce_state.services->load_pte(cpu, hva, entry);
}

/** Whether a page-table entry needs no change before a page is read or written. */
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

	/* Nobody held the page for us: were those still its words? */
	load_pte(cpu, hva, &now);
	return is_ready(&now, false) && mapped_pfn(&now, hva) == pfn ? RM_H_SUCCESS : RM_H_TOO_HARD;
}

/** The hardware entry for a TCE, 0 for one without permissions. */
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

/** An error of any TCE goes before virtual mode's being needed for another. */
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
 * The struct page of the page that an entry names, if it is one that real mode can count references
 * of. A compound page's are its head's, which a tail names in its own way, and freeing it is
 * another matter altogether: virtual mode's.
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
 * True if each page keeps a reference. `changes` are sorted, so that those of one page follow each
 * other.
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
 * Whether real mode can do it: new pages and those that go now, also where they are the same. Takes
 * come before drops.
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
 * Gives back the reference of an entry that is no longer in a table. The device may have written up
 * to now.
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

/** An entry that holds the same reference, and by which no device writes. */
static uint64_t read_only(uint64_t entry)
{
	return entry & RM_TCE_WRITE ? (entry & ~TCE_PERMISSIONS) | RM_TCE_READ : entry;
}

/** Of the first `count` entries, which never got into a table. */
static void give_back_targets(struct rm_cpu *cpu, const struct update *update, struct vcpu *vcpu,
			      uint64_t count)
{
	uint64_t i;

	for (i = 0; i < count; i++)
		give_back(cpu, vcpu, read_only(vcpu->targets[i * update->step]));
}

/** One reference for each entry, or none. */
static bool take_targets(struct rm_cpu *cpu, const struct update *update, struct vcpu *vcpu)
{
	uint64_t taken;

	for (taken = 0; taken < update->count; taken++) {
		if (!take(cpu, vcpu->targets[taken * update->step]))
			break;
	}
	/* Only now is it certain that the pages cannot go; were they still the guest's by then? */
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

/** The answer of this half, unless it leaves something for the other one. */
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
 * Counted for an entry that changes from one page to another, in a call that meets no other CPU (a
 * compare-exchange that fails is one access more). For the call: a list's page-table entry, twice.
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
