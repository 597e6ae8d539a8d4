#include "commands/import_resume.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/import.h"
#include "commands/import_state.h"

enum { HEAD_SIZE = 64 * 1024 };
#define SAVE_INTERVAL_NS (INT64_C(500) * 1000 * 1000)

/* ---- the directory ----------------------------------------------------------------------- */

/* The directory of --state; else where programs of a user keep what is no configuration and no
 * cache (XDG base directories). */
static bool find_directory(struct import *import)
{
    struct import_resume *resume = &import->resume;
    const char *given = options_value(import->options, "state");
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int size = -1;
    if (given != NULL)
        size = snprintf(resume->directory, PATH_MAX, "%s", given);
    else if (state != NULL && state[0] == '/')
        size = snprintf(resume->directory, PATH_MAX, "%s/metric-store/import", state);
    else if (home != NULL && home[0] == '/')
        size = snprintf(resume->directory, PATH_MAX, "%s/.local/state/metric-store/import", home);
    return size > 0 && size < PATH_MAX;
}

void import_resume_open(struct import *import)
{
    struct import_resume *resume = &import->resume;
    bytes_init(&resume->candidate, IMPORT_WITNESS_MAX_SIZE);
    bytes_init(&resume->witness, IMPORT_WITNESS_MAX_SIZE);
    resume->enabled = find_directory(import);
}

void import_resume_close(struct import *import)
{
    bytes_release(&import->resume.candidate);
    bytes_release(&import->resume.witness);
}

static enum status make_directories(const struct import *import, struct error *err)
{
    char path[PATH_MAX];
    memcpy(path, import->resume.directory, sizeof path);
    enum status status = STATUS_OK;
    for (char *slash = strchr(path + 1, '/'); slash != NULL && status == STATUS_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (access(path, F_OK) != 0)
            status = filesystem_make_directory(import->os.fs, path, err);
        *slash = '/';
    }
    return status == STATUS_OK ? filesystem_make_directory(import->os.fs, path, err) : status;
}

/* ---- which file -------------------------------------------------------------------------- */

static void key_add(struct hash128 *key, const char *text)
{
    struct hash128 part = hash128(slice_from_text(text), key->low);
    key->low = part.low;
    key->high = hash64(slice_of(&part.high, sizeof part.high), key->high);
}

/* Of target and file, and of what decides how it is read. False where it has no path. */
static bool key_of(const struct import *import, const char *file, struct hash128 *key)
{
    static const char *const options[] = {"format", "precision", "columns", "job"};
    char *full = realpath(file, NULL);
    if (full == NULL)
        return false;
    *key = (struct hash128){0};
    key_add(key, import->target_name);
    key_add(key, full);
    free(full);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const char *value = options_value(import->options, options[i]);
        key_add(key, value == NULL ? "" : value);
    }
    key_add(key, import->csv_header == CSV_HEADER_NO ? "no" : "");
    return true;
}

static bool state_path(const struct import *import, struct hash128 key, char path[PATH_MAX])
{
    int size = snprintf(path, PATH_MAX, "%s/%016" PRIx64 "%016" PRIx64, import->resume.directory,
                        key.high, key.low);
    return size > 0 && size < PATH_MAX;
}

/* What tells the content from another one under the same name. */
static enum status identify(struct import *import, struct error *err)
{
    struct import_resume *resume = &import->resume;
    struct stat about;
    struct file *file = NULL;
    if (stat(import->file, &about) != 0)
        return fail_errno(err, errno, "cannot read %s", import->file);
    resume->size = (uint64_t)about.st_size;
    resume->changed_ns = (int64_t)about.st_mtim.tv_sec * 1000000000 + about.st_mtim.tv_nsec;
    uint8_t *head = malloc(HEAD_SIZE);
    size_t got = 0;
    enum status status = head != NULL
                             ? filesystem_open(import->os.fs, import->file, FILE_READ, &file, err)
                             : fail(err, STATUS_MEMORY, "no memory to read %s", import->file);
    if (status == STATUS_OK)
        status = file_read(file, head, HEAD_SIZE, 0, &got, err);
    if (status == STATUS_OK)
        resume->head_hash = hash64(slice_of(head, got), 0);
    file_close(file);
    free(head);
    return status;
}

/* ---- on disk ----------------------------------------------------------------------------- */

/*
 * Written beside and renamed, so that a run that is killed leaves the old one or the new one. It is
 * not synced: a power cut may take it, which costs time and nothing else, and the checksum tells
 * what is left of it.
 */
static enum status store_state(struct import *import, struct error *err)
{
    struct import_resume *resume = &import->resume;
    struct import_state state = {
        .key = resume->key,
        .size = resume->size,
        .changed_ns = resume->changed_ns,
        .head_hash = resume->head_hash,
        .now_ms = resume->now_ms,
        .refused = resume->refused,
        .whole = resume->whole,
        .position = resume->position,
        .witness_ms = resume->witness_ms,
        .witness = resume->witness,
    };
    char beside[PATH_MAX];
    struct bytes text;
    struct file *file = NULL;
    int size = snprintf(beside, sizeof beside, "%s.%ld", resume->path, (long)getpid());
    if (size < 0 || size >= PATH_MAX)
        return fail(err, STATUS_INVALID, "the path is too long");
    bytes_init(&text, IMPORT_STATE_MAX_SIZE);
    enum status status = import_state_write(&state, &text);
    if (status != STATUS_OK)
        fail(err, status, "no memory");
    if (status == STATUS_OK && !resume->saved)
        status = make_directories(import, err);
    if (status == STATUS_OK)
        status = filesystem_open(import->os.fs, beside, FILE_CREATE, &file, err);
    if (status == STATUS_OK)
        status = file_resize(file, 0, err);
    if (status == STATUS_OK)
        status = file_write(file, text.data, text.size, 0, err);
    file_close(file);
    if (status == STATUS_OK)
        status = filesystem_rename(import->os.fs, beside, resume->path, err);
    bytes_release(&text);
    return status;
}

static void save(struct import *import)
{
    struct import_resume *resume = &import->resume;
    struct error err;
    if (!resume->tracked || !resume->has_witness)
        return;
    resume->saved_ns = clock_monotonic_ns(import->os.clock);
    enum status status = store_state(import, &err);
    resume->saved = resume->saved || status == STATUS_OK;
    if (status == STATUS_OK || resume->complained)
        return;
    resume->complained = true;
    progress_erase(&import->progress);
    complain(import->options,
             "cannot remember how far the import is, so that a later run could go on: %s; --state "
             "names another directory",
             err.message);
}

static void remove_state(struct import *import, const char *path)
{
    struct error err;
    if (access(path, F_OK) != 0)
        return;
    if (filesystem_remove(import->os.fs, path, &err) != STATUS_OK)
        complain(import->options, "cannot forget an earlier import: %s", err.message);
}

/* NULL where there is none. */
static char *load_text(const struct import *import, size_t *size)
{
    struct file *file = NULL;
    struct error err;
    char *text = malloc(IMPORT_STATE_MAX_SIZE + 1);
    enum status status =
        filesystem_open(import->os.fs, import->resume.path, FILE_READ, &file, &err);
    if (text == NULL || status != STATUS_OK ||
        file_read(file, text, IMPORT_STATE_MAX_SIZE, 0, size, &err) != STATUS_OK) {
        free(text);
        text = NULL;
    } else {
        text[*size] = 0;
    }
    file_close(file);
    return text;
}

/* ---- going on ---------------------------------------------------------------------------- */

/* Why what is remembered does not count; NULL where it does. */
static const char *distrust(const struct import_resume *resume, const struct import_state *found,
                            bool readable)
{
    if (!readable || !hash128_equal(found->key, resume->key))
        return "what an earlier run remembered of it cannot be read";
    if (found->size != resume->size || found->changed_ns != resume->changed_ns ||
        found->head_hash != resume->head_hash)
        return "the file has changed since an earlier run";
    return NULL;
}

static enum status ask_for_witness(struct import *import, bool *holds, struct error *err)
{
    struct import_resume *resume = &import->resume;
    struct label *items = calloc(LABELS_MAX_COUNT, sizeof items[0]);
    struct labels labels = {.items = items};
    enum status status = items != NULL ? labels_decode(bytes_slice(&resume->witness), items,
                                                       LABELS_MAX_COUNT, &labels.count, err)
                                       : fail(err, STATUS_MEMORY, "no memory to go on");
    *holds = false;
    if (status == STATUS_OK)
        status =
            import->target->ops->holds(import->target, &labels, resume->witness_ms, holds, err);
    free(items);
    return status;
}

static void begin_anew(struct import *import, const char *why)
{
    struct import_resume *resume = &import->resume;
    progress_erase(&import->progress);
    complain(import->options, "%s: %s; it is imported from its beginning", import->file, why);
    resume->has_witness = false;
    bytes_clear(&resume->witness);
    remove_state(import, resume->path);
}

static enum status go_on(struct import *import, bool *whole, struct error *err)
{
    struct import_resume *resume = &import->resume;
    const struct protocol_position *at = &resume->position;
    *whole = resume->whole;
    resume->saved = true;
    if (resume->whole) {
        resume->skipped_files++;
        return STATUS_OK;
    }
    progress_erase(&import->progress);
    char refused[64] = "";
    if (resume->refused > 0)
        snprintf(refused, sizeof refused, " (%" PRIu64 " samples of that were refused)",
                 resume->refused);
    complain(import->options,
             "%s: going on at line %" PRIu64 ", behind what an earlier run stored%s; --restart "
             "imports it from its beginning",
             import->file, at->line, refused);
    resume->begun = *at;
    enum status status =
        input_resume(import->input, at->context_start, (size_t)at->context_size, at->offset, err);
    import->progress.resumed += input_consumed(import->input);
    return status;
}

/* Takes over what was remembered, as far as it can be trusted. */
static enum status recall(struct import *import, bool *whole, struct error *err)
{
    struct import_resume *resume = &import->resume;
    size_t size = 0;
    char *text = load_text(import, &size);
    if (text == NULL)
        return STATUS_OK;
    struct import_state found = {.witness = resume->witness};
    bool readable = import_state_read(text, size, &found);
    free(text);
    resume->witness = found.witness;
    const char *why = distrust(resume, &found, readable);
    if (why == NULL) {
        bool holds = false;
        resume->witness_ms = found.witness_ms;
        enum status status = ask_for_witness(import, &holds, err);
        if (status != STATUS_OK)
            return status;
        why = holds ? NULL : "what an earlier run stored of it is not there any more";
    }
    if (why != NULL) {
        begin_anew(import, why);
        return STATUS_OK;
    }
    resume->has_witness = true;
    resume->position = found.position;
    resume->whole = found.whole;
    resume->now_ms = found.now_ms;
    resume->refused = found.refused;
    return go_on(import, whole, err);
}

enum status import_resume_begin(struct import *import, bool *whole, struct error *err)
{
    struct import_resume *resume = &import->resume;
    *whole = false;
    resume->tracked = resume->saved = resume->whole = false;
    resume->has_candidate = resume->has_witness = false;
    resume->begun = (struct protocol_position){.line = 1};
    resume->position = resume->begun;
    resume->now_ms = clock_wall_ms(import->os.clock);
    resume->refused = 0;
    resume->counted = import->summary.rejected;
    resume->saved_ns = clock_monotonic_ns(import->os.clock);
    bytes_clear(&resume->witness);
    if (!resume->enabled || !input_is_regular(import->input) ||
        !key_of(import, import->file, &resume->key) ||
        !state_path(import, resume->key, resume->path))
        return STATUS_OK;
    enum status status = identify(import, err);
    if (status != STATUS_OK)
        return status;
    resume->tracked = true;
    if (!options_has(import->options, "restart"))
        return recall(import, whole, err);
    remove_state(import, resume->path);
    return STATUS_OK;
}

static uint64_t offset_in_file(const struct protocol_position *begun, uint64_t offset)
{
    return offset < begun->context_size ? begun->context_start + offset
                                        : begun->offset + (offset - begun->context_size);
}

struct protocol_position import_resume_place(const struct import *import,
                                             const struct protocol_position *position)
{
    const struct protocol_position *begun = &import->resume.begun;
    struct protocol_position place = *position;
    place.offset = offset_in_file(begun, position->offset);
    if (position->context_size > 0)
        place.context_start = offset_in_file(begun, position->context_start);
    return place;
}

uint64_t import_resume_first_line(const struct import *import)
{
    return import->resume.begun.line - import->resume.begun.context_lines;
}

/* ---- remembering ------------------------------------------------------------------------- */

void import_resume_candidate(struct import *import, struct batch *batch)
{
    struct import_resume *resume = &import->resume;
    struct labels labels;
    resume->rejected = import->summary.rejected + batch->rejected;
    resume->has_candidate = resume->acknowledged = false;
    if (!resume->tracked || batch->sample_count == 0)
        return;
    size_t last = batch->sample_count - 1;
    struct slice raw = batch->series[batch->sample_series[last]].raw;
    bytes_clear(&resume->candidate);
    if (batch->decode_labels(raw, batch->arena, &labels, NULL) != STATUS_OK ||
        labels_canonicalise(&labels, NULL) != STATUS_OK ||
        labels_encode(&labels, &resume->candidate) != STATUS_OK)
        return; /* it would be refused, or is too long to be remembered */
    resume->has_candidate = true;
    resume->candidate_ms = batch->sample_times[last];
}

static void take_candidate(struct import_resume *resume)
{
    struct bytes old = resume->witness;
    resume->witness = resume->candidate;
    resume->candidate = old;
    resume->witness_ms = resume->candidate_ms;
    resume->has_witness = true;
    resume->has_candidate = false;
}

/* A candidate counts where nothing of its piece was refused. An older witness does as well; where
 * there is none, the target is asked. */
static void find_witness(struct import *import)
{
    struct import_resume *resume = &import->resume;
    if (!resume->has_candidate || !resume->acknowledged)
        return;
    if (import->summary.rejected == resume->rejected) {
        take_candidate(resume);
    } else if (!resume->has_witness) {
        bool holds = false;
        struct error err;
        take_candidate(resume);
        resume->has_witness = ask_for_witness(import, &holds, &err) == STATUS_OK && holds;
    }
}

void import_resume_mark(struct import *import, const struct protocol_position *position)
{
    struct import_resume *resume = &import->resume;
    if (!resume->tracked || !position->settled || position->context_size > INPUT_CONTEXT_MAX)
        return;
    resume->position = *position;
    resume->acknowledged = true;
    resume->refused += import->summary.rejected - resume->counted;
    resume->counted = import->summary.rejected;
    bool due = clock_monotonic_ns(import->os.clock) - resume->saved_ns >= SAVE_INTERVAL_NS;
    if (due || import->summary.rejected == resume->rejected)
        find_witness(import);
    if (due)
        save(import);
}

void import_resume_end(struct import *import, enum status status)
{
    struct import_resume *resume = &import->resume;
    if (!resume->tracked)
        return;
    find_witness(import);
    /* The last file of a run that comes through is forgotten at once. */
    bool others = import->options->argument_count > 1;
    resume->whole = status == STATUS_OK;
    if ((status == STATUS_OK && (others || resume->saved)) ||
        (status != STATUS_OK && resume->position.offset > 0))
        save(import);
}

void import_resume_forget(struct import *import)
{
    struct hash128 key;
    char path[PATH_MAX];
    import->resume.saved = false;
    if (!import->resume.enabled)
        return;
    for (size_t i = 0; i < import->options->argument_count; i++)
        if (key_of(import, import->options->arguments[i], &key) && state_path(import, key, path))
            remove_state(import, path);
}

bool import_resume_possible(const struct import *import)
{
    return import->resume.tracked && import->resume.saved;
}
