/*
 * progress - one line on stderr that says how far a command is; only where stderr is a terminal,
 * and gone when the command ends.
 *
 *   import  [====#####-----------] 45%  12.3 of 27.3 MiB  8.1 MiB/s  2s left
 *
 * '=' was done by an earlier run, and says nothing of the speed.
 */
#ifndef METRIC_STORE_COMMANDS_PROGRESS_H
#define METRIC_STORE_COMMANDS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/clock.h"

enum { PROGRESS_LINE_SIZE = 160 };

struct progress {
    struct clock *clock;
    const char *name;
    bool visible; /* stderr is a terminal */
    bool drawn;
    int64_t started_ns;
    int64_t drawn_ns;
    uint64_t resumed; /* of what is done: by an earlier run; the caller sets it */
};

void progress_begin(struct progress *progress, struct clock *clock, const char *name);
/* Draws at most ten times a second. `total` 0: not known. */
void progress_update(struct progress *progress, uint64_t done, uint64_t total);
/* Takes the line away, so that something else can be written; the next update draws it again. */
void progress_erase(struct progress *progress);

/* The line itself, zero-terminated; returns its length. */
size_t progress_format(char line[PROGRESS_LINE_SIZE], const char *name, uint64_t resumed,
                       uint64_t done, uint64_t total, int64_t elapsed_ns);

#endif
