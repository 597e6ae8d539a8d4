/*
 * series_segment_format - what writer and reader of series segments agree on;
 * docs/formats/series-segment.md.
 *
 *   file         header, definitions, pairs, zeros up to a multiple of 4096, keys, directories,
 *                trailer
 *   definitions  (page of definitions | page of metric ids) *        series_segment_page.h
 *   pairs        (sets of ids of one page's values, page of values) *
 *   keys         pages of 256 entries of 16 bytes
 *   directories  of the definitions, metric ids, values, keys; then metrics, ids
 *
 * Definitions stand for themselves: magic and checksum in each page, so that they are found without
 * a directory. Everything else can be made from them, and has its checksum in its directory.
 * A checksum begins with the segment's id and the offset in the file, so that bytes of another
 * segment, or of another place, are never taken for the right ones.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_FORMAT_H
#define METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_FORMAT_H

#include "base/bits.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "storage/engine/series_segment.h"

enum {
    SEGMENT_VERSION = 1,
    SEGMENT_HEADER_SIZE = 24,
    SEGMENT_TRAILER_SIZE = 148,
    SEGMENT_ALIGNMENT = 4096,

    SEGMENT_METRICS_PER_PAGE = 1024,
    SEGMENT_KEYS_PER_PAGE = 256,
    SEGMENT_KEY_SIZE = 16,
    SEGMENT_KEY_PAGE_SIZE = SEGMENT_KEYS_PER_PAGE * SEGMENT_KEY_SIZE,

    SEGMENT_VALUE_PAGE_SIZE = 8 * 1024, /* a page of values is closed when it has that */
    SEGMENT_VALUE_PAGE_MAX = SEGMENT_VALUE_PAGE_SIZE + LABEL_VALUE_MAX_SIZE + 256,
    SEGMENT_FIRST_VALUE_MAX = 128, /* bytes of a page's first value in the directory */
    SEGMENT_IDS_IN_PLACE = 16,     /* larger sets stand outside of the page */
};

/* The directories, in the order of the file. */
enum segment_directory {
    SEGMENT_DIRECTORY_PAGES,
    SEGMENT_DIRECTORY_METRIC_PAGES,
    SEGMENT_DIRECTORY_VALUES,
    SEGMENT_DIRECTORY_KEYS,
    SEGMENT_DIRECTORY_METRICS,
    SEGMENT_DIRECTORY_IDS,
    SEGMENT_DIRECTORIES,
};

struct segment_block {
    uint64_t size;
    uint32_t crc;
};

struct segment_trailer {
    uint64_t id;
    struct series_segment_stats stats;
    uint64_t definitions_end;
    uint64_t keys_begin;
    struct segment_block directories[SEGMENT_DIRECTORIES];
};

static inline uint32_t segment_checksum(uint64_t segment_id, uint64_t offset, const void *data,
                                        size_t size)
{
    uint8_t place[16];
    store_u64(place, segment_id);
    store_u64(place + 8, offset);
    return crc32c(crc32c(0, place, sizeof place), data, size);
}

static inline uint64_t segment_align(uint64_t offset)
{
    return (offset + SEGMENT_ALIGNMENT - 1) / SEGMENT_ALIGNMENT * SEGMENT_ALIGNMENT;
}

bool segment_has_magic(const uint8_t *header, size_t size);
void segment_header_encode(uint64_t id, uint8_t to[SEGMENT_HEADER_SIZE]);
/* CORRUPT; UNSUPPORTED for a version that is not ours. */
MUST_CHECK enum status segment_header_decode(const uint8_t from[SEGMENT_HEADER_SIZE], uint64_t *id,
                                             struct error *err);
void segment_trailer_encode(const struct segment_trailer *trailer,
                            uint8_t to[SEGMENT_TRAILER_SIZE]);
/* CORRUPT also when its numbers contradict each other or the file's size. */
MUST_CHECK enum status segment_trailer_decode(const uint8_t from[SEGMENT_TRAILER_SIZE],
                                              uint64_t file_size, struct segment_trailer *trailer,
                                              struct error *err);
/* Of the first directory. */
uint64_t segment_directories_begin(const struct segment_trailer *trailer);

/* Bytes to be taken apart. `at` is NULL from the first item on that did not fit: to be asked once,
 * at the end. */
struct segment_input {
    const uint8_t *at;
    const uint8_t *end;
};

static inline struct segment_input segment_input_of(struct slice from)
{
    /* Not NULL, so that nothing at all is not taken for what did not fit. */
    static const uint8_t none[1];
    const uint8_t *begin = from.size == 0 ? none : from.data;
    return (struct segment_input){begin, begin + from.size};
}

static inline bool segment_input_left(const struct segment_input *input)
{
    return input->at != NULL && input->at < input->end;
}

/* 0 when it does not fit or is more than `max`. */
static inline uint64_t segment_get(struct segment_input *input, uint64_t max)
{
    uint64_t value = 0;
    if (input->at != NULL)
        input->at = varint_get(input->at, input->end, &value);
    if (value > max)
        input->at = NULL;
    return input->at == NULL ? 0 : value;
}

static inline struct slice segment_get_bytes(struct segment_input *input, size_t size)
{
    if (input->at == NULL || size > (size_t)(input->end - input->at)) {
        input->at = NULL;
        return slice_of(NULL, 0);
    }
    struct slice bytes = slice_of(input->at, size);
    input->at += size;
    return bytes;
}

static inline uint32_t segment_get_u32(struct segment_input *input)
{
    struct slice bytes = segment_get_bytes(input, 4);
    return bytes.size == 0 ? 0 : load_u32(bytes.data);
}

/* A varint size of at most `max`, and so many bytes. */
static inline struct slice segment_get_text(struct segment_input *input, uint64_t max)
{
    size_t size = (size_t)segment_get(input, max);
    return segment_get_bytes(input, size);
}

MUST_CHECK enum status segment_put(struct bytes *to, uint64_t value);
MUST_CHECK enum status segment_put_u32(struct bytes *to, uint32_t value);
MUST_CHECK enum status segment_put_text(struct bytes *to, struct slice text);

#endif
