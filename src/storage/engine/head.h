/*
 * head - the samples written since the last flush, in memory, by series.
 *
 *   entries   series id -> first and last slab, number of samples; in pages of 16, made when
 * touched
 *   slabs     runs of samples of one series, 3, 7, 15, ... at a time, linked oldest first; a
 * slab is a whole number of cache lines
 *
 * Appending a sample touches one entry and one line of one slab; both are fetched ahead, because a
 * miss costs more than everything else. Memory follows what was written, not how many series exist.
 *
 * Threads: one appender. Readers copy entries (head_entry) with the appender shut out; then they
 * read the samples that the copy counts without any lock: slabs never move and what was counted
 * never changes. The maximum is fixed at birth, so that tables of slabs need not move either.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_HEAD_H
#define METRIC_STORE_STORAGE_ENGINE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct head; /* opaque */

struct head_sample {
    int64_t time_ms;
    double value;
};

/* A series' samples as of one moment. */
struct head_entry {
    uint32_t first; /* slab; 0 with count 0 */
    uint32_t last;
    uint32_t count;
    uint16_t in_last; /* samples in the last slab */
    bool disordered;  /* times do not strictly rise: sort, and let the later write win */
};

/* Gives *head, ended by head_free. `max_bytes` is when head_is_full. */
MUST_CHECK enum status head_new(struct head **head, size_t max_bytes);
void head_free(struct head *head);

/*
 * Takes the memory for samples of these series: after OK head_append cannot fail for them. Calls
 * add up until the first head_append, so that several batches may be reserved and then appended;
 * head_reserve_begin gives up what was reserved for a commit that failed. The maximum is not looked
 * at here: whoever owns the head stops writing to a full one, and one commit may reach beyond.
 * LIMIT when the tables end (1 GiB beyond the maximum), MEMORY.
 */
void head_reserve_begin(struct head *head);
MUST_CHECK enum status head_reserve(struct head *head, const uint32_t *ids, size_t count);

/* Appends samples [0, count) in order: ids[i], times[i], values[i]. Reserve first. */
void head_append(struct head *head, const uint32_t *ids, const int64_t *times, const double *values,
                 size_t count);

struct head_entry head_entry(const struct head *head, uint32_t series_id);

/*
 * A moment: the entries as of now, for a reader that copies them bit by bit while the appender goes
 * on. From begin to end the appender notes what each entry was that it changes; afterwards the
 * reader puts back what changed before it was copied. Appender and other moments are shut out
 * for begin and end, which take no time; entries are copied with the appender shut out.
 */
struct head_notes; /* opaque */
struct head_moment {
    struct head *head; /* while it lasts */
    struct head_notes *first;
    const struct head_notes *last;
    uint32_t last_count;
    bool lost;
};

/* Takes the memory for head_moment_begin. Ended by head_moment_release, also after a failure. */
MUST_CHECK enum status head_moment_init(struct head_moment *moment);
void head_moment_begin(struct head_moment *moment, struct head *head);
/* Does nothing when it did not begin, or has ended. */
void head_moment_end(struct head_moment *moment);
/* Makes entries[i] of ids[i], which rise, copied between begin and end, what they were at the
 * beginning. After the end, by any thread, with nobody shut out; the head still lives. False when
 * that is not known, as more came meanwhile than is noted (20 MiB of a head): begin anew. */
MUST_CHECK bool head_moment_restore(const struct head_moment *moment, const uint32_t *ids,
                                    struct head_entry *entries, size_t count);
void head_moment_release(struct head_moment *moment);
/* The first id from `from` on that has samples; UINT32_MAX when there is none. With the appender
 * shut out. */
uint32_t head_next_series(const struct head *head, uint32_t from);
size_t head_memory(const struct head *head);
bool head_is_full(const struct head *head);
uint64_t head_sample_count(const struct head *head);
/* Of all samples; meaningless when there are none. */
int64_t head_min_ms(const struct head *head);
int64_t head_max_ms(const struct head *head);

/* Walks the samples of `entry` in the order they were written. */
struct head_reader {
    const struct head *head;
    struct head_entry entry;
    uint32_t slab;
    uint32_t left;
};

void head_reader_init(struct head_reader *reader, const struct head *head, struct head_entry entry);
/* The next run of samples, borrowed for the head's life; 0 at the end. */
size_t head_reader_next(struct head_reader *reader, const struct head_sample **samples);
/* Where the first sample of the next run lies, those after it in a row; while there is a next. */
uint32_t head_reader_place(const struct head_reader *reader);
/* Borrowed for the head's life. */
const struct head_sample *head_sample_at(const struct head *head, uint32_t place);

/* First and last time of `entry`, whose count is not 0. */
void head_span(const struct head *head, struct head_entry entry, int64_t *first_ms,
               int64_t *last_ms);

/*
 * Copies the samples of `entry` with start <= time < end, in strictly rising time, the later write
 * kept. `times` and `values` have room for entry.count, `scratch` for twice that; it may be NULL
 * when the entry is not disordered. Returns how many.
 */
size_t head_copy(const struct head *head, struct head_entry entry, int64_t start_ms, int64_t end_ms,
                 struct head_sample *scratch, int64_t *times, double *values);

/* The `count` samples at the beginning of `scratch`, which has room for twice `capacity`, in the
 * order they were written, as head_copy would give them. */
size_t head_sort(struct head_sample *scratch, size_t capacity, size_t count, int64_t *times,
                 double *values);

#endif
