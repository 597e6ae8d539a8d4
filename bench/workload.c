#include "workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "cxx/number.h"
#include "wire.h"

enum { METRICS = 25, LABELS = 6, LABEL_SIZE = 64, KEPT_SERIES = 100000 };

struct text_label {
    const char *name;
    char value[LABEL_SIZE];
};

/* ---- order ------------------------------------------------------------------------------ */

uint64_t workload_samples(const struct workload *workload)
{
    return (uint64_t)workload->series * workload->points;
}

uint64_t workload_bodies(const struct workload *workload)
{
    return (workload_samples(workload) + workload->batch - 1) / workload->batch;
}

uint32_t workload_samples_in(const struct workload *workload, uint64_t body)
{
    uint64_t left = workload_samples(workload) - body * workload->batch;
    return left < workload->batch ? (uint32_t)left : workload->batch;
}

/* Each step maps the numbers of so many bits onto themselves, one to one; numbers beyond the last
 * sample are mapped again until they fall within. */
static uint64_t shuffle(const struct maker *maker, uint64_t number)
{
    uint64_t mask = (UINT64_C(1) << maker->random_bits) - 1;
    unsigned half = maker->random_bits / 2 + 1;
    do {
        for (int round = 0; round < 3; round++) {
            number = (number * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x632be59bd9b4e019)) & mask;
            number ^= number >> half;
        }
    } while (number >= workload_samples(maker->workload));
    return number;
}

static void place_of(const struct maker *maker, uint64_t number, uint32_t *series, uint32_t *point)
{
    const struct workload *workload = maker->workload;
    if (workload->shuffled)
        number = shuffle(maker, number);
    uint64_t stretch = number / workload->run;
    *series = (uint32_t)(stretch % workload->series);
    *point = (uint32_t)(stretch / workload->series * workload->run + number % workload->run);
}

/* ---- values ----------------------------------------------------------------------------- */

static double value_after(double *state, uint32_t series, uint32_t point)
{
    uint64_t random = wire_mixed((uint64_t)series << 32 | point);
    double unit = (double)(random >> 11) * 0x1p-53;
    uint32_t kind = series / METRICS % 20;
    if (point == 0)
        *state = (double)(wire_mixed(series) % 1000000);
    if (kind < 6)
        return *state;
    if (kind < 11)
        return *state += (double)(random % 4000);
    if (kind < 14)
        return (*state += (double)(random % 1500)) / 100;
    if (kind < 16)
        return (*state += (double)(random % 512)) * 4096;
    if (kind < 18)
        return (*state += (double)(random % 61) - 30) / 100;
    if (kind < 19)
        return unit < 0.1 ? (*state = (double)(random % 100)) : *state;
    return unit;
}

static double value_at(uint32_t series, uint32_t point)
{
    uint64_t random = wire_mixed((uint64_t)series << 32 | point);
    double first = (double)(wire_mixed(series) % 1000000);
    uint32_t kind = series / METRICS % 20;
    if (kind < 6)
        return first;
    if (kind < 11)
        return first + point * 2000.0 + (double)(random % 2000);
    if (kind < 14)
        return (first + point * 750.0 + (double)(random % 750)) / 100;
    if (kind < 16)
        return (first + point * 256.0 + (double)(random % 256)) * 4096;
    if (kind < 18)
        return (first + (double)(random % 61) - 30) / 100;
    if (kind < 19)
        return (double)(wire_mixed((uint64_t)series << 32 | point / 10) % 100);
    return (double)(random >> 11) * 0x1p-53;
}

/* ---- bodies ----------------------------------------------------------------------------- */

static void labels_of(const struct workload *workload, uint32_t series,
                      struct text_label labels[LABELS])
{
    static const char *const regions[] = {"eu-central", "eu-west", "us-east", "us-west",
                                          "ap-south"};
    uint32_t host = series / METRICS % workload->hosts;
    labels[0].name = "__name__";
    snprintf(labels[0].value, LABEL_SIZE, "bench_metric_%02u_total", series % METRICS);
    labels[1].name = "device";
    snprintf(labels[1].value, LABEL_SIZE, "dev%u", series / METRICS / workload->hosts);
    labels[2].name = "instance";
    snprintf(labels[2].value, LABEL_SIZE, "host-%06u.example.org:9100", host);
    labels[3].name = "job";
    snprintf(labels[3].value, LABEL_SIZE, "node");
    labels[4].name = "region";
    snprintf(labels[4].value, LABEL_SIZE, "%s", regions[host % 5]);
    labels[5].name = "team";
    snprintf(labels[5].value, LABEL_SIZE, "team-%u", host % 17);
}

struct sample {
    int64_t time_ms;
    double value;
};

static struct sample sample_of(struct maker *maker, uint32_t series, uint32_t point)
{
    const struct workload *workload = maker->workload;
    uint32_t host = series / METRICS % workload->hosts;
    return (struct sample){
        .time_ms = workload->start_ms + point * workload->step_ms + host * 7919 % workload->step_ms,
        .value = maker->states == NULL ? value_at(series, point)
                                       : value_after(&maker->states[series], series, point),
    };
}

static void put_labels(struct maker *maker, uint32_t series, struct bytes *message)
{
    struct bytes *field = &maker->label;
    struct text_label labels[LABELS];
    labels_of(maker->workload, series, labels);
    for (int i = 0; i < LABELS; i++) {
        bytes_clear(field);
        wire_put_field(field, 0x0a, labels[i].name, strlen(labels[i].name));
        wire_put_field(field, 0x12, labels[i].value, strlen(labels[i].value));
        wire_put_field(message, 0x0a, field->data, field->size);
    }
}

static void put_kept_labels(struct maker *maker, uint32_t series, struct bytes *message)
{
    struct bytes *kept = &maker->labels[series];
    if (kept->size == 0) {
        bytes_init(kept, SIZE_MAX / 4);
        put_labels(maker, series, kept);
    }
    wire_put(message, kept->data, kept->size);
}

static void put_remote_write(struct maker *maker, uint32_t series, uint32_t point, uint32_t count)
{
    struct bytes *message = &maker->series;
    struct bytes *field = &maker->label;
    bytes_clear(message);
    (maker->labels != NULL ? put_kept_labels : put_labels)(maker, series, message);
    for (uint32_t i = 0; i < count; i++) {
        struct sample sample = sample_of(maker, series, point + i);
        bytes_clear(field);
        wire_put(field, "\x09", 1);
        wire_put(field, &sample.value, sizeof sample.value);
        wire_put(field, "\x10", 1);
        wire_put_varint(field, (uint64_t)sample.time_ms);
        wire_put_field(message, 0x12, field->data, field->size);
    }
    wire_put_field(&maker->plain, 0x0a, message->data, message->size);
}

static void put_line(struct maker *maker, uint32_t series, uint32_t point)
{
    struct bytes *body = &maker->plain;
    struct text_label labels[LABELS];
    labels_of(maker->workload, series, labels);
    struct sample sample = sample_of(maker, series, point);
    char number[NUMBER_TEXT_SIZE];
    size_t size = number_format(number, sample.value);
    enum status status = bytes_format(body, "{\"name\":\"%s\",\"labels\":{", labels[0].value);
    for (int i = 1; i < LABELS && status == STATUS_OK; i++)
        status = bytes_format(body, "%s\"%s\":\"%s\"", i > 1 ? "," : "", labels[i].name,
                              labels[i].value);
    if (status == STATUS_OK)
        status = bytes_format(body, "},\"value\":%.*s,\"timestamp\":%" PRId64 "}\n", (int)size,
                              number, sample.time_ms);
    invariant(status == STATUS_OK);
}

/* Samples [number, number + count), of one series and rising in time. */
static void put_stretch(struct maker *maker, uint64_t number, uint32_t count)
{
    uint32_t series, point;
    place_of(maker, number, &series, &point);
    if (!maker->workload->ndjson) {
        put_remote_write(maker, series, point, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        put_line(maker, series, point + i);
}

struct slice maker_body(struct maker *maker, uint64_t body)
{
    const struct workload *workload = maker->workload;
    uint64_t number = body * workload->batch;
    uint64_t end = number + workload_samples_in(workload, body);
    bytes_clear(&maker->plain);
    for (; number < end; number += workload->run)
        put_stretch(maker, number, workload->run);
    if (workload->ndjson)
        return bytes_slice(&maker->plain);
    return wire_pack(bytes_slice(&maker->plain), &maker->packed);
}

void maker_init(struct maker *maker, const struct workload *workload)
{
    *maker = (struct maker){.workload = workload};
    bytes_init(&maker->plain, SIZE_MAX / 4);
    bytes_init(&maker->series, SIZE_MAX / 4);
    bytes_init(&maker->label, SIZE_MAX / 4);
    bytes_init(&maker->packed, SIZE_MAX / 4);
    while (UINT64_C(1) << maker->random_bits < workload_samples(workload))
        maker->random_bits++;
    if (workload->series <= KEPT_SERIES) {
        maker->labels = calloc(workload->series, sizeof maker->labels[0]);
        invariant(maker->labels != NULL);
    }
    if (!workload->shuffled && !workload->apart) {
        maker->states = calloc(workload->series, sizeof maker->states[0]);
        invariant(maker->states != NULL);
    }
}

void maker_release(struct maker *maker)
{
    bytes_release(&maker->plain);
    bytes_release(&maker->series);
    bytes_release(&maker->label);
    bytes_release(&maker->packed);
    for (uint32_t i = 0; maker->labels != NULL && i < maker->workload->series; i++)
        bytes_release(&maker->labels[i]);
    free(maker->labels);
    free(maker->states);
}
