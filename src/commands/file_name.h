/* file_name - what the name of a file says about what is in it. */
#ifndef METRIC_STORE_COMMANDS_FILE_NAME_H
#define METRIC_STORE_COMMANDS_FILE_NAME_H

#include <stdbool.h>

/* Whether something stands before `ending` (".csv"), and nothing or .gz or .zst behind it. */
bool file_name_ends_with(const char *path, const char *ending);

#endif
