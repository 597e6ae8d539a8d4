#include "commands/file_name.h"

#include <stdio.h>
#include <string.h>

bool file_name_ends_with(const char *path, const char *ending)
{
    char endings[3][24];
    snprintf(endings[0], sizeof endings[0], "%s", ending);
    snprintf(endings[1], sizeof endings[1], "%s.gz", ending);
    snprintf(endings[2], sizeof endings[2], "%s.zst", ending);
    size_t length = strlen(path);
    for (size_t i = 0; i < 3; i++) {
        size_t size = strlen(endings[i]);
        if (length > size && strcmp(path + length - size, endings[i]) == 0)
            return true;
    }
    return false;
}
