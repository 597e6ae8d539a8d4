#include "../test.h"

#include <math.h>

#include "../pseudo_random.h"
#include "admission/overrides.h"
#include "failing_heap.h"
#include "model/name_pattern.h"

enum { TEXT_SIZE = 32 };

static struct overrides *made_of(const char *const *matches, size_t count)
{
    struct admission_override items[ADMISSION_OVERRIDES_MAX];
    for (size_t i = 0; i < count; i++)
        items[i] = (struct admission_override){.match = matches[i], .max_series = i};
    struct overrides *overrides;
    struct error err;
    if (overrides_new(&overrides, items, count, &err) != STATUS_OK)
        test_fail("%s", err.message);
    return overrides;
}

/* The place of the item that holds for `name`; -1: none. */
static int found(const struct overrides *overrides, const char *name)
{
    const struct admission_override *item = overrides_find(overrides, slice_from_text(name));
    return item == NULL ? -1 : (int)item->max_series;
}

static void of_several_that_match_the_first_holds(void **state)
{
    (void)state;
    static const char *const matches[] = {
        "http_errors_total",
        "http_*",
        "http_requests_total",
        "~grpc_.*_total",
        "grpc_sent_total",
        "*_total",
        "up",
        "up",
        "\\~odd",
        "*\\*",
    };
    struct overrides *overrides = made_of(matches, sizeof matches / sizeof matches[0]);
    assert_int_equal(found(overrides, "http_errors_total"), 0);
    assert_int_equal(found(overrides, "http_requests_total"), 1);
    assert_int_equal(found(overrides, "http_"), 1);
    assert_int_equal(found(overrides, "grpc_sent_total"), 3);
    assert_int_equal(found(overrides, "dns_total"), 5);
    assert_int_equal(found(overrides, "up"), 6);
    assert_int_equal(found(overrides, "~odd"), 8);
    assert_int_equal(found(overrides, "odd*"), 9);
    assert_int_equal(found(overrides, "down"), -1);
    assert_int_equal(found(overrides, ""), -1);
    overrides_free(overrides);
}

static void without_items_nothing_is_found(void **state)
{
    (void)state;
    struct overrides *overrides = made_of(NULL, 0);
    assert_int_equal(found(overrides, "up"), -1);
    assert_int_equal(found(NULL, "up"), -1);
    overrides_free(overrides);
    overrides_free(NULL);
}

static void items_are_copied_with_what_they_set(void **state)
{
    (void)state;
    char match[] = "up*";
    struct admission_override item = {.match = match,
                                      .max_series = ADMISSION_UNSET,
                                      .max_new_series = 1,
                                      .max_labels = 2,
                                      .max_label_value_length = 3,
                                      .warning_threshold = NAN};
    struct overrides *overrides;
    assert_int_equal(overrides_new(&overrides, &item, 1, NULL), STATUS_OK);
    memset(match, 'x', 3);
    item.max_labels = 9;
    const struct admission_override *copy = overrides_find(overrides, slice_from_text("upper"));
    assert_non_null(copy);
    assert_string_equal(copy->match, "up*");
    assert_true(copy->max_series == ADMISSION_UNSET && copy->max_new_series == 1);
    assert_true(copy->max_labels == 2 && copy->max_label_value_length == 3);
    assert_true(!(copy->warning_threshold >= 0));
    overrides_free(overrides);
}

static void as_many_names_as_are_allowed_are_found_each(void **state)
{
    (void)state;
    char texts[ADMISSION_OVERRIDES_MAX][TEXT_SIZE];
    const char *matches[ADMISSION_OVERRIDES_MAX];
    for (int i = 0; i < ADMISSION_OVERRIDES_MAX; i++) {
        snprintf(texts[i], TEXT_SIZE, "metric_%d", i);
        matches[i] = texts[i];
    }
    struct overrides *overrides = made_of(matches, ADMISSION_OVERRIDES_MAX);
    for (int i = 0; i < ADMISSION_OVERRIDES_MAX; i++)
        assert_int_equal(found(overrides, texts[i]), i);
    for (int i = 0; i < 100000; i++) {
        char name[TEXT_SIZE];
        snprintf(name, TEXT_SIZE, "other_%d", i);
        assert_int_equal(found(overrides, name), -1);
    }
    overrides_free(overrides);
}

/* Lists of all kinds by lot, against a look at one after the other. */
static void the_first_is_the_one_that_a_plain_search_finds(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b", "ab", "*", "?", "\\*", "~", "(a|b)"};
    enum { PIECES = sizeof pieces / sizeof pieces[0], ITEMS = 12 };
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        uint64_t random = seed;
        char texts[ITEMS][TEXT_SIZE];
        const char *matches[ITEMS];
        struct name_pattern patterns[ITEMS];
        for (size_t i = 0; i < ITEMS; i++) {
            struct error err;
            do {
                texts[i][0] = 0;
                for (uint32_t n = 1 + random_below(&random, 3); n > 0; n--)
                    strcat(texts[i], pieces[random_below(&random, PIECES)]);
            } while (name_pattern_init(&patterns[i], slice_from_text(texts[i]), &err) != STATUS_OK);
            matches[i] = texts[i];
        }
        struct overrides *overrides = made_of(matches, ITEMS);
        for (int n = 0; n < 50; n++) {
            char name[8];
            size_t size = 1 + random_below(&random, 4);
            for (size_t i = 0; i < size; i++)
                name[i] = "ab*~"[random_below(&random, 4)];
            name[size] = 0;
            int expected = -1;
            for (int i = ITEMS - 1; i >= 0; i--)
                if (name_pattern_matches(&patterns[i], slice_from_text(name)))
                    expected = i;
            if (found(overrides, name) != expected)
                test_fail("%s with seed %u", name, (unsigned)seed);
        }
        overrides_free(overrides);
        for (size_t i = 0; i < ITEMS; i++)
            name_pattern_release(&patterns[i]);
    }
}

static void a_pattern_that_is_none_is_named(void **state)
{
    (void)state;
    struct admission_override items[ADMISSION_OVERRIDES_MAX + 1];
    for (size_t i = 0; i <= ADMISSION_OVERRIDES_MAX; i++)
        items[i] = (struct admission_override){.match = "up"};
    struct overrides *overrides;
    struct error err;
    items[2].match = "~a(";
    assert_int_equal(overrides_new(&overrides, items, 5, &err), STATUS_INVALID);
    assert_null(overrides);
    if (strstr(err.message, "override 3, \"~a(\": regular expression \"a(\": missing )") == NULL)
        test_fail("%s", err.message);
    assert_int_equal(overrides_new(&overrides, items, ADMISSION_OVERRIDES_MAX + 1, &err),
                     STATUS_INVALID);
    assert_string_equal(err.message, "257 overrides; at most 256 are allowed");
}

static void without_memory_there_is_none_and_nothing_leaks(void **state)
{
    (void)state;
    static const struct admission_override items[] = {
        {.match = "up"}, {.match = "d*"}, {.match = "~a|b"}, {.match = "down"}};
    enum status status = STATUS_MEMORY;
    struct overrides *overrides = NULL;
    long n = 0;
    for (; status != STATUS_OK; n++) {
        struct error err = {0};
        heap_left = n;
        status = overrides_new(&overrides, items, sizeof items / sizeof items[0], &err);
        heap_left = -1;
        assert_true(status == STATUS_OK || (status == STATUS_MEMORY && overrides == NULL));
        assert_true(status == STATUS_OK || strstr(err.message, "no memory") != NULL);
    }
    assert_true(n > 10);
    overrides_free(overrides);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_several_that_match_the_first_holds),
        cmocka_unit_test(without_items_nothing_is_found),
        cmocka_unit_test(items_are_copied_with_what_they_set),
        cmocka_unit_test(as_many_names_as_are_allowed_are_found_each),
        cmocka_unit_test(the_first_is_the_one_that_a_plain_search_finds),
        cmocka_unit_test(a_pattern_that_is_none_is_named),
        cmocka_unit_test(without_memory_there_is_none_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
