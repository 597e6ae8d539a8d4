/*
 * files - a read-only filesystem out of an array, for tests of code that reads small files.
 */
#ifndef METRIC_STORE_TESTS_UNIT_FILES_H
#define METRIC_STORE_TESTS_UNIT_FILES_H

#include <stdlib.h>

#include "base/invariant.h"
#include "os/file.h"

struct test_file {
    const char *path;
    const char *text;
    size_t size;     /* 0: strlen(text) */
    bool unreadable; /* opens, then fails */
};

struct test_files {
    struct filesystem fs;
    const struct test_file *files; /* ended by a path of NULL */
    int open_count;
};

struct test_open_file {
    struct file file;
    struct test_files *files;
    const struct test_file *content;
};

static enum status test_file_read(struct file *file, void *to, size_t size, uint64_t offset,
                                  size_t *got, struct error *err)
{
    const struct test_file *content = container_of(file, struct test_open_file, file)->content;
    if (content->unreadable)
        return fail(err, STATUS_IO, "cannot read %s: Input/output error", content->path);
    size_t whole = content->size != 0 ? content->size : strlen(content->text);
    size_t left = offset < whole ? whole - (size_t)offset : 0;
    *got = size < left ? size : left;
    if (*got > 0)
        memcpy(to, content->text + offset, *got);
    return STATUS_OK;
}

static enum status test_file_size(struct file *file, uint64_t *size, struct error *err)
{
    (void)err;
    const struct test_file *content = container_of(file, struct test_open_file, file)->content;
    *size = content->size != 0 ? content->size : strlen(content->text);
    return STATUS_OK;
}

static void test_file_close(struct file *file)
{
    struct test_open_file *open = container_of(file, struct test_open_file, file);
    open->files->open_count--;
    free(open);
}

static enum status test_files_open(struct filesystem *fs, const char *path, enum file_mode mode,
                                   struct file **file, struct error *err)
{
    static const struct file_ops ops = {
        .read = test_file_read, .size = test_file_size, .close = test_file_close};
    struct test_files *files = container_of(fs, struct test_files, fs);
    invariant(mode == FILE_READ);
    for (const struct test_file *content = files->files; content->path != NULL; content++) {
        if (strcmp(content->path, path) != 0)
            continue;
        struct test_open_file *open = malloc(sizeof *open);
        if (open == NULL)
            return STATUS_MEMORY;
        *open = (struct test_open_file){{&ops}, files, content};
        files->open_count++;
        *file = &open->file;
        return STATUS_OK;
    }
    return fail(err, STATUS_NOT_FOUND, "cannot open %s: No such file or directory", path);
}

static enum status test_files_list(struct filesystem *fs, const char *path, filesystem_visit *visit,
                                   void *context, struct error *err)
{
    struct test_files *files = container_of(fs, struct test_files, fs);
    size_t size = strlen(path);
    bool found = false;
    for (const struct test_file *content = files->files; content->path != NULL; content++) {
        if (strncmp(content->path, path, size) != 0 || content->path[size] != '/' ||
            strchr(content->path + size + 1, '/') != NULL)
            continue;
        found = true;
        enum status status = visit(context, content->path + size + 1, false, err);
        if (status != STATUS_OK)
            return status;
    }
    return found ? STATUS_OK
                 : fail(err, STATUS_NOT_FOUND, "cannot list %s: No such file or directory", path);
}

static inline struct test_files test_files_of(const struct test_file *files)
{
    static const struct filesystem_ops ops = {.open = test_files_open, .list = test_files_list};
    return (struct test_files){.fs = {&ops}, .files = files};
}

#endif
