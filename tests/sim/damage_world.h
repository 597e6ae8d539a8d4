/*
 * damage_world - a store on a simulated disk that is there to be damaged: what was written to it,
 * and its files. Failures end the test.
 */
#ifndef METRIC_STORE_TESTS_SIM_DAMAGE_WORLD_H
#define METRIC_STORE_TESTS_SIM_DAMAGE_WORLD_H

#include "engine_fixture.h"
#include "sim_machine.h"

enum { SMALL_SERIES = 12, MAX_FILES = 32, STORE_PATH_SIZE = 128 };

struct stored_file {
    char path[STORE_PATH_SIZE];
    uint64_t size;
    uint64_t used; /* up to the last byte that is not zero */
};

struct world {
    uint64_t seed;
    struct sim_disk *disk;
    struct ledger ledger; /* all that was written, what was deleted later too */
    uint64_t alive;       /* samples of it that were not deleted */
    struct stored_file files[MAX_FILES];
    size_t count;
};

/* Parts of two days, two index segments, descriptors, and a log with samples and series that are
 * nowhere else; closed, so that the end of the log is known. Ended by world_release. */
void world_make_small(struct world *world, uint64_t seed);
void world_release(struct world *world);

/* The machine that a world of this kind is opened with. */
void world_machine_init(struct sim_machine *machine, struct sim_disk *disk);

/* At most 64 samples, a second apart or nearly so. */
void world_put(struct world *world, struct tier *tier, uint32_t series, int64_t from_ms,
               size_t count, bool steady);
void world_describe(struct tier *tier);
/* Of all series. Returns how many samples went. */
uint64_t world_delete(const struct world *world, struct tier *tier, struct time_range range);

bool file_is_log(const struct stored_file *file);
bool file_is_spare(const struct stored_file *file);

/* ---- damage ----------------------------------------------------------------------------- */

void disk_cut(struct sim_disk *disk, const char *path, uint64_t size);
/* The file as it is on another disk. */
void disk_bring(struct sim_disk *disk, const struct sim_disk *other, const char *path);
/* Flips a bit of both copies of the manifest's nth record; false when there is no such record, or
 * no other behind it. */
bool disk_flip_edit(struct sim_disk *disk, unsigned nth);

#endif
