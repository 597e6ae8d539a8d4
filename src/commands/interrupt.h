/*
 * interrupt - SIGINT and SIGTERM as something to ask for, so that a command ends in good order
 * between two steps.
 *
 * Threads: opened before others are started (they inherit the blocked signals); asked from one.
 */
#ifndef METRIC_STORE_COMMANDS_INTERRUPT_H
#define METRIC_STORE_COMMANDS_INTERRUPT_H

#include <stdbool.h>

#include "base/status.h"

struct interrupt {
    int fd;
    bool pending;
};

MUST_CHECK enum status interrupt_open(struct interrupt *interrupt, struct error *err);
/* The signals stay blocked: the command is about to end. */
void interrupt_close(struct interrupt *interrupt);

/* Whether the command was asked to end; stays true. `interrupt` may be NULL: never. */
bool interrupt_pending(struct interrupt *interrupt);

/* Waits until `fd` can be read, the command is asked to end, or timeout_ms (-1: none) are over.
 * True when it was asked to end. `fd` may be -1. */
bool interrupt_wait(struct interrupt *interrupt, int fd, int timeout_ms);

/* The same until `fd` can be written: PIPE_BUF bytes at least. */
bool interrupt_wait_writable(struct interrupt *interrupt, int fd);

/* CANCELLED */
enum status interrupt_fail(struct error *err);

#endif
