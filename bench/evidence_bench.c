/*
 * evidence_bench - nanoseconds of CPU that evidence costs a label of a new series, on one thread.
 *
 *   evidence_bench [MIB]      MIB: the table's budget, 8
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admission/evidence.h"
#include "base/times.h"

enum { LABELS = 8, SERIES = 1000000, TEXT_SIZE = 64, ROUNDS = 3 };

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static const char *const names[LABELS] = {METRIC_NAME_LABEL, "code", "instance", "job",
                                          "method",          "path", "pod",      "user_id"};

/* Different values of each label, and how they look. */
struct load {
    const char *name;
    unsigned metrics, pods, users;
    bool new_names; /* of labels, in each series */
};

static const struct load loads[] = {
    {"a fleet: 1000 metrics, 500 pods", 1000, 500, 3, false},
    {"user ids as UUIDs, one metric", 1, 50, SERIES, false},
    {"user ids as UUIDs, 10000 metrics", 10000, 50, SERIES, false},
    {"names of labels by lot", 1, 50, SERIES, true},
};

static uint64_t mixed(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

struct series {
    char name[TEXT_SIZE];
    char values[LABELS][TEXT_SIZE];
};

static void make_series(struct series *series, const struct load *load, unsigned i)
{
    unsigned pod = i / load->metrics % load->pods;
    uint64_t user = mixed(i % load->users + 1);
    snprintf(series->name, TEXT_SIZE, load->new_names ? "x_label_%u" : "user_id", i);
    snprintf(series->values[0], TEXT_SIZE, "http_requests_%u_total", i % load->metrics);
    snprintf(series->values[1], TEXT_SIZE, "%u", 200 + pod % 5);
    snprintf(series->values[2], TEXT_SIZE, "10.0.%u.%u:9100", pod / 250, pod % 250);
    snprintf(series->values[3], TEXT_SIZE, "checkout");
    snprintf(series->values[4], TEXT_SIZE, i % 2 == 0 ? "GET" : "POST");
    snprintf(series->values[5], TEXT_SIZE, "/api/v1/orders/%u/:id", i % 20);
    snprintf(series->values[6], TEXT_SIZE, "checkout-5d78c9869d-%05u", pod);
    snprintf(series->values[7], TEXT_SIZE, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(user >> 32),
             (unsigned)(user >> 16 & 0xffff), (unsigned)(user & 0xfff),
             (unsigned)(user >> 4 & 0xfff), (unsigned long long)(mixed(user) & 0xffffffffffff));
}

static double spent_on(struct evidence *evidence, const struct load *load, unsigned from,
                       unsigned count)
{
    static struct series series[1000];
    struct label items[1000][LABELS];
    struct labels labels[1000];
    for (unsigned i = 0; i < count; i++) {
        make_series(&series[i], load, from + i);
        for (int j = 0; j < LABELS; j++)
            items[i][j] =
                (struct label){slice_from_text(j == LABELS - 1 ? series[i].name : names[j]),
                               slice_from_text(series[i].values[j])};
        labels[i] = (struct labels){items[i], LABELS};
    }
    double start = now_ns();
    for (unsigned i = 0; i < count; i++)
        evidence_note(evidence, items[i][0].value, &labels[i],
                      INT64_C(1795305600000) + (from + i) / 50);
    return now_ns() - start;
}

int main(int argc, char **argv)
{
    size_t budget = (size_t)(argc > 1 ? atoi(argv[1]) : 8) << 20;
    for (size_t l = 0; l < sizeof loads / sizeof loads[0]; l++) {
        double best = 1e30;
        struct evidence_stats stats;
        for (int round = 0; round < ROUNDS; round++) {
            struct evidence *evidence;
            if (evidence_new(&evidence, budget, 42) != STATUS_OK)
                return 1;
            double spent = 0;
            for (unsigned from = 0; from < SERIES; from += 1000)
                spent += spent_on(evidence, &loads[l], from, 1000);
            best = spent < best ? spent : best;
            evidence_stats(evidence, &stats);
            evidence_free(evidence);
        }
        printf(
            "%-34s %6.1f ns a label, %6.0f ns a series; %zu labels of many values, %llu evicted\n",
            loads[l].name, best / SERIES / (LABELS - 1), best / SERIES, stats.labels,
            (unsigned long long)stats.evicted);
    }
    return 0;
}
