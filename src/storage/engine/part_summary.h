/*
 * part_summary - the summary of a block in as few bytes as give it back bit for bit.
 *
 * What follows from other fields is left out, and `flags` say what is there; the rest are integers
 * at the block's scale, mostly as differences:
 *
 *   first: varint zigzag
 *   [LAST]      last - first
 *   [MIN]       the smaller of first and last, less min
 *   [MAX]       max less the larger of first and last
 *   [SUM]       sum less what a straight line from first to last sums up to
 *   [SUM_ULPS]  how many doubles the sum lies above the one nearest to that integer
 *   [REST]      compensation: odd mantissa, exponent less the sum's
 *   [INCREASE]  increase less (last - first)
 *   [INCREASE_ULPS]
 *   [EDGES]     first_ms less the block's; the block's last_ms less last_ms: stale markers there
 *
 * or, with RAW, the seven doubles as they are. A block of stale markers only has nothing.
 *
 * Whether this gives the summary back is tried at writing; where it does not (NaN, infinities,
 * values that are no decimals) it is RAW.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PART_SUMMARY_H
#define METRIC_STORE_STORAGE_ENGINE_PART_SUMMARY_H

#include "storage/engine/part_format.h"

enum { PART_SUMMARY_MAX_SIZE = 120 };

/* Writes at most PART_SUMMARY_MAX_SIZE bytes; returns the position after them. */
uint8_t *part_summary_put(uint8_t *to, const struct part_block *block, unsigned *flags);

/* The reverse: fills block->summary, apart from stale_count, nan_count and count, which stand there
 * already, as do scale, first_ms and last_ms. NULL where the bytes are cut off or nonsense. */
const uint8_t *part_summary_get(const uint8_t *from, const uint8_t *end, unsigned flags,
                                struct part_block *block);

#endif
