/*
 * shared_files - files of other projects, and recordings, that are not part of this one: a test
 * that needs one is skipped where it is missing.
 */
#ifndef METRIC_STORE_TESTS_UNIT_SHARED_FILES_H
#define METRIC_STORE_TESTS_UNIT_SHARED_FILES_H

#include <sys/stat.h>

#include "base/slice.h"

enum { PATH_SIZE = 4096 };

/* What the environment's variable names, else shared/`shared` beside the source tree; behind it
 * `name`, where that is not empty. */
static inline void shared_path(char path[PATH_SIZE], const char *variable, const char *shared,
                               const char *name)
{
    const char *root = getenv(variable);
    const char *slash = name[0] == 0 ? "" : "/";
    struct stat info;
    if (root != NULL)
        snprintf(path, PATH_SIZE, "%s%s%s", root, slash, name);
    else
        snprintf(path, PATH_SIZE, "%s/../shared/%s%s%s", METRIC_STORE_SOURCE_ROOT, shared, slash,
                 name);
    if (stat(path, &info) != 0) {
        print_message("%s is missing\n", path);
        skip();
    }
}

static inline void corpora_path(char path[PATH_SIZE], const char *name)
{
    shared_path(path, "METRIC_STORE_CORPORA", "corpora", name);
}

/* With a zero behind it; released by free. */
static inline struct slice read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        print_error("%s\n", path);
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    uint8_t *data = malloc((size_t)size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, file), (size_t)size);
    data[size] = 0;
    fclose(file);
    return slice_of(data, (size_t)size);
}

#endif
