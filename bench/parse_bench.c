/*
 * parse_bench - samples per CPU-second of a parser alone, on one thread.
 *
 *   parse_bench rw|ndjson FILE [PASSES]
 *
 * FILE holds request bodies, each after two little-endian u32: its size, the samples in it. For rw
 * the decompression is timed apart.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <snappy-c.h>

#include "base/bits.h"
#include "protocols/protocols.h"

enum { FRAME_HEADER = 8, DEFAULT_PASSES = 3 };
#define ARENA_MAX ((size_t)1 << 30)
#define BODY_MAX  ((size_t)64 << 20)

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static struct slice file_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(size + 1);
    if (data == NULL || fread(data, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return slice_of(data, size);
}

struct run {
    bool remote_write;
    struct protocol_limits limits;
    struct json_parser *parser;
    struct bytes scratch;
    double snappy_seconds;
    double parse_seconds;
    uint64_t samples;
};

static enum status body_parse(struct run *run, struct slice body, struct arena *arena,
                              struct batch *batch, struct error *err)
{
    if (run->remote_write) {
        struct remote_write_counts counts;
        return protocols_remote_write_parse(body, &run->limits, &run->scratch, arena, batch,
                                            &counts, err);
    }
    struct json_options options = {
        .now_ms = INT64_C(1900000000000),
    };
    return protocols_ndjson_parse(run->parser, body, &options, arena, batch, err);
}

static void body_time(struct run *run, struct slice body, struct batch *batch)
{
    struct arena arena;
    struct error err;
    arena_init(&arena, ARENA_MAX);
    double start = cpu_seconds();
    if (body_parse(run, body, &arena, batch, &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    double parsed = cpu_seconds();
    run->parse_seconds += parsed - start;
    run->samples += batch->sample_count;
    arena_release(&arena);
    if (!run->remote_write)
        return;
    size_t size = run->scratch.capacity;
    start = cpu_seconds();
    if (snappy_uncompress((const char *)body.data, body.size, (char *)run->scratch.data, &size) !=
        SNAPPY_OK)
        exit(1);
    run->snappy_seconds += cpu_seconds() - start;
}

int main(int argc, char **argv)
{
    static struct batch batch;
    struct run run = {.limits = {.decoded_max_bytes = BODY_MAX, .json_max_depth = 32}};
    if (argc < 3 || (strcmp(argv[1], "rw") != 0 && strcmp(argv[1], "ndjson") != 0)) {
        fprintf(stderr, "usage: parse_bench rw|ndjson FILE [PASSES]\n");
        return 2;
    }
    run.remote_write = strcmp(argv[1], "rw") == 0;
    int passes = argc > 3 ? atoi(argv[3]) : DEFAULT_PASSES;
    bytes_init(&run.scratch, BODY_MAX);
    if (json_parser_new(&run.parser, &run.limits, NULL) != STATUS_OK)
        return 1;
    struct slice file = file_read(argv[2]);
    for (int pass = 0; pass < passes; pass++)
        for (size_t at = 0; at + FRAME_HEADER <= file.size;) {
            size_t size = load_u32(file.data + at);
            at += FRAME_HEADER;
            if (size > file.size - at)
                return 1;
            body_time(&run, slice_of(file.data + at, size), &batch);
            at += size;
        }
    double samples = (double)run.samples;
    printf("%.0f samples; decompress %.1f ns, parse %.1f ns a sample; parse alone %.2f M a "
           "CPU-second\n",
           samples, run.snappy_seconds / samples * 1e9,
           (run.parse_seconds - run.snappy_seconds) / samples * 1e9,
           samples / (run.parse_seconds - run.snappy_seconds) / 1e6);
    json_parser_free(run.parser);
    bytes_release(&run.scratch);
    free((void *)(uintptr_t)file.data);
    return 0;
}
