/*
 * load - makes a metric workload (workload.h) and sends it to an HTTP endpoint over keep-alive
 * connections, or writes its bodies to a file.
 *
 *   load send PORT PATH [OPTION...]    prints one JSON object. Loopback only
 *   load write FILE [OPTION...]        bodies, each after two little-endian u32: its size, the
 *                                      samples in it
 *
 *   --format rw|ndjson     (rw)
 *   --series N --hosts N --points N --step MS --start MS    --points samples of each series
 *   --batch N              samples a body (5000)
 *   --run N                samples of one series behind one another (1); divides --points, --batch
 *   --order scrape|shuffled
 *   --connections N        (4)
 *   --rate N               samples a second; latencies count from when a body was due. 0, the
 *                          default: as fast as they are taken
 *   --stream               connection k of n makes and sends bodies k, k + n, ...: for more than
 *                          fits memory, and with the samples of a series in order where a round
 *                          over all series is a multiple of --connections bodies. Else all are made
 *                          before the first is sent, so that making them costs no time of the
 *                          measurement, and each connection takes the next
 *   --insist               what is answered with 503 is sent again after Retry-After, as senders do
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "workload.h"

enum { MAX_CONNECTIONS = 64, HEADER_SIZE = 512 };

struct options {
    struct workload workload;
    unsigned port;
    const char *path;
    unsigned connections;
    double rate;
    bool stream, insist;
};

struct run {
    struct options options;
    uint8_t **bodies; /* made ahead, with their headers; NULL with `stream` */
    size_t *sizes;
    double *latencies_s;
    uint64_t count;
    atomic_uint_fast64_t next, refused, again;
    double began;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void wait_s(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* ---- requests --------------------------------------------------------------------------- */

/* Header and body of a request, in `request`. */
static void make_request(const struct options *options, struct maker *maker, uint64_t body,
                         struct bytes *request)
{
    struct slice payload = maker_body(maker, body);
    bool ndjson = options->workload.ndjson;
    bytes_clear(request);
    invariant(bytes_format(request,
                           "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: %s\r\n"
                           "%sContent-Length: %zu\r\n\r\n",
                           options->path, options->port,
                           ndjson ? "application/x-ndjson" : "application/x-protobuf",
                           ndjson ? "" : "Content-Encoding: snappy\r\n",
                           payload.size) == STATUS_OK &&
              bytes_append(request, payload.data, payload.size) == STATUS_OK);
}

static void make_all(struct run *run)
{
    run->bodies = calloc(run->count, sizeof run->bodies[0]);
    run->sizes = calloc(run->count, sizeof run->sizes[0]);
    invariant(run->bodies != NULL && run->sizes != NULL);
    struct maker maker;
    maker_init(&maker, &run->options.workload);
    struct bytes request;
    bytes_init(&request, SIZE_MAX / 4);
    for (uint64_t i = 0; i < run->count; i++) {
        make_request(&run->options, &maker, i, &request);
        run->sizes[i] = request.size;
        run->bodies[i] = malloc(request.size);
        invariant(run->bodies[i] != NULL);
        memcpy(run->bodies[i], request.data, request.size);
    }
    bytes_release(&request);
    maker_release(&maker);
}

/* ---- sending ---------------------------------------------------------------------------- */

static int dial(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("load: connect");
        exit(1);
    }
    return fd;
}

struct answer {
    int status; /* 0: the connection broke */
    unsigned retry_after_s;
};

static const char *header_value(const char *answer, const char *end, const char *name)
{
    const char *at = strcasestr(answer, name);
    return at != NULL && at < end ? at + strlen(name) : NULL;
}

/* Sends one request and reads its answer, whose body has a length or none. */
static struct answer exchange(int fd, const uint8_t *request, size_t request_size)
{
    struct answer broken = {0};
    for (size_t sent = 0; sent < request_size;) {
        ssize_t size = write(fd, request + sent, request_size - sent);
        if (size <= 0)
            return broken;
        sent += (size_t)size;
    }
    char text[16384];
    size_t got = 0;
    const char *end = NULL;
    while (end == NULL) {
        ssize_t size = read(fd, text + got, sizeof text - 1 - got);
        if (size <= 0)
            return broken;
        got += (size_t)size;
        text[got] = 0;
        end = strstr(text, "\r\n\r\n");
    }
    const char *length = header_value(text, end, "\r\nContent-Length:");
    const char *retry = header_value(text, end, "\r\nRetry-After:");
    struct answer answer = {.status = atoi(text + 9)};
    answer.retry_after_s = retry != NULL ? (unsigned)atoi(retry) : 0;
    size_t left = length != NULL ? strtoul(length, NULL, 10) : 0;
    size_t body = got - (size_t)(end + 4 - text);
    while (body < left) {
        char rest[4096];
        ssize_t size = read(fd, rest, sizeof rest);
        if (size <= 0)
            return broken;
        body += (size_t)size;
    }
    return answer;
}

static void send_one(struct run *run, int *fd, uint64_t number, const uint8_t *request, size_t size)
{
    double started = now();
    if (run->options.rate > 0) {
        double first = (double)number * run->options.workload.batch;
        double due = run->began + first / run->options.rate;
        if (due > started)
            wait_s(due - started);
        started = due;
    }
    struct answer answer;
    while ((answer = exchange(*fd, request, size)).status == 503 && run->options.insist) {
        atomic_fetch_add(&run->again, 1);
        wait_s(answer.retry_after_s > 0 ? answer.retry_after_s : 1);
    }
    run->latencies_s[number] = now() - started;
    if (answer.status / 100 != 2)
        atomic_fetch_add(&run->refused, 1);
    if (answer.status == 0) {
        close(*fd);
        *fd = dial(run->options.port);
    }
}

static void *send_ready(void *context)
{
    struct run *run = context;
    int fd = dial(run->options.port);
    for (uint64_t i; (i = atomic_fetch_add(&run->next, 1)) < run->count;)
        send_one(run, &fd, i, run->bodies[i], run->sizes[i]);
    close(fd);
    return NULL;
}

static void *send_stream(void *context)
{
    struct run *run = context;
    int fd = dial(run->options.port);
    struct maker maker;
    struct bytes request;
    maker_init(&maker, &run->options.workload);
    bytes_init(&request, SIZE_MAX / 4);
    for (uint64_t i = atomic_fetch_add(&run->next, 1); i < run->count;
         i += run->options.connections) {
        make_request(&run->options, &maker, i, &request);
        send_one(run, &fd, i, request.data, request.size);
    }
    bytes_release(&request);
    maker_release(&maker);
    close(fd);
    return NULL;
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static int send_all(const struct options *options)
{
    struct run run = {.options = *options, .count = workload_bodies(&options->workload)};
    run.latencies_s = calloc(run.count, sizeof run.latencies_s[0]);
    invariant(run.latencies_s != NULL);
    if (!options->stream)
        make_all(&run);
    pthread_t threads[MAX_CONNECTIONS];
    run.began = now();
    for (unsigned i = 0; i < options->connections; i++)
        invariant(pthread_create(&threads[i], NULL, run.bodies == NULL ? send_stream : send_ready,
                                 &run) == 0);
    for (unsigned i = 0; i < options->connections; i++)
        pthread_join(threads[i], NULL);
    double seconds = now() - run.began;
    qsort(run.latencies_s, run.count, sizeof run.latencies_s[0], compare_doubles);
    printf("{\"samples\":%" PRIu64 ",\"seconds\":%.3f,\"requests\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"again\":%" PRIu64 ",\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           workload_samples(&options->workload), seconds, run.count, (uint64_t)run.refused,
           (uint64_t)run.again, run.latencies_s[run.count / 2] * 1e3,
           run.latencies_s[(size_t)((double)run.count * 0.99)] * 1e3);
    return run.refused != 0;
}

static int write_all(const struct options *options)
{
    FILE *file = fopen(options->path, "wb");
    struct maker maker;
    maker_init(&maker, &options->workload);
    bool written = file != NULL;
    for (uint64_t i = 0; i < workload_bodies(&options->workload) && written; i++) {
        struct slice body = maker_body(&maker, i);
        uint8_t header[8];
        store_u32(header, (uint32_t)body.size);
        store_u32(header + 4, workload_samples_in(&options->workload, i));
        written = fwrite(header, sizeof header, 1, file) == 1 &&
                  fwrite(body.data, body.size, 1, file) == 1;
    }
    maker_release(&maker);
    if (file == NULL || fclose(file) != 0 || !written) {
        perror(options->path);
        return 1;
    }
    return 0;
}

/* ---- command line ----------------------------------------------------------------------- */

static void usage(void)
{
    fputs("usage: load send PORT PATH | write FILE, then options; see the top of bench/load.c\n",
          stderr);
    exit(2);
}

static void take_option(struct options *options, int option, const char *value)
{
    struct workload *workload = &options->workload;
    uint32_t number = (uint32_t)strtoul(value, NULL, 10);
    switch (option) {
    case 'f':
        workload->ndjson = strcmp(value, "ndjson") == 0;
        break;
    case 's':
        workload->series = number;
        break;
    case 'h':
        workload->hosts = number;
        break;
    case 'p':
        workload->points = number;
        break;
    case 'm':
        workload->step_ms = strtoll(value, NULL, 10);
        break;
    case 't':
        workload->start_ms = strtoll(value, NULL, 10);
        break;
    case 'b':
        workload->batch = number;
        break;
    case 'r':
        workload->run = number;
        break;
    case 'o':
        workload->shuffled = strcmp(value, "shuffled") == 0;
        break;
    case 'c':
        options->connections = number;
        break;
    case 'e':
        options->rate = strtod(value, NULL);
        break;
    default:
        usage();
    }
}

static void parse(struct options *options, int argc, char **argv)
{
    enum { STREAM = 1, INSIST };
    static const struct option known[] = {
        {"format", 1, NULL, 'f'},    {"series", 1, NULL, 's'},
        {"hosts", 1, NULL, 'h'},     {"points", 1, NULL, 'p'},
        {"step", 1, NULL, 'm'},      {"start", 1, NULL, 't'},
        {"batch", 1, NULL, 'b'},     {"run", 1, NULL, 'r'},
        {"order", 1, NULL, 'o'},     {"connections", 1, NULL, 'c'},
        {"rate", 1, NULL, 'e'},      {"stream", 0, NULL, STREAM},
        {"insist", 0, NULL, INSIST}, {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
        if (option == STREAM)
            options->stream = options->workload.apart = true;
        else if (option == INSIST)
            options->insist = true;
        else
            take_option(options, option, optarg);
    const struct workload *workload = &options->workload;
    if (workload->series == 0 || workload->hosts == 0 || workload->points == 0 ||
        workload->step_ms <= 0 || workload->run == 0 || workload->batch == 0 ||
        workload->points % workload->run != 0 || workload->batch % workload->run != 0 ||
        (workload->shuffled && workload->run != 1) || options->connections == 0 ||
        options->connections > MAX_CONNECTIONS)
        usage();
}

int main(int argc, char **argv)
{
    struct options options = {
        .workload = {.step_ms = 15000, .batch = 5000, .run = 1},
        .connections = 4,
    };
    if (argc > 3 && strcmp(argv[1], "send") == 0) {
        options.port = (unsigned)atoi(argv[2]);
        options.path = argv[3];
        parse(&options, argc - 3, argv + 3);
        return send_all(&options);
    }
    if (argc > 2 && strcmp(argv[1], "write") == 0) {
        options.path = argv[2];
        parse(&options, argc - 2, argv + 2);
        return write_all(&options);
    }
    usage();
}
