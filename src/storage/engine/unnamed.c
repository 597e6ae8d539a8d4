#include "storage/engine/unnamed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "storage/engine/paths.h"
#include "storage/engine/wal.h"

/* Ids count from 1: nobody gives a larger one, whatever a file is called. */
#define FILE_ID_MAX (UINT64_C(1) << 62)

struct listing {
    struct unnamed *unnamed;
    struct unnamed_ids *into;
    const char *ending;
    const uint64_t *named; /* rising */
    bool *there;           /* of each */
    size_t named_count;
};

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory to list the files of the store");
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* As paths.h makes it, and in no other way. */
static bool parse_name(const char *name, const char *ending, uint64_t *id)
{
    char made[32];
    *id = strtoull(name, NULL, 16);
    snprintf(made, sizeof made, "%016" PRIx64 "%s", *id, ending);
    return strcmp(made, name) == 0;
}

static enum status take_name(void *context, const char *name, bool is_directory, struct error *err)
{
    struct listing *listing = context;
    uint64_t id;
    if (is_directory || !parse_name(name, listing->ending, &id))
        return STATUS_OK;
    if (id >= listing->unnamed->next_file && id < FILE_ID_MAX)
        listing->unnamed->next_file = id + 1;
    const uint64_t *named =
        listing->named_count == 0
            ? NULL
            : bsearch(&id, listing->named, listing->named_count, sizeof id, compare_ids);
    if (named != NULL) {
        listing->there[named - listing->named] = true;
        return STATUS_OK;
    }
    struct unnamed_ids *into = listing->into;
    uint64_t *ids = realloc(into->ids, (into->count + 1) * sizeof ids[0]);
    if (ids == NULL)
        return no_memory(err);
    into->ids = ids;
    ids[into->count++] = id;
    return STATUS_OK;
}

static enum status list_folder(struct listing *listing, struct os os, const char *dir,
                               const char *folder, struct error *err)
{
    char *path = path_format("%s/%s", dir, folder);
    if (path == NULL)
        return no_memory(err);
    struct error why = {0};
    enum status status = filesystem_list(os.fs, path, take_name, listing, &why);
    free(path);
    struct unnamed_ids *into = listing->into;
    if (into->count > 0)
        qsort(into->ids, into->count, sizeof into->ids[0], compare_ids);
    return status == STATUS_OK || status == STATUS_NOT_FOUND ? STATUS_OK
                                                             : fail(err, status, "%s", why.message);
}

/* `ids`: of what is named in that folder. */
static enum status list_kind(struct unnamed *unnamed, bool parts, uint64_t *ids, size_t count,
                             struct os os, const char *dir, struct error *err)
{
    struct listing listing = {
        .unnamed = unnamed,
        .into = parts ? &unnamed->parts : &unnamed->segments,
        .ending = parts ? ".part" : ".seg",
        .named = ids,
        .there = calloc(count + 1, sizeof(bool)),
        .named_count = count,
    };
    if (listing.there == NULL)
        return no_memory(err);
    if (count > 0)
        qsort(ids, count, sizeof ids[0], compare_ids);
    enum status status = list_folder(&listing, os, dir, parts ? "parts" : "index", err);
    bool *missing = parts ? &unnamed->missing_part : &unnamed->missing_segment;
    for (size_t i = 0; i < count; i++)
        *missing = *missing || !listing.there[i];
    free(listing.there);
    return status;
}

enum status unnamed_list(struct unnamed *unnamed, struct os os, const char *dir,
                         const struct manifest_state *state, struct error *err)
{
    *unnamed = (struct unnamed){.next_file = state->next_file};
    size_t most =
        state->part_count > state->segment_count ? state->part_count : state->segment_count;
    uint64_t *ids = malloc((most + 1) * sizeof ids[0]);
    if (ids == NULL)
        return no_memory(err);
    for (size_t i = 0; i < state->part_count; i++)
        ids[i] = state->parts[i].id;
    enum status status = list_kind(unnamed, true, ids, state->part_count, os, dir, err);
    for (size_t i = 0; i < state->segment_count; i++)
        ids[i] = state->segments[i].id;
    if (status == STATUS_OK)
        status = list_kind(unnamed, false, ids, state->segment_count, os, dir, err);
    free(ids);
    return status;
}

void unnamed_release(struct unnamed *unnamed)
{
    free(unnamed->parts.ids);
    free(unnamed->segments.ids);
    *unnamed = (struct unnamed){0};
}

/* ---- the log ---------------------------------------------------------------------------- */

struct look {
    uint64_t position;
    bool hole;
};

static enum status pass_over(void *context, struct slice record, uint8_t type, uint64_t lsn,
                             struct error *err)
{
    (void)context, (void)record, (void)type, (void)lsn, (void)err;
    return STATUS_OK;
}

static void note_hole(void *context, const char *description, uint64_t from, uint64_t to)
{
    struct look *look = context;
    (void)description, (void)from;
    look->hole = look->hole || to > look->position;
}

static enum status look_into_log(struct look *look, struct os os, const char *dir, uint64_t owner,
                                 struct error *err)
{
    char *path = path_format("%s/wal", dir);
    if (path == NULL)
        return no_memory(err);
    struct wal_options options = {
        .os = os,
        .dir = path,
        .segment_size = WAL_SEGMENT_SIZE_DEFAULT,
        .frame_max = WAL_FRAME_MAX,
        .owner = owner,
        .read_only = true,
    };
    struct wal *wal = NULL;
    enum status status = wal_open(&wal, &options, look->position, pass_over, note_hole, look, err);
    wal_close(wal);
    free(path);
    return status;
}

static enum status log_has_hole(struct os os, const char *dir, const struct manifest_state *state,
                                bool *hole, struct error *err)
{
    struct look look = {.position = state->log_position};
    struct error why = {0};
    enum status status = look_into_log(&look, os, dir, load_u64(state->store_id), &why);
    /* One that cannot be read at all is damaged; the start that follows says how. */
    *hole = look.hole || status == STATUS_CORRUPT;
    return status == STATUS_OK || status == STATUS_CORRUPT ? STATUS_OK
                                                           : fail(err, status, "%s", why.message);
}

enum status unnamed_state_lacks(struct os os, const char *dir, const struct manifest_state *state,
                                bool *lacks, struct error *err)
{
    struct unnamed unnamed;
    enum status status = unnamed_list(&unnamed, os, dir, state, err);
    *lacks = unnamed.missing_part || unnamed.missing_segment;
    unnamed_release(&unnamed);
    return status != STATUS_OK || *lacks ? status : log_has_hole(os, dir, state, lacks, err);
}

enum status unnamed_may_count(const struct unnamed *unnamed, struct os os, const char *dir,
                              const struct manifest_state *state, bool *lost, struct error *err)
{
    *lost = state->edits_lost || unnamed->missing_part || unnamed->missing_segment;
    return *lost || unnamed_count(unnamed) == 0 ? STATUS_OK
                                                : log_has_hole(os, dir, state, lost, err);
}

/* ---- leftovers -------------------------------------------------------------------------- */

static enum status remove_all(const struct unnamed_ids *ids, struct os os, const char *dir,
                              char *(*path_of)(const char *, uint64_t), struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < ids->count && status == STATUS_OK; i++) {
        char *path = path_of(dir, ids->ids[i]);
        status = path == NULL ? no_memory(err) : filesystem_remove(os.fs, path, err);
        free(path);
    }
    return status;
}

enum status unnamed_remove(const struct unnamed *unnamed, struct os os, const char *dir,
                           struct error *err)
{
    enum status status = remove_all(&unnamed->parts, os, dir, path_of_part, err);
    return status == STATUS_OK ? remove_all(&unnamed->segments, os, dir, path_of_segment, err)
                               : status;
}
