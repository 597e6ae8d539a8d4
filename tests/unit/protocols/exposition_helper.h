/*
 * exposition_helper - parses a body and shows what came out as text, one line a sample:
 *   {a="b",name="x"} 1.5 1000        labels in canonical order, __name__ left as "name"
 */
#ifndef METRIC_STORE_TESTS_UNIT_PROTOCOLS_EXPOSITION_HELPER_H
#define METRIC_STORE_TESTS_UNIT_PROTOCOLS_EXPOSITION_HELPER_H

#include "../test.h"

#include "base/bits.h"
#include "cxx/number.h"
#include "protocols/protocols.h"

enum { TEST_NOW_MS = 1000, TEST_SEED = 7, TEST_ARENA_MAX = 64 << 20 };

struct parsed {
    struct arena arena;
    struct batch batch;
    struct error err;
    enum status status;
};

static inline void parsed_release(struct parsed *parsed)
{
    arena_release(&parsed->arena);
}

static inline struct parsed *parse_with(struct parsed *parsed, struct slice body, bool openmetrics,
                                        size_t arena_max)
{
    memset(parsed, 0, sizeof *parsed);
    arena_init(&parsed->arena, arena_max);
    batch_init(&parsed->batch, &parsed->arena, protocols_exposition_decode_labels,
               PROTOCOL_TAG_EXPOSITION);
    parsed->status = openmetrics
                         ? protocols_openmetrics_parse(body, TEST_NOW_MS, TEST_SEED, &parsed->batch,
                                                       &parsed->err)
                         : protocols_text_parse(body, TEST_NOW_MS, &parsed->batch, &parsed->err);
    return parsed;
}

static inline struct parsed *parse_text(struct parsed *parsed, const char *body)
{
    return parse_with(parsed, slice_from_text(body), false, TEST_ARENA_MAX);
}

static inline struct parsed *parse_openmetrics(struct parsed *parsed, const char *body)
{
    return parse_with(parsed, slice_from_text(body), true, TEST_ARENA_MAX);
}

/* The canonical labels of a series entry. */
static inline enum status series_labels(struct batch *batch, size_t series, struct labels *labels,
                                        struct error *err)
{
    enum status status = batch->decode_labels(batch->series[series].raw, batch->arena, labels, err);
    return status == STATUS_OK ? labels_canonicalise(labels, err) : status;
}

/* How many series entries have labels that no store would take. */
static inline size_t invalid_series(struct batch *batch)
{
    size_t invalid = 0;
    for (size_t i = 0; i < batch->series_count; i++) {
        struct labels labels;
        invalid += series_labels(batch, i, &labels, NULL) != STATUS_OK;
    }
    return invalid;
}

/* The samples as text, in the batch's arena. */
static inline const char *samples_shown(struct batch *batch)
{
    struct bytes text;
    bytes_init(&text, 1 << 24);
    for (size_t i = 0; i < batch->sample_count; i++) {
        struct labels labels;
        struct error err = {0};
        if (series_labels(batch, batch->sample_series[i], &labels, &err) != STATUS_OK) {
            print_error("sample %zu: %s\n", i, err.message);
            assert_true(false);
        }
        for (size_t j = 0; j < labels.count; j++) {
            const struct label *label = &labels.items[j];
            bool name = slice_equal_text(label->name, METRIC_NAME_LABEL);
            struct slice shown = name ? slice_from_text("name") : label->name;
            assert_int_equal(bytes_format(&text, "%s%.*s=\"%.*s\"", j == 0 ? "{" : ",",
                                          SLICE_FORMAT(shown), SLICE_FORMAT(label->value)),
                             STATUS_OK);
        }
        char number[NUMBER_TEXT_SIZE];
        size_t size = number_format(number, batch->sample_values[i]);
        assert_int_equal(bytes_format(&text, "} %.*s %lld\n", (int)size, number,
                                      (long long)batch->sample_times[i]),
                         STATUS_OK);
    }
    assert_int_equal(bytes_append(&text, "", 1), STATUS_OK);
    struct slice copy = arena_copy(batch->arena, bytes_slice(&text));
    bytes_release(&text);
    assert_non_null(copy.data);
    return (const char *)copy.data;
}

static inline void assert_samples(struct parsed *parsed, const char *want)
{
    assert_int_equal(parsed->status, STATUS_OK);
    assert_string_equal(samples_shown(&parsed->batch), want);
}

static inline void assert_slice_text(struct slice slice, const char *want)
{
    if (!slice_equal_text(slice, want))
        print_error("got \"%.*s\", want \"%s\"\n", SLICE_FORMAT(slice), want);
    assert_true(slice_equal_text(slice, want));
}

/* xorshift64*: the same run for the same seed. */
static inline uint64_t test_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* A name or value of characters that are hard to write, in the arena; never empty. */
static inline struct slice random_text(struct arena *arena, uint64_t *state, size_t max)
{
    static const char *const pieces[] = {"a",  "Z", "_", "0",    ":",   "\"", "\\", "\n",
                                         "{",  "}", ",", "=",    " ",   "#",  "\t", "\x01",
                                         "\r", "é", "☃", "\x7f", "\\n", "😀", "x",  "y"};
    size_t count = 1 + test_random(state) % max;
    uint8_t *text = arena_alloc(arena, 4 * count);
    assert_non_null(text);
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[test_random(state) % (sizeof pieces / sizeof pieces[0])];
        memcpy(text + size, piece, strlen(piece));
        size += strlen(piece);
    }
    return slice_of(text, size);
}

/* Canonical labels with a name; `count` may shrink by duplicates. */
static inline struct labels random_labels(struct arena *arena, uint64_t *state, struct slice name)
{
    size_t count = test_random(state) % 6;
    struct labels labels = {.items = arena_alloc(arena, (count + 1) * sizeof(struct label))};
    assert_non_null(labels.items);
    labels.items[labels.count++] = (struct label){slice_from_text(METRIC_NAME_LABEL), name};
    for (size_t i = 0; i < count; i++) {
        struct slice label = random_text(arena, state, 6);
        bool known = false;
        for (size_t j = 0; j < labels.count; j++)
            known |= slice_equal(labels.items[j].name, label);
        if (!known)
            labels.items[labels.count++] = (struct label){label, random_text(arena, state, 12)};
    }
    assert_int_equal(labels_canonicalise(&labels, NULL), STATUS_OK);
    return labels;
}

static inline double random_value(uint64_t *state)
{
    static const double special[] = {0.0,
                                     -0.0,
                                     1,
                                     5e-324,
                                     -2.2250738585072011e-308,
                                     1e21,
                                     1e-7,
                                     1.7976931348623157e308,
                                     123456789012345680,
                                     0.1};
    uint64_t pick = test_random(state);
    if (pick % 3 == 0)
        return special[(pick >> 8) % (sizeof special / sizeof special[0])];
    if (pick % 3 == 1)
        return (double)(int64_t)(pick >> 20) / 1000;
    return double_of_bits(test_random(state));
}

#endif
