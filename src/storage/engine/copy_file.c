#include "storage/engine/copy_file.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_SIZE = 256 * 1024 };

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static enum status copy_bytes(struct file *from, struct file *to, uint8_t *piece, struct error *err)
{
    uint64_t at = 0;
    for (;;) {
        size_t got = 0;
        enum status status = file_read(from, piece, PIECE_SIZE, at, &got, err);
        if (status != STATUS_OK)
            return status;
        if (got == 0)
            break;
        if (!all_zero(piece, got))
            status = file_write(to, piece, got, at, err);
        if (status != STATUS_OK)
            return status;
        file_begin_write_back(to, at, got);
        at += got;
    }
    enum status status = file_resize(to, at, err);
    return status == STATUS_OK ? file_sync(to, err) : status;
}

enum status copy_file(struct filesystem *fs, const char *from, const char *to, struct error *err)
{
    struct file *source = NULL;
    struct file *target = NULL;
    uint8_t *piece = malloc(PIECE_SIZE);
    enum status status = piece == NULL ? fail(err, STATUS_MEMORY, "no memory to copy %s", from)
                                       : filesystem_open(fs, from, FILE_READ, &source, err);
    if (status == STATUS_OK)
        status = filesystem_open(fs, to, FILE_CREATE_NEW, &target, err);
    if (status == STATUS_OK)
        status = copy_bytes(source, target, piece, err);
    if (status != STATUS_OK && target != NULL) {
        enum status removed = filesystem_remove(fs, to, NULL);
        (void)removed; /* whoever tries again finds it and says so */
    }
    file_close(source);
    file_close(target);
    free(piece);
    return status;
}
