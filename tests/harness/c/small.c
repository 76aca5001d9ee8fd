/*
 * A small implementation for tests: H_GET_TCE on emulated windows, in dialect lopapr. Macros of the compiler choose its
 * mistakes. Most of them show at the first H_GET_TCE of an entry that exists:
 *
 * -DABORT -DEXIT -DCRASH -DLOOP -DSPIN -DEAT -DSCRIBBLE -DSTRAY -DSILENT -DREMEMBER -DFILE_OUT=path -DLOG
 * -DHANG_AT=ioba never answers for this ioba.
 * -DONCE=path answers wrongly only while it can make a new file of that name, so it never does so twice.
 * -DRAISE=signal raises the signal. -DCHATTY logs more and longer lines than the harness keeps.
 * -DBABBLE=text writes to all open files, as a program does that confuses its files.
 *
 * -DLOADS=n -DLOADS_FILE=path lets the library be loaded n times, by all processes together, and refuses then.
 *
 * These show earlier: -DNO_SYMBOL -DABI=n -DCRASH_LOADED -DNO_START -DUNSET -DNAME=text
 * -DDIRECT maps the memory and is no mistake. -DSLOW=microseconds sleeps at each start and is no mistake either.
 * -DREAD_AT_START, with -DDIRECT, reads the memory in `start`, and refuses to start if what it reads is not zero. That
 * is no mistake either.
 */
#include <realmode.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ABI
#define ABI RM_ABI
#endif

#ifndef NAME
#define NAME "small"
#endif

static const struct rm_machine *machine;
static struct rm_window windows[512];
static size_t window_count;

#ifdef REMEMBER
/* Whether an entry was read since the library was loaded. If so, the reads of later programs are wrong. */
static int read_once, read_before;
#endif

static int start(const struct rm_machine *described, struct rm_coverage *coverage)
{
#ifdef NO_START
	(void)described;
	(void)coverage;
	return 7;
#endif
#ifdef REMEMBER
	read_before = read_once;
#endif
#ifdef SLOW
	usleep(SLOW);
#endif
	machine = described;
	window_count = described->window_count;
	memcpy(windows, described->windows, window_count * sizeof(windows[0]));
#ifdef READ_AT_START
	const volatile char *real = described->linear;
	uint64_t at = described->memory_model == RM_FLATMEM ? described->array : described->list;

	/* Of a struct page or of the list, one byte that is always zero. */
	if (real[at + 7])
		return 8;
	for (size_t window = 0; window < window_count; window++)
		for (uint64_t byte = 0; byte < 8 * windows[window].entries; byte++)
			if (real[windows[window].table + byte])
				return 9;
#endif
#ifndef UNSET
	coverage->memory_models = 1 << RM_FLATMEM | 1 << RM_VMEMMAP;
	coverage->backings = 1 << RM_EMULATED;
	coverage->dialects = 1 << RM_LOPAPR;
	coverage->calls = RM_GET_TCE;
	coverage->real_mode = 1;
#endif
	return 0;
}

static void create_window(const struct rm_window *window)
{
	windows[window_count++] = *window;
}

static void close_window(struct rm_cpu *cpu, uint64_t liobn)
{
	(void)cpu;
	for (size_t at = 0; at < window_count; at++)
		if (windows[at].liobn == liobn)
			windows[at] = windows[--window_count];
}

static uint64_t load(struct rm_cpu *cpu, uint64_t real)
{
#ifdef DIRECT
	(void)cpu;
	return *(volatile uint64_t *)((char *)machine->linear + real);
#else
	return machine->services->load64(cpu, real);
#endif
}

/* Makes the chosen mistakes. */
static void misbehave(struct rm_cpu *cpu, const struct rm_window *window)
{
	(void)cpu;
	(void)window;
#ifdef ABORT
	abort();
#endif
#ifdef EXIT
	exit(0);
#endif
#ifdef RAISE
	/* Removes a handler that the process may have set. */
	signal(RAISE, SIG_DFL);
	raise(RAISE);
#endif
#ifdef CRASH
	*(volatile int *)8 = 1;
#endif
#ifdef BABBLE
	for (int file = 3; file < 64; file++)
		if (write(file, BABBLE, sizeof(BABBLE) - 1) < 0)
			continue;
#endif
#ifdef LOOP
	for (volatile int always = 1; always;)
		;
#endif
#ifdef SPIN
	for (;;)
		(void)machine->services->load64(cpu, window->table);
#endif
#ifdef EAT
	for (;;) {
		char *memory = malloc(1 << 20);

		if (!memory)
			abort();
		memset(memory, 1, 1 << 20);
	}
#endif
#ifdef SCRIBBLE
	memset((char *)machine->linear + window->table, 0x5a, 8 * window->entries);
#endif
#ifdef STRAY
	*(volatile uint64_t *)((char *)machine->linear + (1ull << 44)) = 1;
#endif
#ifdef FILE_OUT
	FILE *file = fopen(FILE_OUT, "w");

	if (file) {
		fputs("written\n", file);
		fclose(file);
	}
#endif
#ifdef CHATTY
	static char text[4097];

	memset(text, 'z', sizeof(text) - 1);
	for (int line = 0; line < 20; line++)
		machine->services->log(cpu, text);
	machine->services->store64(cpu, window->table, 1);
#endif
#ifdef LOG
	machine->services->log(cpu, "looked at an entry");
	machine->services->store64(cpu, window->table, 1);
#endif
}

static int64_t get_tce(struct rm_cpu *cpu, uint64_t liobn, uint64_t ioba, uint64_t *tce)
{
	for (size_t at = 0; at < window_count; at++) {
		const struct rm_window *window = &windows[at];

		if (window->liobn != liobn)
			continue;
		if (ioba & ((1ull << window->page_shift) - 1))
			return RM_H_PARAMETER;
		uint64_t index = (ioba - window->base) >> window->page_shift;

		if (ioba < window->base || index >= window->entries)
			return RM_H_PARAMETER;
		misbehave(cpu, window);
#ifdef HANG_AT
		for (volatile int always = ioba == HANG_AT; always;)
			;
#endif
#ifndef SILENT
		*tce = __builtin_bswap64(load(cpu, window->table + 8 * index));
#endif
#ifdef ONCE
		if (!access(ONCE, F_OK))
			return RM_H_SUCCESS;
		fclose(fopen(ONCE, "w"));
		*tce ^= 4;
#endif
#ifdef REMEMBER
		read_once = 1;
		if (read_before)
			*tce ^= 4;
#endif
		return RM_H_SUCCESS;
	}
	return RM_H_PARAMETER;
}

static struct rm_bound bound(void)
{
	return (struct rm_bound){ .base = 1, .per_entry = 1 };
}

static const struct rm_implementation implementation = {
	.abi = ABI,
	.bytes = sizeof(struct rm_implementation),
	.name = NAME,
#ifdef DIRECT
	.flags = RM_MAP_MEMORY,
#endif
	.start = start,
	.bound = bound,
	.real = { .get_tce = get_tce },
	.virt = { .get_tce = get_tce },
	.create_window = create_window,
	.close_window = close_window,
};

#ifdef CRASH_LOADED
__attribute__((constructor)) static void crash(void)
{
	abort();
}
#endif

#ifndef NO_SYMBOL
const struct rm_implementation *realmode_implementation(void)
{
#ifdef LOADS
	/* One byte a load. A process that may write no file does not count. */
	FILE *file = fopen(LOADS_FILE, "a");

	if (file) {
		fputc('.', file);
		long loads = ftell(file);
		fclose(file);
		if (loads > LOADS)
			return NULL;
	}
#endif
	return &implementation;
}
#endif
