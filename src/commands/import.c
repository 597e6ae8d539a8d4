#include "commands/import.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/times.h"
#include "base/utf8.h"
#include "commands/client.h"
#include "commands/output.h"

enum { RETRY_DEFAULT_MS = MS_PER_MINUTE, RETRY_FIRST_MS = 10, RETRY_LONGEST_MS = 5000 };
enum { JSON_MAX = 1 << 20 };

/* ---- the summary ------------------------------------------------------------------------ */

/* A zero-terminated copy; control characters, which a terminal would obey, become '?'. */
static void copy_text(char *to, size_t size, struct slice text)
{
    size_t length = text.data == NULL ? 0 : utf8_prefix(text, size - 1);
    for (size_t i = 0; i < length; i++)
        to[i] = text.data[i] < 0x20 || text.data[i] == 0x7f ? '?' : (char)text.data[i];
    to[length] = 0;
}

void import_refuse(struct import *import, uint64_t samples, struct slice code, uint64_t line,
                   struct slice message)
{
    struct import_summary *summary = &import->summary;
    size_t i = 0;
    while (i < summary->reason_count && !slice_equal_text(code, summary->reasons[i].code))
        i++;
    if (i == summary->reason_count) {
        /* The last one takes all for which there is no room. */
        if (i == IMPORT_MAX_REASONS) {
            summary->reasons[i - 1].samples += samples;
            return;
        }
        bool last = i == IMPORT_MAX_REASONS - 1;
        summary->reason_count++;
        summary->reasons[i] = (struct import_reason){.file = import->file, .line = line};
        copy_text(summary->reasons[i].code, IMPORT_CODE_SIZE,
                  last ? slice_from_text("other") : code);
        copy_text(summary->reasons[i].message, ERROR_MESSAGE_SIZE, message);
    }
    summary->reasons[i].samples += samples;
}

void import_warn(struct import *import, struct slice text)
{
    struct import_summary *summary = &import->summary;
    char copy[ERROR_MESSAGE_SIZE];
    copy_text(copy, sizeof copy, text);
    for (size_t i = 0; i < summary->warning_count; i++)
        if (strcmp(summary->warnings[i], copy) == 0)
            return;
    if (summary->warning_count == IMPORT_MAX_WARNINGS)
        return;
    memcpy(summary->warnings[summary->warning_count++], copy, sizeof copy);
}

static const struct batch_rejection *first_rejection(const struct batch *batch, const char *code)
{
    for (size_t i = 0; i < batch->rejection_count; i++)
        if (strcmp(batch->rejections[i].code, code) == 0)
            return &batch->rejections[i];
    return NULL;
}

void import_count_batch(struct import *import, const struct batch *batch, uint64_t line_base)
{
    uint64_t listed = 0;
    import->summary.rejected += batch->rejected;
    for (size_t i = 0; i < batch->reason_count; i++) {
        const struct batch_reason *reason = &batch->reasons[i];
        const struct batch_rejection *first = first_rejection(batch, reason->code);
        import_refuse(import, reason->samples, slice_from_text(reason->code),
                      first == NULL || first->line == 0 ? 0 : line_base + first->line,
                      first == NULL ? slice_of(NULL, 0) : first->message);
        listed += reason->samples;
    }
    if (listed < batch->rejected)
        import_refuse(import, batch->rejected - listed, slice_from_text("other"), 0,
                      slice_from_text("for reasons that were not listed"));
    for (size_t i = 0; i < batch->warning_count; i++)
        import_warn(import, batch->warnings[i]);
}

/* A file, or all of it, failed: on stderr, and for the summary. */
static int complain_of_failure(struct import *import, const struct error *err)
{
    struct import_summary *summary = &import->summary;
    if (summary->failure_count < IMPORT_MAX_FAILURES)
        copy_text(summary->failures[summary->failure_count++], ERROR_MESSAGE_SIZE,
                  slice_from_text(err->message));
    return complain_of(import->options, err);
}

/* ---- trying again ----------------------------------------------------------------------- */

void import_retry_begin(const struct import *import, struct import_retry *retry)
{
    *retry = (struct import_retry){
        .deadline_ns = clock_monotonic_ns(import->os.clock) + import->retry_ms * 1000000,
        .delay_ms = RETRY_FIRST_MS,
    };
}

enum status import_retry_wait(struct import *import, struct import_retry *retry, int64_t asked_ms,
                              struct error *err)
{
    int64_t left_ms = (retry->deadline_ns - clock_monotonic_ns(import->os.clock)) / 1000000;
    if (left_ms <= 0)
        return fail(err, STATUS_TIMEOUT, "gave up after %" PRId64 " s of trying again",
                    import->retry_ms / MS_PER_SECOND);
    /* Half of it at random, so that many senders do not come back together. */
    int64_t wait_ms = retry->delay_ms / 2 + (int64_t)(random_u64(import->os.random) %
                                                      (uint64_t)(retry->delay_ms / 2 + 1));
    if (asked_ms > wait_ms)
        wait_ms = asked_ms + wait_ms % 100;
    if (wait_ms > left_ms)
        wait_ms = left_ms;
    retry->delay_ms =
        retry->delay_ms * 2 < RETRY_LONGEST_MS ? retry->delay_ms * 2 : RETRY_LONGEST_MS;
    return interrupt_wait(&import->interrupt, -1, (int)wait_ms) ? interrupt_fail(err) : STATUS_OK;
}

/* ---- the result ------------------------------------------------------------------------- */

static void print_text(const struct import *import, double seconds)
{
    const struct import_summary *summary = &import->summary;
    printf("accepted    %" PRIu64 " samples\n", summary->accepted);
    printf("rejected    %" PRIu64 "\n", summary->rejected);
    for (size_t i = 0; i < summary->reason_count; i++) {
        const struct import_reason *reason = &summary->reasons[i];
        printf("  %-24s %" PRIu64 ", the first in %s", reason->code, reason->samples, reason->file);
        if (reason->line > 0)
            printf(", line %" PRIu64, reason->line);
        printf(": %s\n", reason->message);
    }
    printf("new series  %" PRIu64 "\n", summary->new_series);
    if (import->resume.skipped_files > 0)
        printf("skipped     %" PRIu64 " files that an earlier run has imported whole\n",
               import->resume.skipped_files);
    printf("seconds     %.1f\n", seconds);
}

static enum status put_reason(struct bytes *to, const struct import_reason *reason, bool first)
{
    enum status status = bytes_append_text(to, first ? "{\"code\":" : ",{\"code\":");
    if (status == STATUS_OK)
        status = json_append_string(to, slice_from_text(reason->code));
    if (status == STATUS_OK)
        status = bytes_format(to, ",\"samples\":%" PRIu64 ",\"file\":", reason->samples);
    if (status == STATUS_OK)
        status = json_append_string(to, slice_from_text(reason->file));
    if (status == STATUS_OK)
        status = reason->line == 0
                     ? bytes_append_text(to, ",\"message\":")
                     : bytes_format(to, ",\"line\":%" PRIu64 ",\"message\":", reason->line);
    if (status == STATUS_OK)
        status = json_append_string(to, slice_from_text(reason->message));
    return status == STATUS_OK ? bytes_append(to, "}", 1) : status;
}

static enum status put_texts(struct bytes *to, const char *key, char (*texts)[ERROR_MESSAGE_SIZE],
                             size_t count)
{
    enum status status = bytes_format(to, ",\"%s\":[", key);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = bytes_append_text(to, i == 0 ? "" : ",");
        if (status == STATUS_OK)
            status = json_append_string(to, slice_from_text(texts[i]));
    }
    return status == STATUS_OK ? bytes_append_text(to, "]") : status;
}

static enum status put_json(struct import *import, double seconds, bool complete, struct bytes *to)
{
    struct import_summary *summary = &import->summary;
    enum status status = bytes_format(
        to,
        "{\"accepted\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"new_series\":%" PRIu64
        ",\"seconds\":%.3f,\"complete\":%s,\"skipped_files\":%" PRIu64 ",\"reasons\":[",
        summary->accepted, summary->rejected, summary->new_series, seconds,
        complete ? "true" : "false", import->resume.skipped_files);
    for (size_t i = 0; i < summary->reason_count && status == STATUS_OK; i++)
        status = put_reason(to, &summary->reasons[i], i == 0);
    if (status == STATUS_OK)
        status = bytes_append_text(to, "]");
    if (status == STATUS_OK)
        status = put_texts(to, "failures", summary->failures, summary->failure_count);
    if (status == STATUS_OK)
        status = put_texts(to, "warnings", summary->warnings, summary->warning_count);
    return status == STATUS_OK ? bytes_append_text(to, "}\n") : status;
}

static int print_summary(struct import *import, double seconds, int exit_code)
{
    bool complete = exit_code == COMMAND_DONE;
    if (complete && import->summary.rejected > 0)
        exit_code = COMMAND_PART;
    for (size_t i = 0; i < import->summary.warning_count; i++)
        complain(import->options, "%s", import->summary.warnings[i]);
    if (!options_has(import->options, "json")) {
        print_text(import, seconds);
        return exit_code;
    }
    struct bytes text;
    bytes_init(&text, JSON_MAX);
    if (put_json(import, seconds, complete, &text) == STATUS_OK) {
        fwrite(text.data, 1, text.size, stdout);
        options_answered(import->options);
    } else {
        complain(import->options, "no memory to print the summary");
        exit_code = COMMAND_FAILED;
    }
    bytes_release(&text);
    return exit_code;
}

/* ---- files ------------------------------------------------------------------------------ */

/* What can be known before anything is stored is said before. */
static int check_files(struct import *import)
{
    const struct options *options = import->options;
    bool known = true;
    for (size_t i = 0; i < options->argument_count; i++) {
        const char *path = options->arguments[i];
        if (strcmp(path, "-") == 0) {
            known = false;
            continue;
        }
        struct stat about;
        if (access(path, R_OK) != 0 || stat(path, &about) != 0) {
            struct error err;
            fail_errno(&err, errno, "cannot read %s", path);
            return complain_of(options, &err);
        }
        known = known && S_ISREG(about.st_mode);
        import->total_bytes += (uint64_t)about.st_size;
    }
    if (!known)
        import->total_bytes = 0;
    return COMMAND_DONE;
}

/* A file that fails does not keep the next ones out, unless nothing can be stored any more. */
static bool ends_all(enum status status)
{
    return status != STATUS_OK && status != STATUS_INVALID && status != STATUS_CONFLICT &&
           status != STATUS_CORRUPT && status != STATUS_LIMIT;
}

static enum status import_file(struct import *import, struct error *err)
{
    bool whole = false;
    enum status status = input_open(&import->input, import->file, &import->interrupt, err);
    if (status != STATUS_OK)
        return status;
    status = import_resume_begin(import, &whole, err);
    if (status == STATUS_OK && whole)
        import->progress.resumed += input_size(import->input);
    else if (status == STATUS_OK)
        status = import_content(import, err);
    if (!whole)
        import_resume_end(import, status);
    import->before_bytes += whole ? input_size(import->input) : input_consumed(import->input);
    input_close(import->input);
    import->input = NULL;
    return status;
}

static int import_files(struct import *import)
{
    int exit_code = COMMAND_DONE;
    bool through = true;
    for (size_t i = 0; i < import->options->argument_count; i++) {
        struct error err = {0};
        import->file = import->options->arguments[i];
        enum status status = import_file(import, &err);
        if (status == STATUS_OK)
            continue;
        progress_erase(&import->progress);
        exit_code = complain_of_failure(import, &err);
        through = !ends_all(status);
        if (!through)
            break;
    }
    if (through)
        import_resume_forget(import);
    return exit_code;
}

/* What a run that did not come through leaves behind. */
static void tell_how_to_go_on(const struct import *import, int exit_code)
{
    const struct import_resume *resume = &import->resume;
    if (exit_code == COMMAND_INTERRUPTED)
        complain(import->options,
                 "interrupted in %s after %" PRIu64 " samples; what the summary "
                 "counts is stored",
                 import->file, import->summary.accepted);
    if (import_resume_possible(import) && options_has(import->options, "restart"))
        complain(import->options,
                 "the same command without --restart goes on in %s at line %" PRIu64, import->file,
                 resume->position.line);
    else if (import_resume_possible(import))
        complain(import->options,
                 "the same command again goes on in %s at line %" PRIu64
                 " (--restart: from its beginning)",
                 import->file, resume->position.line);
    else if (exit_code == COMMAND_INTERRUPTED)
        complain(import->options,
                 "the same command again begins %s anew, which changes nothing of "
                 "what is stored",
                 import->file);
}

/* With other limits lines that were refused may be taken: it is another import then. */
static void name_store(struct import *import)
{
    const struct config *config = &import->config;
    const struct config_cardinality *limits = &config->cardinality;
    char *full = realpath(config->storage.path, NULL);
    snprintf(import->target_name, sizeof import->target_name,
             "data %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
             " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %s",
             limits->max_series_per_metric, limits->max_series, limits->max_indexed_series,
             limits->max_new_series, limits->max_new_metric_series, limits->max_labels_per_metric,
             limits->max_metric_name_length, limits->max_label_name_length,
             limits->max_label_value_length, config->admission.max_age_ms,
             config->admission.max_future_ms, full != NULL ? full : config->storage.path);
    free(full);
}

static enum status open_target(struct import *import, struct error *err)
{
    if (options_has(import->options, "data")) {
        enum status status = import_store_open(import, &import->target, err);
        name_store(import);
        return status;
    }
    char url[CLIENT_URL_SIZE];
    client_default_url(&import->config, url);
    const char *given = options_value(import->options, "url");
    snprintf(import->target_name, sizeof import->target_name, "url %s",
             given != NULL ? given : url);
    return import_server_open(import, given != NULL ? given : url, &import->target, err);
}

static int run(struct import *import)
{
    struct error err;
    enum status status = interrupt_open(&import->interrupt, &err);
    if (status != STATUS_OK)
        return complain_of(import->options, &err);
    int exit_code = check_files(import);
    if (exit_code == COMMAND_DONE && open_target(import, &err) != STATUS_OK)
        exit_code = complain_of(import->options, &err);
    if (exit_code == COMMAND_DONE) {
        int64_t started_ns = clock_monotonic_ns(import->os.clock);
        progress_begin(&import->progress, import->os.clock, "import");
        import_resume_open(import);
        exit_code = import_files(import);
        if (import->target->ops->close(import->target, &err) != STATUS_OK)
            exit_code = complain_of_failure(import, &err);
        progress_erase(&import->progress);
        tell_how_to_go_on(import, exit_code);
        double seconds = (double)(clock_monotonic_ns(import->os.clock) - started_ns) / 1e9;
        exit_code = print_summary(import, seconds, exit_code);
    }
    import_resume_close(import);
    interrupt_close(&import->interrupt);
    return exit_code;
}

/* A mapping that is none is found before anything is stored. */
static int check_columns(const struct import *import)
{
    struct csv_parser *parser = NULL;
    struct error err;
    struct csv_options csv = {
        .format = slice_from_text(import->columns == NULL ? "" : import->columns),
        .header = import->csv_header,
    };
    enum status status = csv_parser_new(&parser, &csv, &err);
    csv_parser_free(parser);
    return status == STATUS_OK ? COMMAND_DONE
                               : complain_usage(import->options, "--columns: %s", err.message);
}

static int take_options(struct import *import)
{
    const struct options *options = import->options;
    const char *format = options_value(options, "format");
    const char *precision = options_value(options, "precision");
    const char *retry = options_value(options, "retry");
    import->job = options_has(options, "job") ? options_value(options, "job") : "import";
    import->retry_ms = RETRY_DEFAULT_MS;
    if (options->argument_count == 0)
        return complain_usage(options, "no FILE is named; `-` is standard input");
    if (options_has(options, "data") && options_has(options, "url"))
        return complain_usage(options, "--data and --url exclude each other");
    if (format != NULL && !import_format_parse(format, &import->format))
        return complain_usage(options,
                              "\"%s\" is no format; give ndjson, json, csv, text, openmetrics "
                              "or recording",
                              format);
    if (precision != NULL && !time_precision_parse(slice_from_text(precision), &import->precision))
        return complain_usage(options, "\"%s\" is no precision; give s, ms, us or ns", precision);
    if (retry != NULL && !duration_parse(slice_from_text(retry), &import->retry_ms))
        return complain_usage(options, "\"%s\" is no time; give for example 30s or 5m", retry);
    import->columns = options_value(options, "columns");
    import->csv_header = options_has(options, "no-header") ? CSV_HEADER_NO : CSV_HEADER_AUTO;
    return check_columns(import);
}

int command_import(int argc, char **argv)
{
    struct options options;
    int exit_code;
    struct import *import = NULL;
    if (options_parse(&options, command_find("import"), argc, argv, &exit_code)) {
        import = calloc(1, sizeof *import);
        exit_code = COMMAND_FAILED;
        if (import == NULL)
            complain(&options, "no memory");
    }
    if (import != NULL) {
        import->options = &options;
        import->os = os_system();
        exit_code = take_options(import);
        if (exit_code == COMMAND_DONE)
            exit_code = options_load_config(&options, import->os, &import->config);
        if (exit_code == COMMAND_DONE) {
            import->log = options_log(&import->config, import->os);
            exit_code = run(import);
        }
        config_release(&import->config);
        free(import);
    }
    return options_end(&options, exit_code);
}
