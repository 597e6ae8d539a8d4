#include "../test.h"

#include "admission/label_patterns.h"
#include "failing_heap.h"

static struct label_patterns *made_of(const struct label_pattern *items, size_t count)
{
    struct label_patterns *patterns;
    struct error err;
    if (label_patterns_new(&patterns, items, count, &err) != STATUS_OK)
        test_fail("%s", err.message);
    return patterns;
}

static struct label_verdict find(const struct label_patterns *patterns, const char *name)
{
    return label_patterns_find(patterns, slice_from_text(name));
}

static void names_come_apart_into_words(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"user_id", "user_id"},
        {"userId", "user_id"},
        {"UserID", "user_id"},
        {"user-id", "user_id"},
        {"user.id", "user_id"},
        {"USER_ID", "user_id"},
        {"__User__Id__", "user_id"},
        {"HTTPRequestID", "http_request_id"},
        {"http.request/id", "http_request_id"},
        {"x2Y", "x2_y"},
        {"md5Hash", "md5_hash"},
        {"ID", "id"},
        {"a", "a"},
        {"", ""},
        {"___", ""},
        {"stra\xc3\x9f"
         "eName",
         "stra\xc3\x9f"
         "e_name"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint8_t to[LABEL_WORDS_MAX_SIZE];
        struct slice words = label_words(slice_from_text(names[i][0]), to);
        if (!slice_equal_text(words, names[i][1]))
            test_fail("%s: %.*s", names[i][0], SLICE_FORMAT(words));
    }
}

static void words_that_do_not_fit_are_none(void **state)
{
    (void)state;
    uint8_t name[LABEL_WORDS_MAX_SIZE + 1];
    uint8_t to[LABEL_WORDS_MAX_SIZE];
    memset(name, 'a', sizeof name);
    assert_int_equal(label_words(slice_of(name, sizeof name), to).size, 0);
    assert_int_equal(label_words(slice_of(name, sizeof name - 1), to).size, sizeof name - 1);
    name[sizeof name - 2] = 'B'; /* one more with its `_` */
    assert_int_equal(label_words(slice_of(name, sizeof name - 1), to).size, 0);
    assert_int_equal(label_words(slice_of(name, sizeof name - 2), to).size, sizeof name - 2);
    assert_null(label_patterns_find(NULL, slice_of(name, sizeof name)).pattern);
}

static void known_names_tell_in_each_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *name, *pattern;
        enum label_telling telling;
    } names[] = {
        {"user_id", "user_id", LABEL_TELLS_IDENTITY},
        {"userid", "user_id", LABEL_TELLS_IDENTITY},
        {"UserID", "user_id", LABEL_TELLS_IDENTITY},
        {"kafka-user-id", "user_id", LABEL_TELLS_IDENTITY},
        {"http_request_id", "request_id", LABEL_TELLS_IDENTITY},
        {"xRequestId", "request_id", LABEL_TELLS_IDENTITY},
        {"session_id", "session_id", LABEL_TELLS_IDENTITY},
        {"traceID", "trace_id", LABEL_TELLS_IDENTITY},
        {"spanid", "span_id", LABEL_TELLS_IDENTITY},
        {"email", "email", LABEL_TELLS_IDENTITY},
        {"user_email", "user_email", LABEL_TELLS_IDENTITY},
        {"auth_token", "token", LABEL_TELLS_IDENTITY},
        {"timestamp", "timestamp", LABEL_TELLS_IDENTITY},
        {"client_ip", "client_ip", LABEL_TELLS_IDENTITY},
        {"x_forwarded_for", "forwarded_for", LABEL_TELLS_IDENTITY},
        {"customerId", "customer_id", LABEL_TELLS_IDENTITY},
        {"ip", "ip", LABEL_TELLS_OPEN},
        {"server_ip", "ip", LABEL_TELLS_OPEN},
        {"pod_ip", "pod_ip", LABEL_TELLS_NOTHING},
        {"containerID", "container_id", LABEL_TELLS_NOTHING},
        {"uuid", "uuid", LABEL_TELLS_OPEN},
        {"guid", "guid", LABEL_TELLS_OPEN},
        {"request_path", "path", LABEL_TELLS_OPEN},
        {"url", "url", LABEL_TELLS_OPEN},
        {"query", "query", LABEL_TELLS_OPEN},
        {"le", "le", LABEL_TELLS_NOTHING},
        {"instance", "instance", LABEL_TELLS_NOTHING},
        {"exported_instance", "instance", LABEL_TELLS_NOTHING},
        {"machine_id", "machine_id", LABEL_TELLS_NOTHING},
        {"system_uuid", "system_uuid", LABEL_TELLS_NOTHING},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct label_verdict verdict = find(NULL, names[i].name);
        if (verdict.pattern == NULL || strcmp(verdict.pattern, names[i].pattern) != 0)
            test_fail("%s: %s", names[i].name, verdict.pattern);
        assert_int_equal(verdict.telling, names[i].telling);
        assert_int_equal(verdict.action, names[i].telling == LABEL_TELLS_NOTHING
                                             ? LABEL_ACTION_OFF
                                             : LABEL_ACTION_WARN);
    }
}

static void other_names_tell_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {
        "pod",
        "method",
        "user_id_type",
        "request_id_hashed_bucket",
        "path_type",
        "zip",
        "tip",
        "curl",
        "security_group",
        "node_id",
        "core_id",
        "thread_id",
        "container",
        "query_type",
        "ip_version",
        "version",
        "image",
        "",
        "_",
        "token_type",
        "band",
        "invalid_id",
        "email_domain",
        "__name__",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct label_verdict verdict = find(NULL, names[i]);
        if (verdict.pattern != NULL)
            test_fail("%s: %s", names[i], verdict.pattern);
        assert_int_equal(verdict.telling, LABEL_TELLS_NOTHING);
        assert_int_equal(verdict.action, LABEL_ACTION_WARN);
    }
}

static void of_the_operators_patterns_the_first_holds_and_all_before_ours(void **state)
{
    (void)state;
    static const struct label_pattern items[] = {
        {"tenant_user_id", LABEL_ACTION_OFF},   {"*_user_id", LABEL_ACTION_REJECT},
        {"~(src|dst)_port", LABEL_ACTION_WARN}, {"path", LABEL_ACTION_OFF},
        {"userName", LABEL_ACTION_REJECT},
    };
    struct label_patterns *patterns = made_of(items, sizeof items / sizeof items[0]);
    static const struct {
        const char *name, *pattern;
        enum label_telling telling;
        enum label_action action;
    } names[] = {
        {"tenant_user_id", "tenant_user_id", LABEL_TELLS_NOTHING, LABEL_ACTION_OFF},
        {"tenantUserID", "tenant_user_id", LABEL_TELLS_NOTHING, LABEL_ACTION_OFF},
        {"app-user-id", "*_user_id", LABEL_TELLS_IDENTITY, LABEL_ACTION_REJECT},
        {"srcPort", "~(src|dst)_port", LABEL_TELLS_IDENTITY, LABEL_ACTION_WARN},
        {"Path", "path", LABEL_TELLS_NOTHING, LABEL_ACTION_OFF},
        {"userName", "userName", LABEL_TELLS_IDENTITY, LABEL_ACTION_REJECT},
        {"user_name", "user_name", LABEL_TELLS_OPEN, LABEL_ACTION_WARN}, /* ours */
        {"user_id", "user_id", LABEL_TELLS_IDENTITY, LABEL_ACTION_WARN},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct label_verdict verdict = find(patterns, names[i].name);
        assert_non_null(verdict.pattern);
        assert_string_equal(verdict.pattern, names[i].pattern);
        assert_int_equal(verdict.telling, names[i].telling);
        assert_int_equal(verdict.action, names[i].action);
    }
    label_patterns_free(patterns);
}

static void a_star_with_off_does_without_ours(void **state)
{
    (void)state;
    static const struct label_pattern items[] = {{"order_id", LABEL_ACTION_WARN},
                                                 {"*", LABEL_ACTION_OFF}};
    struct label_patterns *patterns = made_of(items, 2);
    assert_int_equal(find(patterns, "order_id").action, LABEL_ACTION_WARN);
    assert_int_equal(find(patterns, "user_id").action, LABEL_ACTION_OFF);
    label_patterns_free(patterns);
    label_patterns_free(NULL);
}

static void a_pattern_that_is_none_is_named(void **state)
{
    (void)state;
    struct label_pattern items[LABEL_PATTERNS_MAX + 1];
    for (size_t i = 0; i <= LABEL_PATTERNS_MAX; i++)
        items[i] = (struct label_pattern){.match = "id", .action = LABEL_ACTION_WARN};
    struct label_patterns *patterns;
    struct error err;
    items[2].match = "~a(";
    assert_int_equal(label_patterns_new(&patterns, items, 5, &err), STATUS_INVALID);
    assert_null(patterns);
    if (strstr(err.message, "label pattern 3, \"~a(\": regular expression \"a(\": missing )") ==
        NULL)
        test_fail("%s", err.message);
    assert_int_equal(label_patterns_new(&patterns, items, LABEL_PATTERNS_MAX + 1, &err),
                     STATUS_INVALID);
    assert_string_equal(err.message, "257 label patterns; at most 256 are allowed");
}

static void without_memory_there_is_none_and_nothing_leaks(void **state)
{
    (void)state;
    static const struct label_pattern items[] = {
        {"id", LABEL_ACTION_WARN}, {"d*", LABEL_ACTION_OFF}, {"~a|b", LABEL_ACTION_REJECT}};
    enum status status = STATUS_MEMORY;
    struct label_patterns *patterns = NULL;
    long n = 0;
    for (; status != STATUS_OK; n++) {
        struct error err = {0};
        heap_left = n;
        status = label_patterns_new(&patterns, items, sizeof items / sizeof items[0], &err);
        heap_left = -1;
        assert_true(status == STATUS_OK || (status == STATUS_MEMORY && patterns == NULL));
        assert_true(status == STATUS_OK || strstr(err.message, "no memory") != NULL);
    }
    assert_true(n > 7);
    label_patterns_free(patterns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_apart_into_words),
        cmocka_unit_test(words_that_do_not_fit_are_none),
        cmocka_unit_test(known_names_tell_in_each_spelling),
        cmocka_unit_test(other_names_tell_nothing),
        cmocka_unit_test(of_the_operators_patterns_the_first_holds_and_all_before_ours),
        cmocka_unit_test(a_star_with_off_does_without_ours),
        cmocka_unit_test(a_pattern_that_is_none_is_named),
        cmocka_unit_test(without_memory_there_is_none_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
