/*
 * part_fixture - what tests of parts share: two paths in a directory of their own, series drawn
 * from a seed, and what a part that was written of them must show. Failures end the test.
 */
#ifndef METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_PART_FIXTURE_H
#define METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_PART_FIXTURE_H

#include "base/times.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/part_writer.h"

enum { PART_DAY = 20780, PART_MODEL_MAX_SERIES = 700 };
#define PART_DAY_START ((int64_t)PART_DAY * MS_PER_DAY)

/* Group set-up and tear-down of cmocka: every test's *state is a struct part_files. */
struct part_files {
    char directory[32];
    char path[64], other_path[64];
};
int part_fixture_set_up(void **state);
int part_fixture_tear_down(void **state);

void part_ok(enum status status, const struct error *err);
/* Of a new file, in place of what is there. Gives the writer to the caller. */
struct part_writer *part_fixture_writer(const char *name, uint64_t id);
/* Gives the part to the caller. */
struct part *part_fixture_open(const char *name);
/* For part_verify: what is found is damage, and names the path that `context` is. */
void part_damage_names_path(void *context, const struct error *err);

struct part_model_series {
    uint32_t metric, id;
    size_t count;
    int64_t *times;
    double *values;
};

struct part_model {
    struct part_model_series series[PART_MODEL_MAX_SERIES];
    size_t count;
};

void part_model_make(struct part_model *model, uint64_t seed, size_t series, size_t max_samples);
void part_model_release(struct part_model *model);
void part_model_write(const struct part_model *model, const char *name, uint64_t id,
                      struct part_totals *totals);
/* Reads all blocks of one series from where the cursor stands and compares; returns the blocks. One
 * thread at a time. */
size_t part_model_check_series(struct part_cursor *cursor, const struct part_model_series *series);
/* Looks every series up in a part that may be damaged: what comes must be right, and what does not
 * must have been announced as damaged. Returns the samples that were lost; SIZE_MAX where the part
 * cannot be opened. */
size_t part_model_lost(const char *name, const struct part_model *model);

#endif
