/*
 * zone - time zones of the IANA database by name (cctz): what the clocks of a place show when.
 *
 * The database is the system's: /usr/share/zoneinfo, or where TZDIR points; package tzdata. A zone
 * is read at its first use and stays in memory for the life of the process (some 17 KiB, 10 MiB
 * for all that the database has, nothing for other names), so a newer database needs a restart.
 *
 * Threads: any number may use one zone at once.
 */
#ifndef METRIC_STORE_CXX_ZONE_H
#define METRIC_STORE_CXX_ZONE_H

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct zone; /* opaque */

/*
 * Gives *zone, ended by zone_close; on failure *zone is NULL. "UTC" needs no database.
 *   NOT_FOUND    the database has no zone of that name
 *   UNSUPPORTED  there is no database
 */
MUST_CHECK enum status zone_open(struct zone **zone, struct slice name, struct error *err);
void zone_close(struct zone *zone); /* accepts NULL */

/* A stretch of time over which the clock runs evenly. */
struct zone_span {
    int64_t offset_ms; /* local time is UTC and this */
    int64_t end_ms;    /* the first moment after it, Unix ms UTC; INT64_MAX: it has no end */
};

/* The stretch that holds `time_ms`, which lies within some 10,000 years of 1970. */
struct zone_span zone_span_at(const struct zone *zone, int64_t time_ms);

#ifdef __cplusplus
}
#endif

#endif
