#include "reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "model/value.h"

struct term {
    char key[REFERENCE_KEY_SIZE];
    int64_t bucket;
    size_t rank; /* of the series in label order */
    int64_t time_ms;
    double value;
};

struct terms {
    struct term *items;
    size_t count, capacity;
};

void reference_key(const struct labels *labels, char key[REFERENCE_KEY_SIZE])
{
    size_t used = 0;
    key[0] = 0;
    for (size_t i = 0; i < labels->count; i++) {
        const struct label *label = &labels->items[i];
        int size = snprintf(key + used, REFERENCE_KEY_SIZE - used, "%.*s=%.*s,",
                            SLICE_FORMAT(label->name), SLICE_FORMAT(label->value));
        used += (size_t)size;
        invariant(used < REFERENCE_KEY_SIZE);
    }
}

static void group_key(const struct query_request *request, const struct labels *labels,
                      char key[REFERENCE_KEY_SIZE])
{
    struct label kept[16];
    struct labels group = {.items = kept};
    if (!request->grouped) {
        reference_key(labels, key);
        return;
    }
    for (size_t i = 0; i < labels->count; i++)
        for (size_t j = 0; j < request->by_count; j++)
            if (slice_equal(labels->items[i].name, request->by[j]))
                kept[group.count++] = labels->items[i];
    reference_key(&group, key);
}

static int64_t bucket_of(const struct query_request *request, int64_t time_ms)
{
    int64_t interval = request->interval_ms;
    if (interval == 0)
        return request->range.start_ms;
    int64_t bucket = time_ms / interval * interval;
    return bucket > time_ms ? bucket - interval : bucket;
}

static void add_term(struct terms *terms, const struct query_request *request,
                     const struct labels *labels, size_t rank, int64_t time_ms, double value)
{
    if (terms->count == terms->capacity) {
        terms->capacity = terms->capacity * 2 + 64;
        terms->items = realloc(terms->items, terms->capacity * sizeof terms->items[0]);
        invariant(terms->items != NULL);
    }
    struct term *term = &terms->items[terms->count++];
    group_key(request, labels, term->key);
    term->bucket = bucket_of(request, time_ms);
    term->rank = rank;
    term->time_ms = time_ms;
    term->value = value;
}

static bool is_growth(const struct query_request *request)
{
    return request->aggregate == AGGREGATE_RATE || request->aggregate == AGGREGATE_INCREASE;
}

static void add_series(struct terms *terms, const struct query_request *request,
                       const struct memory_series *series, size_t rank)
{
    bool has_before = false;
    size_t before = 0;
    for (size_t i = 0; i < series->count; i++) {
        double value = series->values[i];
        int64_t time_ms = series->times[i];
        if (value_is_stale(value))
            continue;
        bool within = time_range_contains(request->range, time_ms);
        bool joined = has_before && within && request->over_series && !is_growth(request) &&
                      series->times[before] >= request->range.start_ms &&
                      bucket_of(request, series->times[before]) == bucket_of(request, time_ms);
        if (joined) /* the later value takes the place of the earlier */
            terms->count--;
        if (within && !is_growth(request)) {
            add_term(terms, request, &series->labels, rank, time_ms, value);
        } else if (within && has_before) {
            int64_t distance = time_ms - series->times[before];
            double old = series->values[before];
            if (series->times[before] >= request->range.start_ms || distance <= 300000)
                add_term(terms, request, &series->labels, rank, time_ms,
                         value < old ? value : value - old);
        }
        has_before = true;
        before = i;
    }
}

static int compare_terms(const void *a, const void *b)
{
    const struct term *left = a;
    const struct term *right = b;
    int order = strcmp(left->key, right->key);
    if (order == 0)
        order = (left->bucket > right->bucket) - (left->bucket < right->bucket);
    if (order == 0)
        order = (left->rank > right->rank) - (left->rank < right->rank);
    if (order == 0)
        order = (left->time_ms > right->time_ms) - (left->time_ms < right->time_ms);
    return order;
}

static int compare_doubles(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;
    return (*left > *right) - (*left < *right);
}

static double reduce_quantile(double q, const struct term *terms, size_t count)
{
    double *numbers = malloc(count * sizeof(double));
    size_t n = 0;
    invariant(numbers != NULL);
    for (size_t i = 0; i < count; i++)
        if (!isnan(terms[i].value))
            numbers[n++] = terms[i].value;
    double result = NAN;
    if (n > 0) {
        qsort(numbers, n, sizeof(double), compare_doubles);
        double h = q * (double)(n - 1);
        double low = numbers[(size_t)floor(h)];
        double high = numbers[(size_t)ceil(h)];
        double part = h - floor(h);
        if (low == high)
            result = low;
        else if (isinf(high - low))
            result = part == 0 ? low : low * (1 - part) + high * part;
        else
            result = low + (high - low) * part;
    }
    free(numbers);
    return result;
}

static double reduce_extreme(bool largest, const struct term *terms, size_t count)
{
    double result = NAN;
    for (size_t i = 0; i < count; i++)
        result = largest ? fmax(result, terms[i].value) : fmin(result, terms[i].value);
    return result;
}

static double reduce_edge(bool last, const struct term *terms, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (last ? terms[i].time_ms > terms[best].time_ms : terms[i].time_ms < terms[best].time_ms)
            best = i;
    return terms[best].value;
}

static void reduce(struct reference_point *point, const struct query_request *request,
                   const struct term *terms, size_t count)
{
    long double sum = 0;
    long double absolute = 0;
    for (size_t i = 0; i < count; i++) {
        sum += terms[i].value;
        absolute += fabsl((long double)terms[i].value);
    }
    long double mean = sum / (long double)count;
    long double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += (terms[i].value - mean) * (terms[i].value - mean);
    double seconds =
        (double)(request->interval_ms != 0 ? request->interval_ms
                                           : request->range.end_ms - request->range.start_ms) /
        1000;
    point->tolerance = 0;
    switch (request->aggregate) {
    case AGGREGATE_SUM:
        point->value = (double)sum;
        point->tolerance = (double)(ldexpl(fabsl(sum), -52) + ldexpl(absolute, -55));
        break;
    case AGGREGATE_AVG:
        point->value = (double)mean;
        point->tolerance = (double)(ldexpl(fabsl(mean), -51) + ldexpl(absolute, -55));
        break;
    case AGGREGATE_RATE:
        point->value = (double)(sum / (long double)seconds);
        point->tolerance = (double)(1e-13L * absolute / (long double)seconds);
        break;
    case AGGREGATE_INCREASE:
        point->value = (double)sum;
        point->tolerance = (double)(1e-13L * absolute);
        break;
    case AGGREGATE_STDDEV:
        point->value = (double)sqrtl(squares / (long double)count);
        point->tolerance = 1e-13 * point->value + 1e-16 * (double)fabsl(mean) * 1e-3;
        break;
    case AGGREGATE_COUNT:
        point->value = (double)count;
        break;
    case AGGREGATE_MIN:
    case AGGREGATE_MAX:
        point->value = reduce_extreme(request->aggregate == AGGREGATE_MAX, terms, count);
        break;
    case AGGREGATE_FIRST:
    case AGGREGATE_LAST:
        point->value = reduce_edge(request->aggregate == AGGREGATE_LAST, terms, count);
        break;
    case AGGREGATE_QUANTILE:
        point->value = reduce_quantile(request->quantile, terms, count);
        break;
    case AGGREGATE_NONE:
        invariant(count == 1);
        point->value = terms[0].value;
        break;
    }
}

static int compare_labels(const void *a, const void *b)
{
    const struct memory_series *const *left = a;
    const struct memory_series *const *right = b;
    return labels_compare(&(*left)->labels, &(*right)->labels);
}

static void collect(struct terms *terms, const struct memory_tier *memory,
                    const struct query_request *request)
{
    const struct memory_series **matching = calloc(memory->count + 1, sizeof(void *));
    size_t count = 0;
    invariant(matching != NULL);
    for (size_t i = 0; i < memory->count; i++)
        if (matchers_match(&request->matchers, &memory->series[i].labels))
            matching[count++] = &memory->series[i];
    qsort(matching, count, sizeof matching[0], compare_labels);
    for (size_t i = 0; i < count; i++)
        add_series(terms, request, matching[i], i);
    free(matching);
}

static struct reference_point *next_filled(struct reference *filled, size_t *capacity)
{
    if (filled->count == *capacity) {
        *capacity = *capacity * 2 + 64;
        filled->points = realloc(filled->points, *capacity * sizeof filled->points[0]);
        invariant(filled->points != NULL);
    }
    return &filled->points[filled->count++];
}

/* Every bucket of the range for each key, in place of those that have a value. */
static void fill(struct reference *reference, const struct query_request *request)
{
    struct reference filled = {0};
    size_t capacity = 0;
    size_t at = 0;
    while (at < reference->count) {
        const struct reference_point *first = &reference->points[at];
        const struct reference_point *before = NULL;
        for (int64_t bucket = bucket_of(request, request->range.start_ms);
             bucket < request->range.end_ms; bucket += request->interval_ms) {
            struct reference_point *point = next_filled(&filled, &capacity);
            if (at < reference->count && reference->points[at].time_ms == bucket &&
                strcmp(reference->points[at].key, first->key) == 0) {
                before = &reference->points[at++];
                *point = *before;
                continue;
            }
            bool repeats = request->fill == FILL_PREVIOUS && before != NULL;
            *point = repeats ? *before : (struct reference_point){.missing = true};
            memcpy(point->key, first->key, sizeof point->key);
            point->time_ms = bucket;
        }
    }
    free(reference->points);
    *reference = filled;
}

void reference_compute(struct reference *reference, const struct memory_tier *memory,
                       const struct query_request *request)
{
    struct terms terms = {0};
    collect(&terms, memory, request);
    bool raw = request->aggregate == AGGREGATE_NONE;
    for (size_t i = 0; raw && i < terms.count; i++)
        terms.items[i].bucket = terms.items[i].time_ms;
    if (terms.count > 0)
        qsort(terms.items, terms.count, sizeof terms.items[0], compare_terms);
    reference->points = calloc(terms.count + 1, sizeof reference->points[0]);
    reference->count = 0;
    invariant(reference->points != NULL);
    for (size_t first = 0, end; first < terms.count; first = end) {
        const struct term *term = &terms.items[first];
        for (end = first + 1; end < terms.count && terms.items[end].bucket == term->bucket &&
                              strcmp(terms.items[end].key, term->key) == 0;)
            end++;
        struct reference_point *point = &reference->points[reference->count++];
        memcpy(point->key, term->key, sizeof point->key);
        point->time_ms = term->bucket;
        reduce(point, request, term, end - first);
    }
    free(terms.items);
    if (request->fill != FILL_NONE && reference->count > 0)
        fill(reference, request);
}

void reference_release(struct reference *reference)
{
    free(reference->points);
}
