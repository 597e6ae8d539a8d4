/* Series segments as verify and inspect see them, in a store that names one. */
#include "../../test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "segment_model.h"
#include "storage/engine/engine.h"
#include "storage/engine/manifest.h"
#include "storage/engine/paths.h"

enum { SEGMENT = 5, SERIES = 400 };

struct store {
    char dir[64];
    char *path; /* of the segment */
    struct segment_model model;
    struct series_segment_stats stats;
};

static void make_folder(const struct store *store, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s%s", store->dir, name);
    assert_int_equal(filesystem_make_directory(filesystem_posix(), path, NULL), STATUS_OK);
}

static void store_init(struct store *store)
{
    struct manifest *manifest;
    struct manifest_edit edit;
    struct error err;
    snprintf(store->dir, sizeof store->dir, "/tmp/series_segment_store_test.XXXXXX");
    assert_non_null(mkdtemp(store->dir));
    make_folder(store, "/index");
    make_folder(store, "/parts");
    make_folder(store, "/wal");
    if (manifest_open(&manifest, os_system(), store->dir, NULL, NULL, &err) != STATUS_OK)
        test_fail("%s", err.message);
    segment_model_init(&store->model, manifest_state(manifest)->secret);
    segment_model_fill(&store->model, 4, SERIES, 0, 900, false);
    segment_model_finish(&store->model);
    store->path = path_of_segment(store->dir, SEGMENT);
    assert_int_equal(segment_model_write(&store->model, filesystem_posix(), store->path, SEGMENT,
                                         &store->stats, NULL),
                     STATUS_OK);
    manifest_edit_init(&edit);
    manifest_add_segment(&edit, &(struct manifest_segment){.id = SEGMENT,
                                                           .kind = SEGMENT_INDEX,
                                                           .entries = SERIES,
                                                           .bytes = store->stats.bytes});
    manifest_set_next_file(&edit, SEGMENT + 1);
    assert_int_equal(manifest_commit(manifest, &edit, NULL), STATUS_OK);
    manifest_edit_release(&edit);
    manifest_close(manifest);
}

static void store_release(struct store *store)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", store->dir);
    assert_int_equal(system(command), 0);
    free(store->path);
    segment_model_release(&store->model);
}

static void flip(const struct store *store, uint64_t offset)
{
    struct file *file;
    uint8_t byte;
    assert_int_equal(filesystem_open(filesystem_posix(), store->path, FILE_READ_WRITE, &file, NULL),
                     STATUS_OK);
    assert_int_equal(file_read_exactly(file, &byte, 1, offset, NULL), STATUS_OK);
    byte ^= 4;
    assert_int_equal(file_write(file, &byte, 1, offset, NULL), STATUS_OK);
    file_close(file);
}

/* ---- verify ----------------------------------------------------------------------------- */

struct findings {
    const struct store *store;
    size_t damage, leftovers;
    char text[512]; /* the first */
};

static void see_finding(void *context, enum engine_finding kind, const char *path, const char *text)
{
    struct findings *findings = context;
    if (kind != ENGINE_DAMAGE) {
        findings->leftovers++;
        return;
    }
    assert_string_equal(path, findings->store->path);
    if (findings->damage++ == 0)
        snprintf(findings->text, sizeof findings->text, "%s", text);
}

static struct findings verify(const struct store *store)
{
    struct findings findings = {.store = store};
    struct engine_verify_result result;
    struct error err;
    if (engine_verify(os_system(), store->dir, see_finding, NULL, &findings, &result, &err) !=
        STATUS_OK)
        test_fail("%s", err.message);
    if (findings.damage == 0)
        assert_int_equal(result.series, SERIES);
    assert_int_equal(findings.leftovers, 0);
    return findings;
}

static void a_store_with_a_series_segment_verifies(void **state)
{
    (void)state;
    struct store store;
    store_init(&store);
    assert_int_equal(verify(&store).damage, 0);
    store_release(&store);
}

static void verify_names_what_is_damaged_in_a_series_segment(void **state)
{
    (void)state;
    struct store store;
    store_init(&store);
    const struct {
        uint64_t offset;
        const char *told;
    } cases[] = {
        {3, "the header is damaged"},
        {60, "definitions of 256 series, ids "},
        {store.stats.bytes - 10, "it does not end as a series segment does"},
        {store.stats.bytes - 160, "ids at offset"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        flip(&store, cases[i].offset);
        struct findings findings = verify(&store);
        assert_true(findings.damage > 0);
        if (strstr(findings.text, cases[i].told) == NULL)
            test_fail("%s", findings.text);
        flip(&store, cases[i].offset);
    }
    assert_int_equal(unlink(store.path), 0);
    assert_non_null(strstr(verify(&store).text, "and it is missing"));
    store_release(&store);
}

static void verify_finds_another_segment_in_the_place_of_one(void **state)
{
    (void)state;
    struct store store;
    store_init(&store);
    assert_int_equal(unlink(store.path), 0);
    struct series_segment_stats stats;
    assert_int_equal(segment_model_write(&store.model, filesystem_posix(), store.path, SEGMENT + 1,
                                         &stats, NULL),
                     STATUS_OK);
    assert_non_null(strstr(verify(&store).text, "it is segment 6, where segment 5 is expected"));
    store_release(&store);
}

/* ---- inspect ---------------------------------------------------------------------------- */

static enum status see_text(void *context, struct slice text, struct error *err)
{
    (void)err;
    return bytes_append(context, text.data, text.size);
}

static enum status inspect(const struct store *store, bool json, bool details, struct bytes *text,
                           bool *damaged, struct error *err)
{
    struct engine_inspect_options options = {.json = json, .details = details};
    bytes_init(text, 1 << 20);
    enum status status =
        engine_inspect(os_system(), store->path, &options, see_text, text, damaged, err);
    assert_int_equal(bytes_append(text, "", 1), STATUS_OK);
    return status;
}

static void inspect_shows_a_series_segment(void **state)
{
    (void)state;
    struct store store;
    struct bytes text;
    bool damaged = true;
    store_init(&store);
    assert_int_equal(inspect(&store, true, false, &text, &damaged, NULL), STATUS_OK);
    assert_false(damaged);
    char *json = (char *)text.data;
    assert_non_null(strstr(json, "{\"kind\":\"series segment\",\"id\":5,\"series\":400,"));
    assert_non_null(strstr(json, "\"damaged\":0,\"damage\":[]}\n"));
    bytes_release(&text);
    assert_int_equal(inspect(&store, false, true, &text, &damaged, NULL), STATUS_OK);
    size_t lines = 0;
    for (const char *at = (char *)text.data; (at = strstr(at, "series id=")) != NULL; at++)
        lines++;
    assert_int_equal(lines, SERIES);
    assert_non_null(strstr((char *)text.data, "labels={\"__name__\"=\"metric_"));
    assert_non_null(strstr((char *)text.data, "metric id="));
    bytes_release(&text);
    store_release(&store);
}

static void inspect_shows_what_is_left_of_a_damaged_series_segment(void **state)
{
    (void)state;
    struct store store;
    struct bytes text;
    struct error err;
    bool damaged = false;
    store_init(&store);
    flip(&store, 0);  /* the header: the end of the file tells what it is */
    flip(&store, 60); /* the first page of definitions */
    assert_int_equal(inspect(&store, false, true, &text, &damaged, NULL), STATUS_OK);
    assert_true(damaged);
    assert_non_null(strstr((char *)text.data, "definitions of 256 series, ids "));
    size_t lines = 0;
    for (const char *at = (char *)text.data; (at = strstr(at, "\nseries id=")) != NULL; at++)
        lines++;
    assert_int_equal(lines, SERIES - 256);
    bytes_release(&text);
    flip(&store, 0);
    flip(&store, store.stats.bytes - 1);
    assert_int_equal(inspect(&store, false, true, &text, &damaged, &err), STATUS_CORRUPT);
    assert_non_null(strstr(err.message, "trailer checksum differs"));
    bytes_release(&text);
    store_release(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_with_a_series_segment_verifies),
        cmocka_unit_test(verify_names_what_is_damaged_in_a_series_segment),
        cmocka_unit_test(verify_finds_another_segment_in_the_place_of_one),
        cmocka_unit_test(inspect_shows_a_series_segment),
        cmocka_unit_test(inspect_shows_what_is_left_of_a_damaged_series_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
