/*
 * series_segment_state - an open series segment, for the files that read it.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_STATE_H
#define METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_STATE_H

#include <stdatomic.h>

#include "os/file.h"
#include "storage/engine/series_segment_page.h"
#include "storage/engine/series_segment_writer.h"

/* Of definitions. */
struct segment_page_entry {
    uint64_t offset;
    uint32_t size;
    uint32_t first_id;
};

/* What is known of a page of definitions. */
enum segment_page_state { SEGMENT_PAGE_UNREAD, SEGMENT_PAGE_SOUND, SEGMENT_PAGE_DAMAGED };

struct segment_metric_page_entry {
    uint64_t offset;
    uint32_t crc;
};

struct segment_value_page_entry {
    uint64_t offset; /* the sets of its values stand between the page before and here */
    const uint8_t *first;
    uint32_t size;
    uint32_t crc;
    uint32_t first_size; /* SEGMENT_FIRST_VALUE_MAX: the value may be longer */
};

struct segment_name_entry {
    struct slice name;
    uint64_t values;
    size_t first_page, page_count;
};

struct segment_key_page_entry {
    uint64_t first_high; /* of its first key */
    uint32_t first_low;
    uint32_t crc;
};

static inline struct series_key segment_first_key(const struct segment_key_page_entry *page)
{
    return (struct series_key){.high = page->first_high, .low = page->first_low};
}

struct series_segment {
    char *path;
    struct file *file;
    struct segment_trailer trailer;
    roaring_bitmap_t *ids;
    uint32_t *ranks; /* ids below each multiple of 65536, from that of the first id on */
    struct segment_page_entry *pages;
    size_t page_count;
    atomic_uchar *page_states; /* enum segment_page_state; the only thing that changes */
    struct segment_metric_page_entry *metric_pages;
    size_t metric_page_count;
    struct segment_value_page_entry *value_pages;
    size_t value_page_count;
    struct segment_name_entry *names;
    size_t name_count;
    struct segment_key_page_entry *key_pages;
    size_t key_page_count;
    struct series_segment_metric *metrics;
    uint8_t *texts; /* of names and first values */
    uint8_t *metric_names;
    bool header_damaged; /* costs nothing */
    size_t memory;
};

/* Fills *err with "series segment PATH: WHAT at offset N: " before what it holds; returns `status`.
 */
enum status segment_fail_at(const struct series_segment *segment, const char *what, uint64_t offset,
                            enum status status, struct error *err);
/* Reads and checks one of the bytes that a directory speaks of. */
MUST_CHECK enum status segment_read_checked(const struct series_segment *segment, const char *what,
                                            uint64_t offset, void *to, size_t size, uint32_t crc,
                                            struct error *err);
/* How many ids of the segment are below `id`. */
uint64_t segment_rank(const struct series_segment *segment, uint32_t id);

/* ---- pages of definitions (series_segment_cursor.c) -------------------------------------- */

/* Last id that page `index` may hold. */
uint32_t segment_page_last_id(const struct series_segment *segment, size_t index);

/* Sorted by name, none twice, none empty, with a metric name. */
bool segment_labels_are_canonical(const struct labels *labels);

/* As series_segment_verify; without a seed the keys are not held against the labels. */
MUST_CHECK enum status segment_verify(const struct series_segment *segment, const uint64_t *seed,
                                      series_segment_damage *damage, void *context,
                                      struct error *err);

/* ---- pages of metric ids ---------------------------------------------------------------- */

/* Metric ids of the ranks from `index` * SEGMENT_METRICS_PER_PAGE on. */
MUST_CHECK enum status segment_metric_page(const struct series_segment *segment, size_t index,
                                           uint32_t metrics[SEGMENT_METRICS_PER_PAGE],
                                           size_t *count, struct error *err);

/* ---- pages of values (series_segment_pairs.c) -------------------------------------------- */

/* Walks the values of pages, with their sets. */
struct segment_values {
    const struct series_segment *segment;
    struct bytes page;
    struct bytes value; /* the current one */
    struct segment_input input;
    uint64_t sets; /* in the file: where the next set begins; the sets end at the page */
    size_t index;  /* of the page */
    bool any;      /* value: of this page or one before */
    /* of the current value */
    uint64_t count;
    uint32_t few[SEGMENT_IDS_IN_PLACE];
    uint64_t set_offset;
    uint32_t set_size, set_crc;
    /* Bytes of the file that were read for sets. */
    bool ahead; /* whether more than the set that is asked for is read */
    struct bytes window;
    uint64_t window_offset;
};

void segment_values_init(struct segment_values *values, const struct series_segment *segment);
void segment_values_release(struct segment_values *values);
/* The next value is the first of the page; forgets what stood before. */
MUST_CHECK enum status segment_values_load(struct segment_values *values, size_t index,
                                           struct error *err);
/* END with the page. */
MUST_CHECK enum status segment_values_next(struct segment_values *values, struct error *err);
/* Gives the set of the current value, with many ids: ended by roaring_bitmap_free. */
MUST_CHECK enum status segment_values_set(struct segment_values *values, roaring_bitmap_t **set,
                                          struct error *err);

struct series_segment_pairs {
    struct segment_values values;
    size_t name;      /* of the current pair */
    uint64_t counted; /* values of that name that were given */
    size_t next_page; /* of all names */
    bool page_open;
    bool page_begins;      /* no value of the page was given yet */
    bool follows;          /* a value of this name was given */
    bool damaged;          /* values of this name were lost */
    struct bytes last;     /* the value that was given last, where a page begins */
    roaring_bitmap_t *ids; /* of the current pair */
};

/* As series_segment_pairs_next, but the ids stay what they are in the file. */
MUST_CHECK enum status segment_pairs_step(struct series_segment_pairs *walk, struct slice *name,
                                          struct slice *value, struct error *err);
/* Of the pair that the step gave; *ids is borrowed from the walk. */
MUST_CHECK enum status segment_pairs_ids(struct series_segment_pairs *walk, struct segment_ids *ids,
                                         struct error *err);

#endif
