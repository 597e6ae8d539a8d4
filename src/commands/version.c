#include <stdio.h>

#include "commands/options.h"

int command_version(int argc, char **argv)
{
    struct options options;
    int exit_code;
    if (options_parse(&options, command_find("version"), argc, argv, &exit_code)) {
        if (options_has(&options, "json"))
            puts("{\"name\":\"metric-store\",\"version\":\"" METRIC_STORE_VERSION "\"}");
        else
            puts("metric-store " METRIC_STORE_VERSION);
        exit_code = COMMAND_DONE;
    }
    return options_end(&options, exit_code);
}
