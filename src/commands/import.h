/*
 * import - what the files of the command `import` share; private to them.
 *
 *   import.c          the command: files one after the other, and the summary
 *   import_format.c   a file's format, and its content in pieces of bounded size
 *   import_resume.c   how far each file was imported, kept for a later run
 *   import_witness.c  whether the target still has a sample
 *   import_store.c    pieces into a stopped store
 *   import_server.c   pieces into a running server
 */
#ifndef METRIC_STORE_COMMANDS_IMPORT_H
#define METRIC_STORE_COMMANDS_IMPORT_H

#include "base/times.h"
#include "commands/import_resume.h"
#include "commands/input.h"
#include "commands/options.h"
#include "commands/progress.h"
#include "protocols/protocols.h"

enum {
    IMPORT_CHUNK_SIZE = 4 << 20,   /* of lines, before they are handed on */
    IMPORT_ARENA_SIZE = 512 << 20, /* for one piece: tiny lines take far more than their bytes */
    IMPORT_MAX_REASONS = 32,
    IMPORT_MAX_WARNINGS = 20,
    IMPORT_MAX_FAILURES = 20,
    IMPORT_CODE_SIZE = 48,
};

enum import_format {
    IMPORT_AUTO,
    IMPORT_NDJSON,
    IMPORT_JSON,
    IMPORT_TEXT,
    IMPORT_OPENMETRICS,
    IMPORT_RECORDING,
    IMPORT_CSV,
};

/* Samples refused for one reason, with the first of them. */
struct import_reason {
    char code[IMPORT_CODE_SIZE];
    uint64_t samples;
    const char *file;
    uint64_t line; /* 0: not known */
    char message[ERROR_MESSAGE_SIZE];
};

struct import_summary {
    uint64_t accepted;
    uint64_t rejected;
    uint64_t new_series;
    struct import_reason reasons[IMPORT_MAX_REASONS];
    size_t reason_count;
    char warnings[IMPORT_MAX_WARNINGS][ERROR_MESSAGE_SIZE];
    size_t warning_count;
    /* Why not everything was read. */
    char failures[IMPORT_MAX_FAILURES][ERROR_MESSAGE_SIZE];
    size_t failure_count;
};

struct import_target;

struct import {
    const struct options *options;
    struct os os;
    struct config config;
    struct log log;
    struct interrupt interrupt;
    struct progress progress;
    struct import_summary summary;
    struct import_target *target;
    char target_name[2 * PATH_MAX]; /* where samples go, as state files know it */
    struct import_resume resume;
    enum import_format format; /* as asked for */
    enum time_precision precision;
    const char *job;
    const char *columns; /* of CSV, as --columns gave them; or NULL */
    enum csv_header csv_header;
    int64_t retry_ms;
    const char *file;      /* the one that is read */
    struct input *input;   /* of it */
    uint64_t before_bytes; /* of the files before it */
    uint64_t total_bytes;  /* 0: not known */
};

/*
 * Where samples go. Each call hands over one piece and returns when it is safe; refusals are
 * counted in the summary. `first_line` is the number of the piece's first line in the file. INVALID
 * the piece as a whole was refused CANCELLED    the command was asked to end others       nothing
 * more can be handed over
 */
struct import_target_ops {
    enum status (*lines)(struct import_target *target, struct slice ndjson, uint64_t first_line,
                         struct error *err);
    enum status (*json)(struct import_target *target, struct slice body, struct error *err);
    enum status (*openmetrics)(struct import_target *target, struct slice body, uint64_t first_line,
                               struct error *err);
    /* A batch that was parsed here; its arena is that of the batch. */
    enum status (*batch)(struct import_target *target, struct batch *batch, struct error *err);
    /* Whether a sample is there. */
    enum status (*holds)(struct import_target *target, const struct labels *labels, int64_t time_ms,
                         bool *holds, struct error *err);
    /* Largest `json` and `openmetrics` body, in bytes. */
    size_t (*document_max)(const struct import_target *target);
    enum status (*close)(struct import_target *target, struct error *err);
};

struct import_target {
    const struct import_target_ops *ops;
    struct import *import;
};

MUST_CHECK enum status import_store_open(struct import *import, struct import_target **target,
                                         struct error *err);
MUST_CHECK enum status import_server_open(struct import *import, const char *url,
                                          struct import_target **target, struct error *err);

/* Reads import->input to its end. */
MUST_CHECK enum status import_content(struct import *import, struct error *err);

/* "ndjson", ...; false for another name. */
bool import_format_parse(const char *name, enum import_format *format);

/* ---- a sample in the target --------------------------------------------------------------- */

/* The parameters of an export that gives little more than one sample. */
enum { IMPORT_WITNESS_PARAMETERS = 4 };
struct import_witness {
    struct bytes selector;
    char start[INSTANT_TEXT_SIZE], end[INSTANT_TEXT_SIZE];
    const char *names[IMPORT_WITNESS_PARAMETERS];
    const char *values[IMPORT_WITNESS_PARAMETERS];
};
/* Ended by import_witness_release also on failure. */
MUST_CHECK enum status import_witness_init(struct import_witness *witness,
                                           const struct labels *labels, int64_t time_ms,
                                           struct error *err);
void import_witness_release(struct import_witness *witness);

/* ---- the summary ------------------------------------------------------------------------ */

/* `line_base` is added to the lines of the batch's refusals. */
void import_count_batch(struct import *import, const struct batch *batch, uint64_t line_base);
/* `message` is borrowed; the first one of a code is kept. */
void import_refuse(struct import *import, uint64_t samples, struct slice code, uint64_t line,
                   struct slice message);
void import_warn(struct import *import, struct slice text);

/* ---- trying again ----------------------------------------------------------------------- */

struct import_retry {
    int64_t deadline_ns;
    int64_t delay_ms;
};

void import_retry_begin(const struct import *import, struct import_retry *retry);
/* Waits: `asked_ms` if that is more than 0, else longer each time, with jitter. TIMEOUT when the
 * time for it is over, CANCELLED. */
MUST_CHECK enum status import_retry_wait(struct import *import, struct import_retry *retry,
                                         int64_t asked_ms, struct error *err);

#endif
