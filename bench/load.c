/*
 * load - makes a metric workload and sends it to an HTTP endpoint over keep-alive connections.
 *
 *   load PORT PATH rw|ndjson SERIES LABEL_HOSTS POINTS BATCH START_MS STEP_MS CONNECTIONS RATE
 *
 * SERIES series of 25 metrics spread over LABEL_HOSTS hosts, POINTS samples each, in scrape order,
 * BATCH samples a request. RATE in samples a second paces the requests; 0 sends as fast as they are
 * taken. All requests are made before the first is sent, so that making them costs no time of the
 * measurement. Prints one JSON object. Loopback only.
 *
 * The values: of 20 series 6 constant, 5 integer counters, 3 counters of hundredths, 2 multiples of
 * 4096, 2 gauges of two decimals, 1 that rarely moves, 1 of full entropy.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <snappy-c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/invariant.h"
#include "cxx/number.h"

enum { METRICS = 25, MAX_CONNECTIONS = 64, HEADER_SIZE = 512 };

struct workload {
    unsigned port;
    const char *path;
    bool ndjson;
    uint32_t series, hosts, points, batch;
    int64_t start_ms, step_ms;
    unsigned connections;
    double rate;
};

struct request {
    uint8_t *data; /* header and body */
    size_t size;
    uint64_t first; /* samples before it */
    uint32_t samples;
    double latency_s;
};

struct run {
    struct workload workload;
    struct request *requests;
    size_t count;
    atomic_size_t next;
    atomic_uint_fast64_t refused;
    double began;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t random_of(uint64_t seed)
{
    seed += UINT64_C(0x9e3779b97f4a7c15);
    seed = (seed ^ (seed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    seed = (seed ^ (seed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return seed ^ (seed >> 31);
}

static double value_of(double *state, uint32_t series, uint32_t point)
{
    uint64_t random = random_of((uint64_t)series << 32 | point);
    double unit = (double)(random >> 11) * 0x1p-53;
    uint32_t kind = series / METRICS % 20;
    if (point == 0)
        *state = (double)(random_of(series) % 1000000);
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

static void put(struct bytes *to, const void *data, size_t size)
{
    invariant(bytes_append(to, data, size) == STATUS_OK);
}

static void put_varint(struct bytes *to, uint64_t value)
{
    uint8_t text[VARINT_MAX_SIZE];
    put(to, text, (size_t)(varint_put(text, value) - text));
}

static void put_field(struct bytes *to, uint8_t tag, const void *data, size_t size)
{
    put(to, &tag, 1);
    put_varint(to, size);
    put(to, data, size);
}

struct text_label {
    const char *name;
    char value[64];
};

enum { LABELS = 6 };

static void labels_of(const struct workload *workload, uint32_t series,
                      struct text_label labels[LABELS])
{
    static const char *const regions[] = {"eu-central", "eu-west", "us-east", "us-west",
                                          "ap-south"};
    uint32_t host = series / METRICS % workload->hosts;
    labels[0].name = "__name__";
    snprintf(labels[0].value, sizeof labels[0].value, "bench_metric_%02u_total", series % METRICS);
    labels[1].name = "device";
    snprintf(labels[1].value, sizeof labels[1].value, "dev%u", series / METRICS / workload->hosts);
    labels[2].name = "instance";
    snprintf(labels[2].value, sizeof labels[2].value, "host-%06u.example.org:9100", host);
    labels[3].name = "job";
    snprintf(labels[3].value, sizeof labels[3].value, "node");
    labels[4].name = "region";
    snprintf(labels[4].value, sizeof labels[4].value, "%s", regions[host % 5]);
    labels[5].name = "team";
    snprintf(labels[5].value, sizeof labels[5].value, "team-%u", host % 17);
}

static void put_remote_write(struct bytes *body, const struct text_label *labels, int64_t time_ms,
                             double value)
{
    static struct bytes series, label;
    series.max = label.max = 1 << 20;
    bytes_clear(&series);
    for (int i = 0; i < LABELS; i++) {
        bytes_clear(&label);
        put_field(&label, 0x0a, labels[i].name, strlen(labels[i].name));
        put_field(&label, 0x12, labels[i].value, strlen(labels[i].value));
        put_field(&series, 0x0a, label.data, label.size);
    }
    bytes_clear(&label);
    put(&label, "\x09", 1);
    put(&label, &value, sizeof value);
    put(&label, "\x10", 1);
    put_varint(&label, (uint64_t)time_ms);
    put_field(&series, 0x12, label.data, label.size);
    put_field(body, 0x0a, series.data, series.size);
}

static void put_ndjson(struct bytes *body, const struct text_label *labels, int64_t time_ms,
                       double value)
{
    char number[NUMBER_TEXT_SIZE];
    size_t size = number_format(number, value);
    enum status status = bytes_format(body, "{\"name\":\"%s\",\"labels\":{", labels[0].value);
    for (int i = 1; i < LABELS && status == STATUS_OK; i++)
        status = bytes_format(body, "%s\"%s\":\"%s\"", i > 1 ? "," : "", labels[i].name,
                              labels[i].value);
    if (status == STATUS_OK)
        status = bytes_format(body, "},\"value\":%.*s,\"timestamp\":%" PRId64 "}\n", (int)size,
                              number, time_ms);
    invariant(status == STATUS_OK);
}

static void finish_request(struct run *run, struct bytes *body, uint64_t first, uint32_t samples)
{
    static uint8_t *packed;
    static size_t packed_capacity;
    const struct workload *workload = &run->workload;
    struct slice payload = bytes_slice(body);
    if (!workload->ndjson) {
        size_t need = snappy_max_compressed_length(body->size);
        if (need > packed_capacity) {
            packed = realloc(packed, need);
            invariant(packed != NULL);
            packed_capacity = need;
        }
        size_t size = packed_capacity;
        invariant(snappy_compress((const char *)body->data, body->size, (char *)packed, &size) ==
                  SNAPPY_OK);
        payload = slice_of(packed, size);
    }
    char header[HEADER_SIZE];
    int header_size =
        snprintf(header, sizeof header,
                 "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: %s\r\n%sContent-Length: "
                 "%zu\r\n\r\n",
                 workload->path, workload->port,
                 workload->ndjson ? "application/x-ndjson" : "application/x-protobuf",
                 workload->ndjson ? "" : "Content-Encoding: snappy\r\n", payload.size);
    struct request *requests = realloc(run->requests, (run->count + 1) * sizeof run->requests[0]);
    invariant(requests != NULL);
    run->requests = requests;
    struct request *request = &requests[run->count++];
    *request = (struct request){
        .size = (size_t)header_size + payload.size, .first = first, .samples = samples};
    request->data = malloc(request->size);
    invariant(request->data != NULL);
    memcpy(request->data, header, (size_t)header_size);
    memcpy(request->data + header_size, payload.data, payload.size);
    bytes_clear(body);
}

static void make_requests(struct run *run)
{
    const struct workload *workload = &run->workload;
    double *states = calloc(workload->series, sizeof states[0]);
    invariant(states != NULL);
    struct bytes body;
    bytes_init(&body, SIZE_MAX / 4);
    uint64_t made = 0;
    uint64_t total = (uint64_t)workload->series * workload->points;
    uint32_t in_hand = 0;
    for (uint32_t point = 0; point < workload->points; point++)
        for (uint32_t series = 0; series < workload->series; series++) {
            struct text_label labels[LABELS];
            labels_of(workload, series, labels);
            uint32_t host = series / METRICS % workload->hosts;
            int64_t time_ms =
                workload->start_ms + point * workload->step_ms + host * 7919 % workload->step_ms;
            double value = value_of(&states[series], series, point);
            (workload->ndjson ? put_ndjson : put_remote_write)(&body, labels, time_ms, value);
            in_hand++;
            made++;
            if (in_hand == workload->batch || made == total) {
                finish_request(run, &body, made - in_hand, in_hand);
                in_hand = 0;
            }
        }
    bytes_release(&body);
    free(states);
}

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

/* Sends one request and reads its answer, whose body has a length or none. The status. */
static int exchange(int fd, const struct request *request)
{
    for (size_t sent = 0; sent < request->size;) {
        ssize_t size = write(fd, request->data + sent, request->size - sent);
        if (size <= 0)
            return 0;
        sent += (size_t)size;
    }
    char answer[16384];
    size_t got = 0;
    const char *end = NULL;
    while (end == NULL) {
        ssize_t size = read(fd, answer + got, sizeof answer - 1 - got);
        if (size <= 0)
            return 0;
        got += (size_t)size;
        answer[got] = 0;
        end = strstr(answer, "\r\n\r\n");
    }
    const char *length = strcasestr(answer, "\r\nContent-Length:");
    size_t left = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
    size_t body = got - (size_t)(end + 4 - answer);
    while (body < left) {
        char rest[4096];
        ssize_t size = read(fd, rest, sizeof rest);
        if (size <= 0)
            return 0;
        body += (size_t)size;
    }
    return atoi(answer + 9);
}

static void *send_some(void *context)
{
    struct run *run = context;
    int fd = dial(run->workload.port);
    for (size_t i; (i = atomic_fetch_add(&run->next, 1)) < run->count;) {
        struct request *request = &run->requests[i];
        double started = now();
        if (run->workload.rate > 0) {
            double due = run->began + (double)request->first / run->workload.rate;
            if (due > started) {
                double wait = due - started;
                struct timespec time = {(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)};
                nanosleep(&time, NULL);
            }
            started = due;
        }
        int status = exchange(fd, request);
        request->latency_s = now() - started;
        if (status / 100 != 2)
            atomic_fetch_add(&run->refused, 1);
        if (status == 0) {
            close(fd);
            fd = dial(run->workload.port);
        }
    }
    close(fd);
    return NULL;
}

static int compare_latencies(const void *a, const void *b)
{
    double left = ((const struct request *)a)->latency_s;
    double right = ((const struct request *)b)->latency_s;
    return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
    if (argc != 12) {
        fprintf(stderr,
                "usage: load PORT PATH rw|ndjson SERIES HOSTS POINTS BATCH START_MS STEP_MS "
                "CONNECTIONS RATE\n");
        return 2;
    }
    static struct run run;
    run.workload = (struct workload){
        .port = (unsigned)atoi(argv[1]),
        .path = argv[2],
        .ndjson = strcmp(argv[3], "ndjson") == 0,
        .series = (uint32_t)atoi(argv[4]),
        .hosts = (uint32_t)atoi(argv[5]),
        .points = (uint32_t)atoi(argv[6]),
        .batch = (uint32_t)atoi(argv[7]),
        .start_ms = strtoll(argv[8], NULL, 10),
        .step_ms = strtoll(argv[9], NULL, 10),
        .connections = (unsigned)atoi(argv[10]),
        .rate = atof(argv[11]),
    };
    if (run.workload.connections > MAX_CONNECTIONS)
        run.workload.connections = MAX_CONNECTIONS;
    make_requests(&run);
    pthread_t threads[MAX_CONNECTIONS];
    run.began = now();
    for (unsigned i = 0; i < run.workload.connections; i++)
        invariant(pthread_create(&threads[i], NULL, send_some, &run) == 0);
    for (unsigned i = 0; i < run.workload.connections; i++)
        pthread_join(threads[i], NULL);
    double seconds = now() - run.began;
    uint64_t samples = (uint64_t)run.workload.series * run.workload.points;
    qsort(run.requests, run.count, sizeof run.requests[0], compare_latencies);
    printf("{\"samples\":%" PRIu64 ",\"seconds\":%.3f,\"requests\":%zu,\"refused\":%" PRIu64
           ",\"p50_ms\":%.2f,\"p99_ms\":%.2f}\n",
           samples, seconds, run.count, (uint64_t)run.refused,
           run.requests[run.count / 2].latency_s * 1e3,
           run.requests[(size_t)((double)run.count * 0.99)].latency_s * 1e3);
    return run.refused != 0;
}
