/*
 * bitmap_codec - sets of series ids as bytes: the portable form of Roaring bitmaps
 * (https://github.com/RoaringBitmap/RoaringFormatSpec).
 *
 * What is read is checked in full before CRoaring sees it: the library's reader looks at sizes
 * only, and goes astray later on containers that are not sorted or contradict their cardinality.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_BITMAP_CODEC_H
#define METRIC_STORE_STORAGE_ENGINE_BITMAP_CODEC_H

#include <roaring/roaring.h>

#include "base/bytes.h"

/* Appends `bitmap`, which is compact already (roaring_bitmap_run_optimize) or simply larger. */
MUST_CHECK enum status bitmap_encode(const roaring_bitmap_t *bitmap, struct bytes *to);

/* Gives *bitmap, ended by roaring_bitmap_free. CORRUPT, MEMORY. */
MUST_CHECK enum status bitmap_decode(struct slice from, roaring_bitmap_t **bitmap,
                                     struct error *err);

#endif
