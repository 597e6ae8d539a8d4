/*
 * part_page - up to 256 block headers, in columns.
 *
 *   page    := magic u32, size u32 (of the whole page), checksum u32 (of all but itself),
 *              blocks u16, times u16, values offset u64, column *
 *   column  := order byte, size varint, intpack stream
 *
 * The times that the page's blocks have stand once, in the order of their first use, and each block
 * names its own by position; so blocks of one target, or of one scrape, cost next to nothing:
 *
 *   of times:  count, first_ms less the day's first, last_ms - first_ms, size of the time column in
 *              the file with its checksum (0: steady, there is none), its offset
 *   of blocks: metric, series, kind, position of its times, size of its values, scale, stale_count,
 *              nan_count, flags of its summary
 *   then       checksums of values, 4 bytes for each block that has values in the file
 *   then       summaries, block by block                                       part_summary.h
 *
 * Where values lie is not stored: each block's values follow those before it, from the page's
 * values offset on, with a time column between where it stands there for the first time.
 *
 * Threads: pure functions.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PART_PAGE_H
#define METRIC_STORE_STORAGE_ENGINE_PART_PAGE_H

#include "storage/engine/part_format.h"

struct part_page {
    uint32_t count;
    uint64_t values_offset;
    struct part_block blocks[PART_PAGE_MAX_BLOCKS];
};

/* Writes the page that will stand at `offset`; `to` has room for PART_PAGE_MAX_SIZE. Returns the
 * bytes written. */
size_t part_page_encode(const struct part_page *page, const struct part_identity *identity,
                        uint64_t offset, uint8_t *to);

/* The size of the page that begins with these 8 bytes; 0 where none does. */
size_t part_page_size(const uint8_t from[8]);

/*
 * Checks and reads the page that stands at `offset`. Keys rise, a series' blocks follow each other
 * in time, and all that blocks refer to lies before the page. After a failure page->count is 0.
 *   CORRUPT
 */
MUST_CHECK enum status part_page_decode(struct slice from, const struct part_identity *identity,
                                        uint64_t offset, struct part_page *page, struct error *err);

#endif
