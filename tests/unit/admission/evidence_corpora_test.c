/*
 * What real exporters say is no finding. Of other projects, and not part of this one: the directory
 * METRIC_STORE_CORPORA, else shared/corpora beside the source tree, and the recording
 * METRIC_STORE_RECORDING, else shared/data/exporters-5s.txt.zst. Skipped where they are missing.
 */
#include "../test.h"

#include "../shared_files.h"

#include <dirent.h>
#include <zstd.h>

#include "admission/evidence.h"
#include "base/times.h"
#include "protocols/protocols.h"

enum { ARENA_MAX = 64 << 20, BUDGET = 16 << 20 };

static const int64_t start_ms = INT64_C(1795305600000);

/* With `instance` in place of the label of that name, where it is not NULL. */
static size_t note_batch(struct evidence *evidence, struct batch *batch, const char *instance,
                         int64_t now_ms)
{
    size_t noted = 0;
    for (size_t i = 0; i < batch->series_count; i++) {
        struct labels labels;
        struct label items[128];
        if (batch->decode_labels(batch->series[i].raw, batch->arena, &labels, NULL) != STATUS_OK ||
            labels.count >= 127)
            continue;
        memcpy(items, labels.items, labels.count * sizeof *items);
        labels.items = items;
        if (instance != NULL)
            items[labels.count++] =
                (struct label){slice_from_text("instance"), slice_from_text(instance)};
        if (labels_canonicalise(&labels, NULL) != STATUS_OK)
            continue;
        evidence_note(evidence, labels_metric_name(&labels), &labels, now_ms);
        noted++;
    }
    return noted;
}

static void assert_no_finding(const struct evidence *evidence, const char *of, int64_t now_ms)
{
    struct evidence_finding findings[10];
    size_t count = evidence_findings(evidence, now_ms, findings, 10);
    for (size_t i = 0; i < count; i++)
        print_error("%s: %s of %s, %.0f values as %s (%s)\n", of, findings[i].label,
                    findings[i].metric, findings[i].distinct, findings[i].examples[0],
                    shape_name(findings[i].shape));
    assert_int_equal(count, 0);
}

/* Between all that, a label that fills up is one. */
static void assert_a_leak_is_found(struct evidence *evidence, const char *metric, int64_t now_ms)
{
    for (int i = 0; i < 30; i++) {
        char value[32];
        snprintf(value, sizeof value, "/users/%d", 1000 + i);
        struct label item = {slice_from_text("path"), slice_from_text(value)};
        struct labels labels = {&item, 1};
        evidence_note(evidence, slice_from_text(metric), &labels, now_ms);
    }
    struct evidence_finding finding;
    assert_true(evidence_judge(evidence, slice_from_text(metric), slice_from_text("path"), now_ms,
                               &finding));
}

static size_t note_text(struct evidence *evidence, struct slice body, const char *instance,
                        int64_t now_ms)
{
    struct arena arena;
    struct batch batch;
    struct error err;
    arena_init(&arena, ARENA_MAX);
    batch_init(&batch, &arena, protocols_exposition_decode_labels, PROTOCOL_TAG_EXPOSITION);
    if (protocols_text_parse(body, now_ms, &batch, &err) != STATUS_OK)
        test_fail("%s", err.message);
    size_t noted = note_batch(evidence, &batch, instance, now_ms);
    arena_release(&arena);
    return noted;
}

/* The texts of a folder, from ten targets, one of which comes every few minutes. */
static size_t check_folder(const char *name)
{
    char corpora[PATH_SIZE], directory[PATH_SIZE + 32];
    corpora_path(corpora, "");
    snprintf(directory, sizeof directory, "%s/%s", corpora, name);
    struct evidence *evidence;
    assert_int_equal(evidence_new(&evidence, BUDGET, 1), STATUS_OK);
    DIR *entries = opendir(directory);
    assert_non_null(entries);
    size_t noted = 0;
    int64_t now_ms = start_ms;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        char path[PATH_SIZE + 512];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        struct slice body = read_whole(path);
        for (int target = 0; target < 10; target++, now_ms += 5 * MS_PER_MINUTE) {
            char instance[32];
            snprintf(instance, sizeof instance, "10.0.0.%d:9100", target);
            noted += note_text(evidence, body, instance, now_ms);
            assert_no_finding(evidence, path, now_ms);
        }
        free((void *)(uintptr_t)body.data);
    }
    closedir(entries);
    assert_a_leak_is_found(evidence, "http_requests_total", now_ms);
    evidence_free(evidence);
    return noted;
}

static void node_exporter_is_no_finding(void **state)
{
    (void)state;
    assert_in_range(check_folder("node_exporter"), 10000, 1000000);
}

static void cadvisor_is_no_finding(void **state)
{
    (void)state;
    assert_in_range(check_folder("cadvisor"), 5000, 1000000);
}

static enum status read_text(void *context, uint8_t *to, size_t capacity, size_t *size,
                             struct error *err)
{
    struct slice *rest = context;
    *size = rest->size < capacity ? rest->size : capacity;
    memcpy(to, rest->data, *size);
    *rest = slice_from(*rest, *size);
    (void)err;
    return STATUS_OK;
}

static struct slice unpacked(struct slice packed)
{
    enum { UNPACKED_MAX = 512 << 20 };
    uint8_t *text = malloc(UNPACKED_MAX);
    assert_non_null(text);
    size_t size = ZSTD_decompress(text, UNPACKED_MAX, packed.data, packed.size);
    assert_false(ZSTD_isError(size));
    free((void *)(uintptr_t)packed.data);
    return slice_of(text, size);
}

static void the_recording_is_no_finding(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    shared_path(path, "METRIC_STORE_RECORDING", "data/exporters-5s.txt.zst", "");
    struct slice text = unpacked(read_whole(path));
    struct slice rest = text;
    struct evidence *evidence;
    struct recording *recording;
    struct error err;
    assert_int_equal(evidence_new(&evidence, BUDGET, 1), STATUS_OK);
    if (recording_new(&recording, read_text, &rest, slice_from_text("import"), start_ms,
                      RECORDING_BUFFER_SIZE, &err) != STATUS_OK)
        test_fail("%s", err.message);
    size_t noted = 0;
    int64_t now_ms = start_ms;
    enum status status;
    do {
        struct arena arena;
        struct batch batch;
        arena_init(&arena, ARENA_MAX);
        status = recording_next(recording, &batch, &arena, &err);
        if (status == STATUS_OK && batch.sample_count > 0) {
            now_ms = batch.sample_times[0];
            noted += note_batch(evidence, &batch, NULL, now_ms);
        }
        arena_release(&arena);
    } while (status == STATUS_OK);
    if (status != STATUS_END)
        test_fail("%s", err.message);
    assert_true(noted > 100000);
    assert_no_finding(evidence, path, now_ms);
    assert_no_finding(evidence, path, start_ms);
    assert_a_leak_is_found(evidence, "http_requests_total", now_ms);
    recording_free(recording);
    evidence_free(evidence);
    free((void *)(uintptr_t)text.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_exporter_is_no_finding),
        cmocka_unit_test(cadvisor_is_no_finding),
        cmocka_unit_test(the_recording_is_no_finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
