#include "storage/engine/paths.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

char *path_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *path;
    int size = vasprintf(&path, format, args);
    va_end(args);
    return size < 0 ? NULL : path;
}

char *path_parent(const char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    while (size > 0 && path[size - 1] != '/')
        size--;
    while (size > 1 && path[size - 1] == '/')
        size--;
    return size == 0 ? path_format(".") : path_format("%.*s", (int)size, path);
}

char *path_of_part(const char *dir, uint64_t id)
{
    return path_format("%s/parts/%016" PRIx64 ".part", dir, id);
}

char *path_of_segment(const char *dir, uint64_t id)
{
    return path_format("%s/index/%016" PRIx64 ".seg", dir, id);
}
