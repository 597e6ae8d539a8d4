#include "../test.h"

#include <math.h>

#include "../pseudo_random.h"
#include "base/times.h"
#include "commands/chart.h"
#include "commands/chart_axis.h"
#include "commands/text_table.h"

/* 2026-11-23T10:00:00Z */
#define START_MS INT64_C(1795428000000)

enum { MAX_POINTS = 400 };

/* A chart whose series have names "s1", "s2", ... unless told otherwise. */
struct fixture {
    struct chart chart;
    struct chart_series series[16];
    struct chart_point points[16][MAX_POINTS];
    char names[16][8];
    struct arena arena;
    struct bytes text;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena, 1 << 22);
    bytes_init(&fixture->text, 1 << 22);
    fixture->chart = (struct chart){.series = fixture->series, .width = 40, .height = 8};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    bytes_release(&fixture->text);
    arena_release(&fixture->arena);
    free(fixture);
    return 0;
}

static struct chart_series *add_series(struct fixture *fixture, const double *values, size_t count,
                                       int64_t step_ms)
{
    size_t index = fixture->chart.count++;
    snprintf(fixture->names[index], sizeof fixture->names[0], "s%zu", index + 1);
    for (size_t i = 0; i < count; i++)
        fixture->points[index][i] = (struct chart_point){
            .time_ms = START_MS + (int64_t)i * step_ms,
            .value = values[i],
        };
    fixture->series[index] = (struct chart_series){
        .name = slice_from_text(fixture->names[index]),
        .points = fixture->points[index],
        .count = count,
    };
    return &fixture->series[index];
}

static const char *drawn(struct fixture *fixture)
{
    bytes_clear(&fixture->text);
    assert_int_equal(chart_draw(&fixture->chart, &fixture->arena, &fixture->text), STATUS_OK);
    assert_int_equal(bytes_append(&fixture->text, "", 1), STATUS_OK);
    return (const char *)fixture->text.data;
}

#define check_chart(fixture, wanted) assert_string_equal(drawn(fixture), wanted)

/* ---- as they look ----------------------------------------------------------------------- */

static void a_line_goes_from_its_first_value_to_its_last(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100};
    add_series(fixture, values, 11, 60000);
    check_chart(fixture, "100 ┤                               ⢀⡠⠔⠊\n"
                         "    │                            ⣀⠤⠒⠁\n"
                         "    │                        ⢀⡠⠔⠊\n"
                         " 50 ┤                    ⣀⡠⠔⠊⠁\n"
                         "    │             ⢀⣀⠤⠤⠒⠊⠉\n"
                         "  0 ┤⣀⣀⣀⣀⣀⡠⠤⠤⠤⠒⠒⠊⠉⠁\n"
                         "    └┬────────────────┬────────────────┬\n"
                         "   10:00            10:05          10:10\n"
                         "2026-11-23 10:00:00 to 2026-11-23 10:10:00 UTC\n"
                         "━ s1\n");
}

static void a_single_point_stands_in_the_middle(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {-3};
    add_series(fixture, values, 1, 0);
    check_chart(fixture, "   │\n"
                         "   │\n"
                         "   │\n"
                         "-3 ┤                  ⠁\n"
                         "   │\n"
                         "   │\n"
                         "   └──────────────────┬─────────────────\n"
                         "                  10:00:00\n"
                         "2026-11-23 10:00:00 UTC\n"
                         "━ s1\n");
}

static void a_constant_line_has_its_value_beside_it(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {0.25, 0.25, 0.25};
    add_series(fixture, values, 3, 1000);
    check_chart(fixture, "     │\n"
                         "     │\n"
                         "     │\n"
                         "0.25 ┤⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉\n"
                         "     │\n"
                         "     │\n"
                         "     └┬────────────────┬───────────────┬\n"
                         "  10:00:00         10:00:01     10:00:02\n"
                         "2026-11-23 10:00:00 to 2026-11-23 10:00:02 UTC\n"
                         "━ s1\n");
}

static void negative_values_lie_below_zero(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {-2, 1, -1.5, 0.5, -1};
    add_series(fixture, values, 5, 500);
    check_chart(fixture, "   │        ⡔⠑⢄\n"
                         "   │      ⢠⠊   ⠑⢄            ⡠⠊⠒⠤⡀\n"
                         " 0 ┤    ⢀⠔⠁      ⠱⡀       ⢀⠔⠉    ⠈⠑⠤⣀\n"
                         "   │   ⡠⠊         ⠈⠢⡀   ⣀⠔⠁          ⠑⠢⢄\n"
                         "   │ ⢀⠜             ⠈⠢⡠⠊\n"
                         "-2 ┤⡠⠃\n"
                         "   └┬─────────────────┬────────────────┬\n"
                         "10:00:00          10:00:01      10:00:02\n"
                         "2026-11-23 10:00:00 to 2026-11-23 10:00:02 UTC\n"
                         "━ s1\n");
}

static void the_largest_and_the_smallest_values_have_their_place(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {-1.7976931348623157e308, 1.7976931348623157e308, 0};
    add_series(fixture, values, 3, 86400000);
    check_chart(fixture, " 1.79769e+308 ┤           ⡠⠊⠒⠤⣀\n"
                         "              │        ⢀⠤⠊     ⠉⠒⠤⣀\n"
                         "              │      ⢀⠔⠁           ⠉⠒⠤⣀\n"
                         "              │    ⢀⠔⠁                 ⠉\n"
                         "              │  ⡠⠒⠁\n"
                         "-1.79769e+308 ┤⡠⠊\n"
                         "              └───────────────────┬─────\n"
                         "                             2026-11-25\n"
                         "2026-11-23 10:00:00 to 2026-11-25 10:00:00 UTC\n"
                         "━ s1\n");
}

static void the_least_values_there_are_have_their_place(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {5e-324, 1e-323, 0};
    add_series(fixture, values, 3, 86400000);
    check_chart(fixture, "9.88131e-324 ┤         ⢀⡠⠔⠊⠑⢄\n"
                         "             │     ⣀⠤⠔⠊⠁     ⠑⠤⡀\n"
                         "             │ ⣀⠤⠒⠉            ⠈⠢⡀\n"
                         "             │⠉                  ⠈⠢⡀\n"
                         "             │                     ⠈⠒⢄\n"
                         "           0 ┤                        ⠑⢄\n"
                         "             └────────────────────┬─────\n"
                         "                             2026-11-25\n"
                         "2026-11-23 10:00:00 to 2026-11-25 10:00:00 UTC\n"
                         "━ s1\n");
}

static void values_that_differ_in_their_last_digits_are_told_apart(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {1e16, 1e16 + 2, 1e16 + 4};
    add_series(fixture, values, 3, 3600000);
    check_chart(fixture, "10000000000000004 ┤                  ⡠⠔⠊\n"
                         "                  │              ⢀⡠⠒⠉\n"
                         "                  │           ⣀⠤⠊⠁\n"
                         "                  │       ⢀⡠⠔⠊\n"
                         "                  │   ⢀⡠⠔⠊⠁\n"
                         "10000000000000000 ┤⡠⠔⠊⠁\n"
                         "                  └┬─────────┬─────────┬\n"
                         "                 10:00     11:00   12:00\n"
                         "2026-11-23 10:00:00 to 2026-11-23 12:00:00 UTC\n"
                         "━ s1\n");
}

static void lines_break_at_what_is_missing_or_no_number(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {1, 2, NAN, 2, INFINITY, 1, 2, 1, 2};
    struct chart_series *series = add_series(fixture, values, 9, 15000);
    fixture->points[0][6].missing = true;
    assert_int_equal(series->count, 9);
    check_chart(fixture, "2.0 ┤    ⡜        ⠁                    ⡜\n"
                         "    │   ⡸                             ⡸\n"
                         "    │  ⢰⠁                            ⢰⠁\n"
                         "1.5 ┤ ⢀⠇                            ⢀⠇\n"
                         "    │ ⡎                             ⡎\n"
                         "1.0 ┤⡜                    ⢀        ⡜\n"
                         "    └┬────────────────┬────────────────┬\n"
                         "   10:00            10:01          10:02\n"
                         "2026-11-23 10:00:00 to 2026-11-23 10:02:00 UTC\n"
                         "━ s1\n"
                         "2 values are NaN or infinite, not drawn\n");
}

static void lines_break_where_samples_are_much_further_apart_than_usual(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {1, 2, 3, 4, 5, 6, 7, 8};
    add_series(fixture, values, 8, 60000);
    for (size_t i = 4; i < 8; i++)
        fixture->points[0][i].time_ms += 6 * 60000;
    check_chart(fixture, "8 ┤                                 ⢀⠤⠒⠉\n"
                         "  │                              ⢀⡠⠒⠁\n"
                         "  │                            ⠔⠊⠁\n"
                         "  │      ⣀⠤⠒\n"
                         "  │   ⢀⠤⠊\n"
                         "1 ┤⡠⠔⠊⠁\n"
                         "  └┬─────────────┬─────────────┬────────\n"
                         " 10:00         10:05         10:10\n"
                         "2026-11-23 10:00:00 to 2026-11-23 10:13:00 UTC\n"
                         "━ s1\n");
}

static void series_have_marks_of_their_own_without_colours(void **state)
{
    struct fixture *fixture = *state;
    static const double rising[] = {0, 5, 10};
    static const double falling[] = {10, 6, 2};
    static const double high[] = {20, 21, 20};
    add_series(fixture, rising, 3, 60000);
    add_series(fixture, falling, 3, 60000);
    add_series(fixture, high, 3, 60000);
    check_chart(fixture, "20 ┤■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■\n"
                         "   │\n"
                         "   │\n"
                         "   │○○○○○○○○○                  ●●●●●●●●●\n"
                         "   │         ○○○○○○○○○○○○○○○○○○\n"
                         " 0 ┤●●●●●●●●●                  ○○○○○○○○○\n"
                         "   └┬─────────────────┬────────────────┬\n"
                         "  10:00             10:01          10:02\n"
                         "2026-11-23 10:00:00 to 2026-11-23 10:02:00 UTC\n"
                         "● s1\n"
                         "○ s2\n"
                         "■ s3\n");
}

static void series_have_colours_where_these_may_be_used(void **state)
{
    struct fixture *fixture = *state;
    static const double rising[] = {0, 5, 10};
    static const double falling[] = {10, 6, 2};
    fixture->chart.colour = true;
    fixture->chart.height = 6;
    fixture->chart.width = 24;
    add_series(fixture, rising, 3, 60000);
    add_series(fixture, falling, 3, 60000);
    check_chart(fixture, "10 ┤\033[33m⠉⠒⠢⠤⢄⣀\033[0m         \033[36m⢀⣀⠤⠒⠉\033[0m\n"
                         "   │      \033[33m⠉⠑⠒⠢⠤⣀⡤\033[36m⠒⠊⠁\033[0m\n"
                         "   │     \033[36m⣀⡠⠤⠒⠊⠉\033[0m \033[33m⠈⠉⠒⠒⠤⢄⣀\033[0m\n"
                         " 0 ┤\033[36m⣀⠤⠔⠒⠉\033[0m              \033[33m⠉\033[0m\n"
                         "   └┬──────────────────┬\n"
                         "  10:00            10:02\n"
                         "2026-11-23 10:00:00 to 2026-11-23 10:02:00 UTC\n"
                         "\033[36m━\033[0m s1\n"
                         "\033[33m━\033[0m s2\n");
}

static void series_beyond_the_eighth_are_counted(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 11; i++) {
        double values[] = {(double)i, (double)i};
        add_series(fixture, values, 2, 60000);
    }
    fixture->chart.height = 13;
    check_chart(fixture, "  │◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇◇\n"
                         "  │◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆◆\n"
                         "  │\n"
                         "5 ┤△△△△△△△△△△△△△△△△△△△△△△△△△△△△△△△△△△△△△\n"
                         "  │▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲▲\n"
                         "  │\n"
                         "  │□□□□□□□□□□□□□□□□□□□□□□□□□□□□□□□□□□□□□\n"
                         "  │■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■\n"
                         "  │\n"
                         "  │○○○○○○○○○○○○○○○○○○○○○○○○○○○○○○○○○○○○○\n"
                         "0 ┤●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●\n"
                         "  └┬─────────────────┬─────────────────┬\n"
                         "10:00:00         10:00:30       10:01:00\n"
                         "2026-11-23 10:00:00 to 2026-11-23 10:01:00 UTC\n"
                         "● s1\n"
                         "○ s2\n"
                         "■ s3\n"
                         "□ s4\n"
                         "▲ s5\n"
                         "△ s6\n"
                         "◆ s7\n"
                         "◇ s8\n"
                         "3 more series not drawn: narrow the selector, or group them with --by\n");
}

static void names_are_cut_to_the_width_and_cannot_drive_the_terminal(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {1, 2};
    add_series(fixture, values, 2, 60000)->name = slice_from_text("東京東京東京東京東京東京東京");
    add_series(fixture, values, 2, 60000)->name = slice_from_text("a\033[2Jb\n\xff");
    add_series(fixture, values, 2, 60000)->name = slice_of(NULL, 0);
    fixture->points[2][0].value = fixture->points[2][1].value = NAN;
    fixture->chart.width = 24;
    check_chart(fixture, "2.0 ┤                 ○○\n"
                         "    │             ○○○○\n"
                         "    │         ○○○○\n"
                         "1.5 ┤      ○○○\n"
                         "    │  ○○○○\n"
                         "1.0 ┤○○\n"
                         "    └┬─────────────────┬\n"
                         "   10:00           10:01\n"
                         "2026-11-23 10:00:00 to 2026-11-23 10:01:00 UTC\n"
                         "● 東京東京東京東京東京…\n"
                         "○ a\\x1b[2Jb\\n\\xff\n"
                         "■  (no numbers)\n"
                         "2 values are NaN or infinite, not drawn\n");
}

static void times_are_those_of_the_zone(void **state)
{
    struct fixture *fixture = *state;
    /* Berlin, the night that ends summer time: 02:00 comes twice. */
    static const double values[] = {1, 2, 3, 4, 5, 6};
    add_series(fixture, values, 6, 3600000);
    for (size_t i = 0; i < 6; i++)
        fixture->points[0][i].time_ms += INT64_C(1792879200000) - START_MS;
    struct zone *zone;
    assert_int_equal(zone_open(&zone, slice_from_text("Europe/Berlin"), NULL), STATUS_OK);
    fixture->chart.zone = zone;
    fixture->chart.zone_name = "Europe/Berlin";
    fixture->chart.width = 60;
    check_chart(fixture, "6 ┤                                                ⢀⣀⣀⠤⠤⠔⠒⠊⠉\n"
                         "  │                                      ⢀⣀⣀⠤⠤⠤⠒⠒⠊⠉⠁\n"
                         "  │                            ⢀⣀⣀⠤⠤⠒⠒⠊⠉⠉⠁\n"
                         "  │                  ⢀⣀⣀⡠⠤⠤⠒⠒⠉⠉⠁\n"
                         "  │        ⢀⣀⡠⠤⠤⠒⠒⠒⠉⠉⠁\n"
                         "1 ┤⣀⡠⠤⠔⠒⠒⠉⠉⠁\n"
                         "  └┬──────────┬──────────────────────┬──────────┬──────────┬\n"
                         " 00:00      01:00                  02:00      03:00    04:00\n"
                         "2026-10-25 00:00:00 to 2026-10-25 04:00:00 Europe/Berlin\n"
                         "━ s1\n");
    zone_close(zone);
}

static void days_and_years_have_dates(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {1, 2, 3};
    add_series(fixture, values, 3, INT64_C(40000000000));
    fixture->chart.width = 70;
    check_chart(fixture, "3 ┤                                                         ⣀⣀⣀⠤⠤⠔⠒⠒⠊⠉\n"
                         "  │                                              ⣀⣀⣀⠤⠤⠔⠒⠒⠊⠉⠉\n"
                         "  │                                   ⣀⣀⣀⠤⠤⠔⠒⠒⠊⠉⠉\n"
                         "2 ┤                       ⣀⣀⣀⠤⠤⠤⠒⠒⠒⠉⠉⠉\n"
                         "  │           ⣀⣀⣀⠤⠤⠤⠒⠒⠒⠉⠉⠉\n"
                         "1 ┤⣀⣀⠤⠤⠤⠒⠒⠒⠉⠉⠉\n"
                         "  └──┬─────────────────────────┬─────────────────────────┬────────────\n"
                         "2026-12-22                2027-12-22                2028-12-21\n"
                         "2026-11-23 10:00:00 to 2029-06-06 08:13:20 UTC\n"
                         "━ s1\n");
}

static void what_has_no_numbers_is_said_so(void **state)
{
    struct fixture *fixture = *state;
    static const double values[] = {NAN, INFINITY};
    add_series(fixture, values, 2, 60000);
    check_chart(fixture, "nothing to draw: no point has a number\n"
                         "2026-11-23 10:00:00 to 2026-11-23 10:01:00 UTC\n"
                         "● s1 (no numbers)\n"
                         "2 values are NaN or infinite, not drawn\n");
}

static void no_series_is_said_so(void **state)
{
    struct fixture *fixture = *state;
    check_chart(fixture, "nothing to draw: no series has a point\n");
}

/* ---- any data, any size ----------------------------------------------------------------- */

static double any_value(uint64_t *random, uint32_t kind)
{
    static const double odd[] = {0,        -0.0,   NAN,      INFINITY, -INFINITY, 1.7e308,
                                 -1.7e308, 5e-324, -5e-324,  1e-300,   1e16,      1e16 + 2,
                                 123456,   -1e-9,  1e9 + .1, 1e9 + .2};
    switch (kind % 4) {
    case 0:
        return (double)random_below(random, 1000) / 7 - 40;
    case 1:
        return odd[random_below(random, sizeof odd / sizeof odd[0])];
    case 2:
        return ldexp((double)random_below(random, 1000), (int)random_below(random, 1800) - 900);
    default:
        return 1e9 + (double)random_below(random, 4) / 8;
    }
}

static void check_lines(struct fixture *fixture, size_t seed)
{
    const struct chart *chart = &fixture->chart;
    size_t width = chart->width < CHART_MIN_WIDTH ? CHART_MIN_WIDTH : chart->width;
    for (const char *at = drawn(fixture); *at != 0;) {
        const char *end = strchr(at, '\n');
        assert_non_null(end);
        bool is_note = strstr(at, " to 2") < end || strncmp(at, "nothing", 7) == 0 ||
                       (*at >= '0' && *at <= '9' && strstr(at, " not drawn") != NULL);
        if (!is_note && text_width(slice_of(at, (size_t)(end - at))) > width)
            test_fail("seed %zu: wider than %zu: %.*s", seed, width, (int)(end - at), at);
        at = end + 1;
    }
}

static void any_data_are_drawn_within_the_width(void **state)
{
    struct fixture *fixture = *state;
    for (size_t seed = 1; seed <= 3000; seed++) {
        uint64_t random = seed;
        fixture->chart.count = 0;
        fixture->chart.width = random_below(&random, 130);
        fixture->chart.height = random_below(&random, 40);
        static const int64_t step_sizes[] = {0, 1, 15000, 86400000, 20000000000};
        for (size_t i = random_below(&random, 12); i > 0; i--) {
            double values[MAX_POINTS];
            size_t count = random_below(&random, MAX_POINTS);
            uint32_t kind = random_below(&random, 4);
            for (size_t j = 0; j < count; j++)
                values[j] = any_value(&random, kind);
            add_series(fixture, values, count, step_sizes[random_below(&random, 5)]);
        }
        arena_reset(&fixture->arena, 1 << 20);
        check_lines(fixture, seed);
    }
}

static void a_small_arena_or_text_is_a_limit(void **state)
{
    struct fixture *fixture = *state;
    double values[100];
    for (size_t i = 0; i < 100; i++)
        values[i] = (double)i;
    add_series(fixture, values, 100, 1000);
    size_t whole = strlen(drawn(fixture));
    for (size_t size = 0; size < whole; size += 61) {
        struct bytes text;
        bytes_init(&text, size);
        assert_int_equal(chart_draw(&fixture->chart, &fixture->arena, &text), STATUS_LIMIT);
        bytes_release(&text);
    }
    struct arena arena;
    arena_init(&arena, 64);
    assert_int_equal(chart_draw(&fixture->chart, &arena, &fixture->text), STATUS_LIMIT);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_goes_from_its_first_value_to_its_last, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_single_point_stands_in_the_middle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_constant_line_has_its_value_beside_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(negative_values_lie_below_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_largest_and_the_smallest_values_have_their_place,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_least_values_there_are_have_their_place, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(values_that_differ_in_their_last_digits_are_told_apart,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_break_at_what_is_missing_or_no_number, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lines_break_where_samples_are_much_further_apart_than_usual,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(series_have_marks_of_their_own_without_colours, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(series_have_colours_where_these_may_be_used, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(series_beyond_the_eighth_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_cut_to_the_width_and_cannot_drive_the_terminal,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_are_those_of_the_zone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(days_and_years_have_dates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_no_numbers_is_said_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_series_is_said_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_data_are_drawn_within_the_width, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_small_arena_or_text_is_a_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
