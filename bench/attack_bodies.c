#include "attack_bodies.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/invariant.h"
#include "client.h"
#include "wire.h"

enum { TEXT_SIZE = 64, LABELS_OF_A_SERIES = 10, HEALTHY_METRICS = 10 };

/* ---- protobuf --------------------------------------------------------------------------- */

static void put_label(struct attack_maker *maker, const char *name, const char *value,
                      size_t value_size)
{
    bytes_clear(&maker->field);
    wire_put_field(&maker->field, 0x0a, name, strlen(name));
    wire_put_field(&maker->field, 0x12, value, value_size);
    wire_put_field(&maker->series, 0x0a, maker->field.data, maker->field.size);
}

static void put_text(struct attack_maker *maker, const char *name, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void put_text(struct attack_maker *maker, const char *name, const char *format, ...)
{
    char value[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    invariant(size >= 0 && size < TEXT_SIZE);
    put_label(maker, name, value, (size_t)size);
}

/* The series' only sample, and the end of the series. */
static void put_sample(struct attack_maker *maker, int64_t time_ms, double value)
{
    bytes_clear(&maker->field);
    wire_put(&maker->field, "\x09", 1);
    wire_put(&maker->field, &value, sizeof value);
    wire_put(&maker->field, "\x10", 1);
    wire_put_varint(&maker->field, (uint64_t)time_ms);
    wire_put_field(&maker->series, 0x12, maker->field.data, maker->field.size);
    wire_put_field(&maker->plain, 0x0a, maker->series.data, maker->series.size);
    bytes_clear(&maker->series);
}

static struct slice pack(struct attack_maker *maker)
{
    struct slice packed = wire_pack(bytes_slice(&maker->plain), &maker->packed);
    bytes_clear(&maker->plain);
    return packed;
}

/* ---- attacks ---------------------------------------------------------------------------- */

uint64_t attack_bodies(const struct attack *attack)
{
    return (attack->series + attack->batch - 1) / attack->batch;
}

uint32_t attack_samples_in(const struct attack *attack, uint64_t body)
{
    uint64_t left = attack->series - body * attack->batch;
    return left < attack->batch ? (uint32_t)left : attack->batch;
}

/* Receivers take labels in the order of their names, the metric's first. */
static void put_new_series(struct attack_maker *maker, uint64_t number, int64_t time_ms)
{
    const struct attack *attack = maker->attack;
    uint64_t id = wire_mixed(number ^ attack->seed);
    if (attack->metrics > 1)
        put_text(maker, "__name__", "attack_%05u_total", (unsigned)(number % attack->metrics));
    else
        put_text(maker, "__name__", "%s", attack->metric);
    put_text(maker, "instance", "web-%02u.example.org:8080", (unsigned)(id % 20));
    put_text(maker, "job", "web");
    if (attack->kind == ATTACK_LABEL_NAMES) {
        char name[TEXT_SIZE];
        snprintf(name, sizeof name, "label_%016" PRIx64, id);
        put_text(maker, name, "yes");
    } else {
        put_text(maker, "method", "GET");
        put_text(maker, "user_id", "%016" PRIx64, id);
    }
    put_sample(maker, time_ms, (double)(number % 1000));
}

/* Eleven labels with the name have 39,916,800 orders: more than there are samples. */
static void put_permuted(struct attack_maker *maker, uint32_t series, uint64_t order)
{
    static const char *const names[PERMUTED_LABELS] = {
        "__name__", "availability_zone", "cluster", "datacenter", "environment", "instance",
        "job",      "namespace",         "region",  "service",    "team",
    };
    uint8_t left[PERMUTED_LABELS];
    for (int i = 0; i < PERMUTED_LABELS; i++)
        left[i] = (uint8_t)i;
    /* A prime step goes through all orders once. */
    order = order * UINT64_C(24036583) % UINT64_C(39916800);
    for (uint32_t count = PERMUTED_LABELS; count > 0; count--) {
        uint32_t at = (uint32_t)(order % count);
        order /= count;
        const char *name = names[left[at]];
        if (left[at] == 0)
            put_text(maker, name, "attack_permuted_total");
        else
            put_text(maker, name, "%s-%u", name, left[at] == 5 ? series : series % 7);
        left[at] = left[count - 1];
    }
}

static void put_permuted_sample(struct attack_maker *maker, uint64_t number)
{
    /* Each connection has series of its own, so that the samples of a series come in order. */
    uint32_t connections = maker->attack->connections;
    uint32_t own = PERMUTED_SERIES / connections;
    uint32_t connection = (uint32_t)(number / maker->attack->batch % connections);
    uint32_t series = connection + connections * (uint32_t)(maker->sent % own);
    if (maker->sent % own == 0) {
        int64_t now_ms = client_wall_ms();
        maker->round_ms = now_ms > maker->round_ms ? now_ms : maker->round_ms + 1;
    }
    maker->sent++;
    put_permuted(maker, series, number);
    put_sample(maker, maker->round_ms, (double)(number % 1000));
}

struct slice attack_body(struct attack_maker *maker, uint64_t body)
{
    uint64_t first = body * maker->attack->batch;
    uint32_t count = attack_samples_in(maker->attack, body);
    int64_t now_ms = client_wall_ms();
    for (uint64_t number = first; number < first + count; number++)
        if (maker->attack->kind == ATTACK_PERMUTED)
            put_permuted_sample(maker, number);
        else
            put_new_series(maker, number, now_ms);
    return pack(maker);
}

/* ---- the healthy series, and what is too large ------------------------------------------ */

struct slice healthy_body(struct attack_maker *maker, uint32_t first, uint32_t count)
{
    int64_t now_ms = client_wall_ms();
    for (uint32_t series = first; series < first + count; series++) {
        uint32_t metric = series % HEALTHY_METRICS;
        if (metric == 0)
            put_text(maker, "__name__", ATTACKED_METRIC);
        else
            put_text(maker, "__name__", "healthy_%u_total", metric);
        put_text(maker, "instance", "host-%04u.example.org:9100", series / HEALTHY_METRICS);
        put_text(maker, "job", "healthy");
        put_sample(maker, now_ms, (double)(now_ms % 1000000));
    }
    return pack(maker);
}

static void put_huge_value(struct attack_maker *maker, uint64_t size, uint64_t salt)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    struct bytes value;
    bytes_init(&value, SIZE_MAX / 4);
    invariant(bytes_reserve(&value, size) == STATUS_OK);
    uint64_t bits = 0;
    for (uint64_t i = 0; i < size; i++, bits >>= 6) {
        if (i % 10 == 0)
            bits = wire_mixed(i + (salt << 32));
        value.data[i] = (uint8_t)digits[bits & 63];
    }
    put_label(maker, "value", (const char *)value.data, size);
    bytes_release(&value);
}

struct slice huge_body(struct attack_maker *maker, enum huge_kind kind, uint64_t size,
                       uint64_t salt)
{
    static const char *const metrics[] = {"attack_labels_total", "attack_value_total",
                                          "attack_names_total"};
    uint64_t series = kind == HUGE_NAMES ? size / LABELS_OF_A_SERIES : 1;
    uint64_t labels = kind == HUGE_LABELS ? size : kind == HUGE_NAMES ? LABELS_OF_A_SERIES : 0;
    int64_t now_ms = client_wall_ms();
    for (uint64_t i = 0; i < series; i++) {
        put_text(maker, "__name__", "%s", metrics[kind]);
        for (uint64_t j = 0; j < labels; j++) {
            char name[TEXT_SIZE];
            snprintf(name, sizeof name, "label_%04" PRIx64 "_%08" PRIx64, salt, i * labels + j);
            put_text(maker, name, "x");
        }
        if (kind == HUGE_VALUE)
            put_huge_value(maker, size, salt);
        put_sample(maker, now_ms, 1);
    }
    return pack(maker);
}

void attack_maker_init(struct attack_maker *maker, const struct attack *attack)
{
    *maker = (struct attack_maker){.attack = attack};
    bytes_init(&maker->plain, SIZE_MAX / 4);
    bytes_init(&maker->series, SIZE_MAX / 4);
    bytes_init(&maker->field, SIZE_MAX / 4);
    bytes_init(&maker->packed, SIZE_MAX / 4);
}

void attack_maker_release(struct attack_maker *maker)
{
    bytes_release(&maker->plain);
    bytes_release(&maker->series);
    bytes_release(&maker->field);
    bytes_release(&maker->packed);
}
