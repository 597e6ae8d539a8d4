/*
 * repair_state - what the files of a repair share; private to them.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_REPAIR_STATE_H
#define METRIC_STORE_STORAGE_ENGINE_REPAIR_STATE_H

#include "storage/engine/engine.h"
#include "storage/engine/manifest.h"
#include "storage/engine/series_segment.h"
#include "storage/engine/unnamed.h"

struct repair {
    struct os os;
    const char *dir;
    engine_report *report;
    engine_progress *progress; /* may be NULL */
    void *context;
    struct engine_repair_result *result;
    struct manifest *manifest;   /* while the store is locked */
    struct manifest_state state; /* of when the pass began */
    uint64_t next_file;
    struct series_segment **indexes; /* what defines series, while parts are looked at */
    struct series_segment_cursor **cursors;
    size_t index_count;
};

enum status repair_no_path(struct error *err);

/* One sentence for whoever asked. */
void repair_tell(struct repair *repair, enum engine_finding finding, const char *path,
                 const char *format, ...) PRINTF_LIKE(4, 5);

/* For a new file; what an earlier repair left under that name goes. `path_of` as in paths.h. Gives
 * *path, which the caller frees. */
MUST_CHECK enum status repair_new_file(struct repair *repair,
                                       char *(*path_of)(const char *, uint64_t), uint64_t *id,
                                       char **path, struct error *err);

/* Gives the file a durable name in the quarantine too, as the first of NAME, NAME.1, ... that is
 * free: a second name, or, for files that are written to, a copy. A file that is missing has none.
 */
MUST_CHECK enum status repair_keep(struct repair *repair, const char *path, bool copy,
                                   struct error *err);

/* repair_readable.c: keeps a damaged log file, or the manifest, in the quarantine, and where the
 * disk does not give back all of it has one in its place that can be read, without what is lost.
 * Locks the store. CORRUPT: nothing can be saved of the manifest. */
MUST_CHECK enum status repair_log_file(struct repair *repair, const char *path, struct error *err);
MUST_CHECK enum status repair_manifest_file(struct repair *repair, const char *path,
                                            struct error *err);

/*
 * Makes the edit count and then takes the old file (NULL: there is none), which was kept in the
 * quarantine before, out of its folder ("parts" or "index"), whose new names are synced first.
 */
MUST_CHECK enum status repair_replace(struct repair *repair, struct manifest_edit *edit,
                                      const char *folder, const char *old, struct error *err);

/* CANCELLED when whoever asked wants no more. */
MUST_CHECK enum status repair_go_on(struct repair *repair, struct error *err);

/* repair_index.c: each segment that is damaged is made anew from what can be read of it. */
MUST_CHECK enum status repair_segments(struct repair *repair, struct error *err);

/*
 * What can be read of one series segment that does not open, as a segment of its own: *made. With
 * all of its series (*whole) it takes the other's place; else the other stays named, for what is
 * lost of it. CORRUPT: nothing can be read, or it was made before; nothing has changed then.
 */
MUST_CHECK enum status repair_save_segment(struct repair *repair,
                                           const struct manifest_segment *told,
                                           struct manifest_segment *made, bool *whole,
                                           struct error *err);

/* repair_part.c: each part that is damaged, or has samples of series that nothing defines, is
 * written anew without what is lost. */
MUST_CHECK enum status repair_parts(struct repair *repair, struct error *err);

/* repair_manifest.c: files that a damaged manifest does not name are taken in where they fit, and
 * go to the quarantine where they do not; then it says all of it again. */
MUST_CHECK enum status repair_manifest(struct repair *repair, const struct unnamed *unnamed,
                                       struct error *err);

#endif
