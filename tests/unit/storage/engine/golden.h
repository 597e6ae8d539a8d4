/*
 * golden - files that an earlier version wrote (tests/golden), which must stay readable.
 */
#ifndef METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_GOLDEN_H
#define METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_GOLDEN_H

#include "base/bytes.h"
#include "os/file.h"
#include "os/read_all.h"

/* Appends tests/golden/`name`. */
static inline void golden_read(const char *name, struct bytes *to)
{
    char path[512];
    struct error err;
    snprintf(path, sizeof path, "%s/%s", GOLDEN_DIRECTORY, name);
    if (filesystem_read_all(filesystem_posix(), path, to, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

/* Writes tests/golden/`name` anew when GOLDEN_WRITE is set: for a new version of a format. */
static inline void golden_write(const char *name, struct slice content)
{
    if (getenv("GOLDEN_WRITE") == NULL)
        return;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", GOLDEN_DIRECTORY, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content.data, 1, content.size, file), content.size);
    assert_int_equal(fclose(file), 0);
}

#endif
