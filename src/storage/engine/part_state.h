/*
 * part_state - what the files that read parts share; private to them.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PART_STATE_H
#define METRIC_STORE_STORAGE_ENGINE_PART_STATE_H

#include <assert.h>

#include "storage/engine/part_index.h"
#include "storage/engine/part_page.h"
#include "storage/engine/part_reader.h"

enum {
    PART_WINDOW_SIZE = PART_PAGE_MAX_SIZE,
    PART_READ_AHEAD = 64 * 1024,
    PART_CACHED_TIMES = 4,
};

/* The pages of a part, in the order of the file and of keys. Never changes while it is shared. */
struct part_index {
    /* An entry of size 0 is a hole: pages that cannot be found, from offset on; its key is the last
     * one before it. */
    struct part_index_entry *entries;
    size_t count, capacity;
    struct part_totals found; /* in the pages, where the index was made out of them */

    /* part_index.c: with the lock of the part's `indexes`. */
    struct part *part;
    struct part_index *newer, *older; /* where nobody holds it and it may go */
    uint32_t holders;
    bool stays; /* as long as the part */
};

struct part {
    struct file *file;
    char *path;
    uint64_t size; /* of the file */
    struct part_identity identity;
    struct part_totals totals;
    uint64_t set_offset; /* of the series set, and where pages end; 0: nobody knows */
    uint32_t set_size;   /* 0: there is none, or nobody knows where; the index follows */
    uint32_t set_crc;
    uint32_t index_crc;
    struct part_indexes *indexes; /* NULL: `index` is there from opening on, and the part's own */
    struct part_index *index;     /* NULL: not in memory; with the lock of `indexes` */
    char damage[ERROR_MESSAGE_SIZE]; /* empty: none */
};

/* A decoded time column. */
struct cached_times {
    uint64_t offset; /* 0: none */
    uint32_t count;
    uint32_t capacity;
    int64_t *times;
};

enum part_walk {
    PART_WALK_BEGINS, /* the index has not been looked at */
    PART_WALK_GOES_ON,
    PART_WALK_ENDED,
};

struct part_cursor {
    struct part *part;
    bool one_series; /* of key (metric, series); else all from there on */
    uint32_t metric;
    uint32_t series;
    struct part_index *index; /* held; NULL: not needed yet, or given back */
    enum part_walk walk;
    size_t next_page;     /* in the index */
    size_t next_block;    /* in `page` */
    uint64_t page_offset; /* of `page` in the file; 0: none is loaded */
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

/* Holds the part's index from here on: cursor->index. */
MUST_CHECK enum status part_cursor_take_index(struct part_cursor *cursor, struct error *err);

/* Reads and checks page `index` of the index, which is held, into cursor->page. */
MUST_CHECK enum status part_load_page(struct part_cursor *cursor, size_t index, struct error *err);

/* Makes an index, and counts what is found, from the pages alone. */
MUST_CHECK enum status part_salvage(const struct part *part, struct part_index **index,
                                    struct error *err);

/* ---- part_index.c ----------------------------------------------------------------------- */

void part_index_free(struct part_index *index); /* accepts NULL */
/* As the file has it, for one caller: CORRUPT says what is wrong. */
MUST_CHECK enum status part_index_read(const struct part *part, struct part_index **index,
                                       struct error *err);
/* All pages are known to be there. Before it is shared. */
void part_index_drop_holes(struct part_index *index);
/* The part's index until part_index_release, read if it is not in memory. CORRUPT only where no
 * page can be read either. */
MUST_CHECK enum status part_index_acquire(struct part *part, struct part_index **index,
                                          struct error *err);
void part_index_release(struct part *part, struct part_index *index);
/* Whether there are more indexes in memory than there should be. No lock. */
bool part_index_is_wanted_back(const struct part *part);
/* Gives the part an index for good. At opening. */
void part_index_keep(struct part *part, struct part_index *index);
/* At closing. */
void part_index_forget(struct part *part);

/* part_series.c: what the file says of its series, and what its pages do; CORRUPT. */
MUST_CHECK enum status part_read_set(const struct part *part, roaring_bitmap_t **ids,
                                     struct error *err);
MUST_CHECK enum status part_collect_series(struct part *part, roaring_bitmap_t **ids,
                                           struct error *err);

#endif
