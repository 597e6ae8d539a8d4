#include "storage/engine/part_page.h"

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/intpack.h"
#include "storage/engine/part_summary.h"
#include "storage/engine/time_codec.h"
#include "storage/engine/value_scale.h"

enum { PAGE_HEADER_SIZE = 24, MAX_TIMES = PART_PAGE_MAX_BLOCKS };

/* What blocks share: one line of the page's table of times. */
struct page_times {
    int64_t first_ms;
    int64_t last_ms;
    uint64_t offset;
    uint32_t size;
    uint32_t count;
};

enum times_column { TIMES_COUNT, TIMES_FIRST, TIMES_SPAN, TIMES_SIZE, TIMES_OFFSET, TIMES_COLUMNS };

enum block_column {
    BLOCK_METRIC,
    BLOCK_SERIES,
    BLOCK_KIND,
    BLOCK_TIMES,
    BLOCK_VALUES_SIZE,
    BLOCK_SCALE,
    BLOCK_STALE,
    BLOCK_NAN,
    BLOCK_FLAGS,
    BLOCK_COLUMNS,
};

static bool times_of(const struct part_block *block, const struct page_times *times)
{
    return times->first_ms == block->first_ms && times->last_ms == block->last_ms &&
           times->count == block->count && times->size == block->times_size &&
           (times->size == 0 || times->offset == block->times_offset);
}

/* ---- writing ---------------------------------------------------------------------------- */

/* Fills the table and each block's position in it; returns the number of lines. */
static size_t collect_times(const struct part_page *page, struct page_times *table,
                            int64_t *positions)
{
    size_t count = 0;
    size_t at = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct part_block *block = &page->blocks[i];
        /* Targets come in the same order for every metric: look behind the last one first. */
        size_t looked_at = 0;
        while (looked_at < count && !times_of(block, &table[at])) {
            at = at + 1 < count ? at + 1 : 0;
            looked_at++;
        }
        if (looked_at == count) {
            at = count++;
            table[at] = (struct page_times){
                .count = block->count,
                .first_ms = block->first_ms,
                .last_ms = block->last_ms,
                .offset = block->times_size == 0 ? 0 : block->times_offset,
                .size = block->times_size,
            };
        }
        positions[i] = (int64_t)at;
        at = at + 1 < count ? at + 1 : 0;
    }
    return count;
}

static uint8_t *put_column(uint8_t *to, const int64_t *values, size_t count)
{
    uint8_t stream[PART_PAGE_MAX_BLOCKS * 8 + 128];
    unsigned order = intpack_choose_order(values, count);
    size_t size = intpack_encode(values, count, order, stream);
    *to++ = (uint8_t)order;
    to = varint_put(to, size);
    memcpy(to, stream, size);
    return to + size;
}

static int64_t times_field(const struct page_times *times, enum times_column column, int64_t day)
{
    switch (column) {
    case TIMES_COUNT:
        return times->count;
    case TIMES_FIRST:
        return times->first_ms - day * MS_PER_DAY;
    case TIMES_SPAN:
        return times->last_ms - times->first_ms;
    case TIMES_SIZE:
        return times->size;
    default:
        return (int64_t)times->offset;
    }
}

static int64_t block_field(const struct part_block *block, enum block_column column)
{
    switch (column) {
    case BLOCK_METRIC:
        return block->metric;
    case BLOCK_SERIES:
        return block->series;
    case BLOCK_KIND:
        return block->kind;
    case BLOCK_VALUES_SIZE:
        return block->values_size;
    case BLOCK_SCALE:
        return block->scale;
    case BLOCK_STALE:
        return block->summary.stale_count;
    default:
        return block->summary.nan_count;
    }
}

static uint8_t *put_columns(uint8_t *to, const struct part_page *page, int64_t day,
                            size_t *times_count)
{
    struct page_times table[MAX_TIMES];
    int64_t positions[PART_PAGE_MAX_BLOCKS];
    int64_t column[PART_PAGE_MAX_BLOCKS];
    *times_count = collect_times(page, table, positions);
    for (unsigned c = 0; c < TIMES_COLUMNS; c++) {
        for (size_t i = 0; i < *times_count; i++)
            column[i] = times_field(&table[i], (enum times_column)c, day);
        to = put_column(to, column, *times_count);
    }
    for (unsigned c = 0; c < BLOCK_FLAGS; c++) {
        for (size_t i = 0; i < page->count; i++)
            column[i] = c == BLOCK_TIMES ? positions[i]
                                         : block_field(&page->blocks[i], (enum block_column)c);
        to = put_column(to, column, page->count);
    }
    return to;
}

static uint8_t *put_summaries(uint8_t *to, const struct part_page *page)
{
    int64_t all_flags[PART_PAGE_MAX_BLOCKS];
    uint8_t summaries[PART_PAGE_MAX_BLOCKS * PART_SUMMARY_MAX_SIZE] = {0};
    uint8_t *next = summaries;
    for (size_t i = 0; i < page->count; i++) {
        unsigned flags;
        next = part_summary_put(next, &page->blocks[i], &flags);
        all_flags[i] = flags;
    }
    to = put_column(to, all_flags, page->count);
    for (size_t i = 0; i < page->count; i++) {
        if (page->blocks[i].values_size > 0) {
            store_u32(to, page->blocks[i].values_crc);
            to += 4;
        }
    }
    size_t size = (size_t)(next - summaries);
    memcpy(to, summaries, size);
    return to + size;
}

static uint32_t page_checksum(const uint8_t *page, size_t size, uint64_t part_id, uint64_t offset)
{
    return crc32c(part_checksum(part_id, offset, page, 8), page + 12, size - 12);
}

size_t part_page_encode(const struct part_page *page, const struct part_identity *identity,
                        uint64_t offset, uint8_t *to)
{
    invariant(page->count > 0 && page->count <= PART_PAGE_MAX_BLOCKS);
    size_t times_count;
    uint8_t *next = put_columns(to + PAGE_HEADER_SIZE, page, identity->day, &times_count);
    next = put_summaries(next, page);
    size_t size = (size_t)(next - to);
    invariant(size <= PART_PAGE_MAX_SIZE);
    store_u32(to, PART_PAGE_MAGIC);
    store_u32(to + 4, (uint32_t)size);
    store_u16(to + 12, (uint16_t)page->count);
    store_u16(to + 14, (uint16_t)times_count);
    store_u64(to + 16, page->values_offset);
    store_u32(to + 8, page_checksum(to, size, identity->id, offset));
    return size;
}

/* ---- reading ---------------------------------------------------------------------------- */

size_t part_page_size(const uint8_t from[8])
{
    size_t size = load_u32(from + 4);
    return load_u32(from) == PART_PAGE_MAGIC && size > PAGE_HEADER_SIZE &&
                   size <= PART_PAGE_MAX_SIZE
               ? size
               : 0;
}

static enum status broken(struct error *err, const char *what)
{
    fail(err, STATUS_CORRUPT, "%s", what);
    return STATUS_CORRUPT;
}

static enum status get_column(const uint8_t **from, const uint8_t *end, size_t count,
                              int64_t *values, struct error *err)
{
    if (*from == end)
        return broken(err, "a column is missing");
    unsigned order = *(*from)++;
    uint64_t size;
    const uint8_t *next = varint_get(*from, end, &size);
    if (next == NULL || size > (uint64_t)(end - next))
        return broken(err, "a column is cut off");
    *from = next + size;
    return intpack_decode(slice_of(next, (size_t)size), count, order, values, err);
}

static bool fits(int64_t value, int64_t max)
{
    return value >= 0 && value <= max;
}

/* One line of the table from its columns. */
static bool set_times(struct page_times *times, int64_t columns[TIMES_COLUMNS][MAX_TIMES], size_t i,
                      int64_t day, uint64_t page_offset)
{
    int64_t count = columns[TIMES_COUNT][i];
    int64_t first = columns[TIMES_FIRST][i];
    int64_t span = columns[TIMES_SPAN][i];
    int64_t size = columns[TIMES_SIZE][i];
    int64_t offset = columns[TIMES_OFFSET][i];
    if (!fits(count - 1, PART_BLOCK_MAX_COUNT - 1) || !fits(first, MS_PER_DAY - 1) ||
        !fits(span, MS_PER_DAY - 1 - first) || span < count - 1)
        return false;
    if (!fits(size, (int64_t)time_column_max_size(PART_BLOCK_MAX_COUNT) + 4) ||
        !fits(offset, (int64_t)page_offset - size) || (size > 0 && size < 5))
        return false;
    /* Without a column of its own it must be steady. */
    if (size == 0 && (count == 1 ? span != 0 : span % (count - 1) != 0))
        return false;
    *times = (struct page_times){
        .count = (uint32_t)count,
        .first_ms = day * MS_PER_DAY + first,
        .last_ms = day * MS_PER_DAY + first + span,
        .offset = (uint64_t)offset,
        .size = (uint32_t)size,
    };
    return true;
}

static enum status get_times(const uint8_t **from, const uint8_t *end, size_t count, int64_t day,
                             uint64_t page_offset, struct page_times *table, struct error *err)
{
    int64_t columns[TIMES_COLUMNS][MAX_TIMES];
    for (unsigned c = 0; c < TIMES_COLUMNS; c++) {
        enum status status = get_column(from, end, count, columns[c], err);
        if (status != STATUS_OK)
            return status;
    }
    for (size_t i = 0; i < count; i++)
        if (!set_times(&table[i], columns, i, day, page_offset))
            return broken(err, "a line of its times is out of range");
    return STATUS_OK;
}

struct block_columns {
    int64_t column[BLOCK_COLUMNS][PART_PAGE_MAX_BLOCKS];
};

static bool set_block(struct part_block *block, const struct block_columns *columns, size_t i,
                      const struct page_times *table, size_t times_count)
{
    int64_t metric = columns->column[BLOCK_METRIC][i];
    int64_t series = columns->column[BLOCK_SERIES][i];
    int64_t kind = columns->column[BLOCK_KIND][i];
    int64_t position = columns->column[BLOCK_TIMES][i];
    int64_t size = columns->column[BLOCK_VALUES_SIZE][i];
    int64_t scale = columns->column[BLOCK_SCALE][i];
    int64_t stale = columns->column[BLOCK_STALE][i];
    int64_t nan = columns->column[BLOCK_NAN][i];
    if (!fits(metric, UINT32_MAX) || !fits(series, UINT32_MAX) || kind != PART_KIND_FLOAT ||
        !fits(position, (int64_t)times_count - 1) || scale < INT8_MIN || scale > INT8_MAX ||
        !scale_is_valid((int)scale))
        return false;
    const struct page_times *times = &table[position];
    if (!fits(size, (int64_t)value_block_max_size(times->count)) || !fits(stale, times->count) ||
        !fits(nan, times->count - stale))
        return false;
    if (size == 0 && stale != 0 && stale != times->count)
        return false;
    *block = (struct part_block){
        .metric = (uint32_t)metric,
        .series = (uint32_t)series,
        .kind = (uint8_t)kind,
        .scale = (int8_t)scale,
        .count = times->count,
        .first_ms = times->first_ms,
        .last_ms = times->last_ms,
        .summary = {.count = times->count - (uint32_t)stale,
                    .stale_count = (uint32_t)stale,
                    .nan_count = (uint32_t)nan},
        .values_size = (uint32_t)size,
        .times_offset = times->offset,
        .times_size = times->size,
    };
    return true;
}

/* Where each block's values lie; see the layout above. False where they reach beyond `end`. */
static bool place_values(struct part_page *page, const struct block_columns *columns, uint64_t end)
{
    uint64_t at = page->values_offset;
    int64_t known = -1;
    for (size_t i = 0; i < page->count; i++) {
        struct part_block *block = &page->blocks[i];
        int64_t position = columns->column[BLOCK_TIMES][i];
        if (position > known) {
            known = position;
            if (block->times_size > 0 && block->times_offset == at)
                at += block->times_size;
        }
        block->values_offset = at;
        at += block->values_size;
        if (at > end)
            return false;
    }
    return at == end;
}

static bool keys_rise(const struct part_page *page)
{
    for (size_t i = 1; i < page->count; i++) {
        const struct part_block *a = &page->blocks[i - 1];
        const struct part_block *b = &page->blocks[i];
        int order = part_compare_keys(a->metric, a->series, b->metric, b->series);
        if (order > 0 || (order == 0 && b->first_ms <= a->last_ms))
            return false;
    }
    return true;
}

static enum status get_summaries(const uint8_t *from, const uint8_t *end, struct part_page *page,
                                 const struct block_columns *columns, struct error *err)
{
    for (size_t i = 0; i < page->count; i++) {
        if (page->blocks[i].values_size == 0)
            continue;
        if (end - from < 4)
            return broken(err, "checksums are cut off");
        page->blocks[i].values_crc = load_u32(from);
        from += 4;
    }
    for (size_t i = 0; i < page->count; i++) {
        int64_t flags = columns->column[BLOCK_FLAGS][i];
        if (!fits(flags, UINT16_MAX))
            return broken(err, "flags of a summary are out of range");
        from = part_summary_get(from, end, (unsigned)flags, &page->blocks[i]);
        if (from == NULL)
            return broken(err, "a summary is broken");
    }
    return from == end ? STATUS_OK : broken(err, "there are bytes behind the last summary");
}

static enum status decode_checked(struct slice from, const struct part_identity *identity,
                                  uint64_t offset, struct part_page *page, struct error *err)
{
    struct page_times table[MAX_TIMES];
    struct block_columns columns = {0};
    const uint8_t *next = from.data + PAGE_HEADER_SIZE;
    const uint8_t *end = from.data + from.size;
    page->count = load_u16(from.data + 12);
    page->values_offset = load_u64(from.data + 16);
    size_t times_count = load_u16(from.data + 14);
    if (page->count == 0 || page->count > PART_PAGE_MAX_BLOCKS || times_count == 0 ||
        times_count > page->count || page->values_offset < PART_HEADER_SIZE ||
        page->values_offset > offset)
        return broken(err, "its counts are out of range");
    enum status status = get_times(&next, end, times_count, identity->day, offset, table, err);
    for (unsigned c = 0; status == STATUS_OK && c < BLOCK_COLUMNS; c++)
        status = get_column(&next, end, page->count, columns.column[c], err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < page->count; i++)
        if (!set_block(&page->blocks[i], &columns, i, table, times_count))
            return broken(err, "a block's header is out of range");
    if (!place_values(page, &columns, offset))
        return broken(err, "its values do not end where the page begins");
    if (!keys_rise(page))
        return broken(err, "its blocks are not in order");
    return get_summaries(next, end, page, &columns, err);
}

enum status part_page_decode(struct slice from, const struct part_identity *identity,
                             uint64_t offset, struct part_page *page, struct error *err)
{
    page->count = 0;
    if (from.size <= PAGE_HEADER_SIZE || part_page_size(from.data) != from.size)
        return broken(err, "it does not begin like a page");
    uint32_t want = load_u32(from.data + 8);
    uint32_t got = page_checksum(from.data, from.size, identity->id, offset);
    if (got != want)
        return fail(err, STATUS_CORRUPT, "its checksum differs (got %08x, want %08x)", got, want);
    enum status status = decode_checked(from, identity, offset, page, err);
    if (status != STATUS_OK)
        page->count = 0;
    return status;
}
