#include "telemetry/telemetry.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/invariant.h"
#include "base/json_text.h"
#include "telemetry/counter.h"

enum { HEALTH_STATUS_COUNT = HEALTH_FAILING + 1 };

static const char *const status_names[HEALTH_STATUS_COUNT] = {
    [HEALTH_OK] = "ok",
    [HEALTH_DEGRADED] = "degraded",
    [HEALTH_FAILING] = "failing",
};

const char *health_status_name(enum health_status status)
{
    invariant((unsigned)status < HEALTH_STATUS_COUNT);
    return status_names[status];
}

void health_report_make(struct health_report *report, const struct health_check *checks,
                        size_t count, const char *version, int64_t uptime_ns, struct clock *clock)
{
    invariant(count <= HEALTH_MAX_CHECKS);
    *report = (struct health_report){.version = version, .uptime_ns = uptime_ns, .count = count};
    for (size_t i = 0; i < count; i++) {
        struct health_outcome *outcome = &report->checks[i];
        outcome->name = checks[i].name;
        int64_t start_ns = clock_monotonic_ns(clock);
        checks[i].run(checks[i].context, &outcome->result);
        outcome->duration_ns = clock_monotonic_ns(clock) - start_ns;
        invariant((unsigned)outcome->result.status < HEALTH_STATUS_COUNT);
        if (outcome->result.status > report->status)
            report->status = outcome->result.status;
    }
}

unsigned health_report_http_status(const struct health_report *report)
{
    return report->status == HEALTH_FAILING ? 503 : 200;
}

/* ---- JSON ------------------------------------------------------------------------------- */

/* `before`, then the string. */
static enum status append_member(struct bytes *to, const char *before, const char *string)
{
    enum status status = bytes_append_text(to, before);
    return status == STATUS_OK ? json_append_string(to, slice_from_text(string)) : status;
}

static enum status append_outcome(struct bytes *to, const struct health_outcome *outcome)
{
    enum status status = json_append_string(to, slice_from_text(outcome->name));
    if (status == STATUS_OK)
        status = append_member(to, ":{\"status\":", health_status_name(outcome->result.status));
    if (status == STATUS_OK)
        status = append_member(to, ",\"message\":", outcome->result.message);
    uint64_t us = counter_duration(outcome->duration_ns) / 1000;
    if (status == STATUS_OK)
        status =
            bytes_format(to, ",\"latency_ms\":%" PRIu64 ".%03" PRIu64 "}", us / 1000, us % 1000);
    return status;
}

enum status health_report_write(const struct health_report *report, struct bytes *to)
{
    enum status status = append_member(to, "{\"status\":", health_status_name(report->status));
    if (status == STATUS_OK)
        status = append_member(to, ",\"version\":", report->version);
    if (status == STATUS_OK)
        status = bytes_format(to, ",\"uptime_s\":%" PRIu64 ",\"checks\":{",
                              counter_duration(report->uptime_ns) / UINT64_C(1000000000));
    for (size_t i = 0; i < report->count && status == STATUS_OK; i++) {
        if (i > 0)
            status = bytes_append_text(to, ",");
        if (status == STATUS_OK)
            status = append_outcome(to, &report->checks[i]);
    }
    return status == STATUS_OK ? bytes_append_text(to, "}}\n") : status;
}

/* ---- metrics ---------------------------------------------------------------------------- */

void metrics_write_health(struct metrics_writer *writer, const struct health_report *report)
{
    metrics_family(writer, "metric_store_health_check", METRIC_GAUGE, NULL,
                   "1 for the status that a check of the health answer has now, else 0.");
    for (size_t i = 0; i < report->count; i++)
        for (size_t status = 0; status < HEALTH_STATUS_COUNT; status++)
            metrics_count(
                writer,
                METRICS_LABELS({"check", report->checks[i].name}, {"status", status_names[status]}),
                (size_t)report->checks[i].result.status == status);
}

/* ---- judging ---------------------------------------------------------------------------- */

void health_judge_level(struct health_result *result, uint64_t used, uint64_t limit,
                        unsigned degraded_percent, const char *what, const char *advice)
{
    if (limit == 0 || (double)used < (double)limit * degraded_percent / 100)
        return;
    result->status = HEALTH_DEGRADED;
    snprintf(result->message, sizeof result->message,
             "%s: %" PRIu64 " of %" PRIu64 " (%.0f%%) are in use; %s", what, used, limit,
             (double)used / (double)limit * 100, advice);
}
