#include "../test.h"

#include "../pseudo_random.h"
#include "admission/evidence.h"
#include "base/times.h"
#include "failing_heap.h"

enum { BUDGET = 1 << 20, VALUE_SIZE = 100 };

static const int64_t start_ms = INT64_C(1795305600000); /* a full hour */

static struct evidence *made(size_t budget)
{
    struct evidence *evidence;
    assert_int_equal(evidence_new(&evidence, budget, 11), STATUS_OK);
    return evidence;
}

static struct evidence_notice note(struct evidence *evidence, const char *metric, const char *name,
                                   const char *value, int64_t now_ms)
{
    struct label items[] = {
        {slice_from_text(METRIC_NAME_LABEL), slice_from_text(metric)},
        {slice_from_text(name), slice_from_text(value)},
    };
    struct labels labels = {items, 2};
    return evidence_note(evidence, slice_from_text(metric), &labels, now_ms);
}

/* The n-th value of a form: @ stands for n in hex digits that look drawn by lot, # for n. */
static void value_of(char to[VALUE_SIZE], const char *form, uint64_t n)
{
    uint64_t random = n * UINT64_C(0x9e3779b97f4a7c15) + 1;
    if (strcmp(form, "uuid") == 0) {
        uint64_t high = random_next(&random), low = random_next(&random);
        snprintf(to, VALUE_SIZE, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32),
                 (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff), (unsigned)(low >> 48),
                 (unsigned long long)(low & 0xffffffffffff));
        return;
    }
    const char *at = strchr(form, '#');
    assert_non_null(at);
    snprintf(to, VALUE_SIZE, "%.*s%llu%s", (int)(at - form), form, (unsigned long long)n, at + 1);
}

/* `count` values from the `first` on, one after the other within `span_ms`. */
static void note_many(struct evidence *evidence, const char *metric, const char *name,
                      const char *form, uint64_t first, uint64_t count, int64_t now_ms,
                      int64_t span_ms)
{
    for (uint64_t i = 0; i < count; i++) {
        char value[VALUE_SIZE];
        value_of(value, form, first + i);
        note(evidence, metric, name, value, now_ms + (int64_t)i * span_ms / (int64_t)count);
    }
}

static bool judge(const struct evidence *evidence, const char *metric, const char *name,
                  int64_t now_ms, struct evidence_finding *finding)
{
    return evidence_judge(evidence, slice_from_text(metric), slice_from_text(name), now_ms,
                          finding);
}

/* After `count` values at once. */
static bool found_at_once(const char *name, const char *form, uint64_t count)
{
    struct evidence *evidence = made(BUDGET);
    struct evidence_finding finding;
    note_many(evidence, "m", name, form, 1000, count, start_ms, 0);
    bool found = judge(evidence, "m", name, start_ms, &finding);
    evidence_free(evidence);
    return found;
}

static void values_that_may_be_an_inventory_are_found_where_they_are_many(void **state)
{
    (void)state;
    assert_false(found_at_once("disk", "uuid", 3)); /* the boot ids of three machines */
    assert_false(found_at_once("disk", "uuid", 60));
    assert_true(found_at_once("disk", "uuid", 120));
    assert_false(found_at_once("uuid", "uuid", 60)); /* three machines of node_exporter */
    assert_false(found_at_once("server", "10.0.0.#", 10));
    assert_false(found_at_once("id", "/docker/4bf92f3577b34da6a3ce929d0e0e4736#", 30));
    assert_true(found_at_once("id", "/docker/4bf92f3577b34da6a3ce929d0e0e4736#", 200));
}

static void values_that_flow_are_found_at_twenty(void **state)
{
    (void)state;
    assert_false(found_at_once("who", "jane#@example.com", 15));
    assert_true(found_at_once("who", "jane#@example.com", 25));
    assert_true(found_at_once("at", "179537#918", 25));
    assert_true(found_at_once("number", "4711#", 25) == found_at_once("number", "4712#", 25));
    assert_true(found_at_once("number", "471100#", 25));
}

static void names_of_identities_are_found_at_twenty(void **state)
{
    (void)state;
    assert_false(found_at_once("user_id", "jane_#", 15));
    assert_true(found_at_once("user_id", "jane_#", 25));
    assert_true(found_at_once("http.sessionId", "s#", 25));
    assert_false(found_at_once("thread_id", "#", 64));
    assert_false(found_at_once("cpu", "#", 500));
    assert_false(found_at_once("pod", "web-5d78c9869d-#", 500));
}

static void open_names_need_ids_or_many_values(void **state)
{
    (void)state;
    assert_false(found_at_once("path", "/api/v1/route_x#", 60)); /* what a program has */
    assert_true(found_at_once("path", "/api/v1/users/#", 25));
    assert_true(found_at_once("path", "/search?q=#", 25));
    assert_false(found_at_once("path", "/product/shoe-#", 400));
    assert_true(found_at_once("path", "/product/shoe-#", 600));
    assert_false(found_at_once("server_ip", "10.0.3.1:#", 60));
    assert_true(found_at_once("server_ip", "10.0.3.1:#", 120));
    assert_false(found_at_once("pod_ip", "10.0.3.1:#", 120));
}

static void bounds_and_targets_are_never_found(void **state)
{
    (void)state;
    assert_false(found_at_once("le", "#00000000", 1000));
    assert_false(found_at_once("instance", "10.0.0.1:#", 1000));
    assert_false(found_at_once("machine_id", "uuid", 1000));
    assert_true(found_at_once("machine", "uuid", 1000));
}

static void what_goes_on_growing_is_found_early(void **state)
{
    (void)state;
    struct evidence *evidence = made(BUDGET);
    struct evidence_finding finding;
    /* An inventory of 30, and then one every six minutes. */
    note_many(evidence, "m", "disk", "uuid", 0, 30, start_ms, MS_PER_MINUTE);
    int64_t now_ms = start_ms + 10 * MS_PER_MINUTE;
    note_many(evidence, "m", "disk", "uuid", 30, 15, now_ms, 90 * MS_PER_MINUTE);
    now_ms += 90 * MS_PER_MINUTE;
    assert_false(judge(evidence, "m", "disk", now_ms, &finding));
    note_many(evidence, "m", "disk", "uuid", 45, 12, now_ms, 72 * MS_PER_MINUTE);
    now_ms += 72 * MS_PER_MINUTE;
    assert_true(judge(evidence, "m", "disk", now_ms, &finding));
    assert_int_equal(finding.reason, EVIDENCE_BY_SHAPE);
    assert_in_range((uintmax_t)finding.growth_per_hour, 7, 13);
    /* It stands still: a day later it is an inventory again. */
    assert_false(judge(evidence, "m", "disk", now_ms + 2 * MS_PER_DAY, &finding));
    assert_true(evidence_get(evidence, slice_from_text("m"), slice_from_text("disk"),
                             now_ms + 2 * MS_PER_DAY, &finding));
    assert_true(finding.growth_per_hour == 0 && finding.reason == EVIDENCE_NONE);
    evidence_free(evidence);
}

static void a_label_is_judged_by_nearly_all_of_its_values(void **state)
{
    (void)state;
    struct evidence_finding finding;
    for (uint64_t words = 0; words <= 120; words += 20) {
        if (words == 40 || words == 60) /* about a tenth */
            continue;
        struct evidence *evidence = made(BUDGET);
        note_many(evidence, "m", "x", "uuid", 0, 400, start_ms, 0);
        note_many(evidence, "m", "x", "word-#", 0, words, start_ms, 0);
        assert_int_equal(judge(evidence, "m", "x", start_ms, &finding), words <= 20);
        evidence_free(evidence);
    }
}

static void the_shape_of_most_values_is_named(void **state)
{
    (void)state;
    struct evidence *evidence = made(BUDGET);
    struct evidence_finding finding;
    note_many(evidence, "m", "x", "471100#", 0, 20, start_ms, 0);
    note_many(evidence, "m", "x", "uuid", 0, 300, start_ms, 0);
    note_many(evidence, "m", "x", "/users/1#", 0, 20, start_ms, 0);
    assert_true(judge(evidence, "m", "x", start_ms, &finding));
    assert_int_equal(finding.shape, SHAPE_UUID);
    assert_int_equal(finding.reason, EVIDENCE_BY_SHAPE);
    assert_string_equal(finding.pattern, "");
    evidence_free(evidence);
}

static void growth_is_that_of_the_last_hour(void **state)
{
    (void)state;
    struct evidence *evidence = made(BUDGET);
    struct evidence_finding finding;
    note_many(evidence, "m", "user_id", "u#", 0, 600, start_ms, MS_PER_HOUR - 1);
    int64_t now_ms = start_ms + MS_PER_HOUR + MS_PER_HOUR / 2;
    assert_true(judge(evidence, "m", "user_id", now_ms, &finding));
    assert_in_range((uintmax_t)finding.growth_per_hour, 270, 330); /* half of the hour before */
    /* A day later in the same place of the ring; and there was something between. */
    note_many(evidence, "m", "user_id", "between_#", 0, 20, start_ms + MS_PER_DAY / 2, 0);
    note_many(evidence, "m", "user_id", "u#", 600, 30, start_ms + MS_PER_DAY, MS_PER_MINUTE);
    now_ms = start_ms + MS_PER_DAY + MS_PER_HOUR - 1;
    assert_true(judge(evidence, "m", "user_id", now_ms, &finding));
    assert_in_range((uintmax_t)finding.growth_per_hour, 10, 70);
    evidence_free(evidence);
}

static void a_finding_says_what_is_needed(void **state)
{
    (void)state;
    struct evidence *evidence = made(BUDGET);
    struct evidence_finding finding;
    note_many(evidence, "http_requests_total", "userId", "jane#@example.com", 0, 1000, start_ms,
              30 * MS_PER_MINUTE);
    int64_t now_ms = start_ms + 30 * MS_PER_MINUTE;
    assert_true(judge(evidence, "http_requests_total", "userId", now_ms, &finding));
    assert_int_equal(finding.reason, EVIDENCE_BY_NAME);
    assert_int_equal(finding.action, LABEL_ACTION_WARN);
    assert_int_equal(finding.shape, SHAPE_EMAIL);
    assert_true(finding.shape_share > 0.99 && finding.shape_share < 1.01);
    assert_string_equal(finding.metric, "http_requests_total");
    assert_string_equal(finding.label, "userId");
    assert_string_equal(finding.pattern, "user_id");
    assert_in_range((uintmax_t)finding.distinct, 900, 1100);
    assert_in_range((uintmax_t)finding.growth_per_hour, 1800, 2200);
    assert_true(finding.first_ms == start_ms && finding.last_ms > now_ms - MS_PER_MINUTE);
    assert_int_equal(finding.example_count, EVIDENCE_EXAMPLES);
    for (size_t i = 0; i < EVIDENCE_EXAMPLES; i++) {
        assert_non_null(strstr(finding.examples[i], "@example.com"));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(finding.examples[i], finding.examples[j]);
    }
    struct evidence_rules rules = EVIDENCE_RULES_DEFAULT;
    rules.masks_examples = true;
    evidence_set_rules(evidence, &rules, NULL);
    assert_true(judge(evidence, "http_requests_total", "userId", now_ms, &finding));
    assert_string_equal(finding.examples[0], "aaaa99@aaaaaaa.aaa");
    assert_false(judge(evidence, "http_requests", "userId", now_ms, &finding));
    assert_false(judge(evidence, "http_requests_total", "user", now_ms, &finding));
    evidence_free(evidence);
}

static void the_time_until_a_limit_follows_from_growth(void **state)
{
    (void)state;
    assert_true(evidence_ms_until(9000, 10000, 500) == 2 * MS_PER_HOUR);
    assert_true(evidence_ms_until(10000, 10000, 500) == 0);
    assert_true(evidence_ms_until(0, 10000, 0) == INT64_MAX);
    assert_true(evidence_ms_until(0, 10000, -1) == INT64_MAX);
    assert_true(evidence_ms_until(0, 1e18, 1e-9) == INT64_MAX);
}

/* As the sketch fills: the error of 2.6 %, four times. Two values in three are UUIDs. */
static void counts_are_about_right_however_many_values_there_are(void **state)
{
    (void)state;
    struct evidence *evidence = made(BUDGET);
    struct evidence_finding finding;
    uint64_t noted = 0;
    for (uint64_t count = 30; count <= 1000000; count *= 3) {
        for (; noted < count; noted++) {
            char value[VALUE_SIZE];
            value_of(value, noted % 3 == 0 ? "word-#" : "uuid", noted);
            note(evidence, "m", "x", value, start_ms);
        }
        assert_true(
            evidence_get(evidence, slice_from_text("m"), slice_from_text("x"), start_ms, &finding));
        double error = finding.distinct / (double)count - 1;
        if (error < -0.11 || error > 0.11 || finding.shape_share < 0.5 || finding.shape_share > 0.8)
            test_fail("%llu: %f, %f", (unsigned long long)count, finding.distinct,
                      finding.shape_share);
        assert_int_equal(finding.shape, SHAPE_UUID);
    }
    evidence_free(evidence);
}

static void what_comes_again_counts_once(void **state)
{
    (void)state;
    struct evidence *evidence = made(BUDGET);
    struct evidence_finding first, again;
    note_many(evidence, "m", "user_id", "u#", 0, 5000, start_ms, 0);
    assert_true(judge(evidence, "m", "user_id", start_ms, &first));
    for (int round = 0; round < 5; round++)
        note_many(evidence, "m", "user_id", "u#", 0, 5000, start_ms + MS_PER_MINUTE, 0);
    assert_true(judge(evidence, "m", "user_id", start_ms, &again));
    assert_true(first.distinct == again.distinct && first.last_ms == again.last_ms);
    /* Few values, too. */
    for (int round = 0; round < 1000; round++)
        note_many(evidence, "m", "few", "u#", 0, 10, start_ms, 0);
    assert_false(
        evidence_get(evidence, slice_from_text("m"), slice_from_text("few"), start_ms, &again));
    evidence_free(evidence);
}

static void a_notice_says_once_that_a_label_is_found_and_always_that_it_is_refused(void **state)
{
    (void)state;
    static const struct label_pattern items[] = {{"session_id", LABEL_ACTION_REJECT}};
    struct label_patterns *patterns;
    assert_int_equal(label_patterns_new(&patterns, items, 1, NULL), STATUS_OK);
    struct evidence *evidence = made(BUDGET);
    struct evidence_rules rules = EVIDENCE_RULES_DEFAULT;
    evidence_set_rules(evidence, &rules, patterns);
    int told = 0, refused = 0;
    for (uint64_t i = 0; i < 100; i++) {
        char value[VALUE_SIZE];
        value_of(value, "s#", i);
        struct evidence_notice notice = note(evidence, "m", "sessionId", value, start_ms);
        told += notice.new_label == 1;
        refused += notice.rejected_label == 1;
        assert_true(notice.new_label == 1 || notice.new_label == SIZE_MAX);
        assert_true(notice.rejected_label == 1 || notice.rejected_label == SIZE_MAX);
    }
    assert_int_equal(told, 1);
    assert_in_range(refused, 77, 82);
    assert_int_equal(note(evidence, "m", "sessionId", "s1", start_ms).rejected_label, 1);
    /* With warn it is told and nothing refused. */
    evidence_set_rules(evidence, &rules, NULL);
    assert_true(note(evidence, "m", "sessionId", "s1", start_ms).rejected_label == SIZE_MAX);
    struct evidence_finding finding;
    assert_true(judge(evidence, "m", "sessionId", start_ms, &finding));
    evidence_free(evidence);
    label_patterns_free(patterns);
}

static void shapes_alone_can_be_switched_off(void **state)
{
    (void)state;
    struct evidence *evidence = made(BUDGET);
    struct evidence_finding finding;
    struct evidence_rules rules = EVIDENCE_RULES_DEFAULT;
    rules.shape_action = LABEL_ACTION_OFF;
    evidence_set_rules(evidence, &rules, NULL);
    note_many(evidence, "m", "x", "uuid", 0, 400, start_ms, 0);
    note_many(evidence, "m", "trace_id", "uuid", 0, 400, start_ms, 0);
    assert_false(judge(evidence, "m", "x", start_ms, &finding));
    assert_true(judge(evidence, "m", "trace_id", start_ms, &finding));
    rules.shape_action = LABEL_ACTION_REJECT;
    evidence_set_rules(evidence, &rules, NULL);
    assert_true(judge(evidence, "m", "x", start_ms, &finding));
    assert_int_equal(finding.action, LABEL_ACTION_REJECT);
    evidence_free(evidence);
}

static void findings_come_in_the_order_of_their_values(void **state)
{
    (void)state;
    struct evidence *evidence = made(BUDGET);
    static const uint64_t counts[] = {50, 700, 100, 1500, 25, 300};
    for (size_t i = 0; i < 6; i++) {
        char metric[VALUE_SIZE];
        snprintf(metric, sizeof metric, "m%zu", i);
        note_many(evidence, metric, "user_id", "u#", 0, counts[i], start_ms, 0);
        note_many(evidence, metric, "code", "c#", 0, counts[i], start_ms, 0);
    }
    struct evidence_finding findings[8];
    assert_int_equal(evidence_findings(evidence, start_ms, findings, 8), 6);
    static const char *const order[] = {"m3", "m1", "m5", "m2", "m0", "m4"};
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(findings[i].metric, order[i]);
    assert_int_equal(evidence_findings(evidence, start_ms, findings, 3), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(findings[i].metric, order[i]);
    assert_int_equal(evidence_findings(evidence, start_ms, NULL, 0), 0);
    evidence_free(evidence);
}

static void the_least_recently_growing_makes_room(void **state)
{
    (void)state;
    struct evidence *evidence = made(0);
    struct evidence_stats stats;
    evidence_stats(evidence, &stats);
    assert_int_equal(stats.memory_bytes, EVIDENCE_MIN_BYTES);
    assert_in_range(stats.labels_max, 10, 40);
    struct evidence_finding finding;
    note_many(evidence, "old", "user_id", "u#", 0, 50, start_ms, 0);
    for (size_t i = 0; i < 3 * stats.labels_max; i++) {
        char metric[VALUE_SIZE], value[VALUE_SIZE];
        snprintf(metric, sizeof metric, "m%zu", i);
        note_many(evidence, metric, "x", "u#", 0, 50, start_ms, 0);
        value_of(value, "u#", 1000 + i); /* one that grows all along */
        note(evidence, "grows", "user_id", value, start_ms);
    }
    evidence_stats(evidence, &stats);
    assert_int_equal(stats.labels, stats.labels_max);
    assert_in_range(stats.evicted, stats.labels_max, 3 * stats.labels_max);
    assert_false(evidence_get(evidence, slice_from_text("old"), slice_from_text("user_id"),
                              start_ms, &finding));
    assert_true(judge(evidence, "grows", "user_id", start_ms, &finding));
    evidence_free(evidence);
}

static void a_flood_of_labels_does_not_wash_findings_away(void **state)
{
    (void)state;
    struct evidence *evidence = made(EVIDENCE_MIN_BYTES);
    struct evidence_finding finding;
    note_many(evidence, "m", "user_id", "u#", 0, 50, start_ms, 0);
    for (uint64_t i = 0; i < 100000; i++) {
        char name[VALUE_SIZE];
        value_of(name, "label_#", i);
        note(evidence, i % 2 == 0 ? "m" : name, name, "v", start_ms + (int64_t)i);
    }
    assert_true(judge(evidence, "m", "user_id", start_ms, &finding));
    evidence_free(evidence);
}

static void a_label_of_few_values_that_grows_outlives_a_flood(void **state)
{
    (void)state;
    struct evidence *evidence = made(EVIDENCE_MIN_BYTES);
    struct evidence_finding known;
    for (uint64_t i = 0; i < 40; i++) {
        char text[VALUE_SIZE];
        int64_t now_ms = start_ms + (int64_t)i * MS_PER_MINUTE;
        value_of(text, "u#", i);
        note(evidence, "m", "grows", text, now_ms);
        for (uint64_t j = 0; j < 30; j++) {
            value_of(text, "label_#", i * 30 + j);
            note(evidence, "m", text, "v", now_ms);
        }
    }
    assert_true(
        evidence_get(evidence, slice_from_text("m"), slice_from_text("grows"), start_ms, &known));
    assert_in_range((uintmax_t)known.distinct, 35, 45);
    evidence_free(evidence);
}

static void texts_are_cut_between_characters(void **state)
{
    (void)state;
    struct evidence *evidence = made(BUDGET);
    char metric[EVIDENCE_METRIC_SIZE + 51], name[EVIDENCE_LABEL_SIZE + 51], value[VALUE_SIZE];
    memset(metric, 'm', sizeof metric);
    memset(name, 'n', sizeof name);
    metric[sizeof metric - 1] = name[sizeof name - 1] = 0;
    for (int i = 0; i < 40; i++) {
        /* 63 bytes, and then one of two. */
        snprintf(value, sizeof value, "2026-01-31T10:00:%02dZ%043d\xc3\xbc", i, i);
        note(evidence, metric, name, value, start_ms);
    }
    struct evidence_finding known;
    assert_true(
        evidence_get(evidence, slice_from_text(metric), slice_from_text(name), start_ms, &known));
    assert_int_equal(strlen(known.metric), EVIDENCE_METRIC_SIZE);
    assert_int_equal(strlen(known.label), EVIDENCE_LABEL_SIZE);
    assert_int_equal(strlen(known.examples[0]), EVIDENCE_EXAMPLE_SIZE - 1);
    evidence_free(evidence);
}

static void a_clock_that_leaps_does_no_harm(void **state)
{
    (void)state;
    struct evidence *evidence = made(BUDGET);
    struct evidence_finding finding;
    static const int64_t times[] = {
        INT64_C(1795305600000), 0, -5, INT64_MAX / 2, INT64_C(1795305600000), INT64_MAX / 2 + 1};
    for (uint64_t i = 0; i < 600; i++) {
        char value[VALUE_SIZE];
        value_of(value, "u#", i);
        note(evidence, "m", "user_id", value, times[i % 6]);
        for (size_t j = 0; j < 6; j++) {
            bool found = judge(evidence, "m", "user_id", times[j], &finding);
            assert_true(!found || (finding.growth_per_hour >= 0 && finding.distinct < 700));
        }
    }
    evidence_free(evidence);
}

static void the_heap_is_asked_once(void **state)
{
    (void)state;
    struct evidence *evidence;
    heap_left = 0;
    enum status status = evidence_new(&evidence, BUDGET, 1);
    heap_left = -1;
    assert_int_equal(status, STATUS_MEMORY);
    assert_null(evidence);
    evidence_free(NULL);
    evidence = made(BUDGET);
    heap_left = 0;
    note_many(evidence, "m", "user_id", "u#", 0, 5000, start_ms, 0);
    heap_left = -1;
    struct evidence_finding finding;
    assert_true(judge(evidence, "m", "user_id", start_ms, &finding));
    evidence_free(evidence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_may_be_an_inventory_are_found_where_they_are_many),
        cmocka_unit_test(values_that_flow_are_found_at_twenty),
        cmocka_unit_test(names_of_identities_are_found_at_twenty),
        cmocka_unit_test(open_names_need_ids_or_many_values),
        cmocka_unit_test(bounds_and_targets_are_never_found),
        cmocka_unit_test(what_goes_on_growing_is_found_early),
        cmocka_unit_test(a_label_is_judged_by_nearly_all_of_its_values),
        cmocka_unit_test(the_shape_of_most_values_is_named),
        cmocka_unit_test(growth_is_that_of_the_last_hour),
        cmocka_unit_test(a_finding_says_what_is_needed),
        cmocka_unit_test(the_time_until_a_limit_follows_from_growth),
        cmocka_unit_test(counts_are_about_right_however_many_values_there_are),
        cmocka_unit_test(what_comes_again_counts_once),
        cmocka_unit_test(a_notice_says_once_that_a_label_is_found_and_always_that_it_is_refused),
        cmocka_unit_test(shapes_alone_can_be_switched_off),
        cmocka_unit_test(findings_come_in_the_order_of_their_values),
        cmocka_unit_test(the_least_recently_growing_makes_room),
        cmocka_unit_test(a_flood_of_labels_does_not_wash_findings_away),
        cmocka_unit_test(a_label_of_few_values_that_grows_outlives_a_flood),
        cmocka_unit_test(texts_are_cut_between_characters),
        cmocka_unit_test(a_clock_that_leaps_does_no_harm),
        cmocka_unit_test(the_heap_is_asked_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
