#include "wal_model.h"

#include "base/bits.h"
#include "base/invariant.h"

#include <stdlib.h>

enum { HEAD_SIZE = 20, RECORD_TYPE = 7 };

void model_init(struct wal_model *model, uint64_t seed, unsigned size_class)
{
    memset(model, 0, sizeof *model);
    model->seed = seed;
    model->size_class = size_class;
    model->segment_size = WAL_SEGMENT_SIZE_MIN;
    model->spares = 2;
    sim_clock_init(&model->clock, 1700000000000);
    sim_random_init(&model->random, seed);
}

struct wal_options model_options(struct wal_model *model, struct sim_disk *disk)
{
    return (struct wal_options){
        .os = {.fs = sim_disk_filesystem(disk),
               .clock = &model->clock.clock,
               .random = &model->random.random,
               .threads = sim_threads()},
        .dir = "/wal",
        .segment_size = model->segment_size,
        .frame_max = 8 << 20,
        .spares = model->spares,
    };
}

static uint32_t record_count(const struct wal_model *model, uint32_t number)
{
    uint64_t state = model->seed * 1000003 + number;
    return (uint32_t)(1 + sim_below(&state, 4));
}

static size_t record_size(const struct wal_model *model, uint32_t number, uint32_t record)
{
    uint64_t state = (model->seed * 1000003 + number) * 31 + record;
    uint64_t choice = sim_below(&state, 64);
    if (model->size_class >= 2 && choice == 0)
        return WAL_RECORD_MAX - sim_below(&state, 1000);
    if (model->size_class >= 1 && choice < 8)
        return HEAD_SIZE + sim_below(&state, 70000);
    if (choice < 24)
        return HEAD_SIZE + sim_below(&state, 3000);
    return HEAD_SIZE + sim_below(&state, 120);
}

static void fill_record(uint8_t *to, size_t size, uint32_t number, uint32_t generation,
                        uint32_t record, uint32_t count)
{
    store_u32(to, number);
    store_u32(to + 4, generation);
    store_u32(to + 8, record);
    store_u32(to + 12, count);
    store_u32(to + 16, (uint32_t)size);
    uint64_t state = (uint64_t)number << 32 | generation << 16 | record;
    uint64_t word = 0;
    for (size_t i = HEAD_SIZE; i < size; i++) {
        if (i % 8 == HEAD_SIZE % 8)
            word = sim_next(&state);
        to[i] = (uint8_t)(word >> i % 8 * 8);
    }
}

static bool record_is_right(struct slice record)
{
    if (record.size < HEAD_SIZE || load_u32(record.data + 16) != record.size)
        return false;
    uint8_t *expected = malloc(record.size);
    invariant(expected != NULL);
    fill_record(expected, record.size, load_u32(record.data), load_u32(record.data + 4),
                load_u32(record.data + 8), load_u32(record.data + 12));
    bool right = memcmp(expected, record.data, record.size) == 0;
    free(expected);
    return right;
}

static enum status collect(void *context, struct slice record, uint8_t type, uint64_t lsn,
                           struct error *err)
{
    (void)err;
    struct model_replay *replay = context;
    if (type != RECORD_TYPE || !record_is_right(record)) {
        replay->wrong = "a record has other bytes than were put";
        return STATUS_OK;
    }
    uint32_t number = load_u32(record.data);
    uint32_t generation = load_u32(record.data + 4);
    uint32_t index = load_u32(record.data + 8);
    uint32_t count = load_u32(record.data + 12);
    if (replay->records_left == 0) {
        invariant(replay->log.count < MODEL_FRAMES_MAX);
        replay->log.frames[replay->log.count++] =
            (struct model_frame){.number = number, .generation = generation, .lsn = lsn};
        replay->record = 0;
        replay->records_left = count;
    }
    const struct model_frame *frame = &replay->log.frames[replay->log.count - 1];
    if (index != replay->record || number != frame->number || generation != frame->generation ||
        lsn != frame->lsn)
        replay->wrong = "a frame has other records than were put";
    replay->record++;
    replay->records_left--;
    return STATUS_OK;
}

static void note_damage(void *context, const char *description, uint64_t from, uint64_t to)
{
    (void)description;
    struct model_replay *replay = context;
    if (replay->damages == 0)
        replay->damage_from = from;
    replay->damage_to = to;
    replay->damages++;
}

enum status model_open(struct wal_model *model, struct sim_disk *disk, struct wal **wal,
                       struct model_replay *replay, struct error *err)
{
    memset(replay, 0, sizeof *replay);
    struct wal_options options = model_options(model, disk);
    enum status status =
        wal_open(wal, &options, model->replay_from, collect, note_damage, replay, err);
    if (status == STATUS_OK && replay->records_left > 0)
        replay->wrong = "the last frame lacks records";
    return status;
}

enum status model_write(struct wal_model *model, struct wal *wal, uint32_t number,
                        uint32_t generation, uint64_t *lsn, struct error *err)
{
    enum status status = wal_begin(wal, err);
    uint32_t count = record_count(model, number);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        size_t size = record_size(model, number, i);
        uint8_t *bytes = malloc(size);
        invariant(bytes != NULL);
        fill_record(bytes, size, number, generation, i, count);
        size_t cut = size / 3;
        status =
            wal_put(wal, RECORD_TYPE, slice_of(bytes, cut), slice_of(bytes + cut, size - cut), err);
        free(bytes);
    }
    return status == STATUS_OK ? wal_commit(wal, lsn, err) : status;
}

enum status model_commit(struct wal_model *model, struct wal *wal, struct error *err)
{
    struct model_frame frame = {.number = model->next_number++};
    enum status status = model_write(model, wal, frame.number, 0, &frame.lsn, err);
    if (status != STATUS_OK)
        return status;
    invariant(model->log.count < MODEL_FRAMES_MAX);
    model->log.frames[model->log.count++] = frame;
    return STATUS_OK;
}

enum status model_sync(struct wal_model *model, struct wal *wal, struct error *err)
{
    size_t committed = model->log.count;
    enum status status = wal_sync(wal, err);
    if (status == STATUS_OK)
        model->synced = committed;
    return status;
}

static bool refuse(const struct wal_model *model, const struct model_replay *replay,
                   const char *why)
{
    printf("refused: %s; committed %zu, synced %zu, replayed %zu from %llx\n", why,
           model->log.count, model->synced, replay->log.count,
           (unsigned long long)model->replay_from);
    return false;
}

bool model_accepts(const struct wal_model *model, const struct model_replay *replay)
{
    if (replay->wrong != NULL)
        return refuse(model, replay, replay->wrong);
    if (replay->damages > 0)
        return refuse(model, replay, "damage was reported, but nothing was damaged");
    size_t skipped = 0;
    while (skipped < model->log.count && model->log.frames[skipped].lsn <= model->replay_from)
        skipped++;
    size_t present = replay->log.count;
    size_t known = model->log.count - skipped;
    if (present > known + 1)
        return refuse(model, replay, "more frames than were written");
    for (size_t i = 0; i < present; i++) {
        const struct model_frame *got = &replay->log.frames[i];
        const struct model_frame *want = &model->log.frames[skipped + i];
        bool same = i < known && got->number == want->number && got->lsn == want->lsn &&
                    got->generation == want->generation;
        /* The last one may be a frame whose commit failed or is under way. */
        if (!same && (i + 1 < present || got->number >= model->next_number ||
                      (i < known && got->number > want->number)))
            return refuse(model, replay, "a frame is missing, doubled or out of order");
        if (!same && skipped + i < model->synced)
            return refuse(model, replay, "a synced frame was replaced");
    }
    if (skipped + present < model->synced)
        return refuse(model, replay, "a synced frame is missing");
    return true;
}

bool model_same(const struct model_log *a, const struct model_log *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->frames[i].number != b->frames[i].number || a->frames[i].lsn != b->frames[i].lsn ||
            a->frames[i].generation != b->frames[i].generation)
            return false;
    return true;
}
