#include "telemetry/telemetry.h"

void metrics_write_service(struct metrics_writer *writer, const char *version, int64_t uptime_ns)
{
    metrics_family(writer, "metric_store_build", METRIC_INFO, NULL, "The program that runs.");
    metrics_info(writer, METRICS_LABELS({"version", version}));
    metrics_family(writer, "metric_store_uptime_seconds", METRIC_GAUGE, "seconds",
                   "Time since the start.");
    metrics_value(writer, NULL, (double)uptime_ns / 1e9);
}

void metrics_write_memory(struct metrics_writer *writer, const struct memory_metrics *metrics)
{
    metrics_family(writer, "metric_store_memory_bytes", METRIC_GAUGE, "bytes",
                   "Memory that is accounted for, by owner.");
    for (size_t i = 0; i < metrics->owner_count; i++)
        metrics_count(writer, METRICS_LABELS({"owner", metrics->owners[i].name}),
                      metrics->owners[i].used);
    metrics_family(writer, "metric_store_memory_share_bytes", METRIC_GAUGE, "bytes",
                   "What memory.limit and the settings leave to each owner.");
    for (size_t i = 0; i < metrics->owner_count; i++)
        metrics_count(writer, METRICS_LABELS({"owner", metrics->owners[i].name}),
                      metrics->owners[i].share);
    metrics_family(writer, "metric_store_memory_limit_bytes", METRIC_GAUGE, "bytes",
                   "Memory that the service plans with: memory.limit in force.");
    metrics_count(writer, NULL, metrics->limit);
}
