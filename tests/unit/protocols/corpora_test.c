/*
 * Documents of other projects, which are not part of this one: the directory METRIC_STORE_CORPORA,
 * else shared/corpora beside the source tree. Skipped where it is missing.
 */
#include "exposition_helper.h"

#include <dirent.h>

#include "../shared_files.h"

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

/* Why each is refused: its name without bad_, and the whole reason. */
static const struct refusal {
    const char *name, *reason;
} refusals[] = {
    {"clashing_names_0", "line 2: this is the second # TYPE of \"a\""},
    {"clashing_names_2",
     "line 2: the name \"a_created\" already belongs to a family above; keep each family in "
     "one piece and its names to itself"},
    {"counter_values_0", "line 2: the value is NaN, which a total, count, sum or bucket cannot be"},
    {"counter_values_10",
     "line 2: the value is NaN, which a total, count, sum or bucket cannot be"},
    {"counter_values_12",
     "line 2: the value is below zero, which a total, count, sum or bucket cannot be"},
    {"counter_values_13",
     "line 2: the gaugehistogram \"a\" that begins here has a sum below zero and no bound "
     "below zero"},
    {"counter_values_15",
     "line 2: the value is NaN, which a total, count, sum or bucket cannot be"},
    {"counter_values_16",
     "line 2: the value is NaN, which a total, count, sum or bucket cannot be"},
    {"counter_values_5",
     "line 2: the value is below zero, which a total, count, sum or bucket cannot be"},
    {"counter_values_7",
     "line 2: the value is below zero, which a total, count, sum or bucket cannot be"},
    {"counter_values_9",
     "line 2: the histogram \"a\" that begins here has a bound below zero and a sum, which "
     "could then go down"},
    {"exemplar_timestamp_1",
     "line 2: column 25: a timestamp is expected here: seconds since 1970 as a decimal number"},
    {"exemplar_timestamp_2",
     "line 2: column 25: a timestamp is expected here: seconds since 1970 as a decimal number"},
    {"exemplars_0", "line 2: column 23: an exemplar is expected here: # {labels} value"},
    {"exemplars_4",
     "line 2: column 29: one space and a timestamp, or the end of the line, are expected after "
     "the value of an exemplar"},
    {"exemplars_5", "line 2: column 31: nothing may follow the timestamp of an exemplar"},
    {"exemplars_8",
     "line 2: column 30: a timestamp is expected here: seconds since 1970 as a decimal number"},
    {"exemplars_on_unallowed_metric_types_0",
     "line 2: this sample cannot have an exemplar: only totals of counters and buckets can"},
    {"exemplars_on_unallowed_samples_0",
     "line 2: this sample cannot have an exemplar: only totals of counters and buckets can"},
    {"exemplars_on_unallowed_samples_1",
     "line 2: this sample cannot have an exemplar: only totals of counters and buckets can"},
    {"exemplars_on_unallowed_samples_3",
     "line 2: this sample cannot have an exemplar: only totals of counters and buckets can"},
    {"grouping_or_ordering_0",
     "line 2: the histogram \"a\" that begins here has no bucket with le=\"+Inf\""},
    {"grouping_or_ordering_1", "line 3: column 25: a comma or a closing brace is expected here"},
    {"grouping_or_ordering_3",
     "line 3: the name \"a_sum\" already belongs to a family above; keep each family in one "
     "piece and its names to itself"},
    {"grouping_or_ordering_4",
     "line 3: the timestamp lies before the one above it, of the same labels"},
    {"grouping_or_ordering_6",
     "line 3: the timestamp lies before the one above it, of the same labels"},
    {"grouping_or_ordering_9",
     "line 3: of samples with the same labels, some have a timestamp and some have none"},
    {"help_1", "line 1: column 8: a metric name is expected here"},
    {"help_2", "line 1: column 9: one space and a text are expected after the name"},
    {"histograms_10", "line 4: the bucket counts less than the one before it"},
    {"histograms_11",
     "line 2: the histogram \"a\" that begins here has a count that differs from its bucket "
     "with le=\"+Inf\""},
    {"histograms_13",
     "line 2: the histogram \"a\" that begins here has a count that differs from its bucket "
     "with le=\"+Inf\""},
    {"histograms_2", "line 2: the histogram \"a\" that begins here has a count and no sum"},
    {"histograms_3",
     "line 2: the histogram \"a\" that begins here has a bound below zero and a sum, which "
     "could then go down"},
    {"histograms_5",
     "line 3: column 1: a line that begins with # is \"# TYPE NAME TYPE\", \"# HELP NAME "
     "TEXT\", \"# UNIT NAME UNIT\" or \"# EOF\"; remarks are not allowed"},
    {"histograms_8", "line 2: the gaugehistogram \"a\" that begins here has a sum and no count"},
    {"info_and_stateset_values_0", "line 2: the value of an info must be 1"},
    {"invalid_labels_0", "line 1: column 3: a label name is expected here"},
    {"invalid_labels_1", "line 1: column 3: a label name is expected here"},
    {"invalid_labels_2", "line 1: the label \"a\" is given twice"},
    {"invalid_labels_4", "line 1: column 3: a label name is expected here"},
    {"invalid_labels_6", "line 1: column 11: one space and a value are expected after the series"},
    {"invalid_labels_7", "line 1: column 13: a label value in double quotes is expected here"},
    {"invalid_labels_8", "line 1: column 10: a comma or a closing brace is expected here"},
    {"metadata",
     "line 1: column 1: a line that begins with # is \"# TYPE NAME TYPE\", \"# HELP NAME "
     "TEXT\", \"# UNIT NAME UNIT\" or \"# EOF\"; remarks are not allowed"},
    {"metadata_in_wrong_place_0",
     "line 3: the metadata of \"a\" stands behind its samples; it belongs before them"},
    {"metric_names_0", "line 1: column 1: a metric name is expected here"},
    {"metric_names_2",
     "line 1: column 2: this character cannot be in a plain name, which has letters, digits, _ "
     "and :; after the series, one space and a value are expected"},
    {"missing_equal_or_label_value_2", "line 1: column 4: '=' is expected after the label name"},
    {"missing_equal_or_label_value_3",
     "line 1: column 5: a label value in double quotes is expected here"},
    {"missing_or_extra_commas_2", "line 1: column 15: a label is expected after the comma"},
    {"missing_or_invalid_labels_for_a_type_1",
     "line 2: a summary's sample needs the label quantile, a number from 0 to 1"},
    {"missing_or_invalid_labels_for_a_type_2",
     "line 2: a summary's sample needs the label quantile, a number from 0 to 1"},
    {"missing_or_invalid_labels_for_a_type_6",
     "line 2: a bucket needs its bound as a number in the label le, infinity as \"+Inf\""},
    {"missing_or_invalid_labels_for_a_type_7",
     "line 2: a stateset's sample needs the label that bears the family's name"},
    {"missing_or_wrong_quotes_on_label_value_0",
     "line 1: column 5: a label value in double quotes is expected here"},
    {"missing_or_wrong_quotes_on_label_value_1",
     "line 1: column 10: the line ends inside a label value"},
    {"missing_value_0", "line 1: column 2: the line ends without a value"},
    {"missing_value_1", "line 1: column 2: the line ends without a value"},
    {"no_eof", "line 1: the document does not end with # EOF; it may have been cut off"},
    {"repeated_metadata_2",
     "line 1: column 10: a type is expected here: counter, gauge, histogram, gaugehistogram, "
     "summary, info, stateset or unknown"},
    {"stateset_info_values_0",
     "line 2: a stateset's sample needs the label that bears the family's name"},
    {"stateset_info_values_1",
     "line 2: \"a\" is of type info: the names of its samples end in _info"},
    {"stateset_info_values_2",
     "line 2: a stateset's sample needs the label that bears the family's name"},
    {"stateset_info_values_3",
     "line 2: \"a\" is of type info: the names of its samples end in _info"},
    {"text_after_eof_0", "line 3: nothing may follow # EOF"},
    {"timestamp_3",
     "line 1: column 5: a timestamp is expected here: seconds since 1970 as a decimal number"},
    {"timestamp_4",
     "line 1: column 5: a timestamp is expected here: seconds since 1970 as a decimal number"},
    {"timestamp_6",
     "line 1: column 4: one space and a timestamp, or the end of the line, are expected after "
     "the value"},
    {"timestamp_8",
     "line 1: column 5: a timestamp is expected here: seconds since 1970 as a decimal number"},
    {"type_1", "line 1: column 8: a metric name is expected here"},
    {"type_6",
     "line 1: column 10: a type is expected here: counter, gauge, histogram, gaugehistogram, "
     "summary, info, stateset or unknown"},
    {"type_7",
     "line 1: column 10: a type is expected here: counter, gauge, histogram, gaugehistogram, "
     "summary, info, stateset or unknown"},
    {"unit_0", "line 1: column 1: a line that begins with # is \"# TYPE NAME TYPE\", \"# HELP NAME "
               "TEXT\", \"# UNIT NAME UNIT\" or \"# EOF\"; remarks are not allowed"},
    {"unit_3", "line 1: column 9: one space and a text are expected after the name"},
    {"unit_4", "line 1: the name \"a\" does not end in its unit: \"_seconds\""},
    {"unit_5", "line 1: the name \"a_seconds\" does not end in its unit: \"_seconds \""},
    {"unit_6", "line 2: \"x_u\" is of type info, which has no unit"},
    {"value_10", "line 1: column 3: a decimal number, NaN, +Inf or -Inf is expected"},
    {"value_11", "line 1: column 3: a decimal number, NaN, +Inf or -Inf is expected"},
    {"value_12", "line 1: column 3: a decimal number, NaN, +Inf or -Inf is expected"},
    {"value_2", "line 1: column 3: a decimal number, NaN, +Inf or -Inf is expected"},
    {"value_5", "line 1: column 3: a decimal number, NaN, +Inf or -Inf is expected"},
    {"value_6", "line 1: column 3: a decimal number, NaN, +Inf or -Inf is expected"},
    {"value_8", "line 1: column 3: a decimal number, NaN, +Inf or -Inf is expected"},
};

static void assert_says_why(const char *directory, const char *message)
{
    const char *name = strrchr(directory, '/') + 1;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (strncmp(name, "bad_", 4) == 0 && strcmp(name + 4, refusals[i].name) == 0) {
            assert_string_equal(message, refusals[i].reason);
            return;
        }
    test_fail("%s: nobody has read yet whether this is its reason: %s", directory, message);
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
        assert_says_why(directory, parsed.err.message);
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
