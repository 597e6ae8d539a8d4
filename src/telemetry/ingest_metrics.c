#include "telemetry/telemetry.h"

#include <stdlib.h>

#include "base/invariant.h"
#include "telemetry/code_table.h"
#include "telemetry/counter.h"

static const char *const protocol_names[INGEST_PROTOCOL_COUNT] = {
    [INGEST_REMOTE_WRITE] = "remote_write",
    [INGEST_JSON] = "json",
    [INGEST_NDJSON] = "ndjson",
    [INGEST_TEXT] = "text",
    [INGEST_OPENMETRICS] = "openmetrics",
    [INGEST_CSV] = "csv",
};

struct protocol_telemetry {
    _Atomic uint64_t batches;
    _Atomic uint64_t accepted;
    _Atomic uint64_t rejected;
    _Atomic uint64_t new_series;
};

struct ingest_telemetry {
    struct protocol_telemetry protocols[INGEST_PROTOCOL_COUNT];
    struct code_table refused_samples;
    struct code_table refused_requests;
};

enum status ingest_telemetry_new(struct ingest_telemetry **telemetry, struct error *err)
{
    *telemetry = calloc(1, sizeof **telemetry);
    if (*telemetry == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the counters of ingest");
    return STATUS_OK;
}

void ingest_telemetry_free(struct ingest_telemetry *telemetry)
{
    free(telemetry);
}

void ingest_telemetry_batch(struct ingest_telemetry *telemetry, enum ingest_protocol protocol,
                            const struct batch *batch)
{
    invariant((unsigned)protocol < INGEST_PROTOCOL_COUNT);
    struct protocol_telemetry *counters = &telemetry->protocols[protocol];
    counter_add(&counters->batches, 1);
    counter_add(&counters->accepted, batch->sample_count);
    counter_add(&counters->rejected, batch->rejected);
    counter_add(&counters->new_series, batch->new_series);
    uint64_t told = 0;
    for (size_t i = 0; i < batch->reason_count; i++) {
        code_table_add(&telemetry->refused_samples, batch->reasons[i].code,
                       batch->reasons[i].samples);
        told += batch->reasons[i].samples;
    }
    invariant(told <= batch->rejected);
    /* Samples that had no fault of their own, or whose code found no room in the batch. */
    if (batch->rejected > told)
        code_table_add(&telemetry->refused_samples, batch->atomic ? "atomic_batch" : "other",
                       batch->rejected - told);
}

void ingest_telemetry_refused(struct ingest_telemetry *telemetry, enum ingest_protocol protocol,
                              const char *code)
{
    invariant((unsigned)protocol < INGEST_PROTOCOL_COUNT);
    counter_add(&telemetry->protocols[protocol].batches, 1);
    code_table_add(&telemetry->refused_requests, code, 1);
}

static void write_samples(struct metrics_writer *writer, const struct ingest_telemetry *telemetry)
{
    metrics_family(writer, "metric_store_ingest_samples", METRIC_COUNTER, NULL,
                   "Samples that were accepted and are stored, by protocol.");
    for (size_t i = 0; i < INGEST_PROTOCOL_COUNT; i++)
        metrics_count(writer, METRICS_LABELS({"protocol", protocol_names[i]}),
                      counter_read(&telemetry->protocols[i].accepted));
    metrics_family(writer, "metric_store_ingest_rejected_samples", METRIC_COUNTER, NULL,
                   "Samples that were refused, by protocol.");
    for (size_t i = 0; i < INGEST_PROTOCOL_COUNT; i++)
        metrics_count(writer, METRICS_LABELS({"protocol", protocol_names[i]}),
                      counter_read(&telemetry->protocols[i].rejected));
    metrics_family(writer, "metric_store_ingest_refusals", METRIC_COUNTER, NULL,
                   "Samples that were refused, by the code that the answer names.");
    code_table_write(writer, &telemetry->refused_samples, "code");
    metrics_family(writer, "metric_store_ingest_new_series", METRIC_COUNTER, NULL,
                   "Series that were stored for the first time, by protocol.");
    for (size_t i = 0; i < INGEST_PROTOCOL_COUNT; i++)
        metrics_count(writer, METRICS_LABELS({"protocol", protocol_names[i]}),
                      counter_read(&telemetry->protocols[i].new_series));
}

static void write_requests(struct metrics_writer *writer, const struct ingest_telemetry *telemetry)
{
    metrics_family(writer, "metric_store_ingest_batches", METRIC_COUNTER, NULL,
                   "Requests that brought samples, refused ones included, by protocol.");
    for (size_t i = 0; i < INGEST_PROTOCOL_COUNT; i++)
        metrics_count(writer, METRICS_LABELS({"protocol", protocol_names[i]}),
                      counter_read(&telemetry->protocols[i].batches));
    metrics_family(writer, "metric_store_ingest_refused_batches", METRIC_COUNTER, NULL,
                   "Requests of which nothing was stored for a reason of the request, not of its "
                   "samples, by code.");
    code_table_write(writer, &telemetry->refused_requests, "code");
}

void metrics_write_ingest(struct metrics_writer *writer, const struct ingest_telemetry *telemetry)
{
    write_samples(writer, telemetry);
    write_requests(writer, telemetry);
}
