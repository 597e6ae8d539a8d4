#include "commands/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

enum { RAW_SIZE = 256 * 1024, GZIP_WINDOW = 15 + 16 };
enum input_kind { INPUT_PLAIN, INPUT_GZIP, INPUT_ZSTD };

struct input {
    int fd;
    const char *name;
    bool regular;
    uint64_t size;
    uint64_t consumed;
    struct interrupt *interrupt;
    enum input_kind kind;
    z_stream gzip;
    ZSTD_DCtx *zstd;
    bool within; /* a compressed stream has begun and has not ended */
    bool ended;  /* of the file */
    size_t raw_start, raw_end;
    uint8_t raw[RAW_SIZE];
    size_t peek_start, peek_end;
    bool peeked;
    bool peeked_all;
    uint8_t peek[INPUT_PEEK_SIZE];
    uint8_t *context; /* given before what follows */
    size_t context_start, context_end;
};

const char *input_name(const struct input *input)
{
    return input->name;
}

bool input_is_regular(const struct input *input)
{
    return input->regular && input->fd != STDIN_FILENO;
}

uint64_t input_size(const struct input *input)
{
    return input->size;
}

uint64_t input_consumed(const struct input *input)
{
    return input->consumed;
}

/* ---- the file --------------------------------------------------------------------------- */

/* Reads once, behind what is there. */
static enum status read_more(struct input *input, struct error *err)
{
    for (;;) {
        if (interrupt_wait(input->interrupt, input->regular ? -1 : input->fd,
                           input->regular ? 0 : -1))
            return interrupt_fail(err);
        ssize_t got = read(input->fd, input->raw + input->raw_end, RAW_SIZE - input->raw_end);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return fail_errno(err, errno, "cannot read %s", input->name);
        input->raw_end += (size_t)got;
        input->consumed += (uint64_t)got;
        input->ended = got == 0;
        return STATUS_OK;
    }
}

static enum status fill_raw(struct input *input, struct error *err)
{
    if (input->raw_start < input->raw_end || input->ended)
        return STATUS_OK;
    input->raw_start = 0;
    input->raw_end = 0;
    return read_more(input, err);
}

static enum status begin_gzip(struct input *input, struct error *err)
{
    if (inflateInit2(&input->gzip, GZIP_WINDOW) != Z_OK)
        return fail(err, STATUS_MEMORY, "no memory to decompress %s", input->name);
    input->kind = INPUT_GZIP;
    return STATUS_OK;
}

static enum status begin_zstd(struct input *input, struct error *err)
{
    input->zstd = ZSTD_createDCtx();
    if (input->zstd == NULL)
        return fail(err, STATUS_MEMORY, "no memory to decompress %s", input->name);
    input->kind = INPUT_ZSTD;
    return STATUS_OK;
}

static enum status detect(struct input *input, struct error *err)
{
    static const uint8_t gzip_magic[] = {0x1f, 0x8b, 0x08};
    static const uint8_t zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    /* A pipe may give its first bytes one by one. */
    while (input->raw_end < sizeof zstd_magic && !input->ended) {
        enum status status = read_more(input, err);
        if (status != STATUS_OK)
            return status;
    }
    size_t size = input->raw_end;
    if (size >= sizeof gzip_magic && memcmp(input->raw, gzip_magic, sizeof gzip_magic) == 0)
        return begin_gzip(input, err);
    if (size >= sizeof zstd_magic && memcmp(input->raw, zstd_magic, sizeof zstd_magic) == 0)
        return begin_zstd(input, err);
    return STATUS_OK;
}

enum status input_open(struct input **result, const char *path, struct interrupt *interrupt,
                       struct error *err)
{
    *result = NULL;
    struct input *input = calloc(1, sizeof *input);
    if (input == NULL)
        return fail(err, STATUS_MEMORY, "no memory to read %s", path);
    bool standard = strcmp(path, "-") == 0;
    input->name = standard ? "standard input" : path;
    input->interrupt = interrupt;
    /* Of a pipe it is the reading that waits for the writer: it can be interrupted. */
    input->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat about = {0};
    enum status status = STATUS_OK;
    if (input->fd < 0 || fstat(input->fd, &about) != 0)
        status = fail_errno(err, errno, "cannot open %s", input->name);
    else if (S_ISDIR(about.st_mode))
        status = fail(err, STATUS_IO, "%s is a directory; give the files in it", path);
    if (status == STATUS_OK) {
        input->regular = S_ISREG(about.st_mode);
        input->size = input->regular ? (uint64_t)about.st_size : 0;
        status = detect(input, err);
    }
    if (status != STATUS_OK) {
        input_close(input);
        return status;
    }
    *result = input;
    return STATUS_OK;
}

void input_close(struct input *input)
{
    if (input == NULL)
        return;
    if (input->kind == INPUT_GZIP)
        inflateEnd(&input->gzip);
    ZSTD_freeDCtx(input->zstd);
    if (input->fd > STDIN_FILENO)
        close(input->fd);
    free(input->context);
    free(input);
}

/* ---- the content ------------------------------------------------------------------------ */

static enum status cut_off(const struct input *input, const char *format, struct error *err)
{
    return fail(err, STATUS_CORRUPT, "%s: the %s data is cut off after %llu bytes", input->name,
                format, (unsigned long long)input->consumed);
}

static enum status damaged(const struct input *input, const char *format, const char *why,
                           struct error *err)
{
    return fail(err, STATUS_CORRUPT, "%s: the %s data is damaged near byte %llu: %s", input->name,
                format, (unsigned long long)(input->consumed - (input->raw_end - input->raw_start)),
                why);
}

static enum status read_plain(struct input *input, uint8_t *to, size_t capacity, size_t *size,
                              struct error *err)
{
    enum status status = fill_raw(input, err);
    size_t there = input->raw_end - input->raw_start;
    *size = there < capacity ? there : capacity;
    if (status != STATUS_OK || *size == 0)
        return status;
    memcpy(to, input->raw + input->raw_start, *size);
    input->raw_start += *size;
    return STATUS_OK;
}

static enum status read_gzip(struct input *input, uint8_t *to, size_t capacity, size_t *size,
                             struct error *err)
{
    *size = 0;
    while (*size == 0) {
        enum status status = fill_raw(input, err);
        if (status != STATUS_OK)
            return status;
        if (input->raw_start == input->raw_end)
            return input->within ? cut_off(input, "gzip", err) : STATUS_OK;
        if (!input->within && inflateReset(&input->gzip) != Z_OK)
            return fail(err, STATUS_MEMORY, "no memory to decompress %s", input->name);
        input->within = true;
        input->gzip.next_in = input->raw + input->raw_start;
        input->gzip.avail_in = (uInt)(input->raw_end - input->raw_start);
        input->gzip.next_out = to;
        input->gzip.avail_out = capacity > INT32_MAX ? (uInt)INT32_MAX : (uInt)capacity;
        int result = inflate(&input->gzip, Z_NO_FLUSH);
        *size = (size_t)(input->gzip.next_out - to);
        input->raw_start = input->raw_end - input->gzip.avail_in;
        if (result == Z_STREAM_END)
            input->within = false; /* another member may follow */
        else if (result == Z_MEM_ERROR)
            return fail(err, STATUS_MEMORY, "no memory to decompress %s", input->name);
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return damaged(input, "gzip", input->gzip.msg != NULL ? input->gzip.msg : "no gzip",
                           err);
    }
    return STATUS_OK;
}

static enum status read_zstd(struct input *input, uint8_t *to, size_t capacity, size_t *size,
                             struct error *err)
{
    *size = 0;
    while (*size == 0) {
        enum status status = fill_raw(input, err);
        if (status != STATUS_OK)
            return status;
        ZSTD_inBuffer from = {input->raw + input->raw_start, input->raw_end - input->raw_start, 0};
        ZSTD_outBuffer into = {to, capacity, 0};
        /* Also without input: the decoder may hold output back. */
        if (from.size == 0 && !input->within)
            return STATUS_OK;
        size_t result = ZSTD_decompressStream(input->zstd, &into, &from);
        if (ZSTD_isError(result))
            return damaged(input, "zstd", ZSTD_getErrorName(result), err);
        input->raw_start += from.pos;
        input->within = result != 0;
        *size = into.pos;
        if (*size == 0 && from.size == 0 && input->within)
            return cut_off(input, "zstd", err);
    }
    return STATUS_OK;
}

static enum status read_content(struct input *input, uint8_t *to, size_t capacity, size_t *size,
                                struct error *err)
{
    switch (input->kind) {
    case INPUT_GZIP:
        return read_gzip(input, to, capacity, size, err);
    case INPUT_ZSTD:
        return read_zstd(input, to, capacity, size, err);
    case INPUT_PLAIN:
        break;
    }
    return read_plain(input, to, capacity, size, err);
}

enum status input_peek(struct input *input, struct slice *start, bool *whole, struct error *err)
{
    while (!input->peeked && !input->peeked_all && input->peek_end < INPUT_PEEK_SIZE) {
        size_t got;
        enum status status = read_content(input, input->peek + input->peek_end,
                                          INPUT_PEEK_SIZE - input->peek_end, &got, err);
        if (status != STATUS_OK)
            return status;
        input->peek_end += got;
        input->peeked_all = got == 0;
    }
    input->peeked = true;
    *start = slice_of(input->peek + input->peek_start, input->peek_end - input->peek_start);
    *whole = input->peeked_all;
    return STATUS_OK;
}

enum status input_tail(struct input *input, uint8_t tail[INPUT_TAIL_SIZE], size_t *size,
                       struct error *err)
{
    *size = 0;
    if (!input->regular || input->kind != INPUT_PLAIN)
        return STATUS_OK;
    uint64_t from = input->size > INPUT_TAIL_SIZE ? input->size - INPUT_TAIL_SIZE : 0;
    ssize_t got = pread(input->fd, tail, INPUT_TAIL_SIZE, (off_t)from);
    if (got < 0)
        return fail_errno(err, errno, "cannot read %s", input->name);
    *size = (size_t)got;
    return STATUS_OK;
}

enum status input_read(void *context, uint8_t *to, size_t capacity, size_t *size, struct error *err)
{
    struct input *input = context;
    *size = 0;
    if (input->context_start < input->context_end) {
        size_t left = input->context_end - input->context_start;
        *size = left < capacity ? left : capacity;
        memcpy(to, input->context + input->context_start, *size);
        input->context_start += *size;
        return STATUS_OK;
    }
    if (input->peek_start == input->peek_end && input->peeked_all)
        return STATUS_OK;
    if (input->peek_start == input->peek_end)
        return read_content(input, to, capacity, size, err);
    size_t there = input->peek_end - input->peek_start;
    *size = there < capacity ? there : capacity;
    memcpy(to, input->peek + input->peek_start, *size);
    input->peek_start += *size;
    return STATUS_OK;
}

/* ---- going on in the middle --------------------------------------------------------------- */

static enum status read_exactly(struct input *input, uint8_t *to, uint64_t size, struct error *err)
{
    while (size > 0) {
        size_t got = 0;
        enum status status =
            input_read(input, to, size < RAW_SIZE ? (size_t)size : RAW_SIZE, &got, err);
        if (status != STATUS_OK)
            return status;
        if (got == 0)
            return fail(err, STATUS_CORRUPT, "%s is shorter than it was", input->name);
        to += got;
        size -= got;
    }
    return STATUS_OK;
}

/* What is decoded has to be decoded again. */
static enum status drop(struct input *input, uint64_t size, struct error *err)
{
    uint8_t *scratch = malloc(RAW_SIZE);
    enum status status = STATUS_OK;
    if (scratch == NULL) {
        fail(err, STATUS_MEMORY, "no memory to read %s", input->name);
        return STATUS_MEMORY;
    }
    while (status == STATUS_OK && size > 0) {
        uint64_t piece = size < RAW_SIZE ? size : RAW_SIZE;
        status = read_exactly(input, scratch, piece, err);
        size -= piece;
    }
    free(scratch);
    return status;
}

static enum status seek_to(struct input *input, uint64_t offset, struct error *err)
{
    if (lseek(input->fd, (off_t)offset, SEEK_SET) < 0)
        return fail_errno(err, errno, "cannot go on in %s", input->name);
    input->peek_start = input->peek_end;
    input->peeked_all = false;
    input->raw_start = input->raw_end = 0;
    input->ended = false;
    input->consumed = offset;
    return STATUS_OK;
}

enum status input_resume(struct input *input, uint64_t context_start, size_t context_size,
                         uint64_t offset, struct error *err)
{
    if (context_size > INPUT_CONTEXT_MAX || context_start + context_size > offset)
        return fail(err, STATUS_INVALID, "%s cannot be gone on in there", input->name);
    uint8_t *context = malloc(context_size + 1);
    if (context == NULL)
        return fail(err, STATUS_MEMORY, "no memory to read %s", input->name);
    bool seeks = input->regular && input->kind == INPUT_PLAIN;
    enum status status =
        seeks ? seek_to(input, context_start, err) : drop(input, context_start, err);
    if (status == STATUS_OK)
        status = read_exactly(input, context, context_size, err);
    if (status == STATUS_OK)
        status = seeks ? seek_to(input, offset, err)
                       : drop(input, offset - context_start - context_size, err);
    if (status != STATUS_OK) {
        free(context);
        return status;
    }
    input->context = context;
    input->context_end = context_size;
    return STATUS_OK;
}
