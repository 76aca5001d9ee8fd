/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Heapsort: in place, without recursion, and in n log n steps for any entries that the guest can
 * make. (The qsort of the C library may allocate.)
 */

#include "tce.h"

static void swap(struct change *a, struct change *b)
{
	struct change kept = *a;

	*a = *b;
	*b = kept;
}

/** Moves the element at `root` down until no child has a higher page. */
static void sink(struct change *heap, size_t root, size_t count)
{
	size_t child;

	for (; (child = 2 * root + 1) < count; root = child) {
		if (child + 1 < count && heap[child + 1].page > heap[child].page)
			child++;
		if (heap[root].page >= heap[child].page)
			return;
		swap(&heap[root], &heap[child]);
	}
}

void sort_by_page(struct change *changes, size_t count)
{
	size_t i;

	for (i = count / 2; i > 0; i--)
		sink(changes, i - 1, count);
	for (i = count; i > 1; i--) {
		swap(&changes[0], &changes[i - 1]);
		sink(changes, 0, i - 1);
	}
}
