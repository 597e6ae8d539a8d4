#include "commands/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "base/invariant.h"

enum { READER_LOOK_MS = 50 };
enum { BUFFER_SIZE = 256 * 1024, PATH_SIZE = 4096, GZIP_WINDOW = 15 + 16, GZIP_LEVEL = 6 };
enum output_kind { OUTPUT_PLAIN, OUTPUT_GZIP, OUTPUT_ZSTD };

struct output {
    struct filesystem *fs;
    int fd; /* -1: `file` */
    bool owns_fd;
    struct interrupt *interrupt; /* heeded while a reader keeps us waiting; or NULL */
    struct file *file;           /* under the temporary name */
    uint64_t offset;
    bool began;
    char path[PATH_SIZE];
    char temporary[PATH_SIZE];
    enum output_kind kind;
    z_stream gzip;
    ZSTD_CCtx *zstd;
    size_t used;
    uint8_t buffer[BUFFER_SIZE];     /* plain */
    uint8_t compressed[BUFFER_SIZE]; /* on the way out */
};

static const char *name_of(const struct output *output)
{
    return output->path[0] != 0 ? output->path : "standard output";
}

/* ---- opening ---------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *ending)
{
    size_t size = strlen(text);
    size_t length = strlen(ending);
    return size > length && strcmp(text + size - length, ending) == 0;
}

static enum status open_compression(struct output *output, struct error *err)
{
    if (ends_with(output->path, ".gz")) {
        if (deflateInit2(&output->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8,
                         Z_DEFAULT_STRATEGY) != Z_OK)
            return fail(err, STATUS_MEMORY, "no memory to compress %s", output->path);
        output->kind = OUTPUT_GZIP;
    } else if (ends_with(output->path, ".zst")) {
        output->zstd = ZSTD_createCCtx();
        if (output->zstd == NULL ||
            ZSTD_isError(ZSTD_CCtx_setParameter(output->zstd, ZSTD_c_checksumFlag, 1)))
            return fail(err, STATUS_MEMORY, "no memory to compress %s", output->path);
        output->kind = OUTPUT_ZSTD;
    }
    return STATUS_OK;
}

/* To open a pipe is to wait for its reader: that can be interrupted too. */
static enum status open_other(struct output *output, const char *path, struct error *err)
{
    int wait = output->interrupt != NULL ? O_NONBLOCK : 0;
    for (;;) {
        output->fd = open(path, O_WRONLY | O_CLOEXEC | wait);
        if (output->fd >= 0)
            break;
        if (errno != ENXIO || output->interrupt == NULL)
            return fail_errno(err, errno, "cannot open %s", path);
        if (interrupt_wait(output->interrupt, -1, READER_LOOK_MS))
            return interrupt_fail(err);
    }
    int flags = fcntl(output->fd, F_GETFL);
    if (flags < 0 || fcntl(output->fd, F_SETFL, flags & ~O_NONBLOCK) != 0)
        return fail_errno(err, errno, "cannot open %s", path);
    return STATUS_OK;
}

static enum status open_file(struct output *output, const char *path, struct error *err)
{
    int size = snprintf(output->path, PATH_SIZE, "%s", path);
    int temporary = snprintf(output->temporary, PATH_SIZE, "%s.%ld.partial", path, (long)getpid());
    if (size >= PATH_SIZE || temporary >= PATH_SIZE)
        return fail(err, STATUS_INVALID, "the name of the output is longer than %d bytes",
                    PATH_SIZE - 32);
    struct stat about;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) {
        output->owns_fd = true;
        return open_other(output, path, err);
    }
    output->fd = -1;
    enum status status =
        filesystem_open(output->fs, output->temporary, FILE_CREATE, &output->file, err);
    return status == STATUS_OK ? file_resize(output->file, 0, err) : status;
}

enum status output_open(struct output **result, struct filesystem *fs, const char *path,
                        struct interrupt *interrupt, struct error *err)
{
    *result = NULL;
    struct output *output = calloc(1, sizeof *output);
    if (output == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the output");
    output->fs = fs;
    output->fd = STDOUT_FILENO;
    output->interrupt = interrupt;
    enum status status = STATUS_OK;
    if (path != NULL && strcmp(path, "-") != 0)
        status = open_file(output, path, err);
    struct stat about;
    if (status == STATUS_OK && output->fd >= 0 && fstat(output->fd, &about) == 0 &&
        S_ISREG(about.st_mode))
        output->interrupt = NULL; /* nobody reads it */
    if (status == STATUS_OK)
        status = open_compression(output, err);
    if (status != STATUS_OK) {
        output_abandon(output);
        return status;
    }
    *result = output;
    return STATUS_OK;
}

/* ---- writing ---------------------------------------------------------------------------- */

static enum status write_out(struct output *output, const uint8_t *data, size_t size,
                             struct error *err)
{
    if (output->fd < 0) {
        enum status status = file_write(output->file, data, size, output->offset, err);
        output->offset += size;
        return status;
    }
    while (size > 0) {
        size_t step = size;
        if (output->interrupt != NULL) {
            if (interrupt_wait_writable(output->interrupt, output->fd))
                return interrupt_fail(err);
            /* A longer one could wait for the reader. */
            step = size < PIPE_BUF ? size : PIPE_BUF;
        }
        ssize_t written = write(output->fd, data, step);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EPIPE)
            return fail_code(err, STATUS_CANCELLED, "reader_left", "the reader of %s has left",
                             name_of(output));
        if (written < 0)
            return fail_errno(err, errno, "cannot write to %s", name_of(output));
        output->began = true;
        data += written;
        size -= (size_t)written;
    }
    return STATUS_OK;
}

static enum status deflate_buffer(struct output *output, bool last, struct error *err)
{
    output->gzip.next_in = output->buffer;
    output->gzip.avail_in = (uInt)output->used;
    int result;
    do {
        output->gzip.next_out = output->compressed;
        output->gzip.avail_out = BUFFER_SIZE;
        result = deflate(&output->gzip, last ? Z_FINISH : Z_NO_FLUSH);
        enum status status =
            write_out(output, output->compressed, BUFFER_SIZE - output->gzip.avail_out, err);
        if (status != STATUS_OK)
            return status;
    } while (last ? result == Z_OK : output->gzip.avail_in > 0);
    return STATUS_OK;
}

static enum status zstd_buffer(struct output *output, bool last, struct error *err)
{
    ZSTD_inBuffer from = {output->buffer, output->used, 0};
    size_t left;
    do {
        ZSTD_outBuffer into = {output->compressed, BUFFER_SIZE, 0};
        left =
            ZSTD_compressStream2(output->zstd, &into, &from, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return fail(err, STATUS_MEMORY, "cannot compress %s: %s", output->path,
                        ZSTD_getErrorName(left));
        enum status status = write_out(output, output->compressed, into.pos, err);
        if (status != STATUS_OK)
            return status;
    } while (last ? left > 0 : from.pos < from.size);
    return STATUS_OK;
}

static enum status drain(struct output *output, bool last, struct error *err)
{
    enum status status;
    switch (output->kind) {
    case OUTPUT_GZIP:
        status = deflate_buffer(output, last, err);
        break;
    case OUTPUT_ZSTD:
        status = zstd_buffer(output, last, err);
        break;
    default:
        status = write_out(output, output->buffer, output->used, err);
    }
    output->used = 0;
    return status;
}

enum status output_write(struct output *output, struct slice bytes, struct error *err)
{
    while (bytes.size > 0) {
        size_t room = BUFFER_SIZE - output->used;
        size_t size = bytes.size < room ? bytes.size : room;
        memcpy(output->buffer + output->used, bytes.data, size);
        output->used += size;
        bytes = slice_from(bytes, size);
        if (output->used < BUFFER_SIZE)
            continue;
        enum status status = drain(output, false, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status output_flush(struct output *output, struct error *err)
{
    invariant(output->kind == OUTPUT_PLAIN);
    return drain(output, false, err);
}

bool output_began(const struct output *output)
{
    return output->began;
}

/* ---- ending ----------------------------------------------------------------------------- */

static void release(struct output *output)
{
    if (output->kind == OUTPUT_GZIP)
        deflateEnd(&output->gzip);
    ZSTD_freeCCtx(output->zstd);
    file_close(output->file);
    if (output->owns_fd && output->fd >= 0)
        close(output->fd);
    free(output);
}

static enum status publish(struct output *output, struct error *err)
{
    if (output->fd >= 0)
        return STATUS_OK;
    enum status status = file_sync(output->file, err);
    if (status == STATUS_OK)
        status = filesystem_rename(output->fs, output->temporary, output->path, err);
    if (status != STATUS_OK)
        return status;
    output->temporary[0] = 0;
    char *slash = strrchr(output->path, '/');
    if (slash == NULL)
        return filesystem_sync_directory(output->fs, ".", err);
    slash[slash == output->path ? 1 : 0] = 0;
    return filesystem_sync_directory(output->fs, output->path, err);
}

enum status output_finish(struct output *output, struct error *err)
{
    enum status status = drain(output, true, err);
    if (status == STATUS_OK)
        status = publish(output, err);
    if (status != STATUS_OK) {
        output_abandon(output);
        return status;
    }
    release(output);
    return STATUS_OK;
}

void output_abandon(struct output *output)
{
    if (output == NULL)
        return;
    if (output->file != NULL && output->temporary[0] != 0) {
        /* A file that stays behind is only in the way; its name says what it is. */
        enum status ignored = filesystem_remove(output->fs, output->temporary, NULL);
        (void)ignored;
    }
    release(output);
}
