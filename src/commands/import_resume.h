/*
 * import_resume - how far each file was imported, so that the next run goes on there.
 *
 * One small file for each pair of target and imported file in a directory of the user's (--state):
 * what was acknowledged, up to where reading may begin again. It is trusted only where
 *   - its checksum holds, and it is of the same path, size, time of change and first bytes, of the
 *     same target and the same reading options;
 *   - the target still has one of the samples that were acknowledged (the witness): a store that
 *     was made anew, or restored from before, gets the whole file again.
 * Whatever is wrong with it, the file is imported from its beginning, and stderr says so. A run
 * that came through all its files removes what it remembered of them.
 *
 * Threads: one.
 */
#ifndef METRIC_STORE_COMMANDS_IMPORT_RESUME_H
#define METRIC_STORE_COMMANDS_IMPORT_RESUME_H

#include <limits.h>

#include "base/hash.h"
#include "protocols/protocols.h"

struct import;

struct import_resume {
    bool enabled;    /* there is a directory */
    bool complained; /* that it cannot be written to */
    char directory[PATH_MAX];
    uint64_t skipped_files;

    /* Of the file being read: */
    bool tracked; /* it is a regular file, and can be gone on in */
    bool saved;   /* something stands on disk */
    char path[PATH_MAX];
    struct hash128 key;
    uint64_t size;
    int64_t changed_ns;
    uint64_t head_hash;
    int64_t now_ms;                 /* the time of samples that have none, the same in every run */
    uint64_t refused;               /* samples, of what was acknowledged in all runs */
    uint64_t counted;               /* of the summary, in that */
    bool whole;                     /* all of it was acknowledged */
    struct protocol_position begun; /* from where on this run reads; offset 0: all */
    struct protocol_position position;
    int64_t saved_ns;
    uint64_t rejected; /* of the summary, before the piece at hand */
    bool has_candidate, has_witness;
    bool acknowledged; /* the piece of the candidate */
    int64_t candidate_ms, witness_ms;
    struct bytes candidate, witness; /* canonical labels, encoded */
};

/* Finds the directory. Without one nothing is remembered. */
void import_resume_open(struct import *import);
void import_resume_close(struct import *import);

/* Called with each file's input open and unread; sets `begun` and `now_ms`. *whole: nothing is left
 * to read of it. CANCELLED, CORRUPT, IO, MEMORY of reading. */
MUST_CHECK enum status import_resume_begin(struct import *import, bool *whole, struct error *err);

/* Where the next piece begins, in the file, for a reader whose document is the context and the rest
 * behind `begun`. */
struct protocol_position import_resume_place(const struct import *import,
                                             const struct protocol_position *position);
/* The number of the first line that such a reader meets. */
uint64_t import_resume_first_line(const struct import *import);

/* A sample of the piece about to be handed over, by which it may be found again. */
void import_resume_candidate(struct import *import, struct batch *batch);
/* That piece is safe; reading may go on at `position`, which is one in the file. */
void import_resume_mark(struct import *import, const struct protocol_position *position);

/* The file was read to its end (OK), or not. */
void import_resume_end(struct import *import, enum status status);
/* Forgets all files of this run: it came through. */
void import_resume_forget(struct import *import);

/* Whether another run would go on in the last file. */
bool import_resume_possible(const struct import *import);

#endif
