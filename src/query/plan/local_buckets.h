/*
 * local_buckets - buckets of an hour and more by the clocks of a time zone.
 *
 *   - The clock's time is cut into pieces of the interval, counted from Monday 2000-01-03 00:00 (so
 *     hours and days begin with the clock's own and weeks on Monday, as TimescaleDB's time_bucket
 *     with a time zone has them).
 *   - A bucket begins at the first moment at which the clock shows its start or, put forward, has
 *     passed it. A start that no clock shows has no bucket when the clock passes all of it: the
 *     skipped hour, the skipped day of Apia.
 *   - A clock that is put back by less than an interval shows part of a bucket twice: the bucket is
 *     longer by that, a day of 25 hours. By an interval or more: what it shows a second time are
 *     buckets of their own, the two hours of the night that ends summer time.
 *
 * So the buckets cover all time, none is empty, and each is named by its first moment.
 */
#ifndef METRIC_STORE_QUERY_PLAN_LOCAL_BUCKETS_H
#define METRIC_STORE_QUERY_PLAN_LOCAL_BUCKETS_H

#include "query/plan/plan.h"

/* Sets `count` and `starts` (arena memory) from the request's zone and interval, for
 * buckets->range. LIMIT "query_points_limit", found before memory is taken; LIMIT or MEMORY of the
 * arena. */
MUST_CHECK enum status local_buckets_make(struct plan_buckets *buckets,
                                          const struct query_request *request, struct arena *arena,
                                          struct error *err);

#endif
