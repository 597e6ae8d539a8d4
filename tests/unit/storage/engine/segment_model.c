#include "segment_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../pseudo_random.h"
#include "base/invariant.h"
#include "base/status.h"

/* ---- making ----------------------------------------------------------------------------- */

void segment_model_init(struct segment_model *model, uint64_t seed)
{
    *model = (struct segment_model){.seed = seed};
}

void segment_model_release(struct segment_model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        struct labels *labels = &model->series[i].labels;
        for (size_t j = 0; j < labels->count; j++) {
            free((void *)(uintptr_t)labels->items[j].name.data);
            free((void *)(uintptr_t)labels->items[j].value.data);
        }
        free(labels->items);
    }
    free(model->series);
    free(model->pairs);
    free(model->by_key);
}

static struct slice copy_of(struct slice text)
{
    uint8_t *copy = malloc(text.size + 1);
    invariant(copy != NULL);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    return slice_of(copy, text.size);
}

static void *grown(void *array, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return array;
    array = realloc(array, (count == 0 ? 1 : 2 * count) * size);
    invariant(array != NULL);
    return array;
}

void segment_model_add(struct segment_model *model, uint32_t id, uint32_t metric,
                       const struct labels *labels)
{
    invariant(model->count == 0 || model->series[model->count - 1].id < id);
    model->series = grown(model->series, model->count, sizeof model->series[0]);
    struct model_series *series = &model->series[model->count++];
    *series = (struct model_series){.id = id, .metric = metric};
    series->labels.count = labels->count;
    series->labels.items = calloc(labels->count + 1, sizeof labels->items[0]);
    invariant(series->labels.items != NULL);
    for (size_t i = 0; i < labels->count; i++) {
        series->labels.items[i].name = copy_of(labels->items[i].name);
        series->labels.items[i].value = copy_of(labels->items[i].value);
    }
    series->key = series_key_of(&series->labels, model->seed);
}

static int compare_pairs(const void *a, const void *b)
{
    const struct model_pair *left = a;
    const struct model_pair *right = b;
    int order = slice_compare(left->name, right->name);
    if (order == 0)
        order = slice_compare(left->value, right->value);
    return order != 0 ? order : (left->id > right->id) - (left->id < right->id);
}

static int compare_keys(const void *a, const void *b)
{
    const struct model_series *left = *(struct model_series *const *)a;
    const struct model_series *right = *(struct model_series *const *)b;
    int order = series_key_compare(left->key, right->key);
    return order != 0 ? order : (left->id > right->id) - (left->id < right->id);
}

void segment_model_finish(struct segment_model *model)
{
    model->by_key = calloc(model->count + 1, sizeof(struct model_series *));
    invariant(model->by_key != NULL);
    for (size_t i = 0; i < model->count; i++) {
        const struct model_series *series = &model->series[i];
        model->by_key[i] = &model->series[i];
        for (size_t j = 0; j < series->labels.count; j++) {
            model->pairs = grown(model->pairs, model->pair_count, sizeof model->pairs[0]);
            model->pairs[model->pair_count++] =
                (struct model_pair){.name = series->labels.items[j].name,
                                    .value = series->labels.items[j].value,
                                    .id = series->id};
        }
    }
    if (model->count == 0)
        return;
    qsort(model->pairs, model->pair_count, sizeof model->pairs[0], compare_pairs);
    qsort(model->by_key, model->count, sizeof(struct model_series *), compare_keys);
}

void segment_model_copy(struct segment_model *model, const struct segment_model *from,
                        const roaring_bitmap_t *without)
{
    for (size_t i = 0; i < from->count; i++)
        if (without == NULL || !roaring_bitmap_contains(without, from->series[i].id))
            segment_model_add(model, from->series[i].id, from->series[i].metric,
                              &from->series[i].labels);
}

enum { VALUE_SIZE = 70000 };

static struct label label_of(const char *name, const char *value)
{
    return (struct label){slice_from_text(name), slice_from_text(value)};
}

/* A value that shares its first 200 bytes with others, or is as long as any may be. */
static struct slice long_value(char *to, uint64_t *random, bool very_long)
{
    static const uint32_t sizes[] = {127, 128, 129, 200, 300, 5000, LABEL_VALUE_MAX_SIZE};
    uint32_t size = sizes[random_below(random, very_long ? 7 : 5)];
    memset(to, 'p', size);
    size_t number = (size_t)snprintf(to + size - 20, 21, "%020u", random_below(random, 400));
    invariant(number == 20);
    return slice_of(to, size);
}

static void fill_labels(struct labels *labels, char text[][VALUE_SIZE], uint64_t *random,
                        uint32_t metric, uint32_t unique, bool long_values)
{
    static const char *const utf8[] = {"größe", "日本", "\U0001F600", "é", "e", "ééé"};
    struct label *items = labels->items;
    size_t count = 0;
    snprintf(text[0], VALUE_SIZE, "metric_%u", metric);
    items[count++] = label_of(METRIC_NAME_LABEL, text[0]);
    if (random_below(random, 3) > 0)
        items[count++] = label_of("a", random_below(random, 2) == 0 ? "x" : "xy");
    if (random_below(random, 3) > 0) {
        memset(text[1], 'b', 8);
        text[1][1 + random_below(random, 7)] = 0;
        items[count++] = label_of("ab", text[1]);
    }
    if (random_below(random, 4) > 0) {
        snprintf(text[2], VALUE_SIZE, "%u.host", random_below(random, 50));
        items[count++] = label_of("host", text[2]);
    }
    if (random_below(random, long_values ? 10 : 200) == 0)
        items[count++] =
            (struct label){slice_from_text("long"), long_value(text[3], random, long_values)};
    snprintf(text[4], VALUE_SIZE, "%s-%08x", metric % 2 == 0 ? "pod" : "container", unique);
    items[count++] = label_of("pod", text[4]);
    if (random_below(random, 3) == 0)
        items[count++] = label_of("ö", utf8[random_below(random, 6)]);
    labels->count = count;
}

void segment_model_fill(struct segment_model *model, uint64_t seed, size_t count, uint32_t first_id,
                        uint32_t last_id, bool long_values)
{
    enum { LABELS = 8 };
    char(*text)[VALUE_SIZE] = calloc(LABELS, VALUE_SIZE);
    invariant(text != NULL && count <= (uint64_t)last_id - first_id + 1);
    uint64_t random = seed;
    uint64_t id = first_id;
    for (size_t i = 0; i < count; i++) {
        struct label items[LABELS];
        struct labels labels = {items, 0};
        uint32_t metric = random_below(&random, 9) * 7 + 3;
        fill_labels(&labels, text, &random, metric, (uint32_t)id * 2654435761U, long_values);
        segment_model_add(model, (uint32_t)id, metric, &labels);
        uint64_t room = last_id - id - (count - i - 1);
        uint32_t jump = random_below(&random, 3) > 0   ? 0
                        : random_below(&random, 8) > 0 ? random_below(&random, 40)
                                                       : random_below(&random, 3000000);
        id += 1 + (jump < room ? jump : room);
    }
    free(text);
}

/* ---- writing ---------------------------------------------------------------------------- */

static enum status put_pairs(const struct segment_model *model,
                             struct series_segment_writer *writer, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0, end; i < model->pair_count && status == STATUS_OK; i = end) {
        const struct model_pair *pair = &model->pairs[i];
        roaring_bitmap_t *ids = roaring_bitmap_create();
        for (end = i; end < model->pair_count && slice_equal(model->pairs[end].name, pair->name) &&
                      slice_equal(model->pairs[end].value, pair->value);
             end++)
            roaring_bitmap_add(ids, model->pairs[end].id);
        status = series_segment_put_pair(writer, pair->name, pair->value, ids, err);
        roaring_bitmap_free(ids);
    }
    return status;
}

/* *metric: that of the next higher id than `after`; UINT32_MAX: none. */
static uint32_t next_metric(const struct segment_model *model, int64_t after, struct slice *name,
                            uint32_t *count)
{
    uint32_t metric = UINT32_MAX;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_series *series = &model->series[i];
        if (series->metric <= after || series->metric > metric)
            continue;
        *count = series->metric == metric ? *count + 1 : 1;
        metric = series->metric;
        *name = labels_metric_name(&series->labels);
    }
    return metric;
}

static enum status put_all(const struct segment_model *model, struct series_segment_writer *writer,
                           struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < model->count && status == STATUS_OK; i++) {
        const struct model_series *series = &model->series[i];
        status =
            series_segment_put_series(writer, series->id, series->metric, &series->labels, err);
    }
    if (status == STATUS_OK)
        status = put_pairs(model, writer, err);
    for (size_t i = 0; i < model->count && status == STATUS_OK; i++)
        status = series_segment_put_key(writer, model->by_key[i]->key, model->by_key[i]->id, err);
    struct slice name;
    uint32_t count = 0;
    for (int64_t after = -1; status == STATUS_OK;) {
        uint32_t metric = next_metric(model, after, &name, &count);
        if (metric == UINT32_MAX)
            break;
        status = series_segment_put_metric(writer, metric, name, count, err);
        after = metric;
    }
    return status;
}

enum status segment_model_write(const struct segment_model *model, struct filesystem *fs,
                                const char *path, uint64_t segment_id,
                                struct series_segment_stats *stats, struct error *err)
{
    struct series_segment_writer *writer;
    enum status status = series_segment_writer_open(&writer, fs, path, segment_id, err);
    if (status != STATUS_OK)
        return status;
    status = put_all(model, writer, err);
    if (status == STATUS_OK)
        return series_segment_finish(writer, stats, err);
    series_segment_writer_abort(writer);
    return status;
}

/* ---- comparing -------------------------------------------------------------------------- */

struct check {
    const struct segment_model *model;
    const struct series_segment *segment;
    char *wrong;
    struct error err;
    uint64_t random;
};

static bool expect(struct check *check, bool condition, const char *text, int line)
{
    if (!condition)
        snprintf(check->wrong, 512, "line %d: %s (%.300s)", line, text, check->err.message);
    return condition;
}

#define EXPECT(check, condition) expect(check, condition, #condition, __LINE__)

static const struct model_series *series_of_id(const struct segment_model *model, uint32_t id)
{
    size_t low = 0;
    size_t high = model->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (model->series[middle].id == id)
            return &model->series[middle];
        if (model->series[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool same_definition(const struct model_series *series,
                            const struct series_definition *definition)
{
    return series->id == definition->id && series->metric == definition->metric &&
           labels_compare(&series->labels, &definition->labels) == 0;
}

static bool keys_agree(struct check *check)
{
    const struct segment_model *model = check->model;
    struct series_segment_keys *walk;
    struct series_key key;
    uint32_t id = 0;
    for (size_t i = 0; i < model->count; i++) {
        struct series_key other = model->series[i].key;
        if (!EXPECT(check, series_segment_find(check->segment, model->series[i].key, &id,
                                               &check->err) == STATUS_OK))
            return false;
        if (!EXPECT(check, id == model->series[i].id))
            return false;
        other.low ^= 1;
        if (!EXPECT(check, series_segment_find(check->segment, other, &id, &check->err) ==
                               STATUS_NOT_FOUND))
            return false;
        other.high = random_next(&check->random);
        if (!EXPECT(check, series_segment_find(check->segment, other, &id, &check->err) ==
                               STATUS_NOT_FOUND))
            return false;
    }
    if (!EXPECT(check, series_segment_keys_new(&walk, check->segment, &check->err) == STATUS_OK))
        return false;
    bool same = true;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < model->count && same; i++) {
        status = series_segment_keys_next(walk, &key, &id, &check->err);
        same = status == STATUS_OK && id == model->by_key[i]->id &&
               series_key_compare(key, model->by_key[i]->key) == 0;
    }
    if (same)
        status = series_segment_keys_next(walk, &key, &id, &check->err);
    series_segment_keys_free(walk);
    if (!EXPECT(check, same && status == STATUS_END))
        return false;
    return true;
}

static bool definitions_agree(struct check *check, struct series_segment_cursor *cursor)
{
    const struct segment_model *model = check->model;
    struct series_definition definition;
    for (size_t i = 0; i < model->count; i++) {
        if (!EXPECT(check, series_segment_next(cursor, &definition, &check->err) == STATUS_OK))
            return false;
        if (!EXPECT(check, same_definition(&model->series[i], &definition)))
            return false;
        if (random_below(&check->random, 8) > 0)
            continue;
        size_t other = random_below(&check->random, (uint32_t)model->count);
        uint32_t id = model->series[other].id;
        if (!EXPECT(check, series_segment_read(cursor, id, &definition, &check->err) == STATUS_OK))
            return false;
        if (!EXPECT(check, same_definition(&model->series[other], &definition)))
            return false;
        if (series_of_id(model, id + 1) == NULL)
            if (!EXPECT(check, series_segment_read(cursor, id + 1, &definition, &check->err) ==
                                   STATUS_NOT_FOUND))
                return false;
    }
    if (!EXPECT(check, series_segment_next(cursor, &definition, &check->err) == STATUS_END))
        return false;
    for (size_t i = 0; i < model->count; i += 1 + model->count / 50) {
        uint32_t from = model->series[i].id + (uint32_t)(i & 1);
        size_t wanted = series_of_id(model, from) == NULL ? i + 1 : i + (i & 1);
        if (!EXPECT(check, series_segment_seek(cursor, from, &check->err) == STATUS_OK))
            return false;
        for (size_t j = 0; j < 3 && wanted + j < model->count; j++) {
            if (!EXPECT(check, series_segment_next(cursor, &definition, &check->err) == STATUS_OK))
                return false;
            if (!EXPECT(check, same_definition(&model->series[wanted + j], &definition)))
                return false;
        }
    }
    return true;
}

static bool metrics_agree(struct check *check, uint32_t *ids, uint32_t *metrics)
{
    const struct segment_model *model = check->model;
    for (uint32_t sparse = 1; sparse < 200; sparse *= 6) {
        size_t count = 0;
        for (size_t i = 0; i < model->count; i++) {
            uint32_t id = model->series[i].id;
            if (random_below(&check->random, sparse) > 0)
                continue;
            ids[count++] = id;
            if (id < UINT32_MAX && series_of_id(model, id + 1) == NULL)
                ids[count++] = id + 1;
        }
        for (size_t i = 0; i < count; i++)
            metrics[i] = 77;
        if (!EXPECT(check, series_segment_metrics_of(check->segment, ids, count, metrics,
                                                     &check->err) == STATUS_OK))
            return false;
        for (size_t i = 0; i < count; i++) {
            const struct model_series *series = series_of_id(model, ids[i]);
            if (!EXPECT(check, metrics[i] == (series == NULL ? 77 : series->metric)))
                return false;
        }
    }
    size_t count = 0;
    const struct series_segment_metric *list = series_segment_metrics(check->segment, &count);
    int64_t after = -1;
    for (size_t i = 0; i < count; i++) {
        struct slice name;
        uint32_t series = 0;
        if (!EXPECT(check, list[i].metric == next_metric(model, after, &name, &series)))
            return false;
        if (!EXPECT(check, list[i].series == series && slice_equal(list[i].name, name)))
            return false;
        after = list[i].metric;
    }
    struct slice name;
    uint32_t series = 0;
    if (!EXPECT(check, next_metric(model, after, &name, &series) == UINT32_MAX))
        return false;
    return true;
}

/* ---- pairs ------------------------------------------------------------------------------ */

/* The ids of the pair that begins at *i, which goes behind it. */
static roaring_bitmap_t *ids_of_pair(const struct segment_model *model, size_t *i)
{
    roaring_bitmap_t *ids = roaring_bitmap_create();
    struct model_pair pair = model->pairs[*i];
    for (; *i < model->pair_count && slice_equal(model->pairs[*i].name, pair.name) &&
           slice_equal(model->pairs[*i].value, pair.value);
         (*i)++)
        roaring_bitmap_add(ids, model->pairs[*i].id);
    return ids;
}

static bool pairs_agree(struct check *check, struct series_segment_pairs *walk)
{
    const struct segment_model *model = check->model;
    struct slice name;
    struct slice value;
    const roaring_bitmap_t *found;
    struct series_segment_stats stats;
    uint64_t count = 0;
    for (size_t i = 0; i < model->pair_count; count++) {
        struct model_pair pair = model->pairs[i];
        roaring_bitmap_t *ids = ids_of_pair(model, &i);
        roaring_bitmap_t *own = roaring_bitmap_create();
        enum status next = series_segment_pairs_next(walk, &name, &value, &found, &check->err);
        enum status one =
            series_segment_pair(check->segment, pair.name, pair.value, own, &check->err);
        bool same = next == STATUS_OK && slice_equal(name, pair.name) &&
                    slice_equal(value, pair.value) && roaring_bitmap_equals(ids, found) &&
                    one == STATUS_OK && roaring_bitmap_equals(ids, own);
        roaring_bitmap_free(ids);
        roaring_bitmap_free(own);
        if (!EXPECT(check, same))
            return false;
    }
    if (!EXPECT(check,
                series_segment_pairs_next(walk, &name, &value, &found, &check->err) == STATUS_END))
        return false;
    series_segment_stats(check->segment, &stats);
    if (!EXPECT(check, stats.pairs == count))
        return false;
    return true;
}

static bool unknown_pairs_are_empty(struct check *check)
{
    static const char *const names[] = {"", "0", "pod", "pod", "pod", "host", "long", "zzz"};
    static const char *const values[] = {"", "x", "", "a", "pod-", "zz", "p", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        roaring_bitmap_t *ids = roaring_bitmap_create();
        enum status status = series_segment_pair(check->segment, slice_from_text(names[i]),
                                                 slice_from_text(values[i]), ids, &check->err);
        bool empty = roaring_bitmap_is_empty(ids);
        roaring_bitmap_free(ids);
        if (!EXPECT(check, status == STATUS_OK && empty))
            return false;
    }
    return true;
}

struct walk {
    const struct segment_model *model;
    size_t next;  /* pair */
    size_t limit; /* values, 0: no */
    uint64_t seed;
    roaring_bitmap_t *wanted;
    bool wrong;
};

static bool want_some(void *context, struct slice value, bool *go_on)
{
    struct walk *walk = context;
    if (!*go_on || walk->next >= walk->model->pair_count ||
        !slice_equal(value, walk->model->pairs[walk->next].value)) {
        walk->wrong = true;
        *go_on = false;
        return false;
    }
    roaring_bitmap_t *ids = ids_of_pair(walk->model, &walk->next);
    bool wanted = random_below(&walk->seed, 3) > 0;
    if (wanted)
        roaring_bitmap_or_inplace(walk->wanted, ids);
    roaring_bitmap_free(ids);
    *go_on = --walk->limit != 0;
    return wanted;
}

static bool values_agree(struct check *check)
{
    const struct segment_model *model = check->model;
    size_t name = 0;
    for (size_t i = 0; i < model->pair_count; name++) {
        if (!EXPECT(check, name < series_segment_name_count(check->segment)))
            return false;
        if (!EXPECT(check,
                    slice_equal(series_segment_name(check->segment, name), model->pairs[i].name)))
            return false;
        for (size_t limit = 0; limit < 40; limit += 13) {
            struct walk walk = {.model = model, .next = i, .limit = limit, .seed = limit};
            walk.wanted = roaring_bitmap_create();
            roaring_bitmap_t *found = roaring_bitmap_create();
            enum status status =
                series_segment_values(check->segment, model->pairs[i].name, want_some, &walk,
                                      limit == 26 ? NULL : found, &check->err);
            bool same = limit == 26 || roaring_bitmap_equals(found, walk.wanted);
            roaring_bitmap_free(walk.wanted);
            roaring_bitmap_free(found);
            if (!EXPECT(check, status == STATUS_OK && !walk.wrong && same))
                return false;
            if (limit == 0)
                if (!EXPECT(check,
                            walk.next == model->pair_count ||
                                !slice_equal(model->pairs[walk.next].name, model->pairs[i].name)))
                    return false;
        }
        struct slice this_name = model->pairs[i].name;
        while (i < model->pair_count && slice_equal(model->pairs[i].name, this_name))
            i++;
    }
    if (!EXPECT(check, name == series_segment_name_count(check->segment)))
        return false;
    return true;
}

/* ---- all of it -------------------------------------------------------------------------- */

static bool ids_agree(struct check *check)
{
    const struct segment_model *model = check->model;
    struct series_segment_stats stats;
    series_segment_stats(check->segment, &stats);
    if (!EXPECT(check, stats.series == model->count))
        return false;
    if (!EXPECT(check,
                roaring_bitmap_get_cardinality(series_segment_ids(check->segment)) == model->count))
        return false;
    for (size_t i = 0; i < model->count; i++)
        if (!EXPECT(check, series_segment_has(check->segment, model->series[i].id)))
            return false;
    if (model->count > 0)
        if (!EXPECT(check, stats.first_id == model->series[0].id &&
                               stats.last_id == model->series[model->count - 1].id))
            return false;
    return true;
}

bool segment_model_agrees(const struct segment_model *model, const struct series_segment *segment,
                          char wrong[512])
{
    struct check check = {
        .model = model, .segment = segment, .wrong = wrong, .random = model->count};
    struct series_segment_cursor *cursor = NULL;
    struct series_segment_pairs *pairs = NULL;
    uint32_t *ids = calloc(2 * model->count + 1, sizeof *ids);
    uint32_t *metrics = calloc(2 * model->count + 1, sizeof *metrics);
    invariant(ids != NULL && metrics != NULL);
    bool made = series_segment_cursor_new(&cursor, segment, &check.err) == STATUS_OK &&
                series_segment_pairs_new(&pairs, segment, &check.err) == STATUS_OK;
    bool same = made && ids_agree(&check) && keys_agree(&check) &&
                definitions_agree(&check, cursor) && metrics_agree(&check, ids, metrics) &&
                pairs_agree(&check, pairs) && unknown_pairs_are_empty(&check) &&
                values_agree(&check);
    series_segment_cursor_free(cursor);
    series_segment_pairs_free(pairs);
    free(ids);
    free(metrics);
    return same;
}
