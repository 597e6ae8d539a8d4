#include "telemetry/telemetry.h"

#include <stdlib.h>

#include "base/invariant.h"
#include "telemetry/code_table.h"
#include "telemetry/counter.h"

static const char *const kind_names[READ_KIND_COUNT] = {
    [READ_QUERY] = "query",
    [READ_EXPORT] = "export",
    [READ_METRICS] = "metrics",
};

struct query_telemetry {
    struct histogram duration[READ_KIND_COUNT];
    struct code_table failed;
    _Atomic uint64_t series;
    _Atomic uint64_t samples_scanned;
    _Atomic uint64_t blocks_skipped;
};

enum status query_telemetry_new(struct query_telemetry **telemetry, struct error *err)
{
    *telemetry = calloc(1, sizeof **telemetry);
    if (*telemetry == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the counters of queries");
    for (size_t i = 0; i < READ_KIND_COUNT; i++)
        histogram_init(&(*telemetry)->duration[i], &histogram_latency_bounds);
    return STATUS_OK;
}

void query_telemetry_free(struct query_telemetry *telemetry)
{
    free(telemetry);
}

void query_telemetry_record(struct query_telemetry *telemetry, const struct query_record *record)
{
    invariant((unsigned)record->kind < READ_KIND_COUNT);
    histogram_record(&telemetry->duration[record->kind], counter_duration(record->duration_ns));
    if (record->code != NULL)
        code_table_add(&telemetry->failed, record->code, 1);
    counter_add(&telemetry->series, record->series);
    counter_add(&telemetry->samples_scanned, record->samples_scanned);
    counter_add(&telemetry->blocks_skipped, record->blocks_skipped);
}

void metrics_write_query(struct metrics_writer *writer, const struct query_telemetry *telemetry)
{
    metrics_family(writer, "metric_store_query_duration_seconds", METRIC_HISTOGRAM, "seconds",
                   "Time that queries took, waiting for a thread included; refused ones too.");
    for (size_t i = 0; i < READ_KIND_COUNT; i++)
        metrics_histogram(writer, METRICS_LABELS({"kind", kind_names[i]}), &telemetry->duration[i]);
    metrics_family(writer, "metric_store_query_failures", METRIC_COUNTER, NULL,
                   "Queries that were refused or broken off, by the code that the answer names.");
    code_table_write(writer, &telemetry->failed, "code");
    metrics_family(writer, "metric_store_query_series", METRIC_COUNTER, NULL,
                   "Series that queries looked into.");
    metrics_count(writer, NULL, counter_read(&telemetry->series));
    metrics_family(writer, "metric_store_query_samples_scanned", METRIC_COUNTER, NULL,
                   "Samples that queries decoded and looked at.");
    metrics_count(writer, NULL, counter_read(&telemetry->samples_scanned));
    metrics_family(writer, "metric_store_query_blocks_skipped", METRIC_COUNTER, NULL,
                   "Blocks that queries need not decode: outside the range or answered by their "
                   "header.");
    metrics_count(writer, NULL, counter_read(&telemetry->blocks_skipped));
}

void metrics_write_query_pool(struct metrics_writer *writer,
                              const struct query_pool_metrics *metrics)
{
    metrics_family(writer, "metric_store_query_threads", METRIC_GAUGE, NULL,
                   "Threads that run queries.");
    metrics_count(writer, NULL, metrics->threads);
    metrics_family(writer, "metric_store_query_running", METRIC_GAUGE, NULL,
                   "Queries that run now.");
    metrics_count(writer, NULL, metrics->running);
    metrics_family(writer, "metric_store_query_waiting", METRIC_GAUGE, NULL,
                   "Queries that wait for a thread.");
    metrics_count(writer, NULL, metrics->waiting);
    metrics_family(writer, "metric_store_query_waiting_limit", METRIC_GAUGE, NULL,
                   "Queries that may wait; beyond that readers get 503.");
    metrics_count(writer, NULL, metrics->max_waiting);
}
