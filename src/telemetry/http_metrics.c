#include "telemetry/telemetry.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "telemetry/counter.h"

enum { CODE_MIN = 100, CODE_END = 600, CODE_COUNT = CODE_END - CODE_MIN };
enum { CLASS_COUNT = 6, CLASS_SUCCESS = 2 };

/* One a status class, [0] for what is none. */
static const char *const class_names[CLASS_COUNT] = {"other", "1xx", "2xx", "3xx", "4xx", "5xx"};

struct route_telemetry {
    const char *method;
    const char *path;
    _Atomic uint64_t by_status[CODE_COUNT];
    _Atomic uint64_t other_status;
    struct histogram duration[CLASS_COUNT];
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
};

struct http_telemetry {
    size_t count; /* the last one is for what no route matched */
    struct route_telemetry routes[];
};

static void route_init(struct route_telemetry *route, const char *method, const char *path)
{
    route->method = method;
    route->path = path;
    for (size_t class = 0; class < CLASS_COUNT; class ++)
        histogram_init(&route->duration[class], &histogram_latency_bounds);
}

enum status http_telemetry_new(struct http_telemetry **telemetry,
                               const struct http_telemetry_route *routes, size_t count,
                               struct error *err)
{
    *telemetry = NULL;
    if (count > HTTP_TELEMETRY_MAX_ROUTES)
        return fail(err, STATUS_LIMIT, "%zu routes are more than telemetry keeps (%d)", count,
                    HTTP_TELEMETRY_MAX_ROUTES);
    struct http_telemetry *made =
        calloc(1, sizeof *made + (count + 1) * sizeof(struct route_telemetry));
    if (made == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the counters of %zu routes", count);
    made->count = count + 1;
    for (size_t i = 0; i < count; i++)
        route_init(&made->routes[i], routes[i].method, routes[i].path);
    route_init(&made->routes[count], "other", "other");
    *telemetry = made;
    return STATUS_OK;
}

void http_telemetry_free(struct http_telemetry *telemetry)
{
    free(telemetry);
}

void http_telemetry_record(struct http_telemetry *telemetry, const struct request_record *record)
{
    size_t last = telemetry->count - 1;
    invariant(record->route == HTTP_TELEMETRY_NO_ROUTE || record->route < last);
    struct route_telemetry *route =
        &telemetry->routes[record->route == HTTP_TELEMETRY_NO_ROUTE ? last : record->route];
    bool known = record->status >= CODE_MIN && record->status < CODE_END;
    counter_add(known ? &route->by_status[record->status - CODE_MIN] : &route->other_status, 1);
    histogram_record(&route->duration[known ? record->status / 100 : 0],
                     counter_duration(record->duration_ns));
    counter_add(&route->bytes_in, record->bytes_in);
    counter_add(&route->bytes_out, record->bytes_out);
}

static void write_requests(struct metrics_writer *writer, const struct route_telemetry *route)
{
    for (unsigned i = 0; i < CODE_COUNT; i++) {
        uint64_t count = counter_read(&route->by_status[i]);
        if (count == 0)
            continue;
        char code[8];
        snprintf(code, sizeof code, "%u", (i + CODE_MIN) % 1000);
        metrics_count(
            writer,
            METRICS_LABELS({"route", route->path}, {"method", route->method}, {"code", code}),
            count);
    }
    uint64_t other = counter_read(&route->other_status);
    if (other > 0)
        metrics_count(
            writer,
            METRICS_LABELS({"route", route->path}, {"method", route->method}, {"code", "other"}),
            other);
}

static bool has_any(const struct histogram *histogram)
{
    for (size_t i = 0; i <= histogram->bounds->count; i++)
        if (counter_read(&histogram->buckets[i]) > 0)
            return true;
    return false;
}

/* Success is there from the start, so that a rate over a restart sees its first requests; the other
 * classes come with the first one. */
static void write_durations(struct metrics_writer *writer, const struct route_telemetry *route)
{
    for (size_t class = 0; class < CLASS_COUNT; class ++)
        if (class == CLASS_SUCCESS || has_any(&route->duration[class]))
            metrics_histogram(writer,
                              METRICS_LABELS({"route", route->path}, {"method", route->method},
                                             {"class", class_names[class]}),
                              &route->duration[class]);
}

void metrics_write_http(struct metrics_writer *writer, const struct http_telemetry *telemetry)
{
    metrics_family(writer, "metric_store_http_requests", METRIC_COUNTER, NULL,
                   "Requests that ended, by route and status code; 499: the client left first.");
    for (size_t i = 0; i < telemetry->count; i++)
        write_requests(writer, &telemetry->routes[i]);
    metrics_family(
        writer, "metric_store_http_request_duration_seconds", METRIC_HISTOGRAM, "seconds",
        "Time from the complete header to the last byte of the answer, by status class.");
    for (size_t i = 0; i < telemetry->count; i++)
        write_durations(writer, &telemetry->routes[i]);
    metrics_family(writer, "metric_store_http_request_body_bytes", METRIC_COUNTER, "bytes",
                   "Bytes of request bodies as they came, before decompression.");
    for (size_t i = 0; i < telemetry->count; i++)
        metrics_count(writer,
                      METRICS_LABELS({"route", telemetry->routes[i].path},
                                     {"method", telemetry->routes[i].method}),
                      counter_read(&telemetry->routes[i].bytes_in));
    metrics_family(writer, "metric_store_http_response_body_bytes", METRIC_COUNTER, "bytes",
                   "Bytes of answers as they left, after compression.");
    for (size_t i = 0; i < telemetry->count; i++)
        metrics_count(writer,
                      METRICS_LABELS({"route", telemetry->routes[i].path},
                                     {"method", telemetry->routes[i].method}),
                      counter_read(&telemetry->routes[i].bytes_out));
}
