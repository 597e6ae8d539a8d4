/*
 * times - text for instants and durations.
 *
 * Instants are int64_t milliseconds since 1970-01-01T00:00:00Z, negative before; the whole range
 * 1678 to 2262 is usable. Durations are milliseconds.
 */
#ifndef METRIC_STORE_BASE_TIMES_H
#define METRIC_STORE_BASE_TIMES_H

#include "base/slice.h"

enum { MS_PER_SECOND = 1000, MS_PER_MINUTE = 60000, MS_PER_HOUR = 3600000, MS_PER_DAY = 86400000 };
enum { INSTANT_TEXT_SIZE = 40 };

/* What may be stored is TIME_MIN_MS <= t < TIME_MAX_MS: from 1678-01-01T00:00:00Z up to
 * 2262-04-11T23:47:16.854Z, the last millisecond that 64 bits of nanoseconds can say. */
#define TIME_MIN_MS INT64_C(-9214560000000)
#define TIME_MAX_MS INT64_C(9223372036855)

/* Days since 1970 of the UTC day that holds `time_ms`; rounds down also before 1970. */
int64_t day_of_time(int64_t time_ms);

/* RFC 3339 ("2026-11-23T10:00:00.250Z", offsets allowed, fractions cut to ms). */
bool instant_parse(struct slice text, int64_t *time_ms);

/* Zero-terminated "2026-11-23T10:00:00Z", ".mmm" only when there are ms. Returns the length. */
size_t instant_format(char text[INSTANT_TEXT_SIZE], int64_t time_ms);

/* Zero-terminated "2026-11-23" of a day number. */
size_t day_format(char text[INSTANT_TEXT_SIZE], int64_t day);

/* "250ms", "15s", "5m", "2h", "10d", "1w", "1y" and sums of them ("1h30m"); "0". False otherwise.
 */
bool duration_parse(struct slice text, int64_t *duration_ms);

/* Zero-terminated; the largest units that lose nothing: "1h30m", "10d", "0s". Returns the length.
 */
size_t duration_format(char text[INSTANT_TEXT_SIZE], int64_t duration_ms);

#endif
