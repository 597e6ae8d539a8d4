/*
 * lack_of_room - settings loaded with ever more room, from none up to what is enough.
 */
#ifndef METRIC_STORE_TESTS_LACK_OF_ROOM_H
#define METRIC_STORE_TESTS_LACK_OF_ROOM_H

#include "base/status.h"

/* Loads settings with `memory` bytes for all of their texts, and releases everything. */
typedef enum status load_within(size_t memory);

static inline void assert_lack_of_room_is_told_and_survived(load_within *load)
{
    size_t failures = 0;
    for (enum status status; (status = load(16 * failures)) != STATUS_OK; failures++)
        assert_int_equal(status, STATUS_LIMIT);
    assert_true(failures > 10);
}

#endif
