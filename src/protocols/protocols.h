/*
 * protocols - the wire formats: bytes of a request -> struct batch.
 *
 * A parser begins the batch (batch_init) in the caller's arena and fills it. What concerns one
 * sample (a time out of range, a value that is no number) refuses that sample by batch_reject and
 * the rest is kept; what makes the whole body unreadable is returned as a status, and then the
 * batch is of no use but to be dropped.
 *
 * Ownership: the batch borrows the body (or the scratch buffer it was decompressed into), which
 * must outlive it unchanged. Threads: one at a time for each batch, parser and scratch buffer.
 *
 * Errors of every parser, besides those it names:
 *   LIMIT    over a limit: of the body, or of the batch's arena
 *   MEMORY   the heap is exhausted
 */
#ifndef METRIC_STORE_PROTOCOLS_PROTOCOLS_H
#define METRIC_STORE_PROTOCOLS_PROTOCOLS_H

#include "base/bytes.h"
#include "model/batch.h"

struct protocol_limits {
    size_t decoded_max_bytes; /* of a body after decompression */
};

/* ---- remote write 1.0 ---------------------------------------------------------------------- */

struct remote_write_counts {
    uint64_t series;     /* TimeSeries messages */
    uint64_t samples;    /* float samples, refused ones included */
    uint64_t histograms; /* native histograms: all refused */
    uint64_t exemplars;  /* ignored */
    uint64_t metadata;   /* descriptors given to the batch */
};

/*
 * Parses a snappy-compressed prometheus.WriteRequest (block format). The declared length is checked
 * against the limit and against what `body` could hold at snappy's best before anything is
 * allocated. `scratch` receives the decompressed body, is kept for the next request by a caller
 * that wants to, and is borrowed by the batch. Refuses samples with the codes
 *   timestamp_out_of_range, native_histogram_unsupported
 * Metadata becomes descriptors; one that cannot be registered is dropped with a warning.
 *   INVALID  not snappy (code snappy_invalid), or not that message (code protobuf_invalid); the
 *            message gives the offset in the decompressed body
 *   LIMIT    code body_too_large
 */
MUST_CHECK enum status protocols_remote_write_parse(struct slice body,
                                                    const struct protocol_limits *limits,
                                                    struct bytes *scratch, struct arena *arena,
                                                    struct batch *batch,
                                                    struct remote_write_counts *counts,
                                                    struct error *err);

batch_decode_labels protocols_remote_write_decode_labels;

#endif
