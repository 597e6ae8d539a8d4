#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands/interrupt.h"
#include "commands/options.h"
#include "commands/output.h"
#include "commands/progress.h"
#include "storage/engine/engine.h"

enum { JSON_MAX = 64 << 20 };

struct checker {
    const struct options *options;
    struct os os;
    struct config config;
    struct interrupt interrupt;
    struct progress progress;
    bool json;
    struct bytes findings; /* as JSON */
    enum status status;    /* of them */
};

static enum status put_finding(struct bytes *to, enum engine_finding finding, const char *path,
                               const char *description)
{
    enum status status = bytes_format(to, "%s{\"kind\":\"%s\",\"path\":", to->size > 0 ? "," : "",
                                      finding == ENGINE_DAMAGE ? "damage" : "leftover");
    if (status == STATUS_OK)
        status = output_json_string(to, slice_from_text(path));
    if (status == STATUS_OK)
        status = bytes_append_text(to, ",\"message\":");
    if (status == STATUS_OK)
        status = output_json_string(to, slice_from_text(description));
    return status == STATUS_OK ? bytes_append_text(to, "}") : status;
}

static void take_finding(void *context, enum engine_finding finding, const char *path,
                         const char *description)
{
    struct checker *checker = context;
    progress_erase(&checker->progress);
    if (!checker->json)
        printf("%s  %s: %s\n", finding == ENGINE_DAMAGE ? "damaged " : "leftover", path,
               description);
    else if (checker->status == STATUS_OK)
        checker->status = put_finding(&checker->findings, finding, path, description);
}

static bool show_progress(void *context, uint64_t done, uint64_t total)
{
    struct checker *checker = context;
    progress_update(&checker->progress, done, total);
    return interrupt_pending(&checker->interrupt);
}

static void print_result(const struct checker *checker, const struct engine_verify_result *result)
{
    if (checker->json) {
        printf("{\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"series\":%" PRIu64
               ",\"samples\":%" PRIu64 ",\"damaged\":%" PRIu64 ",\"leftovers\":%" PRIu64
               ",\"findings\":[%.*s]}\n",
               result->files, result->bytes, result->series, result->samples, result->damaged,
               result->leftovers, (int)checker->findings.size,
               checker->findings.size > 0 ? (const char *)checker->findings.data : "");
        return;
    }
    printf("%s: %" PRIu64 " series, %" PRIu64 " samples in %" PRIu64 " files, %" PRIu64
           " bytes; %" PRIu64 " damaged\n",
           checker->config.storage.path, result->series, result->samples, result->files,
           result->bytes, result->damaged);
}

static int run(struct checker *checker)
{
    struct error err;
    struct engine_verify_result result;
    enum status status = interrupt_open(&checker->interrupt, &err);
    progress_begin(&checker->progress, checker->os.clock, "verify");
    if (status == STATUS_OK)
        status = engine_verify(checker->os, checker->config.storage.path, take_finding,
                               show_progress, checker, &result, &err);
    progress_erase(&checker->progress);
    interrupt_close(&checker->interrupt);
    if (status == STATUS_CONFLICT) {
        complain(checker->options, "%s", err.message);
        return COMMAND_FAILED;
    }
    if (status != STATUS_OK)
        return complain_of(checker->options, &err);
    if (checker->status != STATUS_OK) {
        complain(checker->options, "there are too many findings for one JSON object; see the list "
                                   "without --json");
        return COMMAND_FAILED;
    }
    if (result.unlocked)
        complain(checker->options,
                 "read without a lock: the file system is read-only and has no lock file; make "
                 "sure that nothing writes to the store by another way");
    print_result(checker, &result);
    return result.damaged > 0 ? COMMAND_DAMAGE : COMMAND_DONE;
}

int command_verify(int argc, char **argv)
{
    struct options options;
    int exit_code;
    if (options_parse(&options, command_find("verify"), argc, argv, &exit_code)) {
        struct checker checker = {.options = &options, .os = os_system()};
        checker.json = options_has(&options, "json");
        bytes_init(&checker.findings, JSON_MAX);
        exit_code = options_load_config(&options, checker.os, &checker.config);
        if (exit_code == COMMAND_DONE)
            exit_code = run(&checker);
        bytes_release(&checker.findings);
        config_release(&checker.config);
    }
    options_release(&options);
    return exit_code;
}
