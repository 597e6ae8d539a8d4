#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "commands/client.h"
#include "commands/json_tree.h"
#include "commands/options.h"
#include "commands/output.h"
#include "commands/store.h"

enum { ANSWER_MAX = 64 * 1024 };

struct taker {
    const struct options *options;
    struct os os;
    struct config config;
    struct log log;
    struct interrupt interrupt;
    struct bytes answer; /* JSON, as the server gives it */
};

/* ---- a stopped store -------------------------------------------------------------------- */

/* Whether `path` lies in `dir`, both as realpath gives them. */
static bool is_below(const char *path, const char *dir)
{
    size_t size = strlen(dir);
    return strncmp(path, dir, size) == 0 && (path[size] == '/' || path[size] == 0);
}

/* Nothing is put among the files of the store itself, where nobody would know it. */
static enum status refuse_inside(const struct taker *taker, const char *target, struct error *err)
{
    char *parent = strdup(target);
    enum status status = STATUS_OK;
    if (parent == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a path");
    size_t size = strlen(parent);
    while (size > 1 && parent[size - 1] == '/')
        parent[--size] = 0;
    char *slash = strrchr(parent, '/');
    if (slash != NULL)
        slash[slash == parent ? 1 : 0] = 0;
    char *store = realpath(taker->config.storage.path, NULL);
    char *place = realpath(slash != NULL ? parent : ".", NULL);
    /* What is not there is named by those who need it. */
    if (store != NULL && place != NULL && is_below(place, store)) {
        const char *rest = place + strlen(store);
        if (strcmp(rest, "/snapshots") != 0)
            status = fail(err, STATUS_INVALID,
                          "%s lies in the store itself: of what is in there only %s/snapshots may "
                          "hold snapshots",
                          target, taker->config.storage.path);
    }
    free(store);
    free(place);
    free(parent);
    return status;
}

static enum status tell(struct taker *taker, const char *target,
                        const struct engine_snapshot_result *made)
{
    char *whole = realpath(target, NULL);
    enum status status = bytes_append_text(&taker->answer, "{\"path\":");
    if (status == STATUS_OK)
        status =
            json_append_string(&taker->answer, slice_from_text(whole != NULL ? whole : target));
    free(whole);
    if (status == STATUS_OK)
        status = bytes_format(&taker->answer,
                              ",\"parts\":%" PRIu64 ",\"index_segments\":%" PRIu64
                              ",\"series\":%" PRIu64 ",\"samples\":%" PRIu64 ",\"bytes\":%" PRIu64
                              ",\"missing_files\":%" PRIu64 ",\"duration_ms\":%" PRId64 "}\n",
                              made->parts, made->segments, made->series, made->samples, made->bytes,
                              made->missing, made->duration_ms);
    return status;
}

static enum status take_of_store(struct taker *taker, const char *target, struct error *err)
{
    struct tier *tier = NULL;
    struct engine_snapshot_result made;
    enum status status = store_expect(&taker->config, taker->os, err);
    if (status == STATUS_OK)
        status = refuse_inside(taker, target, err);
    if (status == STATUS_OK)
        status = store_open(&taker->config, taker->os, &taker->log, false, &tier, err);
    if (status == STATUS_OK)
        status = engine_snapshot(tier, target, options_has(taker->options, "copy"), &made, err);
    engine_close(tier);
    if (status == STATUS_OK && tell(taker, target, &made) != STATUS_OK)
        return fail(err, STATUS_MEMORY, "the snapshot is made; no memory to tell more of it");
    return status;
}

/* ---- a running server ------------------------------------------------------------------- */

static enum status take_of_server(struct taker *taker, const char *name, struct error *err)
{
    char url[CLIENT_URL_SIZE];
    client_default_url(&taker->config, url);
    const char *given = options_value(taker->options, "url");
    struct client *client = NULL;
    enum status status = client_open(&client, given != NULL ? given : url, &taker->interrupt, err);
    if (status != STATUS_OK)
        return status;
    struct client_parameter parameter = {.name = "name", .value = name};
    struct client_request request = {
        .path = "/api/v1/admin/snapshot",
        .parameters = &parameter,
        .parameter_count = name == NULL ? 0 : 1,
        .content_type = "application/x-www-form-urlencoded",
        .answer_type = "application/json",
    };
    struct client_answer answer;
    bytes_init(&answer.body, ANSWER_MAX);
    status = client_send(client, &request, &answer, err);
    if (status == STATUS_OK && answer.status >= 300)
        status = client_fail(client, &answer, err);
    if (status == STATUS_OK &&
        bytes_append(&taker->answer, answer.body.data, answer.body.size) != STATUS_OK)
        status = fail(err, STATUS_MEMORY, "the snapshot is made; no memory to tell more of it");
    bytes_release(&answer.body);
    client_close(client);
    return status;
}

/* ---- both ------------------------------------------------------------------------------- */

static enum status print_text(const struct taker *taker, struct error *err)
{
    struct arena arena;
    arena_init(&arena, (size_t)16 * ANSWER_MAX);
    struct json_node *root = NULL;
    enum status status = json_tree_parse(bytes_slice(&taker->answer), &arena, &root, err);
    if (status == STATUS_OK) {
        struct slice path = json_member_text(root, "path");
        uint64_t missing = json_member_number(root, "missing_files");
        printf("%.*s: %" PRIu64 " series, %" PRIu64 " samples, %" PRIu64 " bytes\n", (int)path.size,
               (const char *)path.data, json_member_number(root, "series"),
               json_member_number(root, "samples"), json_member_number(root, "bytes"));
        if (missing > 0)
            complain(taker->options,
                     "%" PRIu64 " files of the store are missing, and of the snapshot too: see "
                     "`metric-store verify`",
                     missing);
    }
    arena_release(&arena);
    return status;
}

static int run(struct taker *taker)
{
    const struct options *options = taker->options;
    const char *target = options->argument_count > 0 ? options->arguments[0] : NULL;
    bool stopped = options_has(options, "data");
    if (stopped && options_has(options, "url"))
        return complain_usage(options, "--data and --url exclude each other");
    if (stopped && target == NULL)
        return complain_usage(options, "name the directory to make: --data DIR NEW");
    if (!stopped && target != NULL && strchr(target, '/') != NULL)
        return complain_usage(options,
                              "\"%s\" is a path: a server makes its snapshots in "
                              "storage.path/snapshots; give a name, and copy it from there",
                              target);
    if (!stopped && options_has(options, "copy"))
        return complain_usage(options, "--copy is for a stopped store, with --data");
    struct error err = {0};
    enum status status = interrupt_open(&taker->interrupt, &err);
    if (status == STATUS_OK)
        status = stopped ? take_of_store(taker, target, &err) : take_of_server(taker, target, &err);
    interrupt_close(&taker->interrupt);
    if (status == STATUS_OK && options_has(options, "json")) {
        printf("%.*s", (int)taker->answer.size, (const char *)taker->answer.data);
        options_answered(options);
    } else if (status == STATUS_OK)
        status = print_text(taker, &err);
    if (status == STATUS_UNSUPPORTED && stopped) {
        complain(options, "%s; with --copy they are copied", err.message);
        return COMMAND_FAILED;
    }
    if (status == STATUS_OK)
        return COMMAND_DONE;
    return stopped ? complain_of(options, &err) : complain_of_request(options, &err);
}

int command_snapshot(int argc, char **argv)
{
    struct options options;
    int exit_code;
    if (options_parse(&options, command_find("snapshot"), argc, argv, &exit_code)) {
        struct taker taker = {.options = &options, .os = os_system()};
        bytes_init(&taker.answer, ANSWER_MAX);
        exit_code = options_load_config(&options, taker.os, &taker.config);
        if (exit_code == COMMAND_DONE) {
            taker.log = options_log(&taker.config, taker.os);
            exit_code = run(&taker);
        }
        bytes_release(&taker.answer);
        config_release(&taker.config);
    }
    return options_end(&options, exit_code);
}
