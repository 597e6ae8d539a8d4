/*
 * Several places of a store are damaged at once, drawn from a seed: bits, runs of bytes, whole
 * sectors, two copies of the same thing. However they meet, no answer is wrong in silence, what is
 * written afterwards is taken, and a repair makes a sound store that tells what is lost.
 * METRIC_STORE_SIM_SEED repeats one case.
 */
#include "../unit/test.h"

#include <inttypes.h>
#include <stdlib.h>

#include "../unit/pseudo_random.h"
#include "damage_check.h"
#include "storage/engine/wal_format.h"

enum {
    CASES = SANITIZED ? 100 : 2000,
    PLACES_MAX = 4,
    RUN_MAX = 700,
    WRITE_EVERY = 4,
    WORLDS = 4, /* of the same kind, with other contents */
};

static uint32_t below(uint64_t *random, uint64_t bound)
{
    return random_below(random, (uint32_t)bound);
}

enum how { BIT, ZEROS, SECTOR, BYTES, MISPLACED, CUT, HOWS };

static void damage_run(struct sim_disk *disk, const char *path, uint64_t at, uint64_t size,
                       enum how how, uint64_t *random)
{
    uint64_t length;
    uint8_t *old = disk_read(disk, path, &length);
    uint8_t bytes[RUN_MAX] = {0};
    uint64_t from = below(random, length - size + 1);
    for (uint64_t i = 0; i < size && how == BYTES; i++)
        bytes[i] = (uint8_t)random_next(random);
    for (uint64_t i = 0; i < size && how == MISPLACED; i++)
        bytes[i] = old[from + i];
    disk_write(disk, path, at, bytes, (size_t)size);
    free(old);
}

/* Of what stands in a file, but for the mark that the log ends with: together with the frames that
 * it tells of, its loss looks like a log that never had them. */
static uint64_t room_for_damage(const struct stored_file *file)
{
    return file_is_log(file) ? (file->used - 1) / WAL_SECTOR_MAX * WAL_SECTOR_MAX : file->used;
}

/* One place. */
static void damage_one(const struct stored_file *file, struct sim_disk *disk, uint64_t *random,
                       char *told, size_t told_size)
{
    static const char *const names[] = {"bit", "zeros", "sector", "bytes", "misplaced", "cut"};
    enum how how = (enum how)below(random, HOWS);
    uint64_t length;
    free(disk_read(disk, file->path, &length));
    uint64_t room = room_for_damage(file);
    room = room < length ? room : length;
    if (room == 0)
        return;
    uint64_t at = below(random, room);
    uint64_t size = how == BIT ? 1 : 1 + below(random, RUN_MAX);
    if (how == SECTOR) {
        at = at / SIM_SECTOR_SIZE * SIM_SECTOR_SIZE;
        size = SIM_SECTOR_SIZE;
    }
    size = size < room - at ? size : room - at;
    if (how == BIT)
        sim_disk_flip(disk, file->path, at * 8 + below(random, 8));
    else if (how == CUT)
        disk_cut(disk, file->path, at);
    else
        damage_run(disk, file->path, at, size, how, random);
    snprintf(told, told_size, "%s %s %" PRIu64 "+%" PRIu64, names[how], file->path, at, size);
}

static const struct stored_file *draw_file(const struct world *world, uint64_t *random)
{
    for (;;) {
        const struct stored_file *file = &world->files[below(random, world->count)];
        if (!file_is_spare(file) && file->used > 0)
            return file;
    }
}

static void look(const struct world *world, uint64_t seed)
{
    char what[PLACES_MAX * 160];
    size_t length = 0;
    uint64_t random = seed;
    struct sim_disk *disk = sim_disk_clone(world->disk);
    uint32_t places = 2 + below(&random, PLACES_MAX - 1);
    /* Often the same file, as a disk that fails has it. */
    const struct stored_file *file = draw_file(world, &random);
    for (uint32_t i = 0; i < places; i++) {
        char told[160] = "";
        damage_one(file, disk, &random, told, sizeof told);
        length +=
            (size_t)snprintf(what + length, sizeof what - length, "%s%s", i > 0 ? ", " : "", told);
        if (below(&random, 2) == 0)
            file = draw_file(world, &random);
    }
    struct told told;
    expect_honest(world, disk, what, seed);
    expect_repair(world, disk, what, seed, &told);
    /* Where neither the labels nor the key of a series can be read, it is refused. */
    if (seed % WRITE_EVERY == 0 && strstr(what, "/index/") == NULL)
        expect_ingest(world, disk, what, seed);
    sim_disk_free(disk);
}

static void damage_in_many_places_at_once_is_never_silent(void **state)
{
    (void)state;
    const char *only = getenv("METRIC_STORE_SIM_SEED");
    uint64_t first = only == NULL ? 1 : strtoull(only, NULL, 10);
    for (uint64_t seed = first; seed < first + (only == NULL ? CASES : 1); seed++) {
        struct world world;
        world_make_small(&world, 1 + seed % WORLDS);
        look(&world, seed);
        world_release(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_in_many_places_at_once_is_never_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
