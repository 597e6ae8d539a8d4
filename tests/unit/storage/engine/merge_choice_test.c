/*
 * Which parts are merged: what stays of a day and how often its bytes are written, for flushes of
 * sizes drawn by lot and for sizes that are made to keep parts apart.
 */
#include "../../test.h"

#include "storage/engine/merge_choice.h"

enum { PARTS_MAX = 8192 };

struct day {
    struct merge_candidate parts[PARTS_MAX];
    size_t count;
    size_t fan_in;
    uint64_t flushed, merged;
    uint32_t top; /* level */
};

static uint64_t draw(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15;
    uint64_t bits = *seed;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

static void flush(struct day *day, uint64_t bytes)
{
    assert_true(day->count < PARTS_MAX);
    day->parts[day->count++] = (struct merge_candidate){.bytes = bytes};
    day->flushed += bytes;
}

/* Some of what is merged may be the same samples: `kept` of 8 eighths are left. */
static bool merge_once(struct day *day, uint64_t kept)
{
    size_t start;
    size_t count = merge_choose(day->parts, day->count, day->fan_in, &start);
    if (count == 0)
        return false;
    assert_in_range(count, 2, MERGE_SOURCES_MAX);
    assert_true(start + count <= day->count);
    struct merge_candidate made = {0};
    uint64_t largest = 0;
    for (size_t i = start; i < start + count; i++) {
        const struct merge_candidate *part = &day->parts[i];
        assert_false(part->fixed || (i > start && part->gap_before));
        made.bytes += part->bytes;
        made.level = part->level >= made.level ? part->level + 1 : made.level;
        largest = part->bytes > largest ? part->bytes : largest;
    }
    made.bytes = made.bytes * kept / 8 < largest ? largest : made.bytes * kept / 8;
    made.gap_before = day->parts[start].gap_before;
    day->parts[start] = made;
    memmove(day->parts + start + 1, day->parts + start + count,
            (day->count - start - count) * sizeof day->parts[0]);
    day->count -= count - 1;
    day->merged += made.bytes;
    day->top = made.level > day->top ? made.level : day->top;
    return true;
}

static void settle(struct day *day, uint64_t kept)
{
    size_t before = day->count;
    size_t merges = 0;
    while (merge_once(day, kept))
        merges++;
    assert_true(merges <= before);
}

static double amplification(const struct day *day)
{
    return (double)(day->flushed + day->merged) / (double)day->flushed;
}

/* ---- in order of time ------------------------------------------------------------------- */

static void a_day_in_order_of_time_is_written_three_times_at_the_most(void **state)
{
    (void)state;
    for (uint64_t flushes = 1; flushes < 1800; flushes += 13) {
        struct day day = {.fan_in = 8};
        for (uint64_t i = 0; i < flushes; i++) {
            flush(&day, 1000 + i % 13);
            settle(&day, 8);
            assert_in_range(day.count, 1, 7 + 14 + 14);
        }
        assert_true(amplification(&day) <= 3);
        assert_true(day.top <= 2);
    }
}

/* Merges that lag behind find many parts at once. */
static void merges_that_come_late_write_no_more(void **state)
{
    (void)state;
    for (uint64_t every = 2; every < 300; every += 13) {
        struct day day = {.fan_in = 8};
        for (uint64_t i = 1; i < 1500; i++) {
            flush(&day, 1000 + i % 13);
            if (i % every == 0)
                settle(&day, 8);
        }
        settle(&day, 8);
        assert_true(amplification(&day) <= 3);
        assert_in_range(day.count, 1, 7 + 14 + 14);
    }
}

static void few_late_bytes_do_not_have_a_large_part_written_again(void **state)
{
    (void)state;
    struct day day = {.fan_in = 8};
    flush(&day, 10000000);
    for (int i = 0; i < 3000; i++) {
        flush(&day, 100);
        settle(&day, 8);
        assert_in_range(day.count, 1, 40);
    }
    assert_true(day.merged < 10000000 / 8);
}

/* ---- what keeps parts apart ------------------------------------------------------------- */

/* The i-th flush. */
static uint64_t adverse_size(int kind, uint64_t i, uint64_t *seed)
{
    static const uint64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    switch (kind) {
    case 0: /* each stretch of a fan-in has one that is most of it */
        return i % 8 == 0 ? 100000 : 1000;
    case 1:
        return i % 4 == 0 ? 100000 : 1000;
    case 2:
        return i % 21 == 0 ? 100000 : 1000;
    case 3: /* one in two is ten times as large, one in four a hundred times, and so on */
        return 100 * powers[__builtin_ctzll(i + 1) % 8];
    case 4: /* each larger than all before it together */
        return UINT64_C(1) << 2 * (i % 15);
    case 5:
        return UINT64_C(1) << 2 * (14 - i % 15);
    case 6: /* two kinds in turn */
        return i % 2 == 0 ? 1000000 : 1000;
    case 7:
        return 100 + draw(seed) % 1000;
    case 8: /* of every size alike */
        return powers[draw(seed) % 8] * (100 + draw(seed) % 900);
    default: /* rarely a very large one */
        return draw(seed) % 50 == 0 ? 100000000 : 100 + draw(seed) % 10000;
    }
}

enum { ADVERSE_KINDS = 10 };

static void a_settled_day_has_few_parts_whatever_their_sizes(void **state)
{
    (void)state;
    for (int kind = 0; kind < ADVERSE_KINDS; kind++)
        for (size_t fan_in = 2; fan_in <= 15; fan_in += 3)
            for (uint64_t every = 1; every < 200; every = every * 5 + 2) {
                struct day day = {.fan_in = fan_in};
                uint64_t seed = (uint64_t)kind * 1000 + every;
                for (uint64_t i = 0; i < 1500; i++) {
                    flush(&day, adverse_size(kind, i, &seed));
                    if (i % every != every - 1)
                        continue;
                    settle(&day, 8);
                    assert_in_range(day.count, 1, MERGE_PARTS_MAX);
                }
                if (amplification(&day) > 6)
                    test_fail("kind %d, fan-in %zu, every %d: written %.2f times", kind, fan_in,
                              (int)every, amplification(&day));
            }
}

static void the_same_samples_again_and_again_leave_few_parts_too(void **state)
{
    (void)state;
    for (uint64_t kept = 0; kept < 8; kept++) {
        struct day day = {.fan_in = 8};
        uint64_t seed = kept;
        for (uint64_t i = 0; i < 2000; i++) {
            flush(&day, 1000 + draw(&seed) % 100);
            settle(&day, kept);
            assert_in_range(day.count, 1, MERGE_PARTS_MAX);
        }
        assert_true(amplification(&day) <= 4);
    }
}

/* Fixed ones and gaps among them too: each stretch has as many as a whole day may have. */
static void a_settled_day_of_any_sizes_is_not_behind(void **state)
{
    (void)state;
    size_t most = 0;
    for (int kind = 0; kind < ADVERSE_KINDS; kind++)
        for (size_t fan_in = 2; fan_in <= 15; fan_in++)
            for (uint64_t every = 1; every < 2000; every = every * 5 + 2) {
                struct day day = {.fan_in = fan_in};
                uint64_t seed = (uint64_t)kind * 1000 + every;
                for (uint64_t i = 0; i < 2000; i++) {
                    flush(&day, adverse_size(kind, i, &seed));
                    struct merge_candidate *last = &day.parts[day.count - 1];
                    last->fixed = draw(&seed) % 300 == 0;
                    last->gap_before = draw(&seed) % 300 == 0;
                    if (i % every != every - 1)
                        continue;
                    settle(&day, 8);
                    most = day.count > most ? day.count : most;
                    assert_false(merge_is_behind(day.parts, day.count, fan_in));
                }
            }
    assert_true(most > MERGE_PARTS_MAX);
}

/* So a day is no more behind than it has to be: one flush after it was not, it may be. */
static void a_day_with_more_parts_than_may_stay_is_behind(void **state)
{
    (void)state;
    struct day day = {.fan_in = 8};
    for (int i = 0; i < MERGE_PARTS_MAX; i++)
        flush(&day, 1000);
    assert_false(merge_is_behind(day.parts, day.count, 8));
    flush(&day, 1000);
    assert_true(merge_is_behind(day.parts, day.count, 8));
    size_t start;
    assert_true(merge_choose(day.parts, day.count, 8, &start) > 0);
    day.parts[30].gap_before = true;
    assert_false(merge_is_behind(day.parts, day.count, 8));
    day.parts[30].gap_before = false;
    day.parts[30].fixed = true;
    assert_false(merge_is_behind(day.parts, day.count, 8));
    assert_false(merge_is_behind(NULL, 0, 8));
}

/* ---- lower levels among higher ones ----------------------------------------------------- */

static void parts_of_a_level_merge_with_lower_ones_between_them(void **state)
{
    (void)state;
    struct day day = {.fan_in = 8};
    for (int i = 0; i < 15; i++) {
        day.parts[day.count++] = (struct merge_candidate){.bytes = 8000, .level = 1};
        for (int j = 0; j < 3 && i < 14; j++)
            day.parts[day.count++] = (struct merge_candidate){.bytes = 1000};
    }
    settle(&day, 8);
    assert_int_equal(day.count, 1);
    assert_int_equal(day.parts[0].level, 2);
    assert_int_equal(day.merged, 15 * 8000 + 42 * 1000);

    /* Fewer are not enough, whatever lies between: one of level 2 stands for fifteen. */
    day.count = 0;
    for (int i = 0; i < 14; i++) {
        day.parts[day.count++] = (struct merge_candidate){.bytes = 8000, .level = 1};
        day.parts[day.count++] = (struct merge_candidate){.bytes = 1000};
    }
    settle(&day, 8);
    assert_int_equal(day.count, 28);
}

static void parts_beside_a_fixed_one_or_a_gap_merge_each_side_by_itself(void **state)
{
    (void)state;
    for (size_t place = 1; place < 40; place++)
        for (int gap = 0; gap < 2; gap++) {
            struct day day = {.fan_in = 4};
            for (size_t i = 0; i < 40; i++)
                flush(&day, 1000);
            day.parts[place].fixed = !gap;
            day.parts[place].gap_before = gap;
            settle(&day, 8); /* merge_once looks that neither is merged over */
            size_t left = 0;
            while (left < day.count && !day.parts[left].fixed && !day.parts[left].gap_before)
                left++;
            assert_in_range(left, 1, 6);
            assert_in_range(day.count - left, 1, 7);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_in_order_of_time_is_written_three_times_at_the_most),
        cmocka_unit_test(merges_that_come_late_write_no_more),
        cmocka_unit_test(few_late_bytes_do_not_have_a_large_part_written_again),
        cmocka_unit_test(a_settled_day_has_few_parts_whatever_their_sizes),
        cmocka_unit_test(a_settled_day_of_any_sizes_is_not_behind),
        cmocka_unit_test(a_day_with_more_parts_than_may_stay_is_behind),
        cmocka_unit_test(the_same_samples_again_and_again_leave_few_parts_too),
        cmocka_unit_test(parts_of_a_level_merge_with_lower_ones_between_them),
        cmocka_unit_test(parts_beside_a_fixed_one_or_a_gap_merge_each_side_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
