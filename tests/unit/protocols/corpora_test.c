/*
 * Documents of other projects, which are not part of this one: the directory METRIC_STORE_CORPORA,
 * else shared/corpora beside the source tree. Skipped where it is missing.
 */
#include "exposition_helper.h"

#include <dirent.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096 };

static void corpora_path(char path[PATH_SIZE], const char *name)
{
    const char *root = getenv("METRIC_STORE_CORPORA");
    struct stat info;
    if (root != NULL)
        snprintf(path, PATH_SIZE, "%s/%s", root, name);
    else
        snprintf(path, PATH_SIZE, "%s/../shared/corpora/%s", METRIC_STORE_SOURCE_ROOT, name);
    if (stat(path, &info) != 0) {
        print_message("%s is missing\n", path);
        skip();
    }
}

static struct slice read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        print_error("%s\n", path);
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    uint8_t *data = malloc((size_t)size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, file), (size_t)size);
    data[size] = 0;
    fclose(file);
    return slice_of(data, (size_t)size);
}

static void release_whole(struct slice whole)
{
    free((void *)whole.data);
}

typedef void entry_check(const char *path);

static size_t each_entry(const char *directory, entry_check *check)
{
    DIR *entries = opendir(directory);
    assert_non_null(entries);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        char path[PATH_SIZE];
        assert_true(snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) < PATH_SIZE);
        check(path);
        count++;
    }
    closedir(entries);
    return count;
}

/* One of the document's, or the one on which its end is missing. */
static void assert_names_a_line(struct slice body, const char *message)
{
    unsigned line = 0;
    unsigned lines = 1;
    for (size_t i = 0; i < body.size; i++)
        lines += body.data[i] == '\n';
    assert_int_equal(sscanf(message, "line %u: ", &line), 1);
    assert_in_range(line, 1, lines);
}

static void openmetrics_case(const char *directory)
{
    char path[PATH_SIZE];
    assert_true(snprintf(path, sizeof path, "%s/test.json", directory) < PATH_SIZE);
    struct slice about = read_whole(path);
    bool should_parse = strstr((const char *)about.data, "\"shouldParse\": true") != NULL;
    assert_true(should_parse || strstr((const char *)about.data, "\"shouldParse\": false") != NULL);
    release_whole(about);
    assert_true(snprintf(path, sizeof path, "%s/metrics", directory) < PATH_SIZE);
    struct slice body = read_whole(path);
    struct parsed parsed;
    parse_with(&parsed, body, true, TEST_ARENA_MAX);
    if ((parsed.status == STATUS_OK) != should_parse)
        print_error("%s: %s\n", path, parsed.err.message);
    assert_int_equal(parsed.status, should_parse ? STATUS_OK : STATUS_INVALID);
    if (should_parse)
        assert_int_equal(invalid_series(&parsed.batch), 0);
    else
        assert_names_a_line(body, parsed.err.message);
    parsed_release(&parsed);
    release_whole(body);
}

static void openmetrics_conformance_documents_get_their_verdict(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    corpora_path(path, "openmetrics");
    assert_true(each_entry(path, openmetrics_case) > 100);
}

/* The string that `key` has in a line of JSON, with \u00xx as one byte. */
static bool json_text(const char *line, const char *key, uint8_t *to, size_t *size)
{
    const char *at = strstr(line, key);
    if (at == NULL)
        return false;
    *size = 0;
    for (at += strlen(key); *at != '"'; at++) {
        uint8_t byte = (uint8_t)*at;
        if (byte == '\\') {
            byte = (uint8_t) * ++at;
            if (byte == 'u') {
                unsigned code;
                assert_int_equal(sscanf(at + 1, "%4x", &code), 1);
                assert_true(code < 256);
                byte = (uint8_t)code;
                at += 4;
            } else if (byte == 'n' || byte == 't' || byte == 'r') {
                byte = byte == 'n' ? '\n' : byte == 't' ? '\t' : '\r';
            }
        }
        to[(*size)++] = byte;
    }
    return true;
}

static void prometheus_parser_cases_get_their_verdict(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    corpora_path(path, "prometheus_text/parse_error_cases.jsonl");
    struct slice whole = read_whole(path);
    uint8_t *body = malloc(whole.size);
    assert_non_null(body);
    size_t cases = 0;
    char *rest = NULL;
    for (char *line = strtok_r((char *)whole.data, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        size_t size;
        assert_true(json_text(line, "\"input\": \"", body, &size) ||
                    json_text(line, "\"input_latin1\": \"", body, &size));
        bool ok = strstr(line, "\"ok\": true") != NULL;
        bool openmetrics = strstr(line, "\"format\": \"openmetrics\"") != NULL;
        struct parsed parsed;
        parse_with(&parsed, slice_of(body, size), openmetrics, TEST_ARENA_MAX);
        bool accepted = parsed.status == STATUS_OK && parsed.batch.rejected == 0 &&
                        invalid_series(&parsed.batch) == 0;
        /* A NUL byte in a label is the one thing that Prometheus takes and we refuse:
         * labels_canonicalise says why. */
        if (memchr(body, 0, size) != NULL)
            ok = false;
        if (accepted != ok)
            print_error("%s\n%s\n", line, parsed.err.message);
        assert_int_equal(accepted, ok);
        parsed_release(&parsed);
        cases++;
    }
    assert_true(cases > 80);
    free(body);
    release_whole(whole);
}

/* As many samples as there are lines that are no remark. */
static void accept_text(const char *path)
{
    struct slice body = read_whole(path);
    size_t samples = 0;
    for (size_t i = 0; i < body.size; i++)
        if (i == 0 || body.data[i - 1] == '\n')
            samples += body.data[i] != '#' && body.data[i] != '\n';
    struct parsed parsed;
    parse_with(&parsed, body, false, TEST_ARENA_MAX);
    if (parsed.batch.rejected != 0)
        print_error("%s: %.*s\n", path, SLICE_FORMAT(parsed.batch.rejections[0].message));
    assert_int_equal(parsed.status, STATUS_OK);
    assert_int_equal(parsed.batch.rejected, 0);
    assert_int_equal(parsed.batch.sample_count, samples);
    assert_int_equal(invalid_series(&parsed.batch), 0);
    parsed_release(&parsed);
    release_whole(body);
}

static void texts_of_exporters_are_read_whole(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    corpora_path(path, "node_exporter");
    assert_true(each_entry(path, accept_text) > 0);
    corpora_path(path, "cadvisor");
    assert_true(each_entry(path, accept_text) > 0);
    corpora_path(path, "prometheus_text/alltypes.237mfs.prom.txt");
    accept_text(path);
    corpora_path(path, "prometheus_text/alltypes.237mfs.nometa.prom.txt");
    accept_text(path);
}

/* What Prometheus refuses is refused; duplicate names are found when labels are decoded. The
 * others are errors only to a reader that builds families. */
static void format_fuzz_case(const char *path)
{
    static const char *const refused[] = {"_2",  "_3",  "_4",  "_5",  "_6",  "_8", "_9",
                                          "_10", "_11", "_15", "_16", "_17", "_18"};
    const char *error = strstr(path, "parse_error");
    bool want = false;
    for (size_t i = 0; error != NULL && i < sizeof refused / sizeof refused[0]; i++)
        want |= strcmp(error + strlen("parse_error"), refused[i]) == 0;
    struct slice body = read_whole(path);
    struct parsed parsed;
    parse_with(&parsed, body, false, TEST_ARENA_MAX);
    bool got = parsed.batch.rejected > 0 || invalid_series(&parsed.batch) > 0;
    if (got != want)
        print_error("%s\n", path);
    assert_int_equal(parsed.status, STATUS_OK);
    assert_int_equal(got, want);
    parsed_release(&parsed);
    release_whole(body);
}

static void inputs_of_the_format_fuzzer_get_their_verdict(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    corpora_path(path, "prometheus_text/common_expfmt_fuzz");
    assert_true(each_entry(path, format_fuzz_case) > 20);
}

/* The client's histogram has buckets below zero together with a sum, which OpenMetrics forbids and
 * its conformance documents refuse (bad_histograms_3). */
static void openmetrics_of_clients_is_read_as_far_as_it_conforms(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    corpora_path(path, "prometheus_text/1histogram.om.txt");
    struct slice body = read_whole(path);
    struct parsed parsed;
    parse_with(&parsed, body, true, TEST_ARENA_MAX);
    assert_int_equal(parsed.status, STATUS_OK);
    assert_int_equal(parsed.batch.sample_count, 42);
    parsed_release(&parsed);
    release_whole(body);
    corpora_path(path, "prometheus_text/alltypes.5mfs.om.txt");
    body = read_whole(path);
    parse_with(&parsed, body, true, TEST_ARENA_MAX);
    assert_int_equal(parsed.status, STATUS_INVALID);
    parsed_release(&parsed);
    release_whole(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openmetrics_conformance_documents_get_their_verdict),
        cmocka_unit_test(prometheus_parser_cases_get_their_verdict),
        cmocka_unit_test(texts_of_exporters_are_read_whole),
        cmocka_unit_test(inputs_of_the_format_fuzzer_get_their_verdict),
        cmocka_unit_test(openmetrics_of_clients_is_read_as_far_as_it_conforms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
