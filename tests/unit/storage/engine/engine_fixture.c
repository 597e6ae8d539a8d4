#include "engine_fixture.h"

#include <dirent.h>
#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "base/times.h"
#include "model/value.h"

/* ---- the ledger ------------------------------------------------------------------------- */

static void *or_die(void *memory)
{
    invariant(memory != NULL);
    return memory;
}

void ledger_init(struct ledger *ledger, size_t series_count)
{
    ledger->series_count = series_count;
    ledger->series = or_die(calloc(series_count, sizeof ledger->series[0]));
}

void ledger_release(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->series_count; i++) {
        free(ledger->series[i].times);
        free(ledger->series[i].bits);
    }
    free(ledger->series);
    *ledger = (struct ledger){0};
}

static void reach(struct ledger_series *series, size_t count)
{
    if (count <= series->capacity)
        return;
    series->capacity = count * 2;
    series->times = or_die(realloc(series->times, series->capacity * sizeof series->times[0]));
    series->bits = or_die(realloc(series->bits, series->capacity * sizeof series->bits[0]));
}

void ledger_copy(struct ledger *to, const struct ledger *from)
{
    ledger_init(to, from->series_count);
    for (size_t i = 0; i < from->series_count; i++) {
        const struct ledger_series *source = &from->series[i];
        if (source->count == 0)
            continue;
        reach(&to->series[i], source->count);
        memcpy(to->series[i].times, source->times, source->count * sizeof source->times[0]);
        memcpy(to->series[i].bits, source->bits, source->count * sizeof source->bits[0]);
        to->series[i].count = source->count;
    }
}

/* The first place whose time is not before `time_ms`. */
static size_t place_of(const struct ledger_series *series, int64_t time_ms)
{
    size_t low = 0;
    size_t high = series->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (series->times[middle] < time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void put_one(struct ledger_series *series, int64_t time_ms, uint64_t bits)
{
    size_t place = place_of(series, time_ms);
    if (place == series->count || series->times[place] != time_ms) {
        reach(series, series->count + 1);
        size_t behind = series->count - place;
        memmove(series->times + place + 1, series->times + place, behind * sizeof series->times[0]);
        memmove(series->bits + place + 1, series->bits + place, behind * sizeof series->bits[0]);
        series->times[place] = time_ms;
        series->count++;
    }
    series->bits[place] = bits;
}

/* Samples of one series, each later than the one before. */
static size_t count_run(const struct fixture_sample *samples, size_t count)
{
    size_t run = 1;
    while (run < count && samples[run].series == samples[0].series &&
           samples[run].time_ms > samples[run - 1].time_ms)
        run++;
    return run;
}

/* How many of a run have a time that the series has not yet. */
static size_t count_new(const struct ledger_series *series, const struct fixture_sample *run,
                        size_t count)
{
    size_t place = place_of(series, run[0].time_ms);
    size_t new_count = 0;
    for (size_t i = 0; i < count; i++) {
        while (place < series->count && series->times[place] < run[i].time_ms)
            place++;
        new_count += place == series->count || series->times[place] != run[i].time_ms;
    }
    return new_count;
}

/* Merges it, from behind: a dense run over a dense one would be quadratic sample by sample. */
static void put_run(struct ledger_series *series, const struct fixture_sample *run, size_t count)
{
    size_t old = series->count;
    series->count += count_new(series, run, count);
    reach(series, series->count);
    for (size_t to = series->count; count > 0; to--) {
        bool kept = old > 0 && series->times[old - 1] >= run[count - 1].time_ms;
        bool written = old == 0 || series->times[old - 1] <= run[count - 1].time_ms;
        series->times[to - 1] = written ? run[count - 1].time_ms : series->times[old - 1];
        series->bits[to - 1] =
            written ? bits_of_double(run[count - 1].value) : series->bits[old - 1];
        old -= kept;
        count -= written;
    }
}

void ledger_put(struct ledger *ledger, const struct fixture_sample *samples, size_t count)
{
    for (size_t i = 0; i < count;) {
        struct ledger_series *series = &ledger->series[samples[i].series];
        size_t run = count_run(samples + i, count - i);
        if (run > 1)
            put_run(series, samples + i, run);
        else
            put_one(series, samples[i].time_ms, bits_of_double(samples[i].value));
        i += run;
    }
}

void ledger_drop_before(struct ledger *ledger, int64_t time_ms)
{
    for (size_t i = 0; i < ledger->series_count; i++) {
        struct ledger_series *series = &ledger->series[i];
        size_t gone = place_of(series, time_ms);
        if (gone == 0)
            continue;
        series->count -= gone;
        memmove(series->times, series->times + gone, series->count * sizeof series->times[0]);
        memmove(series->bits, series->bits + gone, series->count * sizeof series->bits[0]);
    }
}

void ledger_delete(struct ledger *ledger, const bool *only, struct time_range range)
{
    for (size_t i = 0; i < ledger->series_count; i++) {
        struct ledger_series *series = &ledger->series[i];
        size_t from = place_of(series, range.start_ms);
        size_t to = place_of(series, range.end_ms);
        if (!only[i] || from >= to)
            continue;
        memmove(series->times + from, series->times + to,
                (series->count - to) * sizeof series->times[0]);
        memmove(series->bits + from, series->bits + to,
                (series->count - to) * sizeof series->bits[0]);
        series->count -= to - from;
    }
}

uint64_t ledger_count(const struct ledger *ledger)
{
    uint64_t count = 0;
    for (size_t i = 0; i < ledger->series_count; i++)
        count += ledger->series[i].count;
    return count;
}

/* ---- a store ---------------------------------------------------------------------------- */

static void demand(enum status status, const struct error *err, const char *what)
{
    if (status != STATUS_OK)
        fprintf(stderr, "%s: %s: %s\n", what, status_name(status), err->message);
    invariant(status == STATUS_OK);
}

/* In memory where there is room: what a crash does is not shown with these files (tests/sim). */
static const char *scratch_root(void)
{
    struct statvfs room;
    bool memory = statvfs("/dev/shm", &room) == 0 && access("/dev/shm", W_OK | X_OK) == 0 &&
                  room.f_bavail * room.f_frsize >= (uint64_t)2 << 30;
    return memory ? "/dev/shm" : "/tmp";
}

void store_init(struct store *store, size_t head_bytes)
{
    snprintf(store->dir, sizeof store->dir, "%s/metric-store-engine-XXXXXX", scratch_root());
    or_die(mkdtemp(store->dir));
    store->options = (struct engine_options){
        .os = os_system(),
        .dir = store->dir,
        .sync = ENGINE_SYNC_NEVER,
        .head_bytes = head_bytes,
        .raw_cache_bytes = (size_t)1 << 20,
        .part_index_bytes = 4096, /* so that indexes come and go */
        .open_parts = 3,          /* likewise */
        .log_segment_bytes = 256 * 1024,
        .max_chunks = 8192,
        .merge_fan_in = 4,
    };
    struct error err = {0};
    demand(engine_open(&store->options, &store->tier, &err), &err, "engine_open");
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

void store_release(struct store *store)
{
    engine_close(store->tier);
    invariant(nftw(store->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static void open_again(struct store *store)
{
    struct error err = {0};
    demand(engine_open(&store->options, &store->tier, &err), &err, "engine_open");
}

void store_reopen(struct store *store)
{
    engine_close(store->tier);
    open_again(store);
}

void store_kill(struct store *store)
{
    engine_abandon(store->tier);
    open_again(store);
}

void store_flush(struct store *store)
{
    struct error err = {0};
    demand(engine_flush(store->tier, &err), &err, "engine_flush");
}

void store_settle_down(struct store *store)
{
    bool did = true;
    while (did) {
        struct error err = {0};
        demand(engine_background_step(store->tier, &did, &err), &err, "engine_background_step");
    }
}

size_t store_files(const struct store *store, const char *folder)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", store->dir, folder);
    DIR *directory = or_die(opendir(path));
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* ---- writing ---------------------------------------------------------------------------- */

enum { FIXTURE_LABELS = 3, RAW_SIZE = 128 };

void fixture_metric_name(uint32_t series, char to[32])
{
    snprintf(to, 32, "metric_%" PRIu32, series % FIXTURE_METRICS);
}

static struct slice raw_of(uint32_t series, struct arena *arena)
{
    char metric[32], host[32], number[32];
    fixture_metric_name(series, metric);
    snprintf(host, sizeof host, "h%" PRIu32, series / FIXTURE_METRICS % FIXTURE_HOSTS);
    snprintf(number, sizeof number, "%" PRIu32, series);
    struct label items[FIXTURE_LABELS] = {
        {slice_from_text(METRIC_NAME_LABEL), slice_from_text(metric)},
        {slice_from_text("host"), slice_from_text(host)},
        {slice_from_text("n"), slice_from_text(number)},
    };
    struct bytes bytes;
    bytes_init(&bytes, RAW_SIZE);
    invariant(labels_encode(&(struct labels){items, FIXTURE_LABELS}, &bytes) == STATUS_OK);
    struct slice raw = arena_copy(arena, bytes_slice(&bytes));
    bytes_release(&bytes);
    return raw;
}

static enum status decode_raw(struct slice raw, struct arena *arena, struct labels *labels,
                              struct error *err)
{
    labels->items = arena_calloc(arena, FIXTURE_LABELS, sizeof labels->items[0]);
    if (labels->items == NULL)
        return fail(err, arena_status(arena), "no memory for labels");
    return labels_decode(raw, labels->items, FIXTURE_LABELS, &labels->count, err);
}

static enum status fill(struct batch *batch, const struct fixture_write *write, struct error *err)
{
    batch->atomic = write->atomic;
    uint32_t entry = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < write->count && status == STATUS_OK; i++) {
        const struct fixture_sample *sample = &write->samples[i];
        if (i == 0 || sample->series != sample[-1].series)
            status = batch_add_series(batch, raw_of(sample->series, batch->arena), (uint32_t)i,
                                      (uint32_t)i + 1, &entry);
        if (status == STATUS_OK)
            status = batch_add_sample(batch, entry, sample->time_ms, sample->value);
    }
    if (status == STATUS_OK && write->metric != NULL)
        status = batch_add_metric(batch, write->metric);
    return status == STATUS_OK ? STATUS_OK : fail(err, status, "cannot fill a batch");
}

static void note_result(struct fixture_write *write, const struct batch *batch)
{
    write->rejected = batch->rejected;
    write->new_series = batch->new_series;
    write->code[0] = '\0';
    if (batch->rejection_count > 0)
        snprintf(write->code, sizeof write->code, "%s", batch->rejections[0].code);
    write->outcome =
        batch->metric_count > 0 ? (enum metric_outcome)batch->metric_outcomes[0] : METRIC_SAME;
}

/* Samples that were taken out of the batch leave the others in their order. */
static void note_kept(struct fixture_write *write, const struct batch *batch)
{
    size_t place = 0;
    uint32_t entry = 0;
    for (size_t i = 0; i < write->count && write->kept != NULL; i++) {
        const struct fixture_sample *sample = &write->samples[i];
        entry += i > 0 && sample->series != sample[-1].series;
        write->kept[i] =
            place < batch->sample_count && batch->sample_series[place] == batch->series[entry].id &&
            batch->sample_times[place] == sample->time_ms &&
            bits_of_double(batch->sample_values[place]) == bits_of_double(sample->value);
        place += write->kept[i];
    }
    invariant(write->kept == NULL || place == batch->sample_count);
}

enum status fixture_commit(struct tier *tier, struct fixture_write *writes, size_t count,
                           struct error *err)
{
    return fixture_commit_noting(tier, writes, count, NULL, NULL, err);
}

enum status fixture_commit_noting(struct tier *tier, struct fixture_write *writes, size_t count,
                                  fixture_resolved *resolved_all, void *context, struct error *err)
{
    struct arena *arenas = or_die(calloc(count, sizeof arenas[0]));
    struct batch *batches = or_die(calloc(count, sizeof batches[0]));
    struct batch **list = or_die(calloc(count, sizeof list[0]));
    size_t resolved = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count; i++)
        arena_init(&arenas[i], (size_t)1 << 30);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        list[i] = &batches[i];
        batch_init(&batches[i], &arenas[i], decode_raw, 1);
        status = fill(&batches[i], &writes[i], err);
        if (status == STATUS_OK && writes[i].filled != NULL)
            writes[i].filled();
        if (status == STATUS_OK)
            status = storage_resolve(tier, &batches[i], writes[i].admitter, err);
        if (status == STATUS_OK)
            note_kept(&writes[i], &batches[i]);
        resolved += status == STATUS_OK;
    }
    if (status == STATUS_OK && resolved_all != NULL)
        resolved_all(context);
    if (status == STATUS_OK)
        status = storage_append(tier, list, count, err);
    for (size_t i = 0; i < resolved; i++) {
        note_result(&writes[i], &batches[i]);
        storage_settle(tier, &batches[i]);
    }
    for (size_t i = 0; i < count; i++)
        arena_release(&arenas[i]);
    free(list);
    free(batches);
    free(arenas);
    return status;
}

enum status fixture_put(struct tier *tier, const struct fixture_sample *samples, size_t count,
                        struct error *err)
{
    struct fixture_write write = {.samples = samples, .count = count};
    enum status status = fixture_commit(tier, &write, 1, err);
    if (status == STATUS_OK && write.rejected > 0)
        return fail(err, STATUS_INVALID, "%" PRIu64 " samples were refused: %s", write.rejected,
                    write.code);
    return status;
}

enum status fixture_abandon(struct tier *tier, const struct fixture_sample *samples, size_t count,
                            struct error *err)
{
    struct fixture_write write = {.samples = samples, .count = count};
    struct arena arena;
    struct batch batch;
    arena_init(&arena, (size_t)1 << 30);
    batch_init(&batch, &arena, decode_raw, 1);
    enum status status = fill(&batch, &write, err);
    if (status == STATUS_OK)
        status = storage_resolve(tier, &batch, NULL, err);
    if (status == STATUS_OK)
        storage_settle(tier, &batch);
    arena_release(&arena);
    return status;
}

enum status fixture_delete(struct tier *tier, const bool *only, size_t series_count,
                           struct time_range range, struct delete_result *result, struct error *err)
{
    struct bytes text;
    bytes_init(&text, 1 << 20);
    enum status status = bytes_format(&text, "{n=~\"none");
    for (size_t i = 0; i < series_count && status == STATUS_OK; i++)
        if (only[i])
            status = bytes_format(&text, "|%zu", i);
    invariant(status == STATUS_OK && bytes_format(&text, "\"}%c", '\0') == STATUS_OK);
    status = fixture_delete_matching(tier, (const char *)text.data, range, result, err);
    bytes_release(&text);
    return status;
}

enum status fixture_delete_matching(struct tier *tier, const char *selector,
                                    struct time_range range, struct delete_result *result,
                                    struct error *err)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct matchers matchers;
    demand(matchers_parse(slice_from_text(selector), &arena, &matchers, err), err,
           "matchers_parse");
    enum status status = storage_delete(tier, &matchers, 1, range, result, err);
    matchers_release(&matchers);
    arena_release(&arena);
    return status;
}

/* ---- reading ---------------------------------------------------------------------------- */

struct time_range fixture_always(void)
{
    return (struct time_range){TIME_MIN_MS, TIME_MAX_MS};
}

static bool series_number(const struct labels *labels, uint32_t *number)
{
    struct slice text = labels_get(labels, slice_from_text("n"));
    char copy[32];
    if (text.size == 0 || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *number = (uint32_t)strtoul(copy, NULL, 10);
    char metric[32];
    fixture_metric_name(*number, metric);
    return slice_equal_text(labels_metric_name(labels), metric);
}

/* `scale`: of what was added up, where large numbers may have taken each other away. */
static bool near(double a, double b, double scale)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    return a == b || fabs(a - b) <= 1e-9 * fmax(fmax(fabs(a), fabs(b)), scale);
}

static bool same_bits(double a, double b)
{
    return bits_of_double(a) == bits_of_double(b);
}

static bool same_summary(const struct summary *a, const struct summary *b, double scale)
{
    if (a->count != b->count || a->stale_count != b->stale_count || a->nan_count != b->nan_count)
        return false;
    if (a->count == 0)
        return true;
    return a->first_ms == b->first_ms && a->last_ms == b->last_ms &&
           same_bits(a->first, b->first) && same_bits(a->last, b->last) && a->min == b->min &&
           a->max == b->max && near(summary_sum(a), summary_sum(b), scale) &&
           near(a->increase, b->increase, scale);
}

bool fixture_no(char why[FIXTURE_WHY_SIZE], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, FIXTURE_WHY_SIZE, format, args);
    va_end(args);
    return false;
}

/* The next block, loaded. END after the last; *wrong where it does not agree with itself. */
static enum status next_block(struct tier *tier, struct storage_cursor *cursor, uint32_t number,
                              int64_t *before_ms, struct storage_block *block, bool *wrong,
                              char why[FIXTURE_WHY_SIZE])
{
    struct error err = {0};
    *wrong = true;
    enum status status = storage_cursor_next(tier, cursor, block, &err);
    if (status == STATUS_END)
        return status;
    if (status != STATUS_OK)
        fixture_no(why, "series %" PRIu32 ": next: %s", number, err.message);
    else if (block->first_ms <= *before_ms)
        fixture_no(why, "series %" PRIu32 ": a block at %" PRId64 " overlaps the one before",
                   number, block->first_ms);
    else
        *wrong = false;
    if (*wrong)
        return status;
    *before_ms = block->last_ms;
    bool has_summary = block->summary != NULL;
    struct summary told = has_summary ? *block->summary : (struct summary){0};
    uint32_t promised = block->count;
    *wrong = storage_cursor_load(tier, cursor, block, &err) != STATUS_OK;
    if (*wrong)
        fixture_no(why, "series %" PRIu32 ": load: %s", number, err.message);
    if (*wrong || !has_summary)
        return STATUS_OK;
    struct summary summed;
    summary_init(&summed);
    summary_add(&summed, block->times, block->values, block->count);
    *wrong = promised != block->count || !same_summary(&told, &summed, 0);
    if (*wrong)
        fixture_no(why, "series %" PRIu32 ": the block at %" PRId64 " has a wrong summary", number,
                   block->first_ms);
    return STATUS_OK;
}

/* Walks one series. `place` goes through the ledger's samples. */
static bool series_same(struct tier *tier, struct storage_cursor *cursor, uint32_t number,
                        struct ledger_series *expected, struct time_range range,
                        char why[FIXTURE_WHY_SIZE])
{
    size_t place = place_of(expected, range.start_ms);
    size_t end = place_of(expected, range.end_ms);
    int64_t before_ms = INT64_MIN;
    struct storage_block block;
    bool wrong;
    while (next_block(tier, cursor, number, &before_ms, &block, &wrong, why) != STATUS_END) {
        if (wrong)
            return false;
        for (uint32_t i = 0; i < block.count; i++, place++)
            if (place >= end || block.times[i] != expected->times[place] ||
                bits_of_double(block.values[i]) != expected->bits[place])
                return fixture_no(why,
                                  "series %" PRIu32 ": at %" PRId64 " stands %016" PRIx64
                                  " instead of %016" PRIx64 " at %" PRId64,
                                  number, block.times[i], bits_of_double(block.values[i]),
                                  place < end ? expected->bits[place] : 0,
                                  place < end ? expected->times[place] : INT64_MAX);
    }
    if (place != end)
        return fixture_no(why,
                          "series %" PRIu32 ": %zu samples are missing, from %" PRId64
                          " on, bits %016" PRIx64,
                          number, end - place, expected->times[place], expected->bits[place]);
    return true;
}

static bool series_take(struct tier *tier, struct storage_cursor *cursor, uint32_t number,
                        struct ledger_series *to, struct time_range range,
                        char why[FIXTURE_WHY_SIZE])
{
    (void)range;
    int64_t before_ms = INT64_MIN;
    struct storage_block block;
    bool wrong;
    while (next_block(tier, cursor, number, &before_ms, &block, &wrong, why) != STATUS_END) {
        if (wrong)
            return false;
        reach(to, to->count + block.count);
        for (uint32_t i = 0; i < block.count; i++) {
            if (to->count > 0 && to->times[to->count - 1] >= block.times[i])
                return fixture_no(why, "series %" PRIu32 ": times do not rise at %" PRId64, number,
                                  block.times[i]);
            to->times[to->count] = block.times[i];
            to->bits[to->count++] = bits_of_double(block.values[i]);
        }
    }
    return true;
}

/* Whether every series of the ledger with samples in the range was seen, and none else. */
static bool all_seen(const struct ledger *ledger, struct time_range range, const bool *only,
                     const bool *seen, char why[FIXTURE_WHY_SIZE])
{
    for (uint32_t i = 0; i < ledger->series_count; i++) {
        const struct ledger_series *series = &ledger->series[i];
        bool wanted = (only == NULL || only[i]) &&
                      place_of(series, range.start_ms) < place_of(series, range.end_ms);
        if (wanted && !seen[i])
            return fixture_no(why, "series %" PRIu32 " is missing", i);
    }
    return true;
}

typedef bool visit_series(struct tier *tier, struct storage_cursor *cursor, uint32_t number,
                          struct ledger_series *expected, struct time_range range,
                          char why[FIXTURE_WHY_SIZE]);

static bool walk(struct tier *tier, struct selection *selection, const struct ledger *ledger,
                 struct time_range range, const bool *only, visit_series *visit,
                 char why[FIXTURE_WHY_SIZE])
{
    bool *seen = or_die(calloc(ledger->series_count, sizeof seen[0]));
    struct storage_cursor *cursor = NULL;
    bool same = true;
    for (size_t i = 0; i < selection_count(tier, selection) && same; i++) {
        struct selected_series series;
        struct error err = {0};
        uint32_t number = 0;
        if (selection_series(tier, selection, i, &series, &err) != STATUS_OK)
            same = fixture_no(why, "selection_series: %s", err.message);
        else if (!series_number(&series.labels, &number) || number >= ledger->series_count)
            same = fixture_no(why, "the labels of series %zu are not those written", i);
        else if (seen[number] || (only != NULL && !only[number]))
            same = fixture_no(why, "series %" PRIu32 " is there twice or should not be", number);
        else if (selection_read(tier, selection, i, range, &cursor, &err) != STATUS_OK)
            same = fixture_no(why, "selection_read: %s", err.message);
        else
            same = visit(tier, cursor, number, &ledger->series[number], range, why);
        if (same)
            seen[number] = true;
    }
    same = same && all_seen(ledger, range, only, seen, why);
    free(seen);
    return same;
}

bool fixture_selection_same(struct tier *tier, struct selection *selection,
                            const struct ledger *ledger, struct time_range range, const bool *only,
                            char why[FIXTURE_WHY_SIZE])
{
    return walk(tier, selection, ledger, range, only, series_same, why);
}

/* `partial` is told, or, where it is NULL, must not be. `decoded`, samples, may be NULL too. */
static bool select_and_walk(struct tier *tier, const struct ledger *ledger, struct time_range range,
                            visit_series *visit, bool *partial, uint64_t *decoded,
                            char why[FIXTURE_WHY_SIZE])
{
    struct matchers everything = {0};
    struct select_options options = {.range = range};
    struct selection *selection;
    struct error err = {0};
    if (storage_select(tier, &everything, 1, &options, &selection, &err) != STATUS_OK)
        return fixture_no(why, "storage_select: %s", err.message);
    bool same = walk(tier, selection, ledger, range, NULL, visit, why);
    struct read_stats stats;
    selection_stats(tier, selection, &stats);
    if (partial != NULL)
        *partial = stats.partial;
    else if (same && stats.partial)
        same = fixture_no(why, "the answer is partial");
    if (decoded != NULL)
        *decoded = stats.samples_decoded;
    selection_close(tier, selection);
    return same;
}

bool fixture_same(struct tier *tier, const struct ledger *ledger, struct time_range range,
                  char why[FIXTURE_WHY_SIZE])
{
    return select_and_walk(tier, ledger, range, series_same, NULL, NULL, why);
}

bool fixture_read(struct tier *tier, struct ledger *ledger, char why[FIXTURE_WHY_SIZE])
{
    return select_and_walk(tier, ledger, fixture_always(), series_take, NULL, NULL, why);
}

bool fixture_read_partial(struct tier *tier, struct ledger *ledger, bool *partial,
                          char why[FIXTURE_WHY_SIZE])
{
    return select_and_walk(tier, ledger, fixture_always(), series_take, partial, NULL, why);
}

static bool totals_same(struct tier *tier, struct storage_cursor *cursor, uint32_t number,
                        struct ledger_series *expected, struct time_range range,
                        char why[FIXTURE_WHY_SIZE])
{
    struct summary naive, told;
    double scale = 0;
    summary_init(&naive);
    summary_init(&told);
    for (size_t i = place_of(expected, range.start_ms); i < place_of(expected, range.end_ms); i++) {
        double value = double_of_bits(expected->bits[i]);
        summary_add(&naive, &expected->times[i], &value, 1);
        if (isfinite(value) && fabs(value) > scale)
            scale = fabs(value);
    }
    for (;;) {
        struct storage_block block;
        struct error err = {0};
        enum status status = storage_cursor_next(tier, cursor, &block, &err);
        if (status == STATUS_END)
            break;
        if (status == STATUS_OK && block.summary != NULL) {
            summary_combine(&told, block.summary);
            continue;
        }
        if (status == STATUS_OK)
            status = storage_cursor_load(tier, cursor, &block, &err);
        if (status != STATUS_OK)
            return fixture_no(why, "series %" PRIu32 ": %s", number, err.message);
        summary_add(&told, block.times, block.values, block.count);
    }
    if (!same_summary(&naive, &told, scale))
        return fixture_no(why,
                          "series %" PRIu32 ": count %" PRIu32
                          " sum %.17g increase %.17g instead of %" PRIu32 ", %.17g, %.17g",
                          number, told.count, summary_sum(&told), told.increase, naive.count,
                          summary_sum(&naive), naive.increase);
    return true;
}

bool fixture_totals_same(struct tier *tier, const struct ledger *ledger, struct time_range range,
                         char why[FIXTURE_WHY_SIZE])
{
    return select_and_walk(tier, ledger, range, totals_same, NULL, NULL, why);
}

bool fixture_totals_counted(struct tier *tier, const struct ledger *ledger, struct time_range range,
                            uint64_t *decoded, char why[FIXTURE_WHY_SIZE])
{
    return select_and_walk(tier, ledger, range, totals_same, NULL, decoded, why);
}

enum status fixture_ignore_metric(void *context, const struct metric_info *info, struct error *err)
{
    (void)context, (void)info, (void)err;
    return STATUS_OK;
}

enum status fixture_ignore_chunk(void *context, const struct chunk_info *info, struct error *err)
{
    (void)context, (void)info, (void)err;
    return STATUS_OK;
}
