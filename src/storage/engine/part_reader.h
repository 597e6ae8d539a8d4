/*
 * part_reader - reads part files: finding a series, walking all blocks, decoding ranges.
 *
 * A part in memory is its index, 40 bytes for some 256 blocks, and that only while it is used and
 * as far as there is room (part_index.h). Everything else is read when it is asked for, with its
 * checksum verified before use. Damage costs what it hits: a block, the blocks
 * that share a time column, or a page; a damaged header, trailer or index costs nothing, since one
 * stands for the other and pages can be found again.
 *
 * Threads: a part is used from any number of threads at once, each with a cursor of its own.
 * Memory: a cursor holds one page and a window of the file, under 256 KiB.
 * Errors: IO; CORRUPT names the part, the offset and what is wrong there, and the series if only
 * one block is lost.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PART_READER_H
#define METRIC_STORE_STORAGE_ENGINE_PART_READER_H

#include <roaring/roaring.h>

#include "base/bytes.h"
#include "os/file.h"
#include "storage/engine/detail.h"
#include "storage/engine/file_pool.h"
#include "storage/engine/part_format.h"
#include "storage/engine/part_index.h"

struct part;        /* opaque */
struct part_cursor; /* opaque */

/* Gives *part, ended by part_close. Damage that costs no samples is no error: part_damage.
 *   NOT_FOUND, IO, MEMORY
 *   CORRUPT      it is no part, or neither header nor trailer can be read
 *   UNSUPPORTED  of a later version */
MUST_CHECK enum status part_open(struct part **part, struct filesystem *fs, const char *path,
                                 struct error *err);
/* What many parts have in common; it outlives them. */
struct part_commons {
    struct file_pool *files;
    struct part_indexes *indexes;
};

/* The same, with the file open and the index in memory only as far as the commons have room. Damage
 * of the index alone is found by the first cursor that needs it, which `indexes` tells. */
MUST_CHECK enum status part_open_shared(struct part **part, const struct part_commons *commons,
                                        const char *path, struct error *err);
/*
 * Before any cursor: it must be this part, with so many samples. CORRUPT where it is another one,
 * which a disk or a copying hand may have put there. Of a part whose pages had to be found again,
 * all are known to be there if they hold them all.
 */
MUST_CHECK enum status part_expect(struct part *part, const struct part_identity *expected,
                                   uint64_t samples, struct error *err);
/* That its index can be read and is sound, beside what opening it has found: CORRUPT. */
MUST_CHECK enum status part_expect_index(const struct part *part, struct error *err);
/* After every cursor of it. Accepts NULL. */
void part_close(struct part *part);

const struct part_identity *part_identity(const struct part *part);
const struct part_totals *part_totals(const struct part *part);
/* What was found wrong at opening and got round; NULL for a sound part. */
const char *part_damage(const struct part *part);

/*
 * Gives the ids of all series in the part, ended by roaring_bitmap_free: as they are written there,
 * or, where that is damaged or of version 1, out of all pages.
 *   CORRUPT  a page cannot be read either: any series may be in it
 */
MUST_CHECK enum status part_series(struct part *part, roaring_bitmap_t **ids, struct error *err);

/* ---- cursors ---------------------------------------------------------------------------- */

MUST_CHECK enum status part_cursor_new(struct part_cursor **cursor, struct part *part,
                                       struct error *err);
/* As a new one of `part`, with the memory that is there. */
void part_cursor_move(struct part_cursor *cursor, struct part *part);
void part_cursor_free(struct part_cursor *cursor);

/* Positions on the blocks of one series. Reads nothing yet. */
void part_cursor_find(struct part_cursor *cursor, uint32_t metric, uint32_t series);
/* Positions on the first block at or after a key, to walk all that follow. */
void part_cursor_seek(struct part_cursor *cursor, uint32_t metric, uint32_t series);

/* What a page that cannot be read may have held: keys from first to last, both included. */
struct part_loss {
    uint32_t first_metric, first_series;
    uint32_t last_metric, last_series;
};

/*
 * The next block's header, in the order of (metric, series, time); *block is borrowed until the
 * next call of next, find or seek.
 *   END          there is no further one
 *   CORRUPT, IO  a page cannot be read: *lost says what may be missing; the next call goes on
 *                behind it
 *   MEMORY       the next call gives END
 */
MUST_CHECK enum status part_cursor_next(struct part_cursor *cursor, const struct part_block **block,
                                        struct part_loss *lost, struct error *err);

/*
 * Decodes samples [first, first + wanted) of a block that a cursor of this part gave, or of a copy
 * of that header; first + wanted <= block->count. `times` or `values` may be NULL.
 *   CORRUPT  the block, or its time column, is damaged
 */
MUST_CHECK enum status part_block_read(struct part_cursor *cursor, const struct part_block *block,
                                       size_t first, size_t wanted, int64_t *times, double *values,
                                       struct error *err);

/* Decodes the samples with start_ms <= time < end_ms; there is room for block->count. Only those
 * mini-blocks that the range touches are decoded. Sets *count, which may be 0. */
MUST_CHECK enum status part_block_read_range(struct part_cursor *cursor,
                                             const struct part_block *block, int64_t start_ms,
                                             int64_t end_ms, int64_t *times, double *values,
                                             size_t *count, struct error *err);

/* The encoded values, checksum verified; borrowed until the next read. Empty when values_size is
 * 0. */
MUST_CHECK enum status part_block_values(struct part_cursor *cursor, const struct part_block *block,
                                         struct slice *values, struct error *err);

/* ---- looking after ---------------------------------------------------------------------- */

/* Called for each thing that is wrong: the error is borrowed. */
typedef void part_report(void *context, const struct error *err);

/*
 * Reads every byte: all checksums, and every block decoded and summed up again against its header.
 * Sets *found to the number of reports. Fails only where nothing more can be done (MEMORY, IO).
 */
MUST_CHECK enum status part_verify(struct part *part, part_report *report, void *context,
                                   uint64_t *found, struct error *err);

/* What a person wants to know of a part, its pages, and with `blocks` each block; as JSON, pages
 * and blocks alone. LIMIT when detail->to is full. */
MUST_CHECK enum status part_inspect(struct part *part, bool blocks, struct detail *detail,
                                    struct error *err);

#endif
