#include "commands/options.h"
#include "commands/serve_parts.h"

int command_serve(int argc, char **argv)
{
    struct options options;
    int exit_code;
    if (options_parse(&options, command_find("serve"), argc, argv, &exit_code)) {
        struct config_sources sources = options_sources(&options, os_system());
        exit_code = serve_with(&sources);
    }
    return options_end(&options, exit_code);
}
