#include "base/times.h"

#include <inttypes.h>
#include <stdio.h>

int64_t day_of_time(int64_t time_ms)
{
    int64_t day = time_ms / MS_PER_DAY;
    return time_ms % MS_PER_DAY < 0 ? day - 1 : day;
}

struct civil {
    int64_t year;
    unsigned month;
    unsigned day;
};

/* Howard Hinnant's days_from_civil and civil_from_days (chrono-Compatible Low-Level Date
 * Algorithms). */
static int64_t days_of_civil(struct civil date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year =
        (153 * ((int64_t)date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static struct civil civil_of_days(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    struct civil date;
    date.day = (unsigned)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    date.month = (unsigned)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    date.year = year_of_era + era * 400 + (date.month <= 2);
    return date;
}

static bool digits_at(struct slice text, size_t at, size_t count, int64_t *value)
{
    if (at > text.size || text.size - at < count)
        return false;
    *value = 0;
    for (size_t i = at; i < at + count; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *value = *value * 10 + (text.data[i] - '0');
    }
    return true;
}

static bool byte_at(struct slice text, size_t at, const char *any_of)
{
    return at < text.size && text.data[at] != 0 && strchr(any_of, text.data[at]) != NULL;
}

static bool month_has_day(const struct civil *date)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (date->month < 1 || date->month > 12 || date->day < 1)
        return false;
    bool leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;
    return date->day <= days[date->month - 1] + (date->month == 2 && leap ? 1 : 0);
}

/* "Z", "+02:00" or "-05:30" at `at`, to the end of the text. */
static bool offset_parse(struct slice text, size_t at, int64_t *offset_ms)
{
    *offset_ms = 0;
    if (byte_at(text, at, "Zz"))
        return at + 1 == text.size;
    int64_t hours, minutes;
    if (!byte_at(text, at, "+-") || !digits_at(text, at + 1, 2, &hours) ||
        !byte_at(text, at + 3, ":") || !digits_at(text, at + 4, 2, &minutes) ||
        at + 6 != text.size || hours > 23 || minutes > 59)
        return false;
    *offset_ms = hours * MS_PER_HOUR + minutes * MS_PER_MINUTE;
    if (text.data[at] == '-')
        *offset_ms = -*offset_ms;
    return true;
}

bool instant_parse(struct slice text, int64_t *time_ms)
{
    int64_t year, month, day, hour, minute, second;
    if (!digits_at(text, 0, 4, &year) || !byte_at(text, 4, "-") || !digits_at(text, 5, 2, &month) ||
        !byte_at(text, 7, "-") || !digits_at(text, 8, 2, &day) || !byte_at(text, 10, "Tt ") ||
        !digits_at(text, 11, 2, &hour) || !byte_at(text, 13, ":") ||
        !digits_at(text, 14, 2, &minute) || !byte_at(text, 16, ":") ||
        !digits_at(text, 17, 2, &second))
        return false;
    struct civil date = {.year = year, .month = (unsigned)month, .day = (unsigned)day};
    if (!month_has_day(&date) || hour > 23 || minute > 59 || second > 60)
        return false;
    size_t at = 19;
    int64_t fraction_ms = 0;
    if (byte_at(text, at, ".")) {
        int64_t scale = 100;
        size_t first = ++at;
        for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++, scale /= 10)
            fraction_ms += (text.data[at] - '0') * scale;
        if (at == first)
            return false;
    }
    int64_t offset_ms;
    if (!offset_parse(text, at, &offset_ms))
        return false;
    *time_ms = days_of_civil(date) * MS_PER_DAY + hour * MS_PER_HOUR + minute * MS_PER_MINUTE +
               second * MS_PER_SECOND + fraction_ms - offset_ms;
    return true;
}

size_t day_format(char text[INSTANT_TEXT_SIZE], int64_t day)
{
    struct civil date = civil_of_days(day);
    return (size_t)snprintf(text, INSTANT_TEXT_SIZE, "%04" PRId64 "-%02u-%02u", date.year,
                            date.month, date.day);
}

size_t instant_format(char text[INSTANT_TEXT_SIZE], int64_t time_ms)
{
    int64_t day = day_of_time(time_ms);
    int64_t rest = time_ms % MS_PER_DAY;
    if (rest < 0)
        rest += MS_PER_DAY;
    size_t size = day_format(text, day);
    size += (size_t)snprintf(text + size, INSTANT_TEXT_SIZE - size,
                             "T%02" PRId64 ":%02" PRId64 ":%02" PRId64, rest / MS_PER_HOUR,
                             rest / MS_PER_MINUTE % 60, rest / MS_PER_SECOND % 60);
    if (rest % MS_PER_SECOND != 0)
        size += (size_t)snprintf(text + size, INSTANT_TEXT_SIZE - size, ".%03" PRId64,
                                 rest % MS_PER_SECOND);
    size += (size_t)snprintf(text + size, INSTANT_TEXT_SIZE - size, "Z");
    return size;
}

static const struct duration_unit {
    const char *name;
    int64_t ms;
} duration_units[] = {
    {"y", INT64_C(365) * MS_PER_DAY},
    {"w", INT64_C(7) * MS_PER_DAY},
    {"d", MS_PER_DAY},
    {"h", MS_PER_HOUR},
    {"ms", 1},
    {"m", MS_PER_MINUTE},
    {"s", MS_PER_SECOND},
};
enum { DURATION_UNIT_COUNT = sizeof duration_units / sizeof duration_units[0] };

static const struct duration_unit *duration_unit_at(struct slice text, size_t at)
{
    for (size_t i = 0; i < DURATION_UNIT_COUNT; i++) {
        size_t size = strlen(duration_units[i].name);
        if (text.size - at >= size && memcmp(text.data + at, duration_units[i].name, size) == 0)
            return &duration_units[i];
    }
    return NULL;
}

bool duration_parse(struct slice text, int64_t *duration_ms)
{
    *duration_ms = 0;
    if (slice_equal_text(text, "0"))
        return true;
    if (text.size == 0)
        return false;
    size_t at = 0;
    while (at < text.size) {
        int64_t count = 0;
        size_t first = at;
        for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++)
            if (__builtin_mul_overflow(count, 10, &count) ||
                __builtin_add_overflow(count, text.data[at] - '0', &count))
                return false;
        if (at == first || at == text.size)
            return false;
        const struct duration_unit *unit = duration_unit_at(text, at);
        if (unit == NULL || __builtin_mul_overflow(count, unit->ms, &count) ||
            __builtin_add_overflow(*duration_ms, count, duration_ms))
            return false;
        at += strlen(unit->name);
    }
    return true;
}

size_t duration_format(char text[INSTANT_TEXT_SIZE], int64_t duration_ms)
{
    static const struct duration_unit units[] = {
        {"d", MS_PER_DAY},    {"h", MS_PER_HOUR}, {"m", MS_PER_MINUTE},
        {"s", MS_PER_SECOND}, {"ms", 1},
    };
    if (duration_ms == 0)
        return (size_t)snprintf(text, INSTANT_TEXT_SIZE, "0s");
    size_t size = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t count = duration_ms / units[i].ms;
        duration_ms %= units[i].ms;
        if (count != 0)
            size += (size_t)snprintf(text + size, INSTANT_TEXT_SIZE - size, "%" PRId64 "%s", count,
                                     units[i].name);
    }
    return size;
}
