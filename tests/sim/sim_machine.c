#include "sim_machine.h"

#include "base/invariant.h"

void sim_machine_init(struct sim_machine *machine, struct sim_disk *disk, const char *dir,
                      uint64_t seed)
{
    sim_clock_init(&machine->clock, SIM_START_MS);
    sim_random_init(&machine->random, seed + sim_disk_calls(disk));
    machine->options = (struct engine_options){
        .os = {.fs = sim_disk_filesystem(disk),
               .clock = &machine->clock.clock,
               .random = &machine->random.random,
               .threads = sim_threads()},
        .dir = dir,
        .sync = ENGINE_SYNC_ALWAYS,
        .head_bytes = 20 * 1024,
        .raw_cache_bytes = 4096,
        .part_index_bytes = 1,
        .open_parts = 1,
        .log_segment_bytes = 64 * 1024,
        .max_chunks = 100,
        .merge_fan_in = 3,
    };
}

struct sim_disk *sim_machine_disk(uint64_t seed)
{
    struct sim_disk *disk = sim_disk_new(seed);
    struct filesystem *fs = sim_disk_filesystem(disk);
    invariant(filesystem_make_directory(fs, "/data", NULL) == STATUS_OK &&
              filesystem_sync_directory(fs, "/", NULL) == STATUS_OK);
    return disk;
}
