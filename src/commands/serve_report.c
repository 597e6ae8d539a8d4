/*
 * serve_report - what the service says of itself: the modules' own statistics, put into the structs
 * that telemetry writes out, and the checks of its health.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/invariant.h"
#include "base/utf8.h"
#include "commands/budget.h"
#include "commands/serve_parts.h"

enum { QUEUE_DEGRADED_PERCENT = 80, DISK_DEGRADED_PERCENT = 90, BYTES_PER_MIB = 1 << 20 };

/* ---- metrics ---------------------------------------------------------------------------- */

static void take_storage(const struct engine_stats *engine, struct storage_metrics *storage)
{
    *storage = (struct storage_metrics){
        .series = engine->series_committed,
        .series_reserved = engine->series_reserved,
        .active_series = engine->series_active,
        .metrics_registered = engine->metrics_registered,
        .samples_appended = engine->samples_appended,
        .commits = engine->commits,
        .head_samples = engine->head_samples,
        .sealed_head_samples = engine->sealed_samples,
        .raw_cache_hits = engine->raw_cache_hits,
        .raw_cache_misses = engine->raw_cache_misses,
        .raw_cache_evictions = engine->raw_cache_evictions,
        .parts = engine->parts,
        .parts_open = engine->parts_open,
        .parts_reopened = engine->parts_reopened,
        .part_index_loads = engine->part_index_loads,
        .part_index_evictions = engine->part_index_evictions,
        .part_samples = engine->part_samples,
        .part_bytes = engine->part_bytes,
        .hot_samples = engine->part_samples - engine->warm_samples,
        .hot_bytes = engine->part_bytes - engine->warm_bytes,
        .warm_samples = engine->warm_samples,
        .warm_bytes = engine->warm_bytes,
        .index_segments = engine->index_segments,
        .index_bytes = engine->index_bytes,
        .chunks = engine->chunks,
        .chunks_dropped = engine->chunks_dropped,
        .rule_runs = engine->rule_runs,
        .rule_deletes = engine->rule_deletes,
        .rule_series = engine->rule_series,
        .retention_time_ms = engine->retention_time_ms,
        .deletes = engine->deletes,
        .tombstones = engine->tombstones,
        .tombstone_bytes = engine->tombstone_bytes,
        .damaged_blocks = engine->damaged_blocks,
        .wal_bytes_written = engine->log_bytes_written,
        .wal_segments = engine->log_segments,
        .wal_syncs = engine->log_syncs,
        .wal_sync_ns_sum = engine->log_sync_ns_sum,
        .wal_sync_ns_max = engine->log_sync_ns_max,
        .flushes = engine->flushes,
        .flush_failures = engine->flush_failures,
        .flushed_samples = engine->flushed_samples,
        .flushed_bytes = engine->flushed_bytes,
        .merges = engine->merges,
        .merge_failures = engine->merge_failures,
        .merged_bytes_read = engine->merged_bytes_read,
        .merged_bytes_written = engine->merged_bytes_written,
        .merge_pauses = engine->merge_pauses,
        .warm_merges = engine->warm_merges,
        .warm_bytes_read = engine->warm_bytes_read,
        .warm_bytes_written = engine->warm_bytes_written,
        .index_merges = engine->index_merges,
        .index_merged_bytes_written = engine->index_merged_bytes_written,
        .series_ids_freed = engine->series_ids_freed,
        .disk_size_bytes = engine->disk_total_bytes,
        .disk_free_bytes = engine->disk_free_bytes,
        .recovery_duration_ms = engine->recovery.duration_ms,
        .recovery_samples = engine->recovery.log_samples,
        .recovery_damaged = engine->recovery.damaged,
        .recovery_torn_tail = engine->recovery.torn_tail,
    };
}

static void add_owner(struct memory_metrics *memory, const char *name, uint64_t used,
                      uint64_t share)
{
    invariant(memory->owner_count < MEMORY_OWNERS_MAX);
    memory->owners[memory->owner_count++] =
        (struct memory_owner){.name = name, .used = used, .share = share};
}

static void take_memory(struct service *service, const struct engine_stats *engine,
                        uint64_t bodies_bytes, struct memory_metrics *memory)
{
    struct admission_stats admission;
    admission_stats(service->admission, &admission);
    const struct {
        const char *name;
        uint64_t used;
        enum budget_owner owner;
    } owners[] = {
        {"series_table", engine->series_table_bytes, BUDGET_SERIES},
        {"active_series", engine->activity_bytes, BUDGET_ACTIVE_SERIES},
        {"refusals", admission.memory_bytes, BUDGET_REFUSALS},
        {"evidence", admission.evidence_bytes, BUDGET_EVIDENCE},
        {"raw_cache", engine->raw_cache_bytes, BUDGET_RAW_CACHE},
        {"part_indexes", engine->part_index_bytes, BUDGET_PART_INDEXES},
        {"tombstones", engine->tombstone_bytes, BUDGET_TOMBSTONES},
        {"request_bodies", bodies_bytes, BUDGET_BODIES},
        {"batches", memory_share_used(&service->batches), BUDGET_BATCHES},
        {"queries", memory_share_used(&service->queries), BUDGET_QUERIES},
    };
    *memory = (struct memory_metrics){.limit = service->memory_bytes};
    add_owner(memory, "head", engine->head_bytes, service->head_share);
    add_owner(memory, "sealed_head", engine->sealed_bytes, service->head_share);
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++)
        add_owner(memory, owners[i].name, owners[i].used,
                  budget_share(service->memory_bytes, owners[i].owner));
}

static void take_snapshot(void *context, struct metrics_snapshot *snapshot)
{
    struct service *service = context;
    struct engine_stats engine;
    engine_stats(service->tier, &engine);
    write_buffer_stats(service->buffer, &snapshot->buffer);
    take_storage(&engine, &snapshot->storage);
    http_server_stats(service->server, &snapshot->http);
    api_query_pool(service->api, &snapshot->query_pool);
    take_memory(service, &engine, snapshot->http.bytes_in_flight, &snapshot->memory);
}

/* ---- health ----------------------------------------------------------------------------- */

static void check_storage(void *context, struct health_result *result)
{
    struct service *service = context;
    struct storage_condition condition;
    storage_condition(service->tier, &condition);
    static const enum health_status statuses[] = {
        [STORAGE_HEALTHY] = HEALTH_OK,
        [STORAGE_DEGRADED] = HEALTH_DEGRADED,
        [STORAGE_FAILING] = HEALTH_FAILING,
    };
    result->status = statuses[condition.health];
    snprintf(result->message, sizeof result->message, "%s", condition.message);
}

static void check_disk(void *context, struct health_result *result)
{
    struct service *service = context;
    struct filesystem_space space;
    struct error err = {0};
    if (filesystem_space(service->os.fs, service->data_dir, &space, &err) != STATUS_OK) {
        result->status = HEALTH_DEGRADED;
        snprintf(result->message, sizeof result->message, "%.250s", err.message);
        return;
    }
    health_judge_level(result, space.total_bytes - space.free_bytes, space.total_bytes,
                       DISK_DEGRADED_PERCENT, "bytes of the disk",
                       "make room, or shorten retention.default");
}

static void check_queue(void *context, struct health_result *result)
{
    struct service *service = context;
    struct write_buffer_stats buffer;
    write_buffer_stats(service->buffer, &buffer);
    health_judge_level(result, buffer.waiting_bytes, buffer.max_bytes, QUEUE_DEGRADED_PERCENT,
                       "bytes of the write queue", "the disk is slower than what is sent");
}

/* Whether the series table has all that memory.limit leaves to it; also where it had more before
 * the limit was lowered. */
static bool series_memory_is_taken(struct service *service, uint64_t *taken_bytes,
                                   uint64_t *share_bytes)
{
    struct admission_limits limits;
    struct engine_stats engine;
    admission_limits_get(service->admission, &limits);
    engine_stats(service->tier, &engine);
    *taken_bytes = engine.series_table_bytes;
    *share_bytes = limits.max_index_bytes;
    return limits.max_index_bytes != 0 && engine.series_table_bytes >= limits.max_index_bytes;
}

void service_warn_of_series_memory(struct service *service)
{
    uint64_t taken_bytes, share_bytes;
    if (!series_memory_is_taken(service, &taken_bytes, &share_bytes))
        return;
    log_event(&service->log, LOG_WARN, "serve",
              "new series are refused until a flush: those that came since the last one take all "
              "that memory.limit leaves to series; raise it if this lasts",
              log_int("series_bytes", (int64_t)taken_bytes),
              log_int("share_bytes", (int64_t)share_bytes),
              log_int("memory_limit_bytes", (int64_t)service->memory_bytes));
}

static bool all_series_near_limit(struct service *service, const struct admission_limits *limits,
                                  struct health_result *result)
{
    struct engine_stats engine;
    engine_stats(service->tier, &engine);
    if (limits->max_series == 0 || limits->warning_threshold <= 0 ||
        (double)engine.series_active < limits->warning_threshold * (double)limits->max_series)
        return false;
    result->status = HEALTH_DEGRADED;
    snprintf(result->message, sizeof result->message,
             "%" PRIu64 " series are active of the %" PRIu64 " that %s; at the limit new ones are "
             "refused. Raise it, or make fewer series",
             engine.series_active, limits->max_series,
             limits->max_series_by_memory ? "memory.limit has room for"
                                          : "cardinality.max_series allows");
    return true;
}

/* The metric that is furthest beyond the share of its limit from which is warned. */
struct fullest {
    struct admission *admission;
    char name[128]; /* cut there */
    uint32_t series;
    uint64_t limit;
    double degree; /* 1 and more: to be warned of */
};

static void compare_fullness(void *context, const struct engine_active_metric *metric)
{
    struct fullest *fullest = context;
    struct admission_metric_limit limit;
    admission_metric_limit(fullest->admission, metric->name, metric->has_max_series,
                           metric->max_series, &limit);
    if (limit.max_series == 0 || limit.warning_threshold <= 0)
        return;
    double degree = metric->series / (limit.warning_threshold * (double)limit.max_series);
    if (degree <= fullest->degree)
        return;
    fullest->series = metric->series;
    fullest->limit = limit.max_series;
    fullest->degree = degree;
    snprintf(fullest->name, sizeof fullest->name, "%.*s", (int)utf8_prefix(metric->name, 120),
             (const char *)metric->name.data);
}

static void check_cardinality(void *context, struct health_result *result)
{
    struct service *service = context;
    uint64_t taken_bytes, share_bytes;
    if (series_memory_is_taken(service, &taken_bytes, &share_bytes)) {
        result->status = HEALTH_DEGRADED;
        snprintf(result->message, sizeof result->message,
                 "new series are refused: those since the last flush take %.1f MiB, and "
                 "memory.limit leaves %.1f MiB to them; a flush makes room. If this lasts, raise "
                 "memory.limit, or make fewer series",
                 (double)taken_bytes / BYTES_PER_MIB, (double)share_bytes / BYTES_PER_MIB);
        return;
    }
    struct admission_limits limits;
    admission_limits_get(service->admission, &limits);
    if (all_series_near_limit(service, &limits, result))
        return;
    struct fullest fullest = {.admission = service->admission};
    engine_active_metrics(service->tier, compare_fullness, &fullest);
    if (fullest.degree < 1)
        return;
    result->status = HEALTH_DEGRADED;
    snprintf(result->message, sizeof result->message,
             "metric %s has %u of the %" PRIu64
             " series that it may have; at the limit new ones are refused",
             fullest.name, fullest.series, fullest.limit);
}

void service_report_init(struct service *service)
{
    service->checks[0] = (struct health_check){"storage", check_storage, service};
    service->checks[1] = (struct health_check){"disk", check_disk, service};
    service->checks[2] = (struct health_check){"ingest_queue", check_queue, service};
    service->checks[3] = (struct health_check){"cardinality", check_cardinality, service};
    service->metrics = (struct metrics_sources){
        .version = METRIC_STORE_VERSION,
        .started_ns = service->started_ns,
        .http = service->http_telemetry,
        .ingest = service->ingest_telemetry,
        .query = service->query_telemetry,
        .snapshot = take_snapshot,
        .context = service,
        .checks = service->checks,
        .check_count = 4,
        .fs = service->os.fs,
        .clock = service->os.clock,
        .log = &service->log,
    };
}
