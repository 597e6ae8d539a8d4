#include "damage_regions.h"

#include "../unit/test.h"

#include <inttypes.h>

#include "base/bits.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/series_segment_state.h"

static const char *const names[REGION_KINDS] = {
    [REGION_PART_HEADER] = "header of a part",
    [REGION_PART_VALUES] = "values of a block",
    [REGION_PART_TIMES] = "a time column",
    [REGION_PART_PAGE] = "a page of a part",
    [REGION_PART_SET] = "series set of a part",
    [REGION_PART_INDEX] = "index of a part",
    [REGION_PART_TRAILER] = "trailer of a part",
    [REGION_SEGMENT_HEADER] = "header of a series segment",
    [REGION_SEGMENT_DEFINITIONS] = "a page of definitions",
    [REGION_SEGMENT_METRIC_IDS] = "a page of metric ids",
    [REGION_SEGMENT_SETS] = "sets of ids",
    [REGION_SEGMENT_VALUES] = "a page of values",
    [REGION_SEGMENT_ZEROS] = "zeros of a series segment",
    [REGION_SEGMENT_KEYS] = "a page of keys",
    [REGION_SEGMENT_DIRECTORIES] = "directories of a series segment",
    [REGION_SEGMENT_TRAILER] = "trailer of a series segment",
    [REGION_DESCRIPTORS] = "descriptors",
    [REGION_DELETES] = "deletes",
    [REGION_MANIFEST] = "the manifest",
    [REGION_LOG_HEADER] = "header of a log segment",
    [REGION_LOG_FRAMES] = "frames of the log",
    [REGION_LOG_REST] = "unused rest of the log",
};

const char *region_name(enum region_kind kind)
{
    return names[kind];
}

/* ---- taking down ------------------------------------------------------------------------ */

static struct region *add_region(struct regions *regions, enum region_kind kind, size_t file,
                                 uint64_t from, uint64_t size)
{
    if (regions->count == regions->capacity) {
        regions->capacity = regions->capacity == 0 ? 1024 : 2 * regions->capacity;
        regions->items = realloc(regions->items, regions->capacity * sizeof regions->items[0]);
        assert_non_null(regions->items);
    }
    struct region *region = &regions->items[regions->count++];
    *region = (struct region){kind, file, from, size, regions->span_count, 0};
    return region;
}

/* To the region that was added last. */
static void add_span(struct regions *regions, uint32_t id, int64_t first_ms, int64_t last_ms)
{
    if (regions->span_count == regions->span_capacity) {
        regions->span_capacity = regions->span_capacity == 0 ? 1024 : 2 * regions->span_capacity;
        regions->spans = realloc(regions->spans, regions->span_capacity * sizeof regions->spans[0]);
        assert_non_null(regions->spans);
    }
    assert_true(id < regions->number_count && regions->numbers[id] != UINT32_MAX);
    regions->spans[regions->span_count++] = (struct span){regions->numbers[id], first_ms, last_ms};
    regions->items[regions->count - 1].span_count++;
}

/* Which number each series id has. */
static void number_ids(struct regions *regions)
{
    const struct world *world = regions->world;
    struct sim_disk *disk = sim_disk_clone(world->disk);
    struct sim_machine machine;
    struct tier *tier;
    struct selection *selection;
    struct matchers everything = {0};
    struct select_options options = {.range = fixture_always()};
    regions->number_count = 4 * (size_t)world->living.series_count;
    regions->numbers = malloc(regions->number_count * sizeof regions->numbers[0]);
    assert_non_null(regions->numbers);
    memset(regions->numbers, 0xff, regions->number_count * sizeof regions->numbers[0]);
    world_machine_init(world, &machine, disk);
    assert_int_equal(engine_open(&machine.options, &tier, NULL), STATUS_OK);
    assert_int_equal(storage_select(tier, &everything, 1, &options, &selection, NULL), STATUS_OK);
    for (size_t i = 0; i < selection_count(tier, selection); i++) {
        struct selected_series series;
        char digits[8] = {0};
        assert_int_equal(selection_series(tier, selection, i, &series, NULL), STATUS_OK);
        struct slice text = labels_get(&series.labels, slice_from_text("n"));
        memcpy(digits, text.data, text.size < 7 ? text.size : 7);
        assert_true(series.id < regions->number_count);
        regions->numbers[series.id] = (uint32_t)strtoul(digits, NULL, 10);
    }
    selection_close(tier, selection);
    engine_abandon(tier);
    sim_disk_free(disk);
}

/* ---- parts ------------------------------------------------------------------------------ */

/* All blocks of a part, in the order of the file. For the caller to free. */
static struct part_block *read_blocks(struct part *part, size_t *count)
{
    struct part_cursor *cursor;
    const struct part_block *block;
    struct part_loss lost;
    struct part_block *blocks = calloc(part_totals(part)->blocks, sizeof blocks[0]);
    assert_non_null(blocks);
    *count = 0;
    assert_int_equal(part_cursor_new(&cursor, part, NULL), STATUS_OK);
    part_cursor_seek(cursor, 0, 0);
    while (part_cursor_next(cursor, &block, &lost, NULL) == STATUS_OK)
        blocks[(*count)++] = *block;
    part_cursor_free(cursor);
    assert_int_equal(*count, part_totals(part)->blocks);
    return blocks;
}

static void add_block_span(struct regions *regions, const struct part_block *block)
{
    add_span(regions, block->series, block->first_ms, block->last_ms);
}

static void add_pages(struct regions *regions, size_t file, const struct part_block *blocks,
                      const struct part_trailer *trailer, const uint8_t *bytes)
{
    for (uint64_t i = 0; i < trailer->totals.pages; i++) {
        struct part_index_entry entry;
        part_index_entry_decode(bytes + trailer->index_offset + i * PART_INDEX_ENTRY_SIZE, &entry);
        add_region(regions, REGION_PART_PAGE, file, entry.offset, entry.size);
        for (uint32_t j = 0; j < entry.blocks; j++)
            add_block_span(regions, blocks++);
    }
}

static int compare_times(const void *a, const void *b)
{
    const struct part_block *left = a;
    const struct part_block *right = b;
    return (left->times_offset > right->times_offset) - (left->times_offset < right->times_offset);
}

/* Sorts the blocks: those that share a time column stand together then. */
static void add_times(struct regions *regions, size_t file, struct part_block *blocks, size_t count)
{
    if (count > 0)
        qsort(blocks, count, sizeof blocks[0], compare_times);
    for (size_t i = 0; i < count; i++) {
        if (blocks[i].times_size == 0)
            continue;
        if (i == 0 || blocks[i].times_offset != blocks[i - 1].times_offset)
            add_region(regions, REGION_PART_TIMES, file, blocks[i].times_offset,
                       blocks[i].times_size);
        add_block_span(regions, &blocks[i]);
    }
}

static void add_part(struct regions *regions, size_t file)
{
    const struct stored_file *stored = &regions->world->files[file];
    struct part *part;
    struct part_trailer trailer;
    uint64_t size;
    size_t count;
    uint8_t *bytes = disk_read(regions->world->disk, stored->path, &size);
    struct filesystem *fs = sim_disk_filesystem(regions->world->disk);
    assert_int_equal(part_open(&part, fs, stored->path, NULL), STATUS_OK);
    assert_int_equal(part_trailer_decode(bytes + size - PART_TRAILER_SIZE, size, &trailer, NULL),
                     STATUS_OK);
    struct part_block *blocks = read_blocks(part, &count);
    part_close(part);
    add_region(regions, REGION_PART_HEADER, file, 0, PART_HEADER_SIZE);
    for (size_t i = 0; i < count; i++) {
        if (blocks[i].values_size == 0)
            continue;
        add_region(regions, REGION_PART_VALUES, file, blocks[i].values_offset,
                   blocks[i].values_size);
        add_block_span(regions, &blocks[i]);
    }
    add_pages(regions, file, blocks, &trailer, bytes);
    add_times(regions, file, blocks, count);
    add_region(regions, REGION_PART_SET, file, trailer.index_offset - trailer.set_size,
               trailer.set_size);
    add_region(regions, REGION_PART_INDEX, file, trailer.index_offset,
               size - PART_TRAILER_SIZE - trailer.index_offset);
    add_region(regions, REGION_PART_TRAILER, file, size - PART_TRAILER_SIZE, PART_TRAILER_SIZE);
    free(blocks);
    free(bytes);
}

/* ---- segments --------------------------------------------------------------------------- */

static void add_segment_spans(struct regions *regions, const struct series_segment *segment,
                              uint32_t first, uint32_t last)
{
    roaring_uint32_iterator_t at;
    roaring_init_iterator(segment->ids, &at);
    for (; at.has_value; roaring_advance_uint32_iterator(&at))
        if (at.current_value >= first && at.current_value <= last)
            add_span(regions, at.current_value, INT64_MIN, INT64_MAX);
}

static void add_series_pages(struct regions *regions, size_t file,
                             const struct series_segment *segment)
{
    for (size_t i = 0; i < segment->page_count; i++) {
        const struct segment_page_entry *page = &segment->pages[i];
        add_region(regions, REGION_SEGMENT_DEFINITIONS, file, page->offset, page->size);
        add_segment_spans(regions, segment, page->first_id, segment_page_last_id(segment, i));
    }
    uint64_t left = segment->trailer.stats.series;
    for (size_t i = 0; i < segment->metric_page_count; i++) {
        uint64_t count = left < SEGMENT_METRICS_PER_PAGE ? left : SEGMENT_METRICS_PER_PAGE;
        add_region(regions, REGION_SEGMENT_METRIC_IDS, file, segment->metric_pages[i].offset,
                   4 * count);
        left -= count;
    }
    uint64_t end = segment->trailer.definitions_end;
    for (size_t i = 0; i < segment->value_page_count; i++) {
        const struct segment_value_page_entry *page = &segment->value_pages[i];
        if (page->offset > end)
            add_region(regions, REGION_SEGMENT_SETS, file, end, page->offset - end);
        add_region(regions, REGION_SEGMENT_VALUES, file, page->offset, page->size);
        end = page->offset + page->size;
    }
    if (segment->trailer.keys_begin > end)
        add_region(regions, REGION_SEGMENT_ZEROS, file, end, segment->trailer.keys_begin - end);
}

static void add_series_segment(struct regions *regions, size_t file, uint64_t id)
{
    const struct stored_file *stored = &regions->world->files[file];
    struct sim_machine machine;
    struct series_segment *segment;
    world_machine_init(regions->world, &machine, regions->world->disk);
    assert_int_equal(series_segment_open(&segment, machine.options.os, stored->path, id, NULL),
                     STATUS_OK);
    add_region(regions, REGION_SEGMENT_HEADER, file, 0, SEGMENT_HEADER_SIZE);
    add_series_pages(regions, file, segment);
    uint64_t keys_end =
        segment->trailer.keys_begin + segment->trailer.stats.series * SEGMENT_KEY_SIZE;
    for (size_t i = 0; i < segment->key_page_count; i++) {
        uint64_t from = segment->trailer.keys_begin + i * SEGMENT_KEY_PAGE_SIZE;
        uint64_t size =
            keys_end - from < SEGMENT_KEY_PAGE_SIZE ? keys_end - from : SEGMENT_KEY_PAGE_SIZE;
        add_region(regions, REGION_SEGMENT_KEYS, file, from, size);
    }
    uint64_t trailer = stored->size - SEGMENT_TRAILER_SIZE;
    add_region(regions, REGION_SEGMENT_DIRECTORIES, file, keys_end, trailer - keys_end);
    add_segment_spans(regions, segment, 0, UINT32_MAX);
    add_region(regions, REGION_SEGMENT_TRAILER, file, trailer, SEGMENT_TRAILER_SIZE);
    add_segment_spans(regions, segment, 0, UINT32_MAX);
    series_segment_close(segment);
}

/* Segments of descriptors and of deletes are told apart by the type of their first record. */
static void add_segment(struct regions *regions, size_t file)
{
    const struct stored_file *stored = &regions->world->files[file];
    uint64_t size;
    uint8_t *bytes = disk_read(regions->world->disk, stored->path, &size);
    if (file_is_series_segment(regions->world, stored))
        add_series_segment(regions, file, load_u64(bytes + 8));
    else
        add_region(regions, load_u32(bytes + 32 + 16) == 4 ? REGION_DELETES : REGION_DESCRIPTORS,
                   file, 0, size);
    free(bytes);
}

/* ---- all -------------------------------------------------------------------------------- */

static void add_log(struct regions *regions, size_t file)
{
    const struct stored_file *stored = &regions->world->files[file];
    /* The last record of a segment may end with zeros. */
    enum { FRAMES = 4096, ZEROS = 64 };
    add_region(regions, REGION_LOG_HEADER, file, 0, 64);
    if (stored->used > FRAMES)
        add_region(regions, REGION_LOG_FRAMES, file, FRAMES, stored->used - FRAMES);
    uint64_t rest = stored->used > FRAMES ? stored->used + ZEROS : FRAMES;
    if (rest < stored->size)
        add_region(regions, REGION_LOG_REST, file, rest, stored->size - rest);
}

void regions_make(struct regions *regions, const struct world *world)
{
    *regions = (struct regions){.world = world};
    number_ids(regions);
    for (size_t i = 0; i < world->count; i++) {
        const struct stored_file *file = &world->files[i];
        if (file_is_spare(file))
            continue;
        if (file_is_log(file))
            add_log(regions, i);
        else if (file_is_part(file))
            add_part(regions, i);
        else if (strstr(file->path, ".seg") != NULL)
            add_segment(regions, i);
        else if (strcmp(file->path, "/store/manifest") == 0)
            add_region(regions, REGION_MANIFEST, i, 0, file->size);
    }
}

void regions_release(struct regions *regions)
{
    free(regions->items);
    free(regions->spans);
    free(regions->numbers);
}

/* ---- bounds ----------------------------------------------------------------------------- */

struct bound region_bound(enum region_kind kind, bool read_only)
{
    switch (kind) {
    case REGION_PART_VALUES:
    case REGION_PART_TIMES:
    case REGION_PART_PAGE:
        return (struct bound){.samples = true, .may_be_partial = true};
    case REGION_SEGMENT_DEFINITIONS:
        return (struct bound){
            .samples = true, .may_be_partial = true, .matchers_may_be_partial = true};
    case REGION_SEGMENT_SETS:
    case REGION_SEGMENT_VALUES:
        return (struct bound){.matchers_may_be_partial = true};
    case REGION_SEGMENT_DIRECTORIES:
    case REGION_SEGMENT_TRAILER:
        return (struct bound){.samples = read_only,
                              .may_be_partial = read_only,
                              .matchers_may_be_partial = read_only};
    case REGION_DELETES:
        return (struct bound){.may_be_partial = true, .matchers_may_be_partial = true};
    case REGION_LOG_FRAMES:
        return (struct bound){
            .commit = true, .may_be_partial = true, .matchers_may_be_partial = true};
    default:
        return (struct bound){0};
    }
}

static bool spans_have(const struct regions *regions, const struct region *region, uint32_t series,
                       int64_t time_ms)
{
    for (size_t i = 0; i < region->span_count; i++) {
        const struct span *span = &regions->spans[region->first_span + i];
        if (span->series == series && time_ms >= span->first_ms && time_ms <= span->last_ms)
            return true;
    }
    return false;
}

/* The commit of a sample, and that which defined its series. */
static uint64_t commit_of(const struct world *world, uint32_t series, int64_t time_ms,
                          uint64_t *defined)
{
    const struct ledger_series *commits = &world->commits.series[series];
    uint64_t commit = 0;
    *defined = UINT64_MAX;
    for (size_t i = 0; i < commits->count; i++) {
        if (commits->bits[i] < *defined)
            *defined = commits->bits[i];
        if (commits->times[i] == time_ms)
            commit = commits->bits[i];
    }
    return commit;
}

/* Of a lost frame all that is missing is its samples, and those of series that it defines. The
 * first that is missing tells which frame it is: *frame, 0 before. */
static bool frame_allows(uint64_t *frame, const struct world *world, uint32_t series,
                         int64_t time_ms)
{
    uint64_t defined;
    uint64_t commit = commit_of(world, series, time_ms, &defined);
    if (*frame == 0)
        *frame = commit;
    return commit == *frame || defined == *frame;
}

bool regions_allow(const struct regions *regions, const struct region *const *damaged, size_t count,
                   bool read_only, const struct ledger *told, char why[FIXTURE_WHY_SIZE])
{
    const struct world *world = regions->world;
    uint64_t frame = 0;
    for (uint32_t i = 0; i < world->living.series_count; i++) {
        const struct ledger_series *living = &world->living.series[i];
        const struct ledger_series *found = &told->series[i];
        size_t at = 0;
        for (size_t j = 0; j < living->count; j++) {
            while (at < found->count && found->times[at] < living->times[j])
                at++;
            bool allowed = at < found->count && found->times[at] == living->times[j];
            for (size_t k = 0; k < count && !allowed; k++) {
                struct bound bound = region_bound(damaged[k]->kind, read_only);
                allowed = (bound.samples && spans_have(regions, damaged[k], i, living->times[j])) ||
                          (bound.commit && frame_allows(&frame, world, i, living->times[j]));
            }
            if (!allowed)
                return fixture_no(why, "series %" PRIu32 " lacks the sample at %" PRId64, i,
                                  living->times[j]);
        }
    }
    return true;
}
