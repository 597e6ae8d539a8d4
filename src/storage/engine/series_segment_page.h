/*
 * series_segment_page - a page of a series segment: definitions of up to 256 series of rising ids.
 *
 *   header   u32 placed crc32c of all that follows, u32 "MSGD", u32 payload size, u32 raw size,
 *            u32 definitions, u32 definitions of the segment before this page, u32 first id
 *   payload  a Zstandard frame of:  definition *
 *   definition  varint id less the one before, less 1 (not for the first); varint metric id;
 *               varint count of labels; labels
 *   label    varint tag, name?, value?
 * A label is told against the one of the same number in the definition before it, since neighbours
 * share most of theirs: tag 0 is the same label; 2n + 1 the same name with a value of n bytes,
 * which follow; 2n another name of n > 0 bytes, which follow with varint size and bytes of the
 * value.
 *
 * Ownership: both are embedded. Threads: one at a time.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_PAGE_H
#define METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_PAGE_H

#include <zstd.h>

#include "storage/engine/series_segment_format.h"

enum {
    SEGMENT_PAGE_HEADER_SIZE = 28,
    SEGMENT_PAGE_RAW_SIZE = 16 * 1024, /* a page is closed when it has that, */
    SEGMENT_PAGE_MAX_SERIES = 256,     /* or as many series */
    SEGMENT_PAGE_RAW_MAX = SEGMENT_PAGE_RAW_SIZE + LABELS_MAX_SIZE + 64,
};
#define SEGMENT_PAGE_MAGIC UINT32_C(0x4447534d) /* "MSGD" */

/* ---- writing ---------------------------------------------------------------------------- */

/* Where a text stands in the page. */
struct segment_place {
    uint32_t offset, size;
};

struct segment_page_builder {
    struct bytes raw;
    struct bytes stored; /* header and payload of the page that was closed */
    ZSTD_CCtx *zstd;
    struct segment_place *names, *values; /* of the last definition: LABELS_MAX_COUNT each */
    uint32_t label_count;
    uint32_t count, first_id, last_id;
};

MUST_CHECK enum status segment_page_builder_init(struct segment_page_builder *builder);
void segment_page_builder_release(struct segment_page_builder *builder);
/* LIMIT when the labels are more than a series may have. */
MUST_CHECK enum status segment_page_put(struct segment_page_builder *builder, uint32_t id,
                                        uint32_t metric, const struct labels *labels);
static inline bool segment_page_is_full(const struct segment_page_builder *builder)
{
    return builder->count == SEGMENT_PAGE_MAX_SERIES || builder->raw.size >= SEGMENT_PAGE_RAW_SIZE;
}
/* Gives the bytes of the page, borrowed until the next close, and begins another one. */
MUST_CHECK enum status segment_page_close(struct segment_page_builder *builder, uint64_t segment_id,
                                          uint64_t offset, uint32_t series_before,
                                          struct slice *page);

/* ---- reading ---------------------------------------------------------------------------- */

struct segment_page {
    ZSTD_DCtx *zstd;
    struct bytes raw;
    struct label *labels; /* LABELS_MAX_COUNT, strings in `raw` */
    uint32_t count, series_before, first_id;
    /* The definition that was decoded last. */
    struct segment_input input;
    uint32_t decoded;
    uint32_t id, metric, label_count;
};

MUST_CHECK enum status segment_page_init(struct segment_page *page);
void segment_page_release(struct segment_page *page);

/* Size of the page whose header begins here, with the header; 0 when none does. */
uint64_t segment_page_size(const uint8_t *header);
/* Whether they are a page, by its checksum. */
MUST_CHECK enum status segment_page_check(struct slice bytes, uint64_t segment_id, uint64_t offset,
                                          struct error *err);
/* Checks and unpacks; before the first definition. CORRUPT, MEMORY. */
MUST_CHECK enum status segment_page_load(struct segment_page *page, struct slice bytes,
                                         uint64_t segment_id, uint64_t offset, struct error *err);
/* Before the first definition again. */
void segment_page_rewind(struct segment_page *page);
/* END, CORRUPT. */
MUST_CHECK enum status segment_page_next(struct segment_page *page, struct error *err);

#endif
