#include <stdio.h>

#include "commands/options.h"

static void list_commands(void)
{
    printf("usage: metric-store COMMAND [OPTION...]\n\nCommands:\n");
    for (const struct command *command = command_table; command->name != NULL; command++)
        printf("  %-10s %s\n", command->name, command->help);
    printf("\n`metric-store help COMMAND` says what a command takes.\n"
           "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part,\n"
           "4 damage found, 130 interrupted. With --json one that fails prints\n"
           "{\"status\":\"error\",\"exit_code\":N,\"error\":\"...\"} on standard output.\n");
}

int command_help(int argc, char **argv)
{
    struct options options;
    int exit_code;
    if (options_parse(&options, command_find("help"), argc, argv, &exit_code)) {
        const struct command *command =
            options.argument_count > 0 ? command_find(options.arguments[0]) : NULL;
        exit_code = COMMAND_DONE;
        if (options.argument_count == 0)
            list_commands();
        else if (command != NULL)
            options_print_help(command);
        else
            exit_code = command_unknown(options.arguments[0]);
    }
    return options_end(&options, exit_code);
}
