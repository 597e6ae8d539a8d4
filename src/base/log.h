/*
 * log - one line an event, as logfmt or JSON, to one file descriptor (stderr).
 *
 *   ts=2026-11-23T10:00:00.250Z level=info subsystem=engine msg="part written" part=17 bytes=4096
 *
 * Threads: any may log; a line is one write(2). A message is a fixed text; what varies goes into
 * fields. Values are escaped; nothing secret may be given. The struct log is made once in main and
 * handed down; NULL logs nothing. A line longer than 4 KiB is cut at a value and ends with the
 * field truncated=true; what is no UTF-8 becomes U+FFFD.
 */
#ifndef METRIC_STORE_BASE_LOG_H
#define METRIC_STORE_BASE_LOG_H

#include "base/slice.h"
#include "base/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log {
    int fd;
    enum log_level level;
    enum log_format format;
    int64_t (*now_ms)(void *context); /* for ts */
    void *context;
};

enum log_field_kind { LOG_FIELD_END = 0, LOG_FIELD_TEXT, LOG_FIELD_SLICE, LOG_FIELD_INT };

struct log_field {
    const char *key;
    enum log_field_kind kind;
    union {
        const char *text;
        struct slice slice;
        int64_t number;
    };
};

static inline struct log_field log_text(const char *key, const char *text)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_TEXT, .text = text};
}

static inline struct log_field log_slice(const char *key, struct slice slice)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_SLICE, .slice = slice};
}

static inline struct log_field log_int(const char *key, int64_t number)
{
    return (struct log_field){.key = key, .kind = LOG_FIELD_INT, .number = number};
}

/* `fields` ends with an element whose kind is LOG_FIELD_END. */
void log_write(const struct log *log, enum log_level level, const char *subsystem,
               const char *message, const struct log_field *fields);

/* Takes one field at least. */
#define log_event(log, level, subsystem, message, ...)                                             \
    log_write(log, level, subsystem, message, (const struct log_field[]){__VA_ARGS__, {0}})

/* The level may change while others log. */
static inline enum log_level log_level_get(const struct log *log)
{
    return __atomic_load_n(&log->level, __ATOMIC_RELAXED);
}

static inline void log_level_set(struct log *log, enum log_level level)
{
    __atomic_store_n(&log->level, level, __ATOMIC_RELAXED);
}

bool log_level_parse(const char *text, enum log_level *level);

#endif
