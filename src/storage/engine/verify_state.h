/*
 * verify_state - what the files of a verification share; private to them.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_VERIFY_STATE_H
#define METRIC_STORE_STORAGE_ENGINE_VERIFY_STATE_H

#include "storage/engine/engine.h"
#include "storage/engine/manifest.h"
#include "storage/engine/reading_around.h"
#include "storage/engine/record.h"
#include "storage/engine/series_segment.h"

struct verifier {
    struct os os;
    const char *dir;
    engine_report *report;
    engine_progress *progress;
    void *context;
    struct engine_verify_result *result;
    struct manifest_state state;
    struct series_space space;
    struct series_table series;      /* of the log and of index segments */
    struct series_segment **indexes; /* those that open */
    size_t index_count;
    uint64_t done, total;         /* bytes */
    struct reading_around around; /* of manifest and log, which nobody else reads so */

    const char *path; /* of the file that is read; owned by whoever reads it */
    uint64_t entries; /* of the index segment that is read */
    enum segment_kind kind;
    uint64_t log_files;
    uint64_t undefined; /* series of one file that nothing defines */
    uint64_t unflushed; /* samples that only the log holds */
    bool incomplete; /* what the manifest says: files that it does not name may count (unnamed.h) */
    uint32_t *ids;   /* room for RECORD_MAX_SAMPLES, as the other two */
    int64_t *times;
    double *values;
};

/* ---- findings: each is reported and counted ---- */

/* `text` is a reader's, who may name the file itself. */
void verify_damage_at(struct verifier *verifier, const char *path, const char *text);
/* Of verifier->path, as the next one. */
void verify_damage(struct verifier *verifier, const char *format, ...) PRINTF_LIKE(2, 3);
/* For readers that report through a callback; `context` is the verifier. */
void verify_note(void *context, const char *description);
/* The readers name the file themselves; here it stands beside the sentence. Borrowed from `text`.
 */
const char *verify_without_path(const char *text, const char *path);

/* ---- files ---- */

/* With a file system that reads around what the disk does not give back, and reports it. */
struct os verify_os_around(struct verifier *verifier);
enum status verify_no_path(struct error *err);
/* One more file of so many bytes is read. CANCELLED when the caller wants to stop. */
MUST_CHECK enum status verify_advance(struct verifier *verifier, uint64_t bytes, struct error *err);
/* 0 where there is none, or something else than a file. */
MUST_CHECK enum status verify_file_size(struct verifier *verifier, const char *path, uint64_t *size,
                                        struct error *err);

/* ---- what records say ---- */

/* For record_get_metrics; `context` is the verifier. */
enum status verify_metric(void *context, const struct metric *metric, struct error *err);
MUST_CHECK enum status verify_delete(struct verifier *verifier, struct slice record,
                                     struct error *err);
/* By the log or an index segment. */
bool verify_is_defined(const struct verifier *verifier, uint32_t series);

/* ---- verify_log.c ---- */

/* *size: of all files of the log. */
MUST_CHECK enum status verify_log_size(struct verifier *verifier, uint64_t *size,
                                       struct error *err);
/* After the index, which the definitions in the log are held against. */
MUST_CHECK enum status verify_log(struct verifier *verifier, struct error *err);

#endif
