#include "../unit/test.h"

#include "base/hash.h"
#include "storage/engine/manifest.h"

#include "sim_disk.h"
#include "sim_explore.h"
#include "sim_os.h"

enum { EDITS = 16, LARGE_EDIT = 9, DAY_MS = 86400000 };

struct script {
    struct sim_sites sites;
    struct sim_clock clock;
    struct sim_random random;
    uint64_t states[EDITS + 1]; /* after so many edits, as fingerprints */
    bool created;
    size_t committed; /* acknowledged */
    size_t attempted;
};

static struct os os_on(struct script *script, struct sim_disk *disk)
{
    sim_clock_init(&script->clock, 1700000000000);
    sim_random_init(&script->random, 4);
    return (struct os){
        .fs = sim_disk_filesystem(disk),
        .clock = &script->clock.clock,
        .random = &script->random.random,
        .threads = sim_threads(),
    };
}

/* Every field counts. */
static uint64_t fingerprint(const struct manifest_state *state)
{
    struct bytes text;
    bytes_init(&text, 1 << 20);
    uint64_t id = hash64(slice_of(state->store_id, sizeof state->store_id), 0);
    enum status status =
        bytes_format(&text, "%lx %lx %ld %lu %lu %lu\n", id, state->secret, state->created_ms,
                     state->log_position, state->last_sequence, state->next_file);
    for (size_t i = 0; i < state->part_count && status == STATUS_OK; i++) {
        const struct manifest_part *part = &state->parts[i];
        status = bytes_format(&text, "part %lu %ld %lu %lu %u %lu %lu %ld %ld\n", part->id,
                              part->day, part->min_sequence, part->max_sequence, part->level,
                              part->samples, part->bytes, part->min_ms, part->max_ms);
    }
    for (size_t i = 0; i < state->segment_count && status == STATUS_OK; i++) {
        const struct manifest_segment *segment = &state->segments[i];
        status = bytes_format(&text, "segment %lu %d %lu %lu\n", segment->id, (int)segment->kind,
                              segment->entries, segment->bytes);
    }
    assert_int_equal(status, STATUS_OK);
    uint64_t result = hash64(bytes_slice(&text), 1);
    bytes_release(&text);
    return result;
}

static struct manifest_part part_of(uint64_t n)
{
    int64_t day = (int64_t)(n * 7 % 5) - 2; /* days before 1970 too */
    return (struct manifest_part){
        .id = n,
        .day = day,
        .min_sequence = n * 10,
        .max_sequence = n * 10 + 9,
        .level = (uint32_t)(n % 3),
        .samples = n << 33,
        .bytes = UINT64_MAX - n,
        .min_ms = day * DAY_MS,
        .max_ms = day * DAY_MS + DAY_MS - 1,
    };
}

/* The n-th edit: a flush, as it were; some merge what was there; one is larger than a mebibyte. */
static void build_edit(struct manifest_edit *edit, size_t n)
{
    manifest_edit_init(edit);
    struct manifest_part part = part_of(100 + n);
    manifest_add_part(edit, &part);
    if (n % 4 == 3) {
        for (size_t merged = n - 3; merged < n; merged++)
            manifest_remove_part(edit, 100 + merged);
        if (n > 3)
            manifest_remove_segment(edit, 200 + n - 4);
        struct manifest_segment segment = {200 + n, n % 8 == 3 ? SEGMENT_SERIES : SEGMENT_METRICS,
                                           n * 1000, n * 20000};
        manifest_add_segment(edit, &segment);
    }
    for (uint64_t i = 0; i < (n == LARGE_EDIT ? 40000 : 0); i++)
        manifest_set_flushed(edit, UINT64_MAX - i, i << 40);
    manifest_set_flushed(edit, n * 1000, n * 10 + 9);
    manifest_set_next_file(edit, 300 + n);
    assert_false(edit->failed);
}

static enum status commit_edit(struct manifest *manifest, size_t n, struct error *err)
{
    struct manifest_edit edit;
    build_edit(&edit, n);
    enum status status = manifest_commit(manifest, &edit, err);
    manifest_edit_release(&edit);
    return status;
}

/* What the states are when nothing goes wrong. */
static void script_init(struct script *script)
{
    *script = (struct script){.created = false};
    struct sim_disk *disk = sim_disk_new(1);
    struct manifest *manifest;
    assert_int_equal(manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, NULL),
                     STATUS_OK);
    script->states[0] = fingerprint(manifest_state(manifest));
    for (size_t n = 0; n < EDITS; n++) {
        assert_int_equal(commit_edit(manifest, n, NULL), STATUS_OK);
        script->states[n + 1] = fingerprint(manifest_state(manifest));
    }
    manifest_close(manifest);
    sim_disk_free(disk);
}

static long find_state(const struct script *script, uint64_t state)
{
    for (size_t n = 0; n <= EDITS; n++)
        if (script->states[n] == state)
            return (long)n;
    return -1;
}

static uint64_t manifest_size(struct sim_disk *disk)
{
    struct file *file;
    uint64_t size = 0;
    assert_int_equal(
        filesystem_open(sim_disk_filesystem(disk), "/manifest", FILE_READ, &file, NULL), STATUS_OK);
    assert_int_equal(file_size(file, &size, NULL), STATUS_OK);
    file_close(file);
    return size;
}

/* ---- crashes -------------------------------------------------------------------------------- */

static bool state_allowed(const struct script *script, const struct manifest_state *state)
{
    if (!script->created)
        return state->part_count == 0 && state->next_file == 1;
    long n = find_state(script, fingerprint(state));
    return n >= (long)script->committed && n <= (long)script->attempted;
}

/* After an open, no crash takes back what it showed. */
static bool shown_is_durable(struct script *script, const struct sim_disk *disk, uint64_t shown)
{
    bool same = true;
    for (uint64_t seed = 0; seed < 3 && same; seed++) {
        struct sim_disk *clone = sim_disk_clone(disk);
        sim_disk_crash(clone, &(struct sim_crash){.seed = seed, .names_in_any_order = seed == 2});
        struct manifest *manifest;
        same = manifest_open(&manifest, os_on(script, clone), "", NULL, NULL, NULL) == STATUS_OK &&
               fingerprint(manifest_state(manifest)) == shown;
        manifest_close(manifest);
        sim_disk_free(clone);
    }
    return same;
}

static void count_damage(void *context, const char *description)
{
    (void)description;
    ++*(size_t *)context;
}

/* What was opened may be there, stays, and is gone on with. Closes it. */
static bool is_right(struct script *script, struct sim_disk *disk, struct manifest *manifest)
{
    bool right = state_allowed(script, manifest_state(manifest));
    sim_explore_detach(disk);
    uint64_t shown = fingerprint(manifest_state(manifest));
    right = right && shown_is_durable(script, disk, shown);
    long at = find_state(script, shown);
    /* And it goes on from there. */
    if (right && at >= 0 && at < EDITS)
        right = commit_edit(manifest, (size_t)at, NULL) == STATUS_OK &&
                fingerprint(manifest_state(manifest)) == script->states[at + 1];
    manifest_close(manifest);
    return right;
}

static bool recovers(void *context, struct sim_disk *disk)
{
    struct script *script = context;
    struct manifest *manifest;
    struct error err;
    if (manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, &err) != STATUS_OK) {
        printf("open: %s\n", err.message);
        return false;
    }
    return is_right(script, disk, manifest);
}

/* There is no room to write it anew, so that it is made durable where it is. */
static bool recovers_on_a_full_disk(void *context, struct sim_disk *disk)
{
    struct script *script = context;
    struct manifest *manifest;
    struct error err;
    sim_disk_set_space(disk, sim_disk_used(disk) + 1);
    enum status status = manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, &err);
    sim_disk_set_space(disk, 0);
    /* One that was never finished cannot be made either. */
    if (status == STATUS_NO_SPACE && !script->created)
        return true;
    if (status != STATUS_OK)
        printf("open: %s\n", err.message);
    return status == STATUS_OK && is_right(script, disk, manifest);
}

static bool run_script(struct script *script, struct sim_disk *disk, struct sim_explore *explore)
{
    struct manifest *manifest;
    script->created = false;
    script->committed = script->attempted = 0;
    if (explore != NULL)
        sim_explore_attach(explore, disk);
    bool passed = manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, NULL) == STATUS_OK;
    script->created = passed;
    for (size_t n = 0; n < EDITS && passed; n++) {
        script->attempted = n + 1;
        passed = commit_edit(manifest, n, NULL) == STATUS_OK;
        script->committed = n + 1;
    }
    manifest_close(manifest);
    if (explore != NULL)
        sim_explore_now(explore, disk);
    return passed && (explore == NULL || explore->violations == 0);
}

static void every_crash_leaves_all_that_was_committed(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    uint64_t states = 0;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct sim_explore explore = {.check = recovers,
                                      .context = &script,
                                      .seed = seed,
                                      .crashes = 12,
                                      .depth = 1,
                                      .every = 1};
        assert_true(run_script(&script, disk, &explore));
        states += explore.states;
        sim_disk_free(disk);
    }
    printf("%lu states\n", states);
    assert_true(states > 3000);
}

static void every_crash_leaves_all_that_was_committed_to_a_start_on_a_full_disk(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    struct sim_disk *disk = sim_disk_new(7);
    struct sim_explore explore = {.check = recovers_on_a_full_disk,
                                  .context = &script,
                                  .seed = 7,
                                  .crashes = 6,
                                  .kills = true,
                                  .depth = 1,
                                  .every = 1};
    assert_true(run_script(&script, disk, &explore));
    assert_true(explore.states > 1000);
    sim_disk_free(disk);
}

static void the_log_is_written_anew_once_it_is_long(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    struct sim_disk *disk = sim_disk_new(1);
    assert_true(run_script(&script, disk, NULL));
    struct file *file;
    uint64_t size;
    assert_int_equal(
        filesystem_open(sim_disk_filesystem(disk), "/manifest", FILE_READ, &file, NULL), STATUS_OK);
    assert_int_equal(file_size(file, &size, NULL), STATUS_OK);
    assert_true(size < 10000);
    file_close(file);
    assert_int_equal(
        filesystem_open(sim_disk_filesystem(disk), "/manifest.new", FILE_READ, &file, NULL),
        STATUS_NOT_FOUND);
    sim_disk_free(disk);
}

/* ---- failures ------------------------------------------------------------------------------- */

static struct manifest *must_open(struct script *script, struct sim_disk *disk)
{
    struct manifest *manifest;
    struct error err;
    if (manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, &err) != STATUS_OK)
        test_fail("%s", err.message);
    return manifest;
}

static void check_after_crash(struct script *script, struct sim_disk *disk, size_t wanted)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct sim_disk *clone = sim_disk_clone(disk);
        sim_disk_crash(clone, &(struct sim_crash){.seed = seed});
        struct manifest *manifest = must_open(script, clone);
        assert_int_equal(find_state(script, fingerprint(manifest_state(manifest))), wanted);
        manifest_close(manifest);
        sim_disk_free(clone);
    }
}

static void a_failed_write_changes_nothing_and_may_be_tried_again(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    const enum sim_failure failures[] = {SIM_EIO, SIM_ENOSPC, SIM_SHORT_EIO, SIM_SHORT_ENOSPC};
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct manifest *manifest = must_open(&script, disk);
        assert_int_equal(commit_edit(manifest, 0, NULL), STATUS_OK);
        enum sim_failure failure = failures[seed % 4];
        sim_disk_add_fault(
            disk,
            &(struct sim_fault){.kinds = SIM_WRITE, .nth = 1, .repeat = 2, .failure = failure});
        bool full = failure == SIM_ENOSPC || failure == SIM_SHORT_ENOSPC;
        /* A longer one first, so that its remains lie behind the shorter one. */
        assert_int_equal(commit_edit(manifest, LARGE_EDIT, NULL),
                         full ? STATUS_NO_SPACE : STATUS_IO);
        assert_int_equal(find_state(&script, fingerprint(manifest_state(manifest))), 1);
        struct error err = {0};
        assert_int_equal(commit_edit(manifest, 1, &err), full ? STATUS_NO_SPACE : STATUS_IO);
        assert_non_null(strstr(err.message, "manifest"));
        check_after_crash(&script, disk, 1);
        assert_int_equal(commit_edit(manifest, 1, NULL), STATUS_OK);
        check_after_crash(&script, disk, 2);
        manifest_close(manifest);
        manifest = must_open(&script, disk);
        assert_int_equal(find_state(&script, fingerprint(manifest_state(manifest))), 2);
        manifest_close(manifest);
        sim_disk_free(disk);
    }
}

static void after_a_failed_sync_nothing_is_committed_until_it_is_opened_anew(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    struct sim_disk *disk = sim_disk_new(1);
    struct manifest *manifest = must_open(&script, disk);
    sim_disk_add_fault(
        disk, &(struct sim_fault){.kinds = SIM_SYNC, .nth = 1, .repeat = 1, .failure = SIM_EIO});
    assert_int_equal(commit_edit(manifest, 0, NULL), STATUS_IO);
    assert_int_equal(find_state(&script, fingerprint(manifest_state(manifest))), 0);
    struct error err;
    assert_int_equal(commit_edit(manifest, 0, &err), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.message, "restart"));
    assert_int_equal(find_state(&script, fingerprint(manifest_state(manifest))), 0);
    manifest_close(manifest);
    sim_disk_free(disk);
}

/* The fault is met somewhere; whoever runs the script does what the engine would. */
static void run_with_fault(struct script *script, struct sim_disk *disk)
{
    struct manifest *manifest = NULL;
    size_t at = 0;
    for (int tries = 0; at < EDITS; tries++) {
        assert_true(tries < EDITS + 10);
        if (manifest == NULL) {
            if (manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, NULL) != STATUS_OK)
                continue;
            long shown = find_state(script, fingerprint(manifest_state(manifest)));
            assert_true(shown == (long)at || shown == (long)at + 1);
            at = (size_t)shown;
            assert_true(shown_is_durable(script, disk, script->states[at]));
            continue;
        }
        enum status status = commit_edit(manifest, at, NULL);
        if (status == STATUS_OK)
            at++;
        assert_int_equal(fingerprint(manifest_state(manifest)), script->states[at]);
        if (status == STATUS_UNAVAILABLE) {
            manifest_close(manifest);
            manifest = NULL;
        }
    }
    manifest_close(manifest);
}

static void any_call_may_fail_once_and_nothing_committed_is_lost(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    const enum sim_failure failures[] = {SIM_EIO, SIM_ENOSPC, SIM_SHORT_EIO, SIM_SHORT_ENOSPC};
    uint64_t calls = 1;
    for (uint64_t nth = 1; nth <= calls; nth++)
        for (int i = 0; i < 4; i++) {
            struct sim_disk *disk = sim_disk_new(nth);
            sim_disk_add_fault(
                disk, &(struct sim_fault){
                          .kinds = SIM_ANY_CALL, .nth = nth, .repeat = 1, .failure = failures[i]});
            run_with_fault(&script, disk);
            check_after_crash(&script, disk, EDITS);
            if (nth == 1)
                calls = sim_disk_calls(disk) + 5;
            sim_disk_free(disk);
        }
    printf("each of %lu calls\n", calls);
    assert_true(calls > 2 * EDITS);
}

/* A sync fails, the process starts again without a crash, and then the power goes. */
static bool survives_a_failed_sync(struct script *script, unsigned kind, uint64_t nth)
{
    struct sim_disk *disk = sim_disk_new(nth);
    sim_disk_set_sites(disk, &script->sites);
    struct manifest *manifest = NULL;
    bool passed = manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, NULL) == STATUS_OK;
    sim_disk_add_fault(
        disk, &(struct sim_fault){.kinds = kind, .nth = nth, .repeat = 1, .failure = SIM_EIO});
    size_t at = 0;
    enum status status = STATUS_OK;
    while (passed && at < EDITS && (status = commit_edit(manifest, at, NULL)) == STATUS_OK)
        at++;
    manifest_close(manifest);
    passed =
        passed && manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, NULL) == STATUS_OK;
    if (passed) {
        long shown = find_state(script, fingerprint(manifest_state(manifest)));
        passed = shown >= (long)at && shown_is_durable(script, disk, script->states[shown]);
        if (passed && shown < EDITS)
            passed = commit_edit(manifest, (size_t)shown, NULL) == STATUS_OK &&
                     shown_is_durable(script, disk, script->states[shown + 1]);
        manifest_close(manifest);
    }
    sim_disk_free(disk);
    return passed;
}

/* Two writes fail half way, the longer one first; a crash must not show either. */
static bool survives_failed_writes(struct script *script, uint64_t seed)
{
    struct sim_disk *disk = sim_disk_new(seed);
    sim_disk_set_sites(disk, &script->sites);
    struct manifest *manifest = NULL;
    bool passed = manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, NULL) == STATUS_OK;
    sim_disk_add_fault(
        disk,
        &(struct sim_fault){.kinds = SIM_WRITE, .nth = 1, .repeat = 2, .failure = SIM_SHORT_EIO});
    passed = passed && commit_edit(manifest, LARGE_EDIT, NULL) == STATUS_IO &&
             commit_edit(manifest, 0, NULL) == STATUS_IO &&
             shown_is_durable(script, disk, script->states[0]);
    manifest_close(manifest);
    sim_disk_free(disk);
    return passed;
}

/* An edit is lost, so that the file is kept; a sync fails; it is opened again; the power goes. */
static bool survives_a_failed_sync_of_a_damaged_log(struct script *script)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct manifest *manifest = NULL;
    sim_disk_set_sites(disk, &script->sites);
    bool passed = manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, NULL) == STATUS_OK;
    uint64_t ends[3] = {0};
    for (size_t n = 0; n < 3 && passed; n++) {
        ends[n] = manifest_size(disk);
        passed = commit_edit(manifest, n, NULL) == STATUS_OK;
    }
    sim_disk_flip(disk, "/manifest", ends[1] * 8);
    sim_disk_flip(disk, "/manifest", ends[2] * 8 - 1);
    sim_disk_add_fault(
        disk, &(struct sim_fault){.kinds = SIM_SYNC, .nth = 1, .repeat = 1, .failure = SIM_EIO});
    passed = passed && commit_edit(manifest, 4, NULL) == STATUS_IO;
    manifest_close(manifest);
    passed =
        passed && manifest_open(&manifest, os_on(script, disk), "", NULL, NULL, NULL) == STATUS_OK;
    if (passed) {
        passed = shown_is_durable(script, disk, fingerprint(manifest_state(manifest)));
        manifest_close(manifest);
    }
    sim_disk_free(disk);
    return passed;
}

static bool survive_everything(void *context)
{
    struct script *script = context;
    struct sim_disk *disk = sim_disk_new(5);
    sim_disk_set_sites(disk, &script->sites);
    struct sim_explore explore = {
        .check = recovers, .context = script, .seed = 5, .crashes = 8, .every = 1};
    bool passed = run_script(script, disk, &explore);
    sim_disk_free(disk);
    for (uint64_t nth = 1; nth <= EDITS && passed; nth++)
        passed = survives_a_failed_sync(script, SIM_SYNC, nth);
    for (uint64_t seed = 1; seed <= 40 && passed; seed++)
        passed = survives_failed_writes(script, seed);
    return passed && survives_a_failed_sync_of_a_damaged_log(script) &&
           survives_a_failed_sync(script, SIM_SYNC_DIRECTORY, 1);
}

static void suppressing_each_sync_is_noticed(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    assert_true(sim_sites_mutate(&script.sites, survive_everything, &script));
    assert_true(script.sites.count >= 4);
}

/* ---- decay ---------------------------------------------------------------------------------- */

enum { DECAY_EDITS = 5 };

static struct sim_disk *small_store(struct script *script, uint64_t ends[DECAY_EDITS + 1])
{
    struct sim_disk *disk = sim_disk_new(1);
    struct manifest *manifest = must_open(script, disk);
    for (size_t n = 0; n <= DECAY_EDITS; n++) {
        ends[n] = manifest_size(disk);
        if (n < DECAY_EDITS)
            assert_int_equal(commit_edit(manifest, n, NULL), STATUS_OK);
    }
    manifest_close(manifest);
    return disk;
}

static void a_flipped_bit_is_named_and_loses_no_edit(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    uint64_t ends[DECAY_EDITS + 1];
    struct sim_disk *disk = small_store(&script, ends);
    for (uint64_t bit = 0; bit < ends[DECAY_EDITS] * 8; bit++) {
        struct sim_disk *clone = sim_disk_clone(disk);
        sim_disk_flip(clone, "/manifest", bit);
        size_t damage = 0;
        struct manifest_state seen;
        assert_int_equal(
            manifest_verify(os_on(&script, clone), "", count_damage, &damage, &seen, NULL),
            STATUS_OK);
        assert_true(damage > 0);
        assert_int_equal(find_state(&script, fingerprint(&seen)), DECAY_EDITS);
        manifest_state_release(&seen);
        struct manifest *manifest;
        damage = 0;
        assert_int_equal(
            manifest_open(&manifest, os_on(&script, clone), "", count_damage, &damage, NULL),
            STATUS_OK);
        assert_true(damage > 0);
        assert_int_equal(find_state(&script, fingerprint(manifest_state(manifest))), DECAY_EDITS);
        assert_int_equal(commit_edit(manifest, DECAY_EDITS, NULL), STATUS_OK);
        manifest_close(manifest);
        /* It was healed: nothing is damaged any more. */
        damage = 0;
        assert_int_equal(
            manifest_open(&manifest, os_on(&script, clone), "", count_damage, &damage, NULL),
            STATUS_OK);
        assert_int_equal(damage, 0);
        assert_int_equal(find_state(&script, fingerprint(manifest_state(manifest))),
                         DECAY_EDITS + 1);
        manifest_close(manifest);
        sim_disk_free(clone);
    }
    sim_disk_free(disk);
}

static void with_both_copies_damaged_only_that_edit_is_lost_and_named(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    uint64_t ends[DECAY_EDITS + 1];
    struct sim_disk *disk = small_store(&script, ends);
    /* Edit 1 adds a part and nothing later in this store removes it: all others still apply. */
    uint64_t size = (ends[2] - ends[1]) / 2;
    for (uint64_t byte = 0; byte < size; byte++) {
        struct sim_disk *clone = sim_disk_clone(disk);
        sim_disk_flip(clone, "/manifest", (ends[1] + byte) * 8);
        sim_disk_flip(clone, "/manifest", (ends[2] - 1 - byte) * 8);
        for (int i = 0; i < 2; i++) {
            /* The second time again: the file is kept as it is. */
            size_t damage = 0;
            struct manifest *manifest;
            assert_int_equal(
                manifest_open(&manifest, os_on(&script, clone), "", count_damage, &damage, NULL),
                STATUS_OK);
            assert_true(damage >= 2);
            const struct manifest_state *seen = manifest_state(manifest);
            assert_int_equal(seen->next_file,
                             i == 1 && byte % 8 == 0 ? 300 + LARGE_EDIT : 300 + DECAY_EDITS - 1);
            /* However much is written to it. */
            if (byte % 8 == 0)
                assert_int_equal(commit_edit(manifest, LARGE_EDIT, NULL), STATUS_OK);
            manifest_close(manifest);
        }
        sim_disk_free(clone);
    }
    sim_disk_free(disk);
}

static void without_both_copies_of_the_first_record_the_store_is_not_opened(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    uint64_t ends[DECAY_EDITS + 1];
    struct sim_disk *disk = small_store(&script, ends);
    sim_disk_flip(disk, "/manifest", 8);
    sim_disk_flip(disk, "/manifest", ends[0] * 4 + 8);
    struct manifest *manifest;
    struct error err;
    assert_int_equal(manifest_open(&manifest, os_on(&script, disk), "", NULL, NULL, &err),
                     STATUS_CORRUPT);
    assert_non_null(strstr(err.message, "backup"));
    assert_null(manifest);
    sim_disk_free(disk);
}

static void a_cut_file_holds_the_edits_before_the_cut(void **state)
{
    (void)state;
    static struct script script;
    script_init(&script);
    uint64_t ends[DECAY_EDITS + 1];
    struct sim_disk *disk = small_store(&script, ends);
    for (uint64_t size = 0; size < ends[DECAY_EDITS]; size++) {
        struct sim_disk *clone = sim_disk_clone(disk);
        struct file *file;
        assert_int_equal(
            filesystem_open(sim_disk_filesystem(clone), "/manifest", FILE_READ_WRITE, &file, NULL),
            STATUS_OK);
        assert_int_equal(file_resize(file, size, NULL), STATUS_OK);
        file_close(file);
        struct manifest *manifest;
        enum status status = manifest_open(&manifest, os_on(&script, clone), "", NULL, NULL, NULL);
        assert_int_equal(status, size < ends[0] ? STATUS_CORRUPT : STATUS_OK);
        if (status == STATUS_OK) {
            long shown = find_state(&script, fingerprint(manifest_state(manifest)));
            assert_true(shown >= 0 && ends[shown] <= size && ends[shown + 1] > size);
            manifest_close(manifest);
        }
        sim_disk_free(clone);
    }
    sim_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_crash_leaves_all_that_was_committed),
        cmocka_unit_test(every_crash_leaves_all_that_was_committed_to_a_start_on_a_full_disk),
        cmocka_unit_test(the_log_is_written_anew_once_it_is_long),
        cmocka_unit_test(a_failed_write_changes_nothing_and_may_be_tried_again),
        cmocka_unit_test(after_a_failed_sync_nothing_is_committed_until_it_is_opened_anew),
        cmocka_unit_test(any_call_may_fail_once_and_nothing_committed_is_lost),
        cmocka_unit_test(suppressing_each_sync_is_noticed),
        cmocka_unit_test(a_flipped_bit_is_named_and_loses_no_edit),
        cmocka_unit_test(with_both_copies_damaged_only_that_edit_is_lost_and_named),
        cmocka_unit_test(without_both_copies_of_the_first_record_the_store_is_not_opened),
        cmocka_unit_test(a_cut_file_holds_the_edits_before_the_cut),
    };
    /* A pattern, for scripts/sync-sites. */
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    cmocka_set_skip_filter(getenv("METRIC_STORE_TEST_SKIP"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
