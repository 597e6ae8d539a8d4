/*
 * remote_write - prometheus.WriteRequest (remote write 1.0), in one pass.
 *
 *   WriteRequest   1 TimeSeries*, 3 MetricMetadata*
 *   TimeSeries     1 Label*, 2 Sample*, 3 Exemplar*, 4 Histogram*
 *   Label          1 name, 2 value
 *   Sample         1 double value, 2 int64 timestamp (ms)
 *   MetricMetadata 1 enum type, 2 metric_family_name, 4 help, 5 unit
 *
 * The raw bytes of a series entry are its Label fields, tags and lengths included, as they stand in
 * the body: senders write them one after the other. Where one does not, they are copied together.
 * proto3 leaves out fields that are zero, lets a repeated scalar's last value win and allows any
 * order; all senders write one order, and that one is read without generic code.
 */
#include <snappy-c.h>

#include "base/times.h"
#include "base/utf8.h"
#include "protocols/protocols.h"
#include "protocols/remote_write_wire.h"

/*
 * Snappy's densest element is a copy of 64 bytes in 3 (format_description.txt, 2.2.2). What
 * declares more than that is a lie, and found out before anything is allocated.
 */
enum { SNAPPY_MAX_RATIO = 22 };

/* Tells these label bytes from other formats' (batch.h): "rw". */
#define REMOTE_WRITE_HASH_TAG UINT64_C(0x7772)

/* Refusals of one TimeSeries, listed as one. */
struct refused {
    uint64_t count;
    uint32_t first; /* index in the request */
};

struct write_request {
    const uint8_t *start; /* of the decompressed body */
    struct batch *batch;
    struct remote_write_counts *counts;
    uint32_t next_index; /* of samples and histograms, in order */
    struct wire_fault fault;
};

struct time_series {
    struct slice message;
    struct slice labels; /* the first run of Label fields */
    bool scattered;      /* there are more elsewhere */
    bool added;          /* `series` is its entry in the batch */
    uint32_t series;
    struct refused out_of_range;
    int64_t out_of_range_ms; /* the first */
    struct refused histograms;
};

/* STATUS_INVALID with the request's fault. */
static enum status request_invalid(const struct write_request *request, struct error *err)
{
    return fail_code(err, STATUS_INVALID, "protobuf_invalid",
                     "remote write: byte %zu of the decompressed body: %s; "
                     "send a prometheus.WriteRequest (remote write 1.0)",
                     (size_t)(request->fault.at - request->start), request->fault.what);
}

static enum status batch_failed(enum status status, struct error *err)
{
    if (status == STATUS_LIMIT)
        return fail_code(err, status, "body_too_large",
                         "remote write: the request's samples need more memory than memory.limit "
                         "leaves to one request; send fewer at a time");
    return fail(err, status, "remote write: out of memory while reading the request");
}

/* ---- labels ---- */

/* Whether a Label holds a name and a value of less than 128 bytes in that order and nothing else,
 * as nearly all do. */
static inline bool label_is_plain(const uint8_t *message, size_t size)
{
    if (size < 4 || message[0] != WIRE_TAG(1, WIRE_BYTES))
        return false;
    size_t name = message[1];
    if (name > 127 || name + 4 > size || message[2 + name] != WIRE_TAG(2, WIRE_BYTES))
        return false;
    size_t value = message[3 + name];
    return value < 128 && name + value + 4 == size;
}

/* The position after the run of Label fields at `at`; NULL and the fault when one is broken. */
static const uint8_t *labels_check(const uint8_t *at, const uint8_t *end, struct wire_fault *fault)
{
    while (end - at >= 2 && at[0] == WIRE_TAG(1, WIRE_BYTES)) {
        size_t size = at[1];
        if (size < 128 && size <= (size_t)(end - at) - 2 && label_is_plain(at + 2, size)) {
            at += 2 + size;
            continue;
        }
        struct wire_field field;
        struct wire_label label;
        at = wire_field_get(at, end, &field, fault);
        if (at == NULL || !wire_label_get(field.bytes, &label, fault))
            return NULL;
    }
    return at;
}

enum status protocols_remote_write_decode_labels(struct slice raw, struct arena *arena,
                                                 struct labels *labels, struct error *err)
{
    struct wire_fault fault;
    struct wire_field field;
    const uint8_t *end = raw.data + raw.size;
    size_t count = 0;
    for (const uint8_t *at = raw.data; at < end; count++)
        if ((at = wire_field_get(at, end, &field, &fault)) == NULL)
            return fail_code(err, STATUS_INVALID, "protobuf_invalid", "labels: %s", fault.what);
    if (count > LABELS_MAX_COUNT)
        return fail_code(err, STATUS_LIMIT, "labels_too_large",
                         "%zu labels; at most %d are ever accepted in one series", count,
                         LABELS_MAX_COUNT);
    *labels = (struct labels){.items = arena_calloc(arena, count, sizeof(struct label))};
    if (labels->items == NULL)
        return fail(err, arena_status(arena), "no memory for %zu labels", count);
    for (const uint8_t *at = raw.data; at < end;) {
        struct wire_label label;
        at = wire_field_get(at, end, &field, &fault);
        if (at == NULL || field.type != WIRE_BYTES || !wire_label_get(field.bytes, &label, &fault))
            return fail_code(err, STATUS_INVALID, "protobuf_invalid", "a label cannot be read");
        labels->items[labels->count++] = (struct label){label.name, label.value};
    }
    return STATUS_OK;
}

/* For refusals only; size 0 where there is none. */
static struct slice metric_name(struct slice labels)
{
    const uint8_t *end = labels.data + labels.size;
    for (const uint8_t *at = labels.data; at < end;) {
        struct wire_field field;
        struct wire_label label;
        struct wire_fault fault;
        at = wire_field_get(at, end, &field, &fault);
        if (at == NULL || !wire_label_get(field.bytes, &label, &fault))
            break;
        if (slice_equal_text(label.name, METRIC_NAME_LABEL) && utf8_valid(label.value))
            return label.value;
    }
    return slice_of("", 0);
}

/* Copies all Label fields of a TimeSeries, which was checked, together. */
static enum status labels_gather(struct time_series *series, struct arena *arena)
{
    uint8_t *gathered = arena_alloc(arena, series->message.size);
    if (gathered == NULL)
        return arena_status(arena);
    size_t size = 0;
    const uint8_t *end = series->message.data + series->message.size;
    for (const uint8_t *at = series->message.data; at < end;) {
        struct wire_field field;
        struct wire_fault fault;
        const uint8_t *start = at;
        at = wire_field_get(at, end, &field, &fault);
        if (at == NULL)
            return STATUS_INVALID;
        if (field.number != 1)
            continue;
        memcpy(gathered + size, start, (size_t)(at - start));
        size += (size_t)(at - start);
    }
    series->labels = slice_of(gathered, size);
    return STATUS_OK;
}

/* ---- samples ---- */

struct write_sample {
    int64_t time_ms;
    double value;
};

static bool sample_get(struct slice message, struct write_sample *sample, struct wire_fault *fault)
{
    *sample = (struct write_sample){0};
    const uint8_t *at = message.data;
    const uint8_t *end = message.data + message.size;
    while (at < end) {
        struct wire_field field;
        const uint8_t *start = at;
        at = wire_field_get(at, end, &field, fault);
        if (at == NULL)
            return false;
        if (field.number == 1) {
            if (!wire_field_is(&field, WIRE_FIXED64, start, fault))
                return false;
            sample->value = double_of_bits(field.value);
        } else if (field.number == 2) {
            if (!wire_field_is(&field, WIRE_VARINT, start, fault))
                return false;
            sample->time_ms = (int64_t)field.value;
        }
    }
    return true;
}

/* The order all senders write: value (left out when it is zero), then time, nothing else. False
 * when it is not that; then sample_get decides. */
static inline bool sample_get_plain(const uint8_t *message, size_t size,
                                    struct write_sample *sample)
{
    const uint8_t *end = message + size;
    sample->value = 0;
    if (size > 9 && message[0] == WIRE_TAG(1, WIRE_FIXED64)) {
        sample->value = double_of_bits(load_u64(message + 1));
        message += 9;
    }
    uint64_t time;
    if (message == end || message[0] != WIRE_TAG(2, WIRE_VARINT) ||
        varint_get(message + 1, end, &time) != end)
        return false;
    sample->time_ms = (int64_t)time;
    return true;
}

static void refused_add(struct refused *refused, uint32_t index)
{
    if (refused->count++ == 0)
        refused->first = index;
}

static inline enum status sample_add(struct write_request *request, struct time_series *series,
                                     const struct write_sample *sample)
{
    uint32_t index = request->next_index++;
    request->counts->samples++;
    if (sample->time_ms < TIME_MIN_MS || sample->time_ms >= TIME_MAX_MS) {
        if (series->out_of_range.count == 0)
            series->out_of_range_ms = sample->time_ms;
        refused_add(&series->out_of_range, index);
        return STATUS_OK;
    }
    if (!series->added) {
        enum status status =
            batch_add_series(request->batch, series->labels, index, 0, &series->series);
        if (status != STATUS_OK)
            return status;
        series->added = true;
    }
    return batch_add_sample(request->batch, series->series, sample->time_ms, sample->value);
}

/* ---- TimeSeries ---- */

/* A Label behind other fields, or written in an unusual way. */
static bool series_label(struct write_request *request, struct time_series *series,
                         struct slice field, struct slice message)
{
    struct wire_label label;
    if (!wire_label_get(message, &label, &request->fault))
        return false;
    if (series->labels.size == 0)
        series->labels = field;
    else if (series->labels.data + series->labels.size == field.data)
        series->labels.size += field.size;
    else
        series->scattered = true;
    return true;
}

/* One field that is not a Label or a plain Sample; the position after it, or NULL and the fault. */
static const uint8_t *series_field(struct write_request *request, struct time_series *series,
                                   const uint8_t *at, const uint8_t *end, enum status *status)
{
    struct wire_field field;
    struct write_sample sample;
    const uint8_t *after = wire_field_get(at, end, &field, &request->fault);
    if (after == NULL)
        return NULL;
    if (field.number <= 4 && !wire_field_is(&field, WIRE_BYTES, at, &request->fault))
        return NULL;
    switch (field.number) {
    case 1:
        if (!series_label(request, series, slice_of(at, (size_t)(after - at)), field.bytes))
            return NULL;
        break;
    case 2:
        if (!sample_get(field.bytes, &sample, &request->fault))
            return NULL;
        *status = sample_add(request, series, &sample);
        break;
    case 3:
        request->counts->exemplars++;
        break;
    case 4:
        request->counts->histograms++;
        refused_add(&series->histograms, request->next_index++);
        break;
    default:
        break;
    }
    return after;
}

static void series_refuse(struct write_request *request, const struct time_series *series)
{
    bool listed = request->batch->rejection_count < BATCH_MAX_REJECTIONS;
    struct slice name = listed ? metric_name(series->labels) : slice_of("", 0);
    if (series->out_of_range.count > 0)
        batch_reject(request->batch, series->out_of_range.count, series->out_of_range.first, 0,
                     "timestamp_out_of_range", name,
                     "%llu samples of metric \"%.*s\" have times outside the years 1678 to 2262, "
                     "the first %lld ms since 1970; timestamps are milliseconds",
                     (unsigned long long)series->out_of_range.count, SLICE_FORMAT(name),
                     (long long)series->out_of_range_ms);
    if (series->histograms.count > 0)
        batch_reject(request->batch, series->histograms.count, series->histograms.first, 0,
                     "native_histogram_unsupported", name,
                     "metric \"%.*s\": %llu native histograms; they are not supported yet: expose "
                     "it with classic buckets",
                     SLICE_FORMAT(name), (unsigned long long)series->histograms.count);
}

static enum status series_finish(struct write_request *request, struct time_series *series)
{
    bool refused = series->out_of_range.count > 0 || series->histograms.count > 0;
    if (series->scattered) {
        enum status status = labels_gather(series, request->batch->arena);
        if (status != STATUS_OK)
            return status;
    }
    /* Labels that came after the first sample, or in several runs. */
    if (series->added)
        request->batch->series[series->series].raw = series->labels;
    if (refused)
        series_refuse(request, series);
    return STATUS_OK;
}

static enum status series_parse(struct write_request *request, struct slice message,
                                struct error *err)
{
    struct time_series series = {.message = message};
    const uint8_t *end = message.data + message.size;
    const uint8_t *at = labels_check(message.data, end, &request->fault);
    if (at == NULL)
        return request_invalid(request, err);
    series.labels = slice_of(message.data, (size_t)(at - message.data));
    request->counts->series++;
    while (at < end) {
        enum status status = STATUS_OK;
        struct write_sample sample;
        size_t left = (size_t)(end - at);
        if (left >= 2 && at[0] == WIRE_TAG(2, WIRE_BYTES) && at[1] < 128 && at[1] <= left - 2 &&
            sample_get_plain(at + 2, at[1], &sample)) {
            at += 2 + at[1];
            status = sample_add(request, &series, &sample);
        } else {
            at = series_field(request, &series, at, end, &status);
        }
        if (at == NULL)
            return request_invalid(request, err);
        if (status != STATUS_OK)
            return batch_failed(status, err);
    }
    enum status status = series_finish(request, &series);
    return status == STATUS_OK ? STATUS_OK : batch_failed(status, err);
}

/* ---- MetricMetadata ---- */

/* prompb.MetricMetadata_MetricType. */
static enum metric_type metadata_type(uint64_t number)
{
    static const enum metric_type types[] = {
        METRIC_UNKNOWN,        METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM,
        METRIC_GAUGEHISTOGRAM, METRIC_SUMMARY, METRIC_INFO,  METRIC_STATESET,
    };
    return number < sizeof types / sizeof types[0] ? types[number] : METRIC_UNKNOWN;
}

static bool metadata_get(struct slice message, struct metric *metric, struct wire_fault *fault)
{
    *metric = (struct metric){0};
    const uint8_t *at = message.data;
    const uint8_t *end = message.data + message.size;
    while (at < end) {
        struct wire_field field;
        const uint8_t *start = at;
        at = wire_field_get(at, end, &field, fault);
        if (at == NULL)
            return false;
        bool text = field.number == 2 || field.number == 4 || field.number == 5;
        if ((text && !wire_field_is(&field, WIRE_BYTES, start, fault)) ||
            (field.number == 1 && !wire_field_is(&field, WIRE_VARINT, start, fault)))
            return false;
        if (field.number == 1)
            metric->type = metadata_type(field.value);
        else if (field.number == 2)
            metric->name = field.bytes;
        else if (field.number == 4)
            metric->help = field.bytes;
        else if (field.number == 5)
            metric->unit = field.bytes;
    }
    return true;
}

/* Why the descriptor cannot be registered, or NULL. */
static const char *metadata_flaw(const struct metric *metric)
{
    if (metric->name.size == 0)
        return "it names no metric";
    if (metric->name.size > METRIC_NAME_MAX_SIZE)
        return "the name is too long";
    if (metric->unit.size > METRIC_UNIT_MAX_SIZE)
        return "the unit is too long";
    if (metric->help.size > METRIC_HELP_MAX_SIZE)
        return "the help text is too long";
    if (!utf8_valid(metric->name) || !utf8_valid(metric->unit) || !utf8_valid(metric->help))
        return "it is not UTF-8";
    if (slice_has_nul(metric->name) || slice_has_nul(metric->unit) || slice_has_nul(metric->help))
        return "it has a NUL byte in it";
    return NULL;
}

static enum status metadata_parse(struct write_request *request, struct slice message,
                                  struct error *err)
{
    struct metric metric;
    if (!metadata_get(message, &metric, &request->fault))
        return request_invalid(request, err);
    const char *flaw = metadata_flaw(&metric);
    if (flaw != NULL) {
        bool printable = utf8_valid(metric.name) && !slice_has_nul(metric.name);
        struct slice name = printable ? metric.name : slice_of("", 0);
        batch_warn(request->batch, "metadata of metric \"%.*s\" ignored: %s", SLICE_FORMAT(name),
                   flaw);
        return STATUS_OK;
    }
    enum status status = batch_add_metric(request->batch, &metric);
    if (status != STATUS_OK)
        return batch_failed(status, err);
    request->counts->metadata++;
    return STATUS_OK;
}

/* ---- the request ---- */

static enum status request_parse(struct write_request *request, struct slice message,
                                 struct error *err)
{
    const uint8_t *at = message.data;
    const uint8_t *end = message.data + message.size;
    while (at < end) {
        struct wire_field field;
        const uint8_t *start = at;
        at = wire_field_get(at, end, &field, &request->fault);
        if (at == NULL)
            return request_invalid(request, err);
        if (field.number != 1 && field.number != 3)
            continue;
        if (!wire_field_is(&field, WIRE_BYTES, start, &request->fault))
            return request_invalid(request, err);
        enum status status = field.number == 1 ? series_parse(request, field.bytes, err)
                                               : metadata_parse(request, field.bytes, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* How many TimeSeries with a sample the message may hold, by hopping over its fields. */
static size_t series_estimate(struct slice message)
{
    enum { SMALLEST = 16 }; /* with a name and a sample; less is not worth room ahead */
    const uint8_t *at = message.data;
    const uint8_t *end = message.data + message.size;
    size_t count = 0;
    while (at < end && *at == WIRE_TAG(1, WIRE_BYTES)) {
        uint64_t size;
        at = varint_get(at + 1, end, &size);
        if (at == NULL || size > (uint64_t)(end - at))
            break;
        at += size;
        count += size >= SMALLEST;
    }
    return count;
}

static enum status body_decompress(struct slice body, size_t max, struct bytes *scratch,
                                   struct error *err)
{
    size_t declared;
    const char *compressed = (const char *)body.data;
    if (body.size == 0 || snappy_uncompressed_length(compressed, body.size, &declared) != SNAPPY_OK)
        return fail_code(err, STATUS_INVALID, "snappy_invalid",
                         "remote write: the body does not begin with a snappy length; compress it "
                         "with snappy's block format (not the framed one)");
    if (declared > max)
        return fail_code(err, STATUS_LIMIT, "body_too_large",
                         "remote write: the body declares %zu bytes decompressed; at most %zu are "
                         "accepted: send fewer samples at a time",
                         declared, max);
    if (declared / SNAPPY_MAX_RATIO > body.size)
        return fail_code(err, STATUS_INVALID, "snappy_invalid",
                         "remote write: a body of %zu bytes cannot hold the %zu it declares; it is "
                         "damaged",
                         body.size, declared);
    bytes_clear(scratch);
    enum status status = bytes_reserve(scratch, declared);
    if (status != STATUS_OK)
        return batch_failed(status, err);
    size_t size = declared;
    if (declared > 0 &&
        snappy_uncompress(compressed, body.size, (char *)scratch->data, &size) != SNAPPY_OK)
        return fail_code(err, STATUS_INVALID, "snappy_invalid",
                         "remote write: the body is not valid snappy (block format); it is damaged "
                         "or cut off");
    scratch->size = size;
    return STATUS_OK;
}

enum status protocols_remote_write_parse(struct slice body, const struct protocol_limits *limits,
                                         struct bytes *scratch, struct arena *arena,
                                         struct batch *batch, struct remote_write_counts *counts,
                                         struct error *err)
{
    *counts = (struct remote_write_counts){0};
    batch_init(batch, arena, protocols_remote_write_decode_labels, REMOTE_WRITE_HASH_TAG);
    enum status status = body_decompress(body, limits->decoded_max_bytes, scratch, err);
    if (status != STATUS_OK || scratch->size == 0)
        return status;
    struct write_request request = {
        .start = scratch->data,
        .batch = batch,
        .counts = counts,
    };
    size_t expected = series_estimate(bytes_slice(scratch));
    batch_reserve(batch, expected, expected);
    return request_parse(&request, bytes_slice(scratch), err);
}
