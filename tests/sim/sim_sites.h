/*
 * sim_sites - which place in the program made a call.
 *
 * Programs that test with the simulated disk are linked with --wrap for the functions of
 * os/file.h (see meson.build): the wrapper notes its return address, which is the call site, and
 * the simulated disk asks for it. A site is the address relative to the start of the program, so
 * it is the same in every run of one binary; where a caller's call was turned into a jump, the
 * site is the caller's caller. sim_site_name reads the program's symbol table.
 */
#ifndef METRIC_STORE_TESTS_SIM_SITES_H
#define METRIC_STORE_TESTS_SIM_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_SITES_MAX = 256, SIM_SITE_NAME_SIZE = 128 };

struct sim_site {
    uintptr_t site;
    uint64_t calls;
};

/*
 * The sync call sites met so far, and the one that does nothing: its calls return OK and make
 * nothing durable, as if the line were deleted. Filled by every disk that was given it.
 */
struct sim_sites {
    struct sim_site sites[SIM_SITES_MAX];
    size_t count;
    uintptr_t suppressed; /* 0: none */
    uint64_t suppressed_calls;
    /* Functions (a list that ends with NULL, or none) whose sites may survive, because another
     * program shows that they are needed. */
    const char *const *proven_elsewhere;
};

/* The site of the call that the wrapper is in; 0 outside of one or without --wrap. */
uintptr_t sim_site_current(void);

/* Counts a call of this site, where the wrapper told one: which one it is, from 1. */
uint64_t sim_sites_count(struct sim_sites *sites, uintptr_t site);

/* Counts a sync at `site`; true when it must do nothing. */
bool sim_sites_sync(struct sim_sites *sites, uintptr_t site);

/* "wal.c:wal_sync+0x4a" (without the file where the function is not static) */
void sim_site_name(uintptr_t site, char name[SIM_SITE_NAME_SIZE]);

/* Appends "WHAT NAME VERDICT" to the file that the environment's METRIC_STORE_SIM_SITES names, if
 * it does: scripts/sync-sites puts the reports of all programs together. */
void sim_sites_report(const char *what, uintptr_t site, const char *verdict);

/*
 * Runs `workload` (true: all checks passed) once with nothing suppressed, which must pass, and then
 * once for each sync site met, suppressed: these must fail. Prints one line a site and "killed
 * K/N"; returns whether all were killed.
 */
bool sim_sites_mutate(struct sim_sites *sites, bool (*workload)(void *context), void *context);

#endif
