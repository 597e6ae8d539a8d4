/*
 * attack_bodies - remote write bodies of attacks on a store's memory, and of the healthy series
 * beside them. What each kind looks like is said at its name.
 *
 * All samples take the time of their making, so that every receiver has them as new.
 */
#ifndef METRIC_STORE_BENCH_ATTACK_BODIES_H
#define METRIC_STORE_BENCH_ATTACK_BODIES_H

#include <stdint.h>

#include "base/bytes.h"

/* Series of the healthy load: a tenth of them is of the metric that is attacked. */
#define ATTACKED_METRIC "attack_requests_total"

enum attack_kind {
    ATTACK_USER_IDS,    /* each sample of a new series, whose label user_id never repeats */
    ATTACK_LABEL_NAMES, /* each of a new series with a label whose name never repeats */
    ATTACK_PERMUTED,    /* of 1,000 series, each sample with its labels in another order */
};

enum { PERMUTED_SERIES = 1000, PERMUTED_LABELS = 11 };

struct attack {
    enum attack_kind kind;
    const char *metric; /* of all, where `metrics` is 1 */
    uint64_t series;    /* samples, for ATTACK_PERMUTED */
    uint32_t metrics;
    uint32_t batch, connections; /* connection k of n sends the bodies k, k + n, ... */
    uint64_t seed;
};

enum huge_kind {
    HUGE_LABELS, /* one series of so many labels */
    HUGE_VALUE,  /* one series with a label of so many bytes, which do not compress */
    HUGE_NAMES,  /* series of ten labels each, so many names in all, none twice */
};

/* Makes bodies; one for each connection. */
struct attack_maker {
    const struct attack *attack;
    struct bytes plain, series, field, packed;
    int64_t round_ms; /* the time of the last round over the permuted series */
    uint64_t sent;
};

/* `attack` is borrowed for the maker's life; NULL where only healthy and huge bodies are made. */
void attack_maker_init(struct attack_maker *maker, const struct attack *attack);
void attack_maker_release(struct attack_maker *maker);

/* The bodies are borrowed until the next call. */
struct slice attack_body(struct attack_maker *maker, uint64_t body);
/* Series [first, first + count) of the healthy load. */
struct slice healthy_body(struct attack_maker *maker, uint32_t first, uint32_t count);
/* `salt` makes labels that no other salt has. */
struct slice huge_body(struct attack_maker *maker, enum huge_kind kind, uint64_t size,
                       uint64_t salt);

uint64_t attack_bodies(const struct attack *attack);
/* Samples of one body. */
uint32_t attack_samples_in(const struct attack *attack, uint64_t body);

#endif
