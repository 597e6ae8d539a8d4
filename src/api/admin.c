/*
 * admin - what an operator asks of a running store. It takes its time on the threads of exports.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/api_internal.h"
#include "base/json_text.h"
#include "base/times.h"

enum { NAME_MAX_SIZE = 96, ANSWER_MAX = 16 * 1024 };

struct snapshot_job {
    struct api *api;
    struct http_request *request;
    struct work_item item;
    char name[NAME_MAX_SIZE + 1];
};

static bool is_name_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

/* One component of a path, and no hidden one: nothing leads out of the folder of snapshots. */
static bool is_name(struct slice name)
{
    bool good = name.size > 0 && name.size <= NAME_MAX_SIZE && name.data[0] != '.';
    for (size_t i = 0; i < name.size && good; i++)
        good = is_name_byte(name.data[i]);
    return good;
}

/* 2026-11-23T10:00:00.250Z becomes 20261123T100000.250Z. */
static void name_by_time(struct snapshot_job *job)
{
    char text[INSTANT_TEXT_SIZE];
    size_t size = instant_format(text, clock_wall_ms(job->api->options.os.clock));
    size_t used = 0;
    for (size_t i = 0; i < size; i++)
        if (text[i] != '-' && text[i] != ':')
            job->name[used++] = text[i];
    job->name[used] = 0;
}

static enum status put_answer(struct bytes *body, const struct snapshot_job *job,
                              const struct api_snapshot *made)
{
    enum status status = bytes_format(body, "{\"name\":\"%s\",\"path\":", job->name);
    if (status == STATUS_OK)
        status = json_append_string(body, slice_from_text(made->path));
    if (status == STATUS_OK)
        status = bytes_format(body,
                              ",\"parts\":%" PRIu64 ",\"index_segments\":%" PRIu64
                              ",\"series\":%" PRIu64 ",\"samples\":%" PRIu64 ",\"bytes\":%" PRIu64
                              ",\"missing_files\":%" PRIu64 ",\"duration_ms\":%" PRId64 "}\n",
                              made->parts, made->segments, made->series, made->samples, made->bytes,
                              made->missing, made->duration_ms);
    return status;
}

static void run(void *context)
{
    struct snapshot_job *job = context;
    const struct api_options *options = &job->api->options;
    struct error err = {0};
    struct api_snapshot made = {0};
    struct bytes body;
    bytes_init(&body, ANSWER_MAX);
    enum status status = options->take_snapshot(options->snapshot_context, job->name, &made, &err);
    if (status == STATUS_OK) {
        status = put_answer(&body, job, &made);
        if (status != STATUS_OK)
            status = fail(&err, status, "the snapshot %s is made; no memory to tell more of it",
                          job->name);
    }
    if (status == STATUS_OK) {
        http_respond(
            job->request,
            (struct http_answer){.status = 201, .content_type = "application/json", .body = body});
    } else {
        answer_error(job->request, status, &err);
        bytes_release(&body);
    }
    free(job);
}

void admin_snapshot(struct http_request *request, void *context)
{
    struct api *api = context;
    struct error err = {0};
    struct slice name;
    bool named = http_request_field(request, "name", &name);
    struct snapshot_job *job = calloc(1, sizeof *job);
    enum status status = STATUS_OK;
    if (job == NULL)
        status = fail(&err, STATUS_MEMORY, "no memory for a snapshot");
    else if (!api_knows_parameters(request, (const char *const[]){"name", NULL}, &err))
        status = err.status;
    else if (named && !is_name(name))
        status = fail_code(&err, STATUS_INVALID, "invalid_parameter",
                           "invalid parameter \"name\": a snapshot's name has 1 to %d of the bytes "
                           "a-z A-Z 0-9 . _ - and does not begin with a dot",
                           NAME_MAX_SIZE);
    if (status == STATUS_OK) {
        *job = (struct snapshot_job){
            .api = api, .request = request, .item = {.run = run, .context = job}};
        if (named)
            memcpy(job->name, name.data, name.size);
        else
            name_by_time(job);
        status = worker_pool_submit(api->export_pool, &job->item, &err);
    }
    if (status != STATUS_OK) {
        answer_error(request, status, &err);
        free(job);
    }
}
