#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands/serve_parts.h"

/* A store's own folder for snapshots lies on its file system for certain. Gives `path` as anybody
 * can use it, wherever the server was started. */
static enum status make_folder(struct service *service, char *path, size_t size, const char *name,
                               struct error *err)
{
    struct filesystem *fs = service->os.fs;
    int used = snprintf(path, size, "%s/snapshots", service->data_dir);
    if (used < 0 || (size_t)used >= size)
        return fail(err, STATUS_LIMIT, "the path of the snapshot has more than %zu bytes", size);
    enum status status = filesystem_make_directory(fs, path, err);
    if (status == STATUS_OK)
        status = filesystem_sync_directory(fs, service->data_dir, err);
    if (status != STATUS_OK)
        return status;
    char *whole = realpath(path, NULL);
    if (whole == NULL)
        return fail_errno(err, errno, "cannot find %s", path);
    used = snprintf(path, size, "%s/%s", whole, name);
    free(whole);
    return used >= 0 && (size_t)used < size
               ? STATUS_OK
               : fail(err, STATUS_LIMIT, "the path of the snapshot has more than %zu bytes", size);
}

enum status service_take_snapshot(void *context, const char *name, struct api_snapshot *snapshot,
                                  struct error *err)
{
    struct service *service = context;
    enum status status = make_folder(service, snapshot->path, sizeof snapshot->path, name, err);
    struct engine_snapshot_result made;
    if (status == STATUS_OK)
        status = engine_snapshot(service->tier, snapshot->path, false, &made, err);
    if (status != STATUS_OK)
        return status;
    snapshot->parts = made.parts;
    snapshot->segments = made.segments;
    snapshot->samples = made.samples;
    snapshot->series = made.series;
    snapshot->bytes = made.bytes;
    snapshot->missing = made.missing;
    snapshot->duration_ms = made.duration_ms;
    return STATUS_OK;
}
