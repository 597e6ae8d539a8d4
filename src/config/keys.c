/*
 * keys - the table of every setting. Adding a setting is a field in config.h and a row here; then
 * docs/CONFIGURATION.md is written anew (the unit test of config says how).
 */
#include <assert.h>
#include <stddef.h>

#include "base/times.h"
#include "config/settings.h"
#include "model/labels.h"
#include "model/name_pattern.h"

/* Types and members take no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */

/* The type of `member` must be `type`: a compile error otherwise, else 0. */
#define MEMBER_IS(type, member)                                                                    \
    (0 * sizeof(char[__builtin_types_compatible_p(                                                 \
                         __typeof__(((const struct config *)NULL)->member), type)                  \
                         ? 1                                                                       \
                         : -1]))

#define FIELD(c_type, section_name, key_name, member)                                              \
    .section = #section_name, .name = key_name,                                                    \
    .offset =                                                                                      \
        offsetof(struct config, section_name.member) + MEMBER_IS(c_type, section_name.member)

#define UNSIGNED(section_name, key_name, member)                                                   \
    .type = CONFIG_UNSIGNED, FIELD(uint64_t, section_name, key_name, member)
#define SIZE(section_name, key_name, member)                                                       \
    .type = CONFIG_SIZE, FIELD(uint64_t, section_name, key_name, member)
#define DURATION(section_name, key_name, member)                                                   \
    .type = CONFIG_DURATION, FIELD(int64_t, section_name, key_name, member)
#define RATIO(section_name, key_name, member)                                                      \
    .type = CONFIG_RATIO, FIELD(double, section_name, key_name, member)
#define TEXT(section_name, key_name, member)                                                       \
    .type = CONFIG_TEXT, FIELD(const char *, section_name, key_name, member)
#define RECORDS(section_name, key_name, member, record, record_fields)                             \
    .type = CONFIG_RECORDS, FIELD(struct config_records, section_name, key_name, member),          \
    .fields = record_fields, .field_count = sizeof record_fields / sizeof record_fields[0],        \
    .record_size = sizeof(record)
#define ENUMERATION(c_type, section_name, key_name, member)                                        \
    .type = CONFIG_ENUMERATION, FIELD(c_type, section_name, key_name, member)
#define BOOL(section_name, key_name, member)                                                       \
    .type = CONFIG_BOOL, FIELD(bool, section_name, key_name, member)
/* Of a list's records. */
#define RECORD_FIELD(list, record, field_name, member)                                             \
    .section = list, .name = field_name, .offset = offsetof(record, member)
#define MATCH_FIELD(list, record)                                                                  \
    RECORD_FIELD(list, record, "match", match), .type = CONFIG_PATTERN, .min = 1,                  \
                                                .max = NAME_PATTERN_MAX_SIZE
#define OVERRIDE_FIELD(field_name, member)                                                         \
    RECORD_FIELD("cardinality.overrides", struct config_override, field_name, member)
#define OVERRIDE_LIMIT(field_name, member)                                                         \
    OVERRIDE_FIELD(field_name, member), .type = CONFIG_UNSIGNED, .optional = true, .min = 1,       \
                                        .zero = "no limit"

/* NOLINTEND(bugprone-macro-parentheses) */

#define KIB   INT64_C(1024)
#define MIB   (1024 * KIB)
#define GIB   (1024 * MIB)
#define TIB   (1024 * GIB)
#define YEARS (INT64_C(365) * MS_PER_DAY)

static const char *const sync_choices[] = {"always", "interval", "never", NULL};
static const char *const level_choices[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_choices[] = {"logfmt", "json", NULL};

static_assert(CONFIG_SYNC_ALWAYS == 0 && CONFIG_SYNC_INTERVAL == 1 && CONFIG_SYNC_NEVER == 2,
              "the order of sync_choices");
static_assert(LOG_DEBUG == 0 && LOG_INFO == 1 && LOG_WARN == 2 && LOG_ERROR == 3,
              "the order of level_choices");
static_assert(LABELS_MAX_COUNT == 4096 && LABEL_VALUE_MAX_SIZE == 64 * 1024 &&
                  LABELS_MAX_SIZE == 1024 * 1024,
              "the help of the section cardinality names them");
static_assert(LOG_LOGFMT == 0 && LOG_JSON == 1, "the order of format_choices");

static const struct settings_section sections[] = {
    {"server", "The HTTP server and what one client may ask of it."},
    {"storage", "Where samples live and when they count as safe."},
    {"ingest", "The way of a sample from a request to the log."},
    {"admission", "Which times a sample may have, besides years 1678 to 2262 that always hold."},
    {"cardinality", "Limits that keep series from eating the memory. Series that exist already are "
                    "never refused. Always in force, also where these are 0: 64 KiB a value, and "
                    "4096 labels (with the name) of together 1 MiB a series."},
    {"query", "What one query may cost, and how many run."},
    {"retention", "How long samples stay."},
    {"tiers", "The age at which a day of samples moves on."},
    {"memory", "The budget that all the rest has to fit into."},
    {"log", "The service's own log on stderr."},
};

static const struct config_key override_fields[] = {
    {MATCH_FIELD("cardinality.overrides", struct config_override),
     .help = "which metrics it is about, by their names"},
    {OVERRIDE_LIMIT("max_series", max_series), .max = UINT32_MAX, .help = "their active series"},
    {OVERRIDE_LIMIT("max_new_series_per_second", max_new_series), .max = 1000000000,
     .help = "their series that become active within a second"},
    {OVERRIDE_LIMIT("max_labels", max_labels), .max = LABELS_MAX_COUNT - 1,
     .help = "labels of a series, the name not counted"},
    {OVERRIDE_LIMIT("max_label_value_length", max_label_value_length), .max = 64 * KIB,
     .help = "bytes of a label's value"},
    {OVERRIDE_FIELD("warning_threshold", warning_threshold), .type = CONFIG_RATIO, .optional = true,
     .help = "share of the limit from which answers and health warn"},
};

static const char *const label_action_choices[] = {"off", "warn", "reject", NULL};

static const struct config_key label_pattern_fields[] = {
    {MATCH_FIELD("cardinality.label_patterns", struct config_label_pattern),
     .help = "which labels it is about, by their names"},
    {RECORD_FIELD("cardinality.label_patterns", struct config_label_pattern, "action", action),
     .type = CONFIG_ENUMERATION, .choices = label_action_choices,
     .help = "what is done about those that fill up"},
};

static const struct config_key rule_fields[] = {
    {RECORD_FIELD("retention.rules", struct config_retention_rule, "match", match),
     .type = CONFIG_SELECTOR, .min = 1, .max = 4096,
     .help = "the selector of the series that it is about"},
    {RECORD_FIELD("retention.rules", struct config_retention_rule, "keep", keep_ms),
     .type = CONFIG_DURATION, .min = MS_PER_HOUR, .max = 600 * YEARS, .zero = "for ever",
     .help = "how long their samples stay, such as 30d, or 0 for ever"},
};

static const struct config_key keys[] = {
    {TEXT(server, "listen", listen), .initial = "127.0.0.1:9480", .min = 1, .max = 255,
     .flag = "--listen",
     .help =
         "Address to listen on, in numbers: `127.0.0.1:9480`, `[::1]:9480`, or `:9480` for every "
         "address of the machine; port 0 takes a free one."},
    {UNSIGNED(server, "threads", threads), .initial = "0", .min = 1, .max = 1024,
     .zero = "one a core", .help = "Threads that read and answer requests."},
    {UNSIGNED(server, "max_connections", max_connections), .initial = "1024", .min = 1,
     .max = 1000000, .help = "Connections open at once."},
    {UNSIGNED(server, "max_connections_per_address", max_connections_per_address), .initial = "128",
     .min = 1, .max = 1000000, .help = "Connections open at once from one client address."},
    {DURATION(server, "header_timeout", header_timeout_ms), .initial = "5s", .min = 10,
     .max = MS_PER_HOUR,
     .help = "Time a client has for all headers of a request together, however it drips them."},
    {DURATION(server, "idle_timeout", idle_timeout_ms), .initial = "30s", .min = 10,
     .max = MS_PER_DAY, .help = "Time after which a connection without traffic is closed."},
    {SIZE(server, "max_header_size", max_header_bytes), .initial = "16KiB", .min = KIB, .max = MIB,
     .help = "Bytes of a request's header, the first line with the URL included."},
    {SIZE(server, "max_url_size", max_url_bytes), .initial = "8KiB", .min = 256, .max = MIB,
     .help = "Bytes of a request's URL; no more than max_header_size leaves it."},
    {SIZE(server, "max_body_size", max_body_bytes), .initial = "16MiB", .min = KIB, .max = 4 * GIB,
     .help = "Bytes of a request's body as it comes over the wire, where it is compressed."},
    {SIZE(server, "max_decoded_size", max_decoded_bytes), .initial = "64MiB", .min = KIB,
     .max = 4 * GIB,
     .help = "Bytes of a request's body after decompression, or of a body that is plain."},
    {DURATION(server, "drain_timeout", drain_timeout_ms), .initial = "10s", .min = 0,
     .max = MS_PER_HOUR,
     .help = "Time that SIGTERM leaves for running requests and the final flush."},

    {TEXT(storage, "path", path), .initial = "./metric-store-data", .min = 1, .max = 4000,
     .flag = "--data",
     .help = "Directory of all data; made if it is missing, but not the directories above it: "
             "where a disk is not mounted nothing is made in its place."},
    {ENUMERATION(enum config_sync, storage, "sync", sync), .initial = "always",
     .choices = sync_choices,
     .help = "When the log is synced to disk: before every acknowledgement (`always`), every "
             "`storage.sync_interval` (`interval`: a power cut may lose acknowledged samples of "
             "that time), or when the operating system likes (`never`)."},
    {DURATION(storage, "sync_interval", sync_interval_ms), .initial = "1s", .min = 1,
     .max = MS_PER_HOUR, .help = "Time between syncs where `storage.sync` is `interval`."},
    {SIZE(storage, "head_size", head_bytes), .initial = "512MiB", .min = 64 * KIB, .max = TIB,
     .help = "Bytes of memory, or of log, that new samples may fill before they are flushed into "
             "parts."},
    {SIZE(storage, "wal_segment_size", wal_segment_bytes), .initial = "64MiB", .min = 64 * KIB,
     .max = GIB,
     .help = "Bytes after which the log goes on in a new segment file; rounded up to 4 KiB."},
    {UNSIGNED(storage, "max_chunks", max_chunks), .initial = "8192", .min = 1, .max = 1000000,
     .help = "Chunks (UTC days with samples) that may exist."},
    {UNSIGNED(storage, "merge_fan_in", merge_fan_in), .initial = "8", .min = 2, .max = 15,
     .help =
         "Parts of one day that are merged into one when there are so many. With fewer than 8 a "
         "sample of a busy day may be written more often than three times."},

    {SIZE(ingest, "queue_size", queue_bytes), .initial = "64MiB", .min = 64 * KIB, .max = TIB,
     .help = "Bytes of samples that may wait for their commit; beyond that writers get 503."},
    {UNSIGNED(ingest, "json_max_depth", json_max_depth), .initial = "32", .min = 4, .max = 1000,
     .help = "Levels of nesting in a JSON body."},

    {DURATION(admission, "max_age", max_age_ms), .reloadable = true, .initial = "0", .min = 1,
     .max = 600 * YEARS, .zero = "off", .help = "Samples older than this are refused."},
    {DURATION(admission, "max_future", max_future_ms), .reloadable = true, .initial = "0", .min = 1,
     .max = 600 * YEARS, .zero = "off",
     .help = "Samples further than this in the future are refused."},

    {DURATION(cardinality, "window", window_ms), .reloadable = true, .initial = "1d",
     .min = 60 * 1000, .max = INT64_C(30) * MS_PER_DAY,
     .help = "How long a series is active after a sample of it was received; limits count active "
             "series."},
    {UNSIGNED(cardinality, "max_series_per_metric", max_series_per_metric), .reloadable = true,
     .initial = "10000", .min = 1, .max = UINT32_MAX, .zero = "no limit",
     .help = "Active series of one metric name."},
    {UNSIGNED(cardinality, "max_series", max_series), .reloadable = true, .initial = "0", .min = 1,
     .max = UINT32_MAX, .zero = "what memory.limit carries: one for each 256 bytes",
     .help = "Active series in all."},
    {UNSIGNED(cardinality, "max_indexed_series", max_indexed_series), .reloadable = true,
     .initial = "0", .min = 1, .max = UINT32_MAX,
     .zero = "what memory.limit carries: one for each 16 bytes",
     .help = "Series that are stored, active or not."},
    {UNSIGNED(cardinality, "max_new_series_per_second", max_new_series), .reloadable = true,
     .initial = "0", .min = 1, .max = 1000000000, .zero = "no limit",
     .help = "Series that become active within a second."},
    {UNSIGNED(cardinality, "max_new_series_per_metric_per_second", max_new_metric_series),
     .reloadable = true, .initial = "0", .min = 1, .max = 1000000000, .zero = "no limit",
     .help = "The same, of one metric name."},
    {UNSIGNED(cardinality, "max_labels_per_metric", max_labels_per_metric), .reloadable = true,
     .initial = "10", .min = 1, .max = LABELS_MAX_COUNT - 1, .zero = "no limit",
     .help = "Labels of a series, the name not counted."},
    {UNSIGNED(cardinality, "max_metric_name_length", max_metric_name_length), .reloadable = true,
     .initial = "0", .min = 1, .max = 64 * KIB, .zero = "no limit",
     .help = "Bytes of a metric's name."},
    {UNSIGNED(cardinality, "max_label_name_length", max_label_name_length), .reloadable = true,
     .initial = "0", .min = 1, .max = 64 * KIB, .zero = "no limit",
     .help = "Bytes of a label's name."},
    {UNSIGNED(cardinality, "max_label_value_length", max_label_value_length), .reloadable = true,
     .initial = "100", .min = 1, .max = 64 * KIB, .zero = "no limit",
     .help = "Bytes of a label's value."},
    {RATIO(cardinality, "warning_threshold", warning_threshold), .reloadable = true,
     .initial = "0.8",
     .help = "Share of a metric's series limit from which answers and health warn."},
    {RECORDS(cardinality, "overrides", overrides, struct config_override, override_fields),
     .reloadable = true, .initial = "[]", .min = 0, .max = CONFIG_OVERRIDES_MAX,
     .help = "Other limits for some metrics, for each by itself, in place of the general ones: "
             "`max_series` of `max_series_per_metric`, `max_labels` of `max_labels_per_metric`, "
             "`max_new_series_per_second` of that per metric, the others of those that have their "
             "names. The first whose `match` fits the metric's name holds; what it leaves out "
             "stays general. A `match` that begins with a star needs quotes."},
    {RECORDS(cardinality, "label_patterns", label_patterns, struct config_label_pattern,
             label_pattern_fields),
     .reloadable = true, .initial = "[]", .min = 0, .max = CONFIG_LABEL_PATTERNS_MAX,
     .help =
         "Names of labels that tell of values without end, before those that are known "
         "(`user_id`, `session_id`, `trace_id`, `email`, `path`, `url`, ...): with `warn` the "
         "answer of the request that shows it warns, with `reject` new series of a metric in which "
         "such a label fills up are refused (`cardinality_finding`), with `off` the label is not "
         "looked at. `user_id` fits `userId` and `User-Id` too. The first that fits holds."},
    {ENUMERATION(enum config_label_action, cardinality, "shape_action", shape_action),
     .reloadable = true, .initial = "warn", .choices = label_action_choices,
     .help = "What is done about labels that fill up with values of a telling shape (UUIDs, e-mail "
             "addresses, times, ids, ...), whatever their names."},
    {BOOL(cardinality, "mask_examples", mask_examples), .reloadable = true, .initial = "false",
     .help = "Whether messages show of values only their form: digits as 9, letters as a."},

    {DURATION(query, "timeout", timeout_ms), .reloadable = true, .initial = "30s", .min = 1,
     .max = MS_PER_DAY, .help = "Time one query may take, waiting included."},
    {UNSIGNED(query, "max_samples", max_samples), .reloadable = true, .initial = "50000000",
     .min = 1, .max = INT64_MAX, .zero = "no limit",
     .help = "Samples that one query may decode, each time it does; what block headers answer "
             "is free."},
    {SIZE(query, "max_memory", max_memory_bytes), .reloadable = true, .initial = "256MiB",
     .min = MIB, .max = TIB, .help = "Bytes of memory that one query may take."},
    {UNSIGNED(query, "threads", threads), .initial = "2", .min = 1, .max = 1024,
     .help = "Queries that run at once, on threads of their own."},
    {UNSIGNED(query, "queue", queue), .initial = "64", .min = 1, .max = 1000000,
     .help = "Queries that may wait for a thread; beyond that readers get 503."},
    {UNSIGNED(query, "default_limit", default_limit), .reloadable = true, .initial = "1000",
     .min = 1, .max = UINT32_MAX, .help = "Series in an answer where the request names no limit."},
    {UNSIGNED(query, "max_points", max_points), .reloadable = true, .initial = "11000", .min = 1,
     .max = UINT32_MAX, .help = "Points or buckets of one series in an answer."},

    {DURATION(retention, "default", default_ms), .reloadable = true, .initial = "0",
     .min = MS_PER_HOUR, .max = 600 * YEARS, .zero = "for ever",
     .help =
         "Age at which samples are dropped, in whole UTC days, of series that no rule matches."},
    {RECORDS(retention, "rules", rules, struct config_retention_rule, rule_fields),
     .reloadable = true, .initial = "[]", .min = 0, .max = CONFIG_RETENTION_RULES_MAX,
     .help = "Other ages for some series, shorter or longer: the first rule that matches a series "
             "holds for it."},

    {DURATION(tiers, "warm_after", warm_after_ms), .reloadable = true, .initial = "10d",
     .min = MS_PER_HOUR, .max = 600 * YEARS,
     .help = "Age at which a day becomes warm: it is written once more, as few parts of large "
             "blocks."},
    {DURATION(tiers, "cold_after", cold_after_ms), .reloadable = true, .initial = "30d",
     .min = MS_PER_HOUR, .max = 600 * YEARS,
     .help = "Age at which a day becomes cold; later than `tiers.warm_after`."},

    {SIZE(memory, "limit", limit_bytes), .initial = "0", .min = 32 * MIB, .max = 64 * TIB,
     .zero = "half of the cgroup's limit, or of the machine's memory where that is less",
     .help = "Bytes of memory that the service plans with."},

    {ENUMERATION(enum log_level, log, "level", level), .reloadable = true, .initial = "info",
     .choices = level_choices, .flag = "--log-level", .help = "The least level that is logged."},
    {ENUMERATION(enum log_format, log, "format", format), .initial = "logfmt",
     .choices = format_choices, .help = "How a line of the log is written."},
};

static const struct settings_preset_value kubernetes[] = {
    {"cardinality", "max_labels_per_metric", "40"},
    {"cardinality", "max_label_value_length", "1024"},
};

static const struct settings_preset presets[] = {
    {"kubernetes",
     "Room for what cAdvisor and kube-state-metrics put into labels; the defaults refuse part of "
     "it.",
     kubernetes, sizeof kubernetes / sizeof kubernetes[0]},
};

static const struct settings_table table = {
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .sections = sections,
    .section_count = sizeof sections / sizeof sections[0],
    .presets = presets,
    .preset_count = sizeof presets / sizeof presets[0],
};

const struct settings_table *settings_table_of_config(void)
{
    return &table;
}

const struct config_key *config_keys(size_t *count)
{
    *count = table.key_count;
    return table.keys;
}
