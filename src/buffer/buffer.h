/*
 * buffer - finished batches wait here, bounded in bytes, until one group commit takes all of them.
 *
 * The next commit starts when the one before has returned: no timer, so that a lone batch waits for
 * nobody and many batches share one sync. A batch that was accepted is committed or its sender is
 * told why not; nothing is dropped.
 *
 *   BUSY, IO        tried again with exponential backoff and jitter, up to retry_ms
 *   others          told at once (NO_SPACE: the client tries again, and writes resume by
 * themselves)
 *
 * Threads: submit from any; `done` runs on the committer's thread and must not block.
 */
#ifndef METRIC_STORE_BUFFER_BUFFER_H
#define METRIC_STORE_BUFFER_BUFFER_H

#include "os/os.h"
#include "storage/storage.h"

struct write_buffer; /* opaque */

struct write_buffer_options {
    struct tier *tier;
    struct os os;
    size_t max_bytes;          /* of batches that wait or are being committed */
    size_t max_commit_samples; /* of one commit, unless a single batch has more */
    int64_t retry_ms;          /* how long a commit is tried again */
};

/* `err` is borrowed, and says why when status is not OK. The batch is the owner's again. */
typedef void write_done(void *context, enum status status, const struct error *err);

/* One batch on its way; embedded in what its owner keeps until `done`. */
struct write_entry {
    struct batch *batch; /* resolved */
    size_t bytes;        /* of memory that it holds */
    write_done *done;
    void *context;
    struct write_entry *next; /* the buffer's */
    int64_t submitted_ns;     /* likewise */
};

enum { COMMIT_BUCKETS = 16 };

struct write_buffer_stats {
    uint64_t waiting_batches, waiting_bytes, max_bytes;
    uint64_t commits, batches, samples, failed_batches, retries, refused_full;
    /* Submit to done, of committed batches: [i] counts up to 2^i / 4 ms; the last all above. */
    uint64_t latency_buckets[COMMIT_BUCKETS];
    uint64_t latency_ns_sum;
};

/* Starts the committer. Gives *buffer, ended by write_buffer_close. */
MUST_CHECK enum status write_buffer_open(struct write_buffer **buffer,
                                         const struct write_buffer_options *options,
                                         struct error *err);

/* Commits what waits and ends the committer; nothing may be submitted any more. Accepts NULL. */
void write_buffer_close(struct write_buffer *buffer);

/*
 * Takes `entry` until its done is called, which may be before this returns.
 *   BUSY         the buffer is full: try again later; the entry was not taken
 *   UNAVAILABLE  the buffer is closing
 */
MUST_CHECK enum status write_buffer_submit(struct write_buffer *buffer, struct write_entry *entry,
                                           struct error *err);

void write_buffer_stats(struct write_buffer *buffer, struct write_buffer_stats *stats);

#endif
