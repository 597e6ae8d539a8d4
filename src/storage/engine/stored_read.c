#include "storage/engine/stored_read.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ENODATA, EILSEQ: what block devices say of a medium and of its protection; EUCLEAN and EBADMSG:
 * file systems, of what they have read. */
static bool is_of_medium(enum status status, const struct error *why)
{
    if (status != STATUS_IO)
        return false;
    return why->os_error == EIO || why->os_error == ENODATA || why->os_error == EILSEQ ||
           why->os_error == EUCLEAN || why->os_error == EBADMSG;
}

static enum status pass_on(enum status status, const struct error *why, struct error *err)
{
    if (status != STATUS_OK && err != NULL)
        *err = *why;
    return status;
}

static enum status tell(struct error *err, uint64_t offset, size_t size, const struct error *why)
{
    struct error local;
    fail_errno(&local, why->os_error,
               "the disk does not give back bytes %" PRIu64 " to %" PRIu64 " of the file", offset,
               offset + size);
    return fail(err, STATUS_CORRUPT, "%s", local.message);
}

enum status stored_open(struct filesystem *fs, const char *path, struct file **file, uint64_t *size,
                        struct error *err)
{
    struct error why = {0};
    *file = NULL;
    *size = 0;
    enum status status = filesystem_open(fs, path, FILE_READ, file, &why);
    if (is_of_medium(status, &why))
        status = filesystem_open(fs, path, FILE_READ, file, &why);
    if (status == STATUS_OK)
        status = file_size(*file, size, &why);
    if (status == STATUS_OK)
        return status;
    file_close(*file);
    *file = NULL;
    if (is_of_medium(status, &why))
        return fail(err, STATUS_CORRUPT, "%s", why.message);
    return pass_on(status, &why, err);
}

enum status stored_read(struct file *file, void *to, size_t size, uint64_t offset, size_t *got,
                        struct error *err)
{
    struct error why = {0};
    enum status status = file_read(file, to, size, offset, got, &why);
    if (is_of_medium(status, &why))
        status = file_read(file, to, size, offset, got, &why);
    if (!is_of_medium(status, &why))
        return pass_on(status, &why, err);
    return tell(err, offset, size, &why);
}

enum status stored_read_exactly(struct file *file, void *to, size_t size, uint64_t offset,
                                struct error *err)
{
    size_t got = 0;
    enum status status = stored_read(file, to, size, offset, &got, err);
    return status == STATUS_OK ? file_check_whole(got, size, offset, err) : status;
}

/* ---- around ------------------------------------------------------------------------------ */

struct around {
    struct file *file;
    uint8_t *to;
    uint64_t offset; /* of to[0] */
    bool narrow;     /* sectors may be readable where their page is not */
    uint64_t lost;
    struct error *why; /* or NULL */
};

/* Once: the whole was tried twice before. CORRUPT for what `*got` does not say. */
static enum status read_once(const struct around *around, size_t at, size_t size, size_t *got,
                             struct error *why)
{
    enum status status =
        file_read(around->file, around->to + at, size, around->offset + at, got, why);
    return is_of_medium(status, why) ? STATUS_CORRUPT : status;
}

static void leave_out(struct around *around, size_t at, size_t size, const struct error *why)
{
    memset(around->to + at, 0, size);
    if (around->lost == 0)
        (void)tell(around->why, around->offset + at, size, why);
    around->lost += size;
}

static size_t size_of_step(const struct around *around, size_t at, size_t end, size_t step)
{
    size_t size = step - (size_t)((around->offset + at) % step);
    return size < end - at ? size : end - at;
}

/* What of [at, end), which lies in a page that cannot be read, can be. */
static enum status read_sectors(struct around *around, size_t at, size_t end, struct error *err)
{
    bool any = false;
    while (at < end) {
        size_t size = size_of_step(around, at, end, STORED_SECTOR_SIZE);
        size_t got = 0;
        struct error why = {0};
        enum status status = read_once(around, at, size, &got, &why);
        if (status == STATUS_CORRUPT)
            leave_out(around, at, size, &why);
        else if (status != STATUS_OK)
            return pass_on(status, &why, err);
        any = any || status == STATUS_OK;
        at += size;
    }
    /* Each try may take seconds, and the kernel's cache reads pages. */
    around->narrow = any;
    return STATUS_OK;
}

static enum status read_pages(struct around *around, size_t end, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t at = 0; at < end && status == STATUS_OK;) {
        size_t size = size_of_step(around, at, end, STORED_PAGE_SIZE);
        size_t got = 0;
        struct error why = {0};
        status = read_once(around, at, size, &got, &why);
        if (status == STATUS_CORRUPT && around->narrow) {
            status = read_sectors(around, at, at + size, err);
        } else if (status == STATUS_CORRUPT) {
            leave_out(around, at, size, &why);
            status = STATUS_OK;
        } else {
            status = pass_on(status, &why, err);
        }
        at += size;
    }
    return status;
}

enum status stored_read_around(struct file *file, void *to, size_t size, uint64_t offset,
                               size_t *got, uint64_t *lost, struct error *why, struct error *err)
{
    struct error local = {0};
    uint64_t end = 0;
    *lost = 0;
    enum status status = stored_read(file, to, size, offset, got, &local);
    if (status != STATUS_CORRUPT)
        return pass_on(status, &local, err);
    status = file_size(file, &end, err);
    if (status != STATUS_OK)
        return status;
    struct around around = {.file = file, .to = to, .offset = offset, .narrow = true, .why = why};
    *got = end <= offset ? 0 : end - offset < size ? (size_t)(end - offset) : size;
    memset(to, 0, *got);
    status = read_pages(&around, *got, err);
    *lost = around.lost;
    return status;
}
