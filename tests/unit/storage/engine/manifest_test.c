#include "../../test.h"

#include "base/bits.h"
#include "base/hash.h"
#include "os/os.h"
#include "storage/engine/manifest.h"

#include "golden.h"

#include <unistd.h>

static const int64_t golden_created_ms = 1700000000123;

/* Random bytes that are the same in each run, and a clock that stands. */
static void fill_same(struct random *random, void *to, size_t size)
{
    (void)random;
    memset(to, 0x5a, size);
}

static int64_t standing_ms(struct clock *clock)
{
    (void)clock;
    return golden_created_ms;
}

static struct os os_same(void)
{
    static const struct random_ops random_ops = {.fill = fill_same};
    static const struct clock_ops clock_ops = {.wall_ms = standing_ms};
    static struct random random = {&random_ops};
    static struct clock clock = {&clock_ops};
    struct os os = os_system();
    os.random = &random;
    os.clock = &clock;
    return os;
}

struct place {
    char dir[64];
    char path[80];
};

static void place_init(struct place *place)
{
    snprintf(place->dir, sizeof place->dir, "/tmp/manifest_test.XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    snprintf(place->path, sizeof place->path, "%s/manifest", place->dir);
}

static void place_release(struct place *place)
{
    (void)unlink(place->path);
    (void)rmdir(place->dir);
}

static struct manifest *must_open(const struct place *place)
{
    struct manifest *manifest;
    struct error err;
    if (manifest_open(&manifest, os_same(), place->dir, NULL, NULL, &err) != STATUS_OK)
        test_fail("%s", err.message);
    return manifest;
}

static const struct manifest_part golden_parts[] = {
    {.id = 7, .day = -1, .min_sequence = 4, .max_sequence = 4, .min_ms = -86400000, .max_ms = -1},
    {.id = 3,
     .day = 19000,
     .min_sequence = 1,
     .max_sequence = 2,
     .level = 2,
     .samples = UINT64_MAX,
     .bytes = 1 << 20,
     .min_ms = INT64_MIN,
     .max_ms = INT64_MAX},
    {.id = 5, .day = 19000, .min_sequence = 3, .max_sequence = 3, .samples = 1, .bytes = 99},
};
static const struct manifest_segment golden_segments[] = {
    {.id = 4, .kind = SEGMENT_SERIES, .entries = 1000, .bytes = 4000},
    {.id = 6, .kind = SEGMENT_METRICS, .entries = 10, .bytes = 400},
};

static void commit(struct manifest *manifest, struct manifest_edit *edit, enum status wanted)
{
    struct error err = {0};
    assert_int_equal(manifest_commit(manifest, edit, &err), wanted);
    assert_true(wanted == STATUS_OK || err.message[0] != '\0');
    manifest_edit_release(edit);
    manifest_edit_init(edit);
}

/* Three edits: the last removes a part and a segment of the first. */
static void make_golden(struct manifest *manifest)
{
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    struct manifest_part part = golden_parts[2];
    part.id = 1;
    manifest_add_part(&edit, &golden_parts[2]);
    manifest_add_part(&edit, &part);
    manifest_add_segment(&edit, &(struct manifest_segment){.id = 2, .kind = SEGMENT_SERIES});
    manifest_set_next_file(&edit, 6);
    commit(manifest, &edit, STATUS_OK);
    manifest_add_part(&edit, &golden_parts[1]);
    manifest_add_part(&edit, &golden_parts[0]);
    manifest_add_segment(&edit, &golden_segments[0]);
    commit(manifest, &edit, STATUS_OK);
    manifest_remove_part(&edit, 1);
    manifest_remove_segment(&edit, 2);
    manifest_add_segment(&edit, &golden_segments[1]);
    manifest_set_flushed(&edit, UINT64_C(1) << 40, 4);
    manifest_set_next_file(&edit, 8);
    commit(manifest, &edit, STATUS_OK);
    manifest_edit_release(&edit);
}

static void check_golden(const struct manifest_state *state)
{
    assert_int_equal(state->secret, UINT64_C(0x5a5a5a5a5a5a5a5a));
    for (int i = 0; i < 16; i++)
        assert_int_equal(state->store_id[i], 0x5a);
    assert_int_equal(state->created_ms, golden_created_ms);
    assert_int_equal(state->log_position, UINT64_C(1) << 40);
    assert_int_equal(state->last_sequence, 4);
    assert_int_equal(state->next_file, 8);
    assert_int_equal(state->part_count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct manifest_part *part = &state->parts[i];
        assert_int_equal(part->id, golden_parts[i].id);
        assert_int_equal(part->day, golden_parts[i].day);
        assert_int_equal(part->min_sequence, golden_parts[i].min_sequence);
        assert_int_equal(part->max_sequence, golden_parts[i].max_sequence);
        assert_int_equal(part->level, golden_parts[i].level);
        assert_int_equal(part->samples, golden_parts[i].samples);
        assert_int_equal(part->bytes, golden_parts[i].bytes);
        assert_int_equal(part->min_ms, golden_parts[i].min_ms);
        assert_int_equal(part->max_ms, golden_parts[i].max_ms);
    }
    assert_int_equal(state->segment_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(state->segments[i].id, golden_segments[i].id);
        assert_int_equal(state->segments[i].kind, golden_segments[i].kind);
        assert_int_equal(state->segments[i].entries, golden_segments[i].entries);
        assert_int_equal(state->segments[i].bytes, golden_segments[i].bytes);
    }
}

static void read_file(const struct place *place, struct bytes *to)
{
    bytes_init(to, 64 << 20);
    assert_int_equal(filesystem_read_all(filesystem_posix(), place->path, to, NULL), STATUS_OK);
}

static void no_damage(void *context, const char *description)
{
    (void)context;
    test_fail("%s", description);
}

static void the_golden_manifest_is_read_and_written_as_ever(void **state)
{
    (void)state;
    struct place place;
    struct bytes file, golden;
    place_init(&place);
    struct manifest *manifest = must_open(&place);
    make_golden(manifest);
    check_golden(manifest_state(manifest));
    manifest_close(manifest);
    read_file(&place, &file);
    golden_write("store-v1/manifest", bytes_slice(&file));
    bytes_init(&golden, 1 << 20);
    golden_read("store-v1/manifest", &golden);
    assert_true(slice_equal(bytes_slice(&file), bytes_slice(&golden)));
    struct manifest_state seen;
    assert_int_equal(
        manifest_verify(os_same(), GOLDEN_DIRECTORY "/store-v1", no_damage, NULL, &seen, NULL),
        STATUS_OK);
    check_golden(&seen);
    manifest_state_release(&seen);
    bytes_release(&file);
    bytes_release(&golden);
    place_release(&place);
}

/* ---- a second reader, from docs/formats/manifest.md ----------------------------------------- */

static void the_golden_manifest_is_what_its_document_says(void **state)
{
    (void)state;
    /* tag, then fields, of all items in order; removals and all */
    static const uint8_t wanted_tags[] = {1, 6, 7, 2, 2, 4, 7, 2, 2, 4, 3, 5, 4, 6, 7};
    static const uint8_t field_counts[] = {0, 5, 9, 1, 4, 1, 2, 1};
    struct bytes golden;
    bytes_init(&golden, 1 << 20);
    golden_read("store-v1/manifest", &golden);
    size_t at = 0;
    size_t items = 0;
    for (uint64_t record = 0; at < golden.size; record++) {
        const uint8_t *data = golden.data + at;
        uint32_t size = load_u32(data + 4);
        assert_int_equal(load_u32(data), crc32c(0, data + 4, size + 12));
        assert_int_equal(load_u64(data + 8), 1 + record);
        assert_memory_equal(data, data + 16 + size, 16 + size);
        const uint8_t *end = data + 16 + size;
        if (record == 0) {
            assert_int_equal((16 + size) % 4096, 0);
            while (end[-1] == 14)
                end--;
        }
        for (const uint8_t *item = data + 16; item < end; items++) {
            uint64_t tag = 0, field = 0;
            item = varint_get(item, end, &tag);
            assert_non_null(item);
            assert_true(items < sizeof wanted_tags);
            assert_int_equal(tag, wanted_tags[items]);
            for (int i = 0; i < field_counts[tag]; i++) {
                item = varint_get(item, end, &field);
                assert_non_null(item);
                if (items == 0 && i == 0)
                    assert_int_equal(field, 1); /* format version */
                if (items == 3 && i == 0)
                    assert_int_equal(field, 5); /* the first part's id */
                if (items == 8 && i == 1)
                    assert_int_equal(zigzag_decode(field), -1); /* a day before 1970 */
            }
        }
        at += 2 * (16 + (size_t)size);
    }
    assert_int_equal(at, golden.size);
    assert_int_equal(items, sizeof wanted_tags);
    bytes_release(&golden);
}

static void a_lost_sector_costs_no_edit_of_a_start(void **state)
{
    (void)state;
    enum { SECTOR = 4096 };
    static const uint8_t nothing[SECTOR];
    struct place place;
    struct bytes file;
    place_init(&place);
    struct manifest *manifest = must_open(&place);
    make_golden(manifest);
    manifest_close(manifest);
    manifest_close(must_open(&place));
    read_file(&place, &file);
    assert_int_equal(file.size % SECTOR, 0);
    for (size_t at = 0; at < file.size; at += SECTOR) {
        FILE *to = fopen(place.path, "r+b");
        assert_non_null(to);
        assert_int_equal(fseek(to, (long)at, SEEK_SET), 0);
        assert_int_equal(fwrite(nothing, 1, SECTOR, to), SECTOR);
        assert_int_equal(fclose(to), 0);
        manifest = must_open(&place);
        check_golden(manifest_state(manifest));
        assert_false(manifest_state(manifest)->edits_lost);
        manifest_close(manifest);
    }
    bytes_release(&file);
    place_release(&place);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void a_store_keeps_its_identity_when_it_is_opened_again(void **state)
{
    (void)state;
    struct place place;
    place_init(&place);
    struct manifest *manifest = must_open(&place);
    make_golden(manifest);
    manifest_close(manifest);
    for (int i = 0; i < 3; i++) {
        manifest = must_open(&place);
        check_golden(manifest_state(manifest));
        manifest_close(manifest);
    }
    place_release(&place);
}

static void an_edit_that_removes_what_is_not_there_changes_nothing(void **state)
{
    (void)state;
    struct place place;
    place_init(&place);
    struct manifest *manifest = must_open(&place);
    make_golden(manifest);
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    manifest_remove_part(&edit, 3);
    manifest_set_next_file(&edit, 99);
    manifest_remove_part(&edit, 3);
    commit(manifest, &edit, STATUS_CORRUPT);
    manifest_remove_segment(&edit, 99);
    commit(manifest, &edit, STATUS_CORRUPT);
    check_golden(manifest_state(manifest));
    manifest_close(manifest);
    manifest = must_open(&place);
    check_golden(manifest_state(manifest));
    manifest_edit_release(&edit);
    manifest_close(manifest);
    place_release(&place);
}

static void an_empty_edit_is_an_edit(void **state)
{
    (void)state;
    struct place place;
    place_init(&place);
    struct manifest *manifest = must_open(&place);
    make_golden(manifest);
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    commit(manifest, &edit, STATUS_OK);
    manifest_edit_release(&edit);
    manifest_close(manifest);
    manifest = must_open(&place);
    check_golden(manifest_state(manifest));
    manifest_close(manifest);
    place_release(&place);
}

static void append_raw(const struct place *place, const uint8_t *payload, uint32_t size,
                       uint64_t number)
{
    uint8_t record[64];
    store_u32(record + 4, size);
    store_u64(record + 8, number);
    memcpy(record + 16, payload, size);
    store_u32(record, crc32c(0, record + 4, size + 12));
    FILE *file = fopen(place->path, "ab");
    assert_non_null(file);
    for (int copy = 0; copy < 2; copy++)
        assert_int_equal(fwrite(record, 1, 16 + size, file), 16 + size);
    assert_int_equal(fclose(file), 0);
}

static void a_manifest_of_a_newer_version_is_refused_and_left_alone(void **state)
{
    (void)state;
    static const uint8_t unknown_tag[] = {100, 1, 2, 3};
    static const uint8_t version_2[] = {1, 2, 0, 0, 0, 0};
    for (int i = 0; i < 2; i++) {
        struct place place;
        struct bytes before, after;
        place_init(&place);
        manifest_close(must_open(&place));
        append_raw(&place, i == 0 ? unknown_tag : version_2, i == 0 ? 4 : 6, 2);
        read_file(&place, &before);
        struct manifest *manifest;
        struct error err;
        assert_int_equal(manifest_open(&manifest, os_same(), place.dir, NULL, NULL, &err),
                         STATUS_UNSUPPORTED);
        assert_non_null(strstr(err.message, "newer version"));
        read_file(&place, &after);
        assert_true(slice_equal(bytes_slice(&before), bytes_slice(&after)));
        bytes_release(&before);
        bytes_release(&after);
        place_release(&place);
    }
}

static void a_file_of_something_else_is_corrupt_and_left_alone(void **state)
{
    (void)state;
    struct place place;
    place_init(&place);
    FILE *file = fopen(place.path, "wb");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fprintf(file, "this is no manifest %d\n", i);
    assert_int_equal(fclose(file), 0);
    struct manifest *manifest;
    struct error err;
    assert_int_equal(manifest_open(&manifest, os_same(), place.dir, NULL, NULL, &err),
                     STATUS_CORRUPT);
    assert_non_null(strstr(err.message, "backup"));
    struct manifest_state seen;
    assert_int_equal(manifest_verify(os_same(), place.dir, NULL, NULL, &seen, &err),
                     STATUS_CORRUPT);
    struct bytes after;
    read_file(&place, &after);
    assert_true(after.size > 20000);
    bytes_release(&after);
    place_release(&place);
}

static void without_a_directory_nothing_is_opened(void **state)
{
    (void)state;
    struct manifest *manifest;
    struct error err;
    assert_int_equal(manifest_open(&manifest, os_same(), "/nowhere/at/all", NULL, NULL, &err),
                     STATUS_NOT_FOUND);
    assert_null(manifest);
    assert_non_null(strstr(err.message, "/nowhere/at/all"));
}

static void the_tier_of_a_part_and_what_was_cleaned_of_it_are_kept(void **state)
{
    (void)state;
    struct place place;
    place_init(&place);
    struct manifest *manifest = must_open(&place);
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    struct manifest_part part = {.id = 1, .day = 7, .min_sequence = 1, .max_sequence = 1};
    manifest_add_part(&edit, &part);
    part = (struct manifest_part){.id = 2, .day = 7, .min_sequence = 2, .max_sequence = 3};
    part.tier = PART_WARM;
    part.cleaned = 99;
    manifest_add_part(&edit, &part);
    commit(manifest, &edit, STATUS_OK);
    manifest_edit_release(&edit);
    /* As it was appended, and as it is written anew at each opening. */
    for (int i = 0; i < 3; i++) {
        const struct manifest_state *now = manifest_state(manifest);
        assert_int_equal(now->part_count, 2);
        assert_int_equal(now->parts[0].tier, PART_HOT);
        assert_int_equal(now->parts[1].tier, PART_WARM);
        assert_int_equal(now->parts[0].cleaned, 0);
        assert_int_equal(now->parts[1].cleaned, 99);
        manifest_close(manifest);
        manifest = must_open(&place);
    }
    manifest_close(manifest);
    place_release(&place);
}

static void the_time_is_kept_until_another_is_told(void **state)
{
    (void)state;
    struct place place;
    place_init(&place);
    struct manifest *manifest = must_open(&place);
    assert_int_equal(manifest_state(manifest)->time_ms, 0);
    const int64_t times[] = {1750000000000, -5, 1750000000001};
    for (size_t i = 0; i < 3; i++) {
        struct manifest_edit edit;
        manifest_edit_init(&edit);
        manifest_set_time(&edit, times[i]);
        commit(manifest, &edit, STATUS_OK);
        manifest_edit_release(&edit);
        manifest_close(manifest);
        manifest = must_open(&place);
        assert_int_equal(manifest_state(manifest)->time_ms, times[i]);
    }
    manifest_close(manifest);
    place_release(&place);
}

static void count_damage(void *context, const char *description)
{
    assert_non_null(strstr(description, "lost"));
    ++*(unsigned *)context;
}

static void lost_frames_of_the_log_are_noted_until_that_is_taken_back(void **state)
{
    (void)state;
    struct place place;
    place_init(&place);
    struct manifest *manifest = must_open(&place);
    static const uint64_t ranges[][2] = {{5000, 6000}, {4096, 9000}, {0, 0}};
    for (size_t i = 0; i < 3; i++) {
        struct manifest_edit edit;
        manifest_edit_init(&edit);
        manifest_note_log_lost(&edit, ranges[i][0], ranges[i][1]);
        commit(manifest, &edit, STATUS_OK);
        for (int starts = 0; starts < 3; starts++) {
            assert_true(manifest_state(manifest)->log_lost_from == ranges[i][0]);
            assert_true(manifest_state(manifest)->log_lost_to == ranges[i][1]);
            manifest_close(manifest);
            manifest = must_open(&place); /* which writes it anew */
        }
    }
    manifest_close(manifest);
    place_release(&place);
}

static void that_edits_are_lost_is_kept_and_told_until_a_manifest_is_written_without_it(
    void **state)
{
    (void)state;
    struct place place;
    place_init(&place);
    struct manifest *manifest = must_open(&place);
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    manifest_note_lost(&edit);
    commit(manifest, &edit, STATUS_OK);
    assert_true(manifest_state(manifest)->edits_lost);
    manifest_close(manifest);
    struct manifest_state copy;
    for (int i = 0; i < 3; i++) {
        unsigned told = 0;
        struct error err;
        assert_int_equal(
            manifest_open(&manifest, os_system(), place.dir, count_damage, &told, &err), STATUS_OK);
        assert_int_equal(told, 1);
        assert_true(manifest_state(manifest)->edits_lost);
        manifest_edit_init(&edit);
        manifest_set_next_file(&edit, 10 + (uint64_t)i);
        commit(manifest, &edit, STATUS_OK);
        if (i == 2)
            assert_int_equal(manifest_state_copy(&copy, manifest_state(manifest), NULL), STATUS_OK);
        manifest_close(manifest);
    }
    /* As it is, and then without. */
    for (int lost = 1; lost >= 0; lost--) {
        copy.edits_lost = lost == 1;
        assert_int_equal(manifest_write(os_system(), place.dir, &copy, NULL), STATUS_OK);
        manifest = must_open(&place);
        assert_int_equal(manifest_state(manifest)->edits_lost, lost == 1);
        assert_int_equal(manifest_state(manifest)->next_file, 12);
        manifest_close(manifest);
    }
    manifest_state_release(&copy);
    place_release(&place);
}

static void what_is_assumed_of_a_manifest_that_was_opened_to_be_read_is_not_written(void **state)
{
    (void)state;
    struct place place;
    place_init(&place);
    manifest_close(must_open(&place));
    struct manifest *manifest;
    assert_int_equal(
        manifest_open_read_only(&manifest, os_system(), place.dir, no_damage, NULL, NULL),
        STATUS_OK);
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    manifest_add_part(&edit, &(struct manifest_part){.id = 7});
    assert_int_equal(manifest_assume(manifest, &edit, NULL), STATUS_OK);
    assert_int_equal(manifest_state(manifest)->part_count, 1);
    commit(manifest, &edit, STATUS_UNAVAILABLE);
    manifest_edit_init(&edit);
    manifest_remove_part(&edit, 8);
    assert_int_equal(manifest_assume(manifest, &edit, NULL), STATUS_CORRUPT);
    manifest_edit_release(&edit);
    assert_int_equal(manifest_state(manifest)->part_count, 1);
    manifest_close(manifest);
    manifest = must_open(&place);
    assert_int_equal(manifest_state(manifest)->part_count, 0);
    manifest_close(manifest);
    place_release(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_manifest_is_read_and_written_as_ever),
        cmocka_unit_test(the_golden_manifest_is_what_its_document_says),
        cmocka_unit_test(a_lost_sector_costs_no_edit_of_a_start),
        cmocka_unit_test(a_store_keeps_its_identity_when_it_is_opened_again),
        cmocka_unit_test(an_edit_that_removes_what_is_not_there_changes_nothing),
        cmocka_unit_test(an_empty_edit_is_an_edit),
        cmocka_unit_test(a_manifest_of_a_newer_version_is_refused_and_left_alone),
        cmocka_unit_test(a_file_of_something_else_is_corrupt_and_left_alone),
        cmocka_unit_test(without_a_directory_nothing_is_opened),
        cmocka_unit_test(the_tier_of_a_part_and_what_was_cleaned_of_it_are_kept),
        cmocka_unit_test(the_time_is_kept_until_another_is_told),
        cmocka_unit_test(lost_frames_of_the_log_are_noted_until_that_is_taken_back),
        cmocka_unit_test(
            that_edits_are_lost_is_kept_and_told_until_a_manifest_is_written_without_it),
        cmocka_unit_test(what_is_assumed_of_a_manifest_that_was_opened_to_be_read_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
