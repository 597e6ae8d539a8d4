/*
 * telemetry - what the service says about itself: metrics, health, request log.
 *
 * Two kinds of numbers. What a module counts anyway is pulled through its own stats() when somebody
 * asks, and handed over in a plain struct (struct storage_metrics, ...). What no module keeps is
 * counted here, by whoever owns the object: struct http_telemetry, ingest_telemetry and
 * query_telemetry. There are no global counters.
 *
 * Threads: recording is lock-free and may be done from any thread, also while another one writes
 *          the metrics out. Counters of one document are read one after the other, so that two of
 *          them may differ by what happened in between; one histogram is consistent in itself
 *          except for its sum. Writers, reports and structs without locks: one thread at a time.
 * Units:   durations in nanoseconds, sizes in bytes; written out in seconds and bytes.
 * docs/OPERATIONS.md explains every metric to the people who watch them.
 */
#ifndef METRIC_STORE_TELEMETRY_TELEMETRY_H
#define METRIC_STORE_TELEMETRY_TELEMETRY_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "model/batch.h"
#include "model/metric.h"
#include "os/clock.h"
#include "os/file.h"

/* ---- histograms ------------------------------------------------------------------------- */

enum { HISTOGRAM_MAX_BOUNDS = 20 };

/* Rising upper bounds, each within its bucket, in the unit that is recorded; one more bucket takes
 * what lies above. */
struct histogram_bounds {
    uint64_t scale; /* recorded units in one unit of the metric: 1e9 for nanoseconds -> seconds */
    size_t count;
    uint64_t bounds[HISTOGRAM_MAX_BOUNDS];
};

extern const struct histogram_bounds histogram_latency_bounds; /* 0.1 ms to 30 s, of ns */

struct histogram {
    const struct histogram_bounds *bounds;
    _Atomic uint64_t buckets[HISTOGRAM_MAX_BOUNDS + 1];
    _Atomic uint64_t sum;
};

/* `bounds` is borrowed for the histogram's life. */
void histogram_init(struct histogram *histogram, const struct histogram_bounds *bounds);
void histogram_record(struct histogram *histogram, uint64_t amount);

/* ---- writing metrics -------------------------------------------------------------------- */

enum metrics_format {
    METRICS_TEXT,        /* Prometheus text 0.0.4 */
    METRICS_OPENMETRICS, /* OpenMetrics 1.0.0 */
};

/* What a client prefers by its header Accept (RFC 9110, with weights); text where it says nothing
 * or nothing that we have. */
enum metrics_format metrics_format_accepted(struct slice accept);
const char *metrics_content_type(enum metrics_format format);

enum { METRICS_MAX_FAMILIES = 256 };

struct metrics_label {
    const char *name;
    const char *value; /* any bytes; what is no UTF-8 becomes U+FFFD */
};

/* For the argument `labels` below, which is NULL or ends with a name of NULL. */
#define METRICS_LABELS(...) ((const struct metrics_label[]){__VA_ARGS__, {0}})

/*
 * Writes one document. A family is begun, then come its samples. The first failure (LIMIT, MEMORY)
 * stays, whatever is called afterwards, and is told by metrics_finish.
 */
struct metrics_writer {
    struct bytes *to; /* borrowed; appended to */
    enum metrics_format format;
    enum status status;
    const char *names[METRICS_MAX_FAMILIES]; /* of the families so far: each comes once */
    size_t family_count;
    enum metric_type type; /* of the family that is open */
};

void metrics_begin(struct metrics_writer *writer, struct bytes *to, enum metrics_format format);
MUST_CHECK enum status metrics_finish(struct metrics_writer *writer);

/*
 * Begins the family `name`, which has no suffix of its type: the writer adds _total, _bucket, _sum,
 * _count and _info. Types: counter, gauge, histogram, summary, info. `unit` is NULL or the last
 * word of the name. `name` is borrowed until metrics_finish. A family that was there already, or a
 * name that breaks these rules, is a bug of ours.
 */
void metrics_family(struct metrics_writer *writer, const char *name, enum metric_type type,
                    const char *unit, const char *help);

/* One sample of a counter or gauge. */
void metrics_count(struct metrics_writer *writer, const struct metrics_label *labels,
                   uint64_t value);
void metrics_value(struct metrics_writer *writer, const struct metrics_label *labels, double value);
void metrics_info(struct metrics_writer *writer, const struct metrics_label *labels);
void metrics_histogram(struct metrics_writer *writer, const struct metrics_label *labels,
                       const struct histogram *histogram);
/* The same of what a module has counted itself: counts[i] lie up to bounds[i] and above the one
 * before, counts[bounds->count] above all. */
void metrics_buckets(struct metrics_writer *writer, const struct metrics_label *labels,
                     const struct histogram_bounds *bounds, const uint64_t *counts, uint64_t sum);
/* A summary without quantiles. */
void metrics_summary(struct metrics_writer *writer, const struct metrics_label *labels,
                     uint64_t count, double sum);

/* ---- requests --------------------------------------------------------------------------- */

struct http_telemetry; /* opaque */

struct http_telemetry_route {
    const char *method;
    const char *path;
};

enum { HTTP_TELEMETRY_MAX_ROUTES = 256 };

/* Stands for all requests that no route matched: written as route and method "other", so that
 * strangers cannot make series. */
#define HTTP_TELEMETRY_NO_ROUTE SIZE_MAX

/* Copies the routes, at most HTTP_TELEMETRY_MAX_ROUTES; their strings are borrowed. Gives
 * *telemetry, ended by http_telemetry_free; NULL on failure. Errors: LIMIT, MEMORY. */
MUST_CHECK enum status http_telemetry_new(struct http_telemetry **telemetry,
                                          const struct http_telemetry_route *routes, size_t count,
                                          struct error *err);
void http_telemetry_free(struct http_telemetry *telemetry);

/* A request that is over. All strings are borrowed for the call. */
struct request_record {
    size_t route; /* index into the routes, or HTTP_TELEMETRY_NO_ROUTE */
    const char *method;
    struct slice path;
    struct slice request_id;
    struct slice peer;
    unsigned status;
    uint64_t bytes_in;
    uint64_t bytes_out;
    int64_t duration_ns;
};

void http_telemetry_record(struct http_telemetry *telemetry, const struct request_record *record);
void metrics_write_http(struct metrics_writer *writer, const struct http_telemetry *telemetry);

/*
 * The log of requests. At level info and above only what somebody may have to look at: warn for
 * 5xx (what is answered under load, 503 and 507, included), info for those slower than slow_ns; all
 * others at debug. Of the former at most `max_per_second` lines are written; how many were left out
 * is logged when the next second's first one is.
 */
struct request_log {
    const struct log *log; /* may be NULL */
    int64_t slow_ns;
    uint32_t max_per_second; /* 0: no limit */
    struct clock *clock;
    _Atomic uint64_t window; /* the second, and the lines in it, as one number */
    _Atomic uint64_t left_out;
};

/* One second, 20 lines. `log` and `clock` are borrowed for the log's life. */
void request_log_init(struct request_log *requests, const struct log *log, struct clock *clock);
/* `route` is the route's path, NULL where none matched. */
void request_log_write(struct request_log *requests, const struct request_record *record,
                       const char *route);

/* ---- ingest ----------------------------------------------------------------------------- */

enum ingest_protocol {
    INGEST_REMOTE_WRITE,
    INGEST_JSON, /* one sample, an array, {"metrics":[...]} */
    INGEST_NDJSON,
    INGEST_TEXT, /* Prometheus text 0.0.4 */
    INGEST_OPENMETRICS,
    INGEST_CSV,
    INGEST_PROTOCOL_COUNT,
};

struct ingest_telemetry; /* opaque */

MUST_CHECK enum status ingest_telemetry_new(struct ingest_telemetry **telemetry, struct error *err);
void ingest_telemetry_free(struct ingest_telemetry *telemetry);

/* A batch that storage_append committed, or that held nothing to commit: what it still holds was
 * accepted, what it rejected was refused. */
void ingest_telemetry_batch(struct ingest_telemetry *telemetry, enum ingest_protocol protocol,
                            const struct batch *batch);
/* A request of which nothing was stored, for a reason that is none of its samples': a body that
 * cannot be read, a full queue, a full disk. `code` is a literal. */
void ingest_telemetry_refused(struct ingest_telemetry *telemetry, enum ingest_protocol protocol,
                              const char *code);
void metrics_write_ingest(struct metrics_writer *writer, const struct ingest_telemetry *telemetry);

/* ---- queries ---------------------------------------------------------------------------- */

enum read_kind { READ_QUERY, READ_EXPORT, READ_METRICS, READ_KIND_COUNT };

struct query_telemetry; /* opaque */

MUST_CHECK enum status query_telemetry_new(struct query_telemetry **telemetry, struct error *err);
void query_telemetry_free(struct query_telemetry *telemetry);

struct query_record {
    enum read_kind kind;
    const char *code;    /* NULL: answered; else why not, a literal */
    int64_t duration_ns; /* waiting included */
    uint64_t series;     /* that were looked into */
    uint64_t samples_scanned;
    uint64_t blocks_skipped;
};

void query_telemetry_record(struct query_telemetry *telemetry, const struct query_record *record);
void metrics_write_query(struct metrics_writer *writer, const struct query_telemetry *telemetry);

/* Of the threads that run queries. */
struct query_pool_metrics {
    uint64_t threads;
    uint64_t running;
    uint64_t waiting;
    uint64_t max_waiting;
};

void metrics_write_query_pool(struct metrics_writer *writer,
                              const struct query_pool_metrics *metrics);

/* ---- storage, memory, process, service -------------------------------------------------- */

/* What the embedded engine counts. */
struct storage_metrics {
    uint64_t series;          /* stored */
    uint64_t series_reserved; /* admitted, their first commit under way */
    uint64_t active_series;   /* received within cardinality.window */
    uint64_t metrics_registered;

    uint64_t samples_appended;
    uint64_t commits;
    uint64_t head_samples;
    uint64_t sealed_head_samples;

    uint64_t raw_cache_hits;
    uint64_t raw_cache_misses;
    uint64_t raw_cache_evictions;
    uint64_t parts_open;
    uint64_t parts_reopened;
    uint64_t part_index_loads;
    uint64_t part_index_evictions;

    uint64_t parts;
    uint64_t part_samples;
    uint64_t part_bytes;
    uint64_t hot_samples; /* of these */
    uint64_t hot_bytes;
    uint64_t warm_samples;
    uint64_t warm_bytes;
    uint64_t index_segments;
    uint64_t index_bytes;
    uint64_t chunks;
    uint64_t chunks_dropped;
    uint64_t rule_runs, rule_deletes, rule_series; /* of retention rules */
    int64_t retention_time_ms;                     /* 0: not known yet */
    uint64_t deletes;
    uint64_t tombstones;
    uint64_t tombstone_bytes;
    uint64_t damaged_blocks;

    uint64_t wal_bytes_written;
    uint64_t wal_segments;
    uint64_t wal_syncs;
    uint64_t wal_sync_ns_sum;
    uint64_t wal_sync_ns_max;

    uint64_t flushes;
    uint64_t flush_failures;
    uint64_t flushed_samples;
    uint64_t flushed_bytes;
    uint64_t merges;
    uint64_t merge_failures;
    uint64_t merged_bytes_read;
    uint64_t merged_bytes_written;
    uint64_t merge_pauses;
    uint64_t warm_merges;
    uint64_t warm_bytes_read;
    uint64_t warm_bytes_written;
    uint64_t index_merges;
    uint64_t index_merged_bytes_written;
    uint64_t series_ids_freed;

    uint64_t disk_size_bytes; /* 0: the system did not say; both are left out */
    uint64_t disk_free_bytes;

    int64_t recovery_duration_ms;
    uint64_t recovery_samples;
    uint64_t recovery_damaged;
    uint64_t recovery_torn_tail;
};

void metrics_write_storage(struct metrics_writer *writer, const struct storage_metrics *metrics);

/* Who holds how much memory, and may hold, in bytes. */
struct memory_owner {
    const char *name; /* static */
    uint64_t used, share;
};

enum { MEMORY_OWNERS_MAX = 16 };

struct memory_metrics {
    uint64_t limit; /* memory.limit in force */
    struct memory_owner owners[MEMORY_OWNERS_MAX];
    size_t owner_count;
};

void metrics_write_memory(struct metrics_writer *writer, const struct memory_metrics *metrics);

struct process_stats {
    double cpu_seconds;        /* user and system */
    double start_time_seconds; /* since 1970 */
    uint64_t virtual_bytes;
    uint64_t resident_bytes;
    uint64_t anonymous_bytes; /* resident and no file's: what the kernel cannot take back */
    uint64_t threads;
    uint64_t open_fds;
    uint64_t max_fds; /* 0: no limit */
};

/*
 * Reads ROOT/proc/self and ROOT/proc/stat; `root` is "" on a real machine.
 *   INVALID  the kernel's files are not as they have always been
 *   IO, NOT_FOUND, LIMIT, MEMORY
 */
MUST_CHECK enum status process_stats_read(struct filesystem *fs, const char *root,
                                          struct process_stats *stats, struct error *err);
void metrics_write_process(struct metrics_writer *writer, const struct process_stats *stats);

void metrics_write_service(struct metrics_writer *writer, const char *version, int64_t uptime_ns);

/* ---- health ----------------------------------------------------------------------------- */

enum health_status { HEALTH_OK, HEALTH_DEGRADED, HEALTH_FAILING }; /* worse is greater */

const char *health_status_name(enum health_status status);

struct health_result {
    enum health_status status;
    char message[256]; /* what is wrong and what to do; empty when all is well */
};

/* Fills *result, which comes as OK without a message. Must not wait for anything slow. */
typedef void health_run(void *context, struct health_result *result);

struct health_check {
    const char *name;
    health_run *run;
    void *context;
};

enum { HEALTH_MAX_CHECKS = 16 };

struct health_report {
    enum health_status status; /* the worst check's */
    const char *version;
    int64_t uptime_ns;
    size_t count;
    struct health_outcome {
        const char *name;
        struct health_result result;
        int64_t duration_ns;
    } checks[HEALTH_MAX_CHECKS];
};

/* Runs `checks` (at most HEALTH_MAX_CHECKS) in order. Strings are borrowed by the report. */
void health_report_make(struct health_report *report, const struct health_check *checks,
                        size_t count, const char *version, int64_t uptime_ns, struct clock *clock);
/* 200, or 503 where a check fails. */
unsigned health_report_http_status(const struct health_report *report);
/* Appends the JSON document of GET /api/v1/health. Errors: LIMIT, MEMORY. */
MUST_CHECK enum status health_report_write(const struct health_report *report, struct bytes *to);
void metrics_write_health(struct metrics_writer *writer, const struct health_report *report);

/* For checks of things that fill up: DEGRADED from `degraded_percent` of `limit` on, with a message
 * that names `what` and says `advice`. A limit of 0 is never reached. */
void health_judge_level(struct health_result *result, uint64_t used, uint64_t limit,
                        unsigned degraded_percent, const char *what, const char *advice);

#endif
