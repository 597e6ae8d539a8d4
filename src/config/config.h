/*
 * config - one validated struct out of defaults, preset, file, environment and flags.
 *
 * One table (keys.c) describes every setting. It drives the YAML file, the environment, the flags,
 * what `config` prints and docs/CONFIGURATION.md, so that none of them can know a setting that
 * another does not.
 *
 *   --set section.key=value, or a setting's own flag       wins over
 *   METRIC_STORE_SECTION__KEY in the environment           wins over
 *   `section: {key: value}` in the file                    wins over
 *   the preset                                             wins over
 *   the default
 *
 * Every value remembers where it came from. A mistake in any of them stops the load with the place,
 * the setting and the nearest valid name; nothing is applied in part.
 *
 * Ownership: a loaded struct config owns its texts until config_release; it may be moved (copied
 *            and the original forgotten), never copied.
 * Threads:   read-only after config_load, so any may read.
 * Units:     sizes in bytes, durations in milliseconds.
 */
#ifndef METRIC_STORE_CONFIG_CONFIG_H
#define METRIC_STORE_CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "os/file.h"

enum config_sync {
    CONFIG_SYNC_ALWAYS,
    CONFIG_SYNC_INTERVAL,
    CONFIG_SYNC_NEVER,
};

struct config_server {
    const char *listen; /* as in os/socket_address.h */
    uint64_t threads;   /* 0: one a core */
    uint64_t max_connections;
    uint64_t max_connections_per_address;
    int64_t header_timeout_ms;
    int64_t idle_timeout_ms;
    uint64_t max_header_bytes;
    uint64_t max_url_bytes;
    uint64_t max_body_bytes;
    uint64_t max_decoded_bytes;
    int64_t drain_timeout_ms;
};

struct config_storage {
    const char *path;
    enum config_sync sync;
    int64_t sync_interval_ms;
    uint64_t head_bytes;
    uint64_t wal_segment_bytes;
    uint64_t max_chunks;
    uint64_t merge_fan_in;
};

struct config_ingest {
    uint64_t queue_bytes;
    uint64_t json_max_depth;
};

struct config_admission {
    int64_t max_age_ms;    /* 0: off */
    int64_t max_future_ms; /* 0: off */
};

/* A list of records: `items` points to `count` structs of the key's own type. */
struct config_records {
    const void *items;
    size_t count;
};

/* What an optional field of a record holds that is not set; a ratio is NaN then. */
#define CONFIG_UNSET UINT64_MAX

enum { CONFIG_OVERRIDES_MAX = 256, CONFIG_LABEL_PATTERNS_MAX = 256 };

enum config_label_action { CONFIG_LABEL_OFF, CONFIG_LABEL_WARN, CONFIG_LABEL_REJECT };

/* What an item of cardinality.label_patterns is. */
struct config_label_pattern {
    const char *match; /* as in model/name_pattern.h */
    enum config_label_action action;
};

/* What an item of cardinality.overrides is: limits, 0: none; CONFIG_UNSET: the general ones. */
struct config_override {
    const char *match; /* as in model/name_pattern.h */
    uint64_t max_series;
    uint64_t max_new_series; /* a second */
    uint64_t max_labels;
    uint64_t max_label_value_length; /* bytes */
    double warning_threshold;
};

struct config_cardinality {
    int64_t window_ms;
    uint64_t max_series_per_metric;  /* 0: no limit */
    uint64_t max_series;             /* 0: what memory.limit carries */
    uint64_t max_indexed_series;     /* likewise */
    uint64_t max_new_series;         /* a second; 0: no limit */
    uint64_t max_new_metric_series;  /* a second, of one metric; 0: no limit */
    uint64_t max_labels_per_metric;  /* 0: no limit */
    uint64_t max_label_name_length;  /* bytes; 0: no limit */
    uint64_t max_label_value_length; /* bytes; 0: no limit */
    uint64_t max_metric_name_length; /* bytes; 0: no limit */
    double warning_threshold;        /* over 0, at most 1 */
    struct config_records overrides; /* of struct config_override; the first that matches holds */
    struct config_records label_patterns; /* of struct config_label_pattern; likewise */
    enum config_label_action shape_action;
    bool mask_examples;
};

struct config_query {
    int64_t timeout_ms;
    uint64_t max_samples; /* decoded; 0: no limit */
    uint64_t max_memory_bytes;
    uint64_t threads;
    uint64_t queue;
    uint64_t default_limit;
    uint64_t max_points;
};

enum { CONFIG_RETENTION_RULES_MAX = 64 };

/* What an item of retention.rules is. */
struct config_retention_rule {
    const char *match; /* a series selector that model/matcher.h parses */
    int64_t keep_ms;   /* 0: for ever */
};

struct config_retention {
    int64_t default_ms;          /* 0: for ever */
    struct config_records rules; /* of struct config_retention_rule; the first that matches holds */
};

struct config_tiers {
    int64_t warm_after_ms;
    int64_t cold_after_ms;
};

struct config_memory {
    uint64_t limit_bytes; /* 0: half of what the process may use, see config_memory_limit */
};

struct config_log {
    enum log_level level;
    enum log_format format;
};

enum config_source {
    CONFIG_SOURCE_DEFAULT,
    CONFIG_SOURCE_PRESET,
    CONFIG_SOURCE_FILE,
    CONFIG_SOURCE_ENVIRONMENT,
    CONFIG_SOURCE_FLAG,
};

struct config_origin {
    enum config_source source;
    /* "default", "preset kubernetes", "metric-store.yml:12", "METRIC_STORE_LOG__LEVEL",
     * "--listen". Never holds a value. */
    const char *text;
};

struct config {
    struct config_server server;
    struct config_storage storage;
    struct config_ingest ingest;
    struct config_admission admission;
    struct config_cardinality cardinality;
    struct config_query query;
    struct config_retention retention;
    struct config_tiers tiers;
    struct config_memory memory;
    struct config_log log;

    /* Of this module alone. */
    struct arena arena;            /* texts and origins */
    struct config_origin *origins; /* one a key, in the table's order */
};

enum config_type {
    CONFIG_BOOL,        /* bool */
    CONFIG_INTEGER,     /* int64_t */
    CONFIG_UNSIGNED,    /* uint64_t */
    CONFIG_SIZE,        /* uint64_t, bytes */
    CONFIG_DURATION,    /* int64_t, milliseconds */
    CONFIG_RATIO,       /* double, over 0 and at most 1 */
    CONFIG_TEXT,        /* const char *, never NULL, UTF-8 */
    CONFIG_SELECTOR,    /* the same, and a series selector */
    CONFIG_PATTERN,     /* the same, and a pattern of names, see model/name_pattern.h */
    CONFIG_LIST,        /* struct config_list of texts */
    CONFIG_RECORDS,     /* struct config_records of what `fields` describes */
    CONFIG_ENUMERATION, /* an enum whose constants count from 0 in the order of `choices` */
};

struct config_list {
    const char *const *items;
    size_t count;
};

/* One row of the table. */
struct config_key {
    const char *section;
    const char *name;
    enum config_type type;
    bool reloadable;     /* taken over by config_reload; the others need a restart */
    bool secret;         /* text, masked wherever printed; `NAME_file` names a file that holds it */
    bool optional;       /* of a record's field: an unsigned number, a size or a ratio */
    size_t offset;       /* of the value in the struct */
    const char *initial; /* the default, written as in a file */
    /* Least and greatest: numbers, bytes, milliseconds; for texts and lists of them the length, for
     * records how many. Ratios and enumerations have none. */
    int64_t min;
    int64_t max;
    const char *zero;           /* what 0 means although it may be below `min`, or NULL */
    const char *const *choices; /* of an enumeration, ended by NULL */
    const char *flag;           /* a flag of its own, "--listen", or NULL */
    const char *help;           /* one sentence, with the unit */
    /* Of records: what each holds, with `offset` in the record. `section` is the setting's full
     * name; one without `initial` must be given, or may be left unset where `optional` says so,
     * but not all of these; no secrets, lists or records. */
    const struct config_key *fields;
    size_t field_count;
    size_t record_size;
};

/* One flag of the command line: "--set" with "section.key=value", or a key's own flag with its
 * value. */
struct config_flag {
    const char *flag;
    const char *value;
};

/* Everything is borrowed for the call. Empty members are sources that are not there. */
struct config_sources {
    struct filesystem *fs;    /* needed where a file is read: `file`, and secrets by NAME_file */
    const char *file;         /* path or NULL */
    char *const *environment; /* as environ: NAME=VALUE, ended by NULL; or NULL */
    const struct config_flag *flags; /* a later one wins over an earlier one */
    size_t flag_count;
    const char *preset; /* a preset's name or NULL */
};

/*
 * Loads all sources and validates. {0} as sources gives the defaults. Gives *config to the caller,
 * who ends it with config_release; on failure *config needs no release.
 *   INVALID    unknown or ill-typed setting, value out of range, contradiction between settings
 *   NOT_FOUND  the file is not there
 *   LIMIT      the file or the whole configuration is too large
 *   IO, MEMORY
 */
MUST_CHECK enum status config_load(struct config *config, const struct config_sources *sources,
                                   struct error *err);

/* Accepts a struct of zeros. */
void config_release(struct config *config);

/* As config_load of that file alone, and forgets the result. */
MUST_CHECK enum status config_check_file(struct filesystem *fs, const char *path,
                                         struct error *err);

/* Keys whose value differs from the running configuration; the arrays live as long as the new one.
 */
struct config_changes {
    const struct config_key *const *applied;
    size_t applied_count;
    const struct config_key *const *need_restart;
    size_t need_restart_count;
};

/*
 * Loads `sources` again for SIGHUP. In *fresh, a setting that needs a restart keeps the value and
 * the origin it has in `running`, so that *fresh always says what is in force. `running` is left as
 * it is; errors as config_load, and then `running` simply stays in force.
 */
MUST_CHECK enum status config_reload(const struct config *running,
                                     const struct config_sources *sources, struct config *fresh,
                                     struct config_changes *changes, struct error *err);

/* Every setting, sections together, in the order of the documentation. */
const struct config_key *config_keys(size_t *count);

/* `key` is one of config_keys. */
const struct config_origin *config_origin(const struct config *config,
                                          const struct config_key *key);

/* The memory budget in bytes: memory.limit, or half of what os/memory.h found. */
uint64_t config_memory_limit(const struct config *config, uint64_t available_bytes);

/* The effective configuration as a YAML file with the origin of each value as a comment; it loads
 * to the same values, secrets apart. */
MUST_CHECK enum status config_print_text(const struct config *config, struct bytes *out);

/* One JSON object: {"server":{"listen":{"value":"127.0.0.1:9480","origin":"default"}, ... } ... }.
 * Sizes and durations are texts as in a file; a secret is null with "secret": "set" or "empty". */
MUST_CHECK enum status config_print_json(const struct config *config, struct bytes *out);

/* docs/CONFIGURATION.md. */
MUST_CHECK enum status config_print_markdown(struct bytes *out);

#endif
