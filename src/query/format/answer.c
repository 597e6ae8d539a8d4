#include "query/format/format.h"
#include "query/format/json.h"

static const double NS_PER_MS = 1e6;

static void write_labels(struct json *json, const struct labels *labels)
{
    const char *separator = "";
    json_text(json, "{");
    for (size_t i = 0; i < labels->count; i++) {
        if (slice_equal_text(labels->items[i].name, METRIC_NAME_LABEL))
            continue;
        json_text(json, separator);
        json_string(json, labels->items[i].name);
        json_text(json, ":");
        json_string(json, labels->items[i].value);
        separator = ",";
    }
    json_text(json, "}");
}

static enum status write_points(struct json *json, struct execution *execution, struct error *err)
{
    struct result_points points;
    const char *separator = "[";
    enum status status;
    while ((status = execution_next_points(execution, &points, err)) == STATUS_OK) {
        for (size_t i = 0; i < points.count; i++) {
            json_text(json, separator);
            json_integer(json, points.times[i]);
            json_text(json, ",");
            if (points.missing != NULL && points.missing[i])
                json_text(json, "null");
            else
                json_value(json, points.values[i]);
            separator = "],[";
        }
        status = json_status(json);
        if (status != STATUS_OK)
            return status;
    }
    json_text(json, "]");
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status write_series(struct json *json, struct execution *execution, struct error *err)
{
    struct result_series series;
    const char *begin = "{\"status\":\"success\",\"series\":[\n";
    enum status status;
    while ((status = execution_next_series(execution, &series, err)) == STATUS_OK) {
        json_text(json, begin);
        begin = ",\n";
        json_text(json, "{\"metric\":");
        json_string(json, series.metric);
        json_text(json, ",\"labels\":");
        write_labels(json, &series.labels);
        json_text(json, ",\"points\":[");
        status = write_points(json, execution, err);
        if (status != STATUS_OK)
            return status;
        json_text(json, "]}");
    }
    if (status != STATUS_END)
        return status;
    if (begin[0] == '{')
        json_text(json, begin);
    return json_status(json);
}

static void write_partial(struct json *json, bool partial)
{
    json_text(json,
              partial ? "\"partial\":true,\"warnings\":[" : "\"partial\":false,\"warnings\":[");
    if (partial)
        json_string(json, slice_from_text("the answer is partial: damaged blocks were left "
                                          "out; metric-store verify lists them"));
    json_text(json, "]");
}

static void write_tiers(struct json *json, const bool *tiers)
{
    bool more = false;
    for (int i = 0; i < CHUNK_TIERS; i++) {
        if (!tiers[i])
            continue;
        if (more)
            json_text(json, ",");
        json_string(json, slice_from_text(chunk_tier_name((enum chunk_tier)i)));
        more = true;
    }
}

enum status answer_write(struct execution *execution, struct query_sink *sink, struct arena *arena,
                         struct error *err)
{
    struct json *json = NULL;
    enum status status = json_new(&json, sink, arena, err);
    if (status == STATUS_OK)
        status = write_series(json, execution, err);
    if (status != STATUS_OK)
        return status;
    struct execution_stats stats;
    execution_stats(execution, &stats);
    json_text(json, "],\n\"stats\":{\"series\":");
    json_integer(json, (int64_t)stats.series);
    json_text(json, ",\"samples_scanned\":");
    json_integer(json, (int64_t)stats.samples_scanned);
    json_text(json, ",\"blocks_skipped\":");
    json_integer(json, (int64_t)stats.blocks_skipped);
    json_text(json, ",\"tiers\":[");
    write_tiers(json, stats.tiers);
    json_text(json, "],\"duration_ms\":");
    json_value(json, (double)stats.duration_ns / NS_PER_MS);
    json_text(json, "},\n");
    write_partial(json, stats.partial);
    json_text(json, ",\"next\":");
    struct slice next = execution_next_page(execution);
    if (next.size > 0)
        json_string(json, next);
    else
        json_text(json, "null");
    json_text(json, "}\n");
    return json_end(json);
}

static void write_metric(struct json *json, const struct metric_info *info)
{
    const struct metric *metric = &info->metric;
    json_text(json, "{\"name\":");
    json_string(json, metric->name);
    json_text(json, ",\"type\":");
    json_string(json, slice_from_text(metric_type_name(metric->type)));
    json_text(json, ",\"unit\":");
    json_string(json, metric->unit);
    json_text(json, ",\"help\":");
    json_string(json, metric->help);
    json_text(json, ",\"series\":");
    json_integer(json, (int64_t)info->series);
    json_text(json, ",\"limit\":");
    if (metric->has_max_series)
        json_integer(json, metric->max_series);
    else
        json_text(json, "null");
    json_text(json, ",\"first\":");
    if (info->has_samples) {
        json_integer(json, info->first_ms);
        json_text(json, ",\"last\":");
        json_integer(json, info->last_ms);
    } else {
        json_text(json, "null,\"last\":null");
    }
    json_text(json, "}");
}

enum status answer_write_metrics(const struct listing *listing, struct query_sink *sink,
                                 struct arena *arena, struct error *err)
{
    struct json *json = NULL;
    enum status status = json_new(&json, sink, arena, err);
    if (status != STATUS_OK)
        return status;
    json_text(json, "{\"status\":\"success\",\"metrics\":[\n");
    for (size_t i = 0; i < listing->count && json_status(json) == STATUS_OK; i++) {
        if (i > 0)
            json_text(json, ",\n");
        write_metric(json, &listing->items[i]);
    }
    json_text(json, "],\n");
    write_partial(json, listing->partial);
    json_text(json, ",\"next\":");
    if (listing->more)
        json_string(json, listing->items[listing->count - 1].metric.name);
    else
        json_text(json, "null");
    json_text(json, "}\n");
    return json_end(json);
}
