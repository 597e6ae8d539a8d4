/*
 * codec_bench - bytes and nanoseconds a sample of the block codecs, and what a part of the same
 * samples costs.
 *
 *   codec_bench FILE DIR    FILE: what tsgen rw wrote, or a recording (.txt, .txt.zst)
 *                           DIR: where parts are written, and removed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/times.h"
#include "samples.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/part_writer.h"
#include "storage/engine/time_codec.h"
#include "storage/engine/value_codec.h"
#include "storage/engine/value_scale.h"

enum { BLOCK = 1024, ROUNDS = 5 };

struct encoded {
    const struct series *series;
    size_t first, count;
    uint8_t *data;
    struct value_encoding encoding;
};

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static const char *class_of(const struct encoded *block)
{
    static const char *names[3][3] = {{"constant", "constant", "constant"},
                                      {"linear", "linear", "linear"},
                                      {"packed integers", "packed decimals", "packed bits"}};
    int kind = block->encoding.scale == SCALE_BITS ? 2 : block->encoding.scale != 0;
    return names[block->encoding.form][kind];
}

static struct encoded *blocks_of(const struct samples *samples, size_t *count)
{
    struct encoded *blocks = NULL;
    size_t n = 0;
    for (size_t i = 0; i < samples->series_count; i++)
        for (size_t at = 0; at < samples->series[i].count; at += BLOCK) {
            if ((n & (n - 1)) == 0)
                blocks = realloc(blocks, (2 * n + 1) * sizeof *blocks);
            size_t left = samples->series[i].count - at;
            blocks[n++] = (struct encoded){
                .series = &samples->series[i], .first = at, .count = left < BLOCK ? left : BLOCK};
        }
    *count = n;
    return blocks;
}

static void check(enum status status, const struct error *err)
{
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static void print_classes(const struct encoded *blocks, size_t count)
{
    static const char *names[] = {"constant", "linear", "packed integers", "packed decimals",
                                  "packed bits"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t found = 0, samples = 0, bytes = 0;
        double decode = 0;
        double values[BLOCK];
        struct error err;
        double start = now_ns();
        for (size_t b = 0; b < count; b++) {
            if (strcmp(class_of(&blocks[b]), names[i]) != 0)
                continue;
            found++;
            samples += blocks[b].count;
            bytes += blocks[b].encoding.size;
            check(value_block_decode(slice_of(blocks[b].data, blocks[b].encoding.size),
                                     blocks[b].count, 0, blocks[b].count, values, &err),
                  &err);
        }
        decode = now_ns() - start;
        if (found > 0)
            printf("  %-16s %7zu blocks %9zu samples %6.3f B/sample, decode %5.2f ns\n", names[i],
                   found, samples, (double)bytes / (double)samples, decode / (double)samples);
    }
}

static void bench_values(const struct samples *samples)
{
    static struct value_encoder encoder;
    size_t count;
    struct encoded *blocks = blocks_of(samples, &count);
    uint8_t *buffer = malloc(value_block_max_size(BLOCK));
    double total = (double)samples->sample_count;
    double encode = 1e30, decode = 1e30;
    size_t bytes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (size_t i = 0; i < count; i++)
            value_block_encode(&encoder, blocks[i].series->values + blocks[i].first,
                               blocks[i].count, buffer, &blocks[i].encoding);
        double spent = now_ns() - start;
        encode = spent < encode ? spent : encode;
    }
    for (size_t i = 0; i < count; i++) {
        value_block_encode(&encoder, blocks[i].series->values + blocks[i].first, blocks[i].count,
                           buffer, &blocks[i].encoding);
        blocks[i].data = malloc(blocks[i].encoding.size);
        memcpy(blocks[i].data, buffer, blocks[i].encoding.size);
        bytes += blocks[i].encoding.size;
    }
    struct error err;
    double values[BLOCK];
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (size_t i = 0; i < count; i++)
            check(value_block_decode(slice_of(blocks[i].data, blocks[i].encoding.size),
                                     blocks[i].count, 0, blocks[i].count, values, &err),
                  &err);
        double spent = now_ns() - start;
        decode = spent < decode ? spent : decode;
        for (size_t i = 0; round == 0 && i < count; i++) {
            check(value_block_decode(slice_of(blocks[i].data, blocks[i].encoding.size),
                                     blocks[i].count, 0, blocks[i].count, values, &err),
                  &err);
            if (memcmp(values, blocks[i].series->values + blocks[i].first,
                       blocks[i].count * sizeof *values) != 0) {
                fprintf(stderr, "a block came back changed\n");
                exit(1);
            }
        }
    }
    printf("values: %.3f B/sample, encode %.1f ns, decode %.2f ns a sample\n",
           (double)bytes / total, encode / total, decode / total);
    print_classes(blocks, count);
    for (size_t i = 0; i < count; i++)
        free(blocks[i].data);
    free(blocks);
    free(buffer);
}

static void bench_times(const struct samples *samples)
{
    static struct time_encoder encoder;
    uint8_t *buffer = malloc(time_column_max_size(BLOCK));
    int64_t times[BLOCK];
    size_t bytes = 0;
    double encode = 0, decode = 0;
    struct error err;
    for (size_t i = 0; i < samples->series_count; i++) {
        const struct series *series = &samples->series[i];
        size_t count = series->count < BLOCK ? series->count : BLOCK;
        double start = now_ns();
        size_t size = time_column_encode(&encoder, series->times, count, buffer);
        double middle = now_ns();
        check(time_column_decode(slice_of(buffer, size), count, 0, count, times, &err), &err);
        decode += now_ns() - middle;
        encode += middle - start;
        bytes += size;
    }
    double total = (double)samples->sample_count;
    printf("times, unshared: %.3f B/sample, encode %.1f ns, decode %.2f ns a sample\n",
           (double)bytes / total, encode / total, decode / total);
    free(buffer);
}

enum { MAX_DAYS = 16 };

struct day_part {
    int64_t day;
    char path[4096];
    struct part_writer *writer;
    struct part_totals totals;
};

struct day_parts {
    struct day_part days[MAX_DAYS];
    size_t count;
};

static struct part_writer *writer_of(struct day_parts *parts, const char *dir, int64_t day)
{
    for (size_t i = 0; i < parts->count; i++)
        if (parts->days[i].day == day)
            return parts->days[i].writer;
    if (parts->count == MAX_DAYS) {
        fprintf(stderr, "samples of more than %d days\n", MAX_DAYS);
        exit(1);
    }
    struct day_part *part = &parts->days[parts->count];
    part->day = day;
    snprintf(part->path, sizeof part->path, "%s/codec_bench_%zu.part", dir, parts->count++);
    remove(part->path);
    struct part_writer_options options = {.identity = {.id = 1, .day = day, .max_sequence = 1}};
    struct error err;
    check(part_writer_open(&part->writer, filesystem_posix(), part->path, &options, &err), &err);
    return part->writer;
}

static void write_parts(const struct samples *samples, struct day_parts *parts, const char *dir)
{
    struct error err;
    uint64_t bytes = 0;
    double start = now_ns();
    for (size_t i = 0; i < samples->series_count; i++) {
        const struct series *series = &samples->series[i];
        for (size_t from = 0, to; from < series->count; from = to) {
            int64_t day = day_of_time(series->times[from]);
            for (to = from + 1; to < series->count; to++)
                if (series->times[to] >= (day + 1) * MS_PER_DAY)
                    break;
            check(part_writer_add(writer_of(parts, dir, day), series->metric, series->id,
                                  PART_KIND_FLOAT, series->times + from, series->values + from,
                                  to - from, &err),
                  &err);
        }
    }
    for (size_t i = 0; i < parts->count; i++) {
        check(part_writer_finish(parts->days[i].writer, &parts->days[i].totals, &err), &err);
        bytes += parts->days[i].totals.bytes;
    }
    double spent = now_ns() - start;
    printf("parts: %.3f B/sample (%zu of %.1f B a series), written in %.1f ns a sample\n",
           (double)bytes / (double)samples->sample_count, parts->count,
           (double)bytes / (double)samples->series_count, spent / (double)samples->sample_count);
}

static void scan_part(struct part *part, bool decode)
{
    static int64_t times[PART_BLOCK_MAX_COUNT];
    static double values[PART_BLOCK_MAX_COUNT];
    struct error err;
    struct part_cursor *cursor;
    struct part_loss lost;
    const struct part_block *block;
    check(part_cursor_new(&cursor, part, &err), &err);
    double start = now_ns();
    part_cursor_seek(cursor, 0, 0);
    enum status status;
    uint64_t blocks = 0;
    while ((status = part_cursor_next(cursor, &block, &lost, &err)) == STATUS_OK) {
        blocks++;
        if (decode)
            check(part_block_read(cursor, block, 0, block->count, times, values, &err), &err);
    }
    if (status != STATUS_END)
        check(status, &err);
    double spent = now_ns() - start;
    part_cursor_free(cursor);
    if (decode)
        printf("  all samples: %.2f ns a sample\n", spent / (double)part_totals(part)->samples);
    else
        printf("  all headers: %.1f ns a block\n", spent / (double)blocks);
}

static void find_series(struct part *part, const struct samples *samples)
{
    enum { FINDS = 20000 };
    static int64_t times[PART_BLOCK_MAX_COUNT];
    static double values[PART_BLOCK_MAX_COUNT];
    struct error err;
    struct part_cursor *cursor;
    struct part_loss lost;
    const struct part_block *block;
    check(part_cursor_new(&cursor, part, &err), &err);
    double start = now_ns();
    for (size_t i = 0; i < FINDS; i++) {
        const struct series *series = &samples->series[i * 7919 % samples->series_count];
        part_cursor_find(cursor, series->metric, series->id);
        enum status status;
        while ((status = part_cursor_next(cursor, &block, &lost, &err)) == STATUS_OK)
            check(part_block_read(cursor, block, 0, block->count, times, values, &err), &err);
        if (status != STATUS_END)
            check(status, &err);
    }
    printf("  one series at random: %.1f us\n", (now_ns() - start) / FINDS / 1e3);
    part_cursor_free(cursor);
}

static void print_damage(void *context, const struct error *err)
{
    (void)context;
    fprintf(stderr, "%s\n", err->message);
}

static void bench_parts(const struct samples *samples, const char *dir)
{
    static struct day_parts parts;
    struct error err;
    write_parts(samples, &parts, dir);
    for (size_t i = 0; i < parts.count; i++) {
        struct part *part;
        uint64_t found;
        check(part_open(&part, filesystem_posix(), parts.days[i].path, &err), &err);
        scan_part(part, false);
        scan_part(part, true);
        find_series(part, samples);
        check(part_verify(part, print_damage, NULL, &found, &err), &err);
        if (found > 0)
            exit(1);
        part_close(part);
        remove(parts.days[i].path);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: codec_bench FILE DIR\n");
        return 2;
    }
    struct samples samples;
    samples_load(&samples, argv[1]);
    printf("%zu samples, %zu series\n", samples.sample_count, samples.series_count);
    bench_values(&samples);
    bench_times(&samples);
    bench_parts(&samples, argv[2]);
    samples_release(&samples);
    return 0;
}
