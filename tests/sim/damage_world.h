/*
 * damage_world - a store on a simulated disk that is there to be damaged: what was written to it,
 * and its files. Failures end the test.
 *
 * Series are numbers; the value of a sample tells whose it is, so that one that is shown under
 * another series is found out.
 */
#ifndef METRIC_STORE_TESTS_SIM_DAMAGE_WORLD_H
#define METRIC_STORE_TESTS_SIM_DAMAGE_WORLD_H

#include "engine_fixture.h"
#include "sim_machine.h"

enum { SMALL_SERIES = 12, STORE_PATH_SIZE = 128, WORLD_LABELS_MAX = 16, WORLD_SELECTORS_MAX = 16 };

struct world_labels {
    struct label items[WORLD_LABELS_MAX];
    size_t count;
    char text[640];
};

/* What tells one world from another. */
struct world_kind {
    uint32_t series; /* that there are; those of the numbers behind are first written later */
    uint32_t new_series;
    void (*labels)(uint32_t series, struct world_labels *to); /* canonical */
    void (*set_up)(struct sim_machine *machine);              /* the options it is opened with */
    const char *const *selectors;                             /* up to NULL */
    const char *const *described;                             /* metrics, up to NULL */
};

struct stored_file {
    char path[STORE_PATH_SIZE];
    uint64_t size;
    uint64_t used; /* up to the last byte that is not zero */
};

struct world {
    const struct world_kind *kind;
    uint64_t seed;
    struct sim_disk *disk;
    struct world_labels *labels; /* of all series, new ones too */
    uint32_t *metrics;           /* of each the first series with its metric */
    struct arena arena;
    struct matchers selectors[WORLD_SELECTORS_MAX];
    size_t selector_count;
    struct ledger written; /* also what was deleted later */
    struct ledger living;
    struct ledger commits; /* of each sample the number of its commit, as bits */
    uint64_t commit_count;
    uint64_t damaged_at; /* of a fork: commits that there were when it was made */
    struct stored_file *files;
    size_t count, capacity;
};

/* Empty, with a disk of its own. Ended by world_release. */
void world_init(struct world *world, const struct world_kind *kind, uint64_t seed);
void world_release(struct world *world);
/* What was written so far, to be gone on with apart; all else is borrowed from `world`. Ended by
 * world_fork_release. */
void world_fork(struct world *fork, const struct world *world);
void world_fork_release(struct world *fork);

/* Parts of two days, two index segments, descriptors, deletes, and a log with samples and series
 * that are nowhere else; closed, so that the end of the log is known. */
void world_make_small(struct world *world, uint64_t seed);
extern const struct world_kind small_world;

/* Opens the store on `disk`, which may be a damaged copy; the options may be changed before. */
void world_machine_init(const struct world *world, struct sim_machine *machine,
                        struct sim_disk *disk);

/* One commit, noted when it is acknowledged. */
MUST_CHECK enum status world_commit(struct world *world, struct tier *tier,
                                    const struct fixture_sample *samples, size_t count,
                                    struct error *err);
/* The same of one series: at most 64 samples, a second apart or nearly so. */
void world_put(struct world *world, struct tier *tier, uint32_t series, int64_t from_ms,
               size_t count, bool steady);
struct slice world_metric(const struct world *world, uint32_t series);
double world_value(uint32_t series, int64_t time_ms);
/* Descriptors of all metrics that the kind names. */
void world_describe(const struct world *world, struct tier *tier);
/* Of the series that match the selector; NULL: of all. */
void world_delete(struct world *world, struct tier *tier, const char *selector,
                  struct time_range range);

/* Takes down what files there are. */
void world_list_files(struct world *world);
bool file_is_log(const struct stored_file *file);
bool file_is_spare(const struct stored_file *file);
bool file_is_part(const struct stored_file *file);
/* Of an index segment: whether of series, with all that finds them. */
bool file_is_series_segment(const struct world *world, const struct stored_file *file);

/* ---- what is on a disk ------------------------------------------------------------------ */

/* Bytes of a file, for the caller to free. */
uint8_t *disk_read(struct sim_disk *disk, const char *path, uint64_t *size);
void disk_write(struct sim_disk *disk, const char *path, uint64_t at, const uint8_t *bytes,
                size_t size);
void disk_cut(struct sim_disk *disk, const char *path, uint64_t size);
/* The file as it is on another disk, there perhaps under another name. */
void disk_bring(struct sim_disk *disk, const char *path, const struct sim_disk *other,
                const char *other_path);
/* Two files change places. */
void disk_swap(struct sim_disk *disk, const char *a, const char *b);
/* Flips a bit of both copies of the manifest's nth record; false when there is no such record, or
 * no other behind it. */
bool disk_flip_edit(struct sim_disk *disk, unsigned nth);

#endif
