/*
 * retention_scene - a scene whose store has retention rules, for the tests of them.
 */
#ifndef METRIC_STORE_TESTS_RETENTION_SCENE_H
#define METRIC_STORE_TESTS_RETENTION_SCENE_H

#include "base/times.h"
#include "scene.h"

enum { SERIES = 28, ALL_SERIES = 3000, HEAD = 8 << 20 };

#define DAY     ((int64_t)MS_PER_DAY)
#define FIRST   (INT64_C(20000) * DAY) /* midnight */
#define FOREVER INT64_C(0)

struct retention_scene {
    struct scene scene;
    int64_t leap_ms; /* of the wall clock, that retention should not go by */
};

/* At noon of the first day. */
void retention_begin(struct retention_scene *test, int64_t default_ms,
                     const struct retention_rule *rules, size_t count);
/* Time passes, as both clocks see it. */
void retention_pass(struct retention_scene *test, int64_t duration_ms);
void retention_change(struct retention_scene *test, int64_t default_ms,
                      const struct retention_rule *rules, size_t count);
void retention_put_run(struct retention_scene *test, uint32_t series, int64_t from_ms, size_t count,
                       double value);
/* Some samples of the first `count` series now. */
void retention_put_all(struct retention_scene *test, uint32_t count);
/* `days` days with samples of every series, each flushed when it is over. */
void retention_live(struct retention_scene *test, int days);
/* The samples of series of the metrics [from, to) before the last `keep_ms` must be gone. */
void retention_expect_gone(struct retention_scene *test, uint32_t from, uint32_t to,
                           int64_t keep_ms);
struct storage_condition retention_condition(struct retention_scene *test);

#endif
