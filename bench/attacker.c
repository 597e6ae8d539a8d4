/*
 * attacker - attacks a server's memory over remote write, writes healthy series beside that, or
 * sends one request that is too large. Loopback only. bench/attacks runs it.
 *
 *   attacker attack PORT PATH KIND [OPTION...]   KIND: one-metric, many-metrics (10,000),
 *                                                label-names (of one metric), many-names (of
 *                                                10,000 metrics), permuted: attack_bodies.h; or
 *                                                others: new series of a metric of its own
 *   attacker healthy PORT PATH [OPTION...]       1,000 series once a second in 20 requests, of
 *                                                which the metric that is attacked has 100
 *   attacker huge PORT PATH KIND [OPTION...]     KIND: labels, value or names
 *
 *   --series N         samples of the attack: unique series, or orders of labels (1,000,000)
 *   --size N           of what is huge: labels, bytes of the value, or label names (1,000)
 *   --rate N           samples of the attack a second; 0: as fast as they are taken (50,000)
 *   --batch N          samples of a request of the attack (1,000)
 *   --connections N    (4); for healthy a divisor of 20, for permuted one of 1,000
 *   --seconds N        ends after so many seconds, done or not (86,400)
 *   --salt N           makes labels that no other salt has (0)
 *
 * Each prints one JSON object when it is done, or when SIGTERM ends it. Of `attack`: samples
 * `accepted`, `refused` (400, or told so in its answer), `unavailable` (429 and 5xx) and `lost`
 * (no answer); `requests` by status; `codes`: requests by the code of their first refusal. Nothing
 * is sent twice. Of `healthy` each request: [second of the monotonic clock at which it was due,
 * milliseconds from then to its answer, its status, samples accepted, samples of the request]. A
 * status of 0: no answer within 10 s.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attack_bodies.h"
#include "base/invariant.h"
#include "client.h"
#include "wire.h"

enum {
    MAX_CONNECTIONS = 64,
    STATUSES = 600,
    MAX_CODES = 16,
    CODE_SIZE = 48,
    HEALTHY_SERIES = 1000,
    HEALTHY_REQUESTS = 20, /* a second */
    ATTACK_TIMEOUT_S = 30,
    HEALTHY_TIMEOUT_S = 10,
};

struct options {
    struct attack attack;
    unsigned port;
    const char *path;
    double rate, seconds;
    uint64_t size;
};

/* What one connection saw; added up at the end. */
struct tally {
    uint64_t accepted, refused, unavailable, lost;
    uint64_t statuses[STATUSES];
    struct {
        char name[CODE_SIZE];
        uint64_t requests;
    } codes[MAX_CODES];
    char message[512]; /* of the first refusal */
};

struct worker {
    const struct options *options;
    unsigned number;
    double began_s;
    struct tally tally;
    double *latencies_s; /* of all bodies, shared; 0: not sent */
    struct bytes report; /* of `healthy` */
};

static atomic_bool stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    atomic_store(&stopped, true);
}

/* ---- answers ---------------------------------------------------------------------------- */

/* Copies the JSON string behind `name`, its escapes taken off; false where `name` is missing. */
static bool text_behind(const char *body, const char *name, char *to, size_t size)
{
    const char *at = strstr(body, name);
    if (at == NULL)
        return false;
    size_t used = 0;
    for (at += strlen(name); *at != 0 && *at != '"' && used < size - 1; at++) {
        if (*at == '\\' && at[1] != 0)
            at++;
        to[used++] = *at;
    }
    to[used] = 0;
    return true;
}

/* Samples of `samples` that were stored. */
static uint64_t accepted_of(const struct client_answer *answer, uint64_t samples)
{
    const char *said = strstr(answer->body, "\"accepted\":");
    if (said != NULL)
        return strtoull(said + strlen("\"accepted\":"), NULL, 10);
    return answer->status / 100 == 2 ? samples : 0;
}

static void count_code(struct tally *tally, const char *code, uint64_t requests)
{
    for (int i = 0; i < MAX_CODES; i++) {
        if (tally->codes[i].name[0] == 0)
            snprintf(tally->codes[i].name, CODE_SIZE, "%s", code);
        if (strcmp(tally->codes[i].name, code) == 0) {
            tally->codes[i].requests += requests;
            return;
        }
    }
}

/* The code and the message of the first refusal, or what the body begins with. */
static void reason_of(const struct client_answer *answer, char code[CODE_SIZE], char message[512])
{
    const char *errors = strstr(answer->body, "\"errors\":[");
    const char *from = errors != NULL ? errors : answer->body;
    if (!text_behind(from, "\"code\":\"", code, CODE_SIZE))
        snprintf(code, CODE_SIZE, "%d", answer->status);
    if (!text_behind(from, errors != NULL ? "\"message\":\"" : "\"detail\":\"", message, 512))
        snprintf(message, 512, "%.*s", (int)strcspn(answer->body, "\r\n\"\\"), answer->body);
}

static void count_answer(struct tally *tally, const struct client_answer *answer, uint64_t samples)
{
    tally->statuses[answer->status < STATUSES ? answer->status : 0]++;
    if (answer->status == 0) {
        tally->lost += samples;
        return;
    }
    uint64_t accepted = accepted_of(answer, samples);
    tally->accepted += accepted;
    bool unavailable = answer->status >= 500 || answer->status == 429;
    *(unavailable ? &tally->unavailable : &tally->refused) += samples - accepted;
    if (answer->status / 100 == 2 && accepted == samples)
        return;
    char code[CODE_SIZE], message[512];
    reason_of(answer, code, message);
    count_code(tally, code, 1);
    if (tally->message[0] == 0)
        memcpy(tally->message, message, sizeof message);
}

static void add_tally(struct tally *sum, const struct tally *tally)
{
    sum->accepted += tally->accepted;
    sum->refused += tally->refused;
    sum->unavailable += tally->unavailable;
    sum->lost += tally->lost;
    for (int i = 0; i < STATUSES; i++)
        sum->statuses[i] += tally->statuses[i];
    for (int i = 0; i < MAX_CODES && tally->codes[i].name[0] != 0; i++)
        count_code(sum, tally->codes[i].name, tally->codes[i].requests);
    if (sum->message[0] == 0)
        memcpy(sum->message, tally->message, sizeof sum->message);
}

static void print_text(const char *text)
{
    putchar('"');
    for (; *text != 0; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else
            putchar((unsigned char)*text < ' ' ? ' ' : *text);
    putchar('"');
}

/* ---- attack ----------------------------------------------------------------------------- */

static bool over(const struct worker *worker)
{
    return atomic_load(&stopped) || client_now_s() > worker->began_s + worker->options->seconds;
}

static void *attack_connection(void *context)
{
    struct worker *worker = context;
    const struct options *options = worker->options;
    const struct attack *attack = &options->attack;
    struct attack_maker maker;
    struct client client;
    struct client_answer answer;
    attack_maker_init(&maker, attack);
    client_init(&client, options->port, ATTACK_TIMEOUT_S);
    for (uint64_t body = worker->number; body < attack_bodies(attack) && !over(worker);
         body += attack->connections) {
        if (options->rate > 0)
            client_wait_until(worker->began_s + (double)(body * attack->batch) / options->rate);
        struct slice payload = attack_body(&maker, body);
        double sent_s = client_now_s();
        client_write(&client, options->path, payload, &answer);
        worker->latencies_s[body] = client_now_s() - sent_s;
        count_answer(&worker->tally, &answer, attack_samples_in(attack, body));
        if (answer.status == 0)
            client_wait_until(client_now_s() + 0.1);
    }
    client_release(&client);
    attack_maker_release(&maker);
    return NULL;
}

static void run_workers(struct worker *workers, const struct options *options,
                        void *(*work)(void *), double *latencies_s)
{
    pthread_t threads[MAX_CONNECTIONS];
    double began_s = client_now_s();
    for (unsigned i = 0; i < options->attack.connections; i++) {
        workers[i] = (struct worker){
            .options = options,
            .number = i,
            .began_s = began_s,
            .latencies_s = latencies_s,
        };
        bytes_init(&workers[i].report, SIZE_MAX / 4);
        invariant(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < options->attack.connections; i++)
        pthread_join(threads[i], NULL);
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static void print_tally(const struct tally *tally)
{
    const char *separator = "";
    printf("\"accepted\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"unavailable\":%" PRIu64
           ",\"lost\":%" PRIu64 ",\"requests\":{",
           tally->accepted, tally->refused, tally->unavailable, tally->lost);
    for (int i = 0; i < STATUSES; i++)
        if (tally->statuses[i] > 0) {
            printf("%s\"%d\":%" PRIu64, separator, i, tally->statuses[i]);
            separator = ",";
        }
    fputs("},\"codes\":{", stdout);
    for (int i = 0; i < MAX_CODES && tally->codes[i].name[0] != 0; i++) {
        fputs(i > 0 ? "," : "", stdout);
        print_text(tally->codes[i].name);
        printf(":%" PRIu64, tally->codes[i].requests);
    }
    fputs("},\"message\":", stdout);
    print_text(tally->message);
}

static int attack_all(const struct options *options)
{
    static struct worker workers[MAX_CONNECTIONS];
    static struct tally sum;
    uint64_t bodies = attack_bodies(&options->attack);
    double *latencies_s = calloc(bodies, sizeof latencies_s[0]);
    invariant(latencies_s != NULL);
    double began_s = client_now_s();
    run_workers(workers, options, attack_connection, latencies_s);
    double seconds = client_now_s() - began_s;
    for (unsigned i = 0; i < options->attack.connections; i++)
        add_tally(&sum, &workers[i].tally);
    qsort(latencies_s, bodies, sizeof latencies_s[0], compare_doubles);
    uint64_t unsent = 0;
    while (unsent < bodies && latencies_s[unsent] == 0)
        unsent++;
    uint64_t sent = bodies - unsent;
    printf("{\"sent\":%" PRIu64 ",\"seconds\":%.3f,",
           sum.accepted + sum.refused + sum.unavailable + sum.lost, seconds);
    print_tally(&sum);
    printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           sent == 0 ? 0 : latencies_s[unsent + sent / 2] * 1e3,
           sent == 0 ? 0 : latencies_s[unsent + (uint64_t)((double)sent * 0.99)] * 1e3);
    free(latencies_s);
    return 0;
}

/* ---- healthy ---------------------------------------------------------------------------- */

static void *healthy_connection(void *context)
{
    enum { SERIES = HEALTHY_SERIES / HEALTHY_REQUESTS };
    struct worker *worker = context;
    struct attack_maker maker;
    struct client client;
    struct client_answer answer;
    attack_maker_init(&maker, NULL);
    client_init(&client, worker->options->port, HEALTHY_TIMEOUT_S);
    for (uint64_t slot = worker->number; !over(worker);
         slot += worker->options->attack.connections) {
        /* Somewhere within its slot: at fixed distances it might always, or never, meet a request
         * of the attack, which come at fixed distances too. */
        double place = (double)(wire_mixed(slot) >> 11) * 0x1p-53;
        double due_s = worker->began_s + ((double)slot + place) / HEALTHY_REQUESTS;
        client_wait_until(due_s);
        if (over(worker))
            break;
        /* A sender that has fallen so far behind has given these samples up. */
        answer = (struct client_answer){0};
        if (client_now_s() - due_s < HEALTHY_TIMEOUT_S) {
            uint32_t first = (uint32_t)(slot % HEALTHY_REQUESTS) * SERIES;
            client_write(&client, worker->options->path, healthy_body(&maker, first, SERIES),
                         &answer);
        }
        invariant(bytes_format(&worker->report, "%s[%.6f,%.3f,%d,%" PRIu64 ",%d]",
                               worker->report.size > 0 ? "," : "", due_s,
                               (client_now_s() - due_s) * 1e3, answer.status,
                               accepted_of(&answer, SERIES), SERIES) == STATUS_OK);
    }
    client_release(&client);
    attack_maker_release(&maker);
    return NULL;
}

static int write_healthy(const struct options *options)
{
    static struct worker workers[MAX_CONNECTIONS];
    run_workers(workers, options, healthy_connection, NULL);
    fputs("{\"requests\":[", stdout);
    const char *separator = "";
    for (unsigned i = 0; i < options->attack.connections; i++) {
        struct slice report = bytes_slice(&workers[i].report);
        if (report.size > 0) {
            printf("%s%.*s", separator, (int)report.size, (const char *)report.data);
            separator = ",";
        }
        bytes_release(&workers[i].report);
    }
    fputs("]}\n", stdout);
    return 0;
}

/* ---- huge ------------------------------------------------------------------------------- */

static int send_huge(const struct options *options, enum huge_kind kind)
{
    static struct client_answer answer;
    struct attack_maker maker;
    struct client client;
    attack_maker_init(&maker, NULL);
    client_init(&client, options->port, ATTACK_TIMEOUT_S);
    struct slice payload = huge_body(&maker, kind, options->size, options->attack.seed);
    double began_s = client_now_s();
    client_write(&client, options->path, payload, &answer);
    double ms = (client_now_s() - began_s) * 1e3;
    static struct tally tally;
    count_answer(&tally, &answer, kind == HUGE_NAMES ? options->size / 10 : 1);
    printf("{\"size\":%" PRIu64 ",\"body_bytes\":%zu,\"status\":%d,\"ms\":%.3f,", options->size,
           payload.size, answer.status, ms);
    print_tally(&tally);
    fputs("}\n", stdout);
    client_release(&client);
    attack_maker_release(&maker);
    return 0;
}

/* ---- command line ----------------------------------------------------------------------- */

static void usage(void)
{
    fputs("usage: attacker attack|healthy|huge PORT PATH ..., see the top of bench/attacker.c\n",
          stderr);
    exit(2);
}

static void parse(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"series", 1, NULL, 's'},  {"size", 1, NULL, 'z'},
        {"rate", 1, NULL, 'r'},    {"batch", 1, NULL, 'b'},
        {"salt", 1, NULL, 'a'},    {"connections", 1, NULL, 'c'},
        {"seconds", 1, NULL, 'e'}, {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        double number = optarg != NULL ? strtod(optarg, NULL) : 0;
        if (option == 's')
            options->attack.series = (uint64_t)number;
        else if (option == 'z')
            options->size = (uint64_t)number;
        else if (option == 'r')
            options->rate = number;
        else if (option == 'b')
            options->attack.batch = (uint32_t)number;
        else if (option == 'a')
            options->attack.seed = (uint64_t)number;
        else if (option == 'c')
            options->attack.connections = (uint32_t)number;
        else if (option == 'e')
            options->seconds = number;
        else
            usage();
    }
    const struct attack *attack = &options->attack;
    if (attack->batch == 0 || attack->series == 0 || attack->connections == 0 ||
        attack->connections > MAX_CONNECTIONS || optind != argc)
        usage();
}

/* The number of `kind` among `count` names. */
static unsigned kind_of(const char *kind, const char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(kind, names[i]) == 0)
            return i;
    usage();
    return 0;
}

static int run_attack(struct options *options, int argc, char **argv)
{
    static const char *const names[] = {"one-metric", "many-metrics", "label-names",
                                        "many-names", "permuted",     "others"};
    static const enum attack_kind kinds[] = {ATTACK_USER_IDS,    ATTACK_USER_IDS,
                                             ATTACK_LABEL_NAMES, ATTACK_LABEL_NAMES,
                                             ATTACK_PERMUTED,    ATTACK_USER_IDS};
    unsigned kind = kind_of(argv[4], names, 6);
    options->attack.kind = kinds[kind];
    options->attack.metric = kind == 5 ? "others_requests_total" : ATTACKED_METRIC;
    options->attack.metrics = kind == 1 || kind == 3 ? 10000 : 1;
    parse(options, argc - 4, argv + 4);
    if (kinds[kind] == ATTACK_PERMUTED && PERMUTED_SERIES % options->attack.connections != 0)
        usage();
    return attack_all(options);
}

int main(int argc, char **argv)
{
    struct options options = {
        .attack = {.series = 1000000, .batch = 1000, .connections = 4},
        .rate = 50000,
        .seconds = 86400,
        .size = 1000,
    };
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    if (argc < 4)
        usage();
    options.port = (unsigned)strtoul(argv[2], NULL, 10);
    options.path = argv[3];
    if (strcmp(argv[1], "attack") == 0 && argc > 4)
        return run_attack(&options, argc, argv);
    if (strcmp(argv[1], "huge") == 0 && argc > 4) {
        static const char *const names[] = {"labels", "value", "names"};
        unsigned kind = kind_of(argv[4], names, 3);
        parse(&options, argc - 4, argv + 4);
        return send_huge(&options, (enum huge_kind)kind);
    }
    if (strcmp(argv[1], "healthy") == 0) {
        parse(&options, argc - 3, argv + 3);
        if (HEALTHY_REQUESTS % options.attack.connections != 0)
            usage();
        return write_healthy(&options);
    }
    usage();
}
