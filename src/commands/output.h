/*
 * output - where a command's result goes: standard output, or a file that gets its name only when
 * it is complete and synced. A name ending in .gz or .zst is compressed.
 *
 * Threads: one. Errors: IO, NO_SPACE, MEMORY; CANCELLED "reader_left" when nobody reads standard
 * output any more, or the command was interrupted.
 */
#ifndef METRIC_STORE_COMMANDS_OUTPUT_H
#define METRIC_STORE_COMMANDS_OUTPUT_H

#include "base/bytes.h"
#include "commands/interrupt.h"
#include "os/file.h"

struct output; /* opaque */

/* `path` NULL or "-" is standard output. A file that is no regular one (a pipe, a device) is
 * written in place. While its reader keeps us waiting `interrupt`, borrowed, is heeded; it may be
 * NULL where the signals themselves end the program. Gives *output, ended by output_finish or
 * output_abandon. */
MUST_CHECK enum status output_open(struct output **output, struct filesystem *fs, const char *path,
                                   struct interrupt *interrupt, struct error *err);
MUST_CHECK enum status output_write(struct output *output, struct slice bytes, struct error *err);
/* Writes what is held back, for a reader who waits; not for compressed output. */
MUST_CHECK enum status output_flush(struct output *output, struct error *err);
/* Whether anything has left the buffer for standard output, and cannot be taken back. */
bool output_began(const struct output *output);
/* Writes what is left and gives the file its name. Frees the output either way; on failure nothing
 * is left of the file. */
MUST_CHECK enum status output_finish(struct output *output, struct error *err);
/* Removes what was written. Accepts NULL. */
void output_abandon(struct output *output);

#endif
