#include "commands/store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/times.h"
#include "commands/budget.h"
#include "os/descriptors.h"
#include "os/memory.h"

enum {
    BYTES_PER_ACTIVE = 256, /* of memory.limit: up to 32 bytes each of their share */
    BYTES_PER_INDEXED = 16, /* likewise: bitmaps and directories of segments take under a byte */
    TABLE_SHARE = 3, /* of what series may have: a flush may be under way, and names have a third */
    NAMES_SHARE = 3,
    EVIDENCE_MOST = 32 << 20,      /* bytes: more labels at once are no finding any more */
    OPEN_PARTS_SHARE = 2,          /* of the limit of open files; connections have a third */
    DELETE_REST_MS = 60 * 1000,    /* a look may read the series sets of all parts */
    WARM_REST_MS = 10 * 60 * 1000, /* what a backfill of an old day takes, about */
    LOG_PAGE = 4096,               /* a segment of the log is some of them */
    PATH_SIZE = 4200,
};

/* A store that was down for a day loses nothing early, nor does one whose clock is wrong for as
 * long. */
#define CLOCK_LEAP_MS MS_PER_DAY

static_assert((int)CONFIG_RETENTION_RULES_MAX == (int)RETENTION_RULES_MAX,
              "what the configuration takes the engine takes");

size_t store_retention_rules(const struct config *config, struct retention_rule *to)
{
    const struct config_records *records = &config->retention.rules;
    const struct config_retention_rule *rules = records->items;
    for (size_t i = 0; i < records->count; i++)
        to[i] = (struct retention_rule){.match = rules[i].match, .keep_ms = rules[i].keep_ms};
    return records->count;
}

struct engine_options store_engine_options(const struct config *config, struct os os,
                                           const struct log *log, const struct store_limits *limits)
{
    uint64_t memory_bytes = limits->memory_bytes;
    static const enum engine_sync syncs[] = {
        [CONFIG_SYNC_ALWAYS] = ENGINE_SYNC_ALWAYS,
        [CONFIG_SYNC_INTERVAL] = ENGINE_SYNC_INTERVAL,
        [CONFIG_SYNC_NEVER] = ENGINE_SYNC_NEVER,
    };
    uint64_t head_bytes = budget_share(memory_bytes, BUDGET_HEADS) / 2;
    if (head_bytes > config->storage.head_bytes)
        head_bytes = config->storage.head_bytes;
    struct engine_options options = {
        .os = os,
        .log = log,
        .dir = config->storage.path,
        .sync = syncs[config->storage.sync],
        .sync_interval_ms = config->storage.sync_interval_ms,
        .head_bytes = (size_t)head_bytes,
        .table_bytes = (size_t)(budget_share(memory_bytes, BUDGET_SERIES) / TABLE_SHARE),
        .raw_cache_bytes = (size_t)budget_share(memory_bytes, BUDGET_RAW_CACHE),
        .part_index_bytes = (size_t)budget_share(memory_bytes, BUDGET_PART_INDEXES),
        .open_parts = (size_t)(limits->descriptors / OPEN_PARTS_SHARE),
        .log_segment_bytes =
            (config->storage.wal_segment_bytes + LOG_PAGE - 1) / LOG_PAGE * LOG_PAGE,
        .max_chunks = (uint32_t)config->storage.max_chunks,
        .window_ms = config->cardinality.window_ms,
        .merge_fan_in = (uint32_t)config->storage.merge_fan_in,
        .retention_ms = config->retention.default_ms,
        .warm_after_ms = config->tiers.warm_after_ms,
        .warm_rest_ms = WARM_REST_MS,
        .delete_rest_ms = DELETE_REST_MS,
        .tombstone_bytes = (size_t)budget_share(memory_bytes, BUDGET_TOMBSTONES),
        .clock_leap_ms = CLOCK_LEAP_MS,
    };
    options.retention_rule_count = store_retention_rules(config, options.retention_rules);
    return options;
}

static_assert((int)CONFIG_OVERRIDES_MAX == (int)ADMISSION_OVERRIDES_MAX &&
                  CONFIG_UNSET == ADMISSION_UNSET,
              "what the configuration takes admission takes");

static size_t overrides_of(const struct config *config, struct admission_override *to)
{
    const struct config_records *records = &config->cardinality.overrides;
    const struct config_override *items = records->items;
    for (size_t i = 0; i < records->count; i++)
        to[i] = (struct admission_override){
            .match = items[i].match,
            .max_series = items[i].max_series,
            .max_new_series = items[i].max_new_series,
            .max_labels = items[i].max_labels,
            .max_label_value_length = items[i].max_label_value_length,
            .warning_threshold = items[i].warning_threshold,
        };
    return records->count;
}

static_assert((int)CONFIG_LABEL_PATTERNS_MAX == (int)LABEL_PATTERNS_MAX &&
                  (int)CONFIG_LABEL_OFF == (int)LABEL_ACTION_OFF &&
                  (int)CONFIG_LABEL_WARN == (int)LABEL_ACTION_WARN &&
                  (int)CONFIG_LABEL_REJECT == (int)LABEL_ACTION_REJECT,
              "what the configuration takes admission takes");

static size_t label_patterns_of(const struct config *config, struct label_pattern *to)
{
    const struct config_records *records = &config->cardinality.label_patterns;
    const struct config_label_pattern *items = records->items;
    for (size_t i = 0; i < records->count; i++)
        to[i] = (struct label_pattern){.match = items[i].match,
                                       .action = (enum label_action)items[i].action};
    return records->count;
}

static size_t evidence_bytes(uint64_t memory_bytes)
{
    uint64_t share = budget_share(memory_bytes, BUDGET_EVIDENCE);
    return share < EVIDENCE_MOST ? (size_t)share : EVIDENCE_MOST;
}

struct admission_limits store_admission_limits(const struct config *config, uint64_t memory_bytes,
                                               struct store_admission_lists *lists)
{
    const struct config_cardinality *cardinality = &config->cardinality;
    return (struct admission_limits){
        .max_series_per_metric = cardinality->max_series_per_metric,
        .max_series = cardinality->max_series != 0 ? cardinality->max_series
                                                   : memory_bytes / BYTES_PER_ACTIVE,
        .max_series_by_memory = cardinality->max_series == 0,
        .max_indexed_series = cardinality->max_indexed_series != 0
                                  ? cardinality->max_indexed_series
                                  : memory_bytes / BYTES_PER_INDEXED,
        .max_new_series = cardinality->max_new_series,
        .max_new_metric_series = cardinality->max_new_metric_series,
        .max_labels = cardinality->max_labels_per_metric,
        .max_label_name_length = cardinality->max_label_name_length,
        .max_label_value_length = cardinality->max_label_value_length,
        .max_metric_name_length = cardinality->max_metric_name_length,
        .max_age_ms = config->admission.max_age_ms,
        .max_future_ms = config->admission.max_future_ms,
        .warning_threshold = cardinality->warning_threshold,
        .max_index_bytes = budget_share(memory_bytes, BUDGET_SERIES),
        .max_name_bytes = budget_share(memory_bytes, BUDGET_SERIES) / NAMES_SHARE,
        .refusal_bytes = (size_t)budget_share(memory_bytes, BUDGET_REFUSALS),
        .evidence_bytes = evidence_bytes(memory_bytes),
        .overrides = lists->overrides,
        .override_count = overrides_of(config, lists->overrides),
        .label_patterns = lists->label_patterns,
        .label_pattern_count = label_patterns_of(config, lists->label_patterns),
        .shape_action = (enum label_action)cardinality->shape_action,
        .masks_examples = cardinality->mask_examples,
    };
}

/* Nothing is made where a store is only to be read. */
enum status store_expect(const struct config *config, struct os os, struct error *err)
{
    enum status status = engine_find_store(os, config->storage.path, err);
    if (status == STATUS_NOT_FOUND)
        return fail(err, status, "there is no store in %s; name its directory with --data",
                    config->storage.path);
    error_prefix(err, "%s", config->storage.path);
    return status;
}

enum status store_options(const struct config *config, struct os os, const struct log *log,
                          struct engine_options *options, struct error *err)
{
    uint64_t available = 0;
    enum status status = memory_available(os.fs, "", &available, err);
    if (status != STATUS_OK)
        return status;
    struct store_limits limits = {.memory_bytes = config_memory_limit(config, available),
                                  .descriptors = descriptors_raise()};
    *options = store_engine_options(config, os, log, &limits);
    return STATUS_OK;
}

void store_say_rights(struct error *err)
{
    if (error_not_allowed(err))
        error_suffix(err,
                     "let user %ld, as whom this runs, write to that directory and all in it "
                     "(chown, chmod), or name another one by storage.path (--data)",
                     (long)geteuid());
    else if (err->os_error == EROFS)
        error_suffix(err, "mount it writable, or name another directory by storage.path (--data); "
                          "query, export and verify read a store there as it is");
}

enum status store_open_engine(const struct engine_options *options, struct tier **tier,
                              struct error *err)
{
    enum status status = engine_open(options, tier, err);
    if (status != STATUS_OK && err != NULL)
        store_say_rights(err);
    return status;
}

enum status store_open(const struct config *config, struct os os, const struct log *log,
                       bool read_only, struct tier **tier, struct error *err)
{
    struct engine_options options;
    *tier = NULL;
    enum status status = read_only ? store_expect(config, os, err) : STATUS_OK;
    if (status == STATUS_OK)
        status = store_options(config, os, log, &options, err);
    if (status != STATUS_OK)
        return status;
    options.read_only = read_only;
    options.background = !read_only;
    status = store_open_engine(&options, tier, err);
    if (status != STATUS_CONFLICT)
        return status;
    char message[ERROR_MESSAGE_SIZE];
    snprintf(message, sizeof message, "%s", err->message);
    return fail(err, status, "%.400s; or ask it, with --url", message);
}

void store_query_limits(const struct config *config, struct query_limits *limits)
{
    *limits = (struct query_limits){
        .max_samples = config->query.max_samples,
        .max_memory_bytes = (size_t)config->query.max_memory_bytes,
        .max_points = config->query.max_points,
        .default_limit = config->query.default_limit,
    };
}
