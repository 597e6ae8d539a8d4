/*
 * record_walk - a second reader of series records, written from docs/formats/records.md alone. It
 * makes nothing of what it reads, so that tests can tell what a damaged record says before the
 * engine makes room for it.
 */
#ifndef METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_RECORD_WALK_H
#define METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_RECORD_WALK_H

#include "base/bits.h"
#include "base/slice.h"
#include "model/labels.h"

#include <stdlib.h>

/* One definition; `labels` is borrowed for the call. */
typedef void record_walk_visit(void *context, uint32_t id, uint32_t metric,
                               const struct labels *labels);

struct record_walk {
    const uint8_t *at, *end;
    bool bad;
    struct slice *names;
    struct label *pairs;
    size_t name_count, pair_count;
};

static inline uint64_t walk_varint(struct record_walk *walk)
{
    uint64_t value = 0;
    const uint8_t *next = walk->bad ? NULL : varint_get(walk->at, walk->end, &value);
    if (next == NULL) {
        walk->bad = true;
        return 0;
    }
    walk->at = next;
    return value;
}

static inline struct slice walk_text(struct record_walk *walk)
{
    uint64_t size = walk_varint(walk);
    if (walk->bad || size > (uint64_t)(walk->end - walk->at)) {
        walk->bad = true;
        return slice_of(NULL, 0);
    }
    walk->at += size;
    return slice_of(walk->at - size, (size_t)size);
}

static inline size_t walk_count(struct record_walk *walk)
{
    uint64_t count = walk_varint(walk);
    if (count > (uint64_t)(walk->end - walk->at))
        walk->bad = true;
    return walk->bad ? 0 : (size_t)count;
}

static inline void walk_dictionary(struct record_walk *walk)
{
    walk->name_count = walk_count(walk);
    walk->names = calloc(walk->name_count + 1, sizeof walk->names[0]);
    for (size_t i = 0; i < walk->name_count; i++)
        walk->names[i] = walk_text(walk);
    walk->pair_count = walk_count(walk);
    walk->pairs = calloc(walk->pair_count + 1, sizeof walk->pairs[0]);
    for (size_t i = 0; i < walk->pair_count && !walk->bad; i++) {
        uint64_t name = walk_varint(walk);
        walk->pairs[i].value = walk_text(walk);
        walk->bad = walk->bad || name >= walk->name_count || walk->names[name].size == 0 ||
                    walk->pairs[i].value.size == 0;
        if (!walk->bad)
            walk->pairs[i].name = walk->names[name];
    }
}

static inline void walk_definitions(struct record_walk *walk, record_walk_visit *visit,
                                    void *context)
{
    struct label items[LABELS_MAX_COUNT];
    int64_t id = 0;
    int64_t metric = 0;
    for (size_t left = walk_count(walk); left > 0 && !walk->bad; left--) {
        id = wrapping_add(id, zigzag_decode(walk_varint(walk)));
        metric = wrapping_add(metric, zigzag_decode(walk_varint(walk)));
        uint64_t kind = walk_varint(walk);
        uint64_t count = walk_varint(walk);
        walk->bad = walk->bad || id < 0 || id >= UINT32_MAX || metric < 0 || metric >= UINT32_MAX ||
                    kind != 0 || count == 0 || count > LABELS_MAX_COUNT;
        for (size_t i = 0; i < count && !walk->bad; i++) {
            uint64_t place = walk_varint(walk);
            walk->bad = walk->bad || place >= walk->pair_count;
            if (!walk->bad)
                items[i] = walk->pairs[place];
        }
        struct labels labels = {items, (size_t)count};
        if (!walk->bad)
            visit(context, (uint32_t)id, (uint32_t)metric, &labels);
    }
}

/* False when the record is malformed; definitions before that were visited. */
static inline bool record_walk(struct slice record, record_walk_visit *visit, void *context)
{
    struct record_walk walk = {.at = record.data, .end = record.data + record.size};
    walk_dictionary(&walk);
    walk_definitions(&walk, visit, context);
    free(walk.names);
    free(walk.pairs);
    return !walk.bad && walk.at == walk.end;
}

#endif
