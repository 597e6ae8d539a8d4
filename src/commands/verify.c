#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "commands/interrupt.h"
#include "commands/options.h"
#include "commands/output.h"
#include "commands/progress.h"
#include "commands/store.h"
#include "storage/engine/engine.h"

enum { JSON_MAX = 64 << 20 };

struct checker {
    const struct options *options;
    struct os os;
    struct config config;
    struct interrupt interrupt;
    struct progress progress;
    bool json, repair;
    struct engine_repair_result repaired; /* of a repair; `left` is the result either way */
    struct bytes findings;                /* as JSON */
    enum status status;                   /* of them */
};

static const char *const finding_names[] = {
    [ENGINE_DAMAGE] = "damage",
    [ENGINE_LEFTOVER] = "leftover",
    [ENGINE_REPAIRED] = "repaired",
    [ENGINE_LOST] = "lost",
};

static enum status put_finding(struct bytes *to, enum engine_finding finding, const char *path,
                               const char *description)
{
    enum status status = bytes_format(to, "%s{\"kind\":\"%s\",\"path\":", to->size > 0 ? "," : "",
                                      finding_names[finding]);
    if (status == STATUS_OK)
        status = json_append_string(to, slice_from_text(path));
    if (status == STATUS_OK)
        status = bytes_append_text(to, ",\"message\":");
    if (status == STATUS_OK)
        status = json_append_string(to, slice_from_text(description));
    return status == STATUS_OK ? bytes_append_text(to, "}") : status;
}

static void take_finding(void *context, enum engine_finding finding, const char *path,
                         const char *description)
{
    struct checker *checker = context;
    progress_erase(&checker->progress);
    if (!checker->json)
        printf("%-8s  %s: %s\n", finding == ENGINE_DAMAGE ? "damaged" : finding_names[finding],
               path, description);
    else if (checker->status == STATUS_OK)
        checker->status = put_finding(&checker->findings, finding, path, description);
}

static bool show_progress(void *context, uint64_t done, uint64_t total)
{
    struct checker *checker = context;
    if (total > 0)
        progress_update(&checker->progress, done, total);
    return interrupt_pending(&checker->interrupt);
}

static void print_repair_json(const struct engine_repair_result *repaired)
{
    printf(",\"repair\":{\"damaged\":%" PRIu64 ",\"repaired\":%" PRIu64 ",\"losses\":%" PRIu64
           ",\"lost_samples\":%" PRIu64 ",\"lost_series\":%" PRIu64 ",\"quarantined\":%" PRIu64 "}",
           repaired->found.damaged, repaired->repaired, repaired->losses, repaired->lost_samples,
           repaired->lost_series, repaired->kept);
}

static void print_repair(const struct checker *checker)
{
    const struct engine_repair_result *repaired = &checker->repaired;
    if (repaired->found.damaged == 0) {
        printf("nothing was damaged: nothing was changed\n");
        return;
    }
    printf("%" PRIu64 " damaged places were found; %" PRIu64 " samples and %" PRIu64
           " series of parts and index are lost%s; the damaged files are in %s/quarantine\n",
           repaired->found.damaged, repaired->lost_samples, repaired->lost_series,
           repaired->losses > 0 ? ", and what is listed above" : "", checker->config.storage.path);
}

static void print_result(const struct checker *checker)
{
    const struct engine_verify_result *result = &checker->repaired.left;
    if (checker->json) {
        printf("{\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"series\":%" PRIu64
               ",\"samples\":%" PRIu64 ",\"damaged\":%" PRIu64 ",\"leftovers\":%" PRIu64,
               result->files, result->bytes, result->series, result->samples, result->damaged,
               result->leftovers);
        if (checker->repair)
            print_repair_json(&checker->repaired);
        printf(",\"findings\":[%.*s]}\n", (int)checker->findings.size,
               checker->findings.size > 0 ? (const char *)checker->findings.data : "");
        return;
    }
    if (checker->repair)
        print_repair(checker);
    printf("%s: %" PRIu64 " series, %" PRIu64 " samples in %" PRIu64 " files, %" PRIu64
           " bytes; %" PRIu64 " damaged\n",
           checker->config.storage.path, result->series, result->samples, result->files,
           result->bytes, result->damaged);
}

static enum status look(struct checker *checker, struct error *err)
{
    struct engine_options options;
    if (!checker->repair)
        return engine_verify(checker->os, checker->config.storage.path, take_finding, show_progress,
                             checker, &checker->repaired.left, err);
    enum status status = store_options(&checker->config, checker->os, NULL, &options, err);
    if (status != STATUS_OK)
        return status;
    return engine_repair(&options, take_finding, show_progress, checker, &checker->repaired, err);
}

static int exit_of(const struct checker *checker)
{
    if (checker->repaired.left.damaged > 0)
        return COMMAND_DAMAGE;
    return checker->repaired.losses > 0 ? COMMAND_PART : COMMAND_DONE;
}

static int run(struct checker *checker)
{
    struct error err;
    enum status status = interrupt_open(&checker->interrupt, &err);
    progress_begin(&checker->progress, checker->os.clock, "verify");
    if (status == STATUS_OK)
        status = look(checker, &err);
    if (status != STATUS_OK)
        store_say_rights(&err);
    progress_erase(&checker->progress);
    interrupt_close(&checker->interrupt);
    if (status == STATUS_CONFLICT) {
        complain(checker->options,
                 checker->repair ? "%.*s"
                                 : "%.*s; or verify a snapshot of it (`metric-store snapshot`)",
                 ERROR_MESSAGE_SIZE, err.message);
        return COMMAND_FAILED;
    }
    if (status != STATUS_OK) {
        int failed = complain_of(checker->options, &err);
        return status == STATUS_CORRUPT ? COMMAND_DAMAGE : failed;
    }
    if (checker->status != STATUS_OK) {
        complain(checker->options, "there are too many findings for one JSON object; see the list "
                                   "without --json");
        return COMMAND_FAILED;
    }
    if (checker->repaired.left.unlocked)
        complain(checker->options,
                 "read without a lock: the file system is read-only and has no lock file; make "
                 "sure that nothing writes to the store by another way");
    print_result(checker);
    options_answered(checker->options);
    return exit_of(checker);
}

int command_verify(int argc, char **argv)
{
    struct options options;
    int exit_code;
    if (options_parse(&options, command_find("verify"), argc, argv, &exit_code)) {
        struct checker checker = {.options = &options, .os = os_system()};
        checker.json = options_has(&options, "json");
        checker.repair = options_has(&options, "repair");
        bytes_init(&checker.findings, JSON_MAX);
        exit_code = options_load_config(&options, checker.os, &checker.config);
        if (exit_code == COMMAND_DONE)
            exit_code = run(&checker);
        bytes_release(&checker.findings);
        config_release(&checker.config);
    }
    return options_end(&options, exit_code);
}
