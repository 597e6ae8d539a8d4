#include "telemetry/telemetry.h"

static void gauge(struct metrics_writer *writer, const char *name, const char *unit, uint64_t value,
                  const char *help)
{
    metrics_family(writer, name, METRIC_GAUGE, unit, help);
    metrics_count(writer, NULL, value);
}

static void counter(struct metrics_writer *writer, const char *name, const char *unit,
                    uint64_t value, const char *help)
{
    metrics_family(writer, name, METRIC_COUNTER, unit, help);
    metrics_count(writer, NULL, value);
}

static void gauge_seconds(struct metrics_writer *writer, const char *name, double value,
                          const char *help)
{
    metrics_family(writer, name, METRIC_GAUGE, "seconds", help);
    metrics_value(writer, NULL, value);
}

static void write_series(struct metrics_writer *writer, const struct storage_metrics *metrics)
{
    gauge(writer, "metric_store_series", NULL, metrics->series, "Series that are stored.");
    gauge(writer, "metric_store_active_series", NULL, metrics->active_series,
          "Series of which a sample was received within cardinality.window.");
    gauge(writer, "metric_store_series_reserved", NULL, metrics->series_reserved,
          "Series that were admitted and whose first commit is under way.");
    gauge(writer, "metric_store_registered_metrics", NULL, metrics->metrics_registered,
          "Metrics with a descriptor: type, unit, help or limit.");
    metrics_family(writer, "metric_store_raw_cache_lookups", METRIC_COUNTER, NULL,
                   "Label sets that were looked up by their bytes as received.");
    metrics_count(writer, METRICS_LABELS({"result", "hit"}), metrics->raw_cache_hits);
    metrics_count(writer, METRICS_LABELS({"result", "miss"}), metrics->raw_cache_misses);
    counter(writer, "metric_store_raw_cache_evictions", NULL, metrics->raw_cache_evictions,
            "Label sets that were put out of that cache for others.");
}

static void write_head(struct metrics_writer *writer, const struct storage_metrics *metrics)
{
    counter(writer, "metric_store_storage_samples_appended", NULL, metrics->samples_appended,
            "Samples that were committed since the start.");
    counter(writer, "metric_store_storage_commits", NULL, metrics->commits,
            "Commits since the start.");
    metrics_family(writer, "metric_store_head_samples", METRIC_GAUGE, NULL,
                   "Samples in memory: in the head, and in the sealed one that is being flushed.");
    metrics_count(writer, METRICS_LABELS({"head", "active"}), metrics->head_samples);
    metrics_count(writer, METRICS_LABELS({"head", "sealed"}), metrics->sealed_head_samples);
}

static void write_wal(struct metrics_writer *writer, const struct storage_metrics *metrics)
{
    counter(writer, "metric_store_wal_written_bytes", "bytes", metrics->wal_bytes_written,
            "Bytes that were written to the log.");
    gauge(writer, "metric_store_wal_segments", NULL, metrics->wal_segments,
          "Segment files of the log.");
    metrics_family(writer, "metric_store_wal_sync_duration_seconds", METRIC_SUMMARY, "seconds",
                   "Time that syncs of the log took.");
    metrics_summary(writer, NULL, metrics->wal_syncs, (double)metrics->wal_sync_ns_sum / 1e9);
    gauge_seconds(writer, "metric_store_wal_sync_longest_seconds",
                  (double)metrics->wal_sync_ns_max / 1e9,
                  "The longest sync of the log since the start.");
}

static void write_parts(struct metrics_writer *writer, const struct storage_metrics *metrics)
{
    gauge(writer, "metric_store_chunks", NULL, metrics->chunks, "UTC days with samples in parts.");
    gauge(writer, "metric_store_parts", NULL, metrics->parts, "Part files.");
    gauge(writer, "metric_store_part_samples", NULL, metrics->part_samples, "Samples in parts.");
    gauge(writer, "metric_store_part_bytes", "bytes", metrics->part_bytes, "Bytes of part files.");
    gauge(writer, "metric_store_parts_open", NULL, metrics->parts_open,
          "Part files that are open.");
    counter(writer, "metric_store_parts_reopened", NULL, metrics->parts_reopened,
            "Part files that were opened again, after the limit of open files had them closed.");
    counter(writer, "metric_store_part_index_loads", NULL, metrics->part_index_loads,
            "Indexes of parts that were read into memory.");
    counter(writer, "metric_store_part_index_evictions", NULL, metrics->part_index_evictions,
            "Indexes of parts that were put out of memory for others.");
    metrics_family(writer, "metric_store_tier_samples", METRIC_GAUGE, NULL,
                   "Samples in parts, by tier.");
    metrics_count(writer, METRICS_LABELS({"tier", "hot"}), metrics->hot_samples);
    metrics_count(writer, METRICS_LABELS({"tier", "warm"}), metrics->warm_samples);
    metrics_family(writer, "metric_store_tier_bytes", METRIC_GAUGE, "bytes",
                   "Bytes of part files, by tier.");
    metrics_count(writer, METRICS_LABELS({"tier", "hot"}), metrics->hot_bytes);
    metrics_count(writer, METRICS_LABELS({"tier", "warm"}), metrics->warm_bytes);
    gauge(writer, "metric_store_index_segments", NULL, metrics->index_segments,
          "Segment files of the series index.");
    gauge(writer, "metric_store_index_bytes", "bytes", metrics->index_bytes,
          "Bytes of those files.");
    counter(writer, "metric_store_chunks_dropped", NULL, metrics->chunks_dropped,
            "Days that retention has dropped.");
    counter(writer, "metric_store_retention_rule_runs", NULL, metrics->rule_runs,
            "Times that retention rules were matched with the series index.");
    counter(writer, "metric_store_retention_rule_deletes", NULL, metrics->rule_deletes,
            "Deletes that retention rules made since the start.");
    counter(writer, "metric_store_retention_rule_series", NULL, metrics->rule_series,
            "Series whose samples of some days went by retention rules, counted anew each time.");
    if (metrics->retention_time_ms != 0)
        gauge_seconds(writer, "metric_store_retention_time_seconds",
                      (double)metrics->retention_time_ms / 1e3,
                      "The time that retention goes by, in seconds since 1970: behind the clock's "
                      "while a leap of the clock is not believed yet.");
    counter(writer, "metric_store_deletes", NULL, metrics->deletes,
            "Deletes that were committed since the start.");
    gauge(writer, "metric_store_tombstones", NULL, metrics->tombstones,
          "Deletes whose samples merges have not removed yet.");
    gauge(writer, "metric_store_tombstone_bytes", "bytes", metrics->tombstone_bytes,
          "Memory that they take.");
    counter(writer, "metric_store_damaged_blocks", NULL, metrics->damaged_blocks,
            "Blocks whose checksum was wrong when they were read.");
}

static void write_background(struct metrics_writer *writer, const struct storage_metrics *metrics)
{
    counter(writer, "metric_store_flushes", NULL, metrics->flushes,
            "Heads that were flushed into parts.");
    counter(writer, "metric_store_flush_failures", NULL, metrics->flush_failures,
            "Flushes that failed; each is tried again.");
    counter(writer, "metric_store_flushed_samples", NULL, metrics->flushed_samples,
            "Samples that flushes wrote.");
    counter(writer, "metric_store_flushed_bytes", "bytes", metrics->flushed_bytes,
            "Bytes that flushes wrote.");
    counter(writer, "metric_store_merges", NULL, metrics->merges, "Merges of parts.");
    counter(writer, "metric_store_merge_failures", NULL, metrics->merge_failures,
            "Merges that failed; each is tried again.");
    counter(writer, "metric_store_merge_read_bytes", "bytes", metrics->merged_bytes_read,
            "Bytes that merges read.");
    counter(writer, "metric_store_merge_written_bytes", "bytes", metrics->merged_bytes_written,
            "Bytes that merges wrote.");
    counter(writer, "metric_store_merge_pauses", NULL, metrics->merge_pauses,
            "Pauses that merges made for requests.");
    counter(writer, "metric_store_warm_merges", NULL, metrics->warm_merges,
            "Merges of parts of old days into warm ones.");
    counter(writer, "metric_store_warm_read_bytes", "bytes", metrics->warm_bytes_read,
            "Bytes that they read.");
    counter(writer, "metric_store_warm_written_bytes", "bytes", metrics->warm_bytes_written,
            "Bytes that they wrote.");
    counter(writer, "metric_store_index_merges", NULL, metrics->index_merges,
            "Merges of index segments.");
    counter(writer, "metric_store_index_merge_written_bytes", "bytes",
            metrics->index_merged_bytes_written, "Bytes that they wrote.");
    counter(writer, "metric_store_series_ids_freed", NULL, metrics->series_ids_freed,
            "Ids of series without samples that may be given again.");
    if (metrics->flushed_bytes == 0)
        return;
    double written = (double)(metrics->flushed_bytes + metrics->merged_bytes_written);
    metrics_family(writer, "metric_store_write_amplification_ratio", METRIC_GAUGE, "ratio",
                   "How often a byte of a part was written since the start, the log and the warm "
                   "step apart.");
    metrics_value(writer, NULL, written / (double)metrics->flushed_bytes);
}

static void write_disk(struct metrics_writer *writer, const struct storage_metrics *metrics)
{
    if (metrics->disk_size_bytes == 0)
        return;
    gauge(writer, "metric_store_disk_size_bytes", "bytes", metrics->disk_size_bytes,
          "Size of the file system that holds storage.path.");
    gauge(writer, "metric_store_disk_free_bytes", "bytes", metrics->disk_free_bytes,
          "Bytes of it that this process may still use.");
}

static void write_recovery(struct metrics_writer *writer, const struct storage_metrics *metrics)
{
    gauge_seconds(writer, "metric_store_recovery_duration_seconds",
                  (double)metrics->recovery_duration_ms / 1e3,
                  "Time that the last start took to recover the store.");
    gauge(writer, "metric_store_recovery_samples", NULL, metrics->recovery_samples,
          "Samples that it read back from the log.");
    gauge(writer, "metric_store_recovery_damaged_places", NULL, metrics->recovery_damaged,
          "Damaged places that it found; each was logged.");
    gauge(writer, "metric_store_recovery_torn_tail", NULL, metrics->recovery_torn_tail,
          "1 where the log ended in a write that was never acknowledged and was dropped.");
}

void metrics_write_storage(struct metrics_writer *writer, const struct storage_metrics *metrics)
{
    write_series(writer, metrics);
    write_head(writer, metrics);
    write_wal(writer, metrics);
    write_parts(writer, metrics);
    write_background(writer, metrics);
    write_disk(writer, metrics);
    write_recovery(writer, metrics);
}
