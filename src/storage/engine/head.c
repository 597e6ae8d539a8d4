#include "storage/engine/head.h"

#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "storage/engine/head_notes.h"

enum {
    UNIT_SIZE = 16,        /* slabs and places are addressed in units of one sample */
    BLOCK_UNITS = 1 << 16, /* 1 MiB of slabs */
    PAGE_ENTRIES = 16,     /* few, as the series in use may stand far apart */
    DIRECTORY_PAGES = 512,
    DIRECTORY_ENTRIES = DIRECTORY_PAGES * PAGE_ENTRIES,
    LARGEST_SLAB = 63,
    SLACK_BLOCKS = 1024,
    AHEAD = 12, /* how many samples ahead lines are fetched */
};

struct slab {
    uint32_t next;
    uint32_t capacity; /* samples */
    uint64_t unused;
    struct head_sample samples[];
};
_Static_assert(sizeof(struct slab) == UNIT_SIZE, "a slab's header is one unit");
_Static_assert(sizeof(struct head_sample) == UNIT_SIZE, "a sample is one unit");

struct head {
    void **blocks; /* of BLOCK_UNITS units; fixed array of max_blocks */
    size_t block_count, max_blocks;
    uint32_t used_units; /* of the last block that slabs were taken from */
    size_t current_block;
    uint64_t reserved_units;          /* by head_reserve since it began */
    struct head_entry ***directories; /* of pages; both are made when touched */
    size_t directory_count;           /* of the array */
    size_t directories_made, pages_made;
    size_t max_bytes;
    uint64_t sample_count;
    int64_t min_ms, max_ms;
    struct head_noting noting;
};

static const struct head_entry no_entry;

enum status head_new(struct head **result, size_t max_bytes)
{
    *result = NULL;
    struct head *head = calloc(1, sizeof *head);
    if (head == NULL)
        return STATUS_MEMORY;
    head->max_bytes = max_bytes;
    head->max_blocks = max_bytes / ((size_t)BLOCK_UNITS * UNIT_SIZE) + SLACK_BLOCKS;
    head->blocks = calloc(head->max_blocks, sizeof head->blocks[0]);
    if (head->blocks == NULL) {
        free(head);
        return STATUS_MEMORY;
    }
    /* Unit 0 is nobody's slab, so that 0 means "none". */
    head->used_units = 4;
    head->min_ms = INT64_MAX;
    head->max_ms = INT64_MIN;
    *result = head;
    return STATUS_OK;
}

static void directory_free(struct head_entry **directory)
{
    for (size_t i = 0; directory != NULL && i < DIRECTORY_PAGES; i++)
        free(directory[i]);
    free(directory);
}

void head_free(struct head *head)
{
    if (head == NULL)
        return;
    invariant(head->noting.moments == 0);
    for (size_t i = 0; i < head->block_count; i++)
        free(head->blocks[i]);
    for (size_t i = 0; i < head->directory_count; i++)
        directory_free(head->directories[i]);
    free(head->blocks);
    free(head->directories);
    free(head);
}

size_t head_memory(const struct head *head)
{
    /* The block in use counts by what is used of it, so that a small maximum means something. */
    return head->current_block * BLOCK_UNITS * UNIT_SIZE + (size_t)head->used_units * UNIT_SIZE +
           head->pages_made * PAGE_ENTRIES * sizeof(struct head_entry) +
           head->directories_made * DIRECTORY_PAGES * sizeof(struct head_entry *) +
           head->directory_count * sizeof head->directories[0];
}

bool head_is_full(const struct head *head)
{
    return head_memory(head) >= head->max_bytes;
}

static enum status reach_directories(struct head *head, size_t count)
{
    if (count <= head->directory_count)
        return STATUS_OK;
    size_t capacity = head->directory_count == 0 ? 16 : head->directory_count;
    while (capacity < count)
        capacity *= 2;
    struct head_entry ***directories = realloc(head->directories, capacity * sizeof directories[0]);
    if (directories == NULL)
        return STATUS_MEMORY;
    memset(directories + head->directory_count, 0,
           (capacity - head->directory_count) * sizeof directories[0]);
    head->directories = directories;
    head->directory_count = capacity;
    return STATUS_OK;
}

static enum status page_make(struct head *head, uint32_t series_id)
{
    enum status status = reach_directories(head, series_id / DIRECTORY_ENTRIES + 1);
    if (status != STATUS_OK)
        return status;
    struct head_entry ***directory = &head->directories[series_id / DIRECTORY_ENTRIES];
    if (*directory == NULL) {
        *directory = calloc(DIRECTORY_PAGES, sizeof **directory);
        if (*directory == NULL)
            return STATUS_MEMORY;
        head->directories_made++;
    }
    struct head_entry **page = &(*directory)[series_id / PAGE_ENTRIES % DIRECTORY_PAGES];
    if (*page != NULL)
        return STATUS_OK;
    *page = calloc(PAGE_ENTRIES, sizeof **page);
    if (*page == NULL)
        return STATUS_MEMORY;
    head->pages_made++;
    return STATUS_OK;
}

/* NULL when nothing of it was touched. */
static struct head_entry *page_of(const struct head *head, uint32_t series_id)
{
    size_t directory = series_id / DIRECTORY_ENTRIES;
    if (directory >= head->directory_count || head->directories[directory] == NULL)
        return NULL;
    return head->directories[directory][series_id / PAGE_ENTRIES % DIRECTORY_PAGES];
}

static uint32_t next_capacity(uint32_t capacity)
{
    return capacity >= LARGEST_SLAB ? LARGEST_SLAB : capacity * 2 + 1;
}

static struct slab *slab_at(const struct head *head, uint32_t unit)
{
    uint8_t *block = head->blocks[unit / BLOCK_UNITS];
    return (struct slab *)(void *)(block + (size_t)(unit % BLOCK_UNITS) * UNIT_SIZE);
}

static struct head_entry *entry_at(const struct head *head, uint32_t series_id)
{
    return &head->directories[series_id / DIRECTORY_ENTRIES]
                             [series_id / PAGE_ENTRIES % DIRECTORY_PAGES][series_id % PAGE_ENTRIES];
}

static enum status blocks_reserve(struct head *head, uint64_t units)
{
    /* A slab never crosses a block: at most LARGEST_SLAB units of each stay unused. */
    uint64_t usable = BLOCK_UNITS - LARGEST_SLAB - 1;
    uint64_t blocks = head->current_block + 2 + units / usable;
    if (blocks > head->max_blocks)
        return STATUS_LIMIT;
    while (head->block_count < blocks) {
        void *block;
        if (posix_memalign(&block, 64, (size_t)BLOCK_UNITS * UNIT_SIZE) != 0)
            return STATUS_MEMORY;
        head->blocks[head->block_count++] = block;
    }
    return STATUS_OK;
}

void head_reserve_begin(struct head *head)
{
    head->reserved_units = 0;
}

/* Of the last slab of `entry`, which has samples: what the slabs before it hold tells. */
static uint32_t last_capacity(const struct head_entry *entry)
{
    uint32_t before = 0;
    uint32_t capacity = next_capacity(1);
    while (capacity < LARGEST_SLAB && before < entry->count - entry->in_last) {
        before += capacity;
        capacity = next_capacity(capacity);
    }
    return capacity;
}

/*
 * Units for one of the samples that a series gets, such that n times that is enough for n of them.
 * Slabs that double take at most 2n units, beside the next one: that begins only after `room`
 * samples more, so each of them brings its share of it.
 */
static uint64_t units_for_one(const struct head_entry *entry)
{
    if (entry->count == 0)
        return 2 + 4;
    uint32_t capacity = last_capacity(entry);
    uint32_t room = capacity - entry->in_last;
    return 2 + (next_capacity(capacity) + 1 + room) / (room + 1);
}

enum status head_reserve(struct head *head, const uint32_t *ids, size_t count)
{
    uint64_t units = head->reserved_units;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = ids[i];
        if (page_of(head, id) == NULL) {
            enum status status = page_make(head, id);
            if (status != STATUS_OK)
                return status;
        }
        units += units_for_one(entry_at(head, id));
    }
    enum status status = blocks_reserve(head, units);
    if (status == STATUS_OK)
        head->reserved_units = units;
    return status;
}

static uint32_t slab_take(struct head *head, uint32_t capacity)
{
    if (BLOCK_UNITS - head->used_units < capacity + 1) {
        head->current_block++;
        head->used_units = 0;
        invariant(head->current_block < head->block_count);
    }
    uint32_t unit = (uint32_t)(head->current_block * BLOCK_UNITS) + head->used_units;
    head->used_units += capacity + 1;
    struct slab *slab = slab_at(head, unit);
    slab->next = 0;
    slab->capacity = capacity;
    return unit;
}

static void append_one(struct head *head, struct head_entry *entry, int64_t time_ms, double value)
{
    struct slab *slab;
    if (entry->count == 0) {
        entry->first = entry->last = slab_take(head, 3);
        slab = slab_at(head, entry->last);
    } else {
        slab = slab_at(head, entry->last);
        if (slab->samples[entry->in_last - 1].time_ms >= time_ms)
            entry->disordered = true;
        if (entry->in_last == slab->capacity) {
            slab->next = slab_take(head, next_capacity(slab->capacity));
            entry->last = slab->next;
            entry->in_last = 0;
            slab = slab_at(head, entry->last);
        }
    }
    slab->samples[entry->in_last++] = (struct head_sample){time_ms, value};
    entry->count++;
}

void head_append(struct head *head, const uint32_t *ids, const int64_t *times, const double *values,
                 size_t count)
{
    int64_t min_ms = head->min_ms;
    int64_t max_ms = head->max_ms;
    bool noted = head->noting.moments > 0;
    for (size_t i = 0; i < count; i++) {
        if (i + 2 * AHEAD < count)
            __builtin_prefetch(entry_at(head, ids[i + 2 * AHEAD]), 1);
        if (i + AHEAD < count) {
            const struct head_entry *ahead = entry_at(head, ids[i + AHEAD]);
            if (ahead->count > 0)
                __builtin_prefetch(&slab_at(head, ahead->last)->samples[ahead->in_last - 1], 1);
        }
        struct head_entry *entry = entry_at(head, ids[i]);
        if (noted)
            head_note(&head->noting, ids[i], *entry);
        append_one(head, entry, times[i], values[i]);
        min_ms = times[i] < min_ms ? times[i] : min_ms;
        max_ms = times[i] > max_ms ? times[i] : max_ms;
    }
    head->min_ms = min_ms;
    head->max_ms = max_ms;
    head->sample_count += count;
    head->reserved_units = 0;
}

struct head_entry head_entry(const struct head *head, uint32_t series_id)
{
    if (page_of(head, series_id) == NULL)
        return no_entry;
    return *entry_at(head, series_id);
}

void head_moment_begin(struct head_moment *moment, struct head *head)
{
    moment->head = head;
    head_noting_begin(&head->noting, moment->first);
}

void head_moment_end(struct head_moment *moment)
{
    if (moment->head == NULL)
        return;
    head_noting_end(&moment->head->noting, moment);
    moment->head = NULL;
}

uint32_t head_next_series(const struct head *head, uint32_t from)
{
    for (uint64_t id = from; id / DIRECTORY_ENTRIES < head->directory_count;) {
        const struct head_entry *page = page_of(head, (uint32_t)id);
        if (head->directories[id / DIRECTORY_ENTRIES] == NULL)
            id = (id / DIRECTORY_ENTRIES + 1) * DIRECTORY_ENTRIES;
        else if (page == NULL)
            id = (id / PAGE_ENTRIES + 1) * PAGE_ENTRIES;
        else if (page[id % PAGE_ENTRIES].count > 0)
            return (uint32_t)id;
        else
            id++;
    }
    return UINT32_MAX;
}

uint64_t head_sample_count(const struct head *head)
{
    return head->sample_count;
}

int64_t head_min_ms(const struct head *head)
{
    return head->min_ms;
}

int64_t head_max_ms(const struct head *head)
{
    return head->max_ms;
}

void head_reader_init(struct head_reader *reader, const struct head *head, struct head_entry entry)
{
    *reader = (struct head_reader){
        .head = head,
        .entry = entry,
        .slab = entry.first,
        .left = entry.count,
    };
}

size_t head_reader_next(struct head_reader *reader, const struct head_sample **samples)
{
    if (reader->left == 0)
        return 0;
    const struct slab *slab = slab_at(reader->head, reader->slab);
    uint32_t count = slab->capacity < reader->left ? slab->capacity : reader->left;
    *samples = slab->samples;
    reader->left -= count;
    /* Only a slab that is full for this reader has a next one that it may look at. */
    if (reader->left > 0)
        reader->slab = slab->next;
    return count;
}

uint32_t head_reader_place(const struct head_reader *reader)
{
    return reader->slab + 1;
}

const struct head_sample *head_sample_at(const struct head *head, uint32_t place)
{
    const struct head_sample *block = head->blocks[place / BLOCK_UNITS];
    return block + place % BLOCK_UNITS;
}

void head_span(const struct head *head, struct head_entry entry, int64_t *first_ms,
               int64_t *last_ms)
{
    *first_ms = slab_at(head, entry.first)->samples[0].time_ms;
    *last_ms = slab_at(head, entry.last)->samples[entry.in_last - 1].time_ms;
    if (!entry.disordered)
        return;
    struct head_reader reader;
    head_reader_init(&reader, head, entry);
    const struct head_sample *samples;
    for (size_t count; (count = head_reader_next(&reader, &samples)) > 0;)
        for (size_t i = 0; i < count; i++) {
            *first_ms = samples[i].time_ms < *first_ms ? samples[i].time_ms : *first_ms;
            *last_ms = samples[i].time_ms > *last_ms ? samples[i].time_ms : *last_ms;
        }
}

static size_t copy_ordered(const struct head *head, struct head_entry entry, int64_t start_ms,
                           int64_t end_ms, int64_t *times, double *values)
{
    struct head_reader reader;
    head_reader_init(&reader, head, entry);
    const struct head_sample *samples;
    size_t copied = 0;
    for (size_t count; (count = head_reader_next(&reader, &samples)) > 0;) {
        if (samples[count - 1].time_ms < start_ms)
            continue;
        if (samples[0].time_ms >= end_ms)
            break;
        for (size_t i = 0; i < count; i++) {
            if (samples[i].time_ms < start_ms || samples[i].time_ms >= end_ms)
                continue;
            times[copied] = samples[i].time_ms;
            values[copied++] = samples[i].value;
        }
    }
    return copied;
}

/* Bottom-up merge sort by time: stable, so that of equal times the later written stays later. */
static struct head_sample *sort_stable(struct head_sample *samples, struct head_sample *spare,
                                       size_t count)
{
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = start + 2 * width < count ? start + 2 * width : count;
            size_t left = start;
            size_t right = middle;
            for (size_t to = start; to < end; to++) {
                bool take_left = left < middle &&
                                 (right == end || samples[left].time_ms <= samples[right].time_ms);
                spare[to] = take_left ? samples[left++] : samples[right++];
            }
        }
        struct head_sample *swap = samples;
        samples = spare;
        spare = swap;
    }
    return samples;
}

size_t head_sort(struct head_sample *scratch, size_t capacity, size_t count, int64_t *times,
                 double *values)
{
    const struct head_sample *sorted = sort_stable(scratch, scratch + capacity, count);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && sorted[i + 1].time_ms == sorted[i].time_ms)
            continue;
        times[kept] = sorted[i].time_ms;
        values[kept++] = sorted[i].value;
    }
    return kept;
}

size_t head_copy(const struct head *head, struct head_entry entry, int64_t start_ms, int64_t end_ms,
                 struct head_sample *scratch, int64_t *times, double *values)
{
    if (!entry.disordered)
        return copy_ordered(head, entry, start_ms, end_ms, times, values);
    invariant(scratch != NULL);
    struct head_reader reader;
    head_reader_init(&reader, head, entry);
    const struct head_sample *samples;
    size_t taken = 0;
    for (size_t count; (count = head_reader_next(&reader, &samples)) > 0;)
        for (size_t i = 0; i < count; i++)
            if (samples[i].time_ms >= start_ms && samples[i].time_ms < end_ms)
                scratch[taken++] = samples[i];
    return head_sort(scratch, entry.count, taken, times, values);
}
