#include "query/execute/window.h"

#include "base/invariant.h"
#include "model/value.h"

enum { DIFFERENCES_HELD = 64 };

/* Where one series stands in its differences. */
struct growth {
    bool has_before; /* a sample was seen: */
    double before;
    int64_t before_ms;
    bool in_range; /* one within the range was seen */
};

void window_init(struct window *window, const struct plan_node *node, struct value_pool *pool)
{
    aggregate_init(&window->aggregate, node, pool);
    window->buckets = node->buckets;
    window->fill = node->fill;
    window->growth = node->function == AGGREGATE_RATE || node->function == AGGREGATE_INCREASE;
}

size_t window_cells_size(const struct window *window)
{
    size_t size;
    if (__builtin_mul_overflow(window->buckets.count, window->aggregate.cell_size, &size))
        return 0;
    return size;
}

void *window_touch(const struct window *window, struct window_cells *cells, size_t bucket)
{
    invariant(bucket < window->buckets.count);
    if (cells->high == 0) {
        cells->low = bucket;
        cells->high = bucket + 1;
    } else if (bucket < cells->low) {
        cells->low = bucket;
    } else if (bucket >= cells->high) {
        cells->high = bucket + 1;
    }
    return window_cell(window, cells, bucket);
}

void window_reset(const struct window *window, struct window_cells *cells)
{
    for (size_t bucket = cells->low; bucket < cells->high; bucket++)
        aggregate_reset(&window->aggregate, window_cell(window, cells, bucket));
    cells->low = 0;
    cells->high = 0;
}

static bool in_range(const struct window *window, int64_t time_ms)
{
    return time_range_contains(window->buckets.range, time_ms);
}

/* ---- differences ------------------------------------------------------------------------ */

/* Whether the difference to a sample at `time_ms`, within the range, counts. */
static bool growth_counts(const struct growth *growth, int64_t time_ms)
{
    return growth->has_before &&
           (growth->in_range || time_ms - growth->before_ms <= PLAN_LOOKBACK_MS);
}

/* The differences of one bucket that wait to be added together, which is quicker. */
struct differences {
    size_t bucket;
    int64_t bucket_end; /* of the bucket; INT64_MIN: none yet */
    size_t count;
    double values[DIFFERENCES_HELD];
};

static void differences_flush(const struct window *window, struct window_cells *cells,
                              struct differences *differences)
{
    if (differences->count == 0)
        return;
    void *cell = window_touch(window, cells, differences->bucket);
    aggregate_add_terms(cell, differences->values, differences->count);
    differences->count = 0;
}

static void growth_add(const struct window *window, struct window_cells *cells,
                       struct growth *growth, const struct storage_block *block)
{
    struct differences differences = {.bucket_end = INT64_MIN};
    for (uint32_t i = 0; i < block->count; i++) {
        double value = block->values[i];
        int64_t time_ms = block->times[i];
        if (value_is_stale(value))
            continue;
        if (in_range(window, time_ms)) {
            if (growth_counts(growth, time_ms)) {
                if (time_ms >= differences.bucket_end || differences.count == DIFFERENCES_HELD) {
                    differences_flush(window, cells, &differences);
                    differences.bucket = plan_bucket_of(&window->buckets, time_ms);
                    differences.bucket_end =
                        plan_bucket_start(&window->buckets, differences.bucket + 1);
                }
                differences.values[differences.count++] = increase_between(growth->before, value);
            }
            growth->in_range = true;
        }
        growth->has_before = true;
        growth->before = value;
        growth->before_ms = time_ms;
    }
    differences_flush(window, cells, &differences);
}

static void growth_add_summary(const struct window *window, struct window_cells *cells,
                               struct growth *growth, const struct summary *summary)
{
    if (summary->count == 0)
        return;
    if (in_range(window, summary->first_ms)) {
        void *cell =
            window_touch(window, cells, plan_bucket_of(&window->buckets, summary->first_ms));
        if (growth_counts(growth, summary->first_ms))
            aggregate_add_sum(cell, increase_between(growth->before, summary->first), 0, 1);
        aggregate_add_summary(&window->aggregate, cell, summary);
        growth->in_range = true;
    }
    growth->has_before = true;
    growth->before = summary->last;
    growth->before_ms = summary->last_ms;
}

/* ---- plain values ----------------------------------------------------------------------- */

static enum status add_block(const struct window *window, struct window_cells *cells,
                             const struct storage_block *block)
{
    uint32_t at = 0;
    while (at < block->count) {
        size_t bucket = plan_bucket_of(&window->buckets, block->times[at]);
        int64_t bucket_end = plan_bucket_start(&window->buckets, bucket + 1);
        uint32_t end = at + 1;
        if (block->last_ms < bucket_end)
            end = block->count;
        while (end < block->count && block->times[end] < bucket_end)
            end++;
        enum status status = aggregate_add(&window->aggregate, window_touch(window, cells, bucket),
                                           block->times + at, block->values + at, end - at);
        if (status != STATUS_OK)
            return status;
        at = end;
    }
    return STATUS_OK;
}

/* Whether all of the block lies in one bucket; or, for differences, all of it before the range. */
static bool is_covered(const struct window *window, const struct storage_block *block)
{
    if (!in_range(window, block->first_ms))
        return window->growth && block->last_ms < window->buckets.range.start_ms;
    return in_range(window, block->last_ms) && plan_bucket_of(&window->buckets, block->first_ms) ==
                                                   plan_bucket_of(&window->buckets, block->last_ms);
}

static enum status add_decoded(const struct window *window, struct window_cells *cells,
                               struct growth *growth, struct source *source,
                               struct storage_block *block, struct error *err)
{
    enum status status = source_load(source, block, err);
    if (status != STATUS_OK)
        return status;
    if (window->growth) {
        growth_add(window, cells, growth, block);
        return STATUS_OK;
    }
    status = add_block(window, cells, block);
    if (status != STATUS_OK)
        status = budget_no_memory(window->aggregate.pool->arena, err);
    return status;
}

enum status window_add_series(const struct window *window, struct window_cells *cells,
                              struct source *source, struct error *err)
{
    struct growth growth = {0};
    struct storage_block block;
    enum status status;
    while ((status = source_next_block(source, &block, err)) == STATUS_OK) {
        if (block.summary == NULL || !window->aggregate.takes_summaries ||
            !is_covered(window, &block)) {
            status = add_decoded(window, cells, &growth, source, &block, err);
            if (status != STATUS_OK)
                return status;
        } else if (window->growth) {
            growth_add_summary(window, cells, &growth, block.summary);
        } else {
            void *cell =
                window_touch(window, cells, plan_bucket_of(&window->buckets, block.first_ms));
            aggregate_add_summary(&window->aggregate, cell, block.summary);
        }
    }
    return status == STATUS_END ? STATUS_OK : status;
}
