#include "commands/commands.h"

#include <stdio.h>
#include <string.h>

#include "commands/serve_parts.h"

extern char **environ;

enum { MAX_FLAGS = 64 };

/* Every flag is a setting's: a pair of words. */
static int serve(int argc, char **argv)
{
    struct config_flag flags[MAX_FLAGS];
    size_t count = 0;
    for (int i = 0; i < argc; i += 2) {
        if (i + 1 == argc || count == MAX_FLAGS) {
            fprintf(stderr, "metric-store: %s wants a value\n", argv[i]);
            return 2;
        }
        flags[count++] = (struct config_flag){.flag = argv[i], .value = argv[i + 1]};
    }
    struct config_sources sources = {
        .fs = filesystem_posix(), .environment = environ, .flags = flags, .flag_count = count};
    return serve_with(&sources);
}

int commands_main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "serve") == 0)
        return serve(argc - 2, argv + 2);
    puts("metric-store " METRIC_STORE_VERSION);
    return 0;
}
