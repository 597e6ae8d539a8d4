#include "os/read_all.h"

enum { READ_ALL_STEP = 4096 };

static enum status read_to_end(struct file *file, const char *path, struct bytes *to,
                               struct error *err)
{
    uint64_t offset = 0;
    for (;;) {
        uint8_t step[READ_ALL_STEP];
        size_t got = 0;
        enum status status = file_read(file, step, sizeof step, offset, &got, err);
        if (status != STATUS_OK)
            return status;
        status = bytes_append(to, step, got);
        if (status == STATUS_LIMIT)
            return fail(err, status, "%s is larger than %zu bytes", path, to->max);
        if (status != STATUS_OK)
            return fail(err, status, "no memory left to read %s", path);
        if (got < sizeof step)
            return STATUS_OK;
        offset += got;
    }
}

enum status filesystem_read_all(struct filesystem *fs, const char *path, struct bytes *to,
                                struct error *err)
{
    struct file *file = NULL;
    enum status status = filesystem_open(fs, path, FILE_READ, &file, err);
    if (status != STATUS_OK)
        return status;
    status = read_to_end(file, path, to, err);
    file_close(file);
    return status;
}
