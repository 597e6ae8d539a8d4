#include "../test.h"

#include "model/labels.h"

static struct label make(const char *name, const char *value)
{
    return (struct label){slice_from_text(name), slice_from_text(value)};
}

static void canonical_labels_are_sorted_and_empty_ones_dropped(void **state)
{
    (void)state;
    struct label items[] = {make("zone", "a"), make("__name__", "up"), make("empty", ""),
                            make("job", "x")};
    struct labels labels = {items, 4};
    struct error err;
    assert_int_equal(labels_canonicalise(&labels, &err), STATUS_OK);
    assert_int_equal(labels.count, 3);
    assert_true(slice_equal_text(items[0].name, "__name__"));
    assert_true(slice_equal_text(items[1].name, "job"));
    assert_true(slice_equal_text(items[2].name, "zone"));
    assert_true(slice_equal_text(labels_metric_name(&labels), "up"));
    assert_int_equal(labels_get(&labels, slice_from_text("empty")).size, 0);
}

static void check_refused(struct label *items, size_t count, enum status status, const char *code)
{
    struct labels labels = {items, count};
    struct error err = {0};
    assert_int_equal(labels_canonicalise(&labels, &err), status);
    assert_string_equal(err.code, code);
}

static void labels_that_break_a_rule_are_refused_with_its_code(void **state)
{
    (void)state;
    struct label twice[] = {make("__name__", "x"), make("a", "1"), make("b", "2"), make("a", "1")};
    check_refused(twice, 4, STATUS_INVALID, "label_duplicate");
    struct label unnamed[] = {make("a", "1")};
    check_refused(unnamed, 1, STATUS_INVALID, "metric_name_missing");
    struct label emptied[] = {make("__name__", ""), make("a", "1")};
    check_refused(emptied, 2, STATUS_INVALID, "metric_name_missing");
    struct label nameless[] = {make("__name__", "x"), make("", "1")};
    check_refused(nameless, 2, STATUS_INVALID, "label_invalid");
    struct label bad_value[] = {make("__name__", "x"), make("a", "\xff")};
    check_refused(bad_value, 2, STATUS_INVALID, "label_invalid");
    struct label bad_name[] = {make("__name__", "x"), make("\xc0\x80", "1")};
    check_refused(bad_name, 2, STATUS_INVALID, "label_invalid");
    static char text[LABEL_VALUE_MAX_SIZE + 1];
    memset(text, 'v', sizeof text);
    struct label large[] = {make("__name__", "x"), make("a", "")};
    large[1].value = slice_of(text, sizeof text);
    check_refused(large, 2, STATUS_LIMIT, "label_value_too_long");
}

static void a_nul_byte_in_a_name_or_a_value_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct slice name, value;
        const char *words;
    } cases[] = {
        {{(const uint8_t *)"\0", 1}, {(const uint8_t *)"v", 1}, "label name has a NUL byte"},
        {{(const uint8_t *)"a\0b", 3}, {(const uint8_t *)"v", 1}, "label name has a NUL byte"},
        {{(const uint8_t *)"a", 1},
         {(const uint8_t *)"\0", 1},
         "the value of label \"a\" has a NUL"},
        {{(const uint8_t *)"a", 1},
         {(const uint8_t *)"v\0", 2},
         "the value of label \"a\" has a NUL"},
        {{(const uint8_t *)METRIC_NAME_LABEL, 8},
         {(const uint8_t *)"x\0y", 3},
         "the value of label \"__name__\" has a NUL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct label items[] = {{cases[i].name, cases[i].value}, make("z", "x")};
        struct labels labels = {items, 2};
        struct error err = {0};
        assert_int_equal(labels_canonicalise(&labels, &err), STATUS_INVALID);
        assert_string_equal(err.code, "label_invalid");
        if (strstr(err.message, cases[i].words) == NULL)
            test_fail("\"%s\" does not say \"%s\"", err.message, cases[i].words);
    }
}

static void labels_of_more_than_a_mebibyte_in_all_are_refused(void **state)
{
    (void)state;
    static char text[LABEL_VALUE_MAX_SIZE];
    memset(text, 'v', sizeof text);
    struct label items[18];
    char names[18][2];
    items[0] = make("__name__", "x");
    for (int i = 1; i < 18; i++) {
        names[i][0] = (char)('a' + i);
        names[i][1] = 0;
        items[i] = make(names[i], "");
        items[i].value = slice_of(text, sizeof text);
    }
    check_refused(items, 18, STATUS_LIMIT, "labels_too_large");
}

static void encoding_reads_back_and_a_cut_one_is_corrupt(void **state)
{
    (void)state;
    struct label items[] = {make("__name__", "up"), make("a", "x\ny"), make("b", "\xc3\xa9")};
    struct labels labels = {items, 3};
    struct bytes encoded;
    bytes_init(&encoded, 1024);
    assert_int_equal(labels_encode(&labels, &encoded), STATUS_OK);
    struct label back[3];
    size_t count;
    struct error err;
    assert_int_equal(labels_decode(bytes_slice(&encoded), back, 3, &count, &err), STATUS_OK);
    struct labels again = {back, count};
    assert_int_equal(labels_compare(&labels, &again), 0);
    assert_int_equal(labels_decode(bytes_slice(&encoded), back, 2, &count, &err), STATUS_CORRUPT);
    for (size_t size = 1; size < encoded.size; size++) {
        enum status status = labels_decode(slice_of(encoded.data, size), back, 3, &count, &err);
        assert_true(status == STATUS_CORRUPT || count < 3);
    }
    bytes_release(&encoded);
}

static void order_is_by_label_then_value_and_a_prefix_comes_first(void **state)
{
    (void)state;
    struct label a[] = {make("a", "1"), make("b", "1")};
    struct label b[] = {make("a", "1"), make("b", "2")};
    struct label c[] = {make("a", "1")};
    struct labels la = {a, 2}, lb = {b, 2}, lc = {c, 1};
    assert_true(labels_compare(&la, &lb) < 0);
    assert_true(labels_compare(&lb, &la) > 0);
    assert_true(labels_compare(&lc, &la) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_labels_are_sorted_and_empty_ones_dropped),
        cmocka_unit_test(labels_that_break_a_rule_are_refused_with_its_code),
        cmocka_unit_test(a_nul_byte_in_a_name_or_a_value_is_refused),
        cmocka_unit_test(labels_of_more_than_a_mebibyte_in_all_are_refused),
        cmocka_unit_test(encoding_reads_back_and_a_cut_one_is_corrupt),
        cmocka_unit_test(order_is_by_label_then_value_and_a_prefix_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
