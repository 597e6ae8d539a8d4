/*
 * part_writer - makes a part file, from the head or from other parts.
 *
 * Series come in rising (metric, series) order, a series' samples in strictly rising time, all of
 * one UTC day; breaking that is a bug of the caller and ends the program. The file is written to
 * the path given, which is a temporary name: after part_writer_finish it is complete and synced,
 * and the caller renames it and publishes it in the manifest.
 *
 * Memory: under 320 KiB until samples with unsteady times come, then up to 2 MiB more, which
 * remember time columns so that they are stored once; and the set of series, a bit to 2 bytes each.
 * Threads: one writer belongs to one thread at a time.
 * Errors: IO, NO_SPACE, MEMORY; after a failed add only part_writer_abort is left.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PART_WRITER_H
#define METRIC_STORE_STORAGE_ENGINE_PART_WRITER_H

#include "os/file.h"
#include "storage/engine/part_format.h"

struct part_writer; /* opaque */
struct part_cursor; /* part_reader.h */

struct part_writer_options {
    struct part_identity identity;
    uint64_t hash_seed; /* secret: times are looked up by their hash alone */
    size_t block_count; /* samples of a full block, to PART_BLOCK_MAX_COUNT; 0: PART_BLOCK_COUNT */
};

/* Creates the file, which must not exist. Gives *writer, ended by finish or abort. */
MUST_CHECK enum status part_writer_open(struct part_writer **writer, struct filesystem *fs,
                                        const char *path, const struct part_writer_options *options,
                                        struct error *err);

/* Adds samples behind those that the series has. May be called again for the same series. */
MUST_CHECK enum status part_writer_add(struct part_writer *writer, uint32_t metric, uint32_t series,
                                       enum part_kind kind, const int64_t *times,
                                       const double *values, size_t count, struct error *err);

/*
 * Adds a block that `cursor` gave as it is, without decoding its values. Worth it from some 512
 * samples on; smaller ones are better decoded and added.
 *   CORRUPT  the block cannot be read; nothing was added, and the writer may go on
 */
MUST_CHECK enum status part_writer_copy(struct part_writer *writer, struct part_cursor *cursor,
                                        const struct part_block *block, struct error *err);

/* Writes what is left, syncs, closes, and frees the writer, also on failure (the file is then
 * removed). A part without samples is INVALID and removed. */
MUST_CHECK enum status part_writer_finish(struct part_writer *writer, struct part_totals *totals,
                                          struct error *err);

/* Closes and removes the file, frees the writer. Accepts NULL. */
void part_writer_abort(struct part_writer *writer);

#endif
