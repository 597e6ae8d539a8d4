#include "telemetry/telemetry.h"

#include "telemetry/counter.h"

enum { NS_PER_US = 1000, NS_PER_S = 1000000000 };
enum { DEFAULT_LINES_PER_SECOND = 20, LINES_BITS = 24 };

void request_log_init(struct request_log *requests, const struct log *log, struct clock *clock)
{
    *requests = (struct request_log){
        .log = log,
        .slow_ns = NS_PER_S,
        .max_per_second = DEFAULT_LINES_PER_SECOND,
        .clock = clock,
    };
}

static enum log_level level_of(const struct request_log *requests,
                               const struct request_record *record)
{
    if (record->status >= 500)
        return LOG_WARN;
    return record->duration_ns > requests->slow_ns ? LOG_INFO : LOG_DEBUG;
}

/* Takes one of this second's lines; false when none is left. */
static bool take_line(struct request_log *requests)
{
    if (requests->max_per_second == 0)
        return true;
    uint64_t second = (uint64_t)(clock_monotonic_ns(requests->clock) / NS_PER_S);
    uint64_t window = counter_read(&requests->window);
    for (;;) {
        uint64_t lines =
            window >> LINES_BITS == second ? window & ((UINT64_C(1) << LINES_BITS) - 1) : 0;
        if (lines >= requests->max_per_second)
            return false;
        if (atomic_compare_exchange_weak(&requests->window, &window,
                                         second << LINES_BITS | (lines + 1)))
            return true;
    }
}

void request_log_write(struct request_log *requests, const struct request_record *record,
                       const char *route)
{
    enum log_level level = level_of(requests, record);
    if (requests->log == NULL || level < log_level_get(requests->log))
        return;
    if (level > LOG_DEBUG) {
        if (!take_line(requests)) {
            counter_add(&requests->left_out, 1);
            return;
        }
        uint64_t left_out = atomic_exchange(&requests->left_out, 0);
        if (left_out > 0)
            log_event(requests->log, LOG_WARN, "http", "requests were not logged: too many",
                      log_int("count", (int64_t)left_out));
    }
    log_event(requests->log, level, "http", "request", log_slice("request_id", record->request_id),
              log_text("method", record->method), log_slice("path", record->path),
              log_text("route", route == NULL ? "none" : route), log_int("status", record->status),
              log_int("bytes_in", (int64_t)record->bytes_in),
              log_int("bytes_out", (int64_t)record->bytes_out),
              log_int("duration_us", record->duration_ns / NS_PER_US),
              log_slice("peer", record->peer));
}
