/*
 * part_state - what the files that read parts share; private to them.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PART_STATE_H
#define METRIC_STORE_STORAGE_ENGINE_PART_STATE_H

#include <assert.h>

#include "storage/engine/part_page.h"
#include "storage/engine/part_reader.h"

enum {
    PART_WINDOW_SIZE = PART_PAGE_MAX_SIZE,
    PART_READ_AHEAD = 64 * 1024,
    PART_CACHED_TIMES = 4,
};

struct part {
    struct file *file;
    char *path;
    uint64_t size; /* of the file */
    struct part_identity identity;
    struct part_totals totals;
    uint64_t set_offset; /* of the series set */
    uint32_t set_size;   /* 0: there is none, or nobody knows where */
    uint32_t set_crc;
    /* In the order of the file and of keys. An entry of size 0 is a hole: pages that cannot be
     * found, from offset on; its key is the last one before it. */
    struct part_index_entry *index;
    size_t index_count;
    char damage[ERROR_MESSAGE_SIZE]; /* empty: none */
};

/* A decoded time column. */
struct cached_times {
    uint64_t offset; /* 0: none */
    uint32_t count;
    uint32_t capacity;
    int64_t *times;
};

struct part_cursor {
    struct part *part;
    bool one_series; /* of key (metric, series); else all from there on */
    uint32_t metric;
    uint32_t series;
    size_t next_page;   /* in the index */
    size_t next_block;  /* in `page` */
    size_t loaded_page; /* in the index; index_count: none */
    struct part_page page;
    struct cached_times cached[PART_CACHED_TIMES];
    unsigned next_cached;
    uint64_t window_offset;
    size_t window_size;
    uint8_t window[PART_WINDOW_SIZE];
};

static_assert(sizeof(struct part_cursor) < 192 * 1024,
              "a cursor is opened for each part of a query");

/* Bytes [offset, offset + size) of the file, size <= PART_WINDOW_SIZE; borrowed until the next
 * call. CORRUPT where the file ends before. */
MUST_CHECK enum status part_fetch(struct part_cursor *cursor, uint64_t offset, size_t size,
                                  struct slice *bytes, struct error *err);

/* Reads and checks page `index` into cursor->page. */
MUST_CHECK enum status part_load_page(struct part_cursor *cursor, size_t index, struct error *err);

/* Rebuilds part->index, and part->totals, from the pages alone. */
MUST_CHECK enum status part_salvage(struct part *part, struct error *err);

/* part_series.c: what the file says of its series, and what its pages do; CORRUPT. */
MUST_CHECK enum status part_read_set(const struct part *part, roaring_bitmap_t **ids,
                                     struct error *err);
MUST_CHECK enum status part_collect_series(struct part *part, roaring_bitmap_t **ids,
                                           struct error *err);

#endif
