/*
 * Verifying. Definitions, pairs and keys are walked once each. That they say the same is held
 * together by sums of secret hashes: one over every (pair, id) of the definitions against one over
 * every (pair, id) of the pairs, likewise for the keys. So it needs no memory; which pair differs
 * it cannot tell.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/series_segment_state.h"
#include "storage/engine/stored_read.h"

struct check {
    const struct series_segment *segment;
    uint64_t seed;
    bool has_seed; /* of the store: the keys can be looked at */
    series_segment_damage *damage;
    void *context;
    bool definitions_whole, pairs_whole, keys_whole;
    uint64_t defined_pairs, found_pairs; /* sums */
    uint64_t defined_keys, found_keys;
    uint32_t metrics[SEGMENT_METRICS_PER_PAGE]; /* of the ranks around `rank` */
    size_t metrics_page;                        /* SIZE_MAX: none is read */
    bool metrics_whole;                         /* that page */
    uint32_t *series;                           /* of each metric, counted */
};

/* Damage is told and goes on; everything else ends the check. */
static enum status report(const struct check *check, enum status status, const struct error *why,
                          struct error *err)
{
    if (status == STATUS_CORRUPT) {
        check->damage(check->context, why->message);
        return STATUS_OK;
    }
    return fail(err, status, "%s", why->message);
}

static void contradiction(const struct check *check, const char *format, ...) PRINTF_LIKE(2, 3);
static void contradiction(const struct check *check, const char *format, ...)
{
    char text[ERROR_MESSAGE_SIZE];
    int used = snprintf(text, sizeof text, "series segment %s: ", check->segment->path);
    va_list args;
    va_start(args, format);
    if (used > 0 && (size_t)used < sizeof text)
        vsnprintf(text + used, sizeof text - (size_t)used, format, args);
    va_end(args);
    check->damage(check->context, text);
}

/* ---- sums ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint32_t id)
{
    hash = (hash ^ id) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ (hash >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return hash ^ (hash >> 32);
}

static uint64_t hash_of_pair(const struct check *check, struct slice name, struct slice value)
{
    return hash64(value, hash64(name, check->seed));
}

static uint64_t hash_of_key(const struct check *check, struct series_key key)
{
    return key.high * UINT64_C(0xbf58476d1ce4e5b9) + key.low + check->seed;
}

/* ---- definitions ------------------------------------------------------------------------ */

bool segment_labels_are_canonical(const struct labels *labels)
{
    for (size_t i = 0; i < labels->count; i++) {
        const struct label *label = &labels->items[i];
        if (label->name.size == 0 || label->value.size == 0 ||
            (i > 0 && slice_compare(label[-1].name, label->name) >= 0))
            return false;
    }
    return labels_metric_name(labels).size > 0;
}

/* NULL when the segment has no such metric. */
static const struct series_segment_metric *find_metric(const struct series_segment *segment,
                                                       uint32_t metric)
{
    size_t low = 0;
    size_t count;
    const struct series_segment_metric *metrics = series_segment_metrics(segment, &count);
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (metrics[middle].metric < metric)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && metrics[low].metric == metric ? &metrics[low] : NULL;
}

static enum status check_metric(struct check *check, const struct series_definition *definition,
                                uint64_t rank, struct error *err)
{
    const struct series_segment *segment = check->segment;
    const struct series_segment_metric *metric = find_metric(segment, definition->metric);
    if (metric == NULL || !slice_equal(metric->name, labels_metric_name(&definition->labels)))
        contradiction(check, "series %u is of metric %u, which has another name or none",
                      definition->id, definition->metric);
    else
        check->series[metric - segment->metrics]++;
    size_t page = (size_t)(rank / SEGMENT_METRICS_PER_PAGE);
    if (page != check->metrics_page) {
        size_t count;
        enum status status = segment_metric_page(segment, page, check->metrics, &count, err);
        check->metrics_page = page;
        check->metrics_whole = status == STATUS_OK;
        if (status != STATUS_OK && status != STATUS_CORRUPT) /* check_metric_pages tells of that */
            return status;
    }
    if (check->metrics_whole &&
        check->metrics[rank % SEGMENT_METRICS_PER_PAGE] != definition->metric)
        contradiction(check, "the metric ids give series %u another metric than its definition",
                      definition->id);
    return STATUS_OK;
}

static enum status check_definition(struct check *check, const struct series_definition *definition,
                                    uint64_t rank, struct error *err)
{
    if (!segment_labels_are_canonical(&definition->labels))
        contradiction(check, "the labels of series %u are not canonical", definition->id);
    for (size_t i = 0; i < definition->labels.count; i++) {
        const struct label *label = &definition->labels.items[i];
        check->defined_pairs += mix(hash_of_pair(check, label->name, label->value), definition->id);
    }
    if (check->has_seed) {
        struct series_key key = series_key_of(&definition->labels, check->seed);
        check->defined_keys += mix(hash_of_key(check, key), definition->id);
    }
    return check_metric(check, definition, rank, err);
}

static enum status check_definitions(struct check *check, struct error *err)
{
    const struct series_segment *segment = check->segment;
    struct series_segment_cursor *cursor;
    struct series_definition definition;
    enum status status = series_segment_cursor_new(&cursor, segment, err);
    for (uint64_t rank = 0; status == STATUS_OK; rank++) {
        struct error why = {0};
        status = series_segment_next(cursor, &definition, &why);
        if (status == STATUS_OK) {
            /* Behind a damaged page the count is not the rank. */
            rank = check->definitions_whole ? rank : segment_rank(segment, definition.id);
            status = check_definition(check, &definition, rank, err);
        } else if (status != STATUS_END) {
            check->definitions_whole = false;
            status = report(check, status, &why, err);
        }
    }
    series_segment_cursor_free(cursor);
    return status == STATUS_END ? STATUS_OK : status;
}

/* Also of those whose definitions are damaged. */
static enum status check_metric_pages(struct check *check, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < check->segment->metric_page_count && status == STATUS_OK; i++) {
        struct error why = {0};
        size_t count;
        status = segment_metric_page(check->segment, i, check->metrics, &count, &why);
        if (status != STATUS_OK)
            status = report(check, status, &why, err);
    }
    return status;
}

static void compare_counts(const struct check *check)
{
    size_t count;
    const struct series_segment_metric *metrics = series_segment_metrics(check->segment, &count);
    for (size_t i = 0; i < count; i++)
        if (metrics[i].series != check->series[i])
            contradiction(check, "metric %u counts %u series, there are %u", metrics[i].metric,
                          metrics[i].series, check->series[i]);
}

/* ---- pairs and keys --------------------------------------------------------------------- */

static void add_pair(struct check *check, struct slice name, struct slice value,
                     const struct segment_ids *ids)
{
    uint64_t hash = hash_of_pair(check, name, value);
    if (ids->many == NULL) {
        for (size_t i = 0; i < ids->count; i++)
            check->found_pairs += mix(hash, ids->few[i]);
        return;
    }
    roaring_uint32_iterator_t at;
    for (roaring_init_iterator(ids->many, &at); at.has_value; roaring_advance_uint32_iterator(&at))
        check->found_pairs += mix(hash, at.current_value);
}

static enum status check_pairs(struct check *check, struct error *err)
{
    struct series_segment_pairs *walk;
    struct slice name;
    struct slice value;
    enum status status = series_segment_pairs_new(&walk, check->segment, err);
    while (status == STATUS_OK) {
        struct error why = {0};
        struct segment_ids ids;
        status = segment_pairs_step(walk, &name, &value, &why);
        if (status == STATUS_OK)
            status = segment_pairs_ids(walk, &ids, &why);
        if (status == STATUS_OK) {
            add_pair(check, name, value, &ids);
        } else if (status != STATUS_END) {
            check->pairs_whole = false;
            status = report(check, status, &why, err);
        }
    }
    series_segment_pairs_free(walk);
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status check_keys(struct check *check, struct error *err)
{
    struct series_segment_keys *walk;
    struct series_key key;
    uint32_t id;
    enum status status = series_segment_keys_new(&walk, check->segment, err);
    while (status == STATUS_OK) {
        struct error why = {0};
        status = series_segment_keys_next(walk, &key, &id, &why);
        if (status == STATUS_OK) {
            check->found_keys += mix(hash_of_key(check, key), id);
        } else if (status != STATUS_END) {
            check->keys_whole = false;
            status = report(check, status, &why, err);
        }
    }
    series_segment_keys_free(walk);
    return status == STATUS_END ? STATUS_OK : status;
}

/* What lies between the pairs and the keys, which nothing reads. */
static enum status check_zeros(const struct check *check, struct error *err)
{
    const struct series_segment *segment = check->segment;
    uint8_t zeros[SEGMENT_ALIGNMENT];
    uint64_t begin = segment->trailer.definitions_end;
    if (segment->value_page_count > 0) {
        const struct segment_value_page_entry *last =
            &segment->value_pages[segment->value_page_count - 1];
        begin = last->offset + last->size;
    }
    size_t size = (size_t)(segment->trailer.keys_begin - begin);
    struct error why = {0};
    enum status status = stored_read_exactly(segment->file, zeros, size, begin, &why);
    if (status == STATUS_CORRUPT)
        contradiction(check, "the zeros before the keys: %s", why.message);
    if (status != STATUS_OK)
        return status == STATUS_CORRUPT ? STATUS_OK : fail(err, status, "%s", why.message);
    for (size_t i = 0; i < size; i++)
        if (zeros[i] != 0) {
            contradiction(check, "byte %" PRIu64 " before the keys is not 0", begin + i);
            break;
        }
    return STATUS_OK;
}

/* ---- all of it -------------------------------------------------------------------------- */

static enum status check_all(struct check *check, struct error *err)
{
    check->series =
        calloc((size_t)check->segment->trailer.stats.metrics + 1, sizeof check->series[0]);
    if (check->series == NULL)
        return fail(err, STATUS_MEMORY, "no memory to verify series segment %s",
                    check->segment->path);
    if (check->segment->header_damaged)
        contradiction(check, "the header is damaged, or of another segment");
    enum status status = check_definitions(check, err);
    if (status == STATUS_OK && check->definitions_whole)
        compare_counts(check);
    if (status == STATUS_OK)
        status = check_metric_pages(check, err);
    if (status == STATUS_OK)
        status = check_pairs(check, err);
    if (status == STATUS_OK)
        status = check_zeros(check, err);
    if (status == STATUS_OK)
        status = check_keys(check, err);
    if (status != STATUS_OK || !check->definitions_whole)
        return status;
    if (check->pairs_whole && check->defined_pairs != check->found_pairs)
        contradiction(check, "the label pairs name other series than the definitions");
    if (check->has_seed && check->keys_whole && check->defined_keys != check->found_keys)
        contradiction(check, "the keys are not those of the definitions");
    return STATUS_OK;
}

enum status segment_verify(const struct series_segment *segment, const uint64_t *seed,
                           series_segment_damage *damage, void *context, struct error *err)
{
    struct check check = {
        .segment = segment,
        .seed = seed == NULL ? 0 : *seed,
        .has_seed = seed != NULL,
        .damage = damage,
        .context = context,
        .definitions_whole = true,
        .pairs_whole = true,
        .keys_whole = true,
        .metrics_page = SIZE_MAX,
    };
    enum status status = check_all(&check, err);
    free(check.series);
    return status;
}

enum status series_segment_verify(struct os os, const char *path, uint64_t segment_id,
                                  uint64_t seed, series_segment_damage *damage, void *context,
                                  struct series_segment_stats *stats, struct error *err)
{
    struct series_segment *segment;
    struct error why = {0};
    *stats = (struct series_segment_stats){0};
    enum status status = series_segment_open(&segment, os, path, segment_id, &why);
    if (status == STATUS_CORRUPT) {
        damage(context, why.message);
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    *stats = segment->trailer.stats;
    status = segment_verify(segment, &seed, damage, context, err);
    series_segment_close(segment);
    return status;
}
