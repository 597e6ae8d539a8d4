#include "admission/hyperloglog.h"

#include <stdlib.h>

#include "base/bits.h"

enum {
    INDEX_BITS = 12,
    REGISTERS = 1 << INDEX_BITS,
    REGISTER_BITS = 6,
    RANK_MAX = 64 - INDEX_BITS + 1,           /* of a hash whose other bits are all zero */
    SIZE = REGISTERS * REGISTER_BITS / 8 + 1, /* the last one is read with the byte behind it */
};

_Static_assert(RANK_MAX < 1 << REGISTER_BITS, "a register holds each rank");

static unsigned register_get(const uint8_t *registers, unsigned index)
{
    unsigned bit = index * REGISTER_BITS;
    unsigned pair = load_u16(registers + bit / 8);
    return pair >> bit % 8 & ((1u << REGISTER_BITS) - 1);
}

static void register_raise(uint8_t *registers, unsigned index, unsigned rank)
{
    if (register_get(registers, index) >= rank)
        return;
    unsigned bit = index * REGISTER_BITS;
    unsigned mask = ((1u << REGISTER_BITS) - 1) << bit % 8;
    unsigned pair = load_u16(registers + bit / 8);
    store_u16(registers + bit / 8, (uint16_t)((pair & ~mask) | rank << bit % 8));
}

/* The upper bits say which register, the others the rank. */
static void registers_add(uint8_t *registers, uint64_t hash)
{
    uint64_t rest = hash << INDEX_BITS | UINT64_C(1) << (INDEX_BITS - 1);
    register_raise(registers, (unsigned)(hash >> (64 - INDEX_BITS)),
                   (unsigned)__builtin_clzll(rest) + 1);
}

/* From few to many. */
static enum status make_registers(struct hyperloglog *counter)
{
    if (counter->registers != NULL)
        return STATUS_OK;
    counter->registers = calloc(1, SIZE);
    if (counter->registers == NULL)
        return STATUS_MEMORY;
    for (uint32_t i = 0; i < counter->few_count; i++)
        registers_add(counter->registers, counter->few[i]);
    counter->few_count = 0;
    return STATUS_OK;
}

void hyperloglog_release(struct hyperloglog *counter)
{
    free(counter->registers);
    *counter = (struct hyperloglog){0};
}

static bool has_few(const struct hyperloglog *counter, uint64_t hash)
{
    for (uint32_t i = 0; i < counter->few_count; i++)
        if (counter->few[i] == hash)
            return true;
    return false;
}

enum status hyperloglog_add(struct hyperloglog *counter, uint64_t hash)
{
    if (counter->registers == NULL) {
        if (has_few(counter, hash))
            return STATUS_OK;
        if (counter->few_count < HYPERLOGLOG_FEW) {
            counter->few[counter->few_count++] = hash;
            return STATUS_OK;
        }
        enum status status = make_registers(counter);
        if (status != STATUS_OK)
            return status;
    }
    registers_add(counter->registers, hash);
    return STATUS_OK;
}

/* Into one that has registers. */
static void merge_into_registers(uint8_t *registers, const struct hyperloglog *from)
{
    for (uint32_t i = 0; i < from->few_count; i++)
        registers_add(registers, from->few[i]);
    for (unsigned i = 0; i < REGISTERS && from->registers != NULL; i++)
        register_raise(registers, i, register_get(from->registers, i));
}

enum status hyperloglog_merge(struct hyperloglog *into, const struct hyperloglog *from)
{
    struct hyperloglog together = *into;
    if (into->registers == NULL && from->registers == NULL) {
        /* Here a copy: where it comes to registers after all, they are its own. */
        enum status status = STATUS_OK;
        for (uint32_t i = 0; i < from->few_count && status == STATUS_OK; i++)
            status = hyperloglog_add(&together, from->few[i]);
        if (status == STATUS_OK)
            *into = together;
        return status;
    }
    enum status status = make_registers(into);
    if (status == STATUS_OK)
        merge_into_registers(into->registers, from);
    return status;
}

/* Ertl's sigma: x + sum of 2^(k-1) x^(2^k), for the share of registers that are still zero. */
static double sigma(double x)
{
    double sum = x;
    double before;
    double weight = 1;
    do {
        x *= x;
        before = sum;
        sum += x * weight;
        weight *= 2;
    } while (sum != before);
    return sum;
}

static double estimate_of(const uint8_t *registers)
{
    uint32_t counts[RANK_MAX + 1] = {0};
    for (unsigned i = 0; i < REGISTERS; i++)
        counts[register_get(registers, i)]++;
    /* The paper corrects for full registers too (tau): 2^60 hashes are out of reach. */
    double z = 0;
    for (unsigned rank = RANK_MAX; rank > 0; rank--)
        z = (z + counts[rank]) / 2;
    z += REGISTERS * sigma((double)counts[0] / REGISTERS);
    const double half_of_1_by_ln_2 = 0.72134752044448170368;
    return half_of_1_by_ln_2 * REGISTERS * REGISTERS / z;
}

uint64_t hyperloglog_estimate(const struct hyperloglog *counter)
{
    if (counter->registers == NULL)
        return counter->few_count;
    uint64_t estimate = (uint64_t)(estimate_of(counter->registers) + 0.5);
    /* One more than few made the registers, and two of them may have fallen to one. */
    return estimate > HYPERLOGLOG_FEW ? estimate : HYPERLOGLOG_FEW + 1;
}

size_t hyperloglog_memory(const struct hyperloglog *counter)
{
    return counter->registers == NULL ? 0 : SIZE;
}
